/*
 * A JSON parser as a process, for tests in other languages.
 *
 * Standard input and output are frames (frames.h). A request is a document;
 * limits are the default ones but for the depth, members and bytes on the
 * command line, if there are any. The answer is 'a' and the canonical form,
 * or 'r' and the error's text.
 */
#include "base/must.h"
#include "codec/json.h"
#include "frames.h"

static uint32_t limit_arg(const char *text);
static void answer(struct str document, const struct json_limits *limits);

int
main(int argc, char **argv)
{
	own_buf struct buf in = {};
	struct json_limits limits = json_default_limits;

	if (argc == 4) {
		limits.max_depth = limit_arg(argv[1]);
		limits.max_members = limit_arg(argv[2]);
		limits.max_bytes = limit_arg(argv[3]);
	}
	while (frame_read(&in))
		answer(buf_str(&in), &limits);
	return 0;
}

static uint32_t
limit_arg(const char *text)
{
	uint64_t v;

	must(str_to_u64(str_of(text), &v) == 0 && v <= UINT32_MAX);
	return (uint32_t)v;
}

static void
answer(struct str document, const struct json_limits *limits)
{
	own_arena struct arena a = { .max_bytes = 64 * 1024 * 1024 };
	own_buf struct buf out = {};
	struct err e = {};
	const struct json *v = json_parse(document, limits, &a, &e, NULL);

	if (v != NULL) {
		buf_add_c(&out, "a");
		json_write(&out, v);
	} else {
		buf_add_c(&out, "r");
		buf_add_c(&out, e.text);
	}
	frame_write(&out);
}
