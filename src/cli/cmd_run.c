#include "cli/commands.h"

#include <string.h>

#include "base/limits.h"
#include "cli/args.h"
#include "cli/mount_option.h"
#include "cli/out.h"
#include "cli/run_go.h"
#include "cli/run_open.h"

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
    "  --fault JSON   a rule of the policy's faults besides, or @FILE; may be\n"
    "                 given many times: docs/POLICY.md, *Failures on purpose*\n"
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

static const struct option options[] = {
	{ "world", required_argument, NULL, 'w' },
	{ "prompt", required_argument, NULL, 'p' },
	{ "dir", required_argument, NULL, 'd' },
	{ "write-back", no_argument, NULL, 'b' },
	{ "mount", required_argument, NULL, 'M' },
	{ "env", required_argument, NULL, 'e' },
	{ "tag", required_argument, NULL, 'g' },
	{ "fault", required_argument, NULL, 'f' },
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
	struct run_go go;
	struct mount_options mounts;
	struct args_env env;
	const char *tags[RUN_TAGS_MAX];
	struct buf faults;
};

static int read_options(
    struct args *a, struct run_command *r, int argc, char **argv);
static int take_seconds(const struct args *a, const char *option, uint64_t *ms);

int
cmd_run(int argc, char **argv)
{
	own_buf struct buf body = {};
	struct run_folders folders;
	static struct run_command r; /* too large for the stack */
	struct args a;
	struct err e;
	size_t n_problems;
	int status = read_options(&a, &r, argc, argv);

	if (status < 0 && run_go_stdio(&e) < 0)
		status = out_fail(&e);
	if (status < 0 &&
	    run_open_body(&r.open, &body, &folders, &n_problems, &e) < 0)
		/* Only a policy with an image may stand alone. */
		status = r.open.command == NULL && n_problems == 0
		    ? args_bad(&a, "%s", e.text)
		    : out_fail(&e);
	mount_options_fini(&r.mounts);
	buf_fini(&r.faults);
	if (status >= 0)
		return status;
	status = run_go(&r.go, buf_str(&body), &folders);
	run_folders_fini(&folders);
	return status;
}

/* -1 to go on, else the exit status. */
static int
read_options(struct args *a, struct run_command *r, int argc, char **argv)
{
	struct err e;
	int c, status;

	args_init(a, argc, argv, help, options);
	r->open.env = &r->env;
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
			status = args_env_add(a, &r->env);
			if (status != 0)
				return status;
			break;
		case 'f':
			if (run_open_fault(&r->faults, optarg, &e) < 0)
				return args_bad(a, "--fault: %s", e.text);
			r->open.faults = buf_str(&r->faults);
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
			r->go.quiet = true;
			break;
		case 'j':
			r->go.json = true;
			break;
		default:
			(void)client_option(&r->go.where, c, optarg);
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
