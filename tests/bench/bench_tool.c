/*
 * bench_tool: the fake services as an MCP server of their own, with nothing
 * in front of them: what a call takes by itself.
 *
 * usage: bench_tool PORT WORLD. It listens on 127.0.0.1 until it is killed,
 * takes a `tools/call` in every POST, and answers as paddock's door does. One
 * process, no policy, no record: what paddock adds is the difference to this.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "codec/json.h"
#include "ipc/http_server.h"
#include "sys/fd.h"
#include "world/fdvfs.h"
#include "world/world.h"

static struct {
	struct loop *loop;
	struct http_server http;
	struct http_listener listener;
	struct world *world;
	struct arena arena;
	struct buf result, answer;
} tool;

static void on_request(struct http_conn *c);
static bool on_hangup(struct http_conn *c);
static void on_close(struct http_conn *c);
static void refuse(struct http_conn *c, uint16_t status, const char *why);
static void on_round(void *arg);
static int start(const char *port, const char *world, struct err *e);
static int listen_at(uint16_t port, struct err *e);

static const struct http_ops ops = {
	.conn_bytes = sizeof(struct http_conn),
	.on_request = on_request,
	.on_hangup = on_hangup,
	.on_close = on_close,
	.refuse = refuse,
};

int
main(int argc, char **argv)
{
	struct err e = {};

	if (argc != 3) {
		fputs("usage: bench_tool PORT WORLD\n", stderr);
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN); /* write(2) says so */
	if (start(argv[1], argv[2], &e) < 0 ||
	    loop_run(tool.loop, on_round, NULL, &e) < 0) {
		fprintf(stderr, "bench_tool: %s\n", e.text);
		return 1;
	}
	return 0;
}

static int
start(const char *port, const char *world, struct err *e)
{
	own_buf struct buf document = {};
	uint64_t number;
	int fd;

	if (str_to_u64(str_of(port), &number) < 0 || number > UINT16_MAX)
		return err_set(e, "%s is no port", port);
	if (file_read(world, &document, IPC_MAX_PAYLOAD_BYTES, e) < 0 ||
	    fdvfs_init(e) < 0)
		return -1;
	fd = memfd_create("world", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "memfd_create");
	tool.world = world_new_take(fd, buf_str(&document), e);
	tool.loop = loop_new(e);
	if (tool.world == NULL || tool.loop == NULL)
		return -1;
	http_server_init(&tool.http, tool.loop, &ops, &http_default_limits);
	fd = listen_at((uint16_t)number, e);
	if (fd < 0)
		return -1;
	return http_listener_open_take(&tool.http, &tool.listener, fd, e);
}

static int
listen_at(uint16_t port, struct err *e)
{
	own_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(fd, SOMAXCONN) < 0)
		return err_sys(e, "listen on port %u", port);
	return fd_take(&fd);
}

static void
on_request(struct http_conn *c)
{
	struct err e = {};
	const struct json *m, *params, *args;
	struct buf *b = &tool.answer;
	bool wrote, failed;

	arena_reset(&tool.arena);
	m = json_parse(c->body, NULL, &tool.arena, &e, NULL);
	params = json_get(m, STR("params"));
	args = json_get(params, STR("arguments"));
	if (!json_is(args, JSON_OBJECT)) {
		refuse(c, 400, "not a call of a tool");
		return;
	}
	buf_reset(&tool.result);
	failed = world_call(tool.world, json_str(json_get(params, STR("name"))),
		     args, clock_utc_ns(), &tool.result, &wrote) != 0;
	buf_reset(b);
	buf_add_str(b, STR("{\"jsonrpc\":\"2.0\",\"id\":"));
	json_write(b, json_get(m, STR("id")));
	buf_add_str(b,
	    STR(",\"result\":{\"resultType\":\"complete\","
		"\"content\":[{\"type\":\"text\",\"text\":"));
	json_put_str(b, buf_str(&tool.result));
	buf_add_str(b, STR("}],\"structuredContent\":"));
	buf_add_str(b, buf_str(&tool.result));
	buf_printf(b, ",\"isError\":%s}}", failed ? "true" : "false");
	must(!b->failed);
	http_reply(c, 200, STR(""), STR("application/json"), buf_str(b));
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
	(void)c;
}

static void
refuse(struct http_conn *c, uint16_t status, const char *why)
{
	http_reply(c, status, STR(""), STR("text/plain"), str_of(why));
}

static void
on_round(void *arg)
{
	(void)arg;
	http_server_reap(&tool.http);
}
