/*
 * `paddock replay`: what was recorded, once more. Nothing real happens.
 */
#include <string.h>

#include "base/str.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/replay.h"

static const char help[] =
    "usage: paddock replay RUN [--at STEP]\n"
    "       paddock replay RUN... --policy FILE [--workflow NAME] [--json]\n"
    "       paddock replay RUN --strict|--lenient [OPTIONS] -- COMMAND\n"
    "\n"
    "Steps through a run as it was recorded: each step with what was asked,\n"
    "decided and answered, and what the run had read and done by then.\n"
    "\n"
    "With --policy it judges the recorded calls of runs again by another\n"
    "policy, and tells those whose verdict is another one. Nothing is run, "
    "and\n"
    "budgets and rates are not judged. Exit status 0: no call is judged more\n"
    "loosely than it was; 1: some are, or it could not be read.\n"
    "\n"
    "With --strict or --lenient it executes COMMAND anew, in a sandbox and\n"
    "under the policy of the recorded run, and answers its calls and requests\n"
    "out of the record: nothing of them is executed, and nothing leaves.\n"
    "Strict ends it at the first call that is not the next one of the record;\n"
    "lenient finds calls in any order and refuses what was never asked. Exit\n"
    "status 0: all was asked as it is recorded, and nothing else; 1: it "
    "was\n"
    "not, or it failed. What differed is told on standard error.\n"
    "\n"
    "RUN is a run's name, `last`, `all`, or a file that `trace export` wrote.\n"
    "\n"
    "  --at STEP           where to begin\n"
    "  --policy FILE       the policy to judge by\n"
    "  --workflow NAME     of `all`, the runs of this workflow only\n"
    "  --strict, --lenient execute COMMAND with answers of the record\n"
    "  --ignore PATH       of arguments: this does not count, such as\n"
    "                      $.request_id; may be given many times\n"
    "  --dir DIR           COMMAND's work folder, in place of this one; what\n"
    "                      is written there vanishes with the run\n"
    "  --env K=V           a variable for COMMAND; may be given many times\n"
    "  --report FILE       what came of it, as JSON\n"
    "  --quiet             say nothing but what went wrong\n"
    "  --json              as JSON: one object, or a line for each step\n"
    "  --state DIR         where the daemon keeps its state\n"
    "\n"
    "examples: paddock replay all --policy policy.json\n"
    "          paddock replay last --strict -- python3 agent.py\n";

static const struct option options[] = {
	{ "at", required_argument, NULL, 'f' },
	{ "json", no_argument, NULL, 'j' },
	{ "policy", required_argument, NULL, 'P' },
	{ "state", required_argument, NULL, 'S' },
	{ "workflow", required_argument, NULL, 'W' },
	ARGS_HELP,
	{},
};

int
cmd_replay(int argc, char **argv)
{
	struct trace t = { .args.name = "replay" };
	char *const *names;
	struct err e;
	int n, status;

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--strict") == 0 ||
		    strcmp(argv[i], "--lenient") == 0)
			return replay_run(argc, argv, help);
	}
	if (!trace_options(&t, argc, argv, help, options))
		return t.args.exit;
	status = args_need(&t.args, 1, t.policy != NULL ? ARGS_MANY : 1, "RUN");
	if (status != 0)
		return status;
	names = args_rest(&t.args);
	n = args_count(&t.args);
	if (t.policy != NULL && t.from != 0)
		return args_bad(
		    &t.args, "--at and --policy do not go together");
	if (t.workflow != NULL &&
	    (t.policy == NULL || n != 1 || strcmp(names[0], "all") != 0))
		return args_bad(
		    &t.args, "--workflow is for `replay all --policy FILE`");
	if (t.policy == NULL && strcmp(names[0], "all") == 0)
		return args_bad(&t.args,
		    "`all` is for --policy: name one run to step "
		    "through");
	if (trace_open(&t, strcmp(names[0], "all") == 0 ? NULL : names[0], &e) <
	    0)
		return out_fail(&e);
	status = t.policy != NULL
	    ? replay_policy(&t, t.policy, t.workflow, names, n, &e)
	    : replay_steps(&t, names[0], t.from, &e);
	return trace_finish(&t, status, &e);
}
