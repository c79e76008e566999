/*
 * core/policy_diff_int.h: what the sources of policy_diff.h share.
 */
#ifndef CORE_POLICY_DIFF_INT_H
#define CORE_POLICY_DIFF_INT_H

#include "core/policy_diff.h"
#include "core/policy_int.h"

struct differ {
	struct policy_diff *d;
	const struct policy *a, *b;
};

struct texts {
	const struct str *p;
	uint32_t n;
};

/* member may be "", and is behind the name. */
void diff_add(struct differ *x, enum policy_change c, const char *group,
    struct str name, const char *member, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
bool diff_has(struct texts list, struct str s);
/*
 * Two lists whose order means nothing. more says what it is when b has entries
 * that a has not; with both more and fewer, both are told.
 */
void diff_lists(struct differ *x, const char *group, struct str name,
    const char *member, struct texts a, struct texts b,
    enum policy_change more);

/* policy_diff_servers.c */
void diff_servers(struct differ *x);

/* policy_diff_tool.c */
void diff_tools(struct differ *x);
bool diff_approval_same(
    const struct policy_approval *a, const struct policy_approval *b);
/* What votes are asked for, of the row of this name. */
void diff_approval(struct differ *x, const char *group, struct str name,
    const struct policy_approval *a, const struct policy_approval *b);

#endif
