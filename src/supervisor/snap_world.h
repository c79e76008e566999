/*
 * supervisor/snap_world.h: the data of a run's world beside the files of a
 * snapshot.
 *
 * It is one file, named by its SHA-256 below worlds/ of the store of snapshots;
 * each snapshot that has it has a further name for it, so that what many have
 * is kept once, and the number of names says who refers to it. In the list of a
 * snapshot it is the first line, so whoever holds the list against the files
 * holds it against the world, too.
 */
#ifndef SUPERVISOR_SNAP_WORLD_H
#define SUPERVISOR_SNAP_WORLD_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * Keeps what the memfd holds, which is sealed first, as the world of the
 * snapshot in dir. Appends its line; *bytes is its size. -1 with e.
 */
int snap_world_keep(int store, int dir, int memfd, struct buf *line,
    uint64_t *bytes, struct err *e);

/*
 * Copies the world of the snapshot in dir to the empty memfd, if it has one,
 * and appends the line of what was copied. -1 with e.
 */
int snap_world_read(int dir, int memfd, struct buf *line, struct err *e);

/* Removes those that no snapshot refers to. -1 with e. */
int snap_world_prune(int store, struct err *e);

#endif
