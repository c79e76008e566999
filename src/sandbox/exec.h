/*
 * sandbox/exec.h: `paddock exec`, the short path: one command in one sandbox,
 * without a daemon, a policy or a trace.
 */
#ifndef SANDBOX_EXEC_H
#define SANDBOX_EXEC_H

/* Exit statuses that are not the command's own. */
enum exec_status {
	EXEC_FAILED = 1,
	EXEC_USAGE = 2,
	EXEC_NOT_EXECUTABLE = 126, /* as shells have it */
	EXEC_NOT_FOUND = 127,
	EXEC_SIGNAL = 128, /* and the signal's number */
	/* Instead of one: --image NAME is given, which is not for us. */
	EXEC_IMAGE = -2,
};

/*
 * argv[0] is "exec". init is what PID 1 of a sandbox runs. Returns the exit
 * status of the program, or EXEC_IMAGE.
 */
int exec_main(int argc, char **argv, int (*init)(char **argv, char **envp));

#endif
