/*
 * bench_parse: what it costs to read one request, and to write it again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/must.h"
#include "codec/http1.h"
#include "codec/json.h"

enum { ROUNDS = 200 * 1000 };

/* As an MCP client on node sends them. */
static const struct str head = STR(
    "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:7070\r\nconnection: keep-alive\r\n"
    "content-type: application/json\r\n"
    "accept: application/json, text/event-stream\r\n"
    "mcp-protocol-version: 2025-11-25\r\n"
    "mcp-session-id: 5d5cf1bc7f9f4c0f8a9a4b37d2a1f0c3\r\n"
    "accept-language: *\r\nsec-fetch-mode: cors\r\nuser-agent: node\r\n"
    "accept-encoding: gzip, deflate\r\ncontent-length: 218\r\n\r\n");
static const struct str body =
    STR("{\"jsonrpc\":\"2.0\",\"id\":41,\"method\":\"tools/call\",\"params\":{"
	"\"name\":\"ticket.reply_draft\",\"arguments\":{\"ticket\":\"T-1041\","
	"\"body\":\"Hello Dana,\\n\\nyour invoice shows one payment, and there "
	"were two.\\nWe are looking into it.\",\"amount\":49.00}}}");

static void row(const char *name, int64_t ns, size_t bytes);
static int64_t read_heads(void);
static int64_t read_bodies(void);
static int64_t write_bodies(void);

int
main(void)
{
	row("http1_request", read_heads(), head.n);
	row("json_parse", read_bodies(), body.n);
	row("json_write", write_bodies(), body.n);
	return 0;
}

static void
row(const char *name, int64_t ns, size_t bytes)
{
	double each = (double)ns / ROUNDS;

	printf("%-14s %7.0f ns for %zu bytes, %.0f MB/s\n", name, each, bytes,
	    (double)bytes * 1e3 / each);
}

static int64_t
read_heads(void)
{
	static struct http1_head h;
	int64_t began = clock_mono_ns();
	uint16_t status;
	struct err e;

	for (int i = 0; i < ROUNDS; i++)
		must(http1_request(head.p, head.n, &h, &status, &e) ==
		    (ssize_t)head.n);
	return clock_mono_ns() - began;
}

static int64_t
read_bodies(void)
{
	own_arena struct arena a = {};
	int64_t began = clock_mono_ns();
	struct err e;

	for (int i = 0; i < ROUNDS; i++) {
		arena_reset(&a);
		must(json_parse(body, NULL, &a, &e, NULL) != NULL);
	}
	return clock_mono_ns() - began;
}

static int64_t
write_bodies(void)
{
	own_arena struct arena a = {};
	own_buf struct buf out = {};
	struct err e;
	const struct json *v = json_parse(body, NULL, &a, &e, NULL);
	int64_t began = clock_mono_ns();

	for (int i = 0; i < ROUNDS; i++) {
		buf_reset(&out);
		json_write(&out, v);
	}
	must(!out.failed && out.n > 0);
	return clock_mono_ns() - began;
}
