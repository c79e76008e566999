/*
 * world/wdb.h: the database of one world: its tables, its prepared statements
 * and the cap on what one call may cost.
 *
 * All SQL is here, fixed at compile time; what a caller wants is bound, never
 * pasted. Statements are prepared once, when the world opens.
 */
#ifndef WORLD_WDB_H
#define WORLD_WDB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

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
	int fd; /* borrowed */
	bool saved; /* its rows were there when it was opened */
	int failed; /* SQLite's result code of the first failure, or 0 */
};

enum wdb_step { WDB_DONE, WDB_ROW, WDB_FAILED };

/* An empty database with its tables. fd is borrowed until wdb_fini. */
int wdb_init(struct wdb *d, int fd, struct err *e);
/*
 * One that wdb_save has filled, with what was kept beside its rows in moment.
 * -1 with e also for one of another version of this program.
 */
int wdb_init_saved(struct wdb *d, int fd, struct buf *moment, struct err *e);
void wdb_fini(struct wdb *d);
/* After the rows are in: prepares every statement. */
int wdb_prepare(struct wdb *d, struct err *e);
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
sqlite3_stmt *wdb_query(struct wdb *d, enum wdb_query q);
/* A text whose p is NULL binds as NULL. Parameters count from 1. */
void wdb_bind_text(struct wdb *d, enum wdb_query q, int at, struct str value);
void wdb_bind_int(struct wdb *d, enum wdb_query q, int at, int64_t value);
/* WDB_FAILED also when a bind before it failed; d->failed says why. */
enum wdb_step wdb_step(struct wdb *d, enum wdb_query q);
/* A column of the row; p is NULL for NULL. Valid until the next step. */
struct str wdb_text(struct wdb *d, enum wdb_query q, int column);
int64_t wdb_int(struct wdb *d, enum wdb_query q, int column);

#endif
