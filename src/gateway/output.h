/*
 * gateway/output.h: what a run without a terminal of its own writes.
 *
 * A client that opens a run and sends no descriptors gets pipes of ours as
 * the command's output. Each keeps its newest bytes, and counts the others.
 */
#ifndef GATEWAY_OUTPUT_H
#define GATEWAY_OUTPUT_H

#include "gateway/gateway.h"

enum { OUTPUT_FDS = 3 }; /* stdin, stdout, stderr */

/*
 * The descriptors for the command, the caller's to close: an input that is at
 * its end, and two pipes that are read from now on.
 */
struct output *output_new(
    struct gateway *g, int fds[static OUTPUT_FDS], struct err *e);
void output_free(struct gateway *g, struct output *o);
/* The run is the one that this call opens. */
void output_set_call(struct output *o, uint64_t call);
/* Learns the run's name when the answer is the one that it waits for. */
void output_on_reply(
    struct gateway *g, const struct msg_reply *r, struct str payload);
/* {"dropped_bytes":n,"stderr":"...","stdout":"..."}; -1: none is kept. */
int output_put(struct gateway *g, uint64_t run, struct buf *b);
void output_free_all(struct gateway *g);

#endif
