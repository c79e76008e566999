#include "core/id.h"

enum { DIGITS = 12, BITS = 5 };

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

void
id_text(char kind, uint64_t id, char out[static ID_BYTES])
{
	out[0] = kind;
	out[1] = '-';
	for (int i = DIGITS - 1; i >= 0; i--) {
		out[2 + i] = alphabet[id & 31];
		id >>= BITS;
	}
	out[2 + DIGITS] = '\0';
}

int
id_parse(char kind, struct str s, uint64_t *out)
{
	uint64_t id = 0;

	if (s.n != 2 + DIGITS || s.p[0] != kind || s.p[1] != '-')
		return -1;
	for (int i = 0; i < DIGITS; i++) {
		size_t d = str_find(str_of(alphabet), s.p[2 + i]);

		if (d >= 32)
			return -1;
		id = id << BITS | d;
	}
	*out = id;
	return 0;
}
