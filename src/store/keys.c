#include "store/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "store/db.h"
#include "store/inside.h"
#include "sys/fd.h"

struct signer {
	struct note_key key;
	uint64_t until; /* records that it may sign */
};

static int follow(
    struct keys *k, struct str old, struct str note, struct err *e);
static int end_with(struct keys *k, const struct note_key *last, struct err *e);
static int add(
    struct keys *k, const struct note_key *key, uint64_t until, struct err *e);
static const struct signer *at(const struct keys *k, size_t i);
static bool same(const struct note_key *a, const struct note_key *b);
static int list_changes(sqlite3 *db, sqlite3_stmt **out, struct err *e);
static int make_next(const char *dir, struct note_key *next,
    uint8_t secret[static SIGN_KEY_BYTES], struct err *e);
static int name_next(struct store *s, const struct note_key *old,
    const struct note_key *next, struct str note, struct err *e);
static int record(struct store *s, const struct note_key *old,
    const struct note_key *next, struct err *e);
static int take_over(const char *dir, struct err *e);
static int sync_dir(const char *dir, struct err *e);
static int is_key(
    const char *path, const char *name, const struct hash *key, struct err *e);

void
keys_fini(struct keys *k)
{
	buf_fini(&k->list);
}

int
keys_load(struct keys *k, sqlite3 *db, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	struct note_key last;
	int got = 0;

	*k = (struct keys){};
	if (!log_key_of(db, &last, e) || list_changes(db, &st, e) < 0)
		return -1;
	while (st != NULL && (got = db_step(st, e)) > 0)
		if (follow(k, db_str(st, 0), db_str(st, 1), e) < 0)
			return 0;
	if (got < 0)
		return -1;
	return end_with(k, &last, e) < 0 ? 0 : 1;
}

int
keys_read(struct keys *k, const struct json *list, const struct note_key *last,
    struct err *e)
{
	*k = (struct keys){};
	if (list != NULL && !json_is(list, JSON_ARRAY)) {
		(void)err_set(e, "its keys are no array");
		return 0;
	}
	for (const struct json *o = list != NULL ? json_first(list) : NULL;
	     o != NULL; o = json_next(list, o))
		if (follow(k, json_str(json_get(o, STR("key"))),
			json_str(json_get(o, STR("note"))), e) < 0)
			return 0;
	return end_with(k, last, e) < 0 ? 0 : 1;
}

int
store_keys(struct store *s, struct keys *out, struct err *e)
{
	return keys_load(out, s->reader, e);
}

const struct note_key *
keys_for(const struct keys *k, uint64_t size)
{
	size_t i = 0;

	must(keys_count(k) > 0);
	while (size > at(k, i)->until)
		i++;
	return &at(k, i)->key;
}

bool
keys_have(const struct keys *k, const struct note_key *key)
{
	for (size_t i = 0; i < keys_count(k); i++)
		if (same(&at(k, i)->key, key))
			return true;
	return false;
}

size_t
keys_count(const struct keys *k)
{
	return k->list.n / sizeof(struct signer);
}

const struct note_key *
keys_at(const struct keys *k, size_t i, uint64_t *until)
{
	must(i < keys_count(k));
	*until = at(k, i)->until;
	return &at(k, i)->key;
}

int
keys_write(struct buf *out, sqlite3 *db, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	const char *before = "";
	int got = 0;

	if (list_changes(db, &st, e) < 0)
		return -1;
	buf_add_byte(out, '[');
	while (st != NULL && (got = db_step(st, e)) > 0) {
		buf_printf(out, "%s{\"key\":", before);
		json_put_str(out, db_str(st, 0));
		buf_add_c(out, ",\"note\":");
		json_put_str(out, db_str(st, 1));
		buf_add_byte(out, '}');
		before = ",";
	}
	buf_add_byte(out, ']');
	return got < 0 ? -1 : 0;
}

/*
 * The file of the next key is on disk before the log names it, and takes the
 * old one's place after that: keys_settle() knows by the name which it was.
 */
int
store_change_key(struct store *s, const char *dir, struct note_key *old,
    struct note_key *next, struct err *e)
{
	struct checkpointer *c = &s->checkpoints;
	own_buf struct buf note = {};
	uint8_t secret[SIGN_KEY_BYTES];
	int rc;

	must(s->bulk && !s->begun);
	*old = *next = c->key;
	if (make_next(dir, next, secret, e) < 0)
		return -1;
	note_next_write(&note, old, c->secret, next, secret, s->seq);
	c->key = *next;
	memcpy(c->secret, secret, sizeof(secret));
	explicit_bzero(secret, sizeof(secret));
	rc = record(s, old, next, e);
	if (rc == 0)
		rc = name_next(s, old, next, buf_str(&note), e);
	if (rc == 0)
		rc = store_commit(s, e);
	/* What is not committed goes with the connection, and with it this. */
	return rc == 0 ? take_over(dir, e) : -1;
}

int
keys_settle(
    const char *dir, const char *name, const struct hash *named, struct err *e)
{
	own_buf struct buf next = {};
	int is_next;

	buf_printf(&next, "%s/" NEXT_KEY_FILE, dir);
	if (access(buf_c(&next), F_OK) < 0)
		return errno == ENOENT ? 0
				       : err_sys(e, "open %s", buf_c(&next));
	is_next = is_key(buf_c(&next), name, named, e);
	if (is_next < 0)
		return -1;
	if (is_next > 0)
		return take_over(dir, e);
	return unlink(buf_c(&next)) < 0 ? err_sys(e, "remove %s", buf_c(&next))
					: 0;
}

/* A change from the key `old`, which must be the one that was to follow. */
static int
follow(struct keys *k, struct str old, struct str note, struct err *e)
{
	const size_t n = keys_count(k);
	struct note_key key;
	uint64_t size = 0;
	struct err why;

	if (n == STORE_MAX_KEYS)
		return err_set(e, "it has more than %d keys", STORE_MAX_KEYS);
	if (note_key_parse(old, &key, &why) < 0)
		return err_set(e, "its key %zu: %s", n + 1, why.text);
	if (n > 0 && !same(&key, &k->next))
		return err_set(
		    e, "its key %zu is not the one that was to follow", n + 1);
	if (note_next_parse(note, &key, &k->next, &size, &why) < 0)
		return err_set(
		    e, "the change of its key %zu: %s", n + 1, why.text);
	if (n > 0 && size <= at(k, n - 1)->until)
		return err_set(
		    e, "its key %zu was changed before it was there", n + 1);
	return add(k, &key, size, e);
}

static int
end_with(struct keys *k, const struct note_key *last, struct err *e)
{
	if (keys_count(k) > 0 && !same(&k->next, last))
		return err_set(e, "its key is not the one that was to follow");
	return add(k, last, UINT64_MAX, e);
}

static int
add(struct keys *k, const struct note_key *key, uint64_t until, struct err *e)
{
	const struct signer one = { *key, until };

	k->list.max = (STORE_MAX_KEYS + 1) * sizeof(one);
	buf_add(&k->list, &one, sizeof(one));
	return k->list.failed ? err_set(e, "keys: out of memory") : 0;
}

static const struct signer *
at(const struct keys *k, size_t i)
{
	return (const struct signer *)(const void *)k->list.p + i;
}

static bool
same(const struct note_key *a, const struct note_key *b)
{
	return strcmp(a->name, b->name) == 0 &&
	    memcmp(a->key, b->key, SIGN_KEY_BYTES) == 0;
}

/* *out stays NULL for a log that has never had another key. */
static int
list_changes(sqlite3 *db, sqlite3_stmt **out, struct err *e)
{
	if (db_is_rotated(db, e))
		return db_prepare(
		    db, "SELECT key, note FROM next_key ORDER BY size", out, e);
	return e->text[0] == '\0' ? 0 : -1;
}

static int
make_next(const char *dir, struct note_key *next,
    uint8_t secret[static SIGN_KEY_BYTES], struct err *e)
{
	own_buf struct buf path = {}, text = {};
	own_fd int fd = -1;
	int rc;

	if (getrandom(secret, SIGN_KEY_BYTES, 0) != SIGN_KEY_BYTES)
		return err_sys(e, "getrandom");
	sign_public(secret, next->key);
	note_secret_write(&text, next, secret);
	buf_add_byte(&text, '\n');
	buf_printf(&path, "%s/" NEXT_KEY_FILE, dir);
	fd = open(buf_c(&path),
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "create %s", buf_c(&path));
	rc = fd_write_all(fd, text.p, text.n, e);
	explicit_bzero(text.p, text.n);
	if (rc == 0 && fsync(fd) < 0)
		rc = err_sys(e, "fsync %s", buf_c(&path));
	return rc == 0 ? sync_dir(dir, e) : -1;
}

/* The change, and whose key the log's is, in the transaction of its record. */
static int
name_next(struct store *s, const struct note_key *old,
    const struct note_key *next, struct str note, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL, *meta = NULL;
	own_buf struct buf key = {};

	note_key_write(&key, old);
	if (db_prepare(s->db, "INSERT INTO next_key VALUES(?, ?, ?)", &st, e) <
		0 ||
	    db_prepare(s->db, "UPDATE meta SET key = ?", &meta, e) < 0)
		return -1;
	if (sqlite3_bind_int64(st, 1, (int64_t)s->seq - 1) != SQLITE_OK ||
	    sqlite3_bind_blob64(st, 2, key.p, key.n, SQLITE_STATIC) !=
		SQLITE_OK ||
	    sqlite3_bind_blob64(st, 3, note.p, note.n, SQLITE_STATIC) !=
		SQLITE_OK ||
	    sqlite3_bind_blob(
		meta, 1, next->key, SIGN_KEY_BYTES, SQLITE_STATIC) != SQLITE_OK)
		return db_err(s->db, e, "bind");
	if (db_step(st, e) < 0 || db_step(meta, e) < 0)
		return -1;
	return db_set_rotated(s->db, e);
}

/* For people: what proves the change is its note. */
static int
record(struct store *s, const struct note_key *old, const struct note_key *next,
    struct err *e)
{
	own_buf struct buf body = {}, from = {}, to = {};
	struct event ev = {
		.kind = EVENT_NOTE,
		.t_ns = clock_utc_ns(),
		.mono_ns = clock_mono_ns(),
		.ms = -1,
	};

	note_key_write(&from, old);
	note_key_write(&to, next);
	buf_add_c(&body, "{\"from\":");
	json_put_str(&body, buf_str(&from));
	buf_add_c(&body, ",\"note\":\"key_changed\",\"to\":");
	json_put_str(&body, buf_str(&to));
	buf_add_byte(&body, '}');
	ev.body = buf_str(&body);
	if (store_append(s, &ev) > 0)
		return 0;
	*e = s->why;
	return e->text[0] != '\0' ? -1 : err_set(e, "the store takes no more");
}

static int
take_over(const char *dir, struct err *e)
{
	own_buf struct buf next = {}, now = {};

	buf_printf(&next, "%s/" NEXT_KEY_FILE, dir);
	buf_printf(&now, "%s/" LOG_KEY_FILE, dir);
	if (rename(buf_c(&next), buf_c(&now)) < 0)
		return err_sys(e, "rename %s", buf_c(&next));
	return sync_dir(dir, e);
}

static int
sync_dir(const char *dir, struct err *e)
{
	own_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, "open %s", dir);
	return fsync(fd) < 0 ? err_sys(e, "fsync %s", dir) : 0;
}

/* 1: the file holds this key's secret, 0: another's, or half of one. */
static int
is_key(
    const char *path, const char *name, const struct hash *key, struct err *e)
{
	own_buf struct buf text = {};
	uint8_t secret[SIGN_KEY_BYTES];
	struct note_key k;
	struct err why;
	bool is;

	if (file_read(path, &text, NOTE_BYTES, e) < 0)
		return -1;
	is = note_secret_parse(buf_str(&text), &k, secret, &why) == 0 &&
	    strcmp(k.name, name) == 0 &&
	    memcmp(k.key, key->b, SIGN_KEY_BYTES) == 0;
	explicit_bzero(secret, sizeof(secret));
	if (text.n > 0)
		explicit_bzero(text.p, text.n);
	return is;
}
