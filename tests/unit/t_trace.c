/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */

#include <string.h>

#include <cmocka.h>

#include "cli/term.h"
#include "cli/trace_show.h"

/* Whether a terminal would do something with it other than show it. */
static bool
is_raw(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];

		if ((c < 0x20 && c != '\n') || c == 0x7f)
			return true;
		/* U+0080 to U+009F, the C1 controls. */
		if (c == 0xc2 && i + 1 < s.n && (uint8_t)s.p[i + 1] < 0xa0)
			return true;
	}
	return false;
}

static void
stored_text_never_reaches_the_terminal_raw(void **state)
{
	static const struct {
		struct str text;
		const char *shown;
	} rows[] = {
		{ STR("plain \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
		    "plain \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ STR("\x1b[2J\x1b]0;title\x07"),
		    "\\x1b[2J\\x1b]0;title\\x07" },
		{ STR("a\nb\tc\rd"), "a\\nb\\tc\\rd" },
		{ STR("\0\x7f\x08"), "\\x00\\x7f\\x08" },
		{ STR("\xc2\x9b"
		      "31m"), /* CSI in one character */
		    "\\u{9b}31m" },
		{ STR("\xe2\x80\xae"
		      "gpj"),
		    "\\u{202e}gpj" }, /* right to left */
		{ STR("a\xe2\x80\x8b"
		      "b"),
		    "a\\u{200b}b" }, /* no width */
		{ STR("\xf3\xa0\x81\xa1"), "\\u{e0061}" }, /* a tag */
		{ STR("\xff\xc0\x80\xed\xa0\x80"),
		    "\\xff\\xc0\\x80\\xed\\xa0\\x80" },
		{ STR("\xf0\x9f\x98"), "\\xf0\\x9f\\x98" }, /* cut off */
		{ STR("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf b = {};

		term_text(&b, rows[i].text);
		assert_string_equal(buf_c(&b), rows[i].shown);
	}
	/* Every two bytes there are. */
	for (unsigned two = 0; two < 65536; two++) {
		own_buf struct buf b = {};
		const char bytes[] = { (char)(two >> 8), (char)two };

		term_text(&b, (struct str){ bytes, 2 });
		assert_false(is_raw(buf_str(&b)));
		assert_null(memchr(b.p, '\n', b.n));
	}
}

static void
columns_are_as_wide_as_what_is_seen(void **state)
{
	const struct term plain = {}, colour = { .colour = true };
	struct term_table tab = {};
	own_buf struct buf a = {}, b = {};
	struct err e;

	(void)state;
	term_row(&tab,
	    (const struct term_cell[]){ { STR("A"), TERM_BOLD, false },
		{ STR("N"), TERM_PLAIN, true },
		{ STR("C"), TERM_PLAIN, false } },
	    3);
	term_row(&tab,
	    (const struct term_cell[]){
		{ STR("\xc3\xa9\x1b"), TERM_PLAIN, false },
		{ STR("12"), TERM_RED, true }, { STR(""), TERM_PLAIN, false } },
	    3);
	term_note(&tab, TERM_DIM, STR("  a note\n"));
	assert_int_equal(term_table_write(&plain, &tab, &a, &e), 0);
	assert_string_equal(buf_c(&a),
	    "A       N  C\n"
	    "\xc3\xa9\\x1b  12\n"
	    "  a note\\n\n");
	assert_int_equal(term_table_write(&colour, &tab, &b, &e), 0);
	assert_string_equal(buf_c(&b),
	    "\x1b[1mA\x1b[0m       N  C\n"
	    "\xc3\xa9\\x1b  \x1b[31m12\x1b[0m\n"
	    "\x1b[2m  a note\\n\x1b[0m\n");
	term_table_fini(&tab);
}

/* A record of `kind` with hostile texts wherever one fits. */
static void
add_hostile(struct trace_view *v, uint32_t step, enum event_kind kind)
{
	own_buf struct buf body = {};
	struct err e = {};
	const struct str text = STR("\x1b[2J\xe2\x80\xae\n");
	struct event ev = { .run = 1,
		.step = step,
		.kind = kind,
		.ms = -1,
		.tool = text,
		.args.bytes = text,
		.out.bytes = text,
		.verdict = text,
		.rule = text,
		.code = text,
		.reason = text,
		.status = text,
		.body = STR("{\"approval\":\"\\u001b[2J\",\"by\":\"\\u001b\","
			    "\"draft_id\":\"\\u001b\",\"host\":\"\\u001b\","
			    "\"note\":\"\\u001b\",\"opened_by\":\"\\u001b\","
			    "\"reason\":\"\\u001b\",\"status\":\"\\u001b\","
			    "\"stop_reason\":\"\\u001b\","
			    "\"verdict\":\"\\u001b\",\"why\":\"\\u001b\"}") };
	struct store_row row = { .step = step, .kind = kind, .tool = text };

	event_write(&body, &ev);
	row.body = buf_str(&body);
	if (trace_view_add(v, &row, &e) < 0)
		fail_msg("%s", e.text);
}

static void
a_run_of_hostile_records_is_shown_as_text(void **state)
{
	const struct term plain = {};
	struct trace_view v = {};
	struct store_run run = { .actor = STR("\x1b"),
		.role = STR("\x1b"),
		.tenant = STR("\x1b"),
		.workflow = STR("\x1b"),
		.status = STR("\x1b"),
		.stop_reason = STR("\x1b"),
		.command = STR("\x1b") };
	own_buf struct buf out = {};
	struct err e;

	(void)state;
	for (int k = EVENT_RUN_OPENED; k < EVENT_KINDS; k++)
		add_hostile(&v, 1, (enum event_kind)k);
	trace_run_write(&plain, &run, &out);
	assert_int_equal(trace_view_write(&plain, &v, &out, &e), 0);
	assert_false(is_raw(buf_str(&out)));
	assert_non_null(strstr(buf_c(&out), "\\x1b[2J\\u{202e}\\n"));
	trace_view_fini(&v);
}

static void
the_records_of_a_call_are_one_row(void **state)
{
	static const struct {
		uint32_t step;
		const char *body;
		enum event_kind kind;
	} rows[] = {
		{ 1, "{\"tool\":{\"args\":{\"preview\":\"{}\"}}}",
		    EVENT_TOOL_PROPOSED },
		{ 1,
		    "{\"dec\":{\"reason\":\"A person decides.\","
		    "\"rule\":\"by_risk\",\"verdict\":\"approve\"}}",
		    EVENT_POLICY_DECISION },
		{ 2, "{}", EVENT_TOOL_PROPOSED }, /* meanwhile */
		{ 1, "{\"body\":{\"approval\":\"a-1\"}}",
		    EVENT_APPROVAL_REQUESTED },
		{ 1,
		    "{\"body\":{\"by\":\"operator\",\"edited\":true,"
		    "\"reason\":\"less\",\"verdict\":\"approved\"}}",
		    EVENT_APPROVAL_DECIDED },
		{ 1, "{}", EVENT_TOOL_STARTED },
		{ 1, "{\"res\":{\"status\":\"ok\"},\"use\":{\"ms\":12}}",
		    EVENT_TOOL_FINISHED },
		{ 3, "{\"body\":{\"status\":\"closed\",\"tool_calls\":2}}",
		    EVENT_RUN_CLOSED },
	};
	const struct term plain = {};
	struct trace_view v = { .opened_ns = 1000000000 };
	own_buf struct buf out = {};
	struct err e = {};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct store_row row = { .step = rows[i].step,
			.kind = rows[i].kind,
			.t_ns = 1000000000 + (int64_t)i * 1500000,
			.tool = rows[i].step < 3 ? STR("t.x") : STR(""),
			.body = str_of(rows[i].body) };

		assert_int_equal(trace_view_add(&v, &row, &e), 0);
	}
	assert_int_equal(trace_view_write(&plain, &v, &out, &e), 0);
	assert_string_equal(buf_c(&out),
	    "STEP    TIME  WHAT        VERDICT  RULE     STATUS  MS\n"
	    "   1  0.000s  t.x         approve  by_risk  ok      12\n"
	    "             {}\n"
	    "             A person decides.\n"
	    "             asks for approval a-1\n"
	    "             approved, edited, by operator: less\n"
	    "   2  0.003s  t.x\n"
	    "   3  0.010s  run.closed                    closed\n"
	    "             2 tool calls\n");
	trace_view_fini(&v);
}

static void
a_record_that_is_none_is_refused_with_its_number(void **state)
{
	struct trace_view v = {};
	struct store_row row = {
		.seq = 77, .kind = EVENT_NOTE, .body = STR("{")
	};
	struct err e = {};

	(void)state;
	assert_int_equal(trace_view_add(&v, &row, &e), -1);
	assert_non_null(strstr(e.text, "record 77"));
	trace_view_fini(&v);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(stored_text_never_reaches_the_terminal_raw),
		cmocka_unit_test(columns_are_as_wide_as_what_is_seen),
		cmocka_unit_test(a_run_of_hostile_records_is_shown_as_text),
		cmocka_unit_test(the_records_of_a_call_are_one_row),
		cmocka_unit_test(
		    a_record_that_is_none_is_refused_with_its_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
