/*
 * Reply links: a token for one person's yes or no to one approval, for whoever
 * brings the question to him: a mail, a chat. It is good until the approval is
 * decided or its deadline, for the call as it was when the link was made, and
 * for one answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "broker/approval_int.h"
#include "broker/record.h"
#include "broker/who.h"
#include "core/rights.h"

struct link {
	struct link *next;
	struct hash token;
	uint64_t approval;
	struct hash call; /* what the answer is to */
	struct identity who;
	struct arena arena; /* the identity's texts */
	char name[NAME_MAX_BYTES];
	bool used;
};

static struct link *links;

/* Why there is no link. */
struct refusal {
	uint32_t http;
	const char *code;
	char text[sizeof(((struct err *)NULL)->text)];
	const char *next_step;
};

enum { LINK_BYTES = 80 }; /* of its token, with the NUL */

static struct link *make(const struct approval *a, const struct run *r,
    const struct json *args, const char *by, char text[static LINK_BYTES],
    struct refusal *why);
static int take(
    struct link *l, struct str tenant, const struct json *args, struct err *e);
static struct str keep(struct link *l, struct str s);
static bool is_good(const struct link *l);
static void drop_old(void);
static void link_free(struct link *l);
static bool record(const struct approval *a, const struct run *r,
    const struct link *l, const char *by);

void
approval_link(const struct caller *who, uint64_t call, const struct json *args)
{
	uint64_t id = 0;
	struct approval *a = NULL;
	struct run *r = NULL;
	struct link *l;
	own_buf struct buf out = {};
	char text[LINK_BYTES], hex[HASH_HEX_BYTES];
	struct refusal why;

	if (id_parse('a', json_str(json_get(args, STR("approval"))), &id) == 0)
		a = approval_find(id);
	r = a != NULL ? run_find(a->run) : NULL;
	if (r == NULL || a->state != APPROVAL_PENDING ||
	    !caller_sees_run(who, r->id)) {
		reply_error(call, 404, "unknown_approval",
		    "No such approval is pending.",
		    "`paddock approvals` lists those that are pending.");
		return;
	}
	l = make(a, r, args, who->name, text, &why);
	if (l == NULL) {
		reply_error(call, why.http, why.code, why.text, why.next_step);
		return;
	}
	hash_hex(&a->hash, hex);
	buf_printf(
	    &out, "{\"approval\":\"%s\",\"call_sha256\":\"%s\"", a->text, hex);
	if (!a->unlimited)
		buf_printf(&out, ",\"deadline_ms\":%lld",
		    (long long)(a->deadline_ns / 1000000));
	buf_printf(&out, ",\"secret\":\"%s\",\"who\":", text);
	json_put_str(&out, str_of(l->name));
	buf_add_byte(&out, '}');
	reply(call, REPLY_OK, 201, buf_str(&out));
	explicit_bzero(text, sizeof(text));
	explicit_bzero(out.p, out.n);
}

int
approval_link_make(struct approval *a, const struct run *r,
    const struct json *args, const char *by, struct buf *out, struct err *e)
{
	char text[LINK_BYTES];
	struct refusal why;
	const struct link *l = make(a, r, args, by, text, &why);

	if (l == NULL)
		return err_set(e, "%s", why.text);
	buf_printf(out,
	    "{\"path\":\"/v1/approvals/%s/decide\",\"secret\":\"%s\","
	    "\"who\":",
	    a->text, text);
	json_put_str(out, str_of(l->name));
	buf_add_byte(out, '}');
	explicit_bzero(text, sizeof(text));
	return 0;
}

/* One more, on record. NULL: *why says why not. text is the token. */
static struct link *
make(const struct approval *a, const struct run *r, const struct json *args,
    const char *by, char text[static LINK_BYTES], struct refusal *why)
{
	struct link *l;
	struct hash random;
	struct err e = {};
	char hex[HASH_HEX_BYTES];
	uint32_t n = 0;

	drop_old();
	for (const struct link *o = links; o != NULL; o = o->next)
		n += o->approval == a->id;
	if (n >= LINKS_MAX) {
		*why = (struct refusal){ 409, "too_many_links",
			"As many links as one approval can have are out.",
			"Use one of them." };
		return NULL;
	}
	l = calloc(1, sizeof(*l));
	must(l != NULL);
	if (take(l, r->policy->identity.tenant, args, &e) < 0) {
		link_free(l);
		*why = (struct refusal){ 400, "bad_link", "",
			"See docs/openapi.json for the members of a link." };
		(void)snprintf(why->text, sizeof(why->text), "%s", e.text);
		return NULL;
	}
	must(getrandom(random.b, sizeof(random.b), 0) == sizeof(random.b));
	hash_hex(&random, hex);
	(void)snprintf(text, LINK_BYTES, "pdl_%s", hex);
	l->token = hash_of(text, strlen(text));
	l->approval = a->id;
	l->call = a->hash;
	explicit_bzero(&random, sizeof(random));
	explicit_bzero(hex, sizeof(hex));
	if (!record(a, r, l, by)) {
		link_free(l);
		explicit_bzero(text, LINK_BYTES);
		*why = (struct refusal){ 503, "store_failed",
			"The store takes no more records: nothing was done.",
			"Look at the daemon's log; the disk may be full." };
		return NULL;
	}
	l->next = links;
	links = l;
	return l;
}

const struct identity *
approval_link_use(const struct hash *token, uint64_t *approval,
    char name[static NAME_MAX_BYTES])
{
	for (const struct link *l = links; l != NULL; l = l->next) {
		if (!hash_eq(&l->token, token))
			continue;
		if (!is_good(l))
			return NULL;
		*approval = l->approval;
		memcpy(name, l->name, NAME_MAX_BYTES);
		return &l->who;
	}
	return NULL;
}

void
approval_link_spend(const struct identity *who)
{
	for (struct link *l = links; l != NULL; l = l->next) {
		if (&l->who == who)
			l->used = true;
	}
}

/* {"actor": "bea", "roles": ["finance"]}, of the run's tenant. */
static int
take(struct link *l, struct str tenant, const struct json *args, struct err *e)
{
	const struct json *roles = json_get(args, STR("roles"));
	struct str actor = json_str(json_get(args, STR("actor")));

	if (!rights_name_ok(actor, false) ||
	    snprintf(l->name, sizeof(l->name), "%.*s/%.*s", STR_FMT(tenant),
		STR_FMT(actor)) >= (int)sizeof(l->name))
		return err_set(e, "`actor` is no name.");
	l->who.tenant = keep(l, tenant);
	l->who.actor = keep(l, actor);
	if (roles != NULL &&
	    (!json_is(roles, JSON_ARRAY) || roles->n > SCOPES_MAX))
		return err_set(e, "`roles` is no list of names.");
	for (const struct json *x = json_first(roles); x != NULL;
	     x = json_next(roles, x)) {
		if (!rights_name_ok(json_str(x), false))
			return err_set(e, "`roles` is no list of names.");
		l->who.roles[l->who.n_roles++] = keep(l, json_str(x));
	}
	return l->arena.failed ? err_set(e, "Out of memory.") : 0;
}

static struct str
keep(struct link *l, struct str s)
{
	const char *copy = arena_copy(&l->arena, s);

	return (struct str){ copy, copy != NULL ? s.n : 0 };
}

/* An edit makes it another call: then another link is needed. */
static bool
is_good(const struct link *l)
{
	const struct approval *a = approval_find(l->approval);

	return !l->used && a != NULL && a->state == APPROVAL_PENDING &&
	    hash_eq(&a->hash, &l->call) &&
	    (a->unlimited || clock_utc_ns() <= a->deadline_ns);
}

static void
drop_old(void)
{
	struct link **at = &links;

	while (*at != NULL) {
		struct link *l = *at;

		if (is_good(l)) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		link_free(l);
	}
}

static void
link_free(struct link *l)
{
	arena_fini(&l->arena);
	free(l);
}

static bool
record(const struct approval *a, const struct run *r, const struct link *l,
    const char *by)
{
	struct event ev = record_of(r, EVENT_NOTE);
	own_buf struct buf body = {};

	buf_printf(&body, "{\"approval\":\"%s\",\"by\":", a->text);
	json_put_str(&body, str_of(by));
	buf_add_c(&body, ",\"for\":");
	json_put_str(&body, str_of(l->name));
	buf_add_c(&body, ",\"note\":\"reply_link\"}");
	ev.step = a->step;
	ev.body = buf_str(&body);
	return record_add(&ev) != 0;
}
