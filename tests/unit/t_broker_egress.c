/*
 * The broker's half of what leaves, with its real store, approvals and loop:
 * only the link to the proxy, the clock and how far the disk is are the
 * test's.
 */
/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <sys/epoll.h>

#include "base/clock.h"
#include "base/limits.h"
#include "broker/policies.h"
#include "broker/approval_int.h"
#include "broker/egress.h"
#include "broker/egress_int.h"
#include "broker/run_int.h"
#include "broker/who.h"
#include "store_dir.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define NS_PER_S 1000000000LL

enum { SENT_MAX = 512, UPLOAD = 1000 };

/* What the proxy was told. */
struct sent {
	struct msg_egress_verdict m;
	char payload[2048];
};

static struct {
	struct store_dir dir;
	struct sent sent[SENT_MAX];
	uint32_t n_sent;
	uint32_t http; /* of the last reply to a person */
	int64_t skipped_ns;
	uint64_t disk; /* records over this are not on disk yet */
	uint64_t next_run;
} rig;

static const char policy_text[] =
    "{\"policy\":1,\"workflow\":\"w\",\"tenant\":\"t\",\"actor\":\"a\","
    "\"stage\":5,\"tools\":{},\"budgets\":{\"max_upload_bytes\":1000,"
    "\"max_pages\":2},"
    "\"defaults\":{\"by_risk\":{\"external_write\":\"allow\"}},"
    "\"approvals\":{\"quick\":{\"deadline_s\":1}},"
    "\"flow\":[{\"id\":\"leak\",\"if_labels\":[\"pii\"],\"then\":\"block\","
    "\"risk_at_least\":\"external_write\",\"reason\":\"it has read much\"}],"
    "\"egress\":{\"rules\":["
    "{\"host\":\"free.test\",\"proto\":\"http\"},"
    "{\"host\":\"get.test\",\"proto\":\"http\",\"methods\":[\"GET\"],"
    "\"rate\":{\"per\":\"1s\",\"burst\":2}},"
    "{\"host\":\"ask.test\",\"proto\":\"http\",\"mode\":\"approve\","
    "\"max_body\":500},"
    "{\"host\":\"quick.test\",\"proto\":\"http\",\"mode\":\"approve\","
    "\"approval\":\"quick\"},"
    "{\"host\":\"once.test\",\"proto\":\"http\",\"mode\":\"approve\","
    "\"rate\":{\"per\":\"1h\",\"burst\":1}},"
    "{\"host\":\"large.test\",\"proto\":\"http\",\"mode\":\"approve\"},"
    "{\"host\":\"page.test\",\"proto\":\"http\","
    "\"costs\":{\"pages\":1}}]}}";

int __wrap_peer_send(struct peer *p, uint16_t type, const void *body,
    struct str payload, const int *fds, size_t n_fds);
int64_t __real_clock_mono_ns(void);
int64_t __wrap_clock_mono_ns(void);
uint64_t __real_store_durable(const struct store *s);
uint64_t __wrap_store_durable(const struct store *s);

int
__wrap_peer_send(struct peer *p, uint16_t type, const void *body,
    struct str payload, const int *fds, size_t n_fds)
{
	struct sent *s = &rig.sent[rig.n_sent];

	(void)fds;
	assert_int_equal(n_fds, 0);
	if (type == MSG_REPLY)
		rig.http = ((const struct msg_reply *)body)->http;
	if (type != MSG_EGRESS_VERDICT)
		return 0;
	assert_ptr_equal(p, &broker.proxy);
	assert_true(rig.n_sent < SENT_MAX);
	s->m = *(const struct msg_egress_verdict *)body;
	assert_int_equal(str_copy(payload, s->payload, sizeof(s->payload)), 0);
	rig.n_sent++;
	return 0;
}

int64_t
__wrap_clock_mono_ns(void)
{
	return __real_clock_mono_ns() + rig.skipped_ns;
}

uint64_t
__wrap_store_durable(const struct store *s)
{
	uint64_t n = __real_store_durable(s);

	return n < rig.disk ? n : rig.disk;
}

static struct run *
run_make(void)
{
	static struct policy_problems problems;
	struct policy *p;
	struct run *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	p = policy_new(str_of(policy_text), POLICY_JSON, &problems);
	if (p == NULL)
		fail_msg(
		    "%s: %s", problems.item[0].path, problems.item[0].text);
	r->id = ++rig.next_run;
	id_text('r', r->id, r->text);
	r->policy = policies_take(p);
	hash_hex(&r->policy->version, r->policy_hex);
	r->state = RUN_OPEN;
	r->budget = r->policy->budgets;
	r->door_fd = r->rpc_fd = r->image_fd = -1;
	r->runtime.on_time = run_on_runtime;
	r->grace.on_time = run_on_grace;
	r->opened_mono_ns = clock_mono_ns();
	r->next = broker.runs;
	broker.runs = r;
	broker.n_runs++;
	return r;
}

static int
set_up(void **state)
{
	struct err e = {};

	(void)state;
	rig.n_sent = 0;
	rig.skipped_ns = 0;
	rig.disk = UINT64_MAX;
	dir_make(&rig.dir);
	broker = (struct broker){
		.loop = loop_new(&e),
		.store = dir_open(&rig.dir),
	};
	assert_non_null(broker.loop);
	broker.durable_last = &broker.durable_first;
	return 0;
}

static int
tear_down(void **state)
{
	struct store_verdict v;

	(void)state;
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		r->calls_open = 0;
		run_close(r);
	}
	egress_proxy_lost(); /* verdicts that still wait */
	run_sweep();
	assert_null(broker.runs);
	assert_null(broker.approvals);
	dir_close(broker.store);
	loop_free(broker.loop);
	v = dir_verify(&rig.dir);
	if (v.fault != STORE_SOUND)
		fail_msg("%s", v.text);
	dir_remove(&rig.dir);
	return 0;
}

/* --- the proxy ----------------------------------------------------------- */

static void
ask_text(const struct run *r, uint64_t number, const char *text, uint32_t flags)
{
	const struct msg_egress_ask m = {
		.run = r->id,
		.ask = number,
		.kind = EGRESS_REQUEST,
		.flags = flags,
	};

	on_egress_ask(&m, str_of(text));
}

/* bytes < 0: nobody knows how many. sha NULL: the body was not read yet. */
static void
ask(const struct run *r, uint64_t number, const char *method, const char *host,
    int64_t bytes, const char *sha)
{
	own_buf struct buf b = {};

	buf_add_byte(&b, '{');
	if (sha != NULL)
		buf_printf(&b, "\"body_sha256\":\"%s\",", sha);
	if (bytes >= 0)
		buf_printf(&b, "\"content_length\":%lld,", (long long)bytes);
	buf_printf(&b,
	    "\"host\":\"%s\",\"method\":\"%s\",\"path\":\"/p\",\"port\":80,"
	    "\"proto\":\"http\"}",
	    host, method);
	buf_add_byte(&b, '\0');
	ask_text(r, number, b.p, sha != NULL ? EGRESS_ASK_WHOLE : 0);
}

static void
done(const struct run *r, uint64_t number, uint64_t sent, uint32_t flags)
{
	const struct msg_egress_done m = {
		.run = r->id,
		.ask = number,
		.sent = sent,
		.status = 200,
		.flags = flags,
	};

	on_egress_done(&m, STR("{}"));
}

static uint32_t
count_of(const struct run *r, uint64_t number, uint32_t verdict)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < rig.n_sent; i++)
		n += rig.sent[i].m.run == r->id &&
		    rig.sent[i].m.ask == number &&
		    rig.sent[i].m.verdict == verdict;
	return n;
}

static const struct sent *
last(const struct run *r, uint64_t number)
{
	const struct sent *s =
	    rig.n_sent > 0 ? &rig.sent[rig.n_sent - 1] : NULL;

	if (s == NULL || s->m.run != r->id || s->m.ask != number)
		fail_msg("the last verdict is not about %llu",
		    (unsigned long long)number);
	return s;
}

/* The last verdict is a refusal with this code. */
static void
denied(const struct run *r, uint64_t number, const char *code)
{
	const struct sent *s = last(r, number);
	char want[80];

	(void)snprintf(want, sizeof(want), "{\\\"code\\\":\\\"%s\\\",", code);
	assert_int_equal(s->m.verdict, EGRESS_DENY);
	assert_int_equal(s->m.status, 403);
	if (strstr(s->payload, want) == NULL)
		fail_msg("not %s: %s", code, s->payload);
	assert_int_equal(count_of(r, number, EGRESS_DENY), 1);
}

static void
allowed(const struct run *r, uint64_t number)
{
	const struct sent *s = last(r, number);

	if (s->m.verdict != EGRESS_ALLOW)
		fail_msg("not allowed: %s", s->payload);
	assert_int_equal(count_of(r, number, EGRESS_ALLOW), 1);
}

static uint64_t
used(const struct run *r)
{
	return r->budget.used[BUDGET_UPLOAD_BYTES];
}

/* --- the disk, the clock, people ----------------------------------------- */

/* All that was written is on disk, and the broker hears of it. */
static void
disk_catches_up(void)
{
	uint64_t seq = 0;
	struct err e = {};

	rig.disk = UINT64_MAX;
	for (int i = 0; i < EVENT_KINDS; i++)
		seq = seq > broker.last_of[i] ? seq : broker.last_of[i];
	assert_int_equal(wait_durable(broker.store, seq, &e), 0);
	egress_durable(store_durable(broker.store));
}

struct records {
	enum event_kind kind;
	const char *text;
	uint32_t n;
};

static bool
on_record(void *arg, const struct store_row *row)
{
	struct records *w = arg;
	own_buf struct buf text = {};

	buf_add_str(&text, row->body);
	buf_add_byte(&text, '\0');
	w->n += row->kind == w->kind && strstr(text.p, w->text) != NULL;
	return true;
}

/* How many records of this kind hold this text. */
static uint32_t
records(const struct run *r, enum event_kind kind, const char *text)
{
	struct records w = { kind, text, 0 };
	struct err e = {};

	disk_catches_up();
	assert_int_equal(
	    store_events(broker.store, r->id, 0, 0, on_record, &w, &e), 0);
	return w.n;
}

static void
stop_round(void *arg)
{
	(void)arg;
	loop_stop(broker.loop);
}

static void
no_effect(struct loop_timer *t)
{
	(void)t;
}

static void
time_passes(int64_t ns)
{
	struct loop_timer now = { .on_time = no_effect };
	struct err e = {};

	rig.skipped_ns += ns;
	loop_timer_set(broker.loop, &now, clock_mono_ns());
	assert_int_equal(loop_run(broker.loop, stop_round, NULL, &e), 0);
	loop_timer_clear(broker.loop, &now);
}

static struct approval *
approval_of(const struct run *r, uint64_t number)
{
	struct approval *a = broker.approvals;

	while (a != NULL && (a->run != r->id || a->ask != number))
		a = a->next;
	return a;
}

/* What a person is answered. */
static uint32_t
decide(const struct approval *a, const char *verdict, const char *reason)
{
	static const struct identity who = {
		.tenant = { "*", 1 },
		.actor = { "operator", 8 },
		.n_roles = 1,
		.roles = { { "operator", 8 } },
	};
	const struct caller c = { .known = true, .who = &who, .name = "uid:7" };
	own_arena struct arena arena = {};
	own_buf struct buf text = {};
	struct err e = {};

	assert_non_null(a);
	buf_printf(&text,
	    "{\"approval\":\"%s\",\"reason\":\"%s\",\"verdict\":\"%s\"}",
	    a->text, reason, verdict);
	rig.http = 0;
	approval_decide(
	    &c, 1, json_parse(buf_str(&text), NULL, &arena, &e, NULL));
	return rig.http;
}

/* --- verdicts and records ------------------------------------------------ */

static void
what_reads_goes_at_once_and_what_writes_behind_its_record(void **state)
{
	struct run *r = run_make();
	uint64_t first;

	(void)state;
	rig.disk = 0;
	ask(r, 1, "GET", "free.test", 0, NULL);
	allowed(r, 1);
	ask(r, 2, "POST", "free.test", 10, NULL);
	first = broker.last_of[EVENT_EGRESS_DECISION];
	ask(r, 3, "DELETE", "free.test", 0, NULL);
	assert_int_equal(rig.n_sent, 1);
	egress_durable(first - 1);
	assert_int_equal(rig.n_sent, 1);
	egress_durable(first);
	allowed(r, 2);
	disk_catches_up();
	allowed(r, 3);
	disk_catches_up();
	assert_int_equal(rig.n_sent, 3);
	/* A refusal has no effect that could be without its record. */
	rig.disk = 0;
	ask(r, 4, "POST", "other.test", 10, NULL);
	denied(r, 4, "no_rule");
	assert_int_equal(
	    records(r, EVENT_EGRESS_DECISION, "\"action\":\"sent\""), 3);
}

static void
a_proxy_that_is_lost_gets_nothing_that_waited(void **state)
{
	struct run *r = run_make();

	(void)state;
	rig.disk = 0;
	ask(r, 1, "POST", "free.test", 300, NULL);
	ask(r, 2, "POST", "ask.test", 5, SHA_A);
	assert_int_equal(used(r), 300);
	egress_proxy_lost();
	assert_int_equal(used(r), 0);
	assert_int_equal(r->egress->n_open, 0);
	assert_int_equal(r->egress->n_held, 0);
	assert_int_equal(approval_of(r, 2)->state, APPROVAL_CANCELLED);
	disk_catches_up();
	assert_int_equal(count_of(r, 1, EGRESS_ALLOW), 0);
	assert_int_equal(decide(approval_of(r, 2), "approve", ""), 409);
	assert_int_equal(count_of(r, 2, EGRESS_ALLOW), 0);
	assert_int_equal(
	    records(r, EVENT_EGRESS_DONE, "it is not known what was sent"), 1);
}

static void
a_refusal_says_what_is_missing_and_where(void **state)
{
	struct run *r = run_make();
	own_arena struct arena a = {};
	const struct json *answer, *body;
	struct err e = {};

	(void)state;
	ask_text(r, 1,
	    "{\"host\":\"get.test\",\"method\":\"POST\",\"path\":\"/a\\\"b\","
	    "\"port\":80,\"proto\":\"http\",\"content_length\":3}",
	    0);
	denied(r, 1, "method");
	answer = json_get(
	    json_parse(str_of(last(r, 1)->payload), NULL, &a, &e, NULL),
	    STR("answer"));
	assert_true(
	    str_eq_c(json_str(json_at(answer, "headers", "content-type", NULL)),
		"application/json"));
	body = json_parse(
	    json_str(json_get(answer, STR("body"))), NULL, &a, &e, NULL);
	assert_non_null(body);
	static const char *const want[][2] = {
		{ "error", "policy_denied" },
		{ "host", "get.test" },
		{ "method", "POST" },
		{ "path", "/a\"b" },
		{ "rule_missing", "egress.rules" },
	};
	for (size_t i = 0; i < COUNT(want); i++)
		if (!str_eq_c(json_str(json_get(body, str_of(want[i][0]))),
			want[i][1]))
			fail_msg("%s: %s", want[i][0], last(r, 1)->payload);
	assert_true(json_str(json_get(body, STR("reason"))).n > 0);
	assert_true(json_str(json_get(body, STR("suggested_next_step"))).n > 0);
}

static void
what_is_no_question_is_refused_and_on_record(void **state)
{
	static const char *const rows[] = { "", "{", "[]", "{\"host\":\"a\"}",
		("{\"host\":\"free.test\",\"method\":\"GET\",\"path\":\"/\","
		 "\"port\":80,\"proto\":\"gopher\"}") };
	struct run *r = run_make();
	struct run nobody = { .id = UINT64_MAX };

	(void)state;
	for (uint32_t i = 0; i < COUNT(rows); i++) {
		ask_text(r, i + 1, rows[i], 0);
		denied(r, i + 1, "not_judged");
	}
	assert_int_equal(
	    records(r, EVENT_EGRESS_DECISION, "\"code\":\"not_judged\""),
	    COUNT(rows));
	ask(&nobody, 9, "GET", "free.test", 0, NULL);
	denied(&nobody, 9, "not_judged");
	r->state = RUN_STOPPING;
	ask(r, 10, "GET", "free.test", 0, NULL);
	denied(r, 10, "not_judged");
}

static void
a_rate_counts_what_is_let_through_and_comes_back(void **state)
{
	struct run *r = run_make(), *other = run_make();

	(void)state;
	ask(r, 1, "POST", "get.test", 1, NULL); /* refused: takes nothing */
	denied(r, 1, "method");
	ask(r, 2, "GET", "get.test", 0, NULL);
	allowed(r, 2);
	ask(r, 3, "GET", "get.test", 0, NULL);
	allowed(r, 3);
	ask(r, 4, "GET", "get.test", 0, NULL);
	denied(r, 4, "rate");
	assert_int_equal(last(r, 4)->m.rule, 1);
	/* Each run has its own. */
	ask(other, 5, "GET", "get.test", 0, NULL);
	allowed(other, 5);
	rig.skipped_ns += NS_PER_S / 2;
	ask(r, 6, "GET", "get.test", 0, NULL);
	allowed(r, 6);
	ask(r, 7, "GET", "get.test", 0, NULL);
	denied(r, 7, "rate");
}

/* --- the upload budget --------------------------------------------------- */

static void
a_budget_is_reserved_before_and_settled_behind(void **state)
{
	static const struct {
		const char *why;
		int64_t bytes; /* that are asked for; -1: not known */
		uint64_t so_far, sent; /* told of with MORE; and at the end */
		uint64_t reserved, settled;
		uint64_t max_body;
	} rows[] = {
		{ "all of it is sent", 400, 0, 400, 400, 400, 400 },
		{ "the connection broke", 400, 0, 30, 400, 30, 400 },
		{ "nothing was sent", 400, 0, 0, 400, 0, 400 },
		{ "in parts", 400, 50, 100, 400, 150, 400 },
		{ "no length: all that is left", -1, 0, 100, UPLOAD, 100,
		    UPLOAD },
		{ "no length, in parts", -1, 600, 400, UPLOAD, UPLOAD, UPLOAD },
		{ "all that there is", UPLOAD, 0, UPLOAD, UPLOAD, UPLOAD,
		    UPLOAD },
		{ "nothing to send", 0, 0, 0, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct run *r = run_make();

		rig.n_sent = 0;
		ask(r, 1, "POST", "free.test", rows[i].bytes, NULL);
		disk_catches_up();
		allowed(r, 1);
		if (used(r) != rows[i].reserved ||
		    last(r, 1)->m.max_body != rows[i].max_body)
			fail_msg("%s: %llu reserved", rows[i].why,
			    (unsigned long long)used(r));
		if (rows[i].so_far > 0) {
			done(r, 1, rows[i].so_far, EGRESS_DONE_MORE);
			assert_int_equal(used(r), rows[i].reserved);
		}
		done(r, 1, rows[i].sent, 0);
		if (used(r) != rows[i].settled)
			fail_msg("%s: %llu settled", rows[i].why,
			    (unsigned long long)used(r));
		/* An end that is told twice gives nothing back. */
		done(r, 1, rows[i].sent, 0);
		assert_int_equal(used(r), rows[i].settled);
		assert_int_equal(r->state, RUN_OPEN);
	}
}

static void
what_is_over_the_budget_is_refused_and_ends_the_run(void **state)
{
	struct run *r = run_make(), *liar = run_make();

	(void)state;
	ask(r, 1, "POST", "free.test", 600, NULL);
	ask(r, 2, "POST", "free.test", 401, NULL);
	denied(r, 2, "upload_budget_exceeded");
	assert_int_equal(used(r), 600);
	assert_int_equal(r->state, RUN_STOPPING);
	assert_string_equal(r->stop_reason, "upload_budget_exceeded");
	assert_int_equal(records(r, EVENT_BUDGET_STOP, "upload"), 1);
	/* More was sent than was reserved: it counts, too. */
	ask(liar, 3, "POST", "free.test", 10, NULL);
	done(liar, 3, UINT64_MAX, 0);
	assert_true(used(liar) > UPLOAD);
	assert_int_equal(liar->state, RUN_STOPPING);
}

static void
pages_are_counted_where_a_rule_says_so(void **state)
{
	struct run *r = run_make();

	(void)state;
	ask(r, 1, "GET", "page.test", 0, NULL);
	ask(r, 2, "GET", "free.test", 0, NULL);
	ask(r, 3, "GET", "page.test", 0, NULL);
	allowed(r, 3);
	assert_int_equal(r->budget.used[BUDGET_PAGES], 2);
	assert_int_equal(r->state, RUN_OPEN);
	ask(r, 4, "GET", "page.test", 0, NULL);
	denied(r, 4, "page_budget_exceeded");
	assert_int_equal(r->state, RUN_STOPPING);
	assert_string_equal(r->stop_reason, "page_budget_exceeded");
	assert_int_equal(records(r, EVENT_BUDGET_STOP, "pages_used\":2"), 1);
}

/* --- what waits for a person --------------------------------------------- */

static void
a_yes_is_bound_to_the_body_and_counts_once(void **state)
{
	struct run *r = run_make();
	struct approval *a, *b, *c;

	(void)state;
	ask(r, 1, "POST", "ask.test", 5, NULL);
	assert_int_equal(last(r, 1)->m.verdict, EGRESS_WAIT);
	assert_int_equal(last(r, 1)->m.flags, EGRESS_GATHER);
	assert_int_equal(last(r, 1)->m.max_body, 500);
	assert_null(approval_of(r, 1)); /* nothing that could be shown yet */
	ask(r, 1, "POST", "ask.test", 5, SHA_A);
	assert_int_equal(last(r, 1)->m.verdict, EGRESS_WAIT);
	assert_int_equal(last(r, 1)->m.flags, 0);
	assert_int_equal(r->egress->n_held, 1);
	ask(r, 2, "POST", "ask.test", 5, SHA_B);
	ask(r, 3, "POST", "ask.test", 5, SHA_A);
	a = approval_of(r, 1);
	b = approval_of(r, 2);
	c = approval_of(r, 3);
	assert_true(a != NULL && b != NULL && c != NULL);
	assert_false(hash_eq(&a->hash, &b->hash));
	assert_true(hash_eq(&a->hash, &c->hash));
	assert_int_equal(used(r), 0); /* nothing is taken before a yes */

	/* Its record is on disk before it goes, and it goes once. */
	disk_catches_up();
	rig.disk = broker.last_of[EVENT_APPROVAL_REQUESTED];
	assert_int_equal(decide(a, "approve", ""), 200);
	assert_int_equal(count_of(r, 1, EGRESS_ALLOW), 0);
	disk_catches_up();
	allowed(r, 1);
	assert_true((last(r, 1)->m.flags & EGRESS_ONCE) != 0);
	assert_int_equal(used(r), 5);
	assert_int_equal(decide(a, "approve", ""), 409);
	egress_approved(r, a);
	disk_catches_up();
	assert_int_equal(count_of(r, 1, EGRESS_ALLOW), 1);
	/* The same request once more is another question. */
	assert_int_equal(c->state, APPROVAL_PENDING);
	assert_int_equal(count_of(r, 3, EGRESS_ALLOW), 0);
}

static void
its_end_is_the_end_of_its_approval(void **state)
{
	struct run *r = run_make();
	struct approval *a;

	(void)state;
	ask(r, 1, "POST", "ask.test", 5, SHA_A);
	a = approval_of(r, 1);
	assert_int_equal(decide(a, "approve", ""), 200);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	disk_catches_up();
	allowed(r, 1);
	done(r, 1, 5, 0);
	assert_int_equal(a->state, APPROVAL_EXECUTED);
	assert_int_equal(
	    records(r, EVENT_EGRESS_DECISION, "\"action\":\"waiting\""), 1);
	assert_int_equal(
	    records(r, EVENT_EGRESS_DECISION, "\"action\":\"sent\""), 1);
	assert_int_equal(records(r, EVENT_EGRESS_DONE, "\"sent\":5"), 1);
}

static void
what_was_approved_is_judged_once_more(void **state)
{
	struct run *r = run_make();

	(void)state;
	ask(r, 1, "POST", "ask.test", 5, SHA_A);
	ask(r, 2, "POST", "once.test", 5, SHA_A);
	ask(r, 3, "POST", "once.test", 5, SHA_B);
	/* The rule's rate has one, and two have a yes. */
	assert_int_equal(decide(approval_of(r, 2), "approve", ""), 200);
	disk_catches_up();
	allowed(r, 2);
	assert_int_equal(decide(approval_of(r, 3), "approve", ""), 200);
	denied(r, 3, "rate");
	assert_int_equal(approval_of(r, 3)->state, APPROVAL_FAILED);
	/* What has been read since: a yes is not taken, nor would it count. */
	labels_add(&r->labels, STR("pii"));
	assert_int_equal(decide(approval_of(r, 1), "approve", ""), 409);
	assert_int_equal(approval_of(r, 1)->state, APPROVAL_PENDING);
	assert_int_equal(count_of(r, 1, EGRESS_ALLOW), 0);
	approval_end(approval_of(r, 1), r, APPROVAL_APPROVED);
	egress_approved(r, approval_of(r, 1));
	denied(r, 1, "flow");
	assert_int_equal(approval_of(r, 1)->state, APPROVAL_FAILED);
	assert_int_equal(r->egress->n_held, 0);
	assert_int_equal(used(r), 5);
}

static void
a_yes_does_not_go_over_the_budget(void **state)
{
	struct run *r = run_make();

	(void)state;
	ask(r, 1, "POST", "ask.test", 500, SHA_A);
	ask(r, 2, "POST", "free.test", 501, NULL);
	assert_int_equal(decide(approval_of(r, 1), "approve", ""), 200);
	denied(r, 1, "upload_budget_exceeded");
	assert_int_equal(count_of(r, 1, EGRESS_ALLOW), 0);
	assert_int_equal(r->state, RUN_STOPPING);
}

static void
a_no_ends_it_with_its_reason(void **state)
{
	struct run *r = run_make();

	(void)state;
	ask(r, 1, "POST", "ask.test", 5, SHA_A);
	assert_int_equal(decide(approval_of(r, 1), "reject", "not today"), 200);
	denied(r, 1, "rejected");
	assert_non_null(strstr(last(r, 1)->payload, "not today"));
	ask(r, 2, "POST", "quick.test", 5, SHA_A);
	time_passes(2 * NS_PER_S);
	denied(r, 2, "approval_expired");
	assert_int_equal(approval_of(r, 2)->state, APPROVAL_EXPIRED);
	ask(r, 3, "POST", "ask.test", 5, SHA_A);
	run_stop(r, "budget", STR(""), false);
	denied(r, 3, "stopped");
	assert_int_equal(approval_of(r, 3)->state, APPROVAL_CANCELLED);
	assert_int_equal(r->egress->n_held, 0);
}

static void
who_has_gone_takes_his_question_along(void **state)
{
	struct run *r = run_make();

	(void)state;
	ask(r, 1, "POST", "ask.test", 5, SHA_A);
	done(r, 1, 0, 0);
	denied(r, 1, "withdrawn");
	assert_int_equal(approval_of(r, 1)->state, APPROVAL_CANCELLED);
	assert_int_equal(decide(approval_of(r, 1), "approve", ""), 409);
	/* Before its body was there, nobody had been asked. */
	ask(r, 2, "POST", "ask.test", 5, NULL);
	done(r, 2, 0, 0);
	denied(r, 2, "withdrawn");
	assert_null(approval_of(r, 2));
	ask(r, 3, "POST", "ask.test", -1, NULL);
	done(r, 3, 0, EGRESS_DONE_OVER);
	denied(r, 3, "body_too_large");
	assert_int_equal(r->egress->n_held, 0);
	assert_int_equal(count_of(r, 1, EGRESS_ALLOW), 0);
	assert_int_equal(used(r), 0);
}

static void
a_body_that_cannot_be_kept_is_refused(void **state)
{
	struct run *r = run_make();

	(void)state;
	ask(r, 1, "POST", "large.test", EGRESS_HELD_BODY_BYTES + 1, NULL);
	denied(r, 1, "body_too_large");
	ask(r, 2, "POST", "large.test", EGRESS_HELD_BODY_BYTES, NULL);
	assert_int_equal(last(r, 2)->m.verdict, EGRESS_WAIT);
	assert_int_equal(last(r, 2)->m.max_body, EGRESS_HELD_BODY_BYTES);
	/* It turned out to be larger than anybody said. */
	ask(r, 2, "POST", "large.test", EGRESS_HELD_BODY_BYTES + 1, SHA_A);
	denied(r, 2, "body_too_large");
	assert_int_equal(r->egress->n_held, 0);
}

static void
only_so_many_wait_in_a_run_and_in_all(void **state)
{
	enum { RUNS = EGRESS_HELD_MAX / EGRESS_HELD_PER_RUN };
	struct run *r[RUNS], *more = run_make();

	(void)state;
	for (uint64_t i = 0; i < RUNS; i++) {
		r[i] = run_make();
		for (uint64_t k = 0; k < EGRESS_HELD_PER_RUN; k++)
			ask(r[i], k + 1, "POST", "ask.test", 5, SHA_A);
		assert_int_equal(r[i]->egress->n_held, EGRESS_HELD_PER_RUN);
		ask(r[i], 99, "POST", "ask.test", 5, SHA_A);
		denied(r[i], 99, "too_many_waiting");
	}
	/* A run that has none waiting finds no room, either. */
	ask(more, 1, "POST", "ask.test", 5, SHA_A);
	denied(more, 1, "too_many_waiting");
	done(r[0], 1, 0, 0);
	ask(more, 2, "POST", "ask.test", 5, SHA_A);
	assert_int_equal(last(more, 2)->m.verdict, EGRESS_WAIT);
	/* What waits already may say what its body is. */
	ask(more, 2, "POST", "ask.test", 5, SHA_A);
	assert_int_equal(last(more, 2)->m.verdict, EGRESS_WAIT);
	run_close(r[1]);
	ask(more, 3, "POST", "ask.test", 5, SHA_A);
	assert_int_equal(last(more, 3)->m.verdict, EGRESS_WAIT);
}

static void
a_run_that_ends_leaves_nothing_open(void **state)
{
	struct run *r = run_make();

	(void)state;
	ask(r, 1, "POST", "free.test", 100, NULL);
	ask(r, 2, "POST", "ask.test", 5, SHA_A);
	disk_catches_up();
	egress_end_run(r);
	denied(r, 2, "withdrawn");
	assert_int_equal(r->egress->n_open, 0);
	assert_int_equal(r->egress->n_held, 0);
	assert_int_equal(used(r), 0);
	assert_int_equal(
	    records(r, EVENT_EGRESS_DONE, "\"error\":\"the run ended\""), 1);
	/* Its end comes too late to change what is on record. */
	done(r, 1, 100, 0);
	assert_int_equal(records(r, EVENT_EGRESS_DONE, ""), 1);
}

int
main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(what_reads_goes_at_once_and_what_writes_behind_its_record),
		ROW(a_proxy_that_is_lost_gets_nothing_that_waited),
		ROW(a_refusal_says_what_is_missing_and_where),
		ROW(what_is_no_question_is_refused_and_on_record),
		ROW(a_rate_counts_what_is_let_through_and_comes_back),
		ROW(a_budget_is_reserved_before_and_settled_behind),
		ROW(what_is_over_the_budget_is_refused_and_ends_the_run),
		ROW(pages_are_counted_where_a_rule_says_so),
		ROW(a_yes_is_bound_to_the_body_and_counts_once),
		ROW(its_end_is_the_end_of_its_approval),
		ROW(what_was_approved_is_judged_once_more),
		ROW(a_yes_does_not_go_over_the_budget),
		ROW(a_no_ends_it_with_its_reason),
		ROW(who_has_gone_takes_his_question_along),
		ROW(a_body_that_cannot_be_kept_is_refused),
		ROW(only_so_many_wait_in_a_run_and_in_all),
		ROW(a_run_that_ends_leaves_nothing_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
