/*
 * broker/server.h: the tool servers of a run.
 *
 * Each is a sandbox of its own, beside the run's, with what the policy gives
 * it: its command, its variables, folders that the run sees, and, where its row
 * says so, a way out of its own (server_net.c): it may reach what the run may,
 * and its connections are the run's. One with a `url` is none of ours: only the
 * way to it is (server_http.c).
 * The tools role talks to it. All of a run's start together, when the run
 * opens; who lists or calls tools before they are known is held. One that ends
 * is started again, later each time; calls that it had been given are answered
 * then, and never made twice.
 *
 *     STARTING -> READY -> RESTING -> STARTING ...
 *                       -> ENDED, for this run
 *
 * What a tool is said to be is held against the policy's pin, against what it
 * was said to be to other runs of the tenant (pin.h), and to this run: a
 * definition that differs is quarantined, which is on the record, and its tool
 * is not offered.
 */
#ifndef BROKER_SERVER_H
#define BROKER_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "broker/run.h"
#include "codec/json.h"
#include "ipc/msg.h"

struct call;
struct pin_of;
struct image_config;
struct tool_server;

/*
 * What the servers are to be started with. -1 with e: the policy's servers and
 * the run do not go together. image is NULL without one.
 */
int servers_take(
    struct run *r, const struct image_config *image, struct err *e);
void servers_start(struct run *r);
/*
 * The run ends: sessions of servers over HTTP are ended first. True when that
 * is under way: run_left follows, unless somebody is quicker. Once.
 */
bool servers_leave(struct run *r);
/* True of a request by which that is done. */
bool server_is_leaving(const struct run *r, uint64_t server);
/* The run closes: they are killed, and what they were asked is answered. */
void servers_end(struct run *r);
/* True when nothing of them is left. */
bool servers_gone(const struct run *r);
void servers_free(struct run *r);

/* Messages of the tools role. */
void on_server_pipes(const struct msg_server *m, const struct frame *f);
/* A connection of one over HTTP: the proxy gets it. */
void on_server_line(const struct msg_server *m, const struct frame *f);
void on_server_listed(const struct msg_server_listed *m, struct str payload);
/* How far a call has come: who waits for it is told. */
void on_server_progress(const struct msg_server_part *m, struct str payload);
/* Of a sandbox that is no run's: false when it is no server's either. */
bool server_started(const struct msg_sandbox_started *m, const struct frame *f);
bool server_exited(const struct msg_sandbox_exited *m);
/* The tools role is gone, and with it every pipe. */
void servers_lost(void);

/* The row of one over HTTP, or NULL. */
const struct policy_server *server_over_http(
    const struct run *r, uint64_t server);
/* True when secrets may go out by a server, or be seen in a capture. */
bool servers_want_secrets(const struct policy *p);
/* MSG_CA of a server. */
void server_net_ca(const struct msg_door *m, struct str pem);
/* A new proxy is told of every server's door, and asked for CAs again. */
void server_net_again(void);
/* True when a server of the run can reach anything. */
bool server_net_is_open(const struct run *r);
/* The name of a server of the run; n is 0 when it has ended. */
struct str server_name(const struct run *r, uint64_t server);

enum offer {
	OFFER_NONE, /* no server of the run has it */
	OFFER_GOOD,
	OFFER_QUARANTINED,
};
/*
 * True when the fields that a call of the tool came with say what its arguments
 * do, or its definition wants none; else why says what is wrong.
 */
bool server_heads_ok(const struct run *r, struct str tool,
    const struct json *args, const struct json *heads, struct buf *why);
enum offer server_offers(const struct run *r, struct str tool);
/* Why the tool is quarantined, and what can be done: of REASON_BYTES each. */
void server_quarantine_why(
    const struct run *r, struct str tool, char *reason, char *next_step);
/*
 * A person has accepted the definition of this hash, or taken that back: it
 * holds at once, in all open runs of the tenant.
 */
void servers_pin_decided(
    const struct pin_of *of, const struct hash *hash, bool good);
/* The most that a call of the tool may take at its server. */
uint32_t server_cap_ms(const struct run *r, struct str tool);

/*
 * What else servers offer. "SERVER/resources", "SERVER/prompts" and
 * "SERVER/completion" are names as those of tools are: a policy lists them,
 * and who calls one reads a resource, gets a prompt or a completion. An agent
 * names none of them: it asks by URI or by a prompt's name.
 *
 * Appends the call that {"arguments","method","state"} is. What no server has
 * keeps the method as its name, which no server offers.
 */
void server_call_of(
    const struct run *r, const struct json *call, struct buf *out);
/* Appends {...},{...}: "resources", "resourceTemplates" or "prompts". */
void servers_write_list(struct buf *out, const struct run *r, struct str list);
/*
 * Makes the call, now or when the server is there again: on_server_result in
 * call.h follows. *ms is what the server's row leaves of the tool's own time.
 */
void server_call_make(struct run *r, struct call *c, int64_t *ms);

/* Who asked wants it no more: the server is told to stop, if it has it. */
void server_call_cancel(uint64_t asker);
/* The call ends: its server's next one may have its turn. */
void server_call_over(struct call *c);

/* True when the call's server is not started again: it will not be made. */
bool server_is_over(const struct call *c);

/*
 * True when the servers' tools are not known yet: then the call, or the one
 * who lists, is held, and comes again by itself.
 */
bool servers_hold_call(
    struct run *r, const struct msg_tool_call *m, struct str payload);
/* again: is called with the run then, and with what it is given here. */
bool servers_hold_list(struct run *r, uint64_t call, struct str what,
    void (*again)(uint64_t call, uint64_t run, struct str what));
/* The asker has hung up. */
void servers_gone_asker(uint64_t call);

/* Appends ,{...} for each tool that the policy lets the agent see. */
void servers_write_tools(struct buf *out, const struct run *r);

#endif
