#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/out.h"

static const char help[] =
    "usage: paddock stop RUN... | --all [--reason TEXT]\n"
    "\n"
    "Stops runs in good order: every further call is answered with the "
    "reason,\n"
    "the command gets SIGTERM and, if that does not end it in time, is\n"
    "killed with all it has started. The trace says why.\n"
    "\n"
    "  --all               every run, at once\n"
    "  --grace SECONDS     between SIGTERM and the end; 5 if not given,\n"
    "                      at most 300, 0 for none\n"
    "  --reason TEXT       what the agent and the trace are told\n" CLIENT_HELP
    "\n"
    "example: paddock stop r-7k3m9q2v5w1x --reason \"wrong ticket\"\n";

static const struct option options[] = {
	{ "all", no_argument, NULL, 'a' },
	{ "grace", required_argument, NULL, 'g' },
	{ "reason", required_argument, NULL, 'r' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

enum {
	REASON_MAX = 63, /* bytes of a stop reason in the record */
	GRACE_S = 5,
	GRACE_MAX_S = RUN_STOP_GRACE_MAX_MS / 1000,
};

static int stop(const struct client *c, const char *run, struct str body);

int
cmd_stop(int argc, char **argv)
{
	own_client struct client client = {};
	own_buf struct buf body = {};
	struct client_options o = {};
	uint64_t grace_s = GRACE_S;
	const char *reason = "stopped_by_operator";
	bool all = false;
	struct args a;
	struct err e;
	int c, status;

	args_init(&a, argc, argv, help, options);
	while ((c = args_next(&a)) != ARGS_END) {
		switch (c) {
		case ARGS_STOP:
			return a.exit;
		case 'a':
			all = true;
			break;
		case 'g':
			if (str_to_u64(str_of(optarg), &grace_s) < 0 ||
			    grace_s > GRACE_MAX_S)
				return args_bad(&a,
				    "--grace %s: not a number of seconds up "
				    "to %d",
				    optarg, GRACE_MAX_S);
			break;
		case 'r':
			if (strlen(optarg) > REASON_MAX)
				return args_bad(&a, "--reason is over %d bytes",
				    REASON_MAX);
			reason = optarg;
			break;
		default:
			(void)client_option(&o, c, optarg);
		}
	}
	status = args_runs(&a, !all);
	if (status != 0)
		return status;
	if (client_init(&client, &o, &e) < 0)
		return out_fail(&e);
	buf_add_byte(&body, '{');
	if (!all)
		buf_printf(&body, "\"grace_ms\":%u,", (unsigned)grace_s * 1000);
	buf_add_c(&body, "\"reason\":");
	json_put_str(&body, str_of(reason));
	buf_add_byte(&body, '}');
	if (all)
		return stop(&client, NULL, buf_str(&body));
	for (int i = 0; i < args_count(&a); i++)
		if (stop(&client, args_rest(&a)[i], buf_str(&body)) !=
		    EXIT_DONE)
			status = EXIT_FAILED;
	return status;
}

/* run NULL: all of them. */
static int
stop(const struct client *c, const char *run, struct str body)
{
	own_reply struct client_reply r = {};
	own_buf struct buf line = {};
	char target[64] = "/v1/stop";
	const struct client_request q = {
		.method = "POST", .target = target, .body = body
	};
	struct err e;

	if (run != NULL)
		(void)snprintf(target, sizeof(target), "/v1/runs/%s/stop", run);
	if (client_ask(c, &q, &r, &e) < 0) {
		if (run != NULL)
			(void)err_add(&e, "stop %s", run);
		return out_fail(&e);
	}
	buf_printf(&line, "stopping %s\n", run != NULL ? run : "all runs");
	return out_write(&line);
}
