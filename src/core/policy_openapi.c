/*
 * "openapi" of a server: its tools are the operations of a document, and each
 * call is a request to its `url`. In a policy as it is decided by, the document
 * stands there whole; beside the file of the policy it may be a file of its
 * own, which the command line puts in the place of its name.
 */
#include <string.h>

#include "base/limits.h"
#include "core/openapi.h"
#include "core/policy_int.h"

static const struct json *file_wanted(
    const struct spot *root, struct spot *servers, struct spot *server);
static const struct json *graft(struct reader *r, const struct json *root,
    const struct json *at, const struct json *with);
static bool name_ok(struct str s);
static void compile_op(struct reader *r, struct openapi_op *op,
    const struct openapi *api, const char **fault);
static void set_rule(
    struct reader *r, const struct openapi *api, struct policy_server *out);
static const struct openapi_op *op_of(
    const struct policy_server *s, struct str tool);
static bool has_own_row(const struct policy *p, const struct policy_server *s,
    const struct openapi_op *op);
static bool matches(const struct policy_server *s, struct str pattern,
    const struct openapi_op *op);

int
policy_files(struct reader *r, struct spot *root, struct policy_bases *bases)
{
	struct spot servers, server;
	const struct json *at;

	while ((at = file_wanted(root, &servers, &server)) != NULL) {
		struct spot s = {
			.up = &server, .v = at, .key = STR("openapi")
		};
		static struct policy_problems found; /* 27 KiB, one at a time */
		struct reader sub = { .p = r->p, .problems = &found };
		const struct policy_base *file = NULL;
		struct str name = json_str(at);
		struct spot doc = {};

		if (!name_ok(name)) {
			problem(r, &s,
			    "must be the document, or the name of a file "
			    "beside this one: letters, digits, '.', '_' and "
			    "'-'");
			return -1;
		}
		for (uint32_t i = 0; bases != NULL && i < bases->n; i++) {
			if (str_eq_c(name, bases->item[i].name))
				file = &bases->item[i];
		}
		if (file == NULL) {
			if (bases != NULL && bases->wanted[0] == '\0') {
				(void)str_copy(
				    name, bases->wanted, sizeof(bases->wanted));
				bases->wants_file = true;
			}
			problem(r, &s, "\"%.*s\" is not here%s", STR_FMT(name),
			    bases == NULL ? "; put the whole document in its "
					    "place, as the command line does"
					  : "");
			return -1;
		}
		found.n = 0;
		sub.text.given = file->text;
		if (policy_load(&sub, file->format, &doc) < 0) {
			problem(r, &s, "%.*s:%u:%u: %s", STR_FMT(name),
			    found.item[0].line, found.item[0].column,
			    found.item[0].text);
			return -1;
		}
		root->v = graft(r, root->v, at, doc.v);
		if (root->v == NULL)
			return -1;
	}
	return 0;
}

void
policy_parse_openapi(
    struct reader *r, const struct spot *server, struct policy_server *out)
{
	struct openapi *api;
	struct err e = {};
	uint32_t kept = 0;
	struct spot s;

	if (!read_member(server, "openapi", &s))
		return;
	if (out->rule == NULL) {
		if (json_get(server->v, STR("url")) == NULL)
			problem(r, &s,
			    "says what there is at a `url`, which is missing");
		return;
	}
	if (!read_object(r, &s))
		return;
	api = arena_alloc(&r->p->arena, sizeof(*api));
	if (api == NULL)
		return;
	if (openapi_read(api, s.v, &r->p->arena, &e) < 0) {
		problem(r, &s, "%s", e.text);
		return;
	}
	for (uint32_t i = 0; i < api->n_ops; i++) {
		struct openapi_op op = api->ops[i];
		const char *fault = NULL;

		compile_op(r, &op, api, &fault);
		if (fault == NULL)
			api->ops[kept++] = op;
		else
			api->refused[api->n_refused++] =
			    (struct openapi_refused){ op.name, fault };
	}
	api->n_ops = kept;
	out->api = api;
	set_rule(r, api, out);
}

void
policy_openapi_free(struct policy *p)
{
	/* In a policy of parts they are those of its parts. */
	for (uint32_t i = 0; p->n_parts == 0 && i < p->n_servers; i++) {
		const struct openapi *api = p->servers[i].api;

		for (uint32_t k = 0; api != NULL && k < api->n_ops; k++)
			schema_free(api->ops[k].schema);
	}
}

bool
policy_openapi_risk(const struct policy *p, struct str tool, enum risk *out)
{
	const struct openapi_op *op = policy_openapi_find(p, tool, NULL);

	if (op == NULL)
		return false;
	*out = op->risk;
	return true;
}

void
policy_openapi_check(struct reader *r, const struct spot *tools)
{
	const struct policy *p = r->p;

	for (uint32_t i = 0; i < p->n_servers; i++) {
		const struct policy_server *s = &p->servers[i];

		for (uint32_t k = 0; s->api != NULL && k < s->api->n_ops; k++) {
			const struct openapi_op *op = &s->api->ops[k];

			if (has_own_row(p, s, op))
				continue;
			for (uint32_t q = 0; q < p->n_tools; q++) {
				struct str name = p->tools[q].name;
				struct spot row = { .up = tools,
					.v = json_get(tools->v, name),
					.key = name };

				if (p->tools[q].risk < op->risk &&
				    str_find(name, '*') < name.n &&
				    matches(s, name, op))
					problem(r, &row,
					    "is less than what %.*s of %.*s "
					    "can "
					    "do (%.*s is %s); give that a row "
					    "of its own",
					    STR_FMT(op->name), STR_FMT(s->name),
					    STR_FMT(op->method),
					    risk_name(op->risk));
			}
		}
	}
}

const struct openapi_op *
policy_openapi_find(
    const struct policy *p, struct str tool, const struct policy_server **out)
{
	for (uint32_t i = 0; i < p->n_servers; i++) {
		const struct policy_server *s = &p->servers[i];
		const struct openapi_op *op = op_of(s, tool);

		if (op == NULL)
			continue;
		if (out != NULL)
			*out = s;
		return op;
	}
	return NULL;
}

bool
policy_openapi_takes(const struct policy *p, struct str tool,
    const struct json *args, const struct policy_server **out, char *why,
    size_t why_bytes)
{
	const struct openapi_op *op = policy_openapi_find(p, tool, out);
	struct openapi_request q = {};
	struct schema_report report;
	struct err e = {};
	bool good = true;

	if (op == NULL)
		return true;
	if (schema_check(op->schema, args, &report) != SCHEMA_VALID) {
		(void)err_set(
		    &e, "the argument %s %s", report.path, report.text);
		good = false;
	} else {
		good = openapi_write(&q, op, (*out)->path, args, &e) == 0;
		openapi_request_fini(&q);
	}
	if (!good)
		(void)str_copy(
		    (struct str){ e.text, strlen(e.text) }, why, why_bytes);
	return good;
}

/* The first "openapi" that is a text; the spots are on the way to it. */
static const struct json *
file_wanted(const struct spot *root, struct spot *servers, struct spot *server)
{
	if (!read_member(root, "servers", servers))
		return NULL;
	for (const struct json *k = json_is(servers->v, JSON_OBJECT)
		 ? json_first(servers->v)
		 : NULL;
	     k != NULL; k = json_next(servers->v, k)) {
		const struct json *v = json_get(json_value(k), STR("openapi"));

		if (!json_is(v, JSON_STRING))
			continue;
		*server = (struct spot){
			.up = servers, .v = json_value(k), .key = json_str(k)
		};
		return v;
	}
	return NULL;
}

/*
 * The document with `with` in the place of the one node `at`. Nodes lie in one
 * array, so that what holds `at` becomes as much longer. What is wrong with
 * the other document is told at the place of its name.
 */
static const struct json *
graft(struct reader *r, const struct json *root, const struct json *at,
    const struct json *with)
{
	const size_t before = (size_t)(at - root);
	const size_t more = with->skip - 1;
	const size_t all = root->skip + more;
	struct json *tape;

	if (all > POLICY_MAX_VALUES) {
		problem_at(r, at->at,
		    "the document and its files have over %d "
		    "values",
		    POLICY_MAX_VALUES);
		return NULL;
	}
	tape = arena_alloc(&r->p->arena, all * sizeof(*tape));
	if (tape == NULL)
		return NULL;
	memcpy(tape, root, before * sizeof(*tape));
	for (size_t i = 0; i < before; i++) {
		if (i + tape[i].skip > before)
			tape[i].skip += (uint32_t)more;
	}
	memcpy(tape + before, with, with->skip * sizeof(*tape));
	for (size_t i = before; i < before + with->skip; i++)
		tape[i].at = at->at;
	memcpy(tape + before + with->skip, at + 1,
	    (root->skip - before - 1) * sizeof(*tape));
	return tape;
}

/* A file beside this one, and no way to another folder. */
static bool
name_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			(c >= '0' && c <= '9') || c == '.' || c == '_' ||
			c == '-'))
			return false;
	}
	return s.n > 0 && s.n <= NAME_MAX_BYTES && s.p[0] != '.';
}

/* What cannot be checked is no tool. */
static void
compile_op(struct reader *r, struct openapi_op *op, const struct openapi *api,
    const char **fault)
{
	own_buf struct buf text = {};
	struct schema_fault why;
	const struct json *doc;
	struct err e = {};
	const char *copy;

	*fault = "the schema of its arguments leads elsewhere, or is too large";
	if (openapi_input(&text, api, op) < 0)
		return;
	copy = arena_copy(&r->p->arena, buf_str(&text));
	if (copy == NULL)
		return;
	op->input = (struct str){ copy, text.n };
	*fault = "the schema of its arguments cannot be enforced";
	doc = json_parse(op->input, NULL, &r->p->arena, &e, NULL);
	if (doc == NULL)
		return;
	op->schema = schema_new(doc, &why);
	if (op->schema != NULL)
		*fault = NULL;
}

/* Requests below its path, by the methods that the document has. */
static void
set_rule(struct reader *r, const struct openapi *api, struct policy_server *out)
{
	struct egress_rule *rule = arena_alloc(&r->p->arena, sizeof(*rule));
	struct str *paths = arena_alloc(&r->p->arena, sizeof(*paths));
	struct str *methods =
	    arena_alloc(&r->p->arena, api->n_ops * sizeof(*methods));
	struct str base = out->path;
	char *pattern = arena_alloc(&r->p->arena, base.n + 4);
	uint32_t n = 0;

	if (rule == NULL || paths == NULL || methods == NULL || pattern == NULL)
		return;
	while (base.n > 0 && base.p[base.n - 1] == '/')
		base.n--;
	if (base.n > 0)
		memcpy(pattern, base.p, base.n);
	memcpy(pattern + base.n, "/**", sizeof("/**"));
	*paths = (struct str){ pattern, base.n + 3 };
	for (uint32_t i = 0; i < api->n_ops; i++) {
		uint32_t k = 0;

		while (k < n && !str_eq(methods[k], api->ops[i].method))
			k++;
		if (k == n)
			methods[n++] = api->ops[i].method;
	}
	*rule = *out->rule;
	rule->paths = paths;
	rule->n_paths = 1;
	rule->methods = methods;
	rule->n_methods = n;
	rule->query_listed = false;
	rule->n_types = 0;
	out->rule = rule;
}

/* NULL when the tool is none of its. */
static const struct openapi_op *
op_of(const struct policy_server *s, struct str tool)
{
	if (s->api == NULL)
		return NULL;
	if (!s->bare) {
		if (tool.n <= s->name.n + 1 || !str_starts(tool, s->name) ||
		    tool.p[s->name.n] != '.')
			return NULL;
		tool.p += s->name.n + 1;
		tool.n -= s->name.n + 1;
	}
	return openapi_find(s->api, tool);
}

static bool
has_own_row(const struct policy *p, const struct policy_server *s,
    const struct openapi_op *op)
{
	for (uint32_t i = 0; i < p->n_tools; i++) {
		if (op_of(s, p->tools[i].name) == op)
			return true;
	}
	return false;
}

static bool
matches(const struct policy_server *s, struct str pattern,
    const struct openapi_op *op)
{
	own_buf struct buf name = {};

	if (!s->bare) {
		buf_add_str(&name, s->name);
		buf_add_byte(&name, '.');
	}
	buf_add_str(&name, op->name);
	return str_glob(pattern, buf_str(&name));
}
