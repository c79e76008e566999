/*
 * Writing a bundle: head, records, proof, blobs, policies, end. Memory is one
 * record, one blob and the hashes of the blobs.
 */
#include "store/bundle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "base/arena.h"
#include "base/limits.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "core/id.h"
#include "core/merkle.h"
#include "store/blob.h"
#include "store/inside.h"
#include "store/keys.h"
#include "store/refs.h"
#include "sys/fd.h"

enum { PACK_LEVEL = 9, OUT_BYTES = 128 * 1024, PROOF_LINE = 1024 };

struct writing {
	struct store *s;
	sqlite3 *db;
	uint64_t run;
	char id[ID_BYTES];
	int fd;
	ZSTD_CCtx *packer;
	struct buf line, packed;
	struct refs refs;
	struct arena memory; /* of one record */
	uint64_t lines, size,
	    last; /* last: the run's last record that is in it */
	struct bundle_sums *sums;
};

static int write_all(struct writing *w, struct err *e);
static int write_head(struct writing *w, struct err *e);
static int put_keys(struct writing *w, struct err *e);
static bool on_run(void *arg, const struct store_run *r);
static int write_records(struct writing *w, struct err *e);
static int note_references(struct writing *w, struct str body, struct err *e);
static int write_proof(struct writing *w, struct err *e);
static int read_part(
    sqlite3_stmt *st, uint64_t n, struct hash *root, struct err *e);
static int put_proof(struct writing *w, const struct hash *h, struct err *e);
static int end_proof(struct writing *w, struct err *e);
static int write_blobs(struct writing *w, struct err *e);
static void put_blob(
    struct buf *out, struct str bytes, const char *hex, bool salted);
static int write_policies(struct writing *w, struct err *e);
static int end_line(struct writing *w, struct err *e);
static int flush(struct writing *w, ZSTD_EndDirective how, struct err *e);
static int bind_run(struct writing *w, sqlite3_stmt *st, struct err *e);

int
bundle_write(struct store *s, uint64_t run, int fd, struct bundle_sums *out,
    struct err *e)
{
	struct writing w = { .s = s,
		.db = s->reader,
		.run = run,
		.fd = fd,
		.packer = ZSTD_createCCtx(),
		.sums = out };
	struct err end;
	int rc = -1;

	*out = (struct bundle_sums){};
	id_text('r', run, w.id);
	w.line.max = BUNDLE_MAX_LINE_BYTES;
	w.packed.max = OUT_BYTES;
	refs_init(&w.refs);
	if (w.packer == NULL)
		(void)err_set(e, "zstd: out of memory");
	else if (db_exec(w.db, "BEGIN", e) == 0) {
		/* One view of the log, whatever a daemon writes meanwhile. */
		rc = write_all(&w, e);
		if (db_exec(w.db, "ROLLBACK", &end) < 0 && rc == 0) {
			*e = end;
			rc = -1;
		}
	}
	(void)ZSTD_freeCCtx(w.packer);
	buf_fini(&w.line);
	buf_fini(&w.packed);
	refs_fini(&w.refs);
	arena_fini(&w.memory);
	return rc;
}

static int
write_all(struct writing *w, struct err *e)
{
	if (ZSTD_isError(ZSTD_CCtx_setParameter(
		w->packer, ZSTD_c_compressionLevel, PACK_LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(
		w->packer, ZSTD_c_windowLog, BUNDLE_WINDOW_LOG)) ||
	    ZSTD_isError(
		ZSTD_CCtx_setParameter(w->packer, ZSTD_c_checksumFlag, 1)))
		return err_set(e, "zstd: a parameter is refused");
	if (write_head(w, e) < 0 || write_records(w, e) < 0 ||
	    write_proof(w, e) < 0 || write_blobs(w, e) < 0 ||
	    write_policies(w, e) < 0)
		return -1;
	buf_printf(&w->line, "{\"end\":%" PRIu64 ",\"omitted\":%" PRIu64 "}",
	    w->lines, w->sums->omitted);
	if (end_line(w, e) < 0)
		return -1;
	return flush(w, ZSTD_e_end, e);
}

static int
write_head(struct writing *w, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	own_buf struct buf note = {}, key = {};
	struct note_key k;
	uint64_t closed;

	if (!log_key_of(w->db, &k, e) ||
	    checkpoint_last(w->db, &w->size, &note, e) < 0 ||
	    db_prepare(w->db,
		"SELECT count(*), coalesce(max(seq), 0),"
		" coalesce(max(CASE kind WHEN 2 THEN seq END), 0),"
		" coalesce(sum(seq <= ?2), 0),"
		" coalesce(max(CASE WHEN seq <= ?2 THEN seq END), 0)"
		" FROM event WHERE run = ?1",
		&st, e) < 0 ||
	    bind_run(w, st, e) < 0)
		return -1;
	if (sqlite3_bind_int64(st, 2, (int64_t)w->size) != SQLITE_OK)
		return db_err(w->db, e, "bind");
	if (db_step(st, e) <= 0)
		return -1;
	closed = db_u64(st, 2);
	w->sums->open = closed == 0;
	w->sums->has_end = closed != 0;
	w->sums->records = db_u64(st, 3);
	w->last = db_u64(st, 4);
	if (closed > w->size || w->sums->records == 0)
		return err_set(e,
		    "the log is not signed up to the run's last record yet: "
		    "a daemon does that within %d seconds",
		    STORE_CHECKPOINT_MS / 1000);
	if (w->sums->records > BUNDLE_MAX_RECORDS)
		return err_set(e,
		    "the run has over %d records: that is more than a bundle "
		    "holds",
		    BUNDLE_MAX_RECORDS);
	note_key_write(&key, &k);
	buf_add_c(&w->line, "{\"bundle\":1,\"checkpoint\":");
	json_put_str(&w->line, buf_str(&note));
	buf_add_c(&w->line, ",\"key\":");
	json_put_str(&w->line, buf_str(&key));
	if (put_keys(w, e) < 0)
		return -1;
	buf_printf(
	    &w->line, ",\"records\":%" PRIu64 ",\"row\":", w->sums->records);
	if (store_runs(w->s, w->run, false, 1, on_run, w, e) < 0)
		return -1;
	buf_printf(&w->line, ",\"run\":\"%s\"}", w->id);
	return end_line(w, e);
}

/* Of a log that has had others: how its key follows from them. */
static int
put_keys(struct writing *w, struct err *e)
{
	if (db_is_rotated(w->db, e)) {
		buf_add_c(&w->line, ",\"keys\":");
		return keys_write(&w->line, w->db, e);
	}
	return e->text[0] == '\0' ? 0 : -1;
}

/* What is shown of a run beside its records. */
static bool
on_run(void *arg, const struct store_run *r)
{
	struct writing *w = arg;
	struct buf *out = &w->line;
	char hex[HASH_HEX_BYTES];

	hash_hex(&r->policy, hex);
	buf_add_c(out, "{\"actor\":");
	json_put_str(out, r->actor);
	buf_printf(
	    out, ",\"closed\":\"%" PRId64 "\",\"command\":", r->closed_ns);
	json_put_str(out, r->command);
	buf_printf(
	    out, ",\"exit_status\":%" PRIu32 ",\"mode\":", r->exit_status);
	json_put_str(out, r->mode);
	buf_printf(out, ",\"opened\":\"%" PRId64 "\",\"policy\":\"%s\"",
	    r->opened_ns, hex);
	w->sums->removed_ns = store_removed_ns(w->s, w->run);
	if (w->sums->removed_ns != 0)
		buf_printf(
		    out, ",\"removed\":\"%" PRId64 "\"", w->sums->removed_ns);
	buf_add_c(out, ",\"role\":");
	json_put_str(out, r->role);
	buf_printf(out, ",\"stage\":%" PRIu32 ",\"status\":", r->stage);
	json_put_str(out, r->status);
	buf_printf(out, ",\"steps\":%" PRIu32 ",\"stop_reason\":", r->steps);
	json_put_str(out, r->stop_reason);
	buf_add_c(out, ",\"tenant\":");
	json_put_str(out, r->tenant);
	buf_add_c(out, ",\"workflow\":");
	json_put_str(out, r->workflow);
	buf_add_byte(out, '}');
	return false;
}

static int
write_records(struct writing *w, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL, *before = NULL;
	struct db_meta m;
	int got;

	if (db_meta(w->db, &m, e) < 0 ||
	    db_prepare(w->db,
		"SELECT seq, body, hash FROM event WHERE run = ?1 AND seq <= ?2"
		" ORDER BY seq",
		&st, e) < 0 ||
	    db_prepare(w->db, "SELECT hash FROM event WHERE seq = ?", &before,
		e) < 0 ||
	    bind_run(w, st, e) < 0)
		return -1;
	if (sqlite3_bind_int64(st, 2, (int64_t)w->size) != SQLITE_OK)
		return db_err(w->db, e, "bind");
	while ((got = db_step(st, e)) > 0) {
		struct hash prev = db_genesis(&m.log);
		char own[HASH_HEX_BYTES], hex[HASH_HEX_BYTES];
		struct hash h;

		(void)sqlite3_reset(before); /* its last step was looked at */
		if (sqlite3_bind_int64(before, 1,
			sqlite3_column_int64(st, 0) - 1) != SQLITE_OK)
			return db_err(w->db, e, "bind");
		switch (db_step(before, e)) {
		case 0:
			break; /* the log's first record */
		case 1:
			if (db_hash(before, 0, &prev) == 0)
				break;
			return err_set(e,
			    "a record's hash is gone: see paddock trace "
			    "verify");
		default:
			return -1;
		}
		if (db_hash(st, 2, &h) < 0)
			return err_set(e,
			    "a record's hash is gone: see paddock trace "
			    "verify");
		hash_hex(&h, own);
		hash_hex(&prev, hex);
		buf_printf(&w->line,
		    "{\"hash\":\"%s\",\"prev\":\"%s\",\"record\":", own, hex);
		buf_add_str(&w->line, db_str(st, 1));
		buf_add_byte(&w->line, '}');
		if (note_references(w, db_str(st, 1), e) < 0 ||
		    end_line(w, e) < 0)
			return -1;
	}
	return got;
}

static int
note_references(struct writing *w, struct str body, struct err *e)
{
	const struct json *record;

	arena_reset(&w->memory);
	record = json_parse(body, NULL, &w->memory, e, NULL);
	if (record == NULL || refs_add(&w->refs, record, e) < 0)
		return err_add(
		    e, "a record is damaged: see paddock trace verify");
	return 0;
}

/* The roots of all that lies between the run's records. */
static int
write_proof(struct writing *w, struct err *e)
{
	own_stmt sqlite3_stmt *own = NULL, *all = NULL;
	struct merkle_proof p;
	uint64_t until;
	int got;

	merkle_proof_init(&p, w->size);
	if (db_prepare(w->db,
		"SELECT seq, hash FROM event WHERE run = ?1 AND seq <= ?2"
		" ORDER BY seq",
		&own, e) < 0 ||
	    db_prepare(w->db, "SELECT hash FROM event ORDER BY seq", &all, e) <
		0 ||
	    bind_run(w, own, e) < 0)
		return -1;
	if (sqlite3_bind_int64(own, 2, (int64_t)w->size) != SQLITE_OK)
		return db_err(w->db, e, "bind");
	do {
		uint64_t n;
		struct hash h;

		got = db_step(own, e);
		if (got < 0)
			return -1;
		until = got > 0 ? db_u64(own, 0) - 1 : w->size;
		while ((n = merkle_proof_gap(&p, until)) > 0) {
			if (read_part(all, n, &h, e) < 0 ||
			    put_proof(w, &h, e) < 0)
				return -1;
			merkle_proof_part(&p, n, &h);
		}
		if (got > 0) {
			if (read_part(all, 1, &h, e) < 0)
				return -1;
			merkle_proof_leaf(&p, &h);
		}
	} while (got > 0);
	return end_proof(w, e);
}

/* The root over the next n records. */
static int
read_part(sqlite3_stmt *st, uint64_t n, struct hash *root, struct err *e)
{
	struct merkle part = {};

	while (part.size < n) {
		struct hash h, leaf;
		int got = db_step(st, e);

		if (got < 0)
			return -1;
		if (got == 0 || db_hash(st, 0, &h) < 0)
			return err_set(
			    e, "records are missing: see paddock trace verify");
		leaf = merkle_leaf(&h);
		merkle_add(&part, &leaf);
	}
	*root = merkle_root(&part);
	return 0;
}

static int
put_proof(struct writing *w, const struct hash *h, struct err *e)
{
	char hex[HASH_HEX_BYTES];

	hash_hex(h, hex);
	buf_printf(
	    &w->line, "%s\"%s\"", w->line.n == 0 ? "{\"proof\":[" : ",", hex);
	if (w->line.n < (size_t)PROOF_LINE * HASH_HEX_BYTES)
		return 0;
	return end_proof(w, e);
}

static int
end_proof(struct writing *w, struct err *e)
{
	if (w->line.n == 0)
		return 0;
	buf_add_c(&w->line, "]}");
	return end_line(w, e);
}

static int
write_blobs(struct writing *w, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	own_buf struct buf bytes = { .max =
					 STORE_MAX_EVENT_BYTES + HASH_BYTES };
	size_t n = refs_sort(&w->refs.blobs);

	if (blob_prepare(w->db, &st, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		char hex[HASH_HEX_BYTES];
		struct hash h;
		int got;

		memcpy(h.b, w->refs.blobs.p + i * sizeof(h), sizeof(h));
		buf_reset(&bytes);
		got = blob_find(st, &h, &bytes, e);
		if (got < 0)
			return -1;
		if (got == 0) {
			w->sums->omitted++;
			continue;
		}
		w->sums->blobs++;
		hash_hex(&h, hex);
		put_blob(
		    &w->line, buf_str(&bytes), hex, got == BLOB_FOUND_SALTED);
		if (end_line(w, e) < 0)
			return -1;
	}
	return 0;
}

/* salted: the first of the bytes are its salt, and a member of its own. */
static void
put_blob(struct buf *out, struct str bytes, const char *hex, bool salted)
{
	struct hash salt = {};
	char text[HASH_HEX_BYTES];

	if (salted) {
		memcpy(salt.b, bytes.p, HASH_BYTES);
		bytes.p += HASH_BYTES;
		bytes.n -= HASH_BYTES;
	}
	buf_add_c(out, "{\"blob\":\"");
	base64_encode(out, bytes, BASE64_STANDARD);
	buf_printf(out, "\",\"h\":\"%s\"", hex);
	if (salted) {
		hash_hex(&salt, text);
		buf_printf(out, ",\"salt\":\"%s\"", text);
	}
	buf_add_byte(out, '}');
}

static int
write_policies(struct writing *w, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	size_t n = refs_sort(&w->refs.policies);

	if (db_prepare(
		w->db, "SELECT body FROM policy WHERE version = ?", &st, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		char hex[HASH_HEX_BYTES];
		struct hash h;
		int got;

		memcpy(h.b, w->refs.policies.p + i * sizeof(h), sizeof(h));
		(void)sqlite3_reset(st); /* its last step was looked at */
		if (sqlite3_bind_blob(st, 1, h.b, HASH_BYTES, SQLITE_STATIC) !=
		    SQLITE_OK)
			return db_err(w->db, e, "bind");
		got = db_step(st, e);
		if (got < 0)
			return -1;
		if (got == 0)
			continue;
		hash_hex(&h, hex);
		buf_add_c(&w->line, "{\"policy\":");
		json_put_str(&w->line, db_str(st, 0));
		buf_printf(&w->line, ",\"version\":\"%s\"}", hex);
		if (end_line(w, e) < 0)
			return -1;
	}
	return 0;
}

static int
end_line(struct writing *w, struct err *e)
{
	buf_add_byte(&w->line, '\n');
	if (w->line.failed)
		return err_set(e, "a line is longer than a bundle may have");
	w->lines++;
	if (flush(w, ZSTD_e_continue, e) < 0)
		return -1;
	buf_reset(&w->line);
	return 0;
}

/* Packs the line and writes what comes of it. */
static int
flush(struct writing *w, ZSTD_EndDirective how, struct err *e)
{
	ZSTD_inBuffer in = { w->line.p, w->line.n, 0 };
	size_t left;

	if (how == ZSTD_e_end)
		in.size = 0;
	do {
		ZSTD_outBuffer out = { NULL, OUT_BYTES / 2, 0 };

		buf_reset(&w->packed);
		out.dst = buf_reserve(&w->packed, out.size);
		if (out.dst == NULL)
			return err_set(e, "out of memory");
		left = ZSTD_compressStream2(w->packer, &out, &in, how);
		if (ZSTD_isError(left))
			return err_set(e, "zstd: %s", ZSTD_getErrorName(left));
		if (fd_write_all(w->fd, out.dst, out.pos, e) < 0)
			return -1;
		w->sums->bytes += out.pos;
	} while (in.pos < in.size || (how == ZSTD_e_end && left > 0));
	return 0;
}

static int
bind_run(struct writing *w, sqlite3_stmt *st, struct err *e)
{
	if (sqlite3_bind_text(st, 1, w->id, -1, SQLITE_STATIC) != SQLITE_OK)
		return db_err(w->db, e, "bind");
	return 0;
}
