/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include "codec/sigv4.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Key, scope and most of the requests are AWS's own test suite. */
static const struct sigv4_key key = { { "AKIDEXAMPLE", 11 },
	{ "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", 40 } };

static const char empty[] =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/* A head as a client that has a fake key sends it. */
static void
head(struct http1_head *h, const char *method, const char *target,
    const char *scope, const char *names, struct buf *auth)
{
	*h = (struct http1_head){ .method = str_of(method),
		.target = str_of(target) };
	buf_printf(auth,
	    "AWS4-HMAC-SHA256 Credential=pdk_1/%s, SignedHeaders=%s,"
	    "Signature=00",
	    scope, names);
	h->field[h->n++] =
	    (struct http1_field){ STR("Authorization"), buf_str(auth) };
	h->field[h->n++] =
	    (struct http1_field){ STR("X-Amz-Date"), STR("20150830T123600Z") };
}

static void
field(struct http1_head *h, const char *name, const char *value)
{
	h->field[h->n++] = (struct http1_field){ str_of(name), str_of(value) };
}

static void
signatures_are_those_of_the_published_suite(void **state)
{
	static const struct {
		const char *name, *method, *target, *names;
		const char *field[4][2];
		const char *want;
	} rows[] = {
		{ "get-vanilla", "GET", "/", "host;x-amz-date", {},
		    "5fa00fa31553b73ebf1942676e86291e"
		    "8372ff2a2260956d9b8aae1d763fbf31" },
		{ "post-vanilla", "POST", "/", "host;x-amz-date", {},
		    "5da7c1a2acd57cee7505fc6676e4e544"
		    "621c30862966e37dddb68e92efbe5d6b" },
		{ "get-vanilla-query-order-key-case", "GET",
		    "/?Param2=value2&Param1=value1", "host;x-amz-date", {},
		    "b97d918cfa904a5beff61c982a1b6f45"
		    "8b799221646efd99d3219ec94cdf2500" },
		{ "get-vanilla-empty-query-key", "GET", "/?Param1=value1",
		    "host;x-amz-date", {},
		    "a67d582fa61cc504c4bae71f336f98b9"
		    "7f1ea3c7a6bfe1b6e45aec72011b9aeb" },
		{ "get-vanilla-query-order-encoded", "GET",
		    "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
		    "host;x-amz-date", {},
		    "371d3713e185cc334048618a97f809c9"
		    "ffe339c62934c032af5a0e595648fcac" },
		{ "get-vanilla-utf8-query", "GET", "/?\xe1\x88\xb4=bar",
		    "host;x-amz-date", {},
		    "2cdec8eed098649ff3a119c94853b13c"
		    "643bcf08f8b0a1d91e12c9027818dd04" },
		{ "get-utf8", "GET", "/\xe1\x88\xb4", "host;x-amz-date", {},
		    "8318018e0b0f223aa2bbf98705b62bb7"
		    "87dc9c0e678f255a891fd03141be5d85" },
		{ "get-unreserved", "GET",
		    "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		    "abcdefghijklmnopqrstuvwxyz",
		    "host;x-amz-date", {},
		    "07ef7494c76fa4850883e2b006601f94"
		    "0f8a34d404d0cfa977f52a65bbf5f24f" },
		{ "get-space-normalized", "GET", "/example space/",
		    "host;x-amz-date", {},
		    "652487583200325589f1fba4c7e578f7"
		    "2c47cb61beeca81406b39ddec1366741" },
		{ "get-relative-relative-normalized", "GET",
		    "/example1/example2/../..", "host;x-amz-date", {},
		    "5fa00fa31553b73ebf1942676e86291e"
		    "8372ff2a2260956d9b8aae1d763fbf31" },
		{ "get-slash-pointless-dot-normalized", "GET", "/./example",
		    "host;x-amz-date", {},
		    "ef75d96142cf21edca26f06005da7988"
		    "e4f8dc83a165a80865db7089db637ec5" },
		{ "get-header-key-duplicate", "GET", "/",
		    "host;my-header1;x-amz-date",
		    { { "My-Header1", "value2" }, { "My-Header1", "value2" },
			{ "My-Header1", "value1" } },
		    "c9d5ea9f3f72853aea855b47ea873832"
		    "890dbdd183b4468f858259531a5138ea" },
		{ "get-header-value-order", "GET", "/",
		    "host;my-header1;x-amz-date",
		    { { "My-Header1", "value4" }, { "My-Header1", "value1" },
			{ "My-Header1", "value3" },
			{ "My-Header1", "value2" } },
		    "08c7e5a9acfcfeb3ab6b2185e75ce8b1"
		    "deb5e634ec47601a50643f830c755c01" },
		{ "get-header-value-trim", "GET", "/",
		    "host;my-header1;my-header2;x-amz-date",
		    { { "My-Header1", "value1" },
			{ "My-Header2", "\"a   b   c\"" } },
		    "acc3ed3afb60bb290fc8d2dd0098b991"
		    "1fcaa05412b367055dee359757a9c736" },
		{ "get-vanilla-with-session-token", "GET", "/",
		    "host;x-amz-date;x-amz-security-token",
		    { { "X-Amz-Security-Token",
			"6e86291e8372ff2a2260956d9b8aae1d"
			"763fbf315fa00fa31553b73ebf194267" } },
		    "07ec1639c89043aa0e3e2de82b96708f"
		    "198cceab042d4a97044c66dd9f74e7f8" },
		{ "post-x-www-form-urlencoded", "POST", "/",
		    "content-length;content-type;host;x-amz-content-sha256;"
		    "x-amz-date",
		    { { "Content-Type", "application/x-www-form-urlencoded" },
			{ "Content-Length", "13" },
			{ "x-amz-content-sha256",
			    "9095672bbd1f56dfc5b65f3e153adc87"
			    "31a4a654192329106275f4c7b24d0b6e" } },
		    "d3875051da38690788ef43de4db0d8f2"
		    "80229d82040bfac253562e56c3f20e0b" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		static struct http1_head h;
		own_buf struct buf auth = {};
		own_buf struct buf out = {};
		own_buf struct buf want = {};
		struct err e;

		head(&h, rows[i].method, rows[i].target,
		    "20150830/us-east-1/service/aws4_request", rows[i].names,
		    &auth);
		field(&h, "Host", "example.amazonaws.com");
		for (int k = 0; k < 4 && rows[i].field[k][0] != NULL; k++)
			field(&h, rows[i].field[k][0], rows[i].field[k][1]);
		assert_true(sigv4_signed(&h));
		assert_int_equal(
		    sigv4_sign(&h, str_of(empty), &key, &out, &e), 0);
		buf_printf(&want,
		    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/"
		    "us-east-1/service/aws4_request, SignedHeaders=%s, "
		    "Signature=%s",
		    rows[i].names, rows[i].want);
		if (strcmp(buf_c(&out), buf_c(&want)) != 0)
			fail_msg("%s: %s", rows[i].name, buf_c(&out));
	}
}

/* "GET Object", from the documentation of S3's own signatures. */
static void
objects_of_s3_are_signed_with_their_path_as_it_is(void **state)
{
	static struct http1_head h;
	static const struct sigv4_key s3 = { { "AKIAIOSFODNN7EXAMPLE", 20 },
		{ "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", 40 } };
	own_buf struct buf auth = {};
	own_buf struct buf out = {};
	struct err e;

	(void)state;
	head(&h, "GET", "/test.txt", "20130524/us-east-1/s3/aws4_request",
	    "host;range;x-amz-content-sha256;x-amz-date", &auth);
	h.field[1].value = STR("20130524T000000Z");
	field(&h, "Host", "examplebucket.s3.amazonaws.com");
	field(&h, "Range", "bytes=0-9");
	field(&h, "x-amz-content-sha256", empty);
	assert_false(sigv4_needs_body(&h));
	assert_int_equal(sigv4_sign(&h, STR(""), &s3, &out, &e), 0);
	assert_non_null(strstr(buf_c(&out),
	    "Signature=f0e8bdb87c964420e857bd35b5d6ed31"
	    "0bd44f0170aba48dd91039c6036bdb41"));
}

static void
what_cannot_be_signed_anew_is_refused_with_its_reason(void **state)
{
	static const struct {
		const char *scope, *names, *sha, *why;
	} rows[] = {
		{ "20150830/us-east-1/service", "host", empty, "scope" },
		{ "20150830", "host", empty, "scope" },
		{ "20150830/us-east-1/service/aws4_request", "host;x-none",
		    empty, "missing: x-none" },
		{ "20150830/us-east-1/service/aws4_request", "", empty,
		    "scope" },
		{ "20150830/us-east-1/s3/aws4_request", "host",
		    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "chunks" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		static struct http1_head h;
		own_buf struct buf auth = {};
		own_buf struct buf out = {};
		struct err e;

		head(&h, "GET", "/", rows[i].scope, rows[i].names, &auth);
		field(&h, "Host", "h");
		field(&h, "x-amz-content-sha256", rows[i].sha);
		assert_int_equal(
		    sigv4_sign(&h, str_of(empty), &key, &out, &e), -1);
		assert_non_null(strstr(e.text, rows[i].why));
		assert_int_equal(out.n, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signatures_are_those_of_the_published_suite),
		cmocka_unit_test(
		    objects_of_s3_are_signed_with_their_path_as_it_is),
		cmocka_unit_test(
		    what_cannot_be_signed_anew_is_refused_with_its_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
