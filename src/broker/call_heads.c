/*
 * Requests that say two things: what their head repeats of their body, so that
 * who stands between can tell one from another without reading it, is not what
 * the body says. None of them is a call; each is on the record.
 */
#include "broker/call_int.h"
#include "broker/record.h"
#include "broker/server.h"
#include "broker/who.h"

static void note(struct run *r, struct str tool, struct str why);

void
on_bad_request(const struct msg_tool_call *m, struct str payload)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *doc = json_parse(payload, NULL, &a, &e, NULL);
	struct caller who;
	struct run *r = call_run_of(m, &who);

	if (r != NULL)
		note(r, STR(""), json_str(json_get(doc, STR("why"))));
}

bool
call_heads_ok(struct run *r, uint64_t asker, struct str tool,
    const struct json *args, const struct json *heads)
{
	own_buf struct buf why = {};

	if (heads == NULL || server_heads_ok(r, tool, args, heads, &why))
		return true;
	note(r, tool, buf_str(&why));
	buf_add_byte(&why, '\0');
	reply_error(asker, 400, "header_mismatch",
	    why.failed ? "a header is not what the body says" : why.p,
	    "List the tools, and send what each argument's x-mcp-header "
	    "names.");
	return false;
}

static void
note(struct run *r, struct str tool, struct str why)
{
	struct event ev = record_of(r, EVENT_NOTE);
	own_buf struct buf body = {};

	if ((r->state != RUN_OPEN && r->state != RUN_OPENING) ||
	    ++r->bad_requests > MCP_BAD_RECORDED_MAX)
		return;
	buf_add_c(&body,
	    "{\"code\":\"header_mismatch\",\"note\":"
	    "\"bad_request\"");
	if (tool.n > 0) {
		buf_add_c(&body, ",\"tool\":");
		json_put_str(&body, tool);
	}
	buf_add_c(&body, ",\"why\":");
	json_put_str(&body, why);
	buf_add_byte(&body, '}');
	ev.body = buf_str(&body);
	(void)record_add(&ev); /* nothing was done */
}
