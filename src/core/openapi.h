/*
 * core/openapi.h: an OpenAPI document (3.0 or 3.1) as tools: each operation is
 * one, with a JSON Schema of its arguments, and a call of it is one request.
 *
 * An argument is a parameter, under its name, or `body`. What cannot be put
 * into a request in exactly one way is refused when the document is read:
 * cookies, forms with files, objects whose members would become parameters,
 * styles that nobody writes. References lead within the document only, through
 * a bounded number of others.
 *
 * Values never change what a request is: a path has the segments that its
 * template has, a query the names that the document has, a head the fields.
 * Whatever could mean something to a reader of URLs is escaped, and what could
 * still be read in two ways ("..", an escaped slash) is no request.
 *
 * Pure, and all that is read lies in the caller's arena.
 */
#ifndef CORE_OPENAPI_H
#define CORE_OPENAPI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "codec/json.h"
#include "core/policy.h"

struct schema;

enum openapi_in { OPENAPI_PATH, OPENAPI_QUERY, OPENAPI_HEADER };

/* How more than one value becomes text. */
enum openapi_style {
	OPENAPI_COMMA, /* a,b */
	OPENAPI_REPEAT, /* n=a&n=b */
	OPENAPI_SPACE, /* a%20b */
	OPENAPI_PIPE, /* a%7Cb */
	OPENAPI_DEEP, /* n[k]=a */
	OPENAPI_JSON, /* the value as JSON */
};

struct openapi_param {
	struct str name;
	enum openapi_in in;
	enum openapi_style style;
	bool required;
	const struct json *schema; /* or NULL: any */
	struct str description;
};

enum openapi_body {
	OPENAPI_NO_BODY,
	OPENAPI_BODY_JSON,
	OPENAPI_BODY_FORM,
	OPENAPI_BODY_TEXT
};

struct openapi_op {
	struct str name; /* of the tool: its operationId, or made of the rest */
	struct str method; /* "GET" */
	struct str path; /* "/tickets/{id}" */
	struct str description;
	uint32_t n_params;
	struct openapi_param *params;
	enum openapi_body body;
	struct str body_type; /* "application/json" */
	bool body_required;
	const struct json *body_schema; /* or NULL: any */
	enum risk risk; /* what the method says that it can do */
	struct str input; /* openapi_input of it, and that compiled: kept by */
	struct schema *schema; /* a policy that it is part of, else not there */
};

/* One that is no tool, and why. */
struct openapi_refused {
	struct str name;
	const char *why;
};

struct openapi {
	const struct json *doc;
	bool is_30; /* schemas are those of 3.0 */
	uint32_t n_ops, n_refused;
	struct openapi_op *ops;
	struct openapi_refused *refused;
};

/*
 * Reads doc, which has to outlive the result. -1 with e: it is no such
 * document, or has more operations than OPENAPI_OPS_MAX.
 */
int openapi_read(struct openapi *out, const struct json *doc, struct arena *a,
    struct err *e);
const struct openapi_op *openapi_find(
    const struct openapi *api, struct str name);

/*
 * openapi_schema.c. Appends the JSON Schema (2020-12) of its arguments. -1:
 * a reference leads elsewhere, or it is too deep; out is of no use.
 */
int openapi_input(
    struct buf *out, const struct openapi *api, const struct openapi_op *op);

/* openapi_write.c */
struct openapi_request {
	struct buf target; /* path and query */
	struct buf fields; /* lines of the head, each with its end */
	struct buf body;
};

void openapi_request_fini(struct openapi_request *q);
/*
 * base is the path that all others are behind: "/", "/v1". -1 with e: these
 * arguments make no request, and e says which one is to blame.
 */
int openapi_write(struct openapi_request *out, const struct openapi_op *op,
    struct str base, const struct json *args, struct err *e);

#endif
