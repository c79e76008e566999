/*
 * gateway/pending.h: questions to the broker and the way back of its answers.
 *
 * A call's number holds the slot of its client, so an answer finds it without
 * a search; an answer to somebody who has gone finds nobody.
 */
#ifndef GATEWAY_PENDING_H
#define GATEWAY_PENDING_H

#include "gateway/gateway.h"

void pending_init(struct client *cl);

/*
 * The next question of cl. Nothing is sent yet: its members are the asker's
 * to set. The timer is not set.
 */
struct pending *pending_begin(struct client *cl, enum question what);

/* Sends g->payload as MSG_TOOL_CALL. 0, or -1: the broker is not there. */
int pending_call(struct client *cl, uint64_t run);
/* Sends g->payload as MSG_API. fds are borrowed. */
int pending_api(
    struct client *cl, enum api_op op, const int *fds, size_t n_fds);

/* The question has its answer: cl may ask again. */
void pending_end(struct client *cl);
/* The client is gone: the broker is told what nobody waits for any more. */
void pending_abandon(struct client *cl);
/* The same, and it wants the call to be stopped where it is made. */
void pending_cancel(struct client *cl);
/* A number that is no client's, for what lasts longer than a question. */
uint64_t pending_number(struct gateway *g);
/* Nobody has that number any more. */
void pending_gone(struct gateway *g, uint64_t number);
/* (Re)starts the timer of the question. */
void pending_wake(struct client *cl, uint32_t ms);

void pending_on_reply(
    struct gateway *g, const struct msg_reply *r, struct str payload);
void pending_on_event(
    struct gateway *g, const struct msg_event *ev, struct str payload);
/* The broker is gone: all who wait are told. */
void pending_fail_all(struct gateway *g);

#endif
