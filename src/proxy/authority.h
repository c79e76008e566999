/*
 * proxy/authority.h: HOST[:PORT], the one reading of it: of a URL, a Host
 * field and CONNECT.
 */
#ifndef PROXY_AUTHORITY_H
#define PROXY_AUTHORITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum { AUTHORITY_BYTES = 256 }; /* 253 characters of a name, a NUL */

/*
 * Gives the host in lower case, without the dot of an absolute name and
 * without brackets: one spelling, whatever the client wrote. port is for who
 * names none, 0 when one must be named. What is no such thing is refused,
 * "user@host" and a space among it; host may have been written to then.
 */
bool authority_parse(struct str s, uint16_t port,
    char host[static AUTHORITY_BYTES], uint16_t *out_port);

#endif
