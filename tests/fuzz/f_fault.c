/*
 * The first byte is a kind of fault and whether the input is a stream of
 * events, the second cuts it in two; the rest is the answer of a host.
 *
 * Holds: what a fault makes of a whole answer is bounded by it, and JSON where
 * a member of JSON was changed; pieces come out as they do when they come in
 * at once, and never more than went in where nothing is added.
 */
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "core/fault.h"
#include "proxy/spoil.h"

static void
check_whole(const struct policy_fault *f, struct str body, bool events)
{
	own_arena struct arena a = {};
	own_buf struct buf out = {};
	struct err e = {};
	const bool model = f->kind == FAULT_REFUSAL ||
	    f->kind == FAULT_EMPTY_ANSWER || f->kind == FAULT_BAD_TOOL_JSON;
	const int got = model ? fault_model_answer(&out, f, body, events)
			      : fault_body_write(&out, f, body);

	if (got < 0)
		return;
	must(out.n <= 64 * body.n + 4096);
	if ((model && !events) || f->kind == FAULT_NULL_FIELD ||
	    f->kind == FAULT_MISSING_FIELD || f->kind == FAULT_SCHEMA_DRIFT ||
	    f->kind == FAULT_DUPLICATE || f->kind == FAULT_REORDER)
		must(out.failed ||
		    json_parse(buf_str(&out), NULL, &a, &e, NULL) != NULL ||
		    out.n > JSON_MAX_BYTES);
}

/* Everything that comes out, with a clock that always goes on. */
static enum spoil_end
pass(struct spoil *s, const struct str *pieces, int n, struct buf *out)
{
	struct err e = {};
	enum spoil_end end = SPOIL_MORE;
	int64_t now = 1;
	size_t length = 0;

	for (int i = 0; i < n && end == SPOIL_MORE; i++) {
		size_t before;

		must(spoil_take(s, pieces[i], i == n - 1, &e) == 0);
		do {
			before = out->n;
			now += 1000000000000;
			end = spoil_give(s, now, out, &length);
		} while (end == SPOIL_MORE && out->n > before);
	}
	return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	own_buf struct buf once = {}, parts = {}, rule = {};
	own_arena struct arena a = {};
	struct err e = {};
	struct spoil s, t;
	struct str body, pieces[2];
	size_t cut;
	const struct json *fault;

	if (size < 2 || size > 4096)
		return 0;
	body = (struct str){ (const char *)data + 2, size - 2 };
	cut = body.n > 0 ? data[1] % body.n : 0;
	buf_printf(&rule,
	    "{\"at\":\"$.a\",\"bytes\":%u,\"bytes_set\":true,\"events\":2,"
	    "\"format\":3,\"kind\":\"%s\",\"ms\":1,\"per_s\":9,"
	    "\"share\":500,\"skew_s\":-9,\"text\":\"No.\",\"to\":\"b\"}",
	    data[1] % 32 + 1,
	    fault_kind_name((enum fault_kind)((data[0] >> 1) % FAULT_KINDS)));
	fault = json_parse(buf_str(&rule), NULL, &a, &e, NULL);
	must(spoil_init(&s, fault, &e) == 0 && spoil_init(&t, fault, &e) == 0);
	s.is_events = t.is_events = (data[0] & 1) != 0;
	if (fault_spoils_whole(&s.rule))
		check_whole(&s.rule, body, s.is_events);
	if (fault_spoils(&s.rule)) {
		pieces[0] = (struct str){ body.p, cut };
		pieces[1] = (struct str){ body.p + cut, body.n - cut };
		must(pass(&s, &body, 1, &once) == pass(&t, pieces, 2, &parts));
		must(str_eq(buf_str(&once), buf_str(&parts)));
		must(fault_spoils_whole(&s.rule) ||
		    s.rule.kind == FAULT_STREAM_ERROR || once.n <= body.n);
	}
	spoil_fini(&s);
	spoil_fini(&t);
	return 0;
}
