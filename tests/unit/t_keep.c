/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */

#include <cmocka.h>

#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "core/id.h"
#include "store/bundle.h"
#include "store_dir.h"

#define MARK "alice.marker@example.com"
#define CONTENT "{\"amount\":4711,\"mail\":\"" MARK "\",\"ok\":true}"

enum { T0_S = 1763689836, DAY_S = 24 * 3600 };
static const int64_t second = 1000000000;

static void
settle(struct store *s)
{
	struct err e = {};

	if (wait_durable(s, store_made(s), &e) < 0)
		fail_msg("%s", e.text);
}

/* One whole run whose one call asks and answers CONTENT. */
static void
run_of(struct store *s, uint64_t id, const char *tenant, struct hash *asked)
{
	static const enum event_kind kinds[] = { EVENT_RUN_OPENED,
		EVENT_TOOL_PROPOSED, EVENT_POLICY_DECISION, EVENT_TOOL_STARTED,
		EVENT_TOOL_FINISHED, EVENT_RUN_CLOSED };
	struct store_run row = { .id = id,
		.tenant = str_of(tenant),
		.actor = STR("agent"),
		.workflow = STR("support"),
		.mode = STR("sandbox"),
		.status = STR("open"),
		.opened_ns = T0_S * second };

	assert_int_equal(store_put_run(s, &row), 0);
	for (uint32_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		bool edge = kinds[i] == EVENT_RUN_OPENED ||
		    kinds[i] == EVENT_RUN_CLOSED;
		struct event ev = { .run = id,
			.step = edge ? i : 1,
			.kind = kinds[i],
			.t_ns = T0_S * second,
			.tenant = str_of(tenant),
			.tool = edge ? STR("") : STR("mail.send"),
			.ms = -1 };

		if (kinds[i] == EVENT_TOOL_PROPOSED)
			ev.args.bytes = STR(CONTENT);
		if (kinds[i] == EVENT_TOOL_FINISHED) {
			ev.out.bytes = STR(CONTENT);
			ev.status = STR("ok");
		}
		assert_true(store_append(s, &ev) > 0);
		if (kinds[i] == EVENT_TOOL_PROPOSED && asked != NULL)
			*asked = ev.args.hash;
	}
	row.status = STR("closed");
	row.closed_ns = T0_S * second;
	assert_int_equal(store_put_run(s, &row), 0);
	settle(s);
}

static void
rule(struct store *s, const char *tenant, enum store_level level,
    uint32_t after_s)
{
	struct store_rule r = { str_of(tenant), level, after_s };
	struct event ev = { .kind = EVENT_NOTE,
		.t_ns = T0_S * second,
		.body = STR("{\"note\":\"retention_set\"}"),
		.ms = -1 };
	struct err e = {};

	if (store_put_rule(s, &r, &ev, &e) == 0)
		fail_msg("%s", e.text);
	settle(s);
}

static uint64_t
forget(struct store *s, uint64_t run)
{
	own_buf struct buf body = {};
	char id[ID_BYTES];
	struct event ev = {
		.kind = EVENT_NOTE, .t_ns = (T0_S + 5) * second, .ms = -1
	};

	id_text('r', run, id);
	buf_printf(&body, "{\"note\":\"content_removed\",\"of\":\"%s\"}", id);
	ev.body = buf_str(&body);
	return store_forget(s, run, &ev);
}

struct due {
	uint64_t run[8], contents;
	uint32_t n;
};

static bool
on_due(void *arg, const struct store_due *d)
{
	struct due *due = arg;

	assert_true(due->n < 8);
	due->run[due->n++] = d->run;
	due->contents += d->contents;
	return true;
}

/* Of all rows, two at a time. */
static struct due
due_at(struct store *s, int64_t s_after)
{
	struct due due = {};
	uint64_t cursor = 0;
	struct err e = {};

	do {
		if (store_due(s, (T0_S + s_after) * second, &cursor, 2, on_due,
			&due, &e) < 0)
			fail_msg("%s", e.text);
	} while (cursor != 0);
	return due;
}

/* Does any file of the store hold these bytes? */
static bool
holds(const struct store_dir *d, const char *text)
{
	static const char *const names[] = { DB_FILE, DB_FILE "-wal" };
	bool found = false;

	for (size_t i = 0; i < 2; i++) {
		own_buf struct buf bytes = { .max = 64 << 20 };
		char file[96];
		struct err e;

		dir_file(d, names[i], file);
		if (file_read(file, &bytes, bytes.max, &e) == 0 && bytes.n > 0)
			found |= memmem(bytes.p, bytes.n, text, strlen(text)) !=
			    NULL;
	}
	return found;
}

static struct store_verdict
verify_run(const struct store_dir *d, uint64_t run)
{
	struct err e = {};
	struct store *s = store_open_read(d->path, &e);
	struct store_verdict v = {};

	if (s == NULL || store_verify(s, run, NULL, &v, &e) < 0)
		fail_msg("%s", e.text);
	dir_close(s);
	return v;
}

static void
a_tenant_with_an_age_shares_no_content_and_shows_none_in_records(void **state)
{
	const struct hash plain = hash_of(CONTENT, strlen(CONTENT));
	struct hash a, b, other, again;
	own_buf struct buf back = {};
	struct store_verdict v;
	struct store_dir d;
	struct store *s;
	struct err e = {};

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	rule(s, "acme", STORE_KEEP_RAW, 30 * DAY_S);
	run_of(s, 1, "acme", &a);
	run_of(s, 2, "acme", &b);
	run_of(s, 3, "other", &other);
	dir_close(s);
	/* The rule and its key come back. */
	s = dir_open(&d);
	run_of(s, 4, "acme", &again);
	assert_true(hash_eq(&other, &plain));
	assert_false(hash_eq(&a, &plain));
	assert_false(hash_eq(&a, &b));
	assert_false(hash_eq(&again, &a) || hash_eq(&again, &b));
	assert_int_equal(store_blob(s, &a, &back, &e), 0);
	assert_true(str_eq(buf_str(&back), STR(CONTENT)));
	buf_reset(&back);
	assert_int_equal(store_blob_sound(s, &a, &back, &e), 0);
	assert_true(str_eq(buf_str(&back), STR(CONTENT)));
	dir_close(s);
	assert_int_equal(
	    dir_number(&d,
		"SELECT count(*) FROM event WHERE run <> "
		"'r-000000000003' AND CAST(body AS TEXT) LIKE '%marker%'"),
	    0);
	assert_int_equal(dir_number(&d, "SELECT count(*) FROM blob"), 4);
	v = dir_verify(&d);
	assert_int_equal(v.fault, STORE_SOUND);
	assert_int_equal(v.removed, 0);
	dir_remove(&d);
}

static void
what_is_not_kept_is_known_by_a_keyed_hash_alone(void **state)
{
	const struct hash plain = hash_of(CONTENT, strlen(CONTENT));
	struct hash a, same, other;
	struct store_dir d;
	struct store *s;

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	rule(s, "*", STORE_KEEP_HASH, 0);
	run_of(s, 1, "acme", &a);
	run_of(s, 2, "acme", &same);
	run_of(s, 3, "other", &other);
	dir_close(s);
	assert_false(hash_eq(&a, &plain));
	assert_true(hash_eq(&a, &same)); /* an auditor can compare */
	assert_false(hash_eq(&a, &other)); /* but not two tenants' */
	assert_int_equal(dir_number(&d, "SELECT count(*) FROM blob"), 0);
	assert_false(holds(&d, "marker"));
	assert_int_equal(dir_verify(&d).fault, STORE_SOUND);
	dir_remove(&d);
}

static void
of_what_is_redacted_the_form_is_kept(void **state)
{
	own_buf struct buf back = {};
	struct store_dir d;
	struct store *s;
	struct hash a;
	struct err e = {};
	struct event ev = { .run = 1,
		.kind = EVENT_NOTE,
		.tenant = STR("acme"),
		.out.bytes = STR("my name is " MARK),
		.ms = -1 };

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	rule(s, "acme", STORE_KEEP_REDACTED, 0);
	run_of(s, 1, "acme", &a);
	assert_int_equal(store_blob(s, &a, &back, &e), 0);
	assert_true(str_eq(buf_str(&back),
	    STR("{\"amount\":\"[redacted]\",\"mail\":\"[redacted]\","
		"\"ok\":true}")));
	/* What has no form is not kept. */
	assert_true(store_append(s, &ev) > 0);
	assert_true(ev.out.hash_only);
	dir_close(s);
	assert_false(holds(&d, "marker"));
	dir_remove(&d);
}

static void
content_goes_at_its_age_and_verification_says_so(void **state)
{
	struct store_verdict v;
	struct store_dir d;
	struct store *s;
	struct due due;

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	rule(s, "acme", STORE_KEEP_RAW, 100);
	run_of(s, 1, "acme", NULL);
	run_of(s, 2, "acme", NULL);
	run_of(s, 3, "other", NULL);
	due = due_at(s, 99);
	assert_int_equal(due.n, 0);
	due = due_at(s, 100);
	assert_int_equal(due.n, 2);
	assert_int_equal(due.contents, 2);
	assert_true(forget(s, 1) > 0);
	settle(s);
	assert_int_equal(due_at(s, 100).n, 1);
	assert_true(forget(s, 2) > 0);
	settle(s);
	assert_int_equal(due_at(s, 100).n, 0);
	assert_int_equal(store_removed_ns(s, 1), (T0_S + 5) * second);
	assert_int_equal(store_removed_ns(s, 3), 0);
	dir_close(s);
	v = dir_verify(&d);
	assert_int_equal(v.fault, STORE_SOUND);
	assert_int_equal(v.removed, 4); /* asked and answered, twice */
	assert_int_equal(v.removed_ns, (T0_S + 5) * second);
	/* The other tenant's, which has the same bytes, is there. */
	assert_int_equal(dir_number(&d, "SELECT count(*) FROM blob"), 1);
	dir_sql(&d, "DELETE FROM blob");
	v = dir_verify(&d);
	assert_int_equal(v.fault, STORE_BLOB_MISMATCH);
	assert_int_equal(v.run, 3);
	assert_non_null(strstr(v.text, "missing"));
	assert_int_equal(verify_run(&d, 1).fault, STORE_SOUND);
	dir_remove(&d);
}

static void
a_row_that_says_removed_is_nothing_without_its_record(void **state)
{
	static const char *const forged[] = {
		/* No such record; another run's; a record of another kind. */
		"INSERT INTO removed VALUES('r-000000000001', 4096)",
		"INSERT INTO removed SELECT 'r-000000000001', seq FROM removed",
		"INSERT INTO removed VALUES('r-000000000001', 2)",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		struct store_verdict v;
		struct store_dir d;
		struct store *s;

		dir_make(&d);
		s = dir_open(&d);
		rule(s, "acme", STORE_KEEP_RAW, 100);
		run_of(s, 1, "acme", NULL);
		run_of(s, 2, "acme", NULL);
		assert_true(forget(s, 2) > 0);
		dir_close(s);
		dir_sql(&d, "DELETE FROM blob");
		dir_sql(&d, forged[i]);
		v = dir_verify(&d);
		assert_int_equal(v.fault, STORE_BLOB_MISMATCH);
		assert_int_equal(v.run, 1);
		dir_remove(&d);
	}
}

static void
what_was_removed_is_in_no_file_any_more(void **state)
{
	struct store_dir d;
	struct store *s;

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	rule(s, "acme", STORE_KEEP_RAW, 100);
	run_of(s, 1, "acme", NULL);
	assert_true(holds(&d, "marker"));
	assert_true(forget(s, 1) > 0);
	/* With the daemon still there. The cut comes behind the record. */
	settle(s);
	for (int i = 0; holds(&d, "marker") && i < 1000; i++)
		(void)usleep(10000);
	assert_false(holds(&d, "marker"));
	dir_close(s);
	dir_remove(&d);
}

/* Either both or none: whenever it is killed. */
static void
a_crash_leaves_no_removal_without_its_record(void **state)
{
	(void)state;
	for (int round = 0; round < 24; round++) {
		int64_t kept, said;
		struct store_dir d;
		struct store *s;
		pid_t pid;

		dir_make(&d);
		s = dir_open(&d);
		rule(s, "acme", STORE_KEEP_RAW, 100);
		for (uint64_t run = 1; run <= 4; run++)
			run_of(s, run, "acme", NULL);
		dir_close(s);
		pid = fork();
		if (pid == 0) {
			s = dir_open(&d);
			for (uint64_t run = 1; run <= 4; run++) {
				(void)forget(s, run);
				(void)usleep((useconds_t)(round % 6) * 400);
			}
			(void)kill(getpid(), SIGKILL);
		}
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		dir_close(dir_open(&d)); /* what a new daemon does */
		kept = dir_number(&d, "SELECT count(*) FROM blob");
		said = dir_number(&d,
		    "SELECT count(*) FROM event WHERE CAST(body AS TEXT) LIKE "
		    "'%content_removed%'");
		assert_int_equal(kept + said, 4);
		assert_int_equal(
		    dir_number(&d, "SELECT count(*) FROM removed"), said);
		assert_int_equal(dir_verify(&d).fault, STORE_SOUND);
		dir_remove(&d);
	}
}

/* A bundle of run 1, opened again. */
static struct bundle_sums
bundle_of(const struct store_dir *d, struct store_verdict *v)
{
	struct err e = {};
	struct store *s = store_open_read(d->path, &e), *back;
	own_fd int fd = memfd_create("bundle", MFD_CLOEXEC);
	struct bundle_sums sums;
	struct bundle b;

	assert_non_null(s);
	if (bundle_write(s, 1, fd, &sums, &e) < 0)
		fail_msg("%s", e.text);
	dir_close(s);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	back = bundle_open(fd, NULL, &b, v, &e);
	if (back == NULL)
		fail_msg("%s", e.text);
	assert_int_equal(b.sums.omitted, sums.omitted);
	assert_int_equal(b.sums.removed_ns, sums.removed_ns);
	dir_close(back);
	return sums;
}

static void
an_export_has_all_of_a_runs_content_or_says_what_it_lacks(void **state)
{
	uint32_t whole = 0, without = 0;

	(void)state;
	for (int round = 0; round < 12; round++) {
		struct bundle_sums sums;
		struct store_verdict v;
		struct store_dir d;
		struct store *s;
		uint64_t seq;
		struct err e;

		dir_make(&d);
		s = dir_open(&d);
		rule(s, "acme", STORE_KEEP_RAW, 100);
		run_of(s, 1, "acme", NULL);
		run_of(s, 2, "acme", NULL);
		/* The first rounds before it, the last behind it. */
		seq = round >= 4 ? forget(s, 1) : 0;
		if (round >= 8)
			assert_int_equal(wait_durable(s, seq, &e), 0);
		sums = bundle_of(&d, &v);
		assert_int_equal(v.fault, STORE_SOUND);
		assert_int_equal(sums.blobs + sums.omitted, 1);
		assert_int_equal(sums.removed_ns != 0, sums.omitted == 1);
		whole += sums.blobs == 1;
		without += sums.omitted == 1;
		dir_close(s);
		dir_remove(&d);
	}
	assert_true(whole >= 4 && without >= 4);
}

/* One bit of the only blob. */
static void
flip(const struct store_dir *d, int at)
{
	sqlite3 *db = NULL;
	sqlite3_blob *blob = NULL;
	char file[96], byte;

	dir_file(d, DB_FILE, file);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(
	    sqlite3_blob_open(db, "main", "blob", "data", 1, 1, &blob),
	    SQLITE_OK);
	assert_int_equal(sqlite3_blob_read(blob, &byte, 1, at), SQLITE_OK);
	byte ^= (char)(1 << at % 8);
	assert_int_equal(sqlite3_blob_write(blob, &byte, 1, at), SQLITE_OK);
	assert_int_equal(sqlite3_blob_close(blob), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void
a_bit_of_salt_or_content_that_changes_is_found(void **state)
{
	(void)state;
	for (int at = 0; at < HASH_BYTES + (int)strlen(CONTENT); at += 7) {
		struct store_verdict v;
		struct store_dir d;
		struct store *s;

		dir_make(&d);
		s = dir_open(&d);
		rule(s, "acme", STORE_KEEP_RAW, 100);
		run_of(s, 1, "acme", NULL);
		dir_close(s);
		flip(&d, at);
		v = dir_verify(&d);
		assert_int_equal(v.fault, STORE_BLOB_MISMATCH);
		assert_int_equal(v.seq, 3);
		dir_remove(&d);
	}
}

static void
a_sweep_removes_what_only_runs_of_that_age_refer_to(void **state)
{
	struct store_swept swept;
	struct store_dir d;
	struct store *s;
	struct err e = {};
	struct event ev = { .kind = EVENT_NOTE, .ms = -1 };

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	/* Before there is a rule: one content for all three. */
	run_of(s, 1, "acme", NULL);
	run_of(s, 2, "other", NULL);
	rule(s, "acme", STORE_KEEP_RAW, 100);
	assert_int_equal(due_at(s, 100).n, 1);
	assert_true(forget(s, 1) > 0);
	dir_close(s);
	s = store_open_bulk(d.path, &e);
	assert_non_null(s);
	assert_int_equal(store_sweep_list(s, &swept, &e), 0);
	assert_int_equal(swept.contents, 0);
	assert_int_equal(swept.shared, 1);
	dir_close(s);
	s = dir_open(&d);
	rule(s, "other", STORE_KEEP_RAW, 100);
	assert_true(forget(s, 2) > 0);
	dir_close(s);
	s = store_open_bulk(d.path, &e);
	assert_int_equal(store_sweep_list(s, &swept, &e), 0);
	assert_int_equal(swept.contents, 1);
	assert_true(store_append(s, &ev) > 0);
	assert_int_equal(store_sweep(s, &e), 0);
	assert_int_equal(store_commit(s, &e), 0);
	dir_close(s);
	assert_int_equal(dir_number(&d, "SELECT count(*) FROM blob"), 0);
	assert_int_equal(dir_verify(&d).fault, STORE_SOUND);
	assert_int_equal(dir_verify(&d).removed, 4);
	dir_remove(&d);
}

static void
without_its_key_a_store_with_rules_is_not_opened(void **state)
{
	struct store_dir d;
	struct store *s;
	char file[96];
	struct err e = {};

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	rule(s, "acme", STORE_KEEP_RAW, 100);
	dir_close(s);
	dir_file(&d, TENANT_KEY_FILE, file);
	assert_int_equal(unlink(file), 0);
	assert_null(store_open(d.path, &e));
	assert_non_null(strstr(e.text, TENANT_KEY_FILE));
	/* Without a rule none is needed. */
	dir_sql(&d, "DELETE FROM keep");
	s = dir_open(&d);
	rule(s, "acme", STORE_KEEP_RAW, 0);
	dir_close(s);
	assert_int_equal(access(file, F_OK), -1);
	dir_remove(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_tenant_with_an_age_shares_no_content_and_shows_none_in_records),
		cmocka_unit_test(
		    what_is_not_kept_is_known_by_a_keyed_hash_alone),
		cmocka_unit_test(of_what_is_redacted_the_form_is_kept),
		cmocka_unit_test(
		    content_goes_at_its_age_and_verification_says_so),
		cmocka_unit_test(
		    a_row_that_says_removed_is_nothing_without_its_record),
		cmocka_unit_test(what_was_removed_is_in_no_file_any_more),
		cmocka_unit_test(a_crash_leaves_no_removal_without_its_record),
		cmocka_unit_test(
		    an_export_has_all_of_a_runs_content_or_says_what_it_lacks),
		cmocka_unit_test(
		    a_bit_of_salt_or_content_that_changes_is_found),
		cmocka_unit_test(
		    a_sweep_removes_what_only_runs_of_that_age_refer_to),
		cmocka_unit_test(
		    without_its_key_a_store_with_rules_is_not_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
