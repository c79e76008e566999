/*
 * gateway/session.h: sessions of MCP clients that know initialize.
 *
 * A session is a name of 128 random bits, bound to the run or token that it
 * was made for: shown by anybody else it does not exist. It holds nothing but
 * the resources that its client is told of, so a lost one costs a new
 * initialize, and to subscribe again.
 */
#ifndef GATEWAY_SESSION_H
#define GATEWAY_SESSION_H

#include "gateway/gateway.h"

struct session {
	struct session *next; /* of the bucket */
	char id[SESSION_ID_BYTES];
	struct caller owner;
	uint64_t last_use; /* counts up: the smallest is the oldest */
	uint64_t number; /* for the broker, as a holder of subscriptions */
	bool subscribes; /* it was named there */
	struct buf waiting; /* messages, a line each, until it has a stream */
};

/*
 * A caller's least recently used session makes room when it has too many.
 * NULL when there is no room, or no randomness, with e filled in.
 */
struct session *session_new(
    struct gateway *g, const struct caller *owner, struct err *e);
/* NULL when this caller has no such session. */
struct session *session_find(
    struct gateway *g, const struct caller *by, struct str id);
/* The one of this number, or NULL. */
struct session *session_of_number(struct gateway *g, uint64_t number);
/* Streams and subscriptions that belong to it are ended. */
void session_free(struct gateway *g, struct session *s);
/* All sessions of a run, by whatever door. */
void session_free_run(struct gateway *g, uint64_t run);
void session_free_all(struct gateway *g);

#endif
