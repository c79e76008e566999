/*
 * store/import.h: runs that another log or another program recorded.
 *
 * They become runs of this log, of mode and status "imported", so that all
 * that reads a run reads them; and each of their records says in its body
 * where it comes from (`imported`), so that none can be taken for something
 * that this daemon decided or did. A run's new name follows from what is
 * imported: nothing comes in twice.
 *
 * The store is open in bulk. After a failure nothing may be committed: that is
 * how a file comes in whole or not at all.
 */
#ifndef STORE_IMPORT_H
#define STORE_IMPORT_H

#include "base/err.h"
#include "codec/json.h"
#include "codec/note.h"
#include "store/store.h"

/* What the mode and the status of such a run's row say. */
#define IMPORT_MODE "imported"

struct import {
	struct store *store;
	uint64_t runs, calls, records; /* so far */
	uint64_t last; /* the run that came in last */
	void (*on_run)(struct import *im); /* after each; may be NULL */
};

/*
 * A run that `trace export` wrote, once its proof was found good. key: whose
 * it must be, or NULL for any.
 */
int import_bundle(
    struct import *im, int fd, const struct note_key *key, struct err *e);
/* Transcripts: a run on each line (docs/TRACE.md). */
int import_transcripts(struct import *im, int fd, struct err *e);

/*
 * For both: the run that these bytes become. -1 with e when it is there
 * already.
 */
int import_name(
    struct import *im, struct str identity, uint64_t *out, struct err *e);
/* The error of a store that takes nothing more. Returns -1. */
int import_refused(struct import *im, struct err *e);

#endif
