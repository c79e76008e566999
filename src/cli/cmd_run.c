#include "cli/commands.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/daemon.h"
#include "cli/mount_option.h"
#include "cli/out.h"
#include "cli/run_open.h"
#include "cli/run_watch.h"
#include "sys/fd.h"

static const char help[] =
    "usage: paddock run POLICY [OPTIONS] -- COMMAND [ARGUMENTS]\n"
    "\n"
    "Runs COMMAND in a sandbox under POLICY (JSON, JSON with comments or\n"
    "YAML). The tools that the policy names are at $PADDOCK_MCP_URL inside. "
    "The\n"
    "current folder is seen through an overlay: what is written there "
    "vanishes\n"
    "with the run. Without a daemon, one is started for the length of the "
    "run.\n"
    "\n"
    "  --world FILE   data that the fake services begin with (JSON)\n"
    "  --prompt TEXT  what the user has asked for: where arguments come "
    "from\n"
    "                 is told by it, and destinations in it are the "
    "user's\n"
    "  --dir DIR      the work folder, instead of the current one\n"
    "  --write-back   writes go to the work folder itself\n"
    "  --mount FROM:TO[:MODE]\n"
    "                 this folder as well, beside those of the policy: ro (so\n"
    "                 without MODE), overlay or rw, and ,noexec behind it; "
    "may\n"
    "                 be given many times\n"
    "  --env K=V      a variable for the command; may be given many times\n"
    "  --tag K=V      a tag for the run, to find it by; likewise\n"
    "  --ttl SECONDS  the run ends then, paused or not\n"
    "  --idle SECONDS the run ends when it has done nothing for so long\n"
    "  --replay-http RUN  answer requests as they were answered in RUN;\n"
    "                 nothing goes out for them\n"
    "  --replay-miss WHAT  what RUN has no answer to: refuse (as without\n"
    "                 this) or pass\n"
    "  --quiet        say nothing but what went wrong\n"
    "  --json         notices on standard error are lines of JSON\n"
    "  --state DIR    where the daemon keeps its state\n"
    "\n"
    "A policy with sandbox.image needs no COMMAND: the image names one.\n"
    "\n"
    "Exit status: the command's own; 1 when the run was stopped, with the\n"
    "reason as JSON on standard error; 2 for wrong usage.\n"
    "\n"
    "example: paddock run policy.json --world world.json -- python3 agent.py\n";

/* A daemon that ends takes this long at most: it closes its store. */
static const int64_t ENDING_WAIT_NS = 6LL * 1000 * 1000 * 1000;

enum { ENV_MAX = 1024 }; /* --env options: ARGV_MAX_BYTES bounds their text */

static const struct option options[] = {
	{ "world", required_argument, NULL, 'w' },
	{ "prompt", required_argument, NULL, 'p' },
	{ "dir", required_argument, NULL, 'd' },
	{ "write-back", no_argument, NULL, 'b' },
	{ "mount", required_argument, NULL, 'M' },
	{ "env", required_argument, NULL, 'e' },
	{ "tag", required_argument, NULL, 'g' },
	{ "ttl", required_argument, NULL, 't' },
	{ "idle", required_argument, NULL, 'i' },
	{ "replay-http", required_argument, NULL, 'r' },
	{ "replay-miss", required_argument, NULL, 'm' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "json", no_argument, NULL, 'j' },
	{ "state", required_argument, NULL, 'S' },
	ARGS_HELP,
	{},
};

struct run_command {
	struct run_open open;
	struct client_options where;
	bool quiet, json;
	struct mount_options mounts;
	const char *env[ENV_MAX];
	const char *tags[RUN_TAGS_MAX];
};

static int read_options(
    struct args *a, struct run_command *r, int argc, char **argv);
static int take_seconds(const struct args *a, const char *option, uint64_t *ms);
static int run(const struct run_command *r, const struct client *c,
    struct daemon *d, struct str body, const struct run_folders *folders,
    int signals);
static int open_run(const struct client *c, struct daemon *d, struct str body,
    const struct run_folders *folders, struct client_conn *conn,
    struct client_reply *r, struct err *e);
static void put_hint(const struct client *c, struct buf *hint);
static int start_embedded(
    const struct client *c, struct daemon *d, struct err *e);
static int stdio_open(struct err *e);
static void tell_opened(const struct run_command *r,
    const struct client_reply *opened, const char *id, const char *hint);

int
cmd_run(int argc, char **argv)
{
	own_client struct client c = {};
	own_buf struct buf body = {};
	own_fd int signals = -1;
	struct run_folders folders;
	struct daemon d = { .pidfd = -1, .lifeline = -1 };
	static struct run_command r; /* too large for the stack */
	struct args a;
	struct err e;
	size_t n_problems;
	int status = read_options(&a, &r, argc, argv);

	if (status < 0 &&
	    (client_init(&c, &r.where, &e) < 0 || stdio_open(&e) < 0))
		status = out_fail(&e);
	if (status < 0 &&
	    run_open_body(&r.open, &body, &folders, &n_problems, &e) < 0)
		/* Only a policy with an image may stand alone. */
		status = r.open.command == NULL && n_problems == 0
		    ? args_bad(&a, "%s", e.text)
		    : out_fail(&e);
	mount_options_fini(&r.mounts);
	if (status >= 0)
		return status;
	signals = run_watch_signals(&e);
	status = signals < 0
	    ? out_fail(&e)
	    : run(&r, &c, &d, buf_str(&body), &folders, signals);
	run_folders_fini(&folders);
	daemon_end(&d);
	return status;
}

/* -1 to go on, else the exit status. */
static int
read_options(struct args *a, struct run_command *r, int argc, char **argv)
{
	struct err e;
	int c, status;

	args_init(a, argc, argv, help, options);
	r->open.env = r->env;
	r->open.tags = r->tags;
	r->open.mounts = &r->mounts;
	while ((c = args_next(a)) != ARGS_END) {
		switch (c) {
		case ARGS_STOP:
			return a->exit;
		case 'w':
			r->open.world = optarg;
			break;
		case 'p':
			r->open.prompt = optarg;
			break;
		case 'd':
			r->open.dir = optarg;
			break;
		case 'b':
			r->open.write_back = true;
			break;
		case 'M':
			status = mount_options_add(a, &r->mounts, optarg);
			if (status != 0)
				return status;
			break;
		case 'e':
			if (run_open_env(optarg, &e) < 0)
				return args_bad(a, "--env %s", e.text);
			if (r->open.n_env == ENV_MAX)
				return args_bad(
				    a, "more than %d --env", ENV_MAX);
			r->env[r->open.n_env++] = optarg;
			break;
		case 'g':
			if (run_open_env(optarg, &e) < 0)
				return args_bad(a, "--tag %s", e.text);
			if (r->open.n_tags == RUN_TAGS_MAX)
				return args_bad(
				    a, "more than %d --tag", RUN_TAGS_MAX);
			r->tags[r->open.n_tags++] = optarg;
			break;
		case 't':
			status = take_seconds(a, "--ttl", &r->open.ttl_ms);
			if (status != 0)
				return status;
			break;
		case 'i':
			status = take_seconds(a, "--idle", &r->open.idle_ms);
			if (status != 0)
				return status;
			break;
		case 'r':
			r->open.replay_http = optarg;
			break;
		case 'm':
			r->open.replay_miss = optarg;
			break;
		case 'q':
			r->quiet = true;
			break;
		case 'j':
			r->json = true;
			break;
		default:
			(void)client_option(&r->where, c, optarg);
		}
	}
	if (a->command != NULL && a->command[0] == NULL)
		return args_bad(a, "nothing stands behind --");
	r->open.command = a->command;
	a->command = NULL; /* taken */
	status = args_need(a, 1, 1, "POLICY");
	if (status != 0)
		return status;
	r->open.policy = args_rest(a)[0];
	return -1;
}

/* 0, or the exit status. */
static int
take_seconds(const struct args *a, const char *option, uint64_t *ms)
{
	uint64_t s;

	if (str_to_u64(str_of(optarg), &s) < 0 || s == 0 ||
	    s > POLICY_RUN_MAX_MS / 1000)
		return args_bad(a, "%s %s: not a number of seconds up to %d",
		    option, optarg, POLICY_RUN_MAX_MS / 1000);
	*ms = s * 1000;
	return 0;
}

static int
run(const struct run_command *r, const struct client *c, struct daemon *d,
    struct str body, const struct run_folders *folders, int signals)
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
	char id[RUN_ID_BYTES];
	struct err e;

	if (open_run(c, d, body, folders, &attached, &opened, &e) < 0)
		return out_fail(&e);
	if (str_copy(json_str(json_get(opened.json, STR("run"))), id,
		sizeof(id)) < 0 ||
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

/*
 * A closed standard descriptor would be taken by the next open file, and that
 * file would be the command's input.
 */
static int
stdio_open(struct err *e)
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
tell_opened(const struct run_command *r, const struct client_reply *opened,
    const char *id, const char *hint)
{
	if (r->json)
		run_watch_json(buf_str(&opened->body));
	else
		out_note(
		    "run %s (trace: paddock trace show %s%s)", id, id, hint);
}
