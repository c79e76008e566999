/*
 * proxy/names.h: the names that one sandbox may ask for, and the addresses
 * that stand for them inside.
 *
 * A name gets an address of 198.18.0.0/15 (RFC 2544: never on the Internet)
 * when it is first asked for, and keeps it for the length of the run. So a
 * connection to the address tells its name, whatever is spoken on it, and no
 * query ever leaves the machine. Names that no pattern covers do not exist.
 */
#ifndef PROXY_NAMES_H
#define PROXY_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/str.h"
#include "codec/dns.h"

struct names {
	struct arena arena; /* patterns and names */
	const struct str *patterns;
	uint32_t n_patterns;
	uint32_t n; /* names so far; 198.18.0.1 is the first */
	const char *name[EGRESS_NAMES_MAX];
};

/* Payload of MSG_DOOR_OPEN; empty, or no such object, covers no name. */
void names_init(struct names *t, struct str payload);
void names_fini(struct names *t);

/*
 * What to answer to a question about a name (lower case): DNS_ADDRESS with
 * address set, DNS_NODATA, DNS_NXDOMAIN, or DNS_REFUSED when there are too
 * many.
 */
enum dns_answer names_answer(struct names *t, const char *name, uint16_t type,
    uint8_t address[static 4]);

/* The name behind an address in network order; NULL: none. */
const char *names_find(const struct names *t, const uint8_t address[static 4]);
/* True for the whole range, whether or not there is a name. */
bool names_is_synthetic(const uint8_t address[static 4]);

#endif
