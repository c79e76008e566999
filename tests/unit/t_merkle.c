/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */

#include <cmocka.h>

#include <string.h>

#include "core/merkle.h"

enum { MOST = 130 };

static struct hash
leaf_of(const void *p, size_t n)
{
	const struct str pieces[] = { { "", 1 }, { p, n } };

	return hash_of_pieces(pieces, 2);
}

/* The leaf of the i-th record of a log that holds numbers. */
static struct hash
leaf(uint64_t i)
{
	struct hash record = hash_of(&i, sizeof(i));

	return merkle_leaf(&record);
}

/* RFC 6962, section 2.1, word for word. */
static struct hash
by_the_book(uint64_t from, uint64_t n)
{
	static const char mark = 0x01;
	uint64_t k = 1;
	struct hash left, right;
	struct str pieces[3] = { { &mark, 1 } };

	if (n == 1)
		return leaf(from);
	while (2 * k < n)
		k *= 2;
	left = by_the_book(from, k);
	right = by_the_book(from + k, n - k);
	pieces[1] = (struct str){ (const char *)left.b, HASH_BYTES };
	pieces[2] = (struct str){ (const char *)right.b, HASH_BYTES };
	return hash_of_pieces(pieces, 3);
}

static void
the_roots_are_those_of_certificate_transparency(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *root;
	} rows[] = {
		{ "", 0,
		    "6e340b9cffb37a989ca544e6bb780a2c"
		    "78901d3fb33738768511a30617afa01d" },
		{ "\x00", 1,
		    "fac54203e7cc696cf0dfcb42c92a1d9d"
		    "baf70ad9e621f4bd8d98662f00e3c125" },
		{ "\x10", 1,
		    "aeb6bcfe274b70a14fb067a5e5578264"
		    "db0fa9b51af5e0ba159158f329e06e77" },
		{ "\x20\x21", 2,
		    "d37ee418976dd95753c1c73862b9398f"
		    "a2a2cf9b4ff0fdfe8b30cd95209614b7" },
		{ "\x30\x31", 2,
		    "4e3bbb1f7b478dcfe71fb631631519a3"
		    "bca12c9aefca1612bfce4c13a86264d4" },
		{ "\x40\x41\x42\x43", 4,
		    "76e67dadbcdf1e10e1b74ddc608abd2f"
		    "98dfb16fbce75277b5232a127f2087ef" },
		{ "\x50\x51\x52\x53\x54\x55\x56\x57", 8,
		    "ddb89be403809e325750d3d263cd7892"
		    "9c2942b7942a34b77e122c9594a74c8c" },
		{ "\x60\x61\x62\x63\x64\x65\x66\x67"
		  "\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
		    16,
		    "5dc9da79a70659a9ad559cb701ded9a2"
		    "ab9d823aad2f4960cfe370eff4604328" },
	};
	struct merkle m = {};
	struct hash root = merkle_root(&m);
	char hex[HASH_HEX_BYTES];

	(void)state;
	hash_hex(&root, hex);
	assert_string_equal(hex,
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hash h = leaf_of(rows[i].bytes, rows[i].n);

		merkle_add(&m, &h);
		root = merkle_root(&m);
		hash_hex(&root, hex);
		assert_string_equal(hex, rows[i].root);
	}
}

static void
each_root_is_as_the_book_has_it(void **state)
{
	struct merkle m = {};

	(void)state;
	for (uint64_t n = 1; n <= MOST; n++) {
		struct hash h = leaf(n - 1), book = by_the_book(0, n);

		merkle_add(&m, &h);
		h = merkle_root(&m);
		assert_true(hash_eq(&h, &book));
	}
}

/* in: which leaves are shown. Makes a proof and checks it with `change`. */
static bool
prove(uint64_t size, const bool *in, uint64_t change)
{
	struct merkle_proof make, check;
	struct hash root = by_the_book(0, size), given[MOST];
	size_t n = 0, used = 0;

	merkle_proof_init(&make, size);
	merkle_proof_init(&check, size);
	for (uint64_t i = 0; i <= size; i++) {
		uint64_t part;
		struct hash h;

		if (i < size && !in[i])
			continue;
		while ((part = merkle_proof_gap(&make, i)) > 0) {
			given[n] = by_the_book(make.next, part);
			merkle_proof_part(&make, part, &given[n++]);
		}
		if (i == size)
			break;
		h = leaf(i);
		merkle_proof_leaf(&make, &h);
	}
	assert_true(merkle_proof_end(&make, &root));
	for (uint64_t i = 0; i <= size; i++) {
		uint64_t part;
		struct hash h;

		if (i < size && !in[i])
			continue;
		while ((part = merkle_proof_gap(&check, i)) > 0)
			merkle_proof_part(&check, part, &given[used++]);
		if (i == size)
			break;
		h = leaf(i == change ? i + 1 : i);
		merkle_proof_leaf(&check, &h);
	}
	assert_true(used == n);
	return merkle_proof_end(&check, &root);
}

static void
any_leaves_can_be_shown_and_no_others(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (uint64_t size = 1; size <= MOST; size++) {
		bool in[MOST] = {};
		uint64_t some = 0;

		for (uint64_t i = 0; i < size; i++) {
			random = random * 6364136223846793005 + 1;
			in[i] = random >> 61 < size % 8;
			some = in[i] ? i : some;
		}
		in[some] = true;
		assert_true(prove(size, in, UINT64_MAX));
		assert_false(prove(size, in, some));
	}
}

static void
a_proof_that_is_too_long_or_too_short_is_none(void **state)
{
	struct merkle_proof p;
	struct hash root = by_the_book(0, 5), h = by_the_book(0, 4),
		    l = leaf(4);

	(void)state;
	merkle_proof_init(&p, 5);
	assert_int_equal(merkle_proof_gap(&p, 5), 4);
	assert_int_equal(merkle_proof_gap(&p, 3), 2);
	merkle_proof_part(&p, 4, &h);
	assert_false(merkle_proof_end(&p, &root));
	merkle_proof_leaf(&p, &l);
	assert_true(merkle_proof_end(&p, &root));
	assert_int_equal(merkle_proof_gap(&p, 9), 0);
	merkle_proof_leaf(&p, &l);
	assert_false(merkle_proof_end(&p, &root));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    the_roots_are_those_of_certificate_transparency),
		cmocka_unit_test(each_root_is_as_the_book_has_it),
		cmocka_unit_test(any_leaves_can_be_shown_and_no_others),
		cmocka_unit_test(a_proof_that_is_too_long_or_too_short_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
