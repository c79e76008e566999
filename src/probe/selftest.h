/*
 * probe/selftest.h: `paddock selftest`: tries to get out of a sandbox of this
 * machine in every way that suits any machine, and says what holds.
 */
#ifndef PROBE_SELFTEST_H
#define PROBE_SELFTEST_H

/* argv[0] is the name of the subcommand. The exit status: 0 when every wall
 * holds, 1 when one is open or there was no sandbox, 2 for a wrong call. */
int selftest_main(int argc, char **argv);

#endif
