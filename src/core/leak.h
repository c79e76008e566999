/*
 * core/leak.h: finds secrets in a stream without having their values.
 *
 * Pure: no clock, no I/O. Of each value there is a print: its length, two
 * numbers of 16 bits that a rolling hash gives for its first and last
 * LEAK_WINDOW bytes, and a keyed digest of the whole. Whoever has the prints
 * and the key learns 32 bits of a value, and can test a guess of the whole; a
 * value that was made by chance stays unknown to it. The reasons, and what else
 * was thought of, are in docs/decisions/012-leak-prints.md.
 *
 * A stream is read in every way at once (enum leak_form), and in each the last
 * bytes go through the rolling hash; where the small number fits, the digest of
 * as many bytes as the value has says whether it is the value. Forwards and
 * backwards cost the same. The bytes may come cut anywhere.
 *
 * A stream that is tracked knows also where a value began, and which of its
 * bytes may be the beginning of one that goes on: what core/hide.h needs.
 */
#ifndef CORE_LEAK_H
#define CORE_LEAK_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/str.h"

enum {
	LEAK_WINDOW = SCAN_MIN_WORD_BYTES,
	LEAK_STRETCH = 8, /* "\\u0041" has six bytes, "0x41, " too */
};

/* How it was written. */
enum leak_form {
	LEAK_PLAIN,
	LEAK_URL, /* some of it as %XX */
	LEAK_JSON, /* some of it as \" or \uXXXX */
	LEAK_HEX, /* either case; ':', ' ', '-', ',' and "\x" may be between */
	LEAK_BASE64, /* both alphabets, every alignment; also within LEAK_URL */
	LEAK_FORMS,
};

struct leak_key {
	struct hash secret;
	uint32_t table[256]; /* made of it */
};

struct leak_print {
	uint32_t bytes; /* of the value */
	uint16_t head; /* of its first bytes, the first as the last one */
	uint16_t tail;
	struct hash digest;
};

void leak_key_init(struct leak_key *k, const struct hash *secret);
/* value has SCAN_MIN_WORD_BYTES to SCAN_MAX_WORD_BYTES. */
void leak_print_of(
    const struct leak_key *k, struct str value, struct leak_print *out);

/* What is looked for: shared by all streams of a run, counted. */
struct leak_set;

/* NULL when memory is gone, or a print cannot be one. */
struct leak_set *leak_set_new(
    const struct hash *secret, const struct leak_print *prints, size_t n);
struct leak_set *leak_set_share(struct leak_set *s);
void leak_set_free(
    struct leak_set *s); /* the last one wipes; NULL is nothing */

/* One stream. */
struct leak_stream;

struct leak_hit {
	uint32_t print; /* index */
	enum leak_form form;
	bool reversed;
	uint64_t to; /* bytes of the stream, behind its last */
	/* Of a stream that is tracked: its first, and in base64 how many bytes
	 * of others are before it, mod 3. */
	uint64_t from;
	uint32_t bytes; /* of the value */
	uint32_t shift;
};

struct leak_stream *leak_stream_new(struct leak_set *s); /* NULL: no memory */
struct leak_stream *leak_stream_tracked(struct leak_set *s); /* likewise */
void leak_stream_free(struct leak_stream *l); /* wipes; NULL is nothing */
/* Another stream begins. */
void leak_stream_reset(struct leak_stream *l);
/* True, and the first hit, when a value has ended within these bytes. */
bool leak_stream_feed(
    struct leak_stream *l, struct str bytes, struct leak_hit *out);
/*
 * The same, and takes from the front of *bytes what has been read: all of them,
 * or up to a hit. When several end there, the hit of a stream that is tracked
 * is the one that began first.
 */
bool leak_stream_take(
    struct leak_stream *l, struct str *bytes, struct leak_hit *out);
/*
 * Of a stream that is tracked: no value that is still to end begins before
 * this byte, but where more than LEAK_STRETCH bytes stand for each of its own.
 * Between two line ends in a row nothing shorter than LEAK_WINDOW is waited
 * for: so does an event of a stream end that somebody waits for.
 */
uint64_t leak_stream_safe(const struct leak_stream *l);
/* The same for those of which LEAK_WINDOW bytes have come: chance looks so once
 * in 32768 bytes. */
uint64_t leak_stream_begun(const struct leak_stream *l);

const char *leak_form_name(enum leak_form f); /* "base64" */

#endif
