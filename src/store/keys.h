/*
 * store/keys.h: the keys that a log has been signed with.
 *
 * One after the other, each up to a number of records. That one takes the
 * place of another is said in a note that both have signed (codec/note.h,
 * note_next_write), and that is kept for as long as the log is: so whoever
 * trusts one key can follow to the later ones. A key that was replaced signs
 * nothing beyond the size that its note names.
 */
#ifndef STORE_KEYS_H
#define STORE_KEYS_H

#include <sqlite3.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/json.h"
#include "codec/note.h"
#include "store/store.h"

/* Holds the key that comes next, until the log names it. */
#define NEXT_KEY_FILE "log.key.next"

struct keys {
	struct buf list; /* of struct signer, oldest first */
	struct note_key next; /* that the last change leads to */
};

void keys_fini(struct keys *k);
/*
 * Those of a log. 1; 0 with e: they do not follow from each other; -1 with e:
 * it has none, or cannot be read.
 */
int keys_load(struct keys *k, sqlite3 *db, struct err *e);
/* Likewise, out of what keys_write() wrote, and NULL: `last` is the only one.
 */
int keys_read(struct keys *k, const struct json *list,
    const struct note_key *last, struct err *e);
/* Those of a store. As keys_load. */
int store_keys(struct store *s, struct keys *out, struct err *e);
/* The one that signs a log of that many records. */
const struct note_key *keys_for(const struct keys *k, uint64_t size);
/* Is it one of them? */
bool keys_have(const struct keys *k, const struct note_key *key);
/* How many there are, and each with the records that it may sign. */
size_t keys_count(const struct keys *k);
const struct note_key *keys_at(const struct keys *k, size_t i, uint64_t *until);
/* Appends the changes as an array, oldest first; "[]" when there was none. */
int keys_write(struct buf *out, sqlite3 *db, struct err *e);

/*
 * On opening: ends, or undoes, a change of keys that was interrupted. named:
 * the key that the log has.
 */
int keys_settle(
    const char *dir, const char *name, const struct hash *named, struct err *e);

#endif
