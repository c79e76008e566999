/*
 * Looking at a parsed document: find, walk, compare, sort.
 */
#include "codec/json.h"

#include <stdarg.h>

#include "base/must.h"
#include "codec/json_text.h"

/* Fewer keys than this are sorted by insertion, which is fastest there. */
enum { FEW_KEYS = 24 };

static bool key_before(const struct json *object, uint32_t a, uint32_t b);
static void sift(
    const struct json *object, uint32_t *order, uint32_t at, uint32_t n);
static bool tape_equal(const struct json *a, const struct json *b);

const struct json *
json_get(const struct json *v, struct str key)
{
	const struct json *k;

	if (!json_is(v, JSON_OBJECT))
		return NULL;
	k = v + 1;
	for (uint32_t i = 0; i < v->n; i++) {
		if (k->n == key.n && str_eq(json_str(k), key))
			return k + 1;
		k += 1 + k[1].skip;
	}
	return NULL;
}

const struct json *
json_at(const struct json *v, ...)
{
	va_list ap;
	const char *key;

	va_start(ap, v);
	while (v != NULL && (key = va_arg(ap, const char *)) != NULL)
		v = json_get(v, str_of(key));
	va_end(ap);
	return v;
}

const struct json *
json_first(const struct json *container)
{
	if (!json_is(container, JSON_ARRAY) && !json_is(container, JSON_OBJECT))
		return NULL;
	return container->n > 0 ? container + 1 : NULL;
}

const struct json *
json_next(const struct json *container, const struct json *x)
{
	x += x->skip;
	if (container->type == JSON_OBJECT)
		x += x->skip; /* x was the key: step over the value too */
	return x < container + container->skip ? x : NULL;
}

const struct json *
json_value(const struct json *key)
{
	return key + 1;
}

bool
json_is(const struct json *v, enum json_type type)
{
	return v != NULL && v->type == type;
}

bool
json_bool(const struct json *v, bool otherwise)
{
	if (json_is(v, JSON_TRUE))
		return true;
	if (json_is(v, JSON_FALSE))
		return false;
	return otherwise;
}

struct str
json_str(const struct json *v)
{
	if (!json_is(v, JSON_STRING))
		return STR("");
	return (struct str){ v->str, v->n };
}

int
json_u64(const struct json *v, uint64_t *out)
{
	uint64_t whole;

	if (!json_is(v, JSON_NUMBER) || v->num < 0 ||
	    v->num > 9007199254740991.0)
		return -1;
	whole = (uint64_t)v->num;
	if ((double)whole != v->num)
		return -1;
	*out = whole;
	return 0;
}

bool
json_equal(const struct json *a, const struct json *b)
{
	own_buf struct buf x = { .max = SIZE_MAX / 4 };
	own_buf struct buf y = { .max = SIZE_MAX / 4 };

	/* The same value in any order takes the same number of nodes. */
	if (a->type != b->type || a->skip != b->skip || a->n != b->n)
		return false;
	if (tape_equal(a, b))
		return true;
	if (a->type != JSON_ARRAY && a->type != JSON_OBJECT)
		return false;
	/* Only the order of members may differ now, and this removes it. */
	json_write(&x, a);
	json_write(&y, b);
	must(!x.failed && !y.failed);
	return str_eq(buf_str(&x), buf_str(&y));
}

const char *
json_type_name(enum json_type type)
{
	switch (type) {
	case JSON_NULL:
		return "null";
	case JSON_FALSE:
		return "false";
	case JSON_TRUE:
		return "true";
	case JSON_NUMBER:
		return "a number";
	case JSON_STRING:
		return "a string";
	case JSON_ARRAY:
		return "an array";
	case JSON_OBJECT:
		return "an object";
	}
	return "no JSON value";
}

void
json_sort(const struct json *object, uint32_t *order)
{
	uint32_t n = object->n, at = 1;

	for (uint32_t i = 0; i < n; i++) {
		order[i] = at;
		at += 1 + object[at + 1].skip;
	}
	if (n <= FEW_KEYS) {
		for (uint32_t i = 1; i < n; i++) {
			uint32_t key = order[i], j = i;

			for (; j > 0 && key_before(object, key, order[j - 1]);
			     j--)
				order[j] = order[j - 1];
			order[j] = key;
		}
		return;
	}
	/* Canonical text comes back often, and is sorted already. */
	at = 1;
	while (at < n && !key_before(object, order[at], order[at - 1]))
		at++;
	if (at == n)
		return;
	/* Heapsort: no memory, and no order of keys makes it slow. */
	for (uint32_t i = n / 2; i > 0; i--)
		sift(object, order, i - 1, n);
	for (uint32_t i = n - 1; i > 0; i--) {
		uint32_t largest = order[0];

		order[0] = order[i];
		order[i] = largest;
		sift(object, order, 0, i);
	}
}

/* Equal keys keep the order of the text. */
static bool
key_before(const struct json *object, uint32_t a, uint32_t b)
{
	int r = json_text_cmp(json_str(object + a), json_str(object + b));

	return r != 0 ? r < 0 : a < b;
}

/* Moves order[at] down until no child is after it. */
static void
sift(const struct json *object, uint32_t *order, uint32_t at, uint32_t n)
{
	uint32_t moved = order[at];

	while (at < n / 2) {
		uint32_t child = 2 * at + 1;

		if (child + 1 < n &&
		    key_before(object, order[child], order[child + 1]))
			child++;
		if (!key_before(object, moved, order[child]))
			break;
		order[at] = order[child];
		at = child;
	}
	order[at] = moved;
}

/* Same nodes in the same order. */
static bool
tape_equal(const struct json *a, const struct json *b)
{
	for (uint32_t i = 0; i < a->skip; i++) {
		const struct json *x = a + i, *y = b + i;

		if (x->type != y->type || x->n != y->n || x->skip != y->skip)
			return false;
		if (x->type == JSON_NUMBER && x->num != y->num)
			return false;
		if (x->type == JSON_STRING && !str_eq(json_str(x), json_str(y)))
			return false;
	}
	return true;
}
