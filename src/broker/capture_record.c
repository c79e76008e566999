/*
 * What a server showed of its page: checked, without the run's secrets, in
 * records of the kind page.captured. All of it is a stranger's.
 */
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "broker/call_int.h"
#include "broker/capture_int.h"
#include "broker/egress_int.h"
#include "broker/record.h"
#include "broker/server_int.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/picture.h"
#include "core/policy.h"

/* A part of an answer, on its way to the store. */
struct shown {
	struct str type; /* "image/png", "text/plain" */
	struct picture size;
	struct buf bytes;
	bool redacted;
};

static int take_parts(
    struct capture *k, const struct json *answer, struct err *e);
static int take_part(const struct run *r, const struct json *part,
    struct shown *out, struct err *e);
static bool record(struct capture *k, struct run *r, const struct shown *one,
    uint32_t part, struct str why);
static const struct json *redacted(const struct capture *k, const struct run *r,
    const struct json *answer, struct arena *a);
static struct str via(const struct capture *k);

void
capture_take(struct capture *k, enum server_result kind, struct str payload)
{
	own_arena struct arena a = { .max_bytes = WORLD_MAX_PARSE_BYTES };
	own_buf struct buf why = {};
	struct err e = {};
	const struct json *answer = json_parse(payload, NULL, &a, &e, NULL);
	struct str text = {};

	switch (kind) {
	case SERVER_DONE:
		answer = redacted(k, run_find(k->c->run), answer, &a);
		if (take_parts(k, answer, &e) < 0)
			capture_record_none(k, str_of(e.text));
		return;
	case SERVER_DONE_ERROR:
		text = json_str(json_get(
		    json_first(json_get(answer, STR("content"))), STR("text")));
		buf_add_c(&why, "the tool says: ");
		break;
	case SERVER_NO_ANSWER:
		text = json_str(json_get(answer, STR("error")));
		break;
	}
	if (text.n > SERVER_ERROR_BYTES)
		text.n = SERVER_ERROR_BYTES;
	buf_add_str(&why, text);
	capture_record_none(k, buf_str(&why));
}

void
capture_record_none(struct capture *k, struct str why)
{
	struct run *r = run_find(k->c->run);
	own_buf struct buf text = {};
	uint64_t hidden;

	must(r != NULL); /* open calls keep their run */
	k->failed = true;
	if (egress_text_hide(r, why, &text, &hidden) < 0)
		buf_reset(&text);
	if (!record(k, r, NULL, 0,
		text.n > 0 ? buf_str(&text) : STR("it does not say why")))
		k->c->unrecorded = true;
}

/* Every part, or the capture has failed. */
static int
take_parts(struct capture *k, const struct json *answer, struct err *e)
{
	const struct json *parts = json_get(answer, STR("content"));
	struct run *r = run_find(k->c->run);
	uint32_t n = 0;

	must(r != NULL); /* open calls keep their run */
	if (!json_is(parts, JSON_ARRAY) || parts->n == 0)
		return err_set(e, "the tool showed nothing");
	if (parts->n > CAPTURE_PARTS_MAX)
		return err_set(
		    e, "it has %u parts, over %d", parts->n, CAPTURE_PARTS_MAX);
	for (const struct json *p = json_first(parts); p != NULL;
	     p = json_next(parts, p)) {
		struct shown one = {};
		bool kept = false;
		int status = take_part(r, p, &one, e);

		if (status == 0) {
			kept = record(k, r, &one, n++, STR(""));
			r->captured_bytes += one.bytes.n;
		}
		buf_fini(&one.bytes);
		if (status < 0)
			return -1;
		if (!kept)
			return err_set(e, "the store takes no more");
	}
	return 0;
}

static int
take_part(const struct run *r, const struct json *part, struct shown *out,
    struct err *e)
{
	struct str kind = json_str(json_get(part, STR("type")));
	uint64_t hidden = 0;

	out->bytes.max = CAPTURE_PART_BYTES;
	if (str_eq(kind, STR("image"))) {
		struct str data = json_str(json_get(part, STR("data")));

		out->type = json_str(json_get(part, STR("mimeType")));
		out->redacted = str_eq(data, STR("[redacted]"));
		if (out->redacted) {
			out->type = STR("text/plain");
			buf_add_str(&out->bytes, data);
			return 0;
		}
		/* Four characters stand for three bytes. */
		if (data.n / 4 * 3 > CAPTURE_PART_BYTES + 2)
			return err_set(e, "a part of it is over %d bytes",
			    CAPTURE_PART_BYTES);
		if (base64_decode(&out->bytes, data, BASE64_STANDARD, e) < 0)
			return -1;
	} else if (str_eq(kind, STR("text"))) {
		out->type = STR("text/plain");
		if (egress_text_hide(r, json_str(json_get(part, STR("text"))),
			&out->bytes, &hidden) < 0)
			return err_set(e, "a part of it could not be kept");
		out->redacted = hidden > 0 ||
		    str_eq(buf_str(&out->bytes), STR("[redacted]"));
	} else {
		return err_set(e, "a part of it is neither picture nor text");
	}
	if (out->bytes.failed)
		return err_set(
		    e, "a part of it is over %d bytes", CAPTURE_PART_BYTES);
	if (out->bytes.n == 0)
		return err_set(e, "a part of it is empty");
	if (r->captured_bytes + out->bytes.n > CAPTURE_RUN_BYTES)
		return err_set(e, "the run has kept %d bytes of captures",
		    CAPTURE_RUN_BYTES);
	return str_eq(kind, STR("image"))
	    ? picture_read(buf_str(&out->bytes), out->type, &out->size, e)
	    : 0;
}

/* one NULL: there is none, and why. False: the store takes no more. */
static bool
record(struct capture *k, struct run *r, const struct shown *one, uint32_t part,
    struct str why)
{
	const struct call *c = k->c;
	struct event ev = record_of(r, EVENT_PAGE_CAPTURED);
	own_buf struct buf body = {}, label = {};

	buf_add_byte(&body, '{');
	if (one != NULL && one->size.height > 0)
		buf_printf(&body, "\"height\":%u,", one->size.height);
	buf_add_c(&label, "untrusted:");
	buf_add_c(&label, c->tool);
	buf_add_c(&body, "\"label\":");
	json_put_str(&body, buf_str(&label));
	if (one != NULL) {
		buf_printf(&body, ",\"part\":%u,\"type\":", part);
		json_put_str(&body, one->type);
		ev.out.bytes = buf_str(&one->bytes);
		ev.out.redacted = one->redacted;
		ev.out.picture = !str_eq(one->type, STR("text/plain"));
	}
	buf_add_c(&body, ",\"via\":");
	json_put_str(&body, via(k));
	buf_printf(&body, ",\"when\":\"%s\"", k->after ? "after" : "before");
	if (one != NULL && one->size.width > 0)
		buf_printf(&body, ",\"width\":%u", one->size.width);
	buf_add_byte(&body, '}');
	ev.step = c->step;
	ev.tool = str_of(c->tool);
	ev.tier = str_of(risk_name(c->risk));
	ev.status = one != NULL ? STR("ok") : STR("error");
	ev.code = one != NULL ? STR("") : STR("no_capture");
	ev.reason = why;
	ev.effect = STR("none");
	ev.origin = STR("server");
	ev.ms = (clock_mono_ns() - k->asked_ns) / 1000000;
	ev.body = buf_str(&body);
	if (body.failed || label.failed)
		return false;
	k->seq = record_add(&ev);
	return k->seq != 0;
}

/* As the policy's row of that tool has it for what the agent would get. */
static const struct json *
redacted(const struct capture *k, const struct run *r,
    const struct json *answer, struct arena *a)
{
	own_buf struct buf name = {}, text = {};
	const struct policy_tool *row;
	struct err ignored = {};
	const char *kept;

	if (!k->c->server->row->bare) {
		buf_add_str(&name, k->c->server->row->name);
		buf_add_byte(&name, '.');
	}
	buf_add_str(&name, via(k));
	row = policy_tool_find(r->policy, buf_str(&name));
	if (row == NULL || row->n_redact_result == 0 || answer == NULL)
		return answer;
	redact_write(&text, answer, row->redact_result, row->n_redact_result);
	kept = text.failed ? NULL : arena_copy(a, buf_str(&text));
	return kept == NULL
	    ? NULL
	    : json_parse((struct str){ kept, text.n }, NULL, a, &ignored, NULL);
}

/* The tool that is asked. */
static struct str
via(const struct capture *k)
{
	const struct policy_capture *row = k->c->server->row->capture;

	return row->with[k->at < row->n_with ? k->at : row->n_with - 1].tool;
}
