#include "supervisor/role.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "core/id.h"
#include "core/policy.h"
#include "supervisor/cells.h"
#include "supervisor/child.h"
#include "supervisor/helper.h"
#include "supervisor/identity.h"
#include "supervisor/keyfile.h"
#include "supervisor/killer.h"
#include "supervisor/rootfs.h"
#include "supervisor/snapshots.h"
#include "supervisor/state.h"
#include "sys/audit.h"
#include "sys/beside.h"
#include "sys/confine.h"
#include "sys/fd.h"
#include "sys/secret_env.h"
#include "sys/signals.h"

enum {
	READY_FD = 3, /* where the starter reads how it went */
	LIFE_FD = 4, /* its end of file: the starter is gone */
	KILL_LINE_BYTES = NAME_MAX_BYTES + 32,
};

/* The broker stops runs and closes the store; longer, and it is hung. */
static const int64_t QUIT_NS = 5LL * 1000 * 1000 * 1000;

static struct {
	struct loop *loop;
	struct state state;
	struct sandbox_host host;
	struct cells *cells;
	struct snapshots *snapshots;
	struct helpers *helpers;
	struct identity_files identity;
	struct killer killer;
	struct locked env; /* secrets that came in the environment */
	struct child child[ROLES]; /* [ROLE_SUPERVISOR] unused */
	struct loop_watch signals, life, kills;
	struct loop_timer quit;
	bool embedded;
	bool said_ready;
	bool listening; /* this gateway has been given the listeners */
	bool quitting;
	bool idle_quit; /* end when the last run has closed */
	int exit_status;
} sup;

static int options(int argc, char **argv, const char **dir, const char **listen,
    struct err *e);
static int set_up(const char *dir, const char *listen, struct err *e);
static int start_all(struct err *e);
static int start_one(enum role r, struct err *e);
static int wire(enum role a, enum role b, struct err *e);
static int wire_role(enum role r, struct err *e);
static void say_ready(void);
static void on_frame(struct peer *p, const struct frame *f);
static void on_link_gone(struct peer *p, const char *why);
static void on_exit_of(struct child *c, int status);
static void on_cell_exit(const struct msg_sandbox_exited *m);
static void on_cell_denied(
    const struct msg_sandbox_denied *m, struct str texts);
static void on_sandbox_start(const struct frame *f);
static void on_sandbox_ask(const struct msg_sandbox_ask *m);
static void on_snapshot(
    const struct msg_snapshot_told *m, int fd, const char *why);
static void on_image_find(const struct msg_image_find *m);
static void on_secret_find(const struct msg_secret_find *m);
static int env_read(const char *name, struct err *e);
static void on_secret_read(
    uint64_t run, uint32_t index, int fd, const char *why);
static void on_signal(struct loop_watch *w, uint32_t events);
static void on_life(struct loop_watch *w, uint32_t events);
static void on_kill_socket(struct loop_watch *w, uint32_t events);
static void quit(bool when_idle);
static void on_quit_late(struct loop_timer *t);
static void tear_down(void);

int
supervisor_role_main(int argc, char **argv)
{
	const char *dir = NULL, *listen = NULL;
	struct err e = {};
	char line[ERR_TEXT_BYTES + 16];

	log_init("supervisor", LOG_WARN);
	if (secret_env_take(&sup.env, &e) < 0 ||
	    options(argc, argv, &dir, &listen, &e) < 0 ||
	    set_up(dir, listen, &e) < 0 || start_all(&e) < 0) {
		int n = snprintf(line, sizeof(line), "error: %s\n", e.text);

		if (write(READY_FD, line, (size_t)n) < 0)
			log_error("%s", e.text);
		tear_down();
		return 1;
	}
	if (loop_run(sup.loop, NULL, NULL, &e) < 0) {
		log_error("event loop failed why=\"%s\"", e.text);
		sup.exit_status = 1;
	}
	tear_down();
	return sup.exit_status;
}

static int
options(
    int argc, char **argv, const char **dir, const char **listen, struct err *e)
{
	static const struct option table[] = {
		{ "role", required_argument, NULL, 'r' },
		{ "state", required_argument, NULL, 's' },
		{ "listen", required_argument, NULL, 'l' },
		{ "embedded", no_argument, NULL, 'e' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case 'r':
			break;
		case 's':
			*dir = optarg;
			break;
		case 'l':
			*listen = optarg;
			break;
		case 'e':
			sup.embedded = true;
			break;
		default:
			return err_set(e, "unknown option of the supervisor");
		}
	}
	if (*dir == NULL)
		return err_set(e, "the supervisor needs --state DIR");
	return 0;
}

static int
set_up(const char *dir, const char *listen, struct err *e)
{
	own_fd int binary = -1, records = -1;
	struct err none;
	int fd;

	if (fd_cloexec(READY_FD, true, e) < 0 ||
	    fd_cloexec(LIFE_FD, true, e) < 0)
		return -1;
	if (state_open(&sup.state, dir, listen, e) < 0)
		return -1;
	sup.loop = loop_new(e);
	if (sup.loop == NULL)
		return -1;
	binary = beside_open("paddock", BESIDE_PADDOCK, e);
	if (binary < 0)
		return -1;
	if (sandbox_host_init(&sup.host, fd_take(&binary), e) < 0 ||
	    sandbox_host_many(&sup.host, e) < 0)
		return -1;
	/* Now, since the right to it goes with most others. */
	records = audit_open(&none);
	if (confine_role(CONFINE_SUPERVISOR, NULL, e) < 0)
		return -1;
	(void)sandbox_sweep(&sup.host); /* what a crash left is no failure */
	sup.cells = cells_new(sup.loop, &sup.host, sup.state.dir,
	    (struct cells_hear){ on_cell_exit, on_cell_denied }, e);
	if (sup.cells == NULL)
		return -1;
	cells_take_audit(sup.cells, fd_take(&records));
	sup.snapshots = snapshots_new(sup.loop, sup.cells, sup.state.dir,
	    (struct snapshots_hear){ on_snapshot });
	sup.killer.loop = sup.loop;
	sup.killer.files.fd = -1; /* not open yet */
	sup.killer.cells = sup.cells;
	sup.killer.broker = &sup.child[ROLE_BROKER].link;
	sup.killer.state = sup.state.dir;
	sup.identity.broker = &sup.child[ROLE_BROKER].link;
	if (identity_open(&sup.identity, sup.loop, sup.state.dir, e) < 0)
		return -1;
	sup.helpers = helpers_new(
	    sup.loop, sup.state.dir, (struct helpers_hear){ on_secret_read });

	fd =
	    signals_fd((const int[]){ SIGTERM, SIGINT, SIGHUP, SIGPIPE, 0 }, e);
	if (fd < 0)
		return -1;
	sup.signals = (struct loop_watch){
		.fd = fd,
		.events = EPOLLIN,
		.on_ready = on_signal,
	};
	sup.life = (struct loop_watch){
		.fd = LIFE_FD,
		.events = EPOLLIN,
		.on_ready = on_life,
	};
	sup.kills = (struct loop_watch){
		.fd = sup.state.kill_fd,
		.events = EPOLLIN,
		.on_ready = on_kill_socket,
	};
	sup.quit.on_time = on_quit_late;
	if (loop_add(sup.loop, &sup.signals, e) < 0 ||
	    loop_add(sup.loop, &sup.life, e) < 0 ||
	    loop_add(sup.loop, &sup.kills, e) < 0)
		return -1;
	for (int r = ROLE_BROKER; r < ROLES; r++) {
		struct child *c = &sup.child[r];

		c->link.on_frame = on_frame;
		c->link.on_gone = on_link_gone;
		c->on_exit = on_exit_of;
		if (child_init(c, (enum role)r, sup.loop, e) < 0)
			return -1;
	}
	return killer_open(&sup.killer, e);
}

static int
start_all(struct err *e)
{
	for (int r = ROLE_BROKER; r < ROLES; r++) {
		if (start_one((enum role)r, e) < 0)
			return -1;
	}
	return 0;
}

static int
start_one(enum role r, struct err *e)
{
	const char *dir = r == ROLE_BROKER ? sup.state.store : NULL;

	if (r == ROLE_GATEWAY)
		sup.listening = false;
	return child_start(&sup.child[r], dir, e);
}

/* A new link between two running roles. */
static int
wire(enum role a, enum role b, struct err *e)
{
	struct msg_wire to_a = { .role = b, .side = 0 };
	struct msg_wire to_b = { .role = a, .side = 1 };
	int one[WIRE_FDS], two[WIRE_FDS];
	bool sent;

	if (peer_wire(one, two, e) < 0)
		return -1;
	sent = peer_send(&sup.child[a].link, MSG_WIRE, &to_a, STR(""), one,
		   WIRE_FDS) == 0 &&
	    peer_send(&sup.child[b].link, MSG_WIRE, &to_b, STR(""), two,
		WIRE_FDS) == 0;
	for (int i = 0; i < WIRE_FDS; i++) {
		fd_fini(&one[i]);
		fd_fini(&two[i]);
	}
	if (!sent)
		return err_set(
		    e, "cannot link %s to %s", role_name(a), role_name(b));
	return 0;
}

/* Links a role that has just become ready to those that are. */
static int
wire_role(enum role r, struct err *e)
{
	if (r == ROLE_BROKER) {
		for (int other = ROLE_GATEWAY; other < ROLES; other++) {
			if (sup.child[other].ready &&
			    wire(ROLE_BROKER, (enum role)other, e) < 0)
				return -1;
		}
	} else if (sup.child[ROLE_BROKER].ready &&
	    wire(ROLE_BROKER, r, e) < 0) {
		return -1;
	}
	return 0;
}

/* The public listener opens last: when every role has confined itself. */
static void
say_ready(void)
{
	struct peer *gateway = &sup.child[ROLE_GATEWAY].link;
	struct msg_listen m = { .kind = LISTEN_UNIX };

	for (int r = ROLE_BROKER; r < ROLES; r++) {
		if (!sup.child[r].ready)
			return;
	}
	(void)peer_send(gateway, MSG_LISTEN, &m, STR(""), &sup.state.unix_fd,
	    1); /* a broken link restarts the gateway, and comes here again */
	if (sup.state.tcp_fd >= 0) {
		m.kind = LISTEN_TCP;
		m.port = sup.state.tcp_port;
		(void)peer_send(gateway, MSG_LISTEN, &m, STR(""),
		    &sup.state.tcp_fd, 1); /* as above */
	}
	sup.listening = true;
	if (!sup.said_ready) {
		char line[32];
		int n = snprintf(
		    line, sizeof(line), "ready %u\n", sup.state.tcp_port);

		sup.said_ready = true;
		if (write(READY_FD, line, (size_t)n) < 0)
			log_warn("the starter does not listen");
		(void)close(READY_FD); /* said all there is */
	}
}

static void
on_frame(struct peer *p, const struct frame *f)
{
	struct child *c = &sup.child[p->other];
	const struct msg_sandbox_kill *kill_m = f->body;
	struct err e = {};

	switch ((enum msg_type)f->type) {
	case MSG_READY:
		if (c->ready)
			return;
		c->ready = true;
		/* Before anybody can ask the broker who they are. */
		if (p->other == ROLE_BROKER) {
			identity_send(&sup.identity, p);
			killer_tell_again(&sup.killer);
		}
		if (wire_role(p->other, &e) < 0)
			log_error("%s", e.text);
		/* After a restart, too, the gateway may be the first. */
		if (!sup.listening)
			say_ready();
		return;
	case MSG_SANDBOX_START:
		on_sandbox_start(f);
		return;
	case MSG_SANDBOX_KILL:
		(void)cells_kill(sup.cells, kill_m->run); /* over: fine */
		return;
	case MSG_KILLED:
		killer_taken(&sup.killer, f->body);
		return;
	case MSG_SANDBOX_ASK:
		on_sandbox_ask(f->body);
		return;
	case MSG_SNAPSHOT_ASK:
		snapshots_ask(sup.snapshots, f);
		return;
	case MSG_SECRET_FIND:
		on_secret_find(f->body);
		return;
	case MSG_IMAGE_FIND:
		on_image_find(f->body);
		return;
	case MSG_WIRE:
	case MSG_LISTEN:
	case MSG_QUIT:
	case MSG_IDENTITY:
	case MSG_KILL:
	case MSG_SANDBOX_STARTED:
	case MSG_SANDBOX_EXITED:
	case MSG_SANDBOX_TOLD:
	case MSG_SNAPSHOT_TOLD:
	case MSG_IMAGE_FOUND:
	case MSG_SANDBOX_DENIED:
	case MSG_DOOR_OPEN:
	case MSG_DOOR_CLOSE:
	case MSG_CA_NEW:
	case MSG_CA:
	case MSG_TOOL_CALL:
	case MSG_API:
	case MSG_BEARER:
	case MSG_BAD_REQUEST:
	case MSG_GONE:
	case MSG_CANCEL:
	case MSG_LISTS:
	case MSG_REPLY:
	case MSG_EVENT:
	case MSG_TOKEN_GONE:
	case MSG_INSIDE_DONE:
	case MSG_COMMAND:
	case MSG_COMMAND_KILL:
	case MSG_COMMAND_END:
	case MSG_EXPORT:
	case MSG_EXPORT_READ:
	case MSG_WORLD_OPEN:
	case MSG_WORLD_OPENED:
	case MSG_WORLD_CALL:
	case MSG_WORLD_RESULT:
	case MSG_WORLD_CLOSE:
	case MSG_WORLD_TRY:
	case MSG_WORLD_TRIED:
	case MSG_WORLD_SAVE:
	case MSG_WORLD_SAVED:
	case MSG_SECRET_FOUND:
	case MSG_SERVER_OPEN:
	case MSG_SERVER_PIPES:
	case MSG_SERVER_LINE:
	case MSG_SERVER_LISTED:
	case MSG_SERVER_CALL:
	case MSG_SERVER_RESULT:
	case MSG_SERVER_CANCEL:
	case MSG_SERVER_PROGRESS:
	case MSG_SERVER_UPDATED:
	case MSG_SERVER_LEAVE:
	case MSG_SERVER_CLOSE:
	case MSG_EGRESS_ASK:
	case MSG_EGRESS_VERDICT:
	case MSG_EGRESS_DONE:
	case MSG_EGRESS_REVOKE:
	case MSG_EGRESS_WATCH:
	case MSG_FETCH:
	case MSG_FETCHED:
	case MSG_TYPES:
		must(false); /* no route leads here */
	}
}

static void
on_sandbox_start(const struct frame *f)
{
	const struct msg_sandbox_start *m = f->body;
	struct peer *broker = &sup.child[ROLE_BROKER].link;
	struct msg_sandbox_started out = { .run = m->run };
	int fds[CELL_FDS];
	size_t n = 0;
	struct err e = {};

	if (sup.quitting)
		(void)err_set(&e, "paddock is ending");
	else if (killer_holds(&sup.killer, m))
		(void)err_set(&e, "the kill switch is on");
	else if (cells_start(sup.cells, f, &out, fds, &n, &e) == 0) {
		(void)peer_send(broker, MSG_SANDBOX_STARTED, &out, STR(""), fds,
		    n); /* a broken link kills the sandbox */
		while (n > 0)
			fd_fini(&fds[--n]);
		return;
	}
	(void)peer_send(broker, MSG_SANDBOX_STARTED, &out, str_of(e.text), NULL,
	    0); /* as above */
}

static void
on_sandbox_ask(const struct msg_sandbox_ask *m)
{
	struct msg_sandbox_told out = { .run = m->run, .call = m->call };
	struct err e = {};

	out.ok = cells_ask(sup.cells, m, &out, &e) == 0;
	if (m->what == ASK_TERMINATE)
		return; /* who ends is heard of in any case */
	(void)peer_send(&sup.child[ROLE_BROKER].link, MSG_SANDBOX_TOLD, &out,
	    str_of(e.text), NULL, 0); /* a broker that is gone asks no more */
}

static void
on_snapshot(const struct msg_snapshot_told *m, int fd, const char *why)
{
	(void)peer_send(&sup.child[ROLE_BROKER].link, MSG_SNAPSHOT_TOLD, m,
	    str_of(why), &fd, fd >= 0); /* a broker that is gone asks no more */
}

static void
on_image_find(const struct msg_image_find *m)
{
	const struct str digits = { m->hex,
		m->digits < sizeof(m->hex) ? m->digits : sizeof(m->hex) };
	struct msg_image_found out = { .run = m->run, .digits = m->digits };
	struct err e = {};
	own_fd int fd = m->digits == 0
	    ? rootfs_open_names(sup.state.dir, &e)
	    : rootfs_open_record(sup.state.dir, digits, &out.digest, &e);

	out.ok = fd >= 0;
	(void)peer_send(&sup.child[ROLE_BROKER].link, MSG_IMAGE_FOUND, &out,
	    str_of(e.text), &fd,
	    out.ok); /* a broker that is gone asks no more */
}

static void
on_secret_find(const struct msg_secret_find *m)
{
	struct err e = {};
	own_fd int fd = -1;

	if (memchr(m->name, '\0', sizeof(m->name)) == NULL)
		(void)err_set(&e, "a wrong name");
	else if (m->from == SECRET_FILE || m->from == SECRET_SYSTEMD)
		fd = keyfile_read(
		    sup.state.dir, m->from == SECRET_SYSTEMD, m->name, &e);
	else if (m->from == SECRET_ENV)
		fd = env_read(m->name, &e);
	else if (m->from != SECRET_COMMAND)
		(void)err_set(&e, "no such store");
	else if (helper_start(sup.helpers, m->run, m->index, m->name, &e) == 0)
		return;
	on_secret_read(m->run, m->index, fd, e.text);
}

static int
env_read(const char *name, struct err *e)
{
	struct str value = secret_env_find(&sup.env, str_of(name));

	if (value.p == NULL)
		return err_set(e,
		    "the daemon was started without $" SECRET_ENV_PREFIX "%s",
		    name);
	return fd_sealed(value.p, value.n, e);
}

static void
on_secret_read(uint64_t run, uint32_t index, int fd, const char *why)
{
	const struct msg_secret_found out = {
		.run = run,
		.index = index,
		.ok = fd >= 0,
	};

	(void)peer_send(&sup.child[ROLE_BROKER].link, MSG_SECRET_FOUND, &out,
	    str_of(fd >= 0 ? "" : why), &fd,
	    out.ok); /* a broker that is gone asks no more */
}

static void
on_cell_exit(const struct msg_sandbox_exited *m)
{
	(void)peer_send(&sup.child[ROLE_BROKER].link, MSG_SANDBOX_EXITED, m,
	    STR(""), NULL, 0); /* a broker that is gone closes it on restart */
}

static void
on_cell_denied(const struct msg_sandbox_denied *m, struct str texts)
{
	(void)peer_send(&sup.child[ROLE_BROKER].link, MSG_SANDBOX_DENIED, m,
	    texts, NULL, 0); /* a report, which a broken link loses */
}

/* A role that breaks the rules, or hangs up, is ended; see on_exit_of. */
static void
on_link_gone(struct peer *p, const char *why)
{
	struct child *c = &sup.child[p->other];

	log_debug("link ended role=%s why=\"%s\"", role_name(p->other), why);
	/* Asked to end, the broker is the first that does. */
	if (c->role == ROLE_BROKER && (sup.quitting || sup.idle_quit))
		return;
	if (c->pid > 0)
		(void)kill(c->pid, SIGKILL); /* its pidfd tells the rest */
}

static void
on_exit_of(struct child *c, int status)
{
	bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	bool asked = sup.quitting || (sup.idle_quit && clean);
	struct err e = {};

	if (c->role == ROLE_BROKER && asked)
		loop_stop(sup.loop);
	if (sup.quitting || (c->role == ROLE_BROKER && asked))
		return;

	/* They follow the broker: what becomes of them is seen with it. One
	 * that ends well may have seen before us that the broker has. */
	if (c->role != ROLE_BROKER &&
	    (asked || peer_at_end(&sup.child[ROLE_BROKER].link)))
		return;
	log_warn("role ended role=%s status=%d signal=%d", role_name(c->role),
	    WIFEXITED(status) ? WEXITSTATUS(status) : 0,
	    WIFSIGNALED(status) ? WTERMSIG(status) : 0);

	/* Without the broker nobody watches what the sandboxes do. */
	if (c->role == ROLE_BROKER) {
		(void)cells_kill_all(sup.cells);
		for (int r = ROLE_GATEWAY; r < ROLES; r++)
			child_kill(&sup.child[r]);
	}
	if (!child_may_restart(c, clock_mono_ns())) {
		log_error(
		    "role keeps ending, giving up role=%s", role_name(c->role));
		sup.exit_status = 1;
		if (!sup.said_ready) {
			static const char text[] =
			    "error: a role does not start; see the lines "
			    "above\n";
			(void)!write(READY_FD, text, sizeof(text) - 1);
		}
		loop_stop(sup.loop);
		return;
	}
	for (int r = ROLE_BROKER; r < ROLES; r++) {
		if (sup.child[r].pid == 0 && start_one((enum role)r, &e) < 0) {
			log_error("cannot restart why=\"%s\"", e.text);
			sup.exit_status = 1;
			loop_stop(sup.loop);
			return;
		}
	}
	if (sup.idle_quit) /* the new broker has not heard it */
		quit(true);
}

static void
on_signal(struct loop_watch *w, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	while (read(w->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo != SIGPIPE)
			quit(false);
	}
}

static void
on_life(struct loop_watch *w, uint32_t events)
{
	(void)events;
	(void)loop_remove(sup.loop, w);
	quit(sup.embedded);
}

/*
 * The kill switch: a line of ipc/kill.h from a local peer that the file's
 * mode let in. It works whatever the other roles do. One line is one
 * packet on a local stream; more than that is not a client of ours.
 */
static void
on_kill_socket(struct loop_watch *w, uint32_t events)
{
	/* cppcheck-suppress nullPointer ; accept4(2) allows it */
	own_fd int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);
	struct timeval patience = { .tv_usec = 200 * 1000 };
	char line[KILL_LINE_BYTES], answer[KILL_LINE_BYTES];
	struct str s;
	ssize_t n;
	int len, killed;

	(void)events;
	if (fd < 0)
		return;
	/* A peer that says nothing holds this loop for so long and no more. */
	(void)setsockopt(
	    fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	n = recv(fd, line, sizeof(line), 0);
	if (n <= 0)
		return;
	s = (struct str){ line, (size_t)n };
	killed = killer_line(&sup.killer, s);
	if (killed >= 0)
		len = snprintf(answer, sizeof(answer), "killed %d\n", killed);
	else
		len = snprintf(answer, sizeof(answer),
		    "error: say kill-all, or kill and a run\n");
	(void)send(fd, answer, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Asks the broker to close what is open and end. */
static void
quit(bool when_idle)
{
	struct msg_quit m = { .when_idle = when_idle ? 1 : 0 };

	if (sup.quitting)
		return;
	if (when_idle)
		sup.idle_quit = true;
	else
		sup.quitting = true;
	if (!sup.child[ROLE_BROKER].ready && sup.quitting) {
		loop_stop(sup.loop);
		return;
	}
	(void)peer_send(&sup.child[ROLE_BROKER].link, MSG_QUIT, &m, STR(""),
	    NULL, 0); /* a broker that is gone needs no asking */
	if (sup.quitting)
		loop_timer_set(sup.loop, &sup.quit, clock_mono_ns() + QUIT_NS);
}

static void
on_quit_late(struct loop_timer *t)
{
	(void)t;
	log_error("the broker does not end; killing it");
	sup.exit_status = 1;
	loop_stop(sup.loop);
}

static void
tear_down(void)
{
	helpers_free(sup.helpers);
	snapshots_free(sup.snapshots);
	identity_close(&sup.identity);
	killer_close(&sup.killer);
	locked_fini(&sup.env);
	cells_free(sup.cells);
	for (int r = ROLE_BROKER; r < ROLES; r++) {
		if (sup.child[r].link.loop != NULL)
			child_kill(&sup.child[r]);
	}
	if (sup.state.lock_fd >= 0 && sup.state.dir[0] != '\0')
		state_close(&sup.state);
	sandbox_host_fini(&sup.host);
	loop_free(sup.loop);
}
