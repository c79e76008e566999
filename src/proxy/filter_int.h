/*
 * proxy/filter_int.h: what the two halves of a filter share: filter.c has the
 * request, filter_answer.c its answer.
 */
#ifndef PROXY_FILTER_INT_H
#define PROXY_FILTER_INT_H

#include "codec/html_text.h"
#include "codec/ws.h"
#include "core/hide.h"
#include "core/swap.h"
#include "proxy/decode.h"
#include "proxy/filter.h"
#include "proxy/spotted.h"
#include "sys/locked.h"

struct secret {
	struct str name, placeholder, value;
	struct str header, query, format, access_key; /* n is 0: none */
	bool body;
};

struct filter {
	struct locked mem; /* all that follows points into it */
	uint32_t n; /* secrets */
	struct secret secrets[SCAN_MAX_WORDS];
	struct str values[SCAN_MAX_WORDS], fakes[SCAN_MAX_WORDS];
	uint64_t used[SCAN_MAX_WORDS], scrubbed[SCAN_MAX_WORDS];
	const struct filter_watch *watch;
	struct leak_stream *leaks; /* NULL: nothing is searched for */
	bool leaked;
	struct leak_hit hit;
	char place[FILTER_PLACE_BYTES]; /* of the hit */
	struct spotted spotted; /* reported, and no more */
	struct decode *unpack; /* of a compressed body, to search it */
	struct ws ws; /* where in a frame a WebSocket's client is */
	struct swap out; /* placeholders in the request's body */

	/* The answer's content goes from one to the next, where they are. */
	struct decode *unpack_back;
	struct swap back; /* secrets that this request may have */
	struct hide hide; /* all others of the run */
	struct html_text *page;
	struct buf swapped, hidden; /* behind `back`, and behind `hide` */
	struct arena fields; /* those of the answer that were changed */
	bool strip_html, wants_body;
};

void filter_answer_fini(struct filter *f);
void filter_field_drop(struct http1_head *h, struct str name);

#endif
