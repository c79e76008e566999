#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "cli/out.h"
#include "cli/policy_file.h"
#include "cli/run_open.h"
#include "cli/run_watch.h"
#include "core/id.h"
#include "sys/fd.h"
#include "sys/signals.h"

/* Requests on their way. */
enum { AT_ONCE = 32 };

static const char help[] =
    "usage: paddock fork RUN [OPTIONS] [-- COMMAND [ARGUMENTS]]\n"
    "\n"
    "Opens a run that begins where RUN was: on its files, with its labels and\n"
    "with what it had used of its budgets. RUN and its other forks see "
    "nothing\n"
    "of what the fork does. Approvals and secrets are not taken along: the "
    "fork\n"
    "asks for its own. COMMAND is executed anew, as paddock run does it; "
    "without\n"
    "one the fork stays open for paddock exec --in, and its name is printed.\n"
    "\n"
    "  --at STEP          from the last snapshot at this step or before it\n"
    "  --snapshot NAME    from this one. Without either, of an open run one "
    "is\n"
    "                     taken now; of a closed one it is the last\n"
    "  -n N               so many forks of it, side by side\n"
    "  --policy FILE      under this policy, not the parent's\n"
    "  --fault JSON       a failure on purpose: one more of the policy's "
    "faults;\n"
    "                     @FILE reads it from a file; may be given many times\n"
    "  --set PATH=VALUE   this member of the policy otherwise, such as\n"
    "                     budgets.max_tool_calls=5; may be given many times\n"
    "  --prompt TEXT      what the user has asked for; @FILE reads it from a "
    "file\n"
    "  --env K=V          a variable for the command; may be given many times\n"
    "  --quiet            say nothing but what went wrong\n"
    "  --json             notices, or the daemon's answer, as "
    "JSON\n" CLIENT_HELP "\n"
    "Exit status: the command's own; of several the first that is not 0.\n"
    "\n"
    "example: paddock fork r-7k3m9q2v5w1x --set budgets.max_tool_calls=5 -- "
    "python3 agent.py\n";

static const struct option options[] = {
	{ "at", required_argument, NULL, 'a' },
	{ "snapshot", required_argument, NULL, 's' },
	{ "number", required_argument, NULL, 'n' },
	{ "policy", required_argument, NULL, 'p' },
	{ "fault", required_argument, NULL, 'f' },
	{ "set", required_argument, NULL, 'x' },
	{ "prompt", required_argument, NULL, 'P' },
	{ "model", required_argument, NULL, 'm' },
	{ "env", required_argument, NULL, 'e' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "json", no_argument, NULL, 'j' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

struct fork_command {
	struct client_options where;
	const char *run, *snapshot, *policy;
	bool has_at, has_prompt, quiet, json;
	uint64_t at, n;
	struct buf set, env; /* members, each behind a comma */
	struct buf faults; /* with commas between */
	struct buf prompt;
	char *const *command;
};

/* A fork with a command, until that ends. */
struct forked {
	char id[RUN_ID_BYTES];
	struct client_conn conn;
};

static int read_options(
    struct args *a, struct fork_command *f, int argc, char **argv);
static int add_set(const struct args *a, struct buf *out, const char *text);
static int add_env(const struct args *a, struct buf *out, const char *text);
static int read_prompt(struct buf *out, const char *text, struct err *e);
static int choose(const struct client *c, const struct fork_command *f,
    struct client_reply *r, const struct json **doc, struct err *e);
static int put_body(struct buf *body, const struct fork_command *f,
    const struct json *doc, int *folder, struct err *e);
static int put_policy(struct buf *body, const char *path, struct err *e);
static int leave_open(const struct client *c, const struct fork_command *f,
    struct str body, int folder);
static int run_all(const struct client *c, const struct fork_command *f,
    struct str body, int folder);
static int open_all(const struct client *c, const struct fork_command *f,
    const struct client_request *q, struct forked *all,
    int (*tell)(const struct fork_command *f, struct forked *x,
	const struct client_reply *r),
    uint64_t *n);
static int tell_name(const struct fork_command *f, struct forked *x,
    const struct client_reply *r);
static int tell_begun(const struct fork_command *f, struct forked *x,
    const struct client_reply *r);
static int run_end(const struct fork_command *f, const struct client *c,
    const struct forked *x, int signals);

int
cmd_fork(int argc, char **argv)
{
	own_client struct client c = {};
	own_reply struct client_reply r = {};
	own_buf struct buf body = {};
	own_fd int folder = -1;
	struct fork_command f = { .n = 1 };
	const struct json *doc = NULL;
	struct args a;
	struct err e = {};
	int status = read_options(&a, &f, argc, argv);
	bool go_on = status < 0;

	if (go_on &&
	    (client_init(&c, &f.where, &e) < 0 ||
		choose(&c, &f, &r, &doc, &e) < 0 ||
		put_body(&body, &f, doc, &folder, &e) < 0))
		status = out_fail(&e);
	else if (go_on && folder >= 0 && c.socket[0] == '\0')
		status = args_bad(&a,
		    "the parent has a work folder, and a folder is handed "
		    "over at the daemon's own socket only: leave --url out");
	else if (go_on)
		status = f.command != NULL
		    ? run_all(&c, &f, buf_str(&body), folder)
		    : leave_open(&c, &f, buf_str(&body), folder);
	buf_fini(&f.set);
	buf_fini(&f.faults);
	buf_fini(&f.prompt);
	buf_fini(&f.env);
	return status;
}

/* -1 to go on, else the exit status. */
static int
read_options(struct args *a, struct fork_command *f, int argc, char **argv)
{
	int c, bad = 0;
	struct err e;

	args_init(a, argc, argv, help, options);
	a->shorts = ":hn:";
	while ((c = args_next(a)) != ARGS_END && bad == 0) {
		switch (c) {
		case ARGS_STOP:
			return a->exit;
		case 'a':
			f->has_at = true;
			if (str_to_u64(str_of(optarg), &f->at) < 0)
				return args_bad(
				    a, "--at %s: not a step", optarg);
			break;
		case 's':
			f->snapshot = optarg;
			break;
		case 'n':
			if (str_to_u64(str_of(optarg), &f->n) < 0 ||
			    f->n == 0 || f->n > FORKS_MAX)
				return args_bad(
				    a, "-n %s: not 1 to %d", optarg, FORKS_MAX);
			break;
		case 'p':
			f->policy = optarg;
			break;
		case 'f':
			if (run_open_fault(&f->faults, optarg, &e) < 0)
				return args_bad(a, "--fault: %s", e.text);
			break;
		case 'x':
			bad = add_set(a, &f->set, optarg);
			break;
		case 'P':
			if (read_prompt(&f->prompt, optarg, &e) < 0)
				return args_bad(a, "--prompt: %s", e.text);
			f->has_prompt = true;
			break;
		case 'm':
			return args_bad(a,
			    "--model: paddock calls no models here; what the "
			    "command asks is its own to say, such as with "
			    "--env");
		case 'e':
			bad = add_env(a, &f->env, optarg);
			break;
		case 'q':
			f->quiet = true;
			break;
		case 'j':
			f->json = true;
			break;
		default:
			(void)client_option(&f->where, c, optarg);
		}
	}
	if (bad != 0)
		return bad;
	if (a->command != NULL && a->command[0] == NULL)
		return args_bad(a, "nothing stands behind --");
	f->command = a->command;
	a->command = NULL; /* taken */
	bad = args_need(a, 1, 1, "RUN");
	if (bad != 0)
		return bad;
	f->run = args_rest(a)[0];
	bad = args_run(a, f->run);
	if (bad != 0)
		return bad;
	if (f->snapshot != NULL && f->has_at)
		return args_bad(a, "give --at or --snapshot, not both");
	if (f->command == NULL && f->env.n > 0)
		return args_bad(
		    a, "--env is for a command, and there is none behind --");
	return -1;
}

/* What is no JSON is a text. */
static int
add_set(const struct args *a, struct buf *out, const char *text)
{
	const struct str s = str_of(text);
	const size_t at = str_find(s, '=');
	own_arena struct arena arena = {};
	const struct json *v;
	struct err e = {};

	if (at == 0 || at == s.n)
		return args_bad(a, "--set %s: not PATH=VALUE", text);
	if (text[0] == '$')
		return args_bad(a,
		    "--set %s: what was answered in a step cannot be set, "
		    "since a fork's command is executed anew; PATH is a "
		    "member of the policy, such as budgets.max_tool_calls",
		    text);
	buf_add_byte(out, ',');
	json_put_str(out, (struct str){ s.p, at });
	buf_add_byte(out, ':');
	v = json_parse(
	    (struct str){ s.p + at + 1, s.n - at - 1 }, NULL, &arena, &e, NULL);
	if (v != NULL)
		json_write(out, v);
	else
		json_put_str(out, (struct str){ s.p + at + 1, s.n - at - 1 });
	return 0;
}

static int
add_env(const struct args *a, struct buf *out, const char *text)
{
	const struct str s = str_of(text);
	const size_t at = str_find(s, '=');
	struct err e;

	if (run_open_env(text, &e) < 0)
		return args_bad(a, "--env %s", e.text);
	buf_add_byte(out, ',');
	json_put_str(out, (struct str){ s.p, at });
	buf_add_byte(out, ':');
	json_put_str(out, (struct str){ s.p + at + 1, s.n - at - 1 });
	return 0;
}

/* The last one counts, as of other options. */
static int
read_prompt(struct buf *out, const char *text, struct err *e)
{
	buf_reset(out);
	if (text[0] == '@')
		return file_read(text + 1, out, JSON_MAX_BYTES, e);
	buf_add_c(out, text);
	return 0;
}

/* The snapshot's document, in r. */
static int
choose(const struct client *c, const struct fork_command *f,
    struct client_reply *r, const struct json **doc, struct err *e)
{
	char target[96];
	struct client_request q = { .method = "GET", .target = target };
	struct str status;

	if (f->snapshot == NULL && !f->has_at) {
		(void)snprintf(target, sizeof(target), "/v1/runs/%s", f->run);
		if (client_ask(c, &q, r, e) < 0)
			return err_add(e, "%s", f->run);
		status = json_str(json_get(r->json, STR("status")));
		if (str_eq(status, STR("open")) ||
		    str_eq(status, STR("paused"))) {
			(void)snprintf(target, sizeof(target),
			    "/v1/runs/%s/snapshots", f->run);
			q.method = "POST";
			if (client_ask(c, &q, r, e) < 0)
				return err_add(e, "snapshot %s", f->run);
			*doc = r->json;
			return 0;
		}
	}
	(void)snprintf(target, sizeof(target), "/v1/runs/%s/snapshots", f->run);
	if (client_ask(c, &q, r, e) < 0)
		return err_add(e, "snapshots of %s", f->run);
	const struct json *all = json_get(r->json, STR("snapshots"));
	uint64_t first = 0;

	/* The last that fits: they are in the order in which they were taken.
	 */
	for (const struct json *x = json_first(all); x != NULL;
	     x = json_next(all, x)) {
		uint64_t step = 0;

		(void)json_u64(json_get(x, STR("step")), &step);
		if (f->snapshot != NULL
			? str_eq_c(json_str(json_get(x, STR("snapshot"))),
			      f->snapshot)
			: !f->has_at || step <= f->at)
			*doc = x;
	}
	if (*doc != NULL)
		return 0;
	if (f->has_at && json_is(all, JSON_ARRAY) && all->n > 0) {
		(void)json_u64(json_get(json_first(all), STR("step")), &first);
		return err_set(e,
		    "%s has no snapshot at step %llu or before it: its first "
		    "is of step %llu (paddock snapshot ls %s)",
		    f->run, (unsigned long long)f->at,
		    (unsigned long long)first, f->run);
	}
	return err_set(e,
	    "%s has no such snapshot: paddock snapshot ls %s lists what there "
	    "is, and one is taken while a run is open",
	    f->run, f->run);
}

static int
put_body(struct buf *body, const struct fork_command *f, const struct json *doc,
    int *folder, struct err *e)
{
	struct str path = json_str(json_at(doc, "base", "path", NULL));
	char name[PLACE_MAX_BYTES];

	buf_printf(body, "{\"fork\":{\"run\":\"%s\",\"snapshot\":", f->run);
	json_put_str(body, json_str(json_get(doc, STR("snapshot"))));
	if (f->set.n > 0) {
		buf_add_c(body, ",\"set\":{");
		buf_add(body, f->set.p + 1, f->set.n - 1);
		buf_add_byte(body, '}');
	}
	if (f->faults.n > 0) {
		buf_add_c(body, ",\"faults\":[");
		buf_add_str(body, buf_str(&f->faults));
		buf_add_byte(body, ']');
	}
	buf_add_byte(body, '}');
	if (f->policy != NULL && put_policy(body, f->policy, e) < 0)
		return -1;
	if (f->has_prompt) {
		buf_add_c(body, ",\"prompt\":");
		json_put_str(body, buf_str(&f->prompt));
	}
	if (path.n > 0) {
		if (str_copy(path, name, sizeof(name)) < 0)
			return err_set(e, "work folder: path too long");
		*folder = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (*folder < 0)
			return err_sys(e, "work folder %s", name);
		buf_add_c(body, ",\"workspace\":");
		json_put_str(body, path);
	}
	if (f->command != NULL) {
		buf_add_c(body, ",\"attach\":true,\"argv\":[");
		for (char *const *w = f->command; *w != NULL; w++) {
			if (w != f->command)
				buf_add_byte(body, ',');
			json_put_str(body, str_of(*w));
		}
		buf_add_c(body, "],\"env\":{");
		if (f->env.n > 0)
			buf_add(body, f->env.p + 1, f->env.n - 1);
		buf_add_byte(body, '}');
	}
	buf_add_byte(body, '}');
	return body->failed ? err_set(e, "the request is too large") : 0;
}

static int
put_policy(struct buf *body, const char *path, struct err *e)
{
	static struct policy_problems problems; /* too large for the stack */
	own_buf struct buf text = {};
	struct policy *p = policy_file_read(path, &problems);
	bool mounts;

	if (p == NULL) {
		policy_file_show(&text, path, &problems);
		if (fd_write_all(STDERR_FILENO, text.p, text.n, e) < 0)
			return err_add(e, "standard error");
		return err_set(e, "%s: nothing was started", path);
	}
	mounts = p->sandbox.n_mounts > 0;
	buf_add_c(body, ",\"policy\":");
	buf_add_str(body, p->canonical);
	policy_free(p);
	return mounts ? err_set(e,
			    "%s: sandbox.mounts: a fork mounts no folders "
			    "beside its parent's work folder",
			    path)
		      : 0;
}

static int
leave_open(const struct client *c, const struct fork_command *f,
    struct str body, int folder)
{
	const struct client_request q = {
		.method = "POST",
		.target = "/v1/sandboxes",
		.body = body,
		.fds = &folder,
		.n_fds = folder >= 0,
	};
	struct forked *all = calloc(f->n, sizeof(*all));
	struct err e = {};
	uint64_t n = 0;
	int status;

	if (all == NULL)
		return out_fail(&e);
	status = open_all(c, f, &q, all, tell_name, &n);
	free(all);
	return status;
}

static int
tell_name(const struct fork_command *f, struct forked *x,
    const struct client_reply *r)
{
	own_buf struct buf line = {};

	(void)x;
	if (f->json)
		out_json_text(&line, buf_str(&r->body), STDOUT_FILENO);
	else
		buf_add_str(&line, json_str(json_get(r->json, STR("run"))));
	buf_add_byte(&line, '\n');
	return out_write(&line);
}

static int
tell_begun(const struct fork_command *f, struct forked *x,
    const struct client_reply *r)
{
	(void)str_copy(
	    json_str(json_get(r->json, STR("run"))), x->id, sizeof(x->id));
	if (f->json)
		run_watch_json(buf_str(&r->body));
	else if (!f->quiet)
		out_note("run %s, a fork of %s", x->id, f->run);
	return EXIT_DONE;
}

/*
 * Asks for all, and tells of each in the order in which they were asked for.
 * Some are on their way at the same time: the daemon then writes their records
 * together and checks what they begin with once. When one fails, those that
 * were asked for already are told of, too, since they are there. *n becomes how
 * many are, the first of them.
 */
static int
open_all(const struct client *c, const struct fork_command *f,
    const struct client_request *q, struct forked *all,
    int (*tell)(const struct fork_command *f, struct forked *x,
	const struct client_reply *r),
    uint64_t *n)
{
	int status = EXIT_DONE;
	uint64_t asked = 0;

	for (uint64_t i = 0; i < asked || (i < f->n && status == EXIT_DONE);
	     i++) {
		own_reply struct client_reply r = {};
		struct forked *x = &all[i];
		struct err e = {};
		int told = EXIT_DONE;

		while (status == EXIT_DONE && asked < f->n &&
		    asked - i < AT_ONCE) {
			if (client_send(c, q, &all[asked].conn, &e) < 0)
				break;
			asked++;
		}
		if (i == asked || client_answer(&x->conn, &r, &e) < 0) {
			client_conn_fini(&x->conn);
			(void)err_add(&e, "fork of %s", f->run);
			if (status == EXIT_DONE)
				status = out_fail(&e);
			continue;
		}
		if (!q->keep)
			client_conn_fini(&x->conn);
		if (*n < i)
			all[*n] = *x; /* behind one that failed */
		told = tell(f, &all[(*n)++], &r);
		status = status == EXIT_DONE ? told : status;
	}
	return status;
}

/* All are opened before the first is waited for: they work side by side. */
static int
run_all(const struct client *c, const struct fork_command *f, struct str body,
    int folder)
{
	const int fds[4] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO,
		folder };
	const struct client_request q = {
		.method = "POST",
		.target = "/v1/runs",
		.body = body,
		.fds = fds,
		.n_fds = 3 + (folder >= 0),
		.keep = true,
	};
	struct forked *all = calloc(f->n, sizeof(*all));
	own_fd int signals = -1;
	struct err e = {};
	int status;
	uint64_t n = 0;

	signals = signals_fd(SIGNALS_TO_END, &e);
	if (all == NULL || signals < 0) {
		free(all);
		return out_fail(&e);
	}
	status = open_all(c, f, &q, all, tell_begun, &n);
	/* The end of a connection is the end of its run. */
	for (uint64_t i = 0; i < n; i++) {
		if (status == EXIT_DONE)
			status = run_end(f, c, &all[i], signals);
		else if (f->n > 1 && n == f->n)
			(void)run_end(f, c, &all[i], signals);
	}
	for (uint64_t i = 0; i < n; i++)
		client_conn_fini(&all[i].conn);
	free(all);
	return status;
}

static int
run_end(const struct fork_command *f, const struct client *c,
    const struct forked *x, int signals)
{
	own_reply struct client_reply ended = {};
	struct daemon none = { .pidfd = -1, .lifeline = -1 };
	struct run_watch w = {
		.client = c,
		.daemon = &none,
		.run = x->id,
		.hint = "",
		.quiet = f->quiet,
		.json = f->json,
		.signals = signals,
	};
	struct err e = {};

	if (run_watch(&w, &ended, &e) < 0)
		return out_fail(&e);
	return run_watch_end(ended.json, x->id, f->json);
}
