/*
 * world/result.h: the JSON that a tool answers, written member by member.
 *
 * The caller writes members in the order of their names, so that the result
 * is canonical (RFC 8785) as it stands. Commas come by themselves.
 */
#ifndef WORLD_RESULT_H
#define WORLD_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* key NULL: an element of an array, or the outermost value. */
void result_open(struct buf *b, const char *key, char bracket); /* '{' '[' */
void result_close(struct buf *b, char bracket); /* '}' ']' */
/* A text whose p is NULL is written as null. */
void result_text(struct buf *b, const char *key, struct str value);
void result_cents(struct buf *b, const char *key, int64_t cents);
void result_number(struct buf *b, const char *key, double value);
/* "REF-7": what a run has written is numbered from 1. */
void result_id(struct buf *b, const char *key, const char *prefix, int64_t n);

#endif
