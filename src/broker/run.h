/*
 * broker/run.h: one run while it is open.
 *
 * Opening takes several messages: the world first (if there is one), then the
 * sandbox (if there is a command), then the doors. A run closes once: its end
 * is recorded, what waited for it is answered, nothing of it stays.
 */
#ifndef BROKER_RUN_H
#define BROKER_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/limits.h"
#include "broker/box.h"
#include "broker/broker.h"
#include "codec/json.h"
#include "core/budget.h"
#include "core/id.h"
#include "core/labels.h"
#include "core/policy.h"

enum run_state {
	RUN_OPENING, /* world or sandbox are being made */
	RUN_OPEN,
	RUN_STOPPING, /* refused everything; the sandbox is ending */
	RUN_CLOSED, /* recorded; freed when the record is on disk */
};

/* How often a tool was called again after it failed. */
struct tool_use {
	struct hash failed; /* of name and arguments of the last failed call */
	bool has_failed;
	uint32_t retries;
	char name[NAME_MAX_BYTES];
};

/* How often a row's tools may still be called, and whether they work. */
struct row_use {
	const struct policy_tool *row;
	struct rate rate;
	struct breaker breaker;
};

struct grant; /* broker/inside.h */
struct egress_replay; /* broker/egress.h */
struct rerun; /* broker/rerun.h */

struct faults;
struct fork; /* broker/fork.h */
struct moment; /* broker/moment.h */

struct tool_server; /* broker/server.h */
struct draft;
struct early;
struct spent; /* broker/spend.c */

struct tool_name {
	char name[NAME_MAX_BYTES];
};

struct run {
	struct run *next;
	uint64_t id;
	char text[ID_BYTES];
	enum run_state state;
	const struct policy *policy; /* broker/policies.h */
	char policy_hex[HASH_HEX_BYTES];
	struct arena rules; /* of approvals, made of two of the policy's */
	struct labels labels;
	struct prov *prov; /* NULL: nothing asks where arguments come from */
	struct buf prompt; /* the user's text, until it is recorded */
	struct budget budget;
	struct spent **shares; /* by the policy's windows; NULL: it has none */
	uint32_t steps;
	uint32_t states_refused; /* that are on record */
	uint32_t calls_open;
	uint64_t captured_bytes; /* in blobs of page.captured */
	char requester[NAME_MAX_BYTES]; /* who opened it */
	struct hash token; /* an agent outside: SHA-256 of its token */
	bool has_token;

	/* what opening needs until it is done */
	uint64_t open_call; /* the request that waits for the answer */
	uint64_t attached; /* the request whose end stops the run, or 0 */
	bool leased; /* that was lost with its gateway: who waits holds it */
	struct buf start; /* payload of MSG_SANDBOX_START */
	struct msg_sandbox_start start_msg;
	int start_fds[5 + MOUNTS_MAX];
	size_t n_start_fds;
	bool ca_asked, has_ca; /* of those whose rules look into TLS */

	struct buf request; /* while the image is looked for */
	struct hash image; /* its digest */
	bool has_image;
	int image_fd; /* holds it until the sandbox does, or -1 */
	bool recorded; /* its opening is */

	struct buf world; /* its document, until there is a world for it */
	bool has_world;
	struct tool_name *tools; /* that the world has */
	uint32_t n_tools;
	struct buf listed; /* their definitions, as the agent may see them */
	bool has_sandbox; /* there is a command to run, or it stays */
	bool stays; /* a sandbox without a command of its own */
	bool sandbox_sent; /* the supervisor has been asked for it */
	int door_fd; /* a listener, kept for a gateway's restart */
	int net_fds[4]; /* of MSG_DOOR_OPEN to the proxy; likewise */
	size_t n_net_fds;
	int rpc_fd; /* of PID 1, for the gateway; likewise */
	struct grant *grants; /* that have not ended */
	uint32_t n_grants;
	uint64_t posture;

	int64_t opened_ns, closed_ns; /* UTC */
	int64_t opened_mono_ns;
	int64_t waited_ns, waiting_since_ns; /* for people */
	uint32_t waiting; /* approvals that are pending */
	struct loop_timer runtime; /* BUDGET_RUNTIME_MS */
	struct loop_timer grace; /* between stop and kill */
	struct loop_timer orphan; /* its client was lost and may come back */
	char stop_reason[64];
	struct buf stop_json; /* the structured stop, "" until then */
	struct msg_sandbox_exited exited;
	char status[16];
	char command[256]; /* for people */
	struct buf workspace; /* the work folder's path; "": none */
	struct buf mounts; /* ,"mounts":[...] for its record; "": none */
	struct policy *added; /* whose mounts stand beside the policy's, or
			       * NULL */
	uint64_t close_seq; /* its run.closed record */
	/* Of each rule of the policy's faults: calls that it was about, and
	 * those that it hit. */
	struct faults *faults; /* broker/fault.h; NULL: only those */
	struct stale *stale; /* broker/stale.h; NULL: nothing is kept */
	uint32_t fault_seen[POLICY_FAULTS_MAX], fault_hits[POLICY_FAULTS_MAX];
	struct draft *drafts; /* of tools with `commit`: broker/draft.h */
	struct tool_use *uses;
	uint32_t n_uses;
	struct row_use *row_uses; /* of rows that have a rate or a breaker */
	uint32_t n_row_uses;
	struct box box;
	struct secrets *secrets; /* NULL: it has none */
	uint32_t secrets_left; /* that the supervisor still reads */
	uint32_t renewing; /* a bit for each that is read anew */
	struct egress *egress; /* NULL: nothing was asked for yet */
	struct fork *fork; /* NULL: it began from nothing */
	uint64_t runtime_before_ms; /* of what it goes on from */
	uint64_t snapping; /* a snapshot of it that is being taken, or 0 */
	struct moment *moment; /* of that, once there was one; or NULL */
	struct tool_server *servers;
	struct early *early; /* who waits for their tools, in order */
	uint32_t n_early;
	bool has_left; /* servers_leave has been asked */
	uint32_t n_subscribed; /* broker/subscribe.h: that there are */
	uint32_t subscribes; /* that were ever asked for */
	uint32_t told; /* that a resource has changed */
	uint32_t bad_requests; /* broker/call_heads.c */
	struct egress_replay *replay; /* NULL: servers answer by themselves */
	struct rerun *rerun; /* NULL: so do tools */
};

struct run *run_find(uint64_t id); /* also closed ones that are not freed */
struct run *run_find_token(const struct hash *token);

/* API_RUN_OPEN: answers by itself, now or when the run is open. */
void run_open(const struct caller *who, uint64_t call, const struct json *args,
    const struct frame *f);

/* Messages of a run's opening and end. */
void on_world_opened(const struct msg_world_opened *m, struct str payload);
void on_sandbox_started(
    const struct msg_sandbox_started *m, const struct frame *f);
void on_secret_found(const struct msg_secret_found *m, const struct frame *f);
void on_image_found(const struct msg_image_found *m, const struct frame *f);
void on_sandbox_exited(const struct msg_sandbox_exited *m);
void on_sandbox_denied(const struct msg_sandbox_denied *m, struct str payload);

enum lease {
	LEASE_GOOD,
	LEASE_WAITS, /* one is read anew; egress_again follows */
	LEASE_OVER, /* one has expired or was revoked: *why says it */
};
/* May the i-th secret be used now? again: it is not read anew once more. */
enum lease run_secret_lease(
    struct run *r, uint32_t i, bool again, struct err *why);

/* The gateway or proxy was restarted: it gets the doors again. */
void run_doors_again(struct peer *to);
/* The world is gone, and with it the data of every run that had one. */
void run_world_lost(void);
/* There is a world again: what waits for it is opened. */
void run_world_back(void);
/* A new proxy: runs that wait for a CA ask it. */
void run_proxy_back(void);
void on_ca(const struct msg_door *m, struct str pem);

/*
 * Ends a run: from now on every call is answered with the structured stop;
 * the sandbox is killed at once, or after RUN_STOP_GRACE_MS so that the agent
 * can read why. json is the stop object; "" makes one of reason.
 */
void run_stop(struct run *r, const char *reason, struct str json, bool at_once);
/*
 * Stops the run because a budget is used up, w of those that it shares. See
 * broker/spend.h.
 */
void run_stop_budget(struct run *r, enum budget_kind k, uint64_t used,
    const struct budget_window *w);

/* Time that the run has had, less what it waited for people. */
uint64_t run_runtime_ms(const struct run *r);

/* Clocks stop while the run waits for a person. */
void run_wait_begin(struct run *r);
void run_wait_end(struct run *r);

/* Writes the run as the API shows it. */
void run_write(struct buf *out, const struct run *r);
void run_row_write(struct buf *out, const struct store_run *row);

/* Frees what is closed and on disk. Called when the disk has moved. */
void run_sweep(void);
/* Closes what a broker that died left open in the store. */
int run_recover(struct err *e);

#endif
