#include "proxy/authority.h"

#include <string.h>

bool
authority_parse(struct str s, uint16_t port, char host[static AUTHORITY_BYTES],
    uint16_t *out_port)
{
	uint64_t number = port;
	size_t n = s.n;
	bool six = s.n > 0 && s.p[0] == '[';

	for (size_t i = s.n; i > 0 && s.p[i - 1] != ']'; i--) {
		if (s.p[i - 1] != ':')
			continue;
		n = i - 1;
		if (str_to_u64((struct str){ s.p + i, s.n - i }, &number) < 0)
			return false;
		break;
	}
	if (number == 0 || number > UINT16_MAX)
		return false;
	if (six) {
		if (n < 4 || s.p[n - 1] != ']')
			return false;
		s.p++;
		n -= 2;
	} else if (n > 1 && s.p[n - 1] == '.') {
		n--;
	}
	if (n == 0 || n >= AUTHORITY_BYTES)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = s.p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c + 32);
		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' &&
		    c != '.' && c != '_' && !(six && c == ':'))
			return false;
		host[i] = c;
	}
	memset(host + n, 0, AUTHORITY_BYTES - n);
	*out_port = (uint16_t)number;
	return true;
}
