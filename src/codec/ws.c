#include "codec/ws.h"

enum { RESERVED = 0x70, MASKED = 0x80, LENGTH = 0x7f };

static uint32_t head_bytes(const struct ws *w);
static uint64_t payload_bytes(const struct ws *w);

ssize_t
ws_take(struct ws *w, struct str *bytes, char *out, size_t cap)
{
	size_t n = 0;

	while (bytes->n > 0 && n < cap) {
		uint8_t c = (uint8_t)bytes->p[0];

		if (w->left > 0) {
			const uint8_t *mask = w->head + w->n_head - 4;

			if ((w->head[1] & MASKED) != 0)
				c ^= mask[w->at++ & 3];
			out[n++] = (char)c;
			if (--w->left == 0)
				w->n_head = 0;
		} else {
			w->head[w->n_head++] = c;
			if (w->n_head == 1 && (c & RESERVED) != 0)
				return -1;
			if (w->n_head >= 2 && w->n_head == head_bytes(w)) {
				w->left = payload_bytes(w);
				w->at = 0;
				if (w->left == 0)
					w->n_head = 0;
			}
		}
		bytes->p++;
		bytes->n--;
	}
	return (ssize_t)n;
}

/* Behind the second byte. */
static uint32_t
head_bytes(const struct ws *w)
{
	uint8_t length = w->head[1] & LENGTH;

	return 2 +
	    (length == 126	    ? 2U
		    : length == 127 ? 8U
				    : 0U) +
	    ((w->head[1] & MASKED) != 0 ? 4U : 0U);
}

static uint64_t
payload_bytes(const struct ws *w)
{
	uint8_t length = w->head[1] & LENGTH;
	uint32_t n = length == 126 ? 2 : length == 127 ? 8 : 0;
	uint64_t out = 0;

	if (n == 0)
		return length;
	for (uint32_t i = 0; i < n; i++)
		out = out << 8 | w->head[2 + i];
	return out;
}
