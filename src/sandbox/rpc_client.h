/*
 * sandbox/rpc_client.h: the outer side of sandbox/rpc.h, for an event loop.
 *
 * Nothing here waits or keeps state: rpc_send makes one frame of a request,
 * rpc_receive one reply of a frame. Replies come from inside the sandbox; they
 * are checked for form, and what they say is only reported.
 *
 *     struct rpc_request q = { .id = ++last_id, .kind = RPC_EXEC,
 *         .flags = RPC_EXEC_PIPES, .argc = 2 };
 *     const char *strings[] = { "", "ls", "-l" };     cwd, then argv
 *     r = rpc_send(sb.rpc, &q, strings, 3, NULL, 0, &e);
 *
 * A descriptor that is sent is copied: close it afterwards, or its other end
 * never sees an end. Commands expect blocking descriptors; those of a pair
 * made by pipe2(2) with O_NONBLOCK are not.
 */
#ifndef SANDBOX_RPC_CLIENT_H
#define SANDBOX_RPC_CLIENT_H

#include "base/err.h"
#include "sandbox/rpc.h"

/*
 * Sends q with n strings and n_fds descriptors. 0, or -1 with e, and nothing
 * sent: e->sys is EAGAIN when the socket is full (wait for POLLOUT), E2BIG
 * when the strings are over RPC_MAX_PAYLOAD_BYTES, EPIPE when PID 1 has closed
 * it.
 */
int rpc_send(int rpc, const struct rpc_request *q, const char *const *strings,
    unsigned n, const int *fds, unsigned n_fds, struct err *e);

/*
 * Takes one reply: 1 with *out, whose text is terminated, and fds, which are
 * the caller's, -1 where there is none; 0 when there is nothing now; -1 with e
 * when the socket has ended or the frame is none of ours.
 */
int rpc_receive(
    int rpc, struct rpc_reply *out, int fds[RPC_MAX_FDS], struct err *e);

#endif
