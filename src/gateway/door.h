/*
 * gateway/door.h: listeners, and who it is that comes in.
 *
 * Inside a sandbox the listener says which run it is. Outside, a bearer token
 * or the uid of a Unix peer goes to the broker, which knows what they may.
 * A browser led here by a foreign page is turned away by Host and Origin.
 */
#ifndef GATEWAY_DOOR_H
#define GATEWAY_DOOR_H

#include "gateway/gateway.h"

extern const struct http_ops door_ops;

/* Takes fd over. run is 0 for a listener of people. */
int door_open_take(
    struct gateway *g, int fd, enum door kind, uint64_t run, struct err *e);
/* Closes the run's door and all connections to it, if there is one. */
void door_close(struct gateway *g, uint64_t run);
void door_close_all(struct gateway *g);
/* Closes all connections whose request under way came with this token. */
void door_hang_up(struct gateway *g, const struct hash *token);

/* The door that a client came through. */
const struct doorway *door_of(const struct client *cl);

#endif
