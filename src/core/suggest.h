/*
 * core/suggest.h: "did you mean", the known name nearest to a wrong one.
 *
 *     struct suggest s = suggest_for(word);
 *     for each known name:
 *             suggest_try(&s, name);
 *     if (s.best.n > 0) ...
 */
#ifndef CORE_SUGGEST_H
#define CORE_SUGGEST_H

#include <stdint.h>

#include "base/str.h"

struct suggest {
	struct str word;
	struct str best; /* "" as long as no name is near */
	uint32_t distance; /* of best; at first one more than is allowed */
};

struct suggest suggest_for(struct str word);
/* Takes name if it is nearer than what was tried before. */
void suggest_try(struct suggest *s, struct str name);

#endif
