#include "base/limits.h"
#include "base/must.h"
#include "codec/json.h"
#include "proxy/proxy.h"

enum { SLOT_BITS = 16 };
_Static_assert(PROXY_CLIENTS_MAX < 1 << SLOT_BITS, "a slot fits in a number");

static void on_request(struct http_conn *c);
static bool on_hangup(struct http_conn *c);
static void on_close(struct http_conn *c);
static void refuse(struct http_conn *c, uint16_t status, const char *why);
static struct proxy_client *client_of(struct http_conn *c);
static void payload_put(
    struct buf *b, const struct http1_head *h, const struct destination *d);

const struct http_ops ask_ops = {
	.conn_bytes = sizeof(struct proxy_client),
	.on_request = on_request,
	.on_hangup = on_hangup,
	.on_close = on_close,
	.refuse = refuse,
};

void
ask_on_verdict(
    struct proxy *p, const struct msg_egress_verdict *v, struct str payload)
{
	own_arena struct arena a = {};
	size_t slot = v->ask & ((1 << SLOT_BITS) - 1);
	struct proxy_client *cl =
	    slot < PROXY_CLIENTS_MAX ? p->clients[slot] : NULL;
	const struct json *answer;
	struct err e = {};
	struct str body;

	if (cl == NULL || cl->ask == 0 || cl->ask != v->ask)
		return;
	cl->ask = 0;
	answer =
	    json_get(json_parse(payload, NULL, &a, &e, NULL), STR("answer"));
	body = json_str(json_get(answer, STR("body")));
	/* Whatever it says: there is no way out of here yet. */
	if (v->verdict != EGRESS_DENY || body.n == 0)
		refuse(&cl->conn, 403, "this proxy lets nothing out");
	else
		http_reply(
		    &cl->conn, 403, STR(""), STR("application/json"), body);
}

void
ask_fail_all(struct proxy *p)
{
	for (size_t i = 0; i < PROXY_CLIENTS_MAX; i++) {
		struct proxy_client *cl = p->clients[i];

		if (cl == NULL || cl->ask == 0)
			continue;
		cl->ask = 0;
		refuse(&cl->conn, 503, "the broker has ended");
	}
}

static void
on_request(struct http_conn *c)
{
	struct proxy_client *cl = client_of(c);
	struct proxy *p = cl->proxy;
	const struct proxy_door *door =
	    LOOP_OF(c->listener, struct proxy_door, listener);
	struct msg_egress_ask m = {
		.run = door->run,
		.kind = EGRESS_REQUEST,
	};
	struct destination d;
	const char *why;

	/* What follows a refused CONNECT may be anything but HTTP. */
	if (str_eq(c->head.method, STR("CONNECT"))) {
		c->last = true;
		m.kind = EGRESS_CONNECT;
	}
	if (destination_parse(&c->head, &d, &why) < 0) {
		refuse(c, 400, why);
		return;
	}
	payload_put(&p->payload, &c->head, &d);
	if (p->payload.failed || p->payload.n > EGRESS_MAX_ASK_BYTES) {
		refuse(c, 414, "the target is too long to be judged");
		return;
	}
	m.ask = ++p->n_asks << SLOT_BITS | cl->slot;
	if (peer_send(&p->broker, MSG_EGRESS_ASK, &m, buf_str(&p->payload),
		NULL, 0) < 0)
		refuse(c, 503, "the broker is not there");
	else
		cl->ask = m.ask;
}

static bool
on_hangup(struct http_conn *c)
{
	(void)c;
	return true;
}

static void
on_close(struct http_conn *c)
{
	struct proxy_client *cl = client_of(c);
	struct proxy *p = cl->proxy;

	p->clients[cl->slot] = NULL;
	p->free_slots[p->n_free++] = cl->slot;
}

/* The shape of every refusal, here and at the gateway. */
static void
refuse(struct http_conn *c, uint16_t status, const char *why)
{
	struct proxy_client *cl = client_of(c);
	struct buf *b = &cl->proxy->body;

	buf_reset(b);
	buf_add_str(b,
	    STR("{\"error\":{\"code\":\"proxy_refused\","
		"\"message\":"));
	json_put_str(b, str_of(why));
	buf_add_str(b,
	    STR(",\"suggested_next_step\":\"Use the tools that this run has; "
		"its policy opens no way to the network.\"}}"));
	http_reply(c, status, STR(""), STR("application/json"), buf_str(b));
}

/* The first thing said on a connection gives it its slot. */
static struct proxy_client *
client_of(struct http_conn *c)
{
	struct proxy_client *cl = LOOP_OF(c, struct proxy_client, conn);
	struct proxy *p = LOOP_OF(c->server, struct proxy, http);

	if (cl->proxy != NULL)
		return cl;
	must(p->n_free > 0);
	cl->proxy = p;
	cl->slot = p->free_slots[--p->n_free];
	p->clients[cl->slot] = cl;
	return cl;
}

/* Names are the same in either case, so that the policy sees one spelling. */
static void
payload_put(
    struct buf *b, const struct http1_head *h, const struct destination *d)
{
	buf_reset(b);
	buf_add_str(b, STR("{\"host\":\""));
	/* http1_request has checked it: nothing in it needs escaping. */
	for (size_t i = 0; i < d->host.n; i++) {
		char c = d->host.p[i];

		buf_add_byte(b, c >= 'A' && c <= 'Z' ? (char)(c + 32) : c);
	}
	buf_add_str(b, STR("\",\"method\":"));
	json_put_str(b, h->method);
	buf_add_str(b, STR(",\"path\":"));
	json_put_str(b, d->path);
	buf_printf(b, ",\"port\":%u,\"proto\":\"%s\"}", d->port,
	    str_eq(h->method, STR("CONNECT"))	       ? "tcp"
		: str_starts(h->target, STR("https:")) ? "https"
						       : "http");
}
