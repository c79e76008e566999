/*
 * YAML to JSON text, event by event (libyaml), with a mark for every value so
 * that problems are told at their place in the YAML.
 *
 * Taken: one document of mappings, sequences and scalars; plain scalars by the
 * core schema of YAML 1.2, in which "no" and "off" are texts. Refused: anchors
 * and aliases (a few lines of them can stand for gigabytes), tags, keys that
 * are not scalars, a second document.
 */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/limits.h"
#include "core/policy_int.h"

/* A container that is open. */
struct open {
	bool mapping;
	bool value_next; /* of a mapping: the key has been written */
	uint32_t n; /* entries so far */
};

struct converter {
	struct reader *r;
	yaml_parser_t parser;
	yaml_event_t event; /* the one in hand: deleted before the next */
	struct buf json;
	struct buf marks; /* of struct policy_mark */
	uint32_t depth;
	uint32_t documents;
	struct open stack[POLICY_MAX_DEPTH];
};

static int convert(struct converter *c);
static int on_event(struct converter *c);
static int on_document(struct converter *c);
static int on_scalar(struct converter *c);
static int on_container(struct converter *c, bool mapping);
static void on_end(struct converter *c);
static int before_value(struct converter *c, bool scalar);
static void put_plain(struct converter *c, struct str s);
static bool put_number(struct buf *out, struct str s);
static bool put_radix(struct buf *out, struct str s);
static bool one_of(struct str s, const char *const *words);
static int fail_parser(struct converter *c);
static int fail_here(struct converter *c, const char *text);
static int fail_mark(
    struct converter *c, const yaml_mark_t *at, const char *text);

int
policy_text_yaml(struct reader *r)
{
	struct converter c = { .r = r,
		.json.max = (size_t)4 * POLICY_MAX_BYTES,
		.marks.max = POLICY_ARENA_BYTES };
	struct arena *a = &r->p->arena;
	int result = -1;

	if (yaml_parser_initialize(&c.parser)) {
		yaml_parser_set_encoding(&c.parser, YAML_UTF8_ENCODING);
		yaml_parser_set_input_string(&c.parser,
		    (const unsigned char *)r->text.given.p, r->text.given.n);
		result = convert(&c);
		yaml_event_delete(&c.event);
		yaml_parser_delete(&c.parser);
	}
	if (result == 0 && (c.json.failed || c.marks.failed))
		a->failed = true;
	if (result == 0 && !a->failed) {
		char *json = arena_copy(a, buf_str(&c.json));
		char *marks = arena_copy(a, buf_str(&c.marks));

		r->text.json = (struct str){ json, c.json.n };
		r->text.marks = (const void *)marks;
		r->text.n_marks =
		    (uint32_t)(c.marks.n / sizeof(struct policy_mark));
	}
	buf_fini(&c.json);
	buf_fini(&c.marks);
	return result;
}

static int
convert(struct converter *c)
{
	yaml_event_type_t type;

	do {
		yaml_event_delete(&c->event);
		if (!yaml_parser_parse(&c->parser, &c->event))
			return fail_parser(c);
		type = c->event.type;
		if (on_event(c) < 0)
			return -1;
	} while (type != YAML_STREAM_END_EVENT);
	if (c->documents == 0)
		return fail_here(c,
		    "the document is empty; write a policy, see "
		    "docs/POLICY.md");
	return 0;
}

static int
on_event(struct converter *c)
{
	switch (c->event.type) {
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		return 0;
	case YAML_DOCUMENT_START_EVENT:
		return on_document(c);
	case YAML_ALIAS_EVENT:
		return fail_here(
		    c, "an alias (*name) is not taken; write the value out");
	case YAML_SCALAR_EVENT:
		return on_scalar(c);
	case YAML_SEQUENCE_START_EVENT:
		return on_container(c, false);
	case YAML_MAPPING_START_EVENT:
		return on_container(c, true);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		on_end(c);
		return 0;
	}
	return 0;
}

static int
on_document(struct converter *c)
{
	if (c->documents++ > 0)
		return fail_here(c,
		    "a second document starts here; put each policy into its "
		    "own file");
	return 0;
}

static int
on_scalar(struct converter *c)
{
	struct str s = { (const char *)c->event.data.scalar.value,
		c->event.data.scalar.length };
	bool key = c->depth > 0 && c->stack[c->depth - 1].mapping &&
	    !c->stack[c->depth - 1].value_next;

	if (c->event.data.scalar.anchor != NULL)
		return fail_here(c,
		    "an anchor (&name) is not taken; write the value out "
		    "where it is needed");
	if (c->event.data.scalar.tag != NULL)
		return fail_here(c,
		    "a tag (!name) is not taken; quote the value if it is a "
		    "text");
	if (before_value(c, true) < 0)
		return -1;
	if (key || c->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		json_put_str(&c->json, s);
	else
		put_plain(c, s);
	return 0;
}

static int
on_container(struct converter *c, bool mapping)
{
	/* Both kinds of event start with anchor and tag. */
	bool anchor = mapping ? c->event.data.mapping_start.anchor != NULL
			      : c->event.data.sequence_start.anchor != NULL;
	bool tag = mapping ? c->event.data.mapping_start.tag != NULL
			   : c->event.data.sequence_start.tag != NULL;

	if (anchor)
		return fail_here(c,
		    "an anchor (&name) is not taken; write the value out "
		    "where it is needed");
	if (tag)
		return fail_here(c, "a tag (!name) is not taken; remove it");
	if (before_value(c, false) < 0)
		return -1;
	if (c->depth == POLICY_MAX_DEPTH)
		return fail_here(c, "nested deeper than any policy is");
	buf_add_byte(&c->json, mapping ? '{' : '[');
	c->stack[c->depth++] = (struct open){ .mapping = mapping };
	return 0;
}

static void
on_end(struct converter *c)
{
	bool mapping = c->stack[--c->depth].mapping;

	buf_add_byte(&c->json, mapping ? '}' : ']');
}

/* The comma or colon in front of a value, and its mark. */
static int
before_value(struct converter *c, bool scalar)
{
	const yaml_mark_t *at = &c->event.start_mark;
	struct open *o = c->depth > 0 ? &c->stack[c->depth - 1] : NULL;
	struct policy_mark mark;

	if (o != NULL && o->mapping && o->value_next) {
		buf_add_byte(&c->json, ':');
		o->value_next = false;
	} else if (o != NULL) {
		if (o->mapping && !scalar)
			return fail_here(
			    c, "a key must be a text, not a list or a mapping");
		if (o->n++ > 0)
			buf_add_byte(&c->json, ',');
		o->value_next = o->mapping;
	}
	mark = (struct policy_mark){
		.at = (uint32_t)c->json.n,
		.line = (uint32_t)at->line + 1,
		.column = (uint32_t)at->column + 1,
	};
	buf_add(&c->marks, &mark, sizeof(mark));
	return 0;
}

/* YAML 1.2, 10.3.2: the core schema. */
static void
put_plain(struct converter *c, struct str s)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL",
		NULL };
	static const char *const trues[] = { "true", "True", "TRUE", NULL };
	static const char *const falses[] = { "false", "False", "FALSE", NULL };

	if (one_of(s, nulls))
		buf_add_c(&c->json, "null");
	else if (one_of(s, trues))
		buf_add_c(&c->json, "true");
	else if (one_of(s, falses))
		buf_add_c(&c->json, "false");
	else if (!put_radix(&c->json, s) && !put_number(&c->json, s))
		json_put_str(&c->json, s);
}

/*
 * [-+]? ( digits? '.' digits | digits '.'? ) ( [eE] [-+]? digits )?, in the
 * spelling of JSON. Zeros in front stay: JSON refuses them, since to some
 * readers of YAML 010 is eight.
 */
static bool
put_number(struct buf *out, struct str s)
{
	size_t at = 0, whole, fraction = 0, exponent;
	struct str head, tail = {};
	bool minus = s.n > 0 && s.p[0] == '-';

	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+')) {
		s.p++;
		s.n--;
	}
	while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
		at++;
	whole = at;
	if (at < s.n && s.p[at] == '.') {
		for (at++; at < s.n && s.p[at] >= '0' && s.p[at] <= '9'; at++)
			fraction++;
	}
	if (whole + fraction == 0)
		return false;
	head = (struct str){ s.p, at };
	if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
		tail = (struct str){ s.p + at, s.n - at };
		at++;
		at += at < s.n && (s.p[at] == '-' || s.p[at] == '+');
		exponent = at;
		while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
			at++;
		if (at == exponent)
			return false;
	}
	if (at < s.n)
		return false;
	if (fraction == 0 && head.n > whole)
		head.n = whole; /* "5." */
	if (minus)
		buf_add_byte(out, '-');
	if (whole == 0)
		buf_add_byte(out, '0'); /* ".5" */
	buf_add_str(out, head);
	buf_add_str(out, tail);
	return true;
}

/* 0o17 and 0x1f, in decimal. */
static bool
put_radix(struct buf *out, struct str s)
{
	uint64_t base, v = 0;

	if (s.n < 3 || s.p[0] != '0' || (s.p[1] != 'o' && s.p[1] != 'x'))
		return false;
	base = s.p[1] == 'o' ? 8 : 16;
	for (size_t i = 2; i < s.n; i++) {
		int digit = str_hex_digit(s.p[i]);

		if (digit < 0 || (uint64_t)digit >= base)
			return false;
		if (__builtin_mul_overflow(v, base, &v) ||
		    __builtin_add_overflow(v, digit, &v))
			v = UINT64_MAX; /* JSON refuses such a number */
	}
	buf_add_u64(out, v);
	return true;
}

static bool
one_of(struct str s, const char *const *words)
{
	for (; *words != NULL; words++) {
		if (str_eq_c(s, *words))
			return true;
	}
	return false;
}

static int
fail_parser(struct converter *c)
{
	const yaml_parser_t *p = &c->parser;
	yaml_mark_t at = p->problem_mark;
	char text[160];

	if (p->error == YAML_MEMORY_ERROR) {
		c->r->p->arena.failed = true;
		return 0;
	}
	/* A reader's error (bytes that are no UTF-8) has an offset only. */
	if (p->error == YAML_READER_ERROR) {
		uint32_t line, column;

		json_place(c->r->text.given, p->problem_offset, &line, &column);
		at.line = line - 1;
		at.column = column - 1;
	}
	(void)snprintf(text, sizeof(text), "%s%s%s",
	    p->context != NULL ? p->context : "",
	    p->context != NULL ? ": " : "",
	    p->problem != NULL ? p->problem : "not YAML");
	return fail_mark(c, &at, text);
}

static int
fail_here(struct converter *c, const char *text)
{
	yaml_mark_t at = c->event.start_mark;

	return fail_mark(c, &at, text);
}

static int
fail_mark(struct converter *c, const yaml_mark_t *at, const char *text)
{
	struct policy_problem one = {
		.line = (uint32_t)at->line + 1,
		.column = (uint32_t)at->column + 1,
	};

	(void)snprintf(one.text, sizeof(one.text), "%s", text);
	problem_add(c->r->problems, &one);
	return -1;
}
