/*
 * fail_count.h: lets the n-th of the calls that are wrapped fail.
 *
 * For programs linked with --wrap for each of them. Set calls to 0, fail_at to
 * n (0: none) and counting to true; all three are static, so one file of a
 * program includes this.
 */
#ifndef UNIT_FAIL_COUNT_H
#define UNIT_FAIL_COUNT_H

#include <errno.h>
#include <stdbool.h>

static int calls, fail_at;
static bool counting;

static bool
fails_now(void)
{
	if (!counting || ++calls != fail_at)
		return false;
	errno = EIO;
	return true;
}

#define WRAP(type, name, params, args)                              \
	type __wrap_##name params;                                  \
	type __real_##name params;                                  \
	type __wrap_##name params                                   \
	{                                                           \
		return fails_now() ? (type)-1 : __real_##name args; \
	}

#endif
