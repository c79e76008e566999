/*
 * store/sums.h: of each open run, how many records it has and a hash over
 * theirs, in order: sum_0 = zeros, sum_i = SHA-256(0x02 || sum_(i-1) || hash
 * of the record in the chain). run.closed has both, so that a run's records
 * can be shown to be all of them without the rest of the log.
 *
 * A table by the run's number, open addressing. One thread's.
 */
#ifndef STORE_SUMS_H
#define STORE_SUMS_H

#include <sqlite3.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

struct sum {
	uint64_t run; /* 0: an empty place */
	uint64_t n;
	struct hash h;
};

struct sums {
	struct sum *place;
	size_t places; /* a power of 2, or 0 */
	size_t used;
};

void sums_fini(struct sums *s);
/* Adds a record to a sum. */
void sum_add(struct sum *s, const struct hash *record);
/* Those of the runs that the database has open. */
int sums_load(struct sums *s, sqlite3 *db, struct err *e);
/* That of an open run, or NULL. */
struct sum *sums_find(struct sums *s, uint64_t run);
/* An empty one. NULL: out of memory. */
struct sum *sums_new(struct sums *s, uint64_t run);
void sums_drop(struct sums *s, uint64_t run);

/* The sum of a run's records before record `before`. */
int sum_read(
    sqlite3 *db, uint64_t run, uint64_t before, struct sum *out, struct err *e);

#endif
