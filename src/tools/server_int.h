/*
 * tools/server_int.h: what the sources of server.h share.
 *
 *     server.c       messages both ways, calls and their ends
 *     server_open.c  the eras, and its lists
 *     server_notify.c  how far calls are, and that nobody wants them any more
 *     server_http.c    its messages over HTTP
 *     server_watch.c   what it tells by itself
 */
#ifndef TOOLS_SERVER_INT_H
#define TOOLS_SERVER_INT_H

#include "base/arena.h"
#include "codec/json.h"
#include "tools/definition.h"
#include "tools/http.h"
#include "tools/pipes.h"
#include "tools/server.h"

enum ask_kind {
	ASK_DISCOVER,
	ASK_INITIALIZE,
	ASK_LIST, /* a page of tools/list, or of another list */
	ASK_CALL,
	ASK_LISTEN, /* subscriptions/listen: stays open */
};

enum { WATCH_LISTS = 3 }; /* that it may tell are others */

/* A request of ours that has no answer yet. */
struct ask {
	struct ask *next;
	struct server *server;
	uint64_t id;
	enum ask_kind kind;
	uint64_t call; /* ASK_CALL: the broker's number */
	enum server_ask what; /* ASK_CALL */
	struct buf uri; /* forgotten unless it is answered well; or "" */
	double progress; /* the newest that it told */
	uint32_t told; /* how often */
	struct loop_timer late;
};

struct server {
	uint64_t id;
	struct loop *loop;
	struct server_hear hear;
	bool over_http; /* pipes are not used then, else http is not */
	struct pipes pipes;
	struct http http;
	struct ask *asks; /* newest first */
	uint64_t next_id;
	bool open; /* its era is known */
	bool modern;
	bool asked_again; /* whether it is of the newest era */
	bool over; /* on_listed has said so */
	struct server_api *api; /* over HTTP: it speaks no MCP; or NULL */
	bool listens; /* over HTTP: to what it says by itself */
	uint64_t leaving; /* the request that ends its session; 0: none */
	bool has[DEFINITION_KINDS]; /* as its capabilities say */
	bool completes;
	bool listing, list_again;
	enum definition_kind kind; /* that is being listed */
	uint32_t pages;
	uint32_t noise; /* lines that were no message */
	uint32_t listings; /* times that its lists were asked for */
	uint32_t its_asks; /* requests to us */
	bool subscribes; /* the older eras: it takes resources/subscribe */
	bool tells[WATCH_LISTS]; /* as its capabilities say */
	struct watched *watched; /* resources; newest first */
	size_t n_watched;
	uint64_t listen; /* the newest of ASK_LISTEN; 0: none */
	uint64_t listen_before; /* open until that is acknowledged */
	bool listen_ok; /* it is */
	bool listen_again; /* when it is, for what came meanwhile */
	bool missed; /* it may have told what nobody heard */
	uint32_t relistens;
	struct loop_timer relisten;
	struct loop_timer tell; /* of what has changed */
	bool telling; /* it is set */
	int64_t told_ns;
	char era[32]; /* the version that was agreed on */
	struct buf info; /* serverInfo, canonical, or "" */
	struct definitions lists[DEFINITION_KINDS];
	struct arena arena; /* of the message at hand */
};

extern const struct json_limits server_json_limits;

/* Sends a request; params is an object, its braces included, or "{}". */
struct ask *server_ask(struct server *s, enum ask_kind kind, const char *method,
    struct str params, int64_t timeout_ms);
void server_notify(struct server *s, const char *method, struct str params);
/* It is of no use: all that is under way ends, and on_listed says why. */
void server_end(struct server *s, const char *why);

/* server.c: tells of a call that has no answer. */
void server_call_fail(
    struct server *s, uint64_t call, const char *code, struct str why);
/* Ends a call without an answer, and frees it. */
void server_ask_fail(struct ask *a, const char *code, struct str why);

/* server.c */
struct server *server_alloc(
    struct loop *loop, uint64_t id, const struct server_hear *hear);
/* A message of the server's. */
void server_on_message(struct server *s, struct str text);
struct ask *server_take(struct server *s, uint64_t id);
void server_ask_free(struct ask *a);

/*
 * server_http.c: a message of ours, which a is the request of, or NULL. method
 * is empty for an answer.
 */
void server_http_send(struct server *s, const struct ask *a, struct str method,
    struct str params, struct str message);
/* Its era is known: what it has to say by itself is listened to. */
void server_http_listen(struct server *s);

/* server_notify.c: notifications/progress. */
void server_on_progress(struct server *s, const struct json *params);
void server_tell_cancel(struct server *s, const struct ask *a, const char *why);

/* server_watch.c. Its capabilities are known. */
void server_watch_open(struct server *s, const struct json *result);
/* SERVER_ASK_SUBSCRIBE and SERVER_ASK_UNSUBSCRIBE; on_result follows. */
void server_watch_call(struct server *s, uint64_t call, enum server_ask ask,
    struct str params, uint64_t timeout_ms);
void server_watch_forget(struct server *s, struct str uri);
void server_watch_end(struct server *s, const char *why);
void server_watch_free(struct server *s);
/* notifications/resources/updated, .../subscriptions/acknowledged */
void server_on_updated(struct server *s, const struct json *params);
void server_on_acknowledged(struct server *s, const struct json *params);
/* A request of ASK_LISTEN has its answer, or an end without one. */
void server_listen_over(struct server *s, uint64_t id, struct str why);
void server_listen_late(struct server *s, struct ask *a);

/* server_open.c */
void server_open(struct server *s);
/* An answer to one of the first three; result is NULL for an error. */
void server_opening(struct server *s, enum ask_kind kind,
    const struct json *result, const struct json *error);
/* One of them is late. */
void server_opening_late(struct server *s, enum ask_kind kind);
/* It says that one of its lists has changed. */
void server_list(struct server *s);

/* server.c: a request of ours with its time; its message is to be sent. */
struct ask *server_ask_new(
    struct server *s, enum ask_kind kind, int64_t timeout_ms);
/* server_open.c: tells of its lists as they are. */
void server_tell_lists(struct server *s);
/*
 * server_api.c: what an OpenAPI document says that there is. -1 with e: it is
 * none.
 */
int server_api_open(struct server *s, const struct json *entry, struct err *e);
void server_api_free(struct server_api *api);
void server_api_call(
    struct server *s, uint64_t call, struct str params, uint64_t timeout_ms);

#endif
