/*
 * cli/mount_option.h: folders that the command line mounts.
 *
 * --mount is the same for every subcommand that has it: mounts_parse reads it,
 * and the folder is opened here, with the rights of whoever calls. From then on
 * the descriptor is what counts, and the path is for the record.
 */
#ifndef CLI_MOUNT_OPTION_H
#define CLI_MOUNT_OPTION_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "cli/args.h"
#include "sandbox/sandbox.h"

struct mount_options {
	struct sandbox_mount item[MOUNTS_MAX]; /* in order; fd is owned */
	unsigned n;
	struct buf json; /* as `mounts` of a request, without brackets */
	struct arena arena; /* of the places inside */
};

/* One --mount. 0, or the exit status: what is wrong has been said. */
int mount_options_add(
    struct args *a, struct mount_options *m, const char *text);

void mount_options_fini(struct mount_options *m);

#endif
