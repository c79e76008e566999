/*
 * tools/http_int.h: what the sources of http.h share.
 *
 *     http.c         exchanges, their connections and ends
 *     http_answer.c  what comes back
 */
#ifndef TOOLS_HTTP_INT_H
#define TOOLS_HTTP_INT_H

#include "tools/http.h"

enum answer_kind {
	ANSWER_NONE, /* of no interest, or not known yet */
	ANSWER_JSON,
	ANSWER_EVENTS,
	ANSWER_WHOLE, /* of http_ask: as it is */
	ANSWER_ERROR, /* a status that says so, and its text */
};

/* One request of HTTP and what comes back on it. */
struct exchange {
	struct exchange *next;
	struct http *http;
	struct loop_watch watch; /* fd -1: it waits, or has ended */
	struct loop_timer timer; /* a stream's end, or being taken up again */
	uint64_t id; /* of the request; 0: none */
	bool waits; /* for a connection */
	bool whole; /* of http_ask */
	bool to_head; /* HEAD: the answer has no body */
	struct buf type; /* of the answer, where it is whole */
	uint64_t retry_after_s;
	bool listens; /* GET, for what the server says by itself */
	bool unreached; /* told by the timer, as its caller is not ready yet */
	bool answered; /* or given up */
	bool over; /* to be freed */
	struct buf fields; /* as the caller gave them, for taking it up */
	struct buf out; /* to be sent */
	struct buf in; /* of a head */
	bool has_head, keep;
	uint16_t status;
	enum answer_kind kind;
	struct http1_body body;
	struct buf content;
	struct sse sse;
	uint32_t resumes; /* times that it was taken up again */
};

/* http_answer.c: bytes that came; false: it is over, and all is told. */
bool answer_feed(struct exchange *x, struct str bytes);
/* The connection has ended. */
void answer_end(struct exchange *x);

/* http.c. Tells why, unless it has its answer, and ends it. */
void exchange_fail(struct exchange *x, const char *code, struct str why);
/* It is over; a connection that is good for another one is kept. */
void exchange_over(struct exchange *x, bool whole);
/* Its stream broke off before the answer: true when it is taken up later. */
bool exchange_resume(struct exchange *x);

#endif
