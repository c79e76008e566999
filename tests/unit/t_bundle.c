/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */

#include <cmocka.h>

#include <inttypes.h>
#include <sys/mman.h>

#include <zstd.h>

#include "base/limits.h"
#include "core/id.h"
#include "store/bundle.h"
#include "store_dir.h"

enum { RUNS = 4, STEPS = 12, THE_RUN = 102 };

/* A log of several runs, of which THE_RUN's bundle is taken. */
struct rig {
	struct store_dir d;
	struct buf packed, text;
	struct note_key key;
};

static void
tell(struct store *s, uint64_t run, uint32_t step, enum event_kind kind,
    const char *status)
{
	own_buf struct buf args = {};
	struct event ev = { .run = run,
		.step = step,
		.kind = kind,
		.t_ns = 1763689836000000000 + (int64_t)step * 1000000,
		.tenant = STR("acme"),
		.actor = STR("agent"),
		.tool = kind == EVENT_RUN_OPENED || kind == EVENT_RUN_CLOSED
		    ? STR("")
		    : STR("billing.refund"),
		.status = str_of(status),
		.ms = -1 };

	buf_printf(&args, "{\"n\":%u,\"run\":%" PRIu64 "}", step % 5, run);
	if (kind == EVENT_TOOL_PROPOSED)
		ev.args.bytes = buf_str(&args);
	if (kind == EVENT_TOOL_FINISHED)
		ev.out.bytes = buf_str(&args);
	assert_true(store_append(s, &ev) > 0);
}

static void
write_bundle(struct rig *r, uint64_t run, struct bundle_sums *sums)
{
	struct store *s;
	struct err e = {};
	own_fd int fd = memfd_create("bundle", MFD_CLOEXEC);

	s = store_open_read(r->d.path, &e);
	assert_non_null(s);
	assert_int_equal(store_key(s, &r->key, &e), 0);
	if (bundle_write(s, run, fd, sums, &e) < 0)
		fail_msg("%s", e.text);
	dir_close(s);
	buf_reset(&r->packed);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(fd_read_all(fd, &r->packed, 1 << 24, &e), 0);
	assert_int_equal(r->packed.n, sums->bytes);
}

static void
unpack(struct rig *r)
{
	char *at;
	size_t n;

	buf_reset(&r->text);
	at = buf_reserve(&r->text, 1 << 22);
	assert_non_null(at);
	n = ZSTD_decompress(at, 1 << 22, r->packed.p, r->packed.n);
	assert_false(ZSTD_isError(n));
	r->text.n = n;
}

static void
pack(struct rig *r, struct str text)
{
	char *at;
	size_t n;

	buf_reset(&r->packed);
	at = buf_reserve(&r->packed, ZSTD_compressBound(text.n));
	assert_non_null(at);
	n = ZSTD_compress(at, ZSTD_compressBound(text.n), text.p, text.n, 1);
	assert_false(ZSTD_isError(n));
	r->packed.n = n;
}

/* NULL with e, or a store and what was found. */
static struct store *
read_bundle(struct rig *r, const struct note_key *key, struct bundle *b,
    struct store_verdict *v, struct err *e)
{
	own_fd int fd = memfd_create("bundle", MFD_CLOEXEC);

	assert_int_equal(fd_write_all(fd, r->packed.p, r->packed.n, e), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return bundle_open(fd, key, b, v, e);
}

static void
build(struct rig *r)
{
	struct store *s;

	*r = (struct rig){ .text.max = 1 << 23, .packed.max = 1 << 23 };
	dir_make(&r->d);
	s = dir_open(&r->d);
	for (uint64_t run = 100; run < 100 + RUNS; run++) {
		struct store_run row = { .id = run,
			.tenant = STR("acme"),
			.workflow = STR("support"),
			.status = STR("open"),
			.opened_ns = 1763689836000000000 };

		assert_int_equal(store_put_run(s, &row), 0);
		tell(s, run, 0, EVENT_RUN_OPENED, "");
	}
	for (uint32_t step = 1; step <= STEPS; step++) {
		for (uint64_t run = 100; run < 100 + RUNS; run++) {
			tell(s, run, step, EVENT_TOOL_PROPOSED, "");
			tell(s, run, step, EVENT_POLICY_DECISION, "");
			tell(s, run, step, EVENT_TOOL_STARTED, "");
			tell(s, run, step, EVENT_TOOL_FINISHED, "ok");
		}
	}
	for (uint64_t run = 101; run < 100 + RUNS; run++)
		tell(s, run, STEPS + 1, EVENT_RUN_CLOSED, "");
	dir_close(s);
}

static void
end(struct rig *r)
{
	dir_remove(&r->d);
	buf_fini(&r->packed);
	buf_fini(&r->text);
}

static bool
count_row(void *arg, const struct store_row *row)
{
	(void)row;
	(*(int *)arg)++;
	return true;
}

static void
a_run_proves_itself_without_its_log(void **state)
{
	struct bundle_sums sums;
	struct store_verdict v;
	struct bundle b;
	struct store *s;
	struct rig r;
	struct err e = {};
	int rows = 0;

	(void)state;
	build(&r);
	write_bundle(&r, THE_RUN, &sums);
	dir_clear(&r.d); /* there is no log any more */
	assert_int_equal(sums.records, 2 + 4 * STEPS);
	assert_int_equal(sums.blobs, 5);
	assert_false(sums.open);
	s = read_bundle(&r, &r.key, &b, &v, &e);
	if (s == NULL)
		fail_msg("%s", e.text);
	if (v.fault != STORE_SOUND)
		fail_msg("%" PRIu64 ": %s", v.seq, v.text);
	assert_int_equal(b.run, THE_RUN);
	assert_int_equal(b.sums.records, sums.records);
	assert_int_equal(b.sums.omitted, 0);
	assert_false(b.sums.open);
	assert_int_equal(
	    store_events(s, THE_RUN, 0, 0, count_row, &rows, &e), 0);
	assert_int_equal(rows, 2 + 4 * STEPS);
	dir_close(s);

	/* A run that is open, as far as it was signed. */
	end(&r);
	build(&r);
	write_bundle(&r, 100, &sums);
	s = read_bundle(&r, NULL, &b, &v, &e);
	assert_non_null(s);
	assert_int_equal(v.fault, STORE_SOUND);
	assert_true(b.sums.open);
	dir_close(s);
	end(&r);
}

static void
another_logs_key_is_seen(void **state)
{
	struct bundle_sums sums;
	struct store_verdict v;
	struct bundle b;
	struct store *s;
	struct rig r, other;
	struct err e = {};

	(void)state;
	build(&r);
	build(&other);
	write_bundle(&r, THE_RUN, &sums);
	write_bundle(&other, THE_RUN, &sums);
	s = read_bundle(&r, &other.key, &b, &v, &e);
	assert_non_null(s);
	assert_int_equal(v.fault, STORE_SIG_BAD);
	dir_close(s);
	end(&other);
	end(&r);
}

/* What line begins with `with`, from the n-th of them: its place and length. */
static struct str
line_of(struct rig *r, const char *with, int n)
{
	struct str rest = buf_str(&r->text);

	while (rest.n > 0) {
		struct str line = { rest.p, str_find(rest, '\n') + 1 };

		if (str_starts(line, str_of(with)) && n-- == 0)
			return line;
		rest = (struct str){ rest.p + line.n, rest.n - line.n };
	}
	fail_msg("no line begins with %s", with);
	return rest;
}

/* The text without, or with others in place of, what is between two places. */
static void
replace(struct rig *r, struct str old, const char *with, size_t n)
{
	own_buf struct buf text = { .max = 1 << 23 };
	size_t at = (size_t)(old.p - r->text.p);

	buf_add(&text, r->text.p, at);
	buf_add(&text, with, n);
	buf_add(&text, old.p + old.n, r->text.n - at - old.n);
	assert_false(text.failed);
	pack(r, buf_str(&text));
}

static void
each_turned_bit_of_the_text_is_found(void **state)
{
	struct bundle_sums sums;
	struct rig r;
	uint64_t random = 5;

	(void)state;
	build(&r);
	write_bundle(&r, THE_RUN, &sums);
	unpack(&r);
	for (int i = 0; i < 1500; i++) {
		struct store_verdict v;
		struct bundle b;
		struct err e = {};
		struct store *s;
		size_t at = next_random(&random) % r.text.n;
		char bit = (char)(1 << next_random(&random) % 8);
		struct str row = line_of(&r, "{\"bundle\"", 0);

		/* The row of the run is for people, and proves nothing; the
		 * case of a hash's letters is none of its bits. */
		if (at < row.n ||
		    (bit == 0x20 && strchr("abcdefABCDEF", r.text.p[at])))
			continue;
		r.text.p[at] = (char)(r.text.p[at] ^ bit);
		pack(&r, buf_str(&r.text));
		r.text.p[at] = (char)(r.text.p[at] ^ bit);
		s = read_bundle(&r, &r.key, &b, &v, &e);
		if (s == NULL) {
			assert_true(e.text[0] != '\0');
			continue;
		}
		/* A policy, or a blob under another name, is left out. */
		if (v.fault == STORE_SOUND && b.sums.omitted == 0)
			fail_msg("byte %zu, bit %d", at, bit);
		dir_close(s);
	}
	end(&r);
}

static void
what_is_left_out_or_moved_is_found(void **state)
{
	static const struct {
		const char *line;
		int n;
		const char *with; /* NULL: the line is left out */
		const char *says; /* NULL: it is read, and is not sound */
		enum store_fault fault;
	} rows[] = {
		{ "{\"hash\"", 3, NULL, "and there are", 0 },
		{ "{\"proof\"", 0, "{\"proof\":[]}\n", NULL,
		    STORE_CHECKPOINT_MISMATCH },
		{ "{\"proof\"", 0, NULL, "it was cut", 0 },
		{ "{\"end\"", 0, NULL, "cut off", 0 },
		{ "{\"end\"", 0, "{\"end\":3}\n", "it was cut", 0 },
		{ "{\"end\"", 0, "{\"end\":57}\n{\"end\":58}\n", "line", 0 },
		{ "{\"end\"", 0, "{\"sum\":3}\n", "none of a bundle's", 0 },
		{ "{\"end\"", 0, "{\"hash\":\"\",\"record\":{}}\n",
		    "not in its place", 0 },
		{ "{\"bundle\"", 0, "{\"bundle\":2}\n", "of version 2", 0 },
		{ "{\"bundle\"", 0, "{}\n", "no bundle of a run", 0 },
		{ "{\"bundle\"", 0, "[1,\n", "line 1", 0 },
	};
	struct bundle_sums sums;
	struct rig r;

	(void)state;
	build(&r);
	write_bundle(&r, THE_RUN, &sums);
	unpack(&r);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *with = rows[i].with != NULL ? rows[i].with : "";
		struct store_verdict v;
		struct bundle b;
		struct err e = {};
		struct store *s;

		replace(&r, line_of(&r, rows[i].line, rows[i].n), with,
		    strlen(with));
		s = read_bundle(&r, NULL, &b, &v, &e);
		if (rows[i].says != NULL) {
			if (s != NULL || strstr(e.text, rows[i].says) == NULL)
				fail_msg("%zu: %s", i, e.text);
			continue;
		}
		assert_non_null(s);
		assert_int_equal(v.fault, rows[i].fault);
		dir_close(s);
	}
	end(&r);
}

/* Who has the log may leave a record out and prove the rest: then it is told
 * by run.closed. */
static void
a_run_without_one_of_its_records_is_not_whole(void **state)
{
	struct bundle_sums sums;
	struct store_verdict v;
	struct bundle b;
	struct store *s;
	struct rig r;
	struct err e = {};

	(void)state;
	build(&r);
	/* The last but one of its steps now belongs to the daemon. */
	dir_sql(&r.d,
	    "DROP TRIGGER event_update; UPDATE event SET run ="
	    " 'r-000000000000' WHERE run = (SELECT id FROM run ORDER BY id"
	    " LIMIT 1 OFFSET 2) AND step = 11");
	write_bundle(&r, THE_RUN, &sums);
	assert_int_equal(sums.records, 2 + 4 * (STEPS - 1));
	s = read_bundle(&r, &r.key, &b, &v, &e);
	assert_non_null(s);
	assert_int_equal(v.fault, STORE_TRUNCATED);
	assert_non_null(strstr(v.text, "the run had 49 records before it"));
	dir_close(s);
	end(&r);
}

static void
what_unpacks_without_end_is_refused(void **state)
{
	struct store_verdict v;
	struct bundle b;
	struct err e = {};
	struct rig r = { .packed.max = 64 << 20 };
	own_buf struct buf text = { .max = 64 << 20 };
	char *at = buf_reserve(&text, 33 << 20);

	(void)state;
	assert_non_null(at);
	memset(at, ' ', 33 << 20);
	pack(&r, (struct str){ at, 33 << 20 });
	assert_true(r.packed.n < 10000);
	assert_null(read_bundle(&r, NULL, &b, &v, &e));
	assert_non_null(strstr(e.text, "16 MiB that a line"));

	/* Short lines, without end: they are no bundle's from the first on. */
	memset(at, '\n', 33 << 20);
	pack(&r, (struct str){ at, 33 << 20 });
	assert_null(read_bundle(&r, NULL, &b, &v, &e));

	buf_reset(&r.packed);
	buf_add_c(&r.packed, "PK\x03\x04 no bundle");
	assert_null(read_bundle(&r, NULL, &b, &v, &e));
	assert_non_null(strstr(e.text, "no bundle"));
	buf_fini(&r.packed);
}

static void
every_length_of_a_cut_file_is_refused(void **state)
{
	struct bundle_sums sums;
	struct rig r;
	size_t n;

	(void)state;
	build(&r);
	write_bundle(&r, THE_RUN, &sums);
	n = r.packed.n;
	for (size_t cut = 0; cut < n; cut += cut < n - 40 ? 37 : 1) {
		struct store_verdict v;
		struct bundle b;
		struct err e = {};

		r.packed.n = cut;
		assert_null(read_bundle(&r, NULL, &b, &v, &e));
		assert_true(e.text[0] != '\0');
	}
	end(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_proves_itself_without_its_log),
		cmocka_unit_test(another_logs_key_is_seen),
		cmocka_unit_test(each_turned_bit_of_the_text_is_found),
		cmocka_unit_test(what_is_left_out_or_moved_is_found),
		cmocka_unit_test(a_run_without_one_of_its_records_is_not_whole),
		cmocka_unit_test(what_unpacks_without_end_is_refused),
		cmocka_unit_test(every_length_of_a_cut_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
