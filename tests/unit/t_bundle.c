/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */

#include <cmocka.h>

#include "bundle_rig.h"

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
		/* No content goes unseen; a policy is none of the record. */
		if (v.fault == STORE_SOUND)
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

/* Though the number of lines is made to fit. */
static void
content_that_is_left_out_or_changes_places_is_named(void **state)
{
	struct bundle_sums sums;
	struct rig r;

	(void)state;
	build(&r);
	write_bundle(&r, THE_RUN, &sums);
	unpack(&r);
	assert_true(sums.blobs >= 5 && sums.omitted == 0);
	for (int n = 0; n < (int)sums.blobs; n++) {
		struct str line = line_of(&r, "{\"blob\"", n);
		struct str end = line_of(&r, "{\"end\"", 0);
		own_buf struct buf text = { .max = 1 << 23 }, h = {};
		struct store_verdict v;
		struct bundle b;
		struct err e = {};
		struct store *s;
		uint64_t lines = 0, first = 0;
		size_t digits;

		digits = str_find((struct str){ end.p + 7, end.n - 7 }, ',');
		assert_int_equal(
		    str_to_u64((struct str){ end.p + 7, digits }, &lines), 0);
		buf_add(&text, r.text.p, (size_t)(line.p - r.text.p));
		buf_add(
		    &text, line.p + line.n, (size_t)(end.p - line.p) - line.n);
		buf_printf(
		    &text, "{\"end\":%" PRIu64 ",\"omitted\":0}\n", lines - 1);
		pack(&r, buf_str(&text));
		s = read_bundle(&r, &r.key, &b, &v, &e);
		if (s == NULL)
			fail_msg("%s", e.text);
		assert_int_equal(v.fault, STORE_BLOB_MISMATCH);
		/* The first record that names it. */
		buf_add(&h, line.p + line.n - 67, 64);
		for (int k = 0; first == 0; k++) {
			struct str rec = line_of(&r, "{\"hash\"", k);
			const char *seq = memmem(rec.p, rec.n, "\"seq\":", 6);

			if (memmem(rec.p, rec.n, h.p, 64) != NULL)
				first = strtoull(seq + 6, NULL, 10);
		}
		assert_int_equal(v.seq, first);
		dir_close(s);
	}
	/* One in another's place. */
	{
		struct str a = line_of(&r, "{\"blob\"", 0);
		struct str z = line_of(&r, "{\"blob\"", 1);
		own_buf struct buf mixed = {};
		struct store_verdict v;
		struct bundle b;
		struct err e = {};
		struct store *s;

		/* The bytes of one under the hash of the other. */
		buf_add(&mixed, z.p, z.n - 67);
		buf_add(&mixed, a.p + a.n - 67, 67);
		replace(&r, a, mixed.p, mixed.n);
		s = read_bundle(&r, &r.key, &b, &v, &e);
		assert_non_null(s);
		assert_int_equal(v.fault, STORE_BLOB_MISMATCH);
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
		cmocka_unit_test(
		    content_that_is_left_out_or_changes_places_is_named),
		cmocka_unit_test(a_run_without_one_of_its_records_is_not_whole),
		cmocka_unit_test(what_unpacks_without_end_is_refused),
		cmocka_unit_test(every_length_of_a_cut_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
