/*
 * broker/server_int.h: what the sources of server.h share.
 *
 *     server.c        starting, ending, and starting again
 *     server_tools.c  what tools they offer, and who may see it
 *     server_lists.c  resources, prompts, completions: likewise
 *     server_notify.c what is told beside answers
 *     server_call.c   calls, and who waits until the tools are known
 *     server_net.c    what it can reach
 *     server_http.c   one that is elsewhere: the way to it
 */
#ifndef BROKER_SERVER_INT_H
#define BROKER_SERVER_INT_H

#include "broker/pin.h"
#include "broker/server.h"

enum server_state {
	SERVER_STARTING,
	SERVER_READY,
	SERVER_RESTING, /* until its timer, and until its sandbox is gone */
	SERVER_ENDED,
};

struct offered {
	char name[NAME_MAX_BYTES]; /* with the server's in front */
	struct hash hash; /* of its newest definition */
	bool there; /* in the newest list */
	bool shown; /* it was good at some time in this run */
	bool flipped; /* and was another one then */
	enum pin_verdict why; /* it is quarantined; PIN_GOOD: it is not */
	uint32_t changes; /* definitions of it that were judged */
	struct buf json; /* its definition, under its full name */
};

enum list_kind { LIST_RESOURCES, LIST_TEMPLATES, LIST_PROMPTS, LIST_KINDS };

struct listed {
	struct buf name; /* the server's own: a URI, a template, a name */
	struct buf json; /* as it is shown, without its own name in front */
};

struct tool_server {
	struct tool_server *next;
	uint64_t run;
	const struct policy_server *row; /* of the run's policy */
	enum server_state state;
	uint64_t id; /* of its sandbox; new at each start */
	bool sandbox; /* the supervisor has been asked for it, and it lives */
	bool leaving; /* its session is being ended */
	bool known; /* its tools are, or will not be: nobody waits for them */
	uint32_t ends; /* how often it has ended */
	int64_t rest_until_ns;
	struct loop_timer timer;
	struct msg_sandbox_start start;
	struct buf words; /* payload of start */
	int fds[1 + MOUNTS_MAX]; /* folders, kept for the next start */
	size_t n_fds;
	int ca_fd; /* certificates for this start; -1: none */
	bool ca_asked; /* it starts when they are there */
	int net_fds[4]; /* of its MSG_DOOR_OPEN, kept for a new proxy */
	size_t n_net_fds;
	struct hash recorded; /* of what its newest note says */
	struct call *busy; /* of one with captures: whose turn it is */
	struct offered *offered;
	size_t n_offered;
	struct listed *lists[LIST_KINDS];
	size_t n_lists[LIST_KINDS];
	bool completes;
	struct hash
	    shown[1 + LIST_KINDS]; /* of all that is listed: tools first */
};

/* server_tools.c: takes what MSG_SERVER_LISTED brought. -1: no such list. */
int server_tools_take(struct tool_server *s, struct run *r,
    const struct json *list, struct buf *record);
void server_tools_free(struct tool_server *s);
/* The server that has it, good or not; NULL when none does. */
struct tool_server *server_tools_find(
    const struct run *r, struct str tool, const struct offered **out);

/*
 * server_lists.c: takes the other lists of MSG_SERVER_LISTED, and appends their
 * digests. -1: no such lists.
 */
int server_lists_take(
    struct tool_server *s, const struct json *list, struct buf *record);
void server_lists_free(struct tool_server *s);
/* The server of "SERVER/resources" and the like; NULL when it has no such. */
struct tool_server *server_lists_find(
    const struct run *r, struct str tool, enum server_ask *ask);

/*
 * server_notify.c: what it lists may be other than before: agents are told,
 * unless it is the first list of all.
 */
void server_lists_tell(struct tool_server *s, const struct run *r);

/* Whose a URI is; NULL when no server has it. */
struct tool_server *server_of_uri(const struct run *r, struct str uri);

/* server_call.c: it is ready: what waited for it is sent. */
void server_calls_send(struct tool_server *s);
/* Sends a call whose captures are made, or ends it with its run. */
void server_call_send(struct call *c);

/* server_net.c: its variables. */
void server_net_prepare(struct tool_server *s, const struct run *r);
/* True when it can start only later: server_open is called then. */
bool server_net_waits(struct tool_server *s, const struct run *r);
/* Its sandbox is there. */
void server_net_open(
    struct tool_server *s, const struct run *r, const struct frame *f);
void server_net_close(struct tool_server *s);
/*
 * server_http.c: the proxy gets its door, and the tools role begins. It has no
 * sandbox, so nothing of it is left when the door is closed.
 */
void server_http_open(const struct tool_server *s, const struct run *r);
void server_http_close(const struct tool_server *s);
/* A new proxy knows no door. */
void server_http_again(const struct tool_server *s, const struct run *r);
/* server.c: asks for its pipes. */
void server_begin(struct tool_server *s);
struct tool_server *server_find(uint64_t id, struct run **out);

/* All tools are known: what was held goes on. */
void servers_release(struct run *r);
void servers_hold_free(struct run *r);

#endif
