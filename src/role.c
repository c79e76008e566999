/*
 * role.c: the main function of every role but the supervisor; nothing else.
 *
 * Each is a program of its own, so that a role has in its memory the libraries
 * that it calls and no others. meson.build says which role this one is.
 */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "broker/role.h"
#include "gateway/role.h"
#include "proxy/role.h"
#include "tools/role.h"
#include "world/role.h"

enum { SUPERVISOR_LINK = 3 }; /* every role's first descriptor */

int
main(int argc, char **argv)
{
	if (argc != 3 || strcmp(argv[1], "--role") != 0 ||
	    strcmp(argv[2], ROLE_NAME) != 0) {
		(void)fprintf(stderr,
		    "paddock-" ROLE_NAME " is for paddock itself; see paddock "
		    "help\n");
		return 2;
	}
	/* For ps and top; it fails for no valid pointer only. */
	(void)prctl(PR_SET_NAME, "paddock:" ROLE_NAME);
	return ROLE_MAIN(SUPERVISOR_LINK);
}
