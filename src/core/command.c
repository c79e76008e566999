#include "core/command.h"

#include "base/limits.h"

static const char *value_fault(
    const struct command_word *w, const struct json *v);
static struct str scalar(const struct json *v, struct buf *number);
static bool is_left_out(const struct json *v);
static bool is_scalar(const struct json *v);
static void put_word(struct buf *out, struct str before, struct str value);
static void put_words(
    struct buf *out, const struct command_word *w, const struct json *args);
static void put_env(struct buf *out, const struct command_tool *c);

struct command_fault
command_check(const struct command_tool *c, const struct json *args)
{
	const struct json *in = json_get(args, c->stdin_arg);
	uint64_t words = 0, bytes = 0;

	for (uint32_t i = 0; i < c->n_words; i++) {
		const struct command_word *w = &c->words[i];
		const struct json *v = json_get(args, w->arg);
		const char *fault;

		if (w->arg.n == 0 || is_left_out(v))
			continue;
		fault = value_fault(w, v);
		if (fault != NULL)
			return (struct command_fault){ w->arg, fault };
		words += json_is(v, JSON_ARRAY) ? v->n : 1;
		if (!json_is(v, JSON_ARRAY))
			bytes += w->text.n + json_str(v).n;
		for (const struct json *x =
			 json_is(v, JSON_ARRAY) ? json_first(v) : NULL;
		     x != NULL; x = json_next(v, x))
			bytes += w->text.n + json_str(x).n;
		if (words > COMMAND_TOOL_WORDS_MAX)
			return (struct command_fault){ w->arg,
				"makes too many words of a command" };
		if (bytes > COMMAND_TOOL_BYTES_MAX)
			return (struct command_fault){ w->arg,
				"makes a command of over 32 KiB" };
	}
	if (json_str(in).n > EXEC_STDIN_BYTES)
		return (struct command_fault){ c->stdin_arg,
			"is over 256 KiB, the most that a command can be given "
			"to read" };
	return (struct command_fault){};
}

void
command_write(
    struct buf *out, const struct command_tool *c, const struct json *args)
{
	const struct json *in = json_get(args, c->stdin_arg);

	buf_add_c(out, "{\"argv\":[");
	for (uint32_t i = 0; i < c->n_words; i++) {
		if (c->words[i].arg.n == 0)
			put_word(out, c->words[i].text, STR(""));
		else
			put_words(out, &c->words[i], args);
	}
	buf_add_c(out, "],\"cwd\":");
	json_put_str(out, c->cwd);
	buf_add_c(out, ",\"env\":");
	put_env(out, c);
	buf_add_c(out, ",\"stdin\":");
	if (json_is(in, JSON_STRING) || is_left_out(in)) {
		json_put_str(out, json_str(in));
	} else {
		own_buf struct buf text = {};

		json_write(&text, in);
		json_put_str(out, buf_str(&text));
	}
	buf_add_byte(out, '}');
}

bool
command_is_good(const struct command_tool *c, uint64_t exit_status)
{
	return exit_status < 256 &&
	    (c->good[exit_status / 64] >> (exit_status % 64) & 1) != 0;
}

/* NULL when it can be a word, or words. */
static const char *
value_fault(const struct command_word *w, const struct json *v)
{
	const struct json *x = json_is(v, JSON_ARRAY) ? json_first(v) : v;

	if (w->flag)
		return json_is(v, JSON_TRUE) || json_is(v, JSON_FALSE)
		    ? NULL
		    : "must be true or false";
	while (x != NULL) {
		own_buf struct buf number = {};
		struct str s;

		if (!is_scalar(x))
			return "must be a text, a number, true or false, or a "
			       "list of them";
		s = scalar(x, &number);
		if (str_find(s, '\0') < s.n)
			return "holds a NUL, which no command can be given";
		if (!w->dash && w->text.n == 0 && s.n > 0 && s.p[0] == '-')
			return "begins with '-', and could be read as an "
			       "option";
		x = json_is(v, JSON_ARRAY) ? json_next(v, x) : NULL;
	}
	return NULL;
}

/* number is where one is written to. */
static struct str
scalar(const struct json *v, struct buf *number)
{
	if (json_is(v, JSON_STRING))
		return json_str(v);
	json_write(number, v);
	return buf_str(number);
}

static bool
is_left_out(const struct json *v)
{
	return v == NULL || json_is(v, JSON_NULL);
}

static bool
is_scalar(const struct json *v)
{
	return json_is(v, JSON_STRING) || json_is(v, JSON_NUMBER) ||
	    json_is(v, JSON_TRUE) || json_is(v, JSON_FALSE);
}

static void
put_word(struct buf *out, struct str before, struct str value)
{
	own_buf struct buf word = {};

	buf_add_str(&word, before);
	buf_add_str(&word, value);
	if (out->n > 0 && out->p[out->n - 1] != '[')
		buf_add_byte(out, ',');
	json_put_str(out, buf_str(&word));
}

static void
put_words(
    struct buf *out, const struct command_word *w, const struct json *args)
{
	const struct json *v = json_get(args, w->arg);
	const struct json *x;

	if (is_left_out(v))
		return;
	if (w->flag) {
		if (json_is(v, JSON_TRUE))
			put_word(out, w->text, STR(""));
		return;
	}
	x = json_is(v, JSON_ARRAY) ? json_first(v) : v;
	while (x != NULL) {
		own_buf struct buf number = {};

		put_word(out, w->text, scalar(x, &number));
		x = json_is(v, JSON_ARRAY) ? json_next(v, x) : NULL;
	}
}

static void
put_env(struct buf *out, const struct command_tool *c)
{
	buf_add_byte(out, '{');
	for (uint32_t i = 0; i < c->n_env; i++) {
		struct str pair = c->env[i];
		size_t n = str_find(pair, '=');

		if (i > 0)
			buf_add_byte(out, ',');
		json_put_str(out, (struct str){ pair.p, n });
		buf_add_byte(out, ':');
		json_put_str(
		    out, (struct str){ pair.p + n + 1, pair.n - n - 1 });
	}
	buf_add_byte(out, '}');
}
