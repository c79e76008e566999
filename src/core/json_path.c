/*
 * A path is a row of steps, and a set of places in that row (one bit each) is
 * carried down the tape: no recursion, one pass per path.
 */
#include "core/json_path.h"

#include <string.h>

#include "base/must.h"

/* A container that the walk is in. */
struct level {
	const struct json *v;
	uint32_t end; /* the node behind it */
	uint32_t places; /* bit i: the first i steps led here */
};

static uint32_t places_below(
    const struct json_path *path, uint32_t places, const struct json *key);

int
json_path_parse(struct str s, struct json_path *out)
{
	size_t at = 1;

	out->n = 0;
	if (s.n == 0 || s.p[0] != '$')
		return -1;
	while (at < s.n) {
		struct json_step *step = &out->step[out->n];
		size_t from;

		if (out->n == REDACT_STEPS_MAX)
			return -1;
		if (s.n - at >= 3 && memcmp(s.p + at, "[*]", 3) == 0) {
			*step = (struct json_step){ .kind = JSON_STEP_EACH };
			out->n++;
			at += 3;
			continue;
		}
		if (s.p[at] != '.')
			return -1;
		step->kind = JSON_STEP_MEMBER;
		at++;
		if (at < s.n && s.p[at] == '.') {
			step->kind = JSON_STEP_ANYWHERE;
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

void
json_path_each(const struct json *tape, const struct json_path *path,
    void (*on)(void *arg, const struct json *at), void *arg)
{
	const uint32_t whole = UINT32_C(1) << path->n;
	struct level stack[JSON_MAX_DEPTH];
	uint32_t depth = 0, at = 0, places = 1;

	for (;;) {
		const struct json *v = &tape[at];
		uint32_t end = at + v->skip;

		if (places & whole)
			on(arg, v);
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
places_below(
    const struct json_path *path, uint32_t places, const struct json *key)
{
	uint32_t below = 0;

	/* path->n is within the array; gcc with sanitizers is told so. */
	for (uint32_t i = 0; i < path->n && i < REDACT_STEPS_MAX; i++) {
		const struct json_step *step = &path->step[i];
		bool meets = key != NULL && str_eq(json_str(key), step->name);

		if (!(places & UINT32_C(1) << i))
			continue;
		if (step->kind == JSON_STEP_ANYWHERE)
			below |= UINT32_C(1) << i;
		if (meets || step->kind == JSON_STEP_EACH)
			below |= UINT32_C(1) << (i + 1);
	}
	return below;
}
