#include "broker/approval_hook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/must.h"
#include "broker/approval_int.h"
#include "broker/fetch.h"
#include "broker/record.h"
#include "core/backoff.h"

#define NS_PER_MS INT64_C(1000000)

/* One approval to one of them. */
struct delivery {
	struct delivery *next;
	uint64_t approval;
	const struct approval_hook *hook;
	struct buf url; /* of the hook, for its successor */
	struct buf body; /* with its links, once it is sent */
	uint32_t tries;
	uint64_t fetch; /* under way, or 0 */
	struct loop_timer again;
};

static const struct approval_hook *hooks;
static uint32_t n_hooks;
static struct delivery *deliveries;

static const struct approval_hook *hook_at(struct str url);
static bool is_told(const struct approval *a, const struct approval_hook *h);
static void send_now(struct delivery *d);
static bool write_body(struct delivery *d, struct approval *a, struct run *r);
static void sign(const struct delivery *d, struct buf *fields);
static void on_again(struct loop_timer *t);
static void on_done(void *arg, const struct fetch_answer *a);
static void not_taken(struct delivery *d, uint32_t status, struct str why);
static void end(
    struct delivery *d, bool taken, uint32_t status, struct str why);
static void delivery_free(struct delivery *d);

void
approval_hooks_set(const struct approval_hook *now, uint32_t n)
{
	struct delivery **at = &deliveries;

	hooks = now;
	n_hooks = n;
	while (*at != NULL) {
		struct delivery *d = *at;

		d->hook = hook_at(buf_str(&d->url));
		if (d->hook != NULL) {
			at = &d->next;
			continue;
		}
		*at = d->next;
		delivery_free(d);
	}
}

void
approval_hooks_tell(struct approval *a, const struct run *r)
{
	for (uint32_t i = 0; i < n_hooks; i++) {
		const struct approval_hook *h = &hooks[i];
		struct delivery *d;

		if (!webhook_wants(
			h->row, r->policy->identity.tenant, a->rule->name) ||
		    is_told(a, h))
			continue;
		d = calloc(1, sizeof(*d));
		must(d != NULL);
		d->approval = a->id;
		d->hook = h;
		buf_add_str(&d->url, h->row->to.url);
		d->again.on_time = on_again;
		d->next = deliveries;
		deliveries = d;
		/* In the next round: the approval is whole then. */
		loop_timer_set(broker.loop, &d->again, clock_mono_ns());
	}
}

void
approval_hooks_end(const struct approval *a)
{
	struct delivery **at = &deliveries;

	while (*at != NULL) {
		struct delivery *d = *at;

		if (d->approval != a->id) {
			at = &d->next;
			continue;
		}
		*at = d->next;
		delivery_free(d);
	}
}

static const struct approval_hook *
hook_at(struct str url)
{
	for (uint32_t i = 0; i < n_hooks; i++) {
		if (str_eq(hooks[i].row->to.url, url))
			return &hooks[i];
	}
	return NULL;
}

static bool
is_told(const struct approval *a, const struct approval_hook *h)
{
	for (const struct delivery *d = deliveries; d != NULL; d = d->next) {
		if (d->approval == a->id && d->hook == h)
			return true;
	}
	return false;
}

static void
send_now(struct delivery *d)
{
	struct approval *a = approval_find(d->approval);
	struct run *r = a != NULL ? run_find(a->run) : NULL;
	own_buf struct buf fields = {};
	struct fetch_ask ask = {
		.to = &d->hook->row->to,
		.roots = d->hook->roots,
		.method = "POST",
		.max_bytes = WEBHOOK_ANSWER_MAX_BYTES,
		.on_done = on_done,
		.arg = d,
	};

	if (r == NULL || a->state != APPROVAL_PENDING)
		return; /* approval_hooks_end comes, or has come */
	d->tries++;
	if (d->body.n == 0 && !write_body(d, a, r)) {
		end(d, false, 0, STR("its links could not be made"));
		return;
	}
	sign(d, &fields);
	buf_printf(&fields,
	    "Content-Type: application/json\r\nPaddock-Approval: %s\r\n"
	    "Paddock-Try: %u\r\n",
	    a->text, d->tries);
	ask.fields = buf_str(&fields);
	ask.body = buf_str(&d->body);
	d->fetch = fetch_start(&ask);
	if (d->fetch == 0)
		not_taken(d, 0, STR("the proxy is not there"));
}

/* {"approval":{...},"links":[{"path","secret","who"},...]} */
static bool
write_body(struct delivery *d, struct approval *a, struct run *r)
{
	const struct json *links = d->hook->row->links;
	struct err e = {};
	bool first = true;

	buf_add_c(&d->body, "{\"approval\":");
	approval_write(&d->body, a);
	buf_add_c(&d->body, ",\"links\":[");
	for (const struct json *x = json_first(links); x != NULL;
	     x = json_next(links, x)) {
		buf_add_c(&d->body, first ? "" : ",");
		if (approval_link_make(a, r, x, "webhook", &d->body, &e) < 0)
			return false;
		first = false;
	}
	buf_add_c(&d->body, "]}\n");
	return !d->body.failed;
}

/* With the time of this try, so that an old one is known for what it is. */
static void
sign(const struct delivery *d, struct buf *fields)
{
	own_buf struct buf text = {};
	char hex[HASH_HEX_BYTES];
	struct hash h;
	const long long ms = clock_utc_ns() / NS_PER_MS;

	buf_printf(&text, "%lld.", ms);
	buf_add_str(&text, buf_str(&d->body));
	must(!text.failed);
	h = hash_hmac(d->hook->key, buf_str(&text));
	hash_hex(&h, hex);
	explicit_bzero(text.p, text.n);
	buf_printf(fields, "Paddock-Signature: t=%lld,v1=%s\r\n", ms, hex);
}

static void
on_again(struct loop_timer *t)
{
	send_now(LOOP_OF(t, struct delivery, again));
}

static void
on_done(void *arg, const struct fetch_answer *a)
{
	struct delivery *d = arg;
	char why[64];

	d->fetch = 0;
	if (a->status >= 200 && a->status < 300) {
		end(d, true, a->status, STR(""));
		return;
	}
	if (a->status == 0) {
		not_taken(d, 0, a->text);
		return;
	}
	(void)snprintf(why, sizeof(why), "status %u", a->status);
	not_taken(d, a->status, str_of(why));
}

static void
not_taken(struct delivery *d, uint32_t status, struct str why)
{
	if (d->tries >= WEBHOOK_TRIES_MAX) {
		end(d, false, status, why);
		return;
	}
	loop_timer_set(broker.loop, &d->again,
	    clock_mono_ns() +
		(int64_t)backoff_ms(WEBHOOK_WAIT_MS, WEBHOOK_WAIT_MAX_MS,
		    d->tries, d->approval) *
		    NS_PER_MS);
}

/* It stays in the list, so that it is not told again. */
static void
end(struct delivery *d, bool taken, uint32_t status, struct str why)
{
	const struct approval *a = approval_find(d->approval);
	const struct run *r = a != NULL ? run_find(a->run) : NULL;
	own_buf struct buf body = {};
	struct event ev;

	if (d->body.p != NULL)
		explicit_bzero(d->body.p, d->body.n);
	buf_fini(&d->body);
	d->body = (struct buf){};
	if (r == NULL)
		return;
	ev = record_of(r, EVENT_NOTE);
	buf_printf(&body, "{\"approval\":\"%s\",\"note\":\"%s\",\"status\":%u",
	    a->text, taken ? "webhook_taken" : "webhook_failed", status);
	buf_add_c(&body, ",\"to\":");
	json_put_str(&body, d->hook->row->to.host);
	buf_printf(&body, ",\"tries\":%u", d->tries);
	if (!taken) {
		buf_add_c(&body, ",\"why\":");
		json_put_str(&body, why);
	}
	buf_add_byte(&body, '}');
	ev.step = a->step;
	ev.body = buf_str(&body);
	(void)record_add(&ev); /* a note: nothing waits for it */
}

static void
delivery_free(struct delivery *d)
{
	fetch_stop(d->fetch);
	loop_timer_clear(broker.loop, &d->again);
	if (d->body.p != NULL)
		explicit_bzero(d->body.p, d->body.n);
	buf_fini(&d->body);
	buf_fini(&d->url);
	free(d);
}
