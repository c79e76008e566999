/*
 * core/web_target.h: a server on the web that the operator names, for what the
 * daemon itself asks there: an issuer's keys, or who is told of approvals.
 *
 *     {"url": "https://login.example.com/jwks", "addrs": ["10.0.0.0/8"],
 *      "roots": "ca.pem"}
 *
 * HTTPS only. Addresses that are not public are dialled only where addrs has
 * them. Pure.
 */
#ifndef CORE_WEB_TARGET_H
#define CORE_WEB_TARGET_H

#include <stdint.h>

#include "base/err.h"
#include "codec/json.h"

struct web_target {
	struct str url; /* "": there is none */
	struct str host, path; /* in the URL; path begins with a slash */
	uint16_t port;
	const struct json *addrs; /* checked; NULL: none */
	struct str roots; /* the name of a file with PEM; "": the machine's */
};

/* Reads these three members of an object, which may have others. */
int web_target_read(
    const struct json *v, struct web_target *out, struct err *e);

/* The name of a file beside the configuration, and of no other folder. */
bool web_target_file_ok(struct str name);

#endif
