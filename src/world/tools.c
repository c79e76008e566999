#include "world/tool.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "world/result.h"

enum { SHOWN_BYTES = 80, LIST_MAX = 100, FOUND_MAX = 20 };

#define SHAPE(f)                                     \
	{                                            \
		f, sizeof(f) / sizeof((f)[0]), false \
	}
#define SHAPE_ANY(f)                                \
	{                                           \
		f, sizeof(f) / sizeof((f)[0]), true \
	}

static const struct shape_field invoices_args[] = {
	{ "customer", SHAPE_LINE, true, false, WORLD_MAX_ID, NULL,
	    "Customer id, as customer.find returns it." },
};

static const struct shape_field refund_args[] = {
	{ "amount", SHAPE_MONEY, true, false, 0, NULL,
	    "Amount in the invoice's currency, at most two decimals." },
	{ "invoice", SHAPE_LINE, true, false, WORLD_MAX_ID, NULL,
	    "Invoice id, as billing.invoices returns it." },
	{ "payment", SHAPE_LINE, false, false, WORLD_MAX_ID, NULL,
	    "Payment to refund. Left out: the newest that covers the amount." },
	{ "reason", SHAPE_LINE, false, false, WORLD_MAX_LINE, NULL,
	    "Why, in one line, for the books." },
};

static const struct shape_field find_args[] = {
	{ "customer", SHAPE_LINE, false, false, WORLD_MAX_ID, NULL,
	    "Customer id." },
	{ "email", SHAPE_EMAIL, false, false, WORLD_MAX_LINE, NULL,
	    "Exact email address, upper and lower case alike." },
	{ "name", SHAPE_LINE, false, false, WORLD_MAX_LINE, NULL,
	    "Part of the person's or the company's name." },
};

static const struct shape_field send_args[] = {
	{ "body", SHAPE_TEXT, true, false, WORLD_MAX_TEXT, NULL,
	    "Plain text." },
	{ "subject", SHAPE_LINE, true, false, WORLD_MAX_LINE, NULL,
	    "Subject, one line." },
	{ "ticket", SHAPE_LINE, false, false, WORLD_MAX_ID, NULL,
	    "Ticket that the mail belongs to." },
	{ "to", SHAPE_EMAIL, true, false, WORLD_MAX_LINE, NULL,
	    "One recipient's address." },
};

static const struct shape_field search_args[] = {
	{ "limit", SHAPE_COUNT, false, false, FOUND_MAX, NULL,
	    "Most articles to return; 5 when left out." },
	{ "query", SHAPE_LINE, true, false, WORLD_MAX_LINE, NULL,
	    "Words to look for. Articles with more of them come first." },
};

static const struct shape_field list_args[] = {
	{ "limit", SHAPE_COUNT, false, false, LIST_MAX, NULL,
	    "Most tickets to return; 20 when left out." },
	{ "status", SHAPE_CHOICE, false, false, 0, "open|pending|closed",
	    "Only tickets of this status." },
};

static const struct shape_field read_args[] = {
	{ "ticket", SHAPE_LINE, true, false, WORLD_MAX_ID, NULL,
	    "Ticket id, such as T-1041." },
};

static const struct shape_field draft_args[] = {
	{ "body", SHAPE_TEXT, true, false, WORLD_MAX_TEXT, NULL,
	    "Text of the reply, for a person to check and send." },
	{ "ticket", SHAPE_LINE, true, false, WORLD_MAX_ID, NULL,
	    "Ticket to reply to." },
};

const struct tool tools[] = {
	{ "billing.invoices",
	    "The invoices of one customer with their lines, payments and "
	    "refunds, and every payment taken from that customer.",
	    SHAPE(invoices_args), false, billing_invoices },
	{ "billing.refund",
	    "Gives money back to the customer. It cannot be undone.",
	    SHAPE(refund_args), true, billing_refund },
	{ "customer.find",
	    "Customers that match every argument given. Several may match: "
	    "names and companies are not unique.",
	    SHAPE_ANY(find_args), false, customer_find },
	{ "email.send", "Sends a mail to one address. It cannot be undone.",
	    SHAPE(send_args), true, email_send },
	{ "kb.search", "Searches the articles of the knowledge base.",
	    SHAPE(search_args), false, kb_search },
	{ "ticket.list", "Tickets, newest first, without their texts.",
	    SHAPE(list_args), false, ticket_list },
	{ "ticket.read",
	    "One ticket with its text, comments, drafts and sent mails.",
	    SHAPE(read_args), false, ticket_read },
	{ "ticket.reply_draft",
	    "Stores the draft of a reply on a ticket. Nothing is sent.",
	    SHAPE(draft_args), true, ticket_reply_draft },
};
const size_t tools_n = sizeof(tools) / sizeof(tools[0]);

const struct tool *
tool_find(struct str name)
{
	for (size_t i = 0; i < tools_n; i++)
		if (str_eq_c(name, tools[i].name))
			return &tools[i];
	return NULL;
}

enum tool_end
tool_error(struct tool_call *c, const char *code, const char *next,
    const char *fmt, ...)
{
	char text[ERR_TEXT_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_reset(c->out);
	result_open(c->out, NULL, '{');
	result_text(c->out, "code", str_of(code));
	result_text(c->out, "error", str_of(text));
	result_text(c->out, "suggested_next_step", str_of(next));
	result_close(c->out, '}');
	return TOOL_ERROR;
}

struct str
tool_text(const struct tool_call *c, const char *name)
{
	const struct json *v = json_get(c->args, str_of(name));

	return v != NULL ? json_str(v) : (struct str){};
}

int64_t
tool_count(const struct tool_call *c, const char *name, int64_t otherwise)
{
	uint64_t n;

	if (json_u64(json_get(c->args, str_of(name)), &n) < 0)
		return otherwise;
	return (int64_t)n;
}

struct str
tool_shown(struct str s)
{
	if (s.n > SHOWN_BYTES)
		s.n = SHOWN_BYTES;
	return s;
}
