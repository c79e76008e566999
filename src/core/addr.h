/*
 * core/addr.h: Internet addresses, and which of them are not to be dialled.
 *
 * A name that a rule allows may still resolve to an address inside: the
 * machine itself, its network, a cloud's metadata service. Those are denied
 * after resolution, unless the rule pins them with "addrs", and the address
 * that was judged is the one that is dialled. An IPv6 address that carries an
 * IPv4 one is judged as that, too.
 */
#ifndef CORE_ADDR_H
#define CORE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct addr {
	uint8_t byte[16]; /* network order; IPv4: the first four, rest 0 */
	bool v6;
};

struct cidr {
	struct addr addr; /* bits past the prefix are 0 */
	uint8_t bits;
};

enum { ADDR_TEXT_BYTES = 48, EGRESS_ADDRS_MAX = 64 };

/* "10.1.2.3", "::1", "[::1]". Only the usual forms: no "0x7f.1". -1: none. */
int addr_parse(struct str s, struct addr *out);
/* "10.1.2.0/24"; without a prefix one address. -1 when bits past it are set.*/
int cidr_parse(struct str s, struct cidr *out);
/* As addr_parse reads it; IPv6 in hexadecimal, RFC 5952. */
void addr_write(const struct addr *a, char out[static ADDR_TEXT_BYTES]);
void cidr_write(const struct cidr *c, char out[static ADDR_TEXT_BYTES]);
bool addr_eq(const struct addr *a, const struct addr *b);
/* ::ffff:10.0.0.1 is in 10.0.0.0/8, too: both are compared as IPv4. */
bool cidr_has(const struct cidr *c, const struct addr *a);
/* True when every address of inner is in outer. */
bool cidr_covers(const struct cidr *outer, const struct cidr *inner);

/* NULL when the address is public, else what it is: "loopback", "metadata". */
const char *addr_denied(const struct addr *a);
/*
 * The whole judgement of an address before it is dialled: with pins it must
 * be in one of them, without it must be public. The machine's own addresses
 * are for who dials to add.
 */
bool addr_may_dial(const struct addr *a, const struct cidr *pins, size_t n);

#endif
