/*
 * gateway/port_way.h: a client's way to a TCP port inside, whatever is spoken
 * on it.
 *
 * It asks PID 1 for the connection, holds it in the loop, and tells the broker
 * once how it ended. Embedded by the one who moves the bytes, and freed by it
 * when port_way_end says so.
 */
#ifndef GATEWAY_PORT_WAY_H
#define GATEWAY_PORT_WAY_H

#include "gateway/inside.h"

struct port_way {
	struct visit visit;
	struct gateway *gateway;
	uint64_t run, grant;
	uint64_t moved_bytes; /* counted by who moves them */
	struct inside_ask ask;
	bool asked; /* there will be an answer */
	struct loop_watch inner; /* fd -1: none */
	bool held; /* inner is not in the loop: nothing is wanted of it */
};

enum port_said {
	PORT_WAITS, /* nothing to do, now or any more */
	PORT_CONNECTED, /* inner is there, and the client, too */
	PORT_REFUSED, /* it is over; the broker knows, and the client not */
};

/* False when args name no port, and the client has been told. */
bool port_named(struct client *cl, const struct json *args, uint16_t *out);

/*
 * Asks PID 1 for the connection; on_reply hears it, and on_inner the port.
 * -1 with e: on_reply is not called, and the broker knows.
 */
int port_way_begin(struct port_way *w, struct client *cl,
    const struct inside_request *q, uint16_t port, struct err *e);

/* What on_reply was called with. After PORT_REFUSED the way is to be freed. */
enum port_said port_way_take(
    struct port_way *w, const struct rpc_reply *r, int fds[static RPC_MAX_FDS]);

/* Lets go of the connection and tells the broker; why NULL: it worked. True
 * when the way is to be freed, else an answer is still to come. */
bool port_way_end(struct port_way *w, const char *why);

#endif
