/*
 * sys/cgroup_int.h: what the sources of cgroup.h share.
 */
#ifndef SYS_CGROUP_INT_H
#define SYS_CGROUP_INT_H

#include "sys/cgroup.h"

/* Every file of a group that is read here is shorter. */
enum { CGROUP_FILE_MAX = 4096 };

/* A path of a group, or of a file in it. */
enum { CGROUP_FULL_MAX = CGROUP_PATH_MAX + CGROUP_NAME_MAX + 48 };

#define CGROUP_MOUNT "/sys/fs/cgroup"

/* cgroup_v2.c: where groups are made when the machine has v2 alone. own is
 * the caller's group. */
void cgroup_place_v2(struct cgroup_place *p, const char *own);
/* Likewise where v2 lies beside v1, without controllers. */
void cgroup_place_beside(struct cgroup_place *p, const char *own);

/* The whole file with a NUL behind it. 0, or -1 with errno. */
int cgroup_file_read(const char *path, char out[static CGROUP_FILE_MAX]);
int cgroup_file_write(int dirfd, const char *file, const char *text);

/*
 * Takes out whoever is in the group of a dead owner, frozen or not: what a
 * crash left is no sandbox that anyone watches.
 */
void cgroup_empty(
    const struct cgroup_place *p, const char *parent, const char *name);

#endif
