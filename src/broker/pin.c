#include "broker/pin.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/broker.h"
#include "broker/pin_int.h"

enum { NS_PER_MS = 1000 * 1000 };

static struct pin *buckets[PIN_BUCKETS];
static uint32_t n_pins;

static const char *const slots[PIN_SLOTS] = {
	[PIN_ACCEPTED] = "accepted",
	[PIN_SEEN] = "seen",
};

static struct hash key_of(const struct pin_of *of);
static struct pin **bucket_of(const struct hash *key);
static bool has_room(struct str tenant);
static bool on_row(void *arg, const struct hash *key, struct str body);
static int take(struct pin *p, const struct json *v);
static int take_said(struct pin_said *s, const struct json *v);
static int take_name(const struct json *v, char *out, size_t cap);
static enum pin_verdict first(const struct pin_of *of, const struct hash *key,
    uint64_t run, const struct hash *hash, struct str text);
static void add(struct pin *p);

int
pin_load(struct err *e)
{
	return store_pins(broker.store, on_row, NULL, e) < 0
	    ? err_add(e, "definitions of tools")
	    : 0;
}

enum pin_verdict
pin_judge(const struct pin_of *of, uint64_t run, const struct hash *hash,
    struct str text)
{
	const struct hash key = key_of(of);
	struct store_pin row = { .text = { [PIN_SEEN] = text } };
	struct pin *p = pin_find(&key);
	struct pin_said *seen, before;

	if (p == NULL)
		return first(of, &key, run, hash, text);
	if (p->said[PIN_ACCEPTED].any &&
	    hash_eq(&p->said[PIN_ACCEPTED].hash, hash))
		return PIN_GOOD;
	seen = &p->said[PIN_SEEN];
	if (seen->any && hash_eq(&seen->hash, hash))
		return seen->by[0] != '\0' ? PIN_REJECTED : PIN_CHANGED;
	before = *seen;
	*seen = (struct pin_said){ .any = true,
		.hash = *hash,
		.seen_ns = clock_utc_ns(),
		.run = run };
	/* Not kept, it cannot be looked at: it is seen again another time. */
	if (pin_store(p, &row) < 0)
		*seen = before;
	return PIN_CHANGED;
}

const char *
pin_name(const struct pin_of *of)
{
	const struct hash key = key_of(of);
	const struct pin *p = pin_find(&key);

	return p != NULL ? p->text : "";
}

struct pin *
pin_find(const struct hash *key)
{
	struct pin *p = *bucket_of(key);

	while (p != NULL && !hash_eq(&p->key, key))
		p = p->next;
	return p;
}

struct pin *
pin_find_id(uint64_t id)
{
	for (size_t i = 0; i < PIN_BUCKETS; i++) {
		for (struct pin *p = buckets[i]; p != NULL; p = p->next) {
			if (p->id == id)
				return p;
		}
	}
	return NULL;
}

void
pin_each(bool (*on)(void *arg, struct pin *p), void *arg)
{
	for (size_t i = 0; i < PIN_BUCKETS; i++) {
		for (struct pin *p = buckets[i]; p != NULL; p = p->next) {
			if (!on(arg, p))
				return;
		}
	}
}

void
pin_free(struct pin *p)
{
	struct pin **at = bucket_of(&p->key);

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	n_pins--;
	free(p);
}

const char *
pin_state(const struct pin *p)
{
	const struct pin_said *seen = &p->said[PIN_SEEN];

	if (seen->any)
		return seen->by[0] != '\0' ? "rejected" : "changed";
	if (!p->said[PIN_ACCEPTED].any)
		return "rejected"; /* its row was damaged */
	return p->said[PIN_ACCEPTED].by[0] != '\0' ? "approved" : "first_seen";
}

void
pin_write(struct buf *out, const struct pin *p,
    const struct str text[static PIN_SLOTS])
{
	char before = '{';

	for (int slot = 0; slot < PIN_SLOTS; slot++) {
		const struct pin_said *s = &p->said[slot];
		char hex[HASH_HEX_BYTES], run[ID_BYTES];

		if (!s->any)
			continue;
		hash_hex(&s->hash, hex);
		id_text('r', s->run, run);
		buf_printf(out, "%c\"%s\":{", before, slots[slot]);
		before = ',';
		if (s->by[0] != '\0') {
			buf_add_c(out, "\"by\":");
			json_put_str(out, str_of(s->by));
			buf_add_byte(out, ',');
		}
		if (text[slot].n > 0) {
			buf_add_c(out, "\"definition\":");
			buf_add_str(out, text[slot]);
			buf_add_byte(out, ',');
		}
		buf_printf(out,
		    "\"run\":\"%s\",\"seen_ms\":%lld,"
		    "\"sha256\":\"%s\"}",
		    run, (long long)(s->seen_ns / NS_PER_MS), hex);
	}
	buf_printf(out,
	    "%c\"decisions\":%llu,\"pin\":\"%s\",\"server\":", before,
	    (unsigned long long)p->decisions, p->text);
	json_put_str(out, str_of(p->server));
	buf_printf(out, ",\"state\":\"%s\",\"tenant\":", pin_state(p));
	json_put_str(out, str_of(p->tenant));
	buf_add_c(out, ",\"tool\":");
	json_put_str(out, str_of(p->tool));
	buf_add_byte(out, '}');
}

int
pin_store(const struct pin *p, struct store_pin *row)
{
	static const struct str none[PIN_SLOTS];
	own_buf struct buf body = {};

	pin_write(&body, p, none);
	if (body.failed)
		return -1;
	row->key = p->key;
	row->body = buf_str(&body);
	return store_put_pin(broker.store, row);
}

/* The NULs keep one name's end from being another's start. */
static struct hash
key_of(const struct pin_of *of)
{
	const struct str nul = { "", 1 };
	const struct str pieces[] = { of->tenant, nul, of->server, nul,
		of->tool };

	return hash_of_pieces(pieces, sizeof(pieces) / sizeof(pieces[0]));
}

static struct pin **
bucket_of(const struct hash *key)
{
	return &buckets[(key->b[0] | (uint32_t)key->b[1] << 8) % PIN_BUCKETS];
}

/* Counted only when something new is to be remembered. */
static bool
has_room(struct str tenant)
{
	uint32_t n = 0;

	if (n_pins >= PINS_MAX)
		return false;
	if (n_pins < PINS_TENANT_MAX)
		return true;
	for (size_t i = 0; i < PIN_BUCKETS; i++) {
		for (const struct pin *p = buckets[i]; p != NULL; p = p->next)
			n += str_eq_c(tenant, p->tenant);
	}
	return n < PINS_TENANT_MAX;
}

static enum pin_verdict
first(const struct pin_of *of, const struct hash *key, uint64_t run,
    const struct hash *hash, struct str text)
{
	struct store_pin row = { .text = { [PIN_ACCEPTED] = text } };
	struct pin *p;

	if (!has_room(of->tenant))
		return PIN_FULL;
	p = calloc(1, sizeof(*p));
	must(p != NULL);
	p->key = *key;
	p->id = random_id();
	id_text('p', p->id, p->text);
	p->said[PIN_ACCEPTED] = (struct pin_said){ .any = true,
		.hash = *hash,
		.seen_ns = clock_utc_ns(),
		.run = run };
	if (str_copy(of->tenant, p->tenant, sizeof(p->tenant)) < 0 ||
	    str_copy(of->server, p->server, sizeof(p->server)) < 0 ||
	    str_copy(of->tool, p->tool, sizeof(p->tool)) < 0 ||
	    pin_store(p, &row) < 0) {
		free(p);
		return PIN_FULL;
	}
	add(p);
	return PIN_GOOD;
}

static void
add(struct pin *p)
{
	struct pin **at = bucket_of(&p->key);

	p->next = *at;
	*at = p;
	n_pins++;
}

/*
 * A damaged row is told of. Its tool would be new again without it, so nothing
 * of it is accepted: the next definition has to be looked at.
 */
static bool
on_row(void *arg, const struct hash *key, struct str body)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *v = json_parse(body, NULL, &a, &e, NULL);
	struct pin *p = calloc(1, sizeof(*p));

	(void)arg;
	must(p != NULL);
	if (take(p, v) < 0) {
		log_error(
		    "the row of a tool's definition is damaged why=\"%s\"",
		    e.text);
		memset(p->said, 0, sizeof(p->said));
	}
	p->key = *key;
	if (p->id == 0)
		p->id = random_id();
	id_text('p', p->id, p->text);
	add(p);
	return true;
}

static int
take(struct pin *p, const struct json *v)
{
	if (take_name(
		json_get(v, STR("tenant")), p->tenant, sizeof(p->tenant)) < 0 ||
	    take_name(
		json_get(v, STR("server")), p->server, sizeof(p->server)) < 0 ||
	    take_name(json_get(v, STR("tool")), p->tool, sizeof(p->tool)) < 0 ||
	    id_parse('p', json_str(json_get(v, STR("pin"))), &p->id) < 0 ||
	    json_u64(json_get(v, STR("decisions")), &p->decisions) < 0)
		return -1;
	for (int slot = 0; slot < PIN_SLOTS; slot++) {
		const struct json *s = json_get(v, str_of(slots[slot]));

		if (s != NULL && take_said(&p->said[slot], s) < 0)
			return -1;
	}
	return 0;
}

static int
take_said(struct pin_said *s, const struct json *v)
{
	uint64_t ms;

	if (hash_from_hex(json_str(json_get(v, STR("sha256"))), &s->hash) < 0 ||
	    id_parse('r', json_str(json_get(v, STR("run"))), &s->run) < 0 ||
	    json_u64(json_get(v, STR("seen_ms")), &ms) < 0 ||
	    str_copy(json_str(json_get(v, STR("by"))), s->by, sizeof(s->by)) <
		0)
		return -1;
	s->seen_ns = (int64_t)ms * NS_PER_MS;
	s->any = true;
	return 0;
}

static int
take_name(const struct json *v, char *out, size_t cap)
{
	return json_is(v, JSON_STRING) ? str_copy(json_str(v), out, cap) : -1;
}
