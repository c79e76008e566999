/*
 * "secrets" of the full form: where each is kept, how it goes into a request,
 * and what stands for it inside. The document never holds a value.
 */
#include <string.h>

#include "base/limits.h"
#include "core/policy_int.h"

static const char *const none[] = { NULL };

static void parse_one(
    struct reader *r, const struct spot *s, struct policy_secret *out);
static void parse_from(
    struct reader *r, const struct spot *s, struct policy_secret *out);
static void parse_inject(
    struct reader *r, const struct spot *s, struct policy_secret *out);
static void parse_sigv4(
    struct reader *r, const struct spot *s, struct policy_secret *out);
static bool name_ok(struct str s);
static bool variable_ok(struct str s);

void
policy_parse_secrets(struct reader *r, const struct spot *root)
{
	struct policy_secret *rows;
	struct spot secrets;
	uint32_t n = 0;

	if (!read_member(root, "secrets", &secrets) ||
	    !read_object(r, &secrets))
		return;
	if (secrets.v->n > SECRETS_PER_RUN_MAX) {
		problem(r, &secrets, "has %u members; at most %d are allowed",
		    secrets.v->n, SECRETS_PER_RUN_MAX);
		return;
	}
	rows = arena_alloc(&r->p->arena, secrets.v->n * sizeof(*rows));
	if (rows == NULL)
		return;
	for (const struct json *k = json_first(secrets.v); k != NULL;
	     k = json_next(secrets.v, k), n++) {
		struct spot s = {
			.up = &secrets, .v = json_value(k), .key = json_str(k)
		};

		rows[n] = (struct policy_secret){ .name = json_str(k) };
		if (!name_ok(json_str(k)))
			problem_key(r, &secrets, k,
			    "is no name: letters, digits, '.', '_' and '-'");
		parse_one(r, &s, &rows[n]);
	}
	r->p->secrets = rows;
	r->p->n_secrets = n;
}

void
policy_rule_secrets(struct reader *r, const struct spot *rule,
    const struct list *names, struct egress_rule *out)
{
	struct spot at;

	if (!read_member(rule, "secrets", &at))
		return;
	for (uint32_t i = 0; i < names->n; i++) {
		bool known = false;

		for (uint32_t k = 0; k < r->p->n_secrets && !known; k++)
			known = str_eq(r->p->secrets[k].name, names->p[i]);
		if (!known)
			problem(r, &at,
			    "\"%.*s\" is none of the policy's `secrets`",
			    STR_FMT(names->p[i]));
	}
	out->secrets = names->p;
	out->n_secrets = names->n;
}

static void
parse_one(struct reader *r, const struct spot *s, struct policy_secret *out)
{
	static const char *const known[] = { "from", "inject", "env", "ttl_s",
		NULL };
	static const char *const later[] = { "stages", "workflows", NULL };
	struct spot at;

	if (!read_object(r, s))
		return;
	read_known(r, s, known, later, NOT_YET);
	parse_from(r, s, out);
	parse_inject(r, s, out);
	(void)read_whole(r, s, "ttl_s",
	    (struct range){ 1, POLICY_RUN_MAX_MS / 1000, "seconds" },
	    &out->ttl_s);
	if (read_text(r, s, "env", &out->env) && !variable_ok(out->env) &&
	    read_member(s, "env", &at))
		problem(r, &at,
		    "must be a variable's name in capitals, such as "
		    "\"TICKETS_TOKEN\", that is not set already");
}

static void
parse_from(struct reader *r, const struct spot *s, struct policy_secret *out)
{
	const struct str file = STR("file:"), systemd = STR("systemd:");
	struct str from;
	struct spot at;

	if (!read_member(s, "from", &at)) {
		read_missing(r, s, "from", "\"file:NAME\" or \"systemd:NAME\"");
		return;
	}
	if (!read_text(r, s, "from", &from))
		return;
	if (str_starts(from, file)) {
		out->from = SECRET_FILE;
		out->at = (struct str){ from.p + file.n, from.n - file.n };
	} else if (str_starts(from, systemd)) {
		out->from = SECRET_SYSTEMD;
		out->at =
		    (struct str){ from.p + systemd.n, from.n - systemd.n };
	}
	if (!name_ok(out->at))
		problem(r, &at,
		    "must be \"file:NAME\", a file in secrets/ of the state "
		    "directory, or \"systemd:NAME\", a credential of the "
		    "daemon");
}

static void
parse_inject(struct reader *r, const struct spot *s, struct policy_secret *out)
{
	static const char *const known[] = { "header", "format", "query",
		"body", "sigv4", NULL };
	struct spot inject;

	if (!read_member(s, "inject", &inject)) {
		read_missing(r, s, "inject",
		    "say where it goes, such as {\"header\": "
		    "\"authorization\", \"format\": \"Bearer {}\"}");
		return;
	}
	if (!read_object(r, &inject))
		return;
	read_known(r, &inject, known, none, NOT_YET);
	(void)read_name(r, &inject, "header", &out->header);
	(void)read_text(r, &inject, "format", &out->format);
	(void)read_name(r, &inject, "query", &out->query);
	(void)read_bool(r, &inject, "body", &out->body);
	parse_sigv4(r, &inject, out);
	if (out->header.n == 0 && out->query.n == 0 && !out->body &&
	    out->access_key.n == 0)
		problem(r, &inject,
		    "names no place: header, query, body or "
		    "sigv4");
	if (out->format.n > 0 && out->header.n == 0)
		problem(r, &inject, "has a format, and no header for it");
}

static void
parse_sigv4(struct reader *r, const struct spot *s, struct policy_secret *out)
{
	static const char *const known[] = { "access_key", NULL };
	struct spot at;

	if (!read_member(s, "sigv4", &at) || !read_object(r, &at))
		return;
	read_known(r, &at, known, none, NOT_YET);
	if (!read_name(r, &at, "access_key", &out->access_key) &&
	    json_get(at.v, STR("access_key")) == NULL)
		read_missing(r, &at, "access_key", "the key's public half");
}

/* Also of a file in a folder: no way out of it. */
static bool
name_ok(struct str s)
{
	if (s.n == 0 || s.n >= SECRET_NAME_BYTES || s.p[0] == '.')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '.' || c == '_' ||
			c == '-'))
			return false;
	}
	return true;
}

static bool
variable_ok(struct str s)
{
	static const char *const taken[] = { "PATH", "HOME", "LANG",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY" };

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		if (str_eq_c(s, taken[i]))
			return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'A' && c <= 'Z') || c == '_' ||
			(i > 0 && c >= '0' && c <= '9')))
			return false;
	}
	return s.n > 0 && s.n < SECRET_NAME_BYTES &&
	    !str_starts(s, STR("PADDOCK_")) && !str_starts(s, STR("LD_"));
}
