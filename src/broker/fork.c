#include "broker/fork.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/must.h"
#include "broker/broker.h"
#include "broker/draft.h"
#include "broker/egress.h"
#include "broker/record.h"
#include "broker/run_int.h"
#include "broker/snap.h"
#include "broker/who.h"
#include "codec/json.h"
#include "core/id.h"
#include "sys/fd.h"

static const struct snap *find_snap(const struct caller *who, uint64_t call,
    const struct json *fork, uint64_t *parent);
static bool members_known(
    uint64_t call, const struct json *args, const struct json *fork);
static struct policy *policy_of(uint64_t call, const struct json *args,
    const struct json *fork, const struct snap *s);
static bool put_set(struct buf *out, const struct json *policy,
    const struct json *set, struct err *e);
static void put_with(struct buf *out, const struct json *at, struct str path,
    const struct json *value);
static void take_used(struct run *r, const struct json *used, struct err *e);
static void take_retries(struct run *r, const struct json *retries);
static void check_next(struct run *r);
static void check_waiting(void);
static uint64_t next_layer(const struct run *r);
static bool is_single(const struct run *r);
static bool is_checking(const struct run *r);
static int check_begin(struct run *r, struct err *e);

bool
fork_take(const struct caller *who, uint64_t call, const struct json *args,
    struct fork **out, struct policy **policy)
{
	const struct json *fork = json_get(args, STR("fork"));
	const struct snap *s;
	uint64_t parent = 0;

	*out = NULL;
	if (!members_known(call, args, fork))
		return false;
	s = find_snap(who, call, fork, &parent);
	if (s == NULL)
		return false;
	*policy = policy_of(call, args, fork, s);
	if (*policy == NULL)
		return false;
	*out = fork_new(parent, s);
	return true;
}

struct fork *
fork_new(uint64_t parent, const struct snap *s)
{
	struct fork *f = calloc(1, sizeof(*f));

	must(f != NULL);
	f->world = -1;
	f->parent = parent;
	f->snapshot = s->id;
	f->step = s->step;
	f->n_layers = s->n_layers;
	memcpy(f->layer, s->layer, sizeof(f->layer));
	return f;
}

void
fork_free(struct fork *f)
{
	if (f != NULL) {
		fd_fini(&f->world);
		buf_fini(&f->revoked);
	}
	free(f);
}

static bool
members_known(uint64_t call, const struct json *args, const struct json *fork)
{
	static const char *const names[] = { "at", "faults", "run", "set",
		"snapshot" };
	static const char *const against[] = { "cpu", "disk_mb", "image",
		"memory_mb", "mounts", "pids", "ports", "replay",
		"write_back" };
	char text[160] = "";

	for (const struct json *k = json_first(fork); k != NULL;
	     k = json_next(fork, k)) {
		bool known = false;

		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			known |= str_eq_c(json_str(k), names[i]);
		if (!known)
			(void)snprintf(text, sizeof(text),
			    "Unknown member `fork.%.*s`.",
			    (int)(json_str(k).n > 64 ? 64 : json_str(k).n),
			    json_str(k).p);
	}
	for (size_t i = 0; i < sizeof(against) / sizeof(against[0]); i++) {
		if (json_get(args, str_of(against[i])) != NULL)
			(void)snprintf(text, sizeof(text),
			    "A fork takes no `%s`: it has what its parent's "
			    "policy says, or the one that it is given.",
			    against[i]);
	}
	if (!json_is(fork, JSON_OBJECT))
		(void)snprintf(text, sizeof(text), "`fork` is no object.");
	if (text[0] == '\0')
		return true;
	reply_error(call, 400, "bad_request", text,
	    "See docs/SNAPSHOTS.md for what a fork can be given.");
	return false;
}

static const struct snap *
find_snap(const struct caller *who, uint64_t call, const struct json *fork,
    uint64_t *parent)
{
	const struct json *name = json_get(fork, STR("snapshot"));
	const struct json *at = json_get(fork, STR("at"));
	const struct snap *s = NULL;
	uint64_t id, step = UINT32_MAX;

	/* Another tenant's run is as unknown as none at all. */
	if (id_parse('r', json_str(json_get(fork, STR("run"))), parent) < 0 ||
	    !caller_sees_run(who, *parent)) {
		reply_error(call, 404, "unknown_run",
		    "`fork.run` names no run.",
		    "List runs with `paddock ps --all` or GET /v1/runs.");
		return NULL;
	}
	if ((name != NULL && at != NULL) ||
	    (at != NULL && (json_u64(at, &step) < 0 || step > UINT32_MAX))) {
		reply_error(call, 400, "bad_request",
		    "`fork.at` is the number of a step, and stands without "
		    "`fork.snapshot`.",
		    "See docs/SNAPSHOTS.md.");
		return NULL;
	}
	if (name == NULL)
		s = snap_at(*parent, (uint32_t)step);
	else if (id_parse('s', json_str(name), &id) == 0)
		s = snap_find(id);
	if (s != NULL && s->run == *parent)
		return s;
	reply_error(call, 404, "unknown_snapshot",
	    name != NULL ? "The run has no such snapshot."
		: at != NULL
		? "The run has no snapshot of that step or an earlier one."
		: "The run has no snapshot.",
	    "List them with `paddock snapshot ls RUN`; take one while the run "
	    "is open.");
	return NULL;
}

static struct policy *
policy_of(uint64_t call, const struct json *args, const struct json *fork,
    const struct snap *s)
{
	static struct policy_problems problems;
	const struct json *set = json_get(fork, STR("set"));
	own_arena struct arena a = {};
	own_buf struct buf text = {}, more = {};
	const struct json *doc, *now;
	struct policy *p = NULL;
	struct hash version;
	struct err e = {};

	if (json_get(args, STR("policy")) != NULL ||
	    json_get(args, STR("policy_text")) != NULL) {
		p = run_policy_take(call, args);
		if (p == NULL || set == NULL)
			return p;
		buf_add_str(&text, p->canonical);
		policy_free(p);
	} else {
		doc = json_parse(buf_str(&s->doc), NULL, &a, &e, NULL);
		if (hash_from_hex(
			json_str(json_get(doc, STR("policy"))), &version) < 0 ||
		    store_policy(broker.store, &version, &text, &e) < 0) {
			reply_error(call, 409, "no_policy",
			    "The policy of the parent is not kept here.",
			    "Give the fork one, with --policy.");
			return NULL;
		}
	}
	now = json_parse(buf_str(&text), NULL, &a, &e, NULL);
	if ((set != NULL && !json_is(set, JSON_OBJECT)) ||
	    (set != NULL && !put_set(&more, now, set, &e))) {
		reply_error(call, 400, "bad_request",
		    e.text[0] != '\0' ? e.text : "`fork.set` is no object.",
		    "See docs/SNAPSHOTS.md for what a fork can be given.");
		return NULL;
	}
	if (set != NULL)
		now = json_parse(buf_str(&more), NULL, &a, &e, NULL);
	buf_reset(&text);
	if (now != NULL)
		json_write(&text, now);
	p = policy_new(buf_str(&text), POLICY_JSON, &problems);
	if (p == NULL)
		run_answer_problems(call, &problems);
	return p;
}

/* Each member of set is a path into the policy, "budgets.max_tool_calls". */
static bool
put_set(struct buf *out, const struct json *policy, const struct json *set,
    struct err *e)
{
	own_arena struct arena a = {};
	own_buf struct buf next = {};

	json_write(out, policy);
	for (const struct json *k = json_first(set); k != NULL;
	     k = json_next(set, k)) {
		const struct str path = json_str(k);
		unsigned dots = 0;

		for (size_t i = 0; i < path.n; i++)
			dots += path.p[i] == '.';
		if (path.n == 0 || path.p[0] == '$' || path.p[0] == '.' ||
		    path.p[path.n - 1] == '.' || dots >= FORK_SET_DEPTH) {
			(void)err_set(e,
			    "`fork.set`: %.*s is no member of a policy. What "
			    "was answered in a step cannot be set: a fork's "
			    "command is executed anew.",
			    (int)(path.n > 64 ? 64 : path.n), path.p);
			return false;
		}
		policy = json_parse(buf_str(out), NULL, &a, e, NULL);
		if (policy == NULL)
			return false;
		buf_reset(&next);
		put_with(&next, policy, path, json_value(k));
		buf_reset(out);
		buf_add_str(out, buf_str(&next));
	}
	return !out->failed;
}

/* The object with the value at the path, in place of what is there. As deep as
 * the path has parts. */
static void
put_with(struct buf *out, const struct json *at, struct str path,
    const struct json *value)
{
	const size_t dot = str_find(path, '.');
	const struct str name = { path.p, dot };
	const bool last = dot == path.n;
	const struct json *inner = NULL;

	buf_add_byte(out, '{');
	if (json_is(at, JSON_OBJECT)) {
		for (const struct json *k = json_first(at); k != NULL;
		     k = json_next(at, k)) {
			if (str_eq(json_str(k), name)) {
				inner = json_value(k);
				continue;
			}
			json_put_str(out, json_str(k));
			buf_add_byte(out, ':');
			json_write(out, json_value(k));
			buf_add_byte(out, ',');
		}
	}
	json_put_str(out, name);
	buf_add_byte(out, ':');
	if (last)
		json_write(out, value);
	else
		put_with(out, inner,
		    (struct str){ path.p + dot + 1, path.n - dot - 1 }, value);
	buf_add_byte(out, '}');
}

int
fork_apply(struct run *r, struct err *e)
{
	const struct snap *s = snap_find(r->fork->snapshot);
	own_arena struct arena a = {};
	const struct json *doc, *labels, *base;

	if (s == NULL)
		return err_set(e, "the snapshot is gone");
	doc = json_parse(buf_str(&s->doc), NULL, &a, e, NULL);
	if (doc == NULL)
		return err_add(e, "the snapshot's document");
	/* What is one tenant's is never another's. */
	if (!str_eq(json_str(json_get(doc, STR("tenant"))),
		r->policy->identity.tenant))
		return err_set(
		    e, "the policy is another tenant's than the parent's");
	labels = json_get(doc, STR("labels"));
	for (const struct json *x =
		 json_is(labels, JSON_ARRAY) ? json_first(labels) : NULL;
	     x != NULL; x = json_next(labels, x)) {
		if (str_eq(json_str(x), STR("*")))
			r->labels.overflowed = true;
		else
			labels_add(&r->labels, json_str(x));
	}
	r->fork->files = json_bool(json_get(doc, STR("files")), true);
	r->fork->has_world = json_get(doc, STR("world")) != NULL;
	base = json_get(doc, STR("base"));
	r->fork->has_base = base != NULL;
	(void)str_to_u64(json_str(json_get(base, STR("dev"))), &r->fork->dev);
	(void)str_to_u64(json_str(json_get(base, STR("ino"))), &r->fork->ino);
	if (fork_revoked_take(r, e) < 0 ||
	    drafts_resume(r, json_get(doc, STR("drafts")), e) < 0)
		return -1;
	take_retries(r, json_get(doc, STR("retries")));
	take_used(r, json_get(doc, STR("used")), e);
	return e->text[0] != '\0' ? -1 : 0;
}

int
fork_replay(struct run *r, struct err *e)
{
	const struct snap *s = snap_find(r->fork->snapshot);
	own_arena struct arena a = {};
	const struct json *doc =
	    s == NULL ? NULL : json_parse(buf_str(&s->doc), NULL, &a, e, NULL);

	return egress_replay_resume(r, json_get(doc, STR("replay")), e);
}

static void
take_used(struct run *r, const struct json *used, struct err *e)
{
	for (int i = 0; i < BUDGET_KINDS; i++) {
		const enum budget_kind k = (enum budget_kind)i;
		uint64_t n;

		if (json_u64(json_get(used, str_of(budget_member(k))), &n) <
		    0) {
			(void)err_set(e,
			    "the snapshot does not say what of the budgets is "
			    "used");
			return;
		}
		if (n > r->budget.limit[k]) {
			(void)err_set(e,
			    "the parent had used more of %s than the fork's "
			    "policy gives",
			    budget_member(k));
			return;
		}
		r->budget.used[k] = n;
		if (k == BUDGET_RUNTIME_MS)
			r->runtime_before_ms = n;
	}
}

static void
take_retries(struct run *r, const struct json *retries)
{
	if (!json_is(retries, JSON_ARRAY) || retries->n == 0 ||
	    retries->n > TOOLS_USED_MAX)
		return;
	r->uses = calloc(retries->n, sizeof(*r->uses));
	must(r->uses != NULL);
	for (const struct json *x = json_first(retries); x != NULL;
	     x = json_next(retries, x)) {
		struct tool_use *u = &r->uses[r->n_uses];
		uint64_t n = 0;

		if (str_copy(json_str(json_get(x, STR("tool"))), u->name,
			sizeof(u->name)) < 0)
			continue;
		(void)json_u64(json_get(x, STR("n")), &n);
		u->retries = (uint32_t)n;
		u->has_failed =
		    hash_from_hex(
			json_str(json_get(x, STR("failed"))), &u->failed) == 0;
		r->n_uses++;
	}
}

int
fork_start_take(struct run *r, struct err *e)
{
	const bool folder = (r->start_msg.flags & START_WORKSPACE) != 0;
	const size_t at = r->start_msg.argc > 0 ? 3 : 0;
	struct stat st;

	if (folder != r->fork->has_base)
		return err_set(e,
		    r->fork->has_base
			? "the parent's work folder is missing: open the fork "
			  "with `paddock fork` at the daemon's own socket"
			: "the parent had no work folder, so a fork has none");
	if (folder &&
	    (fstat(r->start_fds[at], &st) < 0 || st.st_dev != r->fork->dev ||
		st.st_ino != r->fork->ino))
		return err_set(
		    e, "that is not the folder that the parent worked on");
	for (uint32_t i = 0; i < r->fork->n_layers; i++) {
		char name[ID_BYTES];

		id_text('s', r->fork->layer[i], name);
		buf_add(&r->start, name, strlen(name) + 1);
		r->start_msg.layers++;
	}
	return 0;
}

bool
fork_record(struct run *r)
{
	struct event ev = record_of(r, EVENT_FORK_OPENED);
	own_buf struct buf body = {};
	char parent[ID_BYTES], snapshot[ID_BYTES];

	id_text('r', r->fork->parent, parent);
	id_text('s', r->fork->snapshot, snapshot);
	buf_printf(&body, "{\"at\":%u,\"labels\":", r->fork->step);
	labels_write(&body, &r->labels);
	buf_printf(&body,
	    ",\"parent\":\"%s\",\"snapshot\":\"%s\",\"tool_calls\":%llu}",
	    parent, snapshot,
	    (unsigned long long)r->budget.used[BUDGET_TOOL_CALLS]);
	ev.body = buf_str(&body);
	if (!drafts_store(r) || !fork_revoked_record(r))
		return false;
	r->fork->seq = record_add(&ev);
	store_hurry(broker.store);
	return r->fork->seq != 0;
}

void
fork_durable(uint64_t seq)
{
	struct run *next;

	for (struct run *r = broker.runs; r != NULL; r = next) {
		next = r->next;
		if (r->fork == NULL || r->fork->seq == 0 || r->fork->seq > seq)
			continue;
		r->fork->seq = 0;
		check_next(r);
	}
	check_waiting();
}

/* The next of its layers, by check_waiting; or all is well, and it begins. */
static void
check_next(struct run *r)
{
	if (r->state != RUN_OPENING)
		return;
	if (r->fork->checked == r->fork->n_layers) {
		r->fork->ready = true;
		run_fork_go(r);
		return;
	}
	r->fork->waits = true;
}

/*
 * One check is for all that wait when it begins, and for none that came later:
 * so each fork's files are looked at when its record is on disk. A world is
 * checked for each, who gets it as its own.
 */
static void
check_waiting(void)
{
	struct run *next;

	for (struct run *r = broker.runs; r != NULL; r = next) {
		struct err e = {};

		next = r->next;
		if (r->fork == NULL || !r->fork->waits ||
		    (!is_single(r) && is_checking(r)))
			continue;
		if (r->state != RUN_OPENING)
			r->fork->waits = false;
		else if (check_begin(r, &e) < 0)
			run_fork_fail(r, e.text);
	}
}

static uint64_t
next_layer(const struct run *r)
{
	return r->fork->layer[r->fork->checked];
}

/* Its world comes with the answer. */
static bool
is_single(const struct run *r)
{
	return r->fork->has_world && r->fork->checked == 0;
}

static bool
is_checking(const struct run *r)
{
	for (const struct run *x = broker.runs; x != NULL; x = x->next) {
		if (x->fork != NULL && x->fork->check != 0 &&
		    x->state == RUN_OPENING && next_layer(x) == next_layer(r))
			return true;
	}
	return false;
}

static int
check_begin(struct run *r, struct err *e)
{
	static uint64_t last;
	const struct msg_snapshot_ask m = { .run = r->id,
		.call = ++last,
		.id = next_layer(r),
		.what = SNAPSHOT_CHECK };
	const struct snap *s = snap_find(m.id);
	own_fd int list = -1;

	r->fork->waits = false;
	list = s == NULL ? err_set(e, "the snapshot below it is gone")
			 : snap_list_fd(s, e);
	if (list < 0)
		return -1;
	r->fork->check = last;
	for (struct run *x = broker.runs; x != NULL && !is_single(r);
	     x = x->next) {
		if (x->fork != NULL && x->fork->waits && !is_single(x) &&
		    x->state == RUN_OPENING && next_layer(x) == m.id) {
			x->fork->waits = false;
			x->fork->check = last;
		}
	}
	(void)peer_send(&broker.supervisor, MSG_SNAPSHOT_ASK, &m, STR(""),
	    &list, 1); /* its loss ends us */
	return 0;
}

void
fork_checked(const struct msg_snapshot_told *m, const struct frame *f)
{
	own_buf struct buf why = {};
	struct run *next;

	buf_add_str(&why, f->payload);
	for (struct run *r = broker.runs; r != NULL; r = next) {
		next = r->next;
		if (m->call == 0 || r->fork == NULL ||
		    r->fork->check != m->call)
			continue;
		r->fork->check = 0;
		if (r->state != RUN_OPENING)
			continue;
		must(next_layer(r) == m->id);
		if (!m->ok) {
			run_fork_fail(r, buf_c(&why));
			continue;
		}
		/* The newest comes first: of those below it nobody needs the
		 * data. */
		if (is_single(r) && f->n_fds == 1)
			r->fork->world = fd_take(&f->fds[0]);
		if (r->fork->has_world != (r->fork->world >= 0) ||
		    (r->fork->checked == 0 && !r->fork->has_world &&
			f->n_fds > 0)) {
			run_fork_fail(
			    r, "its world is not what its record says");
			continue;
		}
		r->fork->checked++;
		check_next(r);
	}
	check_waiting();
}
