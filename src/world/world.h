/*
 * world/world.h: the fake services of one run: tickets, customers, billing,
 * mail and a knowledge base, over a database of their own.
 *
 * A world starts as its document says and changes only by calls. It has no
 * clock, no randomness and no way out: the same document and the same calls
 * at the same times give the same answers, byte for byte.
 */
#ifndef WORLD_WORLD_H
#define WORLD_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/json.h"

struct world;

/*
 * fd is an empty regular file or memfd; it is taken over, also on failure.
 * document is the JSON text of a world. NULL with place and remedy in e.
 */
struct world *world_new_take(int fd, struct str document, struct err *e);
/*
 * The same over what world_save has filled: it goes on from that moment, as a
 * world of its own.
 */
struct world *world_saved_take(int fd, struct err *e);
void world_free(struct world *w); /* w may be NULL */

/*
 * Gives back what a world needs for a call only. It wakes by itself when it is
 * needed, and no answer tells that it has dozed.
 */
void world_doze(struct world *w);
bool world_is_awake(const struct world *w);

/*
 * Copies all that the world is into the empty file to: its rows, the answers
 * that it has left, and what time it is there at now_ns. 0, or -1 with e.
 */
int world_save(struct world *w, int64_t now_ns, int to, struct err *e);

/* Appends [{"description","inputSchema","name"}, ...] as canonical JSON. */
void world_tools(const struct world *w, struct buf *out);

/*
 * Calls a tool. now_ns is UTC: the first call of a world happens at the `now`
 * of its document, or at the moment that it goes on from, later ones as much
 * later as now_ns tells. Returns 0 with the result object in out, or 1 with
 * {"code","error","suggested_next_step"}; both canonical. *wrote is true when
 * the world has changed.
 */
int world_call(struct world *w, struct str name, const struct json *args,
    int64_t now_ns, struct buf *out, bool *wrote);

/*
 * Makes the call in a copy of the world that is gone afterwards, and writes
 * what it would change: {"answer":{...},"files":[],"messages":[...],
 * "more":false,"requests":[],"rows":[...],"status":"done"}, canonical; status
 * is "refused" when the answer is an error. -1 with e: it cannot be tried.
 */
int world_try(struct world *w, struct str name, const struct json *args,
    int64_t now_ns, struct buf *out, struct err *e);

/* Rows changed since the world woke, for tests: reads leave it alone. */
int64_t world_changes(const struct world *w);

#endif
