/*
 * The first byte: bit 0, requests of one kind may go on unasked; bit 1, a limit
 * on bodies; bit 2, verdicts say no; the second the size of the pieces in which
 * bytes come; then two bytes: how many of the rest the client says. What is
 * left is what servers say.
 *
 * Holds: a server hears requests only that were asked about or stand, with the
 * Host that was judged, in the order in which they were asked about, framed
 * so that the parser finds the end of each where the next begins; and the
 * whole ends.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/must.h"
#include "codec/json.h"

#include "forward_alone.h"

enum { ASKS_MAX = 4096, LIMIT = 64, TURNS_MAX = 100000 };

/* A far end that exists in memory only. */
static struct {
	struct memory_end client, server;
	struct buf heard; /* by the server that is connected */
	size_t heard_asks; /* requests that servers before it were sent */
	struct buf asks; /* "METHOD TARGET\n" of each request let through */
	bool no;
	bool asked, dials;
	uint32_t flags;
	uint64_t max_body;
	bool closed;
} rig;

static struct forward f;

/* Every request that this server has heard. */
static void
heard_is_what_was_asked(void)
{
	static struct http1_head h;
	struct str left = buf_str(&rig.heard), asked = buf_str(&rig.asks);
	own_buf struct buf content = {};
	struct http1_body body;
	struct err e = {};
	uint16_t status;

	while (left.n > 0) {
		ssize_t n = http1_request(left.p, left.n, &h, &status, &e);
		const struct str *host;
		bool found = false;

		if (n == 0)
			break; /* cut off by the end of its client */
		must(n > 0);
		host = http1_get(&h, STR("Host"));
		must(host != NULL && str_eq_nocase(*host, STR("h.example")));
		/* Those that stand are repetitions of their method. */
		while (!found) {
			struct str line = { asked.p, str_find(asked, '\n') };
			size_t space = str_find(line, ' ');

			must(line.n < asked.n);
			found =
			    str_eq((struct str){ line.p, space }, h.method) &&
			    (f.standing[0] != '\0' || rig.flags != 0 ||
				str_eq((struct str){ line.p + space + 1,
					   line.n - space - 1 },
				    h.target));
			if (rig.flags != 0 && found)
				break;
			asked.p += line.n + 1;
			asked.n -= line.n + 1;
		}
		left.p += n;
		left.n -= (size_t)n;
		http1_body_init(&body, &h, rig.max_body);
		n = http1_body_feed(
		    &body, left.p, left.n, &content, &status, &e);
		must(n >= 0);
		left.p += n;
		left.n -= (size_t)n;
		/* After one that is not whole nothing may follow. */
		must(body.done || left.n == 0);
		/* A WebSocket's bytes are nobody's. */
		if (http1_get(&h, STR("Upgrade")) != NULL)
			break;
		buf_reset(&content);
	}
}

/* One server is gone, and another may come. */
static void
heard_so_far(void)
{
	heard_is_what_was_asked();
	buf_reset(&rig.heard);
}

static void
alone_open(struct stream *s, struct loop *loop)
{
	heard_so_far();
	memory_end_open(s == &f.client ? &rig.client : &rig.server, s, loop);
}

static void
on_ask(struct forward *fw, struct buf *ask)
{
	must(fw == &f && ask->n > 2 && ask->p[0] == '{' && !rig.asked);
	must(strcmp(fw->to_host, "h.example") == 0 && fw->to_port == 80);
	rig.asked = true;
}

static void
on_dial(struct forward *fw)
{
	(void)fw;
	rig.dials = true;
}

static void
on_told(struct forward *fw, const struct forward_end *end)
{
	(void)fw;
	must(end->sent <= rig.max_body || fw->phase == FORWARD_RELAYS ||
	    fw->upgrade);
}

static void
on_closed(struct forward *fw)
{
	(void)fw;
	rig.closed = true;
}

static const struct forward_ops ops = {
	.ask = on_ask,
	.dial = on_dial,
	.told = on_told,
	.closed = on_closed,
};

/* What the owner has to do comes in its own time. */
static void
owner_acts(void)
{
	if (rig.asked) {
		own_arena struct arena a = {};
		struct err e = {};
		const struct msg_egress_verdict v = {
			.verdict = rig.no ? EGRESS_DENY : EGRESS_ALLOW,
			.flags = rig.flags,
			.max_body = rig.max_body,
			.status = 403,
		};

		rig.asked = false;
		if (!rig.no) {
			buf_add_str(&rig.asks, f.head.method);
			buf_add_byte(&rig.asks, ' ');
			if (f.path.n == 0 || f.path.p[0] == '?')
				buf_add_byte(&rig.asks, '/');
			buf_add_str(&rig.asks, f.path);
			buf_add_byte(&rig.asks, '\n');
		}
		forward_verdict(&f, &v,
		    json_parse(STR("{\"answer\":{\"body\":\"no\","
				   "\"status\":403}}"),
			NULL, &a, &e, NULL));
	} else if (rig.dials) {
		rig.dials = false;
		forward_connected(&f, 0, NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct loop *loop;
	struct err e = {};
	size_t n;

	if (loop == NULL)
		loop = loop_new(&e);
	if (size < 4 || size > 60000)
		return 0;
	n = ((size_t)data[2] << 8 | data[3]) % (size - 3);
	rig.flags = (data[0] & 1) != 0 ? EGRESS_STANDING : 0;
	rig.max_body = (data[0] & 2) != 0 ? LIMIT : UINT64_MAX;
	rig.no = (data[0] & 4) != 0;
	memory_ends = NULL;
	rig.client = (struct memory_end){
		.to_say = { (const char *)data + 4, n },
		.piece = 1 + (size_t)data[1] * 8,
	};
	rig.server = (struct memory_end){
		.to_say = { (const char *)data + 4 + n, size - 4 - n },
		.piece = rig.client.piece,
		.heard = &rig.heard,
	};
	rig.asked = rig.dials = rig.closed = false;
	buf_reset(&rig.asks);
	buf_reset(&rig.heard);
	rig.asks.max = rig.heard.max = 16 * 1024 * 1024;
	f = (struct forward){ .ops = &ops, .loop = loop, .port = 80 };
	memcpy(f.host, "h.example", 10);
	(void)stream_open_take(&f.client, loop, 0, &e);
	forward_start(&f, STR(""));
	for (int i = 0; !rig.closed && i < TURNS_MAX; i++) {
		size_t before = rig.client.to_say.n + rig.server.to_say.n;

		rig.client.turn = rig.server.turn = true;
		if (rig.asked || rig.dials)
			owner_acts();
		else if (stream_is_open(&f.client))
			f.client.on_ready(&f.client, EPOLLIN);
		if (!rig.closed && stream_is_open(&f.server) && !rig.asked &&
		    !rig.dials)
			f.server.on_ready(&f.server, EPOLLIN);
		/* Nothing is left to be said, and nothing moves by itself. */
		if (!rig.asked && !rig.dials && before == 0 && i > 8)
			break;
	}
	if (!rig.closed)
		forward_stop(&f, true);
	must(!stream_is_open(&f.client) && !stream_is_open(&f.server));
	heard_so_far();
	return 0;
}
