/*
 * Reading a bundle: the lines in their order into a database in memory, each
 * record against its own hash and the one before it, all of them against the
 * signed root, and then as a run of any other store.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zstd.h>

#include "base/arena.h"
#include "base/limits.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "core/id.h"
#include "core/merkle.h"
#include "store/bundle.h"
#include "store/inside.h"
#include "store/keys.h"
#include "store/order.h"
#include "store/refs.h"

enum { IN_BYTES = 128 * 1024, BUNDLE_VERSION = 1 };

/* What comes in which order. */
enum part { PART_RECORDS, PART_PROOF, PART_BLOBS, PART_POLICIES, PART_END };

struct leaf {
	uint64_t seq;
	struct hash hash;
};

struct reading {
	int fd;
	const struct note_key *key;
	struct bundle *b;
	struct store_verdict *v;
	sqlite3 *db;
	sqlite3_stmt *put_event, *put_blob, *put_policy;

	ZSTD_DCtx *unpacker;
	char in[IN_BYTES];
	ZSTD_inBuffer left;
	struct hasher *file; /* over what was read of it */
	bool ended; /* the file */
	bool whole; /* the frame that was read last */
	struct buf text; /* unpacked */
	size_t at; /* of the line that comes next */
	uint64_t unpacked, line;

	enum part part;
	struct note note;
	struct buf note_text;
	uint64_t want; /* records, by the head */
	uint64_t omitted; /* by the end; UINT64_MAX: it does not say */
	struct buf leaves, proof;
	struct refs refs;
	struct hash prev; /* of the last record */
	uint64_t prev_seq;
	char id[ID_BYTES];
	struct arena memory; /* of one line */
};

static const struct json_limits line_limits = {
	.max_bytes = BUNDLE_MAX_LINE_BYTES, /* the rest as everywhere */
	.max_depth = JSON_MAX_DEPTH,
	.max_values = JSON_MAX_VALUES,
	.max_members = JSON_MAX_MEMBERS,
};

static int read_all(struct reading *r, struct err *e);
static int next_line(struct reading *r, struct str *out, struct err *e);
static int unpack_more(struct reading *r, struct err *e);
static int take_head(struct reading *r, const struct json *o, struct err *e);
static int put_row(struct reading *r, const struct json *row, struct err *e);
static int take_line(struct reading *r, struct str line, struct err *e);
static int take_record(
    struct reading *r, struct str line, const struct json *o, struct err *e);
static int put_record(struct reading *r, struct str body,
    const struct json *record, uint64_t seq, const struct hash *h,
    struct err *e);
static int take_proof(
    struct reading *r, const struct json *list, struct err *e);
static int take_blob(struct reading *r, const struct json *o, struct err *e);
static int take_policy(struct reading *r, const struct json *o, struct err *e);
static int put_blob(struct reading *r, const struct hash *h, struct str bytes,
    bool salted, struct err *e);
static int put_bytes(struct reading *r, sqlite3_stmt *st, const struct hash *h,
    struct str bytes, struct err *e);
static int check_proof(struct reading *r, struct err *e);
static int check_run(struct reading *r, struct err *e);
static int check_content(struct reading *r, struct err *e);
static int has_blob(
    struct reading *r, sqlite3_stmt *st, const char *h, struct err *e);
static int64_t signed_of(const struct json *text);
static void bad(struct reading *r, enum store_fault fault, uint64_t seq,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

struct store *
bundle_open(int fd, const struct note_key *key, struct bundle *b,
    struct store_verdict *v, struct err *e)
{
	struct reading *r = calloc(1, sizeof(*r));
	struct store *s = NULL;

	*b = (struct bundle){};
	*v = (struct store_verdict){};
	if (r == NULL) {
		(void)err_set(e, "out of memory");
		return NULL;
	}
	*r = (struct reading){ .fd = fd, .key = key, .b = b, .v = v };
	r->text.max = BUNDLE_MAX_LINE_BYTES + 2 * IN_BYTES;
	r->leaves.max = BUNDLE_MAX_RECORDS * sizeof(struct leaf);
	r->proof.max = BUNDLE_MAX_PROOF * sizeof(struct hash);
	refs_init(&r->refs);
	r->file = hasher_new();
	r->unpacker = ZSTD_createDCtx();
	if (r->unpacker == NULL ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(
		r->unpacker, ZSTD_d_windowLogMax, BUNDLE_WINDOW_LOG)))
		(void)err_set(e, "zstd: out of memory");
	else if (db_open_memory(&r->db, e) == 0 && read_all(r, e) == 0)
		s = store_over_take(db_take(&r->db));
	db_stmt_fini(&r->put_event);
	db_stmt_fini(&r->put_blob);
	db_stmt_fini(&r->put_policy);
	db_fini(&r->db);
	(void)ZSTD_freeDCtx(r->unpacker);
	buf_fini(&r->text);
	buf_fini(&r->note_text);
	buf_fini(&r->leaves);
	buf_fini(&r->proof);
	refs_fini(&r->refs);
	arena_fini(&r->memory);
	b->digest = hasher_end_free(r->file);
	free(r);
	return s;
}

static int
read_all(struct reading *r, struct err *e)
{
	struct str line = {};
	int got;

	if (db_prepare(r->db,
		"INSERT INTO event VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
		&r->put_event, e) < 0 ||
	    db_prepare(r->db,
		"INSERT OR IGNORE INTO blob VALUES(?1, length(?2) - ?4, ?3, "
		"?2)",
		&r->put_blob, e) < 0 ||
	    db_prepare(r->db, "INSERT OR IGNORE INTO policy VALUES(?1, ?2)",
		&r->put_policy, e) < 0)
		return -1;
	while ((got = next_line(r, &line, e)) > 0) {
		if (r->part == PART_END)
			return err_set(e,
			    "line %" PRIu64 ": there is more behind the end",
			    r->line);
		if (take_line(r, line, e) < 0)
			return err_add(e, "line %" PRIu64, r->line);
	}
	if (got < 0)
		return -1;
	if (r->part != PART_END)
		return err_set(e,
		    "it ends after line %" PRIu64 ", before its last: it was "
		    "cut off",
		    r->line);
	return check_run(r, e);
}

/* 1: a line, without its end; 0: none is left; -1. */
static int
next_line(struct reading *r, struct str *out, struct err *e)
{
	size_t looked = 0;

	for (;;) {
		struct str rest = { r->text.p + r->at, r->text.n - r->at };
		struct str fresh = { rest.p + looked, rest.n - looked };
		size_t end = str_find(fresh, '\n');

		if (end < fresh.n) {
			*out = (struct str){ rest.p, looked + end };
			r->at += looked + end + 1;
			r->line++;
			return 1;
		}
		looked = rest.n;
		if (r->ended && r->left.pos == r->left.size) {
			if (rest.n > 0 || !r->whole)
				return err_set(e,
				    "it ends within line %" PRIu64
				    ": it was cut off",
				    r->line + 1);
			return 0;
		}
		buf_drop(&r->text, r->at);
		r->at = 0;
		if (unpack_more(r, e) < 0)
			return err_add(e, "line %" PRIu64, r->line + 1);
	}
}

static int
unpack_more(struct reading *r, struct err *e)
{
	ZSTD_outBuffer out = { NULL, IN_BYTES, 0 };
	size_t rc;

	if (r->left.pos == r->left.size && !r->ended) {
		ssize_t n = read(r->fd, r->in, sizeof(r->in));

		if (n < 0)
			return err_sys(e, "read");
		r->ended = n == 0;
		r->left = (ZSTD_inBuffer){ r->in, (size_t)n, 0 };
		if (r->ended)
			return 0;
		hasher_add(r->file, r->in, (size_t)n);
		r->b->sums.bytes += (uint64_t)n;
	}
	out.dst = buf_reserve(&r->text, out.size);
	if (out.dst == NULL)
		return err_set(e,
		    "it is longer than the %d MiB that a line "
		    "of a bundle may have",
		    BUNDLE_MAX_LINE_BYTES >> 20);
	rc = ZSTD_decompressStream(r->unpacker, &out, &r->left);
	if (ZSTD_isError(rc))
		return err_set(e,
		    "it cannot be unpacked: %s: this is no bundle, or a "
		    "damaged one",
		    ZSTD_getErrorName(rc));
	r->whole = rc == 0;
	r->text.n += out.pos;
	r->unpacked += out.pos;
	if (r->unpacked > BUNDLE_MAX_BYTES)
		return err_set(e,
		    "it unpacks to more than the %d MiB that a bundle may have",
		    BUNDLE_MAX_BYTES >> 20);
	return 0;
}

static int
take_line(struct reading *r, struct str line, struct err *e)
{
	static const struct {
		const char *key;
		enum part part;
	} kinds[] = {
		{ "record", PART_RECORDS },
		{ "proof", PART_PROOF },
		{ "blob", PART_BLOBS },
		{ "policy", PART_POLICIES },
		{ "end", PART_END },
	};
	const struct json *o, *v = NULL;
	enum part part = PART_RECORDS;
	uint64_t lines = 0;

	arena_reset(&r->memory);
	o = json_parse(line, &line_limits, &r->memory, e, NULL);
	if (o == NULL)
		return -1;
	if (r->line == 1)
		return take_head(r, o, e);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		v = json_get(o, str_of(kinds[i].key));
		part = kinds[i].part;
		if (v != NULL)
			break;
	}
	if (v == NULL)
		return err_set(e, "it is none of a bundle's");
	if (part < r->part)
		return err_set(e, "it is not in its place");
	if (part > PART_PROOF && r->part <= PART_PROOF && check_proof(r, e) < 0)
		return -1;
	r->part = part;
	switch (part) {
	case PART_RECORDS:
		return take_record(r, line, o, e);
	case PART_PROOF:
		return take_proof(r, v, e);
	case PART_BLOBS:
		return take_blob(r, o, e);
	case PART_POLICIES:
		return take_policy(r, o, e);
	case PART_END:
		if (json_u64(v, &lines) < 0 || lines != r->line - 1)
			return err_set(e,
			    "the bundle had %" PRIu64 " lines: it was cut",
			    lines);
		r->omitted =
		    json_get(o, STR("omitted")) == NULL ? UINT64_MAX : 0;
		if (r->omitted == 0 &&
		    json_u64(json_get(o, STR("omitted")), &r->omitted) < 0)
			return err_set(e, "it does not say what is left out");
		return 0;
	}
	return -1;
}

static int
take_head(struct reading *r, const struct json *o, struct err *e)
{
	struct str run = json_str(json_get(o, STR("run")));
	uint64_t version = 0;
	struct keys keys = {};
	struct err why;

	if (json_u64(json_get(o, STR("bundle")), &version) < 0)
		return err_set(e, "this is no bundle of a run");
	if (version != BUNDLE_VERSION)
		return err_set(e,
		    "it is a bundle of version %" PRIu64 ", and this program "
		    "knows %d: use the version of paddock that wrote it",
		    version, BUNDLE_VERSION);
	if (id_parse('r', run, &r->b->run) < 0 || r->b->run == 0 ||
	    str_copy(run, r->id, sizeof(r->id)) < 0)
		return err_set(e, "it names no run");
	if (json_u64(json_get(o, STR("records")), &r->want) < 0 ||
	    r->want == 0 || r->want > BUNDLE_MAX_RECORDS)
		return err_set(e,
		    "its number of records is not one from 1 to "
		    "%d",
		    BUNDLE_MAX_RECORDS);
	if (note_key_parse(
		json_str(json_get(o, STR("key"))), &r->b->key, &why) < 0)
		return err_set(e, "its key: %s", why.text);
	buf_add_str(&r->note_text, json_str(json_get(o, STR("checkpoint"))));
	if (note_parse(buf_str(&r->note_text), &r->b->key, &r->note, &why) <= 0)
		bad(r, STORE_SIG_BAD, 0, "its checkpoint: %s", why.text);
	else if (keys_read(&keys, json_get(o, STR("keys")), &r->b->key, &why) ==
	    0)
		bad(r, STORE_SIG_BAD, 0, "%s", why.text);
	else if (r->key != NULL && !keys_have(&keys, r->key))
		bad(r, STORE_SIG_BAD, 0,
		    "it is signed by %s, and not by the key that was given",
		    r->b->key.name);
	keys_fini(&keys);
	r->b->size = r->note.size;
	/* One that is longer is not sound, and nobody asks for it then. */
	(void)str_copy(
	    buf_str(&r->note_text), r->b->checkpoint, sizeof(r->b->checkpoint));
	r->v->run = r->b->run;
	return put_row(r, json_get(o, STR("row")), e);
}

static int
put_row(struct reading *r, const struct json *row, struct err *e)
{
	static const char *const texts[] = { "tenant", "actor", "role",
		"workflow", "mode", "status", "stop_reason", "command" };
	own_stmt sqlite3_stmt *st = NULL;
	uint64_t stage = 0, steps = 0, status = 0;
	struct hash policy = {};
	int rc = SQLITE_OK;

	if (!json_is(row, JSON_OBJECT) ||
	    json_u64(json_get(row, STR("stage")), &stage) < 0 ||
	    json_u64(json_get(row, STR("steps")), &steps) < 0 ||
	    json_u64(json_get(row, STR("exit_status")), &status) < 0 ||
	    hash_from_hex(json_str(json_get(row, STR("policy"))), &policy) < 0)
		return err_set(e, "it does not say what the run was");
	r->b->sums.removed_ns = signed_of(json_get(row, STR("removed")));
	if (db_prepare(r->db,
		"INSERT INTO run(tenant, actor, role, workflow, mode, status,"
		" stop_reason, command, id, stage, steps, exit_status, policy,"
		" opened, closed) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
		" ?, ?)",
		&st, e) < 0)
		return -1;
	for (int i = 0; i < 8 && rc == SQLITE_OK; i++) {
		struct str s = json_str(json_get(row, str_of(texts[i])));

		rc = sqlite3_bind_text64(st, i + 1, s.n > 0 ? s.p : "", s.n,
		    SQLITE_STATIC, SQLITE_UTF8);
	}
	if (rc != SQLITE_OK ||
	    sqlite3_bind_text(st, 9, r->id, -1, SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_bind_int64(st, 10, (int64_t)stage) != SQLITE_OK ||
	    sqlite3_bind_int64(st, 11, (int64_t)steps) != SQLITE_OK ||
	    sqlite3_bind_int64(st, 12, (int64_t)status) != SQLITE_OK ||
	    sqlite3_bind_blob(st, 13, policy.b, HASH_BYTES, SQLITE_STATIC) !=
		SQLITE_OK ||
	    sqlite3_bind_int64(
		st, 14, signed_of(json_get(row, STR("opened")))) != SQLITE_OK ||
	    sqlite3_bind_int64(
		st, 15, signed_of(json_get(row, STR("closed")))) != SQLITE_OK)
		return db_err(r->db, e, "bind");
	return db_step(st, e);
}

/* line is {"hash":"HEX","prev":"HEX","record":RECORD}, to the byte. */
static int
take_record(
    struct reading *r, struct str line, const struct json *o, struct err *e)
{
	const struct json *record = json_get(o, STR("record"));
	const size_t head = sizeof("{\"hash\":\"\",\"prev\":\"\",\"record\":") -
	    1 + 2 * (HASH_HEX_BYTES - 1);
	static const char mark = '\0';
	struct hash prev, said, h;
	struct leaf leaf = {};
	struct str body, pieces[3];
	uint64_t seq = 0;

	if (!json_is(record, JSON_OBJECT) || record->at != head ||
	    hash_from_hex(json_str(json_get(o, STR("prev"))), &prev) < 0 ||
	    hash_from_hex(json_str(json_get(o, STR("hash"))), &said) < 0 ||
	    json_u64(json_get(record, STR("seq")), &seq) < 0)
		return err_set(e, "it is not a record's");
	if (r->v->records == r->want)
		return err_set(e,
		    "there are more records than the %" PRIu64
		    " that the head names",
		    r->want);
	body = (struct str){ line.p + head, line.n - head - 1 };
	pieces[0] = (struct str){ &mark, 1 };
	pieces[1] = (struct str){ (const char *)prev.b, HASH_BYTES };
	pieces[2] = body;
	h = hash_of_pieces(pieces, 3);
	if (seq <= r->prev_seq || seq > r->note.size)
		bad(r, STORE_CHAIN_BROKEN, seq,
		    "it comes after record %" PRIu64 " of a log of %" PRIu64,
		    r->prev_seq, r->note.size);
	else if (!hash_eq(&h, &said))
		bad(r, STORE_HASH_MISMATCH, seq,
		    "its bytes and the hash before it do not give its hash");
	else if (seq == r->prev_seq + 1 && r->prev_seq > 0 &&
	    !hash_eq(&prev, &r->prev))
		bad(r, STORE_CHAIN_BROKEN, seq,
		    "it does not follow the record before it");
	if (!str_eq_c(json_str(json_get(record, STR("run"))), r->id))
		bad(r, STORE_BAD_RECORD, seq, "it is another run's");
	leaf.seq = seq;
	leaf.hash = merkle_leaf(&h);
	buf_add(&r->leaves, &leaf, sizeof(leaf));
	if (refs_add(&r->refs, record, e) < 0)
		return -1;
	r->prev = h;
	r->prev_seq = seq;
	r->v->records++;
	r->v->head = h;
	return put_record(r, body, record, seq, &h, e);
}

static int
put_record(struct reading *r, struct str body, const struct json *record,
    uint64_t seq, const struct hash *h, struct err *e)
{
	sqlite3_stmt *st = r->put_event;
	struct str tool = json_str(json_at(record, "tool", "name", NULL));
	uint64_t step = 0, t = 0;
	enum event_kind kind = EVENT_NOTE;
	int got;

	if (json_u64(json_get(record, STR("step")), &step) < 0 ||
	    json_u64(json_get(record, STR("t")), &t) < 0 ||
	    event_kind_parse(json_str(json_get(record, STR("kind"))), &kind) <
		0) {
		bad(r, STORE_BAD_RECORD, seq,
		    "it lacks a step, a time or a kind");
		return 0;
	}
	r->b->sums.has_end = r->b->sums.has_end || kind == EVENT_RUN_CLOSED;
	(void)sqlite3_reset(st); /* its last step was looked at */
	if (sqlite3_bind_int64(st, 1, (int64_t)seq) != SQLITE_OK ||
	    sqlite3_bind_text(st, 2, r->id, -1, SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_bind_int64(st, 3, (int64_t)step) != SQLITE_OK ||
	    sqlite3_bind_int64(st, 4, (int64_t)t) != SQLITE_OK ||
	    sqlite3_bind_int(st, 5, (int)kind) != SQLITE_OK ||
	    sqlite3_bind_text64(st, 6, tool.n > 0 ? tool.p : "", tool.n,
		SQLITE_STATIC, SQLITE_UTF8) != SQLITE_OK ||
	    sqlite3_bind_blob64(st, 7, body.p, body.n, SQLITE_STATIC) !=
		SQLITE_OK ||
	    sqlite3_bind_blob(st, 8, h->b, HASH_BYTES, SQLITE_STATIC) !=
		SQLITE_OK)
		return db_err(r->db, e, "bind");
	got = db_step(st, e);
	if (got < 0 && r->v->fault != STORE_SOUND)
		return 0; /* a number twice, which was found above */
	return got;
}

static int
take_proof(struct reading *r, const struct json *list, struct err *e)
{
	for (const struct json *x = json_first(list); x != NULL;
	     x = json_next(list, x)) {
		struct hash h;

		if (hash_from_hex(json_str(x), &h) < 0)
			return err_set(e, "the proof has what is no hash");
		buf_add(&r->proof, h.b, sizeof(h));
	}
	return r->proof.failed ? err_set(e, "the proof is too long") : 0;
}

static int
take_blob(struct reading *r, const struct json *o, struct err *e)
{
	own_buf struct buf bytes = { .max = BUNDLE_MAX_LINE_BYTES };
	struct str hex = json_str(json_get(o, STR("h")));
	const struct json *salt = json_get(o, STR("salt"));
	struct hash named, h;

	if (hash_from_hex(hex, &named) < 0)
		return err_set(e, "a blob has no hash");
	if (salt != NULL && hash_from_hex(json_str(salt), &h) < 0)
		return err_set(e, "a blob's salt is none");
	if (salt != NULL)
		buf_add(&bytes, h.b, HASH_BYTES);
	if (base64_decode(&bytes, json_str(json_get(o, STR("blob"))),
		BASE64_STANDARD, e) < 0)
		return -1;
	h = hash_of(bytes.p, bytes.n);
	if (!hash_eq(&h, &named)) {
		bad(r, STORE_BLOB_MISMATCH, r->prev_seq,
		    "the blob %.*s is not the one that is named", STR_FMT(hex));
		return 0;
	}
	r->b->sums.blobs++;
	return put_blob(r, &h, buf_str(&bytes), salt != NULL, e);
}

static int
take_policy(struct reading *r, const struct json *o, struct err *e)
{
	struct str text = json_str(json_get(o, STR("policy")));
	struct hash named, h = hash_of(text.p, text.n);

	if (hash_from_hex(json_str(json_get(o, STR("version"))), &named) < 0)
		return err_set(e, "a policy has no version");
	if (!hash_eq(&h, &named)) {
		bad(r, STORE_BLOB_MISMATCH, r->prev_seq,
		    "a policy is not of the version that is named");
		return 0;
	}
	return put_bytes(r, r->put_policy, &h, text, e);
}

static int
put_blob(struct reading *r, const struct hash *h, struct str bytes, bool salted,
    struct err *e)
{
	(void)sqlite3_reset(r->put_blob); /* its last step was looked at */
	if (sqlite3_bind_int(r->put_blob, 3, salted ? BLOB_SALTED : 0) !=
		SQLITE_OK ||
	    sqlite3_bind_int(r->put_blob, 4, salted ? HASH_BYTES : 0) !=
		SQLITE_OK)
		return db_err(r->db, e, "bind");
	return put_bytes(r, r->put_blob, h, bytes, e);
}

static int
put_bytes(struct reading *r, sqlite3_stmt *st, const struct hash *h,
    struct str bytes, struct err *e)
{
	(void)sqlite3_reset(st); /* its last step was looked at */
	if (sqlite3_bind_blob(st, 1, h->b, HASH_BYTES, SQLITE_STATIC) !=
		SQLITE_OK ||
	    sqlite3_bind_blob64(st, 2, bytes.n > 0 ? bytes.p : "", bytes.n,
		SQLITE_STATIC) != SQLITE_OK)
		return db_err(r->db, e, "bind");
	return db_step(st, e);
}

/* Once all records and the proof are there. */
static int
check_proof(struct reading *r, struct err *e)
{
	size_t hashes = r->proof.n / sizeof(struct hash), used = 0;
	size_t records = r->leaves.n / sizeof(struct leaf);
	struct merkle_proof p;

	if (r->leaves.failed)
		return err_set(e, "out of memory");
	if (r->v->records != r->want)
		return err_set(e,
		    "the head names %" PRIu64
		    " records, and there are %" PRIu64,
		    r->want, r->v->records);
	if (r->v->fault != STORE_SOUND)
		return 0;
	merkle_proof_init(&p, r->note.size);
	for (size_t i = 0; i <= records; i++) {
		struct leaf leaf = { .seq = r->note.size + 1 };
		uint64_t n;

		if (i < records)
			memcpy(&leaf, r->leaves.p + i * sizeof(leaf),
			    sizeof(leaf));
		while ((n = merkle_proof_gap(&p, leaf.seq - 1)) > 0 &&
		    used < hashes) {
			struct hash h;

			memcpy(h.b, r->proof.p + used++ * sizeof(h), sizeof(h));
			merkle_proof_part(&p, n, &h);
		}
		if (i == records)
			break;
		p.bad = p.bad || p.next != leaf.seq - 1;
		merkle_proof_leaf(&p, &leaf.hash);
	}
	if (used != hashes || !merkle_proof_end(&p, &r->note.root))
		bad(r, STORE_CHECKPOINT_MISMATCH, r->prev_seq,
		    "the records up to it are not in the log that was signed");
	return 0;
}

/* What holds of any run, and which blobs are not there. */
static int
check_run(struct reading *r, struct err *e)
{
	struct store_verdict *v = r->v;

	r->b->sums.records = v->records;
	r->b->sums.open = !r->b->sums.has_end;
	if (v->fault != STORE_SOUND)
		return 0;
	if (db_exec(r->db,
		"UPDATE run SET head = (SELECT hash FROM event WHERE kind = 2)",
		e) < 0 ||
	    order_check(r->db, r->b->run, v, e) < 0 ||
	    (v->fault == STORE_SOUND &&
		order_check_sum(r->db, r->b->run, v, e) < 0))
		return -1;
	v->checkpoints = 1;
	v->signed_size = r->note.size;
	return check_content(r, e);
}

/* What its records refer to is there, but for what the end says is not. */
static int
check_content(struct reading *r, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL, *row = NULL;
	const size_t n = refs_sort(&r->refs.blobs);
	uint64_t first;
	int got;

	if (db_prepare(r->db, "SELECT 1 FROM blob WHERE h = ?", &st, e) < 0 ||
	    db_prepare(
		r->db, "SELECT seq, body FROM event ORDER BY seq", &row, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		got = has_blob(r, st, r->refs.blobs.p + i * HASH_BYTES, e);
		if (got < 0)
			return -1;
		r->b->sums.omitted += got == 0;
	}
	if (r->b->sums.omitted == 0)
		return 0;
	while ((got = db_step(row, e)) > 0) {
		struct refs refs;
		bool lacks = false;

		arena_reset(&r->memory);
		refs_init(&refs);
		got = refs_add(&refs,
		    json_parse(db_str(row, 1), NULL, &r->memory, e, NULL), e);
		for (size_t at = 0; got == 0 && !lacks && at < refs.blobs.n;
		     at += HASH_BYTES) {
			const int has = has_blob(r, st, refs.blobs.p + at, e);

			lacks = has == 0;
			got = has < 0 ? -1 : 0;
		}
		refs_fini(&refs);
		if (got < 0)
			return -1;
		if (lacks)
			break;
	}
	if (got < 0)
		return -1;
	first = db_u64(row, 0);
	r->b->sums.omitted_seq = first;
	if (r->b->sums.omitted > r->omitted)
		bad(r, STORE_BLOB_MISMATCH, first,
		    "what it refers to is missing: %" PRIu64
		    " of the bundle were left out when it was written, and "
		    "%" PRIu64 " are not there",
		    r->omitted, r->b->sums.omitted);
	return 0;
}

static int
has_blob(struct reading *r, sqlite3_stmt *st, const char *h, struct err *e)
{
	(void)sqlite3_reset(st); /* its last step was looked at */
	if (sqlite3_bind_blob(st, 1, h, HASH_BYTES, SQLITE_TRANSIENT) !=
	    SQLITE_OK)
		return db_err(r->db, e, "bind");
	return db_step(st, e);
}

/* Nanoseconds are over 2^53: they are texts. */
static int64_t
signed_of(const struct json *text)
{
	uint64_t v = 0;

	if (str_to_u64(json_str(text), &v) < 0 || v > INT64_MAX)
		return 0;
	return (int64_t)v;
}

/* The first fault stays. */
static void
bad(struct reading *r, enum store_fault fault, uint64_t seq, const char *fmt,
    ...)
{
	struct store_verdict *v = r->v;
	va_list ap;

	if (v->fault != STORE_SOUND)
		return;
	v->fault = fault;
	v->seq = seq;
	v->run = r->b->run;
	va_start(ap, fmt);
	(void)vsnprintf(v->text, sizeof(v->text), fmt, ap);
	va_end(ap);
}
