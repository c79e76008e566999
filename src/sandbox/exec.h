/*
 * sandbox/exec.h: `paddock exec`, the short path: one command in one sandbox,
 * without a daemon, a policy or a trace.
 */
#ifndef SANDBOX_EXEC_H
#define SANDBOX_EXEC_H

/* Instead of an exit status: --image NAME is given, which is not for us. */
enum { EXEC_IMAGE = -2 };

/*
 * argv[0] is "exec". init is what PID 1 of a sandbox runs. Returns the exit
 * status of the program, or EXEC_IMAGE.
 */
int exec_main(int argc, char **argv, int (*init)(char **argv, char **envp));

#endif
