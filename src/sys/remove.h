/*
 * sys/remove.h: a name and all that is below it, gone.
 */
#ifndef SYS_REMOVE_H
#define SYS_REMOVE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/*
 * Removes it, never through a link; what is not there is well. The innermost
 * folder is gone through until it is empty. depth, at most REMOVE_DEPTH_MAX:
 * how many folders may lie below each other. ours: nobody else can change what
 * is there, so a folder that does not let its owner in is made to. -1 with e:
 * part of it may be left.
 */
int remove_all(
    int dir, const char *name, size_t depth, bool ours, struct err *e);

#endif
