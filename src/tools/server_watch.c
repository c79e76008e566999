/*
 * What a server is asked to tell by itself: that a resource is another now,
 * or one of its lists. The older eras have a request for each resource, and
 * tell of lists unasked. The newest has one that stays open,
 * subscriptions/listen, with all of it: when that changes another is opened,
 * and the one before is cut once the new one is acknowledged.
 *
 * Of what it tells only the URI counts, and only one that was asked for: a
 * resource below it is told as the one that was subscribed to.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/must.h"
#include "tools/server_int.h"

struct watched {
	struct watched *next;
	struct buf uri;
	uint64_t call; /* the broker's, which waits for the server; 0: none */
	uint64_t listen; /* the newest request that it was in */
	bool changed; /* to be told */
};

static const struct {
	const char *part, *filter;
} list_changes[WATCH_LISTS] = {
	{ "prompts", "promptsListChanged" },
	{ "resources", "resourcesListChanged" },
	{ "tools", "toolsListChanged" },
};

static void forget(struct server *s, struct watched **at);
static void watch(
    struct server *s, uint64_t call, struct str uri, uint64_t timeout_ms);
static void unwatch(
    struct server *s, uint64_t call, struct str uri, uint64_t timeout_ms);
static void done(struct server *s, uint64_t call);
static struct watched *find(const struct server *s, struct str uri);
static void listen_anew(struct server *s);
static void cut(struct server *s, uint64_t id);
static void settle(struct server *s, const struct json *agreed);
static void fail_waiting(
    struct server *s, uint64_t listen, const char *code, struct str why);
static bool covers(struct str watched, struct str uri);
static void tell_soon(struct server *s);
static void on_tell(struct loop_timer *t);
static void on_relisten(struct loop_timer *t);

void
server_watch_open(struct server *s, const struct json *result)
{
	s->tell.on_time = on_tell;
	s->relisten.on_time = on_relisten;
	s->subscribes = json_bool(
	    json_at(result, "capabilities", "resources", "subscribe", NULL),
	    false);
	for (size_t i = 0; i < WATCH_LISTS; i++)
		s->tells[i] =
		    json_bool(json_at(result, "capabilities",
				  list_changes[i].part, "listChanged", NULL),
			false);
	if (s->modern)
		listen_anew(s);
}

void
server_watch_call(struct server *s, uint64_t call, enum server_ask ask,
    struct str params, uint64_t timeout_ms)
{
	own_arena struct arena a = { .max_bytes = WORLD_MAX_PARSE_BYTES };
	struct err e = {};
	const struct json *p = json_parse(params, NULL, &a, &e, NULL);
	struct str uri = json_str(json_get(p, STR("uri")));

	if (ask == SERVER_ASK_SUBSCRIBE)
		watch(s, call, uri, timeout_ms);
	else
		unwatch(s, call, uri, timeout_ms);
}

void
server_watch_forget(struct server *s, struct str uri)
{
	struct watched **at = &s->watched;

	while (*at != NULL && !str_eq(buf_str(&(*at)->uri), uri))
		at = &(*at)->next;
	if (*at != NULL)
		forget(s, at);
}

static void
forget(struct server *s, struct watched **at)
{
	struct watched *w = *at;

	*at = w->next;
	buf_fini(&w->uri);
	free(w);
	s->n_watched--;
}

void
server_watch_end(struct server *s, const char *why)
{
	fail_waiting(s, 0, "server_ended", str_of(why));
	loop_timer_clear(s->loop, &s->tell);
	loop_timer_clear(s->loop, &s->relisten);
	s->telling = false;
	s->listen = s->listen_before = 0;
}

void
server_watch_free(struct server *s)
{
	loop_timer_clear(s->loop, &s->tell);
	loop_timer_clear(s->loop, &s->relisten);
	while (s->watched != NULL)
		server_watch_forget(s, buf_str(&s->watched->uri));
}

void
server_on_updated(struct server *s, const struct json *params)
{
	struct str uri = json_str(json_get(params, STR("uri")));
	bool any = false;

	for (struct watched *w = s->watched; w != NULL; w = w->next) {
		if (!covers(buf_str(&w->uri), uri))
			continue;
		w->changed = true;
		any = true;
	}
	if (any)
		tell_soon(s);
}

void
server_on_acknowledged(struct server *s, const struct json *params)
{
	static const char key[] = "io.modelcontextprotocol/subscriptionId";
	uint64_t id;

	if (json_u64(json_at(params, "_meta", key, NULL), &id) < 0 || id == 0 ||
	    id != s->listen || s->listen_ok)
		return;
	for (struct ask *a = s->asks; a != NULL; a = a->next) {
		if (a->id == id)
			loop_timer_clear(s->loop, &a->late);
	}
	s->listen_ok = true;
	cut(s, s->listen_before);
	s->listen_before = 0;
	settle(
	    s, json_at(params, "notifications", "resourceSubscriptions", NULL));
	if (s->missed) {
		/* Whatever happened while nobody listened. */
		s->missed = false;
		for (struct watched *w = s->watched; w != NULL; w = w->next)
			w->changed = true;
		tell_soon(s);
		server_list(s);
	}
	if (s->listen_again)
		listen_anew(s);
}

void
server_listen_over(struct server *s, uint64_t id, struct str why)
{
	const bool was_ok = s->listen_ok;

	if (id == s->listen_before)
		s->listen_before = 0;
	if (id != s->listen)
		return;
	s->listen = s->listen_before;
	s->listen_before = 0;
	s->listen_ok = s->listen != 0;
	if (!was_ok) {
		/* It takes no such request, or not this one. */
		fail_waiting(s, id, "not_supported", why);
		if (s->listen_again)
			listen_anew(s);
		return;
	}
	s->missed = true;
	if (++s->relistens <= SERVER_RESUMES_MAX && !s->over)
		loop_timer_set(s->loop, &s->relisten,
		    loop_now_ns(s->loop) + SERVER_RETRY_MS * 1000000LL);
}

void
server_listen_late(struct server *s, struct ask *a)
{
	const uint64_t id = a->id;

	server_tell_cancel(s, a, "the time for it is over");
	must(server_take(s, id) == a);
	server_ask_free(a);
	server_listen_over(
	    s, id, STR("The tool server did not say in time that it tells."));
}

static void
watch(struct server *s, uint64_t call, struct str uri, uint64_t timeout_ms)
{
	struct watched *w;
	struct ask *a;

	if (find(s, uri) != NULL) {
		done(s, call);
		return;
	}
	if (s->api != NULL || (!s->modern && !s->subscribes) ||
	    s->n_watched >= SUBSCRIPTIONS_MAX) {
		server_call_fail(s, call, "not_supported",
		    STR("The tool server does not tell when this resource "
			"changes."));
		return;
	}
	w = calloc(1, sizeof(*w));
	must(w != NULL);
	buf_add_str(&w->uri, uri);
	w->next = s->watched;
	s->watched = w;
	s->n_watched++;
	if (s->modern) {
		w->call = call;
		listen_anew(s);
	} else {
		own_buf struct buf params = {};

		buf_add_c(&params, "{\"uri\":");
		json_put_str(&params, uri);
		buf_add_byte(&params, '}');
		a = server_ask(s, ASK_CALL, "resources/subscribe",
		    buf_str(&params), (int64_t)timeout_ms);
		a->call = call;
		a->what = SERVER_ASK_SUBSCRIBE;
		buf_add_str(&a->uri, uri);
	}
}

static void
unwatch(struct server *s, uint64_t call, struct str uri, uint64_t timeout_ms)
{
	own_buf struct buf params = {};
	struct ask *a;

	if (find(s, uri) == NULL) {
		done(s, call);
		return;
	}
	buf_add_c(&params, "{\"uri\":");
	json_put_str(&params, uri);
	buf_add_byte(&params, '}');
	server_watch_forget(s, uri);
	if (s->modern) {
		listen_anew(s);
		done(s, call);
		return;
	}
	a = server_ask(s, ASK_CALL, "resources/unsubscribe", buf_str(&params),
	    (int64_t)timeout_ms);
	a->call = call;
	a->what = SERVER_ASK_UNSUBSCRIBE;
}

static void
done(struct server *s, uint64_t call)
{
	s->hear.on_result(s->hear.arg, s->id, call, SERVER_DONE, STR("{}"));
}

static struct watched *
find(const struct server *s, struct str uri)
{
	struct watched *w = s->watched;

	while (w != NULL && !str_eq(buf_str(&w->uri), uri))
		w = w->next;
	return w;
}

/* One request for all that it is to tell. One at a time is being opened. */
static void
listen_anew(struct server *s)
{
	own_buf struct buf params = {};
	const char *before = "{";
	struct ask *a;
	bool any = s->n_watched > 0;

	s->listen_again = s->listen != 0 && !s->listen_ok;
	if (s->listen_again || s->over)
		return;
	buf_add_c(&params, "{\"notifications\":");
	for (size_t i = 0; i < WATCH_LISTS; i++) {
		if (!s->tells[i])
			continue;
		buf_printf(
		    &params, "%s\"%s\":true", before, list_changes[i].filter);
		before = ",";
		any = true;
	}
	if (!any) {
		cut(s, s->listen);
		s->listen = 0;
		return;
	}
	if (s->n_watched > 0) {
		buf_printf(&params, "%s\"resourceSubscriptions\":", before);
		before = "[";
		for (struct watched *w = s->watched; w != NULL; w = w->next) {
			buf_add_c(&params, before);
			json_put_str(&params, buf_str(&w->uri));
			before = ",";
		}
		buf_add_byte(&params, ']');
	}
	buf_add_c(&params, "}}");
	s->listen_before = s->listen;
	s->listen_ok = false;
	a = server_ask(s, ASK_LISTEN, "subscriptions/listen", buf_str(&params),
	    SUBSCRIBE_MS);
	s->listen = a->id;
	for (struct watched *w = s->watched; w != NULL; w = w->next)
		w->listen = a->id;
}

/* id may be 0, or its end is known already. */
static void
cut(struct server *s, uint64_t id)
{
	struct ask *a = id != 0 ? server_take(s, id) : NULL;

	if (a == NULL)
		return;
	server_tell_cancel(s, a, "another one has taken its place");
	server_ask_free(a);
}

/* What it has agreed to tell is answered so, and what it has not. */
static void
settle(struct server *s, const struct json *agreed)
{
	struct watched **at = &s->watched;

	while (*at != NULL) {
		struct watched **before = at, *w = *at;
		const uint64_t call = w->call;
		bool told = false;

		at = &w->next;
		if (call == 0 || w->listen != s->listen)
			continue;
		if (json_is(agreed, JSON_ARRAY)) {
			for (const struct json *v = json_first(agreed);
			     v != NULL && !told; v = json_next(agreed, v))
				told = str_eq(json_str(v), buf_str(&w->uri));
		}
		w->call = 0;
		if (told) {
			done(s, call);
			continue;
		}
		at = before;
		forget(s, at);
		server_call_fail(s, call, "not_supported",
		    STR("The tool server does not tell when this resource "
			"changes."));
	}
}

/* Of those that wait: in that request, or (0) all. */
static void
fail_waiting(
    struct server *s, uint64_t listen, const char *code, struct str why)
{
	struct watched **at = &s->watched;

	while (*at != NULL) {
		const uint64_t call = (*at)->call;

		if (call == 0 || (listen != 0 && (*at)->listen != listen)) {
			at = &(*at)->next;
			continue;
		}
		forget(s, at);
		server_call_fail(s, call, code, why);
	}
}

/* The resource itself, or one below it. */
static bool
covers(struct str watched, struct str uri)
{
	static const struct str ends = { "/?#", 3 };

	if (!str_starts(uri, watched))
		return false;
	if (uri.n == watched.n || watched.n == 0)
		return watched.n > 0;
	return watched.p[watched.n - 1] == '/' ||
	    str_find(ends, uri.p[watched.n]) < ends.n;
}

static void
tell_soon(struct server *s)
{
	int64_t at = s->told_ns + SERVER_UPDATE_MS * 1000000LL;

	if (s->telling)
		return;
	s->telling = true;
	if (at < loop_now_ns(s->loop))
		at = loop_now_ns(s->loop);
	loop_timer_set(s->loop, &s->tell, at);
}

static void
on_tell(struct loop_timer *t)
{
	struct server *s = LOOP_OF(t, struct server, tell);

	s->telling = false;
	s->told_ns = loop_now_ns(s->loop);
	for (struct watched *w = s->watched; w != NULL; w = w->next) {
		if (!w->changed || w->call != 0)
			continue;
		w->changed = false;
		s->hear.on_updated(s->hear.arg, s->id, buf_str(&w->uri));
	}
}

static void
on_relisten(struct loop_timer *t)
{
	struct server *s = LOOP_OF(t, struct server, relisten);

	listen_anew(s);
}
