/*
 * What has come to its age, what was removed, and the sweep.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/must.h"
#include "codec/json.h"
#include "core/id.h"
#include "store/blob.h"
#include "store/db.h"
#include "store/inside.h"
#include "store/refs.h"

enum { NS_PER_S = 1000 * 1000 * 1000, NS_PER_US = 1000 };

static const char *const levels[] = {
	[STORE_KEEP_RAW] = "raw",
	[STORE_KEEP_REDACTED] = "redacted",
	[STORE_KEEP_HASH] = "hash",
};

static int count_own(
    struct store *s, struct str run, struct store_due *out, struct err *e);
static int make_lists(struct store *s, struct err *e);
static int list_one(sqlite3 *db, sqlite3_stmt *live, sqlite3_stmt *dead,
    sqlite3_stmt *row, struct err *e);
static int put_refs(
    sqlite3 *db, sqlite3_stmt *st, struct buf *list, struct err *e);
static int count_swept(struct store *s, struct store_swept *out, struct err *e);

const char *
store_level_name(enum store_level l)
{
	must(l <= STORE_KEEP_HASH);
	return levels[l];
}

int
store_level_parse(struct str s, enum store_level *out)
{
	for (int i = 0; i <= STORE_KEEP_HASH; i++) {
		if (str_eq_c(s, levels[i])) {
			*out = (enum store_level)i;
			return 0;
		}
	}
	return -1;
}

void
store_rules(struct store *s, bool (*on)(void *arg, const struct store_rule *r),
    void *arg)
{
	must(s->lock_fd >= 0);
	for (uint32_t i = 0; i < s->keep.n; i++) {
		const struct keep_rule *k = &s->keep.rules[i];

		if (!on(arg,
			&(struct store_rule){
			    str_of(k->tenant), k->level, k->after_s }))
			return;
	}
}

int
store_due(struct store *s, int64_t now_ns, uint64_t *cursor, uint32_t rows,
    bool (*on)(void *arg, const struct store_due *d), void *arg, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	uint32_t seen = 0;
	int got;

	/* What was recorded elsewhere is not ours to remove. */
	if (db_prepare(s->reader,
		"SELECT rowid, id, tenant, closed, mode = 'imported',"
		" EXISTS (SELECT 1 FROM removed WHERE run = id)"
		" FROM run WHERE rowid > ? ORDER BY rowid LIMIT ?",
		&st, e) < 0)
		return -1;
	if (sqlite3_bind_int64(st, 1, (int64_t)*cursor) != SQLITE_OK ||
	    sqlite3_bind_int64(st, 2, rows) != SQLITE_OK)
		return db_err(s->reader, e, "bind");
	while ((got = db_step(st, e)) > 0) {
		struct store_due d = { .run = db_id(st, 1, 'r'),
			.tenant = db_str(st, 2),
			.closed_ns = sqlite3_column_int64(st, 3) };
		const struct keep_rule *k = keep_rule(&s->keep, d.tenant);

		seen++;
		*cursor = db_u64(st, 0);
		if (k == NULL || k->after_s == 0 || d.run == 0 ||
		    d.closed_ns <= 0 || sqlite3_column_int(st, 4) != 0 ||
		    d.closed_ns > now_ns - (int64_t)k->after_s * NS_PER_S)
			continue;
		d.after_s = k->after_s;
		if (count_own(s, db_str(st, 1), &d, e) < 0)
			return -1;
		/* What a late end of a call has left is removed, too. */
		if (sqlite3_column_int(st, 5) != 0 && d.contents == 0)
			continue;
		if (!on(arg, &d))
			return 0;
	}
	if (got == 0 && seen < rows)
		*cursor = 0;
	return got;
}

static int
count_own(struct store *s, struct str run, struct store_due *out, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;

	if (db_prepare(s->reader,
		"SELECT count(*), coalesce(sum(n), 0) FROM blob_run"
		" JOIN blob ON blob.h = blob_run.h WHERE run = ?",
		&st, e) < 0)
		return -1;
	if (sqlite3_bind_text64(st, 1, run.p, run.n, SQLITE_TRANSIENT,
		SQLITE_UTF8) != SQLITE_OK)
		return db_err(s->reader, e, "bind");
	if (db_step(st, e) <= 0)
		return -1;
	out->contents = db_u64(st, 0);
	out->bytes = db_u64(st, 1);
	return 0;
}

int64_t
store_removed_ns(struct store *s, uint64_t run)
{
	own_stmt sqlite3_stmt *st = NULL;
	int64_t ns = 0;
	struct err ignored;

	if (removed_prepare(s->reader, &st, &ignored) < 0 ||
	    removed_find(st, run, &ns, &ignored) <= 0)
		return 0;
	return ns;
}

int
removed_prepare(sqlite3 *db, sqlite3_stmt **out, struct err *e)
{
	return db_prepare(db,
	    "SELECT event.body FROM removed JOIN event"
	    " ON event.seq = removed.seq WHERE removed.run = ?",
	    out, e);
}

int
removed_find(sqlite3_stmt *st, uint64_t run, int64_t *ns, struct err *e)
{
	own_arena struct arena a = {};
	const struct json *j, *body;
	char id[ID_BYTES];
	uint64_t t = 0;
	int got;

	*ns = 0;
	id_text('r', run, id);
	(void)sqlite3_reset(st); /* its last step was looked at */
	if (sqlite3_bind_text(st, 1, id, -1, SQLITE_TRANSIENT) != SQLITE_OK)
		return db_err(sqlite3_db_handle(st), e, "bind");
	got = db_step(st, e);
	if (got <= 0)
		return got;
	/* The row only says where to look: who can remove content can write
	 * one. The record is in the chain. */
	j = json_parse(db_str(st, 0), NULL, &a, e, NULL);
	body = json_get(j, STR("body"));
	if (!str_eq(json_str(json_get(j, STR("kind"))), STR("note")) ||
	    !str_eq(json_str(json_get(j, STR("run"))), STR("r-000000000000")) ||
	    !str_eq(json_str(json_get(body, STR("note"))),
		STR("content_removed")) ||
	    !str_eq_c(json_str(json_get(body, STR("of"))), id) ||
	    json_u64(json_get(j, STR("t")), &t) < 0)
		return 0;
	*ns = (int64_t)t * NS_PER_US;
	return 1;
}

/*
 * Two lists of hashes: what runs refer to whose content was removed, and what
 * any other record does.
 */
int
store_sweep_list(struct store *s, struct store_swept *out, struct err *e)
{
	must(s->bulk && !s->begun);
	*out = (struct store_swept){};
	return make_lists(s, e) < 0 ? -1 : count_swept(s, out, e);
}

int
store_sweep(struct store *s, struct err *e)
{
	must(s->bulk && s->begun);
	return db_exec(s->db,
	    "DELETE FROM blob WHERE h IN (SELECT h FROM temp.dead)"
	    " AND h NOT IN (SELECT h FROM temp.live)",
	    e);
}

static int
make_lists(struct store *s, struct err *e)
{
	own_stmt sqlite3_stmt *row = NULL, *live = NULL, *dead = NULL;
	int got;

	if (db_exec(s->db,
		"DROP TABLE IF EXISTS temp.live; DROP TABLE IF EXISTS "
		"temp.dead;"
		"CREATE TEMP TABLE live(h BLOB PRIMARY KEY) WITHOUT ROWID;"
		"CREATE TEMP TABLE dead(h BLOB PRIMARY KEY) WITHOUT ROWID",
		e) < 0 ||
	    db_prepare(s->db, "INSERT OR IGNORE INTO temp.live VALUES(?)",
		&live, e) < 0 ||
	    db_prepare(s->db, "INSERT OR IGNORE INTO temp.dead VALUES(?)",
		&dead, e) < 0 ||
	    db_prepare(s->db,
		"SELECT body, kind, EXISTS (SELECT 1 FROM removed"
		" WHERE removed.run = event.run) FROM event ORDER BY seq",
		&row, e) < 0)
		return -1;
	while ((got = db_step(row, e)) > 0) {
		if (list_one(s->db, live, dead, row, e) < 0)
			return -1;
	}
	return got;
}

static int
list_one(sqlite3 *db, sqlite3_stmt *live, sqlite3_stmt *dead, sqlite3_stmt *row,
    struct err *e)
{
	own_arena struct arena a = {};
	struct refs refs;
	const struct json *j = json_parse(db_str(row, 0), NULL, &a, e, NULL);
	const bool goes = sqlite3_column_int(row, 2) != 0 &&
	    sqlite3_column_int(row, 1) != EVENT_SNAPSHOT_TAKEN;
	int rc;

	if (j == NULL)
		return err_add(e, "a record is damaged: see trace verify");
	refs_init(&refs);
	rc = refs_add(&refs, j, e);
	if (rc == 0)
		rc = put_refs(db, goes ? dead : live, &refs.blobs, e);
	refs_fini(&refs);
	return rc;
}

static int
put_refs(sqlite3 *db, sqlite3_stmt *st, struct buf *list, struct err *e)
{
	for (size_t at = 0; at < list->n; at += sizeof(struct hash)) {
		(void)sqlite3_reset(st); /* its last step was looked at */
		if (sqlite3_bind_blob(st, 1, list->p + at, HASH_BYTES,
			SQLITE_TRANSIENT) != SQLITE_OK)
			return db_err(db, e, "bind");
		if (db_step(st, e) < 0)
			return -1;
	}
	return 0;
}

static int
count_swept(struct store *s, struct store_swept *out, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;

	if (db_prepare(s->db,
		"SELECT coalesce(sum(h NOT IN (SELECT h FROM temp.live)), 0),"
		" coalesce(sum(CASE WHEN h NOT IN (SELECT h FROM temp.live)"
		" THEN n END), 0),"
		" coalesce(sum(h IN (SELECT h FROM temp.live)), 0)"
		" FROM blob WHERE h IN (SELECT h FROM temp.dead)",
		&st, e) < 0)
		return -1;
	if (db_step(st, e) <= 0)
		return -1;
	out->contents = db_u64(st, 0);
	out->bytes = db_u64(st, 1);
	out->shared = db_u64(st, 2);
	return 0;
}
