/*
 * codec/json_number.h: one number, from text to double. The way back is
 * json_put_num in codec/json.h; the two are each other's reverse.
 */
#ifndef CODEC_JSON_NUMBER_H
#define CODEC_JSON_NUMBER_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

/*
 * Reads the number that text starts with, which may go on behind it. *len
 * becomes its bytes and *out the nearest double. Returns 0; or -1 with the
 * reason in e and *len the byte at fault.
 */
int json_number(struct str text, size_t *len, double *out, struct err *e);

#endif
