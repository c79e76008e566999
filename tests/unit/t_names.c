/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proxy/names.h"

#define HOSTS "{\"hosts\":[\"api.example.com\",\"*.wild.example\"]}"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct names *names;

static int
start(void **state)
{
	(void)state;
	names = calloc(1, sizeof(*names));
	assert_non_null(names);
	names_init(names, STR(HOSTS));
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	names_fini(names);
	free(names);
	return 0;
}

static void
name_keeps_its_address_and_the_address_its_name(void **state)
{
	static const uint8_t first[4] = { 198, 18, 0, 1 };
	static const uint8_t second[4] = { 198, 18, 0, 2 };
	uint8_t a[4];

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
		    names_answer(names, "api.example.com", DNS_A, a),
		    DNS_ADDRESS);
		assert_memory_equal(a, first, 4);
		assert_int_equal(
		    names_answer(names, "x.wild.example", DNS_A, a),
		    DNS_ADDRESS);
		assert_memory_equal(a, second, 4);
	}
	assert_int_equal(names->n, 2);
	assert_string_equal(names_find(names, first), "api.example.com");
	assert_string_equal(names_find(names, second), "x.wild.example");
}

static void
name_that_no_pattern_covers_does_not_exist(void **state)
{
	static const char *const outside[] = { "", "example.com",
		"evil.api.example.com", "api.example.com.evil", "wild.example",
		"localhost", "api.example.co" };
	uint8_t a[4];

	(void)state;
	for (size_t i = 0; i < COUNT(outside); i++) {
		if (names_answer(names, outside[i], DNS_A, a) != DNS_NXDOMAIN)
			fail_msg("%s", outside[i]);
	}
	assert_int_equal(names->n, 0);
}

static void
other_types_of_a_name_are_empty_and_take_no_address(void **state)
{
	static const uint16_t types[] = { DNS_AAAA, 65 /* HTTPS */,
		64 /* SVCB */, 16 /* TXT */, 255 /* ANY */ };
	uint8_t a[4];

	(void)state;
	for (size_t i = 0; i < COUNT(types); i++)
		assert_int_equal(
		    names_answer(names, "api.example.com", types[i], a),
		    DNS_NODATA);
	assert_int_equal(names->n, 0);
}

static void
there_is_an_end_to_names_and_those_there_go_on(void **state)
{
	char name[64];
	uint8_t a[4];

	(void)state;
	for (int i = 0; i < EGRESS_NAMES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "n%d.wild.example", i);
		assert_int_equal(
		    names_answer(names, name, DNS_A, a), DNS_ADDRESS);
		assert_string_equal(names_find(names, a), name);
	}
	assert_int_equal(
	    names_answer(names, "more.wild.example", DNS_A, a), DNS_REFUSED);
	assert_int_equal(
	    names_answer(names, "n7.wild.example", DNS_A, a), DNS_ADDRESS);
	assert_string_equal(names_find(names, a), "n7.wild.example");
}

static void
address_that_was_not_given_has_no_name(void **state)
{
	static const uint8_t others[][4] = { { 198, 18, 0, 0 },
		{ 198, 18, 0, 2 }, { 198, 19, 255, 255 }, { 198, 19, 0, 1 },
		{ 198, 20, 0, 1 }, { 198, 17, 0, 1 }, { 127, 0, 0, 1 } };
	uint8_t a[4];

	(void)state;
	(void)names_answer(names, "api.example.com", DNS_A, a);
	for (size_t i = 0; i < COUNT(others); i++)
		assert_null(names_find(names, others[i]));
}

static void
payload_that_is_no_list_of_hosts_covers_nothing(void **state)
{
	static const struct str rows[] = { STR(""), STR("{}"), STR("[]"),
		STR("{\"hosts\":7}"), STR("{\"hosts\":[]}"),
		STR("{\"hosts\":[\"api.example.com\"]"),
		STR("{\"hosts\":[7,null]}") };
	uint8_t a[4];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		names_fini(names);
		names_init(names, rows[i]);
		assert_int_equal(
		    names_answer(names, "api.example.com", DNS_A, a),
		    DNS_NXDOMAIN);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    name_keeps_its_address_and_the_address_its_name, start,
		    stop),
		cmocka_unit_test_setup_teardown(
		    name_that_no_pattern_covers_does_not_exist, start, stop),
		cmocka_unit_test_setup_teardown(
		    other_types_of_a_name_are_empty_and_take_no_address, start,
		    stop),
		cmocka_unit_test_setup_teardown(
		    there_is_an_end_to_names_and_those_there_go_on, start,
		    stop),
		cmocka_unit_test_setup_teardown(
		    address_that_was_not_given_has_no_name, start, stop),
		cmocka_unit_test_setup_teardown(
		    payload_that_is_no_list_of_hosts_covers_nothing, start,
		    stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
