/*
 * What a run wants to export, read from inside for the broker: one file after
 * the other through PID 1, with the sandbox's own uid and in its own view, into
 * one sealed memory file. What a file is called, is, or becomes meanwhile can
 * lead nowhere else: only its bytes come here.
 */
#include "gateway/export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/must.h"
#include "gateway/inside.h"
#include "sys/fd.h"

enum { READ_BYTES = 64 * 1024 };

struct export
{
	struct gateway *gateway;
	uint64_t run, number; /* the broker's */
	struct buf words; /* the broker's words: paths are views of them */
	struct arena arena; /* of paths */
	const struct json *paths, *at; /* at: the one that is being read */
	struct inside_ask ask;
	struct loop_watch pipe; /* fd -1: at its end */
	bool asked; /* the worker's answer is to come */
	uint32_t error; /* errno of the current file */
	size_t from; /* where the current file begins in bytes */
	struct buf bytes; /* of all */
	struct buf list; /* [{"path","size"} or {"error","path"}, ... */
};

static void next(struct export *x);
static void on_reply(struct inside_ask *a, const struct rpc_reply *r,
    int fds[static RPC_MAX_FDS]);
static void on_pipe(struct loop_watch *w, uint32_t events);
static void file_end(struct export *x);
static void tell(struct export *x);

void
export_begin(struct gateway *g, const struct msg_export *m, struct str payload)
{
	struct export *x = calloc(1, sizeof(*x));
	struct err e = {};

	must(x != NULL);
	x->gateway = g;
	x->run = m->run;
	x->number = m->number;
	x->ask.on_reply = on_reply;
	x->pipe.fd = -1;
	x->bytes.max = EXPORT_MAX_BYTES + READ_BYTES;
	buf_add_byte(&x->list, '[');
	buf_add_str(&x->words, payload);
	x->paths = json_parse(buf_str(&x->words), NULL, &x->arena, &e, NULL);
	x->at = json_first(x->paths);
	next(x);
}

/* Begins with x->at, or tells what there is. */
static void
next(struct export *x)
{
	while (x->at != NULL) {
		struct inside *in = inside_find(x->gateway, x->run);
		struct rpc_request q = {
			.kind = RPC_FILE_GET,
			/* One more shows that there is too much. */
			.max_bytes = EXPORT_MAX_BYTES + 1 - x->bytes.n,
		};
		own_buf struct buf path = {};
		const char *paths[1];
		int ends[2] = { -1, -1 };
		struct err e = {};
		bool sent = false;

		buf_add_str(&path, json_str(x->at));
		paths[0] = buf_c(&path);
		x->from = x->bytes.n;
		x->error = EIO;
		if (in != NULL && pipe2(ends, O_CLOEXEC) == 0) {
			x->pipe = (struct loop_watch){
				.fd = ends[0],
				.events = EPOLLIN,
				.on_ready = on_pipe,
			};
			sent = fd_nonblock(ends[0], &e) == 0 &&
			    inside_send(in, &x->ask, &q, 0, paths, 1, &ends[1],
				1, &e) == 0;
			(void)close(ends[1]);
		}
		if (sent) {
			x->asked = true;
			if (loop_add(x->gateway->loop, &x->pipe, &e) < 0)
				fd_fini(&x->pipe.fd);
			return;
		}
		fd_fini(&x->pipe.fd);
		file_end(x);
	}
	tell(x);
}

static void
on_reply(struct inside_ask *a, const struct rpc_reply *r,
    int fds[static RPC_MAX_FDS])
{
	struct export *x = LOOP_OF(a, struct export, ask);

	(void)fds;
	if (r != NULL && r->kind == RPC_STARTED)
		return; /* not of this kind of request */
	x->asked = false;
	x->error = r == NULL ? EIO : r->error;
	/* What the worker wrote may still be in the pipe. */
	if (x->pipe.fd >= 0)
		return;
	file_end(x);
	next(x);
}

static void
on_pipe(struct loop_watch *w, uint32_t events)
{
	struct export *x = LOOP_OF(w, struct export, pipe);
	static char bytes[READ_BYTES];
	ssize_t n;
	int fd;

	(void)events;
	n = read(w->fd, bytes, sizeof(bytes));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && x->bytes.n <= EXPORT_MAX_BYTES) {
		buf_add(&x->bytes, bytes, (size_t)n);
		return;
	}
	fd = loop_remove(x->gateway->loop, w);
	fd_fini(&fd);
	w->fd = -1;
	if (x->asked)
		return;
	file_end(x);
	next(x);
}

/* One more for the list; what did not come whole is not in the bytes. */
static void
file_end(struct export *x)
{
	struct buf *b = &x->list;

	if (x->error == 0 && x->bytes.n > EXPORT_MAX_BYTES)
		x->error = EFBIG;
	if (b->n > 1)
		buf_add_byte(b, ',');
	if (x->error != 0) {
		x->bytes.n = x->from;
		buf_add_c(b, "{\"error\":");
		json_put_str(b, str_of(strerror((int)x->error)));
		buf_add_c(b, ",\"path\":");
		json_put_str(b, json_str(x->at));
	} else {
		buf_add_c(b, "{\"path\":");
		json_put_str(b, json_str(x->at));
		buf_printf(b, ",\"size\":%zu", x->bytes.n - x->from);
	}
	buf_add_byte(b, '}');
	x->at = json_next(x->paths, x->at);
}

static void
tell(struct export *x)
{
	struct msg_export m = { .run = x->run, .number = x->number };
	struct err e = {};
	own_fd int memfd =
	    fd_sealed(x->bytes.n > 0 ? x->bytes.p : "", x->bytes.n, &e);

	buf_add_byte(&x->list, ']');
	if (memfd >= 0 && !x->list.failed && !x->bytes.failed)
		(void)peer_send(&x->gateway->broker, MSG_EXPORT_READ, &m,
		    buf_str(&x->list), &memfd,
		    1); /* a broker that is gone has lost the run */
	else
		(void)peer_send(&x->gateway->broker, MSG_EXPORT_READ, &m,
		    STR("[]"), NULL, 0); /* as above */
	arena_fini(&x->arena);
	buf_fini(&x->words);
	buf_fini(&x->bytes);
	buf_fini(&x->list);
	free(x);
}
