/*
 * store/checkpoint.h: signed statements of how long the log is and what it
 * holds.
 *
 * The chain alone shows nothing to who can write the file: all of it can be
 * made anew. A checkpoint names the size and the Merkle root of the log under
 * an Ed25519 signature (codec/note.h), and stands in three places: the table,
 * STATE/store/checkpoints.txt, and wherever people copy that file to. What has
 * been copied can be held against the store later, and a run can be shown to
 * be in the log without the log's other records (bundle.h).
 *
 * STATE/store/log.key holds the key, for its owner only.
 */
#ifndef STORE_CHECKPOINT_H
#define STORE_CHECKPOINT_H

#include <sqlite3.h>

#include "codec/note.h"
#include "core/merkle.h"
#include "store/db.h"
#include "store/told.h"

#define LOG_KEY_FILE "log.key"

/* The writer's: made when a store is opened, then its thread's alone. */
struct checkpointer {
	struct note_key key;
	uint8_t secret[SIGN_KEY_BYTES];
	struct merkle tree; /* of all records in the database */
	uint64_t signed_size; /* of the last checkpoint */
	int64_t since_ns; /* when the first record after it was added */
	int fd; /* checkpoints.txt */
	sqlite3_stmt *put;
	struct buf note; /* of the last one */
};

/*
 * Takes the log's key out of the directory, or makes one for a log that has
 * none yet, and brings the tree up to the last record.
 */
int checkpointer_open(
    struct checkpointer *c, const char *dir, sqlite3 *db, struct err *e);
void checkpointer_fini(struct checkpointer *c);

/* Where a transaction began, to be made again when it failed. */
struct checkpoint_mark {
	struct merkle tree;
	uint64_t signed_size;
	int64_t since_ns;
};

void checkpoint_mark(const struct checkpointer *c, struct checkpoint_mark *out);
void checkpoint_back(
    struct checkpointer *c, const struct checkpoint_mark *mark);

/* A record joins the transaction that is under way. */
void checkpoint_add(struct checkpointer *c, const struct hash *record);
/* When the next is due without more records; INT64_MAX: not at all. */
int64_t checkpoint_due(const struct checkpointer *c);
/* Signs what there is, in the transaction that is under way. */
int checkpoint_write(struct checkpointer *c, sqlite3 *db, struct err *e);
/*
 * After that transaction: adds the note to checkpoints.txt. Without room there
 * the next call tries again, with this note or a later one.
 */
int checkpoint_tell(struct checkpointer *c, struct err *e);

/* Of a log; false when it has none, which is older than checkpoints. */
bool log_key_of(sqlite3 *db, struct note_key *out, struct err *e);
/* "paddock/" and the first 16 digits of the log's id. */
void log_origin(const struct hash *log, char out[static NOTE_NAME_BYTES]);

/*
 * The last checkpoint's note is appended to out, its size is given; 0 when
 * there is none.
 */
int checkpoint_last(
    sqlite3 *db, uint64_t *size, struct buf *out, struct err *e);

#endif
