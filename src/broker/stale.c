#include "broker/stale.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/must.h"
#include "broker/run_int.h"

struct stale_call {
	struct hash key;
	uint32_t n;
	struct buf version[FAULT_STALE_VERSIONS]; /* the oldest first */
};

struct stale {
	uint32_t n;
	struct stale_call call[FAULT_STALE_CALLS];
};

static struct hash key_of(struct str tool, struct str args);
static struct stale_call *find(const struct run *r, const struct hash *key);

void
stale_keep(struct run *r, const struct policy_fault *rules, uint32_t n,
    struct str tool, struct str args, struct str answer)
{
	struct hash key;
	struct stale_call *c;
	bool any = false;

	for (uint32_t i = 0; i < n && !any; i++)
		any = rules[i].kind == FAULT_STALE_READ &&
		    str_glob(rules[i].tool, tool);
	if (!any || answer.n > FAULT_STALE_BYTES)
		return;
	key = key_of(tool, args);
	c = find(r, &key);
	if (c == NULL) {
		if (r->stale == NULL)
			r->stale = calloc(1, sizeof(*r->stale));
		must(r->stale != NULL);
		if (r->stale->n == FAULT_STALE_CALLS)
			return;
		c = &r->stale->call[r->stale->n++];
		c->key = key;
	}
	if (c->n > 0 && str_eq(buf_str(&c->version[c->n - 1]), answer))
		return;
	if (c->n == FAULT_STALE_VERSIONS) {
		buf_fini(&c->version[0]);
		memmove(&c->version[0], &c->version[1],
		    (FAULT_STALE_VERSIONS - 1) * sizeof(c->version[0]));
		c->version[--c->n] = (struct buf){};
	}
	buf_add_str(&c->version[c->n++], answer);
}

struct str
stale_find(const struct run *r, struct str tool, struct str args, uint32_t lag)
{
	const struct hash key = key_of(tool, args);
	const struct stale_call *c = find(r, &key);

	return c != NULL && c->n > lag ? buf_str(&c->version[c->n - 1 - lag])
				       : (struct str){};
}

void
stale_free(struct run *r)
{
	if (r->stale == NULL)
		return;
	for (uint32_t i = 0; i < r->stale->n; i++) {
		for (uint32_t k = 0; k < r->stale->call[i].n; k++)
			buf_fini(&r->stale->call[i].version[k]);
	}
	free(r->stale);
	r->stale = NULL;
}

static struct hash
key_of(struct str tool, struct str args)
{
	own_buf struct buf text = {};

	buf_add_str(&text, tool);
	buf_add_byte(&text, '\0');
	buf_add_str(&text, args);
	return hash_of(text.p, text.n);
}

static struct stale_call *
find(const struct run *r, const struct hash *key)
{
	for (uint32_t i = 0; r->stale != NULL && i < r->stale->n; i++) {
		if (hash_eq(&r->stale->call[i].key, key))
			return &r->stale->call[i];
	}
	return NULL;
}
