/*
 * ipc/route.h: who may say what to whom. One table, checked for every frame
 * that arrives, before anybody looks at its body.
 */
#ifndef IPC_ROUTE_H
#define IPC_ROUTE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "ipc/msg.h"

struct route {
	enum role from, to;
	uint16_t type;
	uint16_t body_bytes; /* exactly */
	uint32_t max_payload_bytes;
	uint8_t min_fds, max_fds; /* besides a memfd for the payload */
};

/* NULL when from may not send type to to. */
const struct route *route_find(enum role from, enum role to, uint16_t type);

/* 0 when a frame of these measures is allowed, else -1 with why. */
int route_check(enum role from, enum role to, const struct msg_head *h,
    size_t body_bytes, size_t fds, struct err *e);

#endif
