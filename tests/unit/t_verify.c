/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */

#include <cmocka.h>

#include <inttypes.h>

#include "store_dir.h"

enum { RUNS = 6, CALLS = 18, ROUNDS = 25 };

struct story {
	struct store *s;
	uint64_t random;
	int64_t now_ns;
};

static void
tell(struct story *y, uint64_t run, uint32_t step, enum event_kind kind,
    const char *status)
{
	own_buf struct buf args = {};
	struct event ev = { .run = run,
		.step = step,
		.kind = kind,
		.t_ns = y->now_ns += 1000000,
		.tenant = STR("acme"),
		.actor = STR("agent"),
		.tool = kind == EVENT_RUN_OPENED || kind == EVENT_RUN_CLOSED
		    ? STR("")
		    : STR("billing.refund"),
		.status = str_of(status),
		.ms = -1 };

	/* Some short, some long enough to be packed, a third of them seen
	 * before. */
	if (kind == EVENT_TOOL_PROPOSED || kind == EVENT_TOOL_FINISHED) {
		uint64_t r = next_random(&y->random) % 30;

		buf_printf(&args, "{\"n\":%" PRIu64 ",\"text\":\"",
		    r < 10 ? r : next_random(&y->random) >> 12);
		for (uint64_t i = 0; i < r * 10; i++)
			buf_printf(&args, "word %" PRIu64 " ", i);
		buf_add_c(&args, "\"}");
		if (kind == EVENT_TOOL_PROPOSED)
			ev.args.bytes = buf_str(&args);
		else
			ev.out.bytes = buf_str(&args);
	}
	assert_true(store_append(y->s, &ev) > 0);
}

static void
tell_call(struct story *y, uint64_t run, uint32_t step)
{
	uint64_t r = next_random(&y->random) % 5;

	tell(y, run, step, EVENT_TOOL_PROPOSED, "");
	tell(y, run, step, EVENT_POLICY_DECISION, "");
	if (r == 0)
		return; /* blocked */
	if (r == 1) {
		tell(y, run, step, EVENT_DRAFT_CREATED, "");
		return;
	}
	if (r == 2) {
		tell(y, run, step, EVENT_APPROVAL_REQUESTED, "");
		tell(y, run, step, EVENT_APPROVAL_DECIDED, "");
	}
	tell(y, run, step, EVENT_TOOL_STARTED, "");
	tell(y, run, step, EVENT_TOOL_FINISHED, "ok");
}

/* Runs side by side, one of them still open; closed, so all is in one file. */
static void
build(const struct store_dir *d)
{
	struct story y = { dir_open(d), 7, 1763689836000000000 };
	uint32_t steps[RUNS] = {};

	for (uint64_t i = 0; i < RUNS; i++) {
		struct store_run r = { .id = 100 + i,
			.status = STR("open"),
			.opened_ns = y.now_ns };

		assert_int_equal(store_put_run(y.s, &r), 0);
		tell(&y, 100 + i, 0, EVENT_RUN_OPENED, "");
	}
	for (int i = 0; i < RUNS * CALLS; i++) {
		uint64_t run = next_random(&y.random) % RUNS;

		tell_call(&y, 100 + run, ++steps[run]);
		if (i % 20 == 0)
			tell(&y, 0, 0, EVENT_NOTE, "");
	}
	for (uint64_t i = 1; i < RUNS; i++)
		tell(&y, 100 + i, steps[i] + 1, EVENT_RUN_CLOSED, "");
	tell_call(&y, 100, steps[0] + 1);
	dir_close(y.s);
}

static const char without_triggers[] =
    "DROP TRIGGER event_update; DROP TRIGGER event_delete;"
    "DROP TRIGGER event_replace; DROP TRIGGER blob_update;";

/*
 * What is done to the store: SQL in which :k is the number of a record and :r
 * chooses a bit. `bad` finds, before that, the number that verification is to
 * name; NULL: it is :k.
 */
static const struct damage {
	const char *what;
	const char *sql;
	const char *bad;
	uint32_t faults; /* bits of those that fit */
} damages[] = {
	{ "a bit of a record",
	    "UPDATE event SET body = flip(body, :r) WHERE seq = :k", NULL,
	    /* In the number's own digits it looks like another record. */
	    1U << STORE_HASH_MISMATCH | 1U << STORE_CHAIN_BROKEN },
	{ "a bit of a record's hash",
	    "UPDATE event SET hash = flip(hash, :r) WHERE seq = :k", NULL,
	    1U << STORE_HASH_MISMATCH },
	{ "a record's hash is gone",
	    "UPDATE event SET hash = x'' WHERE seq = :k", NULL,
	    1U << STORE_HASH_MISMATCH },
	{ "a record is emptied", "UPDATE event SET body = x'' WHERE seq = :k",
	    NULL, 1U << STORE_HASH_MISMATCH },
	{ "a bit of a blob",
	    "UPDATE blob SET data = flip(data, :r) WHERE h ="
	    " (SELECT h FROM blob WHERE NOT z ORDER BY h LIMIT 1 OFFSET :k %"
	    " (SELECT count(*) FROM blob WHERE NOT z))",
	    "SELECT min(seq) FROM event WHERE instr(body, (SELECT"
	    " lower(hex(h)) FROM blob WHERE NOT z ORDER BY h LIMIT 1 OFFSET"
	    " :k % (SELECT count(*) FROM blob WHERE NOT z)))",
	    1U << STORE_BLOB_MISMATCH },
	/* zstd has bits that say nothing: then the bytes are still right. */
	{ "a bit of a packed blob",
	    "UPDATE blob SET data = flip(data, :r) WHERE h ="
	    " (SELECT h FROM blob WHERE z ORDER BY h LIMIT 1 OFFSET :k %"
	    " (SELECT count(*) FROM blob WHERE z))",
	    "SELECT min(seq) FROM event WHERE instr(body, (SELECT"
	    " lower(hex(h)) FROM blob WHERE z ORDER BY h LIMIT 1 OFFSET"
	    " :k % (SELECT count(*) FROM blob WHERE z)))",
	    1U << STORE_BLOB_MISMATCH | 1U << STORE_SOUND },
	{ "a blob is gone",
	    "DELETE FROM blob WHERE h ="
	    " (SELECT h FROM blob ORDER BY h LIMIT 1 OFFSET :k %"
	    " (SELECT count(*) FROM blob))",
	    "SELECT min(seq) FROM event WHERE instr(body, (SELECT"
	    " lower(hex(h)) FROM blob ORDER BY h LIMIT 1 OFFSET :k %"
	    " (SELECT count(*) FROM blob)))",
	    1U << STORE_BLOB_MISMATCH },
	{ "a bit of a run's head",
	    "UPDATE run SET head = flip(head, :r) WHERE id ="
	    " (SELECT id FROM run WHERE head NOT NULL"
	    " LIMIT 1 OFFSET :k % 5)",
	    "SELECT seq FROM event WHERE kind = 2 AND run ="
	    " (SELECT id FROM run WHERE head NOT NULL"
	    " LIMIT 1 OFFSET :k % 5)",
	    1U << STORE_HASH_MISMATCH },
	{ "a run's head is gone",
	    "UPDATE run SET head = NULL WHERE id ="
	    " (SELECT id FROM run WHERE head NOT NULL"
	    " LIMIT 1 OFFSET :k % 5)",
	    "SELECT seq FROM event WHERE kind = 2 AND run ="
	    " (SELECT id FROM run WHERE head NOT NULL"
	    " LIMIT 1 OFFSET :k % 5)",
	    1U << STORE_TRUNCATED },
	{ "a head for a run that is open",
	    "UPDATE run SET head = zeroblob(32) WHERE head IS NULL",
	    "SELECT max(seq) FROM event WHERE kind <> 8 AND run ="
	    " (SELECT id FROM run WHERE head IS NULL)",
	    1U << STORE_TRUNCATED },
	{ "a record is dropped", "DELETE FROM event WHERE seq = :k", NULL,
	    1U << STORE_MISSING },
	{ "a record is dropped and the rest closes up",
	    "DELETE FROM event WHERE seq = :k;"
	    "UPDATE event SET seq = -seq WHERE seq > :k;"
	    "UPDATE event SET seq = -seq - 1 WHERE seq < 0;",
	    NULL, 1U << STORE_CHAIN_BROKEN },
	{ "two records change places",
	    "UPDATE event SET seq = -1 WHERE seq = :k;"
	    "UPDATE event SET seq = :k WHERE seq = :k + 9;"
	    "UPDATE event SET seq = :k + 9 WHERE seq = -1;",
	    NULL, 1U << STORE_CHAIN_BROKEN },
	{ "two records' bytes change places",
	    "CREATE TABLE x AS SELECT body FROM event WHERE seq = :k;"
	    "UPDATE event SET body = (SELECT body FROM event WHERE"
	    " seq = :k + 1) WHERE seq = :k;"
	    "UPDATE event SET body = (SELECT body FROM x) WHERE seq = :k + 1;",
	    NULL, 1U << STORE_CHAIN_BROKEN },
	{ "the tail is cut off", "DELETE FROM event WHERE seq >= :k", NULL,
	    1U << STORE_TRUNCATED },
	{ "the store's head is gone", "UPDATE meta SET head = x''",
	    "SELECT max(seq) FROM event", 1U << STORE_TRUNCATED },
	{ "a bit of the store's head", "UPDATE meta SET head = flip(head, :r)",
	    "SELECT max(seq) FROM event", 1U << STORE_TRUNCATED },
	{ "a bit of the log's id", "UPDATE meta SET log = flip(log, :r)",
	    "SELECT 1", 1U << STORE_HASH_MISMATCH },
	{ "a bit of a checkpoint",
	    "UPDATE checkpoint SET note = flip(note, :r)",
	    "SELECT min(size) FROM checkpoint", 1U << STORE_SIG_BAD },
	{ "another log's key", "UPDATE meta SET key = flip(key, :r)",
	    "SELECT min(size) FROM checkpoint", 1U << STORE_SIG_BAD },
	{ "a checkpoint is moved",
	    "UPDATE checkpoint SET size = size - 1 WHERE size ="
	    " (SELECT max(size) FROM checkpoint)",
	    "SELECT max(size) - 1 FROM checkpoint",
	    1U << STORE_CHECKPOINT_MISMATCH },
	{ "the last checkpoint is gone",
	    "DELETE FROM checkpoint WHERE size ="
	    " (SELECT max(size) FROM checkpoint)",
	    "SELECT max(size) FROM checkpoint", 1U << STORE_TRUNCATED },
	{ "a record is added",
	    "INSERT INTO event SELECT seq + 1, run, step, t, kind, tool, body,"
	    " hash FROM event ORDER BY seq DESC LIMIT 1",
	    "SELECT max(seq) + 1 FROM event", 1U << STORE_CHAIN_BROKEN },
	{ "a step is listed as another",
	    "UPDATE event SET step = step + 1 WHERE seq = :k", NULL,
	    1U << STORE_BAD_RECORD },
	{ "a record is listed under another run",
	    "UPDATE event SET run = 'r-000000000001' WHERE seq = :k", NULL,
	    1U << STORE_BAD_RECORD },
	{ "a time is listed as another",
	    "UPDATE event SET t = t + 1 WHERE seq = :k", NULL,
	    1U << STORE_BAD_RECORD },
	{ "a kind is listed as another",
	    "UPDATE event SET kind = kind % 12 + 1 WHERE seq = :k", NULL,
	    1U << STORE_BAD_RECORD },
	{ "a kind that is none", "UPDATE event SET kind = 99 WHERE seq = :k",
	    NULL, 1U << STORE_BAD_RECORD },
	{ "a tool is listed as another",
	    "UPDATE event SET tool = tool || 'x' WHERE seq = :k", NULL,
	    1U << STORE_BAD_RECORD },
};

/* flip(bytes, r): one bit of them, chosen by r. */
static void
sql_flip(sqlite3_context *c, int n, sqlite3_value **v)
{
	int bytes = sqlite3_value_bytes(v[0]);
	uint64_t r = (uint64_t)sqlite3_value_int64(v[1]);
	uint8_t *copy = malloc((size_t)bytes);

	assert_int_equal(n, 2);
	assert_true(bytes > 0 && copy != NULL);
	memcpy(copy, sqlite3_value_blob(v[0]), (size_t)bytes);
	copy[r / 8 % (uint64_t)bytes] ^= (uint8_t)(1 << r % 8);
	sqlite3_result_blob(c, copy, bytes, free);
}

/* Runs each statement of sql with :k and :r; the last one's first number. */
static int64_t
run_sql(sqlite3 *db, const char *sql, int64_t k, int64_t r)
{
	int64_t number = 0;

	while (*sql != '\0') {
		sqlite3_stmt *st = NULL;
		int at, rc;

		if (sqlite3_prepare_v2(db, sql, -1, &st, &sql) != SQLITE_OK)
			fail_msg("%s", sqlite3_errmsg(db));
		at = sqlite3_bind_parameter_index(st, ":k");
		if (at > 0)
			assert_int_equal(
			    sqlite3_bind_int64(st, at, k), SQLITE_OK);
		at = sqlite3_bind_parameter_index(st, ":r");
		if (at > 0)
			assert_int_equal(
			    sqlite3_bind_int64(st, at, r), SQLITE_OK);
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW)
			number = sqlite3_column_int64(st, 0);
		else if (rc != SQLITE_DONE)
			fail_msg("%s", sqlite3_errmsg(db));
		assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	}
	return number;
}

static void
each_kind_of_damage_is_found_at_the_first_bad_record(void **state)
{
	struct store_dir whole, copy;
	uint64_t random = 99;
	int64_t records;

	(void)state;
	dir_make(&whole);
	dir_make(&copy);
	build(&whole);
	records = dir_number(&whole, "SELECT count(*) FROM event");
	assert_true(records > 300);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		const struct damage *d = &damages[i];
		int found = 0;

		for (int round = 0; round < ROUNDS; round++) {
			/* Not the last ten: some damages reach that far. */
			int64_t k = 1 +
			    (int64_t)(next_random(&random) %
				(uint64_t)(records - 10));
			int64_t r = (int64_t)(next_random(&random) >> 2);
			int64_t bad = k;
			struct store_verdict v;
			sqlite3 *db = NULL;
			char file[96];

			dir_copy(&whole, &copy);
			dir_file(&copy, DB_FILE, file);
			assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
			assert_int_equal(
			    sqlite3_create_function(db, "flip", 2, SQLITE_UTF8,
				NULL, sql_flip, NULL, NULL),
			    SQLITE_OK);
			(void)run_sql(db, without_triggers, 0, 0);
			if (d->bad != NULL)
				bad = run_sql(db, d->bad, k, r);
			(void)run_sql(db, d->sql, k, r);
			assert_int_equal(sqlite3_close(db), SQLITE_OK);

			v = dir_verify(&copy);
			if ((d->faults >> v.fault & 1) == 0 ||
			    (v.fault != STORE_SOUND && v.seq != (uint64_t)bad))
				fail_msg("%s (k %" PRId64 "): %s at %" PRIu64
					 ", not %" PRId64 ": %s",
				    d->what, k, store_fault_name(v.fault),
				    v.seq, bad, v.text);
			found += v.fault != STORE_SOUND;
		}
		assert_true(found > ROUNDS / 2);
	}
	dir_remove(&copy);
	dir_remove(&whole);
}

static void
a_whole_store_is_sound_and_counted(void **state)
{
	struct store_dir d;
	struct store_verdict v;
	struct store *s;
	struct err e;

	(void)state;
	dir_make(&d);
	build(&d);
	v = dir_verify(&d);
	if (v.fault != STORE_SOUND)
		fail_msg("%" PRIu64 ": %s", v.seq, v.text);
	assert_int_equal(v.runs, RUNS);
	assert_int_equal(
	    v.records, dir_number(&d, "SELECT count(*) FROM event"));

	/* Once more where there is a writer, and each run alone. */
	s = dir_open(&d);
	for (uint64_t run = 100; run < 100 + RUNS; run++) {
		assert_int_equal(store_verify(s, run, NULL, &v, &e), 0);
		assert_int_equal(v.fault, STORE_SOUND);
		assert_int_equal(v.runs, 1);
	}
	assert_int_equal(store_verify(s, 5, NULL, &v, &e), -1);
	assert_non_null(strstr(e.text, "paddock ps --all"));
	dir_close(s);
	dir_remove(&d);
}

/* One letter for each kind, in their order. */
static enum event_kind
kind_of(char c)
{
	static const char letters[] = "ocpdqvsfrebknPRDE";

	return (enum event_kind)(strchr(letters, c) - letters + 1);
}

static void
records_of_a_call_out_of_order_are_found(void **state)
{
	/* p proposed, d decision, q approval requested, v decided (voted),
	 * s started, f finished (ok), x finished (blocked), r draft,
	 * o run opened, c run closed, n note, e decision on what leaves, E its
	 * end. bad: the first bad record. */
	static const struct {
		const char *story;
		uint64_t bad;
	} rows[] = {
		{ "opdsfc", 0 },
		{ "opdqvsfc", 0 },
		{ "opdqvvsfc", 0 }, /* a quorum of two */
		{ "opdqvdsfc", 0 }, /* an edit is judged again */
		{ "opdc", 0 }, /* blocked */
		{ "opdxc", 0 },
		{ "opdrc", 0 },
		{ "opdrfc", 0 },
		{ "opdqvxc", 0 }, /* rejected */
		{ "opdscf", 0 }, /* under way when its run ended */
		{ "opnds", 0 }, /* still open */
		{ "opdfc", 4 }, /* done, and never started */
		{ "opsfc", 3 }, /* no decision */
		{ "opdqsfc", 5 }, /* started while it was asked for */
		{ "opdvsfc", 4 }, /* an answer nobody asked for */
		{ "odpsfc", 2 }, /* decided before it was proposed */
		{ "osfc", 2 },
		{ "opdsfsfc", 6 }, /* twice */
		{ "opdsffc", 6 },
		{ "oppdsfc", 3 },
		{ "opdsdfc", 5 },
		{ "podsfc", 2 }, /* a call before its run */
		{ "opdsfcn", 6 }, /* something after its end */
		{ "opdsfcc", 6 },
		{ "oeEc", 0 }, /* what leaves */
		{ "oeqveEc", 0 }, /* it waited, and went */
		{ "oeqvveEc", 0 }, /* for two */
		{ "oeqvec", 0 }, /* it waited, and did not go */
		{ "oeqEc", 4 }, /* it went while it was asked for */
		{ "oqveEc", 2 }, /* an approval of nothing */
		{ "oevEc", 3 }, /* an answer nobody asked for */
		{ "oesfc", 3 }, /* it starts no call */
		{ "oopdsfc", 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct store_dir d;
		struct store *s;
		struct store_verdict v;
		struct story y = {};

		dir_make(&d);
		s = y.s = dir_open(&d);
		for (const char *p = rows[i].story; *p != '\0'; p++) {
			bool run = *p == 'o' || *p == 'c';

			tell(&y, 7, run ? 0 : 1, kind_of(*p == 'x' ? 'f' : *p),
			    *p == 'f'	    ? "ok"
				: *p == 'x' ? "blocked"
					    : "");
		}
		dir_close(s);
		v = dir_verify(&d);
		if (v.seq != rows[i].bad ||
		    v.fault !=
			(rows[i].bad > 0 ? STORE_ORDER_INVALID : STORE_SOUND))
			fail_msg("%s: %s at %" PRIu64 ": %s", rows[i].story,
			    store_fault_name(v.fault), v.seq, v.text);
		if (rows[i].bad > 0)
			assert_int_equal(v.run, 7);
		dir_remove(&d);
	}
}

/* Who has the file but not the key; who has both, but not the copies. */
static void
a_log_that_is_made_anew_is_seen_from_outside(void **state)
{
	own_buf struct buf witness = {};
	struct store_dir old, new;
	struct note_key key;
	struct store_verdict v;
	struct store_trust trust = {};
	struct store *s;
	struct err e = {};
	char file[96];

	(void)state;
	dir_make(&old);
	dir_make(&new);
	build(&old);
	build(&new);
	dir_file(&old, CHECKPOINTS_FILE, file);
	assert_int_equal(file_read(file, &witness, 1 << 20, &e), 0);
	s = store_open_read(old.path, &e);
	assert_non_null(s);
	assert_int_equal(store_key(s, &key, &e), 0);
	trust = (struct store_trust){ &key, buf_str(&witness), NULL };
	assert_int_equal(store_verify(s, 0, &trust, &v, &e), 0);
	if (v.fault != STORE_SOUND)
		fail_msg("%" PRIu64 ": %s", v.seq, v.text);
	assert_int_equal(v.signed_size, v.records);
	assert_true(v.checkpoints >= 2);
	dir_close(s);

	/* Another key. */
	s = store_open_read(new.path, &e);
	assert_non_null(s);
	trust.witness = STR("");
	assert_int_equal(store_verify(s, 0, &trust, &v, &e), 0);
	assert_int_equal(v.fault, STORE_SIG_BAD);
	dir_close(s);

	/* The same key, and a log that ends before what was copied. */
	dir_sql(&old,
	    "DROP TRIGGER event_delete;"
	    "DELETE FROM event WHERE seq > 300;"
	    "DELETE FROM checkpoint WHERE size > 300;"
	    "UPDATE run SET head = NULL;"
	    "UPDATE meta SET count = 300, head = (SELECT hash FROM event WHERE"
	    " seq = 300), signed = (SELECT coalesce(max(size), 0) FROM"
	    " checkpoint)");
	v = dir_verify(&old);
	if (v.fault != STORE_SOUND)
		fail_msg("%" PRIu64 ": %s", v.seq, v.text);
	s = store_open_read(old.path, &e);
	assert_non_null(s);
	trust.witness = buf_str(&witness);
	assert_int_equal(store_verify(s, 0, &trust, &v, &e), 0);
	assert_int_equal(v.fault, STORE_TRUNCATED);
	assert_int_equal(v.seq, 301);
	dir_close(s);
	dir_remove(&old);
	dir_remove(&new);
}

/* Signed when it is opened, by a program that knows how. */
static void
a_log_of_format_1_is_signed_from_then_on(void **state)
{
	struct store_dir d;
	struct store_verdict v;
	struct note_key key;
	struct store *s;
	struct err e = {};
	char file[96];

	(void)state;
	dir_make(&d);
	build(&d);
	dir_file(&d, LOG_KEY_FILE, file);
	assert_int_equal(unlink(file), 0);
	dir_sql(&d,
	    "DROP TABLE checkpoint; ALTER TABLE meta DROP COLUMN key;"
	    "ALTER TABLE meta DROP COLUMN signed; PRAGMA user_version = 1");
	v = dir_verify(&d);
	assert_int_equal(v.fault, STORE_SOUND);
	assert_int_equal(v.checkpoints, 0);
	s = store_open_read(d.path, &e);
	assert_int_equal(store_key(s, &key, &e), -1);
	assert_non_null(strstr(e.text, "start a daemon"));
	dir_close(s);

	dir_close(dir_open(&d));
	v = dir_verify(&d);
	assert_int_equal(v.fault, STORE_SOUND);
	assert_int_equal(v.checkpoints, 1);
	assert_int_equal(v.signed_size, v.records);

	/* Without its key no more is added. */
	assert_int_equal(unlink(file), 0);
	assert_null(store_open(d.path, &e));
	assert_non_null(strstr(e.text, "put it back"));
	dir_remove(&d);
}

static void
what_a_daemon_writes_meanwhile_disturbs_nothing(void **state)
{
	struct story y = { .random = 3 };
	struct store_dir d;
	struct store *reader;
	struct store_verdict v;
	struct err e = {};

	(void)state;
	dir_make(&d);
	y.s = dir_open(&d);
	tell(&y, 9, 0, EVENT_RUN_OPENED, "");
	for (uint32_t i = 1; i < 60; i++) {
		tell_call(&y, 9, i);
		if (i % 10 == 0)
			assert_int_equal(wait_durable(y.s, 1, &e), 0);
		reader = store_open_read(d.path, &e);
		assert_non_null(reader);
		assert_int_equal(store_verify(reader, 0, NULL, &v, &e), 0);
		if (v.fault != STORE_SOUND)
			fail_msg("%" PRIu64 ": %s", v.seq, v.text);
		dir_close(reader);
	}
	dir_close(y.s);
	dir_remove(&d);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_store_is_sound_and_counted),
		cmocka_unit_test(
		    each_kind_of_damage_is_found_at_the_first_bad_record),
		cmocka_unit_test(records_of_a_call_out_of_order_are_found),
		cmocka_unit_test(a_log_that_is_made_anew_is_seen_from_outside),
		cmocka_unit_test(a_log_of_format_1_is_signed_from_then_on),
		cmocka_unit_test(
		    what_a_daemon_writes_meanwhile_disturbs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
