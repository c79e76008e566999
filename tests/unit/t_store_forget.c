/* Rows that are over go a few at a time, and however many there are, no call
 * and no start has more to do than that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "store/inside.h"
#include "store_dir.h"

/* Pages that a search through a tree of a million rows may read, with those of
 * its tables' list; and instructions of a statement that does not scan. */
enum { PAGES_MOST = 64, STEPS_MOST = 500, PUTS = 10 };

#define OVER "1000"
#define NOT_OVER "9000000000000"
static const int64_t now_ms = 1800000000000;

/* A million keys, and a hundred thousand windows; one in ten of which is still
 * needed. */
static const char fill[] =
    "PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0; BEGIN;"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n"
    " WHERE i<1000000) INSERT INTO idem SELECT CAST(printf('%07d',i) AS BLOB),"
    " x'', '', 1, 2, 0, x'', CASE WHEN i%10=0 THEN " NOT_OVER " ELSE " OVER
    " END FROM n;"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n"
    " WHERE i<100000) INSERT INTO spent SELECT printf('tenant %07d 1d',i),"
    " 0, x'7b7d', CASE WHEN i%10=0 THEN " NOT_OVER " ELSE " OVER
    " END FROM n; COMMIT";

static int64_t
count(const struct store_dir *d, const char *table, const char *until)
{
	char sql[96];

	(void)snprintf(sql, sizeof(sql),
	    "SELECT count(*) FROM %s WHERE until = %s", table, until);
	return dir_number(d, sql);
}

/* What the caller's side has read of the file since it was last asked. */
static int
pages_read(struct store *s)
{
	int now = 0, most = 0;

	assert_int_equal(sqlite3_db_status(s->reader,
			     SQLITE_DBSTATUS_CACHE_MISS, &now, &most, 1),
	    SQLITE_OK);
	return now;
}

static void
steps_are_few(struct store *s, enum statement which)
{
	sqlite3_stmt *st = s->statement[which];

	assert_true(sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, 0) > 0);
	assert_true(sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, 0) <
	    PUTS * STEPS_MOST);
	assert_int_equal(
	    sqlite3_stmt_status(st, SQLITE_STMTSTATUS_FULLSCAN_STEP, 0), 0);
	assert_int_equal(sqlite3_stmt_status(st, SQLITE_STMTSTATUS_SORT, 0), 0);
}

static struct store_idem
row_of(uint8_t first)
{
	return (struct store_idem){ .key.b[0] = first, .run = 5, .state = 1 };
}

static void
a_million_rows_make_no_call_and_no_start_longer(void **state)
{
	const struct store_kept kept = { now_ms + 1, now_ms };
	struct store_dir d;
	struct store *s;
	struct store_idem found;
	struct event ev = { .run = 5, .step = 1, .kind = EVENT_NOTE };
	own_buf struct buf text = {};
	int64_t until_ms = 0, start_ms = 0;
	struct err e = {};

	(void)state;
	dir_make(&d);
	dir_close(dir_open(&d));
	dir_sql(&d, fill);
	s = dir_open(&d);
	/* A start reads none of them. */
	assert_true(pages_read(s) < PAGES_MOST);
	for (uint8_t i = 1; i <= PUTS; i++) {
		const struct store_idem row = row_of(i);
		char name[32];

		assert_int_equal(
		    store_idem(s, &row.key, &found, &text, &until_ms, &e), 0);
		assert_int_equal(store_put_idem(s, &row, STR("{}"), &kept), 0);
		(void)snprintf(name, sizeof(name), "tenant new%d 1d", i);
		assert_int_equal(
		    store_spent(s, str_of(name), &start_ms, &text, &e), 0);
		assert_int_equal(
		    store_put_spent(s, str_of(name), 7, STR("{}"), &kept), 0);
	}
	assert_true(pages_read(s) < PUTS * PAGES_MOST);
	assert_int_equal(wait_durable(s, store_append(s, &ev), &e), 0);
	steps_are_few(s, ST_IDEM);
	steps_are_few(s, ST_IDEM_FORGET);
	steps_are_few(s, ST_SPENT);
	steps_are_few(s, ST_SPENT_FORGET);
	dir_close(s);
	assert_int_equal(
	    count(&d, "idem", OVER), 900000 - PUTS * STORE_FORGET_ROWS);
	assert_int_equal(
	    count(&d, "spent", OVER), 90000 - PUTS * STORE_FORGET_ROWS);
	assert_int_equal(count(&d, "idem", NOT_OVER), 100000);
	assert_int_equal(count(&d, "spent", NOT_OVER), 10000);
	dir_remove(&d);
}

static void
only_what_is_over_goes_and_what_was_put_is_found(void **state)
{
	struct store_dir d;
	struct store *s;
	struct err e = {};
	struct event ev = { .run = 5, .step = 1, .kind = EVENT_NOTE };

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	/* Each is over at i, and nothing that is over later goes with it. */
	for (uint8_t i = 1; i <= 100; i++) {
		const struct store_kept kept = { i, i };
		const struct store_idem row = row_of(i);

		assert_int_equal(store_put_idem(s, &row, STR("x"), &kept), 0);
	}
	assert_int_equal(wait_durable(s, store_append(s, &ev), &e), 0);
	for (uint8_t i = 1; i <= 100; i++) {
		const struct store_idem row = row_of(i);
		struct store_idem found;
		own_buf struct buf text = {};
		int64_t until_ms = 0;

		assert_int_equal(
		    store_idem(s, &row.key, &found, &text, &until_ms, &e),
		    i == 100);
		assert_int_equal(until_ms, i == 100 ? 100 : 0);
		assert_int_equal(text.n, i == 100);
	}
	/* Without a moment nothing goes. */
	for (uint8_t i = 1; i <= 20; i++) {
		const struct store_kept kept = { i, 0 };
		const struct store_idem row = row_of(i);

		assert_int_equal(store_put_idem(s, &row, STR("x"), &kept), 0);
	}
	dir_close(s);
	assert_int_equal(dir_number(&d, "SELECT count(*) FROM idem"), 21);
	dir_remove(&d);
}

/* As a program made it that kept all of them for ever. */
static void
older_rows_are_kept_as_long_as_any(void **state)
{
	struct store_dir d;
	struct store *s;
	struct store_idem found;
	const struct store_idem row = row_of(9);
	own_buf struct buf text = {};
	int64_t until_ms = 0, start_ms = 0;
	struct err e = {};

	(void)state;
	dir_make(&d);
	dir_close(dir_open(&d));
	dir_sql(&d,
	    "DROP TABLE idem; DROP TABLE spent;"
	    "CREATE TABLE spent(name TEXT PRIMARY KEY, start INT NOT NULL,"
	    " body BLOB NOT NULL);"
	    "CREATE TABLE idem(key BLOB PRIMARY KEY, args BLOB NOT NULL,"
	    " run TEXT NOT NULL, step INT NOT NULL, state INT NOT NULL,"
	    " kind INT NOT NULL, result BLOB NOT NULL);"
	    "INSERT INTO spent VALUES('tenant a 1d', 7, '{\"x\":1}');"
	    "INSERT INTO idem VALUES(x'09000000000000000000000000000000"
	    "00000000000000000000000000000000', zeroblob(32),"
	    " 'r-000000000005', 3, 2, 1, '{}')");
	for (int i = 0; i < 2; i++) {
		s = dir_open(&d);
		buf_reset(&text);
		assert_int_equal(
		    store_idem(s, &row.key, &found, &text, &until_ms, &e), 1);
		assert_int_equal(found.step, 3);
		assert_true(until_ms > now_ms - (INT64_C(1) << 40));
		buf_reset(&text);
		assert_int_equal(
		    store_spent(s, STR("tenant a 1d"), &start_ms, &text, &e),
		    1);
		assert_int_equal(start_ms, 7);
		assert_true(str_eq(buf_str(&text), STR("{\"x\":1}")));
		dir_close(s);
	}
	dir_remove(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_million_rows_make_no_call_and_no_start_longer),
		cmocka_unit_test(
		    only_what_is_over_goes_and_what_was_put_is_found),
		cmocka_unit_test(older_rows_are_kept_as_long_as_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
