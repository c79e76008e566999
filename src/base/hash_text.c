#include "base/hash.h"

void
hash_hex(const struct hash *h, char out[static HASH_HEX_BYTES])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < HASH_BYTES; i++) {
		out[2 * i] = digits[h->b[i] >> 4];
		out[2 * i + 1] = digits[h->b[i] & 15];
	}
	out[2 * HASH_BYTES] = '\0';
}

int
hash_from_hex(struct str hex, struct hash *out)
{
	if (hex.n != 2 * HASH_BYTES)
		return -1;
	for (int i = 0; i < HASH_BYTES; i++) {
		int hi = str_hex_digit(hex.p[2 * i]),
		    lo = str_hex_digit(hex.p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -1;
		out->b[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}
