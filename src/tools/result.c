#include "tools/result.h"

#include "base/limits.h"
#include "base/must.h"

static int check_type(const struct json *result, struct err *e);
static int check_content(const struct json *content, struct err *e);
static bool is_part(const struct json *c);
static int check_contents(const struct json *contents, struct err *e);
static int check_messages(const struct json *messages, struct err *e);
static int check_completion(const struct json *completion, struct err *e);

int
result_take(
    struct buf *out, const struct json *result, bool *is_error, struct err *e)
{
	const struct json *content = json_get(result, STR("content"));
	const struct json *bad = json_get(result, STR("isError"));
	const struct json *value = json_get(result, STR("structuredContent"));

	if (check_type(result, e) < 0)
		return -1;
	if (bad != NULL && !json_is(bad, JSON_TRUE) &&
	    !json_is(bad, JSON_FALSE))
		return err_set(e, "its isError is neither true nor false");
	if (value != NULL && !json_is(value, JSON_OBJECT))
		return err_set(e, "its structuredContent is no object");
	if (content != NULL && check_content(content, e) < 0)
		return -1;
	*is_error = json_bool(bad, false);
	buf_add_c(out, "{\"content\":");
	if (content != NULL)
		json_write(out, content);
	else
		buf_add_c(out, "[]");
	buf_add_c(out, *is_error ? ",\"isError\":true" : ",\"isError\":false");
	if (value != NULL) {
		buf_add_c(out, ",\"structuredContent\":");
		json_write(out, value);
	}
	buf_add_byte(out, '}');
	if (out->failed || out->n > IPC_MAX_PAYLOAD_BYTES)
		return err_set(e, "it is over %d bytes", IPC_MAX_PAYLOAD_BYTES);
	return 0;
}

int
result_take_other(struct buf *out, enum server_ask ask,
    const struct json *result, struct err *e)
{
	static const struct {
		const char *member;
		int (*check)(const struct json *v, struct err *e);
	} kinds[SERVER_ASKS] = {
		[SERVER_ASK_RESOURCE] = { "contents", check_contents },
		[SERVER_ASK_PROMPT] = { "messages", check_messages },
		[SERVER_ASK_COMPLETION] = { "completion", check_completion },
	};
	const struct json *text = json_get(result, STR("description"));
	const struct json *v;

	if (check_type(result, e) < 0)
		return -1;
	if (ask == SERVER_ASK_SUBSCRIBE || ask == SERVER_ASK_UNSUBSCRIBE) {
		buf_add_c(out, "{}"); /* it says no more */
		return 0;
	}
	must(kinds[ask].check != NULL); /* of a tool: result_take */
	v = json_get(result, str_of(kinds[ask].member));
	if (kinds[ask].check(v, e) < 0)
		return -1;
	buf_add_byte(out, '{');
	if (ask == SERVER_ASK_PROMPT && json_is(text, JSON_STRING)) {
		buf_add_c(out, "\"description\":");
		json_write(out, text);
		buf_add_byte(out, ',');
	}
	buf_printf(out, "\"%s\":", kinds[ask].member);
	json_write(out, v);
	buf_add_byte(out, '}');
	if (out->failed || out->n > IPC_MAX_PAYLOAD_BYTES)
		return err_set(e, "it is over %d bytes", IPC_MAX_PAYLOAD_BYTES);
	return 0;
}

void
result_failed(
    struct buf *out, const char *code, struct str error, const char *next_step)
{
	buf_add_c(out, "{\"code\":");
	json_put_str(out, str_of(code));
	buf_add_c(out, ",\"error\":");
	json_put_str(out, error);
	buf_add_c(out, ",\"suggested_next_step\":");
	json_put_str(out, str_of(next_step));
	buf_add_byte(out, '}');
}

static int
check_type(const struct json *result, struct err *e)
{
	const struct json *type = json_get(result, STR("resultType"));

	if (!json_is(result, JSON_OBJECT))
		return err_set(e, "its result is no object");
	if (type != NULL && !str_eq(json_str(type), STR("complete")))
		return err_set(e,
		    "it wants something of its client first, which it does "
		    "not get");
	return 0;
}

static int
check_content(const struct json *content, struct err *e)
{
	if (!json_is(content, JSON_ARRAY))
		return err_set(e, "its content is no list");
	for (const struct json *c = json_first(content); c != NULL;
	     c = json_next(content, c)) {
		if (!is_part(c))
			return err_set(
			    e, "its content has a part of no known kind");
	}
	return 0;
}

/* Of a kind that the specification has, with what it needs. */
static bool
is_part(const struct json *c)
{
	static const struct {
		struct str type, member;
		enum json_type is;
	} kinds[] = {
		{ STR("text"), STR("text"), JSON_STRING },
		{ STR("image"), STR("data"), JSON_STRING },
		{ STR("audio"), STR("data"), JSON_STRING },
		{ STR("resource"), STR("resource"), JSON_OBJECT },
		{ STR("resource_link"), STR("uri"), JSON_STRING },
	};
	struct str type = json_str(json_get(c, STR("type")));

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (str_eq(type, kinds[i].type))
			return json_is(
			    json_get(c, kinds[i].member), kinds[i].is);
	}
	return false;
}

static int
check_contents(const struct json *contents, struct err *e)
{
	if (!json_is(contents, JSON_ARRAY))
		return err_set(e, "its contents are no list");
	for (const struct json *c = json_first(contents); c != NULL;
	     c = json_next(contents, c)) {
		const struct json *text = json_get(c, STR("text"));
		const struct json *blob = json_get(c, STR("blob"));

		if (!json_is(json_get(c, STR("uri")), JSON_STRING) ||
		    (text == NULL) == (blob == NULL) ||
		    !json_is(text != NULL ? text : blob, JSON_STRING))
			return err_set(e,
			    "its contents have a part without a URI, or "
			    "without one of text and blob");
	}
	return 0;
}

static int
check_messages(const struct json *messages, struct err *e)
{
	if (!json_is(messages, JSON_ARRAY))
		return err_set(e, "its messages are no list");
	for (const struct json *m = json_first(messages); m != NULL;
	     m = json_next(messages, m)) {
		struct str role = json_str(json_get(m, STR("role")));

		if ((!str_eq(role, STR("user")) &&
			!str_eq(role, STR("assistant"))) ||
		    !is_part(json_get(m, STR("content"))))
			return err_set(e,
			    "its messages have one of no known role or kind");
	}
	return 0;
}

static int
check_completion(const struct json *completion, struct err *e)
{
	const struct json *values = json_get(completion, STR("values"));
	const struct json *total = json_get(completion, STR("total"));
	const struct json *more = json_get(completion, STR("hasMore"));

	if (!json_is(values, JSON_ARRAY) || values->n > SERVER_VALUES_MAX)
		return err_set(e, "its completion has no list of at most %d",
		    SERVER_VALUES_MAX);
	for (const struct json *v = json_first(values); v != NULL;
	     v = json_next(values, v)) {
		if (!json_is(v, JSON_STRING))
			return err_set(e, "its completion has what is no text");
	}
	if ((total != NULL && !json_is(total, JSON_NUMBER)) ||
	    (more != NULL && !json_is(more, JSON_TRUE) &&
		!json_is(more, JSON_FALSE)))
		return err_set(e, "its completion has another form");
	return 0;
}
