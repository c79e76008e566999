#include "codec/json_diff.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/must.h"
#include "codec/json_text.h"

/* A container that both have, and how far it was looked at. */
struct level {
	const struct json *a, *b;
	const struct json *at_a, *at_b; /* array: the next elements */
	uint32_t *keys_a, *keys_b; /* object: its keys, sorted; in the arena */
	uint32_t i, k; /* of them; array: i is the index */
	size_t path_n; /* of the path, without what is added for a member */
};

struct diff {
	bool (*on)(void *arg, struct str path, const struct json *a,
	    const struct json *b);
	void *arg;
	struct buf path;
	struct arena memory;
	struct level level[JSON_MAX_DEPTH + 1];
	uint32_t depth, told;
	bool ended;
};

static void look(struct diff *d, const struct json *a, const struct json *b);
static void next_member(struct diff *d, struct level *l);
static void next_element(struct diff *d, struct level *l);
static uint32_t *sorted(struct diff *d, const struct json *object);
static void put_key(struct buf *path, struct str key);
static bool plain(struct str key);

uint32_t
json_diff(const struct json *a, const struct json *b,
    bool (*on)(
	void *arg, struct str path, const struct json *a, const struct json *b),
    void *arg)
{
	struct diff d = { .on = on, .arg = arg };

	buf_add_byte(&d.path, '$');
	look(&d, a, b);
	while (d.depth > 0 && !d.ended) {
		struct level *l = &d.level[d.depth - 1];

		d.path.n = l->path_n;
		if (json_is(l->a, JSON_OBJECT))
			next_member(&d, l);
		else
			next_element(&d, l);
	}
	buf_fini(&d.path);
	arena_fini(&d.memory);
	return d.told;
}

/* Two values at the path: they are the same, one is told, or a level opens. */
static void
look(struct diff *d, const struct json *a, const struct json *b)
{
	bool both = a != NULL && b != NULL && a->type == b->type &&
	    (a->type == JSON_OBJECT || a->type == JSON_ARRAY);
	struct level *l = &d->level[d->depth];

	if (a == NULL && b == NULL)
		return;
	if (a != NULL && b != NULL && json_equal(a, b))
		return;
	if (!both || d->depth > JSON_MAX_DEPTH) {
		d->told++;
		d->ended = !d->on(d->arg, buf_str(&d->path), a, b);
		return;
	}
	*l = (struct level){ .a = a, .b = b, .path_n = d->path.n };
	if (a->type == JSON_OBJECT) {
		l->keys_a = sorted(d, a);
		l->keys_b = sorted(d, b);
	} else {
		l->at_a = json_first(a);
		l->at_b = json_first(b);
	}
	d->depth++;
}

static void
next_member(struct diff *d, struct level *l)
{
	const struct json *a = l->i < l->a->n ? l->a + l->keys_a[l->i] : NULL;
	const struct json *b = l->k < l->b->n ? l->b + l->keys_b[l->k] : NULL;
	int order = a == NULL ? 1
	    : b == NULL	      ? -1
			      : json_text_cmp(json_str(a), json_str(b));

	if (a == NULL && b == NULL) {
		d->depth--;
		return;
	}
	l->i += order <= 0;
	l->k += order >= 0;
	put_key(&d->path, json_str(order <= 0 ? a : b));
	look(d, order <= 0 ? json_value(a) : NULL,
	    order >= 0 ? json_value(b) : NULL);
}

static void
next_element(struct diff *d, struct level *l)
{
	const struct json *a = l->at_a, *b = l->at_b;

	if (a == NULL && b == NULL) {
		d->depth--;
		return;
	}
	l->at_a = a != NULL ? json_next(l->a, a) : NULL;
	l->at_b = b != NULL ? json_next(l->b, b) : NULL;
	buf_printf(&d->path, "[%u]", l->i++);
	look(d, a, b);
}

static uint32_t *
sorted(struct diff *d, const struct json *object)
{
	uint32_t *keys = arena_alloc(&d->memory, object->n * sizeof(*keys));

	must(keys != NULL); /* the document itself takes more */
	json_sort(object, keys);
	return keys;
}

static void
put_key(struct buf *path, struct str key)
{
	if (plain(key)) {
		buf_add_byte(path, '.');
		buf_add_str(path, key);
		return;
	}
	buf_add_byte(path, '[');
	json_put_str(path, key);
	buf_add_byte(path, ']');
}

static bool
plain(struct str key)
{
	for (size_t i = 0; i < key.n; i++) {
		char c = key.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			c == '_' || c == '-' || (c >= '0' && c <= '9')))
			return false;
	}
	return key.n > 0;
}
