#include "core/fault.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"

/* What a kind can be of, and what it does there. */
enum {
	OF_TOOL = 1,
	OF_HOST = 2,
	INSTEAD = 4, /* nothing is done, or sent */
	STATUS = 8, /* the service answers so */
	SPOILS = 16, /* of a host: its real answer is changed */
	WHOLE = 32, /* and has to be read whole for that */
	MODEL = 64, /* of a host that serves models */
	FINE = 128, /* the agent gets what it asked for */
	BOTH = OF_TOOL | OF_HOST,
};

/* In the order of enum fault_kind. */
static const struct {
	const char *word; /* as the policy writes it */
	uint32_t traits;
	uint16_t status; /* 0: 503 */
} kinds[FAULT_KINDS + 1] = {
	[FAULT_LATENCY] = { "latency", BOTH | FINE, 0 },
	[FAULT_TIMEOUT] = { "timeout", BOTH, 0 },
	[FAULT_HANG] = { "hang", BOTH | INSTEAD, 0 },
	[FAULT_STATUS] = { "status", BOTH | INSTEAD | STATUS, 0 },
	[FAULT_RATE_LIMIT] = { "rate_limit", BOTH | INSTEAD | STATUS, 429 },
	[FAULT_LOST_ACK] = { "lost_ack", BOTH | SPOILS, 0 },
	[FAULT_EMPTY] = { "empty", BOTH, 0 },
	[FAULT_TRUNCATE] = { "truncate", BOTH | SPOILS, 0 },
	[FAULT_MALFORMED] = { "malformed", BOTH | SPOILS | WHOLE, 0 },
	[FAULT_MISSING_FIELD] = { "missing_field", BOTH | SPOILS | WHOLE, 0 },
	[FAULT_NULL_FIELD] = { "null_field", BOTH | SPOILS | WHOLE, 0 },
	[FAULT_WRONG_TYPE] = { "wrong_type", BOTH | SPOILS | WHOLE, 0 },
	[FAULT_EXTRA_FIELD] = { "extra_field", BOTH | SPOILS | WHOLE | FINE,
	    0 },
	[FAULT_HOSTILE] = { "hostile", BOTH | SPOILS | WHOLE | FINE, 0 },
	[FAULT_CONFLICT] = { "conflict", BOTH | INSTEAD | STATUS, 409 },
	[FAULT_AUTH_EXPIRED] = { "auth_expired", BOTH | INSTEAD | STATUS, 401 },
	[FAULT_SCOPE_REVOKED] = { "scope_revoked", BOTH | INSTEAD | STATUS,
	    403 },
	[FAULT_REFUSE] = { "refuse", BOTH | INSTEAD, 0 },
	[FAULT_RESET] = { "reset", BOTH, 0 },
	[FAULT_DNS] = { "dns", BOTH | INSTEAD, 0 },
	[FAULT_TLS] = { "tls", OF_HOST | INSTEAD, 0 },
	[FAULT_BUDGET_LOW] = { "budget_low", OF_TOOL | FINE, 0 },
	[FAULT_KILL] = { "kill", OF_TOOL | INSTEAD, 0 },
	[FAULT_APPROVAL_DENIED] = { "approval_denied", OF_TOOL | FINE, 0 },
	[FAULT_APPROVAL_EXPIRED] = { "approval_expired", OF_TOOL | FINE, 0 },
	[FAULT_APPROVAL_LATE] = { "approval_late", OF_TOOL | FINE, 0 },
	[FAULT_SECRET_ROTATED] = { "secret_rotated", BOTH | INSTEAD | STATUS,
	    401 },
	[FAULT_QUOTA] = { "quota", BOTH | INSTEAD | STATUS, 429 },
	[FAULT_WRONG_ENCODING] = { "wrong_encoding", BOTH | SPOILS | WHOLE, 0 },
	[FAULT_STALE_READ] = { "stale_read", OF_TOOL | FINE, 0 },
	[FAULT_PARTIAL_SUCCESS] = { "partial_success", BOTH | SPOILS | WHOLE,
	    0 },
	[FAULT_DUPLICATE] = { "duplicate", BOTH | SPOILS | WHOLE | FINE, 0 },
	[FAULT_REORDER] = { "reorder", BOTH | SPOILS | WHOLE | FINE, 0 },
	[FAULT_SCHEMA_DRIFT] = { "schema_drift", BOTH | SPOILS | WHOLE, 422 },
	[FAULT_CLOCK_SKEW] = { "clock_skew", BOTH | SPOILS | WHOLE | FINE, 0 },
	[FAULT_BANDWIDTH] = { "bandwidth", OF_HOST | SPOILS | FINE, 0 },
	[FAULT_SLICER] = { "slicer", OF_HOST | SPOILS | FINE, 0 },
	[FAULT_GARBLE] = { "garble", OF_HOST | SPOILS, 0 },
	[FAULT_WRONG_LENGTH] = { "wrong_length", OF_HOST | SPOILS | WHOLE, 0 },
	[FAULT_OVERLOADED] = { "overloaded", OF_HOST | INSTEAD | STATUS | MODEL,
	    503 },
	[FAULT_CONTEXT_LENGTH] = { "context_length",
	    OF_HOST | INSTEAD | STATUS | MODEL, 400 },
	[FAULT_REFUSAL] = { "refusal", OF_HOST | SPOILS | WHOLE | MODEL | FINE,
	    0 },
	[FAULT_EMPTY_ANSWER] = { "empty_answer",
	    OF_HOST | SPOILS | WHOLE | MODEL, 0 },
	[FAULT_BAD_TOOL_JSON] = { "bad_tool_json",
	    OF_HOST | SPOILS | WHOLE | MODEL, 0 },
	[FAULT_STREAM_CUT] = { "stream_cut", OF_HOST | SPOILS | MODEL, 0 },
	[FAULT_STREAM_ERROR] = { "stream_error", OF_HOST | SPOILS | MODEL, 0 },
	[FAULT_KINDS] = { NULL, 0, 0 },
};

static uint64_t draw(uint64_t seed, uint32_t rule, uint32_t call, char what);
static bool hits(const struct policy_fault *f, uint64_t seed, uint32_t rule,
    uint32_t call, uint32_t before);
static uint32_t delay(const struct fault_hit *hit, uint64_t seed);
static const char *status_text(uint32_t status);

const char *
fault_kind_name(enum fault_kind k)
{
	return kinds[k].word;
}

enum fault_kind
fault_kind_of(struct str word)
{
	uint32_t k = 0;

	while (k < FAULT_KINDS && !str_eq_c(word, kinds[k].word))
		k++;
	return (enum fault_kind)k;
}

bool
fault_may_be(enum fault_kind k, bool of_host)
{
	return (kinds[k].traits & (of_host ? OF_HOST : OF_TOOL)) != 0;
}

uint32_t
fault_kind_status(enum fault_kind k)
{
	return kinds[k].status != 0 ? kinds[k].status : 503;
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
		*out = (struct fault_hit){ f, i, seen[i], 0 };
		out->delay_ms = delay(out, seed);
	}
	return found;
}

bool
fault_instead(const struct policy_fault *f)
{
	const bool host = f->host.n > 0;

	if (f->kind == FAULT_TIMEOUT)
		return !f->applied;
	if (f->kind == FAULT_EMPTY)
		return host;
	if (f->kind == FAULT_RESET)
		return !host || !f->bytes_set;
	if (f->kind == FAULT_SCHEMA_DRIFT)
		return f->argument.n > 0;
	return (kinds[f->kind].traits & INSTEAD) != 0;
}

bool
fault_spoils(const struct policy_fault *f)
{
	return f->host.n > 0 && !fault_instead(f) && f->kind != FAULT_LATENCY;
}

bool
fault_spoils_whole(const struct policy_fault *f)
{
	return fault_spoils(f) && (kinds[f->kind].traits & WHOLE) != 0;
}

bool
fault_fails(enum fault_kind k)
{
	return (kinds[k].traits & FINE) == 0;
}

bool
fault_hides(const struct policy_fault *f)
{
	return fault_instead(f) || f->kind == FAULT_TIMEOUT ||
	    f->kind == FAULT_LOST_ACK;
}

bool
fault_is_status(const struct policy_fault *f)
{
	return (kinds[f->kind].traits & STATUS) != 0 ||
	    (f->kind == FAULT_SCHEMA_DRIFT && f->argument.n > 0);
}

const char *
fault_code(const struct policy_fault *f, char out[static 16])
{
	if (fault_is_status(f))
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
	return fault_is_status(f)				? f->status
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
	} else if (f->kind == FAULT_SCHEMA_DRIFT) {
		own_buf struct buf text = {};

		buf_printf(&text,
		    "There is no argument `%.*s` any more: it is called "
		    "`%.*s` now.",
		    STR_FMT(f->argument), STR_FMT(f->to));
		json_put_str(out, buf_str(&text));
	} else if (fault_is_status(f)) {
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
	    fault_is_status(f) || f->kind == FAULT_REFUSE ||
		    f->kind == FAULT_RESET || f->kind == FAULT_DNS ||
		    f->kind == FAULT_TLS
		? ",\"suggested_next_step\":\"Wait before trying again, or go "
		  "on without it.\"}"
		: ",\"suggested_next_step\":\"Read the state of things before "
		  "trying again.\"}");
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

/* As late as the rule says, and as it is drawn. */
static uint32_t
delay(const struct fault_hit *hit, uint64_t seed)
{
	const struct policy_fault *f = hit->rule;
	const double whole = 18446744073709551616.0; /* 2^64 */
	double u, v, ms;

	if (!f->lognormal)
		return f->ms +
		    (f->jitter_ms > 0 ? (uint32_t)(draw(seed, hit->number,
						       hit->call, 'j') %
					    (f->jitter_ms + 1))
				      : 0);
	/* A normal number of two even ones: Box and Muller. */
	u = ((double)draw(seed, hit->number, hit->call, 'u') + 1) / whole;
	v = (double)draw(seed, hit->number, hit->call, 'v') / whole;
	ms = (double)f->ms *
	    exp((double)f->sigma_permille / 1000 *
		sqrt(-2 * log(u < 1 ? u : 1)) * cos(2 * 3.14159265358979 * v));
	return ms < (double)POLICY_FAULT_MAX_MS ? (uint32_t)ms
						: POLICY_FAULT_MAX_MS;
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
		{ 529, "Overloaded" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].status == status)
			return rows[i].text;
	}
	return "Error";
}
