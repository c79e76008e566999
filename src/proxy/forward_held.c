/*
 * A request that waits for a person. Its body is read first, as far as the
 * verdict allows, so that what is decided on is what is sent: the question is
 * asked again with its digest. The bytes are kept as they came, and go back in
 * front of what the client has sent since when the answer is yes.
 */
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "codec/json_text.h"
#include "proxy/forward_int.h"

/* With the lines that chunks are framed by; smaller chunks are no use. */
enum { HELD_RAW_BYTES = 2 * EGRESS_HELD_BODY_BYTES };

static bool gathered(struct forward *f);
static struct str content_of(const struct forward *f, struct buf *own);

void
held_wait(struct forward *f, const struct msg_egress_verdict *v)
{
	const struct str *expect = http1_get(&f->head, STR("Expect"));

	if ((v->flags & EGRESS_GATHER) == 0 ||
	    f->head.body == HTTP1_BODY_NONE || f->body_sha256[0] != '\0') {
		f->phase = FORWARD_WAITS;
		return;
	}
	f->phase = FORWARD_GATHERS;
	f->held.max = HELD_RAW_BYTES;
	http1_body_init(&f->request, &f->head,
	    v->max_body < EGRESS_HELD_BODY_BYTES ? v->max_body
						 : EGRESS_HELD_BODY_BYTES);
	trailers_expect(f);
	/* The server is not there to say so. RFC 9110 section 10.1.1 */
	if (expect != NULL && f->head.minor > 0 &&
	    str_eq_nocase(*expect, STR("100-continue")))
		buf_add_c(&f->out, "HTTP/1.1 100 Continue\r\n\r\n");
}

bool
held_gather(struct forward *f)
{
	struct err e = {};
	uint16_t status = 400;
	ssize_t n;

	if (f->request.done)
		return gathered(f);
	if (f->in.n == 0) {
		if (!f->client_ended)
			return false;
		request_over(f, "the client has gone");
		forward_close(f, true);
		return true;
	}
	buf_reset(&f->content);
	n = http1_body_feed(
	    &f->request, f->in.p, f->in.n, &f->content, &status, &e);
	if (n >= 0)
		buf_add(&f->held, f->in.p, (size_t)n);
	if (n < 0 || f->held.failed) {
		bool large = status == 413 || f->held.failed;

		f->last = true;
		forward_refuse(f, large ? 413 : status,
		    large ? "body_too_large" : "bad_request",
		    large ? "the body is too large to wait for a person"
			  : e.text);
		return true;
	}
	buf_drop(&f->in, (size_t)n);
	if (f->asked_trailers.n > 0) {
		f->last = true;
		forward_refuse(f, 400, "bad_trailer",
		    "a request that waits for a person has no trailers: "
		    "they would not be shown");
		return true;
	}
	return n > 0 || f->request.done;
}

void
held_release(struct forward *f)
{
	if (f->held.n == 0)
		return;
	f->held.max = f->held.n + f->in.n;
	buf_add_str(&f->held, buf_str(&f->in));
	must(!f->held.failed);
	buf_fini(&f->in);
	f->in = f->held;
	if (f->in.max < FORWARD_BUFFER_BYTES + HTTP_MAX_HEAD_BYTES)
		f->in.max = FORWARD_BUFFER_BYTES + HTTP_MAX_HEAD_BYTES;
	f->held = (struct buf){};
}

/* The body is whole: asks again, with what it is. */
static bool
gathered(struct forward *f)
{
	own_buf struct buf own = { .max = EGRESS_HELD_BODY_BYTES };
	const struct str content = content_of(f, &own);
	const struct hash h = hash_of(content.p, content.n);

	hash_hex(&h, f->body_sha256);
	f->gathered_bytes = f->request.total;
	request_ask(f);
	return true;
}

void
held_show(const struct forward *f, struct buf *out)
{
	own_buf struct buf own = { .max = EGRESS_HELD_BODY_BYTES };
	const struct str content = content_of(f, &own);
	size_t n = 0;

	while (n < content.n) {
		const size_t k = json_text_utf8(content.p + n, content.n - n);

		if (k == 0 || content.p[n] == '\0')
			return; /* no text: its digest says all */
		if (n + k > EGRESS_SHOWN_BODY_BYTES)
			break;
		n += k;
	}
	if (n == 0)
		return;
	buf_add_c(out, "\"body_text\":");
	json_put_str(out, (struct str){ content.p, n });
	buf_add_byte(out, ',');
}

/* Whatever its framing; own is what it lies in when that has to go. */
static struct str
content_of(const struct forward *f, struct buf *own)
{
	struct http1_body body;
	struct err e = {};
	uint16_t status;

	if (f->head.body != HTTP1_BODY_CHUNKED)
		return buf_str(&f->held);
	http1_body_init(&body, &f->head, EGRESS_HELD_BODY_BYTES);
	must(http1_body_feed(&body, f->held.p, f->held.n, own, &status, &e) >=
		0 &&
	    body.done && !own->failed); /* it was read once already */
	return buf_str(own);
}
