/* Billing: invoices, the payments taken for them, refunds. */
#include "world/result.h"
#include "world/tool.h"

static bool put_invoice(struct tool_call *c, int64_t total);
static bool put_lines(struct tool_call *c, struct str invoice);
static bool put_payments(struct tool_call *c, struct str invoice);
static bool put_refunds(struct tool_call *c, struct str invoice);
static bool put_statement(struct tool_call *c, struct str customer);
static enum tool_end choose_payment(
    struct tool_call *c, struct str *payment, int64_t *left);
static enum tool_end add_refund(struct tool_call *c, struct str payment);

enum tool_end
billing_invoices(struct tool_call *c)
{
	struct str customer = tool_text(c, "customer");
	struct wdb *db = c->db;
	enum wdb_step step;

	wdb_query(db, Q_CUSTOMER);
	wdb_bind_text(db, Q_CUSTOMER, 1, customer);
	switch (wdb_step(db, Q_CUSTOMER)) {
	case WDB_FAILED:
		return TOOL_FAILED;
	case WDB_DONE:
		return tool_error(c, "not_found",
		    "Use customer.find to look for the customer's id.",
		    "there is no customer %.*s", STR_FMT(tool_shown(customer)));
	case WDB_ROW:
		break;
	}
	result_open(c->out, NULL, '{');
	result_text(c->out, "customer", customer);
	result_open(c->out, "invoices", '[');
	wdb_query(db, Q_INVOICES);
	wdb_bind_text(db, Q_INVOICES, 1, customer);
	while ((step = wdb_step(db, Q_INVOICES)) == WDB_ROW)
		if (!put_invoice(c, wdb_int(db, Q_INVOICES, 4)))
			return TOOL_FAILED;
	if (step == WDB_FAILED)
		return TOOL_FAILED;
	result_close(c->out, ']');
	if (!put_statement(c, customer))
		return TOOL_FAILED;
	result_close(c->out, '}');
	return TOOL_OK;
}

enum tool_end
billing_refund(struct tool_call *c)
{
	struct str invoice = tool_text(c, "invoice"), payment = {};
	int64_t cents = shape_cents(json_get(c->args, STR("amount")));
	int64_t left = 0;
	struct wdb *db = c->db;
	enum tool_end end;

	wdb_query(db, Q_INVOICE);
	wdb_bind_text(db, Q_INVOICE, 1, invoice);
	switch (wdb_step(db, Q_INVOICE)) {
	case WDB_FAILED:
		return TOOL_FAILED;
	case WDB_DONE:
		return tool_error(c, "not_found",
		    "Use billing.invoices to see the customer's invoices.",
		    "there is no invoice %.*s", STR_FMT(tool_shown(invoice)));
	case WDB_ROW:
		break;
	}
	if (str_eq_c(wdb_text(db, Q_INVOICE, 0), "void"))
		return tool_error(c, "conflict",
		    "A void invoice takes no refund; ask a person.",
		    "invoice %.*s is void", STR_FMT(tool_shown(invoice)));
	if (!str_eq_c(wdb_text(db, Q_INVOICE, 1), "active"))
		return tool_error(c, "conflict",
		    "Money of a closed account is moved by a person.",
		    "the customer of invoice %.*s is not active",
		    STR_FMT(tool_shown(invoice)));
	end = choose_payment(c, &payment, &left);
	if (end != TOOL_OK)
		return end;

	/* The same amount of the same payment again is a repeated call. */
	wdb_query(db, Q_REFUND_SAME);
	wdb_bind_text(db, Q_REFUND_SAME, 1, payment);
	wdb_bind_int(db, Q_REFUND_SAME, 2, cents);
	switch (wdb_step(db, Q_REFUND_SAME)) {
	case WDB_FAILED:
		return TOOL_FAILED;
	case WDB_ROW:
		return tool_error(c, "conflict",
		    "It is done already: do not repeat it.",
		    "refund REF-%lld of this amount and payment exists",
		    (long long)wdb_int(db, Q_REFUND_SAME, 0));
	case WDB_DONE:
		break;
	}
	if (cents > left)
		return tool_error(c, "amount_exceeds_payment",
		    "Refund at most what was paid and not yet refunded.",
		    "%lld.%02lld is more than the %lld.%02lld left of payment "
		    "%.*s",
		    (long long)(cents / 100), (long long)(cents % 100),
		    (long long)(left / 100), (long long)(left % 100),
		    STR_FMT(tool_shown(payment)));
	return add_refund(c, payment);
}

/* The payment that was named, or the newest that covers the amount. */
static enum tool_end
choose_payment(struct tool_call *c, struct str *payment, int64_t *left)
{
	struct str invoice = tool_text(c, "invoice");
	struct wdb *db = c->db;
	enum wdb_step step;

	*payment = tool_text(c, "payment");
	if (payment->p == NULL) {
		wdb_query(db, Q_PAYMENT_PICK);
		wdb_bind_text(db, Q_PAYMENT_PICK, 1, invoice);
		wdb_bind_int(db, Q_PAYMENT_PICK, 2,
		    shape_cents(json_get(c->args, STR("amount"))));
		step = wdb_step(db, Q_PAYMENT_PICK);
		if (step == WDB_FAILED)
			return TOOL_FAILED;
		if (step == WDB_DONE)
			return tool_error(c, "conflict",
			    "There is nothing to refund: nothing was paid.",
			    "invoice %.*s has no settled payment",
			    STR_FMT(tool_shown(invoice)));
		*payment = wdb_text(db, Q_PAYMENT_PICK, 0);
		*left = wdb_int(db, Q_PAYMENT_PICK, 1);
		return TOOL_OK;
	}
	wdb_query(db, Q_PAYMENT);
	wdb_bind_text(db, Q_PAYMENT, 1, *payment);
	step = wdb_step(db, Q_PAYMENT);
	if (step == WDB_FAILED)
		return TOOL_FAILED;
	if (step == WDB_DONE)
		return tool_error(c, "not_found",
		    "Use billing.invoices to see the customer's payments.",
		    "there is no payment %.*s", STR_FMT(tool_shown(*payment)));
	if (!str_eq(wdb_text(db, Q_PAYMENT, 0), invoice))
		return tool_error(c, "conflict",
		    "Name the invoice that the payment was made for.",
		    "payment %.*s is not for invoice %.*s",
		    STR_FMT(tool_shown(*payment)),
		    STR_FMT(tool_shown(invoice)));
	if (!str_eq_c(wdb_text(db, Q_PAYMENT, 1), "settled"))
		return tool_error(c, "conflict",
		    "Only settled payments can be refunded.",
		    "payment %.*s is not settled",
		    STR_FMT(tool_shown(*payment)));
	*left = wdb_int(db, Q_PAYMENT, 2);
	return TOOL_OK;
}

static enum tool_end
add_refund(struct tool_call *c, struct str payment)
{
	int64_t cents = shape_cents(json_get(c->args, STR("amount")));
	struct wdb *db = c->db;
	struct str currency = wdb_text(db, Q_INVOICE, 3);

	wdb_query(db, Q_REFUND_ADD);
	wdb_bind_text(db, Q_REFUND_ADD, 1, tool_text(c, "invoice"));
	wdb_bind_text(db, Q_REFUND_ADD, 2, payment);
	wdb_bind_int(db, Q_REFUND_ADD, 3, cents);
	wdb_bind_text(db, Q_REFUND_ADD, 4, currency);
	wdb_bind_text(db, Q_REFUND_ADD, 5, tool_text(c, "reason"));
	wdb_bind_text(db, Q_REFUND_ADD, 6, c->now);
	if (wdb_step(db, Q_REFUND_ADD) != WDB_DONE)
		return TOOL_FAILED;
	result_open(c->out, NULL, '{');
	result_cents(c->out, "amount", cents);
	result_text(c->out, "created_at", c->now);
	result_text(c->out, "currency", currency);
	result_id(c->out, "id", "REF-", sqlite3_last_insert_rowid(db->handle));
	result_text(c->out, "invoice", tool_text(c, "invoice"));
	result_text(c->out, "payment", payment);
	result_text(c->out, "status", STR("succeeded"));
	result_close(c->out, '}');
	return TOOL_OK;
}

/* The row that Q_INVOICES stands on. */
static bool
put_invoice(struct tool_call *c, int64_t total)
{
	struct wdb *db = c->db;
	struct str id = wdb_text(db, Q_INVOICES, 1);

	result_open(c->out, NULL, '{');
	result_text(c->out, "currency", wdb_text(db, Q_INVOICES, 0));
	result_text(c->out, "id", id);
	result_text(c->out, "issued", wdb_text(db, Q_INVOICES, 2));
	if (!put_lines(c, id) || !put_payments(c, id) || !put_refunds(c, id))
		return false;
	result_text(c->out, "status", wdb_text(db, Q_INVOICES, 3));
	result_cents(c->out, "total", total);
	result_close(c->out, '}');
	return true;
}

static bool
put_lines(struct tool_call *c, struct str invoice)
{
	struct wdb *db = c->db;
	enum wdb_step step;

	wdb_query(db, Q_LINES);
	wdb_bind_text(db, Q_LINES, 1, invoice);
	result_open(c->out, "lines", '[');
	while ((step = wdb_step(db, Q_LINES)) == WDB_ROW) {
		result_open(c->out, NULL, '{');
		result_cents(c->out, "amount", wdb_int(db, Q_LINES, 0));
		result_text(c->out, "description", wdb_text(db, Q_LINES, 1));
		result_close(c->out, '}');
	}
	result_close(c->out, ']');
	return step == WDB_DONE;
}

/* What the invoice shows, which need not be all that was taken. */
static bool
put_payments(struct tool_call *c, struct str invoice)
{
	static const char *const columns[] = { "amount", "id", "method",
		"paid_at", "status" };
	const enum wdb_query q = Q_INVOICE_PAYMENTS;
	enum wdb_step step;

	wdb_query(c->db, q);
	wdb_bind_text(c->db, q, 1, invoice);
	result_open(c->out, "payments", '[');
	while ((step = wdb_step(c->db, q)) == WDB_ROW) {
		result_open(c->out, NULL, '{');
		result_cents(c->out, columns[0], wdb_int(c->db, q, 0));
		for (int i = 1; i < 5; i++)
			result_text(c->out, columns[i], wdb_text(c->db, q, i));
		result_close(c->out, '}');
	}
	result_close(c->out, ']');
	return step == WDB_DONE;
}

static bool
put_refunds(struct tool_call *c, struct str invoice)
{
	struct wdb *db = c->db;
	enum wdb_step step;

	wdb_query(db, Q_REFUNDS);
	wdb_bind_text(db, Q_REFUNDS, 1, invoice);
	result_open(c->out, "refunds", '[');
	while ((step = wdb_step(db, Q_REFUNDS)) == WDB_ROW) {
		result_open(c->out, NULL, '{');
		result_cents(c->out, "amount", wdb_int(db, Q_REFUNDS, 0));
		result_text(c->out, "created_at", wdb_text(db, Q_REFUNDS, 1));
		result_id(c->out, "id", "REF-", wdb_int(db, Q_REFUNDS, 2));
		result_text(c->out, "payment", wdb_text(db, Q_REFUNDS, 3));
		result_text(c->out, "reason", wdb_text(db, Q_REFUNDS, 4));
		result_close(c->out, '}');
	}
	result_close(c->out, ']');
	return step == WDB_DONE;
}

/* Every payment taken from the customer, whatever an invoice shows. */
static bool
put_statement(struct tool_call *c, struct str customer)
{
	static const char *const columns[] = { "amount", "currency", "id",
		"invoice", "method", "paid_at", "status" };
	enum wdb_step step;

	wdb_query(c->db, Q_PAYMENTS);
	wdb_bind_text(c->db, Q_PAYMENTS, 1, customer);
	result_open(c->out, "payments", '[');
	while ((step = wdb_step(c->db, Q_PAYMENTS)) == WDB_ROW) {
		result_open(c->out, NULL, '{');
		result_cents(c->out, columns[0], wdb_int(c->db, Q_PAYMENTS, 0));
		for (int i = 1; i < 7; i++)
			result_text(
			    c->out, columns[i], wdb_text(c->db, Q_PAYMENTS, i));
		result_close(c->out, '}');
	}
	result_close(c->out, ']');
	return step == WDB_DONE;
}
