/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "broker/secret.h"
#include "codec/base64.h"
#include "codec/json.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct secret_use in_header = { .header = { "x-key", 5 } };

static void
a_placeholder_is_as_long_as_its_secret_and_says_nothing_of_it(void **state)
{
	struct secrets *s = secrets_new(STR("run-01HXABCDEFGH"));
	struct secrets *t = secrets_new(STR("run-01HXABCDEFGH"));
	struct str a, b;
	struct err e;

	(void)state;
	assert_int_equal(
	    secrets_add(s, STR("A"), STR("0123456789abcdef0123456789abcdef"),
		&in_header, 0, 0, &e),
	    0);
	assert_int_equal(
	    secrets_add(t, STR("A"), STR("0123456789abcdef0123456789abcdef"),
		&in_header, 0, 0, &e),
	    0);
	a = secrets_placeholder(s, STR("A"));
	b = secrets_placeholder(t, STR("A"));
	assert_int_equal(a.n, 32);
	assert_true(str_starts(a, STR("pdk_ABCDEFGH_")));
	assert_false(str_eq(a, b));
	assert_int_equal(
	    secrets_add(s, STR("B"), STR("hunter22"), &in_header, 0, 0, &e), 0);
	assert_int_equal(secrets_placeholder(s, STR("B")).n, 16);
	assert_null(secrets_placeholder(s, STR("C")).p);
	secrets_free(s);
	secrets_free(t);
}

static void
a_value_that_cannot_be_guarded_is_refused(void **state)
{
	static const struct {
		struct str value;
		bool body;
		const char *why;
	} rows[] = {
		{ STR("1234567"), false, "it must have 8" },
		{ STR("12345678\n"), false, "not printable ASCII at 8" },
		{ STR("12345678\r\nX: y"), false, "not printable" },
		{ STR("1234567\xc3\xa4"), false, "not printable" },
		{ STR("12345678"), true, "must have 16" },
	};
	struct secrets *s = secrets_new(STR("run"));
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct secret_use use = in_header;

		use.body = rows[i].body;
		assert_int_equal(
		    secrets_add(s, STR("A"), rows[i].value, &use, 0, 0, &e),
		    -1);
		if (strstr(e.text, rows[i].why) == NULL)
			fail_msg("%s", e.text);
		/* An error is shown and logged. */
		assert_null(strstr(e.text, "1234567"));
	}
	assert_int_equal(
	    secrets_add(s, STR("A"), STR("12345678"), &in_header, 0, 0, &e), 0);
	assert_int_equal(
	    secrets_add(s, STR("A"), STR("12345678"), &in_header, 0, 0, &e),
	    -1);
	secrets_free(s);
}

static void
a_grant_says_where_and_is_counted(void **state)
{
	struct secrets *s = secrets_new(STR("run"));
	struct secret_use use = {
		.header = STR("authorization"),
		.format = STR("Bearer {}"),
		.access_key = STR("AKIA"),
		.body = true,
	};
	own_arena struct arena a = {};
	own_buf struct buf out = {};
	own_buf struct buf value = {};
	const struct json *v;
	struct err e;
	size_t cap;

	(void)state;
	assert_int_equal(secrets_add(s, STR("A"), STR("a real secret \"1\""),
			     &use, 0, 0, &e),
	    0);
	assert_non_null(buf_reserve(&out, secrets_grant_bytes(s)));
	cap = out.cap;
	assert_int_equal(secrets_grant(s, STR("A"), 5, &out), SECRET_READY);
	assert_int_equal(out.cap, cap);
	v = json_parse(buf_str(&out), NULL, &a, &e, NULL);
	assert_non_null(v);
	assert_true(
	    str_eq_c(json_str(json_get(v, STR("format"))), "Bearer {}"));
	assert_true(json_bool(json_get(v, STR("body")), false));
	assert_true(str_eq(json_str(json_get(v, STR("placeholder"))),
	    secrets_placeholder(s, STR("A"))));
	assert_int_equal(
	    base64_decode(&value, json_str(json_get(v, STR("value"))),
		BASE64_STANDARD, &e),
	    0);
	assert_string_equal(buf_c(&value), "a real secret \"1\"");
	assert_int_equal(secrets_grant(s, STR("B"), 5, &out), SECRET_UNKNOWN);
	assert_int_equal(secrets_facts(s, STR("A"), 5).uses, 1);
	secrets_free(s);
}

/* How often word, written as two halves, is in our own writable memory. */
static int
times_in_memory(const char *a, const char *b)
{
	static char piece[1 << 20];
	FILE *maps = fopen("/proc/self/maps", "re");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	size_t n = strlen(a), m = strlen(b);
	char line[512];
	int found = 0;

	assert_non_null(maps);
	assert_true(mem >= 0);
	while (fgets(line, sizeof(line), maps) != NULL) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx rw", &from, &to) != 2 ||
		    strstr(line, " rw") == NULL)
			continue;
		/* A sanitizer's own map of memory: terabytes, no copies. */
		if (to - from > 1UL << 30)
			continue;
		for (; from < to; from += sizeof(piece)) {
			size_t want = to - from < sizeof(piece) ? to - from
								: sizeof(piece);
			const char *p = piece;
			ssize_t got;

			if (from <= (unsigned long)piece + sizeof(piece) &&
			    from + want > (unsigned long)piece)
				continue;
			got = pread(mem, piece, want, (off_t)from);
			if (got <= 0)
				continue;
			while ((p = memmem(p, (size_t)(piece + got - p), a,
				    n)) != NULL) {
				p += n;
				if (p + m <= piece + got &&
				    memcmp(p, b, m) == 0)
					found++;
			}
		}
	}
	explicit_bzero(piece, sizeof(piece));
	(void)close(mem); /* read only */
	(void)fclose(maps); /* read only */
	return found;
}

static void
what_is_revoked_or_has_expired_is_wiped_at_once(void **state)
{
	static char one[32], two[32];
	struct secrets *s = secrets_new(STR("run"));
	own_buf struct buf out = {};
	struct err e;

	(void)state;
	(void)snprintf(one, sizeof(one), "%s%s", "first-Zq81", "kk-of-two");
	(void)snprintf(two, sizeof(two), "%s%s", "other-Wx93", "mm-of-two");
	assert_int_equal(
	    secrets_add(s, STR("A"), str_of(one), &in_header, 0, 0, &e), 0);
	assert_int_equal(
	    secrets_add(s, STR("B"), str_of(two), &in_header, 0, 100, &e), 0);
	explicit_bzero(one, sizeof(one));
	explicit_bzero(two, sizeof(two));
	assert_int_equal(times_in_memory("first-Zq81", "kk-of-two"), 1);
	assert_int_equal(times_in_memory("other-Wx93", "mm-of-two"), 1);

	assert_int_equal(secrets_expire(s, 99), 100);
	assert_true(secrets_revoke(s, STR("A")));
	assert_false(secrets_revoke(s, STR("C")));
	assert_int_equal(times_in_memory("first-Zq81", "kk-of-two"), 0);
	assert_int_equal(secrets_grant(s, STR("A"), 1, &out), SECRET_REVOKED);
	assert_int_equal(secrets_expire(s, 100), 0);
	assert_int_equal(times_in_memory("other-Wx93", "mm-of-two"), 0);
	assert_int_equal(secrets_grant(s, STR("B"), 1, &out), SECRET_EXPIRED);
	assert_int_equal(out.n, 0);
	assert_int_equal(secrets_facts(s, STR("A"), 100).state, SECRET_REVOKED);
	assert_int_equal(secrets_facts(s, STR("B"), 100).state, SECRET_EXPIRED);
	secrets_free(s);
}

static void
a_secret_that_has_expired_is_not_granted_when_nobody_looked(void **state)
{
	struct secrets *s = secrets_new(STR("run"));
	own_buf struct buf out = {};
	struct err e;

	(void)state;
	assert_int_equal(
	    secrets_add(s, STR("A"), STR("12345678"), &in_header, 0, 100, &e),
	    0);
	assert_int_equal(secrets_grant(s, STR("A"), 99, &out), SECRET_READY);
	assert_int_equal(secrets_grant(s, STR("A"), 100, &out), SECRET_EXPIRED);
	secrets_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_placeholder_is_as_long_as_its_secret_and_says_nothing_of_it),
		cmocka_unit_test(a_value_that_cannot_be_guarded_is_refused),
		cmocka_unit_test(a_grant_says_where_and_is_counted),
		cmocka_unit_test(
		    what_is_revoked_or_has_expired_is_wiped_at_once),
		cmocka_unit_test(
		    a_secret_that_has_expired_is_not_granted_when_nobody_looked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
