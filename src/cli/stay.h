/*
 * cli/stay.h: the process of `paddock serve` while the daemon runs.
 *
 * It passes signals on, and says how the daemon has ended; if that was no
 * order of its own, it removes what the sandboxes leave. For this the large
 * half executes the small one, which takes a tenth of the memory.
 */
#ifndef CLI_STAY_H
#define CLI_STAY_H

/* argv[0]; then the daemon's pid, three descriptors, and what is for ps. */
#define STAY_NAME "paddock-serve"

enum { STAY_PIDFD, STAY_LIFELINE, STAY_SIGNALS, STAY_FDS };

/* Returns the exit status of `paddock serve`. */
int stay_main(int argc, char **argv);

#endif
