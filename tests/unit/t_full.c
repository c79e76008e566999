/*
 * What becomes of a store whose disk is full, whose last checkpoint was torn,
 * or whose database is put back to an older one.
 */
/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */

#include <cmocka.h>

#include <inttypes.h>
#include <sqlite3.h>

#include "bad_disk.h"
#include "base/limits.h"
#include "store_dir.h"

static struct event
some(uint64_t n, enum event_kind kind)
{
	return (struct event){ .run = 5,
		.step = (uint32_t)n,
		.t_ns = 1763689836000000000 + (int64_t)n * 1000000,
		.kind = kind,
		.ms = -1 };
}

static uint64_t
add(struct store *s, uint64_t n, enum event_kind kind)
{
	struct event ev = some(n, kind);
	uint64_t seq = store_append(s, &ev);

	store_hurry(s);
	return seq;
}

/* Until something has come of it: on disk, full or failed. */
static void
wait_for(struct store *s, uint64_t seq, bool full)
{
	struct err e = {};

	for (;;) {
		struct pollfd p = { .fd = store_event_fd(s), .events = POLLIN };

		if (store_check(s, &e) < 0)
			fail_msg("%s", e.text);
		if (store_durable(s) >= seq || (full && store_is_full(s, NULL)))
			return;
		assert_int_equal(poll(&p, 1, 60000), 1);
	}
}

/* Each write of a group is the one that finds no room. */
static void
a_full_disk_is_waited_for_and_nothing_is_lost(void **state)
{
	bool full = true;
	int nth;

	(void)state;
	bad_disk_install();
	for (nth = 1; full; nth++) {
		struct store_dir d;
		struct store *s;
		struct err why = {};
		uint64_t seq = 0;

		dir_make(&d);
		s = dir_open(&d);
		wait_for(s, add(s, 1, EVENT_NOTE), false);
		bad_disk_arm(BAD_WRITE, SQLITE_FULL, nth, true);
		for (uint64_t n = 2; n < 8 && !store_is_full(s, NULL); n++) {
			seq = add(s, n, EVENT_NOTE);
			assert_true(seq > 0);
			wait_for(s, seq, true);
		}
		full = store_is_full(s, &why);
		if (full) {
			assert_non_null(strstr(why.text, "full"));
			/* What begins is refused, what ends is taken. */
			assert_int_equal(add(s, 9, EVENT_TOOL_PROPOSED), 0);
			assert_int_equal(add(s, 9, EVENT_RUN_OPENED), 0);
			assert_int_equal(add(s, 9, EVENT_EGRESS_DECISION), 0);
			assert_int_equal(add(s, 9, EVENT_SNAPSHOT_TAKEN), 0);
			assert_int_equal(add(s, 9, EVENT_NOTE), seq + 1);
			seq++;
		}
		bad_disk_disarm();
		wait_for(s, seq, false);
		assert_false(store_is_full(s, NULL));
		assert_int_equal(add(s, 10, EVENT_NOTE), seq + 1);
		dir_close(s);
		assert_int_equal(dir_verify(&d).fault, STORE_SOUND);
		assert_int_equal(dir_verify(&d).records, seq + 1);
		dir_remove(&d);
	}
	assert_true(nth > 7);
	bad_disk_remove();
}

static void
who_closes_a_store_without_room_is_told_what_is_lost(void **state)
{
	struct store_dir d;
	struct store *s;
	struct err e = {};

	(void)state;
	bad_disk_install();
	dir_make(&d);
	s = dir_open(&d);
	wait_for(s, add(s, 1, EVENT_NOTE), false);
	bad_disk_arm(BAD_WRITE, SQLITE_FULL, 1, true);
	wait_for(s, add(s, 2, EVENT_NOTE), true);
	assert_true(store_is_full(s, NULL));
	assert_int_equal(store_close(s, &e), -1);
	assert_non_null(strstr(e.text, "full"));
	bad_disk_disarm();
	s = dir_open(&d);
	assert_int_equal(store_durable(s), 1);
	dir_close(s);
	assert_int_equal(dir_verify(&d).fault, STORE_SOUND);
	dir_remove(&d);
	bad_disk_remove();
}

static void
read_told(const struct store_dir *d, struct buf *out)
{
	struct err e = {};
	char file[96];

	dir_file(d, CHECKPOINTS_FILE, file);
	buf_reset(out);
	assert_int_equal(file_read(file, out, 1 << 20, &e), 0);
}

static void
write_told(const struct store_dir *d, struct str text)
{
	struct err e = {};
	char file[96];
	own_fd int fd = -1;

	dir_file(d, CHECKPOINTS_FILE, file);
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text.p, text.n, &e), 0);
}

/* A power cut may leave any part of a note, and zeros in place of one. */
static void
a_torn_checkpoint_is_cut_off_and_the_file_stays_whole(void **state)
{
	own_buf struct buf told = { .max = 1 << 20 };
	struct store_dir d;
	size_t one;

	(void)state;
	dir_make(&d);
	for (uint64_t n = 1; n <= 2; n++) {
		struct store *s = dir_open(&d);

		wait_for(s, add(s, n, EVENT_NOTE), false);
		dir_close(s);
	}
	read_told(&d, &told);
	one = told.n / 2; /* two notes of the same length */
	for (size_t cut = 0; cut <= one; cut++) {
		own_buf struct buf now = { .max = 1 << 20 },
				   last = { .max = 1 << 20 };
		struct err e = {};

		write_told(&d, (struct str){ told.p, one + cut });
		assert_int_equal(told_last(d.path, &last, &e), 0);
		assert_int_equal(last.n, one);
		dir_close(dir_open(&d));
		read_told(&d, &now);
		assert_int_equal(now.n, cut < one ? one : 2 * one);
		assert_memory_equal(now.p, told.p, now.n);
	}
	for (size_t zeros = 1; zeros < 9000; zeros += 4096) {
		own_buf struct buf now = { .max = 1 << 20 };
		char *at;

		buf_add_str(&now, buf_str(&told));
		at = buf_reserve(&now, zeros);
		assert_non_null(at);
		memset(at, 0, zeros);
		now.n += zeros;
		write_told(&d, buf_str(&now));
		dir_close(dir_open(&d));
		read_told(&d, &now);
		assert_int_equal(now.n, told.n);
	}
	dir_remove(&d);
}

static void
an_older_database_is_not_gone_on_from(void **state)
{
	own_buf struct buf told = { .max = 1 << 20 }, last = {};
	struct store_dir d, old;
	struct store_trust trust = {};
	struct store_verdict v;
	struct store *s;
	struct err e = {};

	(void)state;
	dir_make(&d);
	dir_make(&old);
	s = dir_open(&d);
	wait_for(s, add(s, 1, EVENT_NOTE), false);
	dir_close(s);
	dir_copy(&d, &old);
	s = dir_open(&d);
	wait_for(s, add(s, 2, EVENT_NOTE), false);
	dir_close(s);

	/* As who restores a backup does, or who wants records to be gone. */
	read_told(&d, &told);
	{
		own_buf struct buf key = { .max = 1 << 20 };
		char file[96];

		dir_file(&d, LOG_KEY_FILE, file);
		assert_int_equal(file_read(file, &key, 1 << 20, &e), 0);
		dir_copy(&old, &d);
		own_fd int fd = open(file, O_WRONLY | O_CREAT, 0600);
		assert_int_equal(fd_write_all(fd, key.p, key.n, &e), 0);
	}
	write_told(&d, buf_str(&told));
	assert_int_equal(dir_verify(&d).fault, STORE_SOUND);
	assert_null(store_open(d.path, &e));
	assert_non_null(strstr(e.text, "is an older one"));

	assert_int_equal(told_last(d.path, &last, &e), 0);
	trust.witness = buf_str(&last);
	trust.seen_by = CHECKPOINTS_FILE;
	s = store_open_read(d.path, &e);
	assert_non_null(s);
	assert_int_equal(store_verify(s, 0, &trust, &v, &e), 0);
	assert_int_equal(v.fault, STORE_TRUNCATED);
	assert_int_equal(v.seq, 2);
	dir_close(s);
	dir_remove(&old);
	dir_remove(&d);
}

/* Records have numbers: what a clock says is in them, and orders nothing. */
static void
a_clock_that_jumps_back_breaks_nothing(void **state)
{
	struct store_dir d;
	struct store *s;
	struct event ev;

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	for (uint64_t n = 1; n <= 200; n++) {
		ev = some(
		    n, n % 2 ? EVENT_TOOL_PROPOSED : EVENT_POLICY_DECISION);
		ev.step = (uint32_t)(n + 1) / 2;
		/* Hours back and forth, and before 1970. */
		ev.t_ns = n % 3 == 0 ? 1000 : ev.t_ns - (int64_t)n * 3600000000;
		assert_int_equal(store_append(s, &ev), n);
	}
	dir_close(s);
	assert_int_equal(dir_verify(&d).fault, STORE_SOUND);
	dir_close(dir_open(&d));
	assert_int_equal(dir_verify(&d).records, 200);
	dir_remove(&d);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_disk_is_waited_for_and_nothing_is_lost),
		cmocka_unit_test(
		    who_closes_a_store_without_room_is_told_what_is_lost),
		cmocka_unit_test(
		    a_torn_checkpoint_is_cut_off_and_the_file_stays_whole),
		cmocka_unit_test(an_older_database_is_not_gone_on_from),
		cmocka_unit_test(a_clock_that_jumps_back_breaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
