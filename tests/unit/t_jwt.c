/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <string.h>

#include "base/limits.h"
#include "base/pubkey.h"
#include "codec/base64.h"
#include "codec/jwt.h"

/* RFC 7515, appendix A.3, and RFC 8037, appendices A.2 and A.4. */
#define ES256_TOKEN                                                           \
	"eyJhbGciOiJFUzI1NiJ9."                                               \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGx" \
	"lLmNvbS9pc19yb290Ijp0cnVlfQ."                                        \
	"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApm"  \
	"WQxfKTUJqPP3-Kg6NU1Q"
static const char es256_key[] =
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
    "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
    "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";
static const char ed25519_key[] =
    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
    "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

static void
a_token_of_the_standard_is_read_and_its_signature_is_good(void **state)
{
	struct arena a = {};
	struct jwk_set set;
	struct jwt t;
	struct err e = {};
	struct pubkey *k;
	const struct jwk *key;

	(void)state;
	assert_int_equal(jwt_parse(STR(ES256_TOKEN), &a, &t, &e), 0);
	assert_int_equal(t.alg, JWT_ES256);
	assert_int_equal(t.kid.n, 0);
	assert_true(str_eq_c(json_str(json_get(t.claims, STR("iss"))), "joe"));
	assert_int_equal(jwk_set_parse(str_of(es256_key), &a, &set, &e), 0);
	key = jwk_find(&set, &t);
	assert_non_null(key);
	k = pubkey_p256(key->x, key->y, &e);
	assert_non_null(k);
	assert_true(pubkey_check(k, t.signed_text, t.signature));
	t.signed_text.n--;
	assert_false(pubkey_check(k, t.signed_text, t.signature));
	pubkey_free(k);
	arena_fini(&a);
}

static void
a_signature_of_ed25519_is_checked(void **state)
{
	const struct str text = STR("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1N"
				    "TE5IHNpZ25pbmc");
	struct arena a = {};
	struct buf sig = {};
	struct jwk_set set;
	struct err e = {};
	struct pubkey *k;

	(void)state;
	assert_int_equal(
	    base64_decode(&sig,
		STR("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4i"
		    "ylGjg5BhVsPt9g7sVvpAr_MuM0KAg"),
		BASE64_URL, &e),
	    0);
	assert_int_equal(jwk_set_parse(str_of(ed25519_key), &a, &set, &e), 0);
	assert_int_equal(set.keys[0].alg, JWT_EDDSA);
	k = pubkey_ed25519(set.keys[0].x, &e);
	assert_non_null(k);
	assert_true(pubkey_check(k, text, buf_str(&sig)));
	sig.p[0] ^= 1;
	assert_false(pubkey_check(k, text, buf_str(&sig)));
	pubkey_free(k);
	buf_fini(&sig);
	arena_fini(&a);
}

static void
other_algorithms_and_headers_are_refused(void **state)
{
	static const char *const headers[] = {
		"{\"alg\":\"none\"}",
		"{\"alg\":\"HS256\"}",
		"{\"alg\":\"RS512\"}",
		"{\"alg\":\"rs256\"}",
		"{\"alg\":[\"RS256\"]}",
		"{}",
		"[]",
		"{\"alg\":\"RS256\",\"crit\":[]}",
		"{\"alg\":\"RS256\",\"kid\":\"\"}",
		"{\"alg\":\"RS256\",\"kid\":1}",
		"{\"alg\":\"RS256\",\"typ\":\"logout+jwt\"}",
		"{\"alg\":\"RS256\",\"alg\":\"RS256\"}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct arena a = {};
		struct buf text = {};
		struct err e = {};
		struct jwt t;

		base64_encode(&text, str_of(headers[i]), BASE64_URL);
		buf_add_c(&text, ".e30.AAAA");
		if (jwt_parse(buf_str(&text), &a, &t, &e) == 0)
			fail_msg("%s", headers[i]);
		assert_true(e.text[0] != '\0');
		buf_fini(&text);
		arena_fini(&a);
	}
}

static void
a_set_leaves_out_what_is_not_for_us_and_refuses_what_is_damaged(void **state)
{
	static const struct {
		const char *why, *text;
		int keys; /* -1: refused */
	} rows[] = {
		{ "nothing", "{\"keys\":[]}", 0 },
		{ "a secret key is skipped nowhere",
		    "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", -1 },
		{ "another kind", "{\"keys\":[{\"kty\":\"XYZ\"}]}", 0 },
		{ "another curve",
		    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-384\"}]}", 0 },
		{ "for encryption",
		    "{\"keys\":[{\"kty\":\"RSA\",\"use\":\"enc\"}]}", 0 },
		{ "for signing only",
		    "{\"keys\":[{\"kty\":\"RSA\",\"key_ops\":[\"sign\"]}]}",
		    0 },
		{ "for another algorithm",
		    "{\"keys\":[{\"kty\":\"RSA\",\"alg\":\"PS256\"}]}", 0 },
		{ "no modulus", "{\"keys\":[{\"kty\":\"RSA\"}]}", -1 },
		{ "zeros in front",
		    "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AAAA\",\"e\":\"AQAB\"}"
		    "]}",
		    -1 },
		{ "a short coordinate",
		    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
		    "\"AAAA\"}]}",
		    -1 },
		{ "a private key",
		    "{\"keys\":[{\"kty\":\"RSA\",\"d\":\"AAAA\"}]}", -1 },
		{ "no object", "{\"keys\":[1]}", -1 },
		{ "no list", "{\"keys\":{}}", -1 },
		{ "no set", "[]", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena a = {};
		struct err e = {};
		struct jwk_set set;
		int rc = jwk_set_parse(str_of(rows[i].text), &a, &set, &e);

		if ((rc < 0) != (rows[i].keys < 0) ||
		    (rc == 0 && set.n != (uint32_t)rows[i].keys))
			fail_msg("%s: %s", rows[i].why, e.text);
		arena_fini(&a);
	}
}

static void
keys_that_are_too_weak_or_no_keys_are_refused(void **state)
{
	static const char zeros[1100];
	char small[128];
	struct err e = {};

	(void)state;
	memset(small, 0xff, sizeof(small));
	assert_null(pubkey_rsa(
	    (struct str){ small, sizeof(small) }, STR("\x01\x00\x01"), &e));
	assert_null(
	    pubkey_rsa((struct str){ zeros, 256 }, STR("\x01\x00\x01"), &e));
	assert_null(pubkey_p256(
	    (struct str){ zeros, 32 }, (struct str){ zeros, 32 }, &e));
	assert_null(pubkey_ed25519((struct str){ zeros, 31 }, &e));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_token_of_the_standard_is_read_and_its_signature_is_good),
		cmocka_unit_test(a_signature_of_ed25519_is_checked),
		cmocka_unit_test(other_algorithms_and_headers_are_refused),
		cmocka_unit_test(
		    a_set_leaves_out_what_is_not_for_us_and_refuses_what_is_damaged),
		cmocka_unit_test(keys_that_are_too_weak_or_no_keys_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
