#include "gateway/answer.h"

#include "codec/json.h"

/* What a status of ours means, and what its reader can do. */
static const struct meaning {
	uint16_t status;
	const char *code;
	const char *next;
} meanings[] = {
	{ 400, "bad_request", "Correct the request as the message says." },
	{ 401, "unauthorized", "Send the header Authorization: Bearer TOKEN." },
	{ 403, "forbidden",
	    "Send the request from this machine, to "
	    "localhost." },
	{ 404, "not_found", "See docs/API.md for the paths that there are." },
	{ 405, "method_not_allowed",
	    "Use a method that the header Allow "
	    "names." },
	{ 406, "not_acceptable",
	    "Accept application/json, or "
	    "text/event-stream for a stream." },
	{ 408, "timeout", "Send the whole request at once." },
	{ 409, "conflict", "Use another connection for this request." },
	{ 411, "length_required", "Send a body with Content-Length." },
	{ 413, "too_large", "Send less in one request." },
	{ 414, "target_too_long", "Send arguments in the body." },
	{ 415, "unsupported_media_type",
	    "Send Content-Type: "
	    "application/json." },
	{ 417, "expectation_failed", "Send no Expect header." },
	{ 431, "head_too_large", "Send fewer or shorter header fields." },
	{ 501, "not_implemented",
	    "Send the body with Content-Length or "
	    "chunked." },
	{ 503, "unavailable", "Try again in a few seconds." },
	{ 505, "version_not_supported", "Use HTTP/1.1." },
};
static const struct meaning unknown = { 500, "internal_error",
	"Look at the operator's log." };

static const struct meaning *meaning_of(uint16_t status);

void
answer_error(struct client *cl, uint16_t status, const char *message)
{
	answer_error_fields(cl, status, message,
	    status == 401 ? STR("WWW-Authenticate: Bearer\r\n") : STR(""));
}

void
answer_error_fields(
    struct client *cl, uint16_t status, const char *message, struct str fields)
{
	struct buf *b = &cl->gateway->body;

	buf_reset(b);
	buf_add_str(b, STR("{\"error\":"));
	answer_error_put(b, status, str_of(message));
	buf_add_byte(b, '}');
	http_reply(
	    &cl->conn, status, fields, STR("application/json"), buf_str(b));
}

void
answer_error_put(struct buf *b, uint16_t status, struct str message)
{
	const struct meaning *m = meaning_of(status);

	buf_add_str(b, STR("{\"code\":"));
	json_put_str(b, str_of(m->code));
	buf_add_str(b, STR(",\"message\":"));
	json_put_str(b, message);
	buf_add_str(b, STR(",\"suggested_next_step\":"));
	json_put_str(b, str_of(m->next));
	buf_add_byte(b, '}');
}

void
answer_json(struct client *cl, uint16_t status, struct str body)
{
	http_reply(&cl->conn, status, STR(""), STR("application/json"), body);
}

bool
answer_accepts(const struct client *cl, struct str type)
{
	const struct http1_head *h = &cl->conn.head;

	for (uint32_t i = 0; i < h->n; i++) {
		struct str rest = h->field[i].value;

		if (!str_eq_nocase(h->field[i].name, STR("Accept")))
			continue;
		while (rest.n > 0) {
			size_t comma = str_find(rest, ',');
			struct str one = { rest.p, comma };

			one.n = str_find(one, ';');
			if (str_eq_nocase(str_trim(one), type))
				return true;
			comma += comma < rest.n;
			rest = (struct str){ rest.p + comma, rest.n - comma };
		}
	}
	return false;
}

bool
answer_is_json(const struct client *cl)
{
	const struct str *type = http1_get(&cl->conn.head, STR("Content-Type"));
	struct str t;

	if (type == NULL ||
	    http1_count(&cl->conn.head, STR("Content-Type")) != 1)
		return false;
	t = *type;
	t.n = str_find(t, ';');
	return str_eq_nocase(str_trim(t), STR("application/json"));
}

static const struct meaning *
meaning_of(uint16_t status)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (meanings[i].status == status)
			return &meanings[i];
	}
	return &unknown;
}
