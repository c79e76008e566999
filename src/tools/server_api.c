/*
 * A server that speaks no MCP: an OpenAPI document says what there is, each
 * operation is a tool, and each call one request of HTTP. What the broker has
 * let through is put into that request by core/openapi, and by nothing else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "core/openapi.h"
#include "tools/result.h"
#include "tools/server_int.h"

struct server_api {
	struct arena arena; /* of the document */
	struct openapi doc;
};

static void put_tools(struct buf *out, const struct openapi *doc);
static void put_tool(
    struct buf *out, const struct openapi *doc, const struct openapi_op *op);
static void put_refused(struct definitions *d, const struct openapi *doc);
static void on_answer(struct http *h, uint64_t id, const struct http_answer *a);
static void fail_status(
    struct server *s, uint64_t call, const struct http_answer *a);
static void put_answer(struct buf *out, const struct http_answer *a);
static bool may_pass(uint16_t status);

int
server_api_open(struct server *s, const struct json *entry, struct err *e)
{
	struct server_api *api = calloc(1, sizeof(*api));
	own_arena struct arena listed = { .max_bytes = WORLD_MAX_PARSE_BYTES };
	own_buf struct buf text = {}, tools = {};
	const struct json *doc, *list;
	const char *copy;

	must(api != NULL);
	s->api = api;
	s->modern = true; /* the end of a request's connection cancels it */
	s->http.on_answer = on_answer;
	api->arena.max_bytes = WORLD_MAX_PARSE_BYTES;
	json_write(&text, json_get(entry, STR("openapi")));
	copy = arena_copy(&api->arena, buf_str(&text));
	if (copy == NULL)
		return err_set(e, "out of memory");
	doc = json_parse(
	    (struct str){ copy, text.n }, NULL, &api->arena, e, NULL);
	if (doc == NULL || openapi_read(&api->doc, doc, &api->arena, e) < 0)
		return -1;
	for (size_t i = 0; i < DEFINITION_KINDS; i++)
		s->lists[i].kind = (enum definition_kind)i;
	put_tools(&tools, &api->doc);
	list = json_parse(buf_str(&tools), NULL, &listed, e, NULL);
	if (list == NULL ||
	    definitions_add(&s->lists[DEFINITION_TOOL], list, e) < 0)
		return -1;
	put_refused(&s->lists[DEFINITION_TOOL], &api->doc);
	(void)snprintf(s->era, sizeof(s->era), "openapi");
	s->open = true;
	server_tell_lists(s);
	return 0;
}

void
server_api_free(struct server_api *api)
{
	if (api == NULL)
		return;
	arena_fini(&api->arena);
	free(api);
}

void
server_api_call(
    struct server *s, uint64_t call, struct str params, uint64_t timeout_ms)
{
	own_arena struct arena a = { .max_bytes = WORLD_MAX_PARSE_BYTES };
	struct openapi_request q = {};
	struct err e = {};
	const struct json *p =
	    json_parse(params, &server_json_limits, &a, &e, NULL);
	const struct openapi_op *op =
	    openapi_find(&s->api->doc, json_str(json_get(p, STR("name"))));
	struct ask *asked;

	if (op == NULL)
		(void)err_set(&e, "there is no such operation");
	if (op == NULL ||
	    openapi_write(&q, op, buf_str(&s->http.path),
		json_get(p, STR("arguments")), &e) < 0) {
		openapi_request_fini(&q);
		server_call_fail(s, call, "invalid_arguments", str_of(e.text));
		return;
	}
	asked = server_ask_new(s, ASK_CALL, (int64_t)timeout_ms);
	asked->call = call;
	http_ask(&s->http, asked->id, op->method, buf_str(&q.target),
	    buf_str(&q.fields), buf_str(&q.body));
	openapi_request_fini(&q);
}

static void
put_tools(struct buf *out, const struct openapi *doc)
{
	bool any = false;

	buf_add_byte(out, '[');
	for (uint32_t i = 0; i < doc->n_ops; i++) {
		own_buf struct buf one = {};

		put_tool(&one, doc, &doc->ops[i]);
		if (one.n == 0)
			continue;
		buf_add_c(out, any ? "," : "");
		any = true;
		buf_add_str(out, buf_str(&one));
	}
	buf_add_byte(out, ']');
}

/* Nothing for one whose arguments cannot be described. */
static void
put_tool(
    struct buf *out, const struct openapi *doc, const struct openapi_op *op)
{
	own_buf struct buf input = {};

	if (openapi_input(&input, doc, op) < 0)
		return;
	buf_printf(out,
	    "{\"annotations\":{\"destructiveHint\":%s,\"readOnlyHint\":%s},"
	    "\"description\":",
	    op->risk == RISK_DESTRUCTIVE ? "true" : "false",
	    op->risk == RISK_READ ? "true" : "false");
	json_put_str(out, op->description);
	buf_add_c(out, ",\"inputSchema\":");
	buf_add_str(out, buf_str(&input));
	buf_add_c(out, ",\"name\":");
	json_put_str(out, op->name);
	buf_add_byte(out, '}');
}

static void
put_refused(struct definitions *d, const struct openapi *doc)
{
	for (uint32_t i = 0; i < doc->n_refused; i++) {
		buf_add_c(&d->refused, d->n_refused++ > 0 ? "," : "");
		buf_add_c(&d->refused, "{\"name\":");
		json_put_str(&d->refused, doc->refused[i].name);
		buf_add_c(&d->refused, ",\"why\":");
		json_put_str(&d->refused, str_of(doc->refused[i].why));
		buf_add_byte(&d->refused, '}');
	}
}

static void
on_answer(struct http *h, uint64_t id, const struct http_answer *a)
{
	struct server *s = LOOP_OF(h, struct server, http);
	struct ask *asked = server_take(s, id);
	own_buf struct buf out = { .max = 2 * IPC_MAX_PAYLOAD_BYTES };
	bool bad = a->status < 200 || a->status >= 300;
	uint64_t call;

	if (asked == NULL)
		return; /* it is too late, and told */
	call = asked->call;
	server_ask_free(asked);
	if (may_pass(a->status)) {
		fail_status(s, call, a);
		return;
	}
	buf_add_c(&out, "{\"content\":[{\"text\":");
	json_put_str(&out, a->body);
	buf_printf(&out, ",\"type\":\"text\"}],\"isError\":%s,",
	    bad ? "true" : "false");
	put_answer(&out, a);
	buf_add_byte(&out, '}');
	if (out.failed || out.n > IPC_MAX_PAYLOAD_BYTES) {
		server_call_fail(s, call, "answer_too_large",
		    STR("its answer is over the limit; whatever the call did, "
			"it has done"));
		return;
	}
	s->hear.on_result(s->hear.arg, s->id, call,
	    bad ? SERVER_DONE_ERROR : SERVER_DONE, buf_str(&out));
}

/* Those that a call may be made again for. */
static bool
may_pass(uint16_t status)
{
	return status == 408 || status == 429 || status >= 500;
}

/* Nobody knows what it did. */
static void
fail_status(struct server *s, uint64_t call, const struct http_answer *a)
{
	own_buf struct buf out = {};
	struct str body = a->body;

	if (body.n > SERVER_ERROR_BYTES)
		body.n = SERVER_ERROR_BYTES;
	buf_printf(&out,
	    "{\"code\":\"http_%u\",\"error\":\"The answer is HTTP %u.\","
	    "\"body\":",
	    a->status, a->status);
	json_put_str(&out, body);
	if (a->retry_after_s > 0 && a->retry_after_s < UINT32_MAX)
		buf_printf(&out, ",\"retry_after_s\":%llu",
		    (unsigned long long)a->retry_after_s);
	buf_add_c(&out,
	    ",\"suggested_next_step\":\"Read the state of things before "
	    "trying again.\"}");
	s->hear.on_result(
	    s->hear.arg, s->id, call, SERVER_NO_ANSWER, buf_str(&out));
}

/* As JSON where it is, else as a text. */
static void
put_answer(struct buf *out, const struct http_answer *a)
{
	own_arena struct arena arena = { .max_bytes = WORLD_MAX_PARSE_BYTES };
	struct err e = {};
	const struct json *v = NULL;

	if (str_eq_nocase(a->type, STR("application/json")) ||
	    str_ends(a->type, STR("+json")))
		v = json_parse(a->body, &server_json_limits, &arena, &e, NULL);
	buf_add_c(out, "\"structuredContent\":{\"body\":");
	if (v != NULL)
		json_write(out, v);
	else
		json_put_str(out, a->body);
	buf_printf(out, ",\"status\":%u}", a->status);
}
