#include "supervisor/snapshots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "core/id.h"
#include "supervisor/layer.h"
#include "supervisor/layer_early.h"
#include "supervisor/layer_plan.h"
#include "supervisor/snap_world.h"
#include "sys/dir.h"
#include "sys/fd.h"

#define STORE "snapshots"
#define LAYER "layer"
#define LIST "list"
#define BESIDE "beside"
#define NEW ".new-"

enum {
	/* Of the child. */
	TELL_FD = 3,
	STORE_FD,
	WITH_FD, /* the upper directory, or the list to hold against */
	WORLD_FD, /* a memfd for the world's data */
	CHILD_FDS,
	FIRST_FREE = 16, /* above all of them */
	NAME_BYTES = sizeof(NEW) + ID_BYTES,
};

enum said {
	SAID_READY, /* all is made that can be before the run stands still */
	SAID_COPIED,
	SAID_END,
};

/* One packet. */
struct told {
	uint8_t said; /* enum said */
	struct layer_sum sum;
	uint64_t world_bytes;
	char why[ERR_TEXT_BYTES]; /* of the end; "": it went well */
};

struct job {
	struct job *next;
	struct snapshots *all;
	struct msg_snapshot_told m;
	pid_t pid;
	struct loop_watch heard;
	bool frozen; /* by us */
	uint32_t flags; /* SNAPSHOT_*, as it was asked */
	int world; /* the memfd that the child has, too, or -1 */
	bool copied, has_world; /* the run goes on once it is both */
	struct loop_timer patience; /* with who brings the world */
	int64_t since_ns;
	struct layer_sum sum;
};

struct snapshots {
	struct loop *loop;
	struct cells *cells;
	const char *state;
	struct snapshots_hear hear;
	struct job *first;
};

/* What a child is to do. */
struct order {
	enum snapshot_ask what;
	uint32_t flags;
	char name[ID_BYTES];
	uid_t owner;
	gid_t group;
	struct str gone; /* names that go, a NUL behind each */
};

static unsigned taking(const struct snapshots *s);
static int open_store(const char *state, bool make, struct err *e);
static int begin(struct snapshots *s, const struct msg_snapshot_ask *m,
    const struct order *o, int with, struct err *e);
static void take_world(
    struct snapshots *s, const struct msg_snapshot_ask *m, struct str why);
_Noreturn static void work(
    int tell, int store, int with, int world, const struct order *o);
static int work_take(
    int upper, const struct order *o, struct told *sum, struct err *e);
static int finish_take(int dir, int layer, const char *temp,
    const struct order *o, uint64_t *world_bytes, struct err *e);
static int work_check(int list, const struct order *o, struct err *e);
static int find_gone(
    const char *state, struct str keep, struct buf *gone, struct err *e);
static int work_keep(const struct order *o, struct err *e);
static bool is_kept(const char *name, struct str keep);
static void say(enum said said, struct told *m, const char *why);
static void on_heard(struct loop_watch *w, uint32_t events);
static void held(struct job *j);
static void thaw_if_done(struct job *j);
static void on_patience(struct loop_timer *t);
static int freeze(struct job *j, bool frozen, struct err *e);
static void end(struct job *j, const char *why);
static void job_free(struct job *j);

struct snapshots *
snapshots_new(struct loop *loop, struct cells *cells, const char *state_dir,
    struct snapshots_hear hear)
{
	struct snapshots *s = calloc(1, sizeof(*s));

	must(s != NULL);
	s->loop = loop;
	s->cells = cells;
	s->state = state_dir;
	s->hear = hear;
	return s;
}

void
snapshots_free(struct snapshots *s)
{
	while (s != NULL && s->first != NULL)
		job_free(s->first);
	free(s);
}

void
snapshots_ask(struct snapshots *s, const struct frame *f)
{
	const struct msg_snapshot_ask *m = f->body;
	struct msg_snapshot_told told = {
		.run = m->run,
		.call = m->call,
		.id = m->id,
		.what = m->what,
	};
	struct order o = { .what = (enum snapshot_ask)m->what,
		.flags = m->flags };
	own_buf struct buf gone = {};
	struct cell_files files = { .upper = -1 };
	int with = -1;
	struct err e = {};
	int r = 0;

	if (m->what == SNAPSHOT_WORLD) {
		take_world(s, m, f->payload);
		return;
	}
	id_text('s', m->id, o.name);
	if (m->what == SNAPSHOT_TAKE && (m->flags & SNAPSHOT_NO_FILES) != 0) {
		o.owner = geteuid();
		o.group = getegid();
	} else if (m->what == SNAPSHOT_TAKE) {
		r = cells_files(s->cells, m->run, &files, &e);
		with = files.upper;
		o.owner = files.owner;
		o.group = files.group;
	} else if (m->what == SNAPSHOT_CHECK) {
		with = f->n_fds == 1 ? f->fds[0] : -1;
		r = with < 0 ? err_set(&e, "no list to check it by") : 0;
	} else if (m->what == SNAPSHOT_KEEP) {
		r = find_gone(s->state, f->payload, &gone, &e);
		o.gone = buf_str(&gone);
	}
	if (r == 0 && m->what == SNAPSHOT_TAKE &&
	    taking(s) >= SNAPSHOTS_BUSY_MAX)
		r = err_set(&e, "%d snapshots are being taken; try again",
		    SNAPSHOTS_BUSY_MAX);
	if (r == 0)
		r = begin(s, m, &o, with, &e);
	if (r < 0 && m->what <= SNAPSHOT_CHECK)
		s->hear.told(&told, -1, e.text);
}

int
snapshot_layers_open(const char *state_dir, const char *const *names,
    uint32_t n, struct snapshot_layers *out, struct err *e)
{
	own_fd int store = -1;

	out->n = 0;
	if (n == 0)
		return 0;
	if (n > SNAPSHOT_LAYERS_MAX)
		return err_set(
		    e, "over %d snapshots in a row", SNAPSHOT_LAYERS_MAX);
	store = open_store(state_dir, false, e);
	if (store < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++) {
		char path[NAME_BYTES + sizeof(LAYER) + 1];
		uint64_t id;
		int fd;

		if (id_parse('s', str_of(names[i]), &id) < 0)
			return err_set(e, "not the name of a snapshot");
		(void)snprintf(path, sizeof(path), "%s/" LAYER, names[i]);
		fd = dir_open(store, path, O_PATH | O_DIRECTORY, 0);
		if (fd < 0)
			return err_sys(e, "open snapshot %s", names[i]);
		out->fd[out->n++] = fd;
	}
	return 0;
}

void
snapshot_layers_fini(struct snapshot_layers *l)
{
	while (l->n > 0)
		fd_fini(&l->fd[--l->n]);
}

/* Each holds a run still; what is checked and removed does not. */
static unsigned
taking(const struct snapshots *s)
{
	unsigned n = 0;

	for (const struct job *j = s->first; j != NULL; j = j->next)
		n += j->m.what == SNAPSHOT_TAKE;
	return n;
}

static int
open_store(const char *state, bool make, struct err *e)
{
	own_fd int dir =
	    open(state, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	own_fd int store = -1;

	if (dir < 0)
		return err_sys(e, "open %s", state);
	if (make && mkdirat(dir, STORE, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "mkdir %s/" STORE, state);
	store = dir_open(dir, STORE, O_RDONLY | O_DIRECTORY, 0);
	return store < 0 ? err_sys(e, "open %s/" STORE, state)
			 : fd_take(&store);
}

static int
begin(struct snapshots *s, const struct msg_snapshot_ask *m,
    const struct order *o, int with, struct err *e)
{
	own_fd int ours = -1, theirs = -1;
	own_fd int store = open_store(s->state, true, e);
	own_fd int world = -1;
	struct job *j;
	int pair[2];

	if (store < 0)
		return -1;
	/* Made here, for the child to have it, and the broker after it. */
	if (m->what == SNAPSHOT_CHECK ||
	    (m->what == SNAPSHOT_TAKE && (m->flags & SNAPSHOT_HAS_WORLD) != 0))
		world = memfd_create("world", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (world < 0 &&
	    (m->what == SNAPSHOT_CHECK || (m->flags & SNAPSHOT_HAS_WORLD) != 0))
		return err_sys(e, "memfd_create");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	j = calloc(1, sizeof(*j));
	must(j != NULL);
	j->all = s;
	j->flags = m->flags;
	j->world = -1;
	j->patience.on_time = on_patience;
	j->m = (struct msg_snapshot_told){
		.run = m->run,
		.call = m->call,
		.id = m->id,
		.what = m->what,
	};
	j->heard = (struct loop_watch){
		.fd = ours,
		.events = EPOLLIN,
		.on_ready = on_heard,
	};
	if (loop_add(s->loop, &j->heard, e) < 0) {
		free(j);
		return -1;
	}
	j->pid = fork();
	if (j->pid == 0)
		work(theirs, store, with, world, o);
	if (j->pid < 0) {
		(void)err_sys(e, "fork");
		(void)loop_remove(s->loop, &j->heard);
		free(j);
		return -1;
	}
	(void)fd_take(&ours);
	j->world = fd_take(&world);
	j->next = s->first;
	s->first = j;
	return 0;
}

/* The broker has it copied, or says why it has not. */
static void
take_world(
    struct snapshots *s, const struct msg_snapshot_ask *m, struct str why)
{
	struct job *j = s->first;
	char text[ERR_TEXT_BYTES];

	while (j != NULL && (j->m.id != m->id || j->m.what != SNAPSHOT_TAKE))
		j = j->next;
	if (j == NULL || (j->flags & SNAPSHOT_HAS_WORLD) == 0 || j->has_world)
		return; /* it has ended */
	if (why.n > 0) {
		(void)snprintf(text, sizeof(text), "%.*s",
		    (int)(why.n < sizeof(text) ? why.n : sizeof(text) - 1),
		    why.p);
		end(j, text);
		return;
	}
	j->has_world = true;
	(void)send(j->heard.fd, "w", 1, MSG_NOSIGNAL); /* or it ends */
	thaw_if_done(j);
}

/* In the child. */
_Noreturn static void
work(int tell, int store, int with, int world, const struct order *o)
{
	int *fd[] = { &tell, &store, &with, &world };
	struct told sum = {};
	struct err e = {};
	bool ok = prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0;
	int r = -1;

	for (int i = 0; ok && i < CHILD_FDS - TELL_FD; i++) {
		if (*fd[i] < 0)
			continue;
		*fd[i] = fcntl(*fd[i], F_DUPFD_CLOEXEC, FIRST_FREE);
		ok = *fd[i] >= 0;
	}
	for (int i = 0; ok && i < CHILD_FDS - TELL_FD; i++) {
		if (*fd[i] < 0)
			(void)close(TELL_FD + i); /* if it is there */
		else
			ok = dup2(*fd[i], TELL_FD + i) >= 0;
	}
	ok = ok && fd_close_from(CHILD_FDS, &e) == 0;
	ok = ok && (geteuid() != 0 || setgroups(0, NULL) == 0);
	if (!ok)
		_exit(1);
	(void)umask(077);
	switch (o->what) {
	case SNAPSHOT_TAKE:
		r = work_take(WITH_FD, o, &sum, &e);
		break;
	case SNAPSHOT_CHECK:
		r = work_check(WITH_FD, o, &e);
		break;
	case SNAPSHOT_DROP:
		r = layer_remove(STORE_FD, o->name, &e);
		if (r == 0)
			r = snap_world_prune(STORE_FD, &e);
		break;
	case SNAPSHOT_KEEP:
		r = work_keep(o, &e);
		break;
	case SNAPSHOT_HELD:
	case SNAPSHOT_WORLD:
		break; /* never a child's */
	}
	say(SAID_END, &sum, r == 0 ? "" : e.text);
	_exit(0);
}

static int
work_take(int upper, const struct order *o, struct told *sum, struct err *e)
{
	own_fd int dir = -1, layer = -1, beside = -1;
	struct layer_early *early = NULL;
	struct layer_plan *plan = NULL;
	char temp[NAME_BYTES], go;
	const bool files = (o->flags & SNAPSHOT_NO_FILES) == 0;
	const bool world = (o->flags & SNAPSHOT_HAS_WORLD) != 0;
	struct err ignored;
	int r;

	(void)snprintf(temp, sizeof(temp), NEW "%s", o->name);
	if (mkdirat(STORE_FD, temp, 0700) < 0)
		return err_sys(e, "mkdir %s", temp);
	dir = dir_open(STORE_FD, temp, O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0 || mkdirat(dir, LAYER, 0700) < 0)
		return err_sys(e, "mkdir " LAYER);
	layer = dir_open(dir, LAYER, O_RDONLY | O_DIRECTORY, 0);
	if (layer < 0)
		return err_sys(e, "open " LAYER);
	if (files && mkdirat(dir, BESIDE, 0700) < 0)
		return err_sys(e, "mkdir " BESIDE);
	if (files) {
		beside = dir_open(dir, BESIDE, O_RDONLY | O_DIRECTORY, 0);
		if (beside < 0)
			return err_sys(e, "open " BESIDE);
		early = layer_early_new(upper, beside, o->owner, o->group);
		plan = layer_plan_new(beside, early);
		if (plan == NULL)
			return err_set(e, "out of memory");
		layer_rehearse(plan, upper);
	}
	say(SAID_READY, sum, "");
	if (early != NULL)
		layer_early_wait(early, TELL_FD);
	if (recv(TELL_FD, &go, 1, 0) != 1)
		_exit(1); /* the parent gave up, and has said why */
	r = files ? layer_note(plan, upper, &sum->sum, e) : 0;
	say(SAID_COPIED, sum, "");
	layer_early_free(early); /* who wants to write can */
	if (world && recv(TELL_FD, &go, 1, 0) != 1)
		_exit(1); /* as above */
	if (r == 0 && files)
		r = layer_make(plan, layer, o->owner, o->group, e);
	layer_plan_free(plan);
	if (r == 0)
		r = finish_take(dir, layer, temp, o, &sum->world_bytes, e);
	if (r < 0)
		(void)layer_remove(STORE_FD, temp, &ignored); /* or gc does */
	return r;
}

/* The run goes on: now what takes its time. */
static int
finish_take(int dir, int layer, const char *temp, const struct order *o,
    uint64_t *world_bytes, struct err *e)
{
	own_buf struct buf text = { .max = SNAPSHOT_LIST_BYTES };
	own_fd int list = -1;

	if ((o->flags & SNAPSHOT_HAS_WORLD) != 0 &&
	    snap_world_keep(STORE_FD, dir, WORLD_FD, &text, world_bytes, e) < 0)
		return -1;
	if ((o->flags & SNAPSHOT_NO_FILES) == 0 &&
	    layer_remove(dir, BESIDE, e) < 0)
		return -1;
	if (layer_list(layer, &text, e) < 0)
		return -1;
	list = dir_open(dir, LIST, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (list < 0)
		return err_sys(e, "create " LIST);
	if (fd_write_all(list, text.p, text.n, e) < 0)
		return err_add(e, LIST);
	if (syncfs(layer) < 0)
		return err_sys(e, "bring the snapshot to the disk");
	if (renameat(STORE_FD, temp, STORE_FD, o->name) < 0 ||
	    fsync(STORE_FD) < 0)
		return err_sys(e, "give the snapshot its name");
	return 0;
}

static int
work_check(int want, const struct order *o, struct err *e)
{
	own_buf struct buf list = { .max = SNAPSHOT_LIST_BYTES },
			   now = { .max = SNAPSHOT_LIST_BYTES };
	own_fd int dir = -1, layer = -1;

	dir = dir_open(STORE_FD, o->name, O_RDONLY | O_DIRECTORY, 0);
	if (dir >= 0)
		layer = dir_open(dir, LAYER, O_RDONLY | O_DIRECTORY, 0);
	if (layer < 0)
		return err_sys(e, "open snapshot %s", o->name);
	if (fd_read_sealed(want, &list, SNAPSHOT_LIST_BYTES, e) < 0 ||
	    snap_world_read(dir, WORLD_FD, &now, e) < 0 ||
	    layer_list(layer, &now, e) < 0 ||
	    layer_compare(buf_str(&list), buf_str(&now), e) < 0)
		return err_add(e, "snapshot %s", o->name);
	return 0;
}

/*
 * Looked for when the numbers come and not in the child, which has its time:
 * one that is taken meanwhile is none of them.
 */
static int
find_gone(const char *state, struct str keep, struct buf *gone, struct err *e)
{
	int fd = open_store(state, true, e);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *x;

	if (fd < 0)
		return -1;
	if (d == NULL) {
		fd_fini(&fd);
		return err_sys(e, "read the snapshots");
	}
	while ((x = readdir(d)) != NULL) {
		const bool new = strncmp(x->d_name, NEW, strlen(NEW)) == 0;

		if (!new && x->d_name[0] == '.')
			continue;
		if (!is_kept(x->d_name + (new ? strlen(NEW) : 0), keep))
			buf_add(gone, x->d_name, strlen(x->d_name) + 1);
	}
	(void)closedir(d); /* only read */
	return gone->failed ? err_set(e, "out of memory") : 0;
}

static int
work_keep(const struct order *o, struct err *e)
{
	int r = 0;

	for (size_t at = 0; at < o->gone.n; at += strlen(o->gone.p + at) + 1) {
		if (layer_remove(STORE_FD, o->gone.p + at, e) < 0)
			r = -1;
	}
	if (snap_world_prune(STORE_FD, e) < 0)
		r = -1;
	return r;
}

/* What is not of our making is kept, too. */
static bool
is_kept(const char *name, struct str keep)
{
	uint64_t id, other;

	if (id_parse('s', str_of(name), &id) < 0)
		return true;
	for (size_t at = 0; at + sizeof(other) <= keep.n; at += sizeof(other)) {
		memcpy(&other, keep.p + at, sizeof(other));
		if (other == id)
			return true;
	}
	return false;
}

static void
say(enum said said, struct told *m, const char *why)
{
	m->said = (uint8_t)said;
	(void)snprintf(m->why, sizeof(m->why), "%s", why);
	/* Who does not listen any more does not want to know. */
	(void)send(TELL_FD, m, sizeof(*m), MSG_NOSIGNAL);
}

static void
on_heard(struct loop_watch *w, uint32_t events)
{
	struct job *j = LOOP_OF(w, struct job, heard);
	struct err e = {};
	struct told m;
	ssize_t n = recv(w->fd, &m, sizeof(m), MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(m)) {
		end(j, "it was killed");
		return;
	}
	m.why[sizeof(m.why) - 1] = '\0';
	j->sum = m.sum;
	j->m.world_bytes = m.world_bytes;
	switch ((enum said)m.said) {
	case SAID_READY:
		j->since_ns = clock_mono_ns();
		if (freeze(j, true, &e) < 0) {
			end(j, e.text);
			return;
		}
		(void)send(w->fd, "g", 1, MSG_NOSIGNAL); /* or it ends */
		held(j);
		return;
	case SAID_COPIED:
		j->copied = true;
		thaw_if_done(j);
		return;
	case SAID_END:
		end(j, m.why);
		return;
	}
}

/* The broker hears of the moment, and has the world copied into the memfd. */
static void
held(struct job *j)
{
	struct msg_snapshot_told m = j->m;

	m.what = SNAPSHOT_HELD;
	m.ok = 1;
	if ((j->flags & SNAPSHOT_HAS_WORLD) != 0)
		loop_timer_set(j->all->loop, &j->patience,
		    clock_mono_ns() + (int64_t)SNAPSHOT_WORLD_MS * 1000000);
	j->all->hear.told(&m, j->world, "");
}

static void
thaw_if_done(struct job *j)
{
	struct err ignored = {};

	if (!j->copied ||
	    ((j->flags & SNAPSHOT_HAS_WORLD) != 0 && !j->has_world))
		return;
	loop_timer_clear(j->all->loop, &j->patience);
	(void)freeze(j, false, &ignored); /* who is gone stands not still */
	j->m.pause_ns = (uint64_t)(clock_mono_ns() - j->since_ns);
}

static void
on_patience(struct loop_timer *t)
{
	end(LOOP_OF(t, struct job, patience),
	    "the world was not copied in time");
}

/* One that a person has paused stays so. */
static int
freeze(struct job *j, bool frozen, struct err *e)
{
	int r;

	if (j->m.what != SNAPSHOT_TAKE || (!frozen && !j->frozen) ||
	    (j->flags & SNAPSHOT_NO_FILES) != 0)
		return 0;
	r = cells_hold(j->all->cells, j->m.run, frozen, e);
	if (r == 0)
		j->frozen = frozen;
	return r < 0 ? -1 : 0;
}

/* Tells, and forgets it. */
static void
end(struct job *j, const char *why)
{
	struct snapshots *s = j->all;
	struct cell_files files = { .upper = -1 };
	char path[NAME_BYTES + sizeof(LIST) + 1], name[ID_BYTES];
	own_fd int store = -1, list = -1;
	struct err e = {};

	(void)freeze(j, false, &e); /* as above */
	e = (struct err){};
	j->m.ok = why[0] == '\0';
	j->m.entries = j->sum.entries;
	j->m.bytes = j->sum.bytes;
	j->m.left_out = j->sum.left_out;
	if (j->m.what == SNAPSHOT_TAKE && j->m.ok) {
		id_text('s', j->m.id, name);
		(void)snprintf(path, sizeof(path), "%s/" LIST, name);
		store = open_store(s->state, false, &e);
		list = store < 0 ? -1 : dir_open(store, path, O_RDONLY, 0);
		if (list < 0 && store >= 0)
			(void)err_sys(&e, "open %s", path);
		j->m.ok = list >= 0;
		why = j->m.ok ? "" : e.text;
		if ((j->flags & SNAPSHOT_NO_FILES) == 0 &&
		    cells_files(s->cells, j->m.run, &files, &e) == 0) {
			j->m.dev = files.dev;
			j->m.ino = files.ino;
		} else if (j->m.ok && (j->flags & SNAPSHOT_NO_FILES) == 0) {
			j->m.ok = 0;
			why = "the run has ended";
		}
	} else if (j->m.what == SNAPSHOT_CHECK && j->m.ok &&
	    lseek(j->world, 0, SEEK_END) > 0) {
		list = fd_take(&j->world);
	}
	if (j->m.what <= SNAPSHOT_CHECK)
		s->hear.told(&j->m, j->m.ok ? list : -1, why);
	job_free(j);
}

static void
job_free(struct job *j)
{
	struct snapshots *s = j->all;
	struct job **at = &s->first;

	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	loop_timer_clear(s->loop, &j->patience);
	fd_fini(&j->world);
	/* Closed, it ends the child, if that waits. */
	(void)close(loop_remove(s->loop, &j->heard));
	(void)kill(j->pid, SIGKILL); /* ours until it is waited for */
	while (waitpid(j->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	free(j);
}
