/*
 * core/policy_diff.h: what one policy allows that another does not.
 *
 * A difference is looser, tighter, or changed in a way that is not compared:
 * two expressions, two schemas, rules for one host that hold together. When
 * nothing is looser and nothing is changed, no call has a lower verdict under
 * the second policy than under the first, and no request leaves that was held
 * back. (What a call becomes after a person's yes is no part of that order:
 * `approve` is more than `simulate`.)
 */
#ifndef CORE_POLICY_DIFF_H
#define CORE_POLICY_DIFF_H

#include <stdint.h>

#include "core/policy.h"

enum policy_change {
	POLICY_LOOSER,
	POLICY_TIGHTER,
	POLICY_CHANGED, /* cannot be compared */
	POLICY_CHANGES,
};

struct policy_difference {
	enum policy_change change;
	char path[160]; /* "tools.kb.search.mode" */
	char text[256]; /* "allow, was approve" */
};

struct policy_diff {
	uint32_t n, cap;
	struct policy_difference *item; /* looser first */
	uint32_t of[POLICY_CHANGES]; /* how many of each */
};

/* From a to b. Aborts when there is no memory. */
void policy_diff_make(
    struct policy_diff *d, const struct policy *a, const struct policy *b);
void policy_diff_fini(struct policy_diff *d);

const char *policy_change_name(enum policy_change c); /* "looser" */

#endif
