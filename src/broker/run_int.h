/*
 * broker/run_int.h: what the sources of run.h share among themselves.
 */
#ifndef BROKER_RUN_INT_H
#define BROKER_RUN_INT_H

#include "broker/run.h"

/* Frees a run of which nothing is on record yet. */
void run_forget(struct run *r);
/* Records the end, gives everything back; freed by run_sweep. */
void run_close(struct run *r);
/* Writes its row. 0, or -1 when the store takes no more. */
int run_store(const struct run *r);
void run_doors_open(struct run *r, struct peer *to);
/* Lets go of command and descriptors that the sandbox was started with. */
void run_drop_start(struct run *r);
void run_arm_runtime(struct run *r);
void run_on_runtime(struct loop_timer *t);
void run_on_grace(struct loop_timer *t);
void run_on_orphan(struct loop_timer *t);

#endif
