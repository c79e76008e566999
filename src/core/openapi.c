#include "core/openapi.h"

#include <string.h>

#include "base/limits.h"
#include "core/egress.h"

struct reading {
	struct openapi *api;
	struct arena *arena;
};

static const struct json *resolve(const struct json *doc, const struct json *v);
static const struct json *at_pointer(
    const struct json *doc, struct str pointer);
static int read_path(
    struct reading *r, struct str path, const struct json *item, struct err *e);
static const char *read_op(struct reading *r, struct openapi_op *op,
    const struct json *item, const struct json *v);
static bool name_op(
    struct reading *r, struct openapi_op *op, const struct json *v);
static const char *read_params(struct reading *r, struct openapi_op *op,
    const struct json *item, const struct json *v);
static const char *read_param(struct openapi_op *op, const struct json *v);
static const char *read_style(struct openapi_param *p, const struct json *v);
static const char *check_header(const struct openapi_param *p, bool *skip);
static const char *read_body(
    struct reading *r, struct openapi_op *op, const struct json *v);
static const char *check_template(const struct openapi_op *op);
static bool may_be_named(struct str s);

int
openapi_read(
    struct openapi *out, const struct json *doc, struct arena *a, struct err *e)
{
	struct str version = json_str(json_get(doc, STR("openapi")));
	const struct json *paths = json_get(doc, STR("paths"));
	struct reading r = { out, a };

	*out = (struct openapi){ .doc = doc };
	out->is_30 = str_starts(version, STR("3.0."));
	if (!out->is_30 && !str_starts(version, STR("3.1.")))
		return err_set(
		    e, "its member `openapi` has to be 3.0.x or 3.1.x");
	if (!json_is(paths, JSON_OBJECT))
		return err_set(e, "it has no object `paths`");
	out->ops = arena_alloc(a, OPENAPI_OPS_MAX * sizeof(*out->ops));
	out->refused = arena_alloc(a, OPENAPI_OPS_MAX * sizeof(*out->refused));
	if (out->ops == NULL || out->refused == NULL)
		return err_set(e, "out of memory");
	for (const struct json *k = json_first(paths); k != NULL;
	     k = json_next(paths, k)) {
		const struct json *item = resolve(doc, json_value(k));

		if (json_is(item, JSON_OBJECT) &&
		    read_path(&r, json_str(k), item, e) < 0)
			return -1;
	}
	return a->failed ? err_set(e, "out of memory") : 0;
}

const struct openapi_op *
openapi_find(const struct openapi *api, struct str name)
{
	for (uint32_t i = 0; i < api->n_ops; i++) {
		if (str_eq(api->ops[i].name, name))
			return &api->ops[i];
	}
	return NULL;
}

/* What it leads to, or NULL: elsewhere, nowhere, or in a circle. */
static const struct json *
resolve(const struct json *doc, const struct json *v)
{
	for (int i = 0; i < OPENAPI_HOPS_MAX; i++) {
		const struct json *ref = json_get(v, STR("$ref"));

		if (ref == NULL)
			return v;
		v = at_pointer(doc, json_str(ref));
	}
	return NULL;
}

/* "#/components/parameters/x", RFC 6901 */
static const struct json *
at_pointer(const struct json *doc, struct str pointer)
{
	const struct json *v = doc;

	if (!str_starts(pointer, STR("#/")))
		return NULL;
	pointer = (struct str){ pointer.p + 2, pointer.n - 2 };
	while (json_is(v, JSON_OBJECT)) {
		size_t n = str_find(pointer, '/');
		own_buf struct buf key = {};

		for (size_t i = 0; i < n; i++) {
			char c = pointer.p[i];

			if (c == '~' && i + 1 < n)
				c = pointer.p[++i] == '1' ? '/' : '~';
			buf_add_byte(&key, c);
		}
		v = json_get(v, buf_str(&key));
		if (n == pointer.n)
			return v;
		pointer = (struct str){ pointer.p + n + 1, pointer.n - n - 1 };
	}
	return NULL;
}

static int
read_path(
    struct reading *r, struct str path, const struct json *item, struct err *e)
{
	static const struct {
		struct str member, method;
		enum risk risk;
	} methods[] = {
		{ STR("get"), STR("GET"), RISK_READ },
		{ STR("head"), STR("HEAD"), RISK_READ },
		{ STR("options"), STR("OPTIONS"), RISK_READ },
		{ STR("post"), STR("POST"), RISK_INTERNAL_WRITE },
		{ STR("put"), STR("PUT"), RISK_INTERNAL_WRITE },
		{ STR("patch"), STR("PATCH"), RISK_INTERNAL_WRITE },
		{ STR("delete"), STR("DELETE"), RISK_DESTRUCTIVE },
	};
	struct openapi *api = r->api;

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		const struct json *v = json_get(item, methods[i].member);
		struct openapi_op op = { .method = methods[i].method,
			.path = path,
			.risk = methods[i].risk };
		const char *why;

		if (!json_is(v, JSON_OBJECT))
			continue;
		if (api->n_ops + api->n_refused == OPENAPI_OPS_MAX)
			return err_set(e,
			    "it has over %d operations; leave those out that "
			    "no tool is to be made of",
			    OPENAPI_OPS_MAX);
		if (!name_op(r, &op, v))
			why = "its operationId is no name of a tool, or too "
			      "long";
		else if (openapi_find(api, op.name) != NULL)
			why = "an operation before it has its name";
		else
			why = read_op(r, &op, item, v);
		if (why == NULL)
			api->ops[api->n_ops++] = op;
		else
			api->refused[api->n_refused++] =
			    (struct openapi_refused){ op.name, why };
	}
	return 0;
}

static const char *
read_op(struct reading *r, struct openapi_op *op, const struct json *item,
    const struct json *v)
{
	const char *why;

	op->description = json_str(json_get(v, STR("description")));
	if (op->description.n == 0)
		op->description = json_str(json_get(v, STR("summary")));
	if (op->description.n > OPENAPI_TEXT_BYTES)
		op->description.n = OPENAPI_TEXT_BYTES;
	why = read_params(r, op, item, v);
	if (why == NULL)
		why = read_body(r, op, json_get(v, STR("requestBody")));
	if (why == NULL)
		why = check_template(op);
	return why;
}

/* "get_tickets_id" where nobody has named it. */
static bool
name_op(struct reading *r, struct openapi_op *op, const struct json *v)
{
	own_buf struct buf name = {};
	const char *copy;

	op->name = json_str(json_get(v, STR("operationId")));
	if (op->name.n == 0) {
		for (size_t i = 0; i < op->method.n; i++)
			buf_add_byte(
			    &name, (char)(op->method.p[i] + 'a' - 'A'));
		for (size_t i = 0; i < op->path.n; i++) {
			struct str c = { op->path.p + i, 1 };
			bool ends = name.p[name.n - 1] == '_';

			if (may_be_named(c) && *c.p != '.')
				buf_add_byte(&name, *c.p);
			else if (!ends && *c.p != '}')
				buf_add_byte(&name, '_');
		}
		copy = arena_copy(r->arena, buf_str(&name));
		op->name =
		    copy != NULL ? (struct str){ copy, name.n } : STR("");
	}
	return may_be_named(op->name) && op->name.n <= NAME_MAX_BYTES - 1;
}

/* Of the path and of the operation, which has the last word. */
static const char *
read_params(struct reading *r, struct openapi_op *op, const struct json *item,
    const struct json *v)
{
	const struct json *own = json_get(v, STR("parameters"));
	const struct json *all = json_get(item, STR("parameters"));
	const struct json *lists[] = { own, all };
	size_t n = (json_is(own, JSON_ARRAY) ? own->n : 0) +
	    (json_is(all, JSON_ARRAY) ? all->n : 0);

	if (n > OPENAPI_PARAMS_MAX)
		return "it has too many parameters";
	op->params = arena_alloc(r->arena, n * sizeof(*op->params));
	if (op->params == NULL)
		return "out of memory";
	for (size_t i = 0; i < 2; i++) {
		const struct json *list = lists[i];

		if (!json_is(list, JSON_ARRAY))
			continue;
		for (const struct json *x = json_first(list); x != NULL;
		     x = json_next(list, x)) {
			const char *why =
			    read_param(op, resolve(r->api->doc, x));

			if (why != NULL)
				return why;
		}
	}
	return NULL;
}

static const char *
read_param(struct openapi_op *op, const struct json *v)
{
	struct str in = json_str(json_get(v, STR("in")));
	struct openapi_param p = {
		.name = json_str(json_get(v, STR("name"))),
		.required = json_bool(json_get(v, STR("required")), false),
		.schema = json_get(v, STR("schema")),
		.description = json_str(json_get(v, STR("description"))),
	};
	const char *why;
	bool skip = false;

	if (!json_is(v, JSON_OBJECT))
		return "a parameter of it is described elsewhere";
	if (str_eq(in, STR("cookie")))
		return p.required ? "it needs a cookie" : NULL;
	if (str_eq(in, STR("path")))
		p.in = OPENAPI_PATH;
	else if (str_eq(in, STR("query")))
		p.in = OPENAPI_QUERY;
	else if (str_eq(in, STR("header")))
		p.in = OPENAPI_HEADER;
	else
		return "a parameter of it is in no place that there is";
	if (p.name.n == 0 || p.name.n > NAME_MAX_BYTES ||
	    str_find(p.name, '\0') < p.name.n)
		return "a parameter of it has no name, or one of over 128 "
		       "bytes";
	if (p.in == OPENAPI_HEADER) {
		why = check_header(&p, &skip);
		if (why != NULL || skip)
			return why;
	}
	if (str_eq(p.name, STR("body")))
		return "a parameter of it is called `body`, which is the "
		       "request's";
	for (uint32_t i = 0; i < op->n_params; i++) {
		if (!str_eq(op->params[i].name, p.name))
			continue;
		/* The operation's stands for the path's. */
		if (op->params[i].in == p.in)
			return NULL;
		return "two of its parameters have one name";
	}
	why = read_style(&p, v);
	if (why != NULL)
		return why;
	p.required |= p.in == OPENAPI_PATH;
	if (p.description.n > OPENAPI_TEXT_BYTES)
		p.description.n = OPENAPI_TEXT_BYTES;
	op->params[op->n_params++] = p;
	return NULL;
}

static const char *
read_style(struct openapi_param *p, const struct json *v)
{
	static const char *const unknown =
	    "a parameter of it is written in a style that is not understood";
	const struct json *content = json_get(v, STR("content"));
	struct str style = json_str(json_get(v, STR("style")));
	bool form =
	    style.n == 0 ? p->in == OPENAPI_QUERY : str_eq(style, STR("form"));
	bool explode = json_bool(json_get(v, STR("explode")), form);

	if (content != NULL) {
		const struct json *one =
		    json_get(content, STR("application/json"));

		if (one == NULL)
			return unknown;
		p->schema = json_get(one, STR("schema"));
		p->style = OPENAPI_JSON;
		return NULL;
	}
	if (p->in != OPENAPI_QUERY)
		return style.n == 0 || str_eq(style, STR("simple")) ? NULL
								    : unknown;
	if (form)
		p->style = explode ? OPENAPI_REPEAT : OPENAPI_COMMA;
	else if (str_eq(style, STR("spaceDelimited")))
		p->style = explode ? OPENAPI_REPEAT : OPENAPI_SPACE;
	else if (str_eq(style, STR("pipeDelimited")))
		p->style = explode ? OPENAPI_REPEAT : OPENAPI_PIPE;
	else if (str_eq(style, STR("deepObject")))
		p->style = OPENAPI_DEEP;
	else
		return unknown;
	return NULL;
}

/* A field that says how the message is to be read, or who asks, is ours. */
static const char *
check_header(const struct openapi_param *p, bool *skip)
{
	static const char *const ours[] = { "accept", "content-type",
		"authorization", NULL };
	static const char *const no[] = { "host", "content-length",
		"content-encoding", "transfer-encoding", "connection",
		"keep-alive", "te", "trailer", "upgrade", "expect", "cookie",
		"proxy-authorization", "proxy-connection", "forwarded",
		"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
		"x-http-method-override", "x-method-override", "x-http-method",
		"x-original-url", "x-rewrite-url", NULL };

	for (size_t i = 0; i < p->name.n; i++) {
		char c = p->name.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			(c >= '0' && c <= '9') || c == '-' || c == '_'))
			return "a field of its head has no such name";
	}
	for (size_t i = 0; ours[i] != NULL; i++) {
		if (str_eq_nocase(p->name, str_of(ours[i])))
			*skip = true; /* as OpenAPI has it */
	}
	for (size_t i = 0; no[i] != NULL; i++) {
		if (!str_eq_nocase(p->name, str_of(no[i])))
			continue;
		*skip = true;
		if (p->required)
			return "it needs a field of the head that no argument "
			       "may say";
	}
	return NULL;
}

static const char *
read_body(struct reading *r, struct openapi_op *op, const struct json *v)
{
	const struct json *body = resolve(r->api->doc, v);
	const struct json *content = json_get(body, STR("content"));
	const struct json *best = NULL;

	if (v == NULL)
		return NULL;
	if (!json_is(content, JSON_OBJECT))
		return "its body is described elsewhere";
	op->body_required = json_bool(json_get(body, STR("required")), false);
	for (const struct json *k = json_first(content); k != NULL;
	     k = json_next(content, k)) {
		struct str type = json_str(k);
		enum openapi_body is = OPENAPI_NO_BODY;

		if (str_eq(type, STR("application/json")) ||
		    (str_starts(type, STR("application/")) &&
			str_ends(type, STR("+json")) &&
			str_find(type, ';') == type.n))
			is = OPENAPI_BODY_JSON;
		else if (str_eq(type, STR("application/x-www-form-urlencoded")))
			is = OPENAPI_BODY_FORM;
		else if (str_eq(type, STR("text/plain")))
			is = OPENAPI_BODY_TEXT;
		for (size_t i = 0; i < type.n; i++) {
			if (type.p[i] <= ' ' || type.p[i] > '~')
				is = OPENAPI_NO_BODY;
		}
		if (is == OPENAPI_NO_BODY ||
		    (op->body != OPENAPI_NO_BODY && op->body <= is))
			continue;
		op->body = is;
		op->body_type = type;
		best = json_value(k);
	}
	op->body_schema = json_get(best, STR("schema"));
	return op->body == OPENAPI_NO_BODY
	    ? "its body is neither JSON, nor a form, nor a text"
	    : NULL;
}

/* Each place of the template is a parameter, and each such one a place. */
static const char *
check_template(const struct openapi_op *op)
{
	own_buf struct buf plain = {};
	struct str path = op->path;
	uint32_t places = 0, wanted = 0;

	for (uint32_t i = 0; i < op->n_params; i++)
		wanted += op->params[i].in == OPENAPI_PATH;
	for (size_t at = 0; at < path.n; at++) {
		struct str rest = { path.p + at + 1, path.n - at - 1 };
		size_t n = str_find(rest, '}');
		bool found = false;

		if (path.p[at] != '{') {
			buf_add_byte(&plain, path.p[at]);
			continue;
		}
		for (uint32_t i = 0; i < op->n_params; i++)
			found |= op->params[i].in == OPENAPI_PATH &&
			    str_eq(
				op->params[i].name, (struct str){ rest.p, n });
		if (n == rest.n || !found)
			return "a place of its path is no parameter of it";
		buf_add_byte(&plain, 'x');
		places++;
		at += n + 1;
	}
	if (places != wanted)
		return "a parameter of its path has no place there, or two";
	if (!egress_path_plain(buf_str(&plain)) ||
	    str_find(buf_str(&plain), '}') < plain.n ||
	    str_find(buf_str(&plain), '*') < plain.n)
		return "its path can be read in more than one way";
	return NULL;
}

/* ^[A-Za-z0-9_.-]+$, as a tool's name is. */
static bool
may_be_named(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			(c >= '0' && c <= '9') || c == '_' || c == '.' ||
			c == '-'))
			return false;
	}
	return s.n > 0;
}
