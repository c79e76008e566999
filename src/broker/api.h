/*
 * broker/api.h: requests of REST /v1: who asks, and may they (ipc/api.h).
 */
#ifndef BROKER_API_H
#define BROKER_API_H

#include "ipc/msg.h"
#include "ipc/peer.h"

/*
 * Answers with what the agent of a run may see. list: "tools", "resources",
 * "resourceTemplates" or "prompts".
 */
void api_tool_list(uint64_t call, uint64_t run, struct str list);
void on_api(const struct msg_api *m, const struct frame *f);

#endif
