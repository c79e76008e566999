/*
 * image_tool.c: `paddock image`, but for running what is in one; nothing else.
 */
#include "cli/commands.h"

int
main(int argc, char **argv)
{
	return image_main(argc, argv);
}
