#include "cli/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "cli/state.h"
#include "sys/fd.h"

enum {
	READ_BYTES = 65536,
	ANSWER_TIMEOUT_MS = 60 * 1000, /* any request but a wait */
	TOKEN_MAX_BYTES = 512,
	PROBLEMS_SHOWN = 3, /* of a policy: as many as fit */
};

static int init_tcp(
    struct client *c, const struct client_options *o, struct err *e);
static int read_token(struct client *c, const char *path, struct err *e);
static int url_parse(struct client *c, const char *url, struct err *e);
static bool is_address(const char *host);
static int dial(const struct client *c, struct err *e);
static int send_all(
    int fd, struct str bytes, const int *fds, unsigned n_fds, struct err *e);
static int receive_head(struct client_conn *conn, int timeout_ms,
    struct http1_head *h, struct err *e);
static int receive_more(
    struct client_conn *conn, int timeout_ms, struct err *e);
static int feed_body(
    struct client_conn *conn, struct buf *out, bool ended, struct err *e);

bool
client_option(struct client_options *o, int c, const char *value)
{
	switch (c) {
	case 'S':
		o->state = value;
		return true;
	case 'U':
		o->url = value;
		return true;
	case 'T':
		o->token_file = value;
		return true;
	default:
		return false;
	}
}

int
client_init(struct client *c, const struct client_options *o, struct err *e)
{
	*c = (struct client){};
	if (state_dir(o->state, &c->state, e) < 0)
		return -1;
	if (o->url != NULL)
		return init_tcp(c, o, e);
	if (o->token_file != NULL)
		return err_set(e, "--token-file is for --url");
	if (c->state.n + sizeof("/paddock.sock") > sizeof(c->socket))
		return err_set(e,
		    "the state directory's name has %zu bytes, a socket "
		    "below it can have %zu: choose a shorter --state",
		    c->state.n, sizeof(c->socket) - sizeof("/paddock.sock"));
	memcpy(c->socket, c->state.p, c->state.n);
	memcpy(
	    c->socket + c->state.n, "/paddock.sock", sizeof("/paddock.sock"));
	return 0;
}

void
client_fini(struct client *c)
{
	if (c->token.p != NULL)
		explicit_bzero(c->token.p, c->token.cap);
	buf_fini(&c->token);
	buf_fini(&c->state);
}

void
client_conn_fini(struct client_conn *conn)
{
	fd_fini(&conn->fd);
	buf_fini(&conn->in);
	sse_fini(&conn->sse);
}

void
client_reply_fini(struct client_reply *r)
{
	buf_fini(&r->body);
	arena_fini(&r->arena);
}

void
client_escape(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    (c >= '0' && c <= '9') ||
		    str_find(STR("-._~/:"), c) < sizeof("-._~/:") - 1)
			buf_add_byte(out, c);
		else
			buf_printf(out, "%%%02X", (uint8_t)c);
	}
}

int
client_send(const struct client *c, const struct client_request *q,
    struct client_conn *conn, struct err *e)
{
	own_buf struct buf out = {};
	own_fd int fd = -1;

	*conn = (struct client_conn){ .fd = -1 };
	must(q->n_fds == 0 || c->socket[0] != '\0');
	fd = dial(c, e);
	if (fd < 0)
		return -1;

	buf_printf(&out, "%s %s HTTP/1.1\r\n", q->method, q->target);
	if (c->socket[0] != '\0')
		buf_add_c(&out, "Host: localhost\r\n");
	else
		buf_printf(&out,
		    strchr(c->host, ':') != NULL ? "Host: [%s]:%u\r\n"
						 : "Host: %s:%u\r\n",
		    c->host, c->port);
	if (c->token.n > 0) {
		buf_add_c(&out, "Authorization: Bearer ");
		buf_add_str(&out, buf_str(&c->token));
		buf_add_c(&out, "\r\n");
	}
	buf_printf(&out, "Accept: %s\r\n",
	    q->stream		    ? "text/event-stream"
		: q->accept != NULL ? q->accept
				    : "application/json");
	if (q->chunks)
		buf_add_c(&out, "Transfer-Encoding: chunked\r\n");
	if (q->n_fds > 0)
		buf_printf(&out, "Paddock-Descriptors: %u\r\n", q->n_fds);
	if (q->body.n > 0)
		buf_printf(&out,
		    "Content-Type: application/json\r\n"
		    "Content-Length: %zu\r\n",
		    q->body.n);
	else if (strcmp(q->method, "POST") == 0)
		buf_add_c(&out, "Content-Length: 0\r\n");
	if (q->upgrade != NULL)
		buf_printf(
		    &out, "Connection: Upgrade\r\nUpgrade: %s\r\n", q->upgrade);
	else if (!q->keep)
		buf_add_c(&out, "Connection: close\r\n");
	buf_add_c(&out, "\r\n");
	buf_add_str(&out, q->body);
	if (out.failed)
		return err_set(e, "the request is too large");
	if (send_all(fd, buf_str(&out), q->fds, q->n_fds, e) < 0)
		return err_add(e, "ask the daemon");
	if (c->token.n > 0)
		explicit_bzero(out.p, out.cap);
	conn->fd = fd_take(&fd);
	conn->keep = q->keep;
	return 0;
}

bool
client_down(const struct err *e)
{
	return e->sys == ENOENT || e->sys == ECONNREFUSED;
}

int
client_receive(struct client_conn *conn, int timeout_ms, struct client_reply *r,
    struct err *e)
{
	struct http1_head h;

	client_reply_fini(r);
	*r = (struct client_reply){};
	if (receive_head(conn, timeout_ms, &h, e) < 0)
		return -1;
	r->status = h.status;
	http1_body_init(&conn->body, &h, HTTP_MAX_BODY_BYTES);
	for (;;) {
		int got = feed_body(conn, &r->body, false, e);

		if (got < 0)
			return err_add(e, "the daemon's answer");
		if (got > 0)
			break;
		got = receive_more(conn, timeout_ms, e);
		if (got < 0)
			return err_add(e, "the daemon's answer");
		if (got == 0) {
			if (feed_body(conn, &r->body, true, e) < 0)
				return err_add(e, "the daemon's answer");
			break;
		}
	}
	if (!conn->keep)
		fd_fini(&conn->fd);
	if (r->body.n == 0)
		return 0;
	r->json = json_parse(buf_str(&r->body), NULL, &r->arena, e, NULL);
	if (r->json == NULL)
		return err_add(e, "the daemon's answer (HTTP %u)", r->status);
	return 0;
}

int
client_ask(const struct client *c, const struct client_request *q,
    struct client_reply *r, struct err *e)
{
	own_conn struct client_conn conn = { .fd = -1 };

	return client_ask_on(c, q, &conn, r, e);
}

int
client_ask_on(const struct client *c, const struct client_request *q,
    struct client_conn *conn, struct client_reply *r, struct err *e)
{
	return client_send(c, q, conn, e) < 0 ? -1 : client_answer(conn, r, e);
}

int
client_answer(struct client_conn *conn, struct client_reply *r, struct err *e)
{
	if (client_receive(conn, ANSWER_TIMEOUT_MS, r, e) < 0)
		return -1;
	if (r->status < 200 || r->status > 299)
		return client_refused(r, e);
	return 0;
}

int
client_refused(const struct client_reply *r, struct err *e)
{
	const struct json *error = json_get(r->json, STR("error"));
	struct str message = json_str(json_get(error, STR("message")));
	struct str next = json_str(json_get(error, STR("suggested_next_step")));
	const struct json *problems = json_get(error, STR("problems"));
	own_buf struct buf text = {};
	uint32_t n = 0;

	if (message.n == 0)
		return err_set(e, "the daemon answers %u %s", r->status,
		    http1_reason(r->status));
	/* It goes on behind the sentence. */
	if (message.p[message.n - 1] == '.')
		message.n--;
	buf_add_str(&text, message);
	for (const struct json *x =
		 json_is(problems, JSON_ARRAY) ? json_first(problems) : NULL;
	     x != NULL && n < PROBLEMS_SHOWN; x = json_next(problems, x), n++) {
		const struct str path = json_str(json_get(x, STR("path")));

		buf_add_c(&text, n == 0 ? ": " : ", ");
		buf_add_str(&text, path);
		buf_add_c(&text, path.n > 0 ? ": " : "");
		buf_add_str(&text, json_str(json_get(x, STR("text"))));
	}
	if (next.n == 0)
		return err_set(e, "%s", buf_c(&text));
	return err_set(e, "%s; %.*s", buf_c(&text), STR_FMT(next));
}

int
client_head(struct client_conn *conn, int timeout_ms, struct client_reply *r,
    struct err *e)
{
	struct http1_head h;
	int got;

	client_reply_fini(r);
	*r = (struct client_reply){};
	if (receive_head(conn, timeout_ms, &h, e) < 0)
		return -1;
	r->status = h.status;
	if (h.status == 101)
		return 0;
	if (h.status >= 200 && h.status <= 299) {
		http1_body_init(&conn->body, &h, UINT64_MAX);
		return 0;
	}
	http1_body_init(&conn->body, &h, HTTP_MAX_BODY_BYTES);
	do
		got = client_body(conn, timeout_ms, &r->body, e);
	while (got > 0);
	if (got < 0)
		return -1;
	if (r->body.n > 0)
		r->json =
		    json_parse(buf_str(&r->body), NULL, &r->arena, e, NULL);
	return client_refused(r, e);
}

int
client_body(
    struct client_conn *conn, int timeout_ms, struct buf *out, struct err *e)
{
	size_t before = out->n;

	for (;;) {
		int got = feed_body(conn, out, false, e);

		if (got < 0 || out->failed)
			return err_add(e, "the daemon's answer");
		if (out->n > before)
			return 1;
		if (got > 0)
			return 0;
		got = receive_more(conn, timeout_ms, e);
		if (got < 0)
			return err_add(e, "the daemon's answer");
		if (got > 0)
			continue;
		if (feed_body(conn, out, true, e) < 0)
			return err_add(e, "the daemon's answer");
		return out->n > before;
	}
}

int
client_chunk(struct client_conn *conn, struct str bytes, struct err *e)
{
	own_buf struct buf out = {};

	buf_printf(&out, "%zx\r\n", bytes.n);
	buf_add_str(&out, bytes);
	buf_add_c(&out, "\r\n");
	if (out.failed)
		return err_set(e, "out of memory");
	if (send_all(conn->fd, buf_str(&out), NULL, 0, e) < 0)
		return err_add(e, "send to the daemon");
	return 0;
}

int
client_stream(struct client_conn *conn, int timeout_ms, struct err *e)
{
	const struct str *type;
	struct http1_head h = {};

	if (receive_head(conn, timeout_ms, &h, e) < 0)
		return -1;
	type = http1_get(&h, STR("Content-Type"));
	if (h.status != 200 || type == NULL ||
	    !str_starts(*type, STR("text/event-stream")))
		return err_set(e, "the daemon answers %u, no events", h.status);
	/* A stream has no end that a limit could be about. */
	http1_body_init(&conn->body, &h, UINT64_MAX);
	return 0;
}

int
client_event(struct client_conn *conn, struct sse_event *ev, struct err *e)
{
	for (;;) {
		own_buf struct buf content = {};
		int got;

		if (sse_next(&conn->sse, ev))
			return 1;
		if (conn->sse.failed)
			return err_set(e, "an event is too large");
		if (feed_body(conn, &content, false, e) < 0)
			return -1;
		if (content.n > 0) {
			if (sse_feed(&conn->sse, buf_str(&content)) < 0)
				return err_set(e, "an event is too large");
			continue;
		}
		if (conn->body.done)
			return err_set(e, "the stream has ended");
		got = receive_more(conn, 0, e);
		if (got == 0)
			return err_set(e, "the stream has ended");
		if (got < 0)
			return e->sys == EAGAIN ? 0 : -1;
	}
}

int
client_address(struct str text, char host[static CLIENT_HOST_BYTES],
    uint16_t *port, struct err *e)
{
	struct str name, number;
	uint64_t value;
	size_t end;

	if (str_starts(text, STR("["))) {
		end = str_find(text, ']');
		name = (struct str){ text.p + 1, end - 1 };
		end = end < text.n ? end + 1 : end;
	} else {
		end = str_find(text, ':');
		name = (struct str){ text.p, end };
	}
	if (end >= text.n || text.p[end] != ':')
		return err_set(e, "%.*s: not ADDRESS:PORT, as 127.0.0.1:7070",
		    STR_FMT(text));
	number = (struct str){ text.p + end + 1, text.n - end - 1 };
	if (str_to_u64(number, &value) < 0 || value == 0 || value > UINT16_MAX)
		return err_set(e, "%.*s: the port is no number from 1 to 65535",
		    STR_FMT(text));
	if (str_eq_c(name, "localhost"))
		name = STR("127.0.0.1");
	/* Plain HTTP carries the token: it must not leave the machine. */
	if ((!str_starts(name, STR("127.")) && !str_eq_c(name, "::1")) ||
	    str_copy(name, host, CLIENT_HOST_BYTES) < 0 || !is_address(host))
		return err_set(e,
		    "%.*s: not an address of this machine alone (127.0.0.1, "
		    "[::1]), and the token would travel in the clear",
		    STR_FMT(text));
	*port = (uint16_t)value;
	return 0;
}

static int
init_tcp(struct client *c, const struct client_options *o, struct err *e)
{
	own_buf struct buf path = {};

	if (url_parse(c, o->url, e) < 0)
		return -1;
	if (o->token_file != NULL)
		return read_token(c, o->token_file, e);
	buf_add_str(&path, buf_str(&c->state));
	buf_add_c(&path, "/operator.token");
	if (read_token(c, buf_c(&path), e) < 0)
		return err_add(e, "--url needs a token (--token-file FILE)");
	return 0;
}

static int
read_token(struct client *c, const char *path, struct err *e)
{
	if (file_read(path, &c->token, TOKEN_MAX_BYTES, e) < 0)
		return -1;
	while (c->token.n > 0 && c->token.p[c->token.n - 1] == '\n')
		c->token.n--;
	/* It becomes a header: a line end in it would begin another one. */
	for (size_t i = 0; i < c->token.n; i++)
		if (c->token.p[i] <= ' ' || c->token.p[i] > '~')
			return err_set(e, "%s holds no token", path);
	if (c->token.n == 0)
		return err_set(e, "%s is empty", path);
	return 0;
}

static int
url_parse(struct client *c, const char *url, struct err *e)
{
	struct str rest = str_of(url);

	if (!str_starts(rest, STR("http://")))
		return err_set(e, "--url %s: it begins with http://", url);
	rest = (struct str){ rest.p + 7, rest.n - 7 };
	if (str_ends(rest, STR("/")))
		rest.n--;
	if (client_address(rest, c->host, &c->port, e) < 0)
		return err_add(e, "--url");
	return 0;
}

static bool
is_address(const char *host)
{
	struct in6_addr any;

	return inet_pton(AF_INET, host, &any) == 1 ||
	    inet_pton(AF_INET6, host, &any) == 1;
}

static int
dial(const struct client *c, struct err *e)
{
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} to = {};
	own_fd int fd = -1;
	socklen_t n;

	if (c->socket[0] != '\0') {
		to.un.sun_family = AF_UNIX;
		memcpy(to.un.sun_path, c->socket, sizeof(c->socket));
		n = sizeof(to.un);
	} else if (inet_pton(AF_INET, c->host, &to.in.sin_addr) == 1) {
		to.in.sin_family = AF_INET;
		to.in.sin_port = htons(c->port);
		n = sizeof(to.in);
	} else if (inet_pton(AF_INET6, c->host, &to.in6.sin6_addr) == 1) {
		to.in6.sin6_family = AF_INET6;
		to.in6.sin6_port = htons(c->port);
		n = sizeof(to.in6);
	} else {
		return err_set(e, "%s is no address", c->host);
	}
	fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, "socket");
	if (connect(fd, &to.any, n) == 0)
		return fd_take(&fd);
	if (c->socket[0] == '\0')
		return err_sys(e, "no daemon at %s port %u", c->host, c->port);
	(void)err_sys(e, "connect %s", c->socket);
	if (client_down(e)) {
		int why = e->sys;

		(void)err_set(e,
		    "no daemon runs in %.*s; start one with: paddock serve "
		    "--state %.*s",
		    STR_FMT(buf_str(&c->state)), STR_FMT(buf_str(&c->state)));
		e->sys = why;
	}
	return -1;
}

/* The descriptors travel with the first byte: unix(7), SCM_RIGHTS. */
static int
send_all(
    int fd, struct str bytes, const int *fds, unsigned n_fds, struct err *e)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(IPC_MAX_FDS * sizeof(int))];
	} control = {};
	struct iovec iov = { .iov_len = bytes.n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	must(n_fds <= IPC_MAX_FDS);
	if (n_fds > 0) {
		struct cmsghdr *c;

		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		must(c != NULL);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	while (bytes.n > 0) {
		ssize_t sent;

		/* sendmsg only reads; struct iovec cannot say so. */
		iov.iov_base = (void *)(uintptr_t)bytes.p;
		iov.iov_len = bytes.n;
		sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return err_sys(e, "send");
		bytes.p += sent;
		bytes.n -= (size_t)sent;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
	return 0;
}

static int
receive_head(struct client_conn *conn, int timeout_ms, struct http1_head *h,
    struct err *e)
{
	for (;;) {
		ssize_t head = 0;
		uint16_t status;

		if (conn->in.n > conn->used)
			head = http1_response(conn->in.p + conn->used,
			    conn->in.n - conn->used, false, h, &status, e);
		if (head < 0)
			return err_add(e, "the daemon's answer");
		if (head > 0) {
			conn->used += (size_t)head;
			if (h->status >= 200 || h->status == 101)
				return 0;
			continue; /* 100 Continue and the like */
		}
		switch (receive_more(conn, timeout_ms, e)) {
		case -1:
			return err_add(e, "wait for the daemon's answer");
		case 0:
			return err_set(e, "the daemon hung up");
		default:
			break;
		}
	}
}

/* 1: something came; 0: the end; -1 with e, e->sys EAGAIN after the time. */
static int
receive_more(struct client_conn *conn, int timeout_ms, struct err *e)
{
	struct pollfd p = { .fd = conn->fd, .events = POLLIN };
	char *at = buf_reserve(&conn->in, READ_BYTES);
	ssize_t got;
	int ready;

	if (at == NULL)
		return err_set(e, "out of memory");
	do
		ready = poll(&p, 1, timeout_ms);
	while (ready < 0 && errno == EINTR);
	if (ready < 0)
		return err_sys(e, "poll");
	if (ready == 0) {
		(void)err_set(e, "nothing for %d s", timeout_ms / 1000);
		e->sys = EAGAIN;
		return -1;
	}
	do
		got = read(conn->fd, at, READ_BYTES);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return err_sys(e, "read");
	conn->in.n += (size_t)got;
	return got > 0;
}

/*
 * Decodes what has arrived. ended: nothing more will. 1 when the body is
 * whole, 0 when more is needed.
 */
static int
feed_body(struct client_conn *conn, struct buf *out, bool ended, struct err *e)
{
	uint16_t status;
	ssize_t took = 0;

	if (!conn->body.done && conn->in.n > conn->used)
		took = http1_body_feed(&conn->body, conn->in.p + conn->used,
		    conn->in.n - conn->used, out, &status, e);
	if (took < 0)
		return -1;
	/* All of it was taken, or the body is done: the head is not needed. */
	buf_reset(&conn->in);
	conn->used = 0;
	if (out->failed)
		return err_set(e, "out of memory");
	if (conn->body.done)
		return 1;
	if (!ended)
		return 0;
	if (conn->body.kind == HTTP1_BODY_UNTIL_CLOSE)
		return 1;
	return err_set(e, "it was cut off");
}
