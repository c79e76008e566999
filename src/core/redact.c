/*
 * Hides parts of a value before it is stored. A path is a row of steps, and a
 * set of places in that row (one bit each) is carried down the tape: no
 * recursion, one pass per path. What a path meets becomes a text in a copy of
 * the tape; the nodes below it stay there, skipped over.
 */
#include "core/policy.h"

#include <string.h>

#include "base/limits.h"
#include "base/must.h"

enum step_kind {
	STEP_MEMBER, /* .name */
	STEP_EACH, /* [*] */
	STEP_ANYWHERE, /* ..name */
};

struct step {
	enum step_kind kind;
	struct str name;
};

struct path {
	uint32_t n;
	struct step step[REDACT_STEPS_MAX];
};

/* A container that the walk is in. */
struct level {
	const struct json *v;
	uint32_t end; /* the node behind it */
	uint32_t places; /* bit i: the first i steps led here */
};

static int path_parse(struct str s, struct path *out);
static void hide(struct json *tape, const struct path *path);
static uint32_t places_below(
    const struct path *path, uint32_t places, const struct json *key);

void
redact_write(struct buf *out, const struct json *v, const struct str *paths,
    uint32_t n_paths)
{
	own_buf struct buf copy = { .max = SIZE_MAX / 4 };
	size_t bytes = (size_t)v->skip * sizeof(*v);
	struct path path;
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
		if (path_parse(paths[i], &path) < 0)
			path.n = 0;
		hide(tape, &path);
	}
	json_write(out, tape);
}

bool
redact_path_ok(struct str s)
{
	struct path path;

	return path_parse(s, &path) == 0;
}

static int
path_parse(struct str s, struct path *out)
{
	size_t at = 1;

	out->n = 0;
	if (s.n == 0 || s.p[0] != '$')
		return -1;
	while (at < s.n) {
		struct step *step = &out->step[out->n];
		size_t from;

		if (out->n == REDACT_STEPS_MAX)
			return -1;
		if (s.n - at >= 3 && memcmp(s.p + at, "[*]", 3) == 0) {
			*step = (struct step){ .kind = STEP_EACH };
			out->n++;
			at += 3;
			continue;
		}
		if (s.p[at] != '.')
			return -1;
		step->kind = STEP_MEMBER;
		at++;
		if (at < s.n && s.p[at] == '.') {
			step->kind = STEP_ANYWHERE;
			at++;
		}
		from = at;
		while (at < s.n && strchr(".[]*$\"'", s.p[at]) == NULL)
			at++;
		if (at == from)
			return -1;
		step->name = (struct str){ s.p + from, at - from };
		out->n++;
	}
	return 0;
}

/* Replaces in tape what the path leads to. */
static void
hide(struct json *tape, const struct path *path)
{
	const uint32_t whole = UINT32_C(1) << path->n;
	struct level stack[JSON_MAX_DEPTH];
	uint32_t depth = 0, at = 0, places = 1;

	for (;;) {
		struct json *v = &tape[at];
		uint32_t end = at + v->skip;

		if (places & whole) {
			v->type = JSON_STRING;
			v->str = "[redacted]";
			v->n = sizeof("[redacted]") - 1;
		}
		at = end;
		if (places != 0 && v->n > 0 &&
		    (v->type == JSON_ARRAY || v->type == JSON_OBJECT)) {
			must(depth < JSON_MAX_DEPTH); /* the parser saw to it */
			stack[depth++] = (struct level){ v, end, places };
			at = (uint32_t)(v - tape) + 1;
		}
		/* Below depth all have been filled. */
		/* cppcheck-suppress uninitvar */
		while (depth > 0 && at == stack[depth - 1].end)
			depth--;
		if (depth == 0)
			return;
		if (stack[depth - 1].v->type == JSON_OBJECT) {
			places = places_below(
			    path, stack[depth - 1].places, &tape[at]);
			at++; /* from the key to its value */
		} else {
			places =
			    places_below(path, stack[depth - 1].places, NULL);
		}
	}
}

/* The places of a member's value (or of an element: key is NULL). */
static uint32_t
places_below(const struct path *path, uint32_t places, const struct json *key)
{
	uint32_t below = 0;

	/* path->n is within the array; gcc with sanitizers is told so. */
	for (uint32_t i = 0; i < path->n && i < REDACT_STEPS_MAX; i++) {
		const struct step *step = &path->step[i];
		bool meets = key != NULL && str_eq(json_str(key), step->name);

		if (!(places & UINT32_C(1) << i))
			continue;
		if (step->kind == STEP_ANYWHERE)
			below |= UINT32_C(1) << i;
		if (meets || step->kind == STEP_EACH)
			below |= UINT32_C(1) << (i + 1);
	}
	return below;
}
