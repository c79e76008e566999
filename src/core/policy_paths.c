/*
 * "paths" of a tool: which files its calls may name, as patterns.
 *
 *     "files.*": { "risk": "read",
 *                  "paths": { "at": ["$.path"], "read": ["/workspace/a*"],
 *                             "write": ["/workspace/out.txt"] } }
 *
 * `read` holds for rows of risk `read`, `write` for all others. A row without
 * `paths` has those of the longest pattern that stands for it, too, so that the
 * row of a tool that writes cannot forget them. The names in the arguments are
 * judged, as they are written; what a name leads to is for whoever opens it.
 */
#include <string.h>

#include "base/limits.h"
#include "core/egress.h"
#include "core/json_path.h"
#include "core/policy_int.h"

struct policy_paths {
	struct list at, read, write;
};

/* Where tools that work on files have them. */
static const struct str usual_at[] = { { "$.path", 6 }, { "$.paths[*]", 10 },
	{ "$.source", 8 }, { "$.destination", 13 } };

struct looking {
	const struct list *may;
	uint32_t n;
	const char *why;
};

static bool same_list(const struct list *a, const struct list *b);
static void on_value(void *arg, const struct json *v);
static bool is_plain(struct str path);
static bool matches(const struct list *may, struct str path);

void
policy_parse_paths(
    struct reader *r, const struct spot *tool, struct policy_tool *t)
{
	static const char *const known[] = { "at", "read", "write", NULL };
	static const char *const later[] = { NULL };
	struct policy_paths *p;
	struct spot at;

	if (!read_member(tool, "paths", &at) || !read_object(r, &at))
		return;
	read_known(r, &at, known, later, NOT_YET);
	p = arena_alloc(&r->p->arena, sizeof(*p));
	if (p == NULL)
		return;
	*p = (struct policy_paths){
		.at = { usual_at, sizeof(usual_at) / sizeof(usual_at[0]) }
	};
	(void)read_list(r, &at, "at", ENTRY_PATH, POLICY_LIST_MAX, &p->at);
	(void)read_list(
	    r, &at, "read", ENTRY_URL_PATH, POLICY_LIST_MAX, &p->read);
	(void)read_list(
	    r, &at, "write", ENTRY_URL_PATH, POLICY_LIST_MAX, &p->write);
	if (json_get(at.v, STR("read")) == NULL &&
	    json_get(at.v, STR("write")) == NULL)
		read_missing(r, &at, "read", "patterns of paths");
	t->paths = p;
}

void
policy_paths_inherit(struct policy *p, struct policy_tool *rows)
{
	for (uint32_t i = 0; i < p->n_tools; i++) {
		struct policy_tool *t = &rows[i];
		const struct policy_tool *from = NULL;

		if (t->paths != NULL)
			continue;
		for (uint32_t k = 0; k < p->n_tools; k++) {
			const struct policy_tool *o = &rows[k];

			if (o->paths != NULL && o != t &&
			    o->name.n > (from != NULL ? from->name.n : 0) &&
			    str_find(o->name, '*') < o->name.n &&
			    str_glob(o->name, t->name) &&
			    json_get(o->json, STR("paths")) != NULL)
				from = o;
		}
		if (from != NULL)
			t->paths = from->paths;
	}
}

const char *
policy_paths_decide(const struct policy_tool *t, const struct json *args)
{
	const struct policy_paths *p = t->paths;
	struct looking l = {};

	if (p == NULL || args == NULL)
		return NULL;
	l.may = t->risk == RISK_READ ? &p->read : &p->write;
	for (uint32_t i = 0; i < p->at.n && l.why == NULL; i++) {
		struct json_path path;

		if (json_path_parse(p->at.p[i], &path) < 0)
			return "an argument that cannot be looked for";
		json_path_each(args, &path, on_value, &l);
	}
	if (l.why == NULL && l.n == 0)
		return "no argument that is a path";
	return l.why;
}

bool
policy_paths_same(const struct policy_paths *a, const struct policy_paths *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return same_list(&a->at, &b->at) && same_list(&a->read, &b->read) &&
	    same_list(&a->write, &b->write);
}

static bool
same_list(const struct list *a, const struct list *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		if (!str_eq(a->p[i], b->p[i]))
			return false;
	}
	return true;
}

static void
on_value(void *arg, const struct json *v)
{
	struct looking *l = arg;
	struct str path = json_str(v);

	l->n++;
	if (l->why != NULL)
		return;
	if (!json_is(v, JSON_STRING))
		l->why = "a path that is no text";
	else if (!is_plain(path))
		l->why = "a path that is not absolute, or has empty parts, "
			 ". or ..";
	else if (!matches(l->may, path))
		l->why = "a path that is not listed";
}

/* Says where it is by itself, and by one way only. */
static bool
is_plain(struct str path)
{
	if (path.n == 0 || path.n >= POLICY_PATH_BYTES || path.p[0] != '/')
		return false;
	for (size_t i = 0; i < path.n;) {
		struct str part = { path.p + i + 1, 0 };

		while (i + 1 + part.n < path.n && part.p[part.n] != '/') {
			if ((unsigned char)part.p[part.n] < 0x20)
				return false;
			part.n++;
		}
		i += 1 + part.n;
		/* One slash at the end is a folder's. */
		if ((part.n == 0 && i < path.n) || str_eq_c(part, ".") ||
		    str_eq_c(part, ".."))
			return false;
	}
	return true;
}

/* A folder is in what is listed below it. */
static bool
matches(const struct list *may, struct str path)
{
	char folder[POLICY_PATH_BYTES + 1];

	memcpy(folder, path.p, path.n);
	folder[path.n] = '/';
	for (uint32_t i = 0; i < may->n; i++) {
		if (egress_path_match(may->p[i], path) ||
		    egress_path_match(
			may->p[i], (struct str){ folder, path.n + 1 }))
			return true;
	}
	return false;
}
