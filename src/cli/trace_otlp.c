/*
 * A run as OTLP/JSON. A span is written when its last record has passed: of a
 * call that is still open at the end, with what is known.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cli/trace_formats.h"
#include "codec/json.h"
#include "core/event.h"
#include "core/id.h"
#include "sys/fd.h"

enum {
	WRITE_BYTES = 64 * 1024,
	NS_PER_US = 1000,
	/* enum SpanKind and enum StatusCode of trace.proto */
	SPAN_INTERNAL = 1,
	SPAN_CLIENT = 3,
	STATUS_UNSET = 0,
	STATUS_ERROR = 2,
	/* Steps that overlap: more than a run has connections. */
	STEPS_OPEN = 2 * HTTP_MAX_CONNECTIONS_PER_RUN,
};

/* One step until it has ended. */
struct step {
	uint32_t number; /* 0: free */
	bool egress;
	int64_t from_ns, decided_ns, last_ns;
	struct buf name; /* of the tool, or the method */
	struct buf attributes, events, guard; /* JSON, a comma behind each */
	struct buf error;
};

struct otlp {
	struct trace *t;
	int fd;
	bool content, any, failed;
	char trace[33], root[17];
	struct store_run run; /* without its texts */
	struct buf workflow, head, problem;
	int64_t last_ns;
	struct step step[STEPS_OPEN];
	struct arena memory;
	struct buf out;
	struct trace_written *sums;
	struct err *e;
};

static bool on_run(void *arg, const struct store_run *r);
static bool on_record(void *arg, const struct store_row *row);
static void take_call(struct otlp *o, struct step *s,
    const struct store_row *row, const struct json *j);
static void take_egress(
    struct step *s, const struct store_row *row, const struct json *j);
static void take_event(
    struct step *s, const struct store_row *row, const struct json *j);
static struct step *step_of(struct otlp *o, const struct store_row *row);
static void end_step(struct otlp *o, struct step *s);
static void put_span(struct otlp *o, const char *id, const char *parent,
    const char *verb, struct str what, int kind, int64_t from_ns, int64_t to_ns,
    const struct buf *attributes, const struct buf *events, struct str error);
static void put_root(struct otlp *o);
static void span_id(
    const struct otlp *o, uint32_t step, char part, char out[static 17]);
static void attribute(struct buf *b, const char *key, struct str value);
static void attribute_int(struct buf *b, const char *key, uint64_t value);
static void attribute_blob(
    struct otlp *o, struct buf *b, const char *key, const struct json *ref);
static void put_list(struct buf *out, const char *name, const struct buf *list);
static int flush(struct otlp *o);
static void step_fini(struct step *s);

int
trace_otlp(struct trace *t, uint64_t run, bool content, int fd,
    struct trace_written *sums, struct err *e)
{
	static struct otlp o; /* large, and one at a time */
	struct hash h;
	char id[ID_BYTES], hex[HASH_HEX_BYTES];
	int status;

	*sums = (struct trace_written){};
	o = (struct otlp){
		.t = t, .fd = fd, .content = content, .sums = sums, .e = e
	};
	id_text('r', run, id);
	h = hash_of(id, strlen(id));
	hash_hex(&h, hex);
	(void)str_copy((struct str){ hex, 32 }, o.trace, sizeof(o.trace));
	span_id(&o, 0, 'r', o.root);
	buf_add_c(
	    &o.out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
	attribute(&o.head, "service.name", STR("paddock"));
	attribute(&o.head, "service.version", STR(PADDOCK_VERSION));
	buf_add(&o.out, o.head.p, o.head.n - 1);
	buf_reset(&o.head);
	buf_add_c(&o.out,
	    "]},\"scopeSpans\":[{\"schemaUrl\":\"" TRACE_SEMCONV
	    "\",\"scope\":{\"name\":\"paddock\"},\"spans\":[");
	status = store_runs(t->store, run, false, 1, on_run, &o, e);
	if (status == 0)
		status = store_events(t->store, run, 0, 0, on_record, &o, e);
	for (size_t i = 0; i < STEPS_OPEN; i++) {
		if (status == 0 && !o.failed && o.step[i].number != 0)
			end_step(&o, &o.step[i]);
		step_fini(&o.step[i]);
	}
	if (status == 0 && !o.failed) {
		put_root(&o);
		buf_add_c(&o.out, "]}]}]}\n");
		status = flush(&o);
	}
	arena_fini(&o.memory);
	buf_fini(&o.out);
	buf_fini(&o.workflow);
	buf_fini(&o.head);
	buf_fini(&o.problem);
	return status < 0 || o.failed ? -1 : 0;
}

static bool
on_run(void *arg, const struct store_run *r)
{
	struct otlp *o = arg;
	char id[ID_BYTES], policy[HASH_HEX_BYTES];

	o->sums->open = r->closed_ns == 0;
	o->run.opened_ns = r->opened_ns;
	o->run.closed_ns = r->closed_ns;
	o->last_ns = r->opened_ns;
	id_text('r', r->id, id);
	hash_hex(&r->policy, policy);
	buf_add_str(&o->workflow, r->workflow);
	attribute(&o->head, "gen_ai.operation.name", STR("invoke_workflow"));
	attribute(&o->head, "gen_ai.workflow.name", r->workflow);
	attribute(&o->head, "gen_ai.conversation.id", str_of(id));
	attribute(&o->head, "paddock.tenant", r->tenant);
	attribute(&o->head, "paddock.actor", r->actor);
	attribute(&o->head, "paddock.policy.version", str_of(policy));
	attribute_int(&o->head, "paddock.stage", r->stage);
	attribute(&o->head, "paddock.status", r->status);
	if (!str_eq(r->status, STR("open")) &&
	    !str_eq(r->status, STR("closed")))
		buf_add_str(&o->problem,
		    r->stop_reason.n > 0 ? r->stop_reason : r->status);
	return false;
}

static bool
on_record(void *arg, const struct store_row *row)
{
	struct otlp *o = arg;
	const struct json *j;
	struct step *s;

	o->sums->records++;
	o->last_ns = row->t_ns > o->last_ns ? row->t_ns : o->last_ns;
	if (row->step == 0)
		return true;
	arena_reset(&o->memory);
	j = json_parse(row->body, NULL, &o->memory, o->e, NULL);
	s = j != NULL ? step_of(o, row) : NULL;
	if (s == NULL) {
		if (j == NULL)
			(void)err_add(o->e, "record %" PRIu64, row->seq);
		o->failed = true;
		return false;
	}
	s->last_ns = row->t_ns;
	if (row->kind == EVENT_TOOL_PROPOSED ||
	    row->kind == EVENT_POLICY_DECISION ||
	    row->kind == EVENT_TOOL_FINISHED)
		take_call(o, s, row, j);
	else if (row->kind == EVENT_EGRESS_DECISION ||
	    row->kind == EVENT_EGRESS_DONE)
		take_egress(s, row, j);
	else
		take_event(s, row, j);
	if (row->kind == EVENT_TOOL_FINISHED || row->kind == EVENT_EGRESS_DONE)
		end_step(o, s);
	return !o->failed;
}

static void
take_call(struct otlp *o, struct step *s, const struct store_row *row,
    const struct json *j)
{
	const struct json *dec = json_get(j, STR("dec"));
	const struct json *res = json_get(j, STR("res"));
	struct str status = json_str(json_get(res, STR("status")));
	char id[ID_BYTES], call[ID_BYTES + 16];

	if (row->kind == EVENT_TOOL_PROPOSED) {
		id_text('r', row->run, id);
		(void)snprintf(
		    call, sizeof(call), "%s/%" PRIu32, id, row->step);
		buf_add_str(&s->name, row->tool);
		attribute(&s->attributes, "gen_ai.operation.name",
		    STR("execute_tool"));
		attribute(&s->attributes, "gen_ai.tool.name", row->tool);
		attribute(&s->attributes, "gen_ai.tool.type", STR("function"));
		attribute(&s->attributes, "gen_ai.tool.call.id", str_of(call));
		attribute(&s->attributes, "paddock.tier",
		    json_str(json_at(j, "tool", "tier", NULL)));
		if (o->content)
			attribute_blob(o, &s->attributes,
			    "gen_ai.tool.call.arguments",
			    json_at(j, "tool", "args", NULL));
		return;
	}
	if (row->kind == EVENT_POLICY_DECISION) {
		s->decided_ns = row->t_ns;
		buf_reset(&s->guard);
		attribute(
		    &s->guard, "gen_ai.operation.name", STR("run_guardrail"));
		attribute(&s->guard, "paddock.verdict",
		    json_str(json_get(dec, STR("verdict"))));
		attribute(&s->guard, "paddock.action",
		    json_str(json_get(dec, STR("action"))));
		attribute(&s->guard, "paddock.rule",
		    json_str(json_get(dec, STR("rule"))));
		attribute(&s->guard, "paddock.reason",
		    json_str(json_get(dec, STR("reason"))));
		if (str_eq(json_str(json_get(dec, STR("verdict"))),
			STR("block"))) {
			buf_reset(&s->error);
			buf_add_c(&s->error, "blocked");
		}
		return;
	}
	attribute(&s->attributes, "paddock.status", status);
	attribute(&s->attributes, "paddock.effect",
	    json_str(json_get(res, STR("effect"))));
	if (!str_eq(status, STR("ok")) && !str_eq(status, STR("simulated"))) {
		buf_reset(&s->error);
		buf_add_str(&s->error, status);
	}
	if (o->content)
		attribute_blob(o, &s->attributes, "gen_ai.tool.call.result",
		    json_get(res, STR("out")));
}

static void
take_egress(struct step *s, const struct store_row *row, const struct json *j)
{
	const struct json *body = json_get(j, STR("body"));
	uint64_t n;

	s->egress = true;
	if (row->kind == EVENT_EGRESS_DONE) {
		if (json_u64(json_get(body, STR("status")), &n) == 0)
			attribute_int(
			    &s->attributes, "http.response.status_code", n);
		return;
	}
	buf_reset(&s->name);
	buf_add_str(&s->name, json_str(json_get(body, STR("method"))));
	if (s->name.n == 0)
		buf_add_str(&s->name, json_str(json_get(body, STR("proto"))));
	attribute(&s->attributes, "http.request.method",
	    json_str(json_get(body, STR("method"))));
	attribute(&s->attributes, "server.address",
	    json_str(json_get(body, STR("host"))));
	if (json_u64(json_get(body, STR("port")), &n) == 0)
		attribute_int(&s->attributes, "server.port", n);
	attribute(
	    &s->attributes, "url.full", json_str(json_get(body, STR("url"))));
	attribute(&s->attributes, "paddock.verdict",
	    json_str(json_at(j, "dec", "verdict", NULL)));
	attribute(&s->attributes, "paddock.rule",
	    json_str(json_at(j, "dec", "rule", NULL)));
	if (str_eq(json_str(json_at(j, "dec", "verdict", NULL)), STR("block")))
		buf_add_c(&s->error, "blocked");
}

static void
take_event(struct step *s, const struct store_row *row, const struct json *j)
{
	own_buf struct buf list = {};

	attribute(
	    &list, "paddock.by", json_str(json_at(j, "body", "by", NULL)));
	attribute(&list, "paddock.verdict",
	    json_str(json_at(j, "body", "verdict", NULL)));
	attribute(
	    &list, "paddock.note", json_str(json_at(j, "body", "note", NULL)));
	buf_printf(&s->events,
	    "{\"timeUnixNano\":\"%" PRId64 "\",\"name\":\"%s\"", row->t_ns,
	    event_kind_name(row->kind));
	put_list(&s->events, "attributes", &list);
	buf_add_c(&s->events, "},");
}

/* Of a step that has none yet a new one; the oldest makes room. */
static struct step *
step_of(struct otlp *o, const struct store_row *row)
{
	struct step *found = NULL, *oldest = &o->step[0];

	for (size_t i = 0; i < STEPS_OPEN; i++) {
		struct step *s = &o->step[i];

		if (s->number == row->step)
			return s;
		if (s->number == 0 && found == NULL)
			found = s;
		if (s->number < oldest->number)
			oldest = s;
	}
	if (found == NULL) {
		end_step(o, oldest);
		found = oldest;
	}
	*found = (struct step){ .number = row->step, .from_ns = row->t_ns };
	return found;
}

static void
end_step(struct otlp *o, struct step *s)
{
	char id[17], guard[17];

	span_id(o, s->number, 's', id);
	if (s->name.n > 0)
		put_span(o, id, o->root, s->egress ? "" : "execute_tool ",
		    buf_str(&s->name), s->egress ? SPAN_CLIENT : SPAN_INTERNAL,
		    s->from_ns, s->last_ns, &s->attributes, &s->events,
		    buf_str(&s->error));
	if (s->decided_ns != 0) {
		span_id(o, s->number, 'g', guard);
		put_span(o, guard, id, "run_guardrail ", STR("policy"),
		    SPAN_INTERNAL, s->from_ns, s->decided_ns, &s->guard, NULL,
		    STR(""));
	}
	step_fini(s);
	if (o->out.n >= WRITE_BYTES && flush(o) < 0)
		o->failed = true;
}

static void
put_root(struct otlp *o)
{
	put_span(o, o->root, NULL, "invoke_workflow ", buf_str(&o->workflow),
	    SPAN_INTERNAL, o->run.opened_ns,
	    o->run.closed_ns != 0 ? o->run.closed_ns : o->last_ns, &o->head,
	    NULL, buf_str(&o->problem));
}

static void
put_span(struct otlp *o, const char *id, const char *parent, const char *verb,
    struct str what, int kind, int64_t from_ns, int64_t to_ns,
    const struct buf *attributes, const struct buf *events, struct str error)
{
	own_buf struct buf name = {}, all = {};
	struct buf *out = &o->out;

	buf_add_c(&name, verb);
	buf_add_str(&name, what);
	buf_add_str(&all, buf_str(attributes));
	attribute(&all, "error.type", error);
	buf_printf(out, "%s{\"traceId\":\"%s\",\"spanId\":\"%s\",",
	    o->any ? "," : "", o->trace, id);
	o->any = true;
	if (parent != NULL)
		buf_printf(out, "\"parentSpanId\":\"%s\",", parent);
	buf_add_c(out, "\"name\":");
	json_put_str(out, buf_str(&name));
	buf_printf(out,
	    ",\"kind\":%d,\"startTimeUnixNano\":\"%" PRId64
	    "\",\"endTimeUnixNano\":\"%" PRId64 "\"",
	    kind, from_ns, to_ns > from_ns ? to_ns : from_ns);
	put_list(out, "attributes", &all);
	if (events != NULL && events->n > 0)
		put_list(out, "events", events);
	buf_printf(out, ",\"status\":{\"code\":%d",
	    error.n > 0 ? STATUS_ERROR : STATUS_UNSET);
	if (error.n > 0) {
		buf_add_c(out, ",\"message\":");
		json_put_str(out, error);
	}
	buf_add_c(out, "}}");
}

/* The same for the same step, whenever it is exported. */
static void
span_id(const struct otlp *o, uint32_t step, char part, char out[static 17])
{
	char text[64], hex[HASH_HEX_BYTES];
	int n = snprintf(
	    text, sizeof(text), "%s/%" PRIu32 "%c", o->trace, step, part);
	struct hash h = hash_of(text, (size_t)n);

	hash_hex(&h, hex);
	(void)str_copy((struct str){ hex, 16 }, out, 17);
}

static void
attribute(struct buf *b, const char *key, struct str value)
{
	if (value.n == 0)
		return;
	buf_printf(b, "{\"key\":\"%s\",\"value\":{\"stringValue\":", key);
	json_put_str(b, value);
	buf_add_c(b, "}},");
}

static void
attribute_int(struct buf *b, const char *key, uint64_t value)
{
	/* 64-bit numbers are texts in the JSON of protocol buffers. */
	buf_printf(b,
	    "{\"key\":\"%s\",\"value\":{\"intValue\":\"%" PRIu64 "\"}},", key,
	    value);
}

static void
attribute_blob(
    struct otlp *o, struct buf *b, const char *key, const struct json *ref)
{
	own_buf struct buf text = {};
	struct err ignored;
	struct hash h;

	if (hash_from_hex(json_str(json_get(ref, STR("h"))), &h) == 0 &&
	    store_blob(o->t->store, &h, &text, &ignored) == 0)
		attribute(b, key, buf_str(&text));
}

/* The list has a comma behind each entry. */
static void
put_list(struct buf *out, const char *name, const struct buf *list)
{
	buf_printf(out, ",\"%s\":[", name);
	buf_add(out, list->p, list->n > 0 ? list->n - 1 : 0);
	buf_add_byte(out, ']');
}

static int
flush(struct otlp *o)
{
	if (o->out.failed)
		return err_set(o->e, "a span is too large");
	if (fd_write_all(o->fd, buf_str(&o->out).p, o->out.n, o->e) < 0)
		return -1;
	o->sums->bytes += o->out.n;
	buf_reset(&o->out);
	return 0;
}

static void
step_fini(struct step *s)
{
	buf_fini(&s->name);
	buf_fini(&s->attributes);
	buf_fini(&s->events);
	buf_fini(&s->guard);
	buf_fini(&s->error);
	*s = (struct step){};
}
