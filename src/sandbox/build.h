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
	int rpc; /* likewise, or -1 */
	int idmap; /* user namespace that shifts the folder's owner, or -1 */
	const char *workspace_path; /* inside, absolute */
	struct stat workspace; /* of the folder, where there is one */
	uint32_t posture; /* grows in the child */
	int root; /* the new root file system, in the child */
};

/* For ns_spawn: returns only when it failed, having said so. */
int build_run(void *build);

/*
 * Makes the root file system and goes there: cwd and "/" are inside, nothing
 * of the old tree is left. Adds the walls it put up to the posture.
 */
int root_build(struct build *b, struct err *e);

#endif
