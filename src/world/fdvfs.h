/*
 * world/fdvfs.h: SQLite over a descriptor that somebody else opened.
 *
 * The world role has an empty root directory and may open nothing, so its
 * databases come as descriptors. This file system for SQLite has no names:
 * what is opened is what fdvfs_open is called with, and journals, temporary
 * files and shared memory are refused (they stay in memory). There is no
 * clock in it either.
 */
#ifndef WORLD_FDVFS_H
#define WORLD_FDVFS_H

#include <sqlite3.h>

#include "base/err.h"
#include "world/pages.h"

/*
 * Registers it as SQLite's default, so that nothing of the process asks the
 * ordinary one for a path. Once per process; calling it again is harmless.
 */
int fdvfs_init(struct err *e);
/*
 * The database that lies in p, which is borrowed until it is closed. *out is
 * to be closed also after -1, unless it is NULL.
 */
int fdvfs_open(struct pages *p, sqlite3 **out, struct err *e);

#endif
