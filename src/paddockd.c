/*
 * paddockd.c: argv to role or subcommand, nothing else.
 *
 * This is the large half of paddock. The small one (main.c) executes it with
 * the same arguments for every subcommand that it does not know itself.
 */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "broker/role.h"
#include "cli/commands.h"
#include "gateway/role.h"
#include "proxy/role.h"
#include "supervisor/role.h"
#include "tools/role.h"
#include "world/role.h"

enum { SUPERVISOR_LINK = 3 }; /* every role's first descriptor */

static const struct {
	const char *name;
	int (*main)(int supervisor_fd);
} roles[] = {
	{ "broker", broker_role_main },
	{ "gateway", gateway_role_main },
	{ "proxy", proxy_role_main },
	{ "world", world_role_main },
	{ "tools", tools_role_main },
};

static void show_role(const char *role);

int
main(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "--role") != 0)
		return command_main(argc, argv);
	if (argc > 2)
		show_role(argv[2]);
	if (argc > 2 && strcmp(argv[2], "supervisor") == 0)
		return supervisor_role_main(argc, argv);
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (argc == 3 && strcmp(argv[2], roles[i].name) == 0)
			return roles[i].main(SUPERVISOR_LINK);
	(void)fprintf(stderr,
	    "paddockd: --role is for paddock itself; see paddock help\n");
	return 2;
}

/* For ps and top: executed as /proc/self/exe, each would be called "exe". */
static void
show_role(const char *role)
{
	char name[16]; /* TASK_COMM_LEN */

	(void)snprintf(name, sizeof(name), "paddock:%s", role);
	(void)prctl(PR_SET_NAME, name); /* fails for no valid pointer only */
}
