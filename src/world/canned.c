#include "world/canned.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/must.h"
#include "world/result.h"
#include "world/tool.h"

struct canned_answer {
	const struct json *args; /* NULL: whatever is asked */
	const struct json *result;
	bool error;
	bool given;
};

struct canned_tool {
	struct str name, about;
	const struct json *schema; /* NULL: any object */
	bool writes;
	struct canned_answer *answers;
	uint32_t n;
};

struct canned {
	struct arena arena; /* the copy of the document, and the rows below */
	struct canned_tool *tools;
	uint32_t n;
};

static const char *const tool_members[] = { "description", "inputSchema",
	"name", "results", "writes", NULL };
static const char *const answer_members[] = { "arguments", "error", "result",
	NULL };

static void save_answer(const struct canned_answer *a, struct buf *out);
static int load(struct canned *c, const struct json *rows, struct err *e);
static int load_tool(
    struct canned *c, const struct json *v, uint32_t i, struct err *e);
static int load_answer(struct canned_answer *a, const struct json *v,
    uint32_t tool, uint32_t i, struct err *e);
static const struct json *unknown(
    const struct json *v, const char *const *members);

struct canned *
canned_new(const struct json *rows, struct err *e)
{
	struct canned *c = calloc(1, sizeof(*c));

	must(c != NULL);
	c->arena.max_bytes = WORLD_MAX_PARSE_BYTES;
	if (rows == NULL || load(c, rows, e) == 0)
		return c;
	canned_free(c);
	return NULL;
}

void
canned_free(struct canned *c)
{
	if (c == NULL)
		return;
	arena_fini(&c->arena);
	free(c);
}

struct canned_tool *
canned_find(struct canned *c, struct str name)
{
	for (uint32_t i = 0; i < c->n; i++) {
		if (str_eq(c->tools[i].name, name))
			return &c->tools[i];
	}
	return NULL;
}

void
canned_list(const struct canned *c, struct buf *out)
{
	for (uint32_t i = 0; i < c->n; i++) {
		const struct canned_tool *t = &c->tools[i];

		result_open(out, NULL, '{');
		result_text(out, "description", t->about);
		buf_add_c(out, ",\"inputSchema\":");
		if (t->schema != NULL)
			json_write(out, t->schema);
		else
			buf_add_c(out, "{\"type\":\"object\"}");
		result_text(out, "name", t->name);
		result_close(out, '}');
	}
}

int
canned_call(struct canned_tool *t, const struct json *args, struct buf *out,
    bool *wrote)
{
	for (uint32_t i = 0; i < t->n; i++) {
		struct canned_answer *a = &t->answers[i];

		if (a->given || (a->args != NULL && !json_equal(a->args, args)))
			continue;
		a->given = true;
		json_write(out, a->result);
		*wrote = t->writes && !a->error;
		return a->error ? 1 : 0;
	}
	return -1;
}

void
canned_save(const struct canned *c, struct buf *out)
{
	buf_add_byte(out, '[');
	for (uint32_t i = 0; i < c->n; i++) {
		const struct canned_tool *t = &c->tools[i];

		result_open(out, NULL, '{');
		result_text(out, "description", t->about);
		if (t->schema != NULL) {
			buf_add_c(out, ",\"inputSchema\":");
			json_write(out, t->schema);
		}
		result_text(out, "name", t->name);
		result_open(out, "results", '[');
		for (uint32_t k = 0; k < t->n; k++)
			save_answer(&t->answers[k], out);
		result_close(out, ']');
		buf_add_c(out, t->writes ? ",\"writes\":true" : "");
		result_close(out, '}');
	}
	result_close(out, ']');
}

static void
save_answer(const struct canned_answer *a, struct buf *out)
{
	if (a->given)
		return;
	result_open(out, NULL, '{');
	if (a->args != NULL) {
		buf_add_c(out, "\"arguments\":");
		json_write(out, a->args);
		buf_add_byte(out, ',');
	}
	buf_add_c(out, a->error ? "\"error\":true,\"result\":" : "\"result\":");
	json_write(out, a->result);
	result_close(out, '}');
}

/* What is kept lies in memory of our own: the document's is given back. */
static int
load(struct canned *c, const struct json *rows, struct err *e)
{
	own_buf struct buf text = { .max = WORLD_MAX_PARSE_BYTES };
	const struct json *own;
	const char *kept;
	uint32_t i = 0;

	json_write(&text, rows);
	kept = text.failed ? NULL : arena_copy(&c->arena, buf_str(&text));
	own = kept == NULL ? NULL
			   : json_parse((struct str){ kept, text.n }, NULL,
				 &c->arena, e, NULL);
	if (own == NULL)
		return err_set(e, "tools: more than a world can keep");
	c->tools = arena_alloc(&c->arena, own->n * sizeof(*c->tools));
	if (c->tools == NULL)
		return err_set(e, "tools: more than a world can keep");
	for (const struct json *x = json_first(own); x != NULL;
	     x = json_next(own, x), i++) {
		if (load_tool(c, x, i, e) < 0)
			return -1;
	}
	return 0;
}

static int
load_tool(struct canned *c, const struct json *v, uint32_t i, struct err *e)
{
	struct canned_tool *t = &c->tools[c->n];
	const struct json *results = json_get(v, STR("results"));
	const struct json *writes = json_get(v, STR("writes"));
	const struct json *about = json_get(v, STR("description"));
	const struct json *extra = unknown(v, tool_members);
	uint32_t at = 0;

	if (!json_is(v, JSON_OBJECT))
		return err_set(e, "tools[%u]: expected an object", i);
	if (extra != NULL)
		return err_set(e,
		    "tools[%u]: unknown member %.*s; known are description, "
		    "inputSchema, name, results and writes",
		    i, STR_FMT(tool_shown(json_str(extra))));
	t->name = json_str(json_get(v, STR("name")));
	if (t->name.n == 0 || t->name.n > WORLD_MAX_ID)
		return err_set(e,
		    "tools[%u].name: expected a text of 1 to %d bytes", i,
		    WORLD_MAX_ID);
	if (tool_find(t->name) != NULL || canned_find(c, t->name) != NULL)
		return err_set(e,
		    "tools[%u].name: there is a tool %.*s already; name this "
		    "one differently",
		    i, STR_FMT(t->name));
	if (about != NULL && !json_is(about, JSON_STRING))
		return err_set(e, "tools[%u].description: expected a text", i);
	t->about = about != NULL ? json_str(about)
				 : STR("Its answers were written beforehand.");
	t->schema = json_get(v, STR("inputSchema"));
	if (t->schema != NULL && !json_is(t->schema, JSON_OBJECT))
		return err_set(
		    e, "tools[%u].inputSchema: expected an object", i);
	if (writes != NULL && !json_is(writes, JSON_TRUE) &&
	    !json_is(writes, JSON_FALSE))
		return err_set(
		    e, "tools[%u].writes: expected true or false", i);
	t->writes = json_bool(writes, false);
	if (!json_is(results, JSON_ARRAY) || results->n > WORLD_MAX_ROWS)
		return err_set(e,
		    "tools[%u].results: expected a list of at most %d "
		    "answers",
		    i, WORLD_MAX_ROWS);
	t->answers = arena_alloc(&c->arena, results->n * sizeof(*t->answers));
	if (t->answers == NULL)
		return err_set(e, "tools[%u]: more than a world can keep", i);
	for (const struct json *x = json_first(results); x != NULL;
	     x = json_next(results, x), at++) {
		if (load_answer(&t->answers[at], x, i, at, e) < 0)
			return -1;
	}
	t->n = results->n;
	c->n++;
	return 0;
}

static int
load_answer(struct canned_answer *a, const struct json *v, uint32_t tool,
    uint32_t i, struct err *e)
{
	const struct json *error = json_get(v, STR("error"));
	const struct json *extra = unknown(v, answer_members);

	if (!json_is(v, JSON_OBJECT))
		return err_set(
		    e, "tools[%u].results[%u]: expected an object", tool, i);
	if (extra != NULL)
		return err_set(e,
		    "tools[%u].results[%u]: unknown member %.*s; known are "
		    "arguments, error and result",
		    tool, i, STR_FMT(tool_shown(json_str(extra))));
	a->args = json_get(v, STR("arguments"));
	if (a->args != NULL && !json_is(a->args, JSON_OBJECT))
		return err_set(e,
		    "tools[%u].results[%u].arguments: expected an object", tool,
		    i);
	a->result = json_get(v, STR("result"));
	if (!json_is(a->result, JSON_OBJECT))
		return err_set(e,
		    "tools[%u].results[%u].result: expected an object", tool,
		    i);
	if (error != NULL && !json_is(error, JSON_TRUE) &&
	    !json_is(error, JSON_FALSE))
		return err_set(e,
		    "tools[%u].results[%u].error: expected true or false", tool,
		    i);
	a->error = json_bool(error, false);
	return 0;
}

/* The first key of v that is not in members. */
static const struct json *
unknown(const struct json *v, const char *const *members)
{
	for (const struct json *k = json_first(v);
	     json_is(v, JSON_OBJECT) && k != NULL; k = json_next(v, k)) {
		size_t i = 0;

		while (members[i] != NULL && !str_eq_c(json_str(k), members[i]))
			i++;
		if (members[i] == NULL)
			return k;
	}
	return NULL;
}
