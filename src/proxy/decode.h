/*
 * proxy/decode.h: the content of a compressed body: gzip, deflate and zstd, a
 * piece at a time. A request's is searched, an answer's goes on instead of it.
 *
 * Nothing is kept: what is unpacked is given away in small pieces. Who packs
 * much into little (more than UNPACK_RATIO_MAX to 1) is refused.
 */
#ifndef PROXY_DECODE_H
#define PROXY_DECODE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct decode;

/* NULL: this is no coding that is known, or there is no memory. */
struct decode *decode_new(struct str coding);
bool decode_knows(struct str coding);
void decode_free(struct decode *u); /* NULL is nothing */
/* -1 with e when it is not what its coding says, or `give` has returned -1. */
int decode_feed(struct decode *u, struct str bytes,
    int (*give)(void *arg, struct str bytes, struct err *e), void *arg,
    struct err *e);
/* True when all that was begun has its end; also when nothing came. */
bool decode_ended(const struct decode *u);

#endif
