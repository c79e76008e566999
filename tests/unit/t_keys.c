/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */

#include <cmocka.h>

#include <inttypes.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "bundle_rig.h"
#include "store/keys.h"

static void
read_file(const struct store_dir *d, const char *name, struct buf *out)
{
	struct err e = {};
	char file[96];

	dir_file(d, name, file);
	out->max = 1 << 20;
	buf_reset(out);
	if (file_read(file, out, 1 << 20, &e) < 0)
		fail_msg("%s", e.text);
}

static void
write_file(const struct store_dir *d, const char *name, struct str text)
{
	struct err e = {};
	char file[96];

	dir_file(d, name, file);
	own_fd int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text.p, text.n, &e), 0);
}

static bool
is_there(const struct store_dir *d, const char *name)
{
	char file[96];

	dir_file(d, name, file);
	return access(file, F_OK) == 0;
}

static void
change(const struct store_dir *d, struct note_key *old, struct note_key *next)
{
	struct err e = {};
	struct store *s = store_open_bulk(d->path, &e);

	assert_non_null(s);
	if (store_change_key(s, d->path, old, next, &e) < 0)
		fail_msg("%s", e.text);
	dir_close(s);
}

/* A run of its own, so that there is something to sign. */
static void
more(const struct store_dir *d, uint64_t run)
{
	struct store *s = dir_open(d);
	struct store_run row = { .id = run,
		.status = STR("open"),
		.opened_ns = 1763689836000000000 };

	assert_int_equal(store_put_run(s, &row), 0);
	tell(s, run, 0, EVENT_RUN_OPENED, "");
	tell(s, run, 1, EVENT_RUN_CLOSED, "");
	dir_close(s);
}

static enum store_fault
verify_with(const struct store_dir *d, const struct store_trust *trust,
    struct store_verdict *v)
{
	struct err e = {};
	struct store *s = store_open_read(d->path, &e);

	if (s == NULL || store_verify(s, 0, trust, v, &e) < 0)
		fail_msg("%s", e.text);
	dir_close(s);
	return v->fault;
}

/* A log of three keys. */
static void
build_three(struct rig *r, struct note_key key[static 3])
{
	build(r);
	change(&r->d, &key[0], &key[1]);
	more(&r->d, 200);
	change(&r->d, &key[1], &key[2]);
	more(&r->d, 201);
}

static void
any_key_of_the_log_verifies_all_of_it(void **state)
{
	own_buf struct buf told = {};
	struct note_key key[3], other = {};
	struct bundle_sums sums;
	struct store_verdict v;
	struct rig r;

	(void)state;
	build_three(&r, key);
	read_file(&r.d, CHECKPOINTS_FILE, &told);
	other = key[1];
	other.key[3] ^= 1;
	for (int i = 0; i < 3; i++) {
		const struct store_trust trust = { &key[i], buf_str(&told),
			NULL };

		if (verify_with(&r.d, &trust, &v) != STORE_SOUND)
			fail_msg("key %d: %s", i, v.text);
		assert_int_equal(v.signed_size, v.records);
	}
	assert_int_equal(
	    verify_with(&r.d, &(struct store_trust){ .key = &other }, &v),
	    STORE_SIG_BAD);

	/* And a bundle, whose key is the last one. */
	write_bundle(&r, THE_RUN, &sums);
	assert_memory_equal(r.key.key, key[2].key, SIGN_KEY_BYTES);
	for (int i = 0; i < 4; i++) {
		own_fd int fd = memfd_create("bundle", MFD_CLOEXEC);
		struct bundle b;
		struct store *s;
		struct err e = {};

		assert_int_equal(
		    fd_write_all(fd, r.packed.p, r.packed.n, &e), 0);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		s = bundle_open(fd, i < 3 ? &key[i] : &other, &b, &v, &e);
		assert_non_null(s);
		assert_int_equal(v.fault, i < 3 ? STORE_SOUND : STORE_SIG_BAD);
		dir_close(s);
	}
	end(&r);
}

/* Each bit of the keys and the notes that tie them counts. */
static void
no_bit_of_a_change_may_turn(void **state)
{
	static const char *const columns[] = { "key", "note" };
	struct note_key key[3];
	struct store_verdict v;
	struct store_dir copy;
	struct rig r;
	uint64_t random = 3;

	(void)state;
	build_three(&r, key);
	dir_make(&copy);
	for (int i = 0; i < 120; i++) {
		char sql[256];
		const char *column = columns[i % 2];

		dir_copy(&r.d, &copy);
		/* Not by the case of a letter: hexadecimal has none. */
		(void)snprintf(sql, sizeof(sql),
		    "UPDATE next_key SET %s = CAST(substr(%s, 1, %d) || 'Q' ||"
		    " substr(%s, %d + 2) AS BLOB) WHERE size ="
		    " (SELECT size FROM next_key ORDER BY size LIMIT 1 OFFSET"
		    " %d)",
		    column, column, (int)(next_random(&random) % 80), column,
		    (int)(next_random(&random) % 80), i / 2 % 2);
		dir_sql(&copy, sql);
		assert_int_equal(verify_with(&copy, NULL, &v), STORE_SIG_BAD);
	}
	/* One change left out, and two in each other's place. */
	dir_copy(&r.d, &copy);
	dir_sql(&copy,
	    "DELETE FROM next_key WHERE size ="
	    " (SELECT min(size) FROM next_key)");
	assert_int_equal(verify_with(&copy, NULL, &v), STORE_SIG_BAD);
	dir_copy(&r.d, &copy);
	dir_sql(&copy, "DELETE FROM next_key");
	assert_int_equal(verify_with(&copy, NULL, &v), STORE_SIG_BAD);
	dir_remove(&copy);
	end(&r);
}

/* Who has an old secret cannot sign what came after it. */
static void
a_key_that_was_replaced_signs_nothing_more(void **state)
{
	own_buf struct buf secret = {}, note = {};
	uint8_t bytes[SIGN_KEY_BYTES];
	struct note_key old, next, parsed;
	struct store_verdict v;
	struct store_trust trust = {};
	struct hash root = { .b = { 1 } };
	struct rig r;
	struct err e = {};

	(void)state;
	build(&r);
	read_file(&r.d, LOG_KEY_FILE, &secret);
	change(&r.d, &old, &next);
	more(&r.d, 200);
	assert_int_equal(
	    note_secret_parse(buf_str(&secret), &parsed, bytes, &e), 0);
	note_write(&note, &parsed, bytes,
	    (uint64_t)dir_number(&r.d, "SELECT max(seq) FROM event"), &root);
	trust.witness = buf_str(&note);
	assert_int_equal(verify_with(&r.d, &trust, &v), STORE_SIG_BAD);

	/* Nor is it on the disk any more. */
	read_file(&r.d, LOG_KEY_FILE, &note);
	assert_int_equal(
	    note_secret_parse(buf_str(&note), &parsed, bytes, &e), 0);
	assert_memory_equal(parsed.key, next.key, SIGN_KEY_BYTES);
	assert_false(is_there(&r.d, NEXT_KEY_FILE));
	end(&r);
}

/* The files as they are when the power goes before and after the commit. */
static void
a_change_that_was_interrupted_is_settled(void **state)
{
	own_buf struct buf before = {}, after = {};
	struct note_key old, next;
	struct rig r;
	struct stat st;
	char file[96];

	(void)state;
	build(&r);
	read_file(&r.d, LOG_KEY_FILE, &before);

	/* The next key is there, or half of it, and the log has the old one. */
	write_file(&r.d, NEXT_KEY_FILE, STR("PRIVATE+KEY+padd"));
	more(&r.d, 200);
	assert_false(is_there(&r.d, NEXT_KEY_FILE));
	write_file(&r.d, NEXT_KEY_FILE, buf_str(&before));
	more(&r.d, 201);
	assert_false(is_there(&r.d, NEXT_KEY_FILE));

	/* The log has the new one, and the file its old name. */
	change(&r.d, &old, &next);
	read_file(&r.d, LOG_KEY_FILE, &after);
	write_file(&r.d, LOG_KEY_FILE, buf_str(&before));
	write_file(&r.d, NEXT_KEY_FILE, buf_str(&after));
	more(&r.d, 202);
	assert_false(is_there(&r.d, NEXT_KEY_FILE));
	dir_file(&r.d, LOG_KEY_FILE, file);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(dir_verify(&r.d).fault, STORE_SOUND);
	end(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_key_of_the_log_verifies_all_of_it),
		cmocka_unit_test(no_bit_of_a_change_may_turn),
		cmocka_unit_test(a_key_that_was_replaced_signs_nothing_more),
		cmocka_unit_test(a_change_that_was_interrupted_is_settled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
