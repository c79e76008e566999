#include "broker/policies.h"

#include <stdlib.h>

#include "base/must.h"

struct shared {
	struct shared *next;
	struct policy *policy;
	uint32_t runs;
};

static struct shared *all;

static bool same(const struct policy *a, const struct policy *b);

const struct policy *
policies_take(struct policy *p)
{
	struct shared *s = all;

	while (s != NULL && !same(s->policy, p))
		s = s->next;
	if (s != NULL) {
		policy_free(p);
	} else {
		s = calloc(1, sizeof(*s));
		must(s != NULL);
		s->policy = p;
		s->next = all;
		all = s;
	}
	s->runs++;
	return s->policy;
}

void
policies_give(const struct policy *p)
{
	struct shared **at = &all, *s;

	if (p == NULL)
		return;
	while ((*at)->policy != p)
		at = &(*at)->next;
	s = *at;
	if (--s->runs > 0)
		return;
	*at = s->next;
	policy_free(s->policy);
	free(s);
}

/* What the document leaves out of the identity is not in its version. */
static bool
same(const struct policy *a, const struct policy *b)
{
	return hash_eq(&a->version, &b->version) &&
	    a->short_form == b->short_form &&
	    str_eq(a->canonical, b->canonical) &&
	    identity_same(&a->identity, &b->identity);
}
