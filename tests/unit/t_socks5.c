/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <string.h>

#include "base/str.h"
#include "codec/socks5.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const uint8_t *
bytes(struct str s)
{
	return (const uint8_t *)s.p;
}

static void
greeting_is_taken_whole_and_wants_no_password(void **state)
{
	static const struct {
		const char *why;
		struct str in;
		ssize_t used;
		int ok;
	} rows[] = {
		{ "nothing yet", STR(""), 0, 0 },
		{ "one way, the right one", STR("\5\1\0"), 3, 1 },
		{ "the right one among others", STR("\5\3\2\1\0"), 5, 1 },
		{ "a password only", STR("\5\1\2"), 3, 0 },
		{ "not whole", STR("\5\2\0"), 0, 0 },
		{ "no way at all", STR("\5\0"), -1, 0 },
		{ "version 4", STR("\4\1\0"), -1, 0 },
		{ "what follows stays", STR("\5\1\0\5\1\0\1"), 3, 1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int ok = 7;

		if (socks5_greeting(bytes(rows[i].in), rows[i].in.n, &ok) !=
			rows[i].used ||
		    (rows[i].used > 0 && ok != rows[i].ok))
			fail_msg("%s", rows[i].why);
	}
}

static void
request_names_a_host_and_a_port(void **state)
{
	static const struct {
		const char *why;
		struct str in;
		ssize_t used;
		const char *host;
		uint16_t port;
		enum socks5_reply reply;
	} rows[] = {
		{ "a name", STR("\5\1\0\3\5a.bcd\1\xbb"), 12, "a.bcd", 443,
		    SOCKS5_DONE },
		{ "IPv4", STR("\5\1\0\1\300\0\2\7\0\x50"), 10, "192.0.2.7", 80,
		    SOCKS5_DONE },
		{ "IPv6",
		    STR("\5\1\0\4\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7\0\x50"),
		    22, "2001:0db8:0000:0000:0000:0000:0000:0007", 80,
		    SOCKS5_DONE },
		{ "not whole", STR("\5\1\0\3\5a.bc"), 0, "", 0, SOCKS5_DONE },
		{ "BIND", STR("\5\2\0\1\1\2\3\4\0\x50"), -1, "", 0,
		    SOCKS5_BAD_COMMAND },
		{ "UDP", STR("\5\3"), -1, "", 0, SOCKS5_BAD_COMMAND },
		{ "a byte that is kept free", STR("\5\1\1"), -1, "", 0,
		    SOCKS5_FAILED },
		{ "a kind of address that is none", STR("\5\1\0\2"), -1, "", 0,
		    SOCKS5_BAD_ADDRESS },
		{ "an empty name", STR("\5\1\0\3\0\0\x50"), -1, "", 0,
		    SOCKS5_BAD_ADDRESS },
		{ "port 0", STR("\5\1\0\3\1a\0\0"), -1, "", 0,
		    SOCKS5_BAD_ADDRESS },
		{ "a NUL in the name", STR("\5\1\0\3\3a\0b\0\1"), -1, "", 0,
		    SOCKS5_BAD_ADDRESS },
		{ "a path in the name", STR("\5\1\0\3\3a/b\0\1"), -1, "", 0,
		    SOCKS5_BAD_ADDRESS },
		{ "a user in the name", STR("\5\1\0\3\3a@b\0\1"), -1, "", 0,
		    SOCKS5_BAD_ADDRESS },
		{ "a zone in the name", STR("\5\1\0\3\3a%b\0\1"), -1, "", 0,
		    SOCKS5_BAD_ADDRESS },
		{ "a line end in the name", STR("\5\1\0\3\3a\nb\0\1"), -1, "",
		    0, SOCKS5_BAD_ADDRESS },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct socks5_request r;
		enum socks5_reply why;
		ssize_t used =
		    socks5_request(bytes(rows[i].in), rows[i].in.n, &r, &why);

		if (used != rows[i].used)
			fail_msg("%s: %zd", rows[i].why, used);
		if (used > 0 &&
		    (strcmp(r.host, rows[i].host) != 0 ||
			r.port != rows[i].port))
			fail_msg("%s: %s %u", rows[i].why, r.host, r.port);
		if (used < 0 && why != rows[i].reply)
			fail_msg("%s: reply %d", rows[i].why, (int)why);
	}
}

static void
refusal_is_the_same_however_much_has_come(void **state)
{
	static const uint8_t odd[] = { 5, 2, 1, 9, 0, 0, 0 };

	(void)state;
	for (size_t n = 2; n <= sizeof(odd); n++) {
		struct socks5_request r;
		enum socks5_reply why;

		assert_int_equal(socks5_request(odd, n, &r, &why), -1);
		assert_int_equal(why, SOCKS5_BAD_COMMAND);
	}
}

static void
longest_name_has_room(void **state)
{
	uint8_t in[SOCKS5_REQUEST_MAX] = { 5, 1, 0, 3, 255 };
	struct socks5_request r;
	enum socks5_reply why;

	(void)state;
	memset(in + 5, 'a', 255);
	in[SOCKS5_REQUEST_MAX - 1] = 80;
	assert_int_equal(
	    socks5_request(in, sizeof(in), &r, &why), SOCKS5_REQUEST_MAX);
	assert_int_equal(strlen(r.host), 255);
	assert_int_equal(r.port, 80);
}

static void
reply_says_why_and_no_address(void **state)
{
	static const uint8_t want[SOCKS5_REPLY_BYTES] = { 5, 2, 0, 1 };
	uint8_t out[SOCKS5_REPLY_BYTES];

	(void)state;
	memset(out, 0xff, sizeof(out));
	socks5_reply_write(SOCKS5_NOT_ALLOWED, out);
	assert_memory_equal(out, want, sizeof(want));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greeting_is_taken_whole_and_wants_no_password),
		cmocka_unit_test(request_names_a_host_and_a_port),
		cmocka_unit_test(refusal_is_the_same_however_much_has_come),
		cmocka_unit_test(longest_name_has_room),
		cmocka_unit_test(reply_says_why_and_no_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
