/*
 * proxy/dial.h: from a name to a connection, by checked addresses only.
 *
 * The name is resolved here, outside the sandbox, every address it has is
 * judged (core/addr.h), and exactly the ones that passed are dialled: there is
 * no second lookup that could say something else. Addresses of this machine's
 * own interfaces are refused, too, unless the rule pins them.
 */
#ifndef PROXY_DIAL_H
#define PROXY_DIAL_H

#include <ares.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"
#include "core/addr.h"
#include "sys/loop.h"

enum { DIAL_LOOKUP_SOCKETS = 32 };

/* One of the resolver's. */
struct dialer_socket {
	struct dialer *dialer;
	struct loop_watch watch;
};

/* One per proxy. */
struct dialer {
	struct loop *loop;
	ares_channel channel; /* NULL: not there */
	struct loop_timer timer;
	struct dialer_socket socket[DIAL_LOOKUP_SOCKETS];
};

struct dial_lookup; /* outlives a dial that is given up */

struct dial {
	struct dialer *dialer; /* NULL: idle */
	uint16_t port;
	struct cidr pins[EGRESS_ADDRS_MAX];
	size_t n_pins;
	struct addr addrs[DIAL_ADDRS_MAX]; /* that may be dialled */
	size_t n_addrs, at;
	const char *denied; /* what one is that may not: "loopback" */
	struct dial_lookup *lookup;
	struct loop_watch watch; /* the socket that connects */
	struct loop_timer timer;
	struct addr to; /* of the connection */
	void *owner; /* the caller's */
	/* fd is the caller's, or -1 and why. The dial is idle again. */
	void (*on_done)(struct dial *d, int fd, const char *why);
};

/*
 * Reads /etc/resolv.conf, or takes the servers that the variable
 * PADDOCK_RESOLVER names ("127.0.0.1:5353,..."): before the role is confined.
 */
int dialer_init(struct dialer *d, struct loop *loop, struct err *e);
void dialer_fini(struct dialer *d);

/* pins and on_done are set by the caller. on_done may be called at once. */
void dial_start(
    struct dial *d, struct dialer *dialer, const char *host, uint16_t port);
/* Without on_done. */
void dial_stop(struct dial *d);

#endif
