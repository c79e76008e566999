/*
 * tools/pipes.h: the three pipes to a server: whole lines come in, lines go
 * out without waiting, and the end of what it complains about is kept.
 */
#ifndef TOOLS_PIPES_H
#define TOOLS_PIPES_H

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "sys/loop.h"

struct pipes {
	struct loop *loop;
	struct loop_watch in, out, complaints;
	struct buf line; /* what has come of the next one */
	struct buf waiting; /* to be written */
	struct loop_timer ending; /* set: on_end is about to be called */
	const char *why;
	size_t skipped; /* bytes of a line that is too long; 0: it is not */
	char last_words[SERVER_STDERR_BYTES]; /* the newest end of stderr */
	size_t n_last_words;
	/* A line without its end; it may close the pipes. */
	void (*on_line)(struct pipes *p, struct str line);
	/* One that was over SERVER_MAX_LINE_BYTES, and is lost. */
	void (*on_long_line)(struct pipes *p);
	/* There is nothing more to read, or it cannot be talked to. Last. */
	void (*on_end)(struct pipes *p, const char *why);
};

/* The callbacks are set. theirs are the server's ends, for the caller. */
int pipes_open(
    struct pipes *p, struct loop *loop, int theirs[static 3], struct err *e);
/* Safe to call twice, and in every callback. */
void pipes_close(struct pipes *p);
/* One message; the line's end is added. A broken pipe ends by on_end later. */
void pipes_write(struct pipes *p, struct str line);

#endif
