#include "broker/jwks.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/fetch.h"
#include "core/backoff.h"

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

enum { BACKOFF_BASE_MS = 500 };

/* A set, as one text gave it. */
struct set {
	struct arena arena; /* with a copy of the text */
	struct jwk_set jwks;
	struct pubkey *key[JWKS_MAX_KEYS];
	struct hash id[JWKS_MAX_KEYS]; /* of each, by all that it is */
	struct hash text;
};

struct jwks {
	struct set *set; /* NULL: none has come yet, or it is too old */

	/* of those that are fetched */
	const struct issuer *issuer; /* NULL: they are from a file */
	struct str roots;
	void (*on_change)(void);
	uint64_t fetch; /* under way, or 0 */
	struct loop_timer next; /* when they are fetched without being asked */
	int64_t asked_ns; /* the last time, or 0 */
	int64_t dead_ns; /* the set is used until then */
	uint32_t failures; /* in a row */
};

static struct set *set_new(struct str text, struct err *e);
static void set_free(struct set *s);
static struct pubkey *key_of(const struct jwk *k, struct err *e);
static struct hash id_of(const struct jwk *k);
static void fetch(struct jwks *k);
static void on_next(struct loop_timer *t);
static void on_done(void *arg, const struct fetch_answer *a);
static void taken(struct jwks *k, struct set *s, uint32_t max_age_s);
static void not_taken(struct jwks *k, const char *why);
static void tell(const struct jwks *k, const char *why);

struct jwks *
jwks_of_text(struct str text, struct err *e)
{
	struct jwks *k = calloc(1, sizeof(*k));

	must(k != NULL);
	k->next.on_time = on_next;
	k->set = set_new(text, e);
	if (k->set != NULL)
		return k;
	free(k);
	return NULL;
}

struct jwks *
jwks_by_url(const struct issuer *i, struct str roots, void (*on_change)(void))
{
	struct jwks *k = calloc(1, sizeof(*k));

	must(k != NULL);
	k->issuer = i;
	k->roots = roots;
	k->on_change = on_change;
	k->next.on_time = on_next;
	/* In the next round: the old configuration's may still be kept. */
	loop_timer_set(broker.loop, &k->next, clock_mono_ns());
	return k;
}

void
jwks_free(struct jwks *k)
{
	if (k == NULL)
		return;
	fetch_stop(k->fetch);
	loop_timer_clear(broker.loop, &k->next);
	set_free(k->set);
	free(k);
}

bool
jwks_keep(struct jwks *to, struct jwks *from)
{
	if (to->issuer == NULL || from->issuer == NULL || from->set == NULL ||
	    !str_eq(to->issuer->url, from->issuer->url) ||
	    !str_eq(to->issuer->keys_at.url, from->issuer->keys_at.url) ||
	    !str_eq(to->roots, from->roots))
		return false;
	to->set = from->set;
	to->dead_ns = from->dead_ns;
	from->set = NULL;
	return true;
}

const struct pubkey *
jwks_find(struct jwks *k, const struct jwt *t, struct hash *id, struct err *e)
{
	const struct jwk *found =
	    k->set != NULL ? jwk_find(&k->set->jwks, t) : NULL;
	int64_t now = clock_mono_ns();

	if (found != NULL) {
		size_t at = (size_t)(found - k->set->jwks.keys);

		*id = k->set->id[at];
		return k->set->key[at];
	}
	(void)err_set(e, "its key (kid, alg) is not its issuer's");
	if (k->issuer == NULL)
		return NULL;
	if (k->set == NULL)
		(void)err_set(e, "its issuer's keys are not to be had now");
	else
		(void)err_set(e,
		    "its key (kid, alg) is not its issuer's; a new one is "
		    "known some seconds after it is first used");
	/* After a failure it is the timer that asks. */
	if (k->fetch == 0 && k->failures == 0 && k->set != NULL &&
	    now - k->asked_ns >= (int64_t)k->issuer->refresh_s * NS_PER_S)
		fetch(k);
	return NULL;
}

bool
jwks_has(const struct jwks *k, const struct hash *id)
{
	for (uint32_t n = 0; k->set != NULL && n < k->set->jwks.n; n++) {
		if (hash_eq(&k->set->id[n], id))
			return true;
	}
	return false;
}

static struct set *
set_new(struct str text, struct err *e)
{
	struct set *s = calloc(1, sizeof(*s));
	const char *copy;

	must(s != NULL);
	s->text = hash_of(text.p, text.n);
	copy = arena_copy(&s->arena, text);
	if (copy == NULL) {
		(void)err_set(e, "out of memory");
		goto bad;
	}
	if (jwk_set_parse(
		(struct str){ copy, text.n }, &s->arena, &s->jwks, e) < 0)
		goto bad;
	if (s->jwks.n == 0) {
		(void)err_set(
		    e, "it has no key for RS256, ES256 or EdDSA (Ed25519)");
		goto bad;
	}
	for (uint32_t n = 0; n < s->jwks.n; n++) {
		s->key[n] = key_of(&s->jwks.keys[n], e);
		if (s->key[n] == NULL) {
			(void)err_add(e, "key %u", n + 1);
			goto bad;
		}
		s->id[n] = id_of(&s->jwks.keys[n]);
	}
	return s;
bad:
	set_free(s);
	return NULL;
}

static void
set_free(struct set *s)
{
	if (s == NULL)
		return;
	for (size_t n = 0; n < JWKS_MAX_KEYS; n++)
		pubkey_free(s->key[n]);
	arena_fini(&s->arena);
	free(s);
}

static struct pubkey *
key_of(const struct jwk *k, struct err *e)
{
	switch (k->alg) {
	case JWT_RS256:
		return pubkey_rsa(k->n, k->e, e);
	case JWT_ES256:
		return pubkey_p256(k->x, k->y, e);
	case JWT_EDDSA:
		return pubkey_ed25519(k->x, e);
	case JWT_ALGS:
		break;
	}
	must(false);
	return NULL;
}

/* The name is part of it: a key under another name is another. */
static struct hash
id_of(const struct jwk *k)
{
	const struct str parts[] = { k->kid, str_of(jwt_alg_name(k->alg)), k->n,
		k->e, k->x, k->y };
	struct hash all[sizeof(parts) / sizeof(parts[0])];

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		all[i] = hash_of(parts[i].n > 0 ? parts[i].p : "", parts[i].n);
	return hash_of(all, sizeof(all));
}

static void
fetch(struct jwks *k)
{
	const struct fetch_ask ask = {
		.to = &k->issuer->keys_at,
		.roots = k->roots,
		.method = "GET",
		.fields = STR("Accept: application/jwk-set+json, "
			      "application/json\r\n"),
		.max_bytes = JWKS_MAX_BYTES,
		.on_done = on_done,
		.arg = k,
	};

	loop_timer_clear(broker.loop, &k->next);
	k->asked_ns = clock_mono_ns();
	k->fetch = fetch_start(&ask);
	if (k->fetch == 0)
		not_taken(k, "the proxy is not there");
}

static void
on_next(struct loop_timer *t)
{
	fetch(LOOP_OF(t, struct jwks, next));
}

static void
on_done(void *arg, const struct fetch_answer *a)
{
	struct jwks *k = arg;
	struct set *s;
	struct err e = {};

	k->fetch = 0;
	if (a->status == 0)
		(void)err_set(&e, "%.*s", STR_FMT(a->text));
	else if (a->status != 200)
		(void)err_set(&e, "the answer has status %u", a->status);
	s = a->status == 200 ? set_new(a->text, &e) : NULL;
	if (s != NULL)
		taken(k, s, a->max_age_s);
	else
		not_taken(k, e.text);
}

static void
taken(struct jwks *k, struct set *s, uint32_t max_age_s)
{
	uint64_t life_s =
	    max_age_s == FETCH_AGE_UNKNOWN ? JWKS_LIFE_S : max_age_s;
	const bool same = k->set != NULL && hash_eq(&k->set->text, &s->text);
	int64_t now = clock_mono_ns();

	if (life_s > JWKS_LIFE_MAX_S)
		life_s = JWKS_LIFE_MAX_S;
	if (life_s < k->issuer->refresh_s)
		life_s = k->issuer->refresh_s;
	k->failures = 0;
	k->dead_ns = now + (int64_t)(life_s + k->issuer->stale_s) * NS_PER_S;
	loop_timer_set(broker.loop, &k->next, now + (int64_t)life_s * NS_PER_S);
	set_free(k->set);
	k->set = s;
	if (same)
		return;
	tell(k, "");
	k->on_change();
}

/* Again behind a wait that grows to refresh_s; in time to end what is old. */
static void
not_taken(struct jwks *k, const char *why)
{
	uint64_t refresh_ms = k->issuer->refresh_s * 1000;
	int64_t now = clock_mono_ns(), at;

	if (k->failures++ == 0)
		tell(k, why);
	if (k->set != NULL && now >= k->dead_ns) {
		set_free(k->set);
		k->set = NULL;
		tell(k, "the keys that were fetched before are too old");
		k->on_change();
	}
	at = now +
	    (int64_t)backoff_ms(BACKOFF_BASE_MS, (uint32_t)refresh_ms,
		k->failures, (uint64_t)now) *
		NS_PER_MS;
	if (k->set != NULL && at > k->dead_ns)
		at = k->dead_ns;
	loop_timer_set(broker.loop, &k->next, at);
}

/* Whose signatures are good is a matter of record. why "": they are there. */
static void
tell(const struct jwks *k, const char *why)
{
	own_buf struct buf body = {};
	struct event ev = {
		.kind = EVENT_NOTE,
		.t_ns = clock_utc_ns(),
		.mono_ns = clock_mono_ns(),
		.ms = -1,
	};
	char hex[HASH_HEX_BYTES];

	buf_add_c(&body, "{\"issuer\":");
	json_put_str(&body, k->issuer->url);
	if (why[0] == '\0') {
		hash_hex(&k->set->text, hex);
		buf_printf(&body,
		    ",\"keys\":%u,\"note\":\"issuer_keys\",\"sha256\":\"%s\"}",
		    k->set->jwks.n, hex);
	} else {
		log_warn("issuer's keys not fetched issuer=%.*s why=\"%s\"",
		    STR_FMT(k->issuer->url), why);
		buf_add_c(&body, ",\"note\":\"issuer_keys_failed\",\"why\":");
		json_put_str(&body, str_of(why));
		buf_add_byte(&body, '}');
	}
	ev.body = buf_str(&body);
	(void)store_append(
	    broker.store, &ev); /* a note: nothing waits for it */
}
