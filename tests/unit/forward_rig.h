/*
 * A forward between a client and servers that the test plays, over real
 * sockets, and the broker behind it, who says what rig.verdict says. Every
 * wait has an end: a test fails, it does not hang.
 */
#ifndef FORWARD_RIG_H
#define FORWARD_RIG_H

/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "codec/json.h"
#include "proxy/forward.h"

#define NS_PER_MS 1000000LL

enum { LIMIT_MS = 5000, TOLD_MAX = 16, SERVERS_MAX = 8 };

/* The far end of one of the forward's connections. */
struct end {
	struct loop_watch watch; /* its fd is -1 when we have closed it */
	struct buf heard;
	bool ended; /* the forward has closed, or said that no more comes */
	bool cut; /* by a reset */
};

struct told {
	uint64_t sent, received;
	uint16_t status;
	uint32_t flags;
	char error[200], method[16], path[64];
};

static struct rig {
	struct loop *loop;
	struct forward f;
	struct end client, server[SERVERS_MAX];
	int n_servers; /* connections so far; the last one is the one in use */
	int n_asks, n_told, n_closed;
	bool asked; /* and not answered */
	bool wait_with_verdicts, refuse_dials;
	struct msg_egress_verdict verdict;
	const char *payload;
	char ask[4096];
	struct told told[TOLD_MAX];
	struct loop_timer limit;
	bool (*until)(void);
} rig;

static void
on_limit(struct loop_timer *t)
{
	(void)t;
	fail_msg("nothing moves: client heard \"%.*s\", server heard \"%.*s\"",
	    (int)rig.client.heard.n, rig.client.heard.p,
	    rig.n_servers > 0 ? (int)rig.server[rig.n_servers - 1].heard.n : 0,
	    rig.n_servers > 0 ? rig.server[rig.n_servers - 1].heard.p : "");
}

static void
on_end(struct loop_watch *w, uint32_t events)
{
	struct end *x = LOOP_OF(w, struct end, watch);
	char bytes[8192];
	ssize_t n;

	(void)events;
	while ((n = recv(w->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		buf_add(&x->heard, bytes, (size_t)n);
	if (n < 0 && errno == EAGAIN)
		return;
	x->ended = true;
	x->cut = n < 0;
	/* It is ready for ever now. */
	(void)loop_want(rig.loop, w, EPOLLET, &(struct err){});
}

static int
end_open(struct end *x)
{
	struct err e = {};
	int pair[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	x->watch = (struct loop_watch){
		.fd = pair[0],
		.events = EPOLLIN,
		.on_ready = on_end,
	};
	x->heard.max = 64 * 1024 * 1024;
	assert_int_equal(loop_add(rig.loop, &x->watch, &e), 0);
	return pair[1];
}

static inline void
end_close(struct end *x)
{
	int fd = loop_remove(rig.loop, &x->watch);

	if (fd >= 0)
		(void)close(fd);
}

static void
verdict_give(void)
{
	own_arena struct arena a = {};
	struct err e = {};

	rig.asked = false;
	forward_verdict(&rig.f, &rig.verdict,
	    json_parse(str_of(rig.payload), NULL, &a, &e, NULL));
}

static void
on_ask(struct forward *f, struct buf *ask)
{
	(void)f;
	rig.n_asks++;
	rig.asked = true;
	assert_int_equal(str_copy(buf_str(ask), rig.ask, sizeof(rig.ask)), 0);
	if (!rig.wait_with_verdicts)
		verdict_give();
}

static void
on_dial(struct forward *f)
{
	if (rig.refuse_dials) {
		forward_connected(f, -1, "nobody is there");
		return;
	}
	assert_true(rig.n_servers < SERVERS_MAX);
	forward_connected(f, end_open(&rig.server[rig.n_servers++]), NULL);
}

static void
on_told(struct forward *f, const struct forward_end *end)
{
	struct told *t = &rig.told[rig.n_told++];

	(void)f;
	assert_true(rig.n_told < TOLD_MAX);
	t->sent = end->sent;
	t->received = end->received;
	t->status = end->status;
	t->flags = end->flags;
	assert_true(end->ns >= 0);
	(void)str_copy(str_of(end->error), t->error, sizeof(t->error));
	(void)str_copy(end->method, t->method, sizeof(t->method));
	(void)str_copy(end->path, t->path, sizeof(t->path));
}

static void
on_closed(struct forward *f)
{
	(void)f;
	rig.n_closed++;
}

static const struct forward_ops ops = {
	.ask = on_ask,
	.dial = on_dial,
	.told = on_told,
	.closed = on_closed,
};

static inline int
start(void **state)
{
	struct err e = {};
	int fd;

	(void)state;
	rig = (struct rig){
		.payload = "{}",
		.verdict = { .verdict = EGRESS_ALLOW, .max_body = UINT64_MAX },
	};
	rig.client.watch.fd = -1;
	for (int i = 0; i < SERVERS_MAX; i++)
		rig.server[i].watch.fd = -1;
	rig.loop = loop_new(&e);
	rig.limit.on_time = on_limit;
	rig.f.ops = &ops;
	rig.f.loop = rig.loop;
	rig.f.port = 80;
	(void)str_copy(STR("api.example.com"), rig.f.host, sizeof(rig.f.host));
	fd = end_open(&rig.client);
	rig.f.client.on_ready = (void (*)(struct stream *, uint32_t))abort;
	assert_int_equal(stream_open_take(&rig.f.client, rig.loop, fd, &e), 0);
	forward_start(&rig.f, STR(""));
	return 0;
}

static inline int
stop(void **state)
{
	(void)state;
	if (rig.n_closed == 0)
		forward_stop(&rig.f, false);
	assert_false(stream_is_open(&rig.f.client));
	assert_false(stream_is_open(&rig.f.server));
	end_close(&rig.client);
	buf_fini(&rig.client.heard);
	for (int i = 0; i < rig.n_servers; i++) {
		end_close(&rig.server[i]);
		buf_fini(&rig.server[i].heard);
	}
	loop_free(rig.loop);
	return 0;
}

static void
on_round(void *arg)
{
	(void)arg;
	if (rig.until())
		loop_stop(rig.loop);
}

static inline void
wait_for(bool (*until)(void))
{
	struct err e = {};

	rig.until = until;
	if (until())
		return;
	loop_timer_set(
	    rig.loop, &rig.limit, clock_mono_ns() + LIMIT_MS * NS_PER_MS);
	assert_int_equal(loop_run(rig.loop, on_round, NULL, &e), 0);
	loop_timer_clear(rig.loop, &rig.limit);
}

static inline struct end *
server(void)
{
	assert_true(rig.n_servers > 0);
	return &rig.server[rig.n_servers - 1];
}

static inline void
say(struct end *x, const char *text)
{
	struct str s = str_of(text);

	assert_int_equal(
	    send(x->watch.fd, s.p, s.n, MSG_NOSIGNAL), (ssize_t)s.n);
}

/* The forward is told that no more comes; answers still pass. */
static inline void
half_close(struct end *x)
{
	assert_int_equal(shutdown(x->watch.fd, SHUT_WR), 0);
}

static struct end *awaited;
static size_t n_awaited;

static bool
has_heard(void)
{
	return awaited->heard.n >= n_awaited || awaited->ended;
}

/* It has heard exactly this since the last time. */
static inline void
hears(struct end *x, const char *text)
{
	awaited = x;
	n_awaited = strlen(text);
	wait_for(has_heard);
	buf_add_byte(&x->heard, '\0');
	assert_string_equal(x->heard.p, text);
	buf_reset(&x->heard);
}

static const char *server_expects;

static bool
server_has_heard(void)
{
	return rig.n_servers > 0 && server()->heard.n >= strlen(server_expects);
}

static inline void
server_hears(const char *text)
{
	server_expects = text;
	wait_for(server_has_heard);
	hears(server(), text);
}

static inline bool
client_ended(void)
{
	return rig.client.ended;
}

static inline bool
has_asked(void)
{
	return rig.asked;
}

static inline bool
is_closed(void)
{
	return rig.n_closed > 0;
}

static int n_told_awaited;

static bool
has_told(void)
{
	return rig.n_told >= n_told_awaited;
}

static inline struct told *
told(int n)
{
	n_told_awaited = n;
	wait_for(has_told);
	assert_int_equal(rig.n_told, n);
	return &rig.told[n - 1];
}

static bool
client_heard_head(void)
{
	return rig.client.ended ||
	    (rig.client.heard.n > 3 &&
		memmem(rig.client.heard.p, rig.client.heard.n, "\r\n\r\n", 4) !=
		    NULL);
}

/* An answer of our own, with this status and this code. */
static inline void
client_is_refused(const char *status, const char *code)
{
	own_buf struct buf want = {};

	wait_for(client_heard_head);
	buf_add_byte(&rig.client.heard, '\0');
	buf_printf(&want, "HTTP/1.1 %s ", status);
	if (strncmp(rig.client.heard.p, buf_c(&want), want.n) != 0 ||
	    strstr(rig.client.heard.p, code) == NULL)
		fail_msg("wanted %s %s: %s", status, code, rig.client.heard.p);
	buf_reset(&rig.client.heard);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

#endif
