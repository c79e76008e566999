/*
 * core/schema_int.h: a compiled schema, as its files share it.
 */
#ifndef CORE_SCHEMA_INT_H
#define CORE_SCHEMA_INT_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "core/schema.h"

/* Of "type": "integer" is a number without a fraction. */
enum {
	TYPE_NULL = 1,
	TYPE_BOOLEAN = 2,
	TYPE_NUMBER = 4,
	TYPE_INTEGER = 8,
	TYPE_STRING = 16,
	TYPE_ARRAY = 32,
	TYPE_OBJECT = 64,
};

enum {
	HAS_MAXIMUM = 1,
	HAS_MINIMUM = 2,
	HAS_OVER = 4, /* exclusiveMinimum */
	HAS_UNDER = 8, /* exclusiveMaximum */
	HAS_MULTIPLE = 16,
	HAS_CONTAINS_MAX = 32,
	UNIQUE_ITEMS = 64,
	NEVER = 128, /* the schema `false` */
};

struct node;

/* A list of subschemas, or of named ones. */
struct branch {
	struct str name; /* of a property; else "" */
	pcre2_code *pattern; /* of patternProperties */
	struct node *node;
};

struct branches {
	const struct branch *p;
	uint32_t n;
};

/* dependentRequired: when name is there, so must these be. */
struct needs {
	struct str name;
	const struct json *list;
};

/* One schema. Pointers are NULL and counts 0 or UINT64_MAX when not given. */
struct node {
	const struct json *at;
	struct node *next; /* all of them, to free their patterns */
	bool read; /* its keywords are in the members below */
	uint32_t types; /* 0: any */
	uint32_t flags;
	double maximum, minimum, under, over, multiple;
	uint64_t max_length, min_length, max_items, min_items;
	uint64_t max_contains, min_contains, max_properties, min_properties;
	pcre2_code *pattern;
	const struct json *choices; /* enum */
	const struct json *constant;
	const struct json *required;
	const struct needs *needs;
	uint32_t n_needs;
	struct node *ref, *not_, *if_, *then_, *else_, *items, *contains;
	struct node *additional, *names, *other_items, *other_properties;
	struct branches all_of, any_of, one_of, prefix, properties;
	struct branches patterns, dependent;
};

struct schema {
	const struct json *doc;
	struct arena arena;
	struct node *root, *nodes;
	struct node **by_place; /* doc->skip of them: the node of a value */
	bool tracks; /* some schema asks what others have looked at */
	pcre2_match_data *match;
	pcre2_match_context *limits;
	struct buf scratch; /* flags of members and items looked at */
};

/* schema_pattern.c: NULL with *why. The caller frees the result. */
pcre2_code *schema_pattern(struct str text, const char **why);
/* What matching needs, with the limits of base/limits.h: 0, or -1. */
int schema_matcher(pcre2_match_data **match, pcre2_match_context **limits);
/* 1, 0, or -1 when it takes too long. text is UTF-8. */
int schema_pattern_match(const pcre2_code *pattern, pcre2_match_data *match,
    pcre2_match_context *limits, struct str text);

#endif
