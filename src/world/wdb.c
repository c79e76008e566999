#include "world/wdb.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "world/fdvfs.h"

#define VERSION_TEXT "1" /* of the tables below */

enum {
	STEPS_UNIT = 1000,
	TEXT_MAX = 8 * 1024 * 1024,
	VERSION = 1,
	PART_BYTES = 1024 * 1024, /* of the moment: a row must fit TEXT_MAX */
};

/*
 * n is the order of the document, and for what a run writes the number in its
 * id. Money is in cents. listed 0: the payment was taken, but the invoice
 * does not show it.
 */
static const char pragmas[] = "PRAGMA page_size=4096;"
			      "PRAGMA locking_mode=EXCLUSIVE;"
			      "PRAGMA journal_mode=MEMORY;"
			      "PRAGMA synchronous=OFF;"
			      "PRAGMA temp_store=MEMORY;"
			      "PRAGMA trusted_schema=OFF;"
			      "PRAGMA auto_vacuum=NONE;";

/* moment: what a world knows besides its rows, as text in parts. */
static const char schema[] =
    "PRAGMA user_version=" VERSION_TEXT ";"
    "BEGIN;"
    "CREATE TABLE moment(n INTEGER PRIMARY KEY, part BLOB);"
    "CREATE TABLE customers(n INTEGER PRIMARY KEY, id TEXT UNIQUE,"
    " name TEXT, company TEXT, email TEXT COLLATE NOCASE, phone TEXT,"
    " plan TEXT, status TEXT, since TEXT, note TEXT);"
    "CREATE TABLE invoices(n INTEGER PRIMARY KEY, id TEXT UNIQUE,"
    " customer TEXT, issued TEXT, status TEXT, currency TEXT,"
    " total INTEGER);"
    "CREATE INDEX invoices_customer ON invoices(customer);"
    "CREATE TABLE lines(n INTEGER PRIMARY KEY, invoice TEXT,"
    " description TEXT, amount INTEGER);"
    "CREATE INDEX lines_invoice ON lines(invoice);"
    "CREATE TABLE payments(n INTEGER PRIMARY KEY, id TEXT UNIQUE,"
    " customer TEXT, invoice TEXT, amount INTEGER, currency TEXT,"
    " method TEXT, paid_at TEXT, status TEXT, listed INTEGER);"
    "CREATE INDEX payments_customer ON payments(customer);"
    "CREATE INDEX payments_invoice ON payments(invoice);"
    "CREATE TABLE refunds(n INTEGER PRIMARY KEY, invoice TEXT,"
    " payment TEXT, amount INTEGER, currency TEXT, reason TEXT,"
    " created_at TEXT);"
    "CREATE INDEX refunds_payment ON refunds(payment);"
    "CREATE INDEX refunds_invoice ON refunds(invoice);"
    "CREATE TABLE tickets(n INTEGER PRIMARY KEY, id TEXT UNIQUE,"
    " subject TEXT, body TEXT, sender TEXT, customer TEXT, status TEXT,"
    " priority TEXT, created_at TEXT);"
    "CREATE INDEX tickets_created ON tickets(created_at DESC, n);"
    "CREATE TABLE comments(n INTEGER PRIMARY KEY, ticket TEXT,"
    " author TEXT, at TEXT, body TEXT);"
    "CREATE INDEX comments_ticket ON comments(ticket);"
    "CREATE TABLE drafts(n INTEGER PRIMARY KEY, ticket TEXT, body TEXT,"
    " created_at TEXT);"
    "CREATE INDEX drafts_ticket ON drafts(ticket);"
    "CREATE TABLE emails(n INTEGER PRIMARY KEY, recipient TEXT,"
    " subject TEXT, body TEXT, ticket TEXT, sent_at TEXT);"
    "CREATE INDEX emails_ticket ON emails(ticket);"
    "CREATE TABLE kb(n INTEGER PRIMARY KEY, id TEXT UNIQUE, title TEXT,"
    " body TEXT, status TEXT, updated_at TEXT);"
    "CREATE VIRTUAL TABLE kb_text USING fts5(title, body, content='kb',"
    " content_rowid='n', tokenize='porter unicode61');";

#define PAYMENT_LEFT                                                 \
	"p.amount-(SELECT coalesce(sum(r.amount),0) FROM refunds r " \
	"WHERE r.payment=p.id)"
#define CUSTOMERS_WHERE                                      \
	" FROM customers WHERE (?1 IS NULL OR id=?1)"        \
	" AND (?2 IS NULL OR email=?2)"                      \
	" AND (?3 IS NULL OR instr(lower(name),lower(?3))>0" \
	" OR instr(lower(coalesce(company,'')),lower(?3))>0)"

/* The order of the columns is what the tools read. */
static const char *const sql[WDB_QUERIES] = {
	[Q_BEGIN] = "BEGIN IMMEDIATE",
	[Q_COMMIT] = "COMMIT",
	[Q_ROLLBACK] = "ROLLBACK",
	[Q_CUSTOMER] = "SELECT status FROM customers WHERE id=?1",
	[Q_CUSTOMERS] = "SELECT company,email,id,name,note,phone,plan,since,"
			"status" CUSTOMERS_WHERE " ORDER BY n LIMIT ?4",
	[Q_CUSTOMERS_COUNT] = "SELECT count(*)" CUSTOMERS_WHERE,
	[Q_INVOICE] = "SELECT i.status,c.status,i.customer,i.currency "
		      "FROM invoices i JOIN customers c ON c.id=i.customer "
		      "WHERE i.id=?1",
	[Q_INVOICES] = "SELECT currency,id,issued,status,total FROM invoices "
		       "WHERE customer=?1 ORDER BY issued,n LIMIT 100",
	[Q_LINES] = "SELECT amount,description FROM lines WHERE invoice=?1 "
		    "ORDER BY n LIMIT 100",
	[Q_INVOICE_PAYMENTS] =
	    "SELECT amount,id,method,paid_at,status FROM payments "
	    "WHERE invoice=?1 AND listed ORDER BY paid_at,n LIMIT 100",
	[Q_PAYMENTS] =
	    "SELECT amount,currency,id,invoice,method,paid_at,status "
	    "FROM payments WHERE customer=?1 ORDER BY paid_at,n LIMIT 100",
	[Q_PAYMENT] = "SELECT p.invoice,p.status," PAYMENT_LEFT
		      " FROM payments p WHERE p.id=?1",
	[Q_PAYMENT_PICK] =
	    "SELECT p.id," PAYMENT_LEFT " AS left FROM payments p "
	    "WHERE p.invoice=?1 AND p.status='settled' "
	    "ORDER BY left>=?2 DESC,p.paid_at DESC,p.n DESC LIMIT 1",
	[Q_REFUNDS] = "SELECT amount,created_at,n,payment,reason FROM refunds "
		      "WHERE invoice=?1 ORDER BY n LIMIT 100",
	[Q_REFUND_SAME] = "SELECT n FROM refunds WHERE payment=?1 AND "
			  "amount=?2 LIMIT 1",
	[Q_REFUND_ADD] = "INSERT INTO refunds(invoice,payment,amount,currency,"
			 "reason,created_at) VALUES(?1,?2,?3,?4,?5,?6)",
	[Q_TICKET] = "SELECT t.body,t.created_at,t.sender,c.id,c.name,t.id,"
		     "t.priority,t.status,t.subject FROM tickets t "
		     "LEFT JOIN customers c ON c.id=t.customer WHERE t.id=?1",
	[Q_TICKETS] = "SELECT created_at,id,priority,status,subject "
		      "FROM tickets WHERE ?1 IS NULL OR status=?1 "
		      "ORDER BY created_at DESC,n LIMIT ?2",
	[Q_TICKETS_COUNT] =
	    "SELECT count(*) FROM tickets WHERE ?1 IS NULL OR status=?1",
	[Q_COMMENTS] = "SELECT at,body,author FROM comments WHERE ticket=?1 "
		       "ORDER BY n LIMIT 100",
	[Q_DRAFTS] = "SELECT body,created_at,n FROM drafts WHERE ticket=?1 "
		     "ORDER BY n DESC LIMIT 10",
	[Q_DRAFT_ADD] = "INSERT INTO drafts(ticket,body,created_at) "
			"VALUES(?1,?2,?3)",
	[Q_TICKET_EMAILS] = "SELECT n,sent_at,subject FROM emails "
			    "WHERE ticket=?1 ORDER BY n DESC LIMIT 10",
	[Q_EMAIL_ADD] = "INSERT INTO emails(recipient,subject,body,ticket,"
			"sent_at) VALUES(?1,?2,?3,?4,?5)",
	[Q_KB] = "SELECT kb.body,kb.id,bm25(kb_text,4.0,1.0) AS score,"
		 "kb.status,kb.title,kb.updated_at FROM kb_text "
		 "JOIN kb ON kb.n=kb_text.rowid WHERE kb_text MATCH ?1 "
		 "ORDER BY score,kb.n LIMIT ?2",
};
_Static_assert(WDB_QUERIES <= 64, "a bit of db.used for each");

static int open_file(struct wdb *d, struct pages *p, struct err *e);
static int write_moment(struct wdb *d, struct str moment, struct err *e);
static int on_progress(void *arg);
static void set_limits(sqlite3 *handle);

int
wdb_create(struct wdb *d, struct pages *p, struct err *e)
{
	if (open_file(d, p, e) < 0)
		return -1;
	if (sqlite3_exec(d->handle, schema, NULL, NULL, NULL) != SQLITE_OK)
		return err_set(
		    e, "create tables: %s", sqlite3_errmsg(d->handle));
	return 0;
}

int
wdb_fill(struct wdb *d, struct err *e)
{
	static const char fill[] =
	    "INSERT INTO kb_text(kb_text) VALUES('rebuild'); COMMIT;";

	if (sqlite3_exec(d->handle, fill, NULL, NULL, NULL) != SQLITE_OK)
		return err_set(
		    e, "index the kb: %s", sqlite3_errmsg(d->handle));
	return 0;
}

int
wdb_open(struct wdb *d, struct pages *p, struct err *e)
{
	sqlite3_stmt *q = NULL;
	int version = -1;

	if (open_file(d, p, e) < 0)
		return -1;
	/* A column of a table, so that all tables are read now, and no call
	 * pays for that. */
	if (sqlite3_prepare_v2(d->handle,
		"SELECT user_version, (SELECT max(n) FROM moment) "
		"FROM pragma_user_version",
		-1, &q, NULL) == SQLITE_OK &&
	    sqlite3_step(q) == SQLITE_ROW)
		version = sqlite3_column_int(q, 0);
	(void)sqlite3_finalize(q); /* it repeats an error already seen */
	if (version < 0)
		return err_set(e, "open: %s", sqlite3_errmsg(d->handle));
	if (version != VERSION)
		return err_set(e,
		    "the tables are of version %d, and this program's are of "
		    "version %d",
		    version, VERSION);
	sqlite3_progress_handler(d->handle, STEPS_UNIT, on_progress, d);
	return 0;
}

static int
open_file(struct wdb *d, struct pages *p, struct err *e)
{
	*d = (struct wdb){ .pages = p };
	wdb_call_begin(d);
	if (fdvfs_init(e) < 0 || fdvfs_open(p, &d->handle, e) < 0)
		return -1;
	set_limits(d->handle);
	if (sqlite3_exec(d->handle, pragmas, NULL, NULL, NULL) != SQLITE_OK)
		return err_set(e, "open: %s", sqlite3_errmsg(d->handle));
	return 0;
}

void
wdb_close(struct wdb *d)
{
	for (size_t i = 0; i < WDB_QUERIES; i++)
		(void)sqlite3_finalize(d->query[i]); /* NULL is harmless */
	must(sqlite3_close(d->handle) == SQLITE_OK);
	*d = (struct wdb){};
}

int
wdb_save(struct wdb *d, struct str moment, int to, struct err *e)
{
	if (write_moment(d, moment, e) < 0) {
		(void)sqlite3_exec(d->handle, "ROLLBACK", NULL, NULL,
		    NULL); /* the first error is the one to tell */
		return -1;
	}
	/* A commit writes all pages: the file is the database. */
	return pages_copy(d->pages, to, e);
}

int
wdb_moment(struct wdb *d, struct buf *out, struct err *e)
{
	sqlite3_stmt *q = NULL;
	int rc = sqlite3_prepare_v2(
	    d->handle, "SELECT part FROM moment ORDER BY n", -1, &q, NULL);

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(q);
		if (rc == SQLITE_ROW)
			buf_add(out, sqlite3_column_blob(q, 0),
			    (size_t)sqlite3_column_bytes(q, 0));
	}
	(void)sqlite3_finalize(q); /* it repeats rc */
	if (rc != SQLITE_DONE || out->failed || out->n == 0)
		return err_set(e, "read its moment: %s",
		    rc != SQLITE_DONE ? sqlite3_errmsg(d->handle)
				      : "it has none");
	return 0;
}

static int
write_moment(struct wdb *d, struct str moment, struct err *e)
{
	sqlite3_stmt *q = NULL;
	int rc = sqlite3_exec(
	    d->handle, "BEGIN IMMEDIATE; DELETE FROM moment", NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(d->handle,
		    "INSERT INTO moment(part) VALUES(?1)", -1, &q, NULL);
	while (rc == SQLITE_OK && moment.n > 0) {
		const size_t n =
		    moment.n < PART_BYTES ? moment.n : (size_t)PART_BYTES;

		/* A part may end inside a character: bytes, for SQLite. */
		rc = sqlite3_bind_blob64(q, 1, moment.p, n, SQLITE_STATIC);
		if (rc == SQLITE_OK && sqlite3_step(q) != SQLITE_DONE)
			rc = SQLITE_ERROR;
		if (rc == SQLITE_OK)
			rc = sqlite3_reset(q);
		moment.p += n;
		moment.n -= n;
	}
	(void)sqlite3_finalize(q); /* it repeats rc */
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(d->handle, "COMMIT", NULL, NULL, NULL);
	return rc == SQLITE_OK
	    ? 0
	    : err_set(e, "keep its moment: %s", sqlite3_errmsg(d->handle));
}

void
wdb_call_begin(struct wdb *d)
{
	d->steps = WORLD_MAX_STEPS / STEPS_UNIT;
	d->failed = SQLITE_OK;
	d->used = 0;
}

void
wdb_call_end(struct wdb *d)
{
	for (size_t i = 0; i < WDB_QUERIES; i++) {
		if ((d->used >> i & 1) == 0 || d->query[i] == NULL)
			continue;
		/* It repeats the result of the last step, which is known. */
		(void)sqlite3_reset(d->query[i]);
		(void)sqlite3_clear_bindings(d->query[i]);
	}
	d->used = 0;
}

void
wdb_query(struct wdb *d, enum wdb_query q)
{
	uint64_t bit = UINT64_C(1) << q;
	int rc;

	if ((d->used & bit) != 0)
		(void)sqlite3_reset(d->query[q]); /* as in wdb_call_end */
	d->used |= bit;
	if (d->query[q] != NULL)
		return;
	rc = sqlite3_prepare_v3(d->handle, sql[q], -1,
	    SQLITE_PREPARE_PERSISTENT, &d->query[q], NULL);
	if (rc != SQLITE_OK && d->failed == SQLITE_OK)
		d->failed = rc & 0xff; /* the primary code */
}

void
wdb_bind_text(struct wdb *d, enum wdb_query q, int at, struct str value)
{
	int rc = value.p == NULL ? sqlite3_bind_null(d->query[q], at)
				 : sqlite3_bind_text64(d->query[q], at, value.p,
				       value.n, SQLITE_STATIC, SQLITE_UTF8);

	if (rc != SQLITE_OK && d->failed == SQLITE_OK)
		d->failed = rc;
}

void
wdb_bind_int(struct wdb *d, enum wdb_query q, int at, int64_t value)
{
	int rc = sqlite3_bind_int64(d->query[q], at, value);

	if (rc != SQLITE_OK && d->failed == SQLITE_OK)
		d->failed = rc;
}

enum wdb_step
wdb_step(struct wdb *d, enum wdb_query q)
{
	int rc;

	if (d->failed != SQLITE_OK)
		return WDB_FAILED;
	rc = sqlite3_step(d->query[q]);
	if (rc == SQLITE_ROW)
		return WDB_ROW;
	if (rc == SQLITE_DONE)
		return WDB_DONE;
	d->failed = rc & 0xff; /* the primary code */
	return WDB_FAILED;
}

struct str
wdb_text(struct wdb *d, enum wdb_query q, int column)
{
	const unsigned char *p = sqlite3_column_text(d->query[q], column);
	int n = sqlite3_column_bytes(d->query[q], column);

	return (struct str){ (const char *)p, n > 0 ? (size_t)n : 0 };
}

int64_t
wdb_int(struct wdb *d, enum wdb_query q, int column)
{
	return sqlite3_column_int64(d->query[q], column);
}

/* Called every STEPS_UNIT instructions; other than 0 interrupts. */
static int
on_progress(void *arg)
{
	struct wdb *d = arg;

	if (d->steps == 0)
		return 1;
	d->steps--;
	return 0;
}

static void
set_limits(sqlite3 *handle)
{
	static const struct {
		int id;
		int most;
	} limits[] = {
		{ SQLITE_LIMIT_LENGTH, TEXT_MAX },
		{ SQLITE_LIMIT_SQL_LENGTH, 16 * 1024 },
		{ SQLITE_LIMIT_COLUMN, 64 },
		{ SQLITE_LIMIT_EXPR_DEPTH, 32 },
		{ SQLITE_LIMIT_COMPOUND_SELECT, 4 },
		{ SQLITE_LIMIT_VDBE_OP, 10 * 1000 },
		{ SQLITE_LIMIT_FUNCTION_ARG, 16 },
		{ SQLITE_LIMIT_ATTACHED, 0 },
		{ SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256 },
		{ SQLITE_LIMIT_VARIABLE_NUMBER, 32 },
		{ SQLITE_LIMIT_TRIGGER_DEPTH, 1 },
		{ SQLITE_LIMIT_WORKER_THREADS, 0 },
	};
	char pages[64];

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		(void)sqlite3_limit(handle, limits[i].id, limits[i].most);
	(void)snprintf(
	    pages, sizeof(pages), "PRAGMA max_page_count=%d", WORLD_MAX_PAGES);
	/* A pragma cannot refuse it; without it the file's limit holds. */
	(void)sqlite3_exec(handle, pages, NULL, NULL, NULL);
}
