#include "codec/json.h"

#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "codec/json_text.h"

/* Members whose order fits on the stack; more take memory. */
enum { FEW_MEMBERS = 256 };

/* A container that is being written. */
struct open {
	const struct json *v;
	const struct json *next; /* element or key, in the order of the text */
	uint32_t done; /* elements or members written */
	uint32_t order; /* where its sorted keys start in writer.order */
};

struct writer {
	struct buf *b;
	bool pretty;
	uint32_t depth;
	uint32_t *order; /* NULL: the order of the text */
	uint32_t used; /* of order */
	struct open stack[JSON_MAX_DEPTH];
};

static void write_tree(struct writer *w, const struct json *v);
static void put_value(struct writer *w, const struct json *v);
static void put_step(struct writer *w);
static void put_indent(struct writer *w);
static void put_quoted(struct buf *b, struct str s);
static void put_escape(struct buf *b, unsigned char c);

void
json_write(struct buf *b, const struct json *v)
{
	uint32_t few[FEW_MEMBERS];
	own_buf struct buf many = { .max = SIZE_MAX / 4 };
	struct writer w = { .b = b, .order = few };
	/* Members take two nodes each, so no more than this are open. */
	size_t most = v->skip / 2;

	if (most > FEW_MEMBERS) {
		void *p = buf_reserve(&many, most * sizeof(w.order[0]));

		if (p == NULL) {
			b->failed = true;
			return;
		}
		w.order = p;
	}
	write_tree(&w, v);
}

void
json_write_pretty(struct buf *b, const struct json *v)
{
	struct writer w = { .b = b, .pretty = true };

	write_tree(&w, v);
}

void
json_put_str(struct buf *b, struct str s)
{
	size_t at = json_text_plain(s.p, s.n);
	size_t from = 0; /* the first byte not yet added */

	if (at == s.n) {
		put_quoted(b, s);
		return;
	}
	buf_add_byte(b, '"');
	while (at < s.n) {
		unsigned char c = (unsigned char)s.p[at];
		size_t len = c < 0x80 ? 0 : json_text_utf8(s.p + at, s.n - at);

		if (len > 0) {
			at += len;
		} else {
			buf_add(b, s.p + from, at - from);
			if (c < 0x80)
				put_escape(b, c);
			else
				buf_add_c(b, "\xef\xbf\xbd"); /* U+FFFD */
			from = ++at;
		}
		at += json_text_plain(s.p + at, s.n - at);
	}
	if (at > from)
		buf_add(b, s.p + from, at - from);
	buf_add_byte(b, '"');
}

static void
write_tree(struct writer *w, const struct json *v)
{
	put_value(w, v);
	while (w->depth > 0 && !w->b->failed)
		put_step(w);
}

/* Writes a scalar whole; of a container the start, and leaves it open. */
static void
put_value(struct writer *w, const struct json *v)
{
	switch ((enum json_type)v->type) {
	case JSON_NULL:
		buf_add(w->b, "null", 4);
		return;
	case JSON_FALSE:
		buf_add(w->b, "false", 5);
		return;
	case JSON_TRUE:
		buf_add(w->b, "true", 4);
		return;
	case JSON_NUMBER:
		json_put_num(w->b, v->num);
		return;
	case JSON_STRING:
		json_put_str(w->b, json_str(v));
		return;
	case JSON_ARRAY:
	case JSON_OBJECT:
		break;
	}
	buf_add_byte(w->b, v->type == JSON_ARRAY ? '[' : '{');
	must(w->depth < JSON_MAX_DEPTH); /* the parser saw to it */
	w->stack[w->depth++] = (struct open){
		.v = v,
		.next = v + 1,
		.order = w->used,
	};
	if (w->order != NULL && v->type == JSON_OBJECT) {
		json_sort(v, w->order + w->used);
		w->used += v->n;
	}
}

/* The next element or member of the innermost container, or its end. */
static void
put_step(struct writer *w)
{
	struct open *o = &w->stack[w->depth - 1];
	bool object = o->v->type == JSON_OBJECT;
	const struct json *x = o->next;

	if (o->done == o->v->n) {
		w->used = o->order;
		w->depth--;
		if (o->done > 0)
			put_indent(w);
		buf_add_byte(w->b, object ? '}' : ']');
		return;
	}
	if (o->done > 0)
		buf_add_byte(w->b, ',');
	put_indent(w);
	if (object) {
		if (w->order != NULL)
			x = o->v + w->order[o->order + o->done];
		json_put_str(w->b, json_str(x));
		buf_add(w->b, ": ", w->pretty ? 2 : 1);
		x = json_value(x);
	}
	o->next = x + x->skip;
	o->done++;
	put_value(w, x);
}

static void
put_indent(struct writer *w)
{
	if (!w->pretty)
		return;
	buf_add_byte(w->b, '\n');
	for (uint32_t i = 0; i < w->depth; i++)
		buf_add(w->b, "  ", 2);
}

/* s stands for itself, as most strings do: room is asked for once. */
static void
put_quoted(struct buf *b, struct str s)
{
	char *p = s.n < SIZE_MAX - 2 ? buf_reserve(b, s.n + 2) : NULL;

	if (p == NULL) {
		b->failed = true;
		return;
	}
	p[0] = '"';
	if (s.n > 0)
		memcpy(p + 1, s.p, s.n);
	p[s.n + 1] = '"';
	b->n += s.n + 2;
}

/* c is ASCII and may not stand for itself. */
static void
put_escape(struct buf *b, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char names[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	char long_form[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

	for (size_t i = 0; i + 1 < sizeof(names); i += 2) {
		if ((unsigned char)names[i] == c) {
			buf_add_byte(b, '\\');
			buf_add_byte(b, names[i + 1]);
			return;
		}
	}
	buf_add(b, long_form, sizeof(long_form));
}
