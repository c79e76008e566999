#include "broker/command.h"

#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "broker/call_int.h"
#include "broker/inside.h"
#include "core/command.h"

static void fail(struct call *c, const char *code, struct str error,
    const char *next_step, bool wrote, const char *status);
static void on_late(struct loop_timer *t);
static bool grant(struct run *r, struct call *c, const struct policy_tool *row,
    const struct json *args);
static void on_ended(struct call *c, const struct policy_tool *row,
    const struct json *end, struct str payload);
static void exited_badly(struct buf *out, uint64_t status, struct str payload);
static bool may_see(const struct run *r, const struct policy_tool *row);

bool
command_is(const struct run *r, struct str tool)
{
	const struct policy_tool *row = policy_tool_find(r->policy, tool);

	return row != NULL && row->exec != NULL;
}

bool
commands_any(const struct policy *p)
{
	for (uint32_t i = 0; i < p->n_tools; i++) {
		if (p->tools[i].exec != NULL)
			return true;
	}
	return false;
}

void
command_make(struct run *r, struct call *c, const struct policy_tool *row)
{
	own_arena struct arena a = {};
	own_buf struct buf payload = {};
	struct err e = {};
	const struct json *args =
	    json_parse(buf_str(&c->args), NULL, &a, &e, NULL);
	struct msg_command m = {
		.run = r->id,
		.output_bytes = row->exec->output_bytes,
		.json = row->exec->json,
	};

	must(command_check(row->exec, args).text == NULL); /* decided so */
	command_write(&payload, row->exec, args);
	if (r->rpc_fd < 0 || !grant(r, c, row, args)) {
		c->not_begun = true;
		fail(c, "not_started",
		    STR("The command was not started: the sandbox is not "
			"there, or as much is under way in it as may be."),
		    "Try again in a moment.", false, "error");
		return;
	}
	call_await(c, row->timeout_ms, on_late);
	m.call = c->number;
	m.grant = c->command;
	(void)peer_send(&broker.gateway, MSG_COMMAND, &m, buf_str(&payload),
	    NULL, 0); /* a gateway that is gone ends it */
}

void
on_command_end(const struct msg_command_end *m, struct str payload)
{
	struct call *c = call_take(m->call);
	own_arena struct arena a = {};
	struct err e = {};
	const struct policy_tool *row;
	const struct json *end;
	const struct run *r;
	own_buf struct buf text = {};

	if (c == NULL)
		return; /* timed out, and answered then */
	r = run_find(c->run);
	must(r != NULL); /* open calls keep their run */
	row = policy_tool_find(r->policy, str_of(c->tool));
	a.max_bytes = WORLD_MAX_PARSE_BYTES;
	end = json_parse(payload, NULL, &a, &e, NULL);
	if (m->kind == COMMAND_NOT_BEGUN) {
		c->not_begun = true;
		buf_add_c(&text, "The command was not started: ");
		buf_add_str(&text, json_str(json_get(end, STR("why"))));
		buf_add_byte(&text, '.');
		fail(c, "not_started", buf_str(&text),
		    "An operator can look at the policy's `exec` of the tool.",
		    false, "error");
	} else if (c->cancelled) {
		fail(c, "cancelled",
		    STR("Nobody wanted the command any more, and it was ended; "
			"it is not known what it had done."),
		    "Read the state of things before trying again.", true,
		    "unknown");
	} else if (m->kind == COMMAND_TOO_MUCH) {
		fail(c, "output_limit",
		    STR("The command printed more than it may, and was ended; "
			"it is not known what it had done."),
		    "Ask for less.", true, "error");
	} else if (m->kind == COMMAND_NO_JSON &&
	    json_get(end, STR("signal")) == NULL) {
		fail(c, "bad_answer",
		    STR("The command ended, and what it printed is not the "
			"JSON that it has to be."),
		    "An operator has to look at the tool.", true, "error");
	} else {
		on_ended(c, row, end, payload);
	}
}

void
command_stop(const struct call *c)
{
	const struct msg_command m = {
		.run = c->run, .call = c->number, .grant = c->command
	};

	(void)peer_send(&broker.gateway, MSG_COMMAND_KILL, &m, STR(""), NULL,
	    0); /* a new gateway kills what it finds */
}

void
command_cancel(uint64_t asker)
{
	for (struct call *c = call_first_command(NULL); c != NULL;
	     c = call_first_command(c)) {
		if (c->asker != asker)
			continue;
		c->cancelled = true;
		command_stop(c);
	}
}

void
commands_lost(const struct run *r)
{
	struct call *c = call_first_command(NULL);

	while (c != NULL) {
		struct call *next = call_first_command(c);

		if (r == NULL || c->run == r->id) {
			must(call_take(c->number) == c);
			fail(c, "unknown",
			    STR("The command's end was not seen; it is not "
				"known what it had done."),
			    "Read the state of things before trying again.",
			    true, "unknown");
		}
		c = next;
	}
}

void
commands_write_tools(struct buf *out, const struct run *r)
{
	for (uint32_t i = 0; i < r->policy->n_tools; i++) {
		const struct policy_tool *row = &r->policy->tools[i];
		const struct json *schema = NULL;

		if (row->exec == NULL || !may_see(r, row))
			continue;
		/* Of several parts the first that says it: all are checked. */
		for (uint32_t k = 0; schema == NULL && k < row->n_rows; k++)
			schema = json_get(row->rows[k]->json, STR("args"));
		if (row->n_rows == 0)
			schema = json_get(row->json, STR("args"));
		buf_add_c(out, ",{\"description\":");
		json_put_str(out, row->exec->description);
		buf_add_c(out, ",\"inputSchema\":");
		if (json_is(schema, JSON_OBJECT) &&
		    json_get(schema, STR("type")) != NULL)
			json_write(out, schema);
		else
			buf_add_c(out, "{\"type\":\"object\"}");
		buf_add_c(out, ",\"name\":");
		json_put_str(out, row->name);
		buf_add_byte(out, '}');
	}
}

static void
on_late(struct loop_timer *t)
{
	struct call *c = LOOP_OF(t, struct call, timeout);

	must(call_take(c->number) == c);
	command_stop(c);
	fail(c, "timeout",
	    STR("The command did not end in time, and was ended; it is not "
		"known what it had done."),
	    "Read the state of things before trying again.", true, "timeout");
}

/* On the record as it is executed, but for what the policy keeps out of it. */
static bool
grant(struct run *r, struct call *c, const struct policy_tool *row,
    const struct json *args)
{
	own_arena struct arena a = {};
	own_buf struct buf shown = {}, command = {};
	char by[sizeof("tool:") + NAME_MAX_BYTES];
	struct err e = {};

	if (row->n_redact_args > 0) {
		redact_write(
		    &shown, args, row->redact_args, row->n_redact_args);
		args = json_parse(buf_str(&shown), NULL, &a, &e, NULL);
	}
	command_write(&command, row->exec, args);
	(void)snprintf(by, sizeof(by), "tool:%s", c->tool);
	c->command = inside_grant(
	    r, by, json_parse(buf_str(&command), NULL, &a, &e, NULL));
	return c->command != 0;
}

static void
on_ended(struct call *c, const struct policy_tool *row, const struct json *end,
    struct str payload)
{
	own_buf struct buf out = {};
	uint64_t status = UINT64_MAX;
	bool good = json_u64(json_get(end, STR("exit_status")), &status) == 0 &&
	    json_get(end, STR("signal")) == NULL &&
	    command_is_good(row->exec, status);

	if (good)
		buf_add_str(&out, payload);
	else
		exited_badly(&out, status, payload);
	if (call_fault_after(c, good, true, buf_str(&out)))
		return;
	call_finish(c, good ? REPLY_OK : REPLY_TOOL_ERROR, buf_str(&out), true,
	    good ? "ok" : "error");
}

/* Its members stand between those that every error has, in their order. */
static void
exited_badly(struct buf *out, uint64_t status, struct str payload)
{
	buf_printf(out,
	    "{\"code\":\"exit_status\",\"error\":\"The command ended with "
	    "status %llu.\",",
	    (unsigned long long)status);
	buf_add(out, payload.p + 1, payload.n - 2);
	buf_add_c(out, ",\"suggested_next_step\":\"Read what it printed.\"}");
}

static void
fail(struct call *c, const char *code, struct str error, const char *next_step,
    bool wrote, const char *status)
{
	own_buf struct buf out = {};

	buf_add_c(&out, "{\"code\":");
	json_put_str(&out, str_of(code));
	buf_add_c(&out, ",\"error\":");
	json_put_str(&out, error);
	buf_add_c(&out, ",\"suggested_next_step\":");
	json_put_str(&out, str_of(next_step));
	buf_add_byte(&out, '}');
	call_finish(c, REPLY_TOOL_ERROR, buf_str(&out), wrote, status);
}

/* What the policy's rows let nobody of this identity do is not shown. */
static bool
may_see(const struct run *r, const struct policy_tool *row)
{
	static struct verdict v; /* large, and used for one at a time */
	static const struct labels none;
	const struct policy_call pc = { .tool = row->name, .labels = &none };

	if (!r->has_sandbox)
		return false;
	policy_decide(r->policy, &pc, &v);
	return v.kind != VERDICT_BLOCK && v.kind != VERDICT_SIMULATE;
}
