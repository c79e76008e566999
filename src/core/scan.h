/*
 * core/scan.h: finds given words in a stream, however they are written.
 *
 * Pure: no clock, no I/O, no allocation: the caller gives the memory, which
 * holds the words in another form afterwards and is the caller's to lock and
 * to wipe. An automaton (Aho and Corasick, 1975) per reading of the stream
 * goes over the bytes once, so that the cost does not grow with the words:
 *
 *     as it is         the word, and the word backwards
 *     %XX decoded      RFC 3986; any of its characters may be encoded
 *     JSON unescaped   \" \\ \/ \b \f \n \r \t \uXXXX
 *     lower case       the word in hexadecimal digits
 *     base64           both alphabets, at each of the three alignments, over
 *                      what is %XX decoded; a few line ends and backslashes
 *                      (JSON's "\/") between the characters do not hide it
 *
 * The bytes may come cut anywhere: what is found is the same.
 */
#ifndef CORE_SCAN_H
#define CORE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum scan_form {
	SCAN_PLAIN = 1,
	SCAN_REVERSED = 2,
	SCAN_URL = 4,
	SCAN_JSON = 8,
	SCAN_HEX = 16,
	SCAN_BASE64 = 32,
	SCAN_ALL = 63,
};

struct scan_word {
	struct str text; /* SCAN_MIN_WORD_BYTES to SCAN_MAX_WORD_BYTES */
	unsigned forms; /* which of enum scan_form to look for */
};

struct scan_hit {
	uint32_t word; /* index */
	enum scan_form form;
	uint32_t shift; /* SCAN_BASE64: bytes of others before it, mod 3 */
	uint64_t from, to; /* bytes of the stream, to is behind the last */
};

struct scan;

/* Bytes of memory that scan_new wants for these words. */
size_t scan_need(const struct scan_word *words, size_t n);
/*
 * mem is aligned to 16, zeroed and of scan_need bytes. NULL when there are too
 * many words, or one of them is too short or too long.
 */
struct scan *scan_new(void *mem, const struct scan_word *words, size_t n);

/* Called once per hit, in the order of their ends. */
struct scan_sink {
	void (*hit)(void *arg, const struct scan_hit *hit);
	void *arg;
};

void scan_feed(struct scan *s, struct str bytes, const struct scan_sink *sink);
/* The stream is over: what waited for more is read as it is. */
void scan_end(struct scan *s, const struct scan_sink *sink);
/* No later hit starts before this byte of the stream. */
uint64_t scan_safe(const struct scan *s);
/* Ready for another stream with the same words. */
void scan_reset(struct scan *s);

/*
 * Characters of base64 that text alone decides when shift bytes of others are
 * before it, and the i-th of them. All else is shared with its neighbours.
 */
size_t scan_base64_chars(size_t text_bytes, uint32_t shift);
char scan_base64_char(struct str text, uint32_t shift, size_t i);

#endif
