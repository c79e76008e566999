/*
 * world/shape.h: what an object must look like: the members of a tool's
 * arguments, or of a row in a world document.
 *
 * One table of fields says it once. shape_check holds an object against the
 * table, and shape_schema writes the same table as JSON Schema 2020-12, so
 * what a tool declares is what it enforces. Pure.
 */
#ifndef WORLD_SHAPE_H
#define WORLD_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/json.h"

enum shape_kind {
	SHAPE_LINE, /* text without control characters, 1 to max characters */
	SHAPE_TEXT, /* any text, 1 to max characters */
	SHAPE_EMAIL, /* an address; RFC 5321 without quoting or literals */
	SHAPE_MONEY, /* over zero, at most two decimals */
	SHAPE_BALANCE, /* as money, of either sign */
	SHAPE_COUNT, /* a whole number from 1 to max */
	SHAPE_TIME, /* "2026-03-02T09:00:00Z" */
	SHAPE_CHOICE, /* one of the words in choices */
	SHAPE_FLAG, /* true or false */
	SHAPE_ROWS, /* an array of at most max objects, checked by the caller */
};

struct shape_field {
	const char *name;
	enum shape_kind kind;
	bool required;
	bool nullable; /* null counts as left out */
	uint32_t max;
	const char *choices; /* "open|pending|closed" */
	const char *about; /* for people and models; tool arguments only */
};

/* Fields lie in the order of their names: the schema needs them so. */
struct shape {
	const struct shape_field *fields;
	size_t n;
	bool any; /* at least one member must be there */
};

/*
 * Checks v against s. Returns 0, or -1 with the place and the remedy:
 * "customers[3].email: ...". path is "" for the outermost object.
 */
int shape_check(const struct shape *s, const struct json *v, const char *path,
    struct err *e);

/* Appends the JSON Schema of s as canonical JSON. */
void shape_schema(const struct shape *s, struct buf *out);

/* The amount in cents of a value that was checked as money or balance. */
int64_t shape_cents(const struct json *v);

#endif
