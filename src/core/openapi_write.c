/*
 * A call of an operation as one request.
 */
#include <string.h>

#include "base/limits.h"
#include "core/egress.h"
#include "core/openapi.h"

static int write_path(struct openapi_request *out, const struct openapi_op *op,
    struct str base, const struct json *args, struct err *e);
static int write_query(struct openapi_request *out,
    const struct openapi_param *p, const struct json *v, char *before,
    struct err *e);
static int write_field(struct openapi_request *out,
    const struct openapi_param *p, const struct json *v, struct err *e);
static int write_body(struct openapi_request *out, const struct openapi_op *op,
    const struct json *args, struct err *e);
static int write_form(struct buf *out, const struct json *v, struct err *e);
static int write_value(struct buf *out, const struct openapi_param *p,
    const struct json *v, struct err *e);
static int put_scalar(
    struct buf *out, struct str name, const struct json *v, struct err *e);
static void put_escaped(struct buf *out, struct str s);
static const struct openapi_param *param_find(
    const struct openapi_op *op, struct str name);
static int check_names(
    const struct openapi_op *op, const struct json *args, struct err *e);

void
openapi_request_fini(struct openapi_request *q)
{
	buf_fini(&q->target);
	buf_fini(&q->fields);
	buf_fini(&q->body);
}

int
openapi_write(struct openapi_request *out, const struct openapi_op *op,
    struct str base, const struct json *args, struct err *e)
{
	char before = '?';

	if (check_names(op, args, e) < 0 ||
	    write_path(out, op, base, args, e) < 0)
		return -1;
	buf_add_c(&out->fields, "Accept: application/json\r\n");
	for (uint32_t i = 0; i < op->n_params; i++) {
		const struct openapi_param *p = &op->params[i];
		const struct json *v = json_get(args, p->name);
		int r = 0;

		if (v == NULL || json_is(v, JSON_NULL)) {
			if (p->required)
				return err_set(e,
				    "the argument %.*s is missing",
				    STR_FMT(p->name));
			continue;
		}
		switch (p->in) {
		case OPENAPI_PATH:
			break;
		case OPENAPI_QUERY:
			r = write_query(out, p, v, &before, e);
			break;
		case OPENAPI_HEADER:
			r = write_field(out, p, v, e);
			break;
		}
		if (r < 0)
			return -1;
	}
	if (write_body(out, op, args, e) < 0)
		return -1;
	if (out->target.failed || out->fields.failed || out->body.failed)
		return err_set(e, "out of memory");
	if (out->target.n > OPENAPI_URL_BYTES)
		return err_set(e, "the arguments make a URL of over 8 KiB");
	return 0;
}

/* Nothing that the document does not know goes anywhere. */
static int
check_names(const struct openapi_op *op, const struct json *args, struct err *e)
{
	if (!json_is(args, JSON_OBJECT))
		return err_set(e, "the arguments are no object");
	for (const struct json *k = json_first(args); k != NULL;
	     k = json_next(args, k)) {
		struct str name = json_str(k);

		if (param_find(op, name) == NULL &&
		    (op->body == OPENAPI_NO_BODY || !str_eq(name, STR("body"))))
			return err_set(e, "there is no argument %.*s",
			    (int)(name.n > 64 ? 64 : name.n), name.p);
	}
	return 0;
}

static int
write_path(struct openapi_request *out, const struct openapi_op *op,
    struct str base, const struct json *args, struct err *e)
{
	struct str path = op->path;

	/* Each begins with a slash. */
	if (base.n > 0 && base.p[base.n - 1] == '/')
		base.n--;
	buf_add_str(&out->target, base);
	for (size_t at = 0; at < path.n; at++) {
		struct str rest = { path.p + at + 1, path.n - at - 1 };
		size_t n = str_find(rest, '}'), before = out->target.n;
		const struct openapi_param *p;

		if (path.p[at] != '{') {
			buf_add_byte(&out->target, path.p[at]);
			continue;
		}
		p = param_find(op, (struct str){ rest.p, n });
		if (p == NULL)
			return err_set(e, "the path has an unknown place");
		if (write_value(&out->target, p, json_get(args, p->name), e) <
		    0)
			return -1;
		/* Without it another path would be asked for. */
		if (out->target.n == before)
			return err_set(e,
			    "the argument %.*s is empty, and is part of the "
			    "path",
			    STR_FMT(p->name));
		if (!egress_path_plain(buf_str(&out->target)))
			return err_set(e,
			    "the argument %.*s makes a path that can be read "
			    "in more than one way",
			    STR_FMT(p->name));
		at += n + 1;
	}
	if (!egress_path_plain(buf_str(&out->target)))
		return err_set(e,
		    "the arguments make a path that can be read in more than "
		    "one way");
	return 0;
}

static int
write_query(struct openapi_request *out, const struct openapi_param *p,
    const struct json *v, char *before, struct err *e)
{
	bool list = p->style == OPENAPI_REPEAT && json_is(v, JSON_ARRAY);
	const struct json *x = list ? json_first(v) : v;

	if (p->style == OPENAPI_DEEP) {
		if (!json_is(v, JSON_OBJECT))
			return err_set(e, "the argument %.*s is no object",
			    STR_FMT(p->name));
		for (const struct json *k = json_first(v); k != NULL;
		     k = json_next(v, k)) {
			buf_add_byte(&out->target, *before);
			*before = '&';
			put_escaped(&out->target, p->name);
			buf_add_c(&out->target, "%5B");
			put_escaped(&out->target, json_str(k));
			buf_add_c(&out->target, "%5D=");
			if (put_scalar(
				&out->target, p->name, json_value(k), e) < 0)
				return -1;
		}
		return 0;
	}
	while (x != NULL) {
		buf_add_byte(&out->target, *before);
		*before = '&';
		put_escaped(&out->target, p->name);
		buf_add_byte(&out->target, '=');
		if (write_value(&out->target, p, x, e) < 0)
			return -1;
		x = list ? json_next(v, x) : NULL;
	}
	return 0;
}

static int
write_field(struct openapi_request *out, const struct openapi_param *p,
    const struct json *v, struct err *e)
{
	own_buf struct buf value = {};

	if (p->style == OPENAPI_JSON) {
		json_write(&value, v);
	} else {
		const struct json *x =
		    json_is(v, JSON_ARRAY) ? json_first(v) : v;

		while (x != NULL) {
			if (value.n > 0)
				buf_add_byte(&value, ',');
			if (json_is(x, JSON_OBJECT) || json_is(x, JSON_ARRAY) ||
			    json_is(x, JSON_NULL))
				return err_set(e,
				    "the argument %.*s must be a text, a "
				    "number, true or false, or a list of them",
				    STR_FMT(p->name));
			if (json_is(x, JSON_STRING))
				buf_add_str(&value, json_str(x));
			else
				json_write(&value, x);
			x = json_is(v, JSON_ARRAY) ? json_next(v, x) : NULL;
		}
	}
	if (value.n > OPENAPI_FIELD_BYTES)
		return err_set(e, "the argument %.*s is over 8 KiB, in a head",
		    STR_FMT(p->name));
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] < ' ' || value.p[i] > '~')
			return err_set(e,
			    "the argument %.*s holds what no field of a head "
			    "can: visible ASCII and spaces only",
			    STR_FMT(p->name));
	}
	buf_add_str(&out->fields, p->name);
	buf_add_c(&out->fields, ": ");
	buf_add_str(&out->fields, buf_str(&value));
	buf_add_c(&out->fields, "\r\n");
	return 0;
}

static int
write_body(struct openapi_request *out, const struct openapi_op *op,
    const struct json *args, struct err *e)
{
	const struct json *v = json_get(args, STR("body"));

	if (op->body == OPENAPI_NO_BODY)
		return 0;
	if (v == NULL) {
		if (op->body_required)
			return err_set(e, "the argument body is missing");
		return 0;
	}
	buf_add_c(&out->fields, "Content-Type: ");
	buf_add_str(&out->fields, op->body_type);
	buf_add_c(&out->fields, "\r\n");
	switch (op->body) {
	case OPENAPI_NO_BODY:
		break;
	case OPENAPI_BODY_JSON:
		json_write(&out->body, v);
		break;
	case OPENAPI_BODY_FORM:
		return write_form(&out->body, v, e);
	case OPENAPI_BODY_TEXT:
		if (!json_is(v, JSON_STRING))
			return err_set(e, "the argument body is no text");
		buf_add_str(&out->body, json_str(v));
		break;
	}
	return 0;
}

static int
write_form(struct buf *out, const struct json *v, struct err *e)
{
	if (!json_is(v, JSON_OBJECT))
		return err_set(e, "the argument body is no object");
	for (const struct json *k = json_first(v); k != NULL;
	     k = json_next(v, k)) {
		const struct json *one = json_value(k);
		bool list = json_is(one, JSON_ARRAY);
		const struct json *x = list ? json_first(one) : one;

		while (x != NULL) {
			if (out->n > 0)
				buf_add_byte(out, '&');
			put_escaped(out, json_str(k));
			buf_add_byte(out, '=');
			if (put_scalar(out, STR("body"), x, e) < 0)
				return -1;
			x = list ? json_next(one, x) : NULL;
		}
	}
	return 0;
}

/* Of a path or a query: one value, or a list in its style. */
static int
write_value(struct buf *out, const struct openapi_param *p,
    const struct json *v, struct err *e)
{
	static const char *const between[] = {
		[OPENAPI_COMMA] = ",",
		[OPENAPI_REPEAT] = ",",
		[OPENAPI_SPACE] = "%20",
		[OPENAPI_PIPE] = "%7C",
		[OPENAPI_DEEP] = ",",
		[OPENAPI_JSON] = ",",
	};
	bool first = true;

	if (p->style == OPENAPI_JSON) {
		own_buf struct buf text = {};

		if (v != NULL)
			json_write(&text, v);
		put_escaped(out, buf_str(&text));
		return 0;
	}
	if (!json_is(v, JSON_ARRAY))
		return put_scalar(out, p->name, v, e);
	for (const struct json *x = json_first(v); x != NULL;
	     x = json_next(v, x)) {
		buf_add_c(out, first ? "" : between[p->style]);
		first = false;
		if (put_scalar(out, p->name, x, e) < 0)
			return -1;
	}
	return 0;
}

static int
put_scalar(
    struct buf *out, struct str name, const struct json *v, struct err *e)
{
	own_buf struct buf text = {};

	if (v == NULL || json_is(v, JSON_NULL))
		return err_set(
		    e, "the argument %.*s is missing", STR_FMT(name));
	if (json_is(v, JSON_OBJECT) || json_is(v, JSON_ARRAY))
		return err_set(e,
		    "the argument %.*s must be a text, a number, true or "
		    "false, or a list of them",
		    STR_FMT(name));
	if (json_is(v, JSON_STRING)) {
		put_escaped(out, json_str(v));
		return 0;
	}
	json_write(&text, v);
	put_escaped(out, buf_str(&text));
	return 0;
}

/* All but what RFC 3986 calls unreserved. */
static void
put_escaped(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    (c >= '0' && c <= '9') || c == '-' || c == '.' ||
		    c == '_' || c == '~')
			buf_add_byte(out, (char)c);
		else
			buf_printf(out, "%%%02X", c);
	}
}

static const struct openapi_param *
param_find(const struct openapi_op *op, struct str name)
{
	for (uint32_t i = 0; i < op->n_params; i++) {
		if (str_eq(op->params[i].name, name))
			return &op->params[i];
	}
	return NULL;
}
