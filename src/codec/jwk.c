/*
 * Sets of public keys: the second half of codec/jwt.h.
 */
#include "base/limits.h"
#include "codec/base64.h"
#include "codec/jwt.h"

enum { P256_BYTES = 32, ED25519_BYTES = 32 };

static const struct json_limits limits = {
	.max_bytes = JWKS_MAX_BYTES,
	.max_depth = 8,
	.max_values = 8192,
	.max_members = 128,
};

static int take_key(const struct json *v, struct arena *a, struct jwk *out,
    bool *ours, struct err *e);
static bool is_for_checking(const struct json *v);
static int number(const struct json *v, const char *name, struct arena *a,
    struct str *out, struct err *e);
static int coordinate(const struct json *v, const char *name, size_t n,
    struct arena *a, struct str *out, struct err *e);

int
jwk_set_parse(
    struct str text, struct arena *a, struct jwk_set *out, struct err *e)
{
	const struct json *v = json_parse(text, &limits, a, e, NULL);
	const struct json *keys = json_get(v, STR("keys"));

	*out = (struct jwk_set){};
	if (v == NULL)
		return -1;
	if (!json_is(keys, JSON_ARRAY))
		return err_set(e, "a set of keys is {\"keys\": [...]}");
	if (keys->n > JWKS_MAX_KEYS)
		return err_set(
		    e, "it has %u keys, over %d", keys->n, JWKS_MAX_KEYS);
	out->keys = arena_alloc(a, keys->n * sizeof(*out->keys));
	if (out->keys == NULL)
		return err_set(e, "out of memory");
	for (const struct json *x = json_first(keys); x != NULL;
	     x = json_next(keys, x)) {
		struct jwk *k = &out->keys[out->n];
		bool ours = false;

		if (take_key(x, a, k, &ours, e) < 0)
			return -1;
		if (!ours)
			continue;
		for (uint32_t i = 0; i < out->n; i++) {
			if (k->kid.n > 0 && str_eq(out->keys[i].kid, k->kid))
				return err_set(e, "two keys are named %.*s",
				    STR_FMT(k->kid));
		}
		out->n++;
	}
	return 0;
}

const struct jwk *
jwk_find(const struct jwk_set *set, const struct jwt *t)
{
	const struct jwk *found = NULL;

	for (uint32_t i = 0; i < set->n; i++) {
		const struct jwk *k = &set->keys[i];

		if (k->alg != t->alg ||
		    (t->kid.n > 0 && !str_eq(k->kid, t->kid)))
			continue;
		if (found != NULL)
			return NULL;
		found = k;
	}
	return found;
}

static int
take_key(const struct json *v, struct arena *a, struct jwk *out, bool *ours,
    struct err *e)
{
	static const struct {
		const char *kty, *crv;
		enum jwt_alg alg;
	} kinds[] = {
		{ "RSA", NULL, JWT_RS256 },
		{ "EC", "P-256", JWT_ES256 },
		{ "OKP", "Ed25519", JWT_EDDSA },
	};
	const struct json *alg = json_get(v, STR("alg"));
	const struct json *kid = json_get(v, STR("kid"));
	int kind = -1;

	*out = (struct jwk){};
	if (!json_is(v, JSON_OBJECT))
		return err_set(e, "a key is no object");
	if (json_get(v, STR("d")) != NULL || json_get(v, STR("k")) != NULL)
		return err_set(e,
		    "it holds a private or secret key: give the public keys "
		    "alone, and make new ones");
	for (int i = 0; i < JWT_ALGS; i++) {
		if (str_eq_c(json_str(json_get(v, STR("kty"))), kinds[i].kty) &&
		    (kinds[i].crv == NULL ||
			str_eq_c(
			    json_str(json_get(v, STR("crv"))), kinds[i].crv)))
			kind = i;
	}
	if (kind < 0 || !is_for_checking(v))
		return 0;
	out->alg = kinds[kind].alg;
	/* One that says that it is for PS256 is for nothing else. */
	if (alg != NULL && !str_eq_c(json_str(alg), jwt_alg_name(out->alg)) &&
	    !(out->alg == JWT_EDDSA && str_eq_c(json_str(alg), "Ed25519")))
		return 0;
	out->kid = json_str(kid);
	if (kid != NULL && (out->kid.n == 0 || out->kid.n > JWK_KID_MAX_BYTES))
		return err_set(e, "a key's kid is no text of 1 to %d bytes",
		    JWK_KID_MAX_BYTES);
	*ours = true;
	switch (out->alg) {
	case JWT_RS256:
		return number(v, "n", a, &out->n, e) < 0
		    ? -1
		    : number(v, "e", a, &out->e, e);
	case JWT_ES256:
		return coordinate(v, "x", P256_BYTES, a, &out->x, e) < 0
		    ? -1
		    : coordinate(v, "y", P256_BYTES, a, &out->y, e);
	case JWT_EDDSA:
		return coordinate(v, "x", ED25519_BYTES, a, &out->x, e);
	case JWT_ALGS:
		break;
	}
	return -1;
}

/* RFC 7517 sections 4.2 and 4.3: absent is any use. */
static bool
is_for_checking(const struct json *v)
{
	const struct json *use = json_get(v, STR("use"));
	const struct json *ops = json_get(v, STR("key_ops"));
	bool verify = ops == NULL;

	for (const struct json *x = json_first(ops); x != NULL;
	     x = json_next(ops, x))
		verify |= str_eq_c(json_str(x), "verify");
	return verify && (use == NULL || str_eq_c(json_str(use), "sig"));
}

static int
number(const struct json *v, const char *name, struct arena *a, struct str *out,
    struct err *e)
{
	own_buf struct buf b = {};
	struct str text = json_str(json_get(v, str_of(name)));
	const char *kept;

	if (text.n == 0 || base64_decode(&b, text, BASE64_URL, e) < 0)
		return err_set(e, "a key's %s is not base64url", name);
	/* RFC 7518 section 2: the shortest form. */
	if (b.n == 0 || b.p[0] == '\0')
		return err_set(e, "a key's %s begins with a zero", name);
	kept = arena_copy(a, buf_str(&b));
	if (kept == NULL)
		return err_set(e, "out of memory");
	*out = (struct str){ kept, b.n };
	return 0;
}

static int
coordinate(const struct json *v, const char *name, size_t n, struct arena *a,
    struct str *out, struct err *e)
{
	own_buf struct buf b = {};
	struct str text = json_str(json_get(v, str_of(name)));
	const char *kept;

	if (base64_decode(&b, text, BASE64_URL, e) < 0 || b.n != n)
		return err_set(
		    e, "a key's %s is not %zu bytes in base64url", name, n);
	kept = arena_copy(a, buf_str(&b));
	if (kept == NULL)
		return err_set(e, "out of memory");
	*out = (struct str){ kept, n };
	return 0;
}
