#include "proxy/dns.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/must.h"
#include "sys/fd.h"

enum {
	BURST = 32, /* questions answered before others get a turn */
	TTL_S = 60, /* addresses last as long as the run */
	PREFIX = 2, /* the length, over TCP */
};

struct dns_client {
	struct dns_stub *stub;
	struct dns_client *before, *after;
	struct loop_watch watch;
	struct loop_timer timer;
	size_t n;
	uint8_t in[PREFIX + DNS_UDP_BYTES];
};

static void on_udp(struct loop_watch *w, uint32_t events);
static void on_listener(struct loop_watch *w, uint32_t events);
static void on_client(struct loop_watch *w, uint32_t events);
static void on_late(struct loop_timer *t);
static bool client_answer(struct dns_client *c);
static void client_close(struct dns_client *c);
static size_t answer(
    struct dns_stub *s, const uint8_t *p, size_t n, uint8_t *out, size_t cap);

int
dns_stub_open_take(struct dns_stub *s, struct loop *loop, struct names *names,
    int udp, int tcp, struct err *e)
{
	own_fd int u = udp, t = tcp;

	*s = (struct dns_stub){
		.loop = loop,
		.names = names,
		.udp = { .fd = u, .events = EPOLLIN, .on_ready = on_udp },
		.tcp = { .fd = t, .events = EPOLLIN, .on_ready = on_listener },
	};
	if (u >= 0 && loop_add(loop, &s->udp, e) < 0)
		return -1;
	(void)fd_take(&u);
	if (t >= 0 && loop_add(loop, &s->tcp, e) < 0) {
		s->tcp.fd = -1;
		dns_stub_close(s);
		return -1;
	}
	(void)fd_take(&t);
	return 0;
}

void
dns_stub_close(struct dns_stub *s)
{
	struct dns_client *next;
	int udp, tcp;

	if (s->loop == NULL)
		return;
	for (struct dns_client *c = s->clients; c != NULL; c = next) {
		next = c->after;
		client_close(c);
	}
	udp = loop_remove(s->loop, &s->udp);
	tcp = loop_remove(s->loop, &s->tcp);
	fd_fini(&udp);
	fd_fini(&tcp);
}

/* The answer comes from the address that was asked: IP_PKTINFO both ways. */
static void
on_udp(struct loop_watch *w, uint32_t events)
{
	struct dns_stub *s = LOOP_OF(w, struct dns_stub, udp);

	(void)events;
	for (int i = 0; i < BURST; i++) {
		uint8_t in[DNS_UDP_BYTES], out[DNS_UDP_BYTES];
		union {
			struct cmsghdr head;
			char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
		} control;
		struct sockaddr_in from;
		struct iovec part = { .iov_base = in, .iov_len = sizeof(in) };
		struct msghdr m = {
			.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control.bytes,
			.msg_controllen = sizeof(control.bytes),
		};
		ssize_t n = recvmsg(w->fd, &m, MSG_DONTWAIT);
		struct in_pktinfo info;
		struct cmsghdr *c;

		if (n < 0 && errno == EAGAIN)
			return;
		c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
		if (c == NULL || c->cmsg_level != IPPROTO_IP ||
		    c->cmsg_type != IP_PKTINFO ||
		    (m.msg_flags & MSG_TRUNC) != 0)
			continue;
		part.iov_base = out;
		part.iov_len = answer(s, in, (size_t)n, out, sizeof(out));
		if (part.iov_len == 0)
			continue;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		info.ipi_spec_dst = info.ipi_addr;
		info.ipi_ifindex = 0;
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		m.msg_controllen = CMSG_SPACE(sizeof(info));
		(void)sendmsg(w->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

static void
on_listener(struct loop_watch *w, uint32_t events)
{
	struct dns_stub *s = LOOP_OF(w, struct dns_stub, tcp);
	own_fd int fd = /* accept4(2) allows it: */
	    /* cppcheck-suppress nullPointer */
	    accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct dns_client *c;
	struct err e;

	(void)events;
	if (fd < 0 || s->n_clients >= EGRESS_DNS_TCP_MAX)
		return;
	c = calloc(1, sizeof(*c));
	must(c != NULL);
	c->stub = s;
	c->watch = (struct loop_watch){
		.fd = fd,
		.events = EPOLLIN,
		.on_ready = on_client,
	};
	if (loop_add(s->loop, &c->watch, &e) < 0) {
		free(c);
		return;
	}
	(void)fd_take(&fd);
	c->timer.on_time = on_late;
	loop_timer_set(s->loop, &c->timer,
	    clock_mono_ns() + (int64_t)EGRESS_PEEK_MS * 1000000);
	c->after = s->clients;
	if (c->after != NULL)
		c->after->before = c;
	s->clients = c;
	s->n_clients++;
}

static void
on_client(struct loop_watch *w, uint32_t events)
{
	struct dns_client *c = LOOP_OF(w, struct dns_client, watch);
	ssize_t n =
	    recv(w->fd, c->in + c->n, sizeof(c->in) - c->n, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client_close(c);
		return;
	}
	c->n += (size_t)n;
	while (c->n >= PREFIX) {
		size_t len = (size_t)c->in[0] << 8 | c->in[1];

		if (len > DNS_UDP_BYTES) {
			client_close(c);
			return;
		}
		if (c->n < PREFIX + len)
			return;
		if (!client_answer(c)) {
			client_close(c);
			return;
		}
		c->n -= PREFIX + len;
		memmove(c->in, c->in + PREFIX + len, c->n);
	}
}

/* The first question in its buffer. A client that does not read is closed. */
static bool
client_answer(struct dns_client *c)
{
	size_t len = (size_t)c->in[0] << 8 | c->in[1];
	uint8_t out[PREFIX + DNS_UDP_BYTES];
	size_t n =
	    answer(c->stub, c->in + PREFIX, len, out + PREFIX, DNS_UDP_BYTES);

	out[0] = (uint8_t)(n >> 8);
	out[1] = (uint8_t)n;
	return n > 0 &&
	    send(c->watch.fd, out, PREFIX + n, MSG_DONTWAIT | MSG_NOSIGNAL) ==
	    (ssize_t)(PREFIX + n);
}

static void
on_late(struct loop_timer *t)
{
	client_close(LOOP_OF(t, struct dns_client, timer));
}

static void
client_close(struct dns_client *c)
{
	struct dns_stub *s = c->stub;
	int fd = loop_remove(s->loop, &c->watch);

	fd_fini(&fd);
	loop_timer_clear(s->loop, &c->timer);
	if (c->before != NULL)
		c->before->after = c->after;
	else
		s->clients = c->after;
	if (c->after != NULL)
		c->after->before = c->before;
	s->n_clients--;
	free(c);
}

static size_t
answer(struct dns_stub *s, const uint8_t *p, size_t n, uint8_t *out, size_t cap)
{
	struct dns_query q;
	uint8_t address[4] = {};
	int what = dns_query_parse(p, n, &q);

	if (what < 0)
		return 0;
	if (what == 0 && q.class != DNS_IN)
		what = DNS_REFUSED;
	else if (what == 0)
		what = (int)names_answer(s->names, q.name, q.type, address);
	return dns_answer_write(
	    p, &q, (enum dns_answer)what, address, TTL_S, out, cap);
}
