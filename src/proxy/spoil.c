#include "proxy/spoil.h"

#include <string.h>

#include "base/limits.h"

#define NS_PER_MS 1000000LL

enum {
	PIECES_PER_S = 20, /* of an answer whose rate is limited */
	GARBLED_EVERY = 16, /* bytes */
	GARBLED_BY = 0x55,
};

static struct str text_of(
    struct spoil *s, const struct json *fault, const char *name);
static uint32_t number_of(const struct json *fault, const char *name);
static enum spoil_end give_whole(
    struct spoil *s, struct buf *out, size_t *length);
static enum spoil_end give_events(struct spoil *s, struct buf *out);
static size_t give(struct spoil *s, size_t most, struct buf *out);

int
spoil_init(struct spoil *s, const struct json *fault, struct err *e)
{
	const struct json *skew = json_get(fault, STR("skew_s"));
	struct policy_fault *f = &s->rule;

	*s = (struct spoil){};
	f->kind = fault_kind_of(json_str(json_get(fault, STR("kind"))));
	if (f->kind == FAULT_KINDS)
		return err_set(e, "the verdict names no fault");
	f->host = STR("*"); /* whichever it is, it is one */
	f->applied = true;
	f->bytes = number_of(fault, "bytes");
	f->bytes_set = json_bool(json_get(fault, STR("bytes_set")), false);
	f->ms = number_of(fault, "ms");
	f->events = number_of(fault, "events");
	f->per_s = number_of(fault, "per_s");
	f->share_permille = number_of(fault, "share");
	f->format = (enum fault_format)number_of(fault, "format");
	f->skew_s = json_is(skew, JSON_NUMBER) ? (int64_t)skew->num : 0;
	f->at = text_of(s, fault, "at");
	f->text = text_of(s, fault, "text");
	f->to = text_of(s, fault, "to");
	f->encoding = text_of(s, fault, "encoding");
	s->body.max = FAULT_BODY_BYTES;
	return 0;
}

void
spoil_fini(struct spoil *s)
{
	arena_fini(&s->memory);
	buf_fini(&s->head);
	buf_fini(&s->body);
	*s = (struct spoil){};
}

void
spoil_head(struct spoil *s, const struct http1_head *h)
{
	const struct str *type = http1_get(h, STR("Content-Type"));

	s->is_events = type != NULL && type->n >= 17 &&
	    str_eq_nocase(
		(struct str){ type->p, 17 }, STR("text/event-stream"));
}

bool
spoil_holds_head(const struct spoil *s)
{
	return fault_spoils_whole(&s->rule) || fault_hides(&s->rule);
}

int
spoil_take(struct spoil *s, struct str content, bool last, struct err *e)
{
	s->heard |= last;
	if (fault_hides(&s->rule))
		return 0;
	buf_add_str(&s->body, content);
	return s->body.failed
	    ? err_set(e, "the answer is too large to be changed on purpose")
	    : 0;
}

enum spoil_end
spoil_give(struct spoil *s, int64_t now_ns, struct buf *out, size_t *length)
{
	const struct policy_fault *f = &s->rule;
	uint64_t most;
	size_t from = out->n;

	if (now_ns < s->until_ns)
		return SPOIL_MORE;
	if (spoil_holds_head(s))
		return s->heard ? give_whole(s, out, length) : SPOIL_MORE;
	if (f->kind == FAULT_TRUNCATE || f->kind == FAULT_RESET) {
		(void)give(s, f->bytes - (size_t)s->passed, out);
		if (s->body.n > 0 || s->passed == f->bytes)
			return f->kind == FAULT_RESET ? SPOIL_RESET : SPOIL_CUT;
	} else if (f->kind == FAULT_BANDWIDTH || f->kind == FAULT_SLICER) {
		most = f->kind == FAULT_SLICER ? f->bytes
		    : f->per_s > PIECES_PER_S  ? f->per_s / PIECES_PER_S
					       : 1;
		if (give(s, most, out) > 0)
			s->until_ns = now_ns +
			    (f->kind == FAULT_SLICER
				    ? f->ms * NS_PER_MS
				    : (int64_t)(most * 1000 / f->per_s) *
					NS_PER_MS);
	} else if (f->kind == FAULT_STREAM_CUT ||
	    f->kind == FAULT_STREAM_ERROR) {
		return give_events(s, out);
	} else {
		const uint64_t before = s->passed;

		(void)give(s, s->body.n, out);
		/* Counted from the first byte that may be wrong. */
		for (uint64_t i = before;
		     f->kind == FAULT_GARBLE && !out->failed && i < s->passed;
		     i++) {
			if (i >= f->bytes &&
			    (i - f->bytes) % GARBLED_EVERY == 0)
				out->p[from + (i - before)] ^= GARBLED_BY;
		}
	}
	return s->heard && s->body.n == 0 ? SPOIL_WHOLE : SPOIL_MORE;
}

/* All of it has come. */
static enum spoil_end
give_whole(struct spoil *s, struct buf *out, size_t *length)
{
	const struct policy_fault *f = &s->rule;
	const size_t from = out->n;
	int changed;

	if (f->kind == FAULT_LOST_ACK)
		return SPOIL_RESET;
	if (f->kind == FAULT_TIMEOUT)
		return SPOIL_LATE;
	changed = f->kind == FAULT_REFUSAL || f->kind == FAULT_EMPTY_ANSWER ||
		f->kind == FAULT_BAD_TOOL_JSON
	    ? fault_model_answer(out, f, buf_str(&s->body), s->is_events)
	    : fault_body_write(out, f, buf_str(&s->body));
	if (changed < 0) {
		out->n = from;
		buf_add_str(out, buf_str(&s->body));
	}
	buf_reset(&s->body);
	*length = out->n - from;
	if (f->kind == FAULT_WRONG_ENCODING && str_eq_c(f->encoding, "gzip"))
		buf_add_c(&s->head, "Content-Encoding: gzip\r\n");
	if (f->kind != FAULT_WRONG_LENGTH)
		return SPOIL_WHOLE;
	*length += f->bytes > 0 ? f->bytes : 1;
	return SPOIL_CUT;
}

/* Up to the end of so many events. */
static enum spoil_end
give_events(struct spoil *s, struct buf *out)
{
	size_t n = 0;

	while (n < s->body.n && s->events < s->rule.events) {
		const char c = s->body.p[n++];

		if (c == '\n' && ++s->line_ends == 2)
			s->events++;
		if ((c != '\n' && c != '\r') || s->line_ends == 2)
			s->line_ends = 0;
	}
	(void)give(s, n, out);
	if (s->events < s->rule.events)
		return s->heard ? SPOIL_WHOLE : SPOIL_MORE;
	buf_reset(&s->body);
	if (s->rule.kind == FAULT_STREAM_CUT)
		return SPOIL_CUT;
	fault_model_event(out, s->rule.format);
	s->heard = true;
	return SPOIL_WHOLE;
}

static size_t
give(struct spoil *s, size_t most, struct buf *out)
{
	const size_t n = most < s->body.n ? most : s->body.n;

	buf_add(out, s->body.p, n);
	buf_drop(&s->body, n);
	s->passed += n;
	return n;
}

static struct str
text_of(struct spoil *s, const struct json *fault, const char *name)
{
	const struct str t = json_str(json_get(fault, str_of(name)));
	const char *p = arena_copy(&s->memory, t);

	return p != NULL ? (struct str){ p, t.n } : STR("");
}

static uint32_t
number_of(const struct json *fault, const char *name)
{
	uint64_t n = 0;

	return json_u64(json_get(fault, str_of(name)), &n) == 0 &&
		n <= UINT32_MAX
	    ? (uint32_t)n
	    : 0;
}
