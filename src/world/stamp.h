/*
 * world/stamp.h: moments as "2026-03-02T09:00:00Z" (RFC 3339, UTC, whole
 * seconds), which sort as text. Pure.
 */
#ifndef WORLD_STAMP_H
#define WORLD_STAMP_H

#include <stdint.h>

#include "base/str.h"

enum { STAMP_BYTES = 21 /* with the NUL */ };

/* Seconds since 1970. Years 1970 to 9999. Returns 0, or -1. */
int stamp_parse(struct str text, int64_t *out_s);
/* Moments outside those years become the nearest one inside. */
void stamp_text(int64_t s, char out[static STAMP_BYTES]);

#endif
