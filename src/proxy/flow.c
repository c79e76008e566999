#include "proxy/flow.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "codec/http1.h"
#include "codec/json.h"
#include "codec/socks5.h"
#include "codec/tls_hello.h"
#include "proxy/authority.h"
#include "proxy/proxy.h"
#include "proxy/web.h"
#include "sys/fd.h"

#define NS_PER_MS 1000000LL

_Static_assert((int)HOST_BYTES == (int)AUTHORITY_BYTES, "a host is one");
enum { FLOW_SLOTS = 1 << 16 }; /* a question names its flow by the rest */
_Static_assert(
    (int)EGRESS_FLOWS_MAX <= (int)FLOW_SLOTS, "a slot fits in a number");

/* What is peeked at lies here for the length of one callback. */
static uint8_t seen[TLS_HELLO_MAX_BYTES + 256];

static struct flow *flow_new(
    struct proxy *p, struct proxy_door *door, enum flow_via via);
static bool enlist_take(struct flow *f, int fd);
static bool where_from(struct flow *f, int fd);
static void on_client(struct stream *s, uint32_t events);
static ssize_t peek(struct flow *f, bool *ended);
static void wait_for_more(struct flow *f, size_t n, bool ended);
static void take(struct flow *f, size_t n);
static void on_greet(struct flow *f, size_t n, bool ended);
static void on_socks(struct flow *f, size_t n, bool ended);
static void on_connect(struct flow *f, size_t n, bool ended);
static void on_first(struct flow *f, size_t n, bool ended);
static void ask(struct flow *f, enum egress_kind kind);
static void ask_write(struct buf *b, const struct flow *f);
static void allowed(struct flow *f, struct str payload);
static void pins_take(struct flow *f, struct str payload);
static void refused(struct flow *f, struct str payload);
static void refuse_now(struct flow *f, uint16_t status, const char *why);
static void dial(struct flow *f);
static void on_dialled(struct dial *d, int fd, const char *why);
static void on_late(struct loop_timer *t);
static bool looks_like_http(const uint8_t *p, size_t n);
static size_t letters(const uint8_t *p, size_t n);
static bool say(struct flow *f, const void *p, size_t n);
static void host_set(struct flow *f, struct str host);

void
flow_accept_take(
    struct proxy *p, struct proxy_door *door, int fd, bool transparent)
{
	own_fd int mine = fd;
	struct flow *f = flow_new(p, door, VIA_TRANSPARENT);

	if (transparent && !where_from(f, mine)) {
		free(f);
		return;
	}
	if (!enlist_take(f, fd_take(&mine)))
		return;
	if (transparent) {
		ask(f, EGRESS_CONNECT);
		return;
	}
	f->state = FLOW_GREET;
	f->http_wanted = true;
	loop_timer_set(
	    p->loop, &f->timer, clock_mono_ns() + EGRESS_PEEK_MS * NS_PER_MS);
	stream_want(&f->client, EPOLLIN | EPOLLRDHUP);
}

void
flow_line_take(
    struct proxy *p, struct proxy_door *door, int fd, const struct json *to)
{
	own_fd int mine = fd;
	struct str host = json_str(json_get(to, STR("host")));
	uint64_t port;
	struct flow *f;

	if (host.n == 0 || host.n >= HOST_BYTES ||
	    json_u64(json_get(to, STR("port")), &port) < 0 || port > UINT16_MAX)
		return;
	f = flow_new(p, door, VIA_TOOLS);
	host_set(f, host);
	f->port = (uint16_t)port;
	if (enlist_take(f, fd_take(&mine)))
		web_start(f,
		    json_bool(json_get(to, STR("https")), false) ? WEB_TOOLS_TLS
								 : WEB_PLAIN);
}

static struct flow *
flow_new(struct proxy *p, struct proxy_door *door, enum flow_via via)
{
	struct flow *f = calloc(1, sizeof(*f));

	must(f != NULL);
	f->proxy = p;
	f->door = door;
	f->via = via;
	f->up.pipe[0] = f->up.pipe[1] = -1;
	f->down.pipe[0] = f->down.pipe[1] = -1;
	f->client.on_ready = on_client;
	f->timer.on_time = on_late;
	return f;
}

/* False: there is no room for it, and it is freed. */
static bool
enlist_take(struct flow *f, int fd)
{
	static const struct linger reset = { .l_onoff = 1 };
	struct proxy_door *door = f->door;
	struct proxy *p = f->proxy;
	own_fd int mine = fd;
	struct err e;
	const char *full = admit_one(
	    &door->admit, door->n_flows, p->n_free_flows, clock_mono_ns());

	if (full != NULL) {
		/* A reset, at once: a close would look like an empty answer. */
		(void)setsockopt(
		    mine, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		flow_tell_full(f, full);
		free(f);
		return false;
	}
	if (stream_open_take(&f->client, p->loop, fd_take(&mine), &e) < 0) {
		free(f);
		return false;
	}
	f->slot = p->free_flows[--p->n_free_flows];
	p->flows[f->slot] = f;
	f->after = door->flows;
	if (f->after != NULL)
		f->after->before = f;
	door->flows = f;
	door->n_flows++;
	return true;
}

/* TPROXY leaves the address that the sandbox meant as our own. */
static bool
where_from(struct flow *f, int fd)
{
	struct sockaddr_in at = {};
	socklen_t n = sizeof(at);
	const char *name;

	if (getsockname(fd, (struct sockaddr *)&at, &n) < 0 ||
	    at.sin_family != AF_INET)
		return false;
	memcpy(f->to.byte, &at.sin_addr, 4);
	f->port = f->to_port = ntohs(at.sin_port);
	name = names_find(&f->door->names, f->to.byte);
	if (name != NULL) {
		host_set(f, str_of(name));
	} else {
		char text[ADDR_TEXT_BYTES];

		addr_write(&f->to, text);
		host_set(f, str_of(text));
	}
	return true;
}

void
flow_on_verdict(
    struct proxy *p, const struct msg_egress_verdict *v, struct str payload)
{
	size_t slot = v->ask & (FLOW_SLOTS - 1);
	struct flow *f = slot < EGRESS_FLOWS_MAX ? p->flows[slot] : NULL;

	if (f != NULL && f->web != NULL) {
		web_on_verdict(f, v, payload);
		return;
	}
	if (f == NULL || !f->waits || f->ask != v->ask)
		return;
	if (v->verdict == EGRESS_WAIT) {
		/* A person decides; who hangs up does not want it any more. */
		f->held = f->telling = true;
		stream_want(&f->client, EPOLLRDHUP);
		return;
	}
	if (f->held)
		f->telling = f->held = false;
	f->waits = false;
	f->verdict = *v;
	if (v->verdict == EGRESS_ALLOW)
		allowed(f, payload);
	else
		refused(f, payload);
}

void
flow_close(struct flow *f, bool hard, const char *why)
{
	struct proxy *p = f->proxy;

	if (f->dead)
		return;
	f->dead = true;
	flow_tell_end(f, why);
	if (f->dial != NULL)
		dial_stop(f->dial);
	free(f->dial);
	free(f->pins);
	free(f->answer);
	relay_fini(f);
	web_free(f->web, hard);
	f->web = NULL;
	stream_close(&f->client, hard);
	stream_close(&f->server, hard);
	loop_timer_clear(p->loop, &f->timer);
	if (f->before != NULL)
		f->before->after = f->after;
	else
		f->door->flows = f->after;
	if (f->after != NULL)
		f->after->before = f->before;
	f->door->n_flows--;
	p->flows[f->slot] = NULL;
	p->free_flows[p->n_free_flows++] = f->slot;
	f->next_dead = p->dead_flows;
	p->dead_flows = f;
}

void
flow_close_all(struct proxy_door *door, const char *why)
{
	while (door->flows != NULL)
		flow_close(door->flows, true, why);
}

void
flow_fail_all(struct proxy *p)
{
	for (size_t i = 0; i < EGRESS_FLOWS_MAX; i++) {
		struct flow *f = p->flows[i];

		if (f != NULL && f->web != NULL)
			web_fail(f);
		else if (f != NULL && f->waits)
			refuse_now(f, f->via == VIA_CONNECT ? 503 : 0,
			    "the broker has ended");
	}
}

const char *
flow_via_name(enum flow_via via)
{
	static const char *const names[] = { "transparent", "connect", "socks5",
		"tools" };

	return names[via];
}

uint64_t
flow_ask_number(struct flow *f)
{
	return ++f->proxy->n_asks * FLOW_SLOTS + f->slot;
}

void
flow_reap(struct proxy *p)
{
	while (p->dead_flows != NULL) {
		struct flow *f = p->dead_flows;

		p->dead_flows = f->next_dead;
		free(f);
	}
}

static void
on_client(struct stream *s, uint32_t events)
{
	struct flow *f = LOOP_OF(s, struct flow, client);
	bool ended = (events & (EPOLLRDHUP | EPOLLHUP)) != 0;
	ssize_t n;

	if ((events & EPOLLERR) != 0) {
		flow_close(f, true, "the client has reset it");
		return;
	}
	if (f->state == FLOW_CLOSING) {
		char drop[4096];

		n = stream_read(s, drop, sizeof(drop));
		if (n == 0 || (n < 0 && errno != EAGAIN))
			flow_close(f, false, NULL);
		return;
	}
	/* While the broker or a server is awaited only the end is of interest.
	 */
	if (f->state == FLOW_ASKED || f->state == FLOW_ASKED_TLS ||
	    f->state == FLOW_DIAL) {
		if ((events & EPOLLHUP) != 0 || (f->held && ended))
			flow_close(f, true, "the client has gone");
		return;
	}
	n = peek(f, &ended);
	if (n < 0)
		return;
	if (f->state == FLOW_GREET)
		on_greet(f, (size_t)n, ended);
	else
		on_first(f, (size_t)n, ended);
}

/* -1: closed, or nothing new. */
static ssize_t
peek(struct flow *f, bool *ended)
{
	ssize_t n = recv(
	    f->client.watch.fd, seen, sizeof(seen), MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return -1;
	if (n <= 0) {
		flow_close(f, n < 0 || f->state == FLOW_REFUSED,
		    n < 0 ? "the client has reset it" : NULL);
		return -1;
	}
	/* Woken again without a byte more: there will be none. */
	*ended |= (size_t)n == sizeof(seen) || (size_t)n == f->n_seen;
	f->n_seen = (size_t)n;
	return n;
}

/* Level-triggered: the mark keeps bytes that were seen from waking us. */
static void
wait_for_more(struct flow *f, size_t n, bool ended)
{
	int mark = (int)n + 1;

	if (ended ||
	    setsockopt(f->client.watch.fd, SOL_SOCKET, SO_RCVLOWAT, &mark,
		sizeof(mark)) < 0)
		flow_close(f, true, "ended before it said what it is");
}

/* Seen before, and done with. */
static void
take(struct flow *f, size_t n)
{
	const int mark = 1;

	f->n_seen = 0;
	while (n > 0) {
		ssize_t r = stream_read(
		    &f->client, seen, n < sizeof(seen) ? n : sizeof(seen));

		if (r <= 0)
			break;
		n -= (size_t)r;
	}
	(void)setsockopt(
	    f->client.watch.fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark));
}

static void
on_greet(struct flow *f, size_t n, bool ended)
{
	static const char connect[] = "CONNECT ";
	const size_t most = sizeof(connect) - 1;

	if (seen[0] == SOCKS5_VERSION) {
		on_socks(f, n, ended);
		return;
	}
	if (memcmp(seen, connect, n < most ? n : most) == 0) {
		if (n < most)
			wait_for_more(f, n, ended);
		else
			on_connect(f, n, ended);
		return;
	}
	take(f, 0);
	web_start(f, WEB_PROXY);
}

static void
on_socks(struct flow *f, size_t n, bool ended)
{
	uint8_t reply[SOCKS5_REPLY_BYTES] = { SOCKS5_VERSION, 0xff };
	struct socks5_request r;
	enum socks5_reply why;
	ssize_t used;
	int ok;

	if (f->via != VIA_SOCKS5) {
		used = socks5_greeting(seen, n, &ok);
		if (used == 0) {
			wait_for_more(f, n, ended);
			return;
		}
		if (used < 0 || !ok) {
			(void)say(f, reply, 2);
			flow_close(f, false, NULL);
			return;
		}
		reply[1] = 0;
		take(f, (size_t)used);
		f->via = VIA_SOCKS5;
		if (!say(f, reply, 2))
			flow_close(f, true, NULL);
		return;
	}
	used = socks5_request(seen, n, &r, &why);
	if (used == 0) {
		wait_for_more(f, n, ended);
		return;
	}
	if (used < 0 || strlen(r.host) >= HOST_BYTES) {
		socks5_reply_write(used < 0 ? why : SOCKS5_FAILED, reply);
		(void)say(f, reply, sizeof(reply));
		flow_close(f, false, NULL);
		return;
	}
	take(f, (size_t)used);
	host_set(f, str_of(r.host));
	f->port = r.port;
	ask(f, EGRESS_CONNECT);
}

static void
on_connect(struct flow *f, size_t n, bool ended)
{
	static struct http1_head head;
	uint16_t status;
	struct err e = {};
	ssize_t used = http1_request((const char *)seen, n, &head, &status, &e);

	f->via = VIA_CONNECT;
	if (used == 0) {
		wait_for_more(f, n, ended);
		return;
	}
	if (used < 0) {
		refuse_now(f, 400, e.text);
		return;
	}
	if (!authority_parse(head.target, 0, f->host, &f->port)) {
		refuse_now(f, 400, "the target has no valid host and port");
		return;
	}
	take(f, (size_t)used);
	ask(f, EGRESS_CONNECT);
}

/* The first bytes of what is tunnelled. */
static void
on_first(struct flow *f, size_t n, bool ended)
{
	struct tls_hello hello;
	enum tls_hello_result r;
	const char *why = NULL;

	if (f->state == FLOW_REFUSED) {
		refuse_now(f, looks_like_http(seen, n) ? 403 : 0, NULL);
		return;
	}
	if (looks_like_http(seen, n)) {
		take(f, 0);
		web_start(f, WEB_PLAIN);
		return;
	}
	if (letters(seen, n) == n) {
		wait_for_more(f, n, ended); /* the beginning of a method */
		return;
	}
	r = tls_hello_parse(
	    (struct str){ (const char *)seen, n }, &hello, &why);
	if (r == TLS_HELLO_MORE) {
		wait_for_more(f, n, ended);
		return;
	}
	if (r == TLS_HELLO_BAD) {
		flow_close(f, true, why);
		return;
	}
	f->tls = true;
	f->ech = hello.hides_name;
	memcpy(f->sni, hello.name, sizeof(f->sni));
	take(f, 0);
	ask(f, EGRESS_TLS);
}

static void
ask(struct flow *f, enum egress_kind kind)
{
	struct proxy *p = f->proxy;
	struct msg_egress_ask m = {
		.run = f->door->run,
		.server = f->door->server,
		.kind = kind,
	};

	f->state = kind == EGRESS_TLS ? FLOW_ASKED_TLS : FLOW_ASKED;
	loop_timer_clear(p->loop, &f->timer);
	stream_want(&f->client, 0);
	flow_tell_next(f);
	ask_write(&p->payload, f);
	f->ask = m.ask = flow_ask_number(f);
	f->waits = true;
	f->asked_ns = clock_mono_ns();
	if (p->payload.failed ||
	    peer_send(&p->broker, MSG_EGRESS_ASK, &m, buf_str(&p->payload),
		NULL, 0) < 0)
		flow_close(f, true, NULL);
}

/* Canonical: members in order. */
static void
ask_write(struct buf *b, const struct flow *f)
{
	char to[ADDR_TEXT_BYTES] = "";

	buf_reset(b);
	buf_add_c(b, f->ech ? "{\"ech\":true,\"host\":" : "{\"host\":");
	json_put_str(b, str_of(f->host));
	buf_printf(b, ",\"port\":%u,\"proto\":\"%s\"", f->port,
	    f->tls ? "tls" : "tcp");
	if (f->sni[0] != '\0') {
		buf_add_c(b, ",\"sni\":");
		json_put_str(b, str_of(f->sni));
	}
	if (f->via == VIA_TRANSPARENT) {
		addr_write(&f->to, to);
		buf_printf(b, ",\"to\":\"%s:%u\"", to, f->to_port);
	}
	buf_printf(b, ",\"via\":\"%s\"}", flow_via_name(f->via));
}

static void
allowed(struct flow *f, struct str payload)
{
	struct addr literal;
	static const char ok[] = "HTTP/1.1 200 Connection established\r\n\r\n";
	uint8_t reply[SOCKS5_REPLY_BYTES];
	bool first = f->state == FLOW_ASKED;

	f->telling = true;
	pins_take(f, payload);
	/* A name that is not the one asked for hides where it goes. */
	if (!first && addr_parse(str_of(f->host), &literal) < 0 &&
	    strcmp(f->sni, f->host) != 0) {
		flow_close(f, true, "the server name is another host's");
		return;
	}
	if ((f->verdict.flags & EGRESS_SPLICE) != 0) {
		dial(f);
		return;
	}
	if (!first && (f->verdict.flags & EGRESS_INSPECT) != 0) {
		web_start(f, WEB_TLS);
		return;
	}
	if (!first) {
		flow_close(f, true, "nothing says what to do with this TLS");
		return;
	}
	socks5_reply_write(SOCKS5_DONE, reply);
	if ((f->via == VIA_CONNECT && !say(f, ok, sizeof(ok) - 1)) ||
	    (f->via == VIA_SOCKS5 && !say(f, reply, sizeof(reply)))) {
		flow_close(f, true, "the client is gone");
		return;
	}
	f->state = FLOW_PEEK;
	loop_timer_set(f->proxy->loop, &f->timer,
	    clock_mono_ns() + EGRESS_PEEK_MS * NS_PER_MS);
	stream_want(&f->client, EPOLLIN | EPOLLRDHUP);
}

static void
pins_take(struct flow *f, struct str payload)
{
	own_arena struct arena a = {};
	struct err e;
	const struct json *addrs;

	free(f->pins);
	f->pins = NULL;
	f->n_pins = 0;
	if (payload.n == 0)
		return;
	addrs = json_get(json_parse(payload, NULL, &a, &e, NULL), STR("addrs"));
	if (!json_is(addrs, JSON_ARRAY) || addrs->n == 0)
		return;
	f->pins = calloc(EGRESS_ADDRS_MAX, sizeof(*f->pins));
	must(f->pins != NULL);
	for (const struct json *x = json_first(addrs);
	     x != NULL && f->n_pins < EGRESS_ADDRS_MAX;
	     x = json_next(addrs, x)) {
		if (cidr_parse(json_str(x), &f->pins[f->n_pins]) == 0)
			f->n_pins++;
	}
}

static void
refused(struct flow *f, struct str payload)
{
	own_arena struct arena a = {};
	struct err e;
	struct str body = {};

	if (payload.n > 0)
		body = json_str(json_at(json_parse(payload, NULL, &a, &e, NULL),
		    "answer", "body", NULL));
	f->answer = strndup(body.n > 0 ? body.p : "", body.n);
	if (f->via != VIA_TRANSPARENT) {
		refuse_now(f, f->via == VIA_CONNECT ? 403 : 0, NULL);
		return;
	}
	/* Soon it is clear whether it would understand why. */
	if (f->tls) {
		flow_close(f, true, NULL);
		return;
	}
	f->state = FLOW_REFUSED;
	loop_timer_set(f->proxy->loop, &f->timer,
	    clock_mono_ns() + EGRESS_REFUSE_MS * NS_PER_MS);
	stream_want(&f->client, EPOLLIN | EPOLLRDHUP);
}

/* status: of an answer in HTTP, with the broker's body or why; 0: a reset. */
static void
refuse_now(struct flow *f, uint16_t status, const char *why)
{
	struct buf *b = &f->proxy->body;
	own_buf struct buf body = {};
	uint8_t reply[SOCKS5_REPLY_BYTES];

	if (f->via == VIA_SOCKS5 && f->state == FLOW_ASKED) {
		socks5_reply_write(SOCKS5_NOT_ALLOWED, reply);
		(void)say(f, reply, sizeof(reply));
		flow_close(f, false, why);
		return;
	}
	if (status == 0) {
		flow_close(f, true, why);
		return;
	}
	if (why != NULL) {
		buf_add_c(&body, "{\"error\":\"proxy_refused\",\"message\":");
		json_put_str(&body, str_of(why));
		buf_add_c(&body, "}");
	} else {
		buf_add_c(&body, f->answer != NULL ? f->answer : "");
	}
	buf_reset(b);
	buf_printf(b,
	    "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\nConnection: close\r\n\r\n",
	    status, http1_reason(status), body.n);
	buf_add_str(b, buf_str(&body));
	if (!say(f, b->p, b->n)) {
		flow_close(f, true, why);
		return;
	}
	/* A reset would destroy what it has not read yet. */
	take(f, 0);
	stream_end(&f->client);
	f->state = FLOW_CLOSING;
	loop_timer_set(f->proxy->loop, &f->timer,
	    clock_mono_ns() + EGRESS_REFUSE_MS * NS_PER_MS);
	stream_want(&f->client, EPOLLIN);
}

static void
dial(struct flow *f)
{
	f->state = FLOW_DIAL;
	stream_want(&f->client, 0);
	f->dial = calloc(1, sizeof(*f->dial));
	must(f->dial != NULL);
	if (f->n_pins > 0)
		memcpy(f->dial->pins, f->pins, f->n_pins * sizeof(*f->pins));
	f->dial->n_pins = f->n_pins;
	f->dial->on_done = on_dialled;
	/* For on_dialled, which knows the dial alone. */
	f->dial->owner = f;
	dial_start(f->dial, &f->proxy->dialer, f->host, f->port);
}

static void
on_dialled(struct dial *d, int fd, const char *why)
{
	static const char ok[] = "HTTP/1.1 200 Connection established\r\n\r\n";
	struct flow *f = d->owner;
	uint8_t reply[SOCKS5_REPLY_BYTES];
	struct err e;

	if (fd < 0) {
		log_info("cannot connect run=%llu host=%s port=%u why=\"%s\"",
		    (unsigned long long)f->door->run, f->host, f->port, why);
		socks5_reply_write(SOCKS5_UNREACHABLE, reply);
		if (f->via == VIA_SOCKS5 && !f->tls)
			(void)say(f, reply, sizeof(reply));
		if (f->via == VIA_CONNECT && !f->tls)
			refuse_now(f, 502, why);
		else
			flow_close(f, f->via == VIA_TRANSPARENT || f->tls, why);
		return;
	}
	f->server.on_ready = on_client; /* relay_start sets its own */
	if (stream_open_take(&f->server, f->proxy->loop, fd, &e) < 0) {
		flow_close(f, true, "no room for another connection");
		return;
	}
	socks5_reply_write(SOCKS5_DONE, reply);
	if (!f->tls &&
	    ((f->via == VIA_CONNECT && !say(f, ok, sizeof(ok) - 1)) ||
		(f->via == VIA_SOCKS5 && !say(f, reply, sizeof(reply))))) {
		flow_close(f, true, "the client is gone");
		return;
	}
	relay_start(f);
}

static void
on_late(struct loop_timer *t)
{
	struct flow *f = LOOP_OF(t, struct flow, timer);

	flow_close(f, true, "said nothing for too long");
}

/* A method and a space: enough to choose how to say no. */
static bool
looks_like_http(const uint8_t *p, size_t n)
{
	size_t i = letters(p, n);

	return i >= 3 && i < n && p[i] == ' ';
}

/* Capitals in front, as many as a method may have. */
static size_t
letters(const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (i < n && i < 16 && p[i] >= 'A' && p[i] <= 'Z')
		i++;
	return i;
}

/* Less than a socket's buffer, on a connection that has said nothing yet. */
static bool
say(struct flow *f, const void *p, size_t n)
{
	return stream_write(&f->client, p, n) == (ssize_t)n;
}

/* Lower case, without brackets or a dot at the end; it is shorter than
 * HOST_BYTES. */
static void
host_set(struct flow *f, struct str host)
{
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = (struct str){ host.p + 1, host.n - 2 };
	if (host.n > 1 && host.p[host.n - 1] == '.')
		host.n--;
	must(host.n < HOST_BYTES);
	for (size_t i = 0; i < host.n; i++) {
		char c = host.p[i];

		f->host[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	}
	f->host[host.n] = '\0';
}
