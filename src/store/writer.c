/*
 * The writer's thread: groups of items become transactions.
 *
 * A full disk is waited for: the transaction is rolled back and made again
 * until there is room, so nothing that was taken is lost, and what begins is
 * refused meanwhile (append.c).
 *
 * Any other failure is for good. The transaction is rolled back, everything
 * queued is dropped, and from then on nothing is taken: what was not
 * acknowledged by store_durable() must not happen, and what was is on disk.
 * Going on would leave a hole in the chain.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/must.h"
#include "store/db.h"
#include "store/inside.h"

enum {
	NS_PER_MS = 1000 * 1000,
	NS_PER_S = 1000 * 1000 * 1000,
	PACK_LEVEL = 3,
	YIELD_ITEMS = 8,
	EVENT_PARAMS = 8,
	/* One statement inserts them: its cursors stay where they are, which
	 * saves a fifth. */
	ROWS_AT_ONCE = 8,
};

#define ROW "(?, ?, ?, ?, ?, ?, ?, ?)"
_Static_assert(ROWS_AT_ONCE == 8, "the rows of ST_EVENTS");
/* The first that are over, by their index. */
#define FORGET(table)                                                    \
	"DELETE FROM " table " WHERE rowid IN (SELECT rowid FROM " table \
	" WHERE until < ?1 ORDER BY until LIMIT ?2)"

static const char *const sql[STATEMENTS] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_EVENT] = "INSERT INTO event VALUES" ROW,
	/* A group is written whole or rolled back; "or rollback" spares the
	 * statement a journal to take back some rows of it alone. */
	[ST_EVENTS] = "INSERT OR ROLLBACK INTO event VALUES" ROW "," ROW "," ROW
		      "," ROW "," ROW "," ROW "," ROW "," ROW,
	[ST_BLOB] = "INSERT OR IGNORE INTO blob VALUES(?, ?, ?, ?)",
	[ST_META] = "UPDATE meta SET count = ?, head = ?",
	/* A head that is there stays, and one that the records have is found:
	 * a row may be written again, or late, by one who does not know it. */
	[ST_RUN] =
	    "INSERT INTO run VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
	    " ?11, ?12, coalesce(?13, (SELECT hash FROM event WHERE run = ?1"
	    " AND kind = 2)), ?14, ?15, ?16) ON CONFLICT(id) DO UPDATE SET"
	    " tenant = excluded.tenant, actor = excluded.actor,"
	    " role = excluded.role, workflow = excluded.workflow,"
	    " stage = excluded.stage, mode = excluded.mode,"
	    " policy = excluded.policy, opened = excluded.opened,"
	    " closed = excluded.closed, status = excluded.status,"
	    " stop_reason = excluded.stop_reason,"
	    " head = coalesce(run.head, excluded.head),"
	    " steps = excluded.steps, command = excluded.command,"
	    " exit_status = excluded.exit_status",
	[ST_RUN_HEAD] = "UPDATE run SET head = ? WHERE id = ?",
	[ST_APPROVAL] = ("INSERT OR REPLACE INTO approval"
			 " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
	[ST_DRAFT] = "INSERT OR REPLACE INTO draft VALUES(?, ?, ?, ?, ?)",
	[ST_POLICY] = "INSERT OR IGNORE INTO policy VALUES(?, ?)",
	[ST_TOKEN] = "INSERT OR REPLACE INTO token VALUES(?, ?, ?, ?, ?)",
	[ST_API_TOKEN] = "INSERT OR REPLACE INTO api_token VALUES(?, ?)",
	[ST_IDEM] =
	    "INSERT OR REPLACE INTO idem VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
	[ST_IDEM_FORGET] = FORGET("idem"),
	[ST_SPENT] = "INSERT OR REPLACE INTO spent VALUES(?, ?, ?, ?)",
	[ST_SPENT_FORGET] = FORGET("spent"),
	[ST_SNAPSHOT] = "INSERT OR REPLACE INTO snapshot VALUES(?, ?)",
	[ST_BLOB_RUN] = "INSERT OR IGNORE INTO blob_run VALUES(?, ?)",
	[ST_RULE] = "INSERT OR REPLACE INTO keep VALUES(?, ?, ?)",
	[ST_RULE_GONE] = "DELETE FROM keep WHERE tenant = ?",
	[ST_FORGET_BLOBS] = "DELETE FROM blob WHERE h IN"
			    " (SELECT h FROM blob_run WHERE run = ?)",
	[ST_FORGET_BLOB_RUN] = "DELETE FROM blob_run WHERE run = ?",
	[ST_FORGET_APPROVALS] = "DELETE FROM approval WHERE run = ?",
	[ST_FORGET_DRAFTS] = "DELETE FROM draft WHERE run = ?",
	/* Its key stays, or the call could be made twice. */
	[ST_FORGET_IDEM] =
	    "UPDATE idem SET result ="
	    " CAST('{\"note\":\"The call was made before; its result was"
	    " removed.\",\"status\":\"done\"}' AS BLOB)"
	    " WHERE run = ? AND length(result) > 0",
	[ST_REMOVED] = "INSERT OR REPLACE INTO removed VALUES(?, ?)",
	[ST_SHARE_BLOB] = "DELETE FROM blob_run WHERE h = ?",
	[ST_PIN] = "INSERT OR REPLACE INTO pin VALUES(?, ?)",
	[ST_PIN_GONE] = "DELETE FROM pin WHERE key = ?",
	[ST_PIN_TEXT] = "INSERT OR REPLACE INTO pin_text VALUES(?, ?, ?)",
	[ST_PIN_TEXT_MOVE] = "UPDATE OR REPLACE pin_text SET slot = ?"
			     " WHERE key = ? AND slot = ?",
	[ST_PIN_TEXT_GONE] = "DELETE FROM pin_text WHERE key = ? AND slot = ?",
};
_Static_assert(EVENT_RUN_CLOSED == 2, "ST_RUN names the kind");

/* Records that wait to be inserted at once. */
struct rows {
	const struct item *item[ROWS_AT_ONCE];
	size_t n;
};

static void *writer_main(void *arg);
static bool take_group(struct store *s, struct item **out);
static bool wait_for_group(struct store *s);
static void wait_until(struct store *s, int64_t ns);
static void write_and_tell(
    struct store *s, const struct item *group, bool sign);
static void cut_wal(struct store *s, const struct item *group);
static bool write_when_there_is_room(struct store *s, const struct item *group,
    bool sign, uint64_t *seq, struct err *e);
static bool is_full(sqlite3 *db);
static bool wait_for_room(struct store *s, const struct err *why);
static void set_full(struct store *s, const struct err *why);
static int write_group(struct store *s, const struct item *first, bool sign,
    uint64_t *seq, struct err *e);
static int write_items(
    struct store *s, const struct item *first, struct err *e);
static int write_rows(struct store *s, struct rows *r, struct err *e);
static int write_item(struct store *s, const struct item *it, struct err *e);
static int bind_item(sqlite3_stmt *st, const struct item *it, int first);
static int write_blob(struct store *s, const struct item *it, struct err *e);
static int write_meta(
    struct store *s, uint64_t seq, const struct hash *head, struct err *e);
static int run(struct store *s, enum statement which, struct err *e);
static void fail(struct store *s, const struct err *why);
static void announce(struct store *s);
static int write_now(struct store *s, struct item *first);

int
writer_prepare(struct store *s, struct err *e)
{
	for (int i = 0; i < STATEMENTS; i++)
		if (db_prepare(s->db, sql[i], &s->statement[i], e) < 0)
			return -1;
	s->packer = ZSTD_createCCtx();
	return s->packer == NULL ? err_set(e, "zstd: out of memory") : 0;
}

int
writer_start(struct store *s, struct err *e)
{
	pthread_condattr_t attr;
	sigset_t all, old;
	int rc;

	must(pthread_mutex_init(&s->lock, NULL) == 0);
	must(pthread_condattr_init(&attr) == 0);
	must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	must(pthread_cond_init(&s->wake, &attr) == 0);
	must(pthread_condattr_destroy(&attr) == 0);

	/* Signals are for the role's loop. */
	must(sigfillset(&all) == 0);
	must(pthread_sigmask(SIG_SETMASK, &all, &old) == 0);
	rc = pthread_create(&s->thread, NULL, writer_main, s);
	must(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
	if (rc != 0) {
		errno = rc;
		return err_sys(e, "pthread_create");
	}
	return 0;
}

void
writer_stop(struct store *s)
{
	must(pthread_mutex_lock(&s->lock) == 0);
	s->closing = true;
	must(pthread_cond_signal(&s->wake) == 0);
	must(pthread_mutex_unlock(&s->lock) == 0);
	must(pthread_join(s->thread, NULL) == 0);
	must(pthread_cond_destroy(&s->wake) == 0);
	must(pthread_mutex_destroy(&s->lock) == 0);
}

int
queue_put_take(struct store *s, struct item *first, struct item *last,
    size_t count, size_t bytes)
{
	bool wake, full;

	if (s->bulk)
		return write_now(s, first);
	must(pthread_mutex_lock(&s->lock) == 0);
	full = s->queued + count > STORE_MAX_QUEUE_EVENTS ||
	    s->queued_bytes + bytes > STORE_MAX_QUEUE_BYTES ||
	    atomic_load(&s->failed);
	if (full) {
		must(pthread_mutex_unlock(&s->lock) == 0);
		items_free(first);
		return -1;
	}
	/* The writer sleeps without a limit only when there is nothing, and
	 * with one until the group is full or old. */
	wake = s->first == NULL ||
	    (s->queued < STORE_GROUP_EVENTS &&
		s->queued + count >= STORE_GROUP_EVENTS);
	if (s->first == NULL) {
		s->first = first;
		s->oldest_ns = clock_mono_ns();
	} else {
		s->last->next = first;
	}
	s->last = last;
	s->queued += count;
	s->queued_bytes += bytes;
	if (wake)
		must(pthread_cond_signal(&s->wake) == 0);
	must(pthread_mutex_unlock(&s->lock) == 0);
	return 0;
}

/* In bulk: the items are written, and no more of them are once that failed. */
static int
write_now(struct store *s, struct item *first)
{
	struct err *e = &s->why;
	int rc = atomic_load(&s->failed) ? -1 : 0;

	if (rc == 0 && !s->begun) {
		rc = run(s, ST_BEGIN, e);
		s->begun = rc == 0;
	}
	for (const struct item *it = first; it != NULL && rc == 0;
	     it = it->next) {
		rc = write_item(s, it, e);
		if (rc == 0 && it->seq > 0)
			checkpoint_add(&s->checkpoints, &it->hash);
	}
	if (rc < 0)
		atomic_store(&s->failed, true);
	items_free(first);
	return rc;
}

int
writer_commit(struct store *s, struct err *e)
{
	if (atomic_load(&s->failed)) {
		*e = s->why;
		return -1;
	}
	if (!s->begun)
		return 0;
	if (write_meta(s, s->seq, &s->head, e) < 0 ||
	    checkpoint_write(&s->checkpoints, s->db, e) < 0 ||
	    run(s, ST_COMMIT, e) < 0) {
		atomic_store(&s->failed, true);
		s->why = *e;
		return -1;
	}
	s->begun = false;
	atomic_store(&s->durable, s->seq);
	return checkpoint_tell(&s->checkpoints, e);
}

void
store_hurry(struct store *s)
{
	must(pthread_mutex_lock(&s->lock) == 0);
	if (s->first != NULL && !s->hurry) {
		s->hurry = true;
		must(pthread_cond_signal(&s->wake) == 0);
	}
	must(pthread_mutex_unlock(&s->lock) == 0);
}

static void *
writer_main(void *arg)
{
	struct store *s = arg;
	struct item *group;

	while (take_group(s, &group)) {
		write_and_tell(s, group, false);
		items_free(group);
	}
	if (checkpoint_due(&s->checkpoints) != INT64_MAX)
		write_and_tell(s, NULL, true);
	return NULL;
}

/* sign: the log, whether that is due or not. */
static void
write_and_tell(struct store *s, const struct item *group, bool sign)
{
	struct err e = {};
	uint64_t seq = 0;

	if (atomic_load(&s->failed))
		return;
	if (!write_when_there_is_room(s, group, sign, &seq, &e)) {
		fail(s, &e);
		return;
	}
	if (seq > 0)
		atomic_store(&s->durable, seq);
	if (atomic_load(&s->full))
		set_full(s, NULL);
	if (seq > 0)
		announce(s);
	cut_wal(s, group);
	if (checkpoint_tell(&s->checkpoints, &e) < 0)
		fail(s, &e);
}

/*
 * What was removed is still in the -wal, from when it was written. Cutting that
 * waits for no reader: with the next group there is another try.
 */
static void
cut_wal(struct store *s, const struct item *group)
{
	for (const struct item *it = group; it != NULL; it = it->next)
		s->wal_holds = s->wal_holds || it->statement == ST_REMOVED;
	if (!s->wal_holds)
		return;
	(void)sqlite3_busy_timeout(s->db, 0);
	s->wal_holds = sqlite3_wal_checkpoint_v2(s->db, NULL,
			   SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK;
	(void)sqlite3_busy_timeout(s->db, DB_BUSY_MS);
}

/* False with e: it failed for good, or the store closes without room. */
static bool
write_when_there_is_room(struct store *s, const struct item *group, bool sign,
    uint64_t *seq, struct err *e)
{
	struct checkpoint_mark before;

	checkpoint_mark(&s->checkpoints, &before);
	while (write_group(s, group, sign, seq, e) < 0) {
		bool again = is_full(s->db);

		/* SQLite may have rolled back already; then this is an error.
		 */
		(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
		if (!again || !wait_for_room(s, e))
			return false;
		checkpoint_back(&s->checkpoints, &before);
	}
	return true;
}

/*
 * Did the last call fail for want of room? What a sync could not write may
 * look written from then on, so that is never made again.
 */
static bool
is_full(sqlite3 *db)
{
	int rc = sqlite3_extended_errcode(db), sys = sqlite3_system_errno(db);

	if ((rc & 0xff) == SQLITE_FULL)
		return true;
	return (rc & 0xff) == SQLITE_IOERR && rc != SQLITE_IOERR_FSYNC &&
	    rc != SQLITE_IOERR_DIR_FSYNC && (sys == ENOSPC || sys == EDQUOT);
}

/* False: the store closes. */
static bool
wait_for_room(struct store *s, const struct err *why)
{
	const int64_t until =
	    clock_mono_ns() + (int64_t)STORE_ROOM_MS * NS_PER_MS;
	bool closing;

	if (!atomic_load(&s->full))
		set_full(s, why);
	must(pthread_mutex_lock(&s->lock) == 0);
	while (!s->closing && clock_mono_ns() < until)
		wait_until(s, until);
	closing = s->closing;
	must(pthread_mutex_unlock(&s->lock) == 0);
	return !closing;
}

/* why NULL: there is room again. */
static void
set_full(struct store *s, const struct err *why)
{
	must(pthread_mutex_lock(&s->lock) == 0);
	if (why != NULL)
		s->why = *why;
	atomic_store(&s->full, why != NULL);
	must(pthread_mutex_unlock(&s->lock) == 0);
	announce(s);
}

/*
 * The next group, which is empty when a checkpoint is due. False when the
 * store closes and all is written.
 */
static bool
take_group(struct store *s, struct item **out)
{
	struct item *last;
	size_t events = 0;

	*out = NULL;
	must(pthread_mutex_lock(&s->lock) == 0);
	if (!wait_for_group(s)) {
		must(pthread_mutex_unlock(&s->lock) == 0);
		return false;
	}
	*out = s->first;
	if (s->first == NULL) {
		must(pthread_mutex_unlock(&s->lock) == 0);
		return true;
	}
	for (last = s->first;; last = last->next) {
		s->queued--;
		s->queued_bytes -= last->bytes;
		events += last->seq > 0;
		if (last->next == NULL ||
		    (events >= STORE_GROUP_MOST && !last->next->joins))
			break;
	}
	s->first = last->next;
	if (s->first == NULL) {
		s->last = NULL;
		s->hurry = false;
	}
	last->next = NULL;
	must(pthread_mutex_unlock(&s->lock) == 0);
	return true;
}

/* Waits, with the lock held, until there is a group or a log to be signed. */
static bool
wait_for_group(struct store *s)
{
	const int64_t due = checkpoint_due(&s->checkpoints);

	for (;;) {
		int64_t until;

		if (s->first == NULL) {
			if (s->closing)
				return false;
			if (due == INT64_MAX || atomic_load(&s->failed)) {
				must(
				    pthread_cond_wait(&s->wake, &s->lock) == 0);
				continue;
			}
			if (clock_mono_ns() >= due)
				return true;
			wait_until(s, due);
			continue;
		}
		until = s->oldest_ns + STORE_GROUP_MS * NS_PER_MS;
		if (s->hurry || s->closing || s->queued >= STORE_GROUP_EVENTS ||
		    clock_mono_ns() >= until)
			return true;
		wait_until(s, until);
	}
}

static void
wait_until(struct store *s, int64_t ns)
{
	const struct timespec ts = { ns / NS_PER_S, ns % NS_PER_S };

	/* ETIMEDOUT or woken: the caller's conditions say which. */
	(void)pthread_cond_timedwait(&s->wake, &s->lock, &ts);
}

/* *seq becomes the number of the last record in it, or stays. */
static int
write_group(struct store *s, const struct item *first, bool sign, uint64_t *seq,
    struct err *e)
{
	const struct item *last = NULL;

	if (run(s, ST_BEGIN, e) < 0 || write_items(s, first, e) < 0)
		return -1;
	for (const struct item *it = first; it != NULL; it = it->next) {
		if (it->seq > 0) {
			checkpoint_add(&s->checkpoints, &it->hash);
			last = it;
		}
		/* Whoever sees a run closed can show that it is in the log. */
		sign = sign || it->statement == ST_RUN_HEAD;
	}
	if (last != NULL && write_meta(s, last->seq, &last->hash, e) < 0)
		return -1;
	if ((sign || checkpoint_due(&s->checkpoints) <= clock_mono_ns()) &&
	    checkpoint_write(&s->checkpoints, s->db, e) < 0)
		return -1;
	if (run(s, ST_COMMIT, e) < 0)
		return -1;
	if (last != NULL)
		*seq = last->seq;
	return 0;
}

/*
 * Records that follow each other go in at once. Blobs between them do not
 * matter to them; what else there is may look for them, and finds them.
 */
static int
write_items(struct store *s, const struct item *first, struct err *e)
{
	struct rows rows = {};
	uint32_t turns = 0;

	for (const struct item *it = first; it != NULL; it = it->next) {
		int rc = 0;

		if (it->statement == ST_EVENT) {
			rows.item[rows.n++] = it;
			if (rows.n == ROWS_AT_ONCE)
				rc = write_rows(s, &rows, e);
		} else {
			if (it->statement != ST_BLOB)
				rc = write_rows(s, &rows, e);
			if (rc == 0)
				rc = write_item(s, it, e);
		}
		if (rc < 0)
			return -1;
		/* The role's own thread may wait for this processor: a group
		 * takes longer than all else that a call costs. */
		if (++turns % YIELD_ITEMS == 0)
			(void)sched_yield();
	}
	return write_rows(s, &rows, e);
}

static int
write_rows(struct store *s, struct rows *r, struct err *e)
{
	const size_t n = r->n;

	r->n = 0;
	if (n == ROWS_AT_ONCE) {
		sqlite3_stmt *st = s->statement[ST_EVENTS];

		for (size_t i = 0; i < n; i++) {
			must(r->item[i]->params == EVENT_PARAMS);
			if (bind_item(st, r->item[i],
				(int)i * EVENT_PARAMS + 1) != SQLITE_OK)
				return db_err(s->db, e, "bind");
		}
		return run(s, ST_EVENTS, e);
	}
	for (size_t i = 0; i < n; i++) {
		if (write_item(s, r->item[i], e) < 0)
			return -1;
	}
	return 0;
}

static int
write_item(struct store *s, const struct item *it, struct err *e)
{
	if (it->statement == ST_BLOB)
		return write_blob(s, it, e);
	if (bind_item(s->statement[it->statement], it, 1) != SQLITE_OK)
		return db_err(s->db, e, "bind");
	return run(s, it->statement, e);
}

/* first: the number of its first parameter. SQLITE_OK, or what is wrong. */
static int
bind_item(sqlite3_stmt *st, const struct item *it, int first)
{
	int rc = SQLITE_OK;

	for (uint32_t i = 0; i < it->params && rc == SQLITE_OK; i++) {
		const struct param *p = &it->param[i];
		int at = first + (int)i;

		if (p->n == SIZE_MAX)
			rc = sqlite3_bind_null(st, at);
		else if (p->p == NULL)
			rc = sqlite3_bind_int64(st, at, p->number);
		else if (p->text)
			rc = sqlite3_bind_text64(
			    st, at, p->p, p->n, SQLITE_STATIC, SQLITE_UTF8);
		else
			rc = sqlite3_bind_blob64(
			    st, at, p->p, p->n, SQLITE_STATIC);
	}
	return rc;
}

static int
write_blob(struct store *s, const struct item *it, struct err *e)
{
	sqlite3_stmt *st = s->statement[ST_BLOB];
	struct str h = { it->param[0].p, it->param[0].n };
	struct str data = { it->param[1].p, it->param[1].n };
	struct str salt = { it->param[2].p, it->param[2].n };
	size_t n = data.n;
	int z = salt.n > 0 ? BLOB_SALTED : 0;

	buf_reset(&s->packed);
	buf_add_str(&s->packed, salt);
	if (n > STORE_PACK_BYTES) {
		size_t bound = ZSTD_compressBound(n), got;
		char *at = buf_reserve(&s->packed, bound);

		if (at == NULL)
			return err_set(e, "zstd: out of memory");
		got = ZSTD_compressCCtx(
		    s->packer, at, bound, data.p, n, PACK_LEVEL);
		if (!ZSTD_isError(got) && got < n) {
			s->packed.n += got;
			z |= BLOB_PACKED;
		}
	}
	if (z == BLOB_SALTED)
		buf_add_str(&s->packed, data);
	if (s->packed.failed)
		return err_set(e, "a blob is too long");
	if (z != 0)
		data = buf_str(&s->packed);
	if (sqlite3_bind_blob64(st, 1, h.p, h.n, SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_bind_int64(st, 2, (int64_t)n) != SQLITE_OK ||
	    sqlite3_bind_int(st, 3, z) != SQLITE_OK ||
	    sqlite3_bind_blob64(st, 4, data.p, data.n, SQLITE_STATIC) !=
		SQLITE_OK)
		return db_err(s->db, e, "bind");
	return run(s, ST_BLOB, e);
}

static int
write_meta(
    struct store *s, uint64_t seq, const struct hash *head, struct err *e)
{
	sqlite3_stmt *st = s->statement[ST_META];

	if (sqlite3_bind_int64(st, 1, (int64_t)seq) != SQLITE_OK ||
	    sqlite3_bind_blob(st, 2, head->b, HASH_BYTES, SQLITE_STATIC) !=
		SQLITE_OK)
		return db_err(s->db, e, "bind");
	return run(s, ST_META, e);
}

static int
run(struct store *s, enum statement which, struct err *e)
{
	int got = db_step(s->statement[which], e);

	/* Repeats the step's error, which is in e. */
	(void)sqlite3_reset(s->statement[which]);
	return got < 0 ? -1 : 0;
}

static void
fail(struct store *s, const struct err *why)
{
	must(pthread_mutex_lock(&s->lock) == 0);
	s->why = *why;
	atomic_store(&s->full, false);
	atomic_store(&s->failed, true);
	must(pthread_mutex_unlock(&s->lock) == 0);
	announce(s);
}

static void
announce(struct store *s)
{
	const uint64_t one = 1;

	/* EAGAIN: so many are unread that it is readable anyway. */
	(void)!write(s->event_fd, &one, sizeof(one));
}
