#include "broker/draft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "broker/approval.h"
#include "broker/record.h"

enum what { CREATE, REQUEST, COMMIT, NOTHING };

static const char *const suffixes[] = { ".create_draft", ".request_approval",
	".commit_approved_draft" };

enum draft_state {
	DRAFT_KEPT,
	DRAFT_ASKED,
	DRAFT_APPROVED,
	DRAFT_REFUSED,
	DRAFT_COMMITTING,
	DRAFT_COMMITTED,
};

struct draft {
	struct draft *next;
	uint64_t id;
	uint64_t was; /* its number in the run that this is a fork of, or 0 */
	char text[ID_BYTES];
	enum draft_state state;
	char tool[NAME_MAX_BYTES]; /* what it becomes a call of */
	struct buf args; /* canonical; the edited ones after an edit */
	struct hash hash; /* call_hash of both */
	struct hash made; /* the same of what create_draft was given */
	uint64_t approval; /* 0: none was needed, or none yet */
	enum reply_kind kind; /* what the call came to */
	struct buf result;
};

/* One call of these tools, while it is judged. */
struct asked {
	struct run *r;
	uint64_t asker;
	struct str tool, base; /* base: X */
	const struct policy_tool *row; /* of X */
	const struct json *args;
	struct draft *d;
};

static enum what what_of(struct str tool, struct str *base);
static void create(const struct asked *q, struct str canonical);
static void request(const struct asked *q);
static void commit(const struct asked *q);
static struct draft *find(const struct run *r, uint64_t id);
static bool judge(const struct asked *q, struct verdict *v,
    const struct json **args, struct arena *arena);
static void no(const struct asked *q, struct verdict *v, const char *code,
    const char *reason, const char *next_step);
static bool record(const struct asked *q, struct verdict *v);
static void tell_approved(
    uint64_t asker, const struct draft *d, struct str base);

static struct verdict verdict; /* large, and used by one call at a time */

bool
draft_call(
    struct run *r, uint64_t asker, struct str tool, const struct json *args)
{
	static const uint64_t one_call[BUDGET_KINDS] = {
		[BUDGET_TOOL_CALLS] = 1,
	};
	struct asked q = { .r = r, .asker = asker, .tool = tool, .args = args };
	own_buf struct buf canonical = {};
	enum what what = what_of(tool, &q.base);
	uint64_t id = 0;
	struct over over;
	bool fits;

	if (what == NOTHING)
		return false;
	q.row = policy_tool_find(r->policy, q.base);
	if (q.row == NULL || q.row->commit.n == 0)
		return false;
	fits = spend_take(r, one_call, &over);
	r->steps++;
	json_write(&canonical, args);
	if (canonical.failed || canonical.n > CALL_MAX_ARGS_BYTES) {
		reply_error(asker, 413, "arguments_too_large",
		    "The arguments are over the limit of 1 MiB.",
		    "Put the data into a file and pass its name.");
		return true;
	}
	if (!call_record_proposal(r, tool,
		policy_tool_find(r->policy, q.row->commit), args,
		buf_str(&canonical))) {
		reply(asker, REPLY_BAD, 503, STR(STORE_FAILED));
		return true;
	}
	if (!fits) {
		spend_stop(r, &over);
		reply(asker, REPLY_STOPPED, 409, buf_str(&r->stop_json));
		return true;
	}
	if (id_parse('d', json_str(json_get(args, STR("draft_id"))), &id) == 0)
		q.d = find(r, id);
	if (what == CREATE)
		create(&q, buf_str(&canonical));
	else if (q.d == NULL || !str_eq(q.row->commit, str_of(q.d->tool)))
		no(&q, &verdict, "unknown_draft",
		    "this run has no such draft of this tool",
		    "Give the draft_id that create_draft answered.");
	else if (what == REQUEST)
		request(&q);
	else
		commit(&q);
	return true;
}

static void
create(const struct asked *q, struct str canonical)
{
	struct run *r = q->r;
	struct event ev = record_of(r, EVENT_DRAFT_CREATED);
	own_buf struct buf out = {};
	struct verdict *v = &verdict;
	struct draft *d;
	char hex[HASH_HEX_BYTES];
	uint32_t n = 0;

	call_decide(r, q->row->commit, q->args, v);
	for (d = r->drafts; d != NULL; d = d->next)
		n++;
	if (v->kind == VERDICT_BLOCK || n >= DRAFTS_MAX) {
		if (v->kind != VERDICT_BLOCK)
			no(q, v, "too_many_drafts",
			    "as many drafts are kept as a run may have",
			    "Commit some of them.");
		else if (record(q, v))
			call_refuse(r, r->steps, q->asker, q->tool, v);
		return;
	}
	v->kind = VERDICT_DRAFT;
	(void)snprintf(v->rule, sizeof(v->rule), "tools.%.*s.commit",
	    STR_FMT(q->row->name));
	if (!record(q, v))
		return;
	d = calloc(1, sizeof(*d));
	must(d != NULL);
	d->id = random_id();
	id_text('d', d->id, d->text);
	must(str_copy(q->row->commit, d->tool, sizeof(d->tool)) == 0);
	buf_add_str(&d->args, canonical);
	d->hash = d->made = call_hash(q->row->commit, canonical);
	d->next = r->drafts;
	r->drafts = d;
	hash_hex(&d->hash, hex);
	buf_printf(&out,
	    "{\"call_sha256\":\"%s\",\"draft_id\":\"%s\",\"preview\":{"
	    "\"arguments\":",
	    hex, d->text);
	buf_add_str(&out, canonical);
	buf_add_c(&out, ",\"tool\":");
	json_put_str(&out, q->row->commit);
	buf_add_c(&out,
	    "},\"status\":\"draft\",\"suggested_next_step\":\"Nothing was "
	    "sent. Ask for it with ");
	buf_add_str(&out, q->base);
	buf_add_c(&out, ".request_approval.\"}");
	ev.step = r->steps;
	ev.tool = q->row->commit;
	own_buf struct buf body = {};

	buf_printf(&body, "{\"call_sha256\":\"%s\",\"draft_id\":\"%s\"}", hex,
	    d->text);
	ev.body = buf_str(&body);
	if (store_put_draft(broker.store, d->id, r->id, q->row->commit,
		canonical, &d->hash) < 0 ||
	    record_add(&ev) == 0) {
		reply(q->asker, REPLY_BAD, 503, STR(STORE_FAILED));
		return;
	}
	reply(q->asker, REPLY_OK, 200, buf_str(&out));
}

static void
request(const struct asked *q)
{
	own_arena struct arena arena = {};
	struct verdict *v = &verdict;
	struct draft *d = q->d;
	const struct json *args;
	struct approval_ask ask = { .extends = BUDGET_KINDS, .draft = d->id };

	switch (d->state) {
	case DRAFT_KEPT:
	case DRAFT_ASKED:
	case DRAFT_APPROVED:
		break;
	case DRAFT_REFUSED:
		no(q, v, "draft_refused", "a reviewer has said no to it",
		    "Do not try the same again; work on without it.");
		return;
	case DRAFT_COMMITTING:
	case DRAFT_COMMITTED:
		no(q, v, "draft_committed", "it is committed already",
		    "Nothing is left to ask for.");
		return;
	}
	if (!judge(q, v, &args, &arena) || !record(q, v))
		return;
	if (v->kind != VERDICT_APPROVE || d->state == DRAFT_APPROVED) {
		d->state = DRAFT_APPROVED;
		tell_approved(q->asker, d, q->base);
		return;
	}
	d->state = DRAFT_ASKED;
	(void)approval_request(q->r, q->r->steps, q->asker, v, &ask,
	    q->row->commit, args, buf_str(&d->args), &d->hash);
}

static void
commit(const struct asked *q)
{
	own_arena struct arena arena = {};
	struct run *r = q->r;
	struct verdict *v = &verdict;
	struct draft *d = q->d;
	struct event ev = record_of(r, EVENT_DRAFT_COMMITTED);
	own_buf struct buf body = {}, copy = {};
	struct earlier earlier = {};
	enum repeat repeat;
	struct over over;
	const struct json *args;
	uint64_t cost[BUDGET_KINDS];
	struct call *c;
	char id[ID_BYTES], hex[HASH_HEX_BYTES];

	if (d->state == DRAFT_COMMITTED) {
		call_tell(q->asker, d->kind, buf_str(&d->result));
		return;
	}
	if (d->state == DRAFT_COMMITTING) {
		no(q, v, "in_progress", "it is being committed",
		    "Wait for that call to be answered.");
		return;
	}
	if (d->state != DRAFT_APPROVED) {
		no(q, v, "not_approved", "nobody has approved the draft",
		    "Ask for it with request_approval, and wait for a yes.");
		return;
	}
	if (!judge(q, v, &args, &arena))
		return;
	if (v->kind == VERDICT_APPROVE && d->approval == 0) {
		/* The run has read something since. */
		d->state = DRAFT_KEPT;
		no(q, v, "not_approved", "the policy asks for a person by now",
		    "Ask for it with request_approval, and wait for a yes.");
		return;
	}
	if (v->kind == VERDICT_APPROVE)
		v->kind = v->approved;
	if (!call_runs(v)) {
		no(q, v, "kept_as_draft",
		    "the policy keeps such calls as drafts",
		    "A person can act on the draft.");
		return;
	}
	v->known = v->known || d->approval != 0;
	repeat = call_repeats(
	    r, q->row->commit, args, STR(""), &d->hash, v, &earlier);
	if (repeat != REPEAT_NO) {
		if (record(q, v) && repeat == REPEAT_DONE)
			call_tell(
			    q->asker, earlier.kind, buf_str(&earlier.result));
		else if (repeat == REPEAT_BLOCKED)
			call_refuse(r, r->steps, q->asker, q->tool, v);
		buf_fini(&earlier.result);
		return;
	}
	spend_cost(v->tool != NULL ? v->tool->costs : NULL, 0, cost);
	if (!spend_take(r, cost, &over)) {
		spend_stop(r, &over);
		reply(q->asker, REPLY_STOPPED, 409, buf_str(&r->stop_json));
		return;
	}
	hash_hex(&d->hash, hex);
	if (d->approval != 0) {
		id_text('a', d->approval, id);
		(void)snprintf(v->rule, sizeof(v->rule), "approval %s", id);
		buf_printf(&body, "{\"approval\":\"%s\",", id);
	} else {
		buf_add_byte(&body, '{');
	}
	buf_printf(
	    &body, "\"call_sha256\":\"%s\",\"draft_id\":\"%s\"}", hex, d->text);
	if (!record(q, v))
		return;
	ev.step = r->steps;
	ev.tool = q->row->commit;
	ev.body = buf_str(&body);
	if (record_add(&ev) == 0) {
		reply(q->asker, REPLY_BAD, 503, STR(STORE_FAILED));
		return;
	}
	d->state = DRAFT_COMMITTING;
	buf_add_str(&copy, buf_str(&d->args));
	c = call_new(r, q->asker, q->row->commit, &copy, &d->hash, v);
	c->approval = d->approval;
	c->draft = d->id;
	c->charged = true;
	c->has_idem = earlier.has_key;
	c->idem = earlier.key;
	call_execute(r, c);
}

void
draft_approved(struct run *r, const struct approval *a)
{
	struct draft *d = find(r, a->draft);

	if (d == NULL)
		return;
	d->state = DRAFT_APPROVED;
	d->approval = a->id;
	buf_reset(&d->args);
	buf_add_str(&d->args, buf_str(&a->args));
	d->hash = a->hash;
}

void
draft_refused(struct run *r, const struct approval *a)
{
	struct draft *d = find(r, a->draft);

	if (d != NULL)
		d->state = DRAFT_REFUSED;
}

void
draft_ended(struct run *r, const struct call *c, bool happened)
{
	struct draft *d = find(r, c->draft);

	if (d == NULL)
		return;
	d->state = happened ? DRAFT_COMMITTED : DRAFT_APPROVED;
	d->kind = c->kind;
	buf_reset(&d->result);
	if (c->result.n <= IDEM_RESULT_BYTES)
		buf_add_str(&d->result, buf_str(&c->result));
	else
		buf_add_c(&d->result, "{\"status\":\"done\"}");
}

void
draft_list(struct buf *out, const struct policy_tool *row,
    const struct json *definition)
{
	static const char *const about[] = {
		"Keep the arguments of a call as a draft. Nothing is sent.",
		"Ask a person to approve a draft, and wait for the answer.",
		"Make the call of an approved draft, once.",
	};
	const struct json *schema = json_get(definition, STR("inputSchema"));

	for (int i = 0; i < NOTHING; i++) {
		buf_printf(
		    out, ",{\"description\":\"%s\",\"inputSchema\":", about[i]);
		if (i == CREATE && schema != NULL)
			json_write(out, schema);
		else
			buf_add_c(out,
			    "{\"additionalProperties\":false,\"properties\":{"
			    "\"draft_id\":{\"type\":\"string\"}},\"required\":["
			    "\"draft_id\"],\"type\":\"object\"}");
		buf_printf(out, ",\"name\":\"%.*s%s\"}", STR_FMT(row->name),
		    suffixes[i]);
	}
}

void
drafts_write(struct buf *out, const struct run *r)
{
	char hex[HASH_HEX_BYTES];
	bool any = false;

	buf_add_byte(out, '[');
	for (const struct draft *d = r->drafts; d != NULL; d = d->next) {
		if (d->state == DRAFT_COMMITTING || d->state == DRAFT_COMMITTED)
			continue;
		hash_hex(&d->made, hex);
		buf_printf(out,
		    "%s{\"call_sha256\":\"%s\",\"draft_id\":\"%s\","
		    "\"refused\":%s,\"tool\":",
		    any ? "," : "", hex, d->text,
		    d->state == DRAFT_REFUSED ? "true" : "false");
		json_put_str(out, str_of(d->tool));
		buf_add_byte(out, '}');
		any = true;
	}
	buf_add_byte(out, ']');
}

int
drafts_resume(struct run *r, const struct json *drafts, struct err *e)
{
	if (!json_is(drafts, JSON_ARRAY) || drafts->n > DRAFTS_MAX)
		return drafts == NULL ? 0
				      : err_set(e, "its drafts are no list");
	for (const struct json *x = json_first(drafts); x != NULL;
	     x = json_next(drafts, x)) {
		struct str name = json_str(json_get(x, STR("draft_id")));
		struct str tool = json_str(json_get(x, STR("tool")));
		struct draft *d = calloc(1, sizeof(*d));
		struct hash want;

		must(d != NULL);
		d->next = r->drafts;
		r->drafts = d;
		d->id = random_id();
		id_text('d', d->id, d->text);
		if (id_parse('d', name, &d->was) < 0 ||
		    str_copy(tool, d->tool, sizeof(d->tool)) < 0 ||
		    hash_from_hex(
			json_str(json_get(x, STR("call_sha256"))), &want) < 0)
			return err_set(e, "a draft without its name and hash");
		if (store_draft(broker.store, d->was, &d->args, e) < 0)
			return -1;
		d->hash = d->made = call_hash(tool, buf_str(&d->args));
		if (!hash_eq(&d->hash, &want))
			return err_set(e,
			    "draft %.*s is not what the snapshot says",
			    STR_FMT(name));
		if (json_bool(json_get(x, STR("refused")), false))
			d->state = DRAFT_REFUSED;
	}
	return 0;
}

bool
drafts_store(const struct run *r)
{
	for (const struct draft *d = r->drafts; d != NULL; d = d->next) {
		if (store_put_draft(broker.store, d->id, r->id, str_of(d->tool),
			buf_str(&d->args), &d->hash) < 0)
			return false;
	}
	return true;
}

void
draft_free_run(struct run *r)
{
	while (r->drafts != NULL) {
		struct draft *d = r->drafts;

		r->drafts = d->next;
		buf_fini(&d->args);
		buf_fini(&d->result);
		free(d);
	}
}

static enum what
what_of(struct str tool, struct str *base)
{
	for (int i = 0; i < NOTHING; i++) {
		size_t n = strlen(suffixes[i]);

		if (tool.n <= n ||
		    memcmp(tool.p + tool.n - n, suffixes[i], n) != 0)
			continue;
		*base = (struct str){ tool.p, tool.n - n };
		return (enum what)i;
	}
	return NOTHING;
}

static struct draft *
find(const struct run *r, uint64_t id)
{
	for (struct draft *d = r->drafts; d != NULL; d = d->next) {
		if (d->id == id || (d->was != 0 && d->was == id))
			return d;
	}
	return NULL;
}

/* By the policy as it is now. False: it blocks the call, which is told. */
static bool
judge(const struct asked *q, struct verdict *v, const struct json **args,
    struct arena *arena)
{
	struct err e = {};

	*args = json_parse(buf_str(&q->d->args), NULL, arena, &e, NULL);
	must(*args != NULL); /* canonical, and ours */
	call_decide(q->r, q->row->commit, *args, v);
	if (v->kind != VERDICT_BLOCK)
		return true;
	if (record(q, v))
		call_refuse(q->r, q->r->steps, q->asker, q->tool, v);
	return false;
}

static void
no(const struct asked *q, struct verdict *v, const char *code,
    const char *reason, const char *next_step)
{
	*v = (struct verdict){ .kind = VERDICT_BLOCK,
		.would = VERDICT_BLOCK,
		.risk = q->row->risk,
		.n_reasons = 1 };
	(void)snprintf(v->rule, sizeof(v->rule), "tools.%.*s.commit",
	    STR_FMT(q->row->name));
	(void)snprintf(v->code, sizeof(v->code), "%s", code);
	(void)snprintf(v->reasons[0], sizeof(v->reasons[0]), "%s", reason);
	(void)snprintf(v->next_step, sizeof(v->next_step), "%s", next_step);
	if (record(q, v))
		call_refuse(q->r, q->r->steps, q->asker, q->tool, v);
}

static bool
record(const struct asked *q, struct verdict *v)
{
	if (call_record_decision(q->r, q->r->steps, q->tool, v))
		return true;
	reply(q->asker, REPLY_BAD, 503, STR(STORE_FAILED));
	return false;
}

static void
tell_approved(uint64_t asker, const struct draft *d, struct str base)
{
	own_buf struct buf out = {};

	buf_printf(&out,
	    "{\"draft_id\":\"%s\",\"status\":\"approved\","
	    "\"suggested_next_step\":\"Commit it with ",
	    d->text);
	buf_add_str(&out, base);
	buf_add_c(&out, ".commit_approved_draft.\"}");
	reply(asker, REPLY_OK, 200, buf_str(&out));
}
