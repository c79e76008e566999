/*
 * supervisor/layer_plan.h: what a run had changed at one moment, before it is a
 * layer on the disk.
 *
 * Making a name on a disk takes a record in the journal of its file system, and
 * waits when that is being written: tens of microseconds each, and now and then
 * milliseconds. So nothing is made while the run stands still. What there is is
 * noted, in memory: names, modes and times, which of the files were copied
 * early (supervisor/layer_early.h), and what is in the small ones that were
 * not. Only large files that somebody has open for writing are copied to the
 * disk then. The layer is made of the note when the run goes on.
 */
#ifndef SUPERVISOR_LAYER_PLAN_H
#define SUPERVISOR_LAYER_PLAN_H

#include "supervisor/layer.h"

struct layer_early;
struct layer_plan;

/*
 * beside is the folder that early has its copies in, borrowed; large files are
 * copied there, too. early may be NULL, and is needed until it is noted. NULL
 * when there is no memory.
 */
struct layer_plan *layer_plan_new(int beside, struct layer_early *early);
/*
 * Goes through all that layer_note will, while the run goes on, and forgets it:
 * then the memory for the note is there and was touched, which in a virtual
 * machine takes its host milliseconds, and names are in the kernel's caches.
 */
void layer_rehearse(struct layer_plan *p, int upper);
/* Notes what lies below upper, once. -1 with e: what cannot be noted, by its
 * path. */
int layer_note(
    struct layer_plan *p, int upper, struct layer_sum *sum, struct err *e);
/*
 * Makes it below the empty directory to, as the owner's; what lies beside is
 * moved. -1 with e: what could not be made; then part of it is there.
 */
int layer_make(const struct layer_plan *p, int to, uid_t owner, gid_t group,
    struct err *e);
void layer_plan_free(struct layer_plan *p); /* NULL is nothing */

#endif
