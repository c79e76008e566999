/*
 * supervisor/state.h: the state directory and the sockets in it.
 *
 *     STATE/paddock.sock    HTTP /v1 for local people and the command line
 *     STATE/kill.sock       one line to the supervisor: the kill switch
 *     STATE/operator.token  bearer token of the TCP listener, 0600
 *     STATE/store/          the broker's, nobody else's
 */
#ifndef SUPERVISOR_STATE_H
#define SUPERVISOR_STATE_H

#include <stdint.h>

#include "base/err.h"

struct state {
	char dir[4096]; /* absolute */
	char store[4096];
	int lock_fd; /* held while this supervisor lives */
	int unix_fd; /* listener */
	int kill_fd; /* listener */
	int tcp_fd; /* listener, or -1 */
	uint16_t tcp_port;
};

/*
 * Makes what is missing, takes the lock (a second daemon on one directory is
 * refused) and binds the sockets. listen: "127.0.0.1:8080", or NULL.
 */
int state_open(
    struct state *s, const char *dir, const char *listen, struct err *e);
/* Removes the sockets, closes everything, gives the lock back. */
void state_close(struct state *s);

#endif
