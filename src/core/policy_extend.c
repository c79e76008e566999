/*
 * "extends": the parts of a policy, from the document itself to the bases of
 * its bases. An entry is a document that stands there whole, or the name of
 * one that the caller brings; in the canonical form all stand there whole, so
 * that the policy version covers every part.
 *
 * A base is a policy as it stands, its defaults included. What a document that
 * extends one does not write, it does not say: then its bases speak alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/policy_int.h"

static void add_bases(struct reader *r, struct policy_parts *x, uint32_t up,
    struct policy_bases *bases);
static bool add_one(struct reader *r, struct policy_parts *x, uint32_t up,
    const struct spot *entry, struct policy_bases *bases);
static struct policy_part *part_new(struct reader *r, struct policy_parts *x,
    uint32_t up, const struct spot *entry);
static bool part_read(struct reader *r, struct policy_parts *x,
    struct policy_part *part, const struct spot *entry,
    struct policy_bases *bases);
static const struct policy_base *base_find(
    const struct policy_bases *bases, struct str name);
static bool is_cycle(
    const struct policy_parts *x, uint32_t up, struct str name);
static void bubble(struct reader *r, struct policy_parts *x,
    const struct policy_part *part, struct str name);
static void seal(struct reader *r, const struct policy_parts *x);

void
policy_extend(
    struct reader *r, const struct spot *root, struct policy_bases *bases)
{
	struct policy_parts *x = calloc(1, sizeof(*x));
	struct policy *whole = calloc(1, sizeof(*whole));

	if (x == NULL || whole == NULL) {
		r->p->arena.failed = true;
		free(x);
		free(whole);
		return;
	}
	whole->arena.max_bytes = POLICY_ARENA_BYTES;
	x->part[0] = (struct policy_part){ .r = *r, .root = *root };
	x->n = 1;
	/* Whatever becomes of it, one owner frees them all. */
	r->p = whole;
	for (uint32_t i = 0; i < x->n && r->problems->n == 0; i++)
		add_bases(r, x, i, bases);

	struct policy **parts =
	    arena_alloc(&whole->arena, x->n * sizeof(struct policy *));

	if (parts == NULL) {
		for (uint32_t i = 0; i < x->n; i++)
			policy_free(x->part[i].r.p);
		free(x);
		return;
	}
	for (uint32_t i = 0; i < x->n; i++) {
		parts[i] = x->part[i].r.p;
		whole->arena.failed |= parts[i]->arena.failed;
	}
	whole->parts = parts;
	whole->n_parts = x->n;
	if (r->problems->n == 0 && !whole->arena.failed)
		policy_tighten(x);
	if (r->problems->n == 0 && !whole->arena.failed)
		policy_merge(r, x);
	if (r->problems->n == 0 && !whole->arena.failed)
		seal(r, x);
	free(x);
}

static void
add_bases(struct reader *r, struct policy_parts *x, uint32_t up,
    struct policy_bases *bases)
{
	struct policy_part *part = &x->part[up];
	uint32_t n = 0;

	policy_index(part->r.p);
	if (!read_member(&part->root, "extends", &part->list))
		return;
	part->extends = true;
	if (!read_array(&part->r, &part->list)) {
		bubble(r, x, part, part->r.p->name);
		return;
	}
	for (const struct json *v = json_first(part->list.v); v != NULL;
	     v = json_next(part->list.v, v), n++) {
		struct spot entry = { .up = &part->list, .v = v, .index = n };

		if (!add_one(r, x, up, &entry, bases))
			return;
	}
	if (n == 0) {
		problem(&part->r, &part->list,
		    "is empty; name a policy, such as \"base@3\", or leave it "
		    "out");
		bubble(r, x, part, part->r.p->name);
	}
}

/* False when something is wrong with it, which is noted. */
static bool
add_one(struct reader *r, struct policy_parts *x, uint32_t up,
    const struct spot *entry, struct policy_bases *bases)
{
	struct policy_part *from = &x->part[up], *part;
	struct str name = json_str(entry->v);
	char shown[SHOWN_BYTES];

	if (json_is(entry->v, JSON_STRING) &&
	    (entry_fault(ENTRY_NAME, name) != NULL || name.p[0] == '.' ||
		str_find(name, '/') < name.n)) {
		value_show(entry->v, shown);
		problem(&from->r, entry,
		    "must be the workflow and the version of a policy, such as "
		    "\"base@3\", not %s",
		    shown);
	} else if (is_cycle(x, up, name)) {
		problem(&from->r, entry,
		    "extends itself: \"%.*s\" is what this stands in; remove "
		    "one of the two",
		    STR_FMT(name));
	} else if (x->n == POLICY_PARTS_MAX) {
		problem(&from->r, entry,
		    "is the %u. base of this policy; at most %d are allowed",
		    x->n, POLICY_PARTS_MAX - 1);
	} else if (from->depth == POLICY_EXTENDS_DEPTH) {
		problem(&from->r, entry,
		    "lies deeper than %d bases; extend fewer",
		    POLICY_EXTENDS_DEPTH);
	} else {
		part = part_new(r, x, up, entry);
		if (part == NULL)
			return false;
		return part_read(r, x, part, entry, bases);
	}
	bubble(r, x, from, from->r.p->name);
	return false;
}

static struct policy_part *
part_new(struct reader *r, struct policy_parts *x, uint32_t up,
    const struct spot *entry)
{
	const struct policy_part *from = &x->part[up];
	struct policy *p = calloc(1, sizeof(*p));
	struct spot *kept = arena_alloc(&r->p->arena, sizeof(*kept));
	struct policy_part *part = &x->part[x->n];

	if (p == NULL || kept == NULL) {
		r->p->arena.failed = true;
		free(p);
		return NULL;
	}
	p->arena.max_bytes = POLICY_ARENA_BYTES;
	*kept = *entry;
	*part = (struct policy_part){
		.r = from->r,
		.root = *entry,
		.at = up == 0 ? kept : from->at,
		.up = up,
		.depth = from->depth + 1,
	};
	part->r.p = p;
	part->r.base = true;
	x->n++;
	return part;
}

static bool
part_read(struct reader *r, struct policy_parts *x, struct policy_part *part,
    const struct spot *entry, struct policy_bases *bases)
{
	struct str name = json_str(entry->v);
	bool named = json_is(entry->v, JSON_STRING);
	const struct policy_base *base = named ? base_find(bases, name) : NULL;
	char full[2 * NAME_MAX_BYTES + 2];
	struct policy *p = part->r.p;

	if (named && base == NULL) {
		if (bases != NULL && bases->wanted[0] == '\0')
			(void)str_copy(
			    name, bases->wanted, sizeof(bases->wanted));
		problem(r, part->at, "\"%.*s\" is not here%s", STR_FMT(name),
		    bases == NULL
			? "; put the whole document in its place, as the "
			  "command line does with the file of that name"
			: "");
		return false;
	}
	if (named) {
		x->problems.n = 0;
		part->r.problems = &x->problems;
		part->r.text = (struct policy_text){ .given = base->text };
		part->root = (struct spot){};
		if (policy_load(&part->r, base->format, &part->root) < 0 ||
		    policy_files(&part->r, &part->root, bases) < 0) {
			r->p->arena.failed |= p->arena.failed;
			bubble(r, x, part, name);
			return false;
		}
	}
	policy_parse(&part->r, &part->root);
	(void)snprintf(full, sizeof(full), "%.*s", STR_FMT(p->name));
	if (part->r.problems->n == 0 && p->short_form)
		problem(&part->r, &part->root,
		    "is in short form, which cannot be extended: add "
		    "\"policy\": 1");
	if (part->r.problems->n == 0 && named && !str_eq(name, p->name) &&
	    !(str_eq_c(p->version_name, "0") && str_eq(name, p->workflow)))
		problem(&part->r, &part->root,
		    "is \"%s\", and not what it was called by", full);
	bubble(r, x, part, named ? name : p->name);
	return r->problems->n == 0;
}

static const struct policy_base *
base_find(const struct policy_bases *bases, struct str name)
{
	for (uint32_t i = 0; bases != NULL && i < bases->n; i++) {
		if (str_eq_c(name, bases->item[i].name))
			return &bases->item[i];
	}
	return NULL;
}

/* A name cannot be that of a document which it stands in. */
static bool
is_cycle(const struct policy_parts *x, uint32_t up, struct str name)
{
	for (uint32_t i = up; name.n > 0; i = x->part[i].up) {
		const struct policy *p = x->part[i].r.p;
		struct str version = p->version_name;

		if (str_eq(name, p->name))
			return true;
		/* The whole has no name of its own. */
		if (i == 0)
			return str_starts(name, p->workflow) &&
			    name.n == p->workflow.n + 1 + version.n &&
			    name.p[p->workflow.n] == '@' &&
			    str_ends(name, version);
	}
	return false;
}

/* What is wrong in a text of its own is told where the whole names it. */
static void
bubble(struct reader *r, struct policy_parts *x, const struct policy_part *part,
    struct str name)
{
	const struct policy_problem *one = &x->problems.item[0];

	if (part->r.problems != &x->problems || x->problems.n == 0)
		return;
	problem(r, part->at, "%.*s:%u:%u: %s%s%s", STR_FMT(name), one->line,
	    one->column, one->path, one->path[0] != '\0' ? ": " : "",
	    one->text);
	x->problems.n = 0;
}

/* The bases of a part stand behind it in the list: they are written first. */
static void
seal(struct reader *r, const struct policy_parts *x)
{
	struct policy *whole = r->p;
	struct buf texts[POLICY_PARTS_MAX] = {};
	const struct json *document;
	struct err e = {};

	for (uint32_t i = x->n; i-- > 0;) {
		const struct json *v = x->part[i].root.v;
		bool first = true;

		texts[i].max = POLICY_ARENA_BYTES;
		buf_add_byte(&texts[i], '{');
		for (const struct json *key = json_first(v); key != NULL;
		     key = json_next(v, key)) {
			bool bases = str_eq_c(json_str(key), "extends");

			buf_add_c(&texts[i], first ? "" : ",");
			first = false;
			json_put_str(&texts[i], json_str(key));
			buf_add_byte(&texts[i], ':');
			if (!bases) {
				json_write(&texts[i], json_value(key));
				continue;
			}
			buf_add_byte(&texts[i], '[');
			for (uint32_t k = i + 1, n = 0; k < x->n; k++) {
				if (x->part[k].up != i)
					continue;
				buf_add_c(&texts[i], n++ > 0 ? "," : "");
				buf_add_str(&texts[i], buf_str(&texts[k]));
			}
			buf_add_byte(&texts[i], ']');
		}
		buf_add_byte(&texts[i], '}');
		whole->arena.failed |= texts[i].failed;
	}
	if (!whole->arena.failed && texts[0].n > POLICY_MAX_BYTES)
		problem(r, &x->part[0].root,
		    "has %zu bytes with what it extends; at most %d are "
		    "allowed",
		    texts[0].n, POLICY_MAX_BYTES);
	else if (!whole->arena.failed) {
		document = json_parse(buf_str(&texts[0]), &policy_json_limits,
		    &whole->arena, &e, NULL);
		if (document != NULL)
			policy_seal(whole, document);
		else
			problem(r, &x->part[0].root, "%s", e.text);
	}
	for (uint32_t i = 0; i < x->n; i++)
		buf_fini(&texts[i]);
}
