/*
 * gateway/exec_log.h: what a command wrote, piece by piece, newest kept.
 *
 * A piece is what one read(2) gave, with the stream that it came from. Pieces
 * are numbered from 0, so that a reader can go away and come back.
 */
#ifndef GATEWAY_EXEC_LOG_H
#define GATEWAY_EXEC_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct exec_log {
	struct buf kept;
	uint64_t base; /* bytes that are dropped, piece heads included */
	uint64_t first; /* number of the first piece that is kept */
	uint64_t n; /* pieces so far */
	uint64_t dropped_bytes; /* of output */
};

/* Where a reader is. All zero is the start. */
struct exec_cursor {
	uint64_t number; /* of its next piece */
	uint64_t at; /* as base counts */
};

struct exec_piece {
	uint64_t number;
	unsigned stream; /* 0: stdout, 1: stderr */
	struct str data;
};

/* Where n bytes of the next piece can be put; NULL without memory. */
char *exec_log_room(struct exec_log *l, size_t n);
/* The next piece has n bytes, which are there already. */
void exec_log_add(struct exec_log *l, unsigned stream, size_t n);
/*
 * Drops the oldest pieces once there are twice keep bytes, down to keep, but
 * nothing from `needed` on; NULL: needed by nobody.
 */
void exec_log_trim(
    struct exec_log *l, size_t keep, const struct exec_cursor *needed);
void exec_log_fini(struct exec_log *l);

/*
 * The piece at c, which moves on. False when there is none yet. *missed is
 * true when pieces before it are gone that this reader has not seen.
 */
bool exec_log_next(const struct exec_log *l, struct exec_cursor *c,
    struct exec_piece *out, bool *missed);
/* Bytes that a reader has before it, piece heads included. */
uint64_t exec_log_ahead(const struct exec_log *l, const struct exec_cursor *c);
/* The cursor of a piece, or of the first that is kept, or of the end. */
struct exec_cursor exec_log_find(const struct exec_log *l, uint64_t number);

#endif
