#include "core/webhook.h"

#include "core/rights.h"

static int read_one(const struct json *v, struct webhook *out, struct err *e);
static int read_links(const struct json *v, struct err *e);
static bool known_members(
    const struct json *v, const char *const *known, struct err *e);

int
webhooks_read(const struct json *v, struct webhooks *out, struct err *e)
{
	*out = (struct webhooks){};
	if (v == NULL)
		return 0;
	if (!json_is(v, JSON_ARRAY) || v->n > WEBHOOKS_MAX)
		return err_set(
		    e, "webhooks: must be a list of at most %d", WEBHOOKS_MAX);
	for (const struct json *x = json_first(v); x != NULL;
	     x = json_next(v, x)) {
		if (read_one(x, &out->list[out->n], e) < 0)
			return err_add(e, "webhooks[%u]", out->n);
		out->n++;
	}
	return 0;
}

bool
webhook_wants(const struct webhook *w, struct str tenant, struct str approval)
{
	if (w->tenant.n > 0 && !str_eq(w->tenant, tenant))
		return false;
	for (uint32_t i = 0; i < w->n_approvals; i++) {
		if (str_eq(w->approvals[i], approval))
			return true;
	}
	return w->n_approvals == 0;
}

static int
read_one(const struct json *v, struct webhook *out, struct err *e)
{
	static const char *const known[] = { "addrs", "approvals", "key",
		"links", "roots", "tenant", "url", NULL };
	const struct json *tenant = json_get(v, STR("tenant"));
	const struct json *approvals = json_get(v, STR("approvals"));

	if (!known_members(v, known, e) || web_target_read(v, &out->to, e) < 0)
		return -1;
	out->key = json_str(json_get(v, STR("key")));
	out->tenant = json_str(tenant);
	out->links = json_get(v, STR("links"));
	/* Whoever is told of it could not tell us from another. */
	if (!web_target_file_ok(out->key))
		return err_set(
		    e, "key: must be the name of a file beside this one");
	if (tenant != NULL && !rights_name_ok(out->tenant, true))
		return err_set(e, "tenant: must be a name");
	if (approvals != NULL &&
	    (!json_is(approvals, JSON_ARRAY) || approvals->n == 0 ||
		approvals->n > WEBHOOK_APPROVALS_MAX))
		return err_set(e, "approvals: must be 1 to %d names",
		    WEBHOOK_APPROVALS_MAX);
	for (const struct json *x = json_first(approvals); x != NULL;
	     x = json_next(approvals, x)) {
		if (!rights_name_ok(json_str(x), false))
			return err_set(e, "approvals: must be names");
		out->approvals[out->n_approvals++] = json_str(x);
	}
	return read_links(out->links, e);
}

static int
read_links(const struct json *v, struct err *e)
{
	static const char *const known[] = { "actor", "roles", NULL };

	if (v != NULL && (!json_is(v, JSON_ARRAY) || v->n > LINKS_MAX))
		return err_set(
		    e, "links: must be a list of at most %d", LINKS_MAX);
	for (const struct json *x = json_first(v); x != NULL;
	     x = json_next(v, x)) {
		const struct json *roles = json_get(x, STR("roles"));

		if (!known_members(x, known, e))
			return err_add(e, "links");
		if (!rights_name_ok(json_str(json_get(x, STR("actor"))), false))
			return err_set(e, "links: actor must be a name");
		if (roles != NULL &&
		    (!json_is(roles, JSON_ARRAY) || roles->n > SCOPES_MAX))
			return err_set(e, "links: roles must be names");
		for (const struct json *r = json_first(roles); r != NULL;
		     r = json_next(roles, r)) {
			if (!rights_name_ok(json_str(r), false))
				return err_set(e, "links: roles must be names");
		}
	}
	return 0;
}

static bool
known_members(const struct json *v, const char *const *known, struct err *e)
{
	if (!json_is(v, JSON_OBJECT)) {
		(void)err_set(e, "is no object");
		return false;
	}
	for (const struct json *k = json_first(v); k != NULL;
	     k = json_next(v, k)) {
		bool is = false;

		for (int i = 0; known[i] != NULL; i++)
			is |= str_eq_c(json_str(k), known[i]);
		if (!is) {
			(void)err_set(e, "unknown member %.*s",
			    (int)(json_str(k).n > 60 ? 60 : json_str(k).n),
			    json_str(k).p);
			return false;
		}
	}
	return true;
}
