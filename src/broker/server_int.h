/*
 * broker/server_int.h: what the sources of server.h share.
 *
 *     server.c        starting, ending, and starting again
 *     server_tools.c  what they offer, and who may see it
 *     server_call.c   calls, and who waits until the tools are known
 */
#ifndef BROKER_SERVER_INT_H
#define BROKER_SERVER_INT_H

#include "broker/server.h"

enum server_state {
	SERVER_STARTING,
	SERVER_READY,
	SERVER_RESTING, /* until its timer, and until its sandbox is gone */
	SERVER_ENDED,
};

struct offered {
	char name[NAME_MAX_BYTES]; /* with the server's in front */
	struct hash hash; /* of its definition */
	bool there; /* in the newest list */
	bool quarantined;
	struct buf json; /* its definition, under its full name */
};

struct tool_server {
	struct tool_server *next;
	uint64_t run;
	const struct policy_server *row; /* of the run's policy */
	enum server_state state;
	uint64_t id; /* of its sandbox; new at each start */
	bool sandbox; /* the supervisor has been asked for it, and it lives */
	bool known; /* its tools are, or will not be: nobody waits for them */
	uint32_t ends; /* how often it has ended */
	int64_t rest_until_ns;
	struct loop_timer timer;
	struct msg_sandbox_start start;
	struct buf words; /* payload of start */
	int fds[1 + MOUNTS_MAX]; /* folders, kept for the next start */
	size_t n_fds;
	struct hash recorded; /* of what its newest note says */
	struct offered *offered;
	size_t n_offered;
};

/* server_tools.c: takes what MSG_SERVER_LISTED brought. -1: no such list. */
int server_tools_take(struct tool_server *s, struct run *r,
    const struct json *list, struct buf *record);
void server_tools_free(struct tool_server *s);
/* The server that has it, good or not; NULL when none does. */
struct tool_server *server_tools_find(
    const struct run *r, struct str tool, const struct offered **out);

/* server_call.c: it is ready: what waited for it is sent. */
void server_calls_send(struct tool_server *s);

/* All tools are known: what was held goes on. */
void servers_release(struct run *r);
void servers_hold_free(struct run *r);

#endif
