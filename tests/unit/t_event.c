#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/json.h"
#include "core/event.h"

/* Checks that b is one canonical JSON document; the tree is in memory. */
static const struct json *
canonical(const struct buf *b, struct arena *memory)
{
	own_buf struct buf again = {};
	const struct json *v;
	struct err e = {};

	assert_false(b->failed);
	v = json_parse(buf_str(b), NULL, memory, &e, NULL);
	if (v == NULL)
		fail_msg("%s in %.*s", e.text, STR_FMT(buf_str(b)));
	json_write(&again, v);
	assert_true(str_eq(buf_str(b), buf_str(&again)));
	return v;
}

static struct event
full(void)
{
	static const char args[] = "{\"invoice\":\"in_7\"}";
	static const char out[] = "{\"ok\":true}";

	return (struct event){ .seq = 12,
		.run = 7,
		.step = 3,
		.t_ns = 1763689836123456789,
		.mono_ns = 5000001999,
		.kind = EVENT_TOOL_FINISHED,
		.tenant = STR("acme"),
		.actor = STR("agent:support"),
		.role = STR("support"),
		.workflow = STR("refund"),
		.stage = 3,
		.policy = STR("3f9a"),
		.tool = STR("billing.refund"),
		.tier = STR("external_write"),
		.args = { .bytes = { args, sizeof(args) - 1 },
		    .hash = hash_of(args, sizeof(args) - 1) },
		.verdict = STR("approve"),
		.action = STR("executed"),
		.rule = STR("tools.billing.refund"),
		.code = STR("over_limit"),
		.reason = STR("The amount is over the limit."),
		.status = STR("ok"),
		.out = { .bytes = { out, sizeof(out) - 1 },
		    .hash = hash_of(out, sizeof(out) - 1),
		    .redacted = true },
		.effect = STR("overlay"),
		.origin = STR("fake"),
		.ms = 0,
		.body = STR("{\"approval\":\"a-1\"}") };
}

static void
a_record_with_everything_has_the_bytes_of_the_schema(void **state)
{
	static const char expected[] =
	    "{\"body\":{\"approval\":\"a-1\"},"
	    "\"dec\":{\"action\":\"executed\",\"code\":\"over_limit\","
	    "\"reason\":\"The amount is over the limit.\","
	    "\"rule\":\"tools.billing.refund\",\"verdict\":\"approve\"},"
	    "\"kind\":\"tool.finished\",\"mono\":5000001,"
	    "\"res\":{\"effect\":\"overlay\",\"origin\":\"fake\","
	    "\"out\":{\"h\":"
	    "\"4062edaf750fb8074e7e83e0c9028c94e32468a8b6f1614774"
	    "328ef045150f93\",\"kept\":\"redacted\",\"n\":11,"
	    "\"preview\":\"{\\\"ok\\\":true}\"},\"status\":\"ok\"},"
	    "\"run\":\"r-000000000007\",\"seq\":12,\"step\":3,"
	    "\"t\":1763689836123456,"
	    "\"tool\":{\"args\":{\"h\":\"%s\",\"kept\":\"raw\",\"n\":18,"
	    "\"preview\":\"{\\\"invoice\\\":\\\"in_7\\\"}\"},"
	    "\"name\":\"billing.refund\",\"tier\":\"external_write\"},"
	    "\"use\":{\"ms\":0},\"v\":1,\"ver\":{\"policy\":\"3f9a\"},"
	    "\"who\":{\"actor\":\"agent:support\",\"role\":\"support\","
	    "\"stage\":\"approve\",\"tenant\":\"acme\","
	    "\"workflow\":\"refund\"}}";
	own_buf struct buf b = {}, want = {};
	own_arena struct arena memory = {};
	struct event ev = full();
	char hex[HASH_HEX_BYTES];
	const char *gap = strstr(expected, "%s");

	(void)state;
	hash_hex(&ev.args.hash, hex);
	buf_add(&want, expected, (size_t)(gap - expected));
	buf_add_c(&want, hex);
	buf_add_c(&want, gap + 2);
	event_write(&b, &ev);
	assert_string_equal(buf_c(&b), buf_c(&want));
	canonical(&b, &memory);
}

static void
a_record_with_nothing_is_short_and_whole(void **state)
{
	own_buf struct buf b = {};
	own_arena struct arena memory = {};
	struct event ev = { .kind = EVENT_NOTE, .ms = -1 };

	(void)state;
	event_write(&b, &ev);
	assert_string_equal(buf_c(&b),
	    "{\"body\":{},\"kind\":\"note\",\"mono\":0,"
	    "\"run\":\"r-000000000000\",\"seq\":0,\"step\":0,\"t\":0,"
	    "\"v\":1,\"who\":{}}");
	canonical(&b, &memory);
}

/* Every subset of the fields that can be left out. */
static void
whatever_is_left_out_the_record_is_canonical(void **state)
{
	(void)state;
	for (uint32_t mask = 0; mask < 1U << 14; mask++) {
		own_buf struct buf b = {};
		own_arena struct arena memory = {};
		struct event ev = full();
		struct str *texts[] = { &ev.tenant, &ev.role, &ev.workflow,
			&ev.policy, &ev.tool, &ev.args.bytes, &ev.verdict,
			&ev.rule, &ev.reason, &ev.status, &ev.out.bytes,
			&ev.origin };

		for (uint32_t i = 0; i < 12; i++)
			if (mask >> i & 1)
				*texts[i] = STR("");
		if (mask >> 12 & 1)
			ev.stage = 0;
		if (mask >> 13 & 1)
			ev.ms = -1;
		event_write(&b, &ev);
		canonical(&b, &memory);
	}
}

static void
hostile_texts_stay_text(void **state)
{
	static const struct {
		const char *why;
		struct str text;
	} rows[] = {
		{ "a quote ends nothing", STR("\",\"seq\":99,\"x\":\"") },
		{ "a backslash", STR("\\") },
		{ "control characters", STR("\x01\x1b[2J\n\t\x7f") },
		{ "a NUL", STR("a\0b") },
		{ "two to four bytes",
		    STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80") },
		{ "a lone surrogate", STR("\xed\xa0\x80") },
		{ "not UTF-8", STR("\xff\xfe\xc0\x80") },
		{ "cut off", STR("abc\xf0\x9f\x98") },
		{ "line separators", STR("\xe2\x80\xa8\xe2\x80\xa9") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf b = {};
		own_arena struct arena memory = {};
		struct event ev = full();
		const struct json *v;
		uint64_t seq = 0;

		ev.tenant = ev.tool = ev.reason = ev.status = rows[i].text;
		ev.args.bytes = ev.out.bytes = rows[i].text;
		event_write(&b, &ev);
		v = canonical(&b, &memory);
		assert_int_equal(json_u64(json_get(v, STR("seq")), &seq), 0);
		if (seq != 12)
			fail_msg("%s", rows[i].why);
	}
}

static void
a_preview_is_cut_where_a_character_ends(void **state)
{
	/* Characters of one to four bytes, at each distance to the limit. */
	static const char *const characters[] = { "x", "\xc3\xa9",
		"\xe2\x82\xac", "\xf0\x9f\x98\x80" };

	(void)state;
	for (size_t c = 0; c < 4; c++) {
		size_t n = strlen(characters[c]);

		for (size_t pad = 0; pad < n; pad++) {
			own_buf struct buf b = {}, text = {};
			own_arena struct arena memory = {};
			struct event ev = { .kind = EVENT_NOTE, .ms = -1 };
			struct str got;

			for (size_t i = 0; i < pad; i++)
				buf_add_byte(&text, '.');
			while (text.n < 2 * EVENT_PREVIEW_BYTES)
				buf_add_c(&text, characters[c]);
			ev.args.bytes = buf_str(&text);
			event_write(&b, &ev);
			got = json_str(json_at(canonical(&b, &memory), "tool",
			    "args", "preview", NULL));
			assert_int_equal(got.n,
			    EVENT_PREVIEW_BYTES -
				(EVENT_PREVIEW_BYTES - pad) % n);
			assert_memory_equal(got.p, text.p, got.n);
		}
	}
}

static void
times_are_microseconds_so_that_every_reader_gets_them_right(void **state)
{
	own_buf struct buf b = {};
	own_arena struct arena memory = {};
	struct event ev = { .kind = EVENT_NOTE, .ms = -1 };
	const struct json *v;
	uint64_t t = 0;

	(void)state;
	ev.t_ns = 9000000000000000000; /* the year 2255 */
	ev.mono_ns = -1999;
	event_write(&b, &ev);
	v = canonical(&b, &memory);
	assert_int_equal(json_u64(json_get(v, STR("t")), &t), 0);
	assert_int_equal(t, 9000000000000000);
	assert_non_null(strstr(buf_c(&b), "\"mono\":-1,"));
}

static void
a_record_over_the_limit_of_its_buffer_fails_whole(void **state)
{
	struct event ev = full();

	(void)state;
	for (size_t max = 1; max < 600; max += 7) {
		own_buf struct buf b = { .max = max };

		event_write(&b, &ev);
		assert_true(b.failed);
	}
}

static void
every_kind_has_a_name_that_is_its_own(void **state)
{
	enum event_kind back;

	(void)state;
	for (int k = EVENT_RUN_OPENED; k < EVENT_KINDS; k++) {
		const char *name = event_kind_name((enum event_kind)k);

		assert_int_equal(event_kind_parse(str_of(name), &back), 0);
		assert_int_equal(back, k);
	}
	assert_int_equal(event_kind_parse(STR("tool"), &back), -1);
	assert_int_equal(event_kind_parse(STR(""), &back), -1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_record_with_everything_has_the_bytes_of_the_schema),
		cmocka_unit_test(a_record_with_nothing_is_short_and_whole),
		cmocka_unit_test(whatever_is_left_out_the_record_is_canonical),
		cmocka_unit_test(hostile_texts_stay_text),
		cmocka_unit_test(a_preview_is_cut_where_a_character_ends),
		cmocka_unit_test(
		    times_are_microseconds_so_that_every_reader_gets_them_right),
		cmocka_unit_test(
		    a_record_over_the_limit_of_its_buffer_fails_whole),
		cmocka_unit_test(every_kind_has_a_name_that_is_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
