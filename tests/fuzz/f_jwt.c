/*
 * The first byte says which: a signed token, or a set of keys.
 *
 * Holds: what is taken of a token is what it says: its signature in base64url
 * behind what was signed is the token again; its claims are an object. A set's
 * keys have the sizes that their algorithms need, and no name twice.
 */
#include "base/limits.h"
#include "base/must.h"
#include "codec/base64.h"
#include "codec/jwt.h"

static void
token(struct str in)
{
	own_arena struct arena a = {};
	own_buf struct buf again = {};
	struct err e = {};
	struct jwt t;

	if (jwt_parse(in, &a, &t, &e) < 0) {
		must(e.text[0] != '\0');
		return;
	}
	must(in.n <= JWT_MAX_BYTES && jwt_looks_like(in));
	must(t.alg < JWT_ALGS && json_is(t.header, JSON_OBJECT) &&
	    json_is(t.claims, JSON_OBJECT));
	must(str_eq_c(
	    json_str(json_get(t.header, STR("alg"))), jwt_alg_name(t.alg)));
	buf_add_str(&again, t.signed_text);
	buf_add_byte(&again, '.');
	base64_encode(&again, t.signature, BASE64_URL);
	must(str_eq(buf_str(&again), in));
}

static void
set(struct str in)
{
	own_arena struct arena a = {};
	struct err e = {};
	struct jwk_set s;

	if (jwk_set_parse(in, &a, &s, &e) < 0) {
		must(e.text[0] != '\0');
		return;
	}
	must(s.n <= JWKS_MAX_KEYS);
	for (uint32_t i = 0; i < s.n; i++) {
		const struct jwk *k = &s.keys[i];

		must(k->alg < JWT_ALGS);
		if (k->alg == JWT_RS256)
			must(k->n.n > 0 && k->e.n > 0 && k->n.p[0] != '\0');
		else
			must(k->x.n == 32);
		must(k->alg != JWT_ES256 || k->y.n == 32);
		for (uint32_t n = 0; n < i; n++)
			must(k->kid.n == 0 || !str_eq(s.keys[n].kid, k->kid));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in;

	if (size < 1)
		return 0;
	in = (struct str){ (const char *)data + 1, size - 1 };
	if (data[0] == 't')
		token(in);
	else
		set(in);
	return 0;
}
