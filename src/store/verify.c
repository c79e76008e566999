/*
 * Verifying a store: two passes in one read transaction.
 *
 * The first follows the chain from the log's id to the head that was written
 * with the last record, and holds each record against its columns and its
 * blobs. The second walks the index by run and step, and looks at the order
 * of what belongs together. Memory does not grow with the store.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "codec/json.h"
#include "core/id.h"
#include "core/merkle.h"
#include "store/blob.h"
#include "store/db.h"
#include "store/inside.h"
#include "store/keys.h"
#include "store/order.h"
#include "store/store.h"

/* Blobs found to be right: enough for those that many records share. */
enum { SEEN_BLOBS = 1 << 15 };

/* A row, as it stands in the table. */
struct stored {
	uint64_t seq, step;
	int64_t t_us, kind;
	struct str run, tool, body, hash;
};

/* The members of a record that are held against something; may be NULL. */
struct members {
	const struct json *seq, *run, *step, *t, *kind, *tool, *res;
};

struct verifier {
	sqlite3 *db;
	uint64_t only; /* this run's blobs and order; 0: everyone's */
	struct store_verdict *v;
	struct db_meta meta;
	struct hash prev;
	uint64_t expect; /* number of the next record */
	struct arena memory; /* of one record */
	struct buf blob;
	struct buf seen; /* SEEN_BLOBS hashes */
	sqlite3_stmt *find_blob;
	sqlite3_stmt *find_removed; /* NULL: the store has no such table */

	struct keys keys; /* the log's */
	struct merkle tree; /* of the records so far */
	sqlite3_stmt *checkpoint; /* the next one's row */
	uint64_t signed_at; /* its size, or 0 */
	struct str witness; /* what is left of it */
	const char *seen_by; /* whose that is */
	bool counts; /* it is a witness's, not this machine's own */
	struct note copied; /* its next one, when its size is not 0 */
};

static int verify(
    struct verifier *w, const struct store_trust *trust, struct err *e);
static int start_checkpoints(
    struct verifier *w, const struct store_trust *trust, struct err *e);
static bool next_checkpoint(struct verifier *w);
static bool next_seen(struct verifier *w);
static bool check_signed(struct verifier *w, const struct hash *root);
static bool check_checkpoints(struct verifier *w);
static bool check_rest(struct verifier *w);
static int follow_chain(struct verifier *w, struct err *e);
static bool check_record(struct verifier *w, const struct stored *row);
static void find_members(const struct json *record, struct members *m);
static bool check_columns(
    struct verifier *w, const struct stored *row, const struct members *m);
static bool check_blob(struct verifier *w, const struct stored *row,
    const struct json *ref, const char *what);
static bool was_removed(struct verifier *w, uint64_t run);
static uint64_t run_of(const struct stored *row);
static bool check_end(struct verifier *w);
static int locate(struct verifier *w, struct err *e);
static int run_exists(struct verifier *w, struct err *e);
static bool damaged(sqlite3 *db);
static bool bad(struct verifier *w, enum store_fault fault, uint64_t seq,
    uint64_t run, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

int
store_verify(struct store *s, uint64_t run, const struct store_trust *trust,
    struct store_verdict *v, struct err *e)
{
	struct verifier w = { .db = s->reader, .only = run, .v = v };
	struct err end;
	int rc;

	*v = (struct store_verdict){};
	w.blob.max = STORE_MAX_EVENT_BYTES + HASH_BYTES;
	/* One snapshot: what a daemon writes meanwhile is left out. */
	if (db_exec(w.db, "BEGIN", e) < 0)
		return -1;
	rc = verify(&w, trust, e);
	db_stmt_fini(&w.find_blob);
	db_stmt_fini(&w.find_removed);
	db_stmt_fini(&w.checkpoint);
	arena_fini(&w.memory);
	buf_fini(&w.blob);
	buf_fini(&w.seen);
	keys_fini(&w.keys);
	if (db_exec(w.db, "ROLLBACK", &end) < 0 && rc == 0) {
		*e = end;
		return -1;
	}
	return rc;
}

static int
verify(struct verifier *w, const struct store_trust *trust, struct err *e)
{
	size_t seen = SEEN_BLOBS * sizeof(struct hash);
	char *zeros = buf_reserve(&w->seen, seen);
	struct err none;

	if (zeros == NULL)
		return err_set(e, "out of memory");
	memset(zeros, 0, seen);
	if (db_meta(w->db, &w->meta, e) < 0 ||
	    blob_prepare(w->db, &w->find_blob, e) < 0 || run_exists(w, e) < 0)
		return -1;
	/* A store that this program has never written to has none. */
	if (removed_prepare(w->db, &w->find_removed, &none) < 0)
		w->find_removed = NULL;
	w->prev = db_genesis(&w->meta.log);
	w->expect = 1;
	if (start_checkpoints(w, trust, e) < 0)
		return -1;
	if (w->v->fault == STORE_SOUND && follow_chain(w, e) < 0)
		return -1;
	w->v->head = w->prev;
	if (w->v->fault != STORE_SOUND)
		return locate(w, e);
	if (w->only != 0 && order_check_sum(w->db, w->only, w->v, e) < 0)
		return -1;
	if (order_check(w->db, w->only, w->v, e) < 0) {
		if (!damaged(w->db))
			return -1;
		(void)bad(w, STORE_BAD_RECORD, 0, 0,
		    "the index of the records is damaged: %s", e->text);
	}
	return locate(w, e);
}

static int
follow_chain(struct verifier *w, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	int got;

	if (db_prepare(w->db,
		"SELECT seq, run, step, t, kind, tool, body, hash FROM event"
		" ORDER BY seq",
		&st, e) < 0)
		return -1;
	while ((got = db_step(st, e)) > 0) {
		struct stored row = { .seq = db_u64(st, 0),
			.run = db_str(st, 1),
			.step = db_u64(st, 2),
			.t_us = sqlite3_column_int64(st, 3),
			.kind = sqlite3_column_int64(st, 4),
			.tool = db_str(st, 5),
			.body = db_str(st, 6),
			.hash = db_str(st, 7) };

		if (!check_record(w, &row))
			return 0;
		w->v->records++;
		w->expect++;
		if (!check_checkpoints(w))
			return 0;
	}
	if (got < 0) {
		if (!damaged(w->db))
			return -1;
		(void)bad(w, STORE_BAD_RECORD, w->expect, 0, "%s", e->text);
		return 0;
	}
	(void)(check_end(w) && check_rest(w));
	return 0;
}

/* The log's key, and the first checkpoint of the table and of the witness. */
static int
start_checkpoints(
    struct verifier *w, const struct store_trust *trust, struct err *e)
{
	int got;

	if (trust != NULL)
		w->witness = trust->witness;
	w->counts = trust == NULL || trust->seen_by == NULL;
	w->seen_by = w->counts ? "the witness" : trust->seen_by;
	if (!w->meta.has_key) {
		if (trust != NULL &&
		    (trust->key != NULL || trust->witness.n > 0))
			return keys_load(&w->keys, w->db, e) < 0 ? -1 : 0;
		return 0;
	}
	got = keys_load(&w->keys, w->db, e);
	if (got < 0 ||
	    db_prepare(w->db, "SELECT size, note FROM checkpoint ORDER BY size",
		&w->checkpoint, e) < 0)
		return -1;
	if (got == 0) {
		(void)bad(w, STORE_SIG_BAD, 0, 0, "%s", e->text);
		return 0;
	}
	if (trust != NULL && trust->key != NULL &&
	    !keys_have(&w->keys, trust->key)) {
		(void)bad(w, STORE_SIG_BAD, 0, 0,
		    "the log's key is not the one that was given");
		return 0;
	}
	(void)(next_checkpoint(w) && next_seen(w));
	return 0;
}

/* Where the next one of the table is; it is looked at when that is reached. */
static bool
next_checkpoint(struct verifier *w)
{
	struct err e;
	int got = db_step(w->checkpoint, &e);

	w->signed_at = got > 0 ? db_u64(w->checkpoint, 0) : 0;
	if (got < 0 || (got > 0 && w->signed_at == 0))
		return bad(w, STORE_BAD_RECORD, w->expect, 0,
		    "the checkpoint after it cannot be read: %s",
		    got < 0 ? e.text : "its size is 0");
	return true;
}

/* The table's checkpoint of what has been read so far, which root is of. */
static bool
check_signed(struct verifier *w, const struct hash *root)
{
	uint64_t size = w->tree.size;
	struct note n;
	struct err e;

	if (note_parse(db_str(w->checkpoint, 1), keys_for(&w->keys, size), &n,
		&e) <= 0)
		return bad(w, STORE_SIG_BAD, size, 0,
		    "the checkpoint at it is not signed by the log's key");
	if (n.size != size)
		return bad(w, STORE_CHECKPOINT_MISMATCH, size, 0,
		    "the checkpoint at it is of %" PRIu64 " records", n.size);
	if (!hash_eq(root, &n.root))
		return bad(w, STORE_CHECKPOINT_MISMATCH, size, 0,
		    "the records up to it are not those that were signed");
	w->v->checkpoints++;
	w->v->signed_size = size;
	return next_checkpoint(w);
}

static bool
next_seen(struct verifier *w)
{
	uint64_t last = w->copied.size;
	struct err e;
	ssize_t n;

	w->copied = (struct note){};
	/* Which key must have signed it follows from its size. */
	n = note_parse(w->witness, NULL, &w->copied, &e);
	if (n > 0)
		n = note_parse(w->witness, keys_for(&w->keys, w->copied.size),
		    &w->copied, &e);
	if (n < 0)
		return bad(w, STORE_SIG_BAD, last + 1, 0,
		    "after the checkpoint of %" PRIu64 " records of %s: %s",
		    last, w->seen_by, e.text);
	w->witness.p += n;
	w->witness.n -= (size_t)n;
	if (n > 0 && w->copied.size <= last)
		return bad(w, STORE_CHECKPOINT_MISMATCH, w->copied.size, 0,
		    "%s saw the log shrink from %" PRIu64
		    " records to %" PRIu64,
		    w->seen_by, last, w->copied.size);
	return true;
}

/* Holds what was signed at this size, here and elsewhere, against the tree. */
static bool
check_checkpoints(struct verifier *w)
{
	const struct hash leaf = merkle_leaf(&w->prev);
	uint64_t size;
	struct hash root;

	merkle_add(&w->tree, &leaf);
	size = w->tree.size;
	if (w->signed_at != size && w->copied.size != size)
		return true;
	root = merkle_root(&w->tree);
	if (w->signed_at == size && !check_signed(w, &root))
		return false;
	if (w->copied.size != size)
		return true;
	if (!hash_eq(&root, &w->copied.root))
		return bad(w, STORE_CHECKPOINT_MISMATCH, size, 0,
		    "the records up to it are not those that %s saw",
		    w->seen_by);
	w->v->checkpoints += w->counts;
	return next_seen(w);
}

/* What was signed and is not there. */
static bool
check_rest(struct verifier *w)
{
	uint64_t size = w->signed_at > 0 ? w->signed_at : w->copied.size;

	if (size > 0)
		return bad(w, STORE_TRUNCATED, w->expect, 0,
		    "the log had %" PRIu64 " records when it was signed, and "
		    "has %" PRIu64,
		    size, w->tree.size);
	if (w->v->signed_size != w->meta.signed_size)
		return bad(w, STORE_TRUNCATED, w->meta.signed_size, 0,
		    "the checkpoint at it is gone");
	return true;
}

static bool
check_record(struct verifier *w, const struct stored *row)
{
	const struct str pieces[] = { { "", 1 },
		{ (const char *)w->prev.b, HASH_BYTES }, row->body };
	struct hash h = hash_of_pieces(pieces, 3);
	const struct json *record;
	struct members m = {};
	uint64_t number = 0;
	struct err why;

	if (row->seq != w->expect)
		return bad(w, STORE_MISSING, w->expect, 0,
		    "it is left out: record %" PRIu64 " comes next", row->seq);
	arena_reset(&w->memory);
	record = json_parse(row->body, NULL, &w->memory, &why, NULL);
	find_members(record, &m);
	if (row->hash.n != HASH_BYTES ||
	    memcmp(row->hash.p, h.b, HASH_BYTES) != 0) {
		/* Whole, but not in its place: it was moved. */
		if (json_u64(m.seq, &number) == 0 && number != row->seq)
			return bad(w, STORE_CHAIN_BROKEN, row->seq, run_of(row),
			    "record %" PRIu64 " stands in its place", number);
		return bad(w, STORE_HASH_MISMATCH, row->seq, run_of(row),
		    "its bytes and the hash before it do not give its hash");
	}
	if (record == NULL)
		return bad(
		    w, STORE_BAD_RECORD, row->seq, run_of(row), "%s", why.text);
	if (!check_columns(w, row, &m))
		return false;
	w->prev = h;
	if (w->only != 0 && w->only != run_of(row))
		return true;
	return check_blob(w, row, json_get(m.tool, STR("args")), "arguments") &&
	    check_blob(w, row, json_get(m.res, STR("out")), "result");
}

/* One walk, since there is one per record. */
static void
find_members(const struct json *record, struct members *m)
{
	if (!json_is(record, JSON_OBJECT))
		return;
	for (const struct json *key = json_first(record); key != NULL;
	     key = json_next(record, key)) {
		struct str k = json_str(key);
		const struct json *v = json_value(key);

		if (str_eq(k, STR("seq")))
			m->seq = v;
		else if (str_eq(k, STR("run")))
			m->run = v;
		else if (str_eq(k, STR("res")))
			m->res = v;
		else if (str_eq(k, STR("step")))
			m->step = v;
		else if (str_eq(k, STR("kind")))
			m->kind = v;
		else if (str_eq(k, STR("tool")))
			m->tool = v;
		else if (str_eq(k, STR("t")))
			m->t = v;
	}
}

/* The columns find records; they may not say anything else than the record. */
static bool
check_columns(
    struct verifier *w, const struct stored *row, const struct members *m)
{
	uint64_t seq = 0, step = 0, t = 0;
	const char *kind = "", *differs = NULL;

	if (json_u64(m->seq, &seq) < 0 || json_u64(m->step, &step) < 0 ||
	    json_u64(m->t, &t) < 0 || !json_is(m->run, JSON_STRING) ||
	    !json_is(m->kind, JSON_STRING))
		return bad(w, STORE_BAD_RECORD, row->seq, run_of(row),
		    "it lacks a number, a run, a step, a time or a kind");
	if (seq != row->seq)
		return bad(w, STORE_CHAIN_BROKEN, row->seq, run_of(row),
		    "record %" PRIu64 " stands in its place", seq);
	if (row->kind >= EVENT_RUN_OPENED && row->kind < EVENT_KINDS)
		kind = event_kind_name((enum event_kind)row->kind);
	if (!str_eq(json_str(m->run), row->run))
		differs = "run";
	else if (step != row->step)
		differs = "step";
	else if (t != (uint64_t)row->t_us)
		differs = "time";
	else if (!str_eq_c(json_str(m->kind), kind))
		differs = "kind";
	else if (!str_eq(json_str(json_get(m->tool, STR("name"))), row->tool))
		differs = "tool";
	if (differs != NULL)
		return bad(w, STORE_BAD_RECORD, row->seq, run_of(row),
		    "it is listed under another %s than it says", differs);
	return true;
}

static bool
check_blob(struct verifier *w, const struct stored *row, const struct json *ref,
    const char *what)
{
	struct hash h, found, *seen;
	struct err e;
	uint32_t at;
	int got;

	if (ref == NULL)
		return true;
	if (hash_from_hex(json_str(json_get(ref, STR("h"))), &h) < 0)
		return bad(w, STORE_BAD_RECORD, row->seq, run_of(row),
		    "its %s have no hash", what);
	if (str_eq(json_str(json_get(ref, STR("kept"))), STR("hash")))
		return true;
	memcpy(&at, h.b, sizeof(at));
	seen = (struct hash *)(void *)w->seen.p + at % SEEN_BLOBS;
	if (memcmp(seen->b, h.b, HASH_BYTES) == 0)
		return true;
	buf_reset(&w->blob);
	got = blob_find(w->find_blob, &h, &w->blob, &e);
	if (got < 0)
		return bad(w, STORE_BLOB_MISMATCH, row->seq, run_of(row),
		    "the blob of its %s cannot be read: %s", what, e.text);
	if (got == 0)
		return was_removed(w, run_of(row)) ||
		    bad(w, STORE_BLOB_MISMATCH, row->seq, run_of(row),
			"the blob of its %s is missing, and no record says "
			"that it was removed",
			what);
	found = hash_of(w->blob.p, w->blob.n);
	if (memcmp(found.b, h.b, HASH_BYTES) != 0)
		return bad(w, STORE_BLOB_MISMATCH, row->seq, run_of(row),
		    "the blob of its %s is not the one it names", what);
	*seen = h;
	return true;
}

/* Gone by rule, as a record of the chain says. */
static bool
was_removed(struct verifier *w, uint64_t run)
{
	struct err ignored;
	int64_t ns = 0;

	if (w->find_removed == NULL ||
	    removed_find(w->find_removed, run, &ns, &ignored) <= 0)
		return false;
	w->v->removed++;
	if (ns > w->v->removed_ns)
		w->v->removed_ns = ns;
	return true;
}

static uint64_t
run_of(const struct stored *row)
{
	uint64_t run = 0;

	if (id_parse('r', row->run, &run) < 0)
		return 0; /* not known */
	return run;
}

/* Number and head of the last record were written with it. */
static bool
check_end(struct verifier *w)
{
	uint64_t last = w->expect - 1;

	if (last < w->meta.count)
		return bad(w, STORE_TRUNCATED, w->expect, 0,
		    "the store had %" PRIu64 " records and has %" PRIu64,
		    w->meta.count, last);
	if (last > w->meta.count)
		return bad(w, STORE_CHAIN_BROKEN, w->meta.count + 1, 0,
		    "the store ended before it, at record %" PRIu64,
		    w->meta.count);
	if (w->meta.head_lost)
		return bad(
		    w, STORE_TRUNCATED, last, 0, "the store's head is gone");
	if (memcmp(w->meta.head.b, w->prev.b, HASH_BYTES) != 0)
		return bad(w, STORE_TRUNCATED, last, 0,
		    "the store's head is not its hash");
	return true;
}

/* The step of the first bad record, when its row is there and names it. */
static int
locate(struct verifier *w, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	int got;

	if (w->v->run == 0)
		return 0;
	if (db_prepare(w->db, "SELECT step FROM event WHERE seq = ?", &st, e) <
	    0)
		return -1;
	if (sqlite3_bind_int64(st, 1, (int64_t)w->v->seq) != SQLITE_OK)
		return db_err(w->db, e, "bind");
	got = db_step(st, e);
	if (got > 0)
		w->v->step = (uint32_t)db_u64(st, 0);
	return got < 0 ? -1 : 0;
}

static int
run_exists(struct verifier *w, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	char id[ID_BYTES];
	int got;

	if (w->only == 0)
		return 0;
	id_text('r', w->only, id);
	if (db_prepare(w->db,
		"SELECT 1 FROM run WHERE id = ?1 UNION ALL"
		" SELECT 1 FROM event WHERE run = ?1 LIMIT 1",
		&st, e) < 0)
		return -1;
	if (sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC) != SQLITE_OK)
		return db_err(w->db, e, "bind");
	got = db_step(st, e);
	if (got == 0)
		return err_set(
		    e, "no run %s here: paddock ps --all lists the runs", id);
	return got < 0 ? -1 : 0;
}

/* Was the last failure the file's contents, not reading it? */
static bool
damaged(sqlite3 *db)
{
	int rc = sqlite3_errcode(db) & 0xff;

	return rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB;
}

/* Writes down what is wrong with record seq. Returns false. */
static bool
bad(struct verifier *w, enum store_fault fault, uint64_t seq, uint64_t run,
    const char *fmt, ...)
{
	va_list ap;

	w->v->fault = fault;
	w->v->seq = seq;
	w->v->run = run;
	va_start(ap, fmt);
	(void)vsnprintf(w->v->text, sizeof(w->v->text), fmt, ap);
	va_end(ap);
	return false;
}
