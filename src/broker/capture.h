/*
 * broker/capture.h: what a tool server's page looks like before and after a
 * call of it, kept in the trace for people.
 *
 *     the call's turn -> before: each tool of `with` is asked
 *                     -> its records are on disk -> the call is sent
 *                     -> it is answered -> after: each is asked once more
 *                     -> the call ends
 *
 * One call at a time is made to a server with captures, so that a capture is
 * of its own call. What a capture holds is a stranger's; it becomes records
 * `page.captured` with the picture or the text as a blob, and nobody but who
 * reads the trace gets it. Without a capture before it a call is not made,
 * unless the policy says `"on_failure": "record"`; the lack of one after it is
 * recorded.
 */
#ifndef BROKER_CAPTURE_H
#define BROKER_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "ipc/msg.h"

struct call;
struct capture;
struct tool_server;

/*
 * A call has its turn with its server. True: it is sent later, by
 * server_call_send, or has ended; false: nothing is to be captured before it.
 */
bool capture_before(struct tool_server *s, struct call *c);
/*
 * A call that is taken has been answered. True when its end waits for what is
 * captured then: call_server_answered follows.
 */
bool capture_after(struct call *c, enum server_result kind, struct str payload);
/* MSG_SERVER_RESULT: true when it is about a capture. */
bool capture_result(const struct msg_server_result *m, struct str payload);
/* The server is away: calls that have not been sent begin anew with the next
 * one, those that were answered end as they were. */
void capture_server_gone(const struct tool_server *s);
/* The disk has moved: calls whose captures are on it are sent. */
void capture_durable(uint64_t seq);
void capture_free(struct capture *k); /* NULL is nothing */

#endif
