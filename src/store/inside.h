/*
 * store/inside.h: what the files of the store share.
 *
 * Two threads. The caller's numbers and chains records and puts items on the
 * queue; the writer's takes them off in groups, each one transaction. An item
 * is one row: a statement and what is bound to it, in one piece of memory, so
 * that the writer knows nothing about records or runs.
 */
#ifndef STORE_INSIDE_H
#define STORE_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include <sqlite3.h>
#include <zstd.h>

#include "base/limits.h"
#include "store/checkpoint.h"
#include "store/keep.h"
#include "store/store.h"
#include "store/sums.h"

enum statement {
	ST_BEGIN,
	ST_COMMIT,
	ST_EVENT,
	ST_EVENTS, /* several items of ST_EVENT at once */
	ST_BLOB, /* h, bytes, and a salt or nothing: packed by the writer */
	ST_META,
	ST_RUN,
	ST_RUN_HEAD,
	ST_APPROVAL,
	ST_DRAFT,
	ST_POLICY,
	ST_TOKEN,
	ST_API_TOKEN,
	ST_SPENT,
	ST_SPENT_FORGET,
	ST_IDEM,
	ST_IDEM_FORGET,
	ST_SNAPSHOT,
	ST_BLOB_RUN,
	ST_RULE,
	ST_RULE_GONE,
	ST_FORGET_BLOBS, /* before ST_FORGET_BLOB_RUN, which says which */
	ST_FORGET_BLOB_RUN,
	ST_FORGET_APPROVALS,
	ST_FORGET_DRAFTS,
	ST_FORGET_IDEM,
	ST_REMOVED,
	ST_SHARE_BLOB,
	ST_PIN,
	ST_PIN_GONE,
	ST_PIN_TEXT,
	ST_PIN_TEXT_MOVE,
	ST_PIN_TEXT_GONE,
	STATEMENTS,
};

/* Statements that are asked for again with each run, or each call of one. */
enum kept_read { READ_STEPS, READ_PLACES, READ_EVENT, READ_BLOB, READS };

enum { PARAMS_MAX = 16 };

/* Bits of blob.z: packed by zstd, and a salt before that. */
enum { BLOB_PACKED = 1, BLOB_SALTED = 2 };

/* What is bound to a statement, in order. */
struct param {
	const void *p; /* NULL: the number, or with n = SIZE_MAX nothing */
	size_t n;
	int64_t number;
	bool text;
};

/* Where items lie, many in one: the caller's thread fills it, and whoever is
 * done with the last item in it gives it back. */
struct slab {
	_Atomic uint32_t users; /* items, and the store while it is filled */
	uint32_t used; /* bytes */
	_Alignas(16) char bytes[];
};

struct item {
	struct item *next;
	struct slab *slab;
	enum statement statement;
	bool joins; /* in the same transaction as the item before */
	uint64_t seq; /* of a record, else 0 */
	struct hash hash; /* of a record */
	size_t bytes;
	uint32_t params;
	struct param param[]; /* what they point to lies behind them */
};

struct store {
	int lock_fd; /* -1: opened for reading */
	bool bulk; /* no thread: the caller writes, all in one transaction */
	bool begun; /* that transaction */
	int event_fd;
	sqlite3 *reader; /* the caller's */
	sqlite3_stmt *kept[READS]; /* of the reader, while nobody uses them */

	/* the caller's thread */
	uint64_t seq;
	struct hash head;
	struct sums sums; /* of open runs */
	struct keep keep;
	char *dir;
	struct hash recent[STORE_RECENT_BLOBS]; /* queued, by their hash */
	struct buf scratch;
	struct slab *slab; /* that is being filled, or NULL */

	/* both */
	pthread_mutex_t lock; /* over this paragraph */
	pthread_cond_t wake; /* of the writer */
	struct item *first, *last;
	size_t queued, queued_bytes;
	int64_t oldest_ns; /* when the queue stopped being empty */
	bool hurry, closing;
	struct err why; /* writing failed, or the disk is full */
	_Atomic uint64_t durable;
	_Atomic bool failed;
	_Atomic bool full; /* the writer tries again and again */

	/* the writer's thread */
	pthread_t thread;
	sqlite3 *db;
	sqlite3_stmt *statement[STATEMENTS];
	struct checkpointer checkpoints;
	bool wal_holds; /* what was removed, until it is cut */
	ZSTD_CCtx *packer;
	struct buf packed;
};

/* A store for reading, over a database that becomes its own. */
struct store *store_over_take(sqlite3 *db);

/* NULL: no memory. Any thread may give an item back, alone or in a chain. */
struct item *item_new(struct store *s, size_t bytes);
void items_free(struct item *first);
void slab_leave(struct slab *slab);

/* Prepares the statements. */
int writer_prepare(struct store *s, struct err *e);
/* Starts the thread. */
int writer_start(struct store *s, struct err *e);
/* Writes what is queued, ends the thread, frees what is the writer's. */
void writer_stop(struct store *s);

/* Ends the transaction of a store that is open in bulk, signed. */
int writer_commit(struct store *s, struct err *e);

/*
 * Puts a chain of items on the queue, all or none; in bulk, writes them. Takes
 * the items over in either case. -1 when the queue is full or writing has
 * failed.
 */
int queue_put_take(struct store *s, struct item *first, struct item *last,
    size_t count, size_t bytes);

/*
 * A record whose bytes are not event_write()'s. store_next() sets what the
 * store sets of it, seq and sum, and those must be in the bytes. Of the rest,
 * run, step, t_ns, kind and tool count.
 */
int store_next(struct store *s, struct event *ev);
int store_append_bytes(
    struct store *s, const struct event *ev, struct str bytes);
/* What records refer to; h is its hash. */
int store_put_blob(struct store *s, const struct hash *h, struct str bytes);
/* Likewise with a salt in front of the bytes. */
int store_put_salted(struct store *s, const struct hash *h, struct str bytes);

#endif
