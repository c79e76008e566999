/*
 * tools/definition.h: what a server says its tools are, and in the same way
 * its resources, their templates, and its prompts.
 *
 * Pure. A definition becomes the canonical form of the members that mean
 * something here: name, description, inputSchema, outputSchema, annotations.
 * Others, such as a title or an icon, would be shown to a model without being
 * part of what was reviewed, so they are left out. A "$ref" is passed on as
 * text and never fetched.
 */
#ifndef TOOLS_DEFINITION_H
#define TOOLS_DEFINITION_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "codec/json.h"

enum definition_kind {
	DEFINITION_TOOL,
	DEFINITION_RESOURCE,
	DEFINITION_TEMPLATE,
	DEFINITION_PROMPT,
	DEFINITION_KINDS,
};

struct definition {
	struct buf name; /* of a resource its URI, of a template that */
	struct buf json; /* canonical */
};

struct definitions {
	enum definition_kind kind; /* the owner's to set */
	bool mirrored; /* likewise: arguments go into heads: http_fields.h */
	struct definition *v; /* in the order of their names */
	size_t n;
	size_t bytes; /* of all */
	struct buf refused; /* {"name","why"},... */
	size_t n_refused;
};

void definitions_fini(struct definitions *d);
/* Empty again. */
void definitions_reset(struct definitions *d);
/*
 * Adds those of one page of tools/list, or another list. What cannot be offered
 * is put on the list of the refused. -1 with e: this is no list, or there are
 * too many.
 */
int definitions_add(
    struct definitions *d, const struct json *list, struct err *e);
/* Appends "tools":[...], or as the kind is called. */
void definitions_write(struct buf *out, const struct definitions *d);
/* The member of a result that the list is: "tools". */
const char *definitions_member(const struct definitions *d);

/* The one of this name, or NULL. */
const struct definition *definitions_find(
    const struct definitions *d, struct str name);

/* ^[A-Za-z0-9_.-]{1,128}$ */
bool definition_name_ok(struct str name);

#endif
