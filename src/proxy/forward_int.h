/*
 * proxy/forward_int.h: what the files of a forward share. forward.c moves the
 * bytes, forward_request.c, forward_trailers.c and forward_answer.c say which,
 * forward_head.c reads and writes heads.
 */
#ifndef PROXY_FORWARD_INT_H
#define PROXY_FORWARD_INT_H

#include "proxy/forward.h"

/*
 * forward_head.c: where the request in f->head goes. Fills in to_host,
 * to_port and path. 0, or the status to refuse it with and why.
 */
uint16_t head_route(struct forward *f, const char **why);
/* The object for the broker, without its end. */
void head_ask(const struct forward *f, struct buf *out);
/* Path and query of an origin-form target. query.p is NULL without one. */
void head_split(struct str target, struct str *path, struct str *query);
/* True when the request asks to become a WebSocket. RFC 6455 section 4.1 */
bool head_is_upgrade(const struct http1_head *h);
/* The request as it is sent on: its target is a path by now. */
void head_write_request(const struct forward *f, struct buf *out);

struct head_change {
	bool close; /* its connection ends */
	bool unchunk; /* without chunks */
	bool rechunk; /* in chunks, whatever it was */
	bool upgrade;
};
/* True for a field that is between two neighbours only. */
bool head_is_hop(const struct http1_head *h, struct str name);
/* The answer as it is given to the client. */
void head_write_answer(const struct http1_head *h,
    const struct head_change *change, struct buf *out);
/* An answer of our own. fields is whole lines. */
void head_write_own(uint16_t status, struct str fields, struct str type,
    struct str body, bool close, bool no_body, struct buf *out);

/* forward.c */

/* Closes the server's end. hard: it must not take it for an orderly one. */
void forward_drop_server(struct forward *f, bool hard);
/* Ends everything, at the end of this turn. */
void forward_close(struct forward *f, bool hard);
/* The filter has seen more of the answer: for how long it may hold that. */
void forward_hush(struct forward *f);
/* These bytes count against the rate of the rule. */
void forward_count(struct forward *f, size_t bytes);

/* forward_request.c: true when something has moved. */

bool request_take(struct forward *f); /* a head */
void request_late(struct forward *f); /* it has not come in time */
bool request_pass(struct forward *f); /* some of its body */
void request_ask(struct forward *f);
/* Allowed: over the connection that is there, or a new one. */
void request_go(struct forward *f);
/* The server is there: sends the request as it was judged. */
void request_begin(struct forward *f);
/* Tells the owner, once. error is NULL when it ended well. */
void request_over(struct forward *f, const char *error);

/* forward_trailers.c */

/* f->request has been begun: its trailers are kept for trailers_judge. */
void trailers_expect(struct forward *f);
/*
 * The body is whole. Appends the lines that may follow it, secrets put in;
 * -1 with *status (400 or 403) when some may not: nothing of them goes out.
 */
int trailers_judge(
    struct forward *f, struct buf *out, uint16_t *status, struct err *e);

/* forward_held.c */

/* The verdict is EGRESS_WAIT. */
void held_wait(struct forward *f, const struct msg_egress_verdict *v);
bool held_gather(struct forward *f); /* some of the body */
/* Appends "body_text":"...", of one that is whole, if it is text. */
void held_show(const struct forward *f, struct buf *out);
/* The body is to be sent after all: back to where it came from. */
void held_release(struct forward *f);

/* forward_kept.c: nothing unless f->kept.on. */

void kept_request(struct forward *f, struct str content);
/* The head of the answer, and pieces of its body, as the client gets them. */
void kept_head(struct forward *f, const struct http1_head *h);
void kept_body(struct forward *f, struct str content);
/* NULL when there is nothing whole to keep. */
const struct forward_kept *kept_whole(const struct forward *f);
void kept_reset(struct forward *f);

/* forward_spoil.c: of an answer that is changed on purpose. */

/* As the verdict says. False: the request is refused. */
bool spoil_begin(struct forward *f, const struct json *fault);
void spoil_over(struct forward *f);
/* The head of the answer; true when it is not to be written now. */
bool spoil_answer(struct forward *f, const struct http1_head *h,
    const struct head_change *change);
/* Content, as the filter has it. */
void spoil_content(struct forward *f, struct str content);
/* What is due of it goes to the client; true when something has. */
bool spoil_pass(struct forward *f);
/* For how long nothing is due, 0: something may be. */
int64_t spoil_waits_ns(const struct forward *f, int64_t now_ns);

/* forward_answer.c */

bool answer_take(struct forward *f); /* a head */
bool answer_pass(struct forward *f); /* some of its body */
/* No more of it comes for now: what the filter holds of it goes out. */
void answer_rest(struct forward *f, bool all);
/* An error of ours, in the shape of every refusal here. Ends the request. */
void forward_refuse(
    struct forward *f, uint16_t status, const char *code, const char *why);
/* An answer of ours. The client's connection goes on if it can. */
void answer_own(struct forward *f, uint16_t status, struct str fields,
    struct str type, struct str body);
/* It is whole: the connections go on, if they can. */
void answer_over(struct forward *f);
/* In chunks; nothing is no chunk, since an empty one is the last. */
void put_chunk(struct buf *out, struct str bytes, bool last);

#endif
