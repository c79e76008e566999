#include "supervisor/killer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "sys/fd.h"

static int watch(int fd, const char *path, struct err *e);
static void on_files(struct loop_watch *w, uint32_t events);
static void look(struct killer *k, bool first);
static uint32_t list(const struct killer *k, struct kill_order *out);
static void add(struct str name, struct kill_order *out, uint32_t *n);
static bool is_in(
    const struct kill_order *k, const struct kill_order *list, uint32_t n);
static unsigned order(
    struct killer *k, const struct kill_order *what, uint32_t flags);
static void tell(struct killer *k, const struct kill_order *what,
    uint32_t flags, unsigned n, int64_t began_ns);

int
killer_open(struct killer *k, struct err *e)
{
	char path[PATH_MAX];
	own_fd int fd = -1;

	k->files.fd = -1;
	if (snprintf(path, sizeof(path), "%s/kill.d", k->state) >=
	    (int)sizeof(path))
		return err_set(e, "%s: path too long", k->state);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "mkdir %s", path);
	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0)
		return err_sys(e, "inotify_init1");
	if (watch(fd, k->state, e) < 0 || watch(fd, path, e) < 0)
		return -1;
	k->files = (struct loop_watch){
		.fd = fd,
		.events = EPOLLIN,
		.on_ready = on_files,
	};
	if (loop_add(k->loop, &k->files, e) < 0) {
		k->files.fd = -1;
		return -1;
	}
	(void)fd_take(&fd);
	look(k, true);
	return 0;
}

void
killer_close(struct killer *k)
{
	int fd;

	if (k->loop == NULL || k->files.fd < 0)
		return;
	fd = loop_remove(k->loop, &k->files);
	fd_fini(&fd);
}

int
killer_line(struct killer *k, struct str line)
{
	struct kill_order what;

	if (kill_parse_line(line, &what) < 0)
		return -1;
	return (int)order(k, &what, 0);
}

bool
killer_holds(const struct killer *k, const struct msg_sandbox_start *m)
{
	for (uint32_t i = 0; i < k->n_held; i++) {
		if (kill_hits(&k->held[i], m->run, m->tenant, m->workflow) ||
		    kill_hits(&k->held[i], m->owner, m->tenant, m->workflow))
			return true;
	}
	return false;
}

void
killer_tell_again(struct killer *k)
{
	for (uint32_t i = 0; i < k->n_left; i++)
		(void)peer_send(k->broker, MSG_KILL, &k->left[i], STR(""), NULL,
		    0); /* it is kept until it is taken */
	for (uint32_t i = 0; i < k->n_held; i++) {
		struct msg_kill m = {
			.what = k->held[i].what,
			.flags = KILL_HOLDS | KILL_AGAIN,
		};

		memcpy(m.name, k->held[i].name, sizeof(m.name));
		(void)peer_send(k->broker, MSG_KILL, &m, STR(""), NULL,
		    0); /* as above: every new broker is told */
	}
}

void
killer_taken(struct killer *k, const struct msg_killed *m)
{
	for (uint32_t i = 0; i < k->n_left; i++) {
		if (k->left[i].number != m->number)
			continue;
		k->n_left--;
		memmove(&k->left[i], &k->left[i + 1],
		    (k->n_left - i) * sizeof(k->left[0]));
		return;
	}
}

static int
watch(int fd, const char *path, struct err *e)
{
	/* IN_ATTRIB is what touch(1) does to a file that is there. */
	if (inotify_add_watch(fd, path,
		IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
		    IN_ATTRIB | IN_ONLYDIR | IN_DONT_FOLLOW) < 0)
		return err_sys(e, "watch %s", path);
	return 0;
}

static void
on_files(struct loop_watch *w, uint32_t events)
{
	struct killer *k = LOOP_OF(w, struct killer, files);
	char bytes[4096] __attribute__((aligned(8)));

	(void)events;
	/* What happened is one look away, whichever event told of it. */
	while (read(w->fd, bytes, sizeof(bytes)) > 0)
		;
	look(k, false);
}

/* Files that are new kill; those that are gone hold no longer. */
static void
look(struct killer *k, bool first)
{
	static struct kill_order now[KILL_FILES_MAX]; /* large */
	uint32_t n = list(k, now);

	for (uint32_t i = 0; i < n; i++) {
		if (!is_in(&now[i], k->held, k->n_held))
			(void)order(k, &now[i], KILL_HOLDS);
	}
	for (uint32_t i = 0; i < k->n_held && !first; i++) {
		if (!is_in(&k->held[i], now, n))
			tell(k, &k->held[i], KILL_LIFTED, 0, clock_mono_ns());
	}
	memcpy(k->held, now, n * sizeof(now[0]));
	k->n_held = n;
}

static uint32_t
list(const struct killer *k, struct kill_order *out)
{
	char path[PATH_MAX];
	const struct dirent *d;
	uint32_t n = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/kill", k->state);
	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		add(STR("kill"), out, &n);
	(void)snprintf(path, sizeof(path), "%s/kill.d", k->state);
	dir = opendir(path);
	while (dir != NULL && (d = readdir(dir)) != NULL) {
		if (d->d_name[0] != '.')
			add(str_of(d->d_name), out, &n);
	}
	if (dir != NULL)
		(void)closedir(dir); /* read only: nothing to lose */
	return n;
}

/* Whoever touches a file here wants something killed: too many are all. */
static void
add(struct str name, struct kill_order *out, uint32_t *n)
{
	struct kill_order what;

	if (kill_parse_file(name, &what) < 0) {
		log_warn(
		    "kill.d: no such thing to kill name=%.*s", STR_FMT(name));
		return;
	}
	if (is_in(&what, out, *n))
		return;
	if (*n == KILL_FILES_MAX) {
		(void)kill_order_make(KILL_ALL, STR(""), &out[0]);
		return;
	}
	out[(*n)++] = what;
}

static bool
is_in(const struct kill_order *k, const struct kill_order *list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (kill_same(k, &list[i]))
			return true;
	}
	return false;
}

static unsigned
order(struct killer *k, const struct kill_order *what, uint32_t flags)
{
	int64_t began_ns = clock_mono_ns();
	unsigned n = cells_kill_by(k->cells, what);

	tell(k, what, flags, n, began_ns);
	return n;
}

static void
tell(struct killer *k, const struct kill_order *what, uint32_t flags,
    unsigned n, int64_t began_ns)
{
	struct msg_kill m = {
		.number = ++k->n_orders,
		.t_ns = clock_utc_ns(),
		.took_ns = (uint64_t)(clock_mono_ns() - began_ns),
		.what = what->what,
		.flags = flags,
		.sandboxes = n,
	};

	memcpy(m.name, what->name, sizeof(m.name));
	log_warn("kill switch what=%s name=%s sandboxes=%u%s",
	    kill_what_name(what->what), what->name, n,
	    (flags & KILL_LIFTED) != 0 ? " lifted" : "");
	if (k->n_left < KILL_LEFT_MAX)
		k->left[k->n_left++] = m;
	(void)peer_send(k->broker, MSG_KILL, &m, STR(""), NULL,
	    0); /* it is kept until it is taken */
}
