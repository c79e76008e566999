#include "core/issuer.h"

#include <string.h>

#include "base/limits.h"
#include "core/rights.h"

/* A member of the document that is being read, for messages. */
struct at {
	const char *list; /* "issuers", or NULL */
	uint32_t index;
};

static int members(const struct json *v, const char *const *known,
    const struct at *at, struct err *e);
static int bad(
    const struct at *at, const char *member, const char *why, struct err *e);
static int read_uid(const struct json *v, struct arena *a,
    struct issuer_uid *out, struct at at, struct err *e);
static int read_issuer(const struct json *v, struct arena *a,
    struct issuer *out, struct at at, struct err *e);
static int read_keys(const struct json *v, struct issuer *out,
    const struct at *at, struct err *e);
static int read_text(const struct json *v, const char *name, bool tenant,
    struct issuer_text *out, const struct at *at, struct err *e);
static int read_roles(const struct json *v, struct arena *a, struct issuer *out,
    const struct at *at, struct err *e);
static int read_scopes(const struct json *v, struct arena *a,
    struct issuer *out, const struct at *at, struct err *e);
static int read_attributes(const struct json *v, struct issuer *out,
    const struct at *at, struct err *e);
static int names(const struct json *v, bool scopes, struct str *out,
    uint32_t *n, uint32_t max);
static bool has_audience(const struct json *aud, struct str wanted);
static int time_of(
    const struct json *claims, const char *name, int64_t *out, struct err *e);
static int text_of(const struct issuer_text *t, const struct json *claims,
    bool tenant, const char *what, struct str *out, struct err *e);
static bool claim_has(const struct json *claim, struct str value);
static void add_role(struct identity *out, struct str role);
static void add_scopes(
    const struct issuer *i, const struct json *claims, struct identity *out);
static void add_scope(
    const struct issuer *i, struct str scope, struct identity *out);

int
issuers_parse(
    struct str text, struct arena *a, struct issuers *out, struct err *e)
{
	static const char *const known[] = { "issuers", "leeway_s", "unix",
		"webhooks", NULL };
	const struct json *v = json_parse(text, NULL, a, e, NULL);
	const struct json *uids = json_get(v, STR("unix"));
	const struct json *list = json_get(v, STR("issuers"));
	struct at at = {};

	*out = (struct issuers){ .leeway_s = ISSUER_LEEWAY_S };
	if (v == NULL)
		return -1;
	if (members(v, known, &at, e) < 0)
		return -1;
	if (json_get(v, STR("leeway_s")) != NULL &&
	    (json_u64(json_get(v, STR("leeway_s")), &out->leeway_s) < 0 ||
		out->leeway_s > ISSUER_LEEWAY_MAX_S))
		return err_set(
		    e, "leeway_s: must be 0 to %d", ISSUER_LEEWAY_MAX_S);
	if ((uids != NULL && !json_is(uids, JSON_ARRAY)) ||
	    (list != NULL && !json_is(list, JSON_ARRAY)))
		return err_set(e, "unix and issuers are lists");
	if ((uids != NULL && uids->n > ISSUER_UIDS_MAX) ||
	    (list != NULL && list->n > ISSUERS_MAX))
		return err_set(e, "at most %d of unix and %d issuers",
		    ISSUER_UIDS_MAX, ISSUERS_MAX);
	if (webhooks_read(json_get(v, STR("webhooks")), &out->hooks, e) < 0)
		return -1;
	out->uids =
	    arena_alloc(a, (uids != NULL ? uids->n : 0) * sizeof(*out->uids));
	out->list =
	    arena_alloc(a, (list != NULL ? list->n : 0) * sizeof(*out->list));
	if (out->uids == NULL || out->list == NULL)
		return err_set(e, "out of memory");
	for (const struct json *x = json_first(uids); x != NULL;
	     x = json_next(uids, x)) {
		if (read_uid(x, a, &out->uids[out->n_uids],
			(struct at){ "unix", out->n_uids }, e) < 0)
			return -1;
		if (issuers_uid(out, out->uids[out->n_uids].uid) != NULL)
			return err_set(e, "unix[%u]: this uid is there twice",
			    out->n_uids);
		out->n_uids++;
	}
	for (const struct json *x = json_first(list); x != NULL;
	     x = json_next(list, x)) {
		if (read_issuer(x, a, &out->list[out->n],
			(struct at){ "issuers", out->n }, e) < 0)
			return -1;
		for (uint32_t i = 0; i < out->n; i++) {
			if (str_eq(out->list[i].url, out->list[out->n].url))
				return err_set(e,
				    "issuers[%u]: this issuer is there twice",
				    out->n);
		}
		out->n++;
	}
	return 0;
}

const struct issuer_uid *
issuers_uid(const struct issuers *all, uint32_t uid)
{
	for (uint32_t i = 0; i < all->n_uids; i++) {
		if (all->uids[i].uid == uid)
			return &all->uids[i];
	}
	return NULL;
}

const struct issuer *
issuers_find(const struct issuers *all, const struct json *claims)
{
	const struct json *iss = json_get(claims, STR("iss"));

	for (uint32_t i = 0; i < all->n; i++) {
		if (json_is(iss, JSON_STRING) &&
		    str_eq(json_str(iss), all->list[i].url))
			return &all->list[i];
	}
	return NULL;
}

int
issuer_identity(const struct issuer *i, const struct json *claims,
    int64_t now_s, uint64_t leeway_s, struct arena *a, struct identity *out,
    int64_t *until_s, struct err *e)
{
	const int64_t leeway = (int64_t)leeway_s;
	const struct json *roles;
	int64_t exp = 0, at = 0;

	*out = (struct identity){};
	if (!has_audience(json_get(claims, STR("aud")), i->audience))
		return err_set(e, "the token is not for this audience");
	if (json_get(claims, STR("exp")) == NULL)
		return err_set(e, "the token has no end (exp)");
	if (time_of(claims, "exp", &exp, e) < 0)
		return -1;
	if (now_s >= exp + leeway)
		return err_set(e, "the token has expired");
	*until_s = exp + leeway;
	if (json_get(claims, STR("nbf")) != NULL) {
		if (time_of(claims, "nbf", &at, e) < 0)
			return -1;
		if (now_s < at - leeway)
			return err_set(e, "the token is not good yet (nbf)");
	}
	if (json_get(claims, STR("iat")) != NULL) {
		if (time_of(claims, "iat", &at, e) < 0)
			return -1;
		if (now_s < at - leeway)
			return err_set(e, "the token is from later (iat)");
	}
	if (text_of(&i->tenant, claims, true, "tenant", &out->tenant, e) < 0 ||
	    text_of(&i->actor, claims, false, "actor", &out->actor, e) < 0)
		return -1;
	if (out->tenant.n + out->actor.n + 2 > NAME_MAX_BYTES)
		return err_set(e, "the token's tenant and actor are too long");
	roles = json_get(claims, i->roles_claim);
	for (uint32_t k = 0; k < i->n_roles; k++) {
		if (i->roles[k].value.n == 0 ||
		    claim_has(roles, i->roles[k].value))
			add_role(out, i->roles[k].role);
	}
	add_scopes(i, claims, out);
	for (uint32_t k = 0; k < i->n_attributes; k++) {
		const struct json *value =
		    json_get(claims, i->attribute_claim[k]);

		if (value != NULL &&
		    identity_attribute_add(out, i->attribute[k], value, a) < 0)
			return err_set(e,
			    "the token's %.*s is no text of up to %d bytes, "
			    "nor a list of up to %d",
			    STR_FMT(i->attribute_claim[k]), ATTRIBUTE_MAX_BYTES,
			    ATTRIBUTE_LIST_MAX);
	}
	return 0;
}

static int
members(const struct json *v, const char *const *known, const struct at *at,
    struct err *e)
{
	if (!json_is(v, JSON_OBJECT))
		return bad(at, "", "is no object", e);
	for (const struct json *k = json_first(v); k != NULL;
	     k = json_next(v, k)) {
		bool is = false;

		for (int i = 0; known[i] != NULL; i++)
			is |= str_eq_c(json_str(k), known[i]);
		if (is)
			continue;
		(void)err_set(e, "unknown member %.*s",
		    (int)(json_str(k).n > 60 ? 60 : json_str(k).n),
		    json_str(k).p);
		if (at->list != NULL)
			(void)err_add(e, "%s[%u]", at->list, at->index);
		return -1;
	}
	return 0;
}

static int
bad(const struct at *at, const char *member, const char *why, struct err *e)
{
	if (at->list == NULL)
		return err_set(e, "%s %s", member, why);
	return err_set(e, "%s[%u]%s%s: %s", at->list, at->index,
	    member[0] != '\0' ? "." : "", member, why);
}

static int
read_uid(const struct json *v, struct arena *a, struct issuer_uid *out,
    struct at at, struct err *e)
{
	static const char *const known[] = { "actor", "attributes", "roles",
		"scopes", "tenant", "uid", NULL };
	const struct json *attributes = json_get(v, STR("attributes"));
	struct identity *who = &out->who;
	uint64_t uid;

	if (members(v, known, &at, e) < 0)
		return -1;
	if (json_u64(json_get(v, STR("uid")), &uid) < 0 || uid == 0 ||
	    uid >= UINT32_MAX)
		return bad(&at, "uid",
		    "must be a number from 1; root is "
		    "the operator",
		    e);
	out->uid = (uint32_t)uid;
	who->tenant = json_str(json_get(v, STR("tenant")));
	who->actor = json_str(json_get(v, STR("actor")));
	if (!str_eq(who->tenant, RIGHTS_ALL_TENANTS) &&
	    !rights_name_ok(who->tenant, true))
		return bad(&at, "tenant", "must be a name, or \"*\"", e);
	if (!rights_name_ok(who->actor, false) ||
	    who->tenant.n + who->actor.n + 2 > NAME_MAX_BYTES)
		return bad(&at, "actor", "must be a name", e);
	if (names(json_get(v, STR("roles")), false, who->roles, &who->n_roles,
		SCOPES_MAX) < 0)
		return bad(&at, "roles", "must be a list of names", e);
	if (names(json_get(v, STR("scopes")), true, who->scopes, &who->n_scopes,
		SCOPES_MAX) < 0)
		return bad(&at, "scopes", "must be a list of scopes", e);
	return identity_attributes_add(who, attributes, a) < 0
	    ? bad(&at, "attributes", "must be names and texts", e)
	    : 0;
}

static int
read_issuer(const struct json *v, struct arena *a, struct issuer *out,
    struct at at, struct err *e)
{
	static const char *const known[] = { "actor", "attributes", "audience",
		"issuer", "keys", "roles", "scopes", "tenant", NULL };

	if (members(v, known, &at, e) < 0)
		return -1;
	out->url = json_str(json_get(v, STR("issuer")));
	out->audience = json_str(json_get(v, STR("audience")));
	if (out->url.n == 0)
		return bad(&at, "issuer", "must be the claim iss", e);
	if (out->audience.n == 0)
		return bad(&at, "audience", "must be what aud names us by", e);
	if (read_keys(json_get(v, STR("keys")), out, &at, e) < 0)
		return -1;
	if (read_text(v, "tenant", true, &out->tenant, &at, e) < 0 ||
	    read_text(v, "actor", false, &out->actor, &at, e) < 0 ||
	    read_roles(json_get(v, STR("roles")), a, out, &at, e) < 0 ||
	    read_scopes(json_get(v, STR("scopes")), a, out, &at, e) < 0)
		return -1;
	return read_attributes(json_get(v, STR("attributes")), out, &at, e);
}

/* "login.json", or {"url": ..., ...}. */
static int
read_keys(const struct json *v, struct issuer *out, const struct at *at,
    struct err *e)
{
	static const char *const known[] = { "addrs", "refresh_s", "roots",
		"stale_s", "url", NULL };
	const struct json *refresh = json_get(v, STR("refresh_s"));
	const struct json *stale = json_get(v, STR("stale_s"));

	out->keys = json_str(v);
	out->refresh_s = JWKS_REFRESH_S;
	out->stale_s = JWKS_STALE_S;
	if (!json_is(v, JSON_OBJECT))
		return web_target_file_ok(out->keys)
		    ? 0
		    : bad(at, "keys",
			  "must be the name of a file beside this one, or "
			  "{\"url\": \"https://...\"}",
			  e);
	if (members(v, known, at, e) < 0)
		return -1;
	if (web_target_read(v, &out->keys_at, e) < 0) {
		(void)err_add(e, "issuers[%u].keys", at->index);
		return -1;
	}
	if (refresh != NULL &&
	    (json_u64(refresh, &out->refresh_s) < 0 || out->refresh_s == 0 ||
		out->refresh_s > JWKS_REFRESH_MAX_S))
		return bad(at, "keys.refresh_s", "must be 1 to 86400", e);
	if (stale != NULL &&
	    (json_u64(stale, &out->stale_s) < 0 ||
		out->stale_s > JWKS_STALE_MAX_S))
		return bad(at, "keys.stale_s", "must be 0 to 604800", e);
	return 0;
}

/* "acme", or {"claim": "org"}. */
static int
read_text(const struct json *v, const char *name, bool tenant,
    struct issuer_text *out, const struct at *at, struct err *e)
{
	const struct json *x = json_get(v, str_of(name));

	if (json_is(x, JSON_OBJECT) && x->n == 1) {
		out->claim = json_str(json_get(x, STR("claim")));
		return out->claim.n > 0
		    ? 0
		    : bad(at, name, "must be {\"claim\": NAME}", e);
	}
	out->fixed = json_str(x);
	if ((tenant && str_eq(out->fixed, RIGHTS_ALL_TENANTS)) ||
	    rights_name_ok(out->fixed, tenant))
		return 0;
	return bad(at, name, "must be a name or {\"claim\": NAME}", e);
}

/* ["viewer"], or {"claim": "groups", "map": {"fin": ["finance"]}}. */
static int
read_roles(const struct json *v, struct arena *a, struct issuer *out,
    const struct at *at, struct err *e)
{
	static const char *const known[] = { "claim", "map", NULL };
	const struct json *map = json_get(v, STR("map"));
	struct str list[SCOPES_MAX];
	uint32_t n = 0;

	out->roles = arena_alloc(a, ISSUER_ROLES_MAX * sizeof(*out->roles));
	if (out->roles == NULL)
		return err_set(e, "out of memory");
	if (v == NULL || json_is(v, JSON_ARRAY)) {
		if (names(v, false, list, &n, SCOPES_MAX) < 0)
			return bad(at, "roles", "must be names", e);
		for (uint32_t i = 0; i < n; i++)
			out->roles[out->n_roles++].role = list[i];
		return 0;
	}
	if (members(v, known, at, e) < 0)
		return -1;
	out->roles_claim = json_str(json_get(v, STR("claim")));
	if (out->roles_claim.n == 0 || !json_is(map, JSON_OBJECT))
		return bad(at, "roles",
		    "must be {\"claim\": NAME, \"map\": {VALUE: [ROLE]}}", e);
	for (const struct json *k = json_first(map); k != NULL;
	     k = json_next(map, k)) {
		n = 0;
		if (json_str(k).n == 0 ||
		    names(json_value(k), false, list, &n, SCOPES_MAX) < 0 ||
		    n > ISSUER_ROLES_MAX - out->n_roles)
			return bad(at, "roles.map",
			    "must be values, each with a list of roles", e);
		for (uint32_t i = 0; i < n; i++)
			out->roles[out->n_roles++] =
			    (struct issuer_role){ json_str(k), list[i] };
	}
	return 0;
}

/* ["runs:read"], or {"claim": "scope", "allow": ["runs:*"]}. */
static int
read_scopes(const struct json *v, struct arena *a, struct issuer *out,
    const struct at *at, struct err *e)
{
	static const char *const known[] = { "allow", "claim", NULL };
	const struct json *list = v;

	out->scopes = arena_alloc(a, SCOPES_MAX * sizeof(*out->scopes));
	if (out->scopes == NULL)
		return err_set(e, "out of memory");
	if (v != NULL && !json_is(v, JSON_ARRAY)) {
		if (members(v, known, at, e) < 0)
			return -1;
		list = json_get(v, STR("allow"));
		out->scopes_claim = json_str(json_get(v, STR("claim")));
		if (out->scopes_claim.n == 0 || list == NULL)
			return bad(at, "scopes",
			    "must be {\"claim\": NAME, \"allow\": [SCOPE]}", e);
	}
	return names(list, true, out->scopes, &out->n_scopes, SCOPES_MAX) < 0
	    ? bad(at, "scopes", "must be scopes such as \"runs:read\"", e)
	    : 0;
}

/* {"customer": "customer_id"}: the attribute and its claim. */
static int
read_attributes(const struct json *v, struct issuer *out, const struct at *at,
    struct err *e)
{
	if (v == NULL)
		return 0;
	if (!json_is(v, JSON_OBJECT) || v->n > ATTRIBUTES_MAX)
		return bad(at, "attributes", "must be an object", e);
	for (const struct json *k = json_first(v); k != NULL;
	     k = json_next(v, k)) {
		if (!identity_attribute_ok(json_str(k)) ||
		    json_str(json_value(k)).n == 0)
			return bad(at, "attributes",
			    "must be names, each with the name of a claim", e);
		out->attribute[out->n_attributes] = json_str(k);
		out->attribute_claim[out->n_attributes++] =
		    json_str(json_value(k));
	}
	return 0;
}

static int
names(const struct json *v, bool scopes, struct str *out, uint32_t *n,
    uint32_t max)
{
	if (v == NULL)
		return 0;
	if (!json_is(v, JSON_ARRAY) || v->n > max)
		return -1;
	for (const struct json *x = json_first(v); x != NULL;
	     x = json_next(v, x)) {
		if (!(scopes ? rights_scope_ok(json_str(x))
			     : rights_name_ok(json_str(x), false)))
			return -1;
		out[(*n)++] = json_str(x);
	}
	return 0;
}

/* RFC 7519 section 4.1.3: a text or a list of texts. */
static bool
has_audience(const struct json *aud, struct str wanted)
{
	if (json_is(aud, JSON_STRING))
		return str_eq(json_str(aud), wanted);
	if (!json_is(aud, JSON_ARRAY))
		return false;
	for (const struct json *x = json_first(aud); x != NULL;
	     x = json_next(aud, x)) {
		if (json_is(x, JSON_STRING) && str_eq(json_str(x), wanted))
			return true;
	}
	return false;
}

/* Seconds since 1970, perhaps with a fraction, which is cut. */
static int
time_of(
    const struct json *claims, const char *name, int64_t *out, struct err *e)
{
	const struct json *v = json_get(claims, str_of(name));

	/* Far beyond any date, and far below what would overflow. */
	if (!json_is(v, JSON_NUMBER) || !(v->num >= 0 && v->num < 1e12))
		return err_set(e, "the token's %s is no time", name);
	*out = (int64_t)v->num;
	return 0;
}

static int
text_of(const struct issuer_text *t, const struct json *claims, bool tenant,
    const char *what, struct str *out, struct err *e)
{
	if (t->claim.n == 0) {
		*out = t->fixed;
		return 0;
	}
	/* "*" is no name: no claim can say that it is for all tenants. */
	*out = json_str(json_get(claims, t->claim));
	if (!rights_name_ok(*out, tenant))
		return err_set(e, "the token's %.*s is no name for the %s",
		    STR_FMT(t->claim), what);
	return 0;
}

/* A text, or a list that holds it. */
static bool
claim_has(const struct json *claim, struct str value)
{
	return has_audience(claim, value);
}

static void
add_role(struct identity *out, struct str role)
{
	if (!identity_has_role(out, role) && out->n_roles < SCOPES_MAX)
		out->roles[out->n_roles++] = role;
}

/* A claim is words in a text (RFC 8693 section 4.2), or a list of texts. */
static void
add_scopes(
    const struct issuer *i, const struct json *claims, struct identity *out)
{
	const struct json *claim = json_get(claims, i->scopes_claim);
	struct str rest = json_str(claim);

	if (i->scopes_claim.n == 0) {
		memcpy(
		    out->scopes, i->scopes, i->n_scopes * sizeof(i->scopes[0]));
		out->n_scopes = i->n_scopes;
		return;
	}
	while (rest.n > 0) {
		struct str one = { rest.p, str_find(rest, ' ') };
		size_t step = one.n + (one.n < rest.n);

		add_scope(i, one, out);
		rest = (struct str){ rest.p + step, rest.n - step };
	}
	for (const struct json *x =
		 json_is(claim, JSON_ARRAY) ? json_first(claim) : NULL;
	     x != NULL; x = json_next(claim, x))
		add_scope(i, json_str(x), out);
}

static void
add_scope(const struct issuer *i, struct str scope, struct identity *out)
{
	struct identity allowed = { .n_scopes = i->n_scopes };

	memcpy(allowed.scopes, i->scopes, i->n_scopes * sizeof(i->scopes[0]));
	if (rights_scope_ok(scope) && identity_has_scope(&allowed, scope) &&
	    out->n_scopes < SCOPES_MAX)
		out->scopes[out->n_scopes++] = scope;
}
