/*
 * broker/pin_int.h: what the sources of pin.h share.
 *
 *     pin.c      the index, and what runs see
 *     pin_api.c  what people see and decide
 */
#ifndef BROKER_PIN_INT_H
#define BROKER_PIN_INT_H

#include "base/buf.h"
#include "base/limits.h"
#include "broker/pin.h"
#include "store/store.h"

/* A definition: its text is in the store's slot of the same number. */
struct pin_said {
	bool any;
	struct hash hash;
	int64_t seen_ns; /* UTC */
	uint64_t run; /* that saw it */
	char by[NAME_MAX_BYTES]; /* who accepted, or rejected it; "": nobody */
};

struct pin {
	struct pin *next; /* of the bucket */
	struct hash key;
	uint64_t id;
	char text[ID_BYTES];
	char tenant[NAME_MAX_BYTES];
	char server[SERVER_NAME_BYTES + 1];
	char tool[NAME_MAX_BYTES + 1];
	struct pin_said said[PIN_SLOTS];
	uint64_t decisions; /* so far */
};

struct pin *pin_find(const struct hash *key);
struct pin *pin_find_id(uint64_t id);
/* Calls on() for each, in no order, until it returns false. */
void pin_each(bool (*on)(void *arg, struct pin *p), void *arg);
/* Out of the index; the store is the caller's. */
void pin_free(struct pin *p);

/* "first_seen", "approved", "changed", "rejected" */
const char *pin_state(const struct pin *p);
/* Its row; texts, where they are there, are put in: definitions, canonical. */
void pin_write(struct buf *out, const struct pin *p,
    const struct str text[static PIN_SLOTS]);
/* Fills in key and body, and queues it all. -1: the store takes no more. */
int pin_store(const struct pin *p, struct store_pin *row);

#endif
