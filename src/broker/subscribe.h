/*
 * broker/subscribe.h: what agents are told of by themselves: that a resource
 * of a tool server is another now.
 *
 * A subscription is allowed while reading the resource would be, at once and
 * without a person: that is asked of the policy when it is made, and again
 * each time that something is told. It is held by one client: a session of
 * the older eras, or a request of the newest that stays open. The server is
 * asked once for each resource, and once more when it has been started again.
 *
 * What the agent is told is the URI that it has named itself and nothing of
 * the server's, so nothing is labelled. Each subscription, its end and each
 * time that something is told is on the record; all of them have a limit in
 * each run.
 */
#ifndef BROKER_SUBSCRIBE_H
#define BROKER_SUBSCRIBE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/run.h"
#include "ipc/msg.h"

struct tool_server;

/*
 * payload: {"holder":n,"uris":[...]}; without a holder it is the request
 * itself. Answers, when the servers have, {"refused":[{"code","reason","uri"},
 * ...],"uris":[...]}: all that the holder is told of.
 */
void subscribe(uint64_t call, uint64_t run, struct str payload);
/* payload: the same, of what it is to be told of no more. */
void unsubscribe(uint64_t call, uint64_t run, struct str payload);

/* A holder, or who asked, is gone. */
void subscribe_gone(uint64_t number);
/* Every holder is. */
void subscribe_gateway_lost(void);

/* False when it is the answer to no question of ours. */
bool subscribe_result(const struct msg_server_result *m, struct str payload);
/* MSG_SERVER_UPDATED */
void on_server_updated(const struct msg_server *m, struct str uri);

/* It can be talked to, for the first time or again. */
void subscribe_server_ready(struct tool_server *s);
/* It cannot; stays: it will be started again. */
void subscribe_server_down(struct tool_server *s, bool stays);
/* The run closes. */
void subscribe_end_run(struct run *r);

#endif
