/*
 * world/changes.h: which rows a call has changed, for somebody who is asked
 * whether the call may be made.
 *
 * The call is made in a copy of the world. SQLite names each row that it
 * writes; what such a row is afterwards stands in the copy, and what it was, in
 * the world that nothing has changed.
 */
#ifndef WORLD_CHANGES_H
#define WORLD_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "world/wdb.h"

enum change_kind { CHANGE_ADDED, CHANGE_CHANGED, CHANGE_REMOVED };

struct changes {
	size_t n;
	bool more; /* than are kept */
	struct {
		uint32_t table;
		enum change_kind kind;
		int64_t row;
	} item[WORLD_CHANGES_MAX];
};

/* From now on what is written to d is noted in c, which must live as long. */
void changes_watch(struct changes *c, struct wdb *d);

/*
 * Appends ,"messages":[...],"more":false,"requests":[],"rows":[...]: the
 * members of a preview. A mail that is added is a message, all else a row:
 * {"after":{...},"before":{...},"change":"changed","table":"refunds"}. -1 with
 * e: a database cannot be read.
 */
int changes_write(struct buf *out, const struct changes *c, struct wdb *before,
    struct wdb *after, struct err *e);

#endif
