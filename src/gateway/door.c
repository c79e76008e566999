#include "gateway/door.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "codec/jwt.h"
#include "gateway/answer.h"
#include "gateway/inside.h"
#include "gateway/mcp.h"
#include "gateway/pending.h"
#include "gateway/rest.h"

static void on_request(struct http_conn *c);
static bool on_hangup(struct http_conn *c);
static void on_close(struct http_conn *c);
static void refuse(struct http_conn *c, uint16_t status, const char *why);
static bool takes_body(struct http_conn *c);
static void on_drained(struct http_conn *c);
static void on_taken(struct http_conn *c, uint32_t events);
static struct client *client_of(struct http_conn *c);
static bool is_from_here(const struct client *cl, const char **why);
static bool is_loopback(struct str authority, uint16_t port);
static int caller_find(struct client *cl, const char **why);
static int bearer_take(struct client *cl, struct str value);
static int bearer_pass(struct client *cl, struct str token);
static void door_free(struct doorway *d);

const struct http_ops door_ops = {
	.conn_bytes = sizeof(struct client),
	.on_request = on_request,
	.on_hangup = on_hangup,
	.on_close = on_close,
	.refuse = refuse,
	.takes_body = takes_body,
	.on_drained = on_drained,
	.on_taken = on_taken,
};

int
door_open_take(
    struct gateway *g, int fd, enum door kind, uint64_t run, struct err *e)
{
	struct doorway *d = calloc(1, sizeof(*d));

	must(d != NULL);
	d->kind = kind;
	d->run = run;
	d->listener.people = kind != DOOR_RUN;
	if (http_listener_open_take(&g->http, &d->listener, fd, e) < 0) {
		free(d);
		return -1;
	}
	d->next = g->doors;
	g->doors = d;
	return 0;
}

void
door_close(struct gateway *g, uint64_t run)
{
	for (struct doorway **p = &g->doors; *p != NULL; p = &(*p)->next) {
		struct doorway *d = *p;

		if (d->kind == DOOR_RUN && d->run == run) {
			*p = d->next;
			door_free(d);
			return;
		}
	}
}

void
door_close_all(struct gateway *g)
{
	while (g->doors != NULL) {
		struct doorway *d = g->doors;

		g->doors = d->next;
		door_free(d);
	}
}

void
door_hang_up(struct gateway *g, const struct hash *token)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *cl = g->clients[i];

		if (cl != NULL && cl->caller.door == DOOR_TOKEN &&
		    hash_eq(&cl->caller.token, token))
			http_conn_close(&cl->conn);
	}
}

const struct doorway *
door_of(const struct client *cl)
{
	return LOOP_OF(cl->conn.listener, struct doorway, listener);
}

static void
on_request(struct http_conn *c)
{
	struct client *cl = client_of(c);
	struct str path = c->head.target;
	const char *why = NULL;
	bool mcp;

	path.n = str_find(path, '?');
	mcp = str_eq(path, STR("/mcp")) || str_starts(path, STR("/mcp/"));
	if (path.n == 0 || path.p[0] != '/')
		answer_error(cl, 400, "the request target is not a path");
	else if (!is_from_here(cl, &why) && mcp)
		mcp_refuse(cl, 403, why);
	else if (why != NULL)
		answer_error(cl, 403, why);
	else if (caller_find(cl, &why) < 0 && mcp)
		mcp_refuse(cl, 401, why);
	else if (why != NULL)
		answer_error(cl, 401, why);
	else if (!mcp)
		rest_request(cl);
	else if (path.n > 4)
		mcp_request_of(cl, (struct str){ path.p + 5, path.n - 5 });
	else if (cl->caller.door == DOOR_UNIX)
		mcp_refuse(cl, 401,
		    "a run's token is needed here: "
		    "Authorization: Bearer TOKEN; or name the run: /mcp/RUN");
	else
		mcp_request(cl);
}

static bool
on_hangup(struct http_conn *c)
{
	const struct client *cl = client_of(c);

	/* Who asked REST may have closed only its sending half, and its
	 * answer comes at once; a call or a stream is cancelled by this. */
	return cl->pending.what != ASK_REST || cl->attached != 0;
}

static void
on_close(struct http_conn *c)
{
	struct client *cl = client_of(c);
	struct gateway *g = cl->gateway;
	struct visit *v = cl->visit;

	/* To close is to cancel since 2026-07-28, and was not before. */
	if (cl->pending.what == ASK_MCP_CALL && cl->pending.modern)
		pending_cancel(cl);
	else
		pending_abandon(cl);
	if (v != NULL) {
		visit_end(v);
		v->ops->on_gone(v);
	}
	g->clients[cl->slot] = NULL;
	g->free_slots[g->n_free++] = cl->slot;
	buf_fini(&cl->pending.id);
	buf_fini(&cl->pending.progress_token);
	buf_fini(&cl->pending.uri);
}

static void
refuse(struct http_conn *c, uint16_t status, const char *why)
{
	answer_error(client_of(c), status, why);
}

/* What a sandbox gets is read as it comes; all other bodies are JSON. */
static bool
takes_body(struct http_conn *c)
{
	struct str path = c->head.target;

	path.n = str_find(path, '?');
	if (str_starts(path, STR("/v1/sandboxes/")) &&
	    memmem(path.p, path.n, "/ports/", 7) != NULL)
		return true;
	return str_eq(c->head.method, STR("PUT")) &&
	    str_starts(path, STR("/v1/sandboxes/")) &&
	    str_ends(path, STR("/files"));
}

static void
on_drained(struct http_conn *c)
{
	struct visit *v = client_of(c)->visit;

	if (v != NULL && v->ops->on_drained != NULL)
		v->ops->on_drained(v);
}

static void
on_taken(struct http_conn *c, uint32_t events)
{
	struct visit *v = client_of(c)->visit;

	must(v != NULL && v->ops->on_taken != NULL);
	v->ops->on_taken(v, events);
}

/* The first thing said on a connection gives it its slot. */
static struct client *
client_of(struct http_conn *c)
{
	struct client *cl = LOOP_OF(c, struct client, conn);
	struct gateway *g = gateway_of(c->server);

	if (cl->gateway != NULL)
		return cl;
	must(g->n_free > 0);
	cl->gateway = g;
	cl->slot = g->free_slots[--g->n_free];
	g->clients[cl->slot] = cl;
	pending_init(cl);
	return cl;
}

/*
 * DNS rebinding: a page of a foreign site makes the user's browser connect to
 * a loopback address under the site's own name. Its requests tell by Host,
 * and by Origin. A browser cannot reach a Unix socket.
 */
static bool
is_from_here(const struct client *cl, const char **why)
{
	const struct http1_head *h = &cl->conn.head;
	const struct str *host = http1_get(h, STR("Host"));
	const struct str *origin = http1_get(h, STR("Origin"));
	struct str at;

	*why = NULL;
	if (origin != NULL) {
		at = *origin;
		if (http1_count(h, STR("Origin")) == 1 &&
		    str_starts(at, STR("http://")))
			at = (struct str){ at.p + 7, at.n - 7 };
		else if (str_starts(at, STR("https://")))
			at = (struct str){ at.p + 8, at.n - 8 };
		else
			at = STR("");
		if (!is_loopback(at, 0))
			*why = "requests of web pages from elsewhere are "
			       "refused (Origin)";
	}
	if (*why == NULL && !cl->conn.listener->local &&
	    (host == NULL || !is_loopback(*host, cl->conn.listener->port)))
		*why = "Host must be localhost or a loopback address, with "
		       "the port of this listener";
	return *why == NULL;
}

/* port 0: any. */
static bool
is_loopback(struct str authority, uint16_t port)
{
	static const struct str names[] = { STR("localhost"), STR("[::1]") };
	struct str name = authority;
	uint64_t number = 80; /* RFC 9110 section 4.2.1 */
	size_t colon = authority.n;

	for (size_t i = authority.n; i > 0; i--) {
		if (authority.p[i - 1] == ']')
			break;
		if (authority.p[i - 1] == ':')
			colon = i - 1;
	}
	name.n = colon;
	if (colon < authority.n &&
	    str_to_u64((struct str){ authority.p + colon + 1,
			   authority.n - colon - 1 },
		&number) < 0)
		return false;
	if (port != 0 && number != port)
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (str_eq_nocase(name, names[i]))
			return true;
	}

	/* 127.0.0.0/8, in four decimal parts and no other spelling. */
	for (int part = 0; part < 4; part++) {
		size_t dot = str_find(name, '.');
		uint64_t byte;

		if ((dot == name.n) != (part == 3) || dot == 0 || dot > 3 ||
		    str_to_u64((struct str){ name.p, dot }, &byte) < 0 ||
		    byte > 255 || (part == 0 && byte != 127))
			return false;
		if (part < 3)
			name =
			    (struct str){ name.p + dot + 1, name.n - dot - 1 };
	}
	return true;
}

/* 0, or -1 with what the client can do about it. */
static int
caller_find(struct client *cl, const char **why)
{
	const struct http1_head *h = &cl->conn.head;
	const struct str *auth = http1_get(h, STR("Authorization"));
	const struct doorway *d = door_of(cl);

	cl->caller = (struct caller){
		.door = d->kind,
		.run = d->run,
		.uid = cl->conn.uid,
	};
	if (d->kind == DOOR_RUN)
		return 0;
	if (auth == NULL && d->kind == DOOR_UNIX)
		return 0;
	cl->caller.door = DOOR_TOKEN;
	if (auth != NULL && http1_count(h, STR("Authorization")) == 1 &&
	    bearer_take(cl, *auth) == 0)
		return 0;
	*why = auth == NULL
	    ? "a token is needed here: Authorization: Bearer TOKEN"
	    : "Authorization must be one well-formed Bearer token";
	return -1;
}

/*
 * RFC 6750 section 2.1. The token itself goes nowhere from here, unless it is
 * a signed one, which the broker checks.
 */
static int
bearer_take(struct client *cl, struct str value)
{
	static const char others[] = "-._~+/=";
	struct str t;

	if (value.n < 8 ||
	    !str_eq_nocase((struct str){ value.p, 7 }, STR("Bearer ")))
		return -1;
	t = str_trim((struct str){ value.p + 7, value.n - 7 });
	if (t.n == 0 || t.n > JWT_MAX_BYTES)
		return -1;
	for (size_t i = 0; i < t.n; i++) {
		char c = t.p[i];
		bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z') ||
		    memchr(others, c, sizeof(others) - 1) != NULL;

		if (!ok)
			return -1;
	}
	cl->caller.token = hash_of(t.p, t.n);
	if (jwt_looks_like(t))
		return bearer_pass(cl, t);
	return t.n <= REST_MAX_TOKEN_BYTES ? 0 : -1;
}

/* Before the request that it came with, over the same link. */
static int
bearer_pass(struct client *cl, struct str token)
{
	const struct msg_bearer m = { .token = cl->caller.token };
	own_arena struct arena a = {};
	struct err e = {};
	struct jwt parsed;

	if (jwt_parse(token, &a, &parsed, &e) < 0)
		return -1;
	(void)peer_send(&cl->gateway->broker, MSG_BEARER, &m, token, NULL,
	    0); /* without a broker the request fails, too */
	return 0;
}

static void
door_free(struct doorway *d)
{
	http_listener_close(&d->listener);
	free(d);
}
