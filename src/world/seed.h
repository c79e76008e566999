/*
 * world/seed.h: the world document: what a run's services hold when it opens.
 *
 * The document is JSON that an operator wrote (docs/WORLD.md). Every row is
 * checked before it is stored; the first that is wrong is named by its place.
 */
#ifndef WORLD_SEED_H
#define WORLD_SEED_H

#include <stdint.h>

#include "base/err.h"
#include "codec/json.h"
#include "world/wdb.h"

/*
 * Checks document and puts its rows into d. *out_now_s is the moment at which
 * the world's clock starts. Returns 0, or -1 with place and remedy in e.
 */
int seed_load(struct wdb *d, const struct json *document, int64_t *out_now_s,
    struct err *e);

#endif
