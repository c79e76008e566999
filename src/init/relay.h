/*
 * init/relay.h: a bound on what a command prints.
 *
 * With a limit the command gets two pipes instead of its standard output and
 * error, and a process of PID 1's own passes on what comes, up to so many
 * bytes of both together. One byte more ends the sandbox. A command cannot
 * signal that process (Landlock), and when it is gone, all is.
 *
 * What goes to a terminal has its control characters taken out: a title, the
 * clipboard or a faked line are no business of who runs inside.
 */
#ifndef INIT_RELAY_H
#define INIT_RELAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct relay {
	pid_t pid; /* 0: there is no limit */
	int go_on; /* closed to say: the command has ended */
};

/* Puts pipes at descriptors 1 and 2. 0, or -1 with errno. */
int relay_start(struct relay *r, uint64_t limit_bytes);

/* A child that was waited for: reports, and ends PID 1, when it was the relay
 * and the limit is reached. */
void relay_reaped(const struct relay *r, pid_t pid, int status);

/* The command has ended: waits until all that it printed is passed on. Ends
 * PID 1 as above. */
void relay_finish(struct relay *r);

#endif
