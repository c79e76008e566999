#include <stdio.h>

#include "cli/args.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"

static const char pause_help[] =
    "usage: paddock pause RUN...\n"
    "\n"
    "Freezes every process of a run where it is. Its clocks stand still, but\n"
    "for its time to live; its memory stays in use. Calls of an agent outside\n"
    "are refused until paddock resume.\n"
    "\n" CLIENT_HELP "\n"
    "example: paddock pause r-7k3m9q2v5w1x\n";

static const char resume_help[] = "usage: paddock resume RUN...\n"
				  "\n"
				  "Lets a paused run go on where it was.\n"
				  "\n" CLIENT_HELP "\n"
				  "example: paddock resume r-7k3m9q2v5w1x\n";

static const struct option options[] = {
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

static int for_each(int argc, char **argv, const char *help, const char *verb);
static int ask(const struct client *c, const char *run, const char *verb);

int
cmd_pause(int argc, char **argv)
{
	return for_each(argc, argv, pause_help, "pause");
}

int
cmd_resume(int argc, char **argv)
{
	return for_each(argc, argv, resume_help, "resume");
}

static int
for_each(int argc, char **argv, const char *help, const char *verb)
{
	own_client struct client client = {};
	struct client_options o = {};
	struct args a;
	struct err e;
	int c, status;

	args_init(&a, argc, argv, help, options);
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		(void)client_option(&o, c, optarg);
	}
	status = args_runs(&a, true);
	if (status != 0)
		return status;
	if (client_init(&client, &o, &e) < 0)
		return out_fail(&e);
	for (int i = 0; i < args_count(&a); i++) {
		if (ask(&client, args_rest(&a)[i], verb) != EXIT_DONE)
			status = EXIT_FAILED;
	}
	return status;
}

static int
ask(const struct client *c, const char *run, const char *verb)
{
	own_reply struct client_reply r = {};
	own_buf struct buf line = {};
	char target[96];
	const struct client_request q = { .method = "POST", .target = target };
	struct str state;
	struct err e;

	(void)snprintf(
	    target, sizeof(target), "/v1/sandboxes/%s/%s", run, verb);
	if (client_ask(c, &q, &r, &e) < 0) {
		(void)err_add(&e, "%s %s", verb, run);
		return out_fail(&e);
	}
	state = json_str(json_get(r.json, STR("status")));
	buf_printf(&line, "%s is %.*s\n", run, STR_FMT(state));
	return out_write(&line);
}
