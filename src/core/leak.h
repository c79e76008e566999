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
 */
#ifndef CORE_LEAK_H
#define CORE_LEAK_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/str.h"

enum { LEAK_WINDOW = SCAN_MIN_WORD_BYTES };

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
};

struct leak_stream *leak_stream_new(struct leak_set *s); /* NULL: no memory */
void leak_stream_free(struct leak_stream *l); /* wipes; NULL is nothing */
/* Another stream begins. */
void leak_stream_reset(struct leak_stream *l);
/* True, and the first hit, when a value has ended within these bytes. */
bool leak_stream_feed(
    struct leak_stream *l, struct str bytes, struct leak_hit *out);

const char *leak_form_name(enum leak_form f); /* "base64" */

#endif
