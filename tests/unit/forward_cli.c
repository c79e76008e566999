/*
 * A forward as a process, for forward_oracle.test.js: what a client says
 * goes in, and what servers hear comes out, beside what was asked about.
 *
 * Standard input and output are frames (frames.h). A frame in has a byte of
 * the mode, one with the size of the pieces in which the client is heard,
 * and what the client says. A frame out is
 * {"asks":[{...}],"servers":["hex"]}, each in its order. A server answers
 * every request that it has heard whole, and nothing else.
 */
#include <sys/epoll.h>

#include "codec/http1.h"
#include "codec/json.h"
#include "frames.h"
#include "memory_end.h"
#include "proxy/forward.h"
#include "watch_rig.h"

enum mode {
	TO_PROXY = 1, /* the client says whole URLs */
	STANDING = 2,
	WAITS = 4, /* for a person, with its body */
	WATCHES = 8, /* all is searched for a secret */
};

enum { TURNS_MAX = 100000, IDLE_MAX = 8, SERVERS_MAX = 16, MAX = 1 << 20 };

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

static struct {
	struct memory_end client, server;
	struct buf heard[SERVERS_MAX], asks;
	int n_servers;
	size_t answered; /* bytes of requests to the last server */
	size_t last_ask; /* where it begins */
	unsigned mode;
	bool asked, dials, closed;
} rig;

static struct forward f;
static struct filter_watch watch;

static void
on_ask(struct forward *fw, struct buf *ask)
{
	must(fw == &f);
	rig.asked = true;
	/* What it was asked about without its body was the same request. */
	if (f.body_sha256[0] != '\0')
		rig.asks.n = rig.last_ask;
	rig.last_ask = rig.asks.n;
	buf_add_c(&rig.asks, rig.asks.n > 0 ? "," : "");
	buf_add_str(&rig.asks, buf_str(ask));
	buf_add_byte(&rig.asks, '}');
}

static void
on_dial(struct forward *fw)
{
	must(fw == &f);
	rig.dials = true;
}

static void
on_told(struct forward *fw, const struct forward_end *end)
{
	must(fw == &f && end->ns >= 0);
}

static void
on_closed(struct forward *fw)
{
	must(fw == &f);
	rig.closed = true;
}

static const struct forward_ops ops = {
	.ask = on_ask,
	.dial = on_dial,
	.told = on_told,
	.closed = on_closed,
};

/* What the owner has to do comes in its own time. */
static bool
owner_acts(struct loop *loop)
{
	struct msg_egress_verdict v = {
		.verdict = EGRESS_ALLOW,
		.flags = (rig.mode & STANDING) != 0 ? EGRESS_STANDING : 0,
		.max_body = UINT64_MAX,
	};
	bool waits = (rig.mode & WAITS) != 0;

	if (rig.dials) {
		must(rig.n_servers < SERVERS_MAX);
		rig.dials = false;
		rig.answered = 0;
		rig.server = (struct memory_end){
			.stays = true,
			.piece = SIZE_MAX,
			.heard = &rig.heard[rig.n_servers++],
		};
		memory_end_open(&rig.server, &f.server, loop);
		forward_joined(&f);
		return true;
	}
	if (!rig.asked && f.phase != FORWARD_WAITS)
		return false;
	if (waits && f.phase != FORWARD_WAITS && f.body_sha256[0] == '\0') {
		v.verdict = EGRESS_WAIT;
		v.flags = EGRESS_GATHER;
	} else if (waits) {
		v.flags = EGRESS_ONCE;
	}
	rig.asked = false;
	forward_verdict(&f, &v, NULL);
	return true;
}

static bool
server_answers(void)
{
	static struct http1_head h;
	own_buf struct buf content = { .max = MAX };
	struct http1_body body;
	struct str left;
	struct err e = {};
	uint16_t status;
	ssize_t n, more;

	if (rig.server.near == NULL || rig.server.to_say.n > 0)
		return false;
	left = buf_str(rig.server.heard);
	left = (struct str){ left.p + rig.answered, left.n - rig.answered };
	n = http1_request(left.p, left.n, &h, &status, &e);
	if (n <= 0)
		return false;
	http1_body_init(&body, &h, UINT64_MAX);
	more = http1_body_feed(
	    &body, left.p + n, left.n - (size_t)n, &content, &status, &e);
	if (more < 0 || !body.done)
		return false;
	rig.answered += (size_t)(n + more);
	rig.server.to_say = str_of(ok);
	return true;
}

static void
run(struct loop *loop, struct str in)
{
	for (int i = 0; i < SERVERS_MAX; i++)
		buf_reset(&rig.heard[i]);
	buf_reset(&rig.asks);
	rig.n_servers = 0;
	rig.asked = rig.dials = rig.closed = false;
	rig.mode = (uint8_t)in.p[0];
	rig.client = (struct memory_end){
		.to_say = { in.p + 2, in.n - 2 },
		.piece = (uint8_t)in.p[1] == UINT8_MAX ? SIZE_MAX
						       : (uint8_t)in.p[1] + 1U,
	};
	f = (struct forward){
		.ops = &ops,
		.loop = loop,
		.port = 80,
		.watch = (rig.mode & WATCHES) != 0 ? &watch : NULL,
	};
	if ((rig.mode & TO_PROXY) == 0)
		memcpy(f.host, "h.example", 10);
	memory_end_open(&rig.client, &f.client, loop);
	forward_start(&f, STR(""));
	for (int i = 0, idle = 0; !rig.closed && idle < IDLE_MAX; i++) {
		bool moved = owner_acts(loop);

		must(i < TURNS_MAX);
		if (rig.closed)
			break;
		moved |= rig.client.to_say.n > 0;
		rig.client.turn = rig.server.turn = true;
		f.client.on_ready(&f.client, EPOLLIN);
		if (!rig.closed && stream_is_open(&f.server))
			f.server.on_ready(&f.server, EPOLLIN);
		moved |= server_answers();
		idle = moved ? 0 : idle + 1;
	}
	if (!rig.closed)
		forward_stop(&f, true);
	must(memory_ends == NULL);
}

int
main(void)
{
	own_buf struct buf in = { .max = MAX }, out = { .max = MAX };
	struct err e = {};
	struct loop *loop = loop_new(&e);

	must(loop != NULL);
	rig.asks.max = MAX;
	for (int i = 0; i < SERVERS_MAX; i++)
		rig.heard[i].max = MAX;
	watch_take(
	    &watch, "KEY", STR("sk-live-000000000000"), "pdk_12345678_abcdefg");
	while (frame_read(&in)) {
		must(in.n >= 2);
		run(loop, buf_str(&in));
		buf_reset(&out);
		buf_add_c(&out, "{\"asks\":[");
		buf_add_str(&out, buf_str(&rig.asks));
		buf_add_c(&out, "],\"servers\":[");
		for (int i = 0; i < rig.n_servers; i++) {
			buf_add_c(&out, i > 0 ? ",\"" : "\"");
			for (size_t k = 0; k < rig.heard[i].n; k++)
				buf_printf(
				    &out, "%02x", (uint8_t)rig.heard[i].p[k]);
			buf_add_byte(&out, '"');
		}
		buf_add_c(&out, "]}");
		frame_write(&out);
	}
	for (int i = 0; i < SERVERS_MAX; i++)
		buf_fini(&rig.heard[i]);
	buf_fini(&rig.asks);
	filter_watch_fini(&watch);
	loop_free(loop);
	return 0;
}
