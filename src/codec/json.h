/*
 * codec/json.h: strict JSON (RFC 8259) in, canonical JSON (RFC 8785) out.
 *
 * A document is parsed once into a tape: an array of nodes in document order,
 * a container followed by what it holds. Refused: anything RFC 8259 does not
 * allow, invalid UTF-8, lone surrogates, duplicate keys, numbers outside the
 * range of a double (too large, or so small that they would become 0),
 * integers beyond +-(2^53 - 1) (RFC 7493: they would change on the way), and
 * whatever is over the limits. "Integer" is meant by value: 1e20 is one, since
 * the canonical form writes it with its 21 digits. From 1e21 on the canonical
 * form has an exponent. So the canonical form of what was accepted is always
 * accepted again, apart from its size: 1e15 becomes 16 digits.
 *
 * Pure: no I/O, no clock. All memory comes from the caller's arena.
 */
#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum json_type {
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

/*
 * One value. Nodes of one document lie in one array; a container's contents
 * follow it directly: elements, or key (a JSON_STRING) and value by turns.
 */
struct json {
	uint8_t type; /* enum json_type */
	uint32_t n; /* string: bytes; array: elements; object: members */
	uint32_t skip; /* nodes this value takes: v + v->skip is behind it */
	uint32_t at; /* byte in the text where the value starts */
	union {
		double num;
		const char *str; /* unescaped, in the arena or the text */
	};
};

struct json_limits {
	size_t max_bytes; /* of the text */
	uint32_t max_depth; /* open containers; never over JSON_MAX_DEPTH */
	uint32_t max_values; /* nodes of the tape: a key is one too */
	uint32_t max_members; /* of one object */
};

/* The limits of base/limits.h. */
extern const struct json_limits json_default_limits;

/*
 * Parses text, which must outlive the result. NULL with e filled in: the text
 * names line and column, what is wrong and, where it helps, the remedy.
 * limits may be NULL. On return of NULL, *bad (if not NULL) is the byte.
 */
const struct json *json_parse(struct str text, const struct json_limits *limits,
    struct arena *a, struct err *e, size_t *bad);

/* The member of an object, or NULL (also when v is NULL or no object). */
const struct json *json_get(const struct json *v, struct str key);
/* As json_get, over a path of keys: json_at(v, "params", "name", NULL). */
const struct json *json_at(const struct json *v, ...) __attribute__((sentinel));

/*
 * Walks elements or members:
 *     for (const struct json *x = json_first(v); x; x = json_next(v, x))
 * In an object x is the key and json_value(x) its value.
 */
const struct json *json_first(const struct json *container);
const struct json *json_next(
    const struct json *container, const struct json *x);
const struct json *json_value(const struct json *key);

bool json_is(const struct json *v, enum json_type type); /* v may be NULL */
bool json_bool(const struct json *v, bool otherwise);
struct str json_str(const struct json *v); /* "" when not a string */
/* A whole number in 0 .. 2^53-1. Returns 0, or -1 when v is not one. */
int json_u64(const struct json *v, uint64_t *out);
/* Same value, whatever the order of members. */
bool json_equal(const struct json *a, const struct json *b);
const char *json_type_name(enum json_type type); /* "an object" */
/*
 * The keys of an object in the order of RFC 8785: order has room for
 * object->n entries, each becomes the distance in nodes from object to a key.
 */
void json_sort(const struct json *object, uint32_t *order);

/* Line and column (from 1) of a byte of the text. */
void json_place(struct str text, size_t at, uint32_t *line, uint32_t *column);

/*
 * Appends v as RFC 8785: members sorted by UTF-16 code units, numbers as
 * ECMAScript writes them, no white space. b->failed tells of memory.
 */
void json_write(struct buf *b, const struct json *v);
/* Appends v indented by two spaces, members in the order of the text. */
void json_write_pretty(struct buf *b, const struct json *v);

/*
 * Pieces for writing a document by hand. json_put_str appends "..." escaped;
 * s must be UTF-8, bytes that are not become U+FFFD.
 */
void json_put_str(struct buf *b, struct str s);
void json_put_num(struct buf *b, double v); /* finite; ECMAScript's form */

#endif
