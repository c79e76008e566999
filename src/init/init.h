/*
 * init/init.h: PID 1 of a sandbox.
 *
 * Starts the command, reaps whatever is orphaned, passes signals on, reports
 * the end, and ends itself, with which the kernel ends all that is left. If
 * asked to, it serves a gateway beside (init/serve.h). It holds nothing but its
 * sockets, trusts no one but the other end of the control socket, and takes no
 * memory but to count that of others. The command cannot trace it (it is not
 * dumpable),
 * signal it (a Landlock scope; and all signals but SIGCHLD are ignored), or
 * outlive it.
 */
#ifndef INIT_INIT_H
#define INIT_INIT_H

#include <stdbool.h>
#include <stdint.h>

#include "sandbox/control.h"

/* What it has before there is a command. */
struct init {
	bool serves;
	bool keep;
	uint64_t output_bytes; /* 0: no limit */
	uint64_t memory_bytes; /* that init/watch.h keeps; 0: none */
	int sigchld_fd;
};

/* argv is as sandbox/control.h says. The exit status says nothing. */
int init_main(char **argv, char **envp);

/* Its two parts: what needs the word of the mode alone, 0 or an exit status;
 * and the rest, of argv what is behind that word. */
int init_prepare(const char *mode, struct init *init);
int init_run(const struct init *init, char **command, char **envp);

/* Says it to the caller of sandbox_start. */
void init_report(enum control_kind kind, int value);

#endif
