#include "mcp_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "codec/http1.h"
#include "codec/json.h"
#include "sys/fd.h"

enum {
	READ_BYTES = 64 * 1024,
	ID_FIRST = 1000000, /* all ids are as long, so all requests are */
};

#define LEGACY "2025-11-25"
#define MODERN "2026-07-28"

static int url_open(struct mcp_client *c, struct str url, struct err *e);
static int tcp_connect(const struct sockaddr_in *at, struct err *e);
static int initialize(struct mcp_client *c, struct err *e);
static void call_put(struct mcp_client *c, struct str tool, struct str args);
static void request_put(
    struct mcp_client *c, struct str fields, struct str body);
static int round_trip(
    struct mcp_client *c, bool wants_message, int64_t *ns, struct err *e);
static int read_more(struct mcp_client *c, struct err *e);
static int line_read(struct mcp_client *c, struct err *e);
static int answer_read(
    struct mcp_client *c, bool wants_message, int64_t *end_ns, struct err *e);
static int message_find(struct mcp_client *c, bool stream, struct err *e);
static int result_check(
    const struct mcp_client *c, bool is_call, struct err *e);
static _Noreturn void floor_serve(
    int listener, size_t request_bytes, struct str answer);

void
mcp_client_fini(struct mcp_client *c)
{
	if (c->out != c->in)
		fd_fini(&c->out);
	fd_fini(&c->in);
	/* It ends when its input does; whether well is not our matter. */
	if (c->server > 0)
		(void)waitpid(c->server, NULL, 0);
	buf_fini(&c->fields);
	buf_fini(&c->request);
	buf_fini(&c->got);
	buf_fini(&c->content);
	buf_fini(&c->event);
	sse_fini(&c->sse);
}

int
mcp_client_http(struct mcp_client *c, enum mcp_speech speech, struct str url,
    struct str token, struct err *e)
{
	*c = (struct mcp_client){
		.speech = speech, .in = -1, .out = -1, .id = ID_FIRST
	};
	if (url_open(c, url, e) < 0)
		return -1;
	buf_printf(&c->fields,
	    "Host: %.*s\r\nContent-Type: application/json\r\n"
	    "Accept: application/json, text/event-stream\r\n",
	    STR_FMT(c->host));
	if (token.n > 0)
		buf_printf(&c->fields, "Authorization: Bearer %.*s\r\n",
		    STR_FMT(token));
	if (speech == MCP_SPEAK_MODERN) {
		buf_add_c(&c->fields, "MCP-Protocol-Version: " MODERN "\r\n");
		return 0;
	}
	return initialize(c, e);
}

int
mcp_client_stdio(struct mcp_client *c, char **argv, struct err *e)
{
	own_fd int to = -1, from = -1;
	posix_spawn_file_actions_t actions;
	int in[2], out[2], rc;

	*c = (struct mcp_client){
		.speech = MCP_SPEAK_STDIO, .in = -1, .out = -1, .id = ID_FIRST
	};
	if (pipe2(in, O_CLOEXEC) < 0)
		return err_sys(e, "pipe");
	to = in[0];
	c->out = in[1];
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_sys(e, "pipe");
	c->in = out[0];
	from = out[1];
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, to, STDIN_FILENO);
	(void)posix_spawn_file_actions_adddup2(&actions, from, STDOUT_FILENO);
	rc = posix_spawnp(&c->server, argv[0], &actions, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	if (rc != 0) {
		c->server = 0;
		errno = rc;
		return err_sys(e, "%s", argv[0]);
	}
	return initialize(c, e);
}

int
mcp_client_floor(
    struct mcp_client *c, const struct mcp_client *like, struct err *e)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);
	own_fd int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	*c = (struct mcp_client){ .speech = like->speech,
		.in = -1,
		.out = -1,
		.id = like->id,
		.host = like->host,
		.path = like->path,
		.stale = true };
	buf_add_str(&c->fields, buf_str(&like->fields));
	if (listener < 0 || bind(listener, (struct sockaddr *)&at, n) < 0 ||
	    listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &n) < 0)
		return err_sys(e, "listen");
	pid = fork();
	if (pid < 0)
		return err_sys(e, "fork");
	if (pid == 0)
		floor_serve(listener, like->request.n, buf_str(&like->got));
	c->server = pid;
	c->in = c->out = tcp_connect(&at, e);
	return c->in < 0 ? -1 : 0;
}

int
mcp_client_call(struct mcp_client *c, struct str tool, struct str args,
    int64_t *ns, struct err *e)
{
	call_put(c, tool, args);
	if (round_trip(c, true, ns, e) < 0 || result_check(c, true, e) < 0)
		return err_add(e, "%.*s", STR_FMT(tool));
	return 0;
}

int
mcp_client_ask(
    struct mcp_client *c, struct str tool, struct str args, struct err *e)
{
	call_put(c, tool, args);
	return fd_write_all(c->out, c->request.p, c->request.n, e);
}

int
mcp_client_hear(struct mcp_client *c, struct err *e)
{
	int64_t end;

	buf_reset(&c->got);
	c->json = STR("");
	if (answer_read(c, true, &end, e) < 0)
		return -1;
	return result_check(c, true, e);
}

static void
call_put(struct mcp_client *c, struct str tool, struct str args)
{
	own_buf struct buf body = {}, fields = {};

	buf_printf(&body,
	    "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"tools/call\","
	    "\"params\":{\"name\":\"%.*s\",\"arguments\":%.*s",
	    (unsigned long long)++c->id, STR_FMT(tool), STR_FMT(args));
	if (c->speech == MCP_SPEAK_MODERN) {
		buf_add_c(&body,
		    ",\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":"
		    "\"" MODERN "\",\"io.modelcontextprotocol/"
		    "clientCapabilities\":{}}");
		buf_printf(&fields,
		    "Mcp-Method: tools/call\r\nMcp-Name: %.*s\r\n",
		    STR_FMT(tool));
	}
	buf_add_c(&body, "}}");
	request_put(c, buf_str(&fields), buf_str(&body));
}

static int
url_open(struct mcp_client *c, struct str url, struct err *e)
{
	static const struct str scheme = STR("http://");
	struct sockaddr_in at = { .sin_family = AF_INET };
	struct str host = url;
	char name[INET_ADDRSTRLEN];
	uint64_t port;
	size_t colon;

	if (!str_starts(url, scheme))
		return err_set(e, "%.*s: not an http URL", STR_FMT(url));
	host.p += scheme.n;
	host.n -= scheme.n;
	c->path = host;
	host.n = str_find(host, '/');
	c->path.p += host.n;
	c->path.n -= host.n;
	c->host = host;
	colon = str_find(host, ':');
	if (colon == host.n ||
	    str_to_u64((struct str){ host.p + colon + 1, host.n - colon - 1 },
		&port) < 0 ||
	    port > UINT16_MAX ||
	    str_copy((struct str){ host.p, colon }, name, sizeof(name)) < 0 ||
	    inet_pton(AF_INET, name, &at.sin_addr) != 1)
		return err_set(
		    e, "%.*s: the host is not ADDRESS:PORT", STR_FMT(url));
	at.sin_port = htons((uint16_t)port);
	c->in = c->out = tcp_connect(&at, e);
	return c->in < 0 ? -1 : 0;
}

static int
tcp_connect(const struct sockaddr_in *at, struct err *e)
{
	own_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int on = 1;

	if (fd < 0)
		return err_sys(e, "socket");
	if (connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0)
		return err_sys(e, "connect");
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		return err_sys(e, "TCP_NODELAY");
	return fd_take(&fd);
}

static int
initialize(struct mcp_client *c, struct err *e)
{
	struct http1_head h;
	const struct str *session;
	uint16_t status;
	int64_t ns;

	request_put(c, STR(""),
	    STR("{\"jsonrpc\":\"2.0\",\"id\":1000000,\"method\":\"initialize\","
		"\"params\":{\"protocolVersion\":\"" LEGACY "\","
		"\"capabilities\":{},\"clientInfo\":{\"name\":\"bench\","
		"\"version\":\"1\"}}}"));
	if (round_trip(c, true, &ns, e) < 0 || result_check(c, false, e) < 0)
		return err_add(e, "initialize");
	if (c->speech == MCP_SPEAK_LEGACY) {
		if (http1_response(c->got.p, c->got.n, false, &h, &status, e) <=
		    0)
			return err_add(e, "initialize");
		session = http1_get(&h, STR("Mcp-Session-Id"));
		if (session != NULL)
			buf_printf(&c->fields, "Mcp-Session-Id: %.*s\r\n",
			    STR_FMT(*session));
		buf_add_c(&c->fields, "MCP-Protocol-Version: " LEGACY "\r\n");
	}
	request_put(c, STR(""),
	    STR("{\"jsonrpc\":\"2.0\",\"method\":"
		"\"notifications/initialized\"}"));
	if (c->speech == MCP_SPEAK_STDIO)
		return fd_write_all(c->out, c->request.p, c->request.n, e);
	return round_trip(c, false, &ns, e);
}

static void
request_put(struct mcp_client *c, struct str fields, struct str body)
{
	struct buf *b = &c->request;

	buf_reset(b);
	if (c->speech != MCP_SPEAK_STDIO) {
		buf_printf(b, "POST %.*s HTTP/1.1\r\n", STR_FMT(c->path));
		buf_add_str(b, buf_str(&c->fields));
		buf_add_str(b, fields);
		buf_printf(b, "Content-Length: %zu\r\n\r\n", body.n);
	}
	buf_add_str(b, body);
	if (c->speech == MCP_SPEAK_STDIO)
		buf_add_byte(b, '\n');
}

/* wants_message: false for a notification, which is answered with a head. */
static int
round_trip(struct mcp_client *c, bool wants_message, int64_t *ns, struct err *e)
{
	int64_t began, ended = 0;
	int r;

	buf_reset(&c->got);
	c->json = STR("");
	began = clock_mono_ns();
	if (fd_write_all(c->out, c->request.p, c->request.n, e) < 0)
		return -1;
	if (c->speech == MCP_SPEAK_STDIO) {
		r = line_read(c, e);
		ended = clock_mono_ns();
	} else {
		r = answer_read(c, wants_message, &ended, e);
	}
	*ns = ended - began;
	return r;
}

static int
read_more(struct mcp_client *c, struct err *e)
{
	char *to = buf_reserve(&c->got, READ_BYTES);
	ssize_t r;

	if (to == NULL)
		return err_set(e, "the answer is too long");
	do {
		r = read(c->in, to, READ_BYTES);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_sys(e, "read");
	if (r == 0)
		return err_set(e, "the server closed the connection");
	c->got.n += (size_t)r;
	return 0;
}

static int
line_read(struct mcp_client *c, struct err *e)
{
	do {
		if (read_more(c, e) < 0)
			return -1;
	} while (c->got.p[c->got.n - 1] != '\n');
	c->json = (struct str){ c->got.p, c->got.n - 1 };
	return 0;
}

/* Reads to the end of the body; *end_ns is when the message was whole. */
static int
answer_read(
    struct mcp_client *c, bool wants_message, int64_t *end_ns, struct err *e)
{
	struct http1_head h;
	struct http1_body body;
	const struct str *type;
	uint16_t status;
	size_t at;
	ssize_t r;
	bool stream;

	do {
		if (read_more(c, e) < 0)
			return -1;
		r = http1_response(c->got.p, c->got.n, false, &h, &status, e);
	} while (r == 0);
	if (r < 0)
		return -1;
	status = h.status;
	type = http1_get(&h, STR("Content-Type"));
	stream = type != NULL && str_starts(*type, STR("text/event-stream"));
	at = (size_t)r;
	buf_reset(&c->content);
	sse_fini(&c->sse);
	c->sse = (struct sse){};
	http1_body_init(&body, &h, READ_BYTES);
	for (;;) {
		uint16_t bad;

		if (!body.done) {
			r = http1_body_feed(&body, c->got.p + at, c->got.n - at,
			    &c->content, &bad, e);
			if (r < 0)
				return -1;
			at += (size_t)r;
		}
		if (wants_message && c->json.n == 0 && (stream || body.done)) {
			if (message_find(c, stream, e) < 0)
				return -1;
			if (c->json.n > 0)
				*end_ns = clock_mono_ns();
		}
		if (body.done)
			break;
		if (read_more(c, e) < 0)
			return -1;
	}
	if (status != (wants_message ? 200 : 202))
		return err_set(e, "status %u: %.*s", status,
		    STR_FMT(buf_str(&c->content)));
	if (wants_message && c->json.n == 0)
		return err_set(e, "the stream ended without an answer");
	return 0;
}

/* Sets json when the body, as far as it is here, holds the answer. */
static int
message_find(struct mcp_client *c, bool stream, struct err *e)
{
	struct sse_event ev;

	if (!stream) {
		c->json = buf_str(&c->content);
		return 0;
	}
	if (sse_feed(&c->sse, buf_str(&c->content)) < 0)
		return err_set(e, "an event is over the limit");
	buf_reset(&c->content);
	while (sse_next(&c->sse, &ev)) {
		/* Peers begin with an empty event; its id resumes a stream. */
		if (ev.data.n == 0 || c->json.n > 0)
			continue;
		buf_reset(&c->event);
		buf_add_str(&c->event, ev.data);
		c->json = buf_str(&c->event);
	}
	return 0;
}

static int
result_check(const struct mcp_client *c, bool is_call, struct err *e)
{
	own_arena struct arena a = {};
	const struct json *doc = json_parse(c->json, NULL, &a, e, NULL);
	const struct json *result = json_get(doc, STR("result"));
	uint64_t id;

	if (doc == NULL)
		return err_add(e, "answer");
	if (!json_is(result, JSON_OBJECT) ||
	    (is_call &&
		(json_bool(json_get(result, STR("isError")), false) ||
		    !json_is(json_get(result, STR("content")), JSON_ARRAY))))
		return err_set(e, "no result: %.*s", STR_FMT(c->json));
	if (!c->stale &&
	    (json_u64(json_get(doc, STR("id")), &id) < 0 || id != c->id))
		return err_set(
		    e, "an answer to something else: %.*s", STR_FMT(c->json));
	return 0;
}

static _Noreturn void
floor_serve(int listener, size_t request_bytes, struct str answer)
{
	static char bytes[READ_BYTES];
	struct err e = {};
	const int on = 1;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	size_t got = 0;
	ssize_t r;

	if (fd < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		_exit(1);
	while ((r = read(fd, bytes, sizeof(bytes))) > 0) {
		got += (size_t)r;
		if (got < request_bytes)
			continue;
		got = 0;
		if (fd_write_all(fd, answer.p, answer.n, &e) < 0)
			_exit(1);
	}
	_exit(0);
}
