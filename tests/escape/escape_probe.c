/*
 * tests/escape/escape_probe.c: the probes as a program of their own, which
 * runs outside, under other sandboxes, and in any image.
 */
#include "probe/probe.h"

int
main(int argc, char **argv)
{
	return probe_main(argc, argv);
}
