#include "proxy/tls_ca.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "codec/json.h"
#include "core/addr.h"
#include "proxy/tls_java.h"

enum {
	SERIAL_BYTES = 16,
	/* Clocks in a sandbox and here are the same, but a certificate that is
	 * checked in the second it was made should not depend on it. */
	BEFORE_S = 3600,
	VALID_S = 7 * 24 * 3600, /* longer than a run can be */
};

struct leaf {
	struct leaf *next;
	char name[256];
	X509 *cert;
};

struct tls_ca {
	SSL_CTX *ctx;
	EVP_PKEY *key, *leaf_key;
	X509 *cert;
	struct leaf *leaves; /* used last comes first */
	uint32_t n_leaves;
};

static int put_limits(struct buf *out, struct str hosts, struct err *e);
static X509 *certificate(const char *name, X509 *issuer, const char *limits,
    EVP_PKEY *key, EVP_PKEY *signer, struct err *e);
static int set_subject(X509 *cert, const char *name);
static int set_extensions(
    X509 *cert, X509 *issuer, const char *name, const char *limits);
static int add_extension(
    X509 *cert, X509V3_CTX *ctx, int nid, const char *text);
static bool is_addr(const char *name);
static int err_ssl(struct err *e, const char *what);

struct tls_ca *
tls_ca_new(struct str hosts, struct err *e)
{
	struct tls_ca *ca = calloc(1, sizeof(*ca));
	own_buf struct buf limits = {};

	must(ca != NULL);
	ca->ctx = tls_server_context(e);
	if (ca->ctx == NULL) {
		tls_ca_free(ca);
		return NULL;
	}
	ca->key = EVP_EC_gen("P-256");
	ca->leaf_key = EVP_EC_gen("P-256");
	if (ca->key == NULL || ca->leaf_key == NULL) {
		(void)err_ssl(e, "a key for the run's CA");
		tls_ca_free(ca);
		return NULL;
	}
	if (put_limits(&limits, hosts, e) == 0)
		ca->cert = certificate(
		    NULL, NULL, buf_c(&limits), ca->key, ca->key, e);
	if (ca->cert == NULL) {
		tls_ca_free(ca);
		return NULL;
	}
	return ca;
}

void
tls_ca_free(struct tls_ca *ca)
{
	if (ca == NULL)
		return;
	while (ca->leaves != NULL) {
		struct leaf *l = ca->leaves;

		ca->leaves = l->next;
		X509_free(l->cert);
		free(l);
	}
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
	EVP_PKEY_free(ca->leaf_key);
	SSL_CTX_free(ca->ctx);
	free(ca);
}

void
tls_ca_pem(const struct tls_ca *ca, struct buf *out)
{
	BIO *mem = BIO_new(BIO_s_mem());
	char *p;
	long n;

	must(mem != NULL && PEM_write_bio_X509(mem, ca->cert) == 1);
	n = BIO_get_mem_data(mem, &p);
	buf_add(out, p, (size_t)n);
	BIO_free(mem);
}

void
tls_ca_java(const struct tls_ca *ca, struct buf *out)
{
	java_store_write(out, tls_machine_roots(), ca->cert);
}

SSL_CTX *
tls_ca_context(struct tls_ca *ca)
{
	return ca->ctx;
}

int
tls_ca_use(struct tls_ca *ca, SSL *ssl, const char *name, struct err *e)
{
	struct leaf **at = &ca->leaves;
	struct leaf *l;

	if (strlen(name) >= sizeof(l->name))
		return err_set(e, "the name is too long for a certificate");
	while (*at != NULL && strcmp((*at)->name, name) != 0 &&
	    ((*at)->next != NULL || ca->n_leaves < TLS_LEAVES_MAX))
		at = &(*at)->next;
	l = *at;
	if (l != NULL) {
		*at = l->next; /* the one, or the one that is in the way */
	} else {
		l = calloc(1, sizeof(*l));
		must(l != NULL);
		ca->n_leaves++;
	}
	if (strcmp(l->name, name) != 0 || l->cert == NULL) {
		X509_free(l->cert);
		(void)snprintf(l->name, sizeof(l->name), "%s", name);
		l->cert =
		    certificate(name, ca->cert, NULL, ca->leaf_key, ca->key, e);
	}
	l->next = ca->leaves;
	ca->leaves = l;
	if (l->cert == NULL)
		return -1;
	if (SSL_use_certificate(ssl, l->cert) != 1 ||
	    SSL_use_PrivateKey(ssl, ca->leaf_key) != 1)
		return err_ssl(e, "the certificate of a server");
	return 0;
}

/*
 * As OpenSSL reads it. A kind of name of which none is permitted is excluded
 * as a whole: nothing said would mean that all are fine.
 */
static int
put_limits(struct buf *out, struct str hosts, struct err *e)
{
	own_arena struct arena a = {};
	const struct json *list = json_parse(hosts, NULL, &a, e, NULL);
	bool names = false, addrs = false;

	if (!json_is(list, JSON_ARRAY))
		return err_set(e, "the hosts of a CA are no list");
	buf_add_c(out, "critical");
	for (const struct json *x = json_first(list); x != NULL;
	     x = json_next(list, x)) {
		struct str host = json_str(x);
		struct addr addr;

		if (addr_parse(host, &addr) == 0) {
			addrs = true;
			buf_printf(out, ",permitted;IP:%.*s/%s", STR_FMT(host),
			    addr.v6 ? "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
				    : "255.255.255.255");
			continue;
		}
		if (str_starts(host, STR("*.")))
			host = (struct str){ host.p + 2, host.n - 2 };
		names = true;
		buf_printf(out, ",permitted;DNS:%.*s", STR_FMT(host));
	}
	if (!names) /* a name that nobody can have: RFC 2606 section 2 */
		buf_add_c(out, ",permitted;DNS:none.invalid");
	if (!addrs)
		buf_add_c(
		    out, ",excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:::/::");
	return out->failed ? err_set(e, "the hosts of a CA are too many") : 0;
}

/* For the CA itself name and issuer are NULL, and limits is not. */
static X509 *
certificate(const char *name, X509 *issuer, const char *limits, EVP_PKEY *key,
    EVP_PKEY *signer, struct err *e)
{
	unsigned char serial[SERIAL_BYTES];
	X509 *cert = X509_new();
	BIGNUM *number;
	bool ok;

	must(cert != NULL && RAND_bytes(serial, sizeof(serial)) == 1);
	serial[0] &= 0x7f; /* positive: RFC 5280 section 4.1.2.2 */
	number = BN_bin2bn(serial, sizeof(serial), NULL);
	ok = number != NULL &&
	    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL &&
	    X509_set_version(cert, X509_VERSION_3) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(cert), -BEFORE_S) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(cert), VALID_S) != NULL &&
	    X509_set_pubkey(cert, key) == 1 && set_subject(cert, name) == 0 &&
	    X509_set_issuer_name(cert,
		X509_get_subject_name(issuer != NULL ? issuer : cert)) == 1 &&
	    set_extensions(
		cert, issuer != NULL ? issuer : cert, name, limits) == 0 &&
	    X509_sign(cert, signer, EVP_sha256()) > 0;
	BN_free(number);
	if (ok)
		return cert;
	(void)err_ssl(e, "a certificate of the run's CA");
	X509_free(cert);
	return NULL;
}

/*
 * A common name has 64 characters at most; clients read the extension. An
 * address has none: GnuTLS, which git has here, holds every common name of a
 * certificate without DNS names against the limits on DNS names.
 */
static int
set_subject(X509 *cert, const char *name)
{
	const bool addr = name != NULL && is_addr(name);
	const char *text = name == NULL ? "paddock: this run only"
	    : addr			? "a host that is an address"
	    : strlen(name) <= 64	? name
					: "a host with a long name";

	return X509_NAME_add_entry_by_txt(X509_get_subject_name(cert),
		   addr ? "O" : "CN", MBSTRING_ASC, (const unsigned char *)text,
		   -1, -1, 0) == 1
	    ? 0
	    : -1;
}

static int
set_extensions(X509 *cert, X509 *issuer, const char *name, const char *limits)
{
	char alt[300];
	X509V3_CTX ctx;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	if (add_extension(cert, &ctx, NID_subject_key_identifier, "hash") < 0)
		return -1;
	if (name == NULL)
		return add_extension(cert, &ctx, NID_basic_constraints,
			   "critical,CA:TRUE,pathlen:0") == 0 &&
			add_extension(cert, &ctx, NID_key_usage,
			    "critical,keyCertSign") == 0 &&
			add_extension(
			    cert, &ctx, NID_name_constraints, limits) == 0
		    ? 0
		    : -1;
	/* The name has been checked: no comma can end it. */
	(void)snprintf(
	    alt, sizeof(alt), "%s:%s", is_addr(name) ? "IP" : "DNS", name);
	if (add_extension(
		cert, &ctx, NID_authority_key_identifier, "keyid:always") < 0 ||
	    add_extension(
		cert, &ctx, NID_basic_constraints, "critical,CA:FALSE") < 0 ||
	    add_extension(
		cert, &ctx, NID_key_usage, "critical,digitalSignature") < 0 ||
	    add_extension(cert, &ctx, NID_ext_key_usage, "serverAuth") < 0)
		return -1;
	return add_extension(cert, &ctx, NID_subject_alt_name, alt);
}

static int
add_extension(X509 *cert, X509V3_CTX *ctx, int nid, const char *text)
{
	X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, ctx, nid, text);
	int got = x != NULL ? X509_add_ext(cert, x, -1) : 0;

	X509_EXTENSION_free(x);
	return got == 1 ? 0 : -1;
}

static bool
is_addr(const char *name)
{
	unsigned char bytes[16];

	return inet_pton(AF_INET, name, bytes) == 1 ||
	    inet_pton(AF_INET6, name, bytes) == 1;
}

static int
err_ssl(struct err *e, const char *what)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return err_set(
	    e, "%s: %s", what, why != NULL ? why : "no reason given");
}
