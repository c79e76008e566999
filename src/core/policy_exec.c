/*
 * "exec" of a tool: the command that its calls are, in the run's own sandbox.
 *
 *     "exec": { "command": ["/usr/bin/grep", "-rn", "-e", {"arg": "pattern",
 *                           "dash": true}, "--", {"arg": "folder"}],
 *               "description": "Searches the work folder.", "good": [0, 1] }
 */
#include <string.h>

#include "base/limits.h"
#include "base/place.h"
#include "core/command.h"
#include "core/policy_int.h"

static const char *const none[] = { NULL };

static void parse_command(struct reader *r, const struct spot *exec,
    const struct json *properties, struct command_tool *out);
static void parse_word(struct reader *r, const struct spot *s,
    const struct json *properties, struct command_word *out);
static void check_program(
    struct reader *r, const struct spot *s, struct str program);
static void check_arg(struct reader *r, const struct spot *s,
    const struct json *properties, struct str arg);
static void parse_good(
    struct reader *r, const struct spot *exec, struct command_tool *out);

void
policy_parse_exec(
    struct reader *r, const struct spot *tool, struct policy_tool *t)
{
	static const char *const known[] = { "command", "description", "cwd",
		"env", "stdin", "output", "output_bytes", "good", NULL };
	static const char *const outputs[] = { "text", "json", NULL };
	const struct json *properties =
	    json_at(tool->v, "args", "properties", NULL);
	uint64_t output_bytes = COMMAND_TOOL_OUTPUT_BYTES;
	struct command_tool *c;
	struct list env = {};
	uint32_t output = 0;
	struct spot s, at;

	if (!read_member(tool, "exec", &s) || !read_object(r, &s))
		return;
	c = arena_alloc(&r->p->arena, sizeof(*c));
	if (c == NULL)
		return;
	*c = (struct command_tool){};
	read_known(r, &s, known, none, NOT_YET);
	if (str_find(t->name, '*') < t->name.n)
		problem(
		    r, &s, "is one tool; write a row for it by its full name");
	if (read_member(tool, "pin", &at))
		problem(r, &at,
		    "is of a tool server's tools; this one stands here whole");
	parse_command(r, &s, properties, c);
	(void)read_text(r, &s, "description", &c->description);
	(void)policy_read_env(r, &s, &env);
	c->env = env.p;
	c->n_env = env.n;
	if (read_entry(r, &s, "cwd", ENTRY_FOLDER, &c->cwd) &&
	    c->cwd.p[0] != '/' && read_member(&s, "cwd", &at))
		problem(r, &at, "must be an absolute path inside the sandbox");
	if (read_entry(r, &s, "stdin", ENTRY_ARGUMENT, &c->stdin_arg) &&
	    read_member(&s, "stdin", &at))
		check_arg(r, &at, properties, c->stdin_arg);
	(void)read_word(r, &s, "output", outputs, &output);
	c->json = output == 1;
	(void)read_whole(r, &s, "output_bytes",
	    (struct range){ 1, COMMAND_TOOL_OUTPUT_MAX_BYTES, "bytes" },
	    &output_bytes);
	c->output_bytes = (uint32_t)output_bytes;
	parse_good(r, &s, c);
	t->exec = c;
}

static void
parse_command(struct reader *r, const struct spot *exec,
    const struct json *properties, struct command_tool *out)
{
	struct command_word *words;
	struct spot s;

	if (!read_member(exec, "command", &s)) {
		read_missing(r, exec, "command",
		    "the program's path and its words, such as "
		    "[\"/usr/bin/wc\", \"-l\", {\"arg\": \"file\"}]");
		return;
	}
	if (!read_array(r, &s))
		return;
	if (s.v->n < 1 || s.v->n > SERVER_ARGV_MAX) {
		problem(r, &s, "has %u words, not 1 to %d", s.v->n,
		    SERVER_ARGV_MAX);
		return;
	}
	words = arena_alloc(&r->p->arena, s.v->n * sizeof(*words));
	if (words == NULL)
		return;
	out->words = words;
	for (const struct json *x = json_first(s.v); x != NULL;
	     x = json_next(s.v, x)) {
		struct spot entry = { .up = &s, .v = x, .index = out->n_words };

		words[out->n_words] = (struct command_word){};
		if (out->n_words == 0)
			check_program(r, &entry, json_str(x));
		parse_word(r, &entry, properties, &words[out->n_words++]);
	}
}

static void
parse_word(struct reader *r, const struct spot *s,
    const struct json *properties, struct command_word *out)
{
	static const char *const known[] = { "arg", "before", "flag", "dash",
		NULL };
	struct spot at;

	if (json_is(s->v, JSON_STRING)) {
		out->text = json_str(s->v);
		if (!policy_word_ok(out->text))
			problem(r, s,
			    "must be a text without NUL of less than %d bytes",
			    SERVER_WORD_BYTES);
		return;
	}
	if (!json_is(s->v, JSON_OBJECT)) {
		problem(r, s,
		    "must be a text, or {\"arg\": NAME} for an argument's "
		    "value");
		return;
	}
	read_known(r, s, known, none, NOT_YET);
	if (!read_entry(r, s, "arg", ENTRY_ARGUMENT, &out->arg)) {
		if (json_get(s->v, STR("arg")) == NULL)
			read_missing(r, s, "arg", "whose value the word is");
		return;
	}
	(void)read_member(s, "arg", &at);
	check_arg(r, &at, properties, out->arg);
	(void)read_text(r, s, "before", &out->text);
	(void)read_bool(r, s, "dash", &out->dash);
	if (!read_member(s, "flag", &at))
		return;
	if (json_get(s->v, STR("before")) != NULL ||
	    json_get(s->v, STR("dash")) != NULL)
		problem(r, &at,
		    "is the word where the argument is true: it has neither "
		    "`before` nor `dash`");
	out->flag = read_text(r, s, "flag", &out->text);
}

/* No PATH: what it leads to must not depend on what a sandbox is given. */
static void
check_program(struct reader *r, const struct spot *s, struct str program)
{
	const char *rule = "";

	if (program.n == 0 || program.p[0] != '/' || program.n >= 4096) {
		problem(r, s,
		    "must be the program's absolute path, such as "
		    "\"/usr/bin/grep\"");
		return;
	}
	if (!policy_command_decide(r->p, program, &rule))
		problem(r, s,
		    "%s is against this program, so that no call could be made",
		    rule);
}

/* What no schema describes is nothing that can be put into a command. */
static void
check_arg(struct reader *r, const struct spot *s, const struct json *properties,
    struct str arg)
{
	if (json_get(properties, arg) == NULL)
		problem(r, s,
		    "\"%.*s\" is not described: write it into "
		    "`args`.`properties`, with its type",
		    STR_FMT(arg));
}

static void
parse_good(struct reader *r, const struct spot *exec, struct command_tool *out)
{
	struct spot list;

	if (!read_member(exec, "good", &list)) {
		out->good[0] = 1;
		return;
	}
	if (!read_array(r, &list))
		return;
	for (const struct json *x = json_first(list.v); x != NULL;
	     x = json_next(list.v, x)) {
		uint64_t v;

		if (json_u64(x, &v) < 0 || v > UINT8_MAX) {
			problem(
			    r, &list, "holds what is no exit status, 0 to 255");
			return;
		}
		out->good[v / 64] |= UINT64_C(1) << (v % 64);
	}
}
