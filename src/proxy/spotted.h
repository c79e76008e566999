/*
 * proxy/spotted.h: the patterns (core/patterns.h) that one request holds, each
 * place once. For the record alone, and never the bytes that fit.
 */
#ifndef PROXY_SPOTTED_H
#define PROXY_SPOTTED_H

#include "base/buf.h"
#include "base/limits.h"
#include "core/patterns.h"

struct spotted {
	struct patterns stream;
	uint32_t n;
	struct {
		enum pattern pattern;
		char place[FILTER_PLACE_BYTES];
	} at[SPOTTED_MAX];
};

/* Bytes of a place, such as "body"; and its end, before those of another. */
void spotted_feed(struct spotted *s, struct str bytes, const char *place);
void spotted_end(struct spotted *s, const char *place);
/* ,"patterns":[{"name","place"}]; nothing when there is none. */
void spotted_write(const struct spotted *s, struct buf *out);

#endif
