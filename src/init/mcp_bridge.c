#include "init/mcp_bridge.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"

static bool calls_pending(const struct bridge *b, bool only_ordered);
static bool call_is_pending(const struct bridge_call *c);
static struct bridge_call *call_free(struct bridge *b);
static void call_start(struct bridge *b, const struct mcp_message *m);
static void call_ready(struct bridge_call *c, short revents);
static void call_finish(struct bridge_call *c);
static void call_fail(struct bridge_call *c, const char *why);
static void call_late(struct bridge_call *c, bool drained);
static void deadline_set(struct bridge_call *c, int64_t ms);
static void stream_start(struct bridge *b);
static bool delete_start(struct bridge *b);
static int round_wait(struct bridge *b, struct err *e);
static int round_timeout_ms(const struct bridge *b);
static void deadlines_check(struct bridge *b);
static void input_read(struct bridge *b);
static void input_end(struct bridge *b);
static void lines_take(struct bridge *b);
static bool line_find(struct bridge *b, struct str *line);
static void on_line(struct bridge *b, struct str line);
static void on_cancel(struct bridge *b, const struct mcp_message *m);
static void on_event(struct exchange *x, struct str data);
static void on_answer(struct bridge_call *c, struct str text);
static void agree(struct bridge_call *c, const struct mcp_message *m);
static void error_put(
    struct bridge *b, struct str id, int code, const char *text);
static void line_put(struct bridge *b, struct str text);
static void output_put(struct bridge *b, struct str text);

static const int64_t ns_per_ms = 1000000;

void
bridge_init(struct bridge *b)
{
	*b = (struct bridge){
		/* The longest line, and a read that goes past it. */
		.in = { .max = JSON_MAX_BYTES + 2 * BRIDGE_READ_BYTES },
		.arena = { .max_bytes = BRIDGE_MAX_PARSE_BYTES },
	};
	for (size_t i = 0; i < BRIDGE_MAX_CALLS; i++) {
		b->calls[i].bridge = b;
		b->calls[i].x.fd = -1;
		b->calls[i].x.on_event = on_event;
	}
}

void
bridge_fini(struct bridge *b)
{
	for (size_t i = 0; i < BRIDGE_MAX_CALLS; i++) {
		struct bridge_call *c = &b->calls[i];

		/* It holds the token. */
		if (c->x.out.p != NULL)
			explicit_bzero(c->x.out.p, c->x.out.cap);
		exchange_fini(&c->x);
		buf_fini(&c->id);
	}
	if (b->door.token.p != NULL)
		explicit_bzero(b->door.token.p, b->door.token.cap);
	buf_fini(&b->door.token);
	buf_fini(&b->in);
	arena_fini(&b->arena);
}

int
bridge_run(struct bridge *b, struct err *e)
{
	while (!b->broken) {
		lines_take(b);
		stream_start(b);
		if (b->ended && b->in.n == 0 && !calls_pending(b, false) &&
		    !delete_start(b))
			break;
		if (round_wait(b, e) < 0)
			return -1;
		deadlines_check(b);
	}
	if (b->broken)
		return err_set(e, "standard output is closed");
	if (b->gave_up)
		return err_set(e, "not every request was answered in time");
	return 0;
}

void
bridge_complain(const char *fmt, ...)
{
	va_list ap;

	(void)fputs("paddock mcp: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}

static bool
calls_pending(const struct bridge *b, bool only_ordered)
{
	for (size_t i = 0; i < BRIDGE_MAX_CALLS; i++) {
		const struct bridge_call *c = &b->calls[i];

		if (call_is_pending(c) && (c->is_ordered || !only_ordered))
			return true;
	}
	return false;
}

static bool
call_is_pending(const struct bridge_call *c)
{
	return c->x.state != EXCHANGE_FREE && c->x.state != EXCHANGE_IDLE;
}

/* One that is not under way: with a connection, if there is such a one. */
static struct bridge_call *
call_free(struct bridge *b)
{
	struct bridge_call *found = NULL;

	for (size_t i = 0; i < BRIDGE_MAX_CALLS; i++) {
		struct bridge_call *c = &b->calls[i];

		if (c->x.state == EXCHANGE_IDLE)
			return c;
		if (c->x.state == EXCHANGE_FREE && found == NULL)
			found = c;
	}
	return found;
}

static void
call_start(struct bridge *b, const struct mcp_message *m)
{
	struct bridge_call *c = call_free(b);
	struct err e = {};

	must(c != NULL); /* lines_take has looked */
	c->is_initialize = m->is_initialize;
	c->is_listen = m->is_listen;
	c->is_modern = m->version.n > 0;
	c->is_ordered = m->is_initialize || !mcp_message_is_request(m);
	c->is_delete = c->is_stream = false;
	deadline_set(c, c->is_ordered ? BRIDGE_ORDERED_MS : BRIDGE_CONNECT_MS);
	buf_reset(&c->id);
	if (mcp_message_is_request(m))
		json_write(&c->id, m->id);

	if (str_eq_c(m->method, "notifications/initialized"))
		b->wants_stream = true;
	/* What a message of the new era says holds for later ones too. */
	if (c->is_modern &&
	    str_copy(m->version, b->door.version, sizeof(b->door.version)) == 0)
		b->door.is_modern = true;
	buf_reset(&c->x.out);
	mcp_request_put(&c->x.out, &b->door, m);
	if (c->x.out.failed)
		call_fail(c, "no memory for the request");
	else if (exchange_start(&c->x, &b->door.url, &e) < 0)
		call_fail(c, e.text);
}

static void
call_ready(struct bridge_call *c, short revents)
{
	struct err e = {};

	if (c->x.state == EXCHANGE_IDLE)
		exchange_close(&c->x); /* the server did */
	else if (exchange_ready(&c->x, revents, &e) < 0)
		call_fail(c, e.text);
	else if (c->x.state == EXCHANGE_DONE)
		call_finish(c);
}

static void
call_finish(struct bridge_call *c)
{
	struct exchange *x = &c->x;
	char why[64];

	if (c->id.n > 0 && x->is_json && x->content.n > 0)
		on_answer(c, buf_str(&x->content));
	if (c->id.n > 0 ||
	    (x->status >= 300 && c->is_ordered && !c->is_initialize)) {
		/* An answer is owed, or a notification was refused. */
		(void)snprintf(why, sizeof(why), "HTTP %u %s%s", x->status,
		    http1_reason(x->status),
		    x->status < 300 ? ", but no answer" : "");
		x->keep_alive = false;
		call_fail(c, why);
		return;
	}
	exchange_end(x);
	deadline_set(c, BRIDGE_IDLE_MS);
}

/* Answers with an error if an answer is owed, and gives up the connection. */
static void
call_fail(struct bridge_call *c, const char *why)
{
	struct bridge *b = c->bridge;
	const char *doubt = "";
	char text[ERR_TEXT_BYTES + BRIDGE_MAX_URL_BYTES];

	if (c->x.state == EXCHANGE_OPEN && c->id.n > 0)
		doubt = "; whether the request was carried out is not known";
	exchange_close(&c->x);
	if (c->is_delete || c->is_stream)
		return;
	(void)snprintf(text, sizeof(text), "MCP door %.*s: %s%s",
	    STR_FMT(b->door.url.authority), why, doubt);
	if (c->id.n == 0) {
		bridge_complain("%s", text);
		return;
	}
	error_put(b, buf_str(&c->id), MCP_SERVER_ERROR, text);
	buf_reset(&c->id);
}

/* Its deadline is over, or (drained) that of all of them. */
static void
call_late(struct bridge_call *c, bool drained)
{
	switch (c->x.state) {
	case EXCHANGE_FREE:
	case EXCHANGE_DONE:
		break;
	case EXCHANGE_IDLE:
		exchange_close(&c->x);
		break;
	case EXCHANGE_CONNECT:
		call_fail(c, "connect: no answer in time");
		break;
	case EXCHANGE_OPEN:
		/* It connected in time, and may take as long as it likes. */
		if (!drained && !c->is_ordered && !c->is_delete)
			c->deadline_ns = 0;
		else
			call_fail(c, "no answer in time");
		break;
	}
}

static void
deadline_set(struct bridge_call *c, int64_t ms)
{
	c->deadline_ns = clock_mono_ns() + ms * ns_per_ms;
}

/*
 * A session of the old era is told on a stream of its own that resources and
 * lists have changed. Once: a door that has none, or ends it, says so.
 */
static void
stream_start(struct bridge *b)
{
	struct bridge_call *c;
	struct err e = {};

	if (!b->wants_stream || b->ended || b->door.session[0] == '\0' ||
	    calls_pending(b, true))
		return;
	c = call_free(b);
	if (c == NULL)
		return; /* another time */
	b->wants_stream = false;
	buf_reset(&c->x.out);
	mcp_stream_put(&c->x.out, &b->door);
	c->is_initialize = c->is_modern = c->is_ordered = c->is_delete = false;
	c->is_listen = c->is_stream = true;
	buf_reset(&c->id);
	deadline_set(c, BRIDGE_CONNECT_MS);
	if (c->x.out.failed || exchange_start(&c->x, &b->door.url, &e) < 0)
		exchange_close(&c->x);
}

/* True when the session's end is on its way: once, and only if there is one. */
static bool
delete_start(struct bridge *b)
{
	struct bridge_call *c = call_free(b);
	struct err e = {};

	if (b->door.session[0] == '\0')
		return false;
	must(c != NULL); /* nothing is pending */
	buf_reset(&c->x.out);
	mcp_delete_put(&c->x.out, &b->door);
	b->door.session[0] = '\0';
	c->is_initialize = c->is_listen = c->is_modern = c->is_ordered = false;
	c->is_stream = false;
	c->is_delete = true;
	buf_reset(&c->id);
	deadline_set(c, BRIDGE_CLOSE_MS);
	return !c->x.out.failed && exchange_start(&c->x, &b->door.url, &e) == 0;
}

/* Waits until something happens, and does what it calls for. */
static int
round_wait(struct bridge *b, struct err *e)
{
	struct pollfd fds[BRIDGE_MAX_CALLS + 2];
	struct bridge_call *calls[BRIDGE_MAX_CALLS];
	struct pollfd *input, *output;
	size_t n = 0;

	for (size_t i = 0; i < BRIDGE_MAX_CALLS; i++) {
		const struct exchange *x = &b->calls[i].x;

		if (exchange_events(x) == 0)
			continue;
		calls[n] = &b->calls[i];
		fds[n++] = (struct pollfd){ x->fd, exchange_events(x), 0 };
	}
	/* Nothing is read past a line that cannot go out yet. */
	input = &fds[n];
	*input = (struct pollfd){ STDIN_FILENO, POLLIN, 0 };
	if (b->ended || b->looked < b->in.n)
		input->fd = -1;
	/* For its end only, which poll(2) tells unasked. */
	output = &fds[n + 1];
	*output = (struct pollfd){ STDOUT_FILENO, 0, 0 };

	if (poll(fds, n + 2, round_timeout_ms(b)) < 0)
		return errno == EINTR ? 0 : err_sys(e, "poll");
	for (size_t i = 0; i < n; i++) {
		if (fds[i].revents != 0)
			call_ready(calls[i], fds[i].revents);
	}
	if (input->revents != 0)
		input_read(b);
	if (output->revents != 0)
		b->broken = true;
	return 0;
}

static int
round_timeout_ms(const struct bridge *b)
{
	int64_t now_ns = clock_mono_ns();
	int64_t first_ns = b->drain_ns;

	for (size_t i = 0; i < BRIDGE_MAX_CALLS; i++) {
		const struct bridge_call *c = &b->calls[i];

		if (c->x.state != EXCHANGE_FREE && c->deadline_ns != 0 &&
		    (first_ns == 0 || c->deadline_ns < first_ns))
			first_ns = c->deadline_ns;
	}
	if (first_ns == 0)
		return -1;
	if (first_ns <= now_ns)
		return 0;
	return (int)((first_ns - now_ns) / ns_per_ms) + 1;
}

static void
deadlines_check(struct bridge *b)
{
	int64_t now_ns = clock_mono_ns();
	bool drained = b->drain_ns != 0 && b->drain_ns <= now_ns;

	if (drained) {
		b->drain_ns = 0;
		b->gave_up = calls_pending(b, false) || b->in.n > 0;
		buf_reset(&b->in);
		b->looked = 0;
	}
	for (size_t i = 0; i < BRIDGE_MAX_CALLS; i++) {
		struct bridge_call *c = &b->calls[i];

		if (drained ||
		    (c->deadline_ns != 0 && c->deadline_ns <= now_ns))
			call_late(c, drained);
	}
}

static void
input_read(struct bridge *b)
{
	char *at = buf_reserve(&b->in, BRIDGE_READ_BYTES);
	ssize_t n;

	if (at == NULL || b->in.n > JSON_MAX_BYTES) {
		if (!b->skips_line)
			error_put(b, STR("null"), MCP_PARSE_ERROR,
			    "a line over 4 MiB is not taken");
		b->skips_line = true;
		buf_reset(&b->in);
		b->looked = 0;
		return;
	}
	n = read(STDIN_FILENO, at, BRIDGE_READ_BYTES);
	if (n > 0) {
		b->in.n += (size_t)n;
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		bridge_complain("standard input: %s", strerror(errno));
	input_end(b);
}

static void
input_end(struct bridge *b)
{
	b->ended = true;
	b->drain_ns = clock_mono_ns() + BRIDGE_DRAIN_MS * ns_per_ms;

	/* The last line may lack its end. */
	if (b->in.n > 0)
		buf_add_byte(&b->in, '\n');
	/* A subscription lasts as long as its listener, who is gone. */
	for (size_t i = 0; i < BRIDGE_MAX_CALLS; i++) {
		if (b->calls[i].is_listen)
			exchange_close(&b->calls[i].x);
	}
}

/* As many lines as can go out now. */
static void
lines_take(struct bridge *b)
{
	struct str line;

	while (call_free(b) != NULL && !calls_pending(b, true) &&
	    line_find(b, &line)) {
		size_t taken = line.n + 1;

		if (str_ends(line, STR("\r")))
			line.n--;
		if (!b->skips_line && str_trim(line).n > 0)
			on_line(b, line);
		b->skips_line = false;
		buf_drop(&b->in, taken);
	}
}

static bool
line_find(struct bridge *b, struct str *line)
{
	struct str rest = { b->in.p + b->looked, b->in.n - b->looked };
	size_t end = str_find(rest, '\n');

	b->looked += end;
	if (end == rest.n)
		return false;
	*line = (struct str){ b->in.p, b->looked };
	b->looked = 0;
	return true;
}

static void
on_line(struct bridge *b, struct str line)
{
	own_buf struct buf id = {};
	struct mcp_message m;
	struct err e = {};
	int code;

	arena_reset(&b->arena);
	if (mcp_message_read(&m, str_trim(line), &b->arena, &code, &e) < 0) {
		if (m.id != NULL)
			json_write(&id, m.id);
		error_put(
		    b, id.n > 0 ? buf_str(&id) : STR("null"), code, e.text);
	} else if (m.is_cancel && (b->door.is_modern || m.version.n > 0)) {
		on_cancel(b, &m);
	} else {
		call_start(b, &m);
	}
}

/* In the new era a request is cancelled by closing its connection. */
static void
on_cancel(struct bridge *b, const struct mcp_message *m)
{
	const struct json *id = json_at(m->root, "params", "requestId", NULL);
	own_buf struct buf text = {};

	if (id == NULL)
		return;
	json_write(&text, id);
	for (size_t i = 0; i < BRIDGE_MAX_CALLS; i++) {
		struct bridge_call *c = &b->calls[i];

		if (call_is_pending(c) && c->is_modern &&
		    str_eq(buf_str(&c->id), buf_str(&text)))
			exchange_close(&c->x);
	}
}

static void
on_event(struct exchange *x, struct str data)
{
	/* An empty one only says that the stream is open. */
	if (str_trim(data).n > 0)
		on_answer((struct bridge_call *)(void *)((char *)x -
			      offsetof(struct bridge_call, x)),
		    data);
}

/* A message from the door: what it owes us, or something by the way. */
static void
on_answer(struct bridge_call *c, struct str text)
{
	struct bridge *b = c->bridge;
	own_buf struct buf id = {};
	own_buf struct buf line = {};
	struct mcp_message m;
	struct err e = {};
	int code;

	arena_reset(&b->arena);
	if (mcp_message_read(&m, text, &b->arena, &code, &e) < 0) {
		(void)err_add(&e, "its answer is not a message");
		if (c->id.n > 0)
			error_put(b, buf_str(&c->id), MCP_SERVER_ERROR, e.text);
		else
			bridge_complain("%s", e.text);
		buf_reset(&c->id);
		return;
	}
	if (m.method.n > 0 || c->id.n == 0) {
		line_put(b, text);
		return;
	}
	if (m.id != NULL) {
		json_write(&id, m.id);
		line_put(b, text);
		if (str_eq(buf_str(&id), buf_str(&c->id))) {
			agree(c, &m);
			buf_reset(&c->id);
		}
		return;
	}

	/* An error that could not say whose it is. We can. */
	buf_add_c(&line, "{\"jsonrpc\":\"2.0\",\"id\":");
	buf_add_str(&line, buf_str(&c->id));
	buf_add_c(&line, ",\"error\":");
	json_write(&line, json_get(m.root, STR("error")));
	buf_add_byte(&line, '}');
	line_put(b, buf_str(&line));
	buf_reset(&c->id);
}

/* What the answer to initialize says holds for all later requests. */
static void
agree(struct bridge_call *c, const struct mcp_message *m)
{
	struct mcp_door *d = &c->bridge->door;
	const struct json *version =
	    json_at(m->root, "result", "protocolVersion", NULL);

	if (!c->is_initialize || version == NULL)
		return;
	if (str_copy(json_str(version), d->version, sizeof(d->version)) < 0)
		d->version[0] = '\0';
	d->is_modern = false;
	(void)str_copy(str_of(c->x.session), d->session, sizeof(d->session));
}

static void
error_put(struct bridge *b, struct str id, int code, const char *text)
{
	own_buf struct buf line = {};

	mcp_error_put(&line, id, code, str_of(text));
	line_put(b, buf_str(&line));
}

/* JSON has line ends only between its parts, where a blank does as well. */
static void
line_put(struct bridge *b, struct str text)
{
	own_buf struct buf line = {};

	buf_add_str(&line, str_trim(text));
	for (size_t i = 0; i < line.n; i++) {
		if (line.p[i] == '\n' || line.p[i] == '\r')
			line.p[i] = ' ';
	}
	buf_add_byte(&line, '\n');
	output_put(b, buf_str(&line));
}

/* Waits for a slow reader: holding everything up is what it asks for. */
static void
output_put(struct bridge *b, struct str text)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };

	while (text.n > 0 && !b->broken) {
		ssize_t n = write(STDOUT_FILENO, text.p, text.n);

		if (n >= 0) {
			text.p += n;
			text.n -= (size_t)n;
		} else if (errno == EAGAIN) {
			b->broken = poll(&out, 1, -1) < 0 && errno != EINTR;
		} else if (errno != EINTR) {
			b->broken = true;
		}
	}
}
