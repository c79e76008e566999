/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "bad_disk.h"
#include "store_dir.h"

enum { NOBODY = 65534 };

static struct event
some(uint64_t n)
{
	return (struct event){ .run = 5,
		.step = (uint32_t)n,
		.t_ns = 1763689836000000000 + (int64_t)n * 1000000,
		.kind = EVENT_NOTE,
		.ms = -1 };
}

/* Appends one record and waits for it. 0, or -1 when writing has failed. */
static int
add(struct store *s, uint64_t n)
{
	struct event ev = some(n);
	struct err e;
	uint64_t seq = store_append(s, &ev);

	return seq > 0 ? wait_durable(s, seq, &e) : -1;
}

struct seen {
	uint64_t n, first, last;
	struct buf bodies;
	uint32_t most; /* 0: all */
};

static bool
on_row(void *arg, const struct store_row *row)
{
	struct seen *seen = arg;

	if (seen->n++ == 0)
		seen->first = row->seq;
	seen->last = row->seq;
	buf_add_str(&seen->bodies, row->body);
	buf_add_byte(&seen->bodies, '\n');
	return seen->n != seen->most;
}

static void
what_is_appended_is_read_back(void **state)
{
	struct store_dir d;
	struct store *s;
	struct seen all = {}, some_of = {};
	struct err e = {};

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	for (uint64_t i = 1; i <= 200; i++) {
		struct event ev = some(i);

		assert_int_equal(store_append(s, &ev), i);
		assert_int_equal(ev.seq, i);
	}
	assert_int_equal(wait_durable(s, 200, &e), 0);
	assert_int_equal(store_durable(s), 200);
	assert_int_equal(store_events(s, 5, 0, 0, on_row, &all, &e), 0);
	assert_int_equal(all.n, 200);
	assert_int_equal(all.last, 200);
	assert_non_null(strstr(buf_c(&all.bodies),
	    "{\"body\":{},\"kind\":\"note\",\"mono\":0,"
	    "\"run\":\"r-000000000005\",\"seq\":7,\"step\":7,"
	    "\"t\":1763689836007000,\"v\":1,\"who\":{}}\n"));
	assert_int_equal(store_events(s, 5, 50, 10, on_row, &some_of, &e), 0);
	assert_int_equal(some_of.n, 10);
	assert_int_equal(some_of.first, 50);
	/* The caller has had enough. */
	some_of = (struct seen){ .most = 3, .bodies = some_of.bodies };
	assert_int_equal(store_events(s, 5, 0, 0, on_row, &some_of, &e), 0);
	assert_int_equal(some_of.n, 3);
	some_of = (struct seen){ .bodies = some_of.bodies };
	assert_int_equal(store_events(s, 6, 0, 0, on_row, &some_of, &e), 0);
	assert_int_equal(some_of.n, 0);
	buf_fini(&all.bodies);
	buf_fini(&some_of.bodies);
	dir_close(s);
	dir_remove(&d);
}

static void
the_chain_goes_on_after_a_restart(void **state)
{
	struct store_dir d;
	struct hash head;

	(void)state;
	dir_make(&d);
	head = (struct hash){};
	for (uint64_t round = 0; round < 5; round++) {
		struct store *s = dir_open(&d);
		struct hash now = store_head(s);

		if (round > 0)
			assert_memory_equal(&now, &head, sizeof(head));
		assert_int_equal(store_durable(s), round * 3);
		for (uint64_t i = 1; i <= 3; i++)
			assert_int_equal(add(s, round * 3 + i), 0);
		head = store_head(s);
		dir_close(s);
	}
	assert_int_equal(dir_verify(&d).fault, STORE_SOUND);
	assert_int_equal(dir_verify(&d).records, 15);
	dir_remove(&d);
}

/* Closing writes what nobody waited for. */
static void
nothing_queued_is_lost_by_closing(void **state)
{
	struct store_dir d;
	struct store *s;

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	for (uint64_t i = 1; i <= 1000; i++) {
		struct event ev = some(i);

		assert_int_equal(store_append(s, &ev), i);
	}
	dir_close(s);
	assert_int_equal(dir_verify(&d).records, 1000);
	dir_remove(&d);
}

static void
blobs_come_back_and_are_kept_once(void **state)
{
	static const size_t sizes[] = { 1, 17, 511, 512, 513, 5000, 300000 };
	struct store_dir d;
	struct store *s;
	struct err e = {};
	uint64_t random = 4;

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	/* Twice each: text that packs, then bytes that do not. */
	for (size_t i = 0; i < 4 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		own_buf struct buf bytes = {}, back = {};
		struct event ev = some(i);
		bool packs = i / 2 % 2 == 0;
		uint64_t seed = random + i / 4 * 2;

		while (bytes.n < sizes[i / 4])
			buf_add_byte(
			    &bytes, packs ? 'x' : (char)next_random(&seed));
		ev.args.bytes = buf_str(&bytes);
		assert_true(store_append(s, &ev) > 0);
		assert_int_equal(wait_durable(s, ev.seq, &e), 0);
		assert_int_equal(store_blob(s, &ev.args.hash, &back, &e), 0);
		assert_true(str_eq(buf_str(&bytes), buf_str(&back)));
	}
	dir_close(s);
	/* The one-byte blobs are "x" and one other. */
	assert_int_equal(dir_number(&d, "SELECT count(*) FROM blob"), 14);
	assert_int_equal(
	    dir_number(&d, "SELECT count(*) FROM blob WHERE z"), 3);
	s = dir_open(&d);
	assert_int_equal(
	    store_blob(s, &(struct hash){ .b = { 1 } }, NULL, &e), -1);
	dir_close(s);
	dir_remove(&d);
}

struct rows {
	uint32_t n;
	uint64_t ids[8];
	struct store_run run;
	struct buf text;
	struct store_approval approval;
};

static bool
on_run(void *arg, const struct store_run *r)
{
	struct rows *rows = arg;

	rows->ids[rows->n++] = r->id;
	rows->run = *r;
	buf_add_str(&rows->text, r->status);
	buf_add_str(&rows->text, r->command);
	return true;
}

static bool
on_approval(void *arg, const struct store_approval *a)
{
	struct rows *rows = arg;

	rows->ids[rows->n++] = a->id;
	rows->approval = *a;
	buf_add_str(&rows->text, a->state);
	buf_add_str(&rows->text, a->args);
	return true;
}

static bool
on_token(void *arg, const struct store_token *t)
{
	struct rows *rows = arg;

	rows->ids[rows->n++] = t->run;
	buf_add_str(&rows->text, t->actor);
	return true;
}

static void
rows_are_replaced_by_id_and_listed(void **state)
{
	struct store_dir d;
	struct store *s;
	struct rows got = {};
	struct hash args = hash_of("{}", 2), head;
	struct err e = {};

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	for (uint64_t i = 1; i <= 3; i++) {
		struct store_run r = { .id = i,
			.opened_ns = (int64_t)i * 10,
			.status = STR("open"),
			.command = STR("agent"),
			.policy = args };
		struct store_approval a = { .id = i,
			.run = 5,
			.state = STR("pending"),
			.args = STR("{}"),
			.args_hash = args,
			.requested_ns = (int64_t)i };

		assert_int_equal(store_put_run(s, &r), 0);
		if (i == 2) {
			struct event ev = {
				.run = 2, .kind = EVENT_RUN_CLOSED, .ms = -1
			};

			assert_int_equal(store_append(s, &ev), 1);
			r.status = STR("closed");
			r.closed_ns = 99;
			r.exit_status = 7;
			assert_int_equal(store_put_run(s, &r), 0);
		}
		assert_int_equal(store_put_approval(s, &a), 0);
		a.state = i == 3 ? STR("approved") : STR("pending");
		assert_int_equal(store_put_approval(s, &a), 0);
	}
	head = store_head(s);
	assert_int_equal(
	    store_put_draft(s, 1, 5, STR("email.send"), STR("{}"), &args), 0);
	assert_int_equal(store_put_policy(s, &args, STR("{}")), 0);
	assert_int_equal(store_put_policy(s, &args, STR("{}")), 0);
	assert_int_equal(store_put_token(s,
			     &(struct store_token){
				 .hash = args, .actor = STR("a"), .run = 5 }),
	    0);
	dir_close(s);

	s = store_open_read(d.path, &e);
	assert_non_null(s);
	assert_int_equal(store_runs(s, 0, false, 0, on_run, &got, &e), 0);
	assert_int_equal(got.n, 3);
	assert_int_equal(got.ids[0], 3); /* newest first */
	got.n = 0;
	assert_int_equal(store_runs(s, 0, true, 0, on_run, &got, &e), 0);
	assert_int_equal(got.n, 2);
	got.n = 0;
	assert_int_equal(store_runs(s, 0, false, 1, on_run, &got, &e), 0);
	assert_int_equal(got.n, 1);
	got.n = 0;
	buf_reset(&got.text);
	assert_int_equal(store_runs(s, 2, false, 0, on_run, &got, &e), 0);
	assert_int_equal(got.n, 1);
	assert_string_equal(buf_c(&got.text), "closedagent");
	assert_int_equal(got.run.exit_status, 7);
	/* The row has the head, though its writer gave none. */
	assert_memory_equal(&got.run.head, &head, sizeof(head));

	got.n = 0;
	buf_reset(&got.text);
	assert_int_equal(
	    store_approvals(s, 0, STR("approved"), on_approval, &got, &e), 0);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.ids[0], 3);
	assert_string_equal(buf_c(&got.text), "approved{}");
	got.n = 0;
	assert_int_equal(
	    store_approvals(s, 0, STR(""), on_approval, &got, &e), 0);
	assert_int_equal(got.n, 3);
	got.n = 0;
	buf_reset(&got.text);
	assert_int_equal(store_tokens(s, on_token, &got, &e), 0);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.ids[0], 5);
	assert_string_equal(buf_c(&got.text), "a");
	dir_close(s);
	buf_fini(&got.text);
	assert_int_equal(dir_number(&d, "SELECT count(*) FROM draft"), 1);
	assert_int_equal(dir_number(&d, "SELECT count(*) FROM policy"), 1);
	dir_remove(&d);
}

static void
a_second_writer_is_refused_with_the_pid_of_the_first(void **state)
{
	struct store_dir d;
	struct store *s;
	struct err e = {};
	char pid[24];

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	assert_null(store_open(d.path, &e));
	(void)snprintf(pid, sizeof(pid), "process %d:", (int)getpid());
	assert_non_null(strstr(e.text, pid));
	assert_int_equal(add(s, 1), 0); /* the first one is not disturbed */
	dir_close(s);
	dir_close(dir_open(&d)); /* and its end lets the next one in */
	dir_remove(&d);
}

static void
what_is_not_a_store_of_ours_is_refused_and_left_alone(void **state)
{
	static const struct {
		const char *sql; /* NULL: a text file */
		const char *says;
	} rows[] = {
		{ NULL, "not a database" },
		{ "CREATE TABLE cookies(a)", "another program's" },
		{ "PRAGMA application_id = 7", "another program's" },
		{ "PRAGMA application_id = 1885627243; PRAGMA user_version = 4;"
		  "CREATE TABLE event(seq)",
		    "format is 4 and this program knows 3" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf before = {}, after = {};
		struct store_dir d;
		struct err e = {};
		char file[96];

		dir_make(&d);
		dir_file(&d, DB_FILE, file);
		if (rows[i].sql != NULL) {
			dir_sql(&d, rows[i].sql);
		} else {
			own_fd int fd = open(file, O_WRONLY | O_CREAT, 0600);

			for (int k = 0; k < 1000; k++)
				assert_int_equal(write(fd, "text\n", 5), 5);
		}
		assert_int_equal(file_read(file, &before, 1 << 20, &e), 0);
		assert_null(store_open(d.path, &e));
		if (strstr(e.text, rows[i].says) == NULL)
			fail_msg("%s", e.text);
		assert_null(store_open_read(d.path, &e));
		assert_non_null(strstr(e.text, rows[i].says));
		assert_int_equal(file_read(file, &after, 1 << 20, &e), 0);
		assert_true(str_eq(buf_str(&before), buf_str(&after)));
		dir_remove(&d);
	}
}

static void
a_damaged_end_is_not_written_over(void **state)
{
	struct store_dir d;
	struct store *s;
	struct err e = {};

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	for (uint64_t i = 1; i <= 5; i++)
		assert_int_equal(add(s, i), 0);
	dir_close(s);
	dir_sql(
	    &d, "DROP TRIGGER event_delete; DELETE FROM event WHERE seq = 5");
	assert_null(store_open(d.path, &e));
	assert_non_null(strstr(e.text, "paddock trace verify"));
	dir_remove(&d);
}

static void
records_cannot_be_changed_through_sql(void **state)
{
	static const char *const tries[] = {
		"UPDATE event SET t = 0",
		"DELETE FROM event",
		"INSERT OR REPLACE INTO event SELECT * FROM event",
		"UPDATE blob SET data = x'00'",
	};
	struct store_dir d;
	struct store *s;
	struct event ev = some(1);
	char file[96];

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	ev.args.bytes = STR("{}");
	assert_int_equal(store_append(s, &ev), 1);
	dir_close(s);
	dir_file(&d, DB_FILE, file);
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		sqlite3 *db = NULL;

		assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, tries[i], NULL, NULL, NULL),
		    SQLITE_CONSTRAINT);
		assert_non_null(strstr(sqlite3_errmsg(db), "is never"));
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
	}
	assert_int_equal(dir_verify(&d).fault, STORE_SOUND);
	dir_remove(&d);
}

/* In a child that is nobody: the exit status is 0 when it can read n. */
static void
nobody_reads(const struct store_dir *d, uint64_t n)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct err e = {};
		struct store *s;
		struct store_verdict v = {};

		if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(2);
		s = store_open_read(d->path, &e);
		if (s == NULL || store_verify(s, 0, NULL, &v, &e) < 0) {
			(void)!write(2, e.text, strlen(e.text));
			_exit(3);
		}
		_exit(v.fault == STORE_SOUND && v.records >= n ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
one_who_may_only_read_reads_with_and_without_a_daemon(void **state)
{
	struct store_dir d;
	struct store *s;

	(void)state;
	dir_make(&d);
	assert_int_equal(chmod(d.path, 0755), 0);
	s = dir_open(&d);
	assert_int_equal(add(s, 1), 0);
	assert_int_equal(add(s, 2), 0);
	if (geteuid() != 0)
		assert_int_equal(chmod(d.path, 0555), 0);
	nobody_reads(&d, 2);
	assert_int_equal(chmod(d.path, 0755), 0);
	dir_close(s);
	if (geteuid() != 0)
		assert_int_equal(chmod(d.path, 0555), 0);
	nobody_reads(&d, 2);
	assert_int_equal(chmod(d.path, 0755), 0);
	dir_remove(&d);
}

static void
who_reads_as_of_a_moment_sees_nothing_later(void **state)
{
	struct seen first = {}, later = {};
	struct store_dir d;
	struct store *writer, *reader;
	struct err e = {};

	(void)state;
	dir_make(&d);
	writer = dir_open(&d);
	assert_int_equal(add(writer, 1), 0);
	reader = store_open_read(d.path, &e);
	assert_non_null(reader);
	assert_int_equal(store_read_as_of_now(reader, &e), 0);
	assert_int_equal(store_events(reader, 5, 0, 0, on_row, &first, &e), 0);
	assert_int_equal(add(writer, 2), 0);
	assert_int_equal(store_events(reader, 5, 0, 0, on_row, &later, &e), 0);
	assert_int_equal(first.n, 1);
	assert_int_equal(later.n, 1);
	dir_close(reader);
	dir_close(writer);
	buf_fini(&first.bodies);
	buf_fini(&later.bodies);
	dir_remove(&d);
}

/* The places of one kind, and the records in them. */
static struct store_place *
places_of(struct store *s, enum event_kind kind, size_t n, struct buf *out)
{
	struct err e = {};

	buf_reset(out);
	assert_int_equal(store_places(s, 5, 1ULL << kind, out, &e), 0);
	assert_int_equal(out->n, n * sizeof(struct store_place));
	return (struct store_place *)(void *)out->p;
}

static void
on_place(void *arg, const struct store_row *row)
{
	struct store_row *out = arg;

	*out = *row;
	out->tool = out->body = STR("");
}

static void
places_are_in_the_order_of_the_records_although_calls_overlap(void **state)
{
	static const uint32_t steps[] = { 1, 2, 3, 2, 4, 3, 1, 4, 5 };
	own_buf struct buf out = {};
	struct store_place *at;
	struct store_row row = {};
	struct store_dir d;
	struct store *s;
	struct err e = {};

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	for (uint64_t n = 1; n <= 9; n++) {
		struct event ev = some(steps[n - 1]);

		if (n % 3 == 0)
			ev.kind = EVENT_PAGE_CAPTURED;
		assert_int_equal(store_append(s, &ev), n);
	}
	assert_int_equal(wait_durable(s, 9, &e), 0);
	at = places_of(s, EVENT_NOTE, 6, &out);
	for (uint64_t n = 1, i = 0; n <= 9; n++) {
		if (n % 3 == 0)
			continue;
		assert_int_equal(at[i].seq, n);
		assert_int_equal(at[i].step, steps[n - 1]);
		assert_int_equal(at[i++].kind, EVENT_NOTE);
	}
	at = places_of(s, EVENT_PAGE_CAPTURED, 3, &out);
	assert_int_equal(at[0].seq, 3);
	assert_int_equal(at[2].seq, 9);
	(void)places_of(s, EVENT_KILL, 0, &out);

	assert_int_equal(store_event(s, 6, on_place, &row, &e), 0);
	assert_int_equal(row.seq, 6);
	assert_int_equal(row.step, 3);
	assert_int_equal(row.kind, EVENT_PAGE_CAPTURED);
	assert_int_equal(store_event(s, 10, on_place, &row, &e), -1);
	assert_non_null(strstr(e.text, "record 10 is damaged"));
	dir_close(s);
	dir_remove(&d);
}

static void
a_reader_of_nothing_is_told_so_and_makes_nothing(void **state)
{
	struct store_dir d;
	struct err e = {};

	(void)state;
	dir_make(&d);
	assert_null(store_open_read(d.path, &e));
	assert_non_null(strstr(e.text, "nothing has run here"));
	dir_remove(&d); /* fails if there is anything in it */
}

/*
 * The disk fails at its n-th write or sync, for each n until none is left:
 * the failure is reported, nothing more is taken, what was durable is there,
 * and the chain is sound.
 */
static void
a_failing_disk_is_reported_and_loses_nothing(void **state)
{
	static const struct {
		enum bad_call call;
		int code;
	} rows[] = {
		{ BAD_WRITE, SQLITE_IOERR_WRITE },
		{ BAD_SYNC, SQLITE_IOERR_FSYNC },
	};

	(void)state;
	bad_disk_install();
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		bool failed = true;
		int nth;

		/* Once, and from then on. */
		for (nth = 1; failed; nth++) {
			uint64_t n = 0, durable;
			struct store_dir d;
			struct store *s;
			struct err e = {};

			dir_make(&d);
			s = dir_open(&d);
			assert_int_equal(add(s, ++n), 0);
			bad_disk_arm(
			    rows[i / 2].call, rows[i / 2].code, nth, i % 2);
			for (failed = false; !failed && n < 8;)
				failed = add(s, ++n) < 0;
			durable = store_durable(s);
			if (failed) {
				struct event ev = some(99);

				assert_int_equal(store_check(s, &e), -1);
				assert_true(e.text[0] != '\0');
				assert_int_equal(store_append(s, &ev), 0);
				assert_int_equal(store_close(s, &e), -1);
			} else {
				/* Folding the -wal in may fail: it stays.
				 * Signing the end may, and is told. */
				failed = store_close(s, &e) < 0;
			}
			bad_disk_disarm();
			s = dir_open(&d);
			assert_true(store_durable(s) >= durable);
			assert_true(store_durable(s) <= n);
			assert_int_equal(add(s, n + 1), 0);
			dir_close(s);
			assert_int_equal(dir_verify(&d).fault, STORE_SOUND);
			assert_true(dir_verify(&d).records > durable);
			dir_remove(&d);
		}
		/* Each of seven commits could fail. */
		assert_true(nth > 7);
	}
	bad_disk_remove();
}

static void
a_store_that_cannot_be_made_leaves_nothing_in_the_way(void **state)
{
	static const enum bad_call calls[] = { BAD_WRITE, BAD_SYNC };

	(void)state;
	bad_disk_install();
	for (size_t i = 0; i < 2; i++) {
		struct store *s = NULL;
		int nth;

		for (nth = 1; s == NULL; nth++) {
			struct store_dir d;
			struct err e = {};

			dir_make(&d);
			bad_disk_arm(calls[i], SQLITE_IOERR, nth, false);
			s = store_open(d.path, &e);
			bad_disk_disarm();
			if (s != NULL) {
				dir_close(s);
			} else {
				struct store *again = dir_open(&d);

				assert_int_equal(add(again, 1), 0);
				dir_close(again);
			}
			assert_int_equal(dir_verify(&d).fault, STORE_SOUND);
			dir_remove(&d);
		}
		assert_true(nth > 2);
	}
	bad_disk_remove();
}

static void
a_full_queue_refuses_and_then_goes_on(void **state)
{
	struct store_dir d;
	struct store *s;
	uint64_t n = 0;
	struct event ev;
	struct err e;

	(void)state;
	bad_disk_install();
	dir_make(&d);
	s = dir_open(&d);
	bad_disk_hang();
	do {
		ev = some(++n);
	} while (store_append(s, &ev) > 0 && n < 2 * STORE_MAX_QUEUE_EVENTS);
	/* What the writer holds is no longer in the queue. */
	assert_true(n > STORE_MAX_QUEUE_EVENTS);
	assert_true(n <= STORE_MAX_QUEUE_EVENTS + STORE_GROUP_MOST + 1);
	bad_disk_disarm();
	assert_int_equal(wait_durable(s, n - 1, &e), 0);
	ev = some(n);
	assert_int_equal(store_append(s, &ev), n); /* the number was not used */
	dir_close(s);
	assert_int_equal(dir_verify(&d).records, n);
	dir_remove(&d);
	bad_disk_remove();
}

/* Appends until it is killed, and says what is durable. */
static _Noreturn void
append_for_ever(const struct store_dir *d, int out)
{
	struct err e = {};
	struct store *s = store_open(d->path, &e);

	if (s == NULL)
		_exit(1);
	for (uint64_t i = 1;; i++) {
		struct event ev = some(i);
		uint64_t durable;

		ev.args.bytes = STR("{\"a\":1}");
		/* A disk that is slow beside all else has a full queue. */
		while (store_append(s, &ev) == 0) {
			if (store_check(s, &e) < 0)
				_exit(1);
			(void)usleep(1000);
		}
		if (i % 5 == 0)
			store_hurry(s);
		durable = store_durable(s);
		if (write(out, &durable, sizeof(durable)) !=
		    (ssize_t)sizeof(durable))
			_exit(1);
	}
}

static void
killed_at_any_moment_nothing_durable_is_lost(void **state)
{
	struct store_dir d;
	uint64_t random = 11, total = 0;

	(void)state;
	dir_make(&d);
	for (int round = 0; round < 40; round++) {
		uint64_t durable = 0, told, reports;
		struct store_verdict v;
		int ends[2], status;
		pid_t pid;

		assert_int_equal(pipe(ends), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			append_for_ever(&d, ends[1]);
		assert_int_equal(close(ends[1]), 0);
		/* Its n-th report is the random moment, but not before
		 * something more is on a disk that may be slow. */
		reports = 1 + next_random(&random) % 600;
		for (uint64_t i = 0; i < reports || durable <= total; i++) {
			assert_int_equal(
			    read(ends[0], &told, sizeof(told)), sizeof(told));
			durable = told;
		}
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		/* What it said before it died counts as well. */
		while (read(ends[0], &told, sizeof(told)) == sizeof(told))
			durable = told;
		assert_int_equal(close(ends[0]), 0);
		if (durable > total)
			total = durable;

		v = dir_verify(&d);
		if (v.fault != STORE_SOUND)
			fail_msg("%" PRIu64 ": %s", v.seq, v.text);
		assert_true(v.records >= total);
		total = v.records;
	}
	assert_true(total > 40);
	dir_close(dir_open(&d));
	dir_remove(&d);
}

static bool
on_pin(void *arg, const struct hash *key, struct str body)
{
	struct buf *out = arg;

	(void)key;
	buf_add_str(out, body);
	buf_add_byte(out, ';');
	return true;
}

/* All rows, and both texts of the key: "body;|accepted|seen". */
static void
pins_are(struct store *s, const struct hash *key, const char *expected)
{
	own_buf struct buf out = {};
	struct err e = {};

	assert_int_equal(store_pins(s, on_pin, &out, &e), 0);
	for (int slot = 0; slot < PIN_SLOTS; slot++) {
		buf_add_byte(&out, '|');
		assert_true(
		    store_pin_text(s, key, (enum pin_slot)slot, &out, &e) >= 0);
	}
	assert_string_equal(buf_c(&out), expected);
}

static void
definitions_change_places_and_are_gone_with_their_row(void **state)
{
	const struct hash key = hash_of("a", 1), other = hash_of("b", 1);
	const struct {
		struct store_pin pin;
		const char *then;
	} rows[] = {
		{ { .body = STR("1"), .text = { STR("A") } }, "1;|A|" },
		{ { .body = STR("2"), .text = { [PIN_SEEN] = STR("B") } },
		    "2;|A|B" },
		{ { .body = STR("3"), .text = { [PIN_SEEN] = STR("C") } },
		    "3;|A|C" },
		{ { .body = STR("4"), .moves = { [PIN_ACCEPTED] = true } },
		    "4;|C|" },
		{ { .body = STR("5"), .moves = { [PIN_SEEN] = true } },
		    "5;||C" },
		{ { .body = STR("6"),
		      .moves = { [PIN_ACCEPTED] = true },
		      .text = { [PIN_SEEN] = STR("D") } },
		    "6;|C|D" },
		{ { .body = STR("7"), .drops = { [PIN_ACCEPTED] = true } },
		    "7;||D" },
		{ {}, "||" },
	};
	struct store_dir d;
	struct store *s;

	(void)state;
	dir_make(&d);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct store_pin p = rows[i].pin;

		s = dir_open(&d);
		p.key = key;
		assert_int_equal(store_put_pin(s, &p), 0);
		assert_int_equal(add(s, i), 0);
		pins_are(s, &key, rows[i].then);
		dir_close(s);
	}
	s = dir_open(&d);
	pins_are(s, &other, "||");
	dir_close(s);
	dir_remove(&d);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_appended_is_read_back),
		cmocka_unit_test(the_chain_goes_on_after_a_restart),
		cmocka_unit_test(nothing_queued_is_lost_by_closing),
		cmocka_unit_test(blobs_come_back_and_are_kept_once),
		cmocka_unit_test(rows_are_replaced_by_id_and_listed),
		cmocka_unit_test(
		    definitions_change_places_and_are_gone_with_their_row),
		cmocka_unit_test(
		    a_second_writer_is_refused_with_the_pid_of_the_first),
		cmocka_unit_test(
		    what_is_not_a_store_of_ours_is_refused_and_left_alone),
		cmocka_unit_test(who_reads_as_of_a_moment_sees_nothing_later),
		cmocka_unit_test(
		    places_are_in_the_order_of_the_records_although_calls_overlap),
		cmocka_unit_test(a_damaged_end_is_not_written_over),
		cmocka_unit_test(records_cannot_be_changed_through_sql),
		cmocka_unit_test(
		    one_who_may_only_read_reads_with_and_without_a_daemon),
		cmocka_unit_test(
		    a_reader_of_nothing_is_told_so_and_makes_nothing),
		cmocka_unit_test(a_failing_disk_is_reported_and_loses_nothing),
		cmocka_unit_test(
		    a_store_that_cannot_be_made_leaves_nothing_in_the_way),
		cmocka_unit_test(a_full_queue_refuses_and_then_goes_on),
		cmocka_unit_test(killed_at_any_moment_nothing_durable_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
