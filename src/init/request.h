/*
 * init/request.h: a frame from the rpc socket, taken apart and checked.
 *
 * Everything in it is a stranger's. What does not keep the rules of
 * sandbox/rpc.h is told from what merely cannot be done.
 */
#ifndef INIT_REQUEST_H
#define INIT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "init/start.h"
#include "sandbox/rpc.h"

struct request {
	struct rpc_request q;
	char *payload; /* RPC_MAX_PAYLOAD_BYTES */
	size_t n;
	int fds[RPC_MAX_FDS]; /* the receiver's to close */
	unsigned n_fds;
	bool no_room; /* descriptors were lost: our table is full */
};

enum request_got {
	REQUEST_NONE, /* nothing there */
	REQUEST_WHOLE, /* keeps the rules */
	REQUEST_WRONG, /* breaks them, or the socket has ended */
};

/* Takes the next frame. r->payload is set by the caller. */
enum request_got request_receive(int fd, struct request *r);
/* Closes the descriptors that are still there. */
void request_fini(struct request *r);

/*
 * Lays out the strings of an EXEC as s->cwd, s->argv and s->envp, in s's own
 * memory (r->payload is s->payload). Returns NULL, or why not (EINVAL).
 */
const char *request_command(
    const struct request *r, char *const *base_env, struct start *s);

#endif
