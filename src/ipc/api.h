/*
 * ipc/api.h: what REST /v1 can ask, and who may: one row an operation.
 *
 * The broker holds every request against its row before a handler sees it; the
 * gateway's routes name rows, and docs/openapi.json repeats their scopes.
 */
#ifndef IPC_API_H
#define IPC_API_H

#include <stdbool.h>

#include "base/str.h"
#include "ipc/msg.h"

struct api_rule {
	const char *name; /* for people: "open a run" */
	struct str scope; /* that is needed; "": none */
	bool agent; /* an agent may ask it about its own run */
	bool needs_run; /* the member `run` must be there */
	bool all_tenants; /* for those who belong to no tenant only */
	bool by_link; /* also by a reply link, about its approval */
};

const struct api_rule *api_rule(enum api_op op);
/* A call of a tool by a person, in the place of a run's agent. */
#define API_CALL_SCOPE STR("calls:make")

#endif
