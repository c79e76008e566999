#include "store/refs.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"

static int add(struct buf *list, struct str hex, struct err *e);
static int compare(const void *a, const void *b);

void
refs_init(struct refs *r)
{
	*r = (struct refs){};
	r->blobs.max = 2UL * BUNDLE_MAX_RECORDS * sizeof(struct hash);
	r->policies.max = (size_t)BUNDLE_MAX_RECORDS * sizeof(struct hash);
}

void
refs_fini(struct refs *r)
{
	buf_fini(&r->blobs);
	buf_fini(&r->policies);
}

int
refs_add(struct refs *r, const struct json *record, struct err *e)
{
	const struct json *refs[] = { json_at(record, "tool", "args", NULL),
		json_at(record, "res", "out", NULL) };
	const struct json *policy = json_at(record, "ver", "policy", NULL);

	for (int i = 0; i < 2; i++) {
		if (refs[i] == NULL ||
		    str_eq(
			json_str(json_get(refs[i], STR("kept"))), STR("hash")))
			continue;
		if (add(&r->blobs, json_str(json_get(refs[i], STR("h"))), e) <
		    0)
			return -1;
	}
	return policy == NULL ? 0 : add(&r->policies, json_str(policy), e);
}

size_t
refs_sort(struct buf *list)
{
	const size_t size = sizeof(struct hash);
	size_t n = list->n / size, kept = 0;

	if (n == 0)
		return 0;
	qsort(list->p, n, size, compare);
	for (size_t i = 0; i < n; i++) {
		char *at = list->p + i * size;

		if (kept > 0 &&
		    memcmp(list->p + (kept - 1) * size, at, size) == 0)
			continue;
		memmove(list->p + kept++ * size, at, size);
	}
	return kept;
}

static int
add(struct buf *list, struct str hex, struct err *e)
{
	struct hash h;

	if (hash_from_hex(hex, &h) < 0)
		return err_set(
		    e, "a record names %.*s, which is no hash", STR_FMT(hex));
	/* Many records in a row name the same. */
	if (list->n >= sizeof(h) &&
	    memcmp(list->p + list->n - sizeof(h), h.b, sizeof(h)) == 0)
		return 0;
	buf_add(list, h.b, sizeof(h));
	return list->failed ? err_set(e, "too many blobs for a bundle") : 0;
}

static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct hash));
}
