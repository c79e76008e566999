/*
 * What people see of definitions, and what they decide. Another tenant's is as
 * unknown as none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/must.h"
#include "broker/broker.h"
#include "broker/pin_int.h"
#include "broker/record.h"
#include "broker/server.h"
#include "broker/who.h"

enum verdict_of_pin { APPROVE, REJECT, FORGET, PIN_VERDICTS };

static const struct {
	const char *verdict, *note;
} verdicts[PIN_VERDICTS] = {
	[APPROVE] = { "approve", "definition_approved" },
	[REJECT] = { "reject", "definition_rejected" },
	[FORGET] = { "forget", "definition_forgotten" },
};

/* An answer that waits for the disk. */
struct late {
	struct late *next;
	uint64_t call;
	uint64_t id; /* of a pin that is to be read; 0: json is the answer */
	uint64_t seq; /* of the record that has to be there */
	struct buf json;
};

/* What one decides. */
struct decision {
	enum verdict_of_pin verdict;
	struct hash hash;
	struct str reason;
};

struct listing {
	const struct caller *who;
	struct str state, server; /* "": all */
	struct pin **found;
	size_t n;
};

static struct late *lates;

static bool on_pin(void *arg, struct pin *p);
static int compare(const void *a, const void *b);
static struct pin *pin_of_args(
    const struct caller *who, uint64_t call, const struct json *args);
static bool answer(uint64_t call, const struct pin *p);
static bool read_text(const struct pin *p, enum pin_slot slot, struct buf *out);
static int read_decision(
    uint64_t call, const struct json *args, struct decision *d);
static bool apply(struct pin *p, const struct decision *d, const char *by,
    struct store_pin *row);
static uint64_t record(
    const struct pin *p, const struct decision *d, const char *by);
static void reply_late(const struct late *l);

void
pin_list(const struct caller *who, uint64_t call, const struct json *args)
{
	static const struct str none[PIN_SLOTS];
	struct listing l = { .who = who,
		.state = json_str(json_get(args, STR("state"))),
		.server = json_str(json_get(args, STR("server"))) };
	own_buf struct buf out = {};
	size_t shown;

	l.found = calloc(PINS_MAX, sizeof(struct pin *));
	must(l.found != NULL);
	pin_each(on_pin, &l);
	qsort(l.found, l.n, sizeof(struct pin *), compare);
	shown = l.n < PINS_TENANT_MAX ? l.n : PINS_TENANT_MAX;
	buf_printf(&out, "{\"left_out\":%zu,\"pins\":[", l.n - shown);
	for (size_t i = 0; i < shown; i++) {
		buf_add_c(&out, i > 0 ? "," : "");
		pin_write(&out, l.found[i], none);
	}
	buf_add_c(&out, "]}");
	free(l.found);
	reply(call, REPLY_OK, 200, buf_str(&out));
}

void
pin_get(const struct caller *who, uint64_t call, const struct json *args)
{
	const struct pin *p = pin_of_args(who, call, args);

	if (p == NULL || answer(call, p))
		return;
	reply_late(&(struct late){ .call = call, .id = p->id });
}

void
pin_decide(const struct caller *who, uint64_t call, const struct json *args)
{
	static const struct str none[PIN_SLOTS];
	struct pin *p = pin_of_args(who, call, args);
	struct late l = { .call = call };
	struct decision d = {};
	struct store_pin row = {};
	struct pin before;
	uint64_t decisions = 0;
	struct pin_of of;

	if (p == NULL || read_decision(call, args, &d) < 0)
		return;
	if (json_u64(json_get(args, STR("decisions")), &decisions) < 0 ||
	    decisions != p->decisions) {
		reply_error(call, 409, "decided_meanwhile",
		    "Somebody has decided about it since you looked, or "
		    "`decisions` is missing.",
		    "Look at it again, and send the `decisions` that it has "
		    "then.");
		return;
	}
	before = *p;
	if (!apply(p, &d, who->name, &row)) {
		reply_error(call, 409, "other_definition",
		    "That is neither the definition that is accepted nor the "
		    "newest one that was seen.",
		    "Look at it again, and send the `sha256` of the one that "
		    "you mean.");
		return;
	}
	l.seq = record(&before, &d, who->name);
	if (l.seq == 0 ||
	    (d.verdict == FORGET ? store_put_pin(broker.store,
				       &(struct store_pin){ .key = p->key })
				 : pin_store(p, &row)) < 0) {
		*p = before;
		reply_error(call, 503, "store_failed",
		    "The store takes no more records: nothing was done.",
		    "Look at the daemon's log; the disk may be full.");
		return;
	}
	of = (struct pin_of){ str_of(before.tenant), str_of(before.server),
		str_of(before.tool) };
	if (d.verdict == FORGET) {
		pin_free(p);
		buf_printf(&l.json, "{\"pin\":\"%s\",\"state\":\"forgotten\"}",
		    before.text);
	} else {
		pin_write(&l.json, p, none);
		servers_pin_decided(&of, &d.hash, d.verdict == APPROVE);
	}
	reply_late(&l);
	store_hurry(broker.store);
}

void
pin_durable(uint64_t seq)
{
	struct late **at = &lates;

	while (*at != NULL) {
		struct late *l = *at;
		const struct pin *p = l->id != 0 ? pin_find_id(l->id) : NULL;

		if (l->id != 0 && p == NULL) {
			reply_error(l->call, 404, "unknown_pin",
			    "It has been forgotten meanwhile.",
			    "`paddock server ls` lists what is known.");
		} else if (l->id != 0 ? !answer(l->call, p) : l->seq > seq) {
			at = &l->next;
			continue;
		} else if (l->id == 0) {
			reply(l->call, REPLY_OK, 200, buf_str(&l->json));
		}
		*at = l->next;
		buf_fini(&l->json);
		free(l);
	}
}

static bool
on_pin(void *arg, struct pin *p)
{
	struct listing *l = arg;

	if (caller_sees(l->who, str_of(p->tenant)) &&
	    (l->state.n == 0 || str_eq_c(l->state, pin_state(p))) &&
	    (l->server.n == 0 || str_eq_c(l->server, p->server)))
		l->found[l->n++] = p;
	return true;
}

static int
compare(const void *a, const void *b)
{
	const struct pin *const *x = a, *const *y = b;
	int by = strcmp((*x)->tenant, (*y)->tenant);

	if (by == 0)
		by = strcmp((*x)->server, (*y)->server);
	return by != 0 ? by : strcmp((*x)->tool, (*y)->tool);
}

/* NULL: call has been answered. */
static struct pin *
pin_of_args(const struct caller *who, uint64_t call, const struct json *args)
{
	struct pin *p = NULL;
	uint64_t id;

	if (id_parse('p', json_str(json_get(args, STR("pin"))), &id) == 0)
		p = pin_find_id(id);
	if (p != NULL && caller_sees(who, str_of(p->tenant)))
		return p;
	reply_error(call, 404, "unknown_pin",
	    "There is no such definition of a tool.",
	    "`paddock server ls` lists what is known.");
	return NULL;
}

/* False: what belongs to it is not on disk yet. */
static bool
answer(uint64_t call, const struct pin *p)
{
	own_buf struct buf accepted = {}, seen = {}, out = {};

	if (!read_text(p, PIN_ACCEPTED, &accepted) ||
	    !read_text(p, PIN_SEEN, &seen)) {
		store_hurry(broker.store);
		return false;
	}
	pin_write(&out, p,
	    (struct str[PIN_SLOTS]){ [PIN_ACCEPTED] = buf_str(&accepted),
		[PIN_SEEN] = buf_str(&seen) });
	reply(call, REPLY_OK, 200, buf_str(&out));
	return true;
}

/* What is on disk may be that of before: then it is not the one meant. */
static bool
read_text(const struct pin *p, enum pin_slot slot, struct buf *out)
{
	const struct pin_said *s = &p->said[slot];
	struct err e = {};
	struct hash hash;

	if (!s->any)
		return true;
	if (store_pin_text(broker.store, &p->key, slot, out, &e) <= 0)
		return false;
	hash = hash_of(out->p, out->n);
	return hash_eq(&hash, &s->hash);
}

/* -1: call has been answered. */
static int
read_decision(uint64_t call, const struct json *args, struct decision *d)
{
	struct str verdict = json_str(json_get(args, STR("verdict")));
	int v = 0;

	while (v < PIN_VERDICTS && !str_eq_c(verdict, verdicts[v].verdict))
		v++;
	d->verdict = (enum verdict_of_pin)v;
	d->reason = json_str(json_get(args, STR("reason")));
	if (v < PIN_VERDICTS && d->reason.n <= PIN_REASON_BYTES &&
	    args->n == 4u + (json_get(args, STR("reason")) != NULL) &&
	    hash_from_hex(json_str(json_get(args, STR("sha256"))), &d->hash) ==
		0)
		return 0;
	reply_error(call, 400, "bad_request",
	    "`verdict` is approve, reject or forget; `sha256` has 64 digits "
	    "and says of which definition; `decisions` is a number; `reason` "
	    "has "
	    "at most 255 bytes; there are no other members.",
	    "See docs/openapi.json, PinDecision.");
	return -1;
}

/* False: the hash is of none of its definitions. */
static bool
apply(struct pin *p, const struct decision *d, const char *by,
    struct store_pin *row)
{
	struct pin_said *accepted = &p->said[PIN_ACCEPTED];
	struct pin_said *seen = &p->said[PIN_SEEN], *one;
	bool is_seen = seen->any && hash_eq(&seen->hash, &d->hash);

	if (!is_seen && (!accepted->any || !hash_eq(&accepted->hash, &d->hash)))
		return false;
	one = is_seen ? seen : accepted;
	p->decisions++;
	(void)snprintf(one->by, sizeof(one->by), "%s", by);
	if (d->verdict == APPROVE && is_seen) {
		*accepted = *seen;
		*seen = (struct pin_said){};
		row->moves[PIN_ACCEPTED] = true;
	} else if (d->verdict == REJECT && !is_seen) {
		/* One that waits stays where it is: neither is good. */
		row->drops[PIN_ACCEPTED] = seen->any;
		row->moves[PIN_SEEN] = !seen->any;
		if (!seen->any)
			*seen = *accepted;
		*accepted = (struct pin_said){};
	}
	return true;
}

static uint64_t
record(const struct pin *p, const struct decision *d, const char *by)
{
	const struct pin_said *was = &p->said[PIN_ACCEPTED];
	own_buf struct buf body = {}, of = {};
	char hex[HASH_HEX_BYTES];
	struct event ev = {
		.kind = EVENT_NOTE,
		.t_ns = clock_utc_ns(),
		.mono_ns = clock_mono_ns(),
		.tenant = str_of(p->tenant),
		.ms = -1,
	};

	buf_add_c(&body, "{\"by\":");
	json_put_str(&body, str_of(by));
	buf_printf(
	    &body, ",\"note\":\"%s\",\"of\":", verdicts[d->verdict].note);
	buf_printf(&of, "%s/%s/%s", p->tenant, p->server, p->tool);
	json_put_str(&body, buf_str(&of));
	buf_printf(&body, ",\"pin\":\"%s\"", p->text);
	if (d->reason.n > 0) {
		buf_add_c(&body, ",\"reason\":");
		json_put_str(&body, d->reason);
	}
	hash_hex(&d->hash, hex);
	buf_printf(&body, ",\"sha256\":\"%s\"", hex);
	if (was->any) {
		hash_hex(&was->hash, hex);
		buf_printf(&body, ",\"was\":\"%s\"", hex);
	}
	buf_add_byte(&body, '}');
	ev.body = buf_str(&body);
	return record_add(&ev);
}

/* Takes over what is in it. */
static void
reply_late(const struct late *l)
{
	struct late *mine = malloc(sizeof(*mine));

	must(mine != NULL);
	*mine = *l;
	mine->next = lates;
	lates = mine;
}
