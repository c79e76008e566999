/*
 * One client's view of a command: a plain answer, a stream of events, or a
 * connection of frames.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/must.h"
#include "codec/base64.h"
#include "codec/exec_frame.h"
#include "codec/json_text.h"
#include "gateway/answer.h"
#include "gateway/exec.h"

enum { READ_BYTES = 16 * 1024 };

static void show_plain(struct exec_view *v);
static void show_events(struct exec_view *v);
static void show_frames(struct exec_view *v);
static bool frames_send(struct exec_view *v);
static void frames_want(struct exec_view *v);
static void on_taken(struct visit *visit, uint32_t events);
static int frames_read(struct exec_view *v, struct err *e);
static int frame_do(
    struct exec_view *v, const struct exec_frame *f, struct err *e);
static void on_drained(struct visit *visit);
static void on_gone(struct visit *visit);

static const char *const names[EXEC_STREAMS] = { "stdout", "stderr" };

struct exec_view *
exec_view_new(struct exec *x, struct client *cl, enum view_kind kind,
    struct exec_cursor from)
{
	static const struct visit_ops ops = { on_taken, on_drained, on_gone };
	struct exec_view *v = calloc(1, sizeof(*v));

	must(v != NULL);
	v->exec = x;
	v->kind = kind;
	v->cursor = from;
	v->owner = !x->started && !x->background;
	v->in.max = FRAME_HEAD_BYTES + EXEC_FRAME_MAX_BYTES + READ_BYTES;
	v->out.max = (size_t)4 * EXEC_FRAME_MAX_BYTES;
	v->next = x->views;
	x->views = v;
	visit_begin(&v->visit, cl, &ops);
	return v;
}

void
exec_view_started(struct exec_view *v)
{
	struct client *cl = v->visit.client;

	v->shown = true;
	if (v->kind == VIEW_STARTED) {
		struct buf *b = &cl->gateway->body;

		buf_reset(b);
		buf_printf(
		    b, "{\"exec\":%llu}", (unsigned long long)v->exec->number);
		visit_end(&v->visit);
		answer_json(cl, 201, buf_str(b));
		return;
	}
	if (v->kind == VIEW_EVENTS) {
		http_stream_begin(&cl->conn,
		    STR("Cache-Control: no-cache\r\nX-Accel-Buffering: "
			"no\r\n"),
		    STR("text/event-stream"));
	} else if (v->kind == VIEW_FRAMES) {
		http_switch(&cl->conn,
		    STR("Connection: Upgrade\r\nUpgrade: paddock-exec\r\n"));
		if (v->visit.client != NULL)
			on_taken(&v->visit, EPOLLIN);
	}
}

void
exec_view_failed(struct exec_view *v, const struct rpc_reply *r)
{
	struct client *cl = v->visit.client;

	visit_end(&v->visit);
	inside_answer_error(cl, r);
}

void
exec_view_show(struct exec_view *v)
{
	if (!v->shown)
		return;
	switch (v->kind) {
	case VIEW_STARTED:
		return;
	case VIEW_PLAIN:
		show_plain(v);
		return;
	case VIEW_EVENTS:
		show_events(v);
		return;
	case VIEW_FRAMES:
		show_frames(v);
		return;
	}
}

void
exec_put_end(struct buf *b, const struct exec *x)
{
	buf_printf(b,
	    "\"cpu_ms\":%llu,\"exec\":%llu,\"exit_status\":%u,"
	    "\"memory_max_bytes\":%llu",
	    (unsigned long long)(x->cpu_us / 1000),
	    (unsigned long long)x->number, x->status,
	    (unsigned long long)x->memory_max_bytes);
	if (x->signo != 0)
		buf_printf(b, ",\"signal\":%u", x->signo);
	if (exec_is_over(x))
		buf_printf(b,
		    ",\"stop\":{\"limit_bytes\":%llu,"
		    "\"reason\":\"output_limit\",\"status\":\"stopped\","
		    "\"suggested_next_step\":\"Print less, or raise "
		    "sandbox.output_mb of the policy.\",\"used_bytes\":%llu}",
		    (unsigned long long)x->output_limit,
		    (unsigned long long)x->output_bytes);
}

void
exec_put_output(struct buf *b, const struct exec *x)
{
	own_buf struct buf first = {}, second = {};
	struct buf *text[EXEC_STREAMS] = { &first, &second };
	struct exec_cursor c = {};
	struct exec_piece p;
	bool missed;

	while (exec_log_next(&x->log, &c, &p, &missed))
		buf_add_str(text[p.stream], p.data);
	buf_printf(b, "\"dropped_bytes\":%llu",
	    (unsigned long long)x->log.dropped_bytes);
	for (int i = EXEC_STREAMS - 1; i >= 0; i--)
		exec_put_text(b, names[i], text[i]);
	buf_add_c(b, ",\"truncated\":");
	buf_add_c(b, x->log.dropped_bytes > 0 ? "true" : "false");
}

static void
show_plain(struct exec_view *v)
{
	struct client *cl = v->visit.client;
	struct buf *b = &cl->gateway->body;

	if (!v->exec->over)
		return;
	buf_reset(b);
	buf_add_byte(b, '{');
	exec_put_end(b, v->exec);
	buf_add_byte(b, ',');
	exec_put_output(b, v->exec);
	buf_add_byte(b, '}');
	visit_end(&v->visit);
	answer_json(cl, 200, buf_str(b));
}

static void
show_events(struct exec_view *v)
{
	struct client *cl = v->visit.client;
	struct buf *b = &cl->gateway->body;
	struct exec_piece p;
	bool missed;

	while (cl->conn.out.n < EXEC_FRAME_MAX_BYTES &&
	    exec_log_next(&v->exec->log, &v->cursor, &p, &missed)) {
		buf_reset(b);
		if (missed)
			buf_add_str(b, STR("event: dropped\ndata: {}\n\n"));
		buf_printf(b, "event: %s\nid: %llu\ndata: ", names[p.stream],
		    (unsigned long long)p.number);
		base64_encode(b, p.data, BASE64_STANDARD);
		buf_add_str(b, STR("\n\n"));
		must(!b->failed);
		http_stream_write(&cl->conn, buf_str(b));
		if (v->visit.client == NULL)
			return; /* closed while it was written to */
	}
	if (!v->exec->over || exec_log_ahead(&v->exec->log, &v->cursor) > 0)
		return;
	buf_reset(b);
	buf_add_str(b, STR("event: exit\ndata: {"));
	exec_put_end(b, v->exec);
	buf_add_str(b, STR("}\n\n"));
	must(!b->failed);
	http_stream_write(&cl->conn, buf_str(b));
	if (v->visit.client == NULL)
		return;
	visit_end(&v->visit);
	http_stream_end(&cl->conn);
}

static void
show_frames(struct exec_view *v)
{
	struct exec *x = v->exec;
	struct client *cl = v->visit.client;
	struct exec_piece p;
	bool missed;

	while (frames_send(v) && v->out.n < EXEC_FRAME_MAX_BYTES &&
	    exec_log_next(&x->log, &v->cursor, &p, &missed))
		exec_frame_put(&v->out,
		    p.stream == 0 ? FRAME_STDOUT : FRAME_STDERR, p.data);
	if (v->visit.client == NULL)
		return;
	if (x->over && v->owner && exec_log_ahead(&x->log, &v->cursor) == 0) {
		own_buf struct buf end = {};

		buf_add_byte(&end, '{');
		exec_put_end(&end, x);
		buf_add_byte(&end, '}');
		exec_frame_put(&v->out, FRAME_EXIT, buf_str(&end));
		v->owner = false; /* said once */
		if (!frames_send(v))
			return;
	}
	if (x->over && !v->owner && v->out.n == 0) {
		visit_end(&v->visit);
		http_conn_finish(&cl->conn);
		return;
	}
	frames_want(v);
}

/* False when the client is gone. */
static bool
frames_send(struct exec_view *v)
{
	struct client *cl = v->visit.client;

	while (v->out.n > 0) {
		ssize_t r = http_taken_write(&cl->conn, v->out.p, v->out.n);

		if (r < 0 && errno == EAGAIN)
			return true;
		if (r < 0) {
			http_conn_close(&cl->conn);
			return false;
		}
		buf_drop(&v->out, (size_t)r);
	}
	return true;
}

static void
frames_want(struct exec_view *v)
{
	uint32_t events = EPOLLRDHUP;

	if (v->exec->pending.n < EXEC_STDIN_BYTES)
		events |= EPOLLIN;
	if (v->out.n > 0)
		events |= EPOLLOUT;
	http_taken_want(&v->visit.client->conn, events);
}

static void
on_taken(struct visit *visit, uint32_t events)
{
	struct exec_view *v = LOOP_OF(visit, struct exec_view, visit);
	struct exec *x = v->exec;
	struct client *cl = visit->client;
	struct err e = {};

	x->busy++;
	/* A client that closes either way has hung up. */
	if ((events & (EPOLLRDHUP | EPOLLHUP)) != 0 ||
	    ((events & EPOLLIN) != 0 && frames_read(v, &e) < 0))
		http_conn_close(&cl->conn);
	if (visit->client != NULL)
		show_frames(v);
	x->busy--;
	exec_settle(x);
}

/* -1: the client is gone, or sent what is no frame. */
static int
frames_read(struct exec_view *v, struct err *e)
{
	struct client *cl = v->visit.client;

	while (v->exec->pending.n < EXEC_STDIN_BYTES) {
		struct exec_frame f;
		ssize_t r = exec_frame_parse(v->in.p, v->in.n, &f, e);
		char *to;

		if (r < 0 || (r > 0 && frame_do(v, &f, e) < 0))
			return -1;
		if (r > 0) {
			buf_drop(&v->in, (size_t)r);
			continue;
		}
		to = buf_reserve(&v->in, READ_BYTES);
		must(to != NULL);
		r = http_taken_read(&cl->conn, to, READ_BYTES);
		if (r < 0 && errno == EAGAIN)
			return 0;
		if (r <= 0)
			return err_set(e, "the client has gone");
		v->in.n += (size_t)r;
	}
	return 0;
}

static int
frame_do(struct exec_view *v, const struct exec_frame *f, struct err *e)
{
	struct exec *x = v->exec;
	uint16_t rows, cols;

	switch (f->type) {
	case FRAME_STDIN:
		(void)exec_input(x, f->data); /* the caller looks for room */
		return 0;
	case FRAME_STDIN_EOF:
		exec_input_end(x);
		return 0;
	case FRAME_WINSIZE:
		if (exec_frame_winsize(f, &rows, &cols) < 0)
			return err_set(e, "bad window size");
		inside_winsize(x->of, x->number, rows, cols);
		return 0;
	case FRAME_SIGNAL:
		if (f->data.n != 1 || f->data.p[0] < 1 || f->data.p[0] > 64)
			return err_set(e, "bad signal");
		inside_signal(x->of, x->number, (uint32_t)f->data.p[0]);
		return 0;
	case FRAME_STDOUT:
	case FRAME_STDERR:
	case FRAME_EXIT:
	case FRAME_TYPES:
		break;
	}
	return err_set(e, "a frame of the other direction");
}

static void
on_drained(struct visit *visit)
{
	struct exec_view *v = LOOP_OF(visit, struct exec_view, visit);
	struct exec *x = v->exec;

	if (x->busy > 0) /* within http_stream_write: it is shown already */
		return;
	x->busy++;
	exec_view_show(v);
	x->busy--;
	exec_settle(x);
}

static void
on_gone(struct visit *visit)
{
	exec_settle(LOOP_OF(visit, struct exec_view, visit)->exec);
}

/* "stdout":"...", and its exact bytes when they are not UTF-8. */
void
exec_put_text(struct buf *b, const char *name, const struct buf *text)
{
	size_t i = 0, n = 1;

	while (i < text->n && n > 0) {
		n = json_text_utf8(text->p + i, text->n - i);
		i += n;
	}
	buf_printf(b, ",\"%s\":", name);
	json_put_str(b, buf_str(text));
	if (n > 0)
		return;
	buf_printf(b, ",\"%s_b64\":\"", name);
	base64_encode(b, buf_str(text), BASE64_STANDARD);
	buf_add_byte(b, '"');
}
