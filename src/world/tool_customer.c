/* The customer register. */
#include "world/result.h"
#include "world/tool.h"

enum { FOUND_MAX = 20 };

static int count(struct wdb *db, const struct str want[3], int64_t *total);

enum tool_end
customer_find(struct tool_call *c)
{
	static const char *const columns[] = { "company", "email", "id", "name",
		"note", "phone", "plan", "since", "status" };
	struct str want[] = { tool_text(c, "customer"), tool_text(c, "email"),
		tool_text(c, "name") };
	struct wdb *db = c->db;
	int64_t total = 0;
	enum wdb_step step;

	wdb_query(db, Q_CUSTOMERS);
	for (int i = 0; i < 3; i++)
		wdb_bind_text(db, Q_CUSTOMERS, i + 1, want[i]);
	wdb_bind_int(db, Q_CUSTOMERS, 4, FOUND_MAX);
	result_open(c->out, NULL, '{');
	result_open(c->out, "customers", '[');
	while ((step = wdb_step(db, Q_CUSTOMERS)) == WDB_ROW) {
		result_open(c->out, NULL, '{');
		for (int i = 0; i < 9; i++)
			result_text(
			    c->out, columns[i], wdb_text(db, Q_CUSTOMERS, i));
		result_close(c->out, '}');
		total++;
	}
	if (step == WDB_FAILED)
		return TOOL_FAILED;
	result_close(c->out, ']');
	if (total == FOUND_MAX && count(db, want, &total) < 0)
		return TOOL_FAILED;
	result_number(c->out, "total", (double)total);
	result_close(c->out, '}');
	return TOOL_OK;
}

/* All that match, shown or not. */
static int
count(struct wdb *db, const struct str want[3], int64_t *total)
{
	wdb_query(db, Q_CUSTOMERS_COUNT);
	for (int i = 0; i < 3; i++)
		wdb_bind_text(db, Q_CUSTOMERS_COUNT, i + 1, want[i]);
	if (wdb_step(db, Q_CUSTOMERS_COUNT) != WDB_ROW)
		return -1;
	*total = wdb_int(db, Q_CUSTOMERS_COUNT, 0);
	return 0;
}
