/*
 * broker/api.h: requests of REST /v1: who asks, and may they (ipc/api.h).
 */
#ifndef BROKER_API_H
#define BROKER_API_H

#include "ipc/msg.h"
#include "ipc/peer.h"

/* Answers with the tools that the agent of a run may see. */
void api_tool_list(uint64_t call, uint64_t run);
void on_api(const struct msg_api *m, const struct frame *f);

#endif
