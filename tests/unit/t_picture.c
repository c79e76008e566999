#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/picture.h"

#define PNG "\x89PNG\r\n\x1a\n"
#define IHDR "\0\0\0\x0dIHDR"

static void
a_picture_is_what_it_is_said_to_be_or_none(void **state)
{
	static const struct {
		const char *why;
		struct str bytes;
		const char *type;
		int status;
		uint32_t width, height;
	} rows[] = {
		{ "a PNG has its size",
		    STR(PNG IHDR "\0\0\x05\0\0\0\x02\xd0\x08\x02"), "image/png",
		    0, 1280, 720 },
		{ "the shortest head", STR(PNG IHDR "\0\0\0\1\0\0\0\1"),
		    "image/png", 0, 1, 1 },
		{ "one byte is missing", STR(PNG IHDR "\0\0\0\1\0\0\0"),
		    "image/png", -1, 0, 0 },
		{ "nothing", STR(""), "image/png", -1, 0, 0 },
		{ "no width", STR(PNG IHDR "\0\0\0\0\0\0\0\1"), "image/png", -1,
		    0, 0 },
		{ "a height that PNG does not have",
		    STR(PNG IHDR "\0\0\0\1\x80\0\0\0"), "image/png", -1, 0, 0 },
		{ "another chunk first",
		    STR(PNG "\0\0\0\x0dtEXt\0\0\0\1\0\0\0\1"), "image/png", -1,
		    0, 0 },
		{ "a text", STR("<svg xmlns='http://www.w3.org/2000/svg'/>"),
		    "image/png", -1, 0, 0 },
		{ "a JPEG has no size here", STR("\xff\xd8\xff\xe0"),
		    "image/jpeg", 0, 0, 0 },
		{ "half a marker", STR("\xff\xd8"), "image/jpeg", -1, 0, 0 },
		{ "a PNG as a JPEG", STR(PNG IHDR "\0\0\0\1\0\0\0\1"),
		    "image/jpeg", -1, 0, 0 },
		{ "another type", STR("RIFF\0\0\0\0WEBP"), "image/webp", -1, 0,
		    0 },
		{ "no type", STR(PNG IHDR "\0\0\0\1\0\0\0\1"), "", -1, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct picture p = { 7, 7 };
		struct err e = {};

		if (picture_read(rows[i].bytes, str_of(rows[i].type), &p, &e) !=
		    rows[i].status)
			fail_msg("%s: %s", rows[i].why, e.text);
		assert_true((e.text[0] != '\0') == (rows[i].status < 0));
		if (rows[i].status < 0)
			continue;
		assert_int_equal(p.width, rows[i].width);
		assert_int_equal(p.height, rows[i].height);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_picture_is_what_it_is_said_to_be_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
