/*
 * init/start.h: a command between its request and execve.
 *
 * The child shares PID 1's memory until it executes, so that nothing has to be
 * copied, but PID 1 does not wait for it, as vfork would: looking a program up
 * may take as long as a file system hangs. So each has a place of its own with
 * all that it reads, its stack, and where it says why it failed. The place is
 * used again once `watch` has hung up.
 */
#ifndef INIT_START_H
#define INIT_START_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/limits.h"
#include "init/tracer.h"

enum {
	START_STACK_BYTES = 8192,
	START_STRINGS = RPC_MAX_STRINGS + RPC_MAX_BASE_ENV + 2,
};

struct start {
	int watch; /* hangs up when the command runs or failed; -1: free */
	volatile int failed; /* errno, or 0 */
	const char *volatile stage; /* what was tried last */

	int stdio[3];
	bool tty; /* stdio[0] becomes the controlling terminal */
	const char *cwd; /* "": where PID 1 is */
	const char *const *argv;
	const char *const *envp;

	const struct judge *judge; /* NULL: every program may be started */
	struct tracer *tracer; /* who starts it then; NULL: we do */

	char path[PATH_MAX]; /* what is executed */
	struct judge_room room; /* room.text: why a rule is against it */
	char payload[RPC_MAX_PAYLOAD_BYTES]; /* the strings themselves */
	const char *strings[START_STRINGS]; /* argv, NULL, envp, NULL */
	_Alignas(16) char stack[START_STACK_BYTES];
};

/*
 * Starts argv[0], by the PATH in envp, in a session of its own with all
 * signals as usual. Returns its pid with s->watch set, or -1 with errno. Once
 * s->watch has hung up, s->failed tells whether it runs. The caller's
 * descriptors are all close-on-exec; stdio stays the caller's.
 */
pid_t start_command(struct start *s);

#endif
