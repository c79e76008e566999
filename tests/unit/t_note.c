/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */

#include <cmocka.h>

#include <string.h>

#include "codec/base64.h"
#include "codec/note.h"

/* The example of signed notes in Go's golang.org/x/mod/sumdb/note. */
#define PUBLIC \
	"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define PRIVATE                              \
	"PRIVATE+KEY+PeterNeumann+c74f20a3+" \
	"AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"

static void
keys_and_signatures_are_those_of_others(void **state)
{
	static const struct str text =
	    STR("If you think cryptography is the answer to your problem,\n"
		"then you don't know what your problem is.\n");
	own_buf struct buf out = {}, signature = {};
	uint8_t secret[SIGN_KEY_BYTES], own[SIGN_BYTES];
	struct note_key k, both;
	struct err e;

	(void)state;
	assert_int_equal(note_key_parse(STR(PUBLIC "\n"), &k, &e), 0);
	assert_string_equal(k.name, "PeterNeumann");
	assert_int_equal(note_secret_parse(STR(PRIVATE), &both, secret, &e), 0);
	assert_memory_equal(k.key, both.key, sizeof(k.key));
	note_key_write(&out, &both);
	assert_string_equal(buf_c(&out), PUBLIC);
	buf_reset(&out);
	note_secret_write(&out, &both, secret);
	assert_string_equal(buf_c(&out), PRIVATE);

	assert_int_equal(
	    base64_decode(&signature,
		STR("x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2"
		    "pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="),
		BASE64_STANDARD, &e),
	    0);
	sign_make(secret, text, own);
	assert_memory_equal(own, signature.p + 4, SIGN_BYTES);
	assert_true(sign_check(k.key, text, own));
	own[SIGN_BYTES / 2] ^= 1;
	assert_false(sign_check(k.key, text, own));
}

static void
what_is_no_key_is_refused(void **state)
{
	static const char *const texts[] = { "", "PeterNeumann",
		"PeterNeumann+c74f20a3", "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiB",
		"Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/"
		"LDE4izWy10TW",
		/* another id, another kind, another length */
		"PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/"
		"LDE4izWy10TW",
		"PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/"
		"LDE4izWy10TW",
		"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/"
		"LDE4izWy",
		PRIVATE };
	struct note_key k;
	uint8_t secret[SIGN_KEY_BYTES];
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		e.text[0] = '\0';
		assert_int_equal(note_key_parse(str_of(texts[i]), &k, &e), -1);
		assert_true(e.text[0] != '\0');
	}
	assert_int_equal(note_secret_parse(STR(PUBLIC), &k, secret, &e), -1);
}

static void
a_checkpoint_is_read_back_and_holds_for_its_key_alone(void **state)
{
	own_buf struct buf out = {};
	uint8_t secret[SIGN_KEY_BYTES];
	struct hash root = hash_of("abc", 3);
	struct note_key k, other;
	struct note n;
	struct err e;
	size_t first;

	(void)state;
	assert_int_equal(note_secret_parse(STR(PRIVATE), &k, secret, &e), 0);
	note_write(&out, &k, secret, 17, &root);
	first = out.n;
	note_write(&out, &k, secret, 18, &root);
	assert_true(str_starts(buf_str(&out),
	    STR("PeterNeumann\n17\n"
		"ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\n\n"
		"\xe2\x80\x94 PeterNeumann x08go")));
	assert_int_equal(note_parse(buf_str(&out), &k, &n, &e), first);
	assert_int_equal(n.size, 17);
	assert_true(hash_eq(&n.root, &root));
	assert_int_equal(
	    note_parse(
		(struct str){ out.p + first, out.n - first }, &k, &n, &e),
	    out.n - first);
	assert_int_equal(n.size, 18);
	assert_int_equal(note_parse(STR("\n\n"), &k, &n, &e), 0);

	other = k;
	other.key[3] ^= 1;
	assert_int_equal(note_parse(buf_str(&out), &other, &n, &e), -1);
	other = k;
	other.name[0] = 'Q';
	assert_int_equal(note_parse(buf_str(&out), &other, &n, &e), -1);
}

/* Whatever bit is turned: no checkpoint, or none of this key. */
static void
each_turned_bit_of_a_checkpoint_is_seen(void **state)
{
	own_buf struct buf out = {};
	uint8_t secret[SIGN_KEY_BYTES];
	struct hash root = hash_of("abc", 3);
	struct note_key k;
	struct note n;
	struct err e;

	(void)state;
	assert_int_equal(note_secret_parse(STR(PRIVATE), &k, secret, &e), 0);
	note_write(&out, &k, secret, 1234567, &root);
	for (size_t i = 0; i < 8 * out.n; i++) {
		out.p[i / 8] = (char)(out.p[i / 8] ^ 1 << i % 8);
		assert_true(note_parse(buf_str(&out), &k, &n, &e) < 0);
		out.p[i / 8] = (char)(out.p[i / 8] ^ 1 << i % 8);
	}
	for (size_t i = 1; i < out.n; i++)
		assert_true(
		    note_parse((struct str){ out.p, i }, &k, &n, &e) < 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_and_signatures_are_those_of_others),
		cmocka_unit_test(what_is_no_key_is_refused),
		cmocka_unit_test(
		    a_checkpoint_is_read_back_and_holds_for_its_key_alone),
		cmocka_unit_test(each_turned_bit_of_a_checkpoint_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
