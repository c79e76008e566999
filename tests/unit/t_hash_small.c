/* What hashes without OpenSSL being linked says what OpenSSL says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "supervisor/digest.h"

static void fill(uint8_t *p, size_t n);

static void
pieces_hash_as_the_whole_does(void **state)
{
	static uint8_t bytes[400];

	(void)state;
	fill(bytes, sizeof(bytes));
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		const struct str pieces[] = {
			{ (char *)bytes, n / 3 },
			{ "", 0 },
			{ (char *)bytes + n / 3, n - n / 3 },
		};
		uint8_t want[HASH_BYTES];
		struct hash h = hash_of(bytes, n);

		assert_non_null(SHA256(bytes, n, want));
		assert_memory_equal(h.b, want, HASH_BYTES);
		h = hash_of_pieces(pieces, 3);
		assert_memory_equal(h.b, want, HASH_BYTES);
	}
}

static void
hashes_are_equal_when_every_bit_is(void **state)
{
	struct hash a = hash_of("a", 1), b = a;

	(void)state;
	assert_true(hash_eq(&a, &b));
	for (int bit = 0; bit < 8 * HASH_BYTES; bit++) {
		b = a;
		b.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(hash_eq(&a, &b));
	}
}

static void
large_and_small_files_hash_alike(void **state)
{
	const size_t n = 1 << 20;
	uint8_t *bytes = malloc(n + 1);

	(void)state;
	assert_non_null(bytes);
	fill(bytes, n + 1);
	for (size_t k = n - 1; k <= n + 1; k++) {
		uint8_t want[HASH_BYTES];
		struct hash h = digest_of(bytes, k);

		assert_non_null(SHA256(bytes, k, want));
		assert_memory_equal(h.b, want, HASH_BYTES);
		h = hash_of(bytes, k);
		assert_memory_equal(h.b, want, HASH_BYTES);
	}
	free(bytes);
}

static void
fill(uint8_t *p, size_t n)
{
	uint32_t random = 1;

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)((random = random * 1103515245 + 12345) >> 16);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_hash_as_the_whole_does),
		cmocka_unit_test(hashes_are_equal_when_every_bit_is),
		cmocka_unit_test(large_and_small_files_hash_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
