#include "tools/result.h"

#include "base/limits.h"

static int check_content(const struct json *content, struct err *e);

int
result_take(
    struct buf *out, const struct json *result, bool *is_error, struct err *e)
{
	const struct json *type = json_get(result, STR("resultType"));
	const struct json *content = json_get(result, STR("content"));
	const struct json *bad = json_get(result, STR("isError"));
	const struct json *value = json_get(result, STR("structuredContent"));

	if (!json_is(result, JSON_OBJECT))
		return err_set(e, "its result is no object");
	if (type != NULL && !str_eq(json_str(type), STR("complete")))
		return err_set(e,
		    "it wants something of its client first, which it does "
		    "not get");
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

/* Each part is of a kind that the specification has, with what it needs. */
static int
check_content(const struct json *content, struct err *e)
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

	if (!json_is(content, JSON_ARRAY))
		return err_set(e, "its content is no list");
	for (const struct json *c = json_first(content); c != NULL;
	     c = json_next(content, c)) {
		struct str type = json_str(json_get(c, STR("type")));
		bool known = false;

		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			known = known ||
			    (str_eq(type, kinds[i].type) &&
				json_is(
				    json_get(c, kinds[i].member), kinds[i].is));
		if (!known)
			return err_set(
			    e, "its content has a part of no known kind");
	}
	return 0;
}
