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

enum rest_body { REST_NO_BODY, REST_MAY_BODY, REST_BODY };
enum rest_kind { REST_TEXT, REST_NUMBER, REST_BOOL };

enum { REST_QUERY_MAX = 3 }; /* arguments of one route's query */

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
};

/* The table. */
const struct rest_route *rest_routes(size_t *n);

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
int rest_args(struct client *cl, const struct rest_route *r, struct str arg,
    struct str query, const struct json *body);
/* The name between the braces of a route's path; "" when it has none. */
struct str rest_arg_name(const struct rest_route *r);

#endif
