/*
 * broker/moment.h: what the broker knows of a run at the moment that a snapshot
 * is of, and the document that says so.
 *
 * The run stands still then, and what its world was asked before has been
 * answered: so the labels, budgets and drafts are those that belong to the
 * files and to the data. The rest of the document, sizes and hashes, is known
 * once the run goes on.
 */
#ifndef BROKER_MOMENT_H
#define BROKER_MOMENT_H

#include "base/buf.h"
#include "base/hash.h"
#include "broker/run.h"
#include "ipc/msg.h"

struct moment;

/* The moment is now. */
struct moment *moment_new(const struct run *r);
void moment_free(struct moment *m); /* NULL is nothing */

/* The document; list: the hash of the list of files. */
void moment_write(struct buf *out, const struct moment *m, const struct run *r,
    const struct msg_snapshot_told *told, const struct hash *list);

#endif
