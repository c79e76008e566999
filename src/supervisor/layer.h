/*
 * supervisor/layer.h: what a run has changed of its work folder, as a directory
 * of its own that another overlay can have below it.
 *
 * Whoever filled the upper directory is a stranger, and may still be there: so
 * nothing in it is reached but by a descriptor of the directory that holds it,
 * no link is followed, and only files, folders, links and overlayfs' own marks
 * of what is gone are copied. Set-id bits and all attributes but those marks
 * are left behind, devices, sockets and pipes are counted and left out.
 *
 * The list says what a layer holds: one JSON object a line, by path. A layer is
 * what it was when it has the same list.
 */
#ifndef SUPERVISOR_LAYER_H
#define SUPERVISOR_LAYER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

struct layer_sum {
	uint64_t entries; /* files, folders, links and marks */
	uint64_t bytes; /* in files, holes left out */
	uint64_t left_out;
};

/* Appends the list of a layer. -1 with e: it holds what no layer of ours does,
 * or cannot be read. */
int layer_list(int layer, struct buf *out, struct err *e);

/* Says where two lists differ; 0 when they do not. */
int layer_compare(struct str want, struct str got, struct err *e);

/* Removes a directory and all that is below it. */
int layer_remove(int dir, const char *name, struct err *e);

#endif
