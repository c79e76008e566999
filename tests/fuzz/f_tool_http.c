/*
 * What a tool server over HTTP answers to one request. The first byte is the
 * size of the pieces that it comes in; the rest is the answer.
 *
 * Holds: cut anywhere, it comes to the same messages and the same end; what is
 * passed on is never over the limit; a failure is told once and is the last;
 * and nothing is told behind the end.
 */
#include "base/limits.h"
#include "base/must.h"
#include "tools/http_int.h"

enum { REQUEST = 7 };

static struct buf *out; /* what was told, a line each */
static bool ended;

/* In the place of http.c, which has connections. */
void
exchange_fail(struct exchange *x, const char *code, struct str why)
{
	must(!ended && why.n > 0);
	ended = true;
	x->over = true;
	buf_printf(out, "fail %s\n", x->answered ? "-" : code);
}

void
exchange_over(struct exchange *x, bool whole)
{
	(void)whole;
	must(!x->over || ended);
	ended = true;
	x->over = true;
	buf_add_c(out, "over\n");
}

bool
exchange_resume(struct exchange *x)
{
	if (x->sse.id.n == 0 || x->status != 200)
		return false;
	ended = true;
	x->over = true;
	buf_add_c(out, "resume\n");
	return true;
}

static void
on_message(struct http *h, struct str json)
{
	struct exchange *x = h->exchanges;

	must(!ended && json.n <= SERVER_MAX_LINE_BYTES);
	buf_add_c(out, "message ");
	buf_add_str(out, json);
	buf_add_byte(out, '\n');
	/* As its reader would, of an answer to the request. */
	if (str_starts(json, STR("{\"id\":7")))
		x->answered = true;
}

static void
on_session_end(struct http *h)
{
	must(!ended);
	ended = true;
	h->closed = true;
	buf_add_c(out, "session\n");
}

static void
read_all(struct str in, size_t step, struct buf *told)
{
	struct http h = { .takes_session = true,
		.on_message = on_message,
		.on_session_end = on_session_end };
	struct exchange x = {
		.http = &h, .id = REQUEST, .watch = { .fd = -1 }
	};
	bool more = true;

	x.sse.in.max = SERVER_MAX_LINE_BYTES + SERVER_READ_BYTES;
	x.sse.data.max = SERVER_MAX_LINE_BYTES;
	x.sse.id.max = SERVER_MAX_LINE_BYTES;
	h.exchanges = &x;
	if (in.n > 0 && in.p[0] == 'S')
		buf_add_c(&h.session, "a session");
	out = told;
	ended = false;
	for (size_t at = 0; at < in.n && more; at += step) {
		struct str piece = { in.p + at, in.n - at };

		if (piece.n > step)
			piece.n = step;
		more = answer_feed(&x, piece);
		must(more != ended);
	}
	if (more)
		answer_end(&x);
	must(ended);
	for (size_t i = 0; i < h.session.n; i++)
		must(h.session.p[i] >= ' ' && h.session.p[i] <= '~');
	must(h.session.n <= SERVER_SESSION_BYTES);
	buf_fini(&h.session);
	buf_fini(&x.in);
	buf_fini(&x.content);
	sse_fini(&x.sse);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	own_buf struct buf whole = {};
	own_buf struct buf cut = {};
	struct str in;

	if (size < 1)
		return 0;
	in = (struct str){ (const char *)data + 1, size - 1 };
	read_all(in, in.n + 1, &whole);
	read_all(in, 1 + (size_t)data[0], &cut);
	must(str_eq(buf_str(&whole), buf_str(&cut)));
	return 0;
}
