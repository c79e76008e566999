/*
 * What a proxy knows of a secret that no request has: a print, as the broker
 * tells it.
 */
#ifndef WATCH_RIG_H
#define WATCH_RIG_H

#include "base/buf.h"
#include "base/must.h"
#include "codec/json.h"
#include "proxy/filter.h"

/* w is told of this one, and of none besides. */
static inline void
watch_take(struct filter_watch *w, const char *name, struct str value,
    const char *placeholder)
{
	own_arena struct arena a = {};
	own_buf struct buf text = {};
	const struct hash secret = { { 7 } };
	struct leak_print p;
	struct leak_key k;
	char hex[HASH_HEX_BYTES];
	struct err e = {};

	leak_key_init(&k, &secret);
	leak_print_of(&k, value, &p);
	hash_hex(&secret, hex);
	buf_printf(
	    &text, "{\"key\":\"%s\",\"words\":[{\"bytes\":%u,", hex, p.bytes);
	hash_hex(&p.digest, hex);
	buf_printf(&text,
	    "\"digest\":\"%s\",\"head\":%u,\"name\":\"%s\","
	    "\"placeholder\":\"%s\",\"tail\":%u}]}",
	    hex, p.head, name, placeholder, p.tail);
	must(filter_watch_take(
		 w, json_parse(buf_str(&text), NULL, &a, &e, NULL), &e) == 0);
}

#endif
