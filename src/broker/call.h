/*
 * broker/call.h: one tool call, from the request to the answer.
 *
 *     proposed -> decision -> block   answered with the reason
 *                          -> draft   stored, answered with its id
 *                          -> approve a person decides (approval.h), then
 *                          -> allow or simulate: started -> world -> finished
 *
 * What writes beyond the run's own drafts starts only when its records are on
 * disk, and is answered only when its end is.
 */
#ifndef BROKER_CALL_H
#define BROKER_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/run.h"
#include "core/policy.h"

struct capture; /* broker/capture.h */
struct tool_server; /* broker/server.h */

/* What a call does, of which there is to be one: broker/idem.h. */
struct idem_key {
	struct hash hash;
	uint64_t kept_ms; /* behind its end; 0: as long as its run is open */
};

struct call {
	struct call *next_durable;
	struct call *next; /* of those that the world is answering */
	uint64_t number; /* ours, to the world */
	uint64_t asker; /* the gateway's number, 0: nobody waits */
	uint64_t run;
	uint32_t step;
	char tool[NAME_MAX_BYTES];
	struct buf args; /* canonical */
	struct hash args_hash;
	enum risk risk;
	bool simulated;
	bool known; /* nobody but the user, or a reviewer, has chosen it */
	uint64_t approval; /* the approval that let it through, or 0 */
	int64_t started_ns; /* monotonic */
	uint64_t wait_seq; /* goes on when this record is on disk */
	uint64_t draft; /* that it commits, or 0 */
	bool has_idem;
	struct idem_key idem;
	uint32_t tries; /* that we have made by ourselves */
	bool charged; /* its costs were taken of the budgets */
	bool finished; /* the world has answered */
	bool not_begun; /* and failed: that is no try of the tool */
	bool probe; /* the one that a breaker lets through to see */
	bool unrecorded; /* its records did not get into the store */
	uint64_t command; /* the grant of the command that it is, or 0 */
	bool cancelled; /* such a command, before its end */
	struct tool_server *server; /* that it is made to; NULL: the world */
	bool unsent; /* to a server that is not there yet, or again */
	uint64_t server_ms; /* what it may take there */
	struct capture *capture; /* what is kept of the page; NULL: nothing */
	struct verdict *verdict; /* of an export that a person decides */
	enum reply_kind kind; /* of the answer */
	struct buf result;
	struct loop_timer timeout;
	const struct policy_fault *fault; /* that it is hit by; NULL: none */
	uint32_t fault_delay_ms;
	bool fault_tried; /* one was looked for */
	struct buf late; /* the tool's answer, while it is held back */
	bool late_ok, late_wrote;
};

/* What an approval is bound to: SHA-256 of name, NUL, canonical arguments. */
struct hash call_hash(struct str tool, struct str args);

/* MSG_TOOL_CALL. Answers by itself. */
void on_tool_call(const struct msg_tool_call *m, struct str payload);
/* MSG_BAD_REQUEST: it is on the record. */
void on_bad_request(const struct msg_tool_call *m, struct str payload);
/* MSG_WORLD_RESULT. */
void on_world_result(const struct msg_world_result *m, struct str payload);
/* MSG_SERVER_RESULT. */
void on_server_result(const struct msg_server_result *m, struct str payload);
/* Calls that a tool server has not answered yet, or NULL. */
struct call *call_first_of(const struct tool_server *s);
struct call *call_next_of(const struct call *c, const struct tool_server *s);
/* Calls that are commands under way (command.h), behind c or from the first. */
struct call *call_first_command(const struct call *c);
/*
 * Nothing that the server was asked will be answered. stays: calls that it has
 * not been given wait for it to be there again.
 */
void server_calls_end(struct tool_server *s, const char *why, bool stays);
/* The disk has moved: calls that waited for it go on. */
void call_durable(uint64_t seq);
/* The asker has hung up: its call goes on, unanswered. */
void call_gone(uint64_t asker);
/* The world is gone: what it was answering has no known end. */
void call_world_lost(void);
/* The supervisor is gone, and we end: every call that has begun ends now. */
void call_supervisor_lost(void);

/*
 * Executes what a person has approved: args as approved. Called once per
 * approval, after its record is appended.
 */
void call_execute_approved(struct run *r, const struct approval *a);

#endif
