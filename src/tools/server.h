/*
 * tools/server.h: one tool server, as its client.
 *
 *     server/discover -> answer: 2026-07-28
 *                     -> error, or nothing in time: initialize, the older eras
 *     tools/list and the other lists, page by page -> on_listed, again when
 *     they change
 *     tools/call, resources/read, prompts/get, completion/complete ->
 *     on_result, exactly once for each
 *     resources/subscribe, or subscriptions/listen -> on_result, then
 * on_updated
 *
 * Ids are ours, one space per server. An answer to nothing that was asked, or
 * a second one, is nobody's and is dropped. What takes too long is cancelled
 * and answered here; the server stays. Requests to the client are answered
 * that there is no such method.
 *
 * Messages are lines of a pipe (pipes.h), or go over HTTP (http.h).
 */
#ifndef TOOLS_SERVER_H
#define TOOLS_SERVER_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "ipc/msg.h"
#include "sys/loop.h"

struct json;
struct server;

struct server_hear {
	void *arg;
	/* As MSG_SERVER_LISTED. ok false: the last of it; free it later. */
	void (*on_listed)(void *arg, uint64_t id, bool ok, struct str payload);
	/* As MSG_SERVER_RESULT. */
	void (*on_result)(void *arg, uint64_t id, uint64_t call,
	    enum server_result kind, struct str payload);
	/* As MSG_SERVER_PROGRESS. */
	void (*on_progress)(
	    void *arg, uint64_t id, uint64_t call, struct str payload);
	/* As MSG_SERVER_UPDATED. */
	void (*on_updated)(void *arg, uint64_t id, struct str uri);
	/* A connection for the proxy; fd is taken over. */
	void (*on_line)(void *arg, uint64_t id, int fd);
};

/* theirs are the ends of the pipes for the server's own streams. */
struct server *server_new(struct loop *loop, uint64_t id,
    const struct server_hear *hear, int theirs[static 3], struct err *e);
/*
 * One over HTTP; entry is the payload of MSG_SERVER_OPEN. What it says begins
 * when the loop goes on.
 */
struct server *server_new_http(struct loop *loop, uint64_t id,
    const struct server_hear *hear, const struct json *entry, struct err *e);
/* What is under way is answered by nothing any more. */
void server_free(struct server *s);
uint64_t server_id(const struct server *s);
/* params: what the method takes, canonical. */
void server_call(struct server *s, uint64_t call, enum server_ask ask,
    struct str params, uint64_t timeout_ms);
/* Nobody wants the answer: it is told to stop, and the call ends. */
void server_cancel(struct server *s, uint64_t call);

/*
 * Nothing more is asked of it: a session of its own is ended. on_listed with
 * ok false follows, at once where there is none.
 */
void server_leave(struct server *s);

#endif
