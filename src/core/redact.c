/*
 * Hides parts of a value before it is stored. What a path meets becomes a text
 * in a copy of the tape; the nodes below it stay there, skipped over.
 */
#include "core/policy.h"

#include <string.h>

#include "core/json_path.h"

static void hide(void *arg, const struct json *at);

void
redact_write(struct buf *out, const struct json *v, const struct str *paths,
    uint32_t n_paths)
{
	own_buf struct buf copy = { .max = SIZE_MAX / 4 };
	size_t bytes = (size_t)v->skip * sizeof(*v);
	struct json_path path;
	struct json *tape;

	if (n_paths == 0) {
		json_write(out, v);
		return;
	}
	tape = (void *)buf_reserve(&copy, bytes);
	if (tape == NULL) {
		out->failed = true;
		return;
	}
	memcpy(tape, v, bytes);
	for (uint32_t i = 0; i < n_paths; i++) {
		/* An unknown path: better too little shown than too much. */
		if (json_path_parse(paths[i], &path) < 0)
			path.n = 0;
		json_path_each(tape, &path, hide, tape);
	}
	json_write(out, tape);
}

bool
redact_path_ok(struct str s)
{
	struct json_path path;

	return json_path_parse(s, &path) == 0;
}

/* The tape is ours: at lies in it. */
static void
hide(void *arg, const struct json *at)
{
	struct json *tape = arg;
	struct json *v = &tape[at - tape];

	v->type = JSON_STRING;
	v->str = "[redacted]";
	v->n = sizeof("[redacted]") - 1;
}
