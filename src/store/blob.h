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
/*
 * Appends the bytes of blob h. 1: found, 0: there is none, -1 with e: it
 * cannot be read or unpacked. Whether it has the hash h is not looked at.
 */
int blob_find(
    sqlite3_stmt *st, const struct hash *h, struct buf *out, struct err *e);

#endif
