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
static void parse_place(
    struct reader *r, const struct spot *s, struct policy_secret *out);
static void parse_scope(
    struct reader *r, const struct spot *s, struct policy_secret *out);
static bool variable_ok(struct str s);
static bool path_ok(struct str s);

/* As enum secret_from, before the colon. */
static const char *const stores[SECRET_FROMS] = { "file", "systemd", "env",
	"command", "canary" };
static const char *const canaries[] = { "aws", "github", "hex", "openai",
	"slack", NULL };

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

		rows[n] = (struct policy_secret){ .name = json_str(k),
			.json = json_value(k) };
		if (!secret_name_ok(json_str(k)))
			problem_key(r, &secrets, k,
			    "is no name: letters, digits, '.', '_' and '-'");
		parse_one(r, &s, &rows[n]);
	}
	r->p->secrets = rows;
	r->p->n_secrets = n;
}

const char *
secret_from_name(enum secret_from f)
{
	return stores[f];
}

void
policy_rule_secrets(struct reader *r, const struct spot *rule,
    const struct list *names, struct egress_rule *out)
{
	struct spot at;

	if (!read_member(rule, "secrets", &at))
		return;
	for (uint32_t i = 0; i < names->n; i++) {
		const struct policy_secret *known = NULL;

		for (uint32_t k = 0; k < r->p->n_secrets && known == NULL; k++)
			if (str_eq(r->p->secrets[k].name, names->p[i]))
				known = &r->p->secrets[k];
		if (known == NULL)
			problem(r, &at,
			    "\"%.*s\" is none of the policy's `secrets`",
			    STR_FMT(names->p[i]));
		else if (known->from == SECRET_CANARY)
			problem(r, &at,
			    "\"%.*s\" is a canary: it never goes out",
			    STR_FMT(names->p[i]));
	}
	out->secrets = names->p;
	out->n_secrets = names->n;
}

static void
parse_one(struct reader *r, const struct spot *s, struct policy_secret *out)
{
	static const char *const known[] = { "from", "inject", "env", "file",
		"template", "ttl_s", "on_expiry", "workflows", "stages", NULL };
	static const char *const expiries[] = { "refuse", "renew", NULL };
	uint32_t expiry = 0;

	if (!read_object(r, s))
		return;
	read_known(r, s, known, none, NOT_YET);
	parse_from(r, s, out);
	if (out->from != SECRET_CANARY)
		parse_inject(r, s, out);
	else if (json_get(s->v, STR("inject")) != NULL)
		problem(r, s,
		    "is a canary: it goes nowhere, so leave `inject` "
		    "out");
	(void)read_whole(r, s, "ttl_s",
	    (struct range){ 1, POLICY_RUN_MAX_MS / 1000, "seconds" },
	    &out->ttl_s);
	(void)read_word(r, s, "on_expiry", expiries, &expiry);
	out->renew = expiry == 1;
	if (out->from == SECRET_CANARY && out->ttl_s > 0)
		problem(r, s, "is a canary, and has no time to live");
	if (json_get(s->v, STR("on_expiry")) != NULL && out->ttl_s == 0)
		problem(r, s, "has `on_expiry`, and no `ttl_s`");
	parse_place(r, s, out);
	parse_scope(r, s, out);
}

static void
parse_from(struct reader *r, const struct spot *s, struct policy_secret *out)
{
	struct str from;
	struct spot at;
	size_t colon;
	bool known = false;

	if (!read_member(s, "from", &at)) {
		read_missing(r, s, "from", "\"file:NAME\" or \"systemd:NAME\"");
		return;
	}
	if (!read_text(r, s, "from", &from))
		return;
	colon = str_find(from, ':');
	for (int i = 0; i < SECRET_FROMS && colon < from.n; i++) {
		if (!str_eq_c((struct str){ from.p, colon }, stores[i]))
			continue;
		known = true;
		out->from = (enum secret_from)i;
		out->at =
		    (struct str){ from.p + colon + 1, from.n - colon - 1 };
	}
	if (known && out->from == SECRET_CANARY) {
		for (int i = 0; canaries[i] != NULL; i++)
			if (str_eq_c(out->at, canaries[i]))
				return;
		problem(r, &at,
		    "must be \"canary:\" and aws, github, hex, openai or "
		    "slack");
		return;
	}
	if (!known || !secret_name_ok(out->at))
		problem(r, &at,
		    "must be \"file:NAME\", a file in secrets/ of the state "
		    "directory, \"systemd:NAME\", a credential of the daemon, "
		    "\"env:NAME\", its variable PADDOCK_SECRET_NAME, "
		    "\"command:NAME\", a command in secrets/commands, or "
		    "\"canary:KIND\"");
}

/* Where what stands for it is found inside. */
static void
parse_place(struct reader *r, const struct spot *s, struct policy_secret *out)
{
	struct spot at;

	if (read_text(r, s, "env", &out->env) && !variable_ok(out->env) &&
	    read_member(s, "env", &at))
		problem(r, &at,
		    "must be a variable's name in capitals, such as "
		    "\"TICKETS_TOKEN\", that is not set already");
	if (read_text(r, s, "file", &out->file) && !path_ok(out->file) &&
	    read_member(s, "file", &at))
		problem(r, &at,
		    "must be an absolute path inside the sandbox, such as "
		    "\"/tmp/.netrc\", without \"..\"");
	if (!read_member(s, "template", &at))
		return;
	if (!json_is(at.v, JSON_STRING) || json_str(at.v).n == 0 ||
	    json_str(at.v).n > SECRET_TEMPLATE_BYTES ||
	    str_find(json_str(at.v), '\0') < json_str(at.v).n) {
		problem(r, &at, "must be a text of at most %d bytes",
		    SECRET_TEMPLATE_BYTES);
		return;
	}
	out->template = json_str(at.v);
	if (out->file.n == 0)
		problem(r, s, "has a `template`, and no `file` for it");
	for (size_t i = 0; i + 1 < out->template.n; i++)
		if (memcmp(out->template.p + i, "{}", 2) == 0)
			return;
	problem(r, &at, "must hold {}, which is what stands for the secret");
}

/* Whose policies may name it: another's is refused, and opens no run. */
static void
parse_scope(struct reader *r, const struct spot *s, struct policy_secret *out)
{
	const struct policy *p = r->p;
	struct list list;
	struct spot at;
	bool in = false;

	if (read_list(r, s, "workflows", ENTRY_NAME, POLICY_LIST_MAX, &list) &&
	    read_member(s, "workflows", &at)) {
		for (uint32_t i = 0; i < list.n; i++)
			in |= str_eq(list.p[i], p->workflow);
		out->workflows = list.p;
		out->n_workflows = list.n;
		if (!in)
			problem(r, &at,
			    "the secret is not for workflow \"%.*s\"",
			    STR_FMT(p->workflow));
	}
	if (!read_member(s, "stages", &at) || !read_array(r, &at))
		return;
	in = false;
	for (const struct json *x = json_first(at.v); x != NULL;
	     x = json_next(at.v, x)) {
		uint64_t stage = 0;

		if (json_u64(x, &stage) < 0 || stage < 1 || stage > 5) {
			problem(r, &at, "must be a list of stages, 1 to 5");
			return;
		}
		in |= stage == p->stage;
		out->stages |= 1U << stage;
	}
	if (!in)
		problem(r, &at, "the secret is not for stage %u", p->stage);
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

bool
secret_name_ok(struct str s)
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

static bool
path_ok(struct str s)
{
	if (s.n < 2 || s.n >= SECRET_PATH_BYTES || s.p[0] != '/' ||
	    s.p[s.n - 1] == '/')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		struct str rest = { s.p + i, s.n - i };

		if (s.p[i] == '/' &&
		    (str_starts(rest, STR("//")) ||
			str_starts(rest, STR("/./")) ||
			str_starts(rest, STR("/../")) || str_eq_c(rest, "/.") ||
			str_eq_c(rest, "/..")))
			return false;
	}
	return true;
}
