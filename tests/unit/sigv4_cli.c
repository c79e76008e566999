/*
 * Signing as a process, for tests in other languages.
 *
 * Standard input and output are frames (frames.h). A question is four lines'
 * worth: access key, secret, the digest of the body, and then the head of a
 * request. The answer is 'a' and the new value of Authorization, or 'r' and
 * why there is none; before either a digit, 1 when the caller would have had
 * to read the body.
 */
#include "base/must.h"
#include "codec/sigv4.h"
#include "frames.h"

static struct str line_take(struct str *rest);
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

static struct str
line_take(struct str *rest)
{
	size_t n = str_find(*rest, '\n');
	struct str line = { rest->p, n };

	must(n < rest->n);
	*rest = (struct str){ rest->p + n + 1, rest->n - n - 1 };
	return line;
}

static void
answer(struct str in, struct buf *out)
{
	static struct http1_head h;
	own_buf struct buf value = {};
	struct sigv4_key key;
	struct str digest;
	struct err e = {};
	uint16_t status = 0;

	key.access_key = line_take(&in);
	key.secret = line_take(&in);
	digest = line_take(&in);
	if (http1_request(in.p, in.n, &h, &status, &e) <= 0) {
		buf_printf(out, "0r%s", e.text);
		return;
	}
	must(sigv4_signed(&h));
	buf_add_byte(out, sigv4_needs_body(&h) ? '1' : '0');
	if (sigv4_sign(&h, digest, &key, &value, &e) < 0) {
		buf_printf(out, "r%s", e.text);
		return;
	}
	buf_add_byte(out, 'a');
	buf_add_str(out, buf_str(&value));
}
