#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/place.h"
#include "core/egress.h"
#include "core/policy_int.h"
#include "core/suggest.h"

static bool listed(struct str name, const char *const *names);
static void unknown(struct reader *r, const struct spot *o,
    const struct json *key, const char *const *known);
static bool is_name(struct str s, bool star);
static bool is_line(struct str s);
static bool is_path_pattern(struct str s);
static void write_words(
    const char *const *words, const char *last, char *out, size_t cap);

const char *const risk_words[] = { "read", "draft", "internal_write",
	"external_write", "destructive", NULL };
const char *const verdict_words[] = { "allow", "draft", "simulate", "approve",
	"block", NULL };
const char *const destination_words[] = { "approve", "block", NULL };

bool
read_member(const struct spot *o, const char *name, struct spot *out)
{
	const struct json *v = json_get(o->v, str_of(name));

	if (v == NULL)
		return false;
	*out = (struct spot){ .up = o, .v = v, .key = str_of(name) };
	return true;
}

bool
read_object(struct reader *r, const struct spot *s)
{
	char shown[SHOWN_BYTES];

	if (json_is(s->v, JSON_OBJECT))
		return true;
	value_show(s->v, shown);
	problem(r, s, "must be an object, not %s", shown);
	return false;
}

bool
read_array(struct reader *r, const struct spot *s)
{
	char shown[SHOWN_BYTES];

	if (json_is(s->v, JSON_ARRAY))
		return true;
	value_show(s->v, shown);
	problem(r, s, "must be a list ([...]), not %s", shown);
	return false;
}

void
read_known(struct reader *r, const struct spot *o, const char *const *known,
    const char *const *other, const char *why)
{
	for (const struct json *key = json_first(o->v); key != NULL;
	     key = json_next(o->v, key)) {
		struct str name = json_str(key);

		if (listed(name, known))
			continue;
		if (listed(name, other))
			problem_key(r, o, key, "`%.*s` %s", STR_FMT(name), why);
		else
			unknown(r, o, key, known);
	}
}

bool
read_whole(struct reader *r, const struct spot *o, const char *name,
    struct range range, uint64_t *out)
{
	char shown[SHOWN_BYTES];
	struct spot s;
	uint64_t v;

	if (!read_member(o, name, &s))
		return false;
	if (json_u64(s.v, &v) < 0 || v < range.min || v > range.max) {
		value_show(s.v, shown);
		if (range.min == range.max) {
			problem(r, &s, "must be %llu, not %s",
			    (unsigned long long)range.min, shown);
			return false;
		}
		problem(r, &s,
		    "must be a whole number from %llu to %llu%s%s, not %s",
		    (unsigned long long)range.min,
		    (unsigned long long)range.max,
		    range.unit[0] != '\0' ? " " : "", range.unit, shown);
		return false;
	}
	*out = v;
	return true;
}

bool
read_bool(struct reader *r, const struct spot *o, const char *name, bool *out)
{
	char shown[SHOWN_BYTES];
	struct spot s;

	if (!read_member(o, name, &s))
		return false;
	if (!json_is(s.v, JSON_TRUE) && !json_is(s.v, JSON_FALSE)) {
		value_show(s.v, shown);
		problem(r, &s, "must be true or false, not %s", shown);
		return false;
	}
	*out = json_is(s.v, JSON_TRUE);
	return true;
}

bool
read_name(
    struct reader *r, const struct spot *o, const char *name, struct str *out)
{
	return read_entry(r, o, name, ENTRY_NAME, out);
}

bool
read_entry(struct reader *r, const struct spot *o, const char *name,
    enum entry_kind kind, struct str *out)
{
	char shown[SHOWN_BYTES];
	const char *fault;
	struct spot s;

	if (!read_member(o, name, &s))
		return false;
	if (!json_is(s.v, JSON_STRING)) {
		value_show(s.v, shown);
		problem(r, &s, "must be a text, not %s%s", shown,
		    json_is(s.v, JSON_NUMBER) ? "; put it in quotes" : "");
		return false;
	}
	fault = entry_fault(kind, json_str(s.v));
	if (fault != NULL) {
		value_show(s.v, shown);
		problem(r, &s, "must be %s, not %s", fault, shown);
		return false;
	}
	*out = json_str(s.v);
	return true;
}

bool
read_text(
    struct reader *r, const struct spot *o, const char *name, struct str *out)
{
	char shown[SHOWN_BYTES];
	struct spot s;

	if (!read_member(o, name, &s))
		return false;
	if (!json_is(s.v, JSON_STRING) || !is_line(json_str(s.v)) ||
	    s.v->n > POLICY_TEXT_MAX_BYTES) {
		value_show(s.v, shown);
		problem(r, &s, "must be one line of 1 to %d bytes, not %s",
		    POLICY_TEXT_MAX_BYTES, shown);
		return false;
	}
	*out = json_str(s.v);
	return true;
}

bool
read_word(struct reader *r, const struct spot *o, const char *name,
    const char *const *words, uint32_t *out)
{
	char shown[SHOWN_BYTES], all[120];
	struct suggest near;
	struct spot s;

	if (!read_member(o, name, &s))
		return false;
	for (uint32_t i = 0; words[i] != NULL; i++) {
		if (json_is(s.v, JSON_STRING) &&
		    str_eq_c(json_str(s.v), words[i])) {
			*out = i;
			return true;
		}
	}
	near = suggest_for(json_str(s.v));
	for (uint32_t i = 0; words[i] != NULL; i++)
		suggest_try(&near, str_of(words[i]));
	value_show(s.v, shown);
	write_words(words, " or ", all, sizeof(all));
	if (near.best.n > 0)
		problem(r, &s, "must be %s, not %s: did you mean \"%.*s\"?",
		    all, shown, STR_FMT(near.best));
	else
		problem(r, &s, "must be %s, not %s", all, shown);
	return false;
}

bool
read_list(struct reader *r, const struct spot *o, const char *name,
    enum entry_kind kind, uint32_t max, struct list *out)
{
	char shown[SHOWN_BYTES];
	struct str *list;
	bool good = true;
	uint32_t n = 0;
	struct spot s;

	if (!read_member(o, name, &s) || !read_array(r, &s))
		return false;
	if (s.v->n > max) {
		problem(r, &s, "has %u entries; at most %u are allowed", s.v->n,
		    max);
		return false;
	}
	list = arena_alloc(&r->p->arena, s.v->n * sizeof(*list));
	if (list == NULL)
		return false;
	for (const struct json *x = json_first(s.v); x != NULL;
	     x = json_next(s.v, x), n++) {
		struct spot entry = { .up = &s, .v = x, .index = n };
		const char *fault = entry_fault(kind, json_str(x));

		list[n] = json_str(x);
		if (!json_is(x, JSON_STRING) || fault != NULL) {
			value_show(x, shown);
			problem(r, &entry, "must be %s, not %s",
			    fault != NULL ? fault : "a text", shown);
			good = false;
			continue;
		}
		for (uint32_t i = 0; i < n; i++) {
			if (!str_eq(list[i], list[n]))
				continue;
			value_show(x, shown);
			problem(r, &entry,
			    "%s stands twice in the list; "
			    "remove one",
			    shown);
			good = false;
			break;
		}
	}
	if (good)
		*out = (struct list){ list, n };
	return good;
}

bool
read_ports(struct reader *r, const struct spot *o, uint32_t min,
    const uint16_t **out, uint32_t *n_out)
{
	char shown[SHOWN_BYTES];
	struct spot ports;
	uint16_t *list;
	uint32_t n = 0;

	if (!read_member(o, "ports", &ports) || !read_array(r, &ports))
		return false;
	if (ports.v->n < min || ports.v->n > POLICY_LIST_MAX) {
		problem(r, &ports, "has %u entries, not %u to %d", ports.v->n,
		    min, POLICY_LIST_MAX);
		return false;
	}
	list = arena_alloc(&r->p->arena, ports.v->n * sizeof(*list));
	if (list == NULL)
		return false;
	for (const struct json *x = json_first(ports.v); x != NULL;
	     x = json_next(ports.v, x), n++) {
		struct spot entry = { .up = &ports, .v = x, .index = n };
		uint64_t port;

		if (json_u64(x, &port) < 0 || port < 1 || port > UINT16_MAX) {
			value_show(x, shown);
			problem(r, &entry,
			    "must be a TCP port from 1 to 65535, not %s",
			    shown);
			return false;
		}
		list[n] = (uint16_t)port;
	}
	*out = list;
	*n_out = n;
	return true;
}

void
read_only(
    struct reader *r, const struct spot *o, const char *name, const char *word)
{
	char shown[SHOWN_BYTES];
	struct spot s;

	if (!read_member(o, name, &s))
		return;
	if (json_is(s.v, JSON_STRING) && str_eq_c(json_str(s.v), word))
		return;
	value_show(s.v, shown);
	problem(r, &s, "%s is not enforced by this version: write \"%s\"",
	    shown, word);
}

void
read_missing(struct reader *r, const struct spot *o, const char *name,
    const char *remedy)
{
	problem(r, o, "`%s` is missing: %s", name, remedy);
}

const char *
entry_fault(enum entry_kind kind, struct str s)
{
	static const char name[] =
	    "1 to 128 letters, digits and characters of ._:/@+-";
	static const char label[] =
	    "1 to 63 letters, digits and characters of ._:/@+-";
	bool ok = false;

	switch (kind) {
	case ENTRY_NAME:
		return is_name(s, false) ? NULL : name;
	case ENTRY_PATTERN:
		return is_name(s, true)
		    ? NULL
		    : "1 to 128 letters, digits and characters of ._:/@+-*";
	case ENTRY_SCOPE:
		if (str_ends(s, STR(":*")))
			s.n -= 2;
		return is_name(s, false) ? NULL
					 : "a scope such as \"tickets:read\" "
					   "or \"tickets:*\"";
	case ENTRY_LABEL:
		ok = is_name(s, false) && s.n < LABEL_BYTES;
		return ok ? NULL : label;
	case ENTRY_LABEL_PATTERN:
		ok = is_name(s, true) && s.n < LABEL_BYTES;
		return ok ? NULL
			  : "1 to 63 letters, digits and characters of "
			    "._:/@+-*";
	case ENTRY_PATH:
		return redact_path_ok(s)
		    ? NULL
		    : "a path such as \"$.a.b\", \"$.a[*].b\" or \"$..b\"";
	case ENTRY_ARGUMENT:
		ok = is_line(s) && s.n <= NAME_MAX_BYTES;
		return ok ? NULL : "the name of an argument, 1 to 128 bytes";
	case ENTRY_COMMAND:
		ok = is_line(s) && s.n <= NAME_MAX_BYTES &&
		    (s.p[0] == '/' || str_find(s, '/') == s.n) &&
		    (!str_starts(s, STR("sha256:")) || command_is_digest(s));
		return ok ? NULL
			  : "the name of a command, such as \"git\", an "
			    "absolute path, up to 128 bytes, or \"sha256:\" "
			    "and 64 digits";
	case ENTRY_PATTERN_PATH:
		return is_path_pattern(s)
		    ? NULL
		    : "names of files with '/' between them, such as "
		      "\".git/hooks\", \"/ci\" or \"*.pem\", without . and ..";
	case ENTRY_FOLDER:
		ok = is_line(s) && s.n < PLACE_MAX_BYTES;
		return ok ? NULL
			  : "the path of a folder, such as \"./data\", on one "
			    "line of less than 4096 bytes";
	case ENTRY_PLACE:
		return place_fault(s);
	case ENTRY_METHOD:
		for (size_t i = 0; i < s.n; i++)
			ok = s.p[i] >= 'A' && s.p[i] <= 'Z' && (i == 0 || ok);
		ok = ok && s.n <= 20 && !str_eq(s, STR("CONNECT"));
		return ok ? NULL
			  : "a method in capitals, such as \"GET\"; CONNECT "
			    "is the proxy's own";
	case ENTRY_URL_PATH:
		ok = egress_path_plain(s) && s.n <= POLICY_TEXT_MAX_BYTES;
		return ok
		    ? NULL
		    : "a path such as \"/v1/tickets\" or \"/v1/**\", "
		      "without dots, doubled slashes or needless escapes, "
		      "up to 160 bytes";
	case ENTRY_TYPE:
		ok = is_name(s, true) && str_find(s, '/') < s.n &&
		    (str_find(s, '*') == s.n ||
			(str_ends(s, STR("/*")) &&
			    str_find(s, '*') == s.n - 1));
		return ok ? NULL
			  : "a media type, such as \"application/json\" or "
			    "\"text/*\"";
	}
	return NULL;
}

/* As sandbox/protect.h has them. */
static bool
is_path_pattern(struct str s)
{
	if (!is_line(s) || s.n > PROTECT_PATTERN_BYTES)
		return false;
	if (s.p[0] == '/') {
		s.p++;
		s.n--;
	}
	for (;;) {
		struct str name = { s.p, str_find(s, '/') };

		if (name.n == 0 || name.n > 255 || str_eq(name, STR(".")) ||
		    str_eq(name, STR("..")))
			return false;
		if (name.n == s.n)
			return true;
		s.p += name.n + 1;
		s.n -= name.n + 1;
	}
}

static bool
listed(struct str name, const char *const *names)
{
	for (; *names != NULL; names++) {
		if (str_eq_c(name, *names))
			return true;
	}
	return false;
}

static void
unknown(struct reader *r, const struct spot *o, const struct json *key,
    const char *const *known)
{
	struct suggest near = suggest_for(json_str(key));
	char shown[SHOWN_BYTES], all[200];

	for (const char *const *k = known; *k != NULL; k++)
		suggest_try(&near, str_of(*k));
	value_show(key, shown);
	if (near.best.n > 0) {
		problem_key(r, o, key,
		    "unknown member %s: did you mean `%.*s`?", shown,
		    STR_FMT(near.best));
		return;
	}
	write_words(known, ", ", all, sizeof(all));
	problem_key(r, o, key, "unknown member %s; known are %s", shown, all);
}

/* Letters, digits and ._:/@+-, and '*' where patterns may stand. */
static bool
is_name(struct str s, bool star)
{
	/* A table, because every call's tool is looked at. */
	static const bool in_name[256] = {
		['a' ... 'z'] = true,
		['A' ... 'Z'] = true,
		['0' ... '9'] = true,
		['.'] = true,
		['_'] = true,
		[':'] = true,
		['/'] = true,
		['@'] = true,
		['+'] = true,
		['-'] = true,
	};

	if (s.n == 0 || s.n > NAME_MAX_BYTES)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!in_name[(unsigned char)s.p[i]] && (!star || s.p[i] != '*'))
			return false;
	}
	return true;
}

bool
command_is_digest(struct str entry)
{
	const struct str head = STR("sha256:");

	if (!str_starts(entry, head) || entry.n != head.n + 64)
		return false;
	for (size_t i = head.n; i < entry.n; i++) {
		char c = entry.p[i];

		if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
			return false;
	}
	return true;
}

static bool
is_line(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	}
	return s.n > 0;
}

/* "a, b or c" */
static void
write_words(const char *const *words, const char *last, char *out, size_t cap)
{
	size_t n = 0;

	out[0] = '\0';
	for (uint32_t i = 0; words[i] != NULL && n < cap; i++) {
		const char *between = i == 0 ? ""
		    : words[i + 1] == NULL   ? last
					     : ", ";
		int more =
		    snprintf(out + n, cap - n, "%s%s", between, words[i]);

		if (more < 0)
			return;
		n += (size_t)more;
	}
}
