/*
 * core/prov_text.h: texts as core/provenance.h compares them: letters of ASCII
 * in lower case, white space as one space, none at the ends.
 */
#ifndef CORE_PROV_TEXT_H
#define CORE_PROV_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

void prov_fold(struct buf *out, struct str text);
/*
 * Appends what text says once %XX, references of HTML or base64 in it are
 * resolved, folded. False, and nothing, when there is nothing of the kind.
 */
bool prov_decode(struct buf *out, struct str text);

/*
 * True when the folded text holds the folded value as words of its own: an
 * address is not found in a longer one. A value of numbers ("2026-05-01
 * 10:00") may have its parts in different places.
 */
bool prov_holds(struct str text, struct str value);

/*
 * The longest row of at least PROV_MIN_BYTES bytes that both have, 0 when
 * there is none; *at is its place in text. Ends early when *steps is used up.
 */
uint32_t prov_longest(
    struct str text, struct str value, uint32_t *at, uint64_t *steps);

#endif
