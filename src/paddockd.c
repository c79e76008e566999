/*
 * paddockd.c: argv to subcommand, nothing else.
 *
 * This is the large half of the command line. The small one (main.c) executes
 * it with the same arguments for every subcommand that it does not know itself.
 */
#include "cli/commands.h"

int
main(int argc, char **argv)
{
	return command_main(argc, argv);
}
