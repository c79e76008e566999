/*
 * sandbox/exec.h: `paddock exec`, the short path: one command in one sandbox,
 * without a daemon, a policy or a trace.
 */
#ifndef SANDBOX_EXEC_H
#define SANDBOX_EXEC_H

/*
 * argv[0] is "exec". init is what PID 1 of a sandbox runs. Returns the exit
 * status of the program.
 */
int exec_main(int argc, char **argv, int (*init)(char **argv, char **envp));

#endif
