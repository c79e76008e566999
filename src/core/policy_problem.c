#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "core/policy_int.h"

enum { SPOTS_MAX = POLICY_MAX_DEPTH };

static void place(
    const struct reader *r, size_t at, uint32_t *line, uint32_t *column);
static void write_path(
    const struct spot *s, struct str member, char *out, size_t cap);
static int compare(
    const struct policy_problem *a, const struct policy_problem *b);
static void finish(struct reader *r, struct policy_problem *one, size_t at);

void
problem_at(struct reader *r, size_t at, const char *fmt, ...)
{
	struct policy_problem one = {};
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(one.text, sizeof(one.text), fmt, ap);
	va_end(ap);
	finish(r, &one, at);
}

void
problem(struct reader *r, const struct spot *s, const char *fmt, ...)
{
	struct policy_problem one = {};
	va_list ap;

	write_path(s, STR(""), one.path, sizeof(one.path));
	va_start(ap, fmt);
	(void)vsnprintf(one.text, sizeof(one.text), fmt, ap);
	va_end(ap);
	finish(r, &one, s->v->at);
}

void
problem_key(struct reader *r, const struct spot *s, const struct json *key,
    const char *fmt, ...)
{
	struct policy_problem one = {};
	va_list ap;

	write_path(s, json_str(key), one.path, sizeof(one.path));
	va_start(ap, fmt);
	(void)vsnprintf(one.text, sizeof(one.text), fmt, ap);
	va_end(ap);
	finish(r, &one, key->at);
}

void
problem_add(struct policy_problems *list, const struct policy_problem *one)
{
	const uint32_t cap = sizeof(list->item) / sizeof(list->item[0]);
	uint32_t kept = list->n < cap ? list->n : cap;
	uint32_t at = kept;

	while (at > 0 && compare(one, &list->item[at - 1]) < 0)
		at--;
	if (at > 0 && compare(one, &list->item[at - 1]) == 0)
		return;
	list->n++;
	if (at == cap)
		return; /* the places that are kept are all before this one */
	if (kept == cap)
		kept--;
	memmove(&list->item[at + 1], &list->item[at],
	    (kept - at) * sizeof(list->item[0]));
	list->item[at] = *one;
}

void
value_show(const struct json *v, char out[static SHOWN_BYTES])
{
	own_buf struct buf b = {};
	size_t n;

	if (v->type == JSON_ARRAY || v->type == JSON_OBJECT) {
		(void)snprintf(out, SHOWN_BYTES, "%s",
		    json_type_name((enum json_type)v->type));
		return;
	}
	json_write(&b, v); /* which escapes what a terminal might obey */
	n = b.n;
	if (n < SHOWN_BYTES) {
		(void)snprintf(out, SHOWN_BYTES, "%s", buf_c(&b));
		return;
	}
	for (n = SHOWN_BYTES - 5;
	     n > 0 && ((unsigned char)b.p[n] & 0xc0) == 0x80; n--)
		continue;
	(void)snprintf(out, SHOWN_BYTES, "%.*s...\"", (int)n, b.p);
}

static void
finish(struct reader *r, struct policy_problem *one, size_t at)
{
	place(r, at, &one->line, &one->column);
	problem_add(r->problems, one);
}

static void
place(const struct reader *r, size_t at, uint32_t *line, uint32_t *column)
{
	const struct policy_mark *m = r->text.marks;
	uint32_t low = 0, high = r->text.n_marks;

	if (m == NULL) {
		json_place(r->text.given, at, line, column);
		return;
	}
	/* The last mark at or before at; the first has at 0. */
	while (high - low > 1) {
		uint32_t mid = low + (high - low) / 2;

		if (m[mid].at <= at)
			low = mid;
		else
			high = mid;
	}
	*line = m[low].line;
	*column = m[low].column;
}

/* "tools.billing.refund.scopes[2]", and member behind it unless it is "". */
static void
write_path(const struct spot *s, struct str member, char *out, size_t cap)
{
	const struct spot *way[SPOTS_MAX];
	own_buf struct buf b = {};
	uint32_t n = 0;

	for (; s->up != NULL && n < SPOTS_MAX; s = s->up)
		way[n++] = s;
	while (n-- > 0) {
		if (way[n]->key.p == NULL) {
			buf_printf(&b, "[%u]", way[n]->index);
			continue;
		}
		buf_add_c(&b, b.n > 0 ? "." : "");
		buf_add_str(&b, way[n]->key);
	}
	if (member.n > 0) {
		buf_add_c(&b, b.n > 0 ? "." : "");
		buf_add_str(&b, member);
	}
	/* Keys are a stranger's: nothing that a terminal obeys. */
	for (size_t i = 0; i < b.n; i++) {
		if ((unsigned char)b.p[i] < 0x20 || b.p[i] == 0x7f)
			b.p[i] = '?';
	}
	(void)snprintf(out, cap, "%s", buf_c(&b));
}

static int
compare(const struct policy_problem *a, const struct policy_problem *b)
{
	int r;

	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	if (a->column != b->column)
		return a->column < b->column ? -1 : 1;
	r = strcmp(a->path, b->path);
	return r != 0 ? r : strcmp(a->text, b->text);
}

uint32_t
policy_problems_kept(const struct policy_problems *list)
{
	const uint32_t most = sizeof(list->item) / sizeof(list->item[0]);

	return list->n < most ? list->n : most;
}
