/*
 * "capture" of a tool server: which of its tools show what its page looks
 * like, and around which calls they are asked.
 */
#include <string.h>

#include "base/limits.h"
#include "core/policy_int.h"

static const char *const none[] = { NULL };

static void parse_with(
    struct reader *r, const struct spot *s, struct policy_capture *out);
static void parse_tool(struct reader *r, const struct spot *s,
    struct policy_capture *out, uint32_t i);

void
policy_parse_capture(
    struct reader *r, const struct spot *server, struct policy_server *out)
{
	static const char *const known[] = { "with", "of", "before", "after",
		"on_failure", "timeout_ms", NULL };
	static const char *const failures[] = { "refuse", "record", NULL };
	struct policy_capture *c;
	struct list of = {};
	uint64_t timeout_ms = CAPTURE_MS;
	uint32_t failure = 0;
	struct spot s;

	if (!read_member(server, "capture", &s) || !read_object(r, &s))
		return;
	c = arena_alloc(&r->p->arena, sizeof(*c));
	if (c == NULL)
		return;
	*c = (struct policy_capture){ .before = true, .after = true };
	read_known(r, &s, known, none, NOT_YET);
	parse_with(r, &s, c);
	(void)read_list(r, &s, "of", ENTRY_PATTERN, POLICY_LIST_MAX, &of);
	c->of = of.p;
	c->n_of = of.n;
	(void)read_bool(r, &s, "before", &c->before);
	(void)read_bool(r, &s, "after", &c->after);
	if (!c->before && !c->after)
		problem(r, &s,
		    "is to be made neither before nor after a call: remove it");
	(void)read_word(r, &s, "on_failure", failures, &failure);
	c->record_only = failure == 1;
	(void)read_whole(r, &s, "timeout_ms",
	    (struct range){ 1, CAPTURE_MAX_MS, "milliseconds" }, &timeout_ms);
	c->timeout_ms = (uint32_t)timeout_ms;
	out->capture = c;
}

bool
policy_captures(
    const struct policy_capture *c, struct str own_name, enum risk risk)
{
	if (c == NULL)
		return false;
	for (uint32_t i = 0; i < c->n_of; i++) {
		if (str_glob(c->of[i], own_name))
			return true;
	}
	return c->n_of == 0 && risk > RISK_READ;
}

static void
parse_with(struct reader *r, const struct spot *s, struct policy_capture *out)
{
	struct spot with;
	uint32_t n = 0;

	if (!read_member(s, "with", &with)) {
		read_missing(r, s, "with",
		    "the server's tools that show its page, such as "
		    "[\"browser_take_screenshot\", \"browser_snapshot\"]");
		return;
	}
	if (!read_array(r, &with))
		return;
	if (with.v->n < 1 || with.v->n > CAPTURE_TOOLS_MAX) {
		problem(r, &with, "has %u tools, not 1 to %d", with.v->n,
		    CAPTURE_TOOLS_MAX);
		return;
	}
	for (const struct json *x = json_first(with.v); x != NULL;
	     x = json_next(with.v, x), n++) {
		struct spot one = { .up = &with, .v = x, .index = n };

		parse_tool(r, &one, out, n);
	}
	out->n_with = n;
}

/* "name", or {"args":{...},"tool":"name"}. */
static void
parse_tool(struct reader *r, const struct spot *s, struct policy_capture *out,
    uint32_t i)
{
	static const char *const known[] = { "tool", "args", NULL };
	own_buf struct buf text = { .max = CAPTURE_ARGS_BYTES };
	struct spot args;
	const char *kept;

	out->with[i].args = STR("{}");
	if (json_is(s->v, JSON_STRING)) {
		const char *fault = entry_fault(ENTRY_NAME, json_str(s->v));

		out->with[i].tool = json_str(s->v);
		if (fault != NULL)
			problem(r, s, "must be %s", fault);
		return;
	}
	if (!json_is(s->v, JSON_OBJECT)) {
		problem(r, s,
		    "must be the name of one of the server's tools, or "
		    "{\"tool\": its name, \"args\": what it is asked}");
		return;
	}
	read_known(r, s, known, none, NOT_YET);
	if (!read_name(r, s, "tool", &out->with[i].tool) &&
	    json_get(s->v, STR("tool")) == NULL)
		read_missing(r, s, "tool", "the name of the server's tool");
	if (!read_member(s, "args", &args) || !read_object(r, &args))
		return;
	json_write(&text, args.v);
	if (text.failed) {
		problem(r, &args, "is over %d bytes", CAPTURE_ARGS_BYTES);
		return;
	}
	kept = arena_copy(&r->p->arena, buf_str(&text));
	if (kept != NULL)
		out->with[i].args = (struct str){ kept, text.n };
}
