/*
 * supervisor.c: the main function of the role that starts the others; nothing
 * else. See role.c.
 */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "supervisor/role.h"

int
main(int argc, char **argv)
{
	if (argc < 3 || strcmp(argv[1], "--role") != 0 ||
	    strcmp(argv[2], "supervisor") != 0) {
		(void)fprintf(stderr,
		    "paddock-supervisor is for paddock itself; see paddock "
		    "serve --help\n");
		return 2;
	}
	/* For ps and top; it fails for no valid pointer only. */
	(void)prctl(PR_SET_NAME, "paddock:supervisor");
	return supervisor_role_main(argc, argv);
}
