#include "cli/run_go.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cli/daemon.h"
#include "cli/out.h"
#include "cli/run_watch.h"
#include "sys/fd.h"
#include "sys/signals.h"

/* A daemon that ends takes this long at most: it closes its store. */
static const int64_t ENDING_WAIT_NS = 6LL * 1000 * 1000 * 1000;

static int go(struct run_go *r, const struct client *c, struct daemon *d,
    struct str body, const struct run_folders *folders, int signals);
static int open_run(const struct client *c, struct daemon *d, struct str body,
    const struct run_folders *folders, struct client_conn *conn,
    struct client_reply *r, struct err *e);
static void put_hint(const struct client *c, struct buf *hint);
static int start_embedded(
    const struct client *c, struct daemon *d, struct err *e);
static void tell_opened(const struct run_go *r,
    const struct client_reply *opened, const char *id, const char *hint);

int
run_go(struct run_go *g, struct str body, const struct run_folders *folders)
{
	struct daemon d = { .pidfd = -1, .lifeline = -1 };
	own_client struct client c = {};
	own_fd int signals = -1;
	struct err e;
	int status;

	if (client_init(&c, &g->where, &e) < 0)
		return out_fail(&e);
	signals = signals_fd(SIGNALS_TO_END, &e);
	status =
	    signals < 0 ? out_fail(&e) : go(g, &c, &d, body, folders, signals);
	daemon_end(&d);
	return status;
}

static int
go(struct run_go *r, const struct client *c, struct daemon *d, struct str body,
    const struct run_folders *folders, int signals)
{
	own_reply struct client_reply opened = {}, ended = {};
	/* Its end tells the broker that we are gone, and the run is over. */
	own_conn struct client_conn attached = { .fd = -1 };
	own_buf struct buf hint = {};
	struct run_watch w = {
		.client = c,
		.daemon = d,
		.quiet = r->quiet,
		.json = r->json,
		.signals = signals,
	};
	const char *id = r->run;
	struct err e;

	if (open_run(c, d, body, folders, &attached, &opened, &e) < 0)
		return out_fail(&e);
	if (str_copy(json_str(json_get(opened.json, STR("run"))), r->run,
		sizeof(r->run)) < 0 ||
	    id[0] == '\0') {
		(void)err_set(&e, "the daemon's answer names no run");
		return out_fail(&e);
	}
	if (r->where.state != NULL || getenv("PADDOCK_STATE") != NULL)
		put_hint(c, &hint);
	w.run = id;
	w.hint = buf_c(&hint);
	if (!r->quiet)
		tell_opened(r, &opened, id, w.hint);
	if (run_watch(&w, &ended, &e) < 0)
		return out_fail(&e);
	r->closed =
	    str_eq_c(json_str(json_get(ended.json, STR("status"))), "closed");
	return run_watch_end(ended.json, id, r->json);
}

/*
 * Asks the daemon that is there, else one of our own. One of somebody else's
 * run that is just ending answers 503: then we ask again, for a while, until
 * it is gone and ours can take its place.
 */
static int
open_run(const struct client *c, struct daemon *d, struct str body,
    const struct run_folders *folders, struct client_conn *conn,
    struct client_reply *r, struct err *e)
{
	int fds[3 + 1 + MOUNTS_MAX] = { STDIN_FILENO, STDOUT_FILENO,
		STDERR_FILENO };
	const struct client_request q = {
		.method = "POST",
		.target = "/v1/runs",
		.body = body,
		.fds = fds,
		.n_fds = 3 + folders->n,
		.keep = true,
	};
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	int64_t until = clock_mono_ns() + ENDING_WAIT_NS;
	bool down;

	memcpy(fds + 3, folders->fd, folders->n * sizeof(fds[0]));
	for (;;) {
		if (client_ask_on(c, &q, conn, r, e) == 0)
			return 0;
		down = r->status == 0 && client_down(e);
		if (d->pid != 0 || (!down && r->status != 503) ||
		    clock_mono_ns() > until)
			return err_add(e, "open a run");
		if (!down || start_embedded(c, d, e) < 0)
			(void)nanosleep(&pause, NULL); /* early is no harm */
	}
}

/* Commands that are shown work as they stand, also from another folder. */
static void
put_hint(const struct client *c, struct buf *hint)
{
	own_buf struct buf state = {};
	char path[PATH_MAX];
	const char *dir;

	buf_add_str(&state, buf_str(&c->state));
	dir = realpath(buf_c(&state), path) != NULL ? path : buf_c(&state);
	buf_add_c(hint, " --state ");
	/* Quoted for a shell unless nothing in it means anything to one. */
	if (dir[strspn(dir,
		"abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789/._-+,:@")] == '\0') {
		buf_add_c(hint, dir);
		return;
	}
	buf_add_byte(hint, '\'');
	for (const char *p = dir; *p != '\0'; p++) {
		if (*p == '\'')
			buf_add_c(hint, "'\\'");
		buf_add_byte(hint, *p);
	}
	buf_add_byte(hint, '\'');
}

static int
start_embedded(const struct client *c, struct daemon *d, struct err *e)
{
	own_buf struct buf state = {};
	own_conn struct client_conn conn = { .fd = -1 };
	struct daemon_spec spec = { .embedded = true };
	const struct client_request q = { .method = "GET",
		.target = "/v1/health" };
	struct err other;

	buf_add_str(&state, buf_str(&c->state));
	spec.state = buf_c(&state);
	if (daemon_start(d, &spec, e) == 0)
		return 0;
	/* Somebody else may have started one in the same moment. */
	if (client_send(c, &q, &conn, &other) == 0)
		return 0;
	return err_add(e, "start the daemon");
}

int
run_go_stdio(struct err *e)
{
	for (int want = STDIN_FILENO; want <= STDERR_FILENO; want++) {
		int fd = want;

		if (fcntl(want, F_GETFD) < 0)
			fd = open("/dev/null", O_RDWR); /* the lowest free */
		if (fd != want)
			return err_sys(e, "open /dev/null");
	}
	return 0;
}

static void
tell_opened(const struct run_go *r, const struct client_reply *opened,
    const char *id, const char *hint)
{
	if (r->json)
		run_watch_json(buf_str(&opened->body));
	else
		out_note(
		    "run %s (trace: paddock trace show %s%s)", id, id, hint);
}
