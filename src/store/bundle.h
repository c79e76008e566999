/*
 * store/bundle.h: one run in one file, to be checked where there is no daemon.
 *
 * The file is zstd-compressed text, a JSON object on each line (docs/TRACE.md
 * has the members): the head, with a checkpoint and the key that signed it; the
 * run's records, each with the hash of the record before it in the log; a
 * Merkle proof that they are in the log that was signed; what they refer to;
 * the policy; and the number of lines. Nothing of other runs is in it but
 * hashes.
 */
#ifndef STORE_BUNDLE_H
#define STORE_BUNDLE_H

#include "base/err.h"
#include "codec/note.h"
#include "store/store.h"

struct bundle_sums {
	uint64_t records, blobs, bytes; /* bytes: of the file */
	uint64_t omitted; /* blobs that the store no longer has */
	uint64_t omitted_seq; /* when read: the first that lacks one */
	int64_t
	    removed_ns; /* they went by rule; of one that is read: it says */
	bool open; /* the run had not ended: it may go on */
	bool has_end; /* run.closed says how many records there are */
};

/*
 * Writes a run to fd. -1 with e: also when the run's last record is not
 * covered by a checkpoint yet.
 */
int bundle_write(struct store *s, uint64_t run, int fd, struct bundle_sums *out,
    struct err *e);

struct bundle {
	uint64_t run;
	struct note_key key; /* that signed it, whoever's that is */
	uint64_t size; /* of the log when it was signed */
	struct hash digest; /* of the file */
	char checkpoint[NOTE_BYTES + 1]; /* the last one, as it was signed */
	struct bundle_sums sums;
};

/*
 * Reads a bundle and checks all of it. NULL with e when it is no bundle, is
 * damaged or over a limit: the text names the line. Else a store, in memory,
 * that holds this run for reading, and *v, which may not be STORE_SOUND. key:
 * the one that must have signed, or NULL for any.
 */
struct store *bundle_open(int fd, const struct note_key *key, struct bundle *b,
    struct store_verdict *v, struct err *e);

#endif
