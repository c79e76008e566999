/*
 * "faults": failures on purpose. docs/POLICY.md says what each means.
 */
#include "base/limits.h"
#include "core/fault.h"
#include "core/policy_int.h"

static void parse_rule(
    struct reader *r, const struct spot *s, struct policy_fault *f);
static bool read_kind(
    struct reader *r, const struct spot *s, enum fault_kind *out);
static void parse_more(
    struct reader *r, const struct spot *s, struct policy_fault *f);
static void parse_skew(
    struct reader *r, const struct spot *s, struct policy_fault *f);
static bool read_share(struct reader *r, const struct spot *s, const char *name,
    double most, uint32_t *permille);
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
		"retry_after_s", "bytes", "at", "text", "remaining", "dist",
		"sigma", "share", "lag", "bytes_per_s", "events", "skew_s",
		"format", "to", "argument", "encoding", NULL };
	static const char *const later[] = { NULL };

	*f = (struct policy_fault){
		.permille = 1000,
		.share_permille = 500,
		.sigma_permille = 1000,
		.lag = 1,
		.events = 2,
		.per_s = 1024,
		.at = STR("$"),
	};
	if (!read_object(r, s))
		return;
	read_known(r, s, known, later, NOT_YET);
	parse_where(r, s, f);
	if (json_get(s->v, STR("kind")) == NULL)
		read_missing(r, s, "kind", "how it fails, such as \"timeout\"");
	if (read_kind(r, s, &f->kind)) {
		parse_what(r, s, f);
		parse_more(r, s, f);
		check_point(r, s, f);
	}
	parse_chance(r, s, f);
}

static bool
read_kind(struct reader *r, const struct spot *s, enum fault_kind *out)
{
	const char *words[FAULT_KINDS + 1];
	uint32_t kind = FAULT_KINDS;

	for (uint32_t i = 0; i < FAULT_KINDS; i++)
		words[i] = fault_kind_name((enum fault_kind)i);
	words[FAULT_KINDS] = NULL;
	if (!read_word(r, s, "kind", words, &kind))
		return false;
	*out = (enum fault_kind)kind;
	return true;
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
	else if (f->kind == FAULT_SLICER)
		read_missing(r, s, "ms", "how long each pause is");
	if (read_whole(r, s, "jitter_ms", ms, &number))
		f->jitter_ms = (uint32_t)number;
	if (read_word(r, s, "effect", effects, &effect)) {
		f->applied = effect == 1;
		if (f->kind != FAULT_TIMEOUT && read_member(s, "effect", &at))
			problem(r, &at,
			    "is for \"timeout\": other kinds either call the "
			    "tool or do not");
	}
	f->status = fault_kind_status(f->kind);
	f->status_set =
	    read_whole(r, s, "status", (struct range){ 400, 599, "" }, &number);
	if (f->status_set)
		f->status = (uint32_t)number;
	if (read_whole(r, s, "retry_after_s",
		(struct range){ 1, 86400, "seconds" }, &number))
		f->retry_after_s = (uint32_t)number;
	f->bytes_set = read_whole(r, s, "bytes",
	    (struct range){ 0, JSON_MAX_BYTES, "bytes" }, &number);
	if (f->bytes_set)
		f->bytes = (uint32_t)number;
	else if (f->kind == FAULT_SLICER)
		read_missing(r, s, "bytes", "how large each piece is");
	if (f->bytes_set && f->bytes == 0 && f->kind == FAULT_SLICER)
		read_missing(r, s, "bytes", "a piece has at least one");
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

/* What newer kinds have. */
static void
parse_more(struct reader *r, const struct spot *s, struct policy_fault *f)
{
	static const char *const dists[] = { "uniform", "lognormal", NULL };
	static const char *const formats[] = { "auto", "plain", "openai",
		"anthropic", NULL };
	static const char *const encodings[] = { "utf-16", "gzip", NULL };
	uint64_t number = 0;
	uint32_t word = 0;
	struct spot at;

	if (read_word(r, s, "dist", dists, &word))
		f->lognormal = word == 1;
	if (f->lognormal && read_member(s, "jitter_ms", &at))
		problem(
		    r, &at, "is for \"uniform\": a lognormal one has sigma");
	(void)read_share(r, s, "sigma", 5, &f->sigma_permille);
	(void)read_share(r, s, "share", 1, &f->share_permille);
	if (read_whole(r, s, "lag",
		(struct range){ 1, FAULT_STALE_VERSIONS, "answers" }, &number))
		f->lag = (uint32_t)number;
	if (read_whole(r, s, "bytes_per_s",
		(struct range){ 1, UINT32_MAX, "bytes" }, &number))
		f->per_s = (uint32_t)number;
	else if (f->kind == FAULT_BANDWIDTH)
		read_missing(r, s, "bytes_per_s", "how fast the answer comes");
	if (read_whole(r, s, "events",
		(struct range){ 0, POLICY_CALLS_MAX, "events" }, &number))
		f->events = (uint32_t)number;
	parse_skew(r, s, f);
	if (read_word(r, s, "format", formats, &word))
		f->format = (enum fault_format)word;
	if (read_word(r, s, "encoding", encodings, &word))
		f->encoding = str_of(encodings[word]);
	(void)read_text(r, s, "argument", &f->argument);
	(void)read_text(r, s, "to", &f->to);
	if (f->kind != FAULT_SCHEMA_DRIFT)
		return;
	if (f->to.n == 0)
		read_missing(
		    r, s, "to", "the new name of a member, or argument");
	if (f->argument.n == 0 && f->at.n < 2)
		read_missing(r, s, "at", "the member, or `argument`");
}

static void
parse_skew(struct reader *r, const struct spot *s, struct policy_fault *f)
{
	struct spot at;

	if (!read_member(s, "skew_s", &at)) {
		if (f->kind == FAULT_CLOCK_SKEW)
			read_missing(r, s, "skew_s", "how far dates are off");
		return;
	}
	if (!json_is(at.v, JSON_NUMBER) || at.v->num < -FAULT_SKEW_MAX_S ||
	    at.v->num > FAULT_SKEW_MAX_S)
		problem(
		    r, &at, "must be seconds, at most ten years, either way");
	else
		f->skew_s = (int64_t)at.v->num;
}

static bool
read_share(struct reader *r, const struct spot *s, const char *name,
    double most, uint32_t *permille)
{
	struct spot at;

	if (!read_member(s, name, &at))
		return false;
	if (!json_is(at.v, JSON_NUMBER) || at.v->num < 0.001 ||
	    at.v->num > most) {
		problem(r, &at, "must be from 0.001 to %g", most);
		return false;
	}
	*permille = (uint32_t)(at.v->num * 1000 + 0.5);
	return true;
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

/* What a rule says has to be about what its kind can be of. */
static void
check_point(
    struct reader *r, const struct spot *s, const struct policy_fault *f)
{
	struct spot at;
	const bool host = f->host.n > 0;

	if (!read_member(s, "kind", &at))
		return;
	if (host && !fault_may_be(f->kind, true))
		problem(r, &at,
		    "is not for a host: it is of a tool's calls, or of "
		    "approvals");
	else if (!host && !fault_may_be(f->kind, false))
		problem(r, &at, "is for a host");
	if (host && f->argument.n > 0 && read_member(s, "argument", &at))
		problem(r, &at, "is of a tool's call, not of a host");
}

static void
parse_chance(struct reader *r, const struct spot *s, struct policy_fault *f)
{
	const struct range calls = { 1, POLICY_CALLS_MAX, "calls" };
	uint64_t number = 0;

	if (read_whole(r, s, "nth", calls, &number))
		f->nth = (uint32_t)number;
	if (read_whole(r, s, "after", calls, &number))
		f->after = (uint32_t)number;
	if (read_whole(r, s, "count", calls, &number))
		f->count = (uint32_t)number;
	(void)read_share(r, s, "p", 1, &f->permille);
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
