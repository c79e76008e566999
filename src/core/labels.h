/*
 * core/labels.h: where a run's data came from: a set that only grows.
 *
 * Every tool result is untrusted ("untrusted:<tool>") unless the policy says
 * otherwise; policies add more ("pii"). Pure, fixed storage.
 */
#ifndef CORE_LABELS_H
#define CORE_LABELS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"

enum { LABEL_BYTES = 64 }; /* with the NUL: "untrusted:" and a tool's name */

struct labels {
	uint32_t n;
	/* More labels than LABELS_MAX, or one too long, were added: then every
	 * pattern matches, because unknown means no. */
	bool overflowed;
	char text[LABELS_MAX][LABEL_BYTES]; /* sorted */
};

void labels_add(struct labels *l, struct str label);
/* True when some label matches the glob ("untrusted:*"). */
bool labels_match(const struct labels *l, struct str pattern);
/* Appends a JSON array of strings, sorted; "*" is first when overflowed. */
void labels_write(struct buf *out, const struct labels *l);

#endif
