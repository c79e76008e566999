/*
 * store/order.h: the order of the records that belong together.
 *
 * A call (one step of a run): proposed, decision, approval requested, decided,
 * started, finished. What is left out must not have been needed: nothing is
 * started before a decision, or while an approval is asked for, and what was
 * not started has no effect. A run: opened first, closed last, and its row
 * ends where its run.closed record does.
 */
#ifndef STORE_ORDER_H
#define STORE_ORDER_H

#include <sqlite3.h>

#include "base/err.h"
#include "store/store.h"

/*
 * Looks at one run, or with 0 at all: fills in v->runs and, when something is
 * out of order, the fault with the lowest number. For a chain that is sound.
 */
int order_check(
    sqlite3 *db, uint64_t run, struct store_verdict *v, struct err *e);
/* That of one run no record is missing: run.closed says how many it had. */
int order_check_sum(
    sqlite3 *db, uint64_t run, struct store_verdict *v, struct err *e);

#endif
