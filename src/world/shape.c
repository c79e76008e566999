#include "world/shape.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "world/stamp.h"

enum {
	EMAIL_MAX = 254, /* RFC 5321 section 4.5.3.1.3, less the brackets */
	EMAIL_LOCAL_MAX = 64, /* section 4.5.3.1.1 */
	LABEL_MAX = 63, /* RFC 1035 section 2.3.4 */
	PATH_BYTES = 160,
	SHOWN_BYTES = 60, /* of a stranger's text in an error */
	KNOWN_BYTES = 200,
};

static const struct shape_field *field_find(
    const struct shape *s, struct str name);
static int check_field(const struct shape_field *f, const struct json *v,
    const char *path, struct err *e);
static int check_text(const struct shape_field *f, const struct json *v,
    const char *path, struct err *e);
static int check_money(const struct shape_field *f, const struct json *v,
    const char *path, struct err *e);
static int unknown_member(
    const struct shape *s, struct str name, const char *path, struct err *e);
static const char *names(const struct shape *s, char out[static KNOWN_BYTES]);
static bool is_email(struct str s);
static bool is_line(struct str s);
static size_t characters(struct str s);
static bool has_choice(const char *choices, struct str word);
static void field_schema(const struct shape_field *f, struct buf *out);
static void choices_schema(const char *choices, struct buf *out);
static void schema_text(const char *form, uint32_t max, struct buf *out);

int
shape_check(const struct shape *s, const struct json *v, const char *path,
    struct err *e)
{
	const char *dot = path[0] != '\0' ? "." : "";
	char known[KNOWN_BYTES];

	if (!json_is(v, JSON_OBJECT))
		return err_set(e, "%s%sexpected an object, not %s", path,
		    path[0] != '\0' ? ": " : "",
		    v == NULL ? "nothing" : json_type_name(v->type));
	for (const struct json *k = json_first(v); k; k = json_next(v, k))
		if (field_find(s, json_str(k)) == NULL)
			return unknown_member(s, json_str(k), path, e);
	for (size_t i = 0; i < s->n; i++) {
		const struct shape_field *f = &s->fields[i];
		const struct json *x = json_get(v, str_of(f->name));
		char at[PATH_BYTES];

		(void)snprintf(at, sizeof(at), "%s%s%s", path, dot, f->name);
		if (x == NULL || (f->nullable && json_is(x, JSON_NULL))) {
			if (f->required && !(f->nullable && x != NULL))
				return err_set(e, "%s: is missing", at);
			continue;
		}
		if (check_field(f, x, at, e) < 0)
			return -1;
	}
	if (s->any && v->n == 0)
		return err_set(
		    e, "at least one of %s is needed", names(s, known));
	return 0;
}

void
shape_schema(const struct shape *s, struct buf *out)
{
	bool some = false;

	buf_add_c(out, "{\"additionalProperties\":false,");
	if (s->any)
		buf_add_c(out, "\"minProperties\":1,");
	buf_add_c(out, "\"properties\":{");
	for (size_t i = 0; i < s->n; i++) {
		if (i > 0)
			buf_add_byte(out, ',');
		json_put_str(out, str_of(s->fields[i].name));
		buf_add_byte(out, ':');
		field_schema(&s->fields[i], out);
	}
	buf_add_byte(out, '}');
	for (size_t i = 0; i < s->n; i++) {
		if (!s->fields[i].required)
			continue;
		buf_add_c(out, some ? "," : ",\"required\":[");
		json_put_str(out, str_of(s->fields[i].name));
		some = true;
	}
	buf_add_c(out, some ? "]" : "");
	buf_add_c(out, ",\"type\":\"object\"}");
}

int64_t
shape_cents(const struct json *v)
{
	return (int64_t)llround(v->num * 100);
}

static const struct shape_field *
field_find(const struct shape *s, struct str name)
{
	for (size_t i = 0; i < s->n; i++)
		if (str_eq_c(name, s->fields[i].name))
			return &s->fields[i];
	return NULL;
}

static int
check_field(const struct shape_field *f, const struct json *v, const char *path,
    struct err *e)
{
	uint64_t count;
	int64_t moment;

	switch (f->kind) {
	case SHAPE_LINE:
	case SHAPE_TEXT:
	case SHAPE_EMAIL:
		return check_text(f, v, path, e);
	case SHAPE_MONEY:
	case SHAPE_BALANCE:
		return check_money(f, v, path, e);
	case SHAPE_COUNT:
		if (json_u64(v, &count) < 0 || count < 1 || count > f->max)
			return err_set(e,
			    "%s: expected a whole number from 1 to %u", path,
			    f->max);
		return 0;
	case SHAPE_TIME:
		if (stamp_parse(json_str(v), &moment) < 0)
			return err_set(e,
			    "%s: expected a time like 2026-03-02T09:00:00Z",
			    path);
		return 0;
	case SHAPE_CHOICE:
		if (!json_is(v, JSON_STRING) ||
		    !has_choice(f->choices, json_str(v)))
			return err_set(
			    e, "%s: expected one of %s", path, f->choices);
		return 0;
	case SHAPE_FLAG:
		if (!json_is(v, JSON_TRUE) && !json_is(v, JSON_FALSE))
			return err_set(e, "%s: expected true or false", path);
		return 0;
	case SHAPE_ROWS:
		if (!json_is(v, JSON_ARRAY))
			return err_set(e, "%s: expected an array, not %s", path,
			    json_type_name(v->type));
		if (v->n > f->max)
			return err_set(e, "%s: %u rows, at most %u are taken",
			    path, v->n, f->max);
		return 0;
	}
	must_fail("a kind of the enum", __FILE__, __LINE__);
}

static int
check_text(const struct shape_field *f, const struct json *v, const char *path,
    struct err *e)
{
	struct str s = json_str(v);

	if (!json_is(v, JSON_STRING))
		return err_set(e, "%s: expected a string, not %s", path,
		    json_type_name(v->type));
	if (s.n == 0)
		return err_set(e, "%s: must not be empty", path);
	if (characters(s) > f->max)
		return err_set(
		    e, "%s: longer than %u characters", path, f->max);
	if (f->kind == SHAPE_LINE && !is_line(s))
		return err_set(
		    e, "%s: must be one line without control characters", path);
	if (f->kind == SHAPE_EMAIL && !is_email(s))
		return err_set(e,
		    "%s: expected an email address like name@example.com",
		    path);
	return 0;
}

static int
check_money(const struct shape_field *f, const struct json *v, const char *path,
    struct err *e)
{
	double most = (double)WORLD_MAX_CENTS / 100;

	if (!json_is(v, JSON_NUMBER))
		return err_set(e, "%s: expected a number, not %s", path,
		    json_type_name(v->type));
	if (f->kind == SHAPE_MONEY && !(v->num > 0))
		return err_set(e, "%s: must be over 0", path);
	if (fabs(v->num) > most)
		return err_set(
		    e, "%s: must be at most %d", path, WORLD_MAX_CENTS / 100);
	/* Division rounds to the double nearest to the decimal, which is what
	 * a parser gives for it: so this holds for two decimals exactly. */
	if ((double)shape_cents(v) / 100 != v->num)
		return err_set(e, "%s: has more than two decimal places", path);
	return 0;
}

static int
unknown_member(
    const struct shape *s, struct str name, const char *path, struct err *e)
{
	char known[KNOWN_BYTES];

	if (name.n > SHOWN_BYTES)
		name.n = SHOWN_BYTES;
	return err_set(e, "%s%s%.*s: unknown member; known are %s", path,
	    path[0] != '\0' ? "." : "", STR_FMT(name), names(s, known));
}

/* "customer, email, name"; writes and returns out. */
static const char *
names(const struct shape *s, char out[static KNOWN_BYTES])
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < s->n && at < KNOWN_BYTES; i++) {
		int n = snprintf(out + at, KNOWN_BYTES - at, "%s%s",
		    i > 0 ? ", " : "", s->fields[i].name);

		at += n > 0 ? (size_t)n : 0;
	}
	return out;
}

static bool
is_email(struct str s)
{
	static const char atext[] = "!#$%&'*+-/=?^_`{|}~.";
	size_t at = str_find(s, '@'), label = 0, labels = 1;
	char before = '.';

	if (s.n > EMAIL_MAX || at == 0 || at > EMAIL_LOCAL_MAX || at + 1 >= s.n)
		return false;
	for (size_t i = 0; i < at; i++) {
		char c = s.p[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9');

		if (!word && (c == '\0' || strchr(atext, c) == NULL))
			return false;
		if (c == '.' && before == '.')
			return false;
		before = c;
	}
	if (before == '.')
		return false;
	for (size_t i = at + 1; i < s.n; i++) {
		char c = s.p[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9');

		if (c == '.') {
			if (label == 0 || s.p[i - 1] == '-')
				return false;
			label = 0;
			labels++;
			continue;
		}
		if (!word && (c != '-' || label == 0))
			return false;
		if (++label > LABEL_MAX)
			return false;
	}
	return label > 0 && s.p[s.n - 1] != '-' && labels >= 2;
}

static bool
is_line(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

/* As JSON Schema counts: every byte of UTF-8 that begins a character. */
static size_t
characters(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

static bool
has_choice(const char *choices, struct str word)
{
	struct str rest = str_of(choices);

	for (;;) {
		size_t n = str_find(rest, '|');

		if (str_eq((struct str){ rest.p, n }, word))
			return true;
		if (n == rest.n)
			return false;
		rest.p += n + 1;
		rest.n -= n + 1;
	}
}

/* Members in canonical order: description, enum, ..., type. */
static void
field_schema(const struct shape_field *f, struct buf *out)
{
	buf_add_c(out, "{\"description\":");
	json_put_str(out, str_of(f->about));
	switch (f->kind) {
	case SHAPE_LINE:
		schema_text("\"pattern\":\"^[^\\\\x00-\\\\x1f\\\\x7f]*$\",",
		    f->max, out);
		break;
	case SHAPE_TEXT:
		schema_text("", f->max, out);
		break;
	case SHAPE_EMAIL:
		buf_printf(out,
		    ",\"format\":\"email\",\"maxLength\":%u,"
		    "\"minLength\":1,\"type\":\"string\"}",
		    f->max);
		break;
	case SHAPE_MONEY:
		buf_printf(out,
		    ",\"exclusiveMinimum\":0,\"maximum\":%d,"
		    "\"type\":\"number\"}",
		    WORLD_MAX_CENTS / 100);
		break;
	case SHAPE_BALANCE:
		buf_printf(out,
		    ",\"maximum\":%d,\"minimum\":-%d,"
		    "\"type\":\"number\"}",
		    WORLD_MAX_CENTS / 100, WORLD_MAX_CENTS / 100);
		break;
	case SHAPE_COUNT:
		buf_printf(out,
		    ",\"maximum\":%u,\"minimum\":1,"
		    "\"type\":\"integer\"}",
		    f->max);
		break;
	case SHAPE_TIME:
		buf_add_c(out,
		    ",\"format\":\"date-time\","
		    "\"type\":\"string\"}");
		break;
	case SHAPE_CHOICE:
		choices_schema(f->choices, out);
		break;
	case SHAPE_FLAG:
		buf_add_c(out, ",\"type\":\"boolean\"}");
		break;
	case SHAPE_ROWS:
		buf_printf(out, ",\"maxItems\":%u,\"type\":\"array\"}", f->max);
		break;
	}
}

static void
choices_schema(const char *choices, struct buf *out)
{
	buf_add_c(out, ",\"enum\":[\"");
	for (const char *p = choices; *p != '\0'; p++) {
		if (*p == '|')
			buf_add_c(out, "\",\"");
		else
			buf_add_byte(out, *p);
	}
	buf_add_c(out, "\"],\"type\":\"string\"}");
}

static void
schema_text(const char *form, uint32_t max, struct buf *out)
{
	buf_printf(out, ",\"maxLength\":%u,\"minLength\":1,", max);
	buf_add_c(out, form);
	buf_add_c(out, "\"type\":\"string\"}");
}
