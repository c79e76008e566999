/* The outgoing mail: an outbox that nothing leaves. */
#include "world/result.h"
#include "world/tool.h"

enum tool_end
email_send(struct tool_call *c)
{
	struct str ticket = tool_text(c, "ticket"), to = tool_text(c, "to");
	struct wdb *db = c->db;

	if (ticket.p != NULL) {
		wdb_query(db, Q_TICKET);
		wdb_bind_text(db, Q_TICKET, 1, ticket);
		switch (wdb_step(db, Q_TICKET)) {
		case WDB_FAILED:
			return TOOL_FAILED;
		case WDB_DONE:
			return tool_error(c, "not_found",
			    "Name an existing ticket, or none.",
			    "there is no ticket %.*s",
			    STR_FMT(tool_shown(ticket)));
		case WDB_ROW:
			break;
		}
	}
	wdb_query(db, Q_EMAIL_ADD);
	wdb_bind_text(db, Q_EMAIL_ADD, 1, to);
	wdb_bind_text(db, Q_EMAIL_ADD, 2, tool_text(c, "subject"));
	wdb_bind_text(db, Q_EMAIL_ADD, 3, tool_text(c, "body"));
	wdb_bind_text(db, Q_EMAIL_ADD, 4, ticket);
	wdb_bind_text(db, Q_EMAIL_ADD, 5, c->now);
	if (wdb_step(db, Q_EMAIL_ADD) != WDB_DONE)
		return TOOL_FAILED;
	result_open(c->out, NULL, '{');
	result_id(
	    c->out, "id", "EMAIL-", sqlite3_last_insert_rowid(db->handle));
	result_text(c->out, "sent_at", c->now);
	result_text(c->out, "status", STR("sent"));
	result_text(c->out, "to", to);
	result_close(c->out, '}');
	return TOOL_OK;
}
