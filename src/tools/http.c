#include "tools/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "sys/fd.h"
#include "tools/http_int.h"

#define NS_PER_MS 1000000LL

static struct exchange *exchange_new(
    struct http *h, uint64_t id, struct str fields);
static struct exchange *post_new(
    struct http *h, uint64_t id, struct str fields, struct str message);
static void start(struct exchange *x);
static void fail_soon(struct exchange *x);
static void start_next(struct http *h);
static int connection(struct http *h, struct err *e);
static bool still_open(int fd);
static void on_ready(struct loop_watch *w, uint32_t events);
static void flush(struct exchange *x);
static void on_timer(struct loop_timer *t);
static void on_sweep(struct loop_timer *t);
static void put_get(struct exchange *x);
static void put_fields(struct exchange *x);
static struct exchange *find(const struct http *h, uint64_t id);
static void let_go(struct exchange *x);
static void free_one(struct exchange *x);

void
http_init(struct http *h)
{
	h->sweep.on_time = on_sweep;
}

void
http_close(struct http *h)
{
	h->closed = true;
	for (struct exchange *x = h->exchanges; x != NULL; x = x->next) {
		x->answered = true;
		let_go(x);
	}
	while (h->n_kept > 0)
		fd_fini(&h->kept[--h->n_kept]);
}

void
http_fini(struct http *h)
{
	http_close(h);
	loop_timer_clear(h->loop, &h->sweep);
	while (h->exchanges != NULL) {
		struct exchange *x = h->exchanges;

		h->exchanges = x->next;
		free_one(x);
	}
	buf_fini(&h->host);
	buf_fini(&h->path);
	buf_fini(&h->session);
}

void
http_post(struct http *h, uint64_t id, struct str fields, struct str message)
{
	if (!h->closed)
		start(post_new(h, id, fields, message));
}

void
http_post_first(struct http *h, struct str fields, struct str message)
{
	if (h->closed)
		return;
	h->gate = post_new(h, 0, fields, message);
	start(h->gate);
}

static struct exchange *
post_new(struct http *h, uint64_t id, struct str fields, struct str message)
{
	struct exchange *x = exchange_new(h, id, fields);

	buf_printf(&x->out,
	    "POST %.*s HTTP/1.1\r\nHost: %.*s\r\n"
	    "Accept: application/json, text/event-stream\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n",
	    STR_FMT(buf_str(&h->path)), STR_FMT(buf_str(&h->host)), message.n);
	put_fields(x);
	buf_add_str(&x->out, message);
	if (id == 0)
		loop_timer_set(h->loop, &x->timer,
		    loop_now_ns(h->loop) + SERVER_NOTIFY_MS * NS_PER_MS);
	return x;
}

void
http_ask(struct http *h, uint64_t id, struct str method, struct str target,
    struct str fields, struct str body)
{
	struct exchange *x;

	if (h->closed)
		return;
	x = exchange_new(h, id, STR(""));
	x->whole = true;
	x->to_head = str_eq(method, STR("HEAD"));
	buf_printf(&x->out, "%.*s %.*s HTTP/1.1\r\nHost: %.*s\r\n",
	    STR_FMT(method), STR_FMT(target), STR_FMT(buf_str(&h->host)));
	buf_add_str(&x->out, fields);
	if (body.n > 0 || str_starts(method, STR("P")))
		buf_printf(&x->out, "Content-Length: %zu\r\n", body.n);
	buf_add_c(&x->out, "\r\n");
	buf_add_str(&x->out, body);
	start(x);
}

void
http_listen(struct http *h, struct str fields)
{
	struct exchange *x;

	if (h->closed)
		return;
	x = exchange_new(h, 0, fields);
	x->listens = true;
	put_get(x);
	start(x);
}

void
http_done(struct http *h, uint64_t id)
{
	struct exchange *x = find(h, id);

	if (x == NULL)
		return;
	x->answered = true;
	/* Its connection is good for the next one if it ends soon. */
	if (x->watch.fd >= 0)
		loop_timer_set(h->loop, &x->timer,
		    loop_now_ns(h->loop) + SERVER_LINGER_MS * NS_PER_MS);
	else
		exchange_over(x, false);
}

void
http_cut(struct http *h, uint64_t id)
{
	struct exchange *x = find(h, id);

	if (x == NULL)
		return;
	x->answered = true;
	exchange_over(x, false);
}

void
exchange_fail(struct exchange *x, const char *code, struct str why)
{
	struct http *h = x->http;
	const struct http_fault fault = { x->status, code, why };
	bool told = x->answered || x->id == 0;

	x->answered = true;
	exchange_over(x, false);
	if (!told)
		h->on_fail(h, x->id, &fault);
}

void
exchange_over(struct exchange *x, bool whole)
{
	struct http *h = x->http;

	if (x->over)
		return;
	if (whole && x->keep && x->out.n == 0 && x->watch.fd >= 0 &&
	    !h->closed && h->n_kept < SERVER_LINES_KEPT) {
		h->kept[h->n_kept++] = loop_remove(h->loop, &x->watch);
		h->n_open--;
	}
	let_go(x);
	if (h->gate == x)
		h->gate = NULL;
	x->over = true;
	loop_timer_set(h->loop, &h->sweep, loop_now_ns(h->loop));
}

bool
exchange_resume(struct exchange *x)
{
	struct http *h = x->http;
	int64_t ms =
	    x->sse.has_retry ? (int64_t)x->sse.retry_ms : SERVER_RETRY_MS;

	if (h->closed || x->kind != ANSWER_EVENTS || x->status != 200 ||
	    (x->sse.id.n == 0 && !x->listens) ||
	    x->sse.id.n > SERVER_SESSION_BYTES ||
	    ++x->resumes > SERVER_RESUMES_MAX)
		return false;
	if (ms > SERVER_RETRY_MAX_MS)
		ms = SERVER_RETRY_MAX_MS;
	let_go(x);
	buf_reset(&x->in);
	buf_reset(&x->content);
	x->has_head = false;
	x->kind = ANSWER_NONE;
	put_get(x);
	/* What was begun of an event is begun again. */
	buf_reset(&x->sse.in);
	buf_reset(&x->sse.name);
	buf_reset(&x->sse.data);
	x->sse.at = x->sse.looked = 0;
	x->sse.has_data = x->sse.after_cr = false;
	loop_timer_set(
	    h->loop, &x->timer, loop_now_ns(h->loop) + ms * NS_PER_MS);
	return true;
}

static struct exchange *
exchange_new(struct http *h, uint64_t id, struct str fields)
{
	struct exchange *x = calloc(1, sizeof(*x)), **at = &h->exchanges;

	must(x != NULL);
	x->http = h;
	x->id = id;
	x->watch.fd = -1;
	x->watch.on_ready = on_ready;
	x->timer.on_time = on_timer;
	x->sse.in.max = SERVER_MAX_LINE_BYTES + SERVER_READ_BYTES;
	x->sse.data.max = SERVER_MAX_LINE_BYTES;
	x->sse.id.max = SERVER_MAX_LINE_BYTES;
	buf_add_str(&x->fields, fields);
	while (*at != NULL)
		at = &(*at)->next;
	*at = x;
	return x;
}

static void
start(struct exchange *x)
{
	struct http *h = x->http;
	struct err e = {};

	x->waits =
	    h->n_open >= SERVER_LINES_MAX || (h->gate != NULL && h->gate != x);
	if (x->waits)
		return;
	x->watch.fd = connection(h, &e);
	x->watch.events = EPOLLIN;
	if (x->watch.fd >= 0 && loop_add(h->loop, &x->watch, &e) < 0)
		fd_fini(&x->watch.fd);
	if (x->watch.fd < 0) {
		fail_soon(x);
		return;
	}
	h->n_open++;
	flush(x);
}

/* In the loop's next round: who posts has to know its number first. */
static void
fail_soon(struct exchange *x)
{
	x->unreached = true;
	loop_timer_set(x->http->loop, &x->timer, loop_now_ns(x->http->loop));
}

static void
start_next(struct http *h)
{
	for (struct exchange *x = h->exchanges; x != NULL && !h->closed;
	     x = x->next) {
		if (x->waits && !x->over)
			start(x);
	}
}

/* One that was kept and is still good, else a new one. */
static int
connection(struct http *h, struct err *e)
{
	int pair[2];

	while (h->n_kept > 0) {
		int fd = h->kept[--h->n_kept];

		if (still_open(fd))
			return fd;
		fd_fini(&fd);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		pair) < 0)
		return err_sys(e, "socketpair");
	h->on_line(h, pair[1]);
	return pair[0];
}

/* Nothing has come on it, its end neither. */
static bool
still_open(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	    errno == EAGAIN;
}

static void
on_ready(struct loop_watch *w, uint32_t events)
{
	struct exchange *x = LOOP_OF(w, struct exchange, watch);
	static char bytes[SERVER_READ_BYTES];
	ssize_t n;

	if ((events & EPOLLOUT) != 0) {
		flush(x);
	}
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0)
		return;
	if (w->fd < 0)
		return;
	n = read(w->fd, bytes, sizeof(bytes));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		answer_end(x);
	else
		(void)answer_feed(x, (struct str){ bytes, (size_t)n });
}

static void
flush(struct exchange *x)
{
	struct err e = {};

	if (x->out.failed) {
		fail_soon(x);
		return;
	}
	while (x->out.n > 0) {
		ssize_t n = send(x->watch.fd, x->out.p, x->out.n,
		    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		/* What it says to a request that it does not read is read. */
		if (n < 0)
			break;
		buf_drop(&x->out, (size_t)n);
	}
	if (loop_want(x->http->loop, &x->watch,
		EPOLLIN | (x->out.n > 0 ? EPOLLOUT : 0), &e) < 0)
		fail_soon(x);
}

static void
on_timer(struct loop_timer *t)
{
	struct exchange *x = LOOP_OF(t, struct exchange, timer);

	if (x->unreached)
		exchange_fail(x, "server_error",
		    STR("it cannot be reached from here; the call was not "
			"made"));
	else if (x->watch.fd < 0 && !x->answered && !x->over)
		start(x); /* it is taken up again */
	else
		exchange_over(x, false);
}

/* Behind the callbacks that may still look at them. */
static void
on_sweep(struct loop_timer *t)
{
	struct http *h = LOOP_OF(t, struct http, sweep);
	struct exchange **at = &h->exchanges;

	while (*at != NULL) {
		struct exchange *x = *at;

		if (!x->over) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		free_one(x);
	}
	start_next(h);
}

static void
put_get(struct exchange *x)
{
	const struct http *h = x->http;

	buf_reset(&x->out);
	buf_printf(&x->out,
	    "GET %.*s HTTP/1.1\r\nHost: %.*s\r\n"
	    "Accept: text/event-stream\r\n",
	    STR_FMT(buf_str(&h->path)), STR_FMT(buf_str(&h->host)));
	if (x->sse.id.n > 0) {
		buf_add_c(&x->out, "Last-Event-ID: ");
		buf_add_str(&x->out, buf_str(&x->sse.id));
		buf_add_c(&x->out, "\r\n");
	}
	put_fields(x);
}

static void
put_fields(struct exchange *x)
{
	const struct http *h = x->http;

	if (h->session.n > 0) {
		buf_add_c(&x->out, "Mcp-Session-Id: ");
		buf_add_str(&x->out, buf_str(&h->session));
		buf_add_c(&x->out, "\r\n");
	}
	buf_add_str(&x->out, buf_str(&x->fields));
	buf_add_c(&x->out, "\r\n");
}

static struct exchange *
find(const struct http *h, uint64_t id)
{
	for (struct exchange *x = h->exchanges; x != NULL; x = x->next) {
		if (x->id == id && id != 0 && !x->over)
			return x;
	}
	return NULL;
}

static void
let_go(struct exchange *x)
{
	struct http *h = x->http;

	loop_timer_clear(h->loop, &x->timer);
	x->waits = false;
	if (x->watch.fd < 0)
		return;
	int fd = loop_remove(h->loop, &x->watch);

	fd_fini(&fd);
	h->n_open--;
}

static void
free_one(struct exchange *x)
{
	let_go(x);
	buf_fini(&x->fields);
	buf_fini(&x->out);
	buf_fini(&x->in);
	buf_fini(&x->content);
	buf_fini(&x->type);
	sse_fini(&x->sse);
	free(x);
}
