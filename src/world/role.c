#include "world/role.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "codec/json.h"
#include "ipc/links.h"
#include "sys/confine.h"
#include "sys/fd.h"
#include "sys/loop.h"
#include "world/result.h"
#include "world/fdvfs.h"
#include "world/world.h"

struct open_run {
	uint64_t run;
	struct world *world;
	uint64_t used; /* when, as role_state counts */
};

struct role_state {
	struct links links;
	struct open_run runs[RUNS_MAX]; /* the first n_runs */
	size_t n_runs;
	uint64_t uses; /* of all worlds so far */
	struct arena arena; /* of one call */
	struct buf out; /* its answer */
};

static int start(struct role_state *s, int supervisor_fd, struct err *e);
static void on_broker_frame(struct peer *p, const struct frame *f);
static void on_world_open(struct role_state *s, const struct frame *f);
static void on_world_call(struct role_state *s, const struct frame *f);
static void on_world_close(struct role_state *s, const struct frame *f);
static void on_world_save(struct role_state *s, const struct frame *f);
static void on_world_try(struct role_state *s, const struct frame *f);
static int call(struct role_state *s, const struct msg_world_call *m,
    struct str payload, bool *wrote);
static int call_error(struct role_state *s, const char *code, const char *error,
    const char *next);
static struct open_run *run_find(struct role_state *s, uint64_t run);
static struct open_run *run_use(struct role_state *s, uint64_t run);

int
world_role_main(int supervisor_fd)
{
	struct role_state *s = calloc(1, sizeof(*s));
	struct err e = {};
	int status = 0;

	log_init("world", LOG_WARN);
	must(s != NULL);
	if (start(s, supervisor_fd, &e) < 0 ||
	    loop_run(s->links.loop, NULL, NULL, &e) < 0) {
		log_error("stops why=\"%s\"", e.text);
		status = 1;
	}
	for (size_t i = 0; i < s->n_runs; i++)
		world_free(s->runs[i].world);
	links_close(&s->links);
	arena_fini(&s->arena);
	buf_fini(&s->out);
	free(s);
	return status;
}

static int
start(struct role_state *s, int supervisor_fd, struct err *e)
{
	s->arena.max_bytes = WORLD_MAX_PARSE_BYTES;
	s->out.max = IPC_MAX_PAYLOAD_BYTES;
	if (links_open(
		&s->links, ROLE_WORLD, supervisor_fd, on_broker_frame, e) < 0)
		return -1;

	/* One thread: SQLite needs no locks and no count of its memory. */
	if (sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) != SQLITE_OK ||
	    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) != SQLITE_OK)
		return err_set(e, "sqlite3_config");
	if (fdvfs_init(e) < 0)
		return -1;

	if (confine_role(CONFINE_WORLD, NULL, e) < 0)
		return -1;
	return links_ready(&s->links, e);
}

static void
on_broker_frame(struct peer *p, const struct frame *f)
{
	struct role_state *s = LOOP_OF(p, struct role_state, links.broker);

	if (f->type == MSG_WORLD_OPEN)
		on_world_open(s, f);
	else if (f->type == MSG_WORLD_CALL)
		on_world_call(s, f);
	else if (f->type == MSG_WORLD_CLOSE)
		on_world_close(s, f);
	else if (f->type == MSG_WORLD_SAVE)
		on_world_save(s, f);
	else if (f->type == MSG_WORLD_TRY)
		on_world_try(s, f);
	else
		must_fail("a message of the routes", __FILE__, __LINE__);
}

static void
on_world_open(struct role_state *s, const struct frame *f)
{
	const struct msg_world_open *m = f->body;
	struct msg_world_opened answer = { .run = m->run };
	struct world *w = NULL;
	struct err e = {};

	if (run_find(s, m->run) != NULL)
		err_set(&e, "this run has a world already");
	else if (s->n_runs == RUNS_MAX)
		err_set(
		    &e, "%d worlds are open, the most that can be", RUNS_MAX);
	else if (m->saved != 0)
		w = world_saved_take(fd_take(&f->fds[0]), &e);
	else
		w = world_new_take(fd_take(&f->fds[0]), f->payload, &e);
	if (w == NULL) {
		peer_send(&s->links.broker, MSG_WORLD_OPENED, &answer,
		    str_of(e.text), NULL, 0);
		return;
	}
	s->runs[s->n_runs++] = (struct open_run){ m->run, w, 0 };
	buf_reset(&s->out);
	world_tools(w, &s->out);
	answer.ok = 1;
	peer_send(&s->links.broker, MSG_WORLD_OPENED, &answer, buf_str(&s->out),
	    NULL, 0);
}

static void
on_world_call(struct role_state *s, const struct frame *f)
{
	const struct msg_world_call *m = f->body;
	struct msg_world_result answer = { .run = m->run, .call = m->call };
	bool wrote = false;

	arena_reset(&s->arena);
	answer.ok = call(s, m, f->payload, &wrote) == 0;
	answer.wrote = wrote;
	peer_send(&s->links.broker, MSG_WORLD_RESULT, &answer, buf_str(&s->out),
	    NULL, 0);
}

static void
on_world_close(struct role_state *s, const struct frame *f)
{
	const struct msg_door *m = f->body;
	struct open_run *r = run_find(s, m->run);

	if (r == NULL)
		return; /* its world did not open */
	world_free(r->world);
	*r = s->runs[--s->n_runs];
}

static void
on_world_save(struct role_state *s, const struct frame *f)
{
	const struct msg_world_save *m = f->body;
	struct open_run *r = run_use(s, m->run);
	struct msg_world_saved answer = { .run = m->run,
		.snapshot = m->snapshot };
	struct err e = {};

	if (r == NULL)
		(void)err_set(&e, "this run has no world");
	else
		answer.ok = world_save(r->world, m->now_ns, f->fds[0], &e) == 0;
	peer_send(&s->links.broker, MSG_WORLD_SAVED, &answer, str_of(e.text),
	    NULL, 0);
}

static void
on_world_try(struct role_state *s, const struct frame *f)
{
	const struct msg_world_try *m = f->body;
	struct open_run *r = run_use(s, m->run);
	struct msg_world_tried answer = { .run = m->run,
		.approval = m->approval };
	const struct json *v;
	struct err e = {};

	arena_reset(&s->arena);
	v = json_parse(f->payload, NULL, &s->arena, &e, NULL);
	if (r == NULL)
		(void)err_set(&e, "this run has no world");
	else if (v != NULL)
		answer.ok =
		    world_try(r->world, json_str(json_get(v, STR("name"))),
			json_get(v, STR("arguments")), m->now_ns, &s->out,
			&e) == 0;
	peer_send(&s->links.broker, MSG_WORLD_TRIED, &answer,
	    answer.ok ? buf_str(&s->out) : str_of(e.text), NULL, 0);
}

/* As world_call; s->out is the answer. */
static int
call(struct role_state *s, const struct msg_world_call *m, struct str payload,
    bool *wrote)
{
	struct open_run *r = run_use(s, m->run);
	const struct json *v, *name, *args;
	struct err e = {};

	if (r == NULL)
		return call_error(s, "unknown_run", "this run has no world",
		    "Open the run again.");
	v = json_parse(payload, NULL, &s->arena, &e, NULL);
	if (v == NULL)
		return call_error(
		    s, "invalid_arguments", e.text, "Send smaller arguments.");
	name = json_get(v, STR("name"));
	args = json_get(v, STR("arguments"));
	if (!json_is(name, JSON_STRING) || args == NULL)
		return call_error(s, "invalid_arguments",
		    "a call needs a name and arguments", "Send both.");
	return world_call(
	    r->world, json_str(name), args, m->now_ns, &s->out, wrote);
}

static int
call_error(
    struct role_state *s, const char *code, const char *error, const char *next)
{
	buf_reset(&s->out);
	result_open(&s->out, NULL, '{');
	result_text(&s->out, "code", str_of(code));
	result_text(&s->out, "error", str_of(error));
	result_text(&s->out, "suggested_next_step", str_of(next));
	result_close(&s->out, '}');
	return 1;
}

static struct open_run *
run_find(struct role_state *s, uint64_t run)
{
	for (size_t i = 0; i < s->n_runs; i++)
		if (s->runs[i].run == run)
			return &s->runs[i];
	return NULL;
}

/*
 * As run_find, for a run whose world is about to wake: the one that was used
 * longest ago dozes for it when as many as may are awake.
 */
static struct open_run *
run_use(struct role_state *s, uint64_t run)
{
	struct open_run *r = run_find(s, run), *oldest = NULL;
	size_t awake = 0;

	if (r == NULL)
		return NULL;
	r->used = ++s->uses;
	if (world_is_awake(r->world))
		return r;
	for (size_t i = 0; i < s->n_runs; i++) {
		struct open_run *o = &s->runs[i];

		if (!world_is_awake(o->world))
			continue;
		awake++;
		if (oldest == NULL || o->used < oldest->used)
			oldest = o;
	}
	if (awake >= WORLDS_AWAKE_MAX)
		world_doze(oldest->world);
	return r;
}
