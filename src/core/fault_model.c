/*
 * How the HTTP APIs of OpenAI and Anthropic fail: their errors as they write
 * them, and their answers, whole or as streams of events, with a refusal,
 * nothing, or half of a tool's arguments in them. What is changed is an answer
 * that the API gave: its id, model and usage stay.
 */
#include <string.h>

#include "base/limits.h"
#include "codec/sse.h"
#include "core/fault.h"

/* Texts go over as they are, up to the places that are changed: in order. */
struct edit {
	struct str text; /* canonical JSON */
	size_t at;
	struct buf *out;
	uint32_t n; /* of places */
};

/* A stream, event by event. */
struct events {
	const struct policy_fault *f;
	struct buf *out;
	struct buf
	    arguments; /* of the last call of a tool, as far as they go */
	bool begun; /* the answer's first event has gone out */
};

static bool ends_with(struct str s, const char *end);
static void openai_error(struct buf *out, const struct policy_fault *f,
    uint32_t status, struct str path);
static void anthropic_error(
    struct buf *out, const struct policy_fault *f, uint32_t status);
static void put_place(struct edit *ed, const struct json *v, struct str with);
static void put_half(struct edit *ed, const struct json *v);
static void edit_whole(
    struct edit *ed, const struct policy_fault *f, const struct json *j);
static void edit_choices(
    struct edit *ed, const struct json *choices, const char *member);
static void edit_output(struct edit *ed, const struct policy_fault *f,
    const struct json *output, struct str arguments);
static void put_message(struct buf *out, const struct policy_fault *f);
static void take_event(struct events *s, const struct sse_event *ev);
static void take_chat(struct events *s, struct edit *ed, const struct json *j);
static bool take_message(
    struct events *s, struct edit *ed, const struct json *j, struct str type);
static bool take_response(
    struct events *s, struct edit *ed, const struct json *j, struct str type);
static void put_event(struct buf *out, struct str name, struct str data);
static struct str refusal_of(const struct policy_fault *f);

enum fault_format
fault_format_of(const struct policy_fault *f, struct str path)
{
	if (f->format != FAULT_FORMAT_AUTO)
		return f->format;
	if (ends_with(path, "/v1/messages") ||
	    ends_with(path, "/v1/messages/count_tokens"))
		return FAULT_FORMAT_ANTHROPIC;
	if (ends_with(path, "/chat/completions") ||
	    ends_with(path, "/v1/responses") ||
	    ends_with(path, "/v1/completions") ||
	    ends_with(path, "/v1/embeddings"))
		return FAULT_FORMAT_OPENAI;
	return FAULT_FORMAT_PLAIN;
}

uint32_t
fault_model_error(struct buf *body, struct buf *fields,
    const struct policy_fault *f, enum fault_format format, struct str path)
{
	const bool anthropic = format == FAULT_FORMAT_ANTHROPIC;
	uint32_t status = f->status;
	const uint32_t after = f->retry_after_s > 0 ? f->retry_after_s
	    : f->status == 429			    ? 1
						    : 0;

	if (f->kind == FAULT_OVERLOADED && !f->status_set && anthropic)
		status = 529;
	if (f->kind == FAULT_QUOTA && !f->status_set && anthropic)
		status = 400;
	if (status == 429 || f->retry_after_s > 0)
		buf_printf(fields, ",\"retry-after\":\"%u\"", after);
	if (anthropic) {
		anthropic_error(body, f, status);
		buf_add_c(
		    fields, ",\"request-id\":\"req_000000000000000000000000\"");
		if (status == 429)
			buf_add_c(fields,
			    ",\"anthropic-ratelimit-requests-limit\":\"50\","
			    "\"anthropic-ratelimit-requests-remaining\":\"0\"");
		return status;
	}
	openai_error(body, f, status, path);
	buf_add_c(fields,
	    ",\"x-request-id\":\"req_00000000000000000000000000000000\"");
	if (status == 429)
		buf_printf(fields,
		    ",\"x-ratelimit-limit-requests\":\"500\","
		    "\"x-ratelimit-remaining-requests\":\"0\","
		    "\"x-ratelimit-reset-requests\":\"%us\"",
		    after);
	return status;
}

int
fault_model_answer(
    struct buf *out, const struct policy_fault *f, struct str body, bool events)
{
	own_arena struct arena a = {};
	own_buf struct buf text = {};
	struct edit ed = { .out = out };
	struct err ignored;
	const struct json *root;

	if (events) {
		struct sse sse = { .in.max = body.n + 1,
			.data.max = body.n + 1 };
		struct events s = { .f = f, .out = out };
		struct sse_event ev;
		int got = sse_feed(&sse, body);

		while (got == 0 && sse_next(&sse, &ev))
			take_event(&s, &ev);
		sse_fini(&sse);
		buf_fini(&s.arguments);
		return got < 0 ? -1 : 0;
	}
	root = json_parse(body, NULL, &a, &ignored, NULL);
	if (root == NULL)
		return -1;
	/* Places are found in what is written, so it is canonical first. */
	json_write(&text, root);
	root = json_parse(buf_str(&text), NULL, &a, &ignored, NULL);
	if (root == NULL)
		return -1;
	ed.text = buf_str(&text);
	edit_whole(&ed, f, root);
	if (ed.n == 0)
		return -1;
	put_place(&ed, NULL, STR(""));
	return 0;
}

void
fault_model_event(struct buf *out, enum fault_format format)
{
	if (format == FAULT_FORMAT_ANTHROPIC)
		buf_add_c(out,
		    "event: error\ndata: {\"type\":\"error\",\"error\":"
		    "{\"details\":null,\"type\":\"overloaded_error\","
		    "\"message\":\"Overloaded\"}}\n\n");
	else
		buf_add_c(out,
		    "data: {\"error\":{\"message\":\"The server had an error "
		    "while processing your request. Sorry about that!\","
		    "\"type\":\"server_error\",\"param\":null,\"code\":null}}"
		    "\n\n");
}

static bool
ends_with(struct str s, const char *end)
{
	const struct str e = str_of(end);

	return s.n >= e.n && str_eq((struct str){ s.p + s.n - e.n, e.n }, e);
}

static void
openai_error(struct buf *out, const struct policy_fault *f, uint32_t status,
    struct str path)
{
	const bool responses = ends_with(path, "/responses");
	const char *message = "The server had an error while processing your "
			      "request. Sorry about that!";
	const char *type = "server_error", *param = "null", *code = "null";

	if (f->kind == FAULT_CONTEXT_LENGTH) {
		message = responses
		    ? "Your input exceeds the context window of this model. "
		      "Please adjust your input and try again."
		    : "This model's maximum context length is 128000 tokens. "
		      "However, your messages resulted in 131072 tokens. "
		      "Please reduce the length of the messages.";
		type = "invalid_request_error";
		param = responses ? "\"input\"" : "\"messages\"";
		code = "\"context_length_exceeded\"";
	} else if (f->kind == FAULT_QUOTA) {
		message = "You exceeded your current quota, please check your "
			  "plan and billing details.";
		type = "insufficient_quota";
		code = "\"insufficient_quota\"";
	} else if (f->kind == FAULT_OVERLOADED) {
		message = "That model is currently overloaded with other "
			  "requests. You can retry your request.";
	} else if (status == 429) {
		message = "Rate limit reached for requests per min (RPM): "
			  "Limit 500, Used 500, Requested 1. Please try "
			  "again later.";
		type = "requests";
		code = "\"rate_limit_exceeded\"";
	} else if (status == 401) {
		message = "Incorrect API key provided.";
		type = "invalid_request_error";
		code = "\"invalid_api_key\"";
	} else if (status < 500) {
		message = "The request was refused.";
		type = "invalid_request_error";
	}
	buf_add_c(out, "{\"error\":{\"message\":");
	json_put_str(out, f->text.n > 0 ? f->text : str_of(message));
	buf_printf(out, ",\"type\":\"%s\",\"param\":%s,\"code\":%s}}", type,
	    param, code);
}

static void
anthropic_error(struct buf *out, const struct policy_fault *f, uint32_t status)
{
	static const struct {
		uint32_t status;
		const char *type, *message;
	} rows[] = {
		{ 400, "invalid_request_error", "The request was refused." },
		{ 401, "authentication_error", "invalid x-api-key" },
		{ 403, "permission_error",
		    "Your API key does not have permission to use this." },
		{ 404, "not_found_error", "Not found" },
		{ 413, "request_too_large",
		    "Request exceeds the maximum size" },
		{ 429, "rate_limit_error",
		    "This request would exceed your organization's rate "
		    "limit." },
		{ 504, "timeout_error", "Request timed out" },
		{ 529, "overloaded_error", "Overloaded" },
	};
	const char *type = status < 500 ? "invalid_request_error" : "api_error";
	const char *message =
	    status < 500 ? "The request was refused." : "Internal server error";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].status == status) {
			type = rows[i].type;
			message = rows[i].message;
		}
	}
	if (f->kind == FAULT_CONTEXT_LENGTH)
		message = "prompt is too long: 210000 tokens > 200000 maximum";
	if (f->kind == FAULT_QUOTA)
		message = "Your credit balance is too low to access the "
			  "Anthropic API. Please go to Plans & Billing to "
			  "upgrade or purchase credits.";
	buf_printf(out,
	    "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":",
	    type);
	json_put_str(out, f->text.n > 0 ? f->text : str_of(message));
	buf_add_c(out, "},\"request_id\":\"req_000000000000000000000000\"}");
}

/* What stands in front of v, and `with` in its place; NULL: the rest. */
static void
put_place(struct edit *ed, const struct json *v, struct str with)
{
	own_buf struct buf same = {};
	const size_t to = v != NULL ? v->at : ed->text.n;

	if (to < ed->at)
		return; /* in one that was replaced */
	buf_add(ed->out, ed->text.p + ed->at, to - ed->at);
	ed->at = to;
	if (v == NULL)
		return;
	json_write(&same, v);
	ed->at += same.n;
	ed->n++;
	buf_add_str(ed->out, with);
}

/* Half of a text, which then is no whole JSON any more. */
static void
put_half(struct edit *ed, const struct json *v)
{
	const struct str s = json_str(v);
	own_buf struct buf half = {};
	size_t n = s.n / 2;

	if (!json_is(v, JSON_STRING))
		return;
	while (n > 0 && ((uint8_t)s.p[n] & 0xc0) == 0x80)
		n--;
	json_put_str(&half, (struct str){ s.p, n });
	put_place(ed, v, buf_str(&half));
}

static void
edit_whole(struct edit *ed, const struct policy_fault *f, const struct json *j)
{
	const struct json *choices = json_get(j, STR("choices"));
	const struct json *output = json_get(j, STR("output"));
	const struct json *content = json_get(j, STR("content"));
	const bool calls = f->kind == FAULT_BAD_TOOL_JSON;
	own_buf struct buf b = {};
	bool any = false;

	if (choices != NULL && calls) {
		edit_choices(ed, choices, "message");
	} else if (choices != NULL) {
		buf_add_c(&b,
		    "[{\"finish_reason\":\"stop\",\"index\":0,\"logprobs\":"
		    "null,\"message\":");
		put_message(&b, f);
		buf_add_c(&b, "}]");
		put_place(ed, choices, buf_str(&b));
	} else if (output != NULL) {
		edit_output(ed, f, output, (struct str){});
	} else if (content != NULL && calls) {
		for (const struct json *x = json_is(content, JSON_ARRAY)
			 ? json_first(content)
			 : NULL;
		     x != NULL; x = json_next(content, x)) {
			if (!str_eq(json_str(json_get(x, STR("type"))),
				STR("tool_use")))
				continue;
			/* There it is no text: what is no JSON is lost. */
			put_place(ed, json_get(x, STR("input")), STR("{}"));
			any = true;
		}
		if (any)
			put_place(ed, json_get(j, STR("stop_reason")),
			    STR("\"max_tokens\""));
	} else if (content != NULL) {
		buf_add_byte(&b, '[');
		if (f->kind == FAULT_REFUSAL && f->text.n > 0) {
			buf_add_c(&b, "{\"text\":");
			json_put_str(&b, f->text);
			buf_add_c(&b, ",\"type\":\"text\"}");
		}
		buf_add_byte(&b, ']');
		put_place(ed, content, buf_str(&b));
		put_place(ed, json_get(j, STR("stop_reason")),
		    f->kind == FAULT_REFUSAL ? STR("\"refusal\"")
					     : STR("\"end_turn\""));
	}
}

/* Arguments of tools in the message, or the delta, of each choice. */
static void
edit_choices(struct edit *ed, const struct json *choices, const char *member)
{
	for (const struct json *x =
		 json_is(choices, JSON_ARRAY) ? json_first(choices) : NULL;
	     x != NULL; x = json_next(choices, x)) {
		const struct json *calls =
		    json_at(x, member, "tool_calls", NULL);

		for (const struct json *c =
			 json_is(calls, JSON_ARRAY) ? json_first(calls) : NULL;
		     c != NULL; c = json_next(calls, c))
			put_half(ed, json_at(c, "function", "arguments", NULL));
	}
}

/* The items of a response. arguments: p NULL: half of what is there. */
static void
edit_output(struct edit *ed, const struct policy_fault *f,
    const struct json *output, struct str arguments)
{
	own_buf struct buf b = {};

	if (f->kind != FAULT_BAD_TOOL_JSON) {
		buf_add_byte(&b, '[');
		if (f->kind == FAULT_REFUSAL) {
			buf_add_c(&b, "{\"content\":[{\"refusal\":");
			json_put_str(&b, refusal_of(f));
			buf_add_c(&b,
			    ",\"type\":\"refusal\"}],\"id\":\"msg_0\","
			    "\"role\":\"assistant\",\"status\":\"completed\","
			    "\"type\":\"message\"}");
		}
		buf_add_byte(&b, ']');
		put_place(ed, output, buf_str(&b));
		return;
	}
	for (const struct json *x =
		 json_is(output, JSON_ARRAY) ? json_first(output) : NULL;
	     x != NULL; x = json_next(output, x)) {
		const struct json *v = json_get(x, STR("arguments"));

		if (v == NULL)
			continue;
		if (arguments.p == NULL) {
			put_half(ed, v);
		} else {
			buf_reset(&b);
			json_put_str(&b, arguments);
			put_place(ed, v, buf_str(&b));
		}
	}
}

static void
put_message(struct buf *out, const struct policy_fault *f)
{
	if (f->kind == FAULT_REFUSAL) {
		buf_add_c(out, "{\"content\":null,\"refusal\":");
		json_put_str(out, refusal_of(f));
	} else {
		buf_add_c(out, "{\"content\":\"\",\"refusal\":null");
	}
	buf_add_c(out, ",\"role\":\"assistant\"}");
}

static void
take_event(struct events *s, const struct sse_event *ev)
{
	own_arena struct arena a = {};
	own_buf struct buf text = {}, data = {};
	struct err ignored;
	const struct json *j = json_parse(ev->data, NULL, &a, &ignored, NULL);
	struct edit ed = { .out = &data };
	struct str type;
	bool keep = true;

	if (j == NULL) { /* [DONE], or what is none of ours */
		put_event(s->out, ev->name, ev->data);
		return;
	}
	json_write(&text, j);
	j = json_parse(buf_str(&text), NULL, &a, &ignored, NULL);
	ed.text = buf_str(&text);
	type = json_str(json_get(j, STR("type")));
	if (json_get(j, STR("choices")) != NULL) {
		take_chat(s, &ed, j);
		return;
	}
	keep = str_starts(type, STR("response."))
	    ? take_response(s, &ed, j, type)
	    : take_message(s, &ed, j, type);
	if (!keep)
		return;
	put_place(&ed, NULL, STR(""));
	put_event(s->out, ev->name, buf_str(&data));
}

/* Chunks of chat completions. */
static void
take_chat(struct events *s, struct edit *ed, const struct json *j)
{
	const struct json *choices = json_get(j, STR("choices"));
	own_buf struct buf b = {};

	if (s->f->kind == FAULT_BAD_TOOL_JSON) {
		edit_choices(ed, choices, "delta");
	} else if (json_is(choices, JSON_ARRAY) && choices->n > 0) {
		if (s->begun)
			return;
		/* The first one is the pattern for the two that there are. */
		s->begun = true;
		buf_add_c(&b, "[{\"delta\":");
		put_message(&b, s->f);
		buf_add_c(&b,
		    ",\"finish_reason\":null,\"index\":0,\"logprobs\":null}]");
		put_place(ed, choices, buf_str(&b));
		put_place(ed, NULL, STR(""));
		put_event(s->out, STR("message"), buf_str(ed->out));
		buf_reset(ed->out);
		ed->at = 0;
		put_place(ed, choices,
		    STR("[{\"delta\":{},\"finish_reason\":\"stop\",\"index\":0,"
			"\"logprobs\":null}]"));
	}
	put_place(ed, NULL, STR(""));
	put_event(s->out, STR("message"), buf_str(ed->out));
}

/* Events of messages; false: it does not go out. */
static bool
take_message(
    struct events *s, struct edit *ed, const struct json *j, struct str type)
{
	own_buf struct buf text = {};

	if (s->f->kind == FAULT_BAD_TOOL_JSON) {
		put_half(ed, json_at(j, "delta", "partial_json", NULL));
		return true;
	}
	if (str_starts(type, STR("content_block_")))
		return false;
	if (!str_eq(type, STR("message_delta")))
		return true;
	if (s->f->kind == FAULT_REFUSAL && s->f->text.n > 0) {
		put_event(s->out, STR("content_block_start"),
		    STR("{\"type\":\"content_block_start\",\"index\":0,"
			"\"content_block\":{\"type\":\"text\",\"text\":\"\"}"
			"}"));
		buf_add_c(&text,
		    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
		    "{\"type\":\"text_delta\",\"text\":");
		json_put_str(&text, s->f->text);
		buf_add_c(&text, "}}");
		put_event(s->out, STR("content_block_delta"), buf_str(&text));
		put_event(s->out, STR("content_block_stop"),
		    STR("{\"type\":\"content_block_stop\",\"index\":0}"));
	}
	put_place(ed, json_at(j, "delta", "stop_reason", NULL),
	    s->f->kind == FAULT_REFUSAL ? STR("\"refusal\"")
					: STR("\"end_turn\""));
	return true;
}

/* Events of responses; likewise. */
static bool
take_response(
    struct events *s, struct edit *ed, const struct json *j, struct str type)
{
	const struct json *output = json_at(j, "response", "output", NULL);
	own_buf struct buf b = {};

	if (str_eq(type, STR("response.created")) ||
	    str_eq(type, STR("response.in_progress")))
		return true;
	if (str_eq(type, STR("response.completed")) ||
	    str_eq(type, STR("response.incomplete"))) {
		edit_output(ed, s->f, output,
		    s->arguments.n > 0 ? buf_str(&s->arguments)
				       : (struct str){});
		return true;
	}
	if (s->f->kind != FAULT_BAD_TOOL_JSON)
		return false;
	if (str_eq(type, STR("response.function_call_arguments.delta"))) {
		const struct str delta = json_str(json_get(j, STR("delta")));

		put_half(ed, json_get(j, STR("delta")));
		buf_add(&s->arguments, delta.p, delta.n / 2);
		return true;
	}
	json_put_str(&b, buf_str(&s->arguments));
	if (str_eq(type, STR("response.function_call_arguments.done")))
		put_place(ed, json_get(j, STR("arguments")), buf_str(&b));
	else if (str_eq(type, STR("response.output_item.done")) &&
	    json_at(j, "item", "arguments", NULL) != NULL)
		put_place(
		    ed, json_at(j, "item", "arguments", NULL), buf_str(&b));
	return true;
}

static void
put_event(struct buf *out, struct str name, struct str data)
{
	if (!str_eq(name, STR("message"))) {
		buf_add_c(out, "event: ");
		buf_add_str(out, name);
		buf_add_byte(out, '\n');
	}
	buf_add_c(out, "data: ");
	buf_add_str(out, data);
	buf_add_c(out, "\n\n");
}

static struct str
refusal_of(const struct policy_fault *f)
{
	return f->text.n > 0 ? f->text
			     : STR("I'm sorry, but I cannot assist with that "
				   "request.");
}
