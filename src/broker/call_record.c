#include <string.h>

#include "broker/call_int.h"
#include "broker/record.h"

bool
call_record_proposal(struct run *r, struct str tool,
    const struct policy_tool *row, const struct json *args,
    struct str canonical)
{
	struct event ev = record_of(r, EVENT_TOOL_PROPOSED);
	own_buf struct buf shown = {};

	ev.step = r->steps;
	ev.tool = tool;
	ev.tier = str_of(risk_name(row != NULL ? row->risk : RISK_DESTRUCTIVE));
	ev.args.bytes = canonical;
	if (row != NULL && row->n_redact_args > 0) {
		redact_write(
		    &shown, args, row->redact_args, row->n_redact_args);
		ev.args.bytes = buf_str(&shown);
		ev.args.redacted = !str_eq(ev.args.bytes, canonical);
	}
	return !shown.failed && record_add(&ev) != 0;
}

bool
call_record_decision(
    struct run *r, uint32_t step, struct str tool, const struct verdict *v)
{
	static const char *const actions[VERDICTS] = { "executed", "drafted",
		"simulated", "waiting", "blocked" };
	struct event ev = record_of(r, EVENT_POLICY_DECISION);
	own_buf struct buf body = {}, prov = {};

	if (v->prov.n > 0) {
		prov_write(&prov, &v->prov);
		ev.prov = buf_str(&prov);
	}
	ev.step = step;
	ev.tool = tool;
	ev.tier = str_of(risk_name(v->risk));
	ev.verdict = str_of(verdict_name(v->kind));
	ev.action = strcmp(v->code, "repeated") == 0 ? STR("repeated")
						     : str_of(actions[v->kind]);
	ev.rule = str_of(v->rule);
	ev.code = str_of(v->code);
	ev.reason = v->n_reasons > 0 ? str_of(v->reasons[0]) : STR("");
	buf_add_c(&body, "{\"labels\":");
	labels_write(&body, &r->labels);
	if (v->kind == VERDICT_BLOCK && v->next_step[0] != '\0') {
		buf_add_c(&body, ",\"next_step\":");
		json_put_str(&body, str_of(v->next_step));
	}
	if (v->n_reasons > 1) {
		buf_add_c(&body, ",\"reasons\":[");
		for (uint32_t i = 0; i < v->n_reasons; i++) {
			buf_add_c(&body, i > 0 ? "," : "");
			json_put_str(&body, str_of(v->reasons[i]));
		}
		buf_add_byte(&body, ']');
	}
	buf_printf(&body, ",\"would\":\"%s\"}", verdict_name(v->would));
	ev.body = buf_str(&body);
	return !prov.failed && record_add(&ev) != 0;
}

uint64_t
call_record_start(struct run *r, const struct call *c)
{
	struct event ev = record_of(r, EVENT_TOOL_STARTED);

	ev.step = c->step;
	ev.tool = str_of(c->tool);
	ev.tier = str_of(risk_name(c->risk));
	return record_add(&ev);
}
