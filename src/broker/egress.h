/*
 * broker/egress.h: what a sandbox wants to reach. The proxy asks about each
 * connection and request; core/egress.h decides; here it is recorded, charged
 * and answered, and its end goes on record.
 */
#ifndef BROKER_EGRESS_H
#define BROKER_EGRESS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "ipc/msg.h"
#include "sys/loop.h"

struct approval;
struct buf;
struct egress_replay;
struct json;
struct run;

void on_egress_ask(const struct msg_egress_ask *m, struct str payload);
void on_egress_done(const struct msg_egress_done *m, struct str payload);
/*
 * Of an approval whose `ask` is set: why a yes would not count now (NULL: it
 * would), and what is done about a yes and about anything else.
 */
const char *egress_not_now(struct run *r, const struct approval *a);
void egress_approved(struct run *r, const struct approval *a);
void egress_refused(struct run *r, const struct approval *a);
/* "replay_http" and "replay_miss" of a run that opens. -1 with why not. */
int egress_replay_take(struct run *r, const struct json *args, struct err *e);
/* Where it is, for a snapshot; nothing when it is NULL. */
void egress_replay_write(struct buf *out, const struct egress_replay *p);
/* Goes on from there, unless the fork replays another one. -1 with e. */
int egress_replay_resume(struct run *r, const struct json *at, struct err *e);
void egress_replay_free(struct egress_replay *p);
/* It is answered out of that run's record. */
bool egress_replay_is_of(const struct egress_replay *p, uint64_t run);
/* Questions of this run that waited for a secret are judged anew. */
void egress_again(uint64_t run);
/* The disk has moved: verdicts that waited for it are given. */
void egress_durable(uint64_t seq);
/* The proxy is gone: what it was doing has no known end. */
void egress_proxy_lost(void);
/*
 * The sandbox has ended. True when something of it is still under way: t goes
 * off when that has ended, or after EGRESS_SETTLE_MS.
 */
bool egress_settle(struct run *r, struct loop_timer *t);
/* The run has closed: what was under way ends on the record. */
void egress_end_run(struct run *r);
void egress_free_run(struct run *r);

#endif
