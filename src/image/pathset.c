#include "image/pathset.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum { PATHSET_FIRST = 256 };

static struct pathset_slot slot_of(struct str path);
static struct pathset_slot *find(
    const struct pathset *s, struct pathset_slot key);
static int grow(struct pathset *s, struct err *e);
static bool is_empty(const struct pathset_slot *s);

void
pathset_fini(struct pathset *s)
{
	free(s->slots);
	*s = (struct pathset){};
}

int
pathset_add(struct pathset *s, struct str path, struct err *e)
{
	while (path.n > 0) {
		struct pathset_slot key = slot_of(path), *at;

		/* At most three quarters full: a search ends soon. */
		if (s->n >= s->cap / 4 * 3 && grow(s, e) < 0)
			return -1;
		at = find(s, key);
		if (!is_empty(at))
			return 0; /* then so is all above it */
		*at = key;
		s->n++;
		do {
			path.n--;
		} while (path.n > 0 && path.p[path.n] != '/');
	}
	return 0;
}

bool
pathset_has(const struct pathset *s, struct str path)
{
	return s->cap > 0 && !is_empty(find(s, slot_of(path)));
}

static struct pathset_slot
slot_of(struct str path)
{
	struct hash h = hash_of(path.p, path.n);
	struct pathset_slot s;

	memcpy(&s, h.b, sizeof(s));
	s.half[0] |= 1; /* never empty */
	return s;
}

/* Where key is, or the empty slot where it belongs. */
static struct pathset_slot *
find(const struct pathset *s, struct pathset_slot key)
{
	size_t i = key.half[1] & (s->cap - 1);

	while (!is_empty(&s->slots[i]) &&
	    (s->slots[i].half[0] != key.half[0] ||
		s->slots[i].half[1] != key.half[1]))
		i = (i + 1) & (s->cap - 1);
	return &s->slots[i];
}

static int
grow(struct pathset *s, struct err *e)
{
	struct pathset bigger = {
		.cap = s->cap > 0 ? 2 * s->cap : PATHSET_FIRST,
		.n = s->n,
	};

	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (bigger.slots == NULL)
		return err_set(e, "the list of paths: out of memory");
	for (size_t i = 0; i < s->cap; i++)
		if (!is_empty(&s->slots[i]))
			*find(&bigger, s->slots[i]) = s->slots[i];
	free(s->slots);
	*s = bigger;
	return 0;
}

static bool
is_empty(const struct pathset_slot *s)
{
	return s->half[0] == 0;
}
