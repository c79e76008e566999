/*
 * A JSON parser as a process, for tests in other languages.
 *
 * Standard input and output are frames: a length of four bytes, little endian,
 * and so many bytes. A request is a document; limits are the default ones but
 * for the depth, members and bytes on the command line, if there are any. The
 * answer is 'a' and the canonical form, or 'r' and the error's text.
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "codec/json.h"

static uint32_t limit_arg(const char *text);
static bool read_frame(struct buf *in);
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
	while (read_frame(&in))
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

static bool
read_frame(struct buf *in)
{
	uint32_t n;
	char *p;

	if (fread(&n, 1, sizeof(n), stdin) != sizeof(n))
		return false;
	n = le32toh(n);
	buf_reset(in);
	p = buf_reserve(in, n);
	must(p != NULL && fread(p, 1, n, stdin) == n);
	in->n = n;
	return true;
}

static void
answer(struct str document, const struct json_limits *limits)
{
	own_arena struct arena a = { .max_bytes = 64 * 1024 * 1024 };
	own_buf struct buf out = {};
	struct err e = {};
	const struct json *v = json_parse(document, limits, &a, &e, NULL);
	uint32_t n;

	if (v != NULL) {
		buf_add_c(&out, "a");
		json_write(&out, v);
	} else {
		buf_add_c(&out, "r");
		buf_add_c(&out, e.text);
	}
	must(!out.failed);
	n = htole32((uint32_t)out.n);
	must(fwrite(&n, 1, sizeof(n), stdout) == sizeof(n));
	must(fwrite(out.p, 1, out.n, stdout) == out.n);
	must(fflush(stdout) == 0);
}
