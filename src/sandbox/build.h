/*
 * sandbox/build.h: the inside of sandbox_start, in the new process.
 *
 * The child that clone3 made runs build_run, which puts up one wall after the
 * other and becomes PID 1. What stands is collected in the posture and sent
 * to the caller just before. root.c makes the file system.
 */
#ifndef SANDBOX_BUILD_H
#define SANDBOX_BUILD_H

#include <sys/stat.h>

#include "base/limits.h"
#include "sandbox/ground.h"
#include "sandbox/net.h"
#include "sandbox/sandbox.h"

/* Prepared by the caller, read by the child. */
struct build {
	const struct sandbox_host *host;
	const struct sandbox_spec *spec;
	const struct sandbox_limits *limits;
	const struct cgroup *cgroup;
	uid_t uid; /* of the processes inside, as the host sees it */
	gid_t gid;
	int control; /* the child's end */
	bool beside; /* the caller goes on, and has more to give */
	int rpc; /* likewise, or -1 */
	int idmap; /* user namespace that shifts the folder's owner, or -1 */
	int image_idmap; /* likewise for the image's owner, or -1 */
	int mount_idmap[MOUNTS_MAX]; /* likewise for each mount's, or -1 */
	const char *workspace_path; /* inside, absolute */
	struct stat workspace; /* of the folder, where there is one */
	struct stat image; /* of its root directory, where there is one */
	struct stat mount_stat[MOUNTS_MAX]; /* of spec.mounts */
	uint32_t posture; /* grows in the child */
	int notify; /* listener of refused calls, in the child; or -1 */
	struct ground *ground; /* where the child starts; NULL: at home */
	int work; /* of the folder then: root_copy_work; or -1 */
	int root; /* the new root file system, in the child */
	int mount[MOUNTS_MAX]; /* detached, likewise; or -1 */
	int disk; /* /tmp there, likewise */
	int upper; /* of the overlay over the folder, likewise; or -1 */
	int scratch; /* what lies below /tmp; of a parked one only, or -1 */
	bool layered; /* what the overlay over the folder needs is there */
	int mount_ns; /* its own, for a caller that is not beside it; or -1 */
	unsigned n_listeners; /* of spec.listen_port and of net.h */
	int diag; /* what sockets hold, for PID 1 to ask; or -1, likewise */
	int rules; /* Landlock's, not in force yet; likewise */
};

/* Descriptors that come with CONTROL_BUILT: the listeners, the disk, the
 * upper directory, of a parked one the scratch, and the mount namespace. */
_Static_assert(
    SANDBOX_LISTENERS_MAX == SANDBOX_PORTS_MAX + NET_SOCKETS, "room for all");
enum { BUILT_FDS_MAX = SANDBOX_LISTENERS_MAX + 5 };

/* In the new process. Returns only when it failed, having said so. */
int build_run(void *build);

/*
 * Makes the root file system, with all that does not depend on the work
 * folder. The working directory is its root; "/" is the host's still.
 */
int root_begin(struct build *b, struct err *e);

/*
 * For ground.h: in a mount namespace of the caller's own, makes of it what all
 * roots have in common, and leaves nothing else in it.
 */
int root_make_ground(int binary_fd, struct err *e);

/* What it shows of the host, one after the other; NULL at the end. */
const char *root_shared_path(size_t i);

/*
 * Adds the work folder and goes there: "/" is inside, nothing of the old tree
 * is left. Both add the walls they put up to the posture.
 */
int root_finish(struct build *b, struct err *e);

/*
 * Between the two: /dev/zero cannot be mapped any more, since that, shared,
 * is memory that nobody counts. It is read as before.
 */
int root_no_zero(struct err *e);

/* A detached mount of the folder behind this descriptor, which belongs to the
 * caller's mount namespace; as root with its owner shifted, where it can be. */
int root_copy_work(struct build *b, int folder, struct err *e);

/*
 * Overlay over *mount, a detached mount that is attached at `at` + "lower"
 * now; below `at` lie "upper" and "inner" as well. *mount becomes the overlay,
 * detached.
 */
int root_overlay(
    const struct build *b, const char *at, int *mount, struct err *e);

/*
 * Likewise, with these three made first; the upper one is of the folder's mode
 * and owner, or, with shifted, of the sandbox's own.
 */
int root_lay_over(const struct build *b, const char *at,
    const struct stat *folder, bool shifted, int *mount, struct err *e);

/* Makes every directory on the way; those that are there may stay. */
int root_put_path(const char *path, struct err *e);

/*
 * A descriptor from before belongs to the mount namespace of before, and
 * cannot be copied from there: the same file by its path in this namespace,
 * or an error when the path leads elsewhere by now.
 */
int root_open_here(int fd, struct err *e);

/*
 * Goes into a root of spec.image_fd. old is the root as root_begin made it,
 * and the working directory; work, a detached mount, is taken over.
 */
int image_root(struct build *b, int old, int work, struct err *e);

/*
 * In the mount namespace of a parked sandbox: what root_finish left out. work
 * is from root_copy_work, and is taken over.
 */
int root_add_work(struct build *b, int work, struct err *e);

/* Likewise, where it was parked over its folder. */
int root_guard_work(struct build *b, struct err *e);

/* What is written to the work folder is kept for the caller. */
static inline bool
build_keeps_upper(const struct sandbox_spec *s)
{
	return s->freezable || (s->write_back && s->workspace_fd >= 0);
}

/* Parked, and the folder is not known yet. */
static inline bool
build_folder_comes(const struct sandbox_spec *s)
{
	return s->park && s->folder && s->workspace_fd < 0;
}

/* place.c: spec.files, into the sandbox whose root is `root`. */
int root_add_files(const struct build *b, const char *root, struct err *e);

/*
 * trust.c: puts spec.trust, if there is anything in it, and the files above
 * into the sandbox whose root is `root`.
 */
int root_add_trust(const struct build *b, const char *root, struct err *e);

/* Below the place of the program itself: what covers secrets. */
#define GUARD_FILE "none"
#define GUARD_DIR "nothing"

enum guard_what {
	GUARD_OVERLAY, /* secrets, and what other programs execute */
	GUARD_READ_ONLY, /* secrets; the rest cannot be written */
	GUARD_SHARED, /* all of these, and what is no file: it is the host's */
};

/*
 * Covers what spec.protect says in a folder, which is attached by now. own is
 * the folder of the program itself, as it can be reached at present.
 */
int guard_folder(const struct build *b, int folder, enum guard_what what,
    const char *own, struct err *e);

/*
 * mounts.c: copies what spec.mounts says, each detached in b->mount. The
 * working directory is the new root, "/" the host's.
 */
int mounts_make(struct build *b, struct err *e);

/* Attaches them below the working directory, the new root, where their places
 * are made already when made is set; own as above. */
int mounts_add(struct build *b, bool made, const char *own, struct err *e);

/* True when one of them is in the place of the empty work folder. */
bool mounts_have_work(const struct sandbox_spec *s);

/*
 * Refuses what must not be a standard stream inside, and gives the sandbox
 * the pipe that it is.
 */
int build_check_stream(int i, int fd, const struct build *b, struct err *e);

/* Of a spec whose defaults are filled in. */
int build_check_spec(const struct sandbox_spec *s, struct err *e);

/* Fills in what is 0. Files live in memory: they get less than all of it, so
 * that a full disk is an error to the program, and not its end. */
int build_check_limits(struct sandbox_limits *l, struct err *e);

/*
 * An error where a wall that is required does not stand, or one of
 * WALLS_ALWAYS. Asked before anything of the sandbox's own is executed.
 */
int build_check_posture(uint32_t posture, const struct sandbox_spec *s,
    const struct sandbox_limits *l, struct err *e);

#endif
