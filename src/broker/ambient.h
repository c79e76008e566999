/*
 * broker/ambient.h: the time and randomness that an agent asks us for.
 *
 * What a program takes from the kernel by itself differs with each execution.
 * What it takes from here is a call as others are: it is recorded, and a run
 * that is answered from that record is told the same (broker/rerun.h).
 */
#ifndef BROKER_AMBIENT_H
#define BROKER_AMBIENT_H

#include "broker/run.h"
#include "codec/json.h"

/* paddock.now, paddock.random */
bool ambient_is(struct str tool);
/* Appends ,{...} for each of them that the policy lets the agent see. */
void ambient_list(struct buf *out, const struct policy *p);
/* Appends the answer. False: it says what is wrong with the arguments. */
bool ambient_answer(struct buf *out, struct str tool, const struct json *args);

#endif
