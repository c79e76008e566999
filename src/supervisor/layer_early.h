/*
 * supervisor/layer_early.h: files that are copied before the run stands still,
 * so that it does not stand still for them.
 *
 * Who knows that a file was not changed since? Its time does not say so when a
 * mapping of memory was written. A read lease (fcntl(2), F_SETLEASE) does: it
 * is not given for a file that somebody has open for writing, or mapped, and
 * ends when somebody opens one to write. So what is leased from before the copy
 * until the run stands still is what was copied. Who wants to write meanwhile
 * waits for as long as it takes to give the lease back, a megabyte's copying at
 * most; one who opens a file with O_NONBLOCK is told EAGAIN then.
 *
 * Cutting a file to a length by its name goes past the lease in an overlay; it
 * changes length and times, and a file that was changed just before is not
 * copied early, since a clock's tick could hide that.
 */
#ifndef SUPERVISOR_LAYER_EARLY_H
#define SUPERVISOR_LAYER_EARLY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/err.h"

struct layer_early;

/*
 * Copies what can be leased below upper into the empty folder dir, which is
 * borrowed, as the owner's. What cannot be copied is left for later. Blocks the
 * signals of leases until it is freed; NULL when there is no memory for it.
 */
struct layer_early *layer_early_new(
    int upper, int dir, uid_t owner, gid_t group);
/* Waits until fd has something to read, and gives back meanwhile what others
 * want to write. */
void layer_early_wait(struct layer_early *a, int fd);
/*
 * The number of a file's copy, which is its name in dir, when nobody has
 * changed the file since. False: there is none, and the file is to be copied.
 */
bool layer_early_find(
    const struct layer_early *a, const struct stat *st, size_t *number);
void layer_early_free(struct layer_early *a); /* NULL is nothing */

#endif
