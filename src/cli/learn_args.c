#include "cli/learn_args.h"

#include <math.h>

static void add_member(struct learn_args *l, struct arena *a, struct str name,
    const struct json *v);
static void add_word(struct learn_member *m, struct arena *a, struct str word);
static void write_member(struct buf *out, const struct learn_member *m);

void
learn_args_add(struct learn_args *l, struct arena *a, const struct json *args)
{
	l->n++;
	l->any |= !json_is(args, JSON_OBJECT);
	for (const struct json *k = l->any ? NULL : json_first(args); k != NULL;
	     k = json_next(args, k))
		add_member(l, a, json_str(k), json_value(k));
}

bool
learn_args_write(struct buf *out, const struct learn_args *l)
{
	bool first = true;

	if (l->any || l->n == 0)
		return false;
	buf_add_c(out, "{\"additionalProperties\":false,\"properties\":{");
	for (uint32_t i = 0; i < l->n_members; i++) {
		buf_add_c(out, i > 0 ? "," : "");
		json_put_str(out, l->member[i].name);
		buf_add_byte(out, ':');
		write_member(out, &l->member[i]);
	}
	buf_add_c(out, "},\"required\":[");
	for (uint32_t i = 0; i < l->n_members; i++) {
		if (l->member[i].n < l->n)
			continue;
		buf_add_c(out, first ? "" : ",");
		first = false;
		json_put_str(out, l->member[i].name);
	}
	buf_add_c(out, "],\"type\":\"object\"}");
	return true;
}

static void
add_member(struct learn_args *l, struct arena *a, struct str name,
    const struct json *v)
{
	struct learn_member *m = NULL;
	char *copy;

	for (uint32_t i = 0; i < l->n_members && m == NULL; i++) {
		if (str_eq(l->member[i].name, name))
			m = &l->member[i];
	}
	if (m == NULL) {
		copy = arena_copy(a, name);
		if (l->n_members == LEARN_MEMBERS_MAX || copy == NULL) {
			l->any = true;
			return;
		}
		m = &l->member[l->n_members++];
		*m = (struct learn_member){
			.name = { copy, name.n },
			.least = INFINITY,
			.most = -INFINITY,
			.whole = true,
		};
	}
	m->n++;
	m->types |= 1U << v->type;
	if (json_is(v, JSON_NUMBER)) {
		m->least = fmin(m->least, v->num);
		m->most = fmax(m->most, v->num);
		m->whole &= trunc(v->num) == v->num;
	}
	if (json_is(v, JSON_STRING)) {
		if (v->n > m->longest)
			m->longest = v->n;
		add_word(m, a, json_str(v));
	}
}

static void
add_word(struct learn_member *m, struct arena *a, struct str word)
{
	char *copy;

	for (uint32_t i = 0; i < m->n_words && m->n_words <= LEARN_WORDS_MAX;
	     i++) {
		if (str_eq(m->words[i], word))
			return;
	}
	if (m->n_words >= LEARN_WORDS_MAX) {
		m->n_words = LEARN_WORDS_MAX + 1;
		return;
	}
	copy = arena_copy(a, word);
	if (copy != NULL)
		m->words[m->n_words++] = (struct str){ copy, word.n };
	else
		m->n_words = LEARN_WORDS_MAX + 1;
}

static void
write_member(struct buf *out, const struct learn_member *m)
{
	static const char *const names[] = { "null", "boolean", "boolean",
		"number", "string", "array", "object" };
	const uint32_t text = 1U << JSON_STRING, number = 1U << JSON_NUMBER;
	bool first = true;

	/* The same few again and again are meant to be these. */
	if (m->types == text && m->n_words <= LEARN_WORDS_MAX &&
	    m->n >= 3 * m->n_words) {
		buf_add_c(out, "{\"enum\":[");
		for (uint32_t i = 0; i < m->n_words; i++) {
			buf_add_c(out, i > 0 ? "," : "");
			json_put_str(out, m->words[i]);
		}
		buf_add_c(out, "]}");
		return;
	}
	buf_add_byte(out, '{');
	if ((m->types & number) != 0) {
		buf_add_c(out, "\"maximum\":");
		json_put_num(out, m->most);
	}
	if ((m->types & text) != 0)
		buf_printf(out, "%s\"maxLength\":%zu",
		    (m->types & number) != 0 ? "," : "", m->longest);
	if ((m->types & number) != 0) {
		buf_add_c(out, ",\"minimum\":");
		json_put_num(out, m->least);
	}
	buf_add_c(out,
	    (m->types & (number | text)) != 0 ? ",\"type\":[" : "\"type\":[");
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		/* Two bits are for one name. */
		if ((m->types >> i & 1) == 0 ||
		    (i == JSON_TRUE && (m->types >> JSON_FALSE & 1) != 0))
			continue;
		buf_printf(out, "%s\"%s\"", first ? "" : ",",
		    i == JSON_NUMBER && m->whole ? "integer" : names[i]);
		first = false;
	}
	buf_add_c(out, "]}");
}
