/*
 * store/store.h: the record keeper. The broker alone writes; the command line
 * opens a store read-only to show and verify it.
 *
 * Records are numbered, chained and queued by the caller's thread; a thread of
 * the store's own writes them in groups (of STORE_GROUP_EVENTS records, or of
 * what there is after STORE_GROUP_MS, or more when more wait) to SQLite in WAL
 * mode, synchronous=FULL. What the caller must not do before a record is on
 * disk waits for store_durable().
 *
 * The chain: h_i = SHA-256(0x00 || h_{i-1} || bytes_i), h_0 = SHA-256(
 * "paddock-log-v1" || log id); each run's head is in its run.closed record.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "core/event.h"

struct json; /* codec/json.h */
struct note_key; /* codec/note.h */
struct store;

/*
 * Opens, or makes, the store in a directory for writing. One writer at a
 * time: a second one is refused with the first one's pid. NULL with e.
 */
struct store *store_open(const char *dir, struct err *e);
/*
 * The same without the thread, for who brings in much at once: whatever is
 * appended is one transaction until store_commit(), and what is not committed
 * when the store is closed was never there. Nothing waits for store_durable().
 */
struct store *store_open_bulk(const char *dir, struct err *e);
int store_commit(struct store *s, struct err *e);
/*
 * For a store that is open in bulk, with nothing to commit: makes another key,
 * has both sign that it follows, and signs with it from here on. That is
 * committed when this returns, and the old secret is gone.
 */
int store_change_key(struct store *s, const char *dir, struct note_key *old,
    struct note_key *next, struct err *e);
/* For reading, also while a daemon writes. NULL with e. */
struct store *store_open_read(const char *dir, struct err *e);
/* Writes what is queued, then closes. Returns 0, or -1 when that failed. */
int store_close(struct store *s, struct err *e);

/* --- writing ----------------------------------------------------------- */

/*
 * Queues a record with its blobs, whose hashes it sets; with run.closed the
 * head of the run's row, in the same transaction. Returns its number, from 1,
 * or 0 when the queue is full or the disk has failed (then no new effect may
 * start); and while the disk is full, for what begins something new. What ends
 * something is taken then, and waits for room.
 */
uint64_t store_append(struct store *s, struct event *ev);
/* The highest number that has been given to a record. */
uint64_t store_made(const struct store *s);
/* The highest number that is on disk. */
uint64_t store_durable(const struct store *s);
/* More is waiting for the disk than should. */
bool store_is_behind(const struct store *s);
/*
 * The disk is full: what is queued is kept, and tried again until there is
 * room. Then *why says what the disk said; it may be NULL.
 */
bool store_is_full(struct store *s, struct err *why);
/*
 * Becomes readable when store_durable has moved, when the disk has become full
 * or has room again, or when writing has failed.
 */
int store_event_fd(const struct store *s);
/* Empties store_event_fd. -1 with e once writing has failed for good. */
int store_check(struct store *s, struct err *e);
/* Asks the writer not to wait for a fuller group. */
void store_hurry(struct store *s);
/* Number, time and hash of the last record appended. */
struct hash store_head(const struct store *s);

/* A run's row; written in order with the records. */
struct store_run {
	uint64_t id;
	struct str tenant, actor, role, workflow;
	uint32_t stage;
	struct str mode; /* "sandbox" */
	struct hash policy;
	int64_t opened_ns, closed_ns; /* 0: still open */
	struct str status; /* "open", "closed", "stopped", "failed" */
	struct str stop_reason;
	struct hash head; /* hash of its run.closed record */
	uint32_t steps;
	struct str command; /* for people */
	uint32_t exit_status;
};

/* Queues the row (inserted, or replaced by id). 0, or -1 when failed. */
int store_put_run(struct store *s, const struct store_run *r);

/* An approval's row. args, result and votes are canonical JSON. */
struct store_approval {
	uint64_t id, run;
	uint32_t step;
	struct str tool;
	struct str state; /* pending approved rejected expired cancelled
			   * executed failed */
	struct str args; /* as approved: the edited ones after an edit */
	struct hash args_hash;
	struct hash policy;
	struct str body; /* risk, reasons, labels, votes, result: an object */
	int64_t requested_ns, deadline_ns;
};

int store_put_approval(struct store *s, const struct store_approval *a);

/* A draft that leaves nothing: tool, arguments and their hash. */
int store_put_draft(struct store *s, uint64_t id, uint64_t run, struct str tool,
    struct str args, const struct hash *args_hash);

/* The document of a policy version, for explaining old runs. */
int store_put_policy(
    struct store *s, const struct hash *version, struct str canonical);

/* A bearer token's hash and what it stands for. */
struct store_token {
	struct hash hash;
	struct str tenant, actor, role;
	uint64_t run; /* a run's own token, else 0 */
};

int store_put_token(struct store *s, const struct store_token *t);

/* What an API token stands for, by its hash: an object, the broker's own. */
int store_put_api_token(
    struct store *s, const struct hash *token, struct str body);

/*
 * How long a row is kept: it may go when it is asked for with a later
 * forget_ms. With one, STORE_FORGET_ROWS of those that may go do so in the same
 * transaction; so the rows become no more than those that are still needed, and
 * no row makes more work than that. 0: none goes.
 */
struct store_kept {
	int64_t until_ms, forget_ms; /* UTC */
};

/*
 * What a tenant or workflow has spent in the window that begins at start_ms:
 * body is an object, the broker's own. A later one takes its place.
 */
int store_put_spent(struct store *s, struct str name, int64_t start_ms,
    struct str body, const struct store_kept *kept);
/* Appends the arguments of a draft. -1 with e: it is not kept here. */
int store_draft(struct store *s, uint64_t id, struct buf *args, struct err *e);

/* What is known of a snapshot: an object, the broker's own; "": it is gone. */
int store_put_snapshot(struct store *s, uint64_t id, struct str body);

/*
 * What a tool of a server was said to be: a row, which is the broker's own
 * object, and two definitions, one of them often absent. All of one change is
 * on disk together, or nothing of it is.
 */
enum pin_slot { PIN_ACCEPTED, PIN_SEEN, PIN_SLOTS };
struct store_pin {
	struct hash key;
	struct str body; /* "": the row and both texts are to go */
	struct str text[PIN_SLOTS]; /* "": stays */
	bool drops[PIN_SLOTS]; /* its text goes */
	/* The other slot's text takes the place of this one's. */
	bool moves[PIN_SLOTS];
};

int store_put_pin(struct store *s, const struct store_pin *p);

/* A call that has a key (broker/idem.h); state and kind are the broker's. */
struct store_idem {
	struct hash key, args;
	uint64_t run;
	uint32_t step, state, kind;
};

int store_put_idem(struct store *s, const struct store_idem *row,
    struct str result, const struct store_kept *kept);

/* --- retention (store/keep.h) ------------------------------------------ */

enum store_level {
	STORE_KEEP_RAW,
	STORE_KEEP_REDACTED, /* the form of what is JSON, and no value */
	STORE_KEEP_HASH, /* nothing but an HMAC */
};

struct store_rule {
	struct str tenant; /* "*": those without a rule of their own */
	enum store_level level;
	uint32_t after_s; /* since a run closed; 0: for ever */
};

/*
 * Sets a tenant's rule, with the record of it, in one transaction; raw for
 * ever takes it away. Returns the record's number, 0 with e.
 */
uint64_t store_put_rule(struct store *s, const struct store_rule *r,
    struct event *ev, struct err *e);
/* Those of a store that is open for writing. */
void store_rules(struct store *s,
    bool (*on)(void *arg, const struct store_rule *r), void *arg);
const char *store_level_name(enum store_level l); /* "redacted" */
int store_level_parse(struct str s, enum store_level *out);

/* A closed run whose content has come to its age. */
struct store_due {
	uint64_t run;
	struct str tenant;
	uint64_t contents, bytes; /* that are its own, and kept */
	int64_t closed_ns;
	uint32_t after_s;
};

/*
 * Looks at some rows of runs behind *cursor, and calls on for each that is due
 * at now_ns. *cursor moves on; it is 0 again at their end. -1 with e.
 */
int store_due(struct store *s, int64_t now_ns, uint64_t *cursor, uint32_t rows,
    bool (*on)(void *arg, const struct store_due *d), void *arg, struct err *e);
/*
 * Removes what is a run's own, and its approvals, drafts and answers under a
 * key, with the record ev that says so, in one transaction. Returns the
 * record's number, 0 when the store takes none.
 */
uint64_t store_forget(struct store *s, uint64_t run, struct event *ev);
/* When content of a run was removed by rule, as the record of it says, or 0. */
int64_t store_removed_ns(struct store *s, uint64_t run);

struct store_swept {
	uint64_t contents, bytes; /* removed */
	uint64_t shared; /* kept: other runs refer to them, too */
};

/*
 * For a store that is open in bulk, with nothing to commit: finds what was kept
 * without a rule, if all runs that refer to it have come to their age since.
 * Then store_sweep(), behind a record of it, removes that.
 */
int store_sweep_list(struct store *s, struct store_swept *out, struct err *e);
int store_sweep(struct store *s, struct err *e);

/* --- reading ----------------------------------------------------------- */
/*
 * Each calls `on` per row until it returns false. 0, or -1 with e. They see
 * what is on disk, so not what is still queued; a limit of 0 is none.
 */

/*
 * All that is read from now on, until the store is closed, is of this moment;
 * and no statement asks again where the log ends. For who reads much and then
 * ends: what a daemon writes meanwhile is kept beside the database until then.
 */
int store_read_as_of_now(struct store *s, struct err *e);

struct store_row {
	uint64_t seq, run;
	uint32_t step;
	int64_t t_ns;
	enum event_kind kind;
	struct str tool; /* "" when none */
	struct str body; /* the stored bytes */
	struct hash hash;
};

int store_events(struct store *s, uint64_t run, uint32_t from_step,
    uint32_t limit, bool (*on)(void *arg, const struct store_row *row),
    void *arg, struct err *e);
/*
 * Where the records of a run are whose kind has its bit in `kinds`: appends a
 * struct store_place each, in order. The index knows all of it; no record is
 * read.
 */
struct store_place {
	uint64_t seq;
	uint32_t step;
	enum event_kind kind;
};
int store_places(struct store *s, uint64_t run, uint64_t kinds, struct buf *out,
    struct err *e);
/* The one record; -1 with e when it is gone. */
int store_event(struct store *s, uint64_t seq,
    void (*on)(void *arg, const struct store_row *row), void *arg,
    struct err *e);
/* All of one step, in order. */
int store_step(struct store *s, uint64_t run, uint32_t step,
    bool (*on)(void *arg, const struct store_row *row), void *arg,
    struct err *e);
/* Newest first; run 0: all; only_open: those without an end. */
int store_runs(struct store *s, uint64_t run, bool only_open, uint32_t limit,
    bool (*on)(void *arg, const struct store_run *r), void *arg, struct err *e);
/* Appends the document of a policy version. -1 with e: there is none. */
int store_policy(struct store *s, const struct hash *version, struct buf *out,
    struct err *e);
/* state "": all. id 0: all. */
int store_approvals(struct store *s, uint64_t id, struct str state,
    bool (*on)(void *arg, const struct store_approval *a), void *arg,
    struct err *e);
/* Does an approval of the run wait for an answer? -1 with e. */
int store_is_asked(struct store *s, uint64_t run, struct err *e);
int store_tokens(struct store *s,
    bool (*on)(void *arg, const struct store_token *t), void *arg,
    struct err *e);
/* Of a store that is open for writing. */
int store_api_tokens(struct store *s,
    bool (*on)(void *arg, const struct hash *token, struct str body), void *arg,
    struct err *e);
/* Likewise. */
int store_pins(struct store *s,
    bool (*on)(void *arg, const struct hash *key, struct str body), void *arg,
    struct err *e);
/* 1 with the definition (appended), 0: it is not there. -1 with e. */
int store_pin_text(struct store *s, const struct hash *key, enum pin_slot slot,
    struct buf *out, struct err *e);
/* What is spent of one name. 1: body appended, 0: there is none. -1 with e. */
int store_spent(struct store *s, struct str name, int64_t *start_ms,
    struct buf *body, struct err *e);
/*
 * 1 with the row, its result (appended) and until when it is kept, 0: there is
 * none. -1 with e.
 */
int store_idem(struct store *s, const struct hash *key, struct store_idem *out,
    struct buf *result, int64_t *until_ms, struct err *e);
/* Those that are not gone. */
int store_snapshots(struct store *s,
    bool (*on)(void *arg, uint64_t id, struct str body), void *arg,
    struct err *e);
/* Appends a blob's bytes. -1 when there is none. */
int store_blob(
    struct store *s, const struct hash *h, struct buf *out, struct err *e);
/* The same, held against the hash. */
int store_blob_sound(
    struct store *s, const struct hash *h, struct buf *out, struct err *e);
/*
 * What a reference's content is compared by: its hash, or, where that is
 * salted and the content still there, the content's own.
 */
int store_content_hash(
    struct store *s, const struct json *ref, struct hash *out);

enum store_fault {
	STORE_SOUND,
	STORE_HASH_MISMATCH, /* a record's bytes are not what was chained */
	STORE_CHAIN_BROKEN, /* a record does not follow the one before */
	STORE_ORDER_INVALID, /* a call's records are out of order */
	STORE_MISSING, /* a number is left out */
	STORE_TRUNCATED, /* a run's end, or the last head, is gone */
	STORE_BLOB_MISMATCH, /* a blob is not what its record names */
	STORE_BAD_RECORD, /* not a record at all */
	STORE_SIG_BAD, /* a checkpoint is not signed by the log's key */
	STORE_CHECKPOINT_MISMATCH, /* what was signed is not what is there */
};

struct store_verdict {
	enum store_fault fault;
	uint64_t seq; /* the first bad record */
	uint64_t run; /* that it belongs to, if known */
	uint32_t step; /* of that run; 0: none, or not known */
	uint64_t records; /* looked at */
	uint64_t runs;
	uint64_t checkpoints; /* in the store, and of the witness */
	uint64_t signed_size; /* records that the last of them covers */
	uint64_t removed; /* references to what is gone by rule */
	int64_t removed_ns; /* when the last of it went */
	char text[256]; /* what is wrong with it, for people */
	struct hash head;
};

/* What is known from outside the store; NULL and "": nothing. */
struct store_trust {
	const struct note_key *key; /* the log's, noted earlier */
	struct str witness; /* checkpoints that were copied elsewhere */
	const char *seen_by; /* whose they are, for people */
};

/*
 * Verifies the whole chain and its checkpoints (run 0) or, with the whole
 * chain, one run: that its records are all there, in order, and end where
 * run.closed says. What is written while this runs is left out. 0 with *v
 * filled in, or -1 with e when the store cannot be read.
 */
int store_verify(struct store *s, uint64_t run, const struct store_trust *trust,
    struct store_verdict *v, struct err *e);
/* The log's public key. -1: it has none. */
int store_key(struct store *s, struct note_key *out, struct err *e);
/* The last checkpoint and its size; 0 and nothing when there is none. */
int store_checkpoint(
    struct store *s, uint64_t *size, struct buf *out, struct err *e);
const char *store_fault_name(enum store_fault f); /* "HASH_MISMATCH" */

#endif
