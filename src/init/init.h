/*
 * init/init.h: PID 1 of a sandbox.
 *
 * Starts the command, reaps whatever is orphaned, passes signals on, reports
 * the end, and ends itself, with which the kernel ends all that is left. It
 * holds nothing but its control socket, trusts no one but the other end of
 * that, and takes no memory. The command cannot trace it (it is not dumpable),
 * signal it (a Landlock scope; and all signals but SIGCHLD are ignored), or
 * outlive it.
 */
#ifndef INIT_INIT_H
#define INIT_INIT_H

/* argv is as sandbox/control.h says. The exit status says nothing. */
int init_main(char **argv, char **envp);

#endif
