#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "proxy/h2_int.h"

static void *mem_malloc(size_t n, void *arg);
static void mem_free(void *p, void *arg);
static void *mem_calloc(size_t n, size_t size, void *arg);
static void *mem_realloc(void *p, size_t n, void *arg);
static bool read_some(struct h2_wire *w);

void
h2_wire_pump(struct h2_wire *w)
{
	h2_wire_send(w);
	while (!w->ended && read_some(w))
		h2_wire_send(w);
}

void
h2_wire_send(struct h2_wire *w)
{
	while (!w->ended) {
		const uint8_t *p;
		ssize_t n;

		while (w->out.n > 0) {
			n = w->below->write(w->stream, w->out.p, w->out.n);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0 && errno == EAGAIN)
				return;
			if (n <= 0) {
				w->ended = true;
				return;
			}
			buf_drop(&w->out, (size_t)n);
			/* What was moved up leaves a copy behind. */
			explicit_bzero(w->out.p + w->out.n, (size_t)n);
		}
		n = nghttp2_session_mem_send(w->session, &p);
		/* Or the last has been said, and nothing is awaited. */
		if (n < 0 ||
		    (n == 0 && nghttp2_session_want_read(w->session) == 0 &&
			nghttp2_session_want_write(w->session) == 0))
			w->ended = true;
		if (n <= 0)
			return;
		buf_add(&w->out, p, (size_t)n);
		must(!w->out.failed);
	}
}

void
h2_wire_fini(struct h2_wire *w)
{
	nghttp2_session_del(w->session);
	w->session = NULL;
	if (w->out.cap > 0)
		explicit_bzero(w->out.p, w->out.cap);
	buf_fini(&w->out);
}

nghttp2_mem *
h2_memory(void)
{
	static nghttp2_mem mem = {
		.malloc = mem_malloc,
		.free = mem_free,
		.calloc = mem_calloc,
		.realloc = mem_realloc,
	};

	return &mem;
}

nghttp2_option *
h2_option(void)
{
	nghttp2_option *o;

	if (nghttp2_option_new(&o) != 0)
		return NULL;
	/* Windows open as what came is taken: nothing piles up here. */
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_max_send_header_block_length(
	    o, HTTP_MAX_HEAD_BYTES * 2);
	return o;
}

int
h2_settings(nghttp2_session *s, struct err *e)
{
	const nghttp2_settings_entry ours[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW_BYTES },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_MAX_HEAD_BYTES },
	};
	int rc = nghttp2_submit_settings(
	    s, NGHTTP2_FLAG_NONE, ours, sizeof(ours) / sizeof(ours[0]));

	if (rc == 0)
		rc = nghttp2_session_set_local_window_size(
		    s, NGHTTP2_FLAG_NONE, 0, H2_CONNECTION_WINDOW_BYTES);
	return rc != 0 ? err_set(e, "HTTP/2: %s", nghttp2_strerror(rc)) : 0;
}

/* True when there was something, and may be more. */
static bool
read_some(struct h2_wire *w)
{
	uint8_t bytes[FORWARD_READ_BYTES];
	ssize_t n = w->below->read(w->stream, bytes, sizeof(bytes));

	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0 ||
	    nghttp2_session_mem_recv(w->session, bytes, (size_t)n) != n) {
		/* Of what it did wrong it is told, as far as that goes. */
		if (n > 0)
			h2_wire_send(w);
		w->ended = true;
		return false;
	}
	return true;
}

static void *
mem_malloc(size_t n, void *arg)
{
	(void)arg;
	return malloc(n);
}

static void
mem_free(void *p, void *arg)
{
	(void)arg;
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *
mem_calloc(size_t n, size_t size, void *arg)
{
	(void)arg;
	return calloc(n, size);
}

static void *
mem_realloc(void *p, size_t n, void *arg)
{
	size_t had = p != NULL ? malloc_usable_size(p) : 0;
	void *new = malloc(n);

	if (new == NULL)
		return NULL;
	if (p != NULL)
		memcpy(new, p, had < n ? had : n);
	mem_free(p, arg);
	return new;
}
