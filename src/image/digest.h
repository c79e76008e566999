/*
 * image/digest.h: SHA-256 of a stream, and how images write it.
 */
#ifndef IMAGE_DIGEST_H
#define IMAGE_DIGEST_H

#include <stddef.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

struct evp_md_ctx_st; /* OpenSSL's */

struct digest {
	struct evp_md_ctx_st *ctx;
};

#define own_digest __attribute__((cleanup(digest_fini)))

enum { DIGEST_TEXT_BYTES = 7 + HASH_HEX_BYTES }; /* "sha256:", hex, NUL */

int digest_init(struct digest *d, struct err *e);
void digest_fini(struct digest *d);
void digest_add(struct digest *d, const void *p, size_t n);
/* The hash of all that was added; nothing can be added after that. */
struct hash digest_end(struct digest *d);

void digest_text(const struct hash *h, char out[static DIGEST_TEXT_BYTES]);
/* "sha256:" and 64 digits. Returns 0, or -1 with e. */
int digest_parse(struct str text, struct hash *out, struct err *e);

#endif
