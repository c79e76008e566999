/*
 * Who of a run's requests shares which connection to a server. While the first
 * one dials, others to the same place wait: only when the server has said how
 * many it takes at once is it known how many connections they need.
 */
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "core/addr.h"
#include "proxy/h2_int.h"

#define NS_PER_MS 1000000LL

/* A connection, and what the pool knows of it. */
struct pooled {
	struct pooled *next; /* of the place */
	struct h2_place *place;
	struct h2_link *link;
	bool awaited; /* it counts as `dialling` until it is settled */
	bool idle;
	struct loop_timer timer; /* of an idle one */
	char addr[ADDR_TEXT_BYTES];
};

/* Where connections are the same for whoever uses them. */
struct h2_place {
	struct h2_place *next;
	struct h2_pool *pool;
	struct hash key;
	struct pooled *links;
	struct h2_want *first; /* those who wait, in their order */
	uint32_t n_waiting, dialling;
	uint32_t limit; /* what its last server said; 0: none has */
	bool plain; /* it speaks HTTP/1.1 */
};

struct h2_pool {
	struct loop *loop;
	struct h2_place *places;
	uint32_t n_places, n_idle;
	struct loop_timer turn;
};

static void on_turn(struct loop_timer *t);
static void on_idle(struct loop_timer *t);
static void on_changed(void *owner);
static void on_over(void *owner);
static struct h2_place *place_get(struct h2_pool *p, const struct hash *key);
static void place_trim(struct h2_pool *p);
static void call(struct h2_place *at, uint32_t n);
static void unlink_want(struct h2_want *w);
static void settled(struct pooled *c);
static void set_idle(struct pooled *c, bool idle);
static void pooled_free(struct pooled *c, bool hard);

static const struct h2_link_ops link_ops = {
	.changed = on_changed,
	.over = on_over,
};

struct h2_pool *
h2_pool_new(struct loop *loop)
{
	struct h2_pool *p = calloc(1, sizeof(*p));

	must(p != NULL);
	p->loop = loop;
	p->turn.on_time = on_turn;
	return p;
}

void
h2_pool_free(struct h2_pool *p)
{
	if (p == NULL)
		return;
	while (p->places != NULL) {
		struct h2_place *at = p->places;

		while (at->links != NULL)
			pooled_free(at->links, false);
		while (at->first != NULL)
			unlink_want(at->first);
		p->places = at->next;
		free(at);
	}
	loop_timer_clear(p->loop, &p->turn);
	free(p);
}

enum h2_turn
h2_pool_seek(struct h2_pool *p, struct h2_want *w, struct stream *s, char *addr)
{
	struct h2_place *at = place_get(p, &w->key);
	uint32_t each = at->limit > 0 ? at->limit : H2_LINK_STREAMS_MAX;
	struct h2_want **end = &at->first;

	must(w->place == NULL);
	if (w->alone || at->plain) {
		w->alone = false;
		return H2_DIAL;
	}
	for (struct pooled *c = at->links; c != NULL; c = c->next) {
		if (!h2_link_is_settled(c->link) ||
		    h2_link_streams(c->link) >= h2_link_limit(c->link))
			continue;
		set_idle(c, false);
		memcpy(addr, c->addr, sizeof(c->addr));
		h2_link_open(c->link, s);
		return H2_JOINED;
	}
	w->place = at;
	w->called = false;
	/* The one who dials takes a place on what it dials. */
	w->leads = (uint64_t)at->dialling * (each - 1) <= at->n_waiting;
	if (w->leads) {
		at->dialling++;
		return H2_DIAL;
	}
	while (*end != NULL)
		end = &(*end)->next;
	*end = w;
	w->next = NULL;
	at->n_waiting++;
	return H2_WAIT;
}

int
h2_pool_add(struct h2_pool *p, struct h2_want *w, struct stream *s,
    const char *addr, struct err *e)
{
	struct pooled *c = calloc(1, sizeof(*c));

	must(c != NULL);
	c->link = h2_link_new(s, e);
	if (c->link == NULL) {
		free(c);
		return -1;
	}
	c->place = place_get(p, &w->key);
	c->timer.on_time = on_idle;
	(void)str_copy(str_of(addr), c->addr, sizeof(c->addr));
	c->next = c->place->links;
	c->place->links = c;
	/* From now on its SETTINGS are what others wait for. */
	c->awaited = w->place != NULL && w->leads;
	w->place = NULL;
	h2_link_own(c->link, &link_ops, c);
	h2_link_open(c->link, s);
	return 0;
}

void
h2_pool_plain(struct h2_pool *p, struct h2_want *w)
{
	place_get(p, &w->key)->plain = true;
	h2_pool_leave(w, true);
}

void
h2_pool_leave(struct h2_want *w, bool failed)
{
	struct h2_place *at = w->place;

	w->alone = false;
	if (at == NULL)
		return;
	if (!w->leads) {
		unlink_want(w);
		return;
	}
	w->place = NULL;
	w->leads = false;
	at->dialling--;
	/* Each then hears for itself why: nobody waits for another's end. */
	for (struct h2_want *x = at->first; failed && x != NULL; x = x->next)
		x->alone = true;
	call(at, failed ? UINT32_MAX : 1);
}

/* One at a time: who is called may end any of the others. */
static void
on_turn(struct loop_timer *t)
{
	struct h2_pool *p = LOOP_OF(t, struct h2_pool, turn);
	struct h2_place *at = p->places;

	while (at != NULL) {
		struct h2_want *w = at->first;

		while (w != NULL && !w->called)
			w = w->next;
		if (w == NULL) {
			at = at->next;
			continue;
		}
		unlink_want(w);
		w->on_turn(w);
		at = p->places;
	}
}

static void
on_idle(struct loop_timer *t)
{
	pooled_free(LOOP_OF(t, struct pooled, timer), false);
}

static void
on_changed(void *owner)
{
	struct pooled *c = owner;
	struct h2_pool *p = c->place->pool;
	uint32_t n = h2_link_streams(c->link), limit = h2_link_limit(c->link);

	if (c->awaited && h2_link_is_settled(c->link)) {
		c->place->limit = limit;
		settled(c);
	} else if (n < limit) {
		call(c->place, limit - n);
	}
	if (n > 0)
		return;
	if (limit == 0 || (!c->idle && p->n_idle == H2_IDLE_LINKS_MAX)) {
		pooled_free(c, false);
		return;
	}
	set_idle(c, true);
}

static void
on_over(void *owner)
{
	pooled_free(owner, true);
}

static struct h2_place *
place_get(struct h2_pool *p, const struct hash *key)
{
	struct h2_place *at = p->places;

	while (at != NULL && memcmp(&at->key, key, sizeof(*key)) != 0)
		at = at->next;
	if (at != NULL)
		return at;
	if (p->n_places >= H2_PLACES_MAX)
		place_trim(p);
	at = calloc(1, sizeof(*at));
	must(at != NULL);
	at->pool = p;
	at->key = *key;
	at->next = p->places;
	p->places = at;
	p->n_places++;
	return at;
}

/* What nobody uses is forgotten; all others are as many as requests. */
static void
place_trim(struct h2_pool *p)
{
	struct h2_place **at = &p->places;

	while (*at != NULL) {
		struct h2_place *one = *at;

		if (one->links != NULL || one->dialling > 0 ||
		    one->first != NULL) {
			at = &one->next;
			continue;
		}
		*at = one->next;
		p->n_places--;
		free(one);
	}
}

/* The first n of those who wait are to ask again. */
static void
call(struct h2_place *at, uint32_t n)
{
	struct h2_pool *p = at->pool;

	if (at->first == NULL)
		return;
	for (struct h2_want *w = at->first; w != NULL && n > 0;
	     w = w->next, n--)
		w->called = true;
	loop_timer_set(p->loop, &p->turn, loop_now_ns(p->loop));
}

static void
unlink_want(struct h2_want *w)
{
	struct h2_want **at = &w->place->first;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->place->n_waiting--;
	w->place = NULL;
	w->called = false;
}

static void
settled(struct pooled *c)
{
	if (!c->awaited)
		return;
	c->awaited = false;
	c->place->dialling--;
	call(c->place, UINT32_MAX);
}

static void
set_idle(struct pooled *c, bool idle)
{
	struct h2_pool *p = c->place->pool;

	if (c->idle == idle)
		return;
	c->idle = idle;
	p->n_idle += idle ? 1 : -1U;
	if (idle)
		loop_timer_set(p->loop, &c->timer,
		    loop_now_ns(p->loop) + HTTP_IDLE_TIMEOUT_MS * NS_PER_MS);
	else
		loop_timer_clear(p->loop, &c->timer);
}

static void
pooled_free(struct pooled *c, bool hard)
{
	struct pooled **at = &c->place->links;

	set_idle(c, false);
	settled(c);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	h2_link_free(c->link, hard);
	free(c);
}
