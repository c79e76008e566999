/*
 * core/schema.h: JSON Schema 2020-12 for the arguments of tools.
 *
 * A schema is compiled once and then checks values without allocating more
 * than a bounded scratch. All assertions and applicators of the specification
 * are there; references are local ("#", "#/$defs/x", "#anchor"). `format` and
 * the content keywords are annotations, as the specification has it by
 * default. Keywords that it does not know, and those that would need other
 * documents ($dynamicRef, $vocabulary), are refused: a rule that silently does
 * nothing is worse than none.
 *
 * Sources: json-schema.org/draft/2020-12 json-schema-core, -validation.
 * A pattern is an ECMA-262 expression with the u flag, as far as PCRE2 means
 * the same by it; what it would read differently is refused. Matching is
 * bounded, as is all else: a value whose check takes too long is no valid one.
 *
 * Pure: no I/O, no clock.
 */
#ifndef CORE_SCHEMA_H
#define CORE_SCHEMA_H

#include "base/arena.h"
#include "base/buf.h"
#include "codec/json.h"

struct schema;

/* What is wrong with a schema, and where. */
struct schema_fault {
	const struct json *at; /* a value of the document */
	char text[200]; /* with the remedy */
};

/*
 * Compiles doc, which must outlive the result. NULL with fault filled in.
 */
struct schema *schema_new(const struct json *doc, struct schema_fault *fault);
void schema_free(struct schema *s); /* s may be NULL */

enum schema_result {
	SCHEMA_VALID,
	SCHEMA_INVALID,
	SCHEMA_TOO_COSTLY, /* over a limit of base/limits.h: treat as invalid */
};

/* The first thing found wrong. */
struct schema_report {
	char path[160]; /* of the value: "$.amount", "$.lines[3]" */
	char text[200]; /* "must be at most 500" */
};

/*
 * Checks a value. out may be NULL. Not for two threads at once: scratch memory
 * belongs to s.
 */
enum schema_result schema_check(
    struct schema *s, const struct json *v, struct schema_report *out);

#endif
