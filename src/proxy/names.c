#include "proxy/names.h"

#include <string.h>

#include "codec/json.h"
#include "core/egress.h"

static bool covered(const struct names *t, struct str name);

void
names_init(struct names *t, struct str payload)
{
	struct err e = {};
	const struct json *doc = NULL, *hosts;
	struct str *patterns;

	*t = (struct names){ .arena = { .max_bytes = EGRESS_NAMES_BYTES } };
	if (payload.n > 0) {
		/* The arena keeps the bytes that the values point into. */
		const char *own = arena_copy(&t->arena, payload);

		if (own != NULL)
			doc = json_parse((struct str){ own, payload.n }, NULL,
			    &t->arena, &e, NULL);
	}
	hosts = json_get(doc, STR("hosts"));
	if (!json_is(hosts, JSON_ARRAY))
		return;
	patterns = arena_alloc(&t->arena, hosts->n * sizeof(*patterns));
	if (patterns == NULL)
		return;
	for (const struct json *h = json_first(hosts); h != NULL;
	     h = json_next(hosts, h))
		patterns[t->n_patterns++] = json_str(h);
	t->patterns = patterns;
}

void
names_fini(struct names *t)
{
	arena_fini(&t->arena);
}

enum dns_answer
names_answer(
    struct names *t, const char *name, uint16_t type, uint8_t address[static 4])
{
	uint32_t i = 0;

	if (!covered(t, str_of(name)))
		return DNS_NXDOMAIN;
	/* No IPv6 inside; no HTTPS record, whose hints would hide names. */
	if (type != DNS_A)
		return DNS_NODATA;
	while (i < t->n && strcmp(t->name[i], name) != 0)
		i++;
	if (i == t->n) {
		const char *own;

		if (t->n == EGRESS_NAMES_MAX)
			return DNS_REFUSED;
		own = arena_copy(&t->arena, str_of(name));
		if (own == NULL)
			return DNS_REFUSED;
		t->name[t->n++] = own;
	}
	i++;
	address[0] = 198;
	address[1] = (uint8_t)(18 | (i >> 16 & 1));
	address[2] = (uint8_t)(i >> 8);
	address[3] = (uint8_t)i;
	return DNS_ADDRESS;
}

const char *
names_find(const struct names *t, const uint8_t address[static 4])
{
	uint32_t i = (uint32_t)(address[1] & 1) << 16 |
	    (uint32_t)address[2] << 8 | address[3];

	if (!names_is_synthetic(address) || i == 0 || i > t->n)
		return NULL;
	return t->name[i - 1];
}

bool
names_is_synthetic(const uint8_t address[static 4])
{
	return address[0] == 198 && (address[1] & 0xfe) == 18;
}

static bool
covered(const struct names *t, struct str name)
{
	for (uint32_t i = 0; i < t->n_patterns; i++) {
		if (egress_host_match(t->patterns[i], name))
			return true;
	}
	return false;
}
