#include "core/provenance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "core/json_path.h"
#include "core/policy.h"
#include "core/prov_text.h"

/* Where in `texts` the result of a step lies. */
struct source {
	uint32_t step, at, n;
};

struct field {
	uint32_t step, at, n; /* in `values`, byte for byte */
	bool known;
};

struct prov {
	struct buf user; /* folded */
	struct buf texts; /* folded leaves, a newline behind each */
	struct buf values;
	uint32_t n_sources, n_fields;
	struct source *sources; /* PROV_SOURCES_MAX */
	struct field *fields; /* PROV_FIELDS_MAX */
};

/* Nodes of a tape: from, and the one behind. */
struct span {
	const struct json *from, *end;
};

/* A text or number of a value; key: it is the name of a member. */
struct leaf {
	const struct json *v;
	bool key;
	struct str path; /* "$.to[0]", maybe cut */
};

/* A container that the walk is in. */
struct level {
	const struct json *v;
	const struct json *end;
	uint32_t index;
	size_t path_n; /* of the path to it */
};

struct looking {
	const struct prov *p;
	const struct policy_tool *tool;
	struct prov_args *out;
	struct span spans[PROV_ARGS_MAX]; /* of destinations */
	uint32_t n_spans, n_values, n_destinations, n_unknown;
	bool spans_full;
	uint64_t steps;
};

/* Values of one path of a result. */
struct trusting {
	struct prov *p;
	uint32_t step, first;
	bool known;
	bool other; /* one was no field's value, or there was no room */
};

static void walk(const struct json *v,
    void (*on)(void *arg, const struct leaf *leaf), void *arg);
static void step_down(char *path, size_t cap, size_t *n, struct level *in,
    const struct json *key);
static void on_text(void *arg, const struct leaf *leaf);
static void on_field(void *arg, const struct json *at);
static void on_span(void *arg, const struct json *at);
static void on_arg(void *arg, const struct leaf *leaf);
static bool in_spans(const struct looking *l, const struct json *v);
static void locate(
    struct looking *l, struct str value, bool number, struct prov_arg *out);
static void locate_part(
    struct looking *l, struct str folded, struct prov_arg *out);
static struct str leaf_text(const struct json *v, struct buf *number);
static bool field_ok(struct str value);

struct prov *
prov_new(void)
{
	struct prov *p = calloc(1, sizeof(*p));

	must(p != NULL);
	p->user.max = PROV_USER_BYTES;
	p->texts.max = PROV_TEXT_BYTES;
	p->values.max = PROV_FIELDS_MAX * PROV_FIELD_BYTES;
	return p;
}

void
prov_free(struct prov *p)
{
	if (p == NULL)
		return;
	buf_fini(&p->user);
	buf_fini(&p->texts);
	buf_fini(&p->values);
	free(p->sources);
	free(p->fields);
	free(p);
}

void
prov_user(struct prov *p, struct str text)
{
	own_buf struct buf folded = { .max = PROV_USER_BYTES + 1 };

	prov_fold(&folded, text);
	if (folded.failed || folded.n > PROV_USER_BYTES)
		return;
	buf_reset(&p->user);
	buf_add_str(&p->user, buf_str(&folded));
}

void
prov_result(struct prov *p, uint32_t step, const struct policy_tool *t,
    const struct json *result, bool known)
{
	own_buf struct buf text = { .max = PROV_RESULT_BYTES };
	struct json_path path;

	walk(result, on_text, &text);
	if (p->sources == NULL) {
		p->sources = calloc(PROV_SOURCES_MAX, sizeof(*p->sources));
		p->fields = calloc(PROV_FIELDS_MAX, sizeof(*p->fields));
		must(p->sources != NULL && p->fields != NULL);
	}
	/* A result whose end is missing is still better seen than not. */
	if (text.n > 0 && p->n_sources < PROV_SOURCES_MAX &&
	    text.n < p->texts.max - p->texts.n) {
		p->sources[p->n_sources++] = (struct source){ step,
			(uint32_t)p->texts.n, (uint32_t)text.n };
		buf_add(&p->texts, text.p, text.n);
	}
	for (uint32_t i = 0; t != NULL && i < t->n_trusted_fields; i++) {
		struct trusting one = { p, step, p->n_fields, known, false };

		if (json_path_parse(t->trusted_fields[i], &path) < 0)
			continue;
		json_path_each(result, &path, on_field, &one);
		/* Among several, somebody has chosen. */
		for (uint32_t k = one.first; k < p->n_fields; k++) {
			if (one.other || p->n_fields - one.first > 1)
				p->fields[k].known = false;
		}
	}
}

void
prov_look(const struct prov *p, const struct policy_tool *t,
    const struct json *args, struct prov_args *out)
{
	struct looking l = {
		.p = p,
		.tool = t,
		.out = out,
		.steps = PROV_STEPS_MAX,
	};

	out->n = 0;
	out->full = out->astray = false;
	for (uint32_t i = 0; t != NULL && i < t->n_destination; i++) {
		struct json_path path;

		if (json_path_parse(t->destination[i], &path) < 0)
			l.spans_full = true;
		else
			json_path_each(args, &path, on_span, &l);
	}
	for (const struct json *k = json_first(args);
	     t != NULL && t->leaves && k != NULL; k = json_next(args, k))
		on_span(&l, json_value(k));
	out->first_astray = PROV_ARGS_MAX;
	walk(args, on_arg, &l);
	if (out->first_astray == PROV_ARGS_MAX)
		out->first_astray = out->n;
	out->known = !out->full && l.n_values > 0 && l.n_unknown == 0;
	if (l.n_destinations > 0)
		out->known = !out->astray;
}

void
prov_write(struct buf *out, const struct prov_args *a)
{
	buf_add_byte(out, '[');
	for (uint32_t i = 0; i < a->n; i++) {
		const struct prov_arg *x = &a->arg[i];

		buf_printf(out,
		    "%s{\"bytes\":%u,\"destination\":%s,"
		    "\"found\":%u,\"origin\":",
		    i > 0 ? "," : "", x->bytes,
		    x->destination ? "true" : "false", x->found);
		switch (x->origin) {
		case PROV_USER:
			buf_add_c(out, "\"user\"");
			break;
		case PROV_FIELD:
			buf_printf(out, "\"field:%u\"", x->step);
			break;
		case PROV_RESULT:
			buf_printf(out, "\"tool:%u\"", x->step);
			break;
		case PROV_GENERATED:
			buf_add_c(out, "\"generated\"");
			break;
		case PROV_UNREAD:
			buf_add_c(out, "\"unread\"");
			break;
		}
		buf_add_c(out, ",\"path\":");
		json_put_str(out, str_of(x->path));
		buf_printf(
		    out, ",\"trusted\":%s}", x->known ? "true" : "false");
	}
	buf_add_byte(out, ']');
}

void
prov_say(const struct prov_arg *a, char out[static PROV_SAID_BYTES])
{
	const char *part = a->found < a->bytes ? "in part from " : "from ";

	switch (a->origin) {
	case PROV_USER:
		(void)snprintf(out, PROV_SAID_BYTES, "from the user's text");
		return;
	case PROV_FIELD:
		(void)snprintf(out, PROV_SAID_BYTES,
		    a->known ? "from a trusted field of step %u"
			     : "chosen from trusted fields of step %u",
		    a->step);
		return;
	case PROV_RESULT:
		(void)snprintf(out, PROV_SAID_BYTES, "%sthe result of step %u",
		    part, a->step);
		return;
	case PROV_GENERATED:
		(void)snprintf(
		    out, PROV_SAID_BYTES, "from nowhere that is known");
		return;
	case PROV_UNREAD:
		(void)snprintf(
		    out, PROV_SAID_BYTES, "too long to be looked for");
		return;
	}
}

/* Calls on for each text and number, and for each name of a member. */
static void
walk(const struct json *v, void (*on)(void *arg, const struct leaf *leaf),
    void *arg)
{
	struct level stack[JSON_MAX_DEPTH];
	char path[PROV_PATH_BYTES] = "$";
	const struct json *at = v;
	uint32_t depth = 0;
	size_t n = 1;

	for (;;) {
		const struct json *value = at;

		if (json_is(value, JSON_STRING) || json_is(value, JSON_NUMBER))
			on(arg, &(struct leaf){ value, false, { path, n } });
		at = value + value->skip;
		if ((json_is(value, JSON_ARRAY) ||
			json_is(value, JSON_OBJECT)) &&
		    value->n > 0) {
			must(depth < JSON_MAX_DEPTH); /* the parser saw to it */
			stack[depth++] = (struct level){ value, at, 0, n };
			at = value + 1;
		}
		/* Below depth all have been filled. */
		/* cppcheck-suppress uninitvar */
		while (depth > 0 && at == stack[depth - 1].end)
			depth--;
		if (depth == 0)
			return;
		if (json_is(stack[depth - 1].v, JSON_OBJECT)) {
			step_down(
			    path, sizeof(path), &n, &stack[depth - 1], at);
			on(arg, &(struct leaf){ at, true, { path, n } });
			at++; /* from the key to its value */
		} else {
			step_down(
			    path, sizeof(path), &n, &stack[depth - 1], NULL);
		}
	}
}

/* The path of the next value in a container. */
static void
step_down(
    char *path, size_t cap, size_t *n, struct level *in, const struct json *key)
{
	static const char cut[] = "...";
	size_t from = in->path_n, at = cap - sizeof(cut);
	int more;

	*n = from;
	/* Nothing follows a path that was cut. */
	if (from > sizeof(cut) && memcmp(path + from - 3, cut, 3) == 0)
		return;
	if (key != NULL)
		more = snprintf(
		    path + from, cap - from, ".%.*s", STR_FMT(json_str(key)));
	else
		more = snprintf(path + from, cap - from, "[%u]", in->index++);
	if (more >= 0 && (size_t)more < cap - from) {
		*n = from + (size_t)more;
		return;
	}
	/* Never within a character. */
	while (at > 1 && ((unsigned char)path[at] & 0xc0) == 0x80)
		at--;
	memcpy(path + at, cut, sizeof(cut));
	*n = at + sizeof(cut) - 1;
}

static void
on_text(void *arg, const struct leaf *leaf)
{
	own_buf struct buf number = {};
	struct buf *out = arg;
	struct str text = leaf_text(leaf->v, &number);
	size_t start = out->n;

	if (out->failed)
		return;
	prov_fold(out, text);
	if (out->n > start)
		buf_add_byte(out, '\n');
	if (prov_decode(out, text))
		buf_add_byte(out, '\n');
}

static void
on_field(void *arg, const struct json *at)
{
	own_buf struct buf number = {};
	struct trusting *t = arg;
	struct prov *p = t->p;
	struct str value = leaf_text(at, &number);

	if (!field_ok(value) || p->n_fields == PROV_FIELDS_MAX) {
		t->other = true;
		return;
	}
	for (uint32_t i = t->first; i < p->n_fields; i++) {
		if (str_eq((struct str){ p->values.p + p->fields[i].at,
			       p->fields[i].n },
			value))
			return; /* the same once more is no choice */
	}
	p->fields[p->n_fields++] = (struct field){ t->step,
		(uint32_t)p->values.n, (uint32_t)value.n, t->known };
	buf_add_str(&p->values, value);
	must(!p->values.failed);
}

static void
on_span(void *arg, const struct json *at)
{
	struct looking *l = arg;

	if (l->n_spans == PROV_ARGS_MAX)
		l->spans_full = true; /* unknown: all of them are */
	else
		l->spans[l->n_spans++] = (struct span){ at, at + at->skip };
}

static void
on_arg(void *arg, const struct leaf *leaf)
{
	own_buf struct buf number = {};
	struct looking *l = arg;
	struct prov_args *out = l->out;
	struct str value = leaf_text(leaf->v, &number);
	bool destination = in_spans(l, leaf->v);
	struct prov_arg x = { .destination = destination };

	/* Names that the tool's author has given say nothing, but what
	 * stands as a name within a destination may be one. */
	if (value.n == 0 || (leaf->key && !destination))
		return;
	if (out->n == PROV_ARGS_MAX) {
		out->full = true;
		x.origin = PROV_UNREAD;
	} else {
		locate(l, value, json_is(leaf->v, JSON_NUMBER), &x);
		memcpy(x.path, leaf->path.p, leaf->path.n);
		x.path[leaf->path.n] = '\0';
		out->arg[out->n] = x;
	}
	l->n_values++;
	l->n_destinations += destination;
	l->n_unknown += !x.known;
	if (destination && !x.known && !out->astray) {
		out->astray = true;
		out->first_astray = out->n;
	}
	if (out->n < PROV_ARGS_MAX)
		out->n++;
}

static bool
in_spans(const struct looking *l, const struct json *v)
{
	for (uint32_t i = 0; i < l->n_spans; i++) {
		if (v >= l->spans[i].from && v < l->spans[i].end)
			return true;
	}
	return l->spans_full;
}

static void
locate(struct looking *l, struct str value, bool number, struct prov_arg *out)
{
	const struct prov *p = l->p;
	own_buf struct buf folded = {}, decoded = {};
	struct str text;

	out->bytes = value.n > UINT32_MAX ? UINT32_MAX : (uint32_t)value.n;
	out->origin = PROV_GENERATED;
	if (p == NULL)
		return;
	if (value.n > PROV_VALUE_BYTES) {
		out->origin = PROV_UNREAD;
		return;
	}
	prov_fold(&folded, value);
	text = buf_str(&folded);
	out->bytes = (uint32_t)text.n;
	if (prov_holds(buf_str(&p->user), text)) {
		out->origin = PROV_USER;
		out->found = out->bytes;
		out->known = true;
		return;
	}
	/* The newest first, but one that is known before one that is not. */
	for (uint32_t i = p->n_fields; i-- > 0;) {
		const struct field *f = &p->fields[i];

		if (!str_eq((struct str){ p->values.p + f->at, f->n }, value))
			continue;
		if (out->origin != PROV_FIELD || f->known) {
			out->origin = PROV_FIELD;
			out->step = f->step;
			out->found = out->bytes;
			out->known = f->known;
		}
		if (f->known)
			break;
	}
	if (out->origin == PROV_FIELD || number)
		return;
	locate_part(l, text, out);
	if (out->found < out->bytes && prov_decode(&decoded, value)) {
		struct prov_arg plain = *out;

		plain.found = 0;
		locate_part(l, buf_str(&decoded), &plain);
		if (plain.found > out->found)
			*out = plain;
		if (out->found > out->bytes)
			out->found = out->bytes;
	}
}

/* The longest row that a result has, the first of them that does. */
static void
locate_part(struct looking *l, struct str folded, struct prov_arg *out)
{
	const struct prov *p = l->p;
	uint32_t at = 0, found;

	if (folded.n > PROV_VALUE_BYTES || p->texts.n == 0)
		return;
	found = prov_longest(buf_str(&p->texts), folded, &at, &l->steps);
	if (l->steps == 0 && found == 0)
		out->origin = PROV_UNREAD;
	if (found <= out->found)
		return;
	out->origin = PROV_RESULT;
	out->found = found;
	for (uint32_t i = 0; i < p->n_sources; i++) {
		if (p->sources[i].at <= at)
			out->step = p->sources[i].step;
	}
}

static struct str
leaf_text(const struct json *v, struct buf *number)
{
	if (!json_is(v, JSON_NUMBER))
		return json_str(v);
	json_put_num(number, v->num);
	return buf_str(number);
}

/* An id, a word of an enumeration, a number: no place for a sentence. */
static bool
field_ok(struct str value)
{
	if (value.n == 0 || value.n > PROV_FIELD_BYTES)
		return false;
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if ((c < '0' || c > '9') && (c < 'A' || c > 'Z') &&
		    (c < 'a' || c > 'z') && strchr("._:/@+-", c) == NULL)
			return false;
	}
	return true;
}
