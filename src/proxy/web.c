#include "proxy/web.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/place.h"
#include "base/must.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "proxy/forward.h"
#include "proxy/h2.h"
#include "proxy/proxy.h"
#include "proxy/tls.h"

#define NS_PER_MS 1000000LL

/*
 * A client's connection; behind it in the flow's list are the lanes of one
 * that speaks HTTP/2: each forwards as a connection of HTTP/1.1 would.
 */
struct web {
	struct web *next;
	struct flow *flow;
	struct h2_serve *h2; /* of a connection; its own forward is idle then */
	enum web_kind kind;
	struct forward forward;
	struct dial dial;
	uint64_t ask; /* of the request under way, or that which stands */
	bool stands; /* `ask` covers requests that are not asked about */
	bool waits; /* for its verdict */
	bool denied; /* `ask` was: its end is nothing to tell */
	char addr[ADDR_TEXT_BYTES]; /* of the server */
	struct h2_want want; /* of a connection that is shared */
	struct buf rules; /* those that are about the request, as digits */
};

static void on_ask(struct forward *fw, struct buf *b);
static void on_dial(struct forward *fw);
static void on_dialled(struct dial *d, int fd, const char *why);
static void on_turn(struct h2_want *want);
static int on_shaken(struct forward *fw, struct err *e);
static bool shares(const struct web *w);
static struct hash place_of(const struct web *w);
static void want_nothing(struct web *w);
static void on_told(struct forward *fw, const struct forward_end *end);
static void on_closed(struct forward *fw);
static struct web *web_new(struct flow *f, enum web_kind kind);
static void on_shake(struct stream *s, uint32_t events);
static void on_lane(void *owner, struct h2_lane *lane);
static void on_h2_closed(void *owner);
static bool is_lane(const struct web *w);
static void lane_free(struct web *w);
static void take_payload(struct web *w, const struct json *doc);
static void end_standing(struct web *w);
static void put_kept(struct buf *b, const struct forward_end *end);
static void put_text(struct buf *b, const char *name, struct str s);

static const struct forward_ops ops = {
	.ask = on_ask,
	.dial = on_dial,
	.shaken = on_shaken,
	.told = on_told,
	.closed = on_closed,
};

static const struct h2_serve_ops h2_ops = {
	.lane = on_lane,
	.closed = on_h2_closed,
};

/* What a program says that does not trust us differs too much to be told from
 * other failures: it is what nearly all of them are. */
static const char hint_ca[] =
    "The program seems not to trust the CA of the run. Give it " PLACE_TRUST
    " (SSL_CERT_FILE and others name that file), or pass the host on unread "
    "with \"tls\": \"pin\" in its rule.";
static const char hint_ech[] =
    "The program offers Encrypted Client Hello, which is not answered here: "
    "turn it off if it insists.";

static const struct msg_egress_verdict not_judged = {
	.verdict = EGRESS_DENY,
	.status = 503,
};

void
web_start(struct flow *f, enum web_kind kind)
{
	struct proxy *p = f->proxy;
	struct web *w = web_new(f, kind);
	struct forward *fw = &w->forward;
	struct err e = {};
	int fd;

	f->web = w;
	f->state = FLOW_WEB;
	/* Each request is told of by itself; TLS also, at its end. */
	if (kind != WEB_TLS)
		flow_tell_next(f);
	loop_timer_clear(p->loop, &f->timer);

	/* The same socket, watched by who serves it. */
	fd = loop_remove(p->loop, &f->client.watch);
	f->client.ops = NULL;
	fw->client.on_ready =
	    f->client.on_ready; /* forward_start has its own */
	if (stream_open_take(&fw->client, p->loop, fd, &e) < 0) {
		log_warn("connection lost why=\"%s\"", e.text);
		flow_close(f, true, "no room for another connection");
		return;
	}
	if (kind != WEB_TLS) {
		forward_start(fw, STR(""));
		return;
	}
	if (f->door->ca == NULL ||
	    tls_serve(&fw->client, f->door->ca, f->host, true, STR(""), &e) <
		0) {
		flow_close(f, true,
		    f->door->ca == NULL ? "the run has no CA" : e.text);
		return;
	}
	loop_timer_set(p->loop, &f->timer,
	    clock_mono_ns() + HTTP_HEAD_TIMEOUT_MS * NS_PER_MS);
	fw->client.on_ready = on_shake;
	on_shake(&fw->client, 0);
}

void
web_on_verdict(
    struct flow *f, const struct msg_egress_verdict *v, struct str payload)
{
	own_arena struct arena a = { .wipe = true }; /* it may hold secrets */
	const struct json *doc;
	struct web *w = f->web;
	struct err e = {};

	while (w != NULL && (!w->waits || v->ask != w->ask))
		w = w->next;
	if (w == NULL)
		return;
	w->waits = false;
	doc = json_parse(payload, NULL, &a, &e, NULL);
	if (doc == NULL) { /* it may have held pins and secrets */
		forward_verdict(&w->forward, &not_judged, NULL);
		return;
	}
	if (v->verdict == EGRESS_WAIT) {
		w->waits = (v->flags & EGRESS_GATHER) == 0;
		forward_verdict(&w->forward, v, doc);
		return;
	}
	w->stands =
	    v->verdict == EGRESS_ALLOW && (v->flags & EGRESS_STANDING) != 0;
	w->denied = v->verdict != EGRESS_ALLOW;
	if (!w->denied)
		take_payload(w, doc);
	forward_verdict(&w->forward, v, doc);
}

void
web_fail(struct flow *f)
{
	struct web *w = f->web;

	/* One that is told may be gone behind that, and others with it. */
	while (w != NULL) {
		if (!w->waits) {
			w = w->next;
			continue;
		}
		w->waits = false;
		forward_verdict(&w->forward, &not_judged, NULL);
		w = f->web;
	}
}

void
web_revoke(struct flow *f, struct str name)
{
	struct web *w = f->web;

	/* One that is cut is gone behind that; the last takes the flow along.
	 */
	while (!f->dead && w != NULL) {
		if (w->forward.filter == NULL ||
		    !filter_has(w->forward.filter, name)) {
			w = w->next;
			continue;
		}
		forward_cut(&w->forward, "a secret of it was revoked");
		w = f->web;
	}
}

void
web_free(struct web *w, bool hard)
{
	if (w == NULL)
		return;
	while (w->next != NULL) {
		forward_stop(&w->next->forward, hard);
		lane_free(w->next);
	}
	end_standing(w);
	want_nothing(w);
	h2_serve_free(w->h2);
	forward_stop(&w->forward, hard);
	buf_fini(&w->rules);
	free(w);
}

static struct web *
web_new(struct flow *f, enum web_kind kind)
{
	struct web *w = calloc(1, sizeof(*w));
	struct forward *fw;

	must(w != NULL);
	fw = &w->forward;
	w->flow = f;
	w->kind = kind;
	w->dial.on_done = on_dialled;
	w->dial.owner = w;
	w->want.on_turn = on_turn;
	fw->ops = &ops;
	fw->loop = f->proxy->loop;
	fw->https = kind == WEB_TLS || kind == WEB_TOOLS_TLS;
	fw->watch = &f->door->watch;
	if (kind != WEB_PROXY) {
		memcpy(fw->host, f->host, sizeof(fw->host));
		fw->port = f->port;
	}
	return w;
}

/* What is spoken within TLS is known when both ends have agreed on it. */
static void
on_shake(struct stream *s, uint32_t events)
{
	struct web *w =
	    LOOP_OF(LOOP_OF(s, struct forward, client), struct web, forward);
	struct flow *f = w->flow;
	struct err e = {};

	(void)events;
	switch (tls_handshake(s, &e)) {
	case TLS_WAITS:
		stream_want(s, EPOLLIN);
		return;
	case TLS_FAILED:
		f->hint = f->ech ? hint_ech : hint_ca;
		flow_close(f, true, e.text);
		return;
	case TLS_READY:
		break;
	}
	loop_timer_clear(f->proxy->loop, &f->timer);
	if (!tls_chose_h2(s)) {
		forward_start(&w->forward, STR(""));
		return;
	}
	w->h2 = h2_serve_new(s, &h2_ops, w, &e);
	if (w->h2 == NULL)
		flow_close(f, true, e.text);
}

/* Counted as a connection: behind each is one to a server. */
static void
on_lane(void *owner, struct h2_lane *lane)
{
	struct web *first = owner, *w;
	struct proxy_door *door = first->flow->door;

	const char *full = admit_one(&door->admit, door->n_flows,
	    first->flow->proxy->n_free_flows, clock_mono_ns());

	if (full != NULL) {
		flow_tell_full(first->flow, full);
		return;
	}
	door->n_flows++;
	w = web_new(first->flow, first->kind);
	w->next = first->next;
	first->next = w;
	w->forward.h2 = true;
	w->forward.client.on_ready = on_shake; /* forward_start has its own */
	h2_lane_open(lane, &w->forward.client);
	forward_start(&w->forward, STR(""));
}

static void
on_h2_closed(void *owner)
{
	struct web *w = owner;

	flow_close(w->flow, false, NULL);
}

static bool
is_lane(const struct web *w)
{
	return w != w->flow->web;
}

/* Its forward has stopped. */
static void
lane_free(struct web *w)
{
	struct web *before = w->flow->web;

	end_standing(w);
	want_nothing(w);
	buf_fini(&w->rules);
	while (before->next != w)
		before = before->next;
	before->next = w->next;
	w->flow->door->n_flows--;
	free(w);
}

static void
on_ask(struct forward *fw, struct buf *b)
{
	struct web *w = LOOP_OF(fw, struct web, forward);
	struct flow *f = w->flow;
	struct msg_egress_ask m = {
		.run = f->door->run,
		.server = f->door->server,
		.kind = EGRESS_REQUEST,
	};

	if (fw->body_sha256[0] != '\0')
		m.flags = EGRESS_ASK_WHOLE; /* the same question, again */
	else
		end_standing(w);
	if (f->via == VIA_TRANSPARENT && w->kind != WEB_PROXY) {
		char to[ADDR_TEXT_BYTES];

		addr_write(&f->to, to);
		buf_printf(b, ",\"to\":\"%s:%u\"", to, f->to_port);
	}
	buf_printf(b, ",\"via\":\"%s\"}",
	    w->kind == WEB_PROXY ? "absolute" : flow_via_name(f->via));
	if (m.flags == 0)
		w->ask = flow_ask_number(f);
	m.ask = w->ask;
	w->waits = true;
	if (b->failed ||
	    peer_send(
		&f->proxy->broker, MSG_EGRESS_ASK, &m, buf_str(b), NULL, 0) < 0)
		web_fail(f);
}

static void
on_dial(struct forward *fw)
{
	struct web *w = LOOP_OF(fw, struct web, forward);

	w->addr[0] = '\0';
	if (shares(w)) {
		struct proxy_door *door = w->flow->door;

		if (door->h2 == NULL)
			door->h2 = h2_pool_new(fw->loop);
		w->want.key = place_of(w);
		switch (
		    h2_pool_seek(door->h2, &w->want, &fw->server, w->addr)) {
		case H2_JOINED:
			forward_joined(fw);
			return;
		case H2_WAIT:
			return;
		case H2_DIAL:
			break;
		}
	}
	dial_start(&w->dial, &w->flow->proxy->dialer, fw->to_host, fw->to_port);
}

static void
on_turn(struct h2_want *want)
{
	on_dial(&LOOP_OF(want, struct web, want)->forward);
}

/* One that a person allowed goes out once, over a connection of its own. */
static bool
shares(const struct web *w)
{
	const struct forward *fw = &w->forward;

	return fw->h2 && fw->https && !fw->upgrade && !fw->once;
}

/* All that a connection depends on, and the rules that were asked. */
static struct hash
place_of(const struct web *w)
{
	const struct forward *fw = &w->forward;
	own_buf struct buf b = {};

	buf_printf(&b, "%s\n%u\n", fw->to_host, fw->to_port);
	for (size_t i = 0; i < w->dial.n_pins; i++) {
		char text[ADDR_TEXT_BYTES];

		cidr_write(&w->dial.pins[i], text);
		buf_printf(&b, "%s\n", text);
	}
	buf_printf(&b, "%zu\n", fw->roots.n);
	buf_add_str(&b, buf_str(&fw->roots));
	buf_add_str(&b, buf_str(&w->rules));
	must(!b.failed);
	return hash_of(b.p, b.n);
}

static int
on_shaken(struct forward *fw, struct err *e)
{
	struct web *w = LOOP_OF(fw, struct web, forward);
	struct h2_pool *pool = w->flow->door->h2;

	if (!shares(w))
		return 0;
	if (tls_chose_h2(&fw->server))
		return h2_pool_add(pool, &w->want, &fw->server, w->addr, e);
	h2_pool_plain(pool, &w->want);
	return 0;
}

static void
want_nothing(struct web *w)
{
	h2_pool_leave(&w->want, false);
	dial_stop(&w->dial);
}

static void
on_dialled(struct dial *d, int fd, const char *why)
{
	struct web *w = d->owner;

	if (fd >= 0)
		addr_write(&d->to, w->addr);
	else
		h2_pool_leave(&w->want, true);
	forward_connected(&w->forward, fd, why);
}

static void
on_told(struct forward *fw, const struct forward_end *end)
{
	struct web *w = LOOP_OF(fw, struct web, forward);
	struct proxy *p = w->flow->proxy;
	struct msg_egress_done m = {
		.run = w->flow->door->run,
		.ask = w->ask,
		.sent = end->sent,
		.received = end->received,
		.ns = (uint64_t)end->ns,
		.status = end->status,
		.flags = end->flags,
	};
	struct buf *b = &p->payload;

	want_nothing(w);
	if (w->denied) {
		w->denied = false;
		w->ask = 0;
		return;
	}
	buf_reset(b);
	buf_add_c(b, "{\"tls\":");
	json_put_str(b, w->forward.https ? STR("inspect") : STR("none"));
	if (w->addr[0] != '\0')
		put_text(b, "addr", str_of(w->addr));
	if (end->error != NULL)
		put_text(b, "error", str_of(end->error));
	if (end->filter != NULL)
		filter_report(end->filter, b);
	if (w->ask == 0 && w->kind != WEB_PROXY)
		put_text(b, "host", str_of(w->flow->host));
	if ((end->flags & EGRESS_DONE_STANDING) != 0) {
		put_text(b, "method", end->method);
		put_text(b, "path", end->path);
		if (end->query.p != NULL)
			put_text(b, "query", end->query);
	}
	if (end->kept != NULL)
		put_kept(b, end);
	buf_add_byte(b, '}');
	/* A broker that is gone ends us. */
	(void)peer_send_lazy(&p->broker, MSG_EGRESS_DONE, &m, buf_str(b));
	if (!w->stands)
		w->ask = 0;
}

static void
on_closed(struct forward *fw)
{
	struct web *w = LOOP_OF(fw, struct web, forward);

	if (is_lane(w))
		lane_free(w);
	else
		flow_close(w->flow, false, NULL);
}

/* What only the connection needs: where it may be dialled, whom it trusts. */
static void
take_payload(struct web *w, const struct json *doc)
{
	const struct json *addrs = json_get(doc, STR("addrs"));

	w->dial.n_pins = 0;
	for (const struct json *x = json_first(addrs);
	     x != NULL && w->dial.n_pins < EGRESS_ADDRS_MAX;
	     x = json_next(addrs, x)) {
		if (cidr_parse(json_str(x), &w->dial.pins[w->dial.n_pins]) == 0)
			w->dial.n_pins++;
	}
	buf_reset(&w->rules);
	buf_add_str(&w->rules, json_str(json_get(doc, STR("rules"))));
	buf_reset(&w->forward.roots);
	buf_add_str(&w->forward.roots, json_str(json_get(doc, STR("ca"))));
}

/* What stood is over: nothing more will be sent under it. */
static void
end_standing(struct web *w)
{
	struct msg_egress_done m = {
		.run = w->flow->door->run,
		.ask = w->ask,
		.flags = EGRESS_DONE_CLOSED,
	};

	if (w->ask == 0 || w->denied)
		return;
	/* Also one that was asked about, and whose client has gone. */
	(void)peer_send(&w->flow->proxy->broker, MSG_EGRESS_DONE, &m, STR("{}"),
	    NULL, 0); /* a broker that is gone ends us */
	w->ask = 0;
	w->stands = w->waits = false;
}

static void
put_kept(struct buf *b, const struct forward_end *end)
{
	const struct forward_kept *k = end->kept;
	char hex[HASH_HEX_BYTES] = "";

	if (k->request.n > 0) {
		struct hash h = hash_of(k->request.p, k->request.n);

		hash_hex(&h, hex);
	}
	buf_add_c(b, ",\"kept\":{\"body_b64\":\"");
	base64_encode(b, buf_str(&k->body), BASE64_STANDARD);
	buf_add_c(b, "\",\"fields\":");
	buf_add_str(b, buf_str(&k->fields));
	buf_printf(b, ",\"status\":%u}", end->status);
	put_text(b, "kept_request", str_of(hex));
}

static void
put_text(struct buf *b, const char *name, struct str s)
{
	buf_printf(b, ",\"%s\":", name);
	json_put_str(b, s);
}
