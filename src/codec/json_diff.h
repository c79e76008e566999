/*
 * codec/json_diff.h: where two JSON values differ.
 *
 * Pure. Places are told in the order of RFC 8785, the outermost that tells all:
 * a member that only one has is one place, however large it is.
 */
#ifndef CODEC_JSON_DIFF_H
#define CODEC_JSON_DIFF_H

#include "codec/json.h"

/*
 * Calls on() with the path of each difference ("$.items[2].price") and the two
 * values, NULL for the one that is not there, until it returns false. a and b
 * may be NULL. Returns how many were told.
 */
uint32_t json_diff(const struct json *a, const struct json *b,
    bool (*on)(
	void *arg, struct str path, const struct json *a, const struct json *b),
    void *arg);

#endif
