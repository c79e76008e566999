/*
 * sandbox/control.h: what travels on the control socket of one sandbox.
 *
 * SOCK_SEQPACKET between the caller of sandbox_start and, first, the process
 * that builds the sandbox, then PID 1 inside, which that process becomes. The
 * caller trusts neither: sizes are checked, numbers are only reported.
 */
#ifndef SANDBOX_CONTROL_H
#define SANDBOX_CONTROL_H

#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"
#include "sys/cgroup.h"

enum {
	CONTROL_FD = 3, /* where PID 1 finds it; sandbox/rpc.h has the next */
	CONTROL_RULES_FD = 5, /* a parked one's Landlock rules, if there are */
	CONTROL_DIAG_FD = 6, /* with ":N:M": sock_diag(7), for init/watch.h */
	CONTROL_WAKE_BYTES =
	    64 * 1024, /* a longer command is not for the pool */
};

/* Where the static program lies in every sandbox, and what PID 1 is called. */
#define CONTROL_BINARY "/run/paddock/paddock"
#define CONTROL_INIT_NAME "paddock-init"

/* Its first argument; the command, if there is one, comes behind it. With
 * ":N" at the end the command may print N bytes (init/relay.h; 0: any number),
 * with ":N:M" all together may hold M bytes of memory (init/watch.h). */
#define CONTROL_PARK "park" /* waits for struct control_wake; then the next */
#define CONTROL_RUN "run" /* the command */
#define CONTROL_SERVE "serve" /* sandbox/rpc.h, up to the command's end */
#define CONTROL_KEEP "keep" /* sandbox/rpc.h, whatever the command does */

enum control_kind {
	CONTROL_BUILT, /* value: the posture; listeners come with it */
	CONTROL_FAILED, /* value: errno; text says what failed */
	CONTROL_NOT_STARTED, /* value: errno of execve */
	CONTROL_ENDED, /* value: wait status of the command */
	CONTROL_OUTPUT, /* it printed more than it may: all is over */
	CONTROL_MEMORY, /* it holds more than it may, value MiB: likewise */
	CONTROL_REFUSED, /* value: pid of a program that sandbox.commands is
			  * against; text: who, a line feed, and why */
};

struct control_report {
	uint32_t kind; /* enum control_kind */
	uint32_t value;
	char text[ERR_TEXT_BYTES]; /* NUL-terminated; checked by the reader */
};
_Static_assert(sizeof(struct control_report) == 8 + ERR_TEXT_BYTES, "padding");

/*
 * From a caller that works beside the builder (struct sandbox_spec.init): what
 * it has made. A descriptor for each bit of has, in their order.
 */
enum control_gift {
	GIFT_NET, /* network namespace to enter */
	GIFT_IDMAP, /* user namespace that shifts the work folder's owner */
	GIFT_IMAGE_IDMAP, /* likewise the image's */
	GIFT_MOUNT, /* first of those that shift the mounts' owners */
	GIFT_GROUP = GIFT_MOUNT +
	    MOUNTS_MAX, /* first of the cgroups to enter, one per controller */
	GIFTS = GIFT_GROUP + CGROUP_CONTROLLERS,
};
_Static_assert(GIFTS <= 32, "a bit each");

struct control_go {
	uint32_t walls; /* that the caller put up */
	uint32_t has; /* 1 << enum control_gift */
};
_Static_assert(sizeof(struct control_go) == 8, "padding");

/*
 * To a parked PID 1: what it is for. Behind it, each with a NUL: the path of
 * the work folder, the one to start in, the arguments, the environment. The
 * standard streams come along, one descriptor for each bit; the others stay
 * on /dev/null. Then a struct control_request with signo 0: the folder is
 * there, go on.
 */
struct control_wake {
	uint32_t argc;
	uint32_t envc;
	uint32_t streams;
	uint32_t explain; /* what Landlock refuses is to be told */
};
_Static_assert(sizeof(struct control_wake) == 16, "padding");

struct control_request {
	/* For the command's process group; or 0, with a descriptor: the rpc
	 * socket to be used from now on. */
	uint32_t signo;
};
_Static_assert(sizeof(struct control_request) == 4, "padding");

#endif
