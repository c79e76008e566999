/*
 * What operators do with members, texts and lists. Each counts the steps it
 * takes: a look at a member or an item, and every 16 bytes of text.
 */
#include <string.h>

#include "base/limits.h"
#include "core/expr_int.h"

/* Two lists that are compared, item by item. */
struct pair {
	struct expr_value a, b;
	uint32_t at;
	const struct json *next_a, *next_b;
};

/* 1, 0, -1: too long, or cannot be compared. */
static int equal_flat(struct expr_scratch *s, const struct expr_value *a,
    const struct expr_value *b);
static bool pair_next(
    struct pair *p, struct expr_value *a, struct expr_value *b);
static bool list_item(const struct expr_value *list, uint32_t at,
    const struct json **next, struct expr_value *out);
static bool is_list(const struct expr_value *v);
static bool is_map(const struct expr_value *v);
static uint32_t list_size(const struct expr_value *v);
static bool find(struct expr_scratch *s, const struct expr_value *v,
    struct str name, struct expr_value *out);
static bool labelled(const struct labels *l, struct str name);
static bool index_of(const struct expr_value *v, uint32_t *out);
static struct expr_value of_bool(bool b);
static struct expr_value cut_short(void);

struct expr_value
expr_field(struct expr_scratch *s, const struct expr_value *v, struct str name)
{
	struct expr_value out;

	if (v->type == EXPR_ERROR)
		return *v;
	if (!is_map(v))
		return expr_error("only an object has members");
	if (find(s, v, name, &out))
		return out;
	return expr_error("there is no member of that name");
}

struct expr_value
expr_has(struct expr_scratch *s, const struct expr_value *v, struct str name)
{
	struct expr_value out;

	if (v->type == EXPR_ERROR)
		return *v;
	if (!is_map(v))
		return expr_error("only an object has members");
	if (!find(s, v, name, &out))
		return of_bool(false);
	if (out.type == EXPR_ERROR)
		return out;
	return v->type == EXPR_LABELS ? out : of_bool(true);
}

struct expr_value
expr_index(struct expr_scratch *s, const struct expr_value *v,
    const struct expr_value *at)
{
	const struct json *next = NULL;
	uint32_t i = 0;

	if (is_map(v)) {
		if (at->type == EXPR_STRING)
			return expr_field(s, v, at->s);
		return expr_error("there is no member of that name");
	}
	if (!is_list(v))
		return expr_error("only lists and maps have items");
	if (!index_of(at, &i) || i >= list_size(v))
		return expr_error("there is no item at that place");
	if (!expr_spend(s, i))
		return cut_short();
	if (v->type == EXPR_LIST)
		return v->items[i];
	next = json_first(v->json);
	while (i-- > 0)
		next = json_next(v->json, next);
	return expr_of_json(next);
}

struct expr_value
expr_in(struct expr_scratch *s, const struct expr_value *x,
    const struct expr_value *in)
{
	const struct json *next =
	    in->type == EXPR_JSON ? json_first(in->json) : NULL;
	struct expr_value item, got;

	if (is_map(in)) {
		if (x->type != EXPR_STRING)
			return of_bool(false);
		return expr_has(s, in, x->s);
	}
	if (!is_list(in))
		return expr_error("`in` asks lists and maps");
	for (uint32_t i = 0; list_item(in, i, &next, &item); i++) {
		got = expr_equal(s, x, &item);
		if (got.type == EXPR_ERROR || got.boolean)
			return got;
	}
	return of_bool(false);
}

/* Lists in lists are gone through with a stack of our own. */
struct expr_value
expr_equal(struct expr_scratch *s, const struct expr_value *a,
    const struct expr_value *b)
{
	struct pair stack[8];
	struct expr_value x = *a, y = *b;
	uint32_t n = 0;

	for (;;) {
		if (is_list(&x) && is_list(&y)) {
			if (list_size(&x) != list_size(&y))
				return of_bool(false);
			if (n == sizeof(stack) / sizeof(stack[0]))
				return expr_error(
				    "the lists are nested too deeply");
			stack[n++] = (struct pair){ .a = x,
				.b = y,
				.next_a = x.type == EXPR_JSON
				    ? json_first(x.json)
				    : NULL,
				.next_b = y.type == EXPR_JSON
				    ? json_first(y.json)
				    : NULL };
		} else {
			int same = equal_flat(s, &x, &y);

			if (same < 0)
				return s->steps == 0
				    ? cut_short()
				    : expr_error("these cannot be compared");
			if (same == 0)
				return of_bool(false);
		}
		while (n > 0 && !pair_next(&stack[n - 1], &x, &y))
			n--;
		if (n == 0)
			return of_bool(true);
	}
}

static int
equal_flat(struct expr_scratch *s, const struct expr_value *a,
    const struct expr_value *b)
{
	if (expr_is_number(a) && expr_is_number(b))
		return expr_number_cmp(a, b) == 0;
	if (a->type != b->type)
		return 0;
	switch (a->type) {
	case EXPR_NULL:
		return 1;
	case EXPR_BOOL:
		return a->boolean == b->boolean;
	case EXPR_STRING:
		if (a->s.n != b->s.n)
			return 0;
		if (!expr_spend(s, 1 + a->s.n / 16))
			return -1;
		return str_eq(a->s, b->s);
	case EXPR_JSON:
		/* A list and a map, or two maps. */
		if (a->json->type != b->json->type)
			return 0;
		if (!expr_spend(s,
			1 +
			    (a->json->skip < b->json->skip
				    ? (size_t)a->json->skip
				    : (size_t)b->json->skip)))
			return -1;
		return json_equal(a->json, b->json);
	case EXPR_LABELS:
	case EXPR_RECORD:
		return -1;
	case EXPR_UNSET:
	case EXPR_INT:
	case EXPR_UINT:
	case EXPR_DOUBLE:
	case EXPR_LIST:
	case EXPR_ERROR:
		break;
	}
	return 0;
}

struct expr_value
expr_order(struct expr_scratch *s, enum op op, const struct expr_value *a,
    const struct expr_value *b)
{
	int order;

	if (expr_is_number(a) && expr_is_number(b)) {
		order = expr_number_cmp(a, b);
		if (order == 2)
			return of_bool(false);
	} else if (a->type == EXPR_STRING && b->type == EXPR_STRING) {
		/* UTF-8 sorts as the characters do. */
		if (!expr_spend(s, 1 + a->s.n / 16))
			return cut_short();
		order = str_cmp(a->s, b->s);
	} else if (a->type == EXPR_BOOL && b->type == EXPR_BOOL) {
		order = (int)a->boolean - (int)b->boolean;
	} else {
		return expr_error("these have no order");
	}
	if (op == OP_LT)
		return of_bool(order < 0);
	if (op == OP_LE)
		return of_bool(order <= 0);
	if (op == OP_GT)
		return of_bool(order > 0);
	return of_bool(order >= 0);
}

/* Of texts: their characters. */
struct expr_value
expr_size(struct expr_scratch *s, const struct expr_value *v)
{
	int64_t n = 0;

	switch (v->type) {
	case EXPR_STRING:
		if (!expr_spend(s, 1 + v->s.n / 16))
			return cut_short();
		for (size_t i = 0; i < v->s.n; i++)
			n += ((unsigned char)v->s.p[i] & 0xc0) != 0x80;
		return expr_of_int(n);
	case EXPR_LIST:
		return expr_of_int(v->n);
	case EXPR_JSON:
		return expr_of_int(v->json->n);
	case EXPR_RECORD:
		return expr_of_int(v->record->n);
	case EXPR_LABELS:
		if (v->labels->overflowed)
			return expr_error(
			    "the run has more labels than are kept");
		return expr_of_int(v->labels->n);
	case EXPR_ERROR:
		return *v;
	case EXPR_UNSET:
	case EXPR_NULL:
	case EXPR_BOOL:
	case EXPR_INT:
	case EXPR_UINT:
	case EXPR_DOUBLE:
		break;
	}
	return expr_error("size is for texts, lists and maps");
}

struct expr_value
expr_text_op(struct expr_scratch *s, enum op op, const struct expr_value *a,
    const struct expr_value *b)
{
	if (a->type != EXPR_STRING || b->type != EXPR_STRING)
		return expr_error(
		    "startsWith, endsWith and contains are for texts");
	if (!expr_spend(s, 1 + (op == OP_CONTAINS ? a->s.n : b->s.n) / 16))
		return cut_short();
	if (op == OP_STARTS)
		return of_bool(str_starts(a->s, b->s));
	if (op == OP_ENDS)
		return of_bool(str_ends(a->s, b->s));
	return of_bool(b->s.n == 0 ||
	    (a->s.n >= b->s.n &&
		memmem(a->s.p, a->s.n, b->s.p, b->s.n) != NULL));
}

static bool
pair_next(struct pair *p, struct expr_value *a, struct expr_value *b)
{
	uint32_t at = p->at++;

	return list_item(&p->a, at, &p->next_a, a) &&
	    list_item(&p->b, at, &p->next_b, b);
}

static bool
list_item(const struct expr_value *list, uint32_t at, const struct json **next,
    struct expr_value *out)
{
	if (at >= list_size(list))
		return false;
	if (list->type == EXPR_LIST) {
		*out = list->items[at];
		return true;
	}
	*out = expr_of_json(*next);
	*next = json_next(list->json, *next);
	return true;
}

static bool
is_list(const struct expr_value *v)
{
	return v->type == EXPR_LIST ||
	    (v->type == EXPR_JSON && v->json->type == JSON_ARRAY);
}

static bool
is_map(const struct expr_value *v)
{
	return v->type == EXPR_RECORD || v->type == EXPR_LABELS ||
	    (v->type == EXPR_JSON && v->json->type == JSON_OBJECT);
}

static uint32_t
list_size(const struct expr_value *v)
{
	return v->type == EXPR_LIST ? v->n : v->json->n;
}

/* v is a map. False when the name is not in it; *out may be an error. */
static bool
find(struct expr_scratch *s, const struct expr_value *v, struct str name,
    struct expr_value *out)
{
	const struct json *got;
	size_t steps = 1;

	if (v->type == EXPR_JSON)
		steps = v->json->n;
	else if (v->type == EXPR_LABELS)
		steps = v->labels->n;
	if (!expr_spend(s, steps)) {
		*out = cut_short();
		return true;
	}
	if (v->type == EXPR_LABELS) {
		/* Unknown means no, and no is an error here: a condition may
		 * want a label to be there or not to be. */
		*out = v->labels->overflowed
		    ? expr_error("the run has more labels than are kept")
		    : of_bool(labelled(v->labels, name));
		return true;
	}
	if (v->type == EXPR_RECORD) {
		for (uint32_t i = 0; i < v->record->n; i++) {
			if (!str_eq(v->record->fields[i].name, name))
				continue;
			*out = v->record->fields[i].value;
			return true;
		}
		return false;
	}
	got = json_get(v->json, name);
	if (got == NULL)
		return false;
	*out = expr_of_json(got);
	return true;
}

/* `untrusted` is there with "untrusted" and with "untrusted:kb.search". */
static bool
labelled(const struct labels *l, struct str name)
{
	for (uint32_t i = 0; i < l->n; i++) {
		struct str label = str_of(l->text[i]);

		if (str_starts(label, name) &&
		    (label.n == name.n || label.p[name.n] == ':'))
			return true;
	}
	return false;
}

/* A whole number of any type. */
static bool
index_of(const struct expr_value *v, uint32_t *out)
{
	if (v->type == EXPR_INT && v->i >= 0 && v->i <= UINT32_MAX)
		*out = (uint32_t)v->i;
	else if (v->type == EXPR_UINT && v->u <= UINT32_MAX)
		*out = (uint32_t)v->u;
	else if (v->type == EXPR_DOUBLE && v->d >= 0 && v->d <= UINT32_MAX &&
	    v->d == (double)(uint32_t)v->d)
		*out = (uint32_t)v->d;
	else
		return false;
	return true;
}

static struct expr_value
of_bool(bool b)
{
	return (struct expr_value){ .type = EXPR_BOOL, .boolean = b };
}

static struct expr_value
cut_short(void)
{
	return expr_error("the expression takes too many steps");
}
