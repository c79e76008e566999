/*
 * gateway/rest.h: REST /v1, a table of routes; docs/openapi.json describes it.
 *
 * A route says which operation it is, where its arguments come from and at
 * which doors it exists. Path, query and body become one canonical object, so
 * the broker cannot tell, and need not, how an argument was given.
 */
#ifndef GATEWAY_REST_H
#define GATEWAY_REST_H

#include "codec/json.h"
#include "gateway/gateway.h"

enum rest_body {
	REST_NO_BODY,
	REST_MAY_BODY,
	REST_BODY,
	REST_STREAM, /* bytes of any kind, read as they come */
	REST_BYTES, /* the same, or none; the query is not ours either */
};
enum rest_kind { REST_TEXT, REST_NUMBER, REST_BOOL };

enum {
	REST_QUERY_MAX = 4, /* arguments of one route's query */
	/* Of its path: a run or approval, then a number, then, named path,
	 * all that follows. */
	REST_PATH_MAX = 3,
};

struct rest_query {
	struct str name;
	enum rest_kind kind;
};

struct rest_route {
	struct str method;
	struct str path; /* a part in braces is an argument */
	enum question what;
	enum api_op op;
	bool call; /* MSG_TOOL_CALL instead of op */
	bool in_run; /* exists at a run's own door; else at people's */
	enum rest_body body;
	struct rest_query query[REST_QUERY_MAX];
	struct str adds; /* a member that the path stands for, or "" */
};

/* The i-th of the table, and behind it of /v1/sandboxes; NULL at the end. */
const struct rest_route *rest_route_at(size_t i);

void rest_request(struct client *cl);
void rest_on_reply(
    struct client *cl, enum reply_kind kind, uint16_t http, struct str payload);
void rest_on_event(struct client *cl, struct str record, bool last);
void rest_on_time(struct client *cl);
/* Ends what cl waits for with an error. */
void rest_fail(struct client *cl, uint16_t status, const char *why);

/*
 * rest_args.c: writes path argument, query and body (NULL: none) as the
 * canonical object into cl->gateway->payload. -1: the client has been told.
 */
int rest_args(struct client *cl, const struct rest_route *r,
    const struct str arg[static REST_PATH_MAX], struct str query,
    const struct json *body);
/* What stands between braces in a route's path; "" when there is no i-th. */
struct str rest_arg_name(const struct rest_route *r, unsigned i);
/* An argument of the query, decoded: any bytes. -1: there is none. */
int rest_query_bytes(struct str query, struct str name, struct buf *out);

#endif
