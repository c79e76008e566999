/*
 * codec/base64.h: RFC 4648, strictly.
 *
 * One text for each sequence of bytes: no white space, no other alphabet, no
 * missing or extra padding, and unused bits are 0.
 */
#ifndef CODEC_BASE64_H
#define CODEC_BASE64_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum base64_kind {
	BASE64_STANDARD, /* section 4: '+' and '/', padded with '=' */
	BASE64_URL, /* section 5: '-' and '_', not padded, as in RFC 7515 */
};

/* Appends bytes as text. b->failed tells of memory. */
void base64_encode(struct buf *b, struct str bytes, enum base64_kind kind);

/*
 * Appends the bytes that text stands for. Returns 0, or -1 with nothing
 * appended: e says which character (from 1) is wrong.
 */
int base64_decode(
    struct buf *b, struct str text, enum base64_kind kind, struct err *e);

#endif
