#include "store/db.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/must.h"
#include "core/id.h"

/* "pdck": tells our files from any other SQLite database. */
enum { APPLICATION = 0x7064636b };

enum { NS_PER_MS = 1000 * 1000 };
/* The longest window of a policy: 90 days. */
#define KEPT_MOST_MS (INT64_C(90) * 24 * 3600 * 1000)

/* What format 2 has more. */
#define MAKE_CHECKPOINTS                                                    \
	"ALTER TABLE meta ADD COLUMN key BLOB;"                             \
	"ALTER TABLE meta ADD COLUMN signed INT NOT NULL DEFAULT 0;"        \
	"CREATE TABLE checkpoint(size INTEGER PRIMARY KEY, t INT NOT NULL," \
	" note BLOB NOT NULL, parts BLOB NOT NULL);"

/* What programs of the same format that do not know it leave alone. */
static const char later[] =
    "CREATE TABLE IF NOT EXISTS next_key(size INTEGER PRIMARY KEY,"
    " key BLOB NOT NULL, note BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS snapshot(id TEXT PRIMARY KEY,"
    " body BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS api_token(hash BLOB PRIMARY KEY,"
    " body BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS pin(key BLOB PRIMARY KEY,"
    " body BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS pin_text(key BLOB NOT NULL,"
    " slot INT NOT NULL, body BLOB NOT NULL, PRIMARY KEY(key, slot));"
    "CREATE TABLE IF NOT EXISTS spent(name TEXT PRIMARY KEY,"
    " start INT NOT NULL, body BLOB NOT NULL, until INT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS idem(key BLOB PRIMARY KEY,"
    " args BLOB NOT NULL, run TEXT NOT NULL, step INT NOT NULL,"
    " state INT NOT NULL, kind INT NOT NULL, result BLOB NOT NULL,"
    " until INT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS keep(tenant TEXT PRIMARY KEY,"
    " level INT NOT NULL, after INT NOT NULL);"
    /* Content that is one run's, and runs whose content was removed. */
    "CREATE TABLE IF NOT EXISTS blob_run(run TEXT NOT NULL, h BLOB NOT NULL,"
    " PRIMARY KEY(run, h)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS removed(run TEXT PRIMARY KEY,"
    " seq INT NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS approval_run ON approval(run);"
    "CREATE INDEX IF NOT EXISTS draft_run ON draft(run);"
    "CREATE INDEX IF NOT EXISTS idem_run ON idem(run)";

/* What is asked for by when it is over, in milliseconds of UTC. */
static const char forgets[] =
    "CREATE INDEX IF NOT EXISTS spent_until ON spent(until);"
    "CREATE INDEX IF NOT EXISTS idem_until ON idem(until)";

/*
 * The event index lets a run be read in the order of its calls without
 * touching the records; SQLite keeps it beside the table in one transaction.
 */
static const char schema[] =
    "CREATE TABLE meta(one INTEGER PRIMARY KEY CHECK (one = 1),"
    " format INT NOT NULL, log BLOB NOT NULL, count INT NOT NULL,"
    " head BLOB NOT NULL);" MAKE_CHECKPOINTS
    "CREATE TABLE run(id TEXT PRIMARY KEY, tenant TEXT NOT NULL,"
    " actor TEXT NOT NULL, role TEXT NOT NULL, workflow TEXT NOT NULL,"
    " stage INT NOT NULL, mode TEXT NOT NULL, policy BLOB,"
    " opened INT NOT NULL, closed INT NOT NULL, status TEXT NOT NULL,"
    " stop_reason TEXT NOT NULL, head BLOB, steps INT NOT NULL,"
    " command TEXT NOT NULL, exit_status INT NOT NULL);"
    "CREATE INDEX run_opened ON run(opened);"
    "CREATE TABLE event(seq INTEGER PRIMARY KEY, run TEXT NOT NULL,"
    " step INT NOT NULL, t INT NOT NULL, kind INT NOT NULL,"
    " tool TEXT NOT NULL, body BLOB NOT NULL, hash BLOB NOT NULL);"
    "CREATE INDEX event_run ON event(run, step, seq, kind);"
    "CREATE TABLE blob(h BLOB PRIMARY KEY, n INT NOT NULL, z INT NOT NULL,"
    " data BLOB NOT NULL);"
    "CREATE TABLE approval(id TEXT PRIMARY KEY, run TEXT NOT NULL,"
    " step INT NOT NULL, tool TEXT NOT NULL, state TEXT NOT NULL,"
    " args BLOB NOT NULL, args_hash BLOB NOT NULL, policy BLOB NOT NULL,"
    " body BLOB NOT NULL, requested INT NOT NULL, deadline INT NOT NULL);"
    "CREATE INDEX approval_state ON approval(state, requested);"
    "CREATE TABLE draft(id TEXT PRIMARY KEY, run TEXT NOT NULL,"
    " tool TEXT NOT NULL, args BLOB NOT NULL, args_hash BLOB NOT NULL);"
    "CREATE TABLE policy(version BLOB PRIMARY KEY, body BLOB NOT NULL);"
    "CREATE TABLE token(hash BLOB PRIMARY KEY, tenant TEXT NOT NULL,"
    " actor TEXT NOT NULL, role TEXT NOT NULL, run TEXT NOT NULL);"
    "CREATE TRIGGER event_update BEFORE UPDATE ON event BEGIN"
    " SELECT RAISE(ABORT, 'a record is never changed'); END;"
    "CREATE TRIGGER event_delete BEFORE DELETE ON event BEGIN"
    " SELECT RAISE(ABORT, 'a record is never deleted'); END;"
    "CREATE TRIGGER event_replace BEFORE INSERT ON event"
    " WHEN EXISTS (SELECT 1 FROM event WHERE seq = NEW.seq) BEGIN"
    " SELECT RAISE(ABORT, 'a record is never replaced'); END;"
    "CREATE TRIGGER blob_update BEFORE UPDATE ON blob BEGIN"
    " SELECT RAISE(ABORT, 'a blob is never changed'); END;";

static int open_file(const char *path, int flags, sqlite3 **out, struct err *e);
static int open_unchanging(const char *path, sqlite3 **out, struct err *e);
static int settle(sqlite3 *db, struct err *e);
static int make(sqlite3 *db, struct err *e);
static int renew(sqlite3 *db, struct err *e);
static int give_until(sqlite3 *db, const char *table, struct err *e);
static int check(sqlite3 *db, const char *path, bool *empty, struct err *e);
static int format_of(sqlite3 *db, int64_t *out, struct err *e);
static int number(sqlite3 *db, const char *sql, int64_t *out, struct err *e);
static int path_of(
    struct buf *path, const char *dir, const char *file, struct err *e);

void
db_stmt_fini(sqlite3_stmt **st)
{
	/* Repeats the error of the last step, which was looked at there. */
	(void)sqlite3_finalize(*st);
	*st = NULL;
}

void
db_fini(sqlite3 **db)
{
	/* v2 waits for statements that are still open: it cannot fail. */
	(void)sqlite3_close_v2(*db);
	*db = NULL;
}

sqlite3 *
db_take(sqlite3 **db)
{
	sqlite3 *taken = *db;

	*db = NULL;
	return taken;
}

int
db_open_write(const char *dir, sqlite3 **out, struct err *e)
{
	own_buf struct buf path = {};
	own_db sqlite3 *db = NULL;
	bool empty = false;

	if (path_of(&path, dir, DB_FILE, e) < 0 ||
	    open_file(buf_c(&path), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
		&db, e) < 0)
		return -1;
	if (check(db, buf_c(&path), &empty, e) < 0)
		return err_add(e, "open %s", buf_c(&path));
	if (settle(db, e) < 0 || (empty ? make(db, e) : renew(db, e)) < 0 ||
	    db_exec(db, later, e) < 0 || give_until(db, "spent", e) < 0 ||
	    give_until(db, "idem", e) < 0 || db_exec(db, forgets, e) < 0)
		return err_add(e, "open %s", buf_c(&path));
	*out = db_take(&db);
	return 0;
}

int
db_open_read(const char *dir, sqlite3 **out, struct err *e)
{
	own_buf struct buf path = {}, wal = {};
	own_db sqlite3 *db = NULL;
	bool empty = false;

	if (path_of(&path, dir, DB_FILE, e) < 0 ||
	    path_of(&wal, dir, DB_FILE "-wal", e) < 0)
		return -1;
	if (access(buf_c(&path), R_OK) < 0) {
		if (errno == ENOENT)
			return err_set(e,
			    "no records in %s: nothing has run here, or the "
			    "state is elsewhere (--state DIR)",
			    dir);
		err_sys(e, "open %s", buf_c(&path));
		return err_add(e, "only its owner, or root, may read this");
	}
	if (open_file(buf_c(&path), SQLITE_OPEN_READONLY, &db, e) < 0)
		return -1;
	if (check(db, buf_c(&path), &empty, e) < 0) {
		/*
		 * Without a -wal nobody writes, and nothing waits to be
		 * recovered; a reader who may not make one can then read the
		 * file as it stands. sqlite.org/wal.html, "Read-Only
		 * Databases"
		 */
		if (access(dir, W_OK) == 0 || access(buf_c(&wal), F_OK) == 0)
			return err_add(e, "open %s", buf_c(&path));
		db_fini(&db);
		if (open_unchanging(buf_c(&path), &db, e) < 0)
			return -1;
		if (check(db, buf_c(&path), &empty, e) < 0)
			return err_add(e, "open %s", buf_c(&path));
	}
	if (empty)
		return err_set(
		    e, "%s has no tables: nothing has run here", buf_c(&path));
	if (db_exec(
		db, "PRAGMA temp_store = MEMORY; PRAGMA query_only = 1", e) < 0)
		return err_add(e, "open %s", buf_c(&path));
	*out = db_take(&db);
	return 0;
}

int
db_open_memory(sqlite3 **out, struct err *e)
{
	own_db sqlite3 *db = NULL;

	if (open_file(":memory:",
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY,
		&db, e) < 0 ||
	    db_exec(db, schema, e) < 0)
		return -1;
	*out = db_take(&db);
	return 0;
}

int
db_meta(sqlite3 *db, struct db_meta *m, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	int64_t format;
	int got;

	*m = (struct db_meta){};
	if (format_of(db, &format, e) < 0 ||
	    db_prepare(db,
		format == DB_FORMAT_UNSIGNED
		    ? "SELECT log, count, head, NULL, 0 FROM meta"
		    : "SELECT log, count, head, key, signed FROM meta",
		&st, e) < 0)
		return -1;
	got = db_step(st, e);
	if (got < 0)
		return -1;
	if (got == 0 || db_hash(st, 0, &m->log) < 0)
		return err_set(e, "the log's id is gone from the store");
	m->count = db_u64(st, 1);
	m->head_lost = db_hash(st, 2, &m->head) < 0;
	m->has_key = db_hash(st, 3, &m->key) == 0;
	m->signed_size = db_u64(st, 4);
	return 0;
}

bool
db_is_rotated(sqlite3 *db, struct err *e)
{
	int64_t format = 0;

	*e = (struct err){};
	return format_of(db, &format, e) == 0 && format == DB_FORMAT_ROTATED;
}

int
db_set_rotated(sqlite3 *db, struct err *e)
{
	char pragma[64];

	(void)sqlite3_snprintf(sizeof(pragma), pragma,
	    "PRAGMA user_version = %d", DB_FORMAT_ROTATED);
	return db_exec(db, pragma, e);
}

struct hash
db_genesis(const struct hash *log)
{
	struct str pieces[] = { STR("paddock-log-v1"),
		{ (const char *)log->b, HASH_BYTES } };

	return hash_of_pieces(pieces, 2);
}

int
db_exec(sqlite3 *db, const char *sql, struct err *e)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return db_err(db, e, "store");
	return 0;
}

int
db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, struct err *e)
{
	if (sqlite3_prepare_v2(db, sql, -1, out, NULL) != SQLITE_OK)
		return db_err(db, e, "store");
	return 0;
}

int
db_step(sqlite3_stmt *st, struct err *e)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	return db_err(sqlite3_db_handle(st), e, "store");
}

int
db_err(sqlite3 *db, struct err *e, const char *what)
{
	int sys = sqlite3_system_errno(db);

	(void)err_set(e, "%s: %s", what, sqlite3_errmsg(db));
	if (sys != 0)
		e->sys = sys;
	return -1;
}

struct str
db_str(sqlite3_stmt *st, int column)
{
	const char *p = sqlite3_column_blob(st, column);

	if (p == NULL)
		return STR("");
	return (struct str){ p, (size_t)sqlite3_column_bytes(st, column) };
}

uint64_t
db_u64(sqlite3_stmt *st, int column)
{
	int64_t v = sqlite3_column_int64(st, column);

	return v < 0 ? 0 : (uint64_t)v;
}

int
db_hash(sqlite3_stmt *st, int column, struct hash *out)
{
	struct str s = db_str(st, column);

	*out = (struct hash){};
	if (s.n != HASH_BYTES)
		return -1;
	memcpy(out->b, s.p, HASH_BYTES);
	return 0;
}

uint64_t
db_id(sqlite3_stmt *st, int column, char kind)
{
	uint64_t id = 0;

	if (id_parse(kind, db_str(st, column), &id) < 0)
		return 0;
	return id;
}

static int
open_file(const char *path, int flags, sqlite3 **out, struct err *e)
{
	int rc = sqlite3_open_v2(path, out, flags | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc != SQLITE_OK) {
		if (*out == NULL)
			return err_set(e, "open %s: out of memory", path);
		(void)db_err(*out, e, path);
		return err_add(e, "open");
	}
	(void)sqlite3_extended_result_codes(*out, 1);
	(void)sqlite3_busy_timeout(*out, DB_BUSY_MS);
	return 0;
}

static int
open_unchanging(const char *path, sqlite3 **out, struct err *e)
{
	own_buf struct buf uri = {};

	/* '?', '#' and '%' mean something in a URI; all else is taken as is. */
	buf_add_c(&uri, "file:");
	for (const char *p = path; *p != '\0'; p++) {
		if (*p == '?' || *p == '#' || *p == '%')
			buf_printf(&uri, "%%%02x", (uint8_t)*p);
		else
			buf_add_byte(&uri, *p);
	}
	buf_add_c(&uri, "?immutable=1");
	return open_file(
	    buf_c(&uri), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, out, e);
}

/* How the writing connection behaves. */
static int
settle(sqlite3 *db, struct err *e)
{
	/*
	 * The triggers are for other hands than the writer's, whose list of
	 * statements has none that changes or takes away a record, nor one
	 * that inserts over another: that one's key refuses. To look for the
	 * record before each insert took a third of the writer's time.
	 */
	if (sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL) !=
	    SQLITE_OK)
		return err_set(e, "sqlite3_db_config");
	return db_exec(db,
	    /* Of a new store. Most of what is written are whole records at
	     * the end of a table: half as many frames, and half as often the
	     * page that was written before. */
	    "PRAGMA page_size = 8192;"
	    "PRAGMA journal_mode = WAL;"
	    "PRAGMA synchronous = FULL;"
	    "PRAGMA temp_store = MEMORY;"
	    /* What retention removes is overwritten. */
	    "PRAGMA secure_delete = ON;"
	    /* 16 MiB: a checkpoint is paid once in some ten thousand records.
	     */
	    "PRAGMA wal_autocheckpoint = 2048;"
	    "PRAGMA journal_size_limit = 67108864;",
	    e);
}

static int
make(sqlite3 *db, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	struct hash log, head;
	char pragma[64];

	if (getrandom(log.b, sizeof(log.b), 0) != (ssize_t)sizeof(log.b))
		return err_sys(e, "getrandom");
	head = db_genesis(&log);
	(void)sqlite3_snprintf(sizeof(pragma), pragma,
	    "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION,
	    DB_FORMAT);
	if (db_exec(db, "BEGIN IMMEDIATE", e) < 0 ||
	    db_exec(db, schema, e) < 0 || db_exec(db, pragma, e) < 0 ||
	    db_prepare(db,
		"INSERT INTO meta(one, format, log, count, head)"
		" VALUES(1, ?, ?, 0, ?)",
		&st, e) < 0)
		return -1;
	if (sqlite3_bind_int(st, 1, DB_FORMAT) != SQLITE_OK ||
	    sqlite3_bind_blob(st, 2, log.b, HASH_BYTES, SQLITE_STATIC) !=
		SQLITE_OK ||
	    sqlite3_bind_blob(st, 3, head.b, HASH_BYTES, SQLITE_STATIC) !=
		SQLITE_OK)
		return db_err(db, e, "store");
	if (db_step(st, e) < 0)
		return -1;
	return db_exec(db, "COMMIT", e);
}

/* Brings an older format up to this one. */
static int
renew(sqlite3 *db, struct err *e)
{
	char pragma[64];
	int64_t format;

	if (format_of(db, &format, e) < 0)
		return -1;
	if (format != DB_FORMAT_UNSIGNED)
		return 0;
	(void)sqlite3_snprintf(
	    sizeof(pragma), pragma, "PRAGMA user_version = %d", DB_FORMAT);
	if (db_exec(db, "BEGIN IMMEDIATE", e) < 0 ||
	    db_exec(db, MAKE_CHECKPOINTS, e) < 0 || db_exec(db, pragma, e) < 0)
		return -1;
	return db_exec(db, "COMMIT", e);
}

/*
 * Rows of programs that kept all of them for ever are kept as long as any row
 * is: then nothing that was promised of them ends early. A default is not
 * written into the rows, so this takes no time.
 */
static int
give_until(sqlite3 *db, const char *table, struct err *e)
{
	const int64_t until_ms = clock_utc_ns() / NS_PER_MS + KEPT_MOST_MS;
	char sql[160];
	int64_t has = 0;

	(void)snprintf(sql, sizeof(sql),
	    "SELECT count(*) FROM pragma_table_info('%s') WHERE name='until'",
	    table);
	if (number(db, sql, &has, e) < 0)
		return -1;
	(void)snprintf(sql, sizeof(sql),
	    "ALTER TABLE %s ADD COLUMN until INT NOT NULL DEFAULT %lld", table,
	    (long long)until_ms);
	return has == 0 ? db_exec(db, sql, e) : 0;
}

/* Ours, and of a format we know? An empty database is: *empty is set. */
static int
check(sqlite3 *db, const char *path, bool *empty, struct err *e)
{
	int64_t application, format, tables;

	if (number(db, "PRAGMA application_id", &application, e) < 0 ||
	    format_of(db, &format, e) < 0 ||
	    number(db, "SELECT count(*) FROM sqlite_schema", &tables, e) < 0)
		return -1;
	*empty = application == 0 && tables == 0;
	if (*empty)
		return 0;
	if (application != APPLICATION)
		return err_set(e,
		    "this is another program's database, not paddock's: move "
		    "%s away or name another directory",
		    path);
	if (format < DB_FORMAT_UNSIGNED || format > DB_FORMAT_ROTATED)
		return err_set(e,
		    "its format is %lld and this program knows %d: use the "
		    "version of paddock that wrote it",
		    (long long)format, DB_FORMAT_ROTATED);
	return 0;
}

static int
format_of(sqlite3 *db, int64_t *out, struct err *e)
{
	return number(db, "PRAGMA user_version", out, e);
}

static int
number(sqlite3 *db, const char *sql, int64_t *out, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;

	*out = 0;
	if (db_prepare(db, sql, &st, e) < 0)
		return -1;
	if (db_step(st, e) < 0)
		return -1;
	*out = sqlite3_column_int64(st, 0);
	return 0;
}

static int
path_of(struct buf *path, const char *dir, const char *file, struct err *e)
{
	buf_printf(path, "%s/%s", dir, file);
	if (path->failed)
		return err_set(e, "the store's name is too long");
	return 0;
}
