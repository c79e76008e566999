#include "codec/jwt.h"

#include "base/limits.h"
#include "codec/base64.h"

static const struct json_limits limits = {
	.max_bytes = JWT_MAX_BYTES,
	.max_depth = 8,
	.max_values = 1024,
	.max_members = 128,
};

static const struct json *part(
    struct str text, const char *what, struct arena *a, struct err *e);
static int read_header(struct jwt *out, struct err *e);
static int bytes(struct str text, struct arena *a, struct str *out,
    const char *what, struct err *e);

bool
jwt_looks_like(struct str token)
{
	unsigned dots = 0;

	for (size_t i = 0; i < token.n; i++)
		dots += token.p[i] == '.';
	return dots == 2;
}

int
jwt_parse(struct str token, struct arena *a, struct jwt *out, struct err *e)
{
	size_t first, second;
	struct str rest;

	*out = (struct jwt){};
	if (token.n > JWT_MAX_BYTES)
		return err_set(
		    e, "a signed token has over %d bytes", JWT_MAX_BYTES);
	first = str_find(token, '.');
	if (!jwt_looks_like(token))
		return err_set(e, "a signed token has three parts");
	rest = (struct str){ token.p + first + 1, token.n - first - 1 };
	second = first + 1 + str_find(rest, '.');
	out->signed_text = (struct str){ token.p, second };
	out->header = part((struct str){ token.p, first }, "header", a, e);
	if (out->header == NULL || read_header(out, e) < 0)
		return -1;
	out->claims =
	    part((struct str){ rest.p, second - first - 1 }, "claims", a, e);
	if (out->claims == NULL)
		return -1;
	return bytes((struct str){ token.p + second + 1, token.n - second - 1 },
	    a, &out->signature, "signature", e);
}

const char *
jwt_alg_name(enum jwt_alg alg)
{
	static const char *const names[JWT_ALGS] = { "RS256", "ES256",
		"EdDSA" };

	return names[alg];
}

static const struct json *
part(struct str text, const char *what, struct arena *a, struct err *e)
{
	const struct json *v;
	struct str plain = {};

	if (bytes(text, a, &plain, what, e) < 0)
		return NULL;
	v = json_parse(plain, &limits, a, e, NULL);
	if (v == NULL) {
		(void)err_add(e, "a signed token's %s", what);
		return NULL;
	}
	if (!json_is(v, JSON_OBJECT)) {
		(void)err_set(e, "a signed token's %s is no object", what);
		return NULL;
	}
	return v;
}

static int
read_header(struct jwt *out, struct err *e)
{
	const struct json *alg = json_get(out->header, STR("alg"));
	const struct json *kid = json_get(out->header, STR("kid"));
	const struct json *typ = json_get(out->header, STR("typ"));
	int known = -1;

	for (int i = 0; i < JWT_ALGS; i++) {
		if (str_eq_c(json_str(alg), jwt_alg_name((enum jwt_alg)i)))
			known = i;
	}
	if (known < 0)
		return err_set(e,
		    "a signed token's alg is none of RS256, ES256 and EdDSA");
	out->alg = (enum jwt_alg)known;
	/* RFC 7515 section 4.1.11: what is not understood is refused. */
	if (json_get(out->header, STR("crit")) != NULL)
		return err_set(e, "a signed token with crit is not understood");
	/* Other kinds of token are signed by the same keys. RFC 8725, 3.11 */
	if (typ != NULL && !str_eq_nocase(json_str(typ), STR("JWT")) &&
	    !str_eq_nocase(json_str(typ), STR("at+jwt")) &&
	    !str_eq_nocase(json_str(typ), STR("application/at+jwt")))
		return err_set(e, "a signed token's typ is not JWT or at+jwt");
	out->kid = json_str(kid);
	if (kid != NULL && (out->kid.n == 0 || out->kid.n > JWK_KID_MAX_BYTES))
		return err_set(e, "a signed token's kid is no name of a key");
	return 0;
}

static int
bytes(struct str text, struct arena *a, struct str *out, const char *what,
    struct err *e)
{
	own_buf struct buf plain = {};
	const char *kept;

	if (text.n == 0)
		return err_set(e, "a signed token's %s is missing", what);
	if (base64_decode(&plain, text, BASE64_URL, e) < 0)
		return err_add(e, "a signed token's %s", what);
	kept = arena_copy(a, buf_str(&plain));
	if (kept == NULL || plain.failed)
		return err_set(e, "out of memory");
	*out = (struct str){ kept, plain.n };
	return 0;
}
