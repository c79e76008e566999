/*
 * The first byte: bit 0, a person decides; bit 1, who says no; bit 2, the
 * answer is kept; bit 3, all is searched for a secret. The second is the size
 * of the pieces in which bytes come; then two bytes: how many of the rest the
 * client says. What is left is what the server says.
 *
 * Holds: nothing goes out before the yes, and nothing after a no; then one
 * request goes out, once, over a connection of its own, with the method,
 * target, length and digest of its body that were asked about. What is kept of
 * it is what the server heard, and what is kept of the answer is what the
 * client heard: status, fields and body, also when it is given again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/must.h"
#include "codec/base64.h"
#include "codec/json.h"

#include "../unit/watch_rig.h"
#include "forward_alone.h"

enum { WAITS = 1, SAYS_NO = 2, KEEPS = 4, WATCHES = 8 };

enum { TURNS_MAX = 100000, MEMORY_MAX = 16 * 1024 * 1024 };

/* A whole message, as its reader has it. */
struct message {
	struct http1_head head;
	struct buf body;
	bool whole;
};

static struct {
	struct memory_end client, server;
	struct buf client_heard, server_heard;
	uint8_t mode;
	bool asked, yes, dials, told, closed, head_only;
	int n_servers;
	struct buf ask; /* the last one */
	/* What was kept. */
	bool kept;
	uint16_t status;
	struct buf fields, body, request;
} rig;

static struct forward f;
static struct filter_watch watch;

static void
alone_open(struct stream *s, struct loop *loop)
{
	must(s == &f.server);
	memory_end_open(&rig.server, s, loop);
}

/* The first message of these bytes that is no interim answer. */
static void
message_read(struct message *m, struct str s, bool response)
{
	struct http1_body body;
	struct err e = {};
	uint16_t status;
	ssize_t n;

	*m = (struct message){ .body.max = MEMORY_MAX };
	do {
		n = response ? http1_response(s.p, s.n, rig.head_only, &m->head,
				   &status, &e)
			     : http1_request(s.p, s.n, &m->head, &status, &e);
		must(n >= 0); /* whatever it is, it is no nonsense */
		if (n == 0)
			return;
		s.p += n;
		s.n -= (size_t)n;
	} while (response && m->head.status < 200);
	http1_body_init(&body, &m->head, UINT64_MAX);
	n = http1_body_feed(&body, s.p, s.n, &m->body, &status, &e);
	must(n >= 0);
	m->whole = body.done || body.kind == HTTP1_BODY_UNTIL_CLOSE;
	/* Nothing stands behind a request that waited. */
	must(response || !m->whole || (size_t)n == s.n ||
	    (rig.mode & WAITS) == 0);
}

static void
copy(struct buf *to, const struct buf *from)
{
	buf_reset(to);
	to->max = MEMORY_MAX;
	buf_add_str(to, buf_str(from));
}

static void
on_ask(struct forward *fw, struct buf *ask)
{
	must(fw == &f);
	if (rig.told)
		return; /* the next one, of which nothing is said here */
	must(!rig.asked && !rig.yes);
	rig.asked = true;
	copy(&rig.ask, ask);
	buf_add_byte(&rig.ask, '}');
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
	must(fw == &f);
	rig.told = true;
	if (end->kept == NULL)
		return;
	must((rig.mode & KEEPS) != 0 && end->error == NULL);
	rig.kept = true;
	rig.status = end->status;
	copy(&rig.fields, &end->kept->fields);
	copy(&rig.body, &end->kept->body);
	copy(&rig.request, &end->kept->request);
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

static void
owner_acts(void)
{
	struct msg_egress_verdict v = {
		.verdict = EGRESS_ALLOW,
		.max_body = UINT64_MAX,
		.status = 403,
		.flags = (rig.mode & KEEPS) != 0 ? EGRESS_RECORD_BODY : 0,
	};

	if (rig.dials) {
		rig.dials = false;
		rig.n_servers++;
		forward_connected(&f, 0, NULL);
		return;
	}
	if ((rig.mode & WAITS) != 0 && f.phase != FORWARD_WAITS &&
	    f.body_sha256[0] == '\0') {
		v.verdict = EGRESS_WAIT;
		v.flags = EGRESS_GATHER;
	} else if ((rig.mode & WAITS) != 0 && (rig.mode & SAYS_NO) != 0) {
		v.verdict = EGRESS_DENY;
	} else {
		v.flags |= (rig.mode & WAITS) != 0 ? EGRESS_ONCE : 0;
		rig.yes = true;
	}
	rig.asked = false;
	forward_verdict(&f, &v, NULL);
}

static void
start(struct loop *loop, struct str client)
{
	rig.client.to_say = client;
	rig.client.heard = &rig.client_heard;
	buf_reset(&rig.client_heard);
	f = (struct forward){
		.ops = &ops,
		.loop = loop,
		.port = 80,
		.watch = (rig.mode & WATCHES) != 0 ? &watch : NULL,
	};
	memcpy(f.host, "h.example", 10);
	rig.closed = false;
	memory_end_open(&rig.client, &f.client, loop);
	forward_start(&f, STR(""));
}

/* Until the first request is over. */
static void
run(struct loop *loop, struct str client, struct str server)
{
	start(loop, client);
	rig.server.to_say = server;
	rig.server.heard = &rig.server_heard;
	for (int i = 0; !rig.closed && !rig.told && i < TURNS_MAX; i++) {
		bool idle = rig.client.to_say.n + rig.server.to_say.n == 0;

		must(rig.yes || rig.server_heard.n == 0);
		rig.client.turn = rig.server.turn = true;
		rig.head_only = str_eq(f.head.method, STR("HEAD"));
		if (rig.asked || rig.dials || f.phase == FORWARD_WAITS)
			owner_acts();
		else
			f.client.on_ready(&f.client, EPOLLIN);
		if (!rig.closed && stream_is_open(&f.server) && !rig.dials)
			f.server.on_ready(&f.server, EPOLLIN);
		if (idle && i > 8 && !rig.asked && !rig.dials)
			break;
	}
	if (!rig.closed)
		forward_stop(&f, true);
}

static void
sent_is_what_was_asked(void)
{
	own_arena struct arena a = {};
	struct message m;
	struct err e = {};
	const struct json *ask;
	struct str path, query, sha256;
	char hex[HASH_HEX_BYTES];
	struct hash h;
	uint64_t length;

	must(rig.yes || rig.n_servers == 0);
	must(rig.n_servers <= 1 || (rig.mode & WAITS) == 0);
	if (rig.server_heard.n == 0)
		return;
	must(rig.yes);
	message_read(&m, buf_str(&rig.server_heard), false);
	ask = json_parse(buf_str(&rig.ask), NULL, &a, &e, NULL);
	must(ask != NULL);
	if (m.head.method.n > 0) {
		path = json_str(json_get(ask, STR("path")));
		query = json_str(json_get(ask, STR("query")));
		must(str_eq(
		    m.head.method, json_str(json_get(ask, STR("method")))));
		must(m.head.target.n >= path.n &&
		    memcmp(m.head.target.p, path.p, path.n) == 0);
		must(m.head.target.n ==
			path.n + (query.n > 0 ? query.n + 1 : 0) ||
		    (query.n == 0 && m.head.target.n == path.n + 1));
	}
	sha256 = json_str(json_get(ask, STR("body_sha256")));
	if (m.whole && sha256.n > 0) {
		h = hash_of(m.body.p, m.body.n);
		hash_hex(&h, hex);
		must(str_eq_c(sha256, hex));
		must(json_u64(json_get(ask, STR("content_length")), &length) ==
			0 &&
		    length == m.body.n);
	}
	if (rig.kept)
		must(
		    m.whole && str_eq(buf_str(&rig.request), buf_str(&m.body)));
	buf_fini(&m.body);
}

static bool
same_text(struct str a, struct str b)
{
	own_buf struct buf one = {}, other = {};

	json_put_str(&one, a);
	json_put_str(&other, b);
	return str_eq(buf_str(&one), buf_str(&other));
}

/* The client has what was kept */
static void
client_has_what_was_kept(bool again)
{
	own_arena struct arena a = {};
	struct message m;
	struct err e = {};
	const struct json *fields;
	/* Those have none, whatever they say. */
	bool no_body = rig.head_only || rig.status == 204 || rig.status == 304;

	message_read(&m, buf_str(&rig.client_heard), true);
	must(m.whole && m.head.status == rig.status);
	must(
	    (again && no_body) || str_eq(buf_str(&m.body), buf_str(&rig.body)));
	fields = json_parse(buf_str(&rig.fields), NULL, &a, &e, NULL);
	must(fields != NULL);
	for (const struct json *k = json_first(fields); k != NULL;
	     k = json_next(fields, k)) {
		const struct json *name = json_first(k);
		const struct str *got = http1_get(&m.head, json_str(name));

		must(got != NULL);
		/* As text: a byte that is none is U+FFFD in the trace. */
		if (http1_count(&m.head, json_str(name)) == 1)
			must(same_text(*got, json_str(json_next(k, name))));
	}
	buf_fini(&m.body);
}

/* The trace answers another run's request. */
static void
give_again(struct loop *loop)
{
	own_buf struct buf doc = { .max = MEMORY_MAX };
	own_arena struct arena a = {};
	const struct msg_egress_verdict v = {
		.verdict = EGRESS_RESPOND,
		.status = rig.status,
	};
	struct err e = {};

	buf_add_c(&doc, "{\"answer\":{\"body_b64\":\"");
	base64_encode(&doc, buf_str(&rig.body), BASE64_STANDARD);
	buf_add_c(&doc, "\",\"fields\":");
	buf_add_str(&doc, buf_str(&rig.fields));
	buf_add_c(&doc, "}}");
	must(!doc.failed);
	rig.asked = rig.yes = rig.told = false;
	rig.client.turn = true;
	rig.client.piece = SIZE_MAX;
	start(loop,
	    rig.head_only ? STR("HEAD / HTTP/1.1\r\nHost: h.example\r\n\r\n")
			  : STR("GET / HTTP/1.1\r\nHost: h.example\r\n\r\n"));
	must(rig.asked && f.phase == FORWARD_ASKED);
	forward_verdict(&f, &v, json_parse(buf_str(&doc), NULL, &a, &e, NULL));
	client_has_what_was_kept(true);
	if (!rig.closed)
		forward_stop(&f, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct loop *loop;
	struct err e = {};
	size_t n;

	if (loop == NULL) {
		loop = loop_new(&e);
		watch_take(&watch, "KEY", STR("sk-live-000000000000"),
		    "pdk_12345678_abcdefg");
		rig.client_heard.max = rig.server_heard.max = MEMORY_MAX;
	}
	if (size < 4 || size > 60000)
		return 0;
	n = ((size_t)data[2] << 8 | data[3]) % (size - 3);
	memory_ends = NULL;
	buf_reset(&rig.server_heard);
	rig.mode = data[0];
	rig.client = rig.server =
	    (struct memory_end){ .piece = 1 + (size_t)data[1] * 8 };
	rig.asked = rig.yes = rig.dials = rig.told = false;
	rig.kept = rig.head_only = false;
	rig.n_servers = 0;
	run(loop, (struct str){ (const char *)data + 4, n },
	    (struct str){ (const char *)data + 4 + n, size - 4 - n });
	must(rig.yes || rig.server_heard.n == 0);
	sent_is_what_was_asked();
	if (rig.kept) {
		client_has_what_was_kept(false);
		give_again(loop);
	}
	must(memory_ends == NULL);
	return 0;
}
