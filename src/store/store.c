/*
 * Opening and closing a store, and what the caller's thread looks at.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "store/db.h"
#include "store/inside.h"
#include "sys/fd.h"

static int open_for_writing(struct store *s, const char *dir, struct err *e);
static struct store *open_new(const char *dir, bool bulk, struct err *e);
static int lock(const char *dir, int *out, struct err *e);
static int resume(struct store *s, struct err *e);
static struct store *new_store(void);
static void free_store(struct store *s);

struct store *
store_open(const char *dir, struct err *e)
{
	return open_new(dir, false, e);
}

struct store *
store_open_bulk(const char *dir, struct err *e)
{
	return open_new(dir, true, e);
}

int
store_commit(struct store *s, struct err *e)
{
	must(s->bulk);
	return writer_commit(s, e);
}

static struct store *
open_new(const char *dir, bool bulk, struct err *e)
{
	struct store *s = new_store();

	s->bulk = bulk;
	if (open_for_writing(s, dir, e) < 0) {
		free_store(s);
		return NULL;
	}
	return s;
}

struct store *
store_open_read(const char *dir, struct err *e)
{
	struct store *s = new_store();

	if (db_open_read(dir, &s->reader, e) < 0) {
		free_store(s);
		return NULL;
	}
	return s;
}

struct store *
store_over_take(sqlite3 *db)
{
	struct store *s = new_store();

	s->reader = db;
	return s;
}

int
store_close(struct store *s, struct err *e)
{
	int rc = 0;

	if (s->lock_fd >= 0) {
		/* What is not committed goes with the connection. */
		if (!s->bulk)
			writer_stop(s);
		if (!s->bulk && atomic_load(&s->failed)) {
			*e = s->why;
			rc = -1;
		}
	}
	free_store(s);
	return rc;
}

uint64_t
store_made(const struct store *s)
{
	return s->seq;
}

uint64_t
store_durable(const struct store *s)
{
	return atomic_load(&s->durable);
}

int
store_event_fd(const struct store *s)
{
	return s->event_fd;
}

int
store_check(struct store *s, struct err *e)
{
	uint64_t count;

	/* EAGAIN: nothing new, and what follows is true all the same. */
	(void)!read(s->event_fd, &count, sizeof(count));
	if (!atomic_load(&s->failed))
		return 0;
	/* `why` was written before `failed` and does not change again. */
	*e = s->why;
	return -1;
}

bool
store_is_full(struct store *s, struct err *why)
{
	bool full;

	if (!atomic_load(&s->full))
		return false;
	must(pthread_mutex_lock(&s->lock) == 0);
	full = atomic_load(&s->full);
	if (full && why != NULL)
		*why = s->why;
	must(pthread_mutex_unlock(&s->lock) == 0);
	return full;
}

int
store_read_as_of_now(struct store *s, struct err *e)
{
	return db_exec(s->reader, "BEGIN", e);
}

struct hash
store_head(const struct store *s)
{
	return s->head;
}

int
store_key(struct store *s, struct note_key *out, struct err *e)
{
	return log_key_of(s->reader, out, e) ? 0 : -1;
}

int
store_checkpoint(
    struct store *s, uint64_t *size, struct buf *out, struct err *e)
{
	struct note_key k;

	return log_key_of(s->reader, &k, e)
	    ? checkpoint_last(s->reader, size, out, e)
	    : -1;
}

const char *
store_fault_name(enum store_fault f)
{
	switch (f) {
	case STORE_SOUND:
		return "SOUND";
	case STORE_HASH_MISMATCH:
		return "HASH_MISMATCH";
	case STORE_CHAIN_BROKEN:
		return "CHAIN_BROKEN";
	case STORE_ORDER_INVALID:
		return "ORDER_INVALID";
	case STORE_MISSING:
		return "MISSING";
	case STORE_TRUNCATED:
		return "TRUNCATED";
	case STORE_BLOB_MISMATCH:
		return "BLOB_MISMATCH";
	case STORE_BAD_RECORD:
		return "BAD_RECORD";
	case STORE_SIG_BAD:
		return "SIG_BAD";
	case STORE_CHECKPOINT_MISMATCH:
		return "CHECKPOINT_MISMATCH";
	}
	must(false);
}

static int
open_for_writing(struct store *s, const char *dir, struct err *e)
{
	own_fd int lock_fd = -1;

	/* EEXIST is the usual case; anything else shows in the lock. */
	if (mkdir(dir, 0700) < 0 && errno != EEXIST && errno != EACCES)
		return err_sys(e, "mkdir %s", dir);
	if (lock(dir, &lock_fd, e) < 0)
		return -1;
	s->dir = strdup(dir);
	must(s->dir != NULL);
	s->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->event_fd < 0)
		return err_sys(e, "eventfd");
	/* SQLite's counters of memory, which nobody reads, are a lock around
	 * each piece. MISUSE: a store was open before; then they stay. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	if (db_open_write(dir, &s->db, e) < 0 || resume(s, e) < 0 ||
	    checkpointer_open(&s->checkpoints, dir, s->db, e) < 0 ||
	    sums_load(&s->sums, s->db, e) < 0 ||
	    keep_load(&s->keep, dir, s->db, e) < 0 ||
	    db_open_read(dir, &s->reader, e) < 0 || writer_prepare(s, e) < 0 ||
	    (s->bulk ? db_exec(s->db, "PRAGMA cache_size = -16384", e)
		     : writer_start(s, e)) < 0)
		return -1;
	s->lock_fd = fd_take(&lock_fd);
	return 0;
}

/*
 * The lock is the kernel's, so it ends with its holder however that ends; the
 * number in the file is for people.
 */
static int
lock(const char *dir, int *out, struct err *e)
{
	own_buf struct buf path = {}, holder = {};
	own_fd int fd = -1;
	char pid[24];
	int n;

	buf_printf(&path, "%s/" DB_LOCK_FILE, dir);
	fd =
	    open(buf_c(&path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "open %s", buf_c(&path));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		struct str who;

		if (errno != EWOULDBLOCK)
			return err_sys(e, "lock %s", buf_c(&path));
		if (fd_read_all(fd, &holder, sizeof(pid), e) < 0)
			return -1;
		who = str_trim(buf_str(&holder));
		return err_set(e,
		    "%s is in use by process %.*s: stop that one, or name "
		    "another directory",
		    dir, STR_FMT(who));
	}
	/* Written over, so that a full disk has room for it. */
	n = snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (pwrite(fd, pid, (size_t)n, 0) != n)
		return err_sys(e, "write %s", buf_c(&path));
	if (ftruncate(fd, n) < 0)
		return err_sys(e, "truncate %s", buf_c(&path));
	*out = fd_take(&fd);
	return 0;
}

/* Where the chain goes on. */
static int
resume(struct store *s, struct err *e)
{
	own_stmt sqlite3_stmt *st = NULL;
	struct db_meta m;
	struct hash last;
	bool same;

	if (db_meta(s->db, &m, e) < 0 ||
	    db_prepare(s->db,
		"SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1", &st,
		e) < 0)
		return -1;
	switch (db_step(st, e)) {
	case 0:
		last = db_genesis(&m.log);
		same = m.count == 0;
		break;
	case 1:
		same = db_u64(st, 0) == m.count && db_hash(st, 1, &last) == 0;
		break;
	default:
		return -1;
	}
	/* Adding to a damaged chain would bury where it was damaged. */
	if (!same || m.head_lost || !hash_eq(&last, &m.head))
		return err_set(e,
		    "the last record is not the one that was written last: "
		    "see paddock trace verify, then move this store away");
	s->seq = m.count;
	s->head = m.head;
	atomic_store(&s->durable, m.count);
	return 0;
}

static struct store *
new_store(void)
{
	struct store *s = calloc(1, sizeof(*s));

	must(s != NULL);
	s->lock_fd = -1;
	s->event_fd = -1;
	s->checkpoints.fd = -1;
	s->scratch.max = STORE_MAX_EVENT_BYTES;
	s->packed.max = ZSTD_COMPRESSBOUND(STORE_MAX_EVENT_BYTES) + HASH_BYTES;
	return s;
}

static void
free_store(struct store *s)
{
	for (int i = 0; i < STATEMENTS; i++)
		db_stmt_fini(&s->statement[i]);
	for (int i = 0; i < READS; i++)
		db_stmt_fini(&s->kept[i]);
	slab_leave(s->slab);
	sums_fini(&s->sums);
	keep_fini(&s->keep);
	free(s->dir);
	checkpointer_fini(&s->checkpoints);
	/* The reader first: the last one out folds the -wal in. */
	db_fini(&s->reader);
	db_fini(&s->db);
	(void)ZSTD_freeCCtx(s->packer);
	buf_fini(&s->packed);
	buf_fini(&s->scratch);
	fd_fini(&s->event_fd);
	fd_fini(&s->lock_fd);
	free(s);
}
