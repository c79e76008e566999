/*
 * What a request for a run that is answered out of a record may ask for.
 */
#include <stdio.h>
#include <string.h>

#include "broker/fork.h"
#include "broker/rerun_int.h"
#include "broker/run_int.h"
#include "broker/snap.h"
#include "broker/who.h"

/* Whose record it is. */
struct named {
	bool there;
	struct hash policy;
	char tenant[NAME_MAX_BYTES];
	uint64_t parent, snapshot; /* of a fork */
};

static bool members_fit(uint64_t call, const struct json *args);
static struct policy *policy_of(uint64_t call, const struct named *n);
static bool on_run(void *arg, const struct store_run *row);
static bool on_fork(void *arg, const struct store_row *row);

struct policy *
rerun_policy_take(const struct caller *who, uint64_t call,
    const struct json *args, struct fork **fork)
{
	const struct json *replay = json_get(args, STR("replay"));
	struct named n = {};
	struct policy *p;
	uint64_t run = 0;
	struct err e = {};

	if (!members_fit(call, args))
		return NULL;
	/* Another tenant's run is as unknown as none at all. */
	if (!json_is(replay, JSON_OBJECT) ||
	    id_parse('r', json_str(json_get(replay, STR("run"))), &run) < 0 ||
	    !caller_sees_run(who, run) ||
	    store_runs(broker.store, run, false, 1, on_run, &n, &e) < 0 ||
	    !n.there) {
		reply_error(call, 404, "unknown_run",
		    "`replay.run` names no run.",
		    "List runs with `paddock ps --all` or GET /v1/runs.");
		return NULL;
	}
	p = json_get(args, STR("policy")) != NULL ||
		json_get(args, STR("policy_text")) != NULL
	    ? run_policy_take(call, args)
	    : policy_of(call, &n);
	if (p == NULL)
		return NULL;
	if (!str_eq_c(p->identity.tenant, n.tenant)) {
		policy_free(p);
		reply_error(call, 409, "another_tenant",
		    "The policy is another tenant's than the recorded run.",
		    "Leave the policy out: it is that of the record then.");
		return NULL;
	}
	if (p->sandbox.n_mounts > 0) {
		policy_free(p);
		reply_error(call, 409, "mounts",
		    "A run that is answered from a record mounts no folders, "
		    "and its policy has some.",
		    "Give it a policy without `sandbox.mounts`.");
		return NULL;
	}
	if (store_step(broker.store, run, 0, on_fork, &n, &e) < 0 ||
	    (n.parent != 0 && snap_find(n.snapshot) == NULL)) {
		policy_free(p);
		reply_error(call, 409, "no_snapshot",
		    "The recorded run is a fork, and the snapshot that it "
		    "began at is gone.",
		    "Replay another run: without its files it would not be "
		    "the same.");
		return NULL;
	}
	if (n.parent != 0)
		*fork = fork_new(n.parent, snap_find(n.snapshot));
	return p;
}

/* Nothing that would last, and no other answers. */
static bool
members_fit(uint64_t call, const struct json *args)
{
	static const char *const against[] = { "fork", "mounts",
		"mount_folders", "replay_http", "replay_miss", "write_back",
		"world" };
	char text[160];

	for (size_t i = 0; i < sizeof(against) / sizeof(against[0]); i++) {
		const struct json *v = json_get(args, str_of(against[i]));

		if (v == NULL || json_is(v, JSON_FALSE))
			continue;
		(void)snprintf(text, sizeof(text),
		    "`%s` does not go with `replay`: what such a run is told "
		    "is in the record.",
		    against[i]);
		reply_error(call, 400, "bad_request", text,
		    "Leave it out. See docs/TRACE.md, *Once more*.");
		return false;
	}
	return true;
}

static struct policy *
policy_of(uint64_t call, const struct named *n)
{
	static struct policy_problems problems;
	own_buf struct buf text = {};
	struct policy *p;
	struct err e = {};

	if (store_policy(broker.store, &n->policy, &text, &e) < 0) {
		reply_error(call, 409, "no_policy",
		    "The policy of the recorded run is not kept here.",
		    "Give one, as `policy`.");
		return NULL;
	}
	p = policy_new(buf_str(&text), POLICY_JSON, &problems);
	if (p == NULL)
		run_answer_problems(call, &problems);
	return p;
}

static bool
on_run(void *arg, const struct store_run *row)
{
	struct named *n = arg;

	n->there = str_copy(row->tenant, n->tenant, sizeof(n->tenant)) == 0;
	n->policy = row->policy;
	return false;
}

static bool
on_fork(void *arg, const struct store_row *row)
{
	struct named *n = arg;
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *body;

	if (row->kind != EVENT_FORK_OPENED)
		return true;
	body = json_get(json_parse(row->body, NULL, &a, &e, NULL), STR("body"));
	(void)id_parse('s', json_str(json_get(body, STR("snapshot"))),
	    &n->snapshot); /* one that is none is found nowhere */
	(void)id_parse(
	    'r', json_str(json_get(body, STR("parent"))), &n->parent);
	return false;
}
