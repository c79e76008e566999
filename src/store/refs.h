/*
 * store/refs.h: lists of the blobs and policies that records name, as struct
 * hash one after the other.
 */
#ifndef STORE_REFS_H
#define STORE_REFS_H

#include "base/buf.h"
#include "base/err.h"
#include "codec/json.h"

struct refs {
	struct buf blobs, policies;
};

void refs_init(struct refs *r);
void refs_fini(struct refs *r);
/* Adds what a record names and whose bytes are kept. */
int refs_add(struct refs *r, const struct json *record, struct err *e);
/* Puts a list in order, each once: how many there are. */
size_t refs_sort(struct buf *list);

#endif
