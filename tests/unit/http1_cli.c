/*
 * The HTTP/1.1 parser as a process, for tests in other languages.
 *
 * Standard input and output are frames (frames.h). A request is a stream of
 * bytes. The answer is 'r' and the status and error of a refusal, 'm' when
 * more is needed, or 'a', the bytes taken, and a line each for method,
 * target, keep-alive and every field; then an empty line and the body.
 */
#include "base/must.h"
#include "codec/http1.h"
#include "frames.h"

enum { MAX_CONTENT = 65536 };

static void answer(struct str in, struct buf *out);

int
main(void)
{
	own_buf struct buf in = {};
	own_buf struct buf out = {};

	while (frame_read(&in)) {
		buf_reset(&out);
		answer(buf_str(&in), &out);
		frame_write(&out);
	}
	return 0;
}

static void
answer(struct str in, struct buf *out)
{
	static struct http1_head h;
	own_buf struct buf content = {};
	struct http1_body body;
	struct err e = {};
	uint16_t status = 0;
	ssize_t head, taken = 0;

	head = http1_request(in.p, in.n, &h, &status, &e);
	if (head > 0) {
		http1_body_init(&body, &h, MAX_CONTENT);
		taken = http1_body_feed(&body, in.p + head, in.n - (size_t)head,
		    &content, &status, &e);
	}
	if (head < 0 || taken < 0) {
		buf_printf(out, "r%u %s", status, e.text);
		return;
	}
	if (head == 0 || !body.done) {
		buf_add_c(out, "m");
		return;
	}
	buf_printf(out, "a%zd\n%.*s\n%.*s\n%d\n", head + taken,
	    STR_FMT(h.method), STR_FMT(h.target), h.keep_alive);
	for (uint32_t i = 0; i < h.n; i++)
		buf_printf(out, "%.*s:%.*s\n", STR_FMT(h.field[i].name),
		    STR_FMT(h.field[i].value));
	buf_add_c(out, "\n");
	buf_add_str(out, buf_str(&content));
}
