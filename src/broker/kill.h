/*
 * broker/kill.h: the kill switch, as the supervisor tells of it, and by the
 * API. What the supervisor has killed is on the record here, and runs that
 * have no sandbox are stopped with the others.
 */
#ifndef BROKER_KILL_H
#define BROKER_KILL_H

#include "broker/broker.h"
#include "codec/json.h"
#include "core/policy.h"

void on_kill(const struct msg_kill *m);
/* API: {"what": "tenant", "name": "acme"}. Answers by itself. */
void kill_api(const struct caller *who, uint64_t call, const struct json *args);
/* True, and call has been answered: a run of this policy may not open now. */
bool kill_refuses(uint64_t call, const struct policy *policy);

#endif
