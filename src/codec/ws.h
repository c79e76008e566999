/*
 * codec/ws.h: what a WebSocket's client says, without frames and masks.
 *
 * RFC 6455 section 5.2. Of each frame the payload is given, unmasked; what the
 * frame is about does not matter to who searches it. Pure.
 */
#ifndef CODEC_WS_H
#define CODEC_WS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

/* All zero: between two frames. */
struct ws {
	uint8_t head[14];
	uint32_t n_head;
	uint64_t left; /* of the payload */
	uint64_t at; /* of the mask */
};

/*
 * Takes from the front of *bytes, and writes at most cap bytes of payload to
 * out. Returns how many, which may be 0; -1 when a frame uses what only an
 * extension explains, such as compression.
 */
ssize_t ws_take(struct ws *w, struct str *bytes, char *out, size_t cap);

#endif
