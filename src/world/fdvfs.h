/*
 * world/fdvfs.h: SQLite over a descriptor that somebody else opened.
 *
 * The world role has an empty root directory and may open nothing, so its
 * databases come as descriptors. This file system for SQLite knows nothing
 * else: a database's name is the number of its descriptor, and journals,
 * temporary files and shared memory are refused (they stay in memory). There
 * is no clock in it either.
 */
#ifndef WORLD_FDVFS_H
#define WORLD_FDVFS_H

#include "base/err.h"

/*
 * Registers it as SQLite's default, so that nothing of the process asks the
 * ordinary one for a path. Once per process; calling it again is harmless.
 */
int fdvfs_init(struct err *e);

#endif
