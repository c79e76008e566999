/*
 * cli/daemon.h: starts the supervisor and knows when it ends.
 *
 * The supervisor is a program of its own, `paddock-supervisor`, in a session
 * of its own: Ctrl-C at the terminal reaches the command line, which
 * then ends the daemon in good order. A pipe tells the supervisor that its
 * starter is gone, however that came about.
 */
#ifndef CLI_DAEMON_H
#define CLI_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct daemon_spec {
	const char *state; /* directory */
	const char *listen; /* "127.0.0.1:7070", or NULL */
	bool embedded; /* ends when its starter is gone and no run is open */
	const char *program; /* NULL: `paddock-supervisor` beside this one */
};

struct daemon {
	pid_t pid; /* 0: none */
	int pidfd; /* readable when it has ended */
	int lifeline; /* closing it tells the daemon to end */
};

/*
 * Starts one and waits until it answers; says so on standard error when that
 * takes long. 0, or -1 with what the supervisor gave as the reason.
 */
int daemon_start(
    struct daemon *d, const struct daemon_spec *spec, struct err *e);

/*
 * Waits for the end for up to timeout_ms (-1: for ever). 0 with *status as
 * waitpid gives it, and *d zeroed; -1 with e, e->sys EAGAIN after the time.
 */
int daemon_wait(struct daemon *d, int timeout_ms, int *status, struct err *e);

/* Closes the lifeline and waits; kills what does not end. No daemon: no-op. */
void daemon_end(struct daemon *d);

/*
 * After a daemon that did not end by itself: its sandboxes die with it, and
 * this removes the cgroups that they leave. Returns how many.
 */
unsigned daemon_sweep(void);

/* "was killed by signal 9", "ended with status 1". */
void daemon_how(int status, char *text, size_t cap);

#endif
