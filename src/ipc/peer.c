#include "ipc/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"
#include "ipc/route.h"
#include "sys/fd.h"

#define NS_PER_MS 1000000LL

enum {
	MAX_BODY_BYTES = 192, /* larger than any body in msg.h: t_route */
	BURST = 32, /* frames of a ring before other links get a turn */
};

struct peer_frame {
	struct peer_frame *next;
	size_t n; /* bytes */
	size_t n_fds;
	int fds[IPC_MAX_FDS]; /* owned: duplicates */
	_Alignas(8) char bytes[];
};

/* Where a frame is read to: handlers of one are done before the next. */
static _Alignas(8) char frame_bytes[IPC_MAX_FRAME_BYTES];

static void on_ready(struct loop_watch *w, uint32_t events);
static void on_bell(struct loop_watch *w, uint32_t events);
static void on_late(struct loop_timer *t);
static void ring_bell(int fd);
static void read_ring(struct peer *p, int most);
static bool read_frame(struct peer *p);
static void take_frame(
    struct peer *p, char *bytes, size_t n, int *fds, size_t n_fds, bool cut);
static int send_now(struct peer *p, const struct iovec *iov, size_t n_iov,
    const int *fds, size_t n_fds);
static bool is_secret(const struct iovec *iov);
static int send_socket(struct peer *p, const struct iovec *iov, size_t n_iov,
    const int *fds, size_t n_fds);
static int enqueue(struct peer *p, const struct iovec *iov, size_t n_iov,
    const int *fds, size_t n_fds, int why);
static int want_out(struct peer *p, bool out, struct err *e);
static int give_up(struct peer *p, const char *why);
static void drain(struct peer *p);
static void drop(struct peer *p, const char *why);
static void frame_free(struct peer_frame *f);

void
peer_init(struct peer *p)
{
	must(p->on_frame != NULL && p->on_gone != NULL && p->loop != NULL);
	p->watch = p->bell = (struct loop_watch){ .fd = -1 };
	p->ring = (struct ring){};
	p->other_bell = -1;
	p->late = (struct loop_timer){ .on_time = on_late };
	p->lazy = false;
	p->first = NULL;
	p->last = &p->first;
	p->queued_bytes = 0;
}

int
peer_open_take(struct peer *p, int fd, struct err *e)
{
	own_fd int mine = fd;

	peer_close(p);
	if (fd_nonblock(mine, e) < 0)
		return -1;
	p->watch = (struct loop_watch){
		.fd = mine,
		.events = EPOLLIN,
		.on_ready = on_ready,
	};
	if (loop_add(p->loop, &p->watch, e) < 0) {
		p->watch.fd = -1;
		return -1;
	}
	(void)fd_take(&mine);
	return 0;
}

int
peer_open_wire(struct peer *p, const struct frame *f, struct err *e)
{
	const struct msg_wire *m = f->body;

	if (peer_open_take(p, fd_take(&f->fds[WIRE_SOCKET]), e) < 0)
		return -1;
	if (f->n_fds == 1)
		return 0;
	if (f->n_fds != WIRE_FDS) {
		peer_close(p);
		return err_set(e, "a link of %zu descriptors", f->n_fds);
	}
	p->bell = (struct loop_watch){
		.fd = fd_take(&f->fds[WIRE_BELL]),
		.events = EPOLLIN | EPOLLET, /* each ring is told of once */
		.on_ready = on_bell,
	};
	p->other_bell = fd_take(&f->fds[WIRE_OTHER_BELL]);
	if (ring_open(&p->ring, f->fds[WIRE_RING], m->side, e) < 0 ||
	    fd_nonblock(p->bell.fd, e) < 0 ||
	    loop_add(p->loop, &p->bell, e) < 0) {
		fd_fini(&p->bell.fd);
		peer_close(p);
		return -1;
	}
	/* The ring says when to read the socket; its end comes unasked. */
	if (want_out(p, false, e) < 0) {
		peer_close(p);
		return -1;
	}
	return 0;
}

void
peer_close(struct peer *p)
{
	if (p->watch.fd >= 0) {
		int fd = loop_remove(p->loop, &p->watch);

		fd_fini(&fd);
	}
	if (p->bell.fd >= 0) {
		int fd = loop_remove(p->loop, &p->bell);

		fd_fini(&fd);
	}
	fd_fini(&p->other_bell);
	loop_timer_clear(p->loop, &p->late);
	ring_close(&p->ring);
	while (p->first != NULL) {
		struct peer_frame *f = p->first;

		p->first = f->next;
		frame_free(f);
	}
	p->last = &p->first;
	p->queued_bytes = 0;
}

bool
peer_is_open(const struct peer *p)
{
	return p->watch.fd >= 0;
}

bool
peer_at_end(const struct peer *p)
{
	struct pollfd wait = { .fd = p->watch.fd };

	/* POLLHUP comes unasked, also with frames left to read. poll(2) */
	return !peer_is_open(p) ||
	    (poll(&wait, 1, 0) == 1 && (wait.revents & POLLHUP) != 0);
}

int
peer_send(struct peer *p, uint16_t type, const void *body, struct str payload,
    const int *fds, size_t n_fds)
{
	const struct route *r = route_find(p->self, p->other, type);
	struct msg_head h = { .type = type, .payload = (uint32_t)payload.n };
	int all[IPC_MAX_FDS];
	own_fd int memfd = -1;
	struct iovec iov[3];
	size_t n_iov = 2;

	/* What we send ourselves must be right: these are our own bugs. */
	must(r != NULL);
	must(payload.n <= r->max_payload_bytes);
	must(n_fds >= r->min_fds && n_fds <= r->max_fds);
	if (!peer_is_open(p))
		return -1;

	for (size_t i = 0; i < n_fds; i++)
		all[i] = fds[i];
	iov[0] = (struct iovec){ &h, sizeof(h) };
	/* sendmsg(2) does not write to what it sends. */
	memcpy(&iov[1].iov_base, &body, sizeof(body));
	iov[1].iov_len = r->body_bytes;
	if (payload.n + sizeof(h) + r->body_bytes > IPC_MAX_FRAME_BYTES) {
		struct err e = {};

		memfd = fd_sealed(payload.p, payload.n, &e);
		if (memfd < 0) {
			return give_up(p, e.text);
		}
		h.flags = MSG_MEMFD;
		all[n_fds++] = memfd;
	} else if (payload.n > 0) {
		memcpy(&iov[2].iov_base, &payload.p, sizeof(payload.p));
		iov[2].iov_len = payload.n;
		n_iov = 3;
	}

	if (p->first != NULL)
		return enqueue(p, iov, n_iov, all, n_fds, 0);
	if (send_now(p, iov, n_iov, all, n_fds) == 0)
		return 0;
	if (errno != EAGAIN && errno != ENOBUFS)
		return give_up(p, strerror(errno));
	return enqueue(p, iov, n_iov, all, n_fds, errno);
}

int
peer_send_lazy(
    struct peer *p, uint16_t type, const void *body, struct str payload)
{
	int got;

	p->lazy = true;
	got = peer_send(p, type, body, payload, NULL, 0);
	p->lazy = false;
	return got;
}

int
peer_pair(int out[static 2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, out) < 0)
		return err_sys(e, "socketpair");
	return 0;
}

int
peer_wire(int a[static WIRE_FDS], int b[static WIRE_FDS], struct err *e)
{
	int pair[2];
	own_fd int one = -1;
	own_fd int two = -1;
	own_fd int ring = -1;
	own_fd int bell = -1;
	own_fd int other_bell = -1;

	if (peer_pair(pair, e) < 0)
		return -1;
	one = pair[0];
	two = pair[1];
	ring = ring_new(e);
	if (ring < 0)
		return -1;
	bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	other_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (bell < 0 || other_bell < 0)
		return err_sys(e, "eventfd");
	/* Each end has copies of its own, so that each can be closed. */
	b[WIRE_RING] = fcntl(ring, F_DUPFD_CLOEXEC, 0);
	b[WIRE_BELL] = fcntl(other_bell, F_DUPFD_CLOEXEC, 0);
	b[WIRE_OTHER_BELL] = fcntl(bell, F_DUPFD_CLOEXEC, 0);
	if (b[WIRE_RING] < 0 || b[WIRE_BELL] < 0 || b[WIRE_OTHER_BELL] < 0) {
		(void)err_sys(e, "descriptors of a link");
		for (int i = WIRE_RING; i < WIRE_FDS; i++)
			fd_fini(&b[i]);
		return -1;
	}
	a[WIRE_SOCKET] = fd_take(&one);
	b[WIRE_SOCKET] = fd_take(&two);
	a[WIRE_RING] = fd_take(&ring);
	a[WIRE_BELL] = fd_take(&bell);
	a[WIRE_OTHER_BELL] = fd_take(&other_bell);
	return 0;
}

static void
on_ready(struct loop_watch *w, uint32_t events)
{
	struct peer *p = LOOP_OF(w, struct peer, watch);

	if ((events & EPOLLOUT) != 0)
		drain(p);
	if (!peer_is_open(p) || (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0)
		return;
	if (p->ring.map == NULL) {
		(void)read_frame(p);
		return;
	}
	/* The other end is gone: what it has written before is read first. */
	read_ring(p, INT_MAX);
	drop(p, "end of file");
}

static void
on_bell(struct loop_watch *w, uint32_t events)
{
	struct peer *p = LOOP_OF(w, struct peer, bell);

	(void)events;
	if (p->first != NULL)
		drain(p); /* it may be room that the bell tells of */
	if (peer_is_open(p))
		read_ring(p, BURST);
}

static void
on_late(struct loop_timer *t)
{
	struct peer *p = LOOP_OF(t, struct peer, late);

	ring_bell(p->other_bell);
}

/* EAGAIN: it has rung 2^64 times unheard, and will be heard. */
static void
ring_bell(int fd)
{
	const uint64_t one = 1;

	(void)!write(fd, &one, sizeof(one));
}

/* At most so many frames; the bell is rung again for what is left. */
static void
read_ring(struct peer *p, int most)
{
	for (; peer_is_open(p); most--) {
		struct err e = {};
		ssize_t n;

		if (most == 0) {
			ring_bell(p->bell.fd);
			break;
		}
		n = ring_take(&p->ring, frame_bytes, &e);
		if (n == RING_EMPTY)
			break;
		if (n == RING_MARK) {
			if (!read_frame(p))
				drop(p, "a mark, and nothing on the socket");
		} else if (n < 0) {
			drop(p, e.text);
		} else {
			bool secret = p->ring.secret;

			take_frame(p, frame_bytes, (size_t)n, NULL, 0, false);
			if (secret)
				explicit_bzero(frame_bytes, (size_t)n);
		}
	}
	if (peer_is_open(p) && ring_tell_room(&p->ring))
		ring_bell(p->other_bell);
}

/*
 * One frame of the socket: most come alone, and to ask for another would cost
 * each of them a call that fails. The loop comes back while there are more.
 * False when there was none.
 */
static bool
read_frame(struct peer *p)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * IPC_MAX_FDS)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { frame_bytes, sizeof(frame_bytes) };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	int fds[IPC_MAX_FDS];
	size_t n_fds = 0;
	ssize_t n;

	n = recvmsg(p->watch.fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n < 0) {
		drop(p, strerror(errno));
		return true;
	}
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL;
	     c = CMSG_NXTHDR(&m, c)) {
		size_t got;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		got = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (got > IPC_MAX_FDS - n_fds)
			got = IPC_MAX_FDS - n_fds;
		memcpy(fds + n_fds, CMSG_DATA(c), got * sizeof(int));
		n_fds += got;
	}

	/* A frame has a head at least, so an empty one is the end. */
	if (n == 0)
		drop(p, "end of file");
	else
		take_frame(p, frame_bytes, (size_t)n, fds, n_fds,
		    (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0);
	for (size_t k = 0; k < n_fds; k++)
		fd_fini(&fds[k]);
	return true;
}

/* Checks one frame against the routes, and hands it on. */
static void
take_frame(
    struct peer *p, char *bytes, size_t n, int *fds, size_t n_fds, bool cut)
{
	own_buf struct buf big = { .max = IPC_MAX_PAYLOAD_BYTES };
	_Alignas(8) char body[MAX_BODY_BYTES];
	struct msg_head h;
	struct frame f = {};
	struct err e = {};
	size_t in_frame, body_n;
	const struct route *r;

	if (cut) {
		drop(p, "frame over the limit");
		return;
	}
	if (n < sizeof(h)) {
		drop(p, "frame shorter than its head");
		return;
	}
	memcpy(&h, bytes, sizeof(h));
	in_frame = (h.flags & MSG_MEMFD) != 0 ? 0 : h.payload;
	if (n - sizeof(h) < in_frame) {
		drop(p, "frame shorter than its payload");
		return;
	}
	body_n = n - sizeof(h) - in_frame;
	if ((h.flags & MSG_MEMFD) != 0 && n_fds == 0) {
		drop(p, "frame without its payload's descriptor");
		return;
	}
	if (route_check(p->other, p->self, &h, body_n,
		n_fds - ((h.flags & MSG_MEMFD) != 0), &e) < 0) {
		drop(p, e.text);
		return;
	}
	r = route_find(p->other, p->self, h.type);
	must(r != NULL && body_n <= sizeof(body));
	memcpy(body, bytes + sizeof(h), body_n);
	f.type = h.type;
	f.body = body;
	f.payload = (struct str){ bytes + sizeof(h) + body_n, in_frame };
	f.fds = fds;
	f.n_fds = n_fds;
	if ((h.flags & MSG_MEMFD) != 0) {
		f.n_fds--;
		if (fd_read_sealed(
			fds[f.n_fds], &big, r->max_payload_bytes, &e) < 0) {
			drop(p, e.text);
			return;
		}
		if (big.n != h.payload) {
			drop(p, "payload of another size than its head says");
			return;
		}
		f.payload = buf_str(&big);
	}
	p->on_frame(p, &f);
}

/*
 * -1 with errno when not all is sent: EAGAIN waits for the socket, ENOBUFS for
 * room in the ring, of which its bell tells.
 */
static int
send_now(struct peer *p, const struct iovec *iov, size_t n_iov, const int *fds,
    size_t n_fds)
{
	struct ring *r = &p->ring;

	if (r->map == NULL)
		return send_socket(p, iov, n_iov, fds, n_fds);
	if (n_fds == 0 ? !ring_put(r, iov, n_iov, is_secret(iov))
		       : !ring_fits(r, 0)) {
		errno = ENOBUFS;
		return -1;
	}
	if (n_fds > 0) {
		if (send_socket(p, iov, n_iov, fds, n_fds) < 0)
			return -1;
		must(ring_put(
		    r, NULL, 0, false)); /* it fits, and nobody else puts */
	}
	if (p->lazy) {
		if (p->late.at_ns == 0)
			loop_timer_set(p->loop, &p->late,
			    loop_now_ns(p->loop) + PEER_LAZY_MS * NS_PER_MS);
		return 0;
	}
	loop_timer_clear(p->loop, &p->late);
	if (ring_must_wake(r))
		ring_bell(p->other_bell);
	return 0;
}

/* A verdict may hold those of one request; a message about an approval has
 * links that decide it. */
static bool
is_secret(const struct iovec *iov)
{
	const struct msg_head *h = iov[0].iov_base;

	return h->type == MSG_EGRESS_VERDICT || h->type == MSG_FETCH;
}

static int
send_socket(struct peer *p, const struct iovec *iov, size_t n_iov,
    const int *fds, size_t n_fds)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * IPC_MAX_FDS)];
		struct cmsghdr align;
	} control = {};
	struct msghdr m = { .msg_iovlen = n_iov };
	ssize_t r;

	/* sendmsg(2) does not write to what it sends. */
	memcpy(&m.msg_iov, &iov, sizeof(iov)); /* NOLINT: the pointer itself */
	if (n_fds > 0) {
		struct cmsghdr *c;

		m.msg_control = control.space;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&m);
		must(c != NULL); /* there is room for one */
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	do {
		r = sendmsg(p->watch.fd, &m, MSG_NOSIGNAL);
	} while (r < 0 && errno == EINTR);
	if (r < 0 && errno == ENOBUFS)
		errno = EAGAIN; /* of memory: the same, for the caller */
	return r < 0 ? -1 : 0;
}

/* why is what keeps it from being sent, 0 for what waits already. */
static int
enqueue(struct peer *p, const struct iovec *iov, size_t n_iov, const int *fds,
    size_t n_fds, int why)
{
	struct peer_frame *f;
	struct err e = {};
	size_t n = 0;

	for (size_t i = 0; i < n_iov; i++)
		n += iov[i].iov_len;
	if (n > IPC_MAX_QUEUE_BYTES - p->queued_bytes) {
		return give_up(p, "does not read: the queue is full");
	}
	f = calloc(1, sizeof(*f) + n);
	must(f != NULL);
	for (size_t i = 0; i < n_iov; i++) {
		memcpy(f->bytes + f->n, iov[i].iov_base, iov[i].iov_len);
		f->n += iov[i].iov_len;
	}
	for (size_t i = 0; i < n_fds; i++) {
		f->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (f->fds[i] < 0) {
			frame_free(f);
			return give_up(p, "no descriptors left to queue");
		}
		f->n_fds++;
	}
	*p->last = f;
	p->last = &f->next;
	p->queued_bytes += n;
	if (why != 0 && want_out(p, why == EAGAIN, &e) < 0)
		return give_up(p, e.text);
	return 0;
}

/*
 * A send has failed. Its caller is in the middle of something, so on_gone is
 * left to the loop: the end of file that this makes will call it.
 */
static int
give_up(struct peer *p, const char *why)
{
	log_warn("cannot send peer=%s why=\"%s\"", role_name(p->other), why);
	(void)shutdown(p->watch.fd, SHUT_RDWR); /* broken already: fine */
	return -1;
}

/* Sends what waits, until the other end takes no more. */
static void
drain(struct peer *p)
{
	struct err e = {};

	while (p->first != NULL) {
		struct peer_frame *f = p->first;
		struct iovec iov = { f->bytes, f->n };

		if (send_now(p, &iov, 1, f->fds, f->n_fds) < 0) {
			if (errno != EAGAIN && errno != ENOBUFS)
				drop(p, strerror(errno));
			else if (want_out(p, errno == EAGAIN, &e) < 0)
				drop(p, e.text);
			return;
		}
		p->first = f->next;
		if (p->first == NULL)
			p->last = &p->first;
		p->queued_bytes -= f->n;
		frame_free(f);
	}
	if (want_out(p, false, &e) < 0)
		drop(p, e.text);
}

/* What is waited for at the socket: with a ring, that says when to read. */
static int
want_out(struct peer *p, bool out, struct err *e)
{
	uint32_t in = p->ring.map == NULL ? EPOLLIN : 0;

	return loop_want(p->loop, &p->watch, in | (out ? EPOLLOUT : 0), e);
}

static void
drop(struct peer *p, const char *why)
{
	if (!peer_is_open(p))
		return;
	peer_close(p);
	p->on_gone(p, why);
}

static void
frame_free(struct peer_frame *f)
{
	for (size_t i = 0; i < f->n_fds; i++)
		fd_fini(&f->fds[i]);
	explicit_bzero(f->bytes, f->n); /* seldom: only what had to wait */
	free(f);
}
