/*
 * supervisor/cell_tell.h: what is told of a sandbox, one MSG_SANDBOX_DENIED
 * each: calls and commands that were refused while it ran, and what became of
 * the folders that it has changed.
 */
#ifndef SUPERVISOR_CELL_TELL_H
#define SUPERVISOR_CELL_TELL_H

#include "supervisor/cells_int.h"

/* Listens for calls that the filter refuses. -1 with e. */
int cell_watch_denied(struct cell *cell, struct err *e);

/* Listens for what Landlock refuses, where the kernel's audit can be heard:
 * once for all sandboxes. */
void cells_watch_audit(struct cells *c);
void cells_unwatch_audit(struct cells *c);

/* Listens for commands that PID 1 refuses. -1 with e. */
int cell_watch_refused(struct cell *cell, struct err *e);
/* No longer; what was said last is told, too. */
void cell_unwatch_refused(struct cell *cell);

/* A change that was not, or could not be, written back; see giveback.h. */
void cell_tell_left_out(
    struct giveback *w, enum commit_why why, const char *path);
/* Nothing more is written back. */
void cell_tell_not_written(struct cell *cell, const char *why);
/* A file that other programs execute; COMMIT_TOLD_MAX are named. */
void cell_tell_planted(struct giveback *w, const char *path);

#endif
