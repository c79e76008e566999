/*
 * broker/run_int.h: what the sources of run.h share among themselves.
 */
#ifndef BROKER_RUN_INT_H
#define BROKER_RUN_INT_H

#include "broker/run.h"

struct image_config; /* image/config.h */

/* The policy of a request, or NULL: it has been answered. */
struct policy *run_policy_take(uint64_t call, const struct json *args);
void run_answer_problems(uint64_t call, const struct policy_problems *all);
/* A fork whose record is on disk and whose files are as they were begins, or
 * closes as failed. */
void run_fork_go(struct run *r);
void run_fork_fail(struct run *r, const char *why);
/*
 * Folders that the request mounts beside those of its policy: into *added, a
 * policy with nothing else, or NULL for none. False when it has been answered.
 */
bool run_mounts_take(uint64_t call, const struct json *args,
    const struct policy *policy, struct policy **added);
/*
 * Opening goes on with what the request says, now that the image is known.
 * image is NULL without one; a is for what is made of it.
 */
void run_go_on(struct run *r, const struct json *args,
    const struct image_config *image, struct arena *a);
/* Answers why not, and forgets the run: nothing of it is on record. */
void run_refuse(struct run *r, uint32_t http, const char *code,
    const char *message, const char *next_step);
/*
 * Fills in r->start and r->start_msg from the request; argv is its command or
 * the image's. -1 with e: it asks for what cannot be.
 */
int run_start_take(struct run *r, const struct json *args,
    const struct json *argv, const struct image_config *image, struct err *e);
/* Append the variables for a way out, and for certificates; how many. */
uint32_t run_start_proxies(struct buf *out);
uint32_t run_start_trust(struct buf *out);
/* Takes `prompt`, the user's text. -1 with e: it is none. */
int run_input_take(struct run *r, const struct json *args, struct err *e);
/* False: the store takes no more. */
bool run_input_record(struct run *r);
/* Asks for the policy's secrets; run_open_image follows. */
void run_secrets_ask(struct run *r);
/* Tells the proxy what no request of the run may hold. */
void run_secrets_watch(const struct run *r);
/* The next step of opening, when the secrets are there. */
void run_open_image(struct run *r, const struct json *args);
/* Asks for the image that the policy names; run_go_on follows. */
void run_image_ask(struct run *r);
/* Appends ,"image":{...}. */
void run_image_write(struct buf *out, const struct run *r);
/* Appends ,"walls":[...] of a run that has, or had, a sandbox. */
void run_walls_write(struct buf *out, const struct run *r);
/* The row that the store keeps of it; texts are the run's own. */
struct store_run run_row(const struct run *r);
/* Frees a run of which nothing is on record yet. */
void run_forget(struct run *r);
/* Records the end, gives everything back; freed by run_sweep. */
void run_close(struct run *r);
/* All sessions with its servers are ended: it closes. */
void run_left(struct run *r);
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
