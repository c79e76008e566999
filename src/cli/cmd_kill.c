#include "cli/cmd_kill.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "sys/fd.h"

enum {
	ANSWER_S = 10, /* the supervisor does this between two events */
	ANSWER_MAX_BYTES = 256,
};

static const char help[] =
    "usage: paddock kill RUN... | --tenant T | --workflow W | --all\n"
    "\n"
    "Ends every process of a run at once. Speaks to the supervisor itself, so\n"
    "that it works when all else hangs. To let a run end in good order, use\n"
    "paddock stop. A file in the state directory does the same, and holds as\n"
    "long as it is there: kill, kill.d/tenant-T, kill.d/workflow-W, "
    "kill.d/RUN.\n"
    "\n"
    "  --tenant T    every run of this tenant\n"
    "  --workflow W  every run of this workflow\n"
    "  --all         every run of this daemon\n"
    "  --state DIR   where the daemon keeps its state\n"
    "\n"
    "example: paddock kill --all\n";

static const struct option options[] = {
	{ "all", no_argument, NULL, 'a' },
	{ "tenant", required_argument, NULL, 't' },
	{ "workflow", required_argument, NULL, 'w' },
	{ "state", required_argument, NULL, 'S' },
	ARGS_HELP,
	{},
};

static int kill_one(const struct client *c, const char *run);
static int kill_group(
    const struct client *c, const char *what, const char *name);

int
cmd_kill(int argc, char **argv)
{
	own_client struct client client = {};
	struct client_options o = {};
	const char *tenant = NULL, *workflow = NULL;
	bool all = false, group;
	struct args a;
	struct err e;
	int c, status;

	args_init(&a, argc, argv, help, options);
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		if (c == 'a')
			all = true;
		else if (c == 't')
			tenant = optarg;
		else if (c == 'w')
			workflow = optarg;
		else
			(void)client_option(&o, c, optarg);
	}
	if (all + (tenant != NULL) + (workflow != NULL) > 1)
		return args_bad(
		    &a, "--all, --tenant and --workflow exclude each other");
	group = all || tenant != NULL || workflow != NULL;
	status = args_runs(&a, !group);
	if (status != 0)
		return status;
	if (client_init(&client, &o, &e) < 0)
		return out_fail(&e);
	if (tenant != NULL)
		return kill_group(&client, "tenant", tenant);
	if (workflow != NULL)
		return kill_group(&client, "workflow", workflow);
	if (all)
		return kill_one(&client, NULL);
	for (int i = 0; i < args_count(&a); i++)
		if (kill_one(&client, args_rest(&a)[i]) != EXIT_DONE)
			status = EXIT_FAILED;
	return status;
}

int
kill_ask(
    const struct client *c, const char *run, struct buf *answer, struct err *e)
{
	char line[64];

	if (run != NULL)
		(void)snprintf(line, sizeof(line), "kill %s\n", run);
	else
		(void)snprintf(line, sizeof(line), "kill-all\n");
	return kill_say(c, line, answer, e);
}

int
kill_say(
    const struct client *c, const char *line, struct buf *answer, struct err *e)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = ANSWER_S };
	own_fd int fd = -1;
	int n;

	/* "kill.sock" is shorter than the name that client_init has checked. */
	n = snprintf(to.sun_path, sizeof(to.sun_path), "%.*s/kill.sock",
	    STR_FMT(buf_str(&c->state)));
	if (n < 0 || (size_t)n >= sizeof(to.sun_path))
		return err_set(e, "the state directory's name is too long");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, "socket");
	if (setsockopt(
		fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
		(void)err_sys(e, "connect %s", to.sun_path);
		if (!client_down(e))
			return -1;
		return err_set(e, "no daemon runs in %.*s: nothing to kill",
		    STR_FMT(buf_str(&c->state)));
	}
	if (fd_write_all(fd, line, strlen(line), e) < 0 ||
	    fd_read_all(fd, answer, ANSWER_MAX_BYTES, e) < 0)
		return err_add(e, "the supervisor");
	while (answer->n > 0 && answer->p[answer->n - 1] == '\n')
		answer->n--;
	if (!str_starts(buf_str(answer), STR("killed ")))
		return err_set(e, "the supervisor answers: %.*s",
		    STR_FMT(buf_str(answer)));
	return 0;
}

static int
kill_one(const struct client *c, const char *run)
{
	own_buf struct buf answer = {}, line = {};
	struct err e;

	if (kill_ask(c, run, &answer, &e) < 0)
		return out_fail(&e);
	if (run != NULL && str_eq_c(buf_str(&answer), "killed 0")) {
		out_note("%s does not run", run);
		return EXIT_FAILED;
	}
	buf_add_str(&line, buf_str(&answer));
	if (run != NULL)
		buf_printf(&line, " %s", run);
	buf_add_byte(&line, '\n');
	return out_write(&line);
}

static int
kill_group(const struct client *c, const char *what, const char *name)
{
	own_buf struct buf answer = {}, line = {};
	struct err e;

	buf_printf(&line, "kill-%s %s\n", what, name);
	if (kill_say(c, buf_c(&line), &answer, &e) < 0)
		return out_fail(&e);
	buf_add_byte(&answer, '\n');
	return out_write(&answer);
}
