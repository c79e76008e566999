#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void
a_failure_has_a_text_and_no_system_error(void **state)
{
	struct err e = { .sys = EPERM };

	(void)state;
	assert_int_equal(err_set(&e, "over by %d %s", 3, "bytes"), -1);
	assert_string_equal(e.text, "over by 3 bytes");
	assert_int_equal(e.sys, 0);
}

static void
a_failed_system_call_is_named_with_its_reason(void **state)
{
	struct err e = {};

	(void)state;
	errno = ENOENT;
	assert_int_equal(err_sys(&e, "open %s", "/x"), -1);
	assert_string_equal(e.text, "open /x: No such file or directory");
	assert_int_equal(e.sys, ENOENT);
	assert_int_equal(errno, ENOENT);
}

static void
a_caller_adds_what_it_was_doing_in_front(void **state)
{
	struct err e = {};

	(void)state;
	errno = EPERM;
	(void)err_sys(&e, "pivot_root %s", "/run/x");
	assert_int_equal(err_add(&e, "start sandbox %u", 7U), -1);
	assert_string_equal(e.text,
	    "start sandbox 7: pivot_root /run/x: Operation not permitted");
	assert_int_equal(e.sys, EPERM);
}

static void
a_long_text_loses_its_end_and_stays_terminated(void **state)
{
	(void)state;
	for (size_t n = ERR_TEXT_BYTES - 40; n < ERR_TEXT_BYTES + 40; n++) {
		struct err e;
		char text[2 * ERR_TEXT_BYTES];

		memset(&e, 'z', sizeof(e));
		memset(text, 'a', n);
		text[n] = '\0';
		errno = EIO;
		(void)err_sys(&e, "%s", text);
		assert_in_range(
		    strnlen(e.text, sizeof(e.text)), 1, ERR_TEXT_BYTES - 1);
		assert_int_equal(e.text[0], 'a');
		(void)err_add(&e, "front");
		assert_in_range(
		    strnlen(e.text, sizeof(e.text)), 1, ERR_TEXT_BYTES - 1);
		assert_int_equal(strncmp(e.text, "front: aaa", 10), 0);
		(void)err_set(&e, "%s", text);
		assert_in_range(
		    strnlen(e.text, sizeof(e.text)), 1, ERR_TEXT_BYTES - 1);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_has_a_text_and_no_system_error),
		cmocka_unit_test(a_failed_system_call_is_named_with_its_reason),
		cmocka_unit_test(a_caller_adds_what_it_was_doing_in_front),
		cmocka_unit_test(
		    a_long_text_loses_its_end_and_stays_terminated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
