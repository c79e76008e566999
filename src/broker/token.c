#include "broker/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/record.h"
#include "broker/who.h"
#include "core/id.h"
#include "core/rights.h"

#define NS_PER_S INT64_C(1000000000)

struct token {
	struct token *next;
	struct hash hash;
	uint64_t id;
	char text[ID_BYTES];
	struct identity who; /* its texts are in the arena */
	struct arena arena;
	char name[NAME_MAX_BYTES]; /* "acme/alice" */
	char by[NAME_MAX_BYTES]; /* who made it */
	int64_t created_ns, expires_ns, revoked_ns, used_ns; /* UTC; 0: not */
	int64_t stored_ns; /* when its use was stored last */
	struct loop_timer end; /* while it is good */
};

/* An answer that waits for the disk. */
struct late {
	struct late *next;
	uint64_t call, seq;
	uint32_t http;
	struct buf json;
};

static struct token *tokens;
static struct late *lates;

static bool on_row(void *arg, const struct hash *hash, struct str body);
static int take(struct token *t, const struct json *args, struct err *e);
static int take_list(struct token *t, const struct json *list, bool scopes,
    struct str *out, uint32_t *n, struct err *e);
static int take_attributes(
    struct token *t, const struct json *args, struct err *e);
static int take_text(struct token *t, struct str s, struct str *out);
static void token_free(struct token *t);
static bool is_good(const struct token *t, int64_t now);
static void arm(struct token *t);
static void on_end(struct loop_timer *end);
static void hang_up(const struct token *t);
static void token_write(struct buf *out, const struct token *t);
static int token_store(struct token *t);
static uint64_t record(const struct token *t, const char *what, const char *by);
static void reply_late(
    uint64_t call, uint64_t seq, uint32_t http, struct str json);
static void refuse(uint64_t call, const char *why);

int
token_load(struct err *e)
{
	return store_api_tokens(broker.store, on_row, NULL, e) < 0
	    ? err_add(e, "API tokens")
	    : 0;
}

const struct identity *
token_use(const struct hash *hash, char name[static NAME_MAX_BYTES])
{
	int64_t now = clock_utc_ns();

	for (struct token *t = tokens; t != NULL; t = t->next) {
		if (!hash_eq(&t->hash, hash))
			continue;
		if (!is_good(t, now))
			return NULL;
		memcpy(name, t->name, NAME_MAX_BYTES);
		t->used_ns = now;
		if (now - t->stored_ns >= TOKEN_USE_S * NS_PER_S) {
			t->stored_ns = now;
			(void)token_store(t); /* a note: nothing waits for it */
		}
		return &t->who;
	}
	return NULL;
}

void
token_create(const struct caller *who, uint64_t call, const struct json *args)
{
	struct token *t = calloc(1, sizeof(*t));
	own_buf struct buf out = {};
	char text[80], hex[HASH_HEX_BYTES];
	struct hash random;
	struct err e = {};
	uint64_t ttl_s = TOKEN_TTL_S, seq;
	uint32_t n = 0;

	must(t != NULL);
	t->created_ns = clock_utc_ns();
	for (const struct token *o = tokens; o != NULL; o = o->next)
		n += is_good(o, t->created_ns);
	if (n >= TOKENS_MAX) {
		reply_error(call, 409, "too_many_tokens",
		    "As many tokens are good as one daemon keeps.",
		    "Revoke some: `paddock token ls`, `paddock token revoke`.");
		token_free(t);
		return;
	}
	if (json_get(args, STR("ttl_s")) != NULL &&
	    (json_u64(json_get(args, STR("ttl_s")), &ttl_s) < 0 || ttl_s == 0 ||
		ttl_s > TOKEN_TTL_MAX_S))
		(void)err_set(&e, "`ttl_s` is not 1 to %d", TOKEN_TTL_MAX_S);
	if (e.text[0] != '\0' || take(t, args, &e) < 0) {
		refuse(call, e.text);
		token_free(t);
		return;
	}
	must(getrandom(random.b, sizeof(random.b), 0) == sizeof(random.b));
	hash_hex(&random, hex);
	(void)snprintf(text, sizeof(text), "pdt_%s", hex);
	t->hash = hash_of(text, strlen(text));
	t->id = random_id();
	id_text('t', t->id, t->text);
	t->expires_ns = t->created_ns + (int64_t)ttl_s * NS_PER_S;
	memcpy(t->by, who->name, sizeof(t->by));
	seq = record(t, "token_created", who->name);
	if (seq == 0 || token_store(t) < 0) {
		reply_error(call, 503, "store_failed",
		    "The store takes no more records: nothing was done.",
		    "Look at the daemon's log; the disk may be full.");
		token_free(t);
		return;
	}
	t->next = tokens;
	tokens = t;
	arm(t);
	token_write(&out, t);
	must(out.n > 0 && out.p[out.n - 1] == '}');
	out.n--;
	buf_printf(&out, ",\"secret\":\"%s\"}", text);
	reply_late(call, seq, 201, buf_str(&out));
	explicit_bzero(text, sizeof(text));
	explicit_bzero(hex, sizeof(hex));
	explicit_bzero(&random, sizeof(random));
	explicit_bzero(out.p, out.n);
}

void
token_list(uint64_t call)
{
	own_buf struct buf out = {};

	buf_add_c(&out, "{\"tokens\":[");
	for (const struct token *t = tokens; t != NULL; t = t->next) {
		if (t != tokens)
			buf_add_byte(&out, ',');
		token_write(&out, t);
	}
	buf_add_c(&out, "]}");
	reply(call, REPLY_OK, 200, buf_str(&out));
}

void
token_revoke(const struct caller *who, uint64_t call, const struct json *args)
{
	struct token *t = tokens;
	own_buf struct buf out = {};
	uint64_t id = 0, seq;

	(void)id_parse('t', json_str(json_get(args, STR("token"))), &id);
	while (t != NULL && t->id != id)
		t = t->next;
	if (t == NULL) {
		reply_error(call, 404, "unknown_token",
		    "There is no such token.",
		    "`paddock token ls` lists them.");
		return;
	}
	if (t->revoked_ns == 0) {
		t->revoked_ns = clock_utc_ns();
		loop_timer_clear(broker.loop, &t->end);
		hang_up(t);
	}
	/* Again, too: the first may not have reached the disk. */
	seq = record(t, "token_revoked", who->name);
	if (seq == 0 || token_store(t) < 0) {
		reply_error(call, 503, "store_failed",
		    "It is good no more, but after a restart it would be: the "
		    "store takes no more records.",
		    "Look at the daemon's log; the disk may be full.");
		return;
	}
	token_write(&out, t);
	reply_late(call, seq, 200, buf_str(&out));
}

void
token_durable(uint64_t seq)
{
	struct late **at = &lates;

	while (*at != NULL) {
		struct late *l = *at;

		if (l->seq > seq) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		reply(l->call, REPLY_OK, l->http, buf_str(&l->json));
		explicit_bzero(l->json.p, l->json.n);
		buf_fini(&l->json);
		free(l);
	}
}

/* The times of a row; one that is missing is 0. */
static void
take_times(struct token *t, const struct json *v)
{
	const struct {
		const char *name;
		int64_t *out;
	} times[] = {
		{ "created_ms", &t->created_ns },
		{ "expires_ms", &t->expires_ns },
		{ "revoked_ms", &t->revoked_ns },
		{ "used_ms", &t->used_ns },
	};
	uint64_t ms;

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		if (json_u64(json_get(v, str_of(times[i].name)), &ms) == 0)
			*times[i].out = (int64_t)ms * 1000000;
	}
}

/* A damaged row is no token: it is told of, and nobody comes in with it. */
static bool
on_row(void *arg, const struct hash *hash, struct str body)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *v = json_parse(body, NULL, &a, &e, NULL);
	struct token *t = calloc(1, sizeof(*t));
	int64_t now = clock_utc_ns(), over;

	(void)arg;
	must(t != NULL);
	t->hash = *hash;
	take_times(t, v);
	t->stored_ns = t->used_ns;
	if (v == NULL || take(t, v, &e) < 0 ||
	    id_parse('t', json_str(json_get(v, STR("token"))), &t->id) < 0 ||
	    str_copy(json_str(json_get(v, STR("by"))), t->by, sizeof(t->by)) <
		0) {
		log_error("an API token is damaged why=\"%s\"", e.text);
		token_free(t);
		return true;
	}
	id_text('t', t->id, t->text);
	over = t->revoked_ns != 0 ? t->revoked_ns : t->expires_ns;
	if (now - over > TOKEN_KEEP_S * NS_PER_S) {
		token_free(t);
		return true;
	}
	t->next = tokens;
	tokens = t;
	if (is_good(t, now))
		arm(t);
	return true;
}

/* Tenant, actor, roles, scopes and attributes of a request, or of a row. */
static int
take(struct token *t, const struct json *args, struct err *e)
{
	struct str tenant = json_str(json_get(args, STR("tenant")));
	struct str actor = json_str(json_get(args, STR("actor")));

	if (!str_eq(tenant, RIGHTS_ALL_TENANTS) &&
	    !rights_name_ok(tenant, true))
		return err_set(e,
		    "`tenant` is no name of letters, digits and ._:@+-, nor "
		    "\"*\" for all of them");
	if (!rights_name_ok(actor, false))
		return err_set(
		    e, "`actor` is no name of letters, digits and ._:/@+-");
	if (snprintf(t->name, sizeof(t->name), "%.*s/%.*s", STR_FMT(tenant),
		STR_FMT(actor)) >= (int)sizeof(t->name))
		return err_set(e,
		    "`tenant` and `actor` have over %d bytes together",
		    NAME_MAX_BYTES - 2);
	if (take_text(t, tenant, &t->who.tenant) < 0 ||
	    take_text(t, actor, &t->who.actor) < 0)
		return err_set(e, "out of memory");
	if (take_list(t, json_get(args, STR("roles")), false, t->who.roles,
		&t->who.n_roles, e) < 0 ||
	    take_list(t, json_get(args, STR("scopes")), true, t->who.scopes,
		&t->who.n_scopes, e) < 0)
		return -1;
	return take_attributes(t, json_get(args, STR("attributes")), e);
}

static int
take_list(struct token *t, const struct json *list, bool scopes,
    struct str *out, uint32_t *n, struct err *e)
{
	const char *what = scopes ? "scopes" : "roles";

	if (list == NULL)
		return 0;
	if (!json_is(list, JSON_ARRAY) || list->n > SCOPES_MAX)
		return err_set(
		    e, "`%s` is no list of up to %d texts", what, SCOPES_MAX);
	for (const struct json *x = json_first(list); x != NULL;
	     x = json_next(list, x)) {
		if (!(scopes ? rights_scope_ok(json_str(x))
			     : rights_name_ok(json_str(x), false)))
			return err_set(e,
			    "an entry of `%s` is no name, such as %s", what,
			    scopes ? "\"runs:read\" or \"runs:*\""
				   : "\"approver\"");
		if (take_text(t, json_str(x), &out[(*n)++]) < 0)
			return err_set(e, "out of memory");
	}
	return 0;
}

static int
take_attributes(struct token *t, const struct json *object, struct err *e)
{
	if (identity_attributes_add(&t->who, object, &t->arena) == 0)
		return 0;
	return err_set(e,
	    "`attributes` are up to %d names like \"customer\", none of "
	    "tenant, "
	    "actor, roles and scopes, each a text of 1 to %d bytes or a list "
	    "of up to %d",
	    ATTRIBUTES_MAX, ATTRIBUTE_MAX_BYTES, ATTRIBUTE_LIST_MAX);
}

static int
take_text(struct token *t, struct str s, struct str *out)
{
	const char *copy = arena_copy(&t->arena, s);

	*out = (struct str){ copy, s.n };
	return copy != NULL ? 0 : -1;
}

static void
token_free(struct token *t)
{
	arena_fini(&t->arena);
	free(t);
}

static bool
is_good(const struct token *t, int64_t now)
{
	return t->revoked_ns == 0 && now < t->expires_ns;
}

/* When it expires, by the clock that runs while we do. */
static void
arm(struct token *t)
{
	t->end.on_time = on_end;
	loop_timer_set(broker.loop, &t->end,
	    clock_mono_ns() + (t->expires_ns - clock_utc_ns()));
}

static void
on_end(struct loop_timer *end)
{
	struct token *t = LOOP_OF(end, struct token, end);

	/* A clock that was set back gives it what it has left. */
	if (is_good(t, clock_utc_ns()))
		arm(t);
	else
		hang_up(t);
}

static void
hang_up(const struct token *t)
{
	const struct msg_token_gone m = { .token = t->hash };

	(void)peer_send(&broker.gateway, MSG_TOKEN_GONE, &m, STR(""), NULL,
	    0); /* a gateway that is gone has hung up on everybody */
}

static void
token_write(struct buf *out, const struct token *t)
{
	const struct identity *w = &t->who;
	const struct {
		const char *name;
		int64_t ns;
	} times[] = {
		{ "created_ms", t->created_ns },
		{ "expires_ms", t->expires_ns },
		{ "revoked_ms", t->revoked_ns },
		{ "used_ms", t->used_ns },
	};

	buf_add_c(out, "{\"actor\":");
	json_put_str(out, w->actor);
	buf_add_c(out, ",\"attributes\":");
	identity_attributes_write(out, w);
	buf_add_c(out, ",\"by\":");
	json_put_str(out, str_of(t->by));
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		if (times[i].ns != 0)
			buf_printf(out, ",\"%s\":%lld", times[i].name,
			    (long long)(times[i].ns / 1000000));
	}
	buf_add_c(out, ",\"roles\":[");
	for (uint32_t i = 0; i < w->n_roles; i++) {
		buf_add_c(out, i > 0 ? "," : "");
		json_put_str(out, w->roles[i]);
	}
	buf_add_c(out, "],\"scopes\":[");
	for (uint32_t i = 0; i < w->n_scopes; i++) {
		buf_add_c(out, i > 0 ? "," : "");
		json_put_str(out, w->scopes[i]);
	}
	buf_printf(out, "],\"state\":\"%s\",\"tenant\":",
	    t->revoked_ns != 0		     ? "revoked"
		: is_good(t, clock_utc_ns()) ? "good"
					     : "expired");
	json_put_str(out, w->tenant);
	buf_printf(out, ",\"token\":\"%s\"}", t->text);
}

static int
token_store(struct token *t)
{
	own_buf struct buf body = {};

	token_write(&body, t);
	return body.failed
	    ? -1
	    : store_put_api_token(broker.store, &t->hash, buf_str(&body));
}

static uint64_t
record(const struct token *t, const char *what, const char *by)
{
	own_buf struct buf body = {};
	struct event ev = {
		.kind = EVENT_NOTE,
		.t_ns = clock_utc_ns(),
		.mono_ns = clock_mono_ns(),
		.ms = -1,
	};

	buf_add_c(&body, "{\"by\":");
	json_put_str(&body, str_of(by));
	buf_printf(&body, ",\"note\":\"%s\",\"of\":", what);
	json_put_str(&body, str_of(t->name));
	buf_printf(&body, ",\"token\":\"%s\"}", t->text);
	ev.body = buf_str(&body);
	return record_add(&ev);
}

static void
reply_late(uint64_t call, uint64_t seq, uint32_t http, struct str json)
{
	struct late *l = calloc(1, sizeof(*l));

	must(l != NULL);
	l->call = call;
	l->seq = seq;
	l->http = http;
	buf_add_str(&l->json, json);
	l->next = lates;
	lates = l;
	store_hurry(broker.store);
}

static void
refuse(uint64_t call, const char *why)
{
	char text[ERR_TEXT_BYTES + 8];

	(void)snprintf(text, sizeof(text), "%s.", why);
	reply_error(call, 400, "bad_token", text,
	    "See docs/openapi.json for the members of a token.");
}
