/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "codec/http1.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HOST "Host: a\r\n"

static struct http1_head head;

struct row {
	const char *why;
	struct str in;
	int answer; /* 0: taken whole; else the status of the refusal */
};

/*
 * Feeds in[0..n) one byte more at a time, each time in memory of exactly that
 * size as far as the parser is told. Returns what the last call returned.
 */
static ssize_t
parse_by_bytes(struct str in, bool response, uint16_t *status)
{
	struct err e = {};
	ssize_t r = 0;

	for (size_t n = 0; n <= in.n && r == 0; n++) {
		r = response ? http1_response(in.p, n, false, &head, status, &e)
			     : http1_request(in.p, n, &head, status, &e);
		assert_true(r <= (ssize_t)n);
	}
	return r;
}

static void
rows_check(const struct row *rows, size_t count, bool response)
{
	for (size_t i = 0; i < count; i++) {
		const struct row *row = &rows[i];
		uint16_t status = 0, status_by_bytes = 0;
		struct err e = {};
		ssize_t got = response
		    ? http1_response(
			  row->in.p, row->in.n, false, &head, &status, &e)
		    : http1_request(row->in.p, row->in.n, &head, &status, &e);
		ssize_t want = row->answer == 0 ? (ssize_t)row->in.n : -1;

		if (got != want || status != row->answer)
			print_error("%s: %zd, status %u, \"%s\"\n", row->why,
			    got, status, e.text);
		assert_int_equal(got, want);
		assert_int_equal(status, row->answer);
		assert_true((got < 0) == (e.text[0] != '\0'));
		assert_int_equal(
		    parse_by_bytes(row->in, response, &status_by_bytes), want);
		assert_int_equal(status_by_bytes, row->answer);
	}
}

#define R(why, text, answer)                            \
	{                                               \
		why, { text, sizeof(text) - 1 }, answer \
	}

static void
request_line_is_taken_only_in_its_one_form(void **state)
{
	static const struct row rows[] = {
		R("origin form", "GET /a?b=c HTTP/1.1\r\n" HOST "\r\n", 0),
		R("absolute form",
		    "GET http://a.b:80/x HTTP/1.1\r\n" HOST "\r\n", 0),
		R("absolute form without a path",
		    "GET HTTPS://a.b?q HTTP/1.1\r\n" HOST "\r\n", 0),
		R("authority form", "CONNECT a.b:443 HTTP/1.1\r\n" HOST "\r\n",
		    0),
		R("authority form, IPv6",
		    "CONNECT [::1]:443 HTTP/1.1\r\n" HOST "\r\n", 0),
		R("asterisk form", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 0),
		R("HTTP/1.0 needs no Host", "GET / HTTP/1.0\r\n\r\n", 0),
		R("a token may hold odd marks",
		    "M-SEARCH!#$ / HTTP/1.1\r\n" HOST "\r\n", 0),

		R("empty line first", "\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
		    400),
		R("no target", "GET HTTP/1.1\r\n" HOST "\r\n", 400),
		R("HTTP/0.9", "GET /\r\n", 400),
		R("two spaces before the target",
		    "GET  / HTTP/1.1\r\n" HOST "\r\n", 400),
		R("two spaces behind the target",
		    "GET /  HTTP/1.1\r\n" HOST "\r\n", 400),
		R("a tab between", "GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400),
		R("a space in the target", "GET /a b HTTP/1.1\r\n" HOST "\r\n",
		    400),
		R("a space behind the version",
		    "GET / HTTP/1.1 \r\n" HOST "\r\n", 400),
		R("a space before the method",
		    " GET / HTTP/1.1\r\n" HOST "\r\n", 400),
		R("a method that is no token",
		    "GE(T / HTTP/1.1\r\n" HOST "\r\n", 400),
		R("a fragment", "GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400),
		R("a byte over 127", "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n",
		    400),
		R("NUL in the target", "GET /\0 HTTP/1.1\r\n" HOST "\r\n", 400),
		R("no slash", "GET a HTTP/1.1\r\n" HOST "\r\n", 400),
		R("asterisk with GET", "GET * HTTP/1.1\r\n" HOST "\r\n", 400),
		R("another scheme", "GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n",
		    400),
		R("a scheme without //", "GET http:/a HTTP/1.1\r\n" HOST "\r\n",
		    400),
		R("an empty host", "GET http:///a HTTP/1.1\r\n" HOST "\r\n",
		    400),
		R("a user name hides the host",
		    "GET http://good@evil/ HTTP/1.1\r\n" HOST "\r\n", 400),
		R("CONNECT to a path", "CONNECT /a HTTP/1.1\r\n" HOST "\r\n",
		    400),
		R("CONNECT without a port",
		    "CONNECT a HTTP/1.1\r\n" HOST "\r\n", 400),
		R("CONNECT to port 65536",
		    "CONNECT a:65536 HTTP/1.1\r\n" HOST "\r\n", 400),
		R("CONNECT with an open bracket",
		    "CONNECT [::1:443 HTTP/1.1\r\n" HOST "\r\n", 400),
		R("CONNECT with text behind the bracket",
		    "CONNECT [::1]x:443 HTTP/1.1\r\n" HOST "\r\n", 400),
		R("lower case version", "GET / http/1.1\r\n" HOST "\r\n", 400),
		R("HTTP/1.2", "GET / HTTP/1.2\r\n" HOST "\r\n", 505),
		R("HTTP/2.0's preface", "PRI * HTTP/2.0\r\n\r\n", 505),
		R("HTTP/1.10", "GET / HTTP/1.10\r\n" HOST "\r\n", 400),
		R("TLS to a plain port", "\x16\x03\x01", 400),
	};

	(void)state;
	rows_check(rows, COUNT(rows), false);
}

static void
fields_and_hosts_are_refused_when_odd(void **state)
{
#define G "GET / HTTP/1.1\r\n"
	static const struct row rows[] = {
		R("no space behind the colon", G "Host:a\r\n\r\n", 0),
		R("blanks around a value", G "Host: \t a \t\r\n\r\n", 0),
		R("an empty value", G HOST "X:\r\n\r\n", 0),
		R("UTF-8 in a value", G HOST "X: \xc3\xa4\r\n\r\n", 0),
		R("a colon in a value", G HOST "X: a:b\r\n\r\n", 0),
		R("a port", G "Host: a.b-c_d:65535\r\n\r\n", 0),
		R("an IPv6 address", G "Host: [fe80::1]:80\r\n\r\n", 0),

		R("folded line", G HOST "X: a\r\n b\r\n\r\n", 400),
		R("folded line with a tab", G HOST "X: a\r\n\tb\r\n\r\n", 400),
		R("blank before the first name", G " " HOST "\r\n", 400),
		R("space before the colon", G HOST "X : a\r\n\r\n", 400),
		R("tab before the colon", G HOST "X\t: a\r\n\r\n", 400),
		R("empty name", G HOST ": a\r\n\r\n", 400),
		R("no colon", G HOST "X\r\n\r\n", 400),
		R("a name over 127", G HOST "\xc3\xa4: a\r\n\r\n", 400),
		R("bare LF", G "Host: a\n\r\n", 400),
		R("bare LF at the end", G HOST "\n", 400),
		R("bare CR in a value", G HOST "X: a\rb\r\n\r\n", 400),
		R("CR CR LF", G HOST "X: a\r\r\n\r\n", 400),
		R("NUL in a value", G HOST "X: a\0b\r\n\r\n", 400),
		R("vertical tab in a value", G HOST "X: a\x0b\r\n\r\n", 400),
		R("DEL in a value", G HOST "X: \x7f\r\n\r\n", 400),
		R("NUL in a name", G HOST "X\0: a\r\n\r\n", 400),

		R("no Host", G "\r\n", 400),
		R("two Hosts", G HOST HOST "\r\n", 400),
		R("two Hosts, HTTP/1.0", "GET / HTTP/1.0\r\n" HOST HOST "\r\n",
		    400),
		R("empty Host", G "Host:\r\n\r\n", 400),
		R("Host with a path", G "Host: a/b\r\n\r\n", 400),
		R("Host with a user", G "Host: a@b\r\n\r\n", 400),
		R("Host with a list", G "Host: a, b\r\n\r\n", 400),
		R("Host with an empty port", G "Host: a:\r\n\r\n", 400),
		R("Host with a signed port", G "Host: a:+80\r\n\r\n", 400),
		R("Host with two ports", G "Host: a:80:80\r\n\r\n", 400),
		R("Host with empty brackets", G "Host: []\r\n\r\n", 400),
		R("Host with a name in brackets", G "Host: [xyz]\r\n\r\n", 400),

		R("an expectation we know",
		    G HOST "Expect: 100-Continue\r\n\r\n", 0),
		R("another expectation", G HOST "Expect: 200-ok\r\n\r\n", 417),
		R("Connection is no token", G HOST "Connection: a b\r\n\r\n",
		    400),
	};

	(void)state;
	rows_check(rows, COUNT(rows), false);
}

static void
request_smuggling_shapes_are_refused(void **state)
{
#define P "POST / HTTP/1.1\r\n" HOST
#define TE "Transfer-Encoding: "
#define CL "Content-Length: "
	static const struct row rows[] = {
		R("a length", P CL "5\r\n\r\n", 0),
		R("the largest length", P CL "18446744073709551615\r\n\r\n", 0),
		R("no body", P CL "0\r\n\r\n", 0),
		R("chunked", P TE "chunked\r\n\r\n", 0),
		R("chunked in capitals", P TE "CHUNKED\r\n\r\n", 0),

		R("CL then TE", P CL "5\r\n" TE "chunked\r\n\r\n", 400),
		R("TE then CL", P TE "chunked\r\n" CL "5\r\n\r\n", 400),
		R("TE with CL 0", P TE "chunked\r\n" CL "0\r\n\r\n", 400),
		R("TE twice", P TE "chunked\r\n" TE "chunked\r\n\r\n", 400),
		R("TE twice, second odd", P TE "chunked\r\n" TE "x\r\n\r\n",
		    501),
		R("chunked, identity", P TE "chunked, identity\r\n\r\n", 501),
		R("identity", P TE "identity\r\n\r\n", 501),
		R("gzip, chunked", P TE "gzip, chunked\r\n\r\n", 501),
		R("chunked twice", P TE "chunked, chunked\r\n\r\n", 501),
		R("an empty element", P TE ",chunked\r\n\r\n", 501),
		R("xchunked", P TE "xchunked\r\n\r\n", 501),
		R("quoted", P TE "\"chunked\"\r\n\r\n", 501),
		R("a parameter", P TE "chunked;q=1\r\n\r\n", 501),
		R("empty TE", P TE "\r\n\r\n", 501),
		R("chunked, vertical tab",
		    P TE "\x0b"
			 "chunked\r\n\r\n",
		    400),
		R("chunked, NUL", P TE "chunked\0\r\n\r\n", 400),
		R("TE folded", P "Transfer-Encoding:\r\n chunked\r\n\r\n", 501),
		R("TE on a folded line", P " " TE "chunked\r\n\r\n", 400),
		R("TE, space before the colon",
		    P "Transfer-Encoding : chunked\r\n\r\n", 400),
		R("TE behind a bare LF", P "X: a\n" TE "chunked\r\n\r\n", 400),
		R("TE behind a bare CR", P "X: a\r" TE "chunked\r\n\r\n", 400),
		R("TE with HTTP/1.0",
		    "POST / HTTP/1.0\r\n" TE "chunked\r\n\r\n", 400),

		R("CL twice, the same", P CL "5\r\n" CL "5\r\n\r\n", 400),
		R("CL twice, different", P CL "5\r\n" CL "6\r\n\r\n", 400),
		R("CL list", P CL "5, 5\r\n\r\n", 400),
		R("CL with a plus", P CL "+5\r\n\r\n", 400),
		R("CL with a minus", P CL "-5\r\n\r\n", 400),
		R("CL in hexadecimal", P CL "0x5\r\n\r\n", 400),
		R("CL with a fraction", P CL "5.0\r\n\r\n", 400),
		R("CL with a leading zero", P CL "010\r\n\r\n", 400),
		R("CL with a blank", P CL "5 5\r\n\r\n", 400),
		R("CL with a tab before", P CL "\t5\r\n\r\n", 400),
		R("CL with a tab behind", P CL "5\t\r\n\r\n", 400),
		R("CL with blanks around", P CL "  5  \r\n\r\n", 0),
		R("TE with a tab before", P TE "\tchunked\r\n\r\n", 400),
		R("TE with a tab behind", P TE "chunked\t\r\n\r\n", 400),
		R("TE with blanks around", P TE "  chunked  \r\n\r\n", 0),
		R("CL empty", P CL "\r\n\r\n", 400),
		R("CL over 64 bits", P CL "18446744073709551616\r\n\r\n", 413),
		R("CL far over 64 bits",
		    P CL "99999999999999999999999999\r\n\r\n", 413),

		R("CONNECT with a body",
		    "CONNECT a:1 HTTP/1.1\r\n" HOST CL "5\r\n\r\n", 400),
		R("CONNECT with chunks",
		    "CONNECT a:1 HTTP/1.1\r\n" HOST TE "chunked\r\n\r\n", 400),
	};

	(void)state;
	rows_check(rows, COUNT(rows), false);
}

static void
responses_are_read_as_strictly(void **state)
{
#define S "HTTP/1.1 200 OK\r\n"
	static const struct row rows[] = {
		R("a length", S CL "5\r\n\r\n", 0),
		R("no reason", "HTTP/1.1 200 \r\n\r\n", 0),
		R("a long reason", "HTTP/1.1 404 Not at all\r\n\r\n", 0),
		R("Host means nothing here", S "Host: a b\r\n\r\n", 0),
		R("204 with length 0", "HTTP/1.1 204 x\r\n" CL "0\r\n\r\n", 0),
		R("304 tells a length", "HTTP/1.1 304 x\r\n" CL "9\r\n\r\n", 0),

		R("no space behind the status", "HTTP/1.1 200\r\n\r\n", 502),
		R("two digits", "HTTP/1.1 20 OK\r\n\r\n", 502),
		R("four digits", "HTTP/1.1 2000 OK\r\n\r\n", 502),
		R("status 099", "HTTP/1.1 099 OK\r\n\r\n", 502),
		R("status 600", "HTTP/1.1 600 OK\r\n\r\n", 502),
		R("signed status", "HTTP/1.1 +20 OK\r\n\r\n", 502),
		R("two spaces", "HTTP/1.1  200 OK\r\n\r\n", 502),
		R("HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", 502),
		R("ICY", "ICY 200 OK\r\n\r\n", 502),
		R("an empty line first", "\r\n" S "\r\n", 502),
		R("CL and TE", S CL "5\r\n" TE "chunked\r\n\r\n", 502),
		R("CL twice", S CL "5\r\n" CL "5\r\n\r\n", 502),
		R("TE gzip", S TE "gzip\r\n\r\n", 502),
		R("folded", S "X: a\r\n b\r\n\r\n", 502),
		R("bare LF", "HTTP/1.1 200 OK\n\n", 502),
		R("204 with a body", "HTTP/1.1 204 x\r\n" CL "5\r\n\r\n", 502),
		R("100 with chunks", "HTTP/1.1 100 x\r\n" TE "chunked\r\n\r\n",
		    502),
	};

	(void)state;
	rows_check(rows, COUNT(rows), true);
}

static void
limits_answer_414_and_431(void **state)
{
	static char big[HTTP_MAX_HEAD_BYTES + 4096];
	struct err e = {};
	uint16_t status = 0;
	size_t n, last;

	(void)state;
	/* A request line of just the limit, then of one byte more. */
	for (size_t extra = 0; extra < 2; extra++) {
		n = HTTP_MAX_LINE_BYTES + extra;
		memset(big, 'a', n);
		memcpy(big, "GET /", 5);
		memcpy(big + n - 9, " HTTP/1.1", 9);
		memcpy(big + n, "\r\n" HOST "\r\n", 13);
		assert_int_equal(http1_request(big, n + 13, &head, &status, &e),
		    extra == 0 ? (ssize_t)n + 13 : -1);
	}
	assert_int_equal(status, 414);
	/* Known as soon as the byte too many is there. */
	assert_int_equal(
	    http1_request(big, HTTP_MAX_LINE_BYTES, &head, &status, &e), 0);
	assert_int_equal(
	    http1_request(big, HTTP_MAX_LINE_BYTES + 1, &head, &status, &e),
	    -1);

	/* A field line over the limit. */
	n = (size_t)snprintf(big, sizeof(big), "GET / HTTP/1.1\r\nX: ");
	memset(big + n, 'a', HTTP_MAX_LINE_BYTES);
	assert_int_equal(
	    http1_request(big, n + HTTP_MAX_LINE_BYTES, &head, &status, &e),
	    -1);
	assert_int_equal(status, 431);

	/* One hundred fields fit, Host among them; one more does not. */
	n = (size_t)snprintf(big, sizeof(big), "GET / HTTP/1.1\r\n" HOST);
	for (int i = 1; i < HTTP_MAX_FIELDS; i++)
		n +=
		    (size_t)snprintf(big + n, sizeof(big) - n, "X%d: y\r\n", i);
	memcpy(big + n, "\r\n", 2);
	assert_int_equal(http1_request(big, n + 2, &head, &status, &e), n + 2);
	assert_int_equal(head.n, HTTP_MAX_FIELDS);
	memcpy(big + n, "X: y\r\n\r\n", 8);
	assert_int_equal(http1_request(big, n + 8, &head, &status, &e), -1);
	assert_int_equal(status, 431);

	/* A head of exactly the limit, then of one byte more. */
	for (size_t extra = 0; extra < 2; extra++) {
		size_t size = HTTP_MAX_HEAD_BYTES + extra;

		n = (size_t)snprintf(
		    big, sizeof(big), "GET / HTTP/1.1\r\n" HOST);
		for (int i = 0; i < 5; i++) {
			last = i < 4 ? 7000 : size - n - 2;
			memset(big + n, 'a', last);
			memcpy(big + n, "X:", 2);
			memcpy(big + n + last - 2, "\r\n", 2);
			n += last;
		}
		memcpy(big + n, "\r\n", 2);
		assert_int_equal(http1_request(big, size, &head, &status, &e),
		    extra == 0 ? (ssize_t)size : -1);
	}
	assert_int_equal(status, 431);
}

static void
head_says_what_was_sent(void **state)
{
	static const char in[] =
	    "PUT /x HTTP/1.1\r\nhOsT: a:1\r\n"
	    "X-A:  one \r\nx-a: two\r\nContent-Length: 12\r\n"
	    "Expect: 100-continue\r\nConnection: , close ,x\r\n\r\nbody";
	struct err e = {};
	uint16_t status = 0;

	(void)state;
	assert_int_equal(http1_request(in, sizeof(in) - 1, &head, &status, &e),
	    sizeof(in) - 5);
	assert_true(str_eq_c(head.method, "PUT"));
	assert_true(str_eq_c(head.target, "/x"));
	assert_int_equal(head.minor, 1);
	assert_int_equal(head.body, HTTP1_BODY_LENGTH);
	assert_int_equal(head.length, 12);
	assert_true(head.expect_continue);
	assert_false(head.keep_alive);
	assert_int_equal(head.n, 6);
	assert_true(str_eq_c(*http1_get(&head, STR("X-A")), "one"));
	assert_int_equal(http1_count(&head, STR("X-a")), 2);
	assert_true(str_eq_c(*http1_get(&head, STR("host")), "a:1"));
	assert_null(http1_get(&head, STR("X-B")));
	assert_int_equal(http1_count(&head, STR("X-B")), 0);
}

static void
version_and_connection_say_keep_alive(void **state)
{
	static const struct {
		const char *in;
		bool keep_alive;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", true },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: CLOSE\r\n\r\n",
		    false },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: x-close\r\n\r\n",
		    true },
		{ "GET / HTTP/1.1\r\n" HOST
		  "Connection: keep-alive, close\r\n\r\n",
		    false },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: keep-alive\r\n"
		  "Connection: close\r\n\r\n",
		    false },
		{ "GET / HTTP/1.0\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true },
		{ "GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n",
		    false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = {};
		uint16_t status = 0;

		assert_true(http1_request(rows[i].in, strlen(rows[i].in), &head,
				&status, &e) > 0);
		assert_int_equal(head.keep_alive, rows[i].keep_alive);
	}
}

static void
response_body_follows_from_status_and_method(void **state)
{
	static const struct {
		const char *in;
		bool to_head;
		enum http1_body_kind body;
		bool keep_alive;
	} rows[] = {
		{ S CL "5\r\n\r\n", false, HTTP1_BODY_LENGTH, true },
		{ S CL "5\r\n\r\n", true, HTTP1_BODY_NONE, true },
		{ S TE "chunked\r\n\r\n", false, HTTP1_BODY_CHUNKED, true },
		{ S TE "chunked\r\n\r\n", true, HTTP1_BODY_NONE, true },
		{ S "\r\n", false, HTTP1_BODY_UNTIL_CLOSE, false },
		{ S "\r\n", true, HTTP1_BODY_NONE, true },
		{ "HTTP/1.1 100 Continue\r\n\r\n", false, HTTP1_BODY_NONE,
		    true },
		{ "HTTP/1.1 204 x\r\n\r\n", false, HTTP1_BODY_NONE, true },
		{ "HTTP/1.1 304 x\r\n" CL "5\r\n\r\n", false, HTTP1_BODY_NONE,
		    true },
		{ "HTTP/1.0 200 x\r\n" CL "5\r\n\r\n", false, HTTP1_BODY_LENGTH,
		    false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = {};
		uint16_t status = 0;

		assert_true(http1_response(rows[i].in, strlen(rows[i].in),
				rows[i].to_head, &head, &status, &e) > 0);
		assert_int_equal(head.body, rows[i].body);
		assert_int_equal(head.keep_alive, rows[i].keep_alive);
		if (head.body == HTTP1_BODY_NONE)
			assert_int_equal(head.length, 0);
	}
}

/* Decodes in, in pieces of step bytes. Returns the bytes taken, or -1. */
static ssize_t
body_decode(const struct http1_head *h, uint64_t max, struct str in,
    size_t step, struct buf *out, bool *done, uint16_t *status)
{
	struct http1_body b;
	struct err e = {};
	size_t at = 0;

	http1_body_init(&b, h, max);
	do {
		size_t n = in.n - at < step ? in.n - at : step;
		ssize_t r = http1_body_feed(&b, in.p + at, n, out, status, &e);

		if (r < 0) {
			assert_true(e.text[0] != '\0');
			return -1;
		}
		assert_true((size_t)r == n || b.done);
		at += (size_t)r;
	} while (at < in.n && !b.done);
	assert_int_equal(b.total, out->n);
	*done = b.done;
	return (ssize_t)at;
}

static void
chunked_bodies_are_exact(void **state)
{
#define OVER 10 /* the most content these rows allow */
	static const struct {
		const char *why;
		struct str in;
		const char *content; /* NULL: refused */
		int status;
		size_t left; /* bytes behind the body */
		bool open; /* not done: more has to come */
	} rows[] = {
#define B(why, text, ...) { why, { text, sizeof(text) - 1 }, __VA_ARGS__ }
		B("nothing", "0\r\n\r\n", "", 0, 0, false),
		B("one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello", 0, 0, false),
		B("two chunks", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc", 0, 0,
		    false),
		B("hexadecimal", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789",
		    0, 0, false),
		B("leading zeros", "0000000000000001\r\na\r\n00\r\n\r\n", "a",
		    0, 0, false),
		B("CRLF as content", "2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 0, 0,
		    false),
		B("trailers", "0\r\nA: b\r\nC:\r\n\r\n", "", 0, 0, false),
		B("a request behind", "0\r\n\r\nGET /", "", 0, 5, false),
		B("cut", "5\r\nhel", "hel", 0, 0, true),
		B("cut before the last LF", "0\r\n\r", "", 0, 0, true),

		B("no size", "\r\nhello\r\n", NULL, 400, 0, false),
		B("0x", "0x5\r\nhello\r\n", NULL, 400, 0, false),
		B("minus", "-5\r\nhello\r\n", NULL, 400, 0, false),
		B("plus", "+5\r\nhello\r\n", NULL, 400, 0, false),
		B("blank before the size", " 5\r\nhello\r\n", NULL, 400, 0,
		    false),
		B("blank behind the size", "5 \r\nhello\r\n", NULL, 400, 0,
		    false),
		B("extension", "5;a=b\r\nhello\r\n", NULL, 400, 0, false),
		B("size ends in LF", "5\nhello\r\n", NULL, 400, 0, false),
		B("size ends in CR", "5\rhello\r\n", NULL, 400, 0, false),
		B("no CRLF behind the chunk", "5\r\nhello0\r\n\r\n", NULL, 400,
		    0, false),
		B("LF behind the chunk", "5\r\nhello\n0\r\n\r\n", NULL, 400, 0,
		    false),
		B("CR behind the chunk", "5\r\nhello\r0\r\n\r\n", NULL, 400, 0,
		    false),
		B("chunk shorter than it says", "6\r\nhello\r\n0\r\n\r\n", NULL,
		    400, 0, false),
		B("17 digits", "00000000000000001\r\na\r\n", NULL, 400, 0,
		    false),
		B("size overflow", "10000000000000005\r\nhello\r\n", NULL, 400,
		    0, false),
		B("the largest size", "ffffffffffffffff\r\n", NULL, 413, 0,
		    false),
		B("over the limit in one", "b\r\n", NULL, 413, 0, false),
		B("over the limit in two", "a\r\n0123456789\r\n1\r\na", NULL,
		    413, 0, false),
		B("NUL as a size", "\0\r\n", NULL, 400, 0, false),
		B("LF ends the body", "0\r\n\n", NULL, 400, 0, false),
		B("CR without LF ends it", "0\r\n\rx", NULL, 400, 0, false),
		B("trailer without a name", "0\r\n: a\r\n\r\n", NULL, 400, 0,
		    false),
		B("trailer without a colon", "0\r\na\r\n\r\n", NULL, 400, 0,
		    false),
		B("trailer with a blank name", "0\r\na : b\r\n\r\n", NULL, 400,
		    0, false),
		B("folded trailer", "0\r\na: b\r\n c\r\n\r\n", NULL, 400, 0,
		    false),
		B("NUL in a trailer", "0\r\na: \0\r\n\r\n", NULL, 400, 0,
		    false),
		B("LF in a trailer", "0\r\na: b\n\r\n", NULL, 400, 0, false),
		B("CR in a trailer", "0\r\na: b\rc\r\n\r\n", NULL, 400, 0,
		    false),
	};
	struct http1_head h = { .body = HTTP1_BODY_CHUNKED };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t step = 1; step <= rows[i].in.n; step++) {
			own_buf struct buf out = {};
			uint16_t status = 0;
			bool done = false;
			ssize_t r = body_decode(
			    &h, OVER, rows[i].in, step, &out, &done, &status);

			if (rows[i].content == NULL && r >= 0)
				print_error("%s\n", rows[i].why);
			assert_int_equal(status, rows[i].status);
			if (rows[i].content == NULL) {
				assert_int_equal(r, -1);
				continue;
			}
			assert_int_equal(done, !rows[i].open);
			assert_int_equal(r, rows[i].in.n - rows[i].left);
			assert_true(str_eq_c(buf_str(&out), rows[i].content));
		}
	}
}

static void
trailers_have_an_end(void **state)
{
	static char in[HTTP_MAX_TRAILER_BYTES + 64] = "0\r\n";
	struct http1_head h = { .body = HTTP1_BODY_CHUNKED };
	own_buf struct buf out = {};
	uint16_t status = 0;
	bool done;

	(void)state;
	for (size_t i = 3; i + 4 < sizeof(in); i += 4)
		memcpy(in + i, "a:\r\n", 4);
	assert_int_equal(body_decode(&h, OVER, (struct str){ in, sizeof(in) },
			     sizeof(in), &out, &done, &status),
	    -1);
	assert_int_equal(status, 400);
}

static void
length_bodies_end_where_they_say(void **state)
{
	struct http1_head h = { .body = HTTP1_BODY_LENGTH, .length = 5 };
	struct http1_body b;
	struct err e = {};
	uint16_t status = 0;

	(void)state;
	for (size_t step = 1; step < 8; step++) {
		own_buf struct buf out = {};
		bool done = false;

		assert_int_equal(body_decode(&h, 5, STR("helloGET"), step, &out,
				     &done, &status),
		    5);
		assert_true(done);
		assert_true(str_eq_c(buf_str(&out), "hello"));
	}

	/* Refused before the first byte, so that no 100 Continue is sent. */
	own_buf struct buf none = {};
	http1_body_init(&b, &h, 4);
	assert_int_equal(http1_body_feed(&b, "", 0, &none, &status, &e), -1);
	assert_int_equal(status, 413);

	/* The caller's buffer may be smaller than max. */
	own_buf struct buf small = { .max = 3 };
	http1_body_init(&b, &h, 5);
	status = 0;
	assert_int_equal(
	    http1_body_feed(&b, "hello", 5, &small, &status, &e), -1);
	assert_int_equal(status, 413);

	h.length = 0;
	http1_body_init(&b, &h, 5);
	assert_true(b.done);
	h.body = HTTP1_BODY_NONE;
	http1_body_init(&b, &h, 5);
	assert_true(b.done);
	assert_int_equal(http1_body_feed(&b, "x", 1, &none, &status, &e), 0);
}

static void
body_until_close_ends_with_the_caller(void **state)
{
	struct http1_head h = { .body = HTTP1_BODY_UNTIL_CLOSE };
	own_buf struct buf out = {};
	struct http1_body b;
	struct err e = {};
	uint16_t status = 0;

	(void)state;
	http1_body_init(&b, &h, 6);
	assert_int_equal(http1_body_feed(&b, "abc", 3, &out, &status, &e), 3);
	assert_int_equal(http1_body_feed(&b, "def", 3, &out, &status, &e), 3);
	assert_false(b.done);
	assert_int_equal(http1_body_feed(&b, "g", 1, &out, &status, &e), -1);
	assert_int_equal(status, 413);
	assert_true(str_eq_c(buf_str(&out), "abcdef"));
}

static void
small_questions_have_answers(void **state)
{
	(void)state;
	assert_string_equal(http1_reason(200), "OK");
	assert_string_equal(
	    http1_reason(431), "Request Header Fields Too Large");
	assert_string_equal(http1_reason(299), "Unknown");
	assert_true(http1_is_token(STR("Mcp-Name")));
	assert_false(http1_is_token(STR("")));
	assert_false(http1_is_token(STR("a b")));
	assert_false(http1_is_token(STR("a\x80")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_line_is_taken_only_in_its_one_form),
		cmocka_unit_test(fields_and_hosts_are_refused_when_odd),
		cmocka_unit_test(request_smuggling_shapes_are_refused),
		cmocka_unit_test(responses_are_read_as_strictly),
		cmocka_unit_test(limits_answer_414_and_431),
		cmocka_unit_test(head_says_what_was_sent),
		cmocka_unit_test(version_and_connection_say_keep_alive),
		cmocka_unit_test(response_body_follows_from_status_and_method),
		cmocka_unit_test(chunked_bodies_are_exact),
		cmocka_unit_test(trailers_have_an_end),
		cmocka_unit_test(length_bodies_end_where_they_say),
		cmocka_unit_test(body_until_close_ends_with_the_caller),
		cmocka_unit_test(small_questions_have_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
