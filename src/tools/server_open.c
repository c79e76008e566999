#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "tools/server_int.h"

enum { UNSUPPORTED_VERSION = -32022 };

static void discover(struct server *s);
static bool asks_again(struct server *s, const struct json *error);
static void initialize(struct server *s);
static void on_discover(struct server *s, const struct json *result);
static void on_initialize(struct server *s, const struct json *result);
static void on_page(struct server *s, const struct json *result);
static void opened(struct server *s, const struct json *result);
static void ask_page(struct server *s, const struct json *cursor);
static void list_next(struct server *s);

void
server_open(struct server *s)
{
	discover(s);
}

static void
discover(struct server *s)
{
	(void)server_ask(
	    s, ASK_DISCOVER, "server/discover", STR("{}"), SERVER_PROBE_MS);
}

/* Once: it refuses the version, and names it among those that it takes. */
static bool
asks_again(struct server *s, const struct json *error)
{
	const struct json *code = json_get(error, STR("code"));
	const struct json *all = json_at(error, "data", "supported", NULL);

	if (s->asked_again || !json_is(code, JSON_NUMBER) ||
	    code->num != UNSUPPORTED_VERSION || !json_is(all, JSON_ARRAY))
		return false;
	for (const struct json *v = json_first(all); v != NULL;
	     v = json_next(all, v)) {
		if (str_eq(json_str(v), STR("2026-07-28")))
			s->asked_again = true;
	}
	return s->asked_again;
}

void
server_opening(struct server *s, enum ask_kind kind, const struct json *result,
    const struct json *error)
{
	switch (kind) {
	case ASK_DISCOVER:
		if (s->open)
			return; /* late: it has been asked otherwise */
		if (asks_again(s, error))
			discover(s);
		else if (error != NULL || result == NULL)
			initialize(s);
		else
			on_discover(s, result);
		return;
	case ASK_INITIALIZE:
		if (s->open)
			return;
		if (error != NULL)
			server_end(s, "it refuses to be initialized");
		else
			on_initialize(s, result);
		return;
	case ASK_LIST:
		if (error == NULL && result != NULL)
			on_page(s, result);
		else if (s->kind == DEFINITION_TOOL)
			server_end(s, "it does not list its tools");
		else
			list_next(s); /* without: it has none */
		return;
	case ASK_CALL:
	case ASK_LISTEN:
		return;
	}
}

void
server_opening_late(struct server *s, enum ask_kind kind)
{
	if (kind == ASK_DISCOVER && !s->open)
		initialize(s);
	else if (kind == ASK_LIST)
		server_end(s, "it did not list what it has in time");
	else if (!s->open)
		server_end(s, "it did not answer in time");
}

void
server_list(struct server *s)
{
	if (!s->open || s->listings >= SERVER_LISTS_MAX)
		return; /* a change that is not seen is not offered */
	if (s->listing) {
		s->list_again = true;
		return;
	}
	s->listing = true;
	s->listings++;
	for (size_t i = 0; i < DEFINITION_KINDS; i++) {
		s->lists[i].kind = (enum definition_kind)i;
		s->lists[i].mirrored = s->over_http && s->modern;
		definitions_reset(&s->lists[i]);
	}
	s->kind = DEFINITION_TOOL;
	s->pages = 0;
	if (s->has[DEFINITION_TOOL])
		ask_page(s, NULL);
	else
		list_next(s);
}

/* The older eras: once, whether the probe was refused or not heard. */
static void
initialize(struct server *s)
{
	for (const struct ask *a = s->asks; a != NULL; a = a->next) {
		if (a->kind == ASK_INITIALIZE)
			return;
	}
	s->http.takes_session = true;
	(void)server_ask(s, ASK_INITIALIZE, "initialize",
	    STR("{\"capabilities\":{},\"clientInfo\":{\"name\":\"paddock\","
		"\"version\":\"" PADDOCK_VERSION "\"},\"protocolVersion\":"
		"\"2025-11-25\"}"),
	    SERVER_START_MAX_MS);
}

static void
on_discover(struct server *s, const struct json *result)
{
	const struct json *all = json_get(result, STR("supportedVersions"));

	for (const struct json *v = json_first(all); v != NULL;
	     v = json_next(all, v)) {
		if (!str_eq(json_str(v), STR("2026-07-28")))
			continue;
		s->modern = true;
		(void)snprintf(s->era, sizeof(s->era), "2026-07-28");
		opened(s, result);
		return;
	}
	initialize(s);
}

static void
on_initialize(struct server *s, const struct json *result)
{
	static const char *const eras[] = { "2024-10-07", "2024-11-05",
		"2025-03-26", "2025-06-18", "2025-11-25" };
	struct str era = json_str(json_get(result, STR("protocolVersion")));

	for (size_t i = 0; i < sizeof(eras) / sizeof(eras[0]); i++) {
		if (!str_eq_c(era, eras[i]))
			continue;
		(void)snprintf(s->era, sizeof(s->era), "%s", eras[i]);
		server_notify(s, "notifications/initialized", STR(""));
		opened(s, result);
		return;
	}
	server_end(s, "it speaks no version of the protocol that we know");
}

static void
opened(struct server *s, const struct json *result)
{
	static const char key[] = "io.modelcontextprotocol/serverInfo";
	static const char *const parts[DEFINITION_KINDS] = {
		[DEFINITION_TOOL] = "tools",
		[DEFINITION_RESOURCE] = "resources",
		[DEFINITION_TEMPLATE] = "resources",
		[DEFINITION_PROMPT] = "prompts",
	};
	const struct json *info = json_get(result, STR("serverInfo"));

	if (info == NULL)
		info = json_get(json_get(result, STR("_meta")), str_of(key));
	s->info.max = SERVER_DEFINITION_BYTES;
	if (json_is(info, JSON_OBJECT))
		json_write(&s->info, info);
	s->open = true;
	for (size_t i = 0; i < DEFINITION_KINDS; i++)
		s->has[i] =
		    json_is(json_at(result, "capabilities", parts[i], NULL),
			JSON_OBJECT);
	s->completes = json_is(
	    json_at(result, "capabilities", "completions", NULL), JSON_OBJECT);
	/* First, so that a change while they are listed is not missed. */
	if (s->over_http)
		server_http_listen(s);
	server_watch_open(s, result);
	server_list(s);
}

static void
ask_page(struct server *s, const struct json *cursor)
{
	static const char *const methods[DEFINITION_KINDS] = {
		[DEFINITION_TOOL] = "tools/list",
		[DEFINITION_RESOURCE] = "resources/list",
		[DEFINITION_TEMPLATE] = "resources/templates/list",
		[DEFINITION_PROMPT] = "prompts/list",
	};
	own_buf struct buf params = {};

	if (cursor != NULL) {
		buf_add_c(&params, "{\"cursor\":");
		json_write(&params, cursor);
	} else {
		buf_add_byte(&params, '{');
	}
	buf_add_byte(&params, '}');
	(void)server_ask(s, ASK_LIST, methods[s->kind], buf_str(&params),
	    SERVER_START_MAX_MS);
}

static void
on_page(struct server *s, const struct json *result)
{
	const struct json *next = json_get(result, STR("nextCursor"));
	struct definitions *d = &s->lists[s->kind];
	struct err e = {};

	if (definitions_add(
		d, json_get(result, str_of(definitions_member(d))), &e) < 0) {
		server_end(s, e.text);
		return;
	}
	if (json_is(next, JSON_STRING)) {
		if (++s->pages >= SERVER_PAGES_MAX)
			server_end(s, "one of its lists has no end");
		else
			ask_page(s, next);
		return;
	}
	list_next(s);
}

/* After the last list, all is told. */
static void
list_next(struct server *s)
{
	while (s->kind + 1 < DEFINITION_KINDS) {
		s->kind++;
		s->pages = 0;
		if (!s->has[s->kind])
			continue;
		ask_page(s, NULL);
		return;
	}
	s->listing = false;
	server_tell_lists(s);
	if (s->list_again && !s->over) {
		s->list_again = false;
		server_list(s);
	}
}

void
server_tell_lists(struct server *s)
{
	own_buf struct buf out = { .max = IPC_MAX_PAYLOAD_BYTES };
	const char *between = "";

	buf_printf(&out,
	    "{\"completions\":%s,\"era\":", s->completes ? "true" : "false");
	json_put_str(&out, str_of(s->era));
	buf_add_c(&out, ",\"info\":");
	buf_add_str(&out,
	    s->info.n > 0 && !s->info.failed ? buf_str(&s->info) : STR("{}"));
	buf_add_c(&out, ",\"refused\":[");
	for (size_t i = 0; i < DEFINITION_KINDS; i++) {
		if (s->lists[i].n_refused == 0)
			continue;
		buf_add_c(&out, between);
		buf_add_str(&out, buf_str(&s->lists[i].refused));
		between = ",";
	}
	buf_add_byte(&out, ']');
	for (size_t i = 0; i < DEFINITION_KINDS; i++) {
		buf_add_byte(&out, ',');
		definitions_write(&out, &s->lists[i]);
	}
	buf_add_byte(&out, '}');
	if (out.failed)
		server_end(s, "its list of tools is too long");
	else
		s->hear.on_listed(s->hear.arg, s->id, true, buf_str(&out));
}
