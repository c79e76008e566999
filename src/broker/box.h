/*
 * broker/box.h: the sandbox of a run, seen from outside: pause, resume and
 * measure it, and end the run when its time to live or its idle time is over.
 *
 * The supervisor does it; what it did is on the record. A paused run's clocks
 * stand still, but for its time to live. Calls that its agent had made before
 * it was frozen are held until it goes on; agents elsewhere are refused.
 */
#ifndef BROKER_BOX_H
#define BROKER_BOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "codec/json.h"
#include "ipc/msg.h"
#include "sys/loop.h"

struct caller;
struct held;
struct run;
struct store_run;

struct box {
	bool paused;
	bool asked; /* to freeze or thaw: the answer is on its way */
	char by[NAME_MAX_BYTES]; /* who asked */
	uint64_t ttl_ms, idle_ms; /* 0: none */
	struct loop_timer ttl, idle;
	int64_t touched_ns; /* when something was last asked of the run */
	uint64_t cpu_seen_ns; /* used by then */
	struct buf tags; /* canonical JSON object, or "" */
	struct held *held; /* calls, in order */
	uint32_t n_held;
};

/* API_PAUSE, API_RESUME, API_STAT. Answers by itself, now or when told. */
void box_ask(const struct caller *who, uint64_t call, uint64_t run,
    enum sandbox_ask what);
/* MSG_SANDBOX_TOLD. */
void on_sandbox_told(const struct msg_sandbox_told *m, struct str payload);

/*
 * Takes ttl_ms, idle_ms and tags of a request to open a run. 0, or -1 with
 * e that names the member.
 */
int box_take(struct run *r, const struct json *args, struct err *e);
/* The run is open: its clocks start. */
void box_opened(struct run *r);
/* Something was asked of the run: it is not idle. */
void box_touch(struct run *r);
/* The run closes: stops the clocks, and answers what is held. */
void box_end(struct run *r);

/*
 * True when the run is paused: then the call is held, or answered with a
 * refusal.
 */
bool box_holds(
    struct run *r, const struct msg_tool_call *m, struct str payload);
/* The asker has hung up. */
void box_gone(uint64_t call);

/*
 * run_stop, and with grace_ms > 0 a SIGTERM to the command that long before
 * the end. A paused run ends at once.
 */
void box_stop(struct run *r, const char *reason, uint64_t grace_ms);

/*
 * Of a run that is not in memory, from its run.opened: appends its tags, as an
 * object, and ,"image":{...} and ,"mounts":[...] where it had them.
 */
void box_opened_read(uint64_t run, struct buf *tags, struct buf *image);
/*
 * Likewise from its run.closed: how many files it has planted, and its walls
 * as ,"walls":[...] where it had a sandbox. steps is how many it had, since
 * that record is in the step behind them.
 */
uint64_t box_closed_read(uint64_t run, uint32_t steps, struct buf *walls);
/* True when an object of tags has "key=value". */
bool box_tags_have(struct str tags, struct str tag);

#endif
