#include "supervisor/cells.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/cell_order.h"
#include "supervisor/cell_tell.h"
#include "supervisor/cells_int.h"
#include "sys/fd.h"

static int files_of(int folder, struct cell_files *out, struct err *e);
static void cell_gone(struct cell *cell);
static void on_written(struct giveback *w, const char *why);
static struct cell *cell_find(struct cells *c, uint64_t run);
static void on_late(struct loop_timer *t);
static void on_over(struct loop_watch *w, uint32_t events);
static void on_wall(struct loop_timer *t);
static void on_tend(struct loop_timer *t);
static int cell_freeze(struct cell *cell, bool frozen, struct err *e);
static void cell_told(const struct cell *cell, struct msg_sandbox_told *out);
static void cell_fini(struct cell *cell);
static void cell_end(struct cell *cell, struct msg_sandbox_exited *out);
static void set_figures(struct msg_sandbox_exited *out,
    const struct sandbox_limits *limits, const struct sandbox_end *end);
static enum exit_cause cause_of(
    const struct sandbox_end *end, enum sandbox_limit killed_for);

struct cells *
cells_new(struct loop *loop, const struct sandbox_host *host,
    const char *state_dir, struct cells_hear hear, struct err *e)
{
	struct cells *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		(void)err_set(e, "out of memory");
		return NULL;
	}
	c->loop = loop;
	c->host = host;
	c->state_dir = state_dir;
	c->hear = hear;
	c->tend.on_time = on_tend;
	c->records = -1;
	pool_init(&c->pool, host);
	return c;
}

void
cells_take_audit(struct cells *c, int records)
{
	fd_fini(&c->records);
	c->records = records;
}

void
cells_free(struct cells *c)
{
	if (c == NULL)
		return;
	(void)cells_kill_all(c);
	for (size_t i = 0; i < RUNS_MAX; i++) {
		struct msg_sandbox_exited m;

		if (c->cell[i].run == 0)
			continue;
		if (c->cell[i].giveback.pid == 0 && !c->cell[i].is_late)
			cell_end(&c->cell[i], &m);
		cell_fini(&c->cell[i]);
	}
	loop_timer_clear(c->loop, &c->tend);
	pool_fini(&c->pool);
	cells_unwatch_audit(c);
	fd_fini(&c->records);
	free(c);
}

int
cells_start(struct cells *c, const struct frame *f,
    struct msg_sandbox_started *out, int fds[static CELL_FDS], size_t *n_fds,
    struct err *e)
{
	const struct msg_sandbox_start *m = f->body;
	own_order struct cell_order o = CELL_ORDER_NONE;
	struct cell *cell = cell_find(c, 0);

	if (m->run == 0 || cell_find(c, m->run) != NULL)
		return err_set(e, "run is there already");
	if (cell == NULL)
		return err_set(
		    e, "%d sandboxes are running; stop one first", RUNS_MAX);
	/* Not before: what is never used takes no memory. */
	cell->of = c;
	cell->image_lock = -1;
	cell->folder = -1;
	if (cell_order_take(&o, f, c->state_dir, e) < 0)
		return -1;
	if (files_of(o.spec.workspace_fd, &cell->files, e) < 0 ||
	    planted_begin(&cell->planted, &o.spec, e) < 0)
		return -1;
	if (pool_start(&c->pool, m->tenant, &o.spec, clock_mono_ns(), &cell->sb,
		e) < 0) {
		planted_fini(&cell->planted);
		return -1;
	}
	cell->rules = o.rules;
	o.rules = NULL;
	cell->protect = o.spec.protect;
	if (o.spec.limits.io_bytes_per_s > 0 &&
	    sandbox_io_limit(&cell->sb, o.spec.workspace_fd, e) < 0) {
		if ((m->flags & START_LIMITS_REQUIRED) != 0) {
			cell_fini(cell);
			return err_add(e, "io_mb_per_s");
		}
		log_warn("no limit of the disk why=\"%s\"", e->text);
	}
	/* Not now: first this run gets going. */
	loop_timer_set(
	    c->loop, &c->tend, clock_mono_ns() + POOL_FILL_MS * 1000000LL);
	cell->over = (struct loop_watch){
		.fd = cell->sb.pidfd,
		.events = EPOLLIN,
		.on_ready = on_over,
	};
	if (loop_add(c->loop, &cell->over, e) < 0) {
		cell_fini(cell);
		return -1;
	}
	if ((o.spec.explain && cell_watch_denied(cell, e) < 0) ||
	    (o.spec.judged && cell_watch_refused(cell, e) < 0)) {
		(void)loop_remove(c->loop, &cell->over);
		cell_fini(cell);
		return -1;
	}
	cell->folder =
	    o.spec.write_back ? fd_take(&f->fds[m->argc > 0 ? 3 : 0]) : -1;
	cell->image_lock = fd_take(&o.lock);
	cell->run = m->run;
	cell->tenant = m->tenant;
	cell->workflow = m->workflow;
	cell->owner = m->owner;
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
	if (cell->sb.n_listen == 2 + NET_SOCKETS)
		out->flags = STARTED_TCP | STARTED_DNS_UDP | STARTED_DNS_TCP;
	for (unsigned i = 0; i < cell->sb.n_listen; i++)
		fds[i] = fd_take(&cell->sb.listener[i]);
	fds[cell->sb.n_listen] = fd_take(&cell->sb.rpc);
	*n_fds = cell->sb.n_listen + 1;
	return 0;
}

int
cells_ask(struct cells *c, const struct msg_sandbox_ask *m,
    struct msg_sandbox_told *out, struct err *e)
{
	struct cell *cell = m->run != 0 ? cell_find(c, m->run) : NULL;
	int r = 0;

	if (cell == NULL)
		return err_set(e, "the sandbox has ended");
	switch ((enum sandbox_ask)m->what) {
	case ASK_STAT:
		break;
	case ASK_FREEZE:
		r = cell_freeze(cell, true, e);
		break;
	case ASK_THAW:
		r = cell_freeze(cell, false, e);
		break;
	case ASK_TERMINATE:
		r = sandbox_signal(&cell->sb, SIGTERM, e);
		break;
	}
	if (r == 0)
		cell_told(cell, out);
	return r;
}

int
cells_hold(struct cells *c, uint64_t run, bool still, struct err *e)
{
	struct cell *cell = run != 0 ? cell_find(c, run) : NULL;

	if (cell == NULL)
		return err_set(e, "the sandbox has ended");
	if (cell->sb.frozen == still)
		return 1;
	return cell_freeze(cell, still, e);
}

int
cells_files(
    struct cells *c, uint64_t run, struct cell_files *out, struct err *e)
{
	struct cell *cell = run != 0 ? cell_find(c, run) : NULL;

	if (cell == NULL || cell->sb.upper < 0)
		return err_set(e, "the sandbox has ended");
	*out = cell->files;
	out->upper = cell->sb.upper;
	return 0;
}

static int
files_of(int folder, struct cell_files *out, struct err *e)
{
	struct stat st = { .st_uid = geteuid(), .st_gid = getegid() };

	if (folder >= 0 && fstat(folder, &st) < 0)
		return err_sys(e, "work folder");
	*out = (struct cell_files){
		.upper = -1,
		.owner = st.st_uid,
		.group = st.st_gid,
		.dev = folder >= 0 ? st.st_dev : 0,
		.ino = folder >= 0 ? st.st_ino : 0,
	};
	return 0;
}

bool
cells_kill(struct cells *c, uint64_t run)
{
	bool any = false;

	/* What belongs to a run ends with it, whoever else is alive. */
	for (size_t i = 0; run != 0 && i < RUNS_MAX; i++) {
		struct cell *cell = &c->cell[i];

		if (cell->run != run && (cell->run == 0 || cell->owner != run))
			continue;
		sandbox_count(&cell->sb);
		sandbox_kill(&cell->sb, LIMIT_STOPPED);
		any = true;
	}
	return any;
}

unsigned
cells_kill_by(struct cells *c, const struct kill_order *k)
{
	struct sandbox *all[RUNS_MAX];
	unsigned n = 0;

	for (size_t i = 0; i < RUNS_MAX; i++) {
		struct cell *cell = &c->cell[i];

		if (cell->run != 0 &&
		    (kill_hits(k, cell->run, cell->tenant, cell->workflow) ||
			kill_hits(
			    k, cell->owner, cell->tenant, cell->workflow)))
			all[n++] = &cell->sb;
	}
	sandbox_kill_all(all, n, LIMIT_STOPPED);
	return n;
}

unsigned
cells_kill_all(struct cells *c)
{
	struct sandbox *all[RUNS_MAX];
	unsigned n = 0;

	for (size_t i = 0; i < RUNS_MAX; i++) {
		if (c->cell[i].run != 0)
			all[n++] = &c->cell[i].sb;
	}
	sandbox_kill_all(all, n, LIMIT_STOPPED);
	return n;
}

unsigned
cells_count(const struct cells *c)
{
	return c->n;
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

	(void)events;
	cell_end(cell, &cell->ended);
	/* The kernel tells of the last accesses some moments after them. */
	if (cell->explain != NULL && cell->of->reader.pid > 0) {
		cell->is_late = true;
		cell->late.on_time = on_late;
		loop_timer_set(cell->of->loop, &cell->late,
		    clock_mono_ns() + 2LL * AUDIT_WAIT_MS * 1000000);
		return;
	}
	on_late(&cell->late);
}

static void
on_late(struct loop_timer *t)
{
	struct cell *cell = LOOP_OF(t, struct cell, late);
	struct err e = {};

	cell->write_back = cell->sb.upper >= 0 && cell->folder >= 0;
	/* What a limit or a person has stopped is not written back. */
	if (cell->write_back && cell->sb.killed_for != LIMIT_NONE) {
		cell_tell_not_written(cell, "the run was stopped");
		cell->write_back = false;
	}
	if (!cell->write_back && cell->planted.n == 0) {
		cell_gone(cell);
		return;
	}
	cell->giveback.loop = cell->of->loop;
	cell->giveback.on_told = cell_tell_left_out;
	cell->giveback.on_planted = cell_tell_planted;
	cell->giveback.on_end = on_written;
	if (giveback_start(&cell->giveback,
		cell->write_back ? cell->sb.upper : -1, cell->folder,
		&cell->protect, &cell->planted, &e) < 0)
		on_written(&cell->giveback, e.text);
}

/* First the news: what is left takes longer to put away. */
static void
cell_gone(struct cell *cell)
{
	cell->of->hear.on_exit(&cell->ended);
	cell_fini(cell);
}

static void
on_written(struct giveback *w, const char *why)
{
	struct cell *cell = LOOP_OF(w, struct cell, giveback);

	/* Nobody knows then what is in the folders, either. */
	if (why != NULL && cell->planted.n > 0 && !cell->write_back)
		cell_tell_planted(w, why);
	else if (why != NULL)
		cell_tell_not_written(cell, why);
	cell_gone(cell);
}

static void
on_wall(struct loop_timer *t)
{
	struct cell *cell = LOOP_OF(t, struct cell, wall);

	sandbox_count(&cell->sb);
	sandbox_kill(&cell->sb, LIMIT_WALL);
}

static int
cell_freeze(struct cell *cell, bool frozen, struct err *e)
{
	struct loop *loop = cell->of->loop;
	int64_t now_ns = clock_mono_ns();

	if (cell->sb.frozen == frozen)
		return 0;
	if (sandbox_freeze(&cell->sb, frozen, e) < 0)
		return -1;
	if (frozen && cell->wall.at_ns != 0) {
		cell->wall_left_ns = cell->wall.at_ns - now_ns;
		loop_timer_clear(loop, &cell->wall);
	} else if (!frozen && cell->sb.limits.wall_ms > 0) {
		loop_timer_set(loop, &cell->wall, now_ns + cell->wall_left_ns);
	}
	return 0;
}

static void
cell_told(const struct cell *cell, struct msg_sandbox_told *out)
{
	const struct cgroup *g = &cell->sb.cgroup;
	struct sandbox_usage use;

	sandbox_stat(&cell->sb, &use);
	out->cpu_ns = use.group.cpu_ns;
	out->memory_bytes = use.group.memory_bytes;
	out->memory_peak_bytes = use.group.memory_max_bytes;
	out->pids = use.group.pids;
	out->pids_refused = use.group.pids_refused;
	out->oom_kills = use.group.oom_kills;
	out->throttled_ns = use.group.throttled_ns;
	out->disk_bytes = use.disk_bytes;
	out->inodes = use.inodes;
	out->pressure_cpu = use.pressure.cpu;
	out->pressure_memory = use.pressure.memory;
	out->pressure_io = use.pressure.io;
	out->frozen = use.frozen;
	out->flags = (use.group.cpu_ns > 0 ? TOLD_CPU : 0U) |
	    (g->has[CGROUP_MEMORY] ? TOLD_MEMORY : 0U) |
	    (g->has[CGROUP_PIDS] ? TOLD_PIDS : 0U) |
	    (cell->sb.disk >= 0 ? TOLD_DISK : 0U) |
	    (use.pressure.known ? TOLD_PRESSURE : 0U) |
	    (use.pressure.of_machine ? TOLD_PRESSURE_OF_MACHINE : 0U);
}

static void
on_tend(struct loop_timer *t)
{
	struct cells *c = LOOP_OF(t, struct cells, tend);
	int64_t next = pool_tend(&c->pool, clock_mono_ns());

	if (next > 0)
		loop_timer_set(c->loop, t, next);
}

static void
cell_fini(struct cell *cell)
{
	uint32_t slot = cell->sb.slot;

	giveback_fini(&cell->giveback);
	planted_fini(&cell->planted);
	cell_unwatch_refused(cell);
	if (cell->explain != NULL)
		(void)loop_remove(cell->of->loop, &cell->denied);
	free(cell->explain);
	cell->explain = NULL;
	loop_timer_clear(cell->of->loop, &cell->late);
	cell->is_late = false;
	free(cell->rules);
	cell->rules = NULL;
	fd_fini(&cell->folder);
	sandbox_fini(&cell->sb);
	fd_fini(&cell->image_lock);
	pool_give_slot(&cell->of->pool, slot);
	if (cell->run != 0)
		cell->of->n--;
	cell->run = 0;
}

/* Collects one that is over, or has just been killed. */
static void
cell_end(struct cell *cell, struct msg_sandbox_exited *out)
{
	struct cells *c = cell->of;
	struct sandbox_end end = {};
	struct err e = {};
	int got;

	/* The sandbox owns the descriptor, and closes it when it is reaped. */
	(void)loop_remove(c->loop, &cell->over);
	cell_unwatch_refused(cell);
	got = sandbox_reap(&cell->sb, &end, &e);
	if (got < 0)
		log_error("sandbox not reaped why=\"%s\"", e.text);
	*out = (struct msg_sandbox_exited){
		.run = cell->run,
		.cpu_ns = end.cpu_ns,
		.memory_peak_bytes = end.memory_max_bytes,
		.pids_refused = end.pids_refused,
		.throttled_ns = end.throttled_ns,
		.disk_bytes = end.disk_bytes,
		.inodes = end.inodes,
		.disk_full = end.disk_full,
		.pressure_cpu = end.pressure.cpu,
		.pressure_memory = end.pressure.memory,
		.pressure_io = end.pressure.io,
		.flags = (end.pressure.known ? TOLD_PRESSURE : 0U) |
		    (end.pressure.of_machine ? TOLD_PRESSURE_OF_MACHINE : 0U),
		.cause =
		    got < 0 ? CAUSE_LOST : cause_of(&end, cell->sb.killed_for),
		.status = end.kind == END_EXIT ? (uint32_t)end.code
		    : end.kind == END_SIGNAL || end.kind == END_LOST
		    ? 128 + (uint32_t)end.code
		    : 127,
	};
	set_figures(out, &cell->sb.limits, &end);
	loop_timer_clear(c->loop, &cell->wall);
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
	if (end->limit == LIMIT_OUTPUT)
		return CAUSE_OUTPUT;
	if (end->kind == END_LOST)
		return CAUSE_LOST;
	/* A program that could do without is no failure. */
	if (end->limit == LIMIT_PIDS && end->kind != END_NOT_STARTED &&
	    (end->kind == END_SIGNAL || end->code != 0))
		return CAUSE_PIDS;
	if (end->kind != END_NOT_STARTED)
		return CAUSE_EXIT;
	return end->code == EKEYREJECTED ? CAUSE_REFUSED : CAUSE_NOT_STARTED;
}

/* The limit that ended it, and how far it came. */
static void
set_figures(struct msg_sandbox_exited *out, const struct sandbox_limits *limits,
    const struct sandbox_end *end)
{
	switch ((enum exit_cause)out->cause) {
	case CAUSE_WALL:
		out->limit_value = limits->wall_ms;
		out->used_value = end->wall_ns / 1000000;
		return;
	case CAUSE_MEMORY:
		out->limit_value = limits->memory_bytes;
		out->used_value = end->memory_max_bytes;
		return;
	case CAUSE_PIDS:
		out->limit_value = limits->pids_max;
		out->used_value = limits->pids_max + end->pids_refused;
		return;
	case CAUSE_OUTPUT:
		out->limit_value = limits->output_bytes;
		out->used_value = end->output_bytes;
		return;
	case CAUSE_EXIT:
	case CAUSE_KILLED:
	case CAUSE_NOT_STARTED:
	case CAUSE_REFUSED:
	case CAUSE_LOST:
		return;
	}
}
