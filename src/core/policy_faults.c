/*
 * "faults": failures on purpose. docs/POLICY.md says what each means.
 */
#include "base/limits.h"
#include "core/fault.h"
#include "core/policy_int.h"

static void parse_rule(
    struct reader *r, const struct spot *s, struct policy_fault *f);
static void parse_where(
    struct reader *r, const struct spot *s, struct policy_fault *f);
static void check_point(
    struct reader *r, const struct spot *s, const struct policy_fault *f);
static void parse_what(
    struct reader *r, const struct spot *s, struct policy_fault *f);
static void parse_chance(
    struct reader *r, const struct spot *s, struct policy_fault *f);
static bool is_member_path(struct str s);

void
policy_parse_faults(struct reader *r, const struct spot *root)
{
	static const char *const known[] = { "seed", "rules", NULL };
	static const char *const later[] = { NULL };
	struct policy *p = r->p;
	struct spot faults, list;
	struct policy_fault *rows;
	uint32_t n = 0;

	if (!read_member(root, "faults", &faults) || !read_object(r, &faults))
		return;
	read_known(r, &faults, known, later, NOT_YET);
	p->fault_seeded = read_whole(r, &faults, "seed",
	    (struct range){ 0, (1ULL << 53) - 1, "" }, &p->fault_seed);
	if (!read_member(&faults, "rules", &list)) {
		read_missing(r, &faults, "rules", "which calls fail, and how");
		return;
	}
	if (!read_array(r, &list))
		return;
	if (list.v->n > POLICY_FAULTS_MAX) {
		problem(r, &list, "has %u rules; at most %d are allowed",
		    list.v->n, POLICY_FAULTS_MAX);
		return;
	}
	rows = arena_alloc(&p->arena, list.v->n * sizeof(*rows));
	if (rows == NULL)
		return;
	p->faults = rows;
	p->n_faults = list.v->n;
	for (const struct json *x = json_first(list.v); x != NULL;
	     x = json_next(list.v, x), n++) {
		struct spot s = { .up = &list, .v = x, .index = n };

		parse_rule(r, &s, &rows[n]);
	}
}

static void
parse_rule(struct reader *r, const struct spot *s, struct policy_fault *f)
{
	static const char *const known[] = { "tool", "host", "kind", "p", "nth",
		"after", "count", "ms", "jitter_ms", "effect", "status",
		"retry_after_s", "bytes", "at", "text", "remaining", NULL };
	static const char *const later[] = { NULL };
	uint32_t kind = FAULT_KINDS;

	*f = (struct policy_fault){
		.permille = 1000, .status = 503, .at = STR("$")
	};
	if (!read_object(r, s))
		return;
	read_known(r, s, known, later, NOT_YET);
	parse_where(r, s, f);
	if (json_get(s->v, STR("kind")) == NULL)
		read_missing(r, s, "kind", "how it fails, such as \"timeout\"");
	if (read_word(r, s, "kind", fault_words, &kind)) {
		f->kind = (enum fault_kind)kind;
		parse_what(r, s, f);
		check_point(r, s, f);
	}
	parse_chance(r, s, f);
}

static void
parse_what(struct reader *r, const struct spot *s, struct policy_fault *f)
{
	static const char *const effects[] = { "none", "applied", NULL };
	const struct range ms = { 1, POLICY_FAULT_MAX_MS, "milliseconds" };
	uint64_t number = 0;
	uint32_t effect = 0;
	struct spot at;

	if (read_whole(r, s, "ms", ms, &number))
		f->ms = (uint32_t)number;
	else if (f->kind == FAULT_LATENCY)
		read_missing(r, s, "ms", "how late the answer comes");
	if (read_whole(r, s, "jitter_ms", ms, &number))
		f->jitter_ms = (uint32_t)number;
	if (read_word(r, s, "effect", effects, &effect)) {
		f->applied = effect == 1;
		if (f->kind != FAULT_TIMEOUT && read_member(s, "effect", &at))
			problem(r, &at,
			    "is for \"timeout\": other kinds either call the "
			    "tool or do not");
	}
	f->status = f->kind == FAULT_RATE_LIMIT ? 429
	    : f->kind == FAULT_CONFLICT		? 409
	    : f->kind == FAULT_AUTH_EXPIRED	? 401
	    : f->kind == FAULT_SCOPE_REVOKED	? 403
						: 503;
	if (read_whole(r, s, "status", (struct range){ 400, 599, "" }, &number))
		f->status = (uint32_t)number;
	if (read_whole(r, s, "retry_after_s",
		(struct range){ 1, 86400, "seconds" }, &number))
		f->retry_after_s = (uint32_t)number;
	if (read_whole(r, s, "bytes",
		(struct range){ 0, JSON_MAX_BYTES, "bytes" }, &number))
		f->bytes = (uint32_t)number;
	if (read_whole(r, s, "remaining",
		(struct range){ 0, POLICY_CALLS_MAX, "calls" }, &number))
		f->remaining = (uint32_t)number;
	else if (f->kind == FAULT_BUDGET_LOW)
		read_missing(r, s, "remaining", "how many calls are left");
	(void)read_text(r, s, "text", &f->text);
	if (f->kind == FAULT_HOSTILE && f->text.n == 0)
		read_missing(r, s, "text", "what the answer says besides");
	if (read_text(r, s, "at", &f->at) && !is_member_path(f->at) &&
	    read_member(s, "at", &at)) {
		problem(r, &at,
		    "must be members of the answer, such as \"$.customer.id\"");
		f->at = STR("$");
	}
}

/* A tool's calls, or requests to a host. */
static void
parse_where(struct reader *r, const struct spot *s, struct policy_fault *f)
{
	struct spot at;

	if (!read_member(s, "host", &at)) {
		if (json_get(s->v, STR("tool")) == NULL)
			read_missing(r, s, "tool",
			    "which calls: a name, or a pattern; or `host`");
		(void)read_entry(r, s, "tool", ENTRY_PATTERN, &f->tool);
		return;
	}
	if (!read_text(r, s, "host", &f->host))
		return;
	if (f->host.n == 0)
		problem(r, &at, "is empty: give a name, or a pattern");
	if (json_get(s->v, STR("tool")) != NULL)
		problem(r, &at, "does not go together with `tool`");
}

/* A host's request fails before it leaves: nothing of an answer is changed. */
static void
check_point(
    struct reader *r, const struct spot *s, const struct policy_fault *f)
{
	struct spot at;
	const bool host = f->host.n > 0;

	if (!read_member(s, "kind", &at))
		return;
	if (host &&
	    (f->applied ||
		(!fault_instead(f) && f->kind != FAULT_LATENCY &&
		    f->kind != FAULT_EMPTY) ||
		f->kind == FAULT_KILL))
		problem(r, &at,
		    "is not for a host: its requests fail with latency, "
		    "timeout, hang, status, rate_limit, conflict, "
		    "auth_expired, scope_revoked, refuse, reset, dns, tls or "
		    "empty");
	if (!host && f->kind == FAULT_TLS)
		problem(r, &at, "is for a host");
}

static void
parse_chance(struct reader *r, const struct spot *s, struct policy_fault *f)
{
	const struct range calls = { 1, POLICY_CALLS_MAX, "calls" };
	uint64_t number = 0;
	struct spot p;

	if (read_whole(r, s, "nth", calls, &number))
		f->nth = (uint32_t)number;
	if (read_whole(r, s, "after", calls, &number))
		f->after = (uint32_t)number;
	if (read_whole(r, s, "count", calls, &number))
		f->count = (uint32_t)number;
	if (!read_member(s, "p", &p))
		return;
	if (!json_is(p.v, JSON_NUMBER) || p.v->num < 0.001 || p.v->num > 1)
		problem(r, &p, "must be a chance from 0.001 to 1");
	else
		f->permille = (uint32_t)(p.v->num * 1000 + 0.5);
}

static bool
is_member_path(struct str s)
{
	if (s.n == 0 || s.p[0] != '$')
		return false;
	for (size_t i = 1; i < s.n; i++) {
		if (i == 1 && s.p[i] != '.')
			return false;
		if (s.p[i] == '[' ||
		    (s.p[i] == '.' && (i + 1 == s.n || s.p[i + 1] == '.')))
			return false;
	}
	return true;
}
