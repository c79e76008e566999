/* The ticket system: tickets, their comments, drafts of replies. */
#include "world/result.h"
#include "world/tool.h"

static bool put_comments(struct tool_call *c, struct str ticket);
static bool put_drafts(struct tool_call *c, struct str ticket);
static bool put_emails(struct tool_call *c, struct str ticket);
static enum tool_end no_ticket(struct tool_call *c, struct str id);

/*
 * The address of who wrote is in customer.email and nowhere else, so that a
 * policy can redact it by that one path.
 */
enum tool_end
ticket_read(struct tool_call *c)
{
	struct str id = tool_text(c, "ticket");
	struct wdb *db = c->db;

	wdb_query(db, Q_TICKET);
	wdb_bind_text(db, Q_TICKET, 1, id);
	switch (wdb_step(db, Q_TICKET)) {
	case WDB_FAILED:
		return TOOL_FAILED;
	case WDB_DONE:
		return no_ticket(c, id);
	case WDB_ROW:
		break;
	}
	result_open(c->out, NULL, '{');
	result_text(c->out, "body", wdb_text(db, Q_TICKET, 0));
	if (!put_comments(c, id))
		return TOOL_FAILED;
	result_text(c->out, "created_at", wdb_text(db, Q_TICKET, 1));
	result_open(c->out, "customer", '{');
	result_text(c->out, "email", wdb_text(db, Q_TICKET, 2));
	result_text(c->out, "id", wdb_text(db, Q_TICKET, 3));
	result_text(c->out, "name", wdb_text(db, Q_TICKET, 4));
	result_close(c->out, '}');
	if (!put_drafts(c, id) || !put_emails(c, id))
		return TOOL_FAILED;
	result_text(c->out, "id", wdb_text(db, Q_TICKET, 5));
	result_text(c->out, "priority", wdb_text(db, Q_TICKET, 6));
	result_text(c->out, "status", wdb_text(db, Q_TICKET, 7));
	result_text(c->out, "subject", wdb_text(db, Q_TICKET, 8));
	result_close(c->out, '}');
	return TOOL_OK;
}

enum tool_end
ticket_list(struct tool_call *c)
{
	static const char *const columns[] = { "created_at", "id", "priority",
		"status", "subject" };
	struct str status = tool_text(c, "status");
	struct wdb *db = c->db;
	enum wdb_step step;

	wdb_query(db, Q_TICKETS);
	wdb_bind_text(db, Q_TICKETS, 1, status);
	wdb_bind_int(db, Q_TICKETS, 2, tool_count(c, "limit", 20));
	result_open(c->out, NULL, '{');
	result_open(c->out, "tickets", '[');
	while ((step = wdb_step(db, Q_TICKETS)) == WDB_ROW) {
		result_open(c->out, NULL, '{');
		for (int i = 0; i < 5; i++)
			result_text(
			    c->out, columns[i], wdb_text(db, Q_TICKETS, i));
		result_close(c->out, '}');
	}
	if (step == WDB_FAILED)
		return TOOL_FAILED;
	result_close(c->out, ']');
	wdb_query(db, Q_TICKETS_COUNT);
	wdb_bind_text(db, Q_TICKETS_COUNT, 1, status);
	if (wdb_step(db, Q_TICKETS_COUNT) != WDB_ROW)
		return TOOL_FAILED;
	result_number(c->out, "total", (double)wdb_int(db, Q_TICKETS_COUNT, 0));
	result_close(c->out, '}');
	return TOOL_OK;
}

enum tool_end
ticket_reply_draft(struct tool_call *c)
{
	struct str id = tool_text(c, "ticket");
	struct wdb *db = c->db;

	wdb_query(db, Q_TICKET);
	wdb_bind_text(db, Q_TICKET, 1, id);
	switch (wdb_step(db, Q_TICKET)) {
	case WDB_FAILED:
		return TOOL_FAILED;
	case WDB_DONE:
		return no_ticket(c, id);
	case WDB_ROW:
		break;
	}
	if (str_eq_c(wdb_text(db, Q_TICKET, 7), "closed"))
		return tool_error(c, "conflict",
		    "Ask for the ticket to be opened again.",
		    "ticket %.*s is closed", STR_FMT(tool_shown(id)));
	wdb_query(db, Q_DRAFT_ADD);
	wdb_bind_text(db, Q_DRAFT_ADD, 1, id);
	wdb_bind_text(db, Q_DRAFT_ADD, 2, tool_text(c, "body"));
	wdb_bind_text(db, Q_DRAFT_ADD, 3, c->now);
	if (wdb_step(db, Q_DRAFT_ADD) != WDB_DONE)
		return TOOL_FAILED;
	result_open(c->out, NULL, '{');
	result_text(c->out, "created_at", c->now);
	result_id(
	    c->out, "id", "DRAFT-", sqlite3_last_insert_rowid(db->handle));
	result_text(c->out, "status", STR("draft"));
	result_text(c->out, "ticket", id);
	result_close(c->out, '}');
	return TOOL_OK;
}

static bool
put_comments(struct tool_call *c, struct str ticket)
{
	struct wdb *db = c->db;
	enum wdb_step step;

	wdb_query(db, Q_COMMENTS);
	wdb_bind_text(db, Q_COMMENTS, 1, ticket);
	result_open(c->out, "comments", '[');
	while ((step = wdb_step(db, Q_COMMENTS)) == WDB_ROW) {
		result_open(c->out, NULL, '{');
		result_text(c->out, "at", wdb_text(db, Q_COMMENTS, 0));
		result_text(c->out, "body", wdb_text(db, Q_COMMENTS, 1));
		result_text(c->out, "from", wdb_text(db, Q_COMMENTS, 2));
		result_close(c->out, '}');
	}
	result_close(c->out, ']');
	return step == WDB_DONE;
}

static bool
put_drafts(struct tool_call *c, struct str ticket)
{
	struct wdb *db = c->db;
	enum wdb_step step;

	wdb_query(db, Q_DRAFTS);
	wdb_bind_text(db, Q_DRAFTS, 1, ticket);
	result_open(c->out, "drafts", '[');
	while ((step = wdb_step(db, Q_DRAFTS)) == WDB_ROW) {
		result_open(c->out, NULL, '{');
		result_text(c->out, "body", wdb_text(db, Q_DRAFTS, 0));
		result_text(c->out, "created_at", wdb_text(db, Q_DRAFTS, 1));
		result_id(c->out, "id", "DRAFT-", wdb_int(db, Q_DRAFTS, 2));
		result_close(c->out, '}');
	}
	result_close(c->out, ']');
	return step == WDB_DONE;
}

static bool
put_emails(struct tool_call *c, struct str ticket)
{
	struct wdb *db = c->db;
	enum wdb_step step;

	wdb_query(db, Q_TICKET_EMAILS);
	wdb_bind_text(db, Q_TICKET_EMAILS, 1, ticket);
	result_open(c->out, "emails", '[');
	while ((step = wdb_step(db, Q_TICKET_EMAILS)) == WDB_ROW) {
		result_open(c->out, NULL, '{');
		result_id(
		    c->out, "id", "EMAIL-", wdb_int(db, Q_TICKET_EMAILS, 0));
		result_text(
		    c->out, "sent_at", wdb_text(db, Q_TICKET_EMAILS, 1));
		result_text(
		    c->out, "subject", wdb_text(db, Q_TICKET_EMAILS, 2));
		result_close(c->out, '}');
	}
	result_close(c->out, ']');
	return step == WDB_DONE;
}

static enum tool_end
no_ticket(struct tool_call *c, struct str id)
{
	return tool_error(c, "not_found",
	    "Use ticket.list to see which tickets there are.",
	    "there is no ticket %.*s", STR_FMT(tool_shown(id)));
}
