/*
 * cli/learn_args.h: a schema for the arguments that a tool was called with.
 *
 * The members that were there, those that always were, and of what kind each
 * was: numbers between the least and the most that was seen, texts no longer
 * than the longest, or one of a few where the same ones came again and again.
 */
#ifndef CLI_LEARN_ARGS_H
#define CLI_LEARN_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "codec/json.h"

enum { LEARN_MEMBERS_MAX = 64, LEARN_WORDS_MAX = 4 };

struct learn_member {
	struct str name;
	uint32_t n; /* calls that had it */
	uint32_t types; /* a bit for each enum json_type */
	double least, most;
	bool whole; /* all numbers were */
	size_t longest; /* text, in characters at most */
	uint32_t n_words; /* over LEARN_WORDS_MAX: too many */
	struct str words[LEARN_WORDS_MAX];
};

/* All zeros: of no call yet. */
struct learn_args {
	uint32_t n; /* calls */
	bool any; /* nothing can be said: they are not kept, or too many */
	uint32_t n_members;
	struct learn_member member[LEARN_MEMBERS_MAX];
};

/* One call more; NULL: its arguments are not known. Texts are copied to a. */
void learn_args_add(
    struct learn_args *l, struct arena *a, const struct json *args);
/* Appends the schema; false when there is none. */
bool learn_args_write(struct buf *out, const struct learn_args *l);

#endif
