#include "world/changes.h"

#include <string.h>

#include "world/result.h"

/* n is the number that SQLite has for a row of each. */
static const struct {
	const char *name, *row;
} tables[] = {
	{ "emails",
	    "SELECT recipient AS \"to\",subject,body,ticket,sent_at "
	    "FROM emails WHERE n=?1" },
	{ "comments", "SELECT * FROM comments WHERE n=?1" },
	{ "customers", "SELECT * FROM customers WHERE n=?1" },
	{ "drafts", "SELECT * FROM drafts WHERE n=?1" },
	{ "invoices", "SELECT * FROM invoices WHERE n=?1" },
	{ "kb", "SELECT * FROM kb WHERE n=?1" },
	{ "lines", "SELECT * FROM lines WHERE n=?1" },
	{ "payments", "SELECT * FROM payments WHERE n=?1" },
	{ "refunds", "SELECT * FROM refunds WHERE n=?1" },
	{ "tickets", "SELECT * FROM tickets WHERE n=?1" },
};
enum { TABLES = sizeof(tables) / sizeof(tables[0]), EMAILS = 0, COLUMNS = 16 };

static void on_change(void *arg, int op, const char *database,
    const char *table, sqlite3_int64 row);
static void drop(struct changes *c, size_t at);
static int put_row(struct buf *out, const char *key, struct wdb *d,
    uint32_t table, int64_t row, struct err *e);
static void put_columns(struct buf *out, sqlite3_stmt *q);

void
changes_watch(struct changes *c, struct wdb *d)
{
	*c = (struct changes){};
	(void)sqlite3_update_hook(d->handle, on_change, c);
}

int
changes_write(struct buf *out, const struct changes *c, struct wdb *before,
    struct wdb *after, struct err *e)
{
	static const char *const kinds[] = { "added", "changed", "removed" };

	result_open(out, "messages", '[');
	for (size_t i = 0; i < c->n; i++) {
		if (c->item[i].table == EMAILS &&
		    c->item[i].kind == CHANGE_ADDED &&
		    put_row(out, NULL, after, EMAILS, c->item[i].row, e) < 0)
			return -1;
	}
	result_close(out, ']');
	buf_add_c(out, c->more ? ",\"more\":true" : ",\"more\":false");
	/* No service of a world asks another one for anything. */
	buf_add_c(out, ",\"requests\":[]");
	result_open(out, "rows", '[');
	for (size_t i = 0; i < c->n; i++) {
		const enum change_kind kind = c->item[i].kind;
		const uint32_t table = c->item[i].table;

		if (table == EMAILS && kind == CHANGE_ADDED)
			continue;
		result_open(out, NULL, '{');
		if (kind != CHANGE_REMOVED &&
		    put_row(out, "after", after, table, c->item[i].row, e) < 0)
			return -1;
		if (kind != CHANGE_ADDED &&
		    put_row(out, "before", before, table, c->item[i].row, e) <
			0)
			return -1;
		result_text(out, "change", str_of(kinds[kind]));
		result_text(out, "table", str_of(tables[table].name));
		result_close(out, '}');
	}
	result_close(out, ']');
	return 0;
}

/* Of a row that is written twice only what it was and is counts. */
static void
on_change(void *arg, int op, const char *database, const char *table,
    sqlite3_int64 row)
{
	const enum change_kind kind = op == SQLITE_INSERT ? CHANGE_ADDED
	    : op == SQLITE_DELETE			  ? CHANGE_REMOVED
							  : CHANGE_CHANGED;
	struct changes *c = arg;
	uint32_t t = 0;

	(void)database;
	while (t < TABLES && strcmp(tables[t].name, table) != 0)
		t++;
	if (t == TABLES)
		return; /* of an index, and nobody's data */
	for (size_t i = 0; i < c->n; i++) {
		if (c->item[i].table != t || c->item[i].row != row)
			continue;
		if (kind == CHANGE_REMOVED && c->item[i].kind == CHANGE_ADDED)
			drop(c, i);
		else if (kind == CHANGE_REMOVED)
			c->item[i].kind = CHANGE_REMOVED;
		else if (c->item[i].kind == CHANGE_REMOVED)
			c->item[i].kind = CHANGE_CHANGED;
		return;
	}
	if (c->n == WORLD_CHANGES_MAX) {
		c->more = true;
		return;
	}
	c->item[c->n].table = t;
	c->item[c->n].kind = kind;
	c->item[c->n++].row = row;
}

static void
drop(struct changes *c, size_t at)
{
	c->n--;
	memmove(
	    &c->item[at], &c->item[at + 1], (c->n - at) * sizeof(c->item[0]));
}

static int
put_row(struct buf *out, const char *key, struct wdb *d, uint32_t table,
    int64_t row, struct err *e)
{
	sqlite3_stmt *q = NULL;
	int rc = sqlite3_prepare_v2(d->handle, tables[table].row, -1, &q, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(q, 1, row);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(q);
	result_open(out, key, '{');
	if (rc == SQLITE_ROW)
		put_columns(out, q);
	result_close(out, '}');
	(void)sqlite3_finalize(q); /* it repeats rc */
	return rc == SQLITE_ROW
	    ? 0
	    : err_set(e, "%s: %s", tables[table].name, sqlite3_errstr(rc));
}

/* In the order of their names, as canonical JSON has them. */
static void
put_columns(struct buf *out, sqlite3_stmt *q)
{
	const int n = sqlite3_column_count(q);
	const char *last = "";

	for (int done = 0; done < n && done < COLUMNS; done++) {
		const char *next = NULL;
		int at = 0;

		for (int i = 0; i < n; i++) {
			const char *name = sqlite3_column_name(q, i);

			if (name != NULL && strcmp(name, last) > 0 &&
			    (next == NULL || strcmp(name, next) < 0)) {
				next = name;
				at = i;
			}
		}
		if (next == NULL)
			return; /* no memory for a name, or two are the same */
		last = next;
		if (sqlite3_column_type(q, at) == SQLITE_INTEGER)
			result_number(
			    out, next, (double)sqlite3_column_int64(q, at));
		else
			result_text(out, next,
			    (struct str){
				(const char *)sqlite3_column_text(q, at),
				(size_t)sqlite3_column_bytes(q, at) });
	}
}
