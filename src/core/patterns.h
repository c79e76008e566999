/*
 * core/patterns.h: what looks like a credential, or a number of an account.
 *
 * Pure: no clock, no I/O. Unlike core/leak.h it knows no values: it finds the
 * shape of a thing, and can be wrong, so that what it says is for a record and
 * never a reason to refuse. What has check digits is only found when they are
 * right: card numbers (Luhn, with the first digits and lengths that are given
 * out) and IBANs (modulo 97, with the length of their country).
 *
 * A stream may come cut anywhere, and costs the same few bytes however long it
 * is. %XX and JSON's escapes are read as what they stand for. A thing begins
 * where no letter or digit is before it.
 */
#ifndef CORE_PATTERNS_H
#define CORE_PATTERNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum pattern {
	PATTERN_AWS_KEY, /* the name of an access key */
	PATTERN_CARD, /* in one piece, or in the groups that cards show */
	PATTERN_GITHUB_TOKEN,
	PATTERN_IBAN, /* in capitals; in one piece, or in groups of four */
	PATTERN_JWT,
	PATTERN_OPENAI_KEY, /* "sk-", which others use, too */
	PATTERN_PRIVATE_KEY, /* the first line of its PEM block */
	PATTERN_SLACK_TOKEN,
	PATTERNS,
};

enum {
	PATTERN_TOKENS_MAX = 20, /* prefixes that are looked for */
	PATTERN_GROUPS_BYTES = 34, /* the longest IBAN */
};

/* All zero: before the first byte. Wiped by patterns_end. */
struct patterns {
	uint32_t found; /* since the last answer */
	uint32_t live; /* tokens that have begun; a bit each */
	uint16_t at[PATTERN_TOKENS_MAX]; /* bytes of each */
	uint8_t seen[PATTERN_TOKENS_MAX]; /* kinds of characters in each */
	/* Groups of capitals and digits with one character between them. */
	uint64_t starts; /* of groups; a bit each */
	uint8_t n_group;
	char group[PATTERN_GROUPS_BYTES];
	bool skips; /* to the end of the word: it cannot be in a group */
	bool joined; /* the next word belongs to the groups before it */
	bool in_word; /* the byte before is a letter or digit */
	uint8_t jwt_part; /* 0: none has begun */
	uint8_t jwt_at;
	uint8_t block_at; /* in "-----BEGIN " */
	uint8_t label_at; /* in "PRIVATE KEY" */
	uint8_t n_label;
	uint8_t n_held; /* of an escape */
	char held[6];
};

/* The patterns that ended within these bytes: a bit for each. */
uint32_t patterns_feed(struct patterns *p, struct str bytes);
/* Those that the end completes; then another stream begins. */
uint32_t patterns_end(struct patterns *p);

const char *pattern_name(enum pattern k); /* "aws_key" */

#endif
