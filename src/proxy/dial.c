#include "proxy/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "sys/fd.h"

struct dial_lookup {
	struct dial *dial; /* NULL: nobody waits any more */
};

union where {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static void on_state(void *arg, int fd, int readable, int writable);
static void on_lookup_ready(struct loop_watch *w, uint32_t events);
static void on_lookup_time(struct loop_timer *t);
static void lookup_timer(struct dialer *d);
static void on_addrs(
    void *arg, int status, int timeouts, struct ares_addrinfo *list);
static void addrs_take(struct dial *d, const struct ares_addrinfo *list);
static void addr_add(struct dial *d, const struct addr *a);
static bool is_own(const struct addr *a);
static socklen_t where_is(
    const struct addr *a, uint16_t port, union where *out);
static void try_next(struct dial *d);
static void on_connected(struct loop_watch *w, uint32_t events);
static void on_late(struct loop_timer *t);
static void finish(struct dial *d, int fd, const char *why);

int
dialer_init(struct dialer *d, struct loop *loop, struct err *e)
{
	/* "b": the DNS only. /etc/hosts is not there once we are confined. */
	char lookups[] = "b";
	struct ares_options options = {
		.lookups = lookups,
		.sock_state_cb = on_state,
		.sock_state_cb_data = d,
		.timeout = EGRESS_LOOKUP_MS / 4,
		.tries = 3,
	};
	const char *servers = getenv("PADDOCK_RESOLVER");
	int r;

	*d = (struct dialer){
		.loop = loop,
		.timer = { .on_time = on_lookup_time },
	};
	for (size_t i = 0; i < DIAL_LOOKUP_SOCKETS; i++) {
		d->socket[i].dialer = d;
		d->socket[i].watch.fd = -1;
	}
	r = ares_library_init(ARES_LIB_INIT_ALL);
	if (r == ARES_SUCCESS)
		r = ares_init_options(&d->channel, &options,
		    ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB |
			ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
	if (r != ARES_SUCCESS)
		return err_set(e, "resolver: %s", ares_strerror(r));
	if (servers != NULL && servers[0] != '\0') {
		r = ares_set_servers_ports_csv(d->channel, servers);
		if (r != ARES_SUCCESS)
			return err_set(e, "PADDOCK_RESOLVER=%s: %s", servers,
			    ares_strerror(r));
	}
	return 0;
}

void
dialer_fini(struct dialer *d)
{
	if (d->channel != NULL) {
		ares_destroy(d->channel);
		ares_library_cleanup();
		loop_timer_clear(d->loop, &d->timer);
	}
	d->channel = NULL;
}

void
dial_start(
    struct dial *d, struct dialer *dialer, const char *host, uint16_t port)
{
	const struct ares_addrinfo_hints hints = {
		.ai_flags = ARES_AI_NOSORT,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	struct addr literal;

	d->dialer = dialer;
	d->port = port;
	d->n_addrs = d->at = 0;
	d->denied = NULL;
	d->watch.fd = -1;
	d->timer.on_time = on_late;
	if (addr_parse(str_of(host), &literal) == 0) {
		addr_add(d, &literal);
		try_next(d);
		return;
	}
	d->lookup = calloc(1, sizeof(*d->lookup));
	must(d->lookup != NULL);
	d->lookup->dial = d;
	ares_getaddrinfo(
	    dialer->channel, host, NULL, &hints, on_addrs, d->lookup);
	lookup_timer(dialer);
}

void
dial_stop(struct dial *d)
{
	int fd;

	if (d->dialer == NULL)
		return;
	if (d->lookup != NULL)
		d->lookup->dial = NULL;
	d->lookup = NULL;
	loop_timer_clear(d->dialer->loop, &d->timer);
	fd = loop_remove(d->dialer->loop, &d->watch);
	fd_fini(&fd);
	d->dialer = NULL;
}

/* c-ares says which of its sockets are to be watched, and for what. */
static void
on_state(void *arg, int fd, int readable, int writable)
{
	struct dialer *d = arg;
	uint32_t want = (readable ? EPOLLIN : 0U) | (writable ? EPOLLOUT : 0U);
	struct loop_watch *w = NULL, *unused = NULL;
	struct err e;

	for (size_t i = 0; i < DIAL_LOOKUP_SOCKETS; i++) {
		if (d->socket[i].watch.fd == fd)
			w = &d->socket[i].watch;
		else if (d->socket[i].watch.fd < 0)
			unused = &d->socket[i].watch;
	}
	if (w != NULL && want == 0) {
		(void)loop_remove(d->loop, w); /* c-ares closes it */
	} else if (w != NULL) {
		(void)loop_want(d->loop, w, want, &e);
	} else if (unused != NULL && want != 0) {
		*unused = (struct loop_watch){
			.fd = fd,
			.events = want,
			.on_ready = on_lookup_ready,
		};
		/* One that is not watched ends by c-ares' own timeout. */
		if (loop_add(d->loop, unused, &e) < 0)
			unused->fd = -1;
	}
}

static void
on_lookup_ready(struct loop_watch *w, uint32_t events)
{
	struct dialer *d = LOOP_OF(w, struct dialer_socket, watch)->dialer;
	const bool in = (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
	const bool out = (events & EPOLLOUT) != 0;

	ares_process_fd(d->channel, in ? w->fd : ARES_SOCKET_BAD,
	    out ? w->fd : ARES_SOCKET_BAD);
	lookup_timer(d);
}

static void
on_lookup_time(struct loop_timer *t)
{
	struct dialer *d = LOOP_OF(t, struct dialer, timer);

	ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	lookup_timer(d);
}

static void
lookup_timer(struct dialer *d)
{
	struct timeval tv;

	if (ares_timeout(d->channel, NULL, &tv) == NULL)
		loop_timer_clear(d->loop, &d->timer);
	else
		loop_timer_set(d->loop, &d->timer,
		    clock_mono_ns() + tv.tv_sec * 1000000000LL +
			tv.tv_usec * 1000LL + 1000000);
}

static void
on_addrs(void *arg, int status, int timeouts, struct ares_addrinfo *list)
{
	struct dial_lookup *l = arg;
	struct dial *d = l->dial;

	(void)timeouts;
	free(l);
	if (d != NULL) {
		d->lookup = NULL;
		if (status == ARES_SUCCESS)
			addrs_take(d, list);
	}
	if (list != NULL)
		ares_freeaddrinfo(list);
	if (d == NULL)
		return;
	if (status != ARES_SUCCESS)
		finish(d, -1, "the name cannot be resolved");
	else
		try_next(d);
}

/* IPv4 first: every machine has a route for it. */
static void
addrs_take(struct dial *d, const struct ares_addrinfo *list)
{
	for (int family = 0; family < 2; family++) {
		for (const struct ares_addrinfo_node *n = list->nodes;
		     n != NULL; n = n->ai_next) {
			struct addr a = { .v6 = family == 1 };
			union where w;

			if (n->ai_family != (a.v6 ? AF_INET6 : AF_INET) ||
			    n->ai_addrlen > sizeof(w))
				continue;
			memcpy(&w, n->ai_addr, n->ai_addrlen);
			if (a.v6)
				memcpy(a.byte, &w.in6.sin6_addr, 16);
			else
				memcpy(a.byte, &w.in.sin_addr, 4);
			addr_add(d, &a);
		}
	}
}

static void
addr_add(struct dial *d, const struct addr *a)
{
	if (!addr_may_dial(a, d->pins, d->n_pins)) {
		d->denied = addr_denied(a);
		if (d->denied == NULL)
			d->denied = "not pinned";
	} else if (d->n_pins == 0 && is_own(a)) {
		d->denied = "this machine's own";
	} else if (d->n_addrs < DIAL_ADDRS_MAX) {
		d->addrs[d->n_addrs++] = *a;
	}
}

/* Routing to an address of our own, the kernel takes it as the source, too.
 * Connecting a datagram socket sends nothing. */
static bool
is_own(const struct addr *a)
{
	union where to, from = {};
	socklen_t n = where_is(a, 9, &to), m = sizeof(from);
	own_fd int fd = socket(to.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, &to.any, n) < 0 ||
	    getsockname(fd, &from.any, &m) < 0)
		return false; /* no way there: dialling says so */
	return a->v6 ? memcmp(&from.in6.sin6_addr, a->byte, 16) == 0
		     : memcmp(&from.in.sin_addr, a->byte, 4) == 0;
}

static socklen_t
where_is(const struct addr *a, uint16_t port, union where *out)
{
	memset(out, 0, sizeof(*out));
	if (a->v6) {
		out->in6.sin6_family = AF_INET6;
		out->in6.sin6_port = htons(port);
		memcpy(&out->in6.sin6_addr, a->byte, 16);
		return sizeof(out->in6);
	}
	out->in.sin_family = AF_INET;
	out->in.sin_port = htons(port);
	memcpy(&out->in.sin_addr, a->byte, 4);
	return sizeof(out->in);
}

static void
try_next(struct dial *d)
{
	struct loop *loop = d->dialer->loop;

	while (d->at < d->n_addrs) {
		union where to;
		const struct addr *a = &d->addrs[d->at++];
		socklen_t n = where_is(a, d->port, &to);
		own_fd int fd = socket(to.any.sa_family,
		    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		struct err e;

		if (fd < 0 ||
		    (connect(fd, &to.any, n) < 0 && errno != EINPROGRESS))
			continue;
		d->to = *a;
		d->watch = (struct loop_watch){
			.fd = fd,
			.events = EPOLLOUT,
			.on_ready = on_connected,
		};
		if (loop_add(loop, &d->watch, &e) < 0) {
			d->watch.fd = -1;
			continue;
		}
		(void)fd_take(&fd);
		loop_timer_set(loop, &d->timer,
		    clock_mono_ns() + (int64_t)EGRESS_DIAL_MS * 1000000);
		return;
	}
	finish(d, -1,
	    d->n_addrs == 0 && d->denied != NULL ? d->denied : "unreachable");
}

static void
on_connected(struct loop_watch *w, uint32_t events)
{
	struct dial *d = LOOP_OF(w, struct dial, watch);
	int error = 0;
	socklen_t n = sizeof(error);
	own_fd int fd = loop_remove(d->dialer->loop, w);

	(void)events;
	loop_timer_clear(d->dialer->loop, &d->timer);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0 || error != 0)
		try_next(d);
	else
		finish(d, fd_take(&fd), NULL);
}

static void
on_late(struct loop_timer *t)
{
	struct dial *d = LOOP_OF(t, struct dial, timer);
	int fd = loop_remove(d->dialer->loop, &d->watch);

	fd_fini(&fd);
	try_next(d);
}

static void
finish(struct dial *d, int fd, const char *why)
{
	d->dialer = NULL;
	d->on_done(d, fd, why);
}
