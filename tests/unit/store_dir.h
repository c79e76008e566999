/*
 * store_dir.h: a store in a directory of its own, for the tests of the store.
 */
#ifndef STORE_DIR_H
#define STORE_DIR_H

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/checkpoint.h"
#include "store/db.h"
#include "store/keep.h"
#include "store/store.h"
#include "sys/fd.h"

struct store_dir {
	char path[64];
};

static inline void
dir_make(struct store_dir *d)
{
	(void)snprintf(d->path, sizeof(d->path), "/tmp/paddock-store-XXXXXX");
	assert_non_null(mkdtemp(d->path));
}

static inline void
dir_file(const struct store_dir *d, const char *name, char out[static 96])
{
	(void)snprintf(out, 96, "%s/%s", d->path, name);
}

static inline void
dir_clear(const struct store_dir *d)
{
	static const char *const names[] = { DB_FILE, DB_FILE "-wal",
		DB_FILE "-shm", DB_FILE "-journal", DB_LOCK_FILE, LOG_KEY_FILE,
		CHECKPOINTS_FILE, TENANT_KEY_FILE };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char file[96];

		dir_file(d, names[i], file);
		(void)unlink(file); /* most are not there */
	}
}

static inline void
dir_remove(const struct store_dir *d)
{
	dir_clear(d);
	assert_int_equal(rmdir(d->path), 0);
}

/* The file of a store that is closed. */
static inline void
dir_copy(const struct store_dir *from, const struct store_dir *to)
{
	own_buf struct buf bytes = { .max = 64 << 20 };
	own_fd int fd = -1;
	struct err e;
	char file[96];

	dir_file(from, DB_FILE, file);
	assert_int_equal(file_read(file, &bytes, bytes.max, &e), 0);
	dir_clear(to);
	dir_file(to, DB_FILE, file);
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, bytes.p, bytes.n, &e), 0);
}

static inline struct store *
dir_open(const struct store_dir *d)
{
	struct err e = {};
	struct store *s = store_open(d->path, &e);

	if (s == NULL)
		fail_msg("%s", e.text);
	return s;
}

static inline void
dir_close(struct store *s)
{
	struct err e = {};

	if (store_close(s, &e) < 0)
		fail_msg("%s", e.text);
}

/* 0 once seq is on disk, -1 with e when writing has failed. */
static inline int
wait_durable(struct store *s, uint64_t seq, struct err *e)
{
	store_hurry(s);
	while (store_durable(s) < seq) {
		struct pollfd p = { .fd = store_event_fd(s), .events = POLLIN };

		if (poll(&p, 1, 20000) <= 0)
			fail_msg("nothing happened for 20 s");
		if (store_check(s, e) < 0)
			return -1;
	}
	return 0;
}

/* The verdict on the store in d, opened for reading. */
static inline struct store_verdict
dir_verify(const struct store_dir *d)
{
	struct err e = {};
	struct store *s = store_open_read(d->path, &e);
	struct store_verdict v = {};

	if (s == NULL || store_verify(s, 0, NULL, &v, &e) < 0)
		fail_msg("%s", e.text);
	dir_close(s);
	return v;
}

/* Runs SQL on the store in d, as someone who goes around the store. */
static inline void
dir_sql(const struct store_dir *d, const char *sql)
{
	sqlite3 *db = NULL;
	char file[96], *why = NULL;

	dir_file(d, DB_FILE, file);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The first column of its first row, 0 when there is none. */
static inline int64_t
dir_number(const struct store_dir *d, const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	char file[96];
	int64_t v;

	dir_file(d, DB_FILE, file);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	(void)sqlite3_step(st); /* without a row the column is 0 */
	v = sqlite3_column_int64(st, 0);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return v;
}

/* SplitMix64: the same numbers in each run of the tests. */
static inline uint64_t
next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

#endif
