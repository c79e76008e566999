/*
 * codec/json_text.h: what the JSON parser and writer share about text.
 */
#ifndef CODEC_JSON_TEXT_H
#define CODEC_JSON_TEXT_H

#include <stddef.h>

#include "base/str.h"

/*
 * How many bytes at p stand for themselves in a JSON string: printable ASCII
 * but the quote and the backslash. Stops at the first other byte, or at n.
 */
size_t json_text_plain(const char *p, size_t n);

/*
 * Bytes of the character at p, 1 to 4; 0 when it is none: overlong, a
 * surrogate, above U+10FFFF or cut off. n is at least 1. Unicode table 3-7.
 */
size_t json_text_utf8(const char *p, size_t n);

/*
 * Compares UTF-8 texts by their UTF-16 code units, as RFC 8785 sorts: <0, 0,
 * >0.
 */
int json_text_cmp(struct str a, struct str b);

/* The value of the four hexadecimal digits at text.p + at, or -1. */
int json_text_hex4(struct str text, size_t at);

/*
 * Writes what raw stands for, a JSON string without its quotes whose escapes
 * are known to be good. dst has room for raw.n bytes. Returns those used.
 */
size_t json_text_unescape(char *dst, struct str raw);

#endif
