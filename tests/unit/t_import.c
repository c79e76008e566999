/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */

#include <cmocka.h>

#include "bundle_rig.h"
#include "codec/json.h"
#include "store/import.h"

/* One good run, as docs/TRACE.md has it. */
#define GOOD                                                                 \
	"{\"run\":\"case 7\",\"time\":1763689836000000,\"user\":\"pay it\"," \
	"\"workflow\":\"support\",\"calls\":[{\"name\":\"invoice.get\","     \
	"\"arguments\":{\"id\":\"in_1\"},\"result\":{\"open\":4900}},"       \
	"{\"name\":\"pay\",\"arguments\":{},\"error\":\"declined\","         \
	"\"time\":1763689837000000},{\"name\":\"ask\",\"arguments\":{}}]}\n"

/* What came in, 0 or -1 with e; nothing is committed after a failure. */
static int
import_bytes(const struct store_dir *d, struct str bytes, bool bundle,
    struct import *im, struct err *e)
{
	own_fd int fd = memfd_create("import", MFD_CLOEXEC);
	struct store *s = store_open_bulk(d->path, e);
	int rc;

	if (s == NULL)
		fail_msg("%s", e->text);
	*im = (struct import){ .store = s };
	assert_int_equal(fd_write_all(fd, bytes.p, bytes.n, e), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	rc = bundle ? import_bundle(im, fd, NULL, e)
		    : import_transcripts(im, fd, e);
	if (rc == 0)
		rc = store_commit(s, e);
	dir_close(s);
	return rc;
}

static int
import_text(const struct store_dir *d, const char *text, struct err *e)
{
	struct import im;

	return import_bytes(d, str_of(text), false, &im, e);
}

/* Each record of a run says that it is not this log's. */
static bool
check_mark(void *arg, const struct store_row *row)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *j = json_parse(row->body, NULL, &a, &e, NULL);

	if (j == NULL)
		fail_msg("%s", e.text);
	if (!json_is(json_at(j, "body", "imported", NULL), JSON_OBJECT))
		fail_msg("%.*s", STR_FMT(row->body));
	(*(int *)arg)++;
	return true;
}

static int
marked(const struct store_dir *d, uint64_t run)
{
	struct err e = {};
	struct store *s = store_open_read(d->path, &e);
	int n = 0;

	assert_non_null(s);
	assert_int_equal(store_events(s, run, 0, 0, check_mark, &n, &e), 0);
	dir_close(s);
	return n;
}

static void
a_transcript_becomes_a_run_that_says_whence(void **state)
{
	struct store_dir d;
	struct store_verdict v;
	struct import im;
	struct err e = {};

	(void)state;
	dir_make(&d);
	if (import_bytes(&d, STR(GOOD "\n" GOOD), false, &im, &e) == 0)
		fail_msg("the same run came in twice");
	assert_non_null(strstr(e.text, "line 3: it is here already"));
	assert_int_equal(dir_number(&d, "SELECT count(*) FROM event"), 0);
	assert_int_equal(dir_number(&d, "SELECT count(*) FROM blob"), 0);

	if (import_bytes(&d, STR(GOOD), false, &im, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(im.runs, 1);
	assert_int_equal(im.calls, 3);
	assert_int_equal(im.records, 3 + 2 * 3);
	assert_int_equal(marked(&d, im.last), 9);
	v = dir_verify(&d);
	if (v.fault != STORE_SOUND)
		fail_msg("%s", v.text);
	assert_int_equal(v.records, 9);
	assert_int_equal(v.signed_size, 9);
	assert_int_equal(dir_number(&d,
			     "SELECT count(*) FROM run WHERE mode = 'imported'"
			     " AND status = 'imported' AND closed > 0"
			     " AND workflow = 'support'"),
	    1);
	/* Nothing says that anything was decided here. */
	assert_int_equal(dir_number(&d,
			     "SELECT count(*) FROM event WHERE kind = 4"
			     " OR body LIKE '%\"verdict\"%'"),
	    0);
	assert_int_equal(import_text(&d, GOOD, &e), -1);
	assert_non_null(strstr(e.text, "it is here already, as run r-"));
	dir_remove(&d);
}

static void
a_daemon_goes_on_where_an_import_ended(void **state)
{
	struct store_dir d;
	struct store *s;
	struct err e = {};

	(void)state;
	dir_make(&d);
	s = dir_open(&d);
	tell(s, 7, 0, EVENT_RUN_OPENED, "");
	assert_null(store_open_bulk(d.path, &e));
	assert_non_null(strstr(e.text, "is in use by process"));
	dir_close(s);
	assert_int_equal(import_text(&d, GOOD, &e), 0);
	s = dir_open(&d);
	tell(s, 7, 1, EVENT_RUN_CLOSED, "");
	dir_close(s);
	assert_int_equal(dir_verify(&d).fault, STORE_SOUND);
	assert_int_equal(dir_verify(&d).records, 11);
	dir_remove(&d);
}

static void
a_bad_line_is_named_and_nothing_comes_in(void **state)
{
	static const struct {
		const char *line, *says;
	} rows[] = {
		{ "{", "line 2" },
		{ "[]", "a run must be an object" },
		{ "{\"run\":\"x\",\"time\":1}", "`calls` must be an array" },
		{ "{\"run\":\"\",\"time\":1,\"calls\":[]}", "`run` must be" },
		{ "{\"time\":1,\"calls\":[]}", "`run` must be" },
		{ "{\"run\":\"x\",\"calls\":[]}", "`time` must be" },
		{ "{\"run\":\"x\",\"time\":-1,\"calls\":[]}",
		    "`time` must be" },
		{ "{\"run\":\"x\",\"time\":1.5,\"calls\":[]}",
		    "`time` must be" },
		{ "{\"run\":\"x\",\"time\":1,\"calls\":[],\"verdict\":1}",
		    "`verdict` is no member of a run" },
		{ "{\"run\":\"x\",\"time\":1,\"user\":7,\"calls\":[]}",
		    "`user` must be a text" },
		{ "{\"run\":\"x\",\"time\":1,\"calls\":[7]}",
		    "call 1: a call must be an object" },
		{ "{\"run\":\"x\",\"time\":1,\"calls\":[{\"name\":\"a\","
		  "\"arguments\":{}},{\"name\":\"a\"}]}",
		    "call 2: `arguments` must be an object" },
		{ "{\"run\":\"x\",\"time\":1,\"calls\":[{\"arguments\":{}}]}",
		    "call 1: `name` must be" },
		{ "{\"run\":\"x\",\"time\":1,\"calls\":[{\"name\":\"a\","
		  "\"arguments\":{},\"rule\":\"x\"}]}",
		    "`rule` is no member of a call" },
		{ "{\"run\":\"x\",\"time\":1,\"calls\":[{\"name\":\"a\","
		  "\"arguments\":{},\"error\":{}}]}",
		    "`error` must be a text" },
		{ "{\"run\":\"x\",\"run\":\"y\",\"time\":1,\"calls\":[]}",
		    "line 2" },
	};
	struct store_dir d;

	(void)state;
	dir_make(&d);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf text = {};
		struct err e = {};

		buf_printf(&text, GOOD "%s", rows[i].line);
		assert_int_equal(import_text(&d, buf_c(&text), &e), -1);
		if (strstr(e.text, rows[i].says) == NULL ||
		    strstr(e.text, "line 2") == NULL)
			fail_msg("%zu: %s", i, e.text);
	}
	assert_int_equal(dir_number(&d,
			     "SELECT (SELECT count(*) FROM event)"
			     " + (SELECT count(*) FROM run)"
			     " + (SELECT count(*) FROM blob)"),
	    0);
	dir_remove(&d);
}

static void
a_line_without_an_end_is_refused_before_it_fills_memory(void **state)
{
	own_buf struct buf text = { .max = 64 << 20 };
	char *at = buf_reserve(&text, 48 << 20);
	struct store_dir d;
	struct import im;
	struct err e = {};

	(void)state;
	dir_make(&d);
	assert_non_null(at);
	memset(at, ' ', 48 << 20);
	assert_int_equal(
	    import_bytes(&d, (struct str){ at, 48 << 20 }, false, &im, &e), -1);
	assert_non_null(strstr(e.text, "line 1 is longer than the 4 MiB"));
	assert_int_equal(import_text(&d, "\n \n", &e), -1);
	assert_non_null(strstr(e.text, "it holds no run"));
	dir_remove(&d);
}

static void
a_bundle_becomes_a_run_with_its_proof_checked(void **state)
{
	struct bundle_sums sums;
	struct store_dir to, third;
	struct store_verdict v;
	struct import im, again;
	struct err e = {};
	struct rig r;

	(void)state;
	build(&r);
	dir_make(&to);
	dir_make(&third);
	write_bundle(&r, THE_RUN, &sums);
	if (import_bytes(&to, buf_str(&r.packed), true, &im, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(im.records, sums.records);
	assert_int_equal(im.calls, STEPS);
	assert_int_equal(marked(&to, im.last), (int)sums.records);
	v = dir_verify(&to);
	if (v.fault != STORE_SOUND)
		fail_msg("%" PRIu64 ": %s", v.seq, v.text);
	assert_int_equal(v.runs, 1);
	assert_int_equal(
	    import_bytes(&to, buf_str(&r.packed), true, &again, &e), -1);
	assert_non_null(strstr(e.text, "it is here already"));

	/* A run that is open there has an end here: nobody goes on with it. */
	write_bundle(&r, 100, &sums);
	assert_int_equal(
	    import_bytes(&to, buf_str(&r.packed), true, &again, &e), 0);
	assert_int_equal(
	    dir_number(&to, "SELECT count(*) FROM run WHERE closed = 0"), 0);
	assert_int_equal(dir_verify(&to).fault, STORE_SOUND);

	/* Its own bundle is not where it is from. */
	dir_remove(&r.d);
	r.d = to;
	write_bundle(&r, im.last, &sums);
	assert_int_equal(
	    import_bytes(&third, buf_str(&r.packed), true, &again, &e), -1);
	assert_non_null(strstr(e.text, "was imported where the bundle"));
	dir_remove(&third);
	end(&r);
}

/* The packed bytes still are those of the text. */
static bool
means_the_same(const struct rig *r)
{
	own_buf struct buf text = { .max = 1 << 23 };
	char *at = buf_reserve(&text, r->text.n + 1);
	size_t n;

	assert_non_null(at);
	n = ZSTD_decompress(at, r->text.n + 1, r->packed.p, r->packed.n);
	return !ZSTD_isError(n) && n == r->text.n &&
	    memcmp(at, r->text.p, n) == 0;
}

static void
nothing_of_a_bundle_that_is_not_sound_comes_in(void **state)
{
	struct bundle_sums sums;
	struct store_dir to;
	struct import im;
	struct rig r;
	uint64_t random = 11;
	size_t records = 0, same = 0;

	(void)state;
	build(&r);
	dir_make(&to);
	write_bundle(&r, THE_RUN, &sums);
	unpack(&r);

	/* Each record left out, doubled, and changed with the next one. */
	for (int i = 0; i < (int)sums.records; i++) {
		struct str line = line_of(&r, "{\"hash\"", i);
		own_buf struct buf twice = { .max = 1 << 20 };

		for (int how = 0; how < 3; how++) {
			struct str old = line;
			struct err e = {};

			buf_reset(&twice);
			if (how == 1) {
				buf_add_str(&twice, line);
				buf_add_str(&twice, line);
			} else if (how == 2) {
				struct str next;

				if (i + 1 == (int)sums.records)
					continue;
				next = line_of(&r, "{\"hash\"", i + 1);
				buf_add_str(&twice, next);
				buf_add_str(&twice, line);
				old.n += next.n;
			}
			replace(&r, old, twice.p, twice.n);
			assert_int_equal(import_bytes(&to, buf_str(&r.packed),
					     true, &im, &e),
			    -1);
			assert_true(e.text[0] != '\0');
			records++;
		}
	}
	assert_int_equal(records, 3 * sums.records - 1);

	/* Single bits of the file as it is, which zstd's checksum guards. A few
	 * mean nothing to zstd: what is read is the same then. */
	pack(&r, buf_str(&r.text));
	for (int i = 0; i < 100; i++) {
		size_t at = next_random(&random) % r.packed.n;
		char bit = (char)(1 << next_random(&random) % 8);
		struct err e = {};

		write_bundle(&r, THE_RUN, &sums);
		unpack(&r);
		at = at % r.packed.n;
		r.packed.p[at] = (char)(r.packed.p[at] ^ bit);
		if (means_the_same(&r)) {
			assert_true(++same < 10);
			continue;
		}
		if (import_bytes(&to, buf_str(&r.packed), true, &im, &e) == 0)
			fail_msg("byte %zu, bit %d", at, bit);
	}
	assert_int_equal(dir_number(&to,
			     "SELECT (SELECT count(*) FROM event)"
			     " + (SELECT count(*) FROM run)"
			     " + (SELECT count(*) FROM blob)"
			     " + (SELECT count(*) FROM policy)"),
	    0);
	dir_remove(&to);
	end(&r);
}

static void
a_row_that_says_another_than_the_records_is_refused(void **state)
{
	struct bundle_sums sums;
	struct store_dir to;
	struct import im;
	struct rig r;
	struct err e = {};
	own_buf struct buf head = { .max = 1 << 20 };
	struct str line, tenant;

	(void)state;
	build(&r);
	dir_make(&to);
	write_bundle(&r, THE_RUN, &sums);
	unpack(&r);
	line = line_of(&r, "{\"bundle\"", 0);
	buf_add_str(&head, line);
	tenant.p = strstr(buf_c(&head), "\"tenant\":\"acme\"");
	assert_non_null(tenant.p);
	replace(&r, (struct str){ line.p + (tenant.p - head.p) + 10, 4 },
	    "evil", 4);
	assert_int_equal(
	    import_bytes(&to, buf_str(&r.packed), true, &im, &e), -1);
	assert_non_null(strstr(e.text, "its tenant is not the one"));
	dir_remove(&to);
	end(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_transcript_becomes_a_run_that_says_whence),
		cmocka_unit_test(a_daemon_goes_on_where_an_import_ended),
		cmocka_unit_test(a_bad_line_is_named_and_nothing_comes_in),
		cmocka_unit_test(
		    a_line_without_an_end_is_refused_before_it_fills_memory),
		cmocka_unit_test(a_bundle_becomes_a_run_with_its_proof_checked),
		cmocka_unit_test(
		    nothing_of_a_bundle_that_is_not_sound_comes_in),
		cmocka_unit_test(
		    a_row_that_says_another_than_the_records_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
