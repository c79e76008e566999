/*
 * `paddock exec --in RUN`: a command in the sandbox of a run, over a
 * connection of frames. (Without --in it is the small half's.)
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/run_open.h"
#include "codec/exec_frame.h"
#include "codec/json_text.h"
#include "sys/fd.h"
#include "sys/signals.h"

static const char help[] =
    "usage: paddock exec --in RUN [OPTIONS] -- COMMAND [ARGUMENTS]\n"
    "\n"
    "Runs COMMAND in the sandbox of RUN, beside what runs there, with its\n"
    "files, limits and network. (Without --in: see paddock exec --help.)\n"
    "\n"
    "  --in RUN            the run\n"
    "  -t, --tty           with a terminal of its own\n"
    "  -d, --detach        in the background: print its number and go on\n"
    "  --cwd DIR           the folder to run in, instead of the work folder\n"
    "  --env K=V           a variable; may be given many times\n" CLIENT_HELP
    "\n"
    "Exit status: the command's own; 126 or 127 when it cannot be executed\n"
    "or is not there; 1 when something else went wrong; 2 for wrong usage.\n"
    "\n"
    "example: paddock exec --in r-7k3m9q2v5w1x -t -- bash\n";

enum {
	TERM_BYTES = 128,
	START_MS = 60 * 1000,
	READ_BYTES = 16 * 1024,
	EXIT_CANNOT = 126, /* as shells have it */
	EXIT_NOT_THERE = 127,
};

static const struct option options[] = {
	{ "in", required_argument, NULL, 'i' },
	{ "tty", no_argument, NULL, 't' },
	{ "detach", no_argument, NULL, 'd' },
	{ "cwd", required_argument, NULL, 'c' },
	{ "env", required_argument, NULL, 'e' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

struct exec_command {
	struct client_options where;
	const char *run, *cwd;
	char *const *command;
	bool tty, detach;
	struct args_env env;
	char term[TERM_BYTES]; /* "TERM=..." */
};

/* While it runs. */
struct session {
	struct client_conn conn;
	int signals;
	bool tty;
	bool stdin_open;
	bool over;
	int status;
	struct termios before;
	bool raw;
};

static int read_options(
    struct args *a, struct exec_command *x, int argc, char **argv);
static void draw_for_here(struct exec_command *x);
static int put_body(struct buf *b, const struct exec_command *x, struct err *e);
static int detached(const struct client *c, const struct client_request *q);
static int cannot_start(const struct client_reply *r, const struct err *e);
static int converse(struct session *s, struct err *e);
static int on_input(struct session *s, struct err *e);
static int on_signal(struct session *s, struct err *e);
static int on_frames(struct session *s, struct err *e);
static int frame_take(
    struct session *s, const struct exec_frame *f, struct err *e);
static int frame_send(struct session *s, enum exec_frame_type type,
    struct str data, struct err *e);
static int window_send(struct session *s, struct err *e);
static bool window(uint16_t *rows, uint16_t *cols);
static int raw_begin(struct session *s, struct err *e);
static void raw_end(struct session *s);

int
cmd_exec(int argc, char **argv)
{
	static struct exec_command x; /* too large for the stack */
	own_client struct client c = {};
	own_reply struct client_reply r = {};
	own_buf struct buf body = {}, target = {};
	struct session s = { .conn = { .fd = -1 }, .stdin_open = true };
	struct args a;
	struct err e;
	int status = read_options(&a, &x, argc, argv);

	if (status >= 0)
		return status;
	s.tty = x.tty;
	if (client_init(&c, &x.where, &e) < 0 || put_body(&body, &x, &e) < 0)
		return out_fail(&e);
	buf_printf(&target, "/v1/sandboxes/%s/exec", x.run);
	const struct client_request q = {
		.method = "POST",
		.target = buf_c(&target),
		.body = buf_str(&body),
		.upgrade = x.detach ? NULL : "paddock-exec",
	};

	if (x.detach)
		return detached(&c, &q);
	s.signals = signals_fd((const int[]){ SIGINT, SIGTERM, SIGHUP, SIGQUIT,
				   SIGUSR1, SIGUSR2, SIGWINCH, 0 },
	    &e);
	if (s.signals < 0)
		return out_fail(&e);
	if (client_send(&c, &q, &s.conn, &e) < 0 ||
	    client_head(&s.conn, START_MS, &r, &e) < 0) {
		client_conn_fini(&s.conn);
		return cannot_start(&r, &e);
	}
	status = converse(&s, &e);
	raw_end(&s);
	client_conn_fini(&s.conn);
	(void)close(s.signals); /* a signalfd: nothing to lose */
	return status < 0 ? out_fail(&e) : s.status;
}

/* -1 to go on, else the exit status. */
static int
read_options(struct args *a, struct exec_command *x, int argc, char **argv)
{
	int c, status;

	args_init(a, argc, argv, help, options);
	a->shorts = ":htd";
	while ((c = args_next(a)) != ARGS_END) {
		switch (c) {
		case ARGS_STOP:
			return a->exit;
		case 'i':
			x->run = optarg;
			break;
		case 't':
			x->tty = true;
			break;
		case 'd':
			x->detach = true;
			break;
		case 'c':
			x->cwd = optarg;
			break;
		case 'e':
			status = args_env_add(a, &x->env);
			if (status != 0)
				return status;
			break;
		default:
			(void)client_option(&x->where, c, optarg);
		}
	}
	if (x->run == NULL)
		return args_bad(a,
		    "--in RUN is missing; without it, exec is part of the "
		    "program paddock, not of paddockd");
	status = args_run(a, x->run);
	if (status != 0)
		return status;
	if (a->command == NULL || a->command[0] == NULL)
		return args_bad(a, "no command; it stands behind --");
	if (x->tty && x->detach)
		return args_bad(a, "--tty and --detach exclude each other");
	x->command = a->command;
	a->command = NULL; /* taken */
	status = args_need(a, 0, 0, "");
	if (status != 0)
		return status;
	if (x->tty)
		draw_for_here(x);
	return -1;
}

/* A program draws for this terminal, wherever it runs. */
static void
draw_for_here(struct exec_command *x)
{
	const char *kind = getenv("TERM");
	int n;

	for (size_t i = 0; i < x->env.n; i++)
		if (strncmp(x->env.of[i], "TERM=", 5) == 0)
			return;
	if (kind == NULL || x->env.n == ARGS_ENV_MAX)
		return;
	n = snprintf(x->term, sizeof(x->term), "TERM=%s", kind);
	if (n > 0 && (size_t)n < sizeof(x->term))
		x->env.of[x->env.n++] = x->term;
}

static int
put_body(struct buf *b, const struct exec_command *x, struct err *e)
{
	uint16_t rows, cols;

	buf_add_c(b, "{\"argv\":");
	if (run_open_words(b, x->command, e) < 0)
		return -1;
	buf_add_c(b, ",\"env\":");
	if (run_open_pairs(b, x->env.of, x->env.n, "--env", e) < 0)
		return -1;
	if (x->cwd != NULL) {
		buf_add_c(b, ",\"cwd\":");
		if (run_open_text(b, str_of(x->cwd), "--cwd", e) < 0)
			return -1;
	}
	if (x->detach)
		buf_add_c(b, ",\"background\":true");
	if (x->tty) {
		buf_add_c(b, ",\"tty\":true");
		if (window(&rows, &cols))
			buf_printf(b, ",\"cols\":%u,\"rows\":%u", cols, rows);
	}
	buf_add_byte(b, '}');
	return b->failed ? err_set(e, "out of memory") : 0;
}

static int
detached(const struct client *c, const struct client_request *q)
{
	own_reply struct client_reply r = {};
	own_buf struct buf line = {};
	uint64_t number = 0;
	struct err e;

	if (client_ask(c, q, &r, &e) < 0)
		return cannot_start(&r, &e);
	(void)json_u64(json_get(r.json, STR("exec")), &number);
	buf_printf(&line, "%llu\n", (unsigned long long)number);
	return out_write(&line);
}

static int
cannot_start(const struct client_reply *r, const struct err *e)
{
	struct str code = json_str(json_at(r->json, "error", "code", NULL));

	(void)out_fail(e);
	if (str_eq(code, STR("not_found")))
		return EXIT_NOT_THERE;
	return str_eq(code, STR("forbidden")) ? EXIT_CANNOT : EXIT_FAILED;
}

static int
converse(struct session *s, struct err *e)
{
	if (s->tty && raw_begin(s, e) < 0)
		return -1;
	if (s->tty && window_send(s, e) < 0)
		return -1;
	/* What came with the answer's head. */
	if (on_frames(s, e) < 0)
		return -1;
	while (!s->over) {
		struct pollfd p[3] = {
			{ .fd = s->conn.fd, .events = POLLIN },
			{ .fd = s->signals, .events = POLLIN },
			{ .fd = s->stdin_open ? STDIN_FILENO : -1,
			    .events = POLLIN },
		};

		if (poll(p, 3, -1) < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(e, "poll");
		}
		if (p[1].revents != 0 && on_signal(s, e) < 0)
			return -1;
		if (p[2].revents != 0 && on_input(s, e) < 0)
			return -1;
		if (p[0].revents != 0) {
			char *to = buf_reserve(&s->conn.in, READ_BYTES);
			ssize_t n;

			if (to == NULL)
				return err_set(e, "out of memory");
			n = read(s->conn.fd, to, READ_BYTES);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return err_sys(e, "hear from the daemon");
			if (n == 0)
				return err_set(e,
				    "the daemon hung up; the command is "
				    "ended");
			s->conn.in.n += (size_t)n;
			if (on_frames(s, e) < 0)
				return -1;
		}
	}
	return 0;
}

static int
on_input(struct session *s, struct err *e)
{
	char bytes[READ_BYTES];
	ssize_t n;

	do {
		n = read(STDIN_FILENO, bytes, sizeof(bytes));
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return frame_send(
		    s, FRAME_STDIN, (struct str){ bytes, (size_t)n }, e);
	/* An input that cannot be read is one at its end. */
	s->stdin_open = false;
	return frame_send(s, FRAME_STDIN_EOF, STR(""), e);
}

static int
on_signal(struct session *s, struct err *e)
{
	struct signalfd_siginfo info;
	char signo;

	if (read(s->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	if (info.ssi_signo == SIGWINCH)
		return s->tty ? window_send(s, e) : 0;
	signo = (char)info.ssi_signo;
	return frame_send(s, FRAME_SIGNAL, (struct str){ &signo, 1 }, e);
}

/* All whole frames that have arrived. */
static int
on_frames(struct session *s, struct err *e)
{
	struct buf *in = &s->conn.in;

	while (!s->over) {
		struct exec_frame f;
		ssize_t n = exec_frame_parse(
		    in->p + s->conn.used, in->n - s->conn.used, &f, e);

		if (n < 0)
			return err_add(e, "the daemon's answer");
		if (n == 0)
			break;
		if (frame_take(s, &f, e) < 0)
			return -1;
		s->conn.used += (size_t)n;
	}
	buf_drop(in, s->conn.used);
	s->conn.used = 0;
	return 0;
}

static int
frame_take(struct session *s, const struct exec_frame *f, struct err *e)
{
	own_arena struct arena a = {};
	uint64_t status = EXIT_FAILED, limit = 0;
	const struct json *end;

	switch (f->type) {
	case FRAME_STDOUT:
		return fd_write_all(STDOUT_FILENO, f->data.p, f->data.n, e);
	case FRAME_STDERR:
		return fd_write_all(STDERR_FILENO, f->data.p, f->data.n, e);
	case FRAME_EXIT:
		end = json_parse(f->data, NULL, &a, e, NULL);
		if (json_u64(json_get(end, STR("exit_status")), &status) < 0 ||
		    status > 255)
			return err_set(e, "the daemon gives no exit status");
		if (json_u64(
			json_at(end, "stop", "limit_bytes", NULL), &limit) == 0)
			out_note(
			    "stopped: output_limit: it printed more than "
			    "the %llu bytes that it may (sandbox.output_mb)",
			    (unsigned long long)limit);
		s->status = (int)status;
		s->over = true;
		return 0;
	case FRAME_STDIN:
	case FRAME_WINSIZE:
	case FRAME_SIGNAL:
	case FRAME_STDIN_EOF:
	case FRAME_TYPES:
		break;
	}
	return err_set(e, "a frame of the other direction");
}

static int
frame_send(struct session *s, enum exec_frame_type type, struct str data,
    struct err *e)
{
	own_buf struct buf b = {};

	exec_frame_put(&b, type, data);
	while (b.n > 0) {
		struct pollfd p = { s->conn.fd, POLLIN | POLLOUT, 0 };
		ssize_t n;

		/* A command that writes and does not read must not hold both
		 * of us for ever: what it writes is read meanwhile. */
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return err_sys(e, "poll");
		if ((p.revents & POLLOUT) == 0 && (p.revents & POLLIN) != 0) {
			char *to = buf_reserve(&s->conn.in, READ_BYTES);

			if (to == NULL)
				return err_set(e, "out of memory");
			n = read(s->conn.fd, to, READ_BYTES);
			if (n > 0)
				s->conn.in.n += (size_t)n;
			if (n <= 0 || on_frames(s, e) < 0)
				return n <= 0 ? err_set(e, "the daemon hung up")
					      : -1;
			if (s->over)
				return 0;
			continue;
		}
		n = send(s->conn.fd, b.p, b.n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EINTR && errno != EAGAIN) {
			/* It has ended: why, is on its way to us. */
			s->stdin_open = false;
			return 0;
		}
		if (n > 0)
			buf_drop(&b, (size_t)n);
	}
	return 0;
}

static int
window_send(struct session *s, struct err *e)
{
	own_buf struct buf b = {};
	struct exec_frame f;
	uint16_t rows, cols;

	if (!window(&rows, &cols))
		return 0;
	exec_frame_put_winsize(&b, rows, cols);
	if (b.failed || exec_frame_parse(b.p, b.n, &f, e) < 0)
		return err_set(e, "out of memory");
	return frame_send(s, f.type, f.data, e);
}

static bool
window(uint16_t *rows, uint16_t *cols)
{
	struct winsize w;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_row == 0 ||
	    w.ws_col == 0)
		return false;
	*rows = w.ws_row;
	*cols = w.ws_col;
	return true;
}

/* Every key is the command's. */
static int
raw_begin(struct session *s, struct err *e)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &s->before) < 0)
		return errno == ENOTTY ? 0 : err_sys(e, "terminal");
	raw = s->before;
	cfmakeraw(&raw);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
		return err_sys(e, "terminal");
	s->raw = true;
	return 0;
}

static void
raw_end(struct session *s)
{
	if (s->raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &s->before);
	s->raw = false;
}
