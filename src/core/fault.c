#include "core/fault.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "core/policy_int.h"

/* As the policy writes them, in the order of enum fault_kind. */
const char *const fault_words[] = { "latency", "timeout", "hang", "status",
	"rate_limit", "lost_ack", "empty", "truncate", "malformed",
	"missing_field", "null_field", "wrong_type", "extra_field", "hostile",
	"conflict", "auth_expired", "scope_revoked", "refuse", "reset", "dns",
	"tls", "budget_low", "kill", "approval_denied", "approval_expired",
	"approval_late", NULL };
_Static_assert(sizeof(fault_words) / sizeof(fault_words[0]) == FAULT_KINDS + 1,
    "a word each");

static uint64_t draw(uint64_t seed, uint32_t rule, uint32_t call, char what);
static bool is_status(const struct policy_fault *f);
static bool hits(const struct policy_fault *f, uint64_t seed, uint32_t rule,
    uint32_t call, uint32_t before);
static const struct json *at_path(
    const struct json *v, struct str path, const struct json **key);
static void put_changed(struct buf *out, const struct policy_fault *f,
    struct str answer, const struct json *v, const struct json *key);
static void put_other_type(struct buf *out, const struct json *v);
static const char *status_text(uint32_t status);

const char *
fault_kind_name(enum fault_kind k)
{
	return fault_words[k];
}

enum fault_point
fault_point_of(const struct policy_fault *f)
{
	if (f->host.n > 0)
		return FAULT_AT_REQUEST;
	return f->kind == FAULT_APPROVAL_DENIED ||
		f->kind == FAULT_APPROVAL_EXPIRED ||
		f->kind == FAULT_APPROVAL_LATE
	    ? FAULT_AT_APPROVAL
	    : FAULT_AT_CALL;
}

bool
fault_choose(const struct policy_fault *rules, uint32_t n, uint64_t seed,
    enum fault_point at, struct str name, uint32_t *seen, uint32_t *n_hits,
    struct fault_hit *out)
{
	bool found = false;

	for (uint32_t i = 0; i < n; i++) {
		const struct policy_fault *f = &rules[i];

		if (fault_point_of(f) != at ||
		    !str_glob(at == FAULT_AT_REQUEST ? f->host : f->tool, name))
			continue;
		seen[i]++;
		if (found || !hits(f, seed, i, seen[i], n_hits[i]))
			continue;
		found = true;
		n_hits[i]++;
		*out = (struct fault_hit){ f, i, seen[i], f->ms };
		if (f->jitter_ms > 0)
			out->delay_ms +=
			    (uint32_t)(draw(seed, i, seen[i], 'j') %
				(f->jitter_ms + 1));
	}
	return found;
}

bool
fault_instead(const struct policy_fault *f)
{
	switch (f->kind) {
	case FAULT_TIMEOUT:
		return !f->applied;
	case FAULT_HANG:
	case FAULT_STATUS:
	case FAULT_RATE_LIMIT:
	case FAULT_CONFLICT:
	case FAULT_AUTH_EXPIRED:
	case FAULT_SCOPE_REVOKED:
	case FAULT_REFUSE:
	case FAULT_RESET:
	case FAULT_DNS:
	case FAULT_TLS:
	case FAULT_KILL:
		return true;
	case FAULT_BUDGET_LOW:
	case FAULT_APPROVAL_DENIED:
	case FAULT_APPROVAL_EXPIRED:
	case FAULT_APPROVAL_LATE:
	case FAULT_LATENCY:
	case FAULT_LOST_ACK:
	case FAULT_EMPTY:
	case FAULT_TRUNCATE:
	case FAULT_MALFORMED:
	case FAULT_MISSING_FIELD:
	case FAULT_NULL_FIELD:
	case FAULT_WRONG_TYPE:
	case FAULT_EXTRA_FIELD:
	case FAULT_HOSTILE:
	case FAULT_KINDS:
		break;
	}
	return false;
}

bool
fault_hides(const struct policy_fault *f)
{
	return fault_instead(f) || f->kind == FAULT_TIMEOUT ||
	    f->kind == FAULT_LOST_ACK;
}

/* The service answers so. */
static bool
is_status(const struct policy_fault *f)
{
	return f->kind == FAULT_STATUS || f->kind == FAULT_RATE_LIMIT ||
	    f->kind == FAULT_CONFLICT || f->kind == FAULT_AUTH_EXPIRED ||
	    f->kind == FAULT_SCOPE_REVOKED;
}

const char *
fault_code(const struct policy_fault *f, char out[static 16])
{
	if (is_status(f))
		(void)snprintf(out, 16, "http_%u", f->status);
	else
		(void)snprintf(out, 16, "%s",
		    f->kind == FAULT_LOST_ACK	  ? "unknown"
			: f->kind == FAULT_REFUSE ? "refused"
			: f->kind == FAULT_RESET  ? "reset"
			: f->kind == FAULT_DNS	  ? "dns"
			: f->kind == FAULT_TLS	  ? "tls"
			: f->kind == FAULT_KILL	  ? "killed"
						  : "timeout");
	return out;
}

uint32_t
fault_http_status(const struct policy_fault *f)
{
	return is_status(f)					? f->status
	    : f->kind == FAULT_TIMEOUT || f->kind == FAULT_HANG ? 504
	    : f->kind == FAULT_EMPTY				? 200
								: 502;
}

void
fault_error_write(struct buf *out, const struct policy_fault *f)
{
	char code[16];

	buf_printf(out, "{\"code\":\"%s\",\"error\":", fault_code(f, code));
	if (f->text.n > 0) {
		json_put_str(out, f->text);
	} else if (is_status(f)) {
		own_buf struct buf text = {};

		buf_printf(&text, "The service answered %u %s.", f->status,
		    status_text(f->status));
		json_put_str(out, buf_str(&text));
	} else if (f->kind == FAULT_LOST_ACK) {
		buf_add_c(out,
		    "\"The connection was reset before the answer came; it is "
		    "not known whether the call had an effect.\"");
	} else if (f->kind == FAULT_REFUSE) {
		buf_add_c(out, "\"The connection was refused.\"");
	} else if (f->kind == FAULT_RESET) {
		buf_add_c(out,
		    "\"The connection was reset before the request was "
		    "sent.\"");
	} else if (f->kind == FAULT_DNS) {
		buf_add_c(out, "\"The name of the service is not known.\"");
	} else if (f->kind == FAULT_TLS) {
		buf_add_c(
		    out, "\"The service's certificate is not a good one.\"");
	} else if (f->kind == FAULT_KILL) {
		buf_add_c(out, "\"The run was killed.\"");
	} else {
		buf_add_c(out,
		    "\"The tool did not answer in time; it is not known "
		    "whether the call had an effect.\"");
	}
	if (f->retry_after_s > 0)
		buf_printf(out, ",\"retry_after_s\":%u", f->retry_after_s);
	buf_add_c(out,
	    is_status(f) || f->kind == FAULT_REFUSE || f->kind == FAULT_RESET ||
		    f->kind == FAULT_DNS || f->kind == FAULT_TLS
		? ",\"suggested_next_step\":\"Wait before trying again, or go "
		  "on without it.\"}"
		: ",\"suggested_next_step\":\"Read the state of things before "
		  "trying again.\"}");
}

int
fault_result_write(
    struct buf *out, const struct policy_fault *f, struct str answer)
{
	own_arena struct arena a = {};
	struct err ignored;
	const struct json *root, *v, *key = NULL;
	size_t cut = f->kind == FAULT_MALFORMED ? answer.n / 2 : f->bytes;

	if (f->kind == FAULT_LATENCY || f->kind == FAULT_BUDGET_LOW)
		return -1;
	if (f->kind == FAULT_EMPTY) {
		buf_add_c(out, "{}");
		return 0;
	}
	if (f->kind == FAULT_TRUNCATE || f->kind == FAULT_MALFORMED) {
		if (cut >= answer.n)
			return -1;
		/* Half a character is none. */
		while (cut > 0 && ((uint8_t)answer.p[cut] & 0xc0) == 0x80)
			cut--;
		json_put_str(out, (struct str){ answer.p, cut });
		return 0;
	}
	root = json_parse(answer, NULL, &a, &ignored, NULL);
	v = root != NULL ? at_path(root, f->at, &key) : NULL;
	if (v == NULL)
		return -1;
	put_changed(out, f, answer, v, key);
	return 0;
}

static bool
hits(const struct policy_fault *f, uint64_t seed, uint32_t rule, uint32_t call,
    uint32_t before)
{
	if (call <= f->after || (f->nth > 0 && call != f->nth) ||
	    (f->count > 0 && before >= f->count))
		return false;
	if (f->permille >= 1000)
		return true;
	return draw(seed, rule, call, 'p') % 1000 < f->permille;
}

/* A number of its own for each place, whatever was drawn elsewhere. */
static uint64_t
draw(uint64_t seed, uint32_t rule, uint32_t call, char what)
{
	char text[64];
	uint64_t v = 0;
	int n = snprintf(text, sizeof(text), "%llu/%u/%u%c",
	    (unsigned long long)seed, rule, call, what);
	struct hash h = hash_of(text, (size_t)n);

	memcpy(&v, h.b, sizeof(v));
	return v;
}

/* "$.a.b", members only; *key is that of the last, NULL for "$". */
static const struct json *
at_path(const struct json *v, struct str path, const struct json **key)
{
	*key = NULL;
	path.p += path.n > 0;
	path.n -= path.n > 0;
	while (v != NULL && path.n > 0) {
		struct str name = { path.p + 1, path.n - 1 };
		const struct json *found = NULL;

		name.n = str_find(name, '.');
		for (const struct json *k =
			 json_is(v, JSON_OBJECT) ? json_first(v) : NULL;
		     k != NULL; k = json_next(v, k)) {
			if (str_eq(json_str(k), name))
				found = k;
		}
		*key = found;
		v = found != NULL ? json_value(found) : NULL;
		path.p += 1 + name.n;
		path.n -= 1 + name.n;
	}
	return v;
}

/* The text before v, what comes in its place, the text behind it. */
static void
put_changed(struct buf *out, const struct policy_fault *f, struct str answer,
    const struct json *v, const struct json *key)
{
	own_buf struct buf same = {}, more = {};
	size_t from = v->at, to;

	/* As it stands in the text: results are canonical. */
	json_write(&same, v);
	to = from + same.n;
	if (to > answer.n)
		return;
	if (f->kind == FAULT_MISSING_FIELD && key != NULL) {
		from = key->at;
		if (to < answer.n && answer.p[to] == ',')
			to++;
		else if (from > 0 && answer.p[from - 1] == ',')
			from--;
	}
	buf_add(out, answer.p, from);
	if (f->kind == FAULT_NULL_FIELD ||
	    (f->kind == FAULT_MISSING_FIELD && key == NULL)) {
		buf_add_c(out, "null");
	} else if (f->kind == FAULT_WRONG_TYPE) {
		put_other_type(out, v);
	} else if (f->kind == FAULT_EXTRA_FIELD && json_is(v, JSON_OBJECT)) {
		buf_add(out, answer.p + from, same.n - 1);
		buf_add_c(out, v->n > 0 ? "," : "");
		buf_add_c(out, "\"zz_unexpected\":{\"version\":2}}");
	} else if (f->kind == FAULT_HOSTILE && json_is(v, JSON_STRING)) {
		buf_add_str(&more, json_str(v));
		buf_add_byte(&more, ' ');
		buf_add_str(&more, f->text);
		json_put_str(out, buf_str(&more));
	} else if (f->kind != FAULT_MISSING_FIELD) {
		buf_add_str(out, buf_str(&same)); /* nothing to do there */
	}
	buf_add(out, answer.p + to, answer.n - to);
}

static void
put_other_type(struct buf *out, const struct json *v)
{
	switch ((enum json_type)v->type) {
	case JSON_NULL:
	case JSON_STRING:
		buf_add_c(out, "0");
		return;
	case JSON_FALSE:
	case JSON_TRUE:
		buf_add_c(out, "\"yes\"");
		return;
	case JSON_NUMBER:
		buf_add_c(out, "\"1\"");
		return;
	case JSON_ARRAY:
		buf_add_c(out, "{}");
		return;
	case JSON_OBJECT:
		buf_add_c(out, "[]");
		return;
	}
}

static const char *
status_text(uint32_t status)
{
	static const struct {
		uint32_t status;
		const char *text;
	} rows[] = {
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 409, "Conflict" },
		{ 422, "Unprocessable Content" },
		{ 429, "Too Many Requests" },
		{ 500, "Internal Server Error" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].status == status)
			return rows[i].text;
	}
	return "Error";
}
