#include "broker/egress.h"

#include "broker/record.h"
#include "broker/run.h"
#include "codec/json.h"

void
on_egress_ask(const struct msg_egress_ask *m, struct str payload)
{
	own_arena struct arena a = {};
	own_buf struct buf body = {};
	own_buf struct buf out = {};
	own_buf struct buf shown = {};
	struct run *r = run_find(m->run);
	struct err e = {};
	const struct json *asked = json_parse(payload, NULL, &a, &e, NULL);
	struct msg_egress_verdict v = {
		.run = m->run,
		.ask = m->ask,
		.verdict = EGRESS_DENY,
		.rule = UINT32_MAX,
		.status = 403,
	};

	if (json_is(asked, JSON_OBJECT))
		json_write(&shown, asked);
	else
		buf_add_c(&shown, "{}");
	buf_add_c(&body, "{\"error\":\"policy_denied\",\"host\":");
	json_put_str(&body, json_str(json_get(asked, STR("host"))));
	buf_add_c(&body, ",\"method\":");
	json_put_str(&body, json_str(json_get(asked, STR("method"))));
	buf_add_c(&body, ",\"path\":");
	json_put_str(&body, json_str(json_get(asked, STR("path"))));
	buf_add_c(&body,
	    ",\"rule_missing\":\"egress.default is deny\","
	    "\"suggested_next_step\":\"Work without this host, or ask an "
	    "operator to provide the data through a tool.\"}");
	buf_add_c(&out, "{\"answer\":{\"body\":");
	json_put_str(&out, buf_str(&body));
	buf_add_c(&out,
	    ",\"headers\":{\"content-type\":\"application/json\"},"
	    "\"status\":403}}");
	if (r != NULL && r->state != RUN_CLOSED) {
		struct event ev = record_of(r, EVENT_EGRESS_DECISION);

		ev.step = ++r->steps;
		ev.verdict = STR("block");
		ev.action = STR("blocked");
		ev.rule = STR("egress.default");
		ev.code = STR("egress_denied");
		ev.body = buf_str(&shown);
		(void)record_add(&ev); /* the answer is no either way */
	}
	(void)peer_send(&broker.proxy, MSG_EGRESS_VERDICT, &v, buf_str(&out),
	    NULL, 0); /* a proxy that is gone has hung up on the agent */
}

/* Nothing is allowed, so nothing ends. */
void
on_egress_done(const struct msg_egress_done *m, struct str payload)
{
	(void)m;
	(void)payload;
}
