/*
 * broker/broker.h: the one process that decides, and the one that records.
 *
 * A tool call goes call.c -> policy -> (approval.c) -> world -> call.c; an
 * API request goes api.c, which holds it against the table of ipc/api.h first.
 * All state that matters is in the store; what is here can be lost.
 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "core/event.h"
#include "core/identity.h"
#include "ipc/msg.h"
#include "ipc/peer.h"
#include "store/store.h"
#include "sys/loop.h"

struct run;
struct call;
struct caller; /* broker/who.h */
struct approval;
struct stream;
struct asker;
struct egress;

struct broker {
	struct loop *loop;
	struct peer supervisor, gateway, proxy, world, tools;
	struct store *store;
	struct loop_watch store_watch;
	bool store_full; /* and that was said */
	struct hash operator_token;
	struct run *runs; /* open, and closing */
	uint32_t n_runs;
	struct approval *approvals; /* pending, and decided in open runs */
	struct stream *streams; /* who follows a run's events */
	struct asker *askers; /* who waits for a run's end */
	uint64_t last_of[EVENT_KINDS]; /* the newest record of each kind */
	struct call *durable_first, **durable_last; /* wait for the disk */
	uint64_t next_call; /* numbers of our own calls to the world */
	uint64_t next_grant; /* numbers of what is done inside sandboxes */
	bool quit_when_idle;
	bool quitting;
};

extern struct broker broker;

/* Answers a request of the gateway. call 0 answers nobody. */
void reply(uint64_t call, enum reply_kind kind, uint32_t http, struct str json);
/* The same with an error object that names the remedy. */
void reply_error(uint64_t call, uint32_t http, const char *code,
    const char *message, const char *next_step);

/* True when a tool has done what it was asked. */
bool reply_is_result(enum reply_kind kind);

/* A random number for an id, never 0. */
uint64_t random_id(void);

/* Ends the process once nothing is open, if that was asked. */
void broker_maybe_quit(void);

#endif
