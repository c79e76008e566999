/*
 * store/told.h: checkpoints.txt, where what was signed is told to others.
 *
 * One checkpoint after the other, each added after the transaction that holds
 * it: so the file never says more than the database, unless the database is an
 * older one that was put in its place.
 */
#ifndef STORE_TOLD_H
#define STORE_TOLD_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define CHECKPOINTS_FILE "checkpoints.txt"

/*
 * Opens the file in a store's directory for adding, and makes it if need be.
 * Of a note that is not whole, which a power cut or a full disk leaves, nothing
 * stays. Appends the last note to last. The descriptor, or -1 with e.
 */
int told_open(const char *dir, struct buf *last, struct err *e);
/* 1: it is there; 0: the disk is full, and nothing of it is; -1 with e. */
int told_add(int fd, struct str note, struct err *e);
/* A text without what is behind its last note and has no end of line. */
struct str told_whole(struct str text);
/* Appends the last whole note, to be read only; nothing when there is none. */
int told_last(const char *dir, struct buf *last, struct err *e);

#endif
