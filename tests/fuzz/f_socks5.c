/*
 * What a SOCKS5 client says: bit 0 of the first byte chooses whether it is a
 * greeting or a request.
 *
 * Holds: with any number of the bytes there the answer is "more", or the one
 * that all of them give; no more is taken than was there; and a host is text
 * that nobody could read as something else.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "codec/socks5.h"

struct said {
	ssize_t used;
	int ok;
	enum socks5_reply why;
	struct socks5_request request;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of just these bytes, so that reading past them is seen. */
static struct said
hear(bool greeting, const uint8_t *p, size_t n)
{
	struct said s = {};
	uint8_t *copy = malloc(n > 0 ? n : 1);

	must(copy != NULL);
	if (n > 0)
		memcpy(copy, p, n);
	if (greeting)
		s.used = socks5_greeting(copy, n, &s.ok);
	else
		s.used = socks5_request(copy, n, &s.request, &s.why);
	free(copy);
	must(s.used >= -1 && s.used <= (ssize_t)n);
	return s;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct said all;
	bool greeting;

	if (size < 1 || size > 2 * SOCKS5_REQUEST_MAX)
		return 0;
	greeting = (*data++ & 1) != 0;
	size--;
	all = hear(greeting, data, size);
	for (size_t n = 0; n < size; n++) {
		struct said some = hear(greeting, data, n);

		if (some.used == 0)
			continue;
		must(some.used == all.used && some.ok == all.ok);
		must(some.why == all.why);
		must(strcmp(some.request.host, all.request.host) == 0 ||
		    all.used < 0);
		must(some.request.port == all.request.port || all.used < 0);
	}
	if (size >= SOCKS5_REQUEST_MAX)
		must(all.used != 0);
	if (!greeting && all.used > 0) {
		must(all.request.host[0] != '\0' && all.request.port != 0);
		must(strpbrk(all.request.host, " /@\\\"%\r\n\t") == NULL);
	}
	return 0;
}
