/*
 * core/id.h: names of runs, approvals and drafts.
 *
 * A name is a kind's letter, a dash and 12 characters of lower-case Crockford
 * base 32 that hold 60 random bits: "r-7k3m9q2v5w1x". Inside, the number.
 */
#ifndef CORE_ID_H
#define CORE_ID_H

#include <stdint.h>

#include "base/str.h"

enum { ID_BYTES = 16 }; /* "r-" + 12 + NUL, and one spare */

/* Writes kind ('r', 'a', 'd') and the number's low 60 bits. */
void id_text(char kind, uint64_t id, char out[static ID_BYTES]);
/* 0, or -1 when s is not a name of this kind. */
int id_parse(char kind, struct str s, uint64_t *out);

#endif
