#include "broker/bearer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/approval_hook.h"
#include "broker/jwks.h"
#include "core/issuer.h"
#include "sys/fd.h"

#define NS_PER_S INT64_C(1000000000)
#define CONFIG "config.json"

/* A file, as it was handed over. */
struct file {
	char name[IDENTITY_NAME_BYTES];
	struct buf text;
};

/* What the files say. */
struct known {
	struct arena arena;
	struct issuers issuers;
	struct jwks **keys; /* one for each issuer */
	struct approval_hook hooks[WEBHOOKS_MAX];
	struct file files[IDENTITY_FILES_MAX];
	uint32_t n_files;
	bool bad; /* one of the files was not to be had */
};

/* A token whose signature was good. */
struct bearer {
	struct bearer *next;
	struct hash hash;
	struct hash key; /* that has signed it */
	struct jwks *keys; /* of its issuer */
	struct arena arena; /* the claims, whose texts are the identity's */
	struct identity who;
	char name[NAME_MAX_BYTES];
	struct loop_timer end;
	int64_t until_ns; /* UTC */
};

static struct known *known, *coming; /* what holds; what is handed over */
static struct bearer *bearers;
static uint32_t n_bearers;
static struct err fault; /* of the token that came last */
static struct hash fault_of;

static void add_file(const struct msg_identity *m, const struct frame *f);
static void settle(void);
static int load(struct known *k, struct err *e);
static struct jwks *load_keys(
    struct known *k, const struct issuer *i, struct err *e);
static int load_hook(struct known *k, uint32_t i, struct err *e);
static void keep_keys(struct known *to, struct known *from);
static void on_keys(void);
static const struct file *file_find(const struct known *k, struct str name);
static void known_free(struct known *k);
static int check(struct bearer *b, struct str token, struct err *e);
static struct bearer *find(const struct hash *token);
static void on_end(struct loop_timer *t);
static void forget(struct bearer *b);

void
on_identity(const struct msg_identity *m, const struct frame *f)
{
	if (coming == NULL) {
		coming = calloc(1, sizeof(*coming));
		must(coming != NULL);
	}
	if (m->name[0] != '\0')
		add_file(m, f);
	else
		settle();
}

void
on_bearer(const struct msg_bearer *m, struct str token)
{
	struct bearer *b;

	fault.text[0] = '\0';
	fault_of = m->token;
	if (find(&m->token) != NULL)
		return;
	b = calloc(1, sizeof(*b));
	must(b != NULL);
	/* The name that requests have is of these bytes and no others. */
	b->hash = hash_of(token.p, token.n);
	b->end.on_time = on_end;
	if (!hash_eq(&b->hash, &m->token))
		(void)err_set(&fault, "another token was named");
	else if (check(b, token, &fault) == 0) {
		if (n_bearers == BEARERS_MAX) {
			struct bearer *oldest = bearers;

			while (oldest->next != NULL)
				oldest = oldest->next;
			forget(oldest);
		}
		b->next = bearers;
		bearers = b;
		n_bearers++;
		loop_timer_set(broker.loop, &b->end,
		    clock_mono_ns() + (b->until_ns - clock_utc_ns()));
		return;
	}
	arena_fini(&b->arena);
	free(b);
}

const struct identity *
bearer_uid(uint32_t uid, char name[static NAME_MAX_BYTES])
{
	const struct issuer_uid *u =
	    known != NULL ? issuers_uid(&known->issuers, uid) : NULL;

	if (u == NULL)
		return NULL;
	(void)snprintf(name, NAME_MAX_BYTES, "%.*s/%.*s",
	    STR_FMT(u->who.tenant), STR_FMT(u->who.actor));
	return &u->who;
}

const struct identity *
bearer_use(const struct hash *token, char name[static NAME_MAX_BYTES])
{
	const struct bearer *b = find(token);

	if (b == NULL || clock_utc_ns() >= b->until_ns)
		return NULL;
	memcpy(name, b->name, NAME_MAX_BYTES);
	return &b->who;
}

const char *
bearer_fault(const struct hash *token)
{
	return hash_eq(token, &fault_of) ? fault.text : "";
}

static void
add_file(const struct msg_identity *m, const struct frame *f)
{
	struct file *x = &coming->files[coming->n_files];
	struct err e = {};

	if (coming->n_files == IDENTITY_FILES_MAX ||
	    memchr(m->name, '\0', sizeof(m->name)) == NULL || f->n_fds != 1) {
		log_error("identity file not taken name=%.*s why=\"%.*s\"",
		    (int)sizeof(m->name), m->name, STR_FMT(f->payload));
		coming->bad = true;
		return;
	}
	memcpy(x->name, m->name, sizeof(x->name));
	if (fd_read_sealed(f->fds[0], &x->text, JWKS_MAX_BYTES, &e) < 0) {
		log_error("identity file not taken name=%s why=\"%s\"", x->name,
		    e.text);
		coming->bad = true;
		return;
	}
	coming->n_files++;
}

/* All files are there: they hold from now on, or nobody is let in by them. */
static void
settle(void)
{
	struct known *now = coming;
	struct err e = {};

	coming = NULL;
	if (now->bad || load(now, &e) < 0) {
		if (!now->bad)
			log_error(
			    "nobody is let in by identity/ why=\"%s\"", e.text);
		known_free(now);
		now = NULL;
	}
	while (bearers != NULL)
		forget(bearers);
	if (now != NULL && known != NULL)
		keep_keys(now, known);
	approval_hooks_set(now != NULL ? now->hooks : NULL,
	    now != NULL ? now->issuers.hooks.n : 0);
	known_free(known);
	known = now;
}

static int
load(struct known *k, struct err *e)
{
	const struct file *config = file_find(k, STR(CONFIG));

	if (config == NULL)
		return k->n_files == 0
		    ? 0
		    : err_set(e, "there is no identity/" CONFIG);
	if (issuers_parse(buf_str(&config->text), &k->arena, &k->issuers, e) <
	    0)
		return err_add(e, "identity/" CONFIG);
	k->keys = calloc(k->issuers.n + 1, sizeof(void *));
	must(k->keys != NULL);
	for (uint32_t i = 0; i < k->issuers.n; i++) {
		const struct issuer *one = &k->issuers.list[i];

		k->keys[i] = load_keys(k, one, e);
		if (k->keys[i] == NULL)
			return err_add(e, "identity/%.*s",
			    STR_FMT(one->keys.n > 0 ? one->keys
						    : one->keys_at.roots));
	}
	for (uint32_t i = 0; i < k->issuers.hooks.n; i++) {
		if (load_hook(k, i, e) < 0)
			return err_add(e, "webhooks[%u]", i);
	}
	return 0;
}

static int
load_hook(struct known *k, uint32_t i, struct err *e)
{
	const struct webhook *row = &k->issuers.hooks.list[i];
	const struct file *key = file_find(k, row->key);
	const struct file *roots = file_find(k, row->to.roots);
	struct approval_hook *h = &k->hooks[i];

	if (key == NULL || (row->to.roots.n > 0 && roots == NULL))
		return err_set(e, "identity/%.*s: it is not there",
		    STR_FMT(key == NULL ? row->key : row->to.roots));
	*h = (struct approval_hook){ row, buf_str(&key->text),
		roots != NULL ? buf_str(&roots->text) : STR("") };
	while (h->key.n > 0 && h->key.p[h->key.n - 1] == '\n')
		h->key.n--;
	if (h->key.n < WEBHOOK_KEY_MIN_BYTES)
		return err_set(e, "identity/%.*s: a key of less than %d bytes",
		    STR_FMT(row->key), WEBHOOK_KEY_MIN_BYTES);
	return 0;
}

static struct jwks *
load_keys(struct known *k, const struct issuer *i, struct err *e)
{
	struct str name = i->keys.n > 0 ? i->keys : i->keys_at.roots;
	const struct file *f = file_find(k, name);

	if (name.n > 0 && f == NULL) {
		(void)err_set(e, "it is not there");
		return NULL;
	}
	if (i->keys.n > 0)
		return jwks_of_text(buf_str(&f->text), e);
	return jwks_by_url(i, f != NULL ? buf_str(&f->text) : STR(""), on_keys);
}

/* What was fetched is not lost because a line of the file is another. */
static void
keep_keys(struct known *to, struct known *from)
{
	for (uint32_t i = 0; i < to->issuers.n; i++) {
		for (uint32_t n = 0; n < from->issuers.n; n++) {
			if (jwks_keep(to->keys[i], from->keys[n]))
				break;
		}
	}
}

/* Others were fetched: who came in by one that is gone is hung up on. */
static void
on_keys(void)
{
	struct bearer *next;

	for (struct bearer *b = bearers; b != NULL; b = next) {
		next = b->next;
		if (!jwks_has(b->keys, &b->key))
			forget(b);
	}
}

static const struct file *
file_find(const struct known *k, struct str name)
{
	for (uint32_t i = 0; i < k->n_files; i++) {
		if (str_eq_c(name, k->files[i].name))
			return &k->files[i];
	}
	return NULL;
}

static void
known_free(struct known *k)
{
	if (k == NULL)
		return;
	for (uint32_t i = 0; k->keys != NULL && i < k->issuers.n; i++)
		jwks_free(k->keys[i]);
	for (uint32_t i = 0; i < IDENTITY_FILES_MAX; i++)
		buf_fini(&k->files[i].text);
	free(k->keys);
	arena_fini(&k->arena);
	free(k);
}

/* The issuer that the token names says by which keys it may be signed. */
static int
check(struct bearer *b, struct str token, struct err *e)
{
	const char *text = arena_copy(&b->arena, token);
	const struct issuer *i;
	const struct pubkey *key;
	int64_t until_s;
	struct jwt t;

	if (known == NULL)
		return err_set(e, "no issuer is known here");
	if (text == NULL)
		return err_set(e, "out of memory");
	if (jwt_parse((struct str){ text, token.n }, &b->arena, &t, e) < 0)
		return -1;
	i = issuers_find(&known->issuers, t.claims);
	if (i == NULL)
		return err_set(e, "its issuer (iss) is not known here");
	b->keys = known->keys[i - known->issuers.list];
	key = jwks_find(b->keys, &t, &b->key, e);
	if (key == NULL)
		return -1;
	if (!pubkey_check(key, t.signed_text, t.signature))
		return err_set(e, "its signature is not good");
	if (issuer_identity(i, t.claims, clock_utc_ns() / NS_PER_S,
		known->issuers.leeway_s, &b->arena, &b->who, &until_s, e) < 0)
		return -1;
	b->until_ns = until_s * NS_PER_S;
	(void)snprintf(b->name, sizeof(b->name), "%.*s/%.*s",
	    STR_FMT(b->who.tenant), STR_FMT(b->who.actor));
	return 0;
}

static struct bearer *
find(const struct hash *token)
{
	for (struct bearer *b = bearers; b != NULL; b = b->next) {
		if (hash_eq(&b->hash, token))
			return b;
	}
	return NULL;
}

static void
on_end(struct loop_timer *t)
{
	struct bearer *b = LOOP_OF(t, struct bearer, end);

	if (clock_utc_ns() < b->until_ns)
		loop_timer_set(broker.loop, &b->end,
		    clock_mono_ns() + (b->until_ns - clock_utc_ns()));
	else
		forget(b);
}

/* Whoever came in with it is hung up on; a good one is checked anew. */
static void
forget(struct bearer *b)
{
	const struct msg_token_gone m = { .token = b->hash };
	struct bearer **at = &bearers;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	n_bearers--;
	loop_timer_clear(broker.loop, &b->end);
	(void)peer_send(&broker.gateway, MSG_TOKEN_GONE, &m, STR(""), NULL,
	    0); /* a gateway that is gone has hung up on everybody */
	arena_fini(&b->arena);
	free(b);
}
