/*
 * broker/retention.h: content of closed runs goes when its tenant's rule says
 * so (store/keep.h).
 *
 * In small steps, beside all else. What goes, goes together with its record.
 * A run stays as it is while something refers to it: a snapshot of it, a fork
 * or a replay of it that is open, an approval that is asked for.
 */
#ifndef BROKER_RETENTION_H
#define BROKER_RETENTION_H

#include <stdint.h>

struct caller;
struct json;

/* Once the store is open. */
void retention_begin(void);

/* API_RETENTION_LIST, API_RETENTION_SET: they answer by themselves. */
void retention_list(uint64_t call);
void retention_set(
    const struct caller *who, uint64_t call, const struct json *args);

#endif
