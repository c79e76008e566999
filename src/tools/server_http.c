/*
 * A server's messages over HTTP. What differs from a pipe: each request has an
 * answer of its own or none, so that one which breaks off fails that request
 * alone; the eras have heads of their own; and a session ends with 404.
 */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "sys/fd.h"
#include "core/http_fields.h"
#include "tools/server_int.h"

static void put_version(struct buf *out, const struct server *s, bool modern);
static void on_line(struct http *h, int fd);
static void on_message(struct http *h, struct str json);
static void on_fail(struct http *h, uint64_t id, const struct http_fault *f);
static void on_session_end(struct http *h);
static void on_left(struct http *h, uint64_t id, const struct http_answer *a);
static void left(struct server *s);
static bool refuses_discover(uint16_t status);
static const struct json *schema_of(
    const struct server *s, const struct json *params, struct arena *a);

struct server *
server_new_http(struct loop *loop, uint64_t id, const struct server_hear *hear,
    const struct json *entry, struct err *e)
{
	struct str host = json_str(json_get(entry, STR("host")));
	struct str path = json_str(json_get(entry, STR("path")));
	struct server *s;

	if (host.n == 0 || path.n == 0) {
		(void)err_set(e, "its entry names no host");
		return NULL;
	}
	s = server_alloc(loop, id, hear);
	s->over_http = true;
	s->http.loop = loop;
	s->http.on_line = on_line;
	s->http.on_message = on_message;
	s->http.on_fail = on_fail;
	s->http.on_session_end = on_session_end;
	buf_add_str(&s->http.host, host);
	buf_add_str(&s->http.path, path);
	http_init(&s->http);
	if (json_get(entry, STR("openapi")) == NULL) {
		server_open(s);
	} else if (server_api_open(s, entry, e) < 0) {
		server_free(s);
		return NULL;
	}
	return s;
}

void
server_http_send(struct server *s, const struct ask *a, struct str method,
    struct str params, struct str message)
{
	bool modern = s->modern || (a != NULL && a->kind == ASK_DISCOVER);
	own_arena struct arena arena = { .max_bytes = WORLD_MAX_PARSE_BYTES };
	own_buf struct buf fields = {};
	struct err e = {};

	put_version(&fields, s, modern);
	if (modern && method.n > 0) {
		const struct json *p =
		    json_parse(params, &server_json_limits, &arena, &e, NULL);
		bool calls = str_eq(method, STR("tools/call"));

		http_fields_write(
		    &fields, method, p, calls ? schema_of(s, p, &arena) : NULL);
	}
	/* Some refuse what comes before they know of this. */
	if (str_eq(method, STR("notifications/initialized")))
		http_post_first(&s->http, buf_str(&fields), message);
	else
		http_post(
		    &s->http, a != NULL ? a->id : 0, buf_str(&fields), message);
}

void
server_http_listen(struct server *s)
{
	own_buf struct buf fields = {};

	if (s->listens || s->modern)
		return;
	s->listens = true;
	put_version(&fields, s, false);
	http_listen(&s->http, buf_str(&fields));
}

void
server_leave(struct server *s)
{
	struct http *h = &s->http;
	own_buf struct buf fields = {};

	if (!s->over_http || s->over || s->leaving != 0 || h->session.n == 0) {
		left(s);
		return;
	}
	put_version(&fields, s, false);
	buf_add_c(&fields, "Mcp-Session-Id: ");
	buf_add_str(&fields, buf_str(&h->session));
	buf_add_c(&fields, "\r\n");
	s->leaving = ++s->next_id;
	h->on_answer = on_left;
	http_ask(h, s->leaving, STR("DELETE"), buf_str(&h->path),
	    buf_str(&fields), STR(""));
}

/* Whatever it says: that it ends no sessions is as good. */
static void
on_left(struct http *h, uint64_t id, const struct http_answer *a)
{
	(void)id;
	(void)a;
	left(LOOP_OF(h, struct server, http));
}

static void
left(struct server *s)
{
	s->hear.on_listed(
	    s->hear.arg, s->id, false, STR("its session has ended"));
}

static void
put_version(struct buf *out, const struct server *s, bool modern)
{
	if (modern)
		buf_add_c(out, "MCP-Protocol-Version: 2026-07-28\r\n");
	else if (s->era[0] != '\0')
		buf_printf(out, "MCP-Protocol-Version: %s\r\n", s->era);
}

static void
on_line(struct http *h, int fd)
{
	struct server *s = LOOP_OF(h, struct server, http);

	s->hear.on_line(s->hear.arg, s->id, fd);
}

static void
on_message(struct http *h, struct str json)
{
	server_on_message(LOOP_OF(h, struct server, http), json);
}

static void
on_fail(struct http *h, uint64_t id, const struct http_fault *f)
{
	struct server *s = LOOP_OF(h, struct server, http);
	struct ask *a = server_take(s, id);
	own_buf struct buf why = {};
	enum ask_kind kind;

	if (a == NULL) {
		if (id == s->leaving)
			left(s);
		return;
	}
	kind = a->kind;
	if (kind == ASK_CALL) {
		buf_add_c(&why, "The tool server did not answer: ");
		buf_add_str(&why, f->why);
		buf_add_byte(&why, '.');
		server_call_fail(s, a->call, f->code, buf_str(&why));
		server_ask_free(a);
		return;
	}
	server_ask_free(a);
	if (kind == ASK_LISTEN) {
		server_listen_over(s, id, f->why);
		return;
	}
	/* The older eras do not know the method, and say so in many ways. */
	if (kind == ASK_DISCOVER && refuses_discover(f->status)) {
		server_opening(s, kind, NULL, NULL);
		return;
	}
	if (kind == ASK_LIST && s->kind != DEFINITION_TOOL) {
		server_opening(s, kind, NULL, NULL);
		return;
	}
	buf_add_str(&why, f->why);
	buf_add_byte(&why, '\0');
	server_end(s, why.failed ? "it cannot be talked to" : why.p);
}

/* Others are about the way to it, or about who asks. */
static bool
refuses_discover(uint16_t status)
{
	return status >= 400 && status != 401 && status != 403 &&
	    status != 407 && status != 502 && status != 503 && status != 504;
}

static void
on_session_end(struct http *h)
{
	server_end(LOOP_OF(h, struct server, http), "it ended the session");
}

/* The tool's inputSchema, as it was listed. */
static const struct json *
schema_of(const struct server *s, const struct json *params, struct arena *a)
{
	const struct definition *d =
	    definitions_find(&s->lists[DEFINITION_TOOL],
		json_str(json_get(params, STR("name"))));
	struct err e = {};

	if (d == NULL)
		return NULL;
	return json_get(json_parse(buf_str(&d->json), NULL, a, &e, NULL),
	    STR("inputSchema"));
}
