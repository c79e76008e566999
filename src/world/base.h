/*
 * world/base.h: what the worlds of one document begin with.
 *
 * The document's rows are checked and stored once, in a file that does not
 * change any more and that stays as long as one of these worlds is open. Each
 * of them lies above it (world/pages.h), so that a thousand runs of one
 * document hold it once.
 */
#ifndef WORLD_BASE_H
#define WORLD_BASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "codec/json.h"

struct base {
	struct base *next;
	struct hash digest; /* of the document's bytes */
	uint32_t worlds; /* that lie above it */
	int fd;
	int64_t start_s; /* the document's now */
	bool has_tools; /* with answers of their own, which are a world's */
};

/* The base of a document, or NULL: no world of it is open. */
struct base *base_find(const struct hash *digest);
/* Makes it of the document, as yet for no world. NULL with the place in e. */
struct base *base_new(
    const struct hash *digest, const struct json *document, struct err *e);
/* When no world lies above it. */
void base_free(struct base *b);

#endif
