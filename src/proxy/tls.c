#include "proxy/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "proxy/tls_ca.h"
#include "sys/fd.h"

/* What a stream's `tls` is. */
struct session {
	struct stream *stream;
	const struct stream_ops *plain; /* of the socket below */
	SSL *ssl;
	uint32_t wants; /* of the owner */
	struct loop_timer again; /* bytes wait that no descriptor tells of */
	struct buf ahead; /* received before TLS was begun */
	size_t ahead_at;
	bool read_wants_out, write_wants_in;
	bool starved; /* the bytes that came are no whole record */
	bool failed;
	bool h2; /* offered to the client */
};

static struct {
	SSL_CTX *client;
	BIO_METHOD *bio;
	int roots; /* the machine's, as PEM; -1: none, or read by now */
} tls = { .roots = -1 };

static ssize_t tls_read(struct stream *s, void *p, size_t n);
static ssize_t tls_write(struct stream *s, const void *p, size_t n);
static void tls_want(struct stream *s, uint32_t events);
static void tls_end(struct stream *s);
static void tls_close(struct stream *s, bool hard);
static int tls_move(struct stream *s, struct stream *to, struct err *e);
static void on_again(struct loop_timer *timer);
static struct session *session_new(
    struct stream *s, SSL_CTX *ctx, struct str ahead, struct err *e);
static void session_begin(struct session *t);
static void session_free(struct session *t);
static void say_end(struct session *t);
static SSL_CTX *context(const SSL_METHOD *method, struct err *e);
static int open_roots(struct err *e);
static int try_roots(struct err *e);
static int read_roots(struct err *e);
static X509_STORE *store_of(struct str pem, struct err *e);
static int expect_name(SSL *ssl, const char *name, struct err *e);
static int choose_alpn(SSL *ssl, const unsigned char **out,
    unsigned char *out_n, const unsigned char *in, unsigned in_n, void *arg);
static ssize_t result(struct session *t, int got, bool reading);
static int err_ssl(struct err *e, const char *what);
static int bio_read(BIO *b, char *p, int n);
static int bio_write(BIO *b, const char *p, int n);
static long bio_ctrl(BIO *b, int what, long n, void *p);

static const struct stream_ops tls_ops = {
	.read = tls_read,
	.write = tls_write,
	.want = tls_want,
	.end = tls_end,
	.close = tls_close,
	.move = tls_move,
};

static const unsigned char alpn_both[] = "\2h2\10http/1.1";
static const unsigned char alpn_one[] = "\10http/1.1";

int
tls_init(struct err *e)
{
	/* A configuration file would be somebody else's idea of safe. */
	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return err_ssl(e, "OpenSSL");
	tls.bio = BIO_meth_new(
	    BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "paddock stream");
	if (tls.bio == NULL || BIO_meth_set_read(tls.bio, bio_read) != 1 ||
	    BIO_meth_set_write(tls.bio, bio_write) != 1 ||
	    BIO_meth_set_ctrl(tls.bio, bio_ctrl) != 1)
		return err_ssl(e, "BIO_meth_new");
	tls.client = context(TLS_client_method(), e);
	if (tls.client == NULL)
		return -1;
	SSL_CTX_set_verify(tls.client, SSL_VERIFY_PEER, NULL);
	return open_roots(e);
}

void
tls_fini(void)
{
	fd_fini(&tls.roots);
	SSL_CTX_free(tls.client);
	BIO_meth_free(tls.bio);
	tls.client = NULL;
	tls.bio = NULL;
}

SSL_CTX *
tls_server_context(struct err *e)
{
	SSL_CTX *ctx = context(TLS_server_method(), e);

	/* A stolen ticket key would open what is past; a session is short. */
	if (ctx != NULL) {
		SSL_CTX_set_num_tickets(ctx, 0);
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	}
	return ctx;
}

int
tls_serve(struct stream *s, struct tls_ca *ca, const char *name, bool h2,
    struct str ahead, struct err *e)
{
	SSL_CTX *ctx = tls_ca_context(ca);
	struct session *t = session_new(s, ctx, ahead, e);

	if (t == NULL)
		return -1;
	if (tls_ca_use(ca, t->ssl, name, e) < 0) {
		session_free(t);
		return -1;
	}
	SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
	if (SSL_set_ex_data(t->ssl, 0, t) != 1) {
		session_free(t);
		return err_ssl(e, "SSL_set_ex_data");
	}
	t->h2 = h2;
	SSL_set_accept_state(t->ssl);
	session_begin(t);
	return 0;
}

int
tls_dial(struct stream *s, const char *name, bool h2, struct str roots,
    struct err *e)
{
	const unsigned char *alpn = h2 ? alpn_both : alpn_one;
	size_t n = h2 ? sizeof(alpn_both) - 1 : sizeof(alpn_one) - 1;
	struct session *t;

	if (roots.n == 0)
		(void)tls_machine_roots();
	t = session_new(s, tls.client, STR(""), e);
	if (t == NULL)
		return -1;
	if (expect_name(t->ssl, name, e) < 0) {
		session_free(t);
		return -1;
	}
	if (roots.n > 0) {
		X509_STORE *store = store_of(roots, e);

		if (store == NULL) {
			session_free(t);
			return err_add(e, "the rule's `ca`");
		}
		/* Takes the store over when it succeeds, as it does here. */
		must(SSL_set0_verify_cert_store(t->ssl, store) == 1);
	}
	if (SSL_set_alpn_protos(t->ssl, alpn, (unsigned)n) != 0) {
		session_free(t);
		return err_ssl(e, "ALPN");
	}
	SSL_set_connect_state(t->ssl);
	session_begin(t);
	return 0;
}

enum tls_progress
tls_handshake(struct stream *s, struct err *e)
{
	struct session *t = s->tls;
	long verify;
	int got;

	if (t->failed) {
		(void)err_set(e, "the TLS handshake has failed");
		return TLS_FAILED;
	}
	ERR_clear_error();
	got = SSL_do_handshake(t->ssl);
	if (got == 1)
		return TLS_READY;
	verify = SSL_get_verify_result(t->ssl);
	if (result(t, got, true) < 0 && errno == EAGAIN)
		return TLS_WAITS;
	if (verify != X509_V_OK)
		(void)err_set(e, "the server's certificate: %s",
		    X509_verify_cert_error_string(verify));
	else
		(void)err_ssl(e, "TLS handshake");
	return TLS_FAILED;
}

bool
tls_chose_h2(const struct stream *s)
{
	const unsigned char *p = NULL;
	unsigned n = 0;

	if (s->ops == &tls_ops)
		SSL_get0_alpn_selected(((struct session *)s->tls)->ssl, &p, &n);
	return n == 2 && memcmp(p, "h2", 2) == 0;
}

static ssize_t
tls_read(struct stream *s, void *p, size_t n)
{
	struct session *t = s->tls;
	size_t got = 0;

	if (t->failed) {
		errno = ECONNRESET;
		return -1;
	}
	ERR_clear_error();
	if (SSL_read_ex(t->ssl, p, n, &got) == 1)
		return (ssize_t)got;
	return result(t, 0, true);
}

static ssize_t
tls_write(struct stream *s, const void *p, size_t n)
{
	struct session *t = s->tls;
	size_t got = 0;

	if (t->failed) {
		errno = ECONNRESET;
		return -1;
	}
	ERR_clear_error();
	if (SSL_write_ex(t->ssl, p, n, &got) == 1)
		return (ssize_t)got;
	return result(t, 0, false);
}

static void
tls_want(struct stream *s, uint32_t events)
{
	struct session *t = s->tls;
	uint32_t below = events & EPOLLRDHUP;

	t->wants = events;
	if ((events & EPOLLIN) != 0) {
		below |= t->read_wants_out ? EPOLLOUT : EPOLLIN;
		/* What is decrypted already makes no descriptor ready. */
		if ((t->ahead_at < t->ahead.n ||
			(SSL_has_pending(t->ssl) == 1 && !t->starved)) &&
		    t->again.at_ns == 0)
			loop_timer_set(
			    s->loop, &t->again, loop_now_ns(s->loop));
	}
	if ((events & EPOLLOUT) != 0)
		below |= t->write_wants_in ? EPOLLIN : EPOLLOUT;
	t->plain->want(s, below);
}

static void
tls_end(struct stream *s)
{
	struct session *t = s->tls;

	say_end(t);
	t->plain->end(s);
}

static void
tls_close(struct stream *s, bool hard)
{
	struct session *t = s->tls;
	const struct stream_ops *plain = t->plain;

	if (!hard)
		say_end(t);
	session_free(t);
	s->tls = NULL;
	plain->close(s, hard);
}

static int
tls_move(struct stream *s, struct stream *to, struct err *e)
{
	struct session *t = s->tls;

	s->tls = NULL;
	if (t->plain->move(s, to, e) < 0) {
		session_free(t);
		return -1;
	}
	t->stream = to;
	session_begin(t);
	return 0;
}

static void
on_again(struct loop_timer *timer)
{
	struct session *t = LOOP_OF(timer, struct session, again);

	if ((t->wants & EPOLLIN) != 0)
		t->stream->on_ready(t->stream, EPOLLIN);
}

static struct session *
session_new(struct stream *s, SSL_CTX *ctx, struct str ahead, struct err *e)
{
	struct session *t = calloc(1, sizeof(*t));
	BIO *bio;

	must(t != NULL && stream_is_open(s) && s->ops != &tls_ops);
	t->stream = s;
	t->plain = s->ops;
	t->again.on_time = on_again;
	buf_add_str(&t->ahead, ahead);
	t->ssl = SSL_new(ctx);
	bio = BIO_new(tls.bio);
	if (t->ssl == NULL || bio == NULL || t->ahead.failed) {
		BIO_free(bio);
		session_free(t);
		(void)err_ssl(e, "SSL_new");
		return NULL;
	}
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	return t;
}

/* From now on the stream's bytes are those within TLS. */
static void
session_begin(struct session *t)
{
	t->stream->tls = t;
	t->stream->ops = &tls_ops;
}

static void
session_free(struct session *t)
{
	loop_timer_clear(t->stream->loop, &t->again);
	SSL_free(t->ssl);
	buf_fini(&t->ahead);
	free(t);
}

/* Once is enough: the other end's answer is not waited for. */
static void
say_end(struct session *t)
{
	if (!t->failed && !SSL_in_init(t->ssl)) {
		ERR_clear_error();
		(void)SSL_shutdown(t->ssl);
	}
}

static SSL_CTX *
context(const SSL_METHOD *method, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (ctx == NULL) {
		(void)err_ssl(e, "SSL_CTX_new");
		return NULL;
	}
	must(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
	SSL_CTX_set_options(ctx,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
		SSL_OP_CLEANSE_PLAINTEXT); /* an echo may hold a secret */
	/* Buffers go back between records: most of the connections wait. */
	SSL_CTX_set_mode(ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	/* Else each record is two reads: of its head, and of the rest. */
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return ctx;
}

X509_STORE *
tls_machine_roots(void)
{
	struct err e = {};

	/* Without them every server is refused, and the reason says so. */
	if (tls.roots >= 0 && read_roots(&e) < 0)
		log_error("the machine's certificates: %s", e.text);
	return SSL_CTX_get_cert_store(tls.client);
}

/*
 * The 140 certificates of a machine take 0.8 MiB once they are read, and most
 * machines' runs need none of them: here they are opened, while there are still
 * files. What a person has named is looked into, to refuse a wrong one now.
 */
static int
open_roots(struct err *e)
{
	static const char *const files[] = {
		"/etc/ssl/certs/ca-certificates.crt", /* Debian, Arch, Alpine */
		"/etc/pki/tls/certs/ca-bundle.crt", /* Fedora, RHEL */
		"/etc/ssl/ca-bundle.pem", /* openSUSE */
	};
	const char *named = getenv("SSL_CERT_FILE");

	if (named != NULL && named[0] == '/') {
		tls.roots = open(named, O_RDONLY | O_CLOEXEC);
		if (tls.roots < 0)
			return err_sys(e, "SSL_CERT_FILE: open %s", named);
		if (try_roots(e) < 0)
			return err_add(e, "SSL_CERT_FILE");
		return 0;
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		tls.roots = open(files[i], O_RDONLY | O_CLOEXEC);
		if (tls.roots >= 0)
			return 0;
	}
	return 0;
}

/* That it can be read and has a certificate. */
static int
try_roots(struct err *e)
{
	own_buf struct buf pem = {};
	X509 *one = NULL;
	BIO *in;

	if (fd_read_all(tls.roots, &pem, TRUST_MAX_BYTES, e) < 0)
		return -1;
	if (lseek(tls.roots, 0, SEEK_SET) < 0)
		return err_sys(e, "lseek");
	in = BIO_new_mem_buf(pem.p, (int)pem.n);
	if (in != NULL)
		one = PEM_read_bio_X509(in, NULL, NULL, NULL);
	BIO_free(in);
	ERR_clear_error(); /* that there is none is said as follows */
	if (one == NULL)
		return err_set(e, "no certificate in the PEM");
	X509_free(one);
	return 0;
}

/* Once, whatever comes of it. */
static int
read_roots(struct err *e)
{
	own_fd int fd = fd_take(&tls.roots);
	own_buf struct buf pem = {};
	X509_STORE *store;

	if (fd_read_all(fd, &pem, TRUST_MAX_BYTES, e) < 0)
		return -1;
	store = store_of(buf_str(&pem), e);
	if (store == NULL)
		return -1;
	SSL_CTX_set_cert_store(tls.client, store); /* which takes it over */
	return 0;
}

static X509_STORE *
store_of(struct str pem, struct err *e)
{
	BIO *in =
	    pem.n <= INT32_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	X509_STORE *store = X509_STORE_new();
	X509 *one;
	int n = 0;

	must(store != NULL);
	while (in != NULL &&
	    (one = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
		n += X509_STORE_add_cert(store, one) == 1;
		X509_free(one);
	}
	BIO_free(in);
	ERR_clear_error(); /* the end of the text is one */
	if (n > 0)
		return store;
	X509_STORE_free(store);
	(void)err_set(e, "no certificate in the PEM");
	return NULL;
}

static int
expect_name(SSL *ssl, const char *name, struct err *e)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	void *text;

	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
		return 0;
	ERR_clear_error();
	X509_VERIFY_PARAM_set_hostflags(
	    param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* SSL_set_tlsext_host_name does not write to the name. */
	memcpy(&text, &name, sizeof(name));
	if (SSL_set1_host(ssl, name) != 1 ||
	    SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME,
		TLSEXT_NAMETYPE_host_name, text) != 1)
		return err_ssl(e, "the server's name");
	return 0;
}

/* The first of ours that the client has, too; else none, and HTTP/1.1. */
static int
choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
    const unsigned char *in, unsigned in_n, void *arg)
{
	const struct session *t = SSL_get_ex_data(ssl, 0);
	const unsigned char *ours = t->h2 ? alpn_both : alpn_one;
	unsigned char *chosen;

	(void)arg;
	if (SSL_select_next_proto(&chosen, out_n, ours,
		(unsigned)strlen((const char *)ours), in,
		in_n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* What a call that gave no bytes means, as read(2) would say it. */
static ssize_t
result(struct session *t, int got, bool reading)
{
	int why = SSL_get_error(t->ssl, got);

	if (reading)
		t->read_wants_out = why == SSL_ERROR_WANT_WRITE;
	if (why == SSL_ERROR_WANT_READ)
		t->starved = true;
	if (!reading)
		t->write_wants_in = why == SSL_ERROR_WANT_READ;
	if (why == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
		errno = EAGAIN;
		return -1;
	}
	t->failed = true;
	errno = ECONNRESET;
	return -1;
}

static int
err_ssl(struct err *e, const char *what)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	return err_set(
	    e, "%s: %s", what, why != NULL ? why : "the connection was cut");
}

static int
bio_read(BIO *b, char *p, int n)
{
	struct session *t = BIO_get_data(b);
	size_t ahead = t->ahead.n - t->ahead_at;
	ssize_t got;

	BIO_clear_retry_flags(b);
	if (ahead > 0) {
		size_t some = ahead < (size_t)n ? ahead : (size_t)n;

		memcpy(p, t->ahead.p + t->ahead_at, some);
		t->ahead_at += some;
		return (int)some;
	}
	do {
		got = t->plain->read(t->stream, p, (size_t)n);
	} while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		BIO_set_retry_read(b);
	if (got > 0)
		t->starved = false;
	return (int)got;
}

static int
bio_write(BIO *b, const char *p, int n)
{
	struct session *t = BIO_get_data(b);
	ssize_t got;

	BIO_clear_retry_flags(b);
	do {
		got = t->plain->write(t->stream, p, (size_t)n);
	} while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		BIO_set_retry_write(b);
	return (int)got;
}

static long
bio_ctrl(BIO *b, int what, long n, void *p)
{
	(void)b;
	(void)n;
	(void)p;
	return what == BIO_CTRL_FLUSH; /* nothing is kept back */
}
