#include "store/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "store/keys.h"
#include "sys/fd.h"

enum { NS_PER_MS = 1000 * 1000, NS_PER_US = 1000 };

static int key_open(struct checkpointer *c, const char *dir, sqlite3 *db,
    const struct db_meta *m, struct err *e);
static int key_make(struct checkpointer *c, const char *path, struct err *e);
static int key_note(sqlite3 *db, const struct note_key *k, struct err *e);
static int check_told(
    const struct checkpointer *c, struct str last, struct err *e);
static int tree_open(struct checkpointer *c, sqlite3 *db, struct err *e);
static int tree_from_last(struct checkpointer *c, sqlite3 *db, struct err *e);

int
checkpointer_open(
    struct checkpointer *c, const char *dir, sqlite3 *db, struct err *e)
{
	own_buf struct buf last = {};
	struct db_meta m;

	*c = (struct checkpointer){ .fd = -1 };
	if (db_meta(db, &m, e) < 0 || key_open(c, dir, db, &m, e) < 0 ||
	    tree_open(c, db, e) < 0 ||
	    db_prepare(db, "INSERT INTO checkpoint VALUES(?, ?, ?, ?)", &c->put,
		e) < 0)
		return -1;
	c->fd = told_open(dir, &last, e);
	return c->fd < 0 ? -1 : check_told(c, buf_str(&last), e);
}

/*
 * A database that is older than what was told of it: whoever goes on from
 * there signs a second history under the numbers of the first.
 */
static int
check_told(const struct checkpointer *c, struct str last, struct err *e)
{
	struct note n;
	struct err why;

	/* Another key's checkpoint says nothing about this log. */
	if (note_parse(last, &c->key, &n, &why) <= 0 || n.size <= c->tree.size)
		return 0;
	return err_set(e,
	    "the log had %" PRIu64 " records when " CHECKPOINTS_FILE
	    " was written, and " DB_FILE " has %" PRIu64 ": it is an older "
	    "one, or was cut off; put the newest back, or move this store away",
	    n.size, c->tree.size);
}

void
checkpointer_fini(struct checkpointer *c)
{
	db_stmt_fini(&c->put);
	buf_fini(&c->note);
	fd_fini(&c->fd);
	explicit_bzero(c->secret, sizeof(c->secret));
}

void
checkpoint_mark(const struct checkpointer *c, struct checkpoint_mark *out)
{
	*out = (struct checkpoint_mark){
		.tree = c->tree,
		.signed_size = c->signed_size,
		.since_ns = c->since_ns,
	};
}

void
checkpoint_back(struct checkpointer *c, const struct checkpoint_mark *mark)
{
	c->tree = mark->tree;
	c->signed_size = mark->signed_size;
	c->since_ns = mark->since_ns;
}

void
checkpoint_add(struct checkpointer *c, const struct hash *record)
{
	struct hash leaf = merkle_leaf(record);

	if (c->tree.size == c->signed_size)
		c->since_ns = clock_mono_ns();
	merkle_add(&c->tree, &leaf);
}

int64_t
checkpoint_due(const struct checkpointer *c)
{
	if (c->tree.size == c->signed_size)
		return INT64_MAX;
	if (c->tree.size - c->signed_size >= STORE_CHECKPOINT_RECORDS)
		return 0;
	return c->since_ns + (int64_t)STORE_CHECKPOINT_MS * NS_PER_MS;
}

int
checkpoint_write(struct checkpointer *c, sqlite3 *db, struct err *e)
{
	own_stmt sqlite3_stmt *meta = NULL;
	struct hash root = merkle_root(&c->tree);
	int64_t size = (int64_t)c->tree.size;
	size_t parts = merkle_parts(c->tree.size) * sizeof(struct hash);
	int got;

	buf_reset(&c->note);
	note_write(&c->note, &c->key, c->secret, c->tree.size, &root);
	if (c->note.failed)
		return err_set(e, "checkpoint: out of memory");
	if (sqlite3_bind_int64(c->put, 1, size) != SQLITE_OK ||
	    sqlite3_bind_int64(c->put, 2, clock_utc_ns() / NS_PER_US) !=
		SQLITE_OK ||
	    sqlite3_bind_blob64(
		c->put, 3, c->note.p, c->note.n, SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_bind_blob64(
		c->put, 4, c->tree.part, parts, SQLITE_STATIC) != SQLITE_OK)
		return db_err(db, e, "bind");
	got = db_step(c->put, e);
	(void)sqlite3_reset(c->put); /* repeats the step's error, in e */
	if (got < 0 ||
	    db_prepare(db, "UPDATE meta SET signed = ?", &meta, e) < 0)
		return -1;
	if (sqlite3_bind_int64(meta, 1, size) != SQLITE_OK)
		return db_err(db, e, "bind");
	if (db_step(meta, e) < 0)
		return -1;
	c->signed_size = c->tree.size;
	return 0;
}

int
checkpoint_tell(struct checkpointer *c, struct err *e)
{
	int added;

	if (c->note.n == 0)
		return 0;
	added = told_add(c->fd, buf_str(&c->note), e);
	if (added > 0)
		buf_reset(&c->note);
	return added < 0 ? -1 : 0;
}

bool
log_key_of(sqlite3 *db, struct note_key *out, struct err *e)
{
	struct db_meta m;

	*out = (struct note_key){};
	if (db_meta(db, &m, e) < 0)
		return false;
	if (!m.has_key) {
		(void)err_set(e,
		    "this log has no key: it was written before logs were "
		    "signed; start a daemon on it once");
		return false;
	}
	log_origin(&m.log, out->name);
	memcpy(out->key, m.key.b, SIGN_KEY_BYTES);
	return true;
}

void
log_origin(const struct hash *log, char out[static NOTE_NAME_BYTES])
{
	char hex[HASH_HEX_BYTES];

	hash_hex(log, hex);
	(void)snprintf(out, NOTE_NAME_BYTES, "paddock/%.16s", hex);
}

int
checkpoint_last(sqlite3 *db, uint64_t *size, struct buf *out, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	int got;

	*size = 0;
	if (db_prepare(db,
		"SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1",
		&st, e) < 0)
		return -1;
	got = db_step(st, e);
	if (got > 0) {
		*size = db_u64(st, 0);
		buf_add_str(out, db_str(st, 1));
	}
	return got < 0 ? -1 : 0;
}

static int
key_open(struct checkpointer *c, const char *dir, sqlite3 *db,
    const struct db_meta *m, struct err *e)
{
	own_buf struct buf path = {}, text = {};
	struct err why;

	log_origin(&m->log, c->key.name);
	if (m->has_key && keys_settle(dir, c->key.name, &m->key, e) < 0)
		return -1;
	buf_printf(&path, "%s/" LOG_KEY_FILE, dir);
	if (access(buf_c(&path), F_OK) < 0) {
		if (errno != ENOENT)
			return err_sys(e, "open %s", buf_c(&path));
		if (m->has_key)
			return err_set(e,
			    "%s is gone, and with it the log's key: put it "
			    "back from a copy, or move this store away",
			    buf_c(&path));
		if (key_make(c, buf_c(&path), e) < 0)
			return -1;
	}
	if (file_read(buf_c(&path), &text, NOTE_BYTES, e) < 0)
		return -1;
	if (note_secret_parse(buf_str(&text), &c->key, c->secret, &why) < 0) {
		explicit_bzero(text.p, text.n);
		return err_set(
		    e, "%s holds no key: %s", buf_c(&path), why.text);
	}
	explicit_bzero(text.p, text.n);
	if (m->has_key ? memcmp(m->key.b, c->key.key, SIGN_KEY_BYTES) != 0
		       : key_note(db, &c->key, e) < 0)
		return m->has_key
		    ? err_set(e,
			  "%s is another log's key: put this log's back from "
			  "a copy, or move this store away",
			  buf_c(&path))
		    : -1;
	return 0;
}

/* On disk before the log names it. */
static int
key_make(struct checkpointer *c, const char *path, struct err *e)
{
	own_buf struct buf text = {};
	own_fd int fd = -1;
	int rc;

	if (getrandom(c->secret, sizeof(c->secret), 0) !=
	    (ssize_t)sizeof(c->secret))
		return err_sys(e, "getrandom");
	sign_public(c->secret, c->key.key);
	note_secret_write(&text, &c->key, c->secret);
	buf_add_byte(&text, '\n');
	fd = open(
	    path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "create %s", path);
	rc = fd_write_all(fd, text.p, text.n, e);
	explicit_bzero(text.p, text.n);
	if (rc < 0)
		return -1;
	return fsync(fd) < 0 ? err_sys(e, "fsync %s", path) : 0;
}

static int
key_note(sqlite3 *db, const struct note_key *k, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;

	if (db_prepare(db, "UPDATE meta SET key = ?", &st, e) < 0)
		return -1;
	if (sqlite3_bind_blob(st, 1, k->key, SIGN_KEY_BYTES, SQLITE_STATIC) !=
	    SQLITE_OK)
		return db_err(db, e, "bind");
	return db_step(st, e);
}

/* The parts of the last checkpoint's tree spare hashing all that is older. */
static int
tree_open(struct checkpointer *c, sqlite3 *db, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	int got;

	if (tree_from_last(c, db, e) < 0 ||
	    db_prepare(db, "SELECT hash FROM event WHERE seq > ? ORDER BY seq",
		&st, e) < 0)
		return -1;
	if (sqlite3_bind_int64(st, 1, (int64_t)c->tree.size) != SQLITE_OK)
		return db_err(db, e, "bind");
	while ((got = db_step(st, e)) > 0) {
		struct hash h;

		if (db_hash(st, 0, &h) < 0)
			return err_set(e,
			    "a record's hash is gone: see paddock trace "
			    "verify, then move this store away");
		checkpoint_add(c, &h);
	}
	return got;
}

static int
tree_from_last(struct checkpointer *c, sqlite3 *db, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	struct err why;
	struct merkle t = {};
	struct note n;
	struct hash root;
	struct str parts;
	int got;

	if (db_prepare(db,
		"SELECT size, note, parts FROM checkpoint"
		" ORDER BY size DESC LIMIT 1",
		&st, e) < 0)
		return -1;
	got = db_step(st, e);
	if (got <= 0)
		return got;
	t.size = db_u64(st, 0);
	parts = db_str(st, 2);
	if (parts.n == merkle_parts(t.size) * sizeof(struct hash))
		memcpy(t.part, parts.p, parts.n);
	root = merkle_root(&t);
	if (note_parse(db_str(st, 1), &c->key, &n, &why) <= 0 ||
	    n.size != t.size || !hash_eq(&n.root, &root))
		return err_set(e,
		    "the last checkpoint is not what was signed: see paddock "
		    "trace verify, then move this store away");
	c->tree = t;
	c->signed_size = t.size;
	return 0;
}
