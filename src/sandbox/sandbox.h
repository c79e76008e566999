/*
 * sandbox/sandbox.h: one isolated place in which a command runs.
 *
 * sandbox_start builds it and starts the command under our own PID 1
 * (src/init); sandbox_reap collects how it ended; sandbox_fini removes what is
 * left. No helper program is executed. Everything inside dies with the caller:
 * PID 1 carries a parent-death signal and ends when its control socket closes.
 *
 * The life of one, in a single-threaded caller with an event loop:
 *
 *     struct sandbox_host host;      once per process
 *     sandbox_host_init(&host, self_fd, &e);
 *
 *     struct sandbox sb;
 *     sandbox_start(&host, &spec, &sb, &e);
 *     ... watch sb.pidfd (readable: all is over), set a timer for wall_ms ...
 *     sandbox_kill(&sb, LIMIT_WALL);         only when it has to stop
 *     sandbox_reap(&sb, &end, &e);           once sb.pidfd is readable
 *     sandbox_fini(&sb);                     always, also instead of the above
 *
 * As root the sandbox runs under a host uid of its own, in no user namespace.
 * Otherwise it runs in a user namespace that maps one id, not 0, to the
 * caller. No id inside is ever host uid 0.
 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"
#include "base/walls.h"
#include "sandbox/protect.h"
#include "sys/cgroup.h"
#include "sys/seccomp.h"

enum {
	SANDBOX_PORTS_MAX = 4, /* the MCP door, the proxy, and some to come */
	SANDBOX_LISTENERS_MAX = 7, /* those, then NET_SOCKETS */
	SANDBOX_SLOTS = 2048, /* of one process at once: RUNS_MAX, and parked */
	/* Of TCP, each way, where sockets are counted: as much as others hold
	 * by default. */
	COUNTED_TCP_BYTES = 212992,
	SANDBOX_HOST_NAME_MAX = 64, /* utsname, with the NUL */
};

/* What ended or hindered a run; the stop reason that users and traces see. */
enum sandbox_limit {
	LIMIT_NONE,
	LIMIT_WALL, /* wall_time_exceeded: set by the caller's sandbox_kill */
	LIMIT_MEMORY, /* memory_exceeded: the kernel killed for want of it */
	LIMIT_PIDS, /* pids_exceeded: a fork was refused */
	LIMIT_OUTPUT, /* output_limit: more came out than may */
	LIMIT_STOPPED, /* stopped: the caller's sandbox_kill, for its reasons */
	LIMIT_COUNT,
};

struct sandbox_limits { /* 0 takes the default of sandbox_limits_default */
	uint64_t memory_bytes;
	uint64_t pids_max; /* processes and threads, PID 1 included */
	uint64_t cpu_milli; /* thousandths of one CPU; 0: all of them */
	uint64_t wall_ms; /* for the caller's timer; 0: none */
	uint64_t disk_bytes; /* /tmp, /dev/shm and overlay together */
	uint64_t inodes;
	uint64_t nofile; /* open files of one process */
	uint64_t cpu_weight; /* when all want the CPU: 1 to 10000; 0: 100 */
	uint64_t io_bytes_per_s; /* sandbox_io_limit; 0: no limit */
	uint64_t output_bytes; /* of both streams together; 0: no limit */
};

/* A letter each, as they travel to the sandbox. */
enum sandbox_mount_mode {
	SANDBOX_RO = 'r', /* what is there is read, and no more */
	SANDBOX_OVERLAY = 'o', /* what is written vanishes with the sandbox */
	SANDBOX_RW = 'w', /* what is written is written */
};

/* A folder of the host that is seen inside beside the work folder. */
struct sandbox_mount {
	int fd; /* O_PATH directory: this one, whatever its name is by now */
	const char *to; /* where inside: see base/place.h */
	enum sandbox_mount_mode mode;
	bool noexec; /* no program in it can be executed */
};

/* A file that only its user inside may read. */
struct sandbox_file {
	const char *path; /* absolute, inside, of a place that can be written */
	const char *content;
};

/* Everything is borrowed for the length of sandbox_start. */
struct sandbox_spec {
	/* NULL at the end; argv[0] by PATH inside. NULL itself, with rpc: no
	 * command; PID 1 serves until it is killed or its caller is gone. */
	const char *const *argv;
	const char *const *envp; /* the whole environment inside */
	/* Descriptors; -1: /dev/null. No directories or disks; below 3 only
	 * in its own place. */
	int stdio[3];

	int workspace_fd; /* O_PATH directory, or -1: an empty /workspace */
	const char *workspace_path; /* inside, as by sandbox_path_for */
	const char *chdir_path; /* absolute, inside; NULL: the workspace */
	bool write_back; /* sandbox.upper is kept, for commit_folder */
	/* Snapshots' layers between the work folder, if there is one, and what
	 * is written: the newest first. O_PATH directories; their files belong
	 * to the folder's owner, or to that of the newest. */
	const int *layers;
	unsigned n_layers; /* at most SNAPSHOT_LAYERS_MAX */
	struct protect protect; /* what of it and of the mounts is covered */
	const struct sandbox_mount *mounts; /* see mounts.h */
	unsigned n_mounts; /* at most MOUNTS_MAX; none of a parked one */
	struct str trust; /* PEM: a file PLACE_TRUST inside; "": none */
	struct str trust_own; /* of it, what is not the machine's */
	struct str trust_java; /* the same for Java: PLACE_TRUST_JAVA */
	const struct sandbox_file *files;
	size_t n_files;

	/*
	 * The root is this directory, below an overlay that can be written
	 * everywhere, and not the host's /usr. O_PATH; every file in it has
	 * the owner that the directory itself has.
	 */
	bool image;
	int image_fd; /* of no account without image */
	const char *account; /* what the image calls its user; "" or NULL:
			      * agent. What it is called, no more */
	const char *home; /* likewise; "" or NULL: /tmp */

	struct sandbox_limits limits;
	uint32_t slot; /* below SANDBOX_SLOTS, unique in this process */
	const char *hostname; /* NULL: "sandbox" */

	/* TCP listeners on 127.0.0.1 inside, by port; they are handed back. */
	uint16_t listen_port[SANDBOX_PORTS_MAX];
	unsigned n_listen; /* with 0 the loopback interface stays down */
	/* The sockets of sandbox/net.h as well, behind those; without them
	 * where the machine cannot. */
	bool net;

	uint32_t required; /* walls; WALLS_ALWAYS is implied, and WALL_CPU
			    * counts only with a limit of CPU */

	/*
	 * What PID 1 runs, for a caller that is the small static program
	 * itself, alone and without a secret in its memory: the builder is a
	 * copy of it, works beside it, and as root goes on as PID 1 without
	 * executing anything. The caller is left in the network namespace of
	 * the sandbox. NULL for all other callers: their memory is never seen
	 * by a process inside.
	 */
	int (*init)(const char **argv, const char *const *envp);

	/*
	 * Build all but what is different for each run, and wait: sandbox_wake
	 * goes on. argv, envp and stdio are of no account then. With
	 * workspace_fd it is parked over that folder, for runs in it at
	 * workspace_path. Else workspace_path is of no account, but in an
	 * image: there the place is made before there is an overlay, so the
	 * run has to have the same. As root only.
	 */
	bool park;
	bool folder; /* parked: a work folder will come, or is there, of
		      * this owner */
	uid_t owner;
	gid_t group;

	bool rpc; /* PID 1 serves sandbox/rpc.h; brings the loopback up */
	bool keep; /* with rpc: the command's end does not end the sandbox */
	bool explain; /* refused calls come to sandbox.notify: explain.h */
	bool freezable; /* sandbox_freeze will be asked for; keeps .upper */
	bool fake_root; /* user 0 inside: ns_fake_root */
	bool judged; /* envp has lists of commands: init/judge.h */
};

/* What is found out once per process. */
struct sandbox_host {
	bool root; /* may give each sandbox a uid of its own */
	uid_t uid; /* the caller's */
	gid_t gid;
	int landlock_abi; /* 0: not there */
	int mount_ns; /* our own, or -1: see sandbox_host_many */
	struct ground *ground; /* likewise; NULL: each makes its own */
	int binary_fd; /* the small static program, O_PATH; borrowed */
	struct cgroup_place cgroups;
	size_t n_filter; /* 0: not compiled */
	struct sock_filter filter[SECCOMP_PROGRAM_MAX];
};

/* What it uses now; 0 where the machine does not tell. */
struct sandbox_usage {
	struct cgroup_usage group;
	struct cgroup_pressure pressure;
	uint64_t disk_bytes; /* in files that are there now */
	uint64_t inodes;
	bool disk_full;
	bool frozen;
};

struct sandbox {
	pid_t pid; /* PID 1 of the sandbox, as seen here */
	int pidfd; /* readable when everything inside is over */
	int control; /* SOCK_SEQPACKET to PID 1 (src/init/init.h) */
	int rpc; /* likewise, for a gateway: take with fd_take; or -1 */
	int listener[SANDBOX_LISTENERS_MAX]; /* yours: take with fd_take */
	int notify; /* listener of refused calls, with spec.explain; or -1 */
	int disk; /* O_PATH, its /tmp: what all its files lie on */
	/* O_PATH: what was written over the folder, with spec.write_back or
	 * freezable; or -1. It stays when all processes have ended. */
	int upper;
	unsigned n_listen;
	uint32_t posture; /* walls that stand */
	uid_t uid; /* host uid of the processes inside */
	struct cgroup cgroup;
	struct sandbox_limits limits; /* with defaults filled in */
	int64_t started_ns; /* monotonic */
	enum sandbox_limit killed_for;
	/* Its own; or -1, with spec.init. Held to the last: taking a mount
	 * namespace down takes a while, and is done in sandbox_fini so that
	 * the end does not wait for it. */
	int mount_ns;
	struct {
		int scratch; /* O_PATH, hidden inside: for the overlay; -1
			      * when it is not parked */
		int idmap; /* user namespace for the folder's owner, or -1 */
		uid_t owner;
		gid_t group;
		bool placed; /* over its folder already */
		dev_t dev; /* that one */
		ino_t ino;
		mode_t mode;
	} park;
	uint32_t slot;
	/* What PID 1 said of its end, heard among other news. */
	bool has_heard;
	struct {
		uint32_t kind, value;
	} heard;
	uint64_t counted_ns; /* sandbox_count; 0: a group counts */
	struct sandbox_usage used; /* when settled */
	bool settled;
	bool frozen;
	bool open; /* there is something for sandbox_fini to do */
};

enum sandbox_end_kind {
	END_EXIT, /* code is the exit status */
	END_SIGNAL, /* code is the signal */
	END_NOT_STARTED, /* code is the errno of execve; ENOENT: not found,
			  * EKEYREJECTED: init/judge.h is against it */
	END_LOST, /* somebody killed PID 1, and all with it; code SIGKILL */
};

struct sandbox_end {
	enum sandbox_end_kind kind;
	int code;
	enum sandbox_limit limit;
	uint64_t wall_ns;
	uint64_t cpu_ns; /* user and system, all processes */
	uint64_t memory_max_bytes; /* 0: not known without a cgroup */
	uint64_t watched_bytes; /* that PID 1 ended it for, or 0 */
	uint64_t oom_kills;
	uint64_t pids_refused; /* forks that the pids limit refused */
	uint64_t throttled_ns; /* held back by the CPU limit */
	uint64_t disk_bytes; /* in files that are there at the end */
	uint64_t inodes;
	bool disk_full; /* no room or no inode is left at the end */
	uint64_t output_bytes; /* that came out, where that has a limit */
	struct cgroup_pressure pressure; /* of the last seconds */
};

/*
 * binary_fd is an O_PATH descriptor of the small static program, borrowed for
 * as long as the host struct is used: it is mounted read-only at
 * /run/paddock/paddock, and PID 1 is executed from there.
 * Chooses the cgroup directories (below the caller's own groups) and the
 * Landlock level. Never fails for want of a feature: that shows in postures.
 */
int sandbox_host_init(struct sandbox_host *h, int binary_fd, struct err *e);

/*
 * For a process that starts many: compiles the system call filter, which each
 * builder does for itself otherwise, and prepares for sandbox_wake.
 */
int sandbox_host_many(struct sandbox_host *h, struct err *e);

void sandbox_host_fini(struct sandbox_host *h);

/*
 * The limits of a run that names none: memory 2 GiB (or half the machine's),
 * 512 processes, disk and inodes bounded below the memory, 1024 files, no
 * wall-clock limit.
 */
struct sandbox_limits sandbox_limits_default(void);

/*
 * Builds and starts. 0 with out filled in, or -1 with e, and nothing left
 * behind. The caller is single-threaded, has SIGCHLD blocked or default, not
 * ignored, and waits for its children by their pids, never for any (-1):
 * sandbox_reap waits for its own. A SIGCHLD that is nobody's may arrive, from
 * a helper that is gone when this returns.
 */
int sandbox_start(const struct sandbox_host *h, const struct sandbox_spec *spec,
    struct sandbox *out, struct err *e);

/*
 * Gives a parked sandbox its run: argv, envp, stdio, workspace_fd with its
 * paths, and required; all else is as it was parked. From now on it is like
 * any other. 0; or -1 with e, and then it is of no use: sandbox_fini.
 *
 * Nothing of a run is in it before, and no run ever gets one that had one.
 * Leaves the caller's working directory at "/".
 */
int sandbox_wake(const struct sandbox_host *h, struct sandbox *sb,
    const struct sandbox_spec *spec, struct err *e);

/* Sends a signal to the command's process group, through PID 1. */
int sandbox_signal(const struct sandbox *sb, int signo, struct err *e);

/*
 * A new rpc socket in place of the old one, which PID 1 closes: for a gateway
 * that was restarted. What runs inside goes on, and its end is told to the new
 * one, by the old id.
 */
int sandbox_rpc_renew(struct sandbox *sb, struct err *e);

/*
 * Before a kill that can wait some milliseconds: the time of what is killed
 * with PID 1 is told to nobody, so where no group counts it, it is added up now
 * and is in the end's figure.
 */
void sandbox_count(struct sandbox *sb);

/* Ends everything inside, at once. The first reason is the one that stays. */
void sandbox_kill(struct sandbox *sb, enum sandbox_limit why);
/*
 * Kills all of these, and lets none of them have the processor before the last
 * one is killed: where the caller may put itself first, as root may.
 */
void sandbox_kill_all(
    struct sandbox *const list[], size_t n, enum sandbox_limit why);

/* Without waiting for anything inside; a frozen one, too. */
void sandbox_stat(const struct sandbox *sb, struct sandbox_usage *out);

/*
 * Keeps limits.io_bytes_per_s on the disk of the folder, once it is started.
 * -1 with e where that cannot be had.
 */
int sandbox_io_limit(const struct sandbox *sb, int workspace_fd, struct err *e);

/*
 * Stops everything inside where it is, or lets it go on; again is fine. Waits
 * until that is so, for CGROUP_FREEZE_MS at most. -1 with e: nothing changed,
 * or this machine gives no cgroup to freeze. A frozen one can be killed.
 */
int sandbox_freeze(struct sandbox *sb, bool frozen, struct err *e);

/* A program that sandbox.commands is against, and that was not executed. */
struct sandbox_refusal {
	uint32_t pid;
	char who[32]; /* the process by its name */
	char why[ERR_TEXT_BYTES]; /* the rule, and the command line */
};

/*
 * With spec.judged, once sb->control is readable: the next of them. False: no
 * more now. What is said there about the end is kept for sandbox_reap.
 */
bool sandbox_refused(struct sandbox *sb, struct sandbox_refusal *out);

/*
 * For a caller that waits for the end, once sb->control is readable: the
 * command is over. Takes the figures while the kernel takes the rest down.
 */
void sandbox_settle(struct sandbox *sb);

/*
 * Waits for the end (at once when sb->pidfd is readable) and collects it.
 * Call it once.
 */
int sandbox_reap(struct sandbox *sb, struct sandbox_end *end, struct err *e);

/*
 * Kills and reaps what is not reaped yet, closes every descriptor that was
 * not taken, removes the cgroups. Safe on a zeroed or failed struct.
 */
void sandbox_fini(struct sandbox *sb);

/*
 * Removes the cgroups that crashed callers left: their names carry the owner's
 * pid and start time, so that those of the living are never touched. Returns
 * how many sandboxes were removed.
 */
unsigned sandbox_sweep(const struct sandbox_host *h);

/*
 * Where a folder of the host is best seen inside: at the same path, unless
 * that would hide what a sandbox itself has there. Borrowed from the argument.
 */
const char *sandbox_path_for(const char *host_path);
/* "wall_time_exceeded" ...: the stop reason as traces spell it. */
const char *sandbox_limit_name(enum sandbox_limit limit);

#endif
