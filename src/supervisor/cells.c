#include "supervisor/cells.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "core/id.h"
#include "sandbox/explain.h"
#include "sandbox/pool.h"
#include "supervisor/giveback.h"
#include "supervisor/rootfs.h"
#include "sys/fd.h"

/* Words in a command and its environment: far more than shells make. */
enum { WORDS_MAX = 4096 };

struct cell {
	struct cells *of;
	uint64_t run; /* 0: free */
	uint64_t tenant, workflow; /* kill_number of their names */
	uint64_t owner; /* of a tool server: its run; else 0 */
	struct sandbox sb;
	struct loop_watch over; /* the sandbox's pidfd, borrowed from sb */
	struct loop_timer wall;
	int64_t wall_left_ns; /* while it is frozen */
	int image_lock; /* keeps its image from being removed; -1: none */
	int folder; /* the work folder, to be written back to; or -1 */
	bool write_back; /* it is, or could have been */
	struct planted planted; /* in mounts that are written for good */
	struct giveback giveback;
	struct msg_sandbox_exited ended; /* told when that is done */
	struct protect_rule *rules; /* own, with their text behind them */
	struct protect protect;
	struct loop_watch denied; /* the sandbox's listener, borrowed */
	struct explain *explain; /* NULL: not asked for */
	struct loop_watch refused; /* its control socket, borrowed */
	bool judged;
};

struct cells {
	struct loop *loop;
	const struct sandbox_host *host;
	const char *state_dir;
	struct cells_hear hear;
	unsigned n;
	struct pool pool;
	struct loop_timer tend;
	struct cell cell[RUNS_MAX];
};

static int trust_read(
    int both, struct buf *out, struct buf *java, struct err *e);
static int image_take(const struct cells *c, const char *const *words,
    struct sandbox_spec *spec, int *lock, struct err *e);
static int words_take(
    struct str *at, uint32_t n, const char **out, size_t *used, struct err *e);
static int rules_take(
    struct cell *cell, const char *const *words, uint32_t n, struct err *e);
static void cell_gone(struct cell *cell);
static void on_left_out(
    struct giveback *w, enum commit_why why, const char *path);
static void on_planted(struct giveback *w, const char *path);
static void on_written(struct giveback *w, const char *why);
static void tell_not_written(struct cell *cell, const char *why);
static int watch_denied(struct cell *cell, struct err *e);
static void on_denied(struct loop_watch *w, uint32_t events);
static int watch_refused(struct cell *cell, struct err *e);
static void on_refused(struct loop_watch *w, uint32_t events);
static void tell_refused(struct cell *cell);
static void unwatch_refused(struct cell *cell);
static void say_denied(const struct cell *cell,
    const struct msg_sandbox_denied *m, const char *comm, const char *call,
    const char *about);
static struct cell *cell_find(struct cells *c, uint64_t run);
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
	pool_init(&c->pool, host);
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

		if (c->cell[i].run == 0)
			continue;
		if (c->cell[i].giveback.pid == 0)
			cell_end(&c->cell[i], &m);
		cell_fini(&c->cell[i]);
	}
	loop_timer_clear(c->loop, &c->tend);
	pool_fini(&c->pool);
	free(c);
}

/*
 * What the programs of the machine trust, if it says so, and the PEM that the
 * descriptor begins with; behind a NUL there is the same for Java.
 */
static int
trust_read(int both, struct buf *out, struct buf *java, struct err *e)
{
	static const char *const file = "/etc/ssl/certs/ca-certificates.crt";
	own_buf struct buf more = {};
	size_t end;

	if (access(file, R_OK) == 0 &&
	    file_read(file, out, TRUST_MAX_BYTES, e) < 0)
		return -1;
	if (fd_read_sealed(both, &more, 2 * TRUST_MAX_BYTES, e) < 0)
		return -1;
	end = str_find(buf_str(&more), '\0');
	if (end == more.n)
		return err_set(e, "nothing for Java");
	buf_add_c(out, "\n");
	buf_add(out, more.p, end);
	buf_add(java, more.p + end + 1, more.n - end - 1);
	return out->failed ? err_set(e, "too many certificates") : 0;
}

int
cells_start(struct cells *c, const struct frame *f,
    struct msg_sandbox_started *out, int fds[static CELL_FDS], size_t *n_fds,
    struct err *e)
{
	const struct msg_sandbox_start *m = f->body;
	bool folder = (m->flags & START_WORKSPACE) != 0;
	bool image = (m->flags & START_IMAGE) != 0;
	bool chdir = (m->flags & START_CHDIR) != 0;
	bool trust = (m->flags & START_CA) != 0;
	own_buf struct buf bundle = {}, java = {};
	size_t n_stdio = m->argc > 0 ? 3 : 0;
	/* Start-up is the only time that uses them, and runs alone. */
	static const char *words[WORDS_MAX + 8 + 2 * SECRETS_PER_RUN_MAX];
	struct sandbox_file files[SECRETS_PER_RUN_MAX];
	struct sandbox_spec spec = {};
	struct cell *cell = cell_find(c, 0);
	struct str at = f->payload;
	own_fd int root = -1, lock = -1;
	struct sandbox_mount mounts[MOUNTS_MAX];
	size_t used = 0, argv, envp, path, of_image, start, rules, places;

	if (m->run == 0 || cell_find(c, m->run) != NULL)
		return err_set(e, "run is there already");
	if (cell == NULL)
		return err_set(
		    e, "%d sandboxes are running; stop one first", RUNS_MAX);
	/* Not before: what is never used takes no memory. */
	cell->of = c;
	cell->image_lock = -1;
	cell->folder = -1;
	if (m->mounts > MOUNTS_MAX ||
	    f->n_fds != n_stdio + folder + m->mounts + trust)
		return err_set(e, "descriptors do not fit the flags");
	if (trust && trust_read(f->fds[f->n_fds - 1], &bundle, &java, e) < 0)
		return err_add(e, "certificates");
	argv = used;
	if (words_take(&at, m->argc, words, &used, e) < 0)
		return -1;
	envp = used;
	if (words_take(&at, m->envc, words, &used, e) < 0)
		return -1;
	path = used;
	if (folder && words_take(&at, 1, words, &used, e) < 0)
		return -1;
	of_image = used;
	if (image && words_take(&at, 3, words, &used, e) < 0)
		return -1;
	start = used;
	if (chdir && words_take(&at, 1, words, &used, e) < 0)
		return -1;
	rules = used;
	if (words_take(&at, m->rules, words, &used, e) < 0 ||
	    rules_take(cell, words + rules, m->rules, e) < 0)
		return -1;
	places = used;
	if (words_take(&at, m->mounts, words, &used, e) < 0)
		return -1;
	if (m->files > SECRETS_PER_RUN_MAX)
		return err_set(e, "too many files");
	for (size_t i = 0; i < m->files; i++) {
		size_t from = used;

		if (words_take(&at, 2, words, &used, e) < 0)
			return -1;
		files[i] =
		    (struct sandbox_file){ words[from], words[from + 1] };
	}
	if (at.n != 0)
		return err_set(e, "command is not as long as it says");
	spec.files = files;
	spec.n_files = m->files;

	spec.argv = m->argc > 0 ? words + argv : NULL;
	spec.rpc = true;
	spec.freezable = true;
	spec.envp = words + envp;
	for (int i = 0; i < 3; i++)
		spec.stdio[i] = n_stdio > 0 ? f->fds[i] : -1;
	spec.workspace_fd = folder ? f->fds[n_stdio] : -1;
	spec.workspace_path =
	    folder ? sandbox_path_for(words[path]) : "/workspace";
	spec.chdir_path = chdir ? words[start] : NULL;
	if (image) {
		root = image_take(c, words + of_image, &spec, &lock, e);
		if (root < 0)
			return err_add(e, "image");
	}
	for (uint32_t i = 0; i < m->mounts; i++) {
		const char *word = words[places + i];

		if (strlen(word) < 3)
			return err_set(e, "not a mount");
		mounts[i] = (struct sandbox_mount){
			.fd = f->fds[n_stdio + folder + i],
			.to = word + 2,
			.mode = (enum sandbox_mount_mode)word[0],
			.noexec = word[1] != 'x',
		};
	}
	spec.mounts = mounts;
	spec.n_mounts = m->mounts;
	spec.write_back = folder && (m->flags & START_WRITE_BACK) != 0;
	cell->protect = (struct protect){ cell->rules, m->rules,
		(m->flags & START_FLAG) != 0 };
	spec.protect = cell->protect;
	spec.trust = buf_str(&bundle);
	spec.trust_java = buf_str(&java);
	spec.explain = (m->flags & START_EXPLAIN) != 0;
	spec.fake_root = (m->flags & START_ROOT) != 0;
	spec.judged = (m->flags & START_JUDGED) != 0;
	spec.limits = (struct sandbox_limits){
		.memory_bytes = m->memory_bytes,
		.pids_max = m->pids,
		.cpu_milli = m->cpu_milli,
		.wall_ms = m->wall_ms,
		.disk_bytes = m->disk_bytes,
		.inodes = m->inodes,
		.cpu_weight = m->cpu_weight,
		.io_bytes_per_s = folder ? m->io_bytes_per_s : 0,
		.output_bytes = m->output_bytes,
	};
	spec.listen_port[0] = RUN_DOOR_PORT;
	spec.listen_port[1] = RUN_PROXY_PORT;
	spec.n_listen = 2;
	spec.net = true;
	spec.required = (m->flags & START_LIMITS_REQUIRED) != 0
	    ? WALL_MEMORY | WALL_PIDS | WALL_CPU
	    : 0;

	if (planted_begin(&cell->planted, &spec, e) < 0)
		return -1;
	if (pool_start(&c->pool, m->tenant, &spec, clock_mono_ns(), &cell->sb,
		e) < 0) {
		planted_fini(&cell->planted);
		return -1;
	}
	if (spec.limits.io_bytes_per_s > 0 &&
	    sandbox_io_limit(&cell->sb, spec.workspace_fd, e) < 0) {
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
	if (spec.explain && watch_denied(cell, e) < 0) {
		cell_fini(cell);
		return -1;
	}
	if (spec.judged && watch_refused(cell, e) < 0) {
		cell_fini(cell);
		return -1;
	}
	cell->folder = spec.write_back ? fd_take(&f->fds[n_stdio]) : -1;
	cell->image_lock = fd_take(&lock);
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

bool
cells_kill(struct cells *c, uint64_t run)
{
	bool any = false;

	/* What belongs to a run ends with it, whoever else is alive. */
	for (size_t i = 0; run != 0 && i < RUNS_MAX; i++) {
		struct cell *cell = &c->cell[i];

		if (cell->run != run && (cell->run == 0 || cell->owner != run))
			continue;
		sandbox_kill(&cell->sb, LIMIT_STOPPED);
		any = true;
	}
	return any;
}

unsigned
cells_kill_by(struct cells *c, const struct kill_order *k)
{
	unsigned n = 0;

	for (size_t i = 0; i < RUNS_MAX; i++) {
		struct cell *cell = &c->cell[i];

		if (cell->run == 0 ||
		    (!kill_hits(k, cell->run, cell->tenant, cell->workflow) &&
			!kill_hits(
			    k, cell->owner, cell->tenant, cell->workflow)))
			continue;
		sandbox_kill(&cell->sb, LIMIT_STOPPED);
		n++;
	}
	return n;
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

/* The broker has read what the image is; where it lies is known here only. */
static int
image_take(const struct cells *c, const char *const *words,
    struct sandbox_spec *spec, int *lock, struct err *e)
{
	struct hash digest;
	int root;

	if (hash_from_hex(str_of(words[0]), &digest) < 0)
		return err_set(e, "not a digest");
	root = rootfs_open_root(c->state_dir, &digest, lock, e);
	spec->image = true;
	spec->image_fd = root;
	spec->account = words[1];
	spec->home = words[2];
	return root;
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
	struct err e = {};

	(void)events;
	cell_end(cell, &cell->ended);
	cell->write_back = cell->sb.upper >= 0 && cell->folder >= 0;
	/* What a limit or a person has stopped is not written back. */
	if (cell->write_back && cell->sb.killed_for != LIMIT_NONE) {
		tell_not_written(cell, "the run was stopped");
		cell->write_back = false;
	}
	if (!cell->write_back && cell->planted.n == 0) {
		cell_gone(cell);
		return;
	}
	cell->giveback.loop = cell->of->loop;
	cell->giveback.on_told = on_left_out;
	cell->giveback.on_planted = on_planted;
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
on_left_out(struct giveback *w, enum commit_why why, const char *path)
{
	struct cell *cell = LOOP_OF(w, struct cell, giveback);
	uint32_t wall = DENIED_PROTECTED;

	switch (why) {
	case COMMIT_PROTECTED:
		break;
	case COMMIT_FLAGGED:
		wall = DENIED_FLAGGED;
		break;
	case COMMIT_SPECIAL:
		wall = DENIED_SPECIAL;
		break;
	case COMMIT_UNREADABLE:
		wall = DENIED_UNREADABLE;
		break;
	}
	if (why != COMMIT_FLAGGED)
		cell->ended.left_out++;
	if (cell->ended.left_out <= COMMIT_TOLD_MAX)
		say_denied(cell, &(struct msg_sandbox_denied){ .wall = wall },
		    "", "", path);
}

static void
on_written(struct giveback *w, const char *why)
{
	struct cell *cell = LOOP_OF(w, struct cell, giveback);

	/* Nobody knows then what is in the folders, either. */
	if (why != NULL && cell->planted.n > 0 && !cell->write_back)
		on_planted(w, why);
	else if (why != NULL)
		tell_not_written(cell, why);
	cell_gone(cell);
}

static void
tell_not_written(struct cell *cell, const char *why)
{
	const struct msg_sandbox_denied m = { .wall = DENIED_WRITE_BACK };

	cell->ended.left_out++;
	say_denied(cell, &m, "", "", why);
}

static void
on_planted(struct giveback *w, const char *path)
{
	struct cell *cell = LOOP_OF(w, struct cell, giveback);
	const struct msg_sandbox_denied m = { .wall = DENIED_PLANTED };

	if (++cell->ended.planted <= COMMIT_TOLD_MAX)
		say_denied(cell, &m, "", "", path);
}

static int
watch_denied(struct cell *cell, struct err *e)
{
	cell->explain = malloc(sizeof(*cell->explain));
	if (cell->explain == NULL)
		return err_set(e, "out of memory");
	if (explain_init(cell->explain, false, e) < 0)
		return -1;
	cell->explain->as = cell->sb.uid;
	cell->denied = (struct loop_watch){
		.fd = cell->sb.notify,
		.events = EPOLLIN,
		.on_ready = on_denied,
	};
	return loop_add(cell->of->loop, &cell->denied, e);
}

static void
on_denied(struct loop_watch *watch, uint32_t events)
{
	struct cell *cell = LOOP_OF(watch, struct cell, denied);
	struct denied d;

	if ((events & EPOLLIN) == 0) {
		/* Nobody is left who could ask. */
		(void)loop_remove(cell->of->loop, watch);
		return;
	}
	if (explain_next(cell->explain, watch->fd, &d)) {
		const struct msg_sandbox_denied m = {
			.wall = d.argument ? DENIED_ARGUMENT : DENIED_CALL,
			.pid = d.pid,
			.error = (uint32_t)d.error,
		};

		say_denied(cell, &m, d.comm, d.call, d.about);
	}
}

static int
watch_refused(struct cell *cell, struct err *e)
{
	cell->refused = (struct loop_watch){
		.fd = cell->sb.control,
		.events = EPOLLIN,
		.on_ready = on_refused,
	};
	if (loop_add(cell->of->loop, &cell->refused, e) < 0)
		return -1;
	cell->judged = true;
	return 0;
}

static void
on_refused(struct loop_watch *watch, uint32_t events)
{
	struct cell *cell = LOOP_OF(watch, struct cell, refused);

	if ((events & (EPOLLHUP | EPOLLERR)) != 0)
		unwatch_refused(cell);
	else
		tell_refused(cell);
}

/* What was said last is told, too. */
static void
unwatch_refused(struct cell *cell)
{
	if (!cell->judged)
		return;
	tell_refused(cell);
	(void)loop_remove(cell->of->loop, &cell->refused);
	cell->judged = false;
}

static void
tell_refused(struct cell *cell)
{
	struct sandbox_refusal r;

	while (sandbox_refused(&cell->sb, &r)) {
		const struct msg_sandbox_denied m = {
			.wall = DENIED_COMMAND,
			.pid = r.pid,
			.error = EACCES,
		};

		say_denied(cell, &m, r.who, "execve", r.why);
	}
}

static void
say_denied(const struct cell *cell, const struct msg_sandbox_denied *m,
    const char *comm, const char *call, const char *about)
{
	struct msg_sandbox_denied out = *m;
	char text[2 * EXPLAIN_TEXT_BYTES + PATH_MAX / 2];
	/* Cut, if it has to be: the NULs stay. */
	int n = snprintf(text, sizeof(text), "%s%c%s%c%.*s", comm, '\0', call,
	    '\0', PATH_MAX / 2 - 1, about);

	out.run = cell->run;
	cell->of->hear.on_denied(&out, (struct str){ text, (size_t)n + 1 });
}

/* A copy of the rules: they are needed once more when it has ended. */
static int
rules_take(
    struct cell *cell, const char *const *words, uint32_t n, struct err *e)
{
	size_t all = 0;
	char *at;

	if (n > PROTECT_RULES_MAX)
		return err_set(e, "over %d patterns", PROTECT_RULES_MAX);
	for (uint32_t i = 0; i < n; i++)
		all += strlen(words[i]) + 1;
	free(cell->rules);
	cell->rules = malloc(n * sizeof(cell->rules[0]) + all + 1);
	if (cell->rules == NULL)
		return err_set(e, "out of memory");
	at = (char *)(cell->rules + n);
	for (uint32_t i = 0; i < n; i++) {
		size_t len = strlen(words[i]) + 1;

		memcpy(at, words[i], len);
		if (protect_pattern_bad(str_of(at + (at[0] != '\0'))) != NULL)
			return err_set(e, "a wrong pattern");
		cell->rules[i] = (struct protect_rule){ at[0], at + 1 };
		at += len;
	}
	return 0;
}

static void
on_wall(struct loop_timer *t)
{
	struct cell *cell = LOOP_OF(t, struct cell, wall);

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
	unwatch_refused(cell);
	if (cell->explain != NULL)
		(void)loop_remove(cell->of->loop, &cell->denied);
	free(cell->explain);
	cell->explain = NULL;
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
	unwatch_refused(cell);
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
