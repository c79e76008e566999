/*
 * store/db.h: SQLite as the store uses it: opening, the tables, errors.
 *
 * Statements and connections have owners like everything else. A text that
 * a column gives is borrowed until the statement's next step.
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include <sqlite3.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

/* What a store's directory holds, beside SQLite's -wal and -shm. */
#define DB_FILE "trace.db"
#define DB_LOCK_FILE "lock"

enum { DB_BUSY_MS = 5000 }; /* that a reader may hold up a writer */

/*
 * 1 had no checkpoints; opening such a store for writing makes it 2. 3 has had
 * more than one key: who does not know that takes the older ones for false.
 */
enum { DB_FORMAT = 2, DB_FORMAT_UNSIGNED = 1, DB_FORMAT_ROTATED = 3 };

#define own_stmt __attribute__((cleanup(db_stmt_fini)))
#define own_db __attribute__((cleanup(db_fini)))

void db_stmt_fini(sqlite3_stmt **st);
void db_fini(sqlite3 **db);
/* The value of *db, which becomes NULL: ownership moves to the caller. */
sqlite3 *db_take(sqlite3 **db);

/*
 * Opens DIR/trace.db for writing, and makes the tables in an empty file.
 * Refused: what is not a store, and a format that this program is too old for.
 */
int db_open_write(const char *dir, sqlite3 **out, struct err *e);
/* For reading; never makes a file that stays. */
int db_open_read(const char *dir, sqlite3 **out, struct err *e);

/* An empty store in memory. */
int db_open_memory(sqlite3 **out, struct err *e);

/* The one row of meta. */
struct db_meta {
	struct hash log; /* the log's id, 32 random bytes */
	uint64_t count; /* records, which is the last one's number */
	struct hash head; /* the last one's hash; h_0 when there is none */
	bool head_lost; /* head is not 32 bytes long */
	bool has_key; /* else it was last written in format 1 */
	struct hash key; /* the log's public key, 32 bytes */
	uint64_t signed_size; /* of the last checkpoint */
};

int db_meta(sqlite3 *db, struct db_meta *m, struct err *e);
/* h_0 = SHA-256("paddock-log-v1" || log id) */
struct hash db_genesis(const struct hash *log);

/* Has it had more than one key? False with e also when that cannot be read. */
bool db_is_rotated(sqlite3 *db, struct err *e);
int db_set_rotated(sqlite3 *db, struct err *e);

int db_exec(sqlite3 *db, const char *sql, struct err *e);
int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, struct err *e);
/* 1: a row, 0: no more, -1: failed. */
int db_step(sqlite3_stmt *st, struct err *e);
/* The text is what, ": " and what SQLite says. Returns -1. */
int db_err(sqlite3 *db, struct err *e, const char *what);

struct str db_str(sqlite3_stmt *st, int column);
uint64_t db_u64(sqlite3_stmt *st, int column); /* below 0 gives 0 */
/* 0, or -1 when the column is not 32 bytes; then *out is zeros. */
int db_hash(sqlite3_stmt *st, int column, struct hash *out);
/* A name such as "r-7k3m9q2v5w1x" as its number; "" and nonsense give 0. */
uint64_t db_id(sqlite3_stmt *st, int column, char kind);

#endif
