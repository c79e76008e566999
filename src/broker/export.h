/*
 * broker/export.h: files.export, the way of files out of a sandbox.
 *
 * A tool that every run with a sandbox has, when its policy lists it. What is
 * exported is read once, before anybody is asked, and kept as it was in a
 * sealed memory file: the approval shows names, sizes and hashes of exactly
 * the bytes that are written later, whatever the sandbox does meanwhile.
 *
 *   call -> verdict -> MSG_EXPORT -> MSG_EXPORT_READ -> approval, if it needs
 *   one -> started, on disk -> written below exports/RUN/STEP of the store
 *
 * Names come from the agent, so nothing is followed or replaced on the way
 * (sys/copy_out.h); files only, readable to their owner, without any of the
 * bits they had. What is no regular file inside is left out, and listed.
 */
#ifndef BROKER_EXPORT_H
#define BROKER_EXPORT_H

#include "broker/call.h"

/* True for the name of the tool. */
bool export_is(struct str tool);
/* Its definition, for the list of tools; {"description":...}. */
extern const char export_definition[];

/* 0, or -1 with what the agent has to mend. */
int export_check(const struct json *args, struct err *e);
/* Asks for the files: on_read is called with c once they are there. */
void export_read(struct run *r, struct call *c,
    void (*on_read)(struct run *r, struct call *c, bool whole));
/* MSG_EXPORT_READ */
void on_export_read(const struct msg_export *m, const struct frame *f);
/* The gateway is gone, and what it was reading with it. */
void export_gateway_lost(void);

/* True when no file could be read. */
bool export_is_empty(const struct run *r, uint32_t step);
/* What was read for this step, for a reviewer: {"files":[...]}. */
void export_preview(struct buf *out, const struct run *r, uint32_t step);
/*
 * Writes what was read for c, unless it is simulated; the result goes to out.
 * REPLY_OK, or REPLY_TOOL_ERROR and nothing of it is there.
 */
enum reply_kind export_write(
    const struct run *r, const struct call *c, struct buf *out);
/* Nothing that was read is needed any more. */
void export_forget(uint64_t run, uint32_t step);
void export_free_run(uint64_t run);

#endif
