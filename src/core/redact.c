/*
 * Hides parts of a value before it is stored. What a path meets becomes a text
 * in a copy of the tape; the nodes below it stay there, skipped over.
 */
#include "core/policy.h"

#include <string.h>

#include "core/json_path.h"

/* In place of where a node stood in its text: nobody asks for that again. */
#define IS_KEY UINT32_MAX

static void hide(void *arg, const struct json *at);
static void hide_all(struct json *tape);

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

void
redact_form(struct buf *out, const struct json *v)
{
	own_buf struct buf copy = { .max = SIZE_MAX / 4 };
	struct json *tape =
	    (void *)buf_reserve(&copy, (size_t)v->skip * sizeof(*v));

	if (tape == NULL) {
		out->failed = true;
		return;
	}
	memcpy(tape, v, (size_t)v->skip * sizeof(*v));
	hide_all(tape);
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

static void
hide_all(struct json *tape)
{
	const uint32_t n = tape->skip;

	for (uint32_t i = 0; i < n; i++) {
		if (tape[i].type != JSON_OBJECT)
			continue;
		for (const struct json *k = json_first(&tape[i]); k != NULL;
		     k = json_next(&tape[i], k))
			tape[k - tape].at = IS_KEY;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (tape[i].type == JSON_NUMBER ||
		    (tape[i].type == JSON_STRING && tape[i].at != IS_KEY))
			hide(tape, &tape[i]);
	}
}
