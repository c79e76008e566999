/*
 * Who decides when nobody has decided: escalate_to names another row, whose
 * votes, roles and deadline hold from then on. A chain of them ends.
 */
#include "core/policy_int.h"

static struct policy_approval *find(
    struct policy_approval *rows, uint32_t n, struct str name);
static void link_one(struct reader *r, const struct spot *s,
    struct policy_approval *a, struct policy_approval *rows, uint32_t n);
static bool goes_round(const struct policy_approval *a, uint32_t n);

void
policy_link_approvals(struct reader *r, const struct spot *all,
    struct policy_approval *rows, uint32_t n)
{
	if (all->v == NULL)
		return;
	for (const struct json *key = json_first(all->v); key != NULL;
	     key = json_next(all->v, key)) {
		struct policy_approval *a = find(rows, n, json_str(key));
		struct spot s = {
			.up = all, .v = json_value(key), .key = json_str(key)
		};

		if (a != NULL && a->escalate_name.n > 0)
			link_one(r, &s, a, rows, n);
	}
	for (uint32_t i = 0; i < n; i++) {
		if (!goes_round(&rows[i], n))
			continue;
		problem(r, all,
		    "escalate_to of %.*s leads round and round; let one of "
		    "them end it",
		    STR_FMT(rows[i].name));
		return;
	}
}

static struct policy_approval *
find(struct policy_approval *rows, uint32_t n, struct str name)
{
	for (uint32_t i = 0; i < n; i++) {
		if (str_eq(rows[i].name, name))
			return &rows[i];
	}
	return NULL;
}

static void
link_one(struct reader *r, const struct spot *s, struct policy_approval *a,
    struct policy_approval *rows, uint32_t n)
{
	struct spot at = *s;

	(void)read_member(s, "escalate_to", &at);
	a->escalate_to = find(rows, n, a->escalate_name);
	if (a->escalate_to == NULL)
		problem(r, &at, "there is no approval of this name");
	else if (a->on_timeout != ON_TIMEOUT_ESCALATE)
		problem(r, &at,
		    "means something with \"on_timeout\": \"escalate\" only");
}

static bool
goes_round(const struct policy_approval *a, uint32_t n)
{
	uint32_t steps = 0;

	while (a->escalate_to != NULL && steps <= n) {
		a = a->escalate_to;
		steps++;
	}
	return steps > n;
}
