/*
 * What the broker is told of a flow: how each of its questions ended, once,
 * and what was refused before it could be asked about.
 */
#include "base/clock.h"
#include "codec/json.h"
#include "proxy/flow.h"
#include "proxy/proxy.h"

static void tell_refused(
    struct flow *f, const char *code, const char *why, uint64_t n);
static void put_text(struct buf *b, const char *name, const char *text);

void
flow_tell_next(struct flow *f)
{
	struct msg_egress_done m = {
		.run = f->door->run,
		.ask = f->ask,
		.flags = EGRESS_DONE_CLOSED,
	};

	if (!f->telling)
		return;
	f->telling = false;
	(void)peer_send_lazy(&f->proxy->broker, MSG_EGRESS_DONE, &m,
	    STR("{}")); /* its loss ends us */
}

void
flow_tell_end(struct flow *f, const char *why)
{
	struct proxy *p = f->proxy;
	struct msg_egress_done m = {
		.run = f->door->run,
		.ask = f->ask,
		.sent = f->sent,
		.received = f->received,
		.ns = (uint64_t)(clock_mono_ns() - f->asked_ns),
	};
	bool decided = f->held ||
	    (f->verdict.flags & (EGRESS_SPLICE | EGRESS_INSPECT)) != 0;
	char text[ADDR_TEXT_BYTES] = "";

	/* On the proxy's port something comes before there is a question. */
	if (!f->telling && f->state == FLOW_GREET && f->n_seen > 0 &&
	    why != NULL)
		tell_refused(f, "not_understood", why, 0);
	if (!f->telling)
		return;
	if (!decided && why == NULL) {
		flow_tell_next(f); /* it said nothing, and went */
		return;
	}
	f->telling = false;
	if (!decided) {
		tell_refused(f, "not_understood", why, 0);
		return;
	}
	if (f->verdict.max_body != UINT64_MAX &&
	    f->sent >= f->verdict.max_body && why != NULL)
		m.flags = EGRESS_DONE_OVER;
	if (stream_is_open(&f->server) && f->dial != NULL)
		addr_write(&f->dial->to, text);
	buf_reset(&p->payload);
	buf_add_c(&p->payload, "{\"addr\":");
	json_put_str(&p->payload, str_of(text));
	if (why != NULL)
		put_text(&p->payload, "error", why);
	if (f->hint != NULL)
		put_text(&p->payload, "hint", f->hint);
	put_text(&p->payload, "tls",
	    !f->tls		 ? "none"
		: f->web != NULL ? "inspect"
				 : "splice");
	buf_add_byte(&p->payload, '}');
	(void)peer_send(&p->broker, MSG_EGRESS_DONE, &m, buf_str(&p->payload),
	    NULL, 0); /* its loss ends us */
}

void
flow_tell_full(struct flow *f, const char *why)
{
	uint64_t n = admit_told(&f->door->admit, clock_mono_ns());

	if (n > 0)
		tell_refused(f, "too_many_connections", why, n);
}

/* n: how many of its kind, when that is counted. */
static void
tell_refused(struct flow *f, const char *code, const char *why, uint64_t n)
{
	struct buf *b = &f->proxy->payload;
	struct msg_egress_done m = {
		.run = f->door->run,
		.ask = f->ask,
		.flags = EGRESS_DONE_REFUSED,
	};

	buf_reset(b);
	buf_add_c(b, "{\"code\":");
	json_put_str(b, str_of(code));
	put_text(b, "error", why);
	if (f->host[0] != '\0') {
		put_text(b, "host", f->host);
		buf_printf(b, ",\"port\":%u", f->port);
	}
	if (n > 0)
		buf_printf(b, ",\"refused\":%llu", (unsigned long long)n);
	if (f->sni[0] != '\0')
		put_text(b, "sni", f->sni);
	put_text(b, "via", flow_via_name(f->via));
	buf_add_byte(b, '}');
	(void)peer_send_lazy(&f->proxy->broker, MSG_EGRESS_DONE, &m,
	    buf_str(b)); /* its loss ends us */
}

static void
put_text(struct buf *b, const char *name, const char *text)
{
	buf_printf(b, ",\"%s\":", name);
	json_put_str(b, str_of(text));
}
