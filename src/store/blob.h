/*
 * store/blob.h: finding and unpacking a blob with a statement that is kept.
 */
#ifndef STORE_BLOB_H
#define STORE_BLOB_H

#include <sqlite3.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

int blob_prepare(sqlite3 *db, sqlite3_stmt **out, struct err *e);
enum { BLOB_FOUND = 1, BLOB_FOUND_SALTED };

/*
 * Appends the bytes of blob h. BLOB_FOUND; BLOB_FOUND_SALTED: the first
 * HASH_BYTES of them are its salt; 0: there is none, -1 with e: it cannot be
 * read or unpacked. Whether they have the hash h is not looked at.
 */
int blob_find(
    sqlite3_stmt *st, const struct hash *h, struct buf *out, struct err *e);

/*
 * When content of a run was removed by rule, as its record says. 1, 0: never,
 * -1 with e.
 */
int removed_prepare(sqlite3 *db, sqlite3_stmt **out, struct err *e);
int removed_find(sqlite3_stmt *st, uint64_t run, int64_t *ns, struct err *e);

#endif
