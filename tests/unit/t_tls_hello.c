#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/ssl.h>
#include <string.h>

#include "codec/tls_hello.h"

enum { SPACE = 20000 };

/* What OpenSSL's client says first. */
static size_t
real_hello(const char *name, const char *alpn, unsigned char *out)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *sent = BIO_new(BIO_s_mem());
	int n;

	assert_non_null(ssl);
	if (name != NULL) {
		void *text; /* which is not written to */

		memcpy(&text, &name, sizeof(name));
		assert_int_equal(SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME,
				     TLSEXT_NAMETYPE_host_name, text),
		    1);
	}
	if (alpn != NULL)
		assert_int_equal(
		    SSL_set_alpn_protos(ssl, (const unsigned char *)alpn,
			(unsigned)strlen(alpn)),
		    0);
	SSL_set_bio(ssl, in, sent);
	assert_int_equal(SSL_connect(ssl), -1);
	n = BIO_read(sent, out, SPACE);
	assert_true(n > 100);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return (size_t)n;
}

static enum tls_hello_result
parse(const unsigned char *p, size_t n, struct tls_hello *h)
{
	struct str s = { (const char *)p, n };
	const char *why;

	return tls_hello_parse(s, h, &why);
}

static void
a_real_hello_is_read_at_its_last_byte_and_not_before(void **state)
{
	unsigned char hello[SPACE];
	size_t n = real_hello("API.Example.com", "\2h2\10http/1.1", hello);
	struct tls_hello h;

	(void)state;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(parse(hello, i, &h), TLS_HELLO_MORE);
	assert_int_equal(parse(hello, n, &h), TLS_HELLO_DONE);
	assert_string_equal(h.name, "api.example.com");
	assert_true(h.has_alpn && h.offers_h2 && h.offers_http11);
	assert_false(h.hides_name);
	/* Whatever comes behind it is no part of it. */
	memset(hello + n, 0x17, 40);
	assert_int_equal(parse(hello, n + 40, &h), TLS_HELLO_DONE);
}

static void
a_hello_without_name_or_protocols_says_so(void **state)
{
	unsigned char hello[SPACE];
	size_t n = real_hello(NULL, NULL, hello);
	struct tls_hello h;

	(void)state;
	assert_int_equal(parse(hello, n, &h), TLS_HELLO_DONE);
	assert_string_equal(h.name, "");
	assert_false(h.has_alpn || h.offers_h2 || h.offers_http11);
	n = real_hello("x.example", "\10http/1.1", hello);
	assert_int_equal(parse(hello, n, &h), TLS_HELLO_DONE);
	assert_true(h.offers_http11 && !h.offers_h2);
}

static void
a_hello_may_be_cut_into_records_anywhere(void **state)
{
	unsigned char hello[SPACE], cut[SPACE];
	size_t n = real_hello("a.example.com", NULL, hello);
	struct tls_hello h;

	(void)state;
	for (size_t at = 6; at < n; at++) {
		size_t first = at - 5, second = n - at;

		memcpy(cut, hello, at);
		cut[3] = (unsigned char)(first >> 8);
		cut[4] = (unsigned char)first;
		memcpy(cut + at, hello, 3);
		cut[at + 3] = (unsigned char)(second >> 8);
		cut[at + 4] = (unsigned char)second;
		memcpy(cut + at + 5, hello + at, second);
		assert_int_equal(parse(cut, n + 5, &h), TLS_HELLO_DONE);
		assert_string_equal(h.name, "a.example.com");
	}
}

/* A hello with these extensions and nothing else of interest. */
static size_t
built(const char *extensions, size_t n, unsigned char *out)
{
	static const unsigned char front[] = { 22, 3, 1, 0, 0, 1, 0, 0, 0, 3,
		3 };
	size_t at = sizeof(front);

	memcpy(out, front, at);
	memset(out + at, 7, 32);
	at += 32;
	memcpy(out + at, "\0\0\2\x13\1\1\0", 7);
	at += 7;
	out[at++] = (unsigned char)(n >> 8);
	out[at++] = (unsigned char)n;
	memcpy(out + at, extensions, n);
	at += n;
	out[3] = (unsigned char)((at - 5) >> 8);
	out[4] = (unsigned char)(at - 5);
	out[7] = (unsigned char)((at - 9) >> 8);
	out[8] = (unsigned char)(at - 9);
	return at;
}

static void
what_could_be_read_in_two_ways_is_bad(void **state)
{
#define NAME(n) "\0\0\0\6\0\4\0\0\1" n
	static const struct {
		const char *bytes;
		size_t n;
		const char *why; /* NULL: it is good */
	} rows[] = {
		{ NAME("a"), 10, NULL },
		{ "\xfe\x0d\0\1x" NAME("a"), 15, NULL },
		{ NAME("a") NAME("b"), 20, "twice" },
		{ "\0\0\0\6\0\4\1\0\1a", 10, "not one DNS name" },
		{ "\0\0\0\x0a\0\x08\0\0\1a\0\0\1b", 14, "not one DNS name" },
		{ "\0\0\0\5\0\3\0\0\0", 9, "impossible length" },
		{ NAME("\0"), 10, "characters" },
		{ NAME("*"), 10, "characters" },
		{ NAME("."), 10, "empty label" },
		{ "\0\0\0\x08\0\6\0\0\3a..", 12, "empty label" },
		{ "\0\x10\0\2\0\0", 6, "protocols" },
		{ "\0\x10\0\3\0\1\5", 7, "protocols" },
		{ "\0\0\0\x20\0\4\0\0\1a", 10, "add up" },
	};
	unsigned char hello[SPACE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = built(rows[i].bytes, rows[i].n, hello);
		struct str s = { (const char *)hello, n };
		struct tls_hello h;
		const char *why;
		enum tls_hello_result got = tls_hello_parse(s, &h, &why);

		if (rows[i].why == NULL) {
			assert_int_equal(got, TLS_HELLO_DONE);
			assert_string_equal(h.name, "a");
			assert_int_equal(h.hides_name, i == 1);
			continue;
		}
		assert_int_equal(got, TLS_HELLO_BAD);
		assert_non_null(strstr(why, rows[i].why));
		assert_string_equal(h.name, "");
	}
}

static void
what_is_no_tls_is_known_by_its_first_bytes(void **state)
{
	static const char *const others[] = { "GET / HTTP/1.1\r\n",
		"SSH-2.0-OpenSSH_9\r\n", "\x16\x02", "\x15\x03\x01", "\x80\x2e",
		"\x16\x03\x01\xff\xff", "\x16\x03\x01\0\4\2" };
	struct tls_hello h;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		size_t n = i < 2 ? strlen(others[i])
		    : i < 5	 ? 2 + (i == 4) * 3
				 : 6;

		assert_int_equal(parse((const unsigned char *)others[i], n, &h),
		    TLS_HELLO_BAD);
	}
	assert_int_equal(parse(NULL, 0, &h), TLS_HELLO_MORE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_real_hello_is_read_at_its_last_byte_and_not_before),
		cmocka_unit_test(a_hello_without_name_or_protocols_says_so),
		cmocka_unit_test(a_hello_may_be_cut_into_records_anywhere),
		cmocka_unit_test(what_could_be_read_in_two_ways_is_bad),
		cmocka_unit_test(what_is_no_tls_is_known_by_its_first_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
