/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <string.h>

#include "core/patterns.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define A16 "Q7Q7Q7Q7Q7Q7Q7Q7"
#define A36 "aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3"
#define JWT                                                             \
	"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl" \
	"IG9mIGl0"

static uint32_t
look(struct str in, size_t step)
{
	struct patterns p = {};
	static const struct patterns none;
	uint32_t found = 0;

	for (size_t at = 0; at < in.n; at += step) {
		struct str piece = { in.p + at, in.n - at };

		if (piece.n > step)
			piece.n = step;
		found |= patterns_feed(&p, piece);
	}
	found |= patterns_end(&p);
	assert_memory_equal(&p, &none, sizeof(p)); /* nothing is kept */
	return found;
}

static void
assert_found(const char *text, uint32_t want)
{
	for (size_t step = 1; step <= strlen(text); step++) {
		uint32_t got = look(str_of(text), step);

		if (got != want)
			fail_msg("%s in pieces of %zu: %x", text, step, got);
	}
}

static void
each_pattern_is_found_however_the_stream_is_cut(void **state)
{
	static const struct {
		const char *in;
		enum pattern want;
	} rows[] = {
		{ "AKIA" A16, PATTERN_AWS_KEY },
		{ "id=ASIA" A16 "&x=1", PATTERN_AWS_KEY },
		{ "id%3DAKIA" A16 "%26x", PATTERN_AWS_KEY },
		{ "{\"a\":\"x\\nAKIA" A16 "\\n\"}", PATTERN_AWS_KEY },
		{ "\\u000aAKIA" A16, PATTERN_AWS_KEY },
		{ "4111111111111111", PATTERN_CARD },
		{ "pay 4111 1111 1111 1111 123", PATTERN_CARD },
		{ "n=4111+1111+1111+1111&", PATTERN_CARD },
		{ "4111%201111%201111%201111", PATTERN_CARD },
		{ "at 12 5555-5555-5555-4444.", PATTERN_CARD },
		{ "3782 822463 10005", PATTERN_CARD },
		{ "378282246310005", PATTERN_CARD },
		{ "6011111111111117,", PATTERN_CARD },
		{ "3530111333300000", PATTERN_CARD },
		{ "30569309025904", PATTERN_CARD },
		{ "4222222222222", PATTERN_CARD },
		{ "ghp_" A36, PATTERN_GITHUB_TOKEN },
		{ "github_pat_" A36 "_abc", PATTERN_GITHUB_TOKEN },
		{ "GB82WEST12345698765432", PATTERN_IBAN },
		{ "to DE89 3704 0044 0532 0130 00 please", PATTERN_IBAN },
		{ "PL FR14 2004 1010 0505 0001 3M02 606", PATTERN_IBAN },
		{ "MT84MALT011000012345MTLCAST001S", PATTERN_IBAN },
		{ "NO9386011117947", PATTERN_IBAN },
		{ "Bearer " JWT, PATTERN_JWT },
		{ "ee.eyJ.eyJ." JWT ".x", PATTERN_JWT },
		{ "sk-proj-Ab1_" A36, PATTERN_OPENAI_KEY },
		{ "-----BEGIN PRIVATE KEY-----", PATTERN_PRIVATE_KEY },
		{ "-------BEGIN EC PRIVATE KEY-----", PATTERN_PRIVATE_KEY },
		{ "-----BEGIN+OPENSSH+PRIVATE+KEY-----", PATTERN_PRIVATE_KEY },
		{ "---BEGIN -----BEGIN PGP PRIVATE KEY BLOCK-----",
		    PATTERN_PRIVATE_KEY },
		{ "xoxb-123456789012-abcdefghij", PATTERN_SLACK_TOKEN },
		{ "%xapp-1-A0123456789-1234567890", PATTERN_SLACK_TOKEN },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_found(rows[i].in, 1U << rows[i].want);
	assert_found("AKIA" A16 " 4111111111111111 " JWT,
	    1U << PATTERN_AWS_KEY | 1U << PATTERN_CARD | 1U << PATTERN_JWT);
}

static void
what_only_resembles_one_is_not(void **state)
{
	static const char *const rows[] = {
		"",
		"%",
		"\\",
		"\\u00",
		"%4",
		"AKIA" A16 "Q",
		"AKIA" A16 "q",
		"AKIAQ7Q7Q7Q7Q7Q7Q7Q",
		("xAKIA" A16),
		"4111111111111112",
		"04111111111111111",
		"x4111111111111111",
		"4111111111111111x",
		"0.4111111111111111",
		"4111 11 11 1111 1111 11",
		"4111  1111 1111 1111",
		"1111111111111117",
		"41111111111111111111111111111111111111111111",
		"0000000000000000",
		"ghp_aB3aB3aB3aB3",
		"GB82WEST12345698765433",
		"GB82WEST1234569876543",
		"gb82west12345698765432",
		"XX82WEST12345698765432",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0",
		"eyJhbGciOiJIUzI1NiJ9.c2lnbmF0dXJlIG9mIGl0.c2lnbmF0dXJlIG9m",
		"risk-management-of-a-Very-Long-name-1",
		"sk-a-class-of-a-style-sheet",
		"-----BEGIN CERTIFICATE-----",
		"-----BEGIN PUBLIC KEY-----",
		"-----BEGIN of a text: PRIVATE KEY",
		"xoxb-short",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_found(rows[i], 0);
}

static void
one_stream_says_nothing_about_the_next(void **state)
{
	struct patterns p = {};

	(void)state;
	assert_int_equal(patterns_feed(&p, STR("4111 1111 ")), 0);
	assert_int_equal(patterns_end(&p), 0);
	assert_int_equal(patterns_feed(&p, STR("1111 1111 ")), 0);
	assert_int_equal(patterns_end(&p), 0);
}

static void
every_pattern_has_a_name(void **state)
{
	(void)state;
	for (enum pattern k = 0; k < PATTERNS; k++) {
		assert_non_null(pattern_name(k));
		for (enum pattern j = 0; j < k; j++)
			assert_string_not_equal(
			    pattern_name(j), pattern_name(k));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    each_pattern_is_found_however_the_stream_is_cut),
		cmocka_unit_test(what_only_resembles_one_is_not),
		cmocka_unit_test(one_stream_says_nothing_about_the_next),
		cmocka_unit_test(every_pattern_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
