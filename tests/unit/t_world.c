#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/limits.h"
#include "world/shape.h"
#include "world/stamp.h"
#include "world/tool.h"
#include "world/world.h"

#define SECOND INT64_C(1000000000)

static const char document[] =
    "{'world':1,'now':'2026-03-02T09:00:00Z','customers':["
    "{'id':'C-1','name':'Ada Roe','company':'Acme Ltd',"
    "'email':'ada@acme.example.com','since':'2024-01-05T00:00:00Z',"
    "'phone':'555-0101','plan':'pro','note':null},"
    "{'id':'C-2','name':'Ada Roe','company':'Acrne Ltd',"
    "'email':'ada@old.example.org'},"
    "{'id':'C-3','name':'Bo Li','email':'bo@example.net',"
    "'status':'closed'}],"
    "'invoices':["
    "{'id':'INV-1','customer':'C-1','issued':'2026-02-20T10:00:00Z',"
    "'status':'paid','currency':'USD','total':49.9,'lines':["
    "{'amount':59.9,'description':'Pro'},"
    "{'amount':-10,'description':'Credit'}]},"
    "{'id':'INV-2','customer':'C-1','issued':'2026-01-20T10:00:00Z',"
    "'status':'void','currency':'USD','total':1},"
    "{'id':'INV-3','customer':'C-3','issued':'2026-01-20T10:00:00Z',"
    "'status':'paid','currency':'EUR','total':5},"
    "{'id':'INV-4','customer':'C-1','issued':'2026-02-25T10:00:00Z',"
    "'status':'open','currency':'USD','total':9}],"
    "'payments':["
    "{'id':'PAY-1','customer':'C-1','invoice':'INV-1','amount':49.9,"
    "'currency':'USD','method':'card 1111','status':'settled',"
    "'paid_at':'2026-02-20T10:00:01Z'},"
    "{'id':'PAY-2','customer':'C-2','invoice':'INV-1','amount':49.9,"
    "'currency':'USD','method':'card 1111','status':'settled',"
    "'paid_at':'2026-02-20T10:00:09Z','listed':false},"
    "{'id':'PAY-3','customer':'C-3','invoice':'INV-3','amount':5,"
    "'currency':'EUR','method':'card','status':'settled',"
    "'paid_at':'2026-01-20T10:00:00Z'},"
    "{'id':'PAY-4','customer':'C-1','invoice':'INV-4','amount':9,"
    "'currency':'USD','method':'card','status':'pending',"
    "'paid_at':'2026-02-25T10:00:00Z'}],"
    "'tickets':["
    "{'id':'T-1','from':'ada@acme.example.com','customer':'C-1',"
    "'status':'open','priority':'high','subject':'Charged twice',"
    "'created_at':'2026-03-01T08:00:00Z','body':'Two charges.\\n',"
    "'comments':[{'at':'2026-03-01T09:00:00Z','from':'desk',"
    "'body':'Looking.'}]},"
    "{'id':'T-2','from':'nobody@example.net','customer':null,"
    "'status':'closed','subject':'Old','body':'x',"
    "'created_at':'2026-02-01T08:00:00Z'}],"
    "'kb':["
    "{'id':'KB-1','title':'Refund policy','updated_at':"
    "'2026-01-01T00:00:00Z','body':'A refund over 25 needs approval.'},"
    "{'id':'KB-2','title':'Passwords','status':'archived','updated_at':"
    "'2020-01-01T00:00:00Z','body':'Reset it; refunds are elsewhere.'}],"
    "'emails':[{'to':'ada@acme.example.com','subject':'Hello',"
    "'body':'b','ticket':'T-1','sent_at':'2026-03-01T08:30:00Z'}]}";

struct fixture {
	struct world *world;
	struct arena arena;
	struct buf out;
	int64_t now_ns;
	bool wrote;
};

/* Quotes as ' for readability. */
static char *
quoted(const char *text)
{
	char *s = strdup(text);

	assert_non_null(s);
	for (char *p = s; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	return s;
}

static struct world *
open_text(const char *text, struct err *e)
{
	int fd = memfd_create("world", MFD_CLOEXEC);
	char *s = quoted(text);
	struct world *w;

	assert_true(fd >= 0);
	w = world_new_take(fd, str_of(s), e);
	free(s);
	return w;
}

static void
begin(struct fixture *f)
{
	struct err e = {};

	*f = (struct fixture){ .now_ns = 5 * SECOND };
	f->world = open_text(document, &e);
	if (f->world == NULL)
		fail_msg("%s", e.text);
}

static void
end(struct fixture *f)
{
	world_free(f->world);
	arena_fini(&f->arena);
	buf_fini(&f->out);
}

/* The answer must be canonical as it stands. */
static void
assert_canonical(struct str text)
{
	own_arena struct arena a = {};
	own_buf struct buf again = {};
	struct err e = {};
	const struct json *v = json_parse(text, NULL, &a, &e, NULL);

	if (v == NULL)
		fail_msg("%s: %.*s", e.text, STR_FMT(text));
	json_write(&again, v);
	assert_string_equal(buf_c(&again), text.p);
}

static int
call(struct fixture *f, const char *name, const char *args)
{
	char *s = quoted(args);
	struct err e = {};
	const struct json *v;
	int64_t before = world_changes(f->world);
	int r;

	arena_reset(&f->arena);
	v = json_parse(str_of(s), NULL, &f->arena, &e, NULL);
	if (v == NULL)
		fail_msg("%s: %s", args, e.text);
	r = world_call(
	    f->world, str_of(name), v, f->now_ns, &f->out, &f->wrote);
	(void)buf_c(&f->out);
	assert_canonical(buf_str(&f->out));
	if (!tool_find(str_of(name)) || !tool_find(str_of(name))->writes)
		assert_int_equal(world_changes(f->world), before);
	if (r == 1)
		assert_false(f->wrote);
	free(s);
	return r;
}

static void
assert_answer(struct fixture *f, const char *expected)
{
	char *s = quoted(expected);

	assert_string_equal(buf_c(&f->out), s);
	free(s);
}

static void
assert_holds(struct fixture *f, const char *part)
{
	char *s = quoted(part);

	if (strstr(buf_c(&f->out), s) == NULL)
		fail_msg("%s\nis not in\n%s", s, buf_c(&f->out));
	free(s);
}

static void
each_tool_answers_and_says_whether_it_wrote(void **state)
{
	static const struct {
		const char *name, *args, *answer;
		bool wrote;
	} rows[] = {
		{ "ticket.read", "{'ticket':'T-1'}",
		    "{'body':'Two charges.\\n','comments':[{'at':"
		    "'2026-03-01T09:00:00Z','body':'Looking.','from':'desk'}],"
		    "'created_at':'2026-03-01T08:00:00Z','customer':{'email':"
		    "'ada@acme.example.com','id':'C-1','name':'Ada Roe'},"
		    "'drafts':[],'emails':[{'id':'EMAIL-1','sent_at':"
		    "'2026-03-01T08:30:00Z','subject':'Hello'}],'id':'T-1',"
		    "'priority':'high','status':'open','subject':"
		    "'Charged twice'}",
		    false },
		{ "ticket.read", "{'ticket':'T-2'}",
		    "{'body':'x','comments':[],'created_at':"
		    "'2026-02-01T08:00:00Z','customer':{'email':"
		    "'nobody@example.net','id':null,'name':null},'drafts':[],"
		    "'emails':[],'id':'T-2','priority':'normal','status':"
		    "'closed','subject':'Old'}",
		    false },
		{ "ticket.list", "{'limit':1}",
		    "{'tickets':[{'created_at':'2026-03-01T08:00:00Z','id':"
		    "'T-1','priority':'high','status':'open','subject':"
		    "'Charged twice'}],'total':2}",
		    false },
		{ "ticket.list", "{'status':'pending'}",
		    "{'tickets':[],'total':0}", false },
		{ "kb.search", "{'query':'refund','limit':1}",
		    "{'articles':[{'body':'A refund over 25 needs approval.',"
		    "'id':'KB-1','score':0,'status':'published','title':"
		    "'Refund policy','updated_at':'2026-01-01T00:00:00Z'}]}",
		    false },
		{ "kb.search", "{'query':'zebra \\\" OR * NEAR('}",
		    "{'articles':[]}", false },
		{ "customer.find", "{'email':'ADA@OLD.example.org'}",
		    "{'customers':[{'company':'Acrne Ltd','email':"
		    "'ada@old.example.org','id':'C-2','name':'Ada Roe',"
		    "'note':null,'phone':null,'plan':null,'since':null,"
		    "'status':'active'}],'total':1}",
		    false },
		{ "customer.find", "{'name':'roe','customer':'C-3'}",
		    "{'customers':[],'total':0}", false },
		{ "billing.invoices", "{'customer':'C-2'}",
		    "{'customer':'C-2','invoices':[],'payments':[{'amount':"
		    "49.9,'currency':'USD','id':'PAY-2','invoice':'INV-1',"
		    "'method':'card 1111','paid_at':'2026-02-20T10:00:09Z',"
		    "'status':'settled'}]}",
		    false },
		{ "billing.refund",
		    "{'invoice':'INV-1','amount':49.9,'payment':'PAY-2'}",
		    "{'amount':49.9,'created_at':'2026-03-02T09:00:00Z',"
		    "'currency':'USD','id':'REF-1','invoice':'INV-1',"
		    "'payment':'PAY-2','status':'succeeded'}",
		    true },
		{ "email.send",
		    "{'to':'ada@acme.example.com','subject':'s','body':'b',"
		    "'ticket':'T-1'}",
		    "{'id':'EMAIL-2','sent_at':'2026-03-02T09:00:00Z',"
		    "'status':'sent','to':'ada@acme.example.com'}",
		    true },
		{ "ticket.reply_draft", "{'ticket':'T-1','body':'Dear Ada'}",
		    "{'created_at':'2026-03-02T09:00:00Z','id':'DRAFT-1',"
		    "'status':'draft','ticket':'T-1'}",
		    true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;

		begin(&f);
		if (call(&f, rows[i].name, rows[i].args) != 0)
			fail_msg("%s: %s", rows[i].args, buf_c(&f.out));
		assert_answer(&f, rows[i].answer);
		assert_int_equal(f.wrote, rows[i].wrote);
		end(&f);
	}
}

static void
each_tool_refuses_with_the_code_that_fits(void **state)
{
	static const struct {
		const char *name, *args, *code, *error;
	} rows[] = {
		{ "ticket.delete", "{}", "unknown_tool",
		    "there is no tool ticket.delete" },
		{ "ticket.read", "[]", "invalid_arguments",
		    "expected an object, not an array" },
		{ "ticket.read", "{}", "invalid_arguments",
		    "ticket: is missing" },
		{ "ticket.read", "{'ticket':null}", "invalid_arguments",
		    "ticket: expected a string, not null" },
		{ "ticket.read", "{'ticket':''}", "invalid_arguments",
		    "ticket: must not be empty" },
		{ "ticket.read", "{'ticket':'a\\nb'}", "invalid_arguments",
		    "ticket: must be one line without control characters" },
		{ "ticket.read", "{'ticket':'T-1','x':1}", "invalid_arguments",
		    "x: unknown member; known are ticket" },
		{ "ticket.read", "{'ticket':'T-9'}", "not_found",
		    "there is no ticket T-9" },
		{ "ticket.list", "{'limit':0}", "invalid_arguments",
		    "limit: expected a whole number from 1 to 100" },
		{ "ticket.list", "{'limit':1.5}", "invalid_arguments",
		    "limit: expected a whole number from 1 to 100" },
		{ "ticket.list", "{'status':'OPEN'}", "invalid_arguments",
		    "status: expected one of open|pending|closed" },
		{ "ticket.reply_draft", "{'ticket':'T-9','body':'b'}",
		    "not_found", "there is no ticket T-9" },
		{ "ticket.reply_draft", "{'ticket':'T-2','body':'b'}",
		    "conflict", "ticket T-2 is closed" },
		{ "kb.search", "{'query':'?!'}", "invalid_arguments",
		    "query: holds no word to search for" },
		{ "customer.find", "{}", "invalid_arguments",
		    "at least one of customer, email, name is needed" },
		{ "customer.find", "{'email':'x'}", "invalid_arguments",
		    "email: expected an email address like name@example.com" },
		{ "billing.invoices", "{'customer':'C-9'}", "not_found",
		    "there is no customer C-9" },
		{ "billing.refund", "{'invoice':'INV-9','amount':1}",
		    "not_found", "there is no invoice INV-9" },
		{ "billing.refund", "{'invoice':'INV-1','amount':0}",
		    "invalid_arguments", "amount: must be over 0" },
		{ "billing.refund", "{'invoice':'INV-1','amount':'1'}",
		    "invalid_arguments",
		    "amount: expected a number, not a string" },
		{ "billing.refund", "{'invoice':'INV-1','amount':1.001}",
		    "invalid_arguments",
		    "amount: has more than two decimal places" },
		{ "billing.refund", "{'invoice':'INV-1','amount':1e300}",
		    "invalid_arguments", "amount: must be at most 1000000" },
		{ "billing.refund", "{'invoice':'INV-2','amount':1}",
		    "conflict", "invoice INV-2 is void" },
		{ "billing.refund", "{'invoice':'INV-3','amount':5}",
		    "conflict", "the customer of invoice INV-3 is not active" },
		{ "billing.refund", "{'invoice':'INV-4','amount':9}",
		    "conflict", "invoice INV-4 has no settled payment" },
		{ "billing.refund",
		    "{'invoice':'INV-4','amount':9,'payment':'PAY-4'}",
		    "conflict", "payment PAY-4 is not settled" },
		{ "billing.refund",
		    "{'invoice':'INV-4','amount':9,'payment':'PAY-1'}",
		    "conflict", "payment PAY-1 is not for invoice INV-4" },
		{ "billing.refund",
		    "{'invoice':'INV-1','amount':9,'payment':'PAY-9'}",
		    "not_found", "there is no payment PAY-9" },
		{ "billing.refund", "{'invoice':'INV-1','amount':49.91}",
		    "amount_exceeds_payment",
		    "49.91 is more than the 49.90 left of payment PAY-2" },
		{ "email.send", "{'to':'a@b','subject':'s','body':'b'}",
		    "invalid_arguments",
		    "to: expected an email address like name@example.com" },
		{ "email.send",
		    "{'to':'a@example.com','subject':'s\\r\\nBcc: x',"
		    "'body':'b'}",
		    "invalid_arguments",
		    "subject: must be one line without control characters" },
		{ "email.send",
		    "{'to':'a@example.com','subject':'s','body':'b',"
		    "'ticket':'T-9'}",
		    "not_found", "there is no ticket T-9" },
	};
	struct fixture f;

	(void)state;
	begin(&f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t before = world_changes(f.world);
		char expected[256];

		if (call(&f, rows[i].name, rows[i].args) != 1)
			fail_msg("%s is accepted", rows[i].args);
		(void)snprintf(expected, sizeof(expected),
		    "{'code':'%s','error':'%s','suggested_next_step':'",
		    rows[i].code, rows[i].error);
		assert_holds(&f, expected);
		assert_int_equal(world_changes(f.world), before);
	}
	end(&f);
}

static void
money_is_given_back_once_and_never_more_than_was_paid(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	/* Unnamed: the newest payment that covers it. */
	assert_int_equal(
	    call(&f, "billing.refund", "{'invoice':'INV-1','amount':40}"), 0);
	assert_holds(&f, "'id':'REF-1','invoice':'INV-1','payment':'PAY-2'");
	/* PAY-2 has 9.90 left, so this one comes from PAY-1. */
	assert_int_equal(
	    call(&f, "billing.refund", "{'invoice':'INV-1','amount':49.9}"), 0);
	assert_holds(&f, "'payment':'PAY-1'");
	/* The same again is a repetition. */
	assert_int_equal(call(&f, "billing.refund",
			     "{'invoice':'INV-1','amount':40,"
			     "'payment':'PAY-2'}"),
	    1);
	assert_holds(&f, "'conflict','error':'refund REF-1 of this amount");
	assert_int_equal(
	    call(&f, "billing.refund", "{'invoice':'INV-1','amount':9.91}"), 1);
	assert_holds(&f, "'amount_exceeds_payment'");
	assert_int_equal(call(&f, "billing.refund",
			     "{'invoice':'INV-1','amount':9.9,"
			     "'reason':'rest'}"),
	    0);
	assert_holds(&f, "'id':'REF-3'");
	assert_int_equal(
	    call(&f, "billing.refund", "{'invoice':'INV-1','amount':0.01}"), 1);
	assert_holds(&f, "is more than the 0.00 left");

	/* The invoice shows one payment and every refund. */
	assert_int_equal(call(&f, "billing.invoices", "{'customer':'C-1'}"), 0);
	assert_holds(&f,
	    "'lines':[{'amount':59.9,'description':'Pro'},"
	    "{'amount':-10,'description':'Credit'}],"
	    "'payments':[{'amount':49.9,'id':'PAY-1','method':"
	    "'card 1111','paid_at':'2026-02-20T10:00:01Z',"
	    "'status':'settled'}],'refunds':[{'amount':40,");
	assert_holds(&f, "'payment':'PAY-2','reason':'rest'}]");
	end(&f);
}

static void
what_was_written_can_be_read(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	assert_int_equal(
	    call(&f, "ticket.reply_draft", "{'ticket':'T-1','body':'one'}"), 0);
	f.now_ns += 61 * SECOND;
	assert_int_equal(call(&f, "email.send",
			     "{'to':'x@example.com','subject':'two',"
			     "'body':'b','ticket':'T-1'}"),
	    0);
	assert_int_equal(call(&f, "ticket.read", "{'ticket':'T-1'}"), 0);
	assert_holds(&f,
	    "'drafts':[{'body':'one','created_at':"
	    "'2026-03-02T09:00:00Z','id':'DRAFT-1'}],"
	    "'emails':[{'id':'EMAIL-2','sent_at':"
	    "'2026-03-02T09:01:01Z','subject':'two'},");
	/* A clock that goes back does not take the world with it. */
	f.now_ns = INT64_MIN;
	assert_int_equal(
	    call(&f, "ticket.reply_draft", "{'ticket':'T-1','body':'three'}"),
	    0);
	assert_holds(&f, "'created_at':'2026-03-02T09:01:01Z'");
	end(&f);
}

static void
the_same_calls_give_the_same_bytes(void **state)
{
	static const char *const calls[][2] = {
		{ "kb.search", "{'query':'refund password approval'}" },
		{ "billing.refund", "{'invoice':'INV-1','amount':3.33}" },
		{ "email.send",
		    "{'to':'a@example.com','subject':'s',"
		    "'body':'\xf0\x9f\x98\x80 \xc3\xa9'}" },
		{ "billing.refund",
		    "{'invoice':'INV-1','amount':3.33,"
		    "'payment':'PAY-2'}" },
		{ "ticket.reply_draft", "{'ticket':'T-1','body':'b'}" },
		{ "billing.invoices", "{'customer':'C-1'}" },
		{ "customer.find", "{'name':'a'}" },
		{ "ticket.read", "{'ticket':'T-1'}" },
	};
	own_buf struct buf first = {}, second = {};

	(void)state;
	for (int round = 0; round < 2; round++) {
		struct buf *all = round == 0 ? &first : &second;
		struct fixture f;

		begin(&f);
		f.now_ns += round * 1000 * SECOND; /* only differences count */
		for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
			(void)call(&f, calls[i][0], calls[i][1]);
			f.now_ns += SECOND;
			buf_add_str(all, buf_str(&f.out));
		}
		end(&f);
	}
	assert_string_equal(buf_c(&first), buf_c(&second));
}

static void
a_search_ranks_and_takes_words_only(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	/* Stemmed: "refunds" is found by "refund"; a title counts more. */
	assert_int_equal(call(&f, "kb.search", "{'query':'refunding'}"), 0);
	assert_true(
	    strstr(buf_c(&f.out), "KB-1") < strstr(buf_c(&f.out), "KB-2"));
	/* What would be operators, columns or quotes are words here. */
	assert_int_equal(
	    call(&f, "kb.search",
		"{'query':'title : NOT password* ^ - + {a} (b) \\u0022'}"),
	    0);
	assert_holds(&f, "KB-2");
	end(&f);
}

static void
the_tools_declare_what_they_enforce(void **state)
{
	own_arena struct arena a = {};
	own_buf struct buf out = {};
	struct err e = {};
	struct fixture f;
	const struct json *list;
	struct str before = {};
	size_t i = 0;

	(void)state;
	begin(&f);
	world_tools(f.world, &out);
	(void)buf_c(&out);
	assert_canonical(buf_str(&out));
	list = json_parse(buf_str(&out), NULL, &a, &e, NULL);
	assert_int_equal(list->n, 8);
	for (const struct json *x = json_first(list); x;
	     x = json_next(list, x), i++) {
		const struct json *s = json_get(x, STR("inputSchema"));
		const struct json *p = json_get(s, STR("properties"));

		assert_true(
		    str_cmp(before, json_str(json_get(x, STR("name")))) < 0);
		before = json_str(json_get(x, STR("name")));
		assert_true(json_is(
		    json_get(s, STR("additionalProperties")), JSON_FALSE));
		assert_int_equal(p->n, tools[i].shape.n);
		for (const struct json *k = json_first(p); k;
		     k = json_next(p, k))
			assert_true(json_str(json_get(json_value(k),
						 STR("description")))
					.n > 0);
	}
	end(&f);
}

static void
a_wrong_document_is_refused_with_its_place(void **state)
{
#define HEAD "{'world':1,'now':'2026-03-02T09:00:00Z',"
#define CUSTOMER "{'id':'C-1','name':'A','email':'a@example.com'}"
#define TICKET                                                           \
	"'id':'T','from':'a@example.com','status':'open','subject':'s'," \
	"'created_at':'2026-03-01T08:00:00Z','body':'b'"
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "world document: line 1, column 1" },
		{ "[]", "world document: expected an object, not an array" },
		{ "{'world':1}", "now: is missing" },
		{ "{'world':2,'now':'2026-03-02T09:00:00Z'}",
		    "world: expected a whole number from 1 to 1" },
		{ "{'world':1,'now':'2026-02-29T09:00:00Z'}",
		    "now: expected a time like" },
		{ HEAD "'tenants':[]}", "tenants: unknown member; known are" },
		{ HEAD "'kb':{}}", "kb: expected an array, not an object" },
		{ HEAD "'kb':[1]}", "kb[0]: expected an object, not a number" },
		{ HEAD "'customers':[" CUSTOMER "," CUSTOMER "]}",
		    "customers[1].id: C-1 is there already" },
		{ HEAD "'customers':[{'id':'C','name':'A','email':'nope'}]}",
		    "customers[0].email: expected an email address" },
		{ HEAD "'customers':[{'id':'C','name':'A',"
		       "'email':'a@example.com','vip':true}]}",
		    "customers[0].vip: unknown member; known are company" },
		{ HEAD "'invoices':[{'id':'I','customer':'C-7','status':"
		       "'paid','total':1,'currency':'USD',"
		       "'issued':'2026-03-02T09:00:00Z'}]}",
		    "invoices[0].customer: there is no customer C-7" },
		{ HEAD "'customers':[" CUSTOMER
		       "],'invoices':[{'id':'I','customer':'C-1','status':"
		       "'paid','total':1,'currency':'USD',"
		       "'issued':'2026-03-02T09:00:00Z',"
		       "'lines':[{'amount':0.001,'description':'d'}]}]}",
		    "invoices[0].lines[0].amount: has more than two" },
		{ HEAD "'customers':[" CUSTOMER
		       "],'payments':[{'id':'P','customer':'C-1','invoice':"
		       "'I','amount':1,'currency':'USD','method':'m',"
		       "'status':'settled','paid_at':"
		       "'2026-03-02T09:00:00Z'}]}",
		    "payments[0].invoice: there is no invoice I" },
		{ HEAD "'payments':[{'id':'P','customer':'C-1','amount':1,"
		       "'currency':'CHF','method':'m','status':'settled',"
		       "'paid_at':'2026-03-02T09:00:00Z'}]}",
		    "payments[0].currency: expected one of USD|EUR|GBP" },
		{ HEAD "'tickets':[{" TICKET ",'customer':'C-1'}]}",
		    "tickets[0].customer: there is no customer C-1" },
		{ HEAD "'tickets':[{" TICKET ",'comments':[{}]}]}",
		    "tickets[0].comments[0].at: is missing" },
		{ HEAD "'emails':[{'to':'a@example.com','subject':'s',"
		       "'body':'b','sent_at':'2026-03-02T09:00:00Z',"
		       "'ticket':'T'}]}",
		    "emails[0].ticket: there is no ticket T" },
		{ HEAD "'tools':[1]}", "tools[0]: expected an object" },
		{ HEAD "'tools':[{'results':[]}]}",
		    "tools[0].name: expected a text of 1 to 64 bytes" },
		{ HEAD "'tools':[{'name':'a'}]}",
		    "tools[0].results: expected a list of at most" },
		{ HEAD "'tools':[{'name':'a','results':[],'result':{}}]}",
		    "tools[0]: unknown member result; known are" },
		{ HEAD "'tools':[{'name':'email.send','results':[]}]}",
		    "tools[0].name: there is a tool email.send already" },
		{ HEAD "'tools':[{'name':'a','results':[]},"
		       "{'name':'a','results':[]}]}",
		    "tools[1].name: there is a tool a already" },
		{ HEAD "'tools':[{'name':'a','writes':1,'results':[]}]}",
		    "tools[0].writes: expected true or false" },
		{ HEAD "'tools':[{'name':'a','description':1,'results':[]}]}",
		    "tools[0].description: expected a text" },
		{ HEAD "'tools':[{'name':'a','inputSchema':1,'results':[]}]}",
		    "tools[0].inputSchema: expected an object" },
		{ HEAD "'tools':[{'name':'a','results':[1]}]}",
		    "tools[0].results[0]: expected an object" },
		{ HEAD "'tools':[{'name':'a','results':[{'result':1}]}]}",
		    "tools[0].results[0].result: expected an object" },
		{ HEAD "'tools':[{'name':'a','results':[{'result':{},"
		       "'args':{}}]}]}",
		    "tools[0].results[0]: unknown member args; known are" },
		{ HEAD "'tools':[{'name':'a','results':[{'result':{},"
		       "'arguments':1}]}]}",
		    "tools[0].results[0].arguments: expected an object" },
		{ HEAD "'tools':[{'name':'a','results':[{'result':{},"
		       "'error':'no'}]}]}",
		    "tools[0].results[0].error: expected true or false" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = {};
		struct world *w = open_text(rows[i].text, &e);

		assert_null(w);
		if (strstr(e.text, rows[i].why) == NULL)
			fail_msg("%s\nis not in\n%s", rows[i].why, e.text);
	}
}

static void
a_canned_tool_gives_each_answer_once_to_the_call_it_is_for(void **state)
{
	static const char text[] =
	    "{'world':1,'now':'2026-03-02T09:00:00Z','tools':["
	    "{'name':'look','description':'Looks.','results':["
	    "{'arguments':{'a':1},'result':{'n':1}},"
	    "{'arguments':{'a':2},'result':{'n':2}},"
	    "{'arguments':{'a':1},'result':{'n':3}},"
	    "{'result':{'code':'gone'},'error':true}]},"
	    "{'name':'put','writes':true,'inputSchema':{'type':'object'},"
	    "'results':[{'result':{}},{'result':{'x':1},'error':true}]}]}";
	static const struct {
		const char *name, *args, *answer;
		int r;
		bool wrote;
	} rows[] = {
		{ "look", "{'a':2}", "{'n':2}", 0, false },
		{ "look", "{'a':1}", "{'n':1}", 0, false },
		{ "look", "{'a':1}", "{'n':3}", 0, false },
		{ "look", "{'a':1}", "{'code':'gone'}", 1, false },
		{ "put", "{}", "{}", 0, true },
		{ "put", "{}", "{'x':1}", 1, false },
	};
	struct fixture f = {};
	struct err e = {};

	(void)state;
	f.world = open_text(text, &e);
	assert_non_null(f.world);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(
		    call(&f, rows[i].name, rows[i].args), rows[i].r);
		assert_answer(&f, rows[i].answer);
		assert_int_equal(f.wrote, rows[i].wrote);
	}
	assert_int_equal(call(&f, "put", "{}"), 1);
	assert_holds(&f, "'code':'no_answer_left'");
	buf_reset(&f.out);
	world_tools(f.world, &f.out);
	assert_holds(&f,
	    "{'description':'Looks.','inputSchema':{'type':'object'},"
	    "'name':'look'}");
	end(&f);
}

static void
a_file_that_is_not_empty_is_refused(void **state)
{
	int fd = memfd_create("world", MFD_CLOEXEC);
	struct err e = {};

	(void)state;
	assert_int_equal(write(fd, "x", 1), 1);
	assert_null(world_new_take(
	    fd, STR("{\"world\":1,\"now\":\"2026-03-02T09:00:00Z\"}"), &e));
	assert_string_equal(
	    e.text, "the world's file is not an empty regular file");
}

static void
a_disk_that_is_full_is_an_answer_and_changes_nothing(void **state)
{
	own_buf struct buf args = {};
	struct fixture f;
	char body[WORLD_MAX_TEXT + 1];
	int sent = 0;

	(void)state;
	begin(&f);
	memset(body, 'x', WORLD_MAX_TEXT);
	body[WORLD_MAX_TEXT] = '\0';
	buf_printf(
	    &args, "{'to':'a@example.com','subject':'s','body':'%s'}", body);
	while (call(&f, "email.send", buf_c(&args)) == 0)
		assert_true(++sent < 10000);
	assert_holds(&f, "'code':'storage_full'");
	assert_true(sent > 5000);
	/* Reading goes on, and so does what still fits. */
	assert_int_equal(call(&f, "ticket.list", "{}"), 0);
	end(&f);
}

static void
addresses_are_told_from_other_text(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} rows[] = {
		{ "a@example.com", true },
		{ "first.last+tag@sub-domain.example.org", true },
		{ "a@b", false }, /* no dot: a host, not a domain */
		{ "a@.com", false },
		{ "a@example.", false },
		{ "a@-x.com", false },
		{ "a@x-.com", false },
		{ "a@x.com-", false },
		{ ".a@example.com", false },
		{ "a.@example.com", false },
		{ "a..b@example.com", false },
		{ "a b@example.com", false },
		{ "a@exa mple.com", false },
		{ "a@b@example.com", false },
		{ "\"a\"@example.com", false },
		{ "a@[192.0.2.1]", false },
		{ "a@example.com\n", false },
		{ "a@example.com,b@example.com", false },
		{ "@example.com", false },
		{ "a@", false },
		{ "\xc3\xa9@example.com", false },
	};
	struct fixture f;

	(void)state;
	begin(&f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_arena struct arena a = {};
		own_buf struct buf text = {};
		const struct json *v;
		struct err e = {};
		int r;

		buf_add_c(&text, "{\"email\":");
		json_put_str(&text, str_of(rows[i].text));
		buf_add_c(&text, "}");
		v = json_parse(buf_str(&text), NULL, &a, &e, NULL);
		assert_non_null(v);
		r = world_call(
		    f.world, STR("customer.find"), v, 0, &f.out, &f.wrote);
		if ((r == 0) != rows[i].good)
			fail_msg("%s", rows[i].text);
	}
	end(&f);
}

static void
moments_go_both_ways(void **state)
{
	static const struct {
		const char *text;
		int64_t s; /* -1: not a moment */
	} rows[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2000-02-29T12:34:56Z", 951827696 },
		{ "2026-03-02T09:00:00Z", 1772442000 },
		{ "9999-12-31T23:59:59Z", INT64_C(253402300799) },
		{ "2100-02-29T00:00:00Z", -1 },
		{ "2026-00-01T00:00:00Z", -1 },
		{ "2026-13-01T00:00:00Z", -1 },
		{ "2026-01-00T00:00:00Z", -1 },
		{ "2026-04-31T00:00:00Z", -1 },
		{ "2026-01-01T24:00:00Z", -1 },
		{ "2026-01-01T00:60:00Z", -1 },
		{ "2026-01-01T00:00:60Z", -1 },
		{ "1969-12-31T23:59:59Z", -1 },
		{ "2026-01-01 00:00:00Z", -1 },
		{ "2026-01-01T00:00:00", -1 },
		{ "2026-01-01T00:00:+0Z", -1 },
	};
	char text[STAMP_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t s = -1;
		int r = stamp_parse(str_of(rows[i].text), &s);

		assert_int_equal(r, rows[i].s < 0 ? -1 : 0);
		assert_int_equal(s, rows[i].s);
		if (r < 0)
			continue;
		stamp_text(s, text);
		assert_string_equal(text, rows[i].text);
	}
	stamp_text(INT64_MIN, text);
	assert_string_equal(text, "1970-01-01T00:00:00Z");
	stamp_text(INT64_MAX, text);
	assert_string_equal(text, "9999-12-31T23:59:59Z");
	for (int64_t day = 0; day < 400 * 366; day += 13) {
		int64_t s = -1;

		stamp_text(day * 86400, text);
		assert_int_equal(stamp_parse(str_of(text), &s), 0);
		assert_int_equal(s, day * 86400);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_tool_answers_and_says_whether_it_wrote),
		cmocka_unit_test(each_tool_refuses_with_the_code_that_fits),
		cmocka_unit_test(
		    money_is_given_back_once_and_never_more_than_was_paid),
		cmocka_unit_test(what_was_written_can_be_read),
		cmocka_unit_test(the_same_calls_give_the_same_bytes),
		cmocka_unit_test(a_search_ranks_and_takes_words_only),
		cmocka_unit_test(the_tools_declare_what_they_enforce),
		cmocka_unit_test(a_wrong_document_is_refused_with_its_place),
		cmocka_unit_test(
		    a_canned_tool_gives_each_answer_once_to_the_call_it_is_for),
		cmocka_unit_test(a_file_that_is_not_empty_is_refused),
		cmocka_unit_test(
		    a_disk_that_is_full_is_an_answer_and_changes_nothing),
		cmocka_unit_test(addresses_are_told_from_other_text),
		cmocka_unit_test(moments_go_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
