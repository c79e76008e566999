/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "codec/base64.h"
#include "ipc/msg.h"
#include "proxy/filter.h"
#include "watch_rig.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Never written as one text here: the test below looks for it in memory. */
static const char half[2][12] = { "sk-Live/9z", "Q+\"wK7mPx2" };
static const char fake[] = "pdk_12345678_abcdefg";

enum { REAL = 20 };

static struct str
real(void)
{
	static char text[REAL + 1];

	memcpy(text, half[0], 10);
	memcpy(text + 10, half[1], 10);
	return (struct str){ text, REAL };
}

static struct filter_watch watch;
static const struct filter_watch none;

static void
watch_for(const char *name, struct str value)
{
	watch_take(&watch, name, value, fake);
}

static struct filter *
make(const char *more, const char *rest, uint32_t flags)
{
	own_arena struct arena a = {};
	own_buf struct buf text = {};
	struct filter *f = NULL;
	struct err e = {};

	buf_add_c(&text, "{\"secrets\":[{\"name\":\"KEY\",\"value\":\"");
	base64_encode(&text, real(), BASE64_STANDARD);
	buf_printf(&text, "\",\"placeholder\":\"%s\"%s}]%s}", fake, more, rest);
	watch_for("KEY", real());
	if (filter_new(&f, json_parse(buf_str(&text), NULL, &a, &e, NULL),
		flags, &watch, &e) < 0)
		fail_msg("%s", e.text);
	explicit_bzero(text.p, text.n);
	assert_non_null(f);
	return f;
}

static struct str
field(const struct http1_head *h, const char *name)
{
	const struct str *v = http1_get(h, str_of(name));

	return v == NULL ? STR("(none)") : *v;
}

static void
head(struct http1_head *h, const char *target, const char *name,
    const char *value)
{
	*h = (struct http1_head){
		.method = STR("POST"),
		.target = str_of(target),
		.body = HTTP1_BODY_LENGTH,
		.n = 3,
		.field = { { STR("Host"), STR("h") },
		    { STR("Accept-Encoding"), STR("gzip") },
		    { str_of(name), str_of(value) } },
	};
}

static void
assert_text(
    struct str got, const char *before, struct str middle, const char *after)
{
	own_buf struct buf want = {};

	buf_add_c(&want, before);
	buf_add_str(&want, middle);
	buf_add_c(&want, after);
	if (!str_eq(got, buf_str(&want)))
		fail_msg("%.*s", STR_FMT(got));
}

static void
nothing_to_do_makes_no_filter(void **state)
{
	own_arena struct arena a = {};
	struct filter *f;
	struct err e;

	(void)state;
	assert_int_equal(
	    filter_new(&f, json_parse(STR("{}"), NULL, &a, &e, NULL),
		EGRESS_LEAK_CHECK, &none, &e),
	    0);
	assert_null(f);
}

static void
a_secret_goes_only_where_the_verdict_says(void **state)
{
	static struct http1_head h;
	struct filter *f;
	struct err e;

	(void)state;
	f = make(",\"header\":\"authorization\"", "", EGRESS_LEAK_CHECK);
	head(&h, "/a?k=pdk_12345678_abcdefg", "Authorization",
	    "Bearer pdk_12345678_abcdefg");
	h.field[h.n++] = (struct http1_field){ STR("X-Other"), str_of(fake) };
	assert_int_equal(filter_request_head(f, &h, &e), 0);
	assert_text(field(&h, "authorization"), "Bearer ", real(), "");
	assert_string_equal(field(&h, "x-other").p, fake);
	assert_string_equal(h.target.p, "/a?k=pdk_12345678_abcdefg");
	{
		own_buf struct buf out = {};

		assert_int_equal(
		    filter_request_body(f, str_of(fake), true, &out, &e), 0);
		assert_string_equal(buf_c(&out), fake);
	}
	filter_free(f);

	f = make(",\"query\":\"k\",\"body\":true", "", 0);
	head(&h, "/a?j=pdk_12345678_abcdefg&k=pdk_12345678_abcdefg&l=1",
	    "Authorization", fake);
	assert_int_equal(filter_request_head(f, &h, &e), 0);
	assert_text(h.target,
	    "/a?j=pdk_12345678_abcdefg&k=", STR("sk-Live%2F9zQ%2B%22wK7mPx2"),
	    "&l=1");
	assert_string_equal(field(&h, "authorization").p, fake);
	{
		own_buf struct buf out = {};

		assert_int_equal(
		    filter_request_body(
			f, STR("{\"t\":\"pdk_12345"), false, &out, &e),
		    0);
		assert_string_equal(buf_c(&out), "{\"t\":\"");
		assert_int_equal(filter_request_body(
				     f, STR("678_abcdefg\"}"), true, &out, &e),
		    0);
		assert_text(buf_str(&out), "{\"t\":\"", real(), "\"}");
	}
	filter_free(f);
}

static void
a_field_is_made_when_there_is_a_format(void **state)
{
	static struct http1_head h;
	struct filter *f = make(
	    ",\"header\":\"authorization\",\"format\":\"Bearer {}\"", "", 0);
	own_buf struct buf report = {};
	struct err e;

	(void)state;
	head(&h, "/", "X", "y");
	assert_int_equal(filter_request_head(f, &h, &e), 0);
	assert_text(field(&h, "authorization"), "Bearer ", real(), "");
	filter_report(f, &report);
	assert_string_equal(buf_c(&report), ",\"secrets\":[\"KEY\"]");
	filter_free(f);
}

/* git and curl -u send "user:token" as base64. */
static void
basic_credentials_are_opened(void **state)
{
	static struct http1_head h;
	struct filter *f = make(",\"header\":\"Authorization\"", "", 0);
	own_buf struct buf sent = {};
	own_buf struct buf got = {};
	struct err e;
	struct str v;

	(void)state;
	buf_add_c(&sent, "Basic ");
	base64_encode(&sent, STR("git:pdk_12345678_abcdefg"), BASE64_STANDARD);
	head(&h, "/", "Authorization", buf_c(&sent));
	assert_int_equal(filter_request_head(f, &h, &e), 0);
	v = field(&h, "authorization");
	assert_int_equal(base64_decode(&got, (struct str){ v.p + 6, v.n - 6 },
			     BASE64_STANDARD, &e),
	    0);
	assert_text(buf_str(&got), "git:", real(), "");
	filter_free(f);
}

static void
what_was_not_to_be_known_inside_does_not_go_out(void **state)
{
	static struct http1_head h;
	own_buf struct buf coded = {};
	own_buf struct buf out = {};
	own_buf struct buf report = {};
	struct filter *f;
	struct err e;

	(void)state;
	base64_encode(&coded, real(), BASE64_URL);
	f = make("", "", EGRESS_LEAK_CHECK);
	head(&h, "/", "X-Data", buf_c(&coded));
	assert_int_equal(filter_request_head(f, &h, &e), -1);
	assert_non_null(strstr(e.text, "KEY"));
	filter_report(f, &report);
	assert_string_equal(buf_c(&report),
	    ",\"leaks\":[{\"form\":\"base64\",\"name\":\"KEY\","
	    "\"place\":\"header X-Data\"}]");
	filter_free(f);

	/* Also where the verdict gives no secret, and nobody was asked. */
	assert_int_equal(filter_new(&f, NULL, 0, &watch, &e), 0);
	head(&h, "/", "X", "y");
	assert_int_equal(filter_request_head(f, &h, &e), 0);
	assert_int_equal(filter_request_body(
			     f, (struct str){ real().p, 9 }, false, &out, &e),
	    0);
	assert_int_equal(
	    filter_request_body(
		f, (struct str){ real().p + 9, real().n - 9 }, true, &out, &e),
	    -1);
	assert_non_null(
	    strstr(e.text, "KEY must not go out (found in the body"));
	filter_free(f);

	assert_int_equal(filter_new(&f, NULL, 0, &watch, &e), 0);
	head(&h, "/", "Content-Encoding", "br");
	assert_int_equal(filter_request_head(f, &h, &e), -1);
	assert_non_null(strstr(e.text, "\"br\" cannot be searched"));
	filter_free(f);
}

static void
a_compressed_body_is_searched_unpacked(void **state)
{
	static struct http1_head h;
	own_buf struct buf plain = {}, out = {};
	uint8_t packed[256];
	uLongf n = sizeof(packed);
	z_stream z = {};
	struct filter *f;
	struct err e;

	(void)state;
	watch_for("KEY", real());
	buf_add_c(&plain, "{\"k\": \"");
	buf_add_str(&plain, real());
	assert_int_equal(
	    deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY),
	    Z_OK);
	z.next_in = (Bytef *)plain.p;
	z.avail_in = (uInt)plain.n;
	z.next_out = packed;
	z.avail_out = (uInt)n;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	n -= z.avail_out;
	(void)deflateEnd(&z);
	assert_null(memmem(packed, n, real().p, real().n));
	for (size_t step = 1; step < n; step += 5) {
		bool found = false;

		assert_int_equal(filter_new(&f, NULL, 0, &watch, &e), 0);
		head(&h, "/", "Content-Encoding", "gzip");
		assert_int_equal(filter_request_head(f, &h, &e), 0);
		for (size_t at = 0; at < n && !found; at += step) {
			struct str piece = { (const char *)packed + at,
				n - at < step ? n - at : step };

			found = filter_request_body(
				    f, piece, at + step >= n, &out, &e) < 0;
		}
		assert_true(found);
		assert_non_null(strstr(e.text, "KEY must not go out"));
		filter_free(f);
	}
	assert_int_equal(filter_new(&f, NULL, 0, &watch, &e), 0);
	head(&h, "/", "Content-Encoding", "gzip");
	assert_int_equal(filter_request_head(f, &h, &e), 0);
	assert_int_equal(
	    filter_request_body(f, STR("not gzip at all"), true, &out, &e), -1);
	assert_non_null(strstr(e.text, "not what its content encoding says"));
	filter_free(f);
}

/* A megabyte is free; then a hundred to one is too much. */
static void
a_bomb_is_not_unpacked(void **state)
{
	static struct http1_head h;
	static uint8_t zeros[4 << 20], packed[64 * 1024];
	own_buf struct buf out = {};
	uLongf n = sizeof(packed);
	struct filter *f;
	struct err e;

	(void)state;
	watch_for("KEY", real());
	assert_int_equal(compress2(packed, &n, zeros, sizeof(zeros), 9), Z_OK);
	assert_int_equal(filter_new(&f, NULL, 0, &watch, &e), 0);
	head(&h, "/", "Content-Encoding", "deflate");
	assert_int_equal(filter_request_head(f, &h, &e), 0);
	assert_int_equal(
	    filter_request_body(
		f, (struct str){ (const char *)packed, n }, true, &out, &e),
	    -1);
	assert_non_null(strstr(e.text, "too large for what it is packed in"));
	filter_free(f);
}

static void
a_trailer_is_searched_as_a_field_of_the_head_is(void **state)
{
	own_buf struct buf out = {};
	struct http1_head h = { .n = 2 };

	(void)state;
	for (int name = 0; name < 2; name++) {
		struct filter *f = make("", "", EGRESS_LEAK_CHECK);
		struct err e = {};

		assert_int_equal(
		    filter_request_body(f, STR("body"), true, &out, &e), 0);
		h.field[0] = (struct http1_field){ STR("x-sum"), STR("1") };
		h.field[1] = h.field[0];
		assert_int_equal(filter_request_trailers(f, &h, &e), 0);
		if (name == 1)
			h.field[1].name = real();
		else
			h.field[1].value = real();
		assert_int_equal(filter_request_trailers(f, &h, &e), -1);
		assert_non_null(strstr(e.text, "KEY must not go out"));
		assert_non_null(strstr(
		    e.text, name == 1 ? "trailer name" : "trailer x-sum"));
		filter_free(f);
	}
}

/* Masked, in two frames, and cut anywhere. */
static void
a_websocket_is_searched_below_its_masks(void **state)
{
	struct filter *f;
	own_buf struct buf sent = {};
	struct err e;

	(void)state;
	watch_for("KEY", real());
	for (size_t part = 0; part < 2; part++) {
		const char mask[] = { 0x12, 0x34, 0x56, (char)part };

		buf_add_byte(&sent, part == 0 ? 0x01 : (char)0x80);
		buf_add_byte(&sent, (char)(0x80 | REAL / 2));
		buf_add(&sent, mask, 4);
		for (size_t i = 0; i < REAL / 2; i++)
			buf_add_byte(
			    &sent, (char)(half[part][i] ^ mask[i % 4]));
	}
	for (size_t step = 1; step < sent.n; step++) {
		bool found = false;

		assert_int_equal(filter_new(&f, NULL, 0, &watch, &e), 0);
		for (size_t at = 0; at < sent.n; at += step) {
			struct str piece = { sent.p + at,
				sent.n - at < step ? sent.n - at : step };

			found |= filter_relay(f, piece, &e) < 0;
		}
		assert_true(found);
		filter_free(f);
	}
	assert_int_equal(filter_new(&f, NULL, 0, &watch, &e), 0);
	assert_int_equal(filter_relay(f, STR("\xc1\x80zzzz"), &e), -1);
	filter_free(f);
}

static void
an_echo_tells_nothing(void **state)
{
	static struct http1_head h;
	own_buf struct buf body = {};
	own_buf struct buf coded = {};
	own_buf struct buf report = {};
	struct filter *f = make(",\"header\":\"authorization\"", "", 0);
	struct err e;

	(void)state;
	h = (struct http1_head){ .status = 200,
		.body = HTTP1_BODY_LENGTH,
		.n = 1,
		.field = { { STR("X-Echo"), real() } } };
	assert_int_equal(filter_answer_head(f, &h, &e), 0);
	assert_text(field(&h, "x-echo"), "", str_of(fake), "");
	assert_false(filter_resizes(f));
	base64_encode(&coded, real(), BASE64_STANDARD);
	buf_add_str(&coded, STR(" sk-Live%2f9zQ%2B%22wK7mPx2 "));
	buf_add_str(&coded, STR("sk-Live\\/9zQ+\\\"wK7mPx2 "));
	buf_add_str(&coded, real());
	for (size_t i = 0; i < coded.n; i += 7) {
		struct str piece = { coded.p + i,
			coded.n - i < 7 ? coded.n - i : 7 };

		assert_int_equal(
		    filter_answer_body(f, piece, i + 7 >= coded.n, &body, &e),
		    0);
	}
	assert_int_equal(body.n, coded.n);
	assert_null(memmem(body.p, body.n, "9z", 2));
	assert_null(memmem(body.p, body.n, "wK7", 3));
	assert_null(memmem(body.p, body.n, coded.p, 8));
	assert_non_null(memmem(body.p, body.n, fake, sizeof(fake) - 1));
	filter_report(f, &report);
	assert_non_null(strstr(buf_c(&report), ",\"scrubbed\":"));

	/* What cannot be searched does not come in. */
	h.field[h.n++] =
	    (struct http1_field){ STR("Content-Encoding"), STR("br") };
	assert_int_equal(filter_answer_head(f, &h, &e), -1);
	filter_free(f);
}

/* A request that may have none, or that nobody was asked about. */
static void
an_answer_holds_no_secret_of_the_run_whoever_it_is_from(void **state)
{
	static struct http1_head h;
	own_buf struct buf body = {}, report = {}, told = {};
	struct filter *f;
	struct err e;

	(void)state;
	watch_for("KEY", real());
	assert_int_equal(filter_new(&f, NULL, 0, &watch, &e), 0);
	h = (struct http1_head){ .status = 200,
		.body = HTTP1_BODY_LENGTH,
		.n = 2,
		.field = { { STR("X-Echo"), real() },
		    { STR("Content-Length"), STR("33") } } };
	assert_int_equal(filter_answer_head(f, &h, &e), 0);
	assert_text(field(&h, "x-echo"), "", str_of(fake), "");
	assert_false(filter_resizes(f));
	assert_int_equal(
	    filter_answer_body(f, STR("a key: "), false, &body, &e), 0);
	assert_int_equal(filter_answer_body(
			     f, (struct str){ real().p, 11 }, false, &body, &e),
	    0);
	assert_true(filter_answer_holds(f));
	assert_true(body.n <= 7);
	assert_int_equal(
	    filter_answer_body(
		f, (struct str){ real().p + 11, REAL - 11 }, false, &body, &e),
	    0);
	assert_int_equal(filter_answer_body(f, STR("."), true, &body, &e), 0);
	assert_string_equal(buf_c(&body), "a key: pdk_12345678_abcdefg.");
	assert_true(filter_answer_found(f));
	filter_report(f, &report);
	assert_string_equal(buf_c(&report), ",\"scrubbed\":2");
	filter_free(f);

	assert_int_equal(filter_watch_hide(&watch, real(), &told), 1);
	assert_string_equal(buf_c(&told), fake);
	buf_reset(&told);
	assert_int_equal(filter_watch_hide(&none, real(), &told), 0);
	assert_int_equal(told.n, REAL);
}

static void
a_compressed_answer_is_given_on_unpacked(void **state)
{
	static struct http1_head h;
	own_buf struct buf plain = {};
	uint8_t packed[256];
	uLongf n = sizeof(packed);
	struct filter *f;
	struct err e;

	(void)state;
	watch_for("KEY", real());
	buf_add_c(&plain, "key=");
	buf_add_str(&plain, real());
	assert_int_equal(
	    compress(packed, &n, (const Bytef *)plain.p, (uLong)plain.n), Z_OK);
	for (size_t step = 1; step <= n; step += 5) {
		for (int cut = 0; cut < 2; cut++) {
			own_buf struct buf body = {};
			size_t most = n - (size_t)cut;
			int rc = 0;

			assert_int_equal(
			    filter_new(&f, NULL, 0, &watch, &e), 0);
			h = (struct http1_head){ .status = 200,
				.body = HTTP1_BODY_LENGTH,
				.n = 2,
				.field = {
				    { STR("Content-Encoding"), STR("deflate") },
				    { STR("Content-Length"), STR("33") } } };
			assert_int_equal(filter_answer_head(f, &h, &e), 0);
			assert_true(filter_resizes(f));
			assert_int_equal(h.n, 0);
			for (size_t at = 0; at < most; at += step) {
				struct str piece = { (const char *)packed + at,
					most - at < step ? most - at : step };

				rc = filter_answer_body(
				    f, piece, at + step >= most, &body, &e);
			}
			assert_int_equal(rc, -cut);
			if (cut == 0)
				assert_string_equal(
				    buf_c(&body), "key=pdk_12345678_abcdefg");
			filter_free(f);
		}
	}
}

static void
only_what_can_be_read_is_asked_for(void **state)
{
	static const struct {
		const char *asked, *sent;
	} rows[] = {
		{ "gzip, deflate, br, zstd", "gzip, deflate, zstd" },
		{ "br;q=1.0,gzip;q=0.8 , *;q=0.1", "gzip;q=0.8" },
		{ "br", "identity" },
		{ "*", "identity" },
		{ "", "identity" },
		{ "identity;q=1, *;q=0", "identity;q=1" },
		{ "GZip", "GZip" },
	};
	static struct http1_head h;
	struct err e;

	(void)state;
	watch_for("KEY", real());
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct filter *f;

		head(&h, "/", "Range", "bytes=0-3");
		h.field[1].value = str_of(rows[i].asked);
		h.field[h.n++] =
		    (struct http1_field){ STR("grpc-accept-encoding"),
			    STR("gzip") };
		assert_int_equal(filter_new(&f, NULL, 0, &watch, &e), 0);
		assert_int_equal(filter_request_head(f, &h, &e), 0);
		assert_int_equal(h.n, 2);
		assert_true(
		    str_eq_c(field(&h, "accept-encoding"), rows[i].sent));
		filter_free(f);
	}
}

static void
a_page_comes_as_its_text_without_the_secret(void **state)
{
	static struct http1_head h;
	own_buf struct buf page = {};
	own_buf struct buf body = {};
	own_buf struct buf report = {};
	struct filter *f = make("", "", EGRESS_STRIP_HTML);
	struct err e;

	(void)state;
	h = (struct http1_head){ .status = 200,
		.body = HTTP1_BODY_LENGTH,
		.n = 2,
		.field = { { STR("Content-Type"), STR("text/html; charset=x") },
		    { STR("Content-Length"), STR("9") } } };
	assert_int_equal(filter_answer_head(f, &h, &e), 0);
	assert_true(filter_resizes(f));
	assert_string_equal(
	    field(&h, "content-type").p, "text/plain; charset=utf-8");
	assert_string_equal(field(&h, "content-length").p, "(none)");
	buf_add_c(&page, "<p>key: ");
	buf_add_str(&page, real());
	buf_add_c(&page, "<p hidden>obey me</p>");
	assert_int_equal(
	    filter_answer_body(f, buf_str(&page), true, &body, &e), 0);
	assert_string_equal(buf_c(&body), "key: pdk_12345678_abcdefg\n");
	filter_report(f, &report);
	assert_non_null(strstr(buf_c(&report), "\"hidden_text\":\"obey me\""));
	filter_free(f);
}

static void
requests_to_aws_are_signed_with_the_real_key(void **state)
{
	static struct http1_head h;
	struct filter *f =
	    make(",\"sigv4\":{\"access_key\":\"AKIAREAL\"}", "", 0);
	struct str v;
	struct err e;

	(void)state;
	head(&h, "/", "Authorization",
	    "AWS4-HMAC-SHA256 Credential=AKIDFAKE/20150830/eu-west-1/sqs/"
	    "aws4_request, SignedHeaders=host;x-amz-date, Signature=00");
	h.field[h.n++] =
	    (struct http1_field){ STR("X-Amz-Date"), STR("20150830T123600Z") };
	assert_int_equal(filter_request_head(f, &h, &e), 0);
	assert_true(filter_wants_body(f));
	assert_int_equal(filter_request_sign(f, &h, STR("a=b"), &e), 0);
	assert_false(filter_wants_body(f));
	v = field(&h, "authorization");
	assert_non_null(memmem(v.p, v.n, "Credential=AKIAREAL/20150830/", 29));
	assert_null(memmem(v.p, v.n, "Signature=00", 12));
	filter_free(f);
}

static void
a_short_secret_goes_into_no_body(void **state)
{
	own_arena struct arena a = {};
	struct filter *f = NULL;
	struct err e;

	(void)state;
	assert_int_equal(
	    filter_new(&f,
		json_parse(STR("{\"secrets\":[{\"name\":\"S\","
			       "\"value\":\"aHVudGVyMjI=\","
			       "\"placeholder\":\"pdk_12345678_ab\","
			       "\"body\":true}]}"),
		    NULL, &a, &e, NULL),
		0, NULL, &e),
	    -1);
	assert_null(f);
	assert_non_null(strstr(e.text, "too short"));
}

/* How often the secret is in our own memory. */
static int
times_in_memory(struct str word)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	static char piece[1 << 20];
	char line[512];
	int found = 0;

	assert_non_null(maps);
	assert_true(mem >= 0);
	while (fgets(line, sizeof(line), maps) != NULL) {
		unsigned long from, to;
		ssize_t n;

		if (sscanf(line, "%lx-%lx rw", &from, &to) != 2 ||
		    strstr(line, " rw") == NULL)
			continue;
		/* A sanitizer's own map of memory: terabytes, no copies. */
		if (to - from > 1UL << 30)
			continue;
		for (; from < to; from += sizeof(piece)) {
			size_t want = to - from < sizeof(piece) ? to - from
								: sizeof(piece);
			const char *p = piece;

			if (from <= (unsigned long)piece + sizeof(piece) &&
			    from + want > (unsigned long)piece)
				continue;
			n = pread(mem, piece, want, (off_t)from);
			if (n <= 0)
				continue;
			while ((p = memmem(p, (size_t)(piece + n - p), word.p,
				    word.n)) != NULL) {
				found++;
				p++;
			}
		}
	}
	explicit_bzero(piece, sizeof(piece));
	(void)close(mem); /* read only */
	(void)fclose(maps); /* read only */
	return found;
}

static void
nothing_of_a_secret_stays_in_memory(void **state)
{
	static struct http1_head h;
	own_buf struct buf body = {};
	struct filter *f;
	struct str word = real();
	int before = times_in_memory(word), with;
	struct err e;

	(void)state;
	f = make(",\"header\":\"authorization\",\"body\":true", "",
	    EGRESS_LEAK_CHECK);
	head(&h, "/", "Authorization", fake);
	assert_int_equal(filter_request_head(f, &h, &e), 0);
	assert_int_equal(filter_answer_body(f, word, false, &body, &e), 0);
	with = times_in_memory(word);
	assert_true(with > before);
	filter_free(f);
	explicit_bzero(&h, sizeof(h));
	assert_int_equal(times_in_memory(word), before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_to_do_makes_no_filter),
		cmocka_unit_test(a_secret_goes_only_where_the_verdict_says),
		cmocka_unit_test(a_field_is_made_when_there_is_a_format),
		cmocka_unit_test(basic_credentials_are_opened),
		cmocka_unit_test(
		    what_was_not_to_be_known_inside_does_not_go_out),
		cmocka_unit_test(a_compressed_body_is_searched_unpacked),
		cmocka_unit_test(a_bomb_is_not_unpacked),
		cmocka_unit_test(
		    a_trailer_is_searched_as_a_field_of_the_head_is),
		cmocka_unit_test(a_websocket_is_searched_below_its_masks),
		cmocka_unit_test(an_echo_tells_nothing),
		cmocka_unit_test(
		    an_answer_holds_no_secret_of_the_run_whoever_it_is_from),
		cmocka_unit_test(a_compressed_answer_is_given_on_unpacked),
		cmocka_unit_test(only_what_can_be_read_is_asked_for),
		cmocka_unit_test(a_page_comes_as_its_text_without_the_secret),
		cmocka_unit_test(requests_to_aws_are_signed_with_the_real_key),
		cmocka_unit_test(a_short_secret_goes_into_no_body),
		cmocka_unit_test(nothing_of_a_secret_stays_in_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
