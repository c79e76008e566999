/*
 * broker/follow.h: requests that wait: for a run's end, or for its events.
 */
#ifndef BROKER_FOLLOW_H
#define BROKER_FOLLOW_H

#include <stdint.h>

#include "broker/run.h"
#include "codec/json.h"

/* API_RUN_WAIT: answers when the run has closed, or after timeout_ms. */
void follow_end(uint64_t call, uint64_t run, const struct json *args);
/* API_EVENT_STREAM: what is on disk from args.from on, then what comes. */
void follow_events(uint64_t call, uint64_t run, const struct json *args);

/* The run's end is on disk: answers those who wait for it. */
void follow_run_closed(struct run *r);
/* More is on disk: sends it to those who follow. */
void follow_durable(void);
void follow_gone(uint64_t call);
void follow_gateway_lost(void);

#endif
