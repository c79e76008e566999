/*
 * An answer that is changed on purpose (proxy/spoil.h): when its head and its
 * bytes go to the client, and how it ends.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "proxy/forward_int.h"

static void give_head(struct forward *f, size_t length);
static void cut(struct forward *f, bool hard, const char *why);

bool
spoil_begin(struct forward *f, const struct json *fault)
{
	struct err e = {};

	if (fault == NULL)
		return true;
	f->spoil = calloc(1, sizeof(*f->spoil));
	must(f->spoil != NULL);
	if (spoil_init(f->spoil, fault, &e) < 0) {
		f->last = true;
		forward_refuse(f, 503, "bad_fault", e.text);
		return false;
	}
	/* What is packed cannot be changed; a filter sees to it itself. */
	for (uint32_t i = 0; f->filter == NULL && i < f->head.n; i++) {
		if (str_eq_nocase(
			f->head.field[i].name, STR("Accept-Encoding")))
			f->head.field[i].value = STR("identity");
	}
	return true;
}

void
spoil_over(struct forward *f)
{
	if (f->spoil == NULL)
		return;
	spoil_fini(f->spoil);
	free(f->spoil);
	f->spoil = NULL;
}

bool
spoil_answer(struct forward *f, const struct http1_head *h,
    const struct head_change *change)
{
	struct head_change own = *change;

	/* Nothing of it can be changed. */
	if (change->upgrade ||
	    (h->body == HTTP1_BODY_NONE && !fault_hides(&f->spoil->rule))) {
		spoil_over(f);
		return false;
	}
	spoil_head(f->spoil, h);
	if (!spoil_holds_head(f->spoil))
		return false;
	/* Its length is said when it is known. */
	own.unchunk = true;
	own.rechunk = false;
	head_write_answer(h, &own, &f->spoil->head);
	f->spoil->head.n -= 2;
	f->rechunk = false;
	return true;
}

void
spoil_content(struct forward *f, struct str content)
{
	struct err e = {};

	if (spoil_take(f->spoil, content, f->answer.done, &e) < 0)
		cut(f, true, e.text);
}

bool
spoil_pass(struct forward *f)
{
	own_buf struct buf out = {};
	const bool whole = spoil_holds_head(f->spoil);
	size_t length = 0;
	enum spoil_end end;

	/* One without a body has no content either. */
	if (f->answer.done)
		f->spoil->heard = true;
	end = spoil_give(f->spoil, clock_mono_ns(), &out, &length);
	if (out.failed) {
		cut(f, true, "no memory for an answer changed on purpose");
		return true;
	}
	if (whole && (end == SPOIL_WHOLE || end == SPOIL_CUT))
		give_head(f, length);
	kept_body(f, buf_str(&out));
	f->out.max += out.n;
	if (f->rechunk)
		put_chunk(&f->out, buf_str(&out), end == SPOIL_WHOLE);
	else
		buf_add_str(&f->out, buf_str(&out));
	switch (end) {
	case SPOIL_MORE:
		return out.n > 0;
	case SPOIL_WHOLE:
		/* An answer that ends early has not been read to its end. */
		f->server_last |= !f->answer.done;
		f->answer.done = true;
		answer_over(f);
		return true;
	case SPOIL_CUT:
		cut(f, false, "the answer was cut on purpose");
		return true;
	case SPOIL_RESET:
		cut(f, true, "the answer was lost on purpose");
		return true;
	case SPOIL_LATE:
		f->answering = false;
		forward_refuse(f, 504, "timeout",
		    "the server did not answer in time; it is not known "
		    "whether the request had an effect");
		return true;
	}
	return true;
}

int64_t
spoil_waits_ns(const struct forward *f, int64_t now_ns)
{
	/* That it came too late is told when it is. */
	const int64_t until = f->answering && f->answer.done &&
		f->spoil->rule.kind == FAULT_TIMEOUT
	    ? f->asked_ns + (int64_t)f->spoil->rule.ms * 1000000
	    : f->spoil->until_ns;

	return until > now_ns ? until - now_ns : 0;
}

static void
give_head(struct forward *f, size_t length)
{
	buf_add_str(&f->out, buf_str(&f->spoil->head));
	buf_printf(&f->out, "Content-Length: %zu\r\n\r\n", length);
}

/*
 * Nothing more comes. With HTTP/2 an end of the stream would be that of the
 * answer: there it is always a reset, as it is for what has no length.
 */
static void
cut(struct forward *f, bool hard, const char *why)
{
	f->cut_hard = hard || f->client.h2 != NULL ||
	    (f->answer.kind == HTTP1_BODY_UNTIL_CLOSE && !f->rechunk);
	f->last = true;
	request_over(f, why);
	forward_drop_server(f, true);
	f->answering = false;
	f->phase = FORWARD_FLUSHES;
}
