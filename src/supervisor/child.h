/*
 * supervisor/child.h: one role as a child process of the supervisor.
 */
#ifndef SUPERVISOR_CHILD_H
#define SUPERVISOR_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "ipc/peer.h"
#include "sys/loop.h"

struct child {
	enum role role;
	int program; /* of the role, opened once: a restart is the same */
	pid_t pid; /* 0: not running */
	struct loop_watch exit; /* the pidfd */
	struct peer link;
	bool ready; /* it has confined itself and said so */
	unsigned starts; /* in the current window: see child_may_restart */
	int64_t window_ns;
	void (*on_exit)(struct child *c, int status); /* waitpid's status */
};

/*
 * Finds the role's program, `paddock-ROLE` beside this one. link.on_frame,
 * link.on_gone and on_exit are set by the caller.
 */
int child_init(
    struct child *c, enum role role, struct loop *loop, struct err *e);
/*
 * Forks and executes `paddock-ROLE --role ROLE` with its link as descriptor 3,
 * standard input and output on /dev/null, and dir (may be NULL) as its working
 * directory. 0, or -1 with e.
 */
int child_start(struct child *c, const char *dir, struct err *e);
/* False when it has been started too often lately to try again. */
bool child_may_restart(struct child *c, int64_t now_ns);
/* SIGKILL and wait; on_exit is not called. */
void child_kill(struct child *c);

#endif
