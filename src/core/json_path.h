/*
 * core/json_path.h: paths into a value, as policies write them: "$.a.b",
 * "$.a[*].b" for each element or member, "$..b" for every member of that name
 * at any depth.
 */
#ifndef CORE_JSON_PATH_H
#define CORE_JSON_PATH_H

#include <stdint.h>

#include "base/limits.h"
#include "base/str.h"
#include "codec/json.h"

enum json_step_kind {
	JSON_STEP_MEMBER, /* .name */
	JSON_STEP_EACH, /* [*] */
	JSON_STEP_ANYWHERE, /* ..name */
};

struct json_step {
	enum json_step_kind kind;
	struct str name;
};

struct json_path {
	uint32_t n; /* 0: the whole value */
	struct json_step step[REDACT_STEPS_MAX];
};

/* 0, or -1 when s is none. Its names are borrowed from s. */
int json_path_parse(struct str s, struct json_path *out);

/*
 * Calls on for each value that the path leads to, in the order of the tape,
 * and not for what lies in a container that on has turned into a text.
 */
void json_path_each(const struct json *tape, const struct json_path *path,
    void (*on)(void *arg, const struct json *at), void *arg);

#endif
