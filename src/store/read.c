/*
 * Reading rows back. Each function has its statement and one row on the
 * stack; what a row points to is SQLite's until the next one.
 */
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "base/limits.h"
#include "base/must.h"
#include "codec/json.h"
#include "core/id.h"
#include "store/blob.h"
#include "store/db.h"
#include "store/inside.h"
#include "store/store.h"

enum { NS_PER_US = 1000 };

_Static_assert(EVENT_KINDS < 63, "a kind has a bit of an SQLite integer");

static const char *const reads[READS] = {
	/* Sorts numbers rather than records: the index has them by step. */
	[READ_STEPS] =
	    "SELECT seq FROM event WHERE run = ? AND step BETWEEN ? AND ?"
	    " ORDER BY seq LIMIT ?",
	/* In the order of the index, which is nearly always that of seq. */
	[READ_PLACES] = "SELECT seq, step, kind FROM event WHERE run = ?"
			" AND (? >> kind & 1) ORDER BY step, seq",
	[READ_EVENT] =
	    "SELECT seq, run, step, t, kind, tool, body, hash FROM event"
	    " WHERE seq = ?",
	[READ_BLOB] = "SELECT n, z, data FROM blob WHERE h = ?",
};

static int read_steps(struct store *s, uint64_t run, int64_t from, int64_t to,
    uint32_t limit, bool (*on)(void *arg, const struct store_row *row),
    void *arg, struct err *e);
static int read_listed(sqlite3_stmt *list, sqlite3_stmt *get,
    bool (*on)(void *arg, const struct store_row *row), void *arg,
    struct err *e);
static int read_one(
    sqlite3_stmt *get, uint64_t seq, struct store_row *row, struct err *e);
static int by_seq(const void *a, const void *b);
static sqlite3_stmt *take(struct store *s, enum kept_read which, struct err *e);
static void give(struct store *s, enum kept_read which, sqlite3_stmt *st);
static int bind_text(sqlite3_stmt *st, int at, struct str s, struct err *e);
static int bind_number(sqlite3_stmt *st, int at, int64_t v, struct err *e);
static bool read_event(sqlite3_stmt *st, struct store_row *row);
static void read_run(sqlite3_stmt *st, struct store_run *r);

int
store_events(struct store *s, uint64_t run, uint32_t from_step, uint32_t limit,
    bool (*on)(void *arg, const struct store_row *row), void *arg,
    struct err *e)
{
	return read_steps(s, run, from_step, INT64_MAX, limit, on, arg, e);
}

int
store_places(struct store *s, uint64_t run, uint64_t kinds, struct buf *out,
    struct err *e)
{
	sqlite3_stmt *list = take(s, READ_PLACES, e);
	const size_t from = out->n;
	uint64_t last = 0;
	bool ordered = true;
	char id[ID_BYTES];
	int got = -1;

	id_text('r', run, id);
	if (list != NULL && bind_text(list, 1, str_of(id), e) == 0 &&
	    bind_number(list, 2, (int64_t)kinds, e) == 0) {
		while ((got = db_step(list, e)) > 0) {
			struct store_place at = { .seq = db_u64(list, 0),
				.step = (uint32_t)db_u64(list, 1),
				.kind = (enum event_kind)sqlite3_column_int(
				    list, 2) };

			ordered = ordered && at.seq > last;
			last = at.seq;
			buf_add(out, &at, sizeof(at));
		}
	}
	give(s, READ_PLACES, list);
	if (got < 0)
		return -1;
	if (out->failed)
		return err_set(e, "out of memory");
	if (!ordered) /* calls that overlap */
		qsort(out->p + from,
		    (out->n - from) / sizeof(struct store_place),
		    sizeof(struct store_place), by_seq);
	return 0;
}

static int
by_seq(const void *a, const void *b)
{
	const struct store_place *x = a, *y = b;

	return (x->seq > y->seq) - (x->seq < y->seq);
}

int
store_event(struct store *s, uint64_t seq,
    void (*on)(void *arg, const struct store_row *row), void *arg,
    struct err *e)
{
	sqlite3_stmt *get = take(s, READ_EVENT, e);
	struct store_row row;
	int rc = -1;

	if (get != NULL)
		rc = read_one(get, seq, &row, e);
	if (rc == 0)
		on(arg, &row);
	give(s, READ_EVENT, get);
	return rc;
}

int
store_step(struct store *s, uint64_t run, uint32_t step,
    bool (*on)(void *arg, const struct store_row *row), void *arg,
    struct err *e)
{
	return read_steps(s, run, step, step, 0, on, arg, e);
}

static int
read_steps(struct store *s, uint64_t run, int64_t from, int64_t to,
    uint32_t limit, bool (*on)(void *arg, const struct store_row *row),
    void *arg, struct err *e)
{
	sqlite3_stmt *list = take(s, READ_STEPS, e);
	sqlite3_stmt *get = list != NULL ? take(s, READ_EVENT, e) : NULL;
	char id[ID_BYTES];
	int rc = -1;

	id_text('r', run, id);
	if (get != NULL && bind_text(list, 1, str_of(id), e) == 0 &&
	    bind_number(list, 2, from, e) == 0 &&
	    bind_number(list, 3, to, e) == 0 &&
	    bind_number(list, 4, limit > 0 ? (int64_t)limit : -1, e) == 0)
		rc = read_listed(list, get, on, arg, e);
	give(s, READ_STEPS, list);
	give(s, READ_EVENT, get);
	return rc;
}

static int
read_listed(sqlite3_stmt *list, sqlite3_stmt *get,
    bool (*on)(void *arg, const struct store_row *row), void *arg,
    struct err *e)
{
	int got;

	while ((got = db_step(list, e)) > 0) {
		struct store_row row;
		bool more;

		if (read_one(get, db_u64(list, 0), &row, e) < 0)
			return -1;
		more = on(arg, &row);
		(void)sqlite3_reset(get); /* its last step succeeded */
		if (!more)
			return 0;
	}
	return got;
}

/* A record that the index has and the table has not is damaged, too. */
static int
read_one(sqlite3_stmt *get, uint64_t seq, struct store_row *row, struct err *e)
{
	if (bind_number(get, 1, (int64_t)seq, e) < 0 || db_step(get, e) < 0)
		return -1;
	if (!read_event(get, row))
		return err_set(e,
		    "record %llu is damaged: see paddock trace verify",
		    (unsigned long long)seq);
	return 0;
}

/* A statement that is the caller's until give(): on() may read, too. */
static sqlite3_stmt *
take(struct store *s, enum kept_read which, struct err *e)
{
	sqlite3_stmt *st = s->kept[which];

	s->kept[which] = NULL;
	if (st == NULL && db_prepare(s->reader, reads[which], &st, e) < 0)
		return NULL;
	return st;
}

/* st may be NULL. */
static void
give(struct store *s, enum kept_read which, sqlite3_stmt *st)
{
	if (st == NULL)
		return;
	(void)sqlite3_reset(st); /* repeats an error that was looked at */
	(void)sqlite3_clear_bindings(st); /* cannot fail */
	db_stmt_fini(&s->kept[which]);
	s->kept[which] = st;
}

int
store_runs(struct store *s, uint64_t run, bool only_open, uint32_t limit,
    bool (*on)(void *arg, const struct store_run *r), void *arg, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	char id[ID_BYTES] = "";
	int got;

	if (run != 0)
		id_text('r', run, id);
	if (db_prepare(s->reader,
		"SELECT id, tenant, actor, role, workflow, stage, mode, policy,"
		" opened, closed, status, stop_reason, head, steps, command,"
		" exit_status FROM run WHERE (?1 = '' OR id = ?1)"
		" AND (NOT ?2 OR closed = 0)"
		" ORDER BY opened DESC, id LIMIT ?3",
		&st, e) < 0 ||
	    bind_text(st, 1, str_of(id), e) < 0 ||
	    bind_number(st, 2, only_open, e) < 0 ||
	    bind_number(st, 3, limit > 0 ? (int64_t)limit : -1, e) < 0)
		return -1;
	while ((got = db_step(st, e)) > 0) {
		struct store_run r;

		read_run(st, &r);
		if (!on(arg, &r))
			return 0;
	}
	return got;
}

int
store_policy(
    struct store *s, const struct hash *version, struct buf *out, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	int got;

	if (db_prepare(s->reader, "SELECT body FROM policy WHERE version = ?",
		&st, e) < 0)
		return -1;
	if (sqlite3_bind_blob(st, 1, version->b, HASH_BYTES, SQLITE_STATIC) !=
	    SQLITE_OK)
		return db_err(s->reader, e, "bind");
	got = db_step(st, e);
	if (got == 0)
		return err_set(e, "the policy is not kept here");
	if (got > 0)
		buf_add_str(out, db_str(st, 0));
	return got > 0 ? 0 : -1;
}

int
store_draft(struct store *s, uint64_t id, struct buf *args, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	char name[ID_BYTES];
	int got;

	id_text('d', id, name);
	if (db_prepare(
		s->reader, "SELECT args FROM draft WHERE id = ?", &st, e) < 0)
		return -1;
	if (sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC) != SQLITE_OK)
		return db_err(s->reader, e, "bind");
	got = db_step(st, e);
	if (got == 0)
		return err_set(e, "draft %s is not kept here", name);
	if (got > 0)
		buf_add_str(args, db_str(st, 0));
	return got > 0 ? 0 : -1;
}

int
store_approvals(struct store *s, uint64_t id, struct str state,
    bool (*on)(void *arg, const struct store_approval *a), void *arg,
    struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	char name[ID_BYTES] = "";
	int got;

	if (id != 0)
		id_text('a', id, name);
	if (db_prepare(s->reader,
		"SELECT id, run, step, tool, state, args, args_hash, policy,"
		" body, requested, deadline FROM approval"
		" WHERE (?1 = '' OR id = ?1) AND (?2 = '' OR state = ?2)"
		" ORDER BY requested, id",
		&st, e) < 0 ||
	    bind_text(st, 1, str_of(name), e) < 0 ||
	    bind_text(st, 2, state, e) < 0)
		return -1;
	while ((got = db_step(st, e)) > 0) {
		struct store_approval a = { .id = db_id(st, 0, 'a'),
			.run = db_id(st, 1, 'r'),
			.step = (uint32_t)db_u64(st, 2),
			.tool = db_str(st, 3),
			.state = db_str(st, 4),
			.args = db_str(st, 5),
			.body = db_str(st, 8),
			.requested_ns = sqlite3_column_int64(st, 9),
			.deadline_ns = sqlite3_column_int64(st, 10) };

		if (db_hash(st, 6, &a.args_hash) < 0 ||
		    db_hash(st, 7, &a.policy) < 0)
			return err_set(e, "an approval's row is damaged");
		if (!on(arg, &a))
			return 0;
	}
	return got;
}

int
store_is_asked(struct store *s, uint64_t run, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	char id[ID_BYTES];

	id_text('r', run, id);
	if (db_prepare(s->reader,
		"SELECT 1 FROM approval WHERE run = ? AND state = 'pending'"
		" LIMIT 1",
		&st, e) < 0 ||
	    bind_text(st, 1, str_of(id), e) < 0)
		return -1;
	return db_step(st, e);
}

int
store_tokens(struct store *s,
    bool (*on)(void *arg, const struct store_token *t), void *arg,
    struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	int got;

	if (db_prepare(s->reader,
		"SELECT hash, tenant, actor, role, run FROM token", &st, e) < 0)
		return -1;
	while ((got = db_step(st, e)) > 0) {
		struct store_token t = { .tenant = db_str(st, 1),
			.actor = db_str(st, 2),
			.role = db_str(st, 3),
			.run = db_id(st, 4, 'r') };

		if (db_hash(st, 0, &t.hash) < 0)
			return err_set(e, "a token's row is damaged");
		if (!on(arg, &t))
			return 0;
	}
	return got;
}

int
store_snapshots(struct store *s,
    bool (*on)(void *arg, uint64_t id, struct str body), void *arg,
    struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	int got;

	if (db_prepare(s->reader,
		"SELECT id, body FROM snapshot WHERE length(body) > 0"
		" ORDER BY rowid",
		&st, e) < 0)
		return -1;
	while ((got = db_step(st, e)) > 0) {
		uint64_t id;

		if (id_parse('s', db_str(st, 0), &id) < 0)
			return err_set(e, "a snapshot's row is damaged");
		if (!on(arg, id, db_str(st, 1)))
			return 0;
	}
	return got;
}

int
store_api_tokens(struct store *s,
    bool (*on)(void *arg, const struct hash *token, struct str body), void *arg,
    struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	int got;

	if (db_prepare(s->reader, "SELECT hash, body FROM api_token", &st, e) <
	    0)
		return -1;
	while ((got = db_step(st, e)) > 0) {
		struct hash token;

		if (db_hash(st, 0, &token) < 0)
			return err_set(e, "an API token's row is damaged");
		if (!on(arg, &token, db_str(st, 1)))
			return 0;
	}
	return got;
}

int
store_pins(struct store *s,
    bool (*on)(void *arg, const struct hash *key, struct str body), void *arg,
    struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	int got;

	if (db_prepare(s->reader, "SELECT key, body FROM pin ORDER BY rowid",
		&st, e) < 0)
		return -1;
	while ((got = db_step(st, e)) > 0) {
		struct hash key;

		if (db_hash(st, 0, &key) < 0)
			return err_set(e, "the row of a definition is damaged");
		if (!on(arg, &key, db_str(st, 1)))
			return 0;
	}
	return got;
}

int
store_pin_text(struct store *s, const struct hash *key, enum pin_slot slot,
    struct buf *out, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	int got;

	if (db_prepare(s->reader,
		"SELECT body FROM pin_text WHERE key = ? AND slot = ?", &st,
		e) < 0)
		return -1;
	if (sqlite3_bind_blob(st, 1, key->b, HASH_BYTES, SQLITE_STATIC) !=
		SQLITE_OK ||
	    sqlite3_bind_int(st, 2, (int)slot) != SQLITE_OK)
		return db_err(s->reader, e, "bind");
	got = db_step(st, e);
	if (got > 0)
		buf_add_str(out, db_str(st, 0));
	return got;
}

int
store_spent(struct store *s, struct str name, int64_t *start_ms,
    struct buf *body, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	int got;

	if (db_prepare(s->reader,
		"SELECT start, body FROM spent WHERE name = ?", &st, e) < 0)
		return -1;
	if (sqlite3_bind_text64(
		st, 1, name.p, name.n, SQLITE_STATIC, SQLITE_UTF8) != SQLITE_OK)
		return db_err(s->reader, e, "bind");
	got = db_step(st, e);
	if (got <= 0)
		return got;
	*start_ms = (int64_t)db_u64(st, 0);
	buf_add_str(body, db_str(st, 1));
	return 1;
}

int
store_idem(struct store *s, const struct hash *key, struct store_idem *out,
    struct buf *result, int64_t *until_ms, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	int got;

	if (db_prepare(s->reader,
		"SELECT args, run, step, state, kind, result, until FROM idem"
		" WHERE key = ?",
		&st, e) < 0)
		return -1;
	if (sqlite3_bind_blob(st, 1, key->b, HASH_BYTES, SQLITE_STATIC) !=
	    SQLITE_OK)
		return db_err(s->reader, e, "bind");
	got = db_step(st, e);
	if (got <= 0)
		return got;
	*out = (struct store_idem){ .key = *key,
		.run = db_id(st, 1, 'r'),
		.step = (uint32_t)db_u64(st, 2),
		.state = (uint32_t)db_u64(st, 3),
		.kind = (uint32_t)db_u64(st, 4) };
	if (db_hash(st, 0, &out->args) < 0)
		return err_set(e, "the row of a call's key is damaged");
	buf_add_str(result, db_str(st, 5));
	*until_ms = sqlite3_column_int64(st, 6);
	return 1;
}

int
store_blob(
    struct store *s, const struct hash *h, struct buf *out, struct err *e)
{
	sqlite3_stmt *st = take(s, READ_BLOB, e);
	char hex[HASH_HEX_BYTES];
	const size_t before = out != NULL ? out->n : 0;
	int got = st != NULL ? blob_find(st, h, out, e) : -1;

	give(s, READ_BLOB, st);
	if (got < 0)
		return -1;
	hash_hex(h, hex);
	if (got == 0)
		return err_set(e, "no blob %s", hex);
	if (got == BLOB_FOUND_SALTED && out != NULL &&
	    out->n >= before + HASH_BYTES) {
		out->n -= HASH_BYTES;
		memmove(out->p + before, out->p + before + HASH_BYTES,
		    out->n - before);
	}
	return 0;
}

int
store_blob_sound(
    struct store *s, const struct hash *h, struct buf *out, struct err *e)
{
	own_buf struct buf all = { .max = STORE_MAX_EVENT_BYTES + HASH_BYTES };
	sqlite3_stmt *st = take(s, READ_BLOB, e);
	int got = st != NULL ? blob_find(st, h, &all, e) : -1;
	struct hash found;

	give(s, READ_BLOB, st);
	if (got < 0)
		return -1;
	if (got == 0)
		return err_set(e, "it is not kept any more");
	found = hash_of(all.p, all.n);
	if (!hash_eq(&found, h))
		return err_set(e,
		    "what is stored under this hash is something else: see "
		    "`paddock trace verify`");
	if (got == BLOB_FOUND_SALTED)
		buf_drop(&all, HASH_BYTES);
	buf_add_str(out, buf_str(&all));
	return out->failed ? err_set(e, "out of memory") : 0;
}

int
store_content_hash(struct store *s, const struct json *ref, struct hash *out)
{
	own_buf struct buf bytes = { .max =
					 STORE_MAX_EVENT_BYTES + HASH_BYTES };
	struct err ignored;

	if (hash_from_hex(json_str(json_get(ref, STR("h"))), out) < 0)
		return -1;
	if (json_bool(json_get(ref, STR("salted")), false) &&
	    store_blob(s, out, &bytes, &ignored) == 0)
		*out = hash_of(bytes.p, bytes.n);
	return 0;
}

int
blob_prepare(sqlite3 *db, sqlite3_stmt **out, struct err *e)
{
	return db_prepare(db, reads[READ_BLOB], out, e);
}

int
blob_find(
    sqlite3_stmt *st, const struct hash *h, struct buf *out, struct err *e)
{
	struct str data;
	uint64_t n;
	char *at;
	size_t got = 0;
	int rc, z, found;

	(void)sqlite3_reset(st); /* its last step was looked at */
	if (sqlite3_bind_blob(st, 1, h->b, HASH_BYTES, SQLITE_STATIC) !=
	    SQLITE_OK)
		return db_err(sqlite3_db_handle(st), e, "bind");
	rc = db_step(st, e);
	if (rc <= 0)
		return rc;
	n = db_u64(st, 0);
	data = db_str(st, 2);
	z = sqlite3_column_int(st, 1);
	found = (z & BLOB_SALTED) != 0 ? BLOB_FOUND_SALTED : BLOB_FOUND;
	if (found == BLOB_FOUND_SALTED) {
		if (data.n < HASH_BYTES)
			return err_set(e, "its salt is gone");
		buf_add(out, data.p, HASH_BYTES);
		data.p += HASH_BYTES;
		data.n -= HASH_BYTES;
	}
	if ((z & BLOB_PACKED) == 0) {
		if (n != data.n)
			return err_set(e, "it has lost or gained bytes");
		buf_add_str(out, data);
		return out->failed ? err_set(e, "no room for it") : found;
	}
	at = n <= STORE_MAX_EVENT_BYTES ? buf_reserve(out, n) : NULL;
	if (at == NULL)
		return err_set(
		    e, "no room for its %llu bytes", (unsigned long long)n);
	got = ZSTD_decompress(at, n, data.p, data.n);
	if (ZSTD_isError(got) || got != n)
		return err_set(e, "it cannot be unpacked");
	out->n += n;
	return found;
}

static int
bind_text(sqlite3_stmt *st, int at, struct str s, struct err *e)
{
	if (sqlite3_bind_text64(st, at, s.n > 0 ? s.p : "", s.n,
		SQLITE_TRANSIENT, SQLITE_UTF8) != SQLITE_OK)
		return db_err(sqlite3_db_handle(st), e, "bind");
	return 0;
}

static int
bind_number(sqlite3_stmt *st, int at, int64_t v, struct err *e)
{
	if (sqlite3_bind_int64(st, at, v) != SQLITE_OK)
		return db_err(sqlite3_db_handle(st), e, "bind");
	return 0;
}

static bool
read_event(sqlite3_stmt *st, struct store_row *row)
{
	int64_t kind = sqlite3_column_int64(st, 4);

	*row = (struct store_row){ .seq = db_u64(st, 0),
		.run = db_id(st, 1, 'r'),
		.step = (uint32_t)db_u64(st, 2),
		.tool = db_str(st, 5),
		.body = db_str(st, 6) };
	if (kind < EVENT_RUN_OPENED || kind >= EVENT_KINDS ||
	    __builtin_mul_overflow(
		sqlite3_column_int64(st, 3), NS_PER_US, &row->t_ns))
		return false;
	row->kind = (enum event_kind)kind;
	return db_hash(st, 7, &row->hash) == 0;
}

static void
read_run(sqlite3_stmt *st, struct store_run *r)
{
	*r = (struct store_run){ .id = db_id(st, 0, 'r'),
		.tenant = db_str(st, 1),
		.actor = db_str(st, 2),
		.role = db_str(st, 3),
		.workflow = db_str(st, 4),
		.stage = (uint32_t)db_u64(st, 5),
		.mode = db_str(st, 6),
		.opened_ns = sqlite3_column_int64(st, 8),
		.closed_ns = sqlite3_column_int64(st, 9),
		.status = db_str(st, 10),
		.stop_reason = db_str(st, 11),
		.steps = (uint32_t)db_u64(st, 13),
		.command = db_str(st, 14),
		.exit_status = (uint32_t)db_u64(st, 15) };
	/* Zeros stand for what is not there. */
	(void)db_hash(st, 7, &r->policy);
	(void)db_hash(st, 12, &r->head);
}
