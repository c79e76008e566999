/*
 * The first byte is the size of the pieces and which thing is planted; the rest
 * is a stream, which it is planted behind.
 *
 * Holds: the same is found whole or cut; what is planted on a line of its own
 * is found, whatever is before it; and nothing of the stream stays behind.
 */
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "core/patterns.h"

static const struct {
	const char *text;
	enum pattern pattern;
} things[] = {
	{ "AKIAQ7Q7Q7Q7Q7Q7Q7Q7", PATTERN_AWS_KEY },
	{ "4111 1111 1111 1111", PATTERN_CARD },
	{ "ghp_aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3", PATTERN_GITHUB_TOKEN },
	{ "DE89370400440532013000", PATTERN_IBAN },
	{ "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjMifQ.c2lnbmF0dXJlIG9m",
	    PATTERN_JWT },
	{ "sk-Ab1Ab1Ab1Ab1Ab1Ab1Ab1", PATTERN_OPENAI_KEY },
	{ "-----BEGIN PRIVATE KEY-----", PATTERN_PRIVATE_KEY },
	{ "xoxb-123456789012-abcdefghij", PATTERN_SLACK_TOKEN },
};

static uint32_t
look(struct str in, size_t step)
{
	struct patterns p = {};
	static const struct patterns none;
	uint32_t found = 0;

	for (size_t at = 0; at < in.n; at += step) {
		struct str piece = { in.p + at, in.n - at };

		if (piece.n > step)
			piece.n = step;
		found |= patterns_feed(&p, piece);
	}
	found |= patterns_end(&p);
	must(memcmp(&p, &none, sizeof(p)) == 0);
	return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t step, n, at;
	uint32_t found;
	char *text;

	if (size < 1)
		return 0;
	step = 1U + (data[0] >> 3);
	at = data[0] & 7;
	n = strlen(things[at].text);
	text = malloc(size + 2 + n);
	must(text != NULL);
	memcpy(text, data + 1, size - 1);
	memcpy(text + size - 1, "\n\n", 2); /* one may end an escape */
	memcpy(text + size + 1, things[at].text, n);
	found = look((struct str){ text, size + 1 + n }, SIZE_MAX / 2);
	must(found == look((struct str){ text, size + 1 + n }, step));
	must((found >> things[at].pattern & 1) != 0);
	free(text);
	return 0;
}
