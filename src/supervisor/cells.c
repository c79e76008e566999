#include "supervisor/cells.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/limits.h"
#include "base/log.h"
#include "core/id.h"
#include "sys/fd.h"

/* Words in a command and its environment: far more than shells make. */
enum { WORDS_MAX = 4096 };

struct cell {
	struct cells *of;
	uint64_t run; /* 0: free */
	struct sandbox sb;
	struct loop_watch over; /* the sandbox's pidfd, borrowed from sb */
	struct loop_timer wall;
};

struct cells {
	struct loop *loop;
	const struct sandbox_host *host;
	void (*on_exit)(const struct msg_sandbox_exited *m);
	unsigned n;
	struct cell cell[RUNS_MAX];
};

static int words_take(
    struct str *at, uint32_t n, const char **out, size_t *used, struct err *e);
static struct cell *cell_find(struct cells *c, uint64_t run);
static void on_over(struct loop_watch *w, uint32_t events);
static void on_wall(struct loop_timer *t);
static void cell_end(struct cell *cell, struct msg_sandbox_exited *out);
static enum exit_cause cause_of(
    const struct sandbox_end *end, enum sandbox_limit killed_for);

struct cells *
cells_new(struct loop *loop, const struct sandbox_host *host,
    void (*on_exit)(const struct msg_sandbox_exited *m), struct err *e)
{
	struct cells *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		(void)err_set(e, "out of memory");
		return NULL;
	}
	c->loop = loop;
	c->host = host;
	c->on_exit = on_exit;
	for (size_t i = 0; i < RUNS_MAX; i++)
		c->cell[i].of = c;
	return c;
}

void
cells_free(struct cells *c)
{
	if (c == NULL)
		return;
	(void)cells_kill_all(c);
	for (size_t i = 0; i < RUNS_MAX; i++) {
		struct msg_sandbox_exited m;

		if (c->cell[i].run != 0)
			cell_end(&c->cell[i], &m);
	}
	free(c);
}

int
cells_start(struct cells *c, const struct frame *f,
    struct msg_sandbox_started *out, int listener[static 2], struct err *e)
{
	const struct msg_sandbox_start *m = f->body;
	bool folder = (m->flags & START_WORKSPACE) != 0;
	/* Start-up is the only time that uses them, and runs alone. */
	static const char *words[WORDS_MAX + 4];
	struct sandbox_spec spec = {};
	struct cell *cell = cell_find(c, 0);
	struct str at = f->payload;
	size_t used = 0, argv, envp;

	if (m->run == 0 || cell_find(c, m->run) != NULL)
		return err_set(e, "run is there already");
	if (cell == NULL)
		return err_set(
		    e, "%d sandboxes are running; stop one first", RUNS_MAX);
	if (f->n_fds != (folder ? 4U : 3U))
		return err_set(e, "descriptors do not fit the flags");
	argv = used;
	if (words_take(&at, m->argc, words, &used, e) < 0)
		return -1;
	envp = used;
	if (words_take(&at, m->envc, words, &used, e) < 0)
		return -1;
	if (folder && words_take(&at, 1, words, &used, e) < 0)
		return -1;
	if (at.n != 0 || m->argc == 0)
		return err_set(e, "command is not as long as it says");

	spec.argv = words + argv;
	spec.envp = words + envp;
	for (int i = 0; i < 3; i++)
		spec.stdio[i] = f->fds[i];
	spec.workspace_fd = folder ? f->fds[3] : -1;
	spec.workspace_path =
	    folder ? sandbox_path_for(words[used - 2]) : "/workspace";
	spec.write_back = (m->flags & START_WRITE_BACK) != 0;
	spec.limits = (struct sandbox_limits){
		.memory_bytes = m->memory_bytes,
		.pids_max = m->pids,
		.cpu_milli = m->cpu_milli,
		.wall_ms = m->wall_ms,
		.disk_bytes = m->disk_bytes,
		.inodes = m->inodes,
	};
	spec.slot = (uint32_t)(cell - c->cell);
	spec.listen_port[0] = RUN_DOOR_PORT;
	spec.listen_port[1] = RUN_PROXY_PORT;
	spec.n_listen = 2;
	spec.required = (m->flags & START_LIMITS_REQUIRED) != 0
	    ? WALL_MEMORY | WALL_PIDS | WALL_CPU
	    : 0;

	if (sandbox_start(c->host, &spec, &cell->sb, e) < 0)
		return -1;
	cell->over = (struct loop_watch){
		.fd = cell->sb.pidfd,
		.events = EPOLLIN,
		.on_ready = on_over,
	};
	if (loop_add(c->loop, &cell->over, e) < 0) {
		sandbox_fini(&cell->sb);
		return -1;
	}
	cell->run = m->run;
	cell->wall.on_time = on_wall;
	if (m->wall_ms > 0)
		loop_timer_set(c->loop, &cell->wall,
		    cell->sb.started_ns + (int64_t)m->wall_ms * 1000000);
	c->n++;
	*out = (struct msg_sandbox_started){
		.run = m->run,
		.posture = cell->sb.posture,
		.ok = 1,
		.pid = (uint32_t)cell->sb.pid,
	};
	for (int i = 0; i < 2; i++)
		listener[i] = fd_take(&cell->sb.listener[i]);
	return 0;
}

bool
cells_kill(struct cells *c, uint64_t run)
{
	struct cell *cell = run != 0 ? cell_find(c, run) : NULL;

	if (cell == NULL)
		return false;
	sandbox_kill(&cell->sb, LIMIT_STOPPED);
	return true;
}

unsigned
cells_kill_all(struct cells *c)
{
	unsigned n = 0;

	for (size_t i = 0; i < RUNS_MAX; i++) {
		if (c->cell[i].run != 0) {
			sandbox_kill(&c->cell[i].sb, LIMIT_STOPPED);
			n++;
		}
	}
	return n;
}

unsigned
cells_count(const struct cells *c)
{
	return c->n;
}

/*
 * Points the next n words at NUL-terminated texts, and ends them with NULL.
 */
static int
words_take(
    struct str *at, uint32_t n, const char **out, size_t *used, struct err *e)
{
	if (n > WORDS_MAX || *used + n > WORDS_MAX)
		return err_set(e, "over %d words in the command", WORDS_MAX);
	for (uint32_t i = 0; i < n; i++) {
		size_t len = str_find(*at, '\0');

		if (len == at->n)
			return err_set(e, "word without an end");
		out[(*used)++] = at->p;
		at->p += len + 1;
		at->n -= len + 1;
	}
	out[(*used)++] = NULL;
	return 0;
}

static struct cell *
cell_find(struct cells *c, uint64_t run)
{
	for (size_t i = 0; i < RUNS_MAX; i++) {
		if (c->cell[i].run == run)
			return &c->cell[i];
	}
	return NULL;
}

static void
on_over(struct loop_watch *w, uint32_t events)
{
	struct cell *cell = LOOP_OF(w, struct cell, over);
	struct cells *c = cell->of;
	struct msg_sandbox_exited m;

	(void)events;
	cell_end(cell, &m);
	c->on_exit(&m);
}

static void
on_wall(struct loop_timer *t)
{
	struct cell *cell = LOOP_OF(t, struct cell, wall);

	sandbox_kill(&cell->sb, LIMIT_WALL);
}

/* Collects one that is over, or has just been killed, and frees its slot. */
static void
cell_end(struct cell *cell, struct msg_sandbox_exited *out)
{
	struct cells *c = cell->of;
	struct sandbox_end end = {};
	struct err e = {};
	int got;

	/* The sandbox owns the descriptor, and closes it when it is reaped. */
	(void)loop_remove(c->loop, &cell->over);
	got = sandbox_reap(&cell->sb, &end, &e);
	if (got < 0)
		log_error("sandbox not reaped why=\"%s\"", e.text);
	*out = (struct msg_sandbox_exited){
		.run = cell->run,
		.cpu_ns = end.cpu_ns,
		.memory_peak_bytes = end.memory_max_bytes,
		.pids_refused = end.pids_refused,
		.cause =
		    got < 0 ? CAUSE_LOST : cause_of(&end, cell->sb.killed_for),
		.status = end.kind == END_EXIT ? (uint32_t)end.code
		    : end.kind == END_SIGNAL || end.kind == END_LOST
		    ? 128 + (uint32_t)end.code
		    : 127,
	};
	loop_timer_clear(c->loop, &cell->wall);
	sandbox_fini(&cell->sb);
	cell->run = 0;
	c->n--;
}

static enum exit_cause
cause_of(const struct sandbox_end *end, enum sandbox_limit killed_for)
{
	if (killed_for == LIMIT_WALL)
		return CAUSE_WALL;
	if (killed_for == LIMIT_STOPPED)
		return CAUSE_KILLED;
	if (end->limit == LIMIT_MEMORY)
		return CAUSE_MEMORY;
	if (end->kind == END_LOST)
		return CAUSE_LOST;
	return end->kind == END_NOT_STARTED ? CAUSE_NOT_STARTED : CAUSE_EXIT;
}
