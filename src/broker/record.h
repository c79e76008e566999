/*
 * broker/record.h: events of a run, with what every one of them carries.
 */
#ifndef BROKER_RECORD_H
#define BROKER_RECORD_H

#include "broker/run.h"
#include "core/event.h"

/*
 * An event of a run with time, identity, workflow and policy filled in. The
 * texts are borrowed from the run: append it before the run changes.
 */
struct event record_of(const struct run *r, enum event_kind kind);
/* Appends. Returns its number, 0 when the store takes no more. */
uint64_t record_add(struct event *ev);

#endif
