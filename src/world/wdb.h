/*
 * world/wdb.h: the database of one world: its tables, its prepared statements
 * and the cap on what one call may cost.
 *
 * All SQL is here, fixed at compile time; what a caller wants is bound, never
 * pasted. A statement is prepared when it is first asked for. The file holds
 * all that there is between two calls: a database may be closed and opened
 * again there, and nobody can tell.
 */
#ifndef WORLD_WDB_H
#define WORLD_WDB_H

#include <sqlite3.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "world/pages.h"

enum wdb_query {
	Q_BEGIN,
	Q_COMMIT,
	Q_ROLLBACK,
	Q_CUSTOMER, /* id -> status */
	Q_CUSTOMERS, /* id, email, name, limit -> rows */
	Q_CUSTOMERS_COUNT,
	Q_INVOICE, /* id -> status, customer's status, customer, currency */
	Q_INVOICES, /* customer -> rows */
	Q_LINES, /* invoice -> rows */
	Q_INVOICE_PAYMENTS, /* invoice -> those that it shows */
	Q_PAYMENTS, /* customer -> all that were taken */
	Q_PAYMENT, /* id -> invoice, amount, status, refunded */
	Q_PAYMENT_PICK, /* invoice, amount -> newest with enough left */
	Q_REFUNDS, /* invoice -> rows */
	Q_REFUND_SAME, /* payment, amount -> number */
	Q_REFUND_ADD,
	Q_TICKET, /* id -> row */
	Q_TICKETS, /* status, limit -> rows */
	Q_TICKETS_COUNT,
	Q_COMMENTS, /* ticket -> rows */
	Q_DRAFTS, /* ticket -> rows */
	Q_DRAFT_ADD,
	Q_TICKET_EMAILS, /* ticket -> rows */
	Q_EMAIL_ADD,
	Q_KB, /* match, limit -> rows */
	WDB_QUERIES,
};

struct wdb {
	sqlite3 *handle;
	sqlite3_stmt *query[WDB_QUERIES];
	uint64_t used; /* bit per query that a call has begun */
	uint32_t steps; /* left for this call, in thousands of instructions */
	struct pages *pages; /* borrowed */
	int failed; /* SQLite's result code of the first failure, or 0 */
};

enum wdb_step { WDB_DONE, WDB_ROW, WDB_FAILED };

/*
 * An empty database with its tables, in a transaction that fill ends when the
 * rows are in. p is borrowed until wdb_close, which is due either way.
 */
int wdb_create(struct wdb *d, struct pages *p, struct err *e);
int wdb_fill(struct wdb *d, struct err *e);
/* One that was filled. -1 with e also for one of another version. */
int wdb_open(struct wdb *d, struct pages *p, struct err *e);
void wdb_close(struct wdb *d); /* also one that is closed */
/* What wdb_save has kept beside the rows. */
int wdb_moment(struct wdb *d, struct buf *out, struct err *e);
/*
 * Keeps moment beside the rows, and copies all of the database into the empty
 * file to. No call may be under way.
 */
int wdb_save(struct wdb *d, struct str moment, int to, struct err *e);

/* A new call: the cap begins anew. */
void wdb_call_begin(struct wdb *d);
/* Nothing that was bound is looked at any more. */
void wdb_call_end(struct wdb *d);

/* The statement, ready to be bound. Bound text must live until call_end. */
void wdb_query(struct wdb *d, enum wdb_query q);
/* A text whose p is NULL binds as NULL. Parameters count from 1. */
void wdb_bind_text(struct wdb *d, enum wdb_query q, int at, struct str value);
void wdb_bind_int(struct wdb *d, enum wdb_query q, int at, int64_t value);
/* WDB_FAILED also when a bind before it failed; d->failed says why. */
enum wdb_step wdb_step(struct wdb *d, enum wdb_query q);
/* A column of the row; p is NULL for NULL. Valid until the next step. */
struct str wdb_text(struct wdb *d, enum wdb_query q, int column);
int64_t wdb_int(struct wdb *d, enum wdb_query q, int column);

#endif
