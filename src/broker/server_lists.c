/*
 * What servers offer beside tools. Reading a resource, getting a prompt and a
 * completion are calls like all others, of names that a policy has to list:
 * "SERVER/resources", "SERVER/prompts", "SERVER/completion". No tool can have
 * such a name, as none has a slash.
 */
#include <stdlib.h>

#include "base/must.h"
#include "broker/server_int.h"
#include "core/policy.h"

static const struct {
	const char *list; /* the member of a result */
	const char *key;
	enum server_ask ask; /* that it is about */
} lists[LIST_KINDS] = {
	[LIST_RESOURCES] = { "resources", "uri", SERVER_ASK_RESOURCE },
	[LIST_TEMPLATES] = { "resourceTemplates", "uriTemplate",
	    SERVER_ASK_RESOURCE },
	[LIST_PROMPTS] = { "prompts", "name", SERVER_ASK_PROMPT },
};

static const char *const suffixes[SERVER_ASKS] = {
	[SERVER_ASK_RESOURCE] = "/resources",
	[SERVER_ASK_PROMPT] = "/prompts",
	[SERVER_ASK_COMPLETION] = "/completion",
};

static bool has(const struct tool_server *s, enum server_ask ask);
static bool is_first(const struct run *r, const struct tool_server *s,
    enum list_kind kind, const struct listed *l);
static void reset(struct tool_server *s, enum list_kind kind);
static bool may_see(
    const struct run *r, const struct tool_server *s, enum server_ask ask);
static const struct listed *find(
    const struct tool_server *s, enum list_kind kind, struct str name);
static bool fits_template(struct str template, struct str uri);
static struct tool_server *of_prompt(
    const struct run *r, struct str shown, struct str *own);
static struct str own_of(const struct tool_server *s, struct str shown);
static void put_prompt(
    struct buf *out, const struct tool_server *s, const struct listed *l);
static void put_ref(struct buf *out, const struct json *args, struct str own);

int
server_lists_take(
    struct tool_server *s, const struct json *list, struct buf *record)
{
	for (int k = 0; k < LIST_KINDS; k++) {
		const struct json *all = json_get(list, str_of(lists[k].list));
		own_buf struct buf text = {};
		char hex[HASH_HEX_BYTES];
		struct hash hash;

		if (!json_is(all, JSON_ARRAY) || all->n > SERVER_TOOLS_MAX)
			return -1;
		reset(s, (enum list_kind)k);
		if (all->n == 0)
			continue;
		s->lists[k] = calloc(all->n, sizeof(*s->lists[k]));
		must(s->lists[k] != NULL);
		for (const struct json *one = json_first(all); one != NULL;
		     one = json_next(all, one)) {
			struct listed *l = &s->lists[k][s->n_lists[k]++];

			buf_add_str(&l->name,
			    json_str(json_get(one, str_of(lists[k].key))));
			json_write(&l->json, one);
		}
		json_write(&text, all);
		hash = hash_of(text.p, text.n);
		hash_hex(&hash, hex);
		buf_printf(record, ",\"%s\":{\"n\":%u,\"sha256\":\"%s\"}",
		    lists[k].list, all->n, hex);
	}
	s->completes = json_bool(json_get(list, STR("completions")), false);
	return 0;
}

void
server_lists_free(struct tool_server *s)
{
	for (int k = 0; k < LIST_KINDS; k++)
		reset(s, (enum list_kind)k);
}

struct tool_server *
server_lists_find(const struct run *r, struct str tool, enum server_ask *ask)
{
	const struct str server = { tool.p, str_find(tool, '/') };
	const struct str suffix = { tool.p + server.n, tool.n - server.n };

	for (struct tool_server *s = r->servers; s != NULL; s = s->next) {
		if (!str_eq(s->row->name, server))
			continue;
		for (int a = SERVER_ASK_RESOURCE; a <= SERVER_ASK_COMPLETION;
		     a++) {
			if (!str_eq_c(suffix, suffixes[a]) ||
			    !has(s, (enum server_ask)a))
				continue;
			*ask = (enum server_ask)a;
			return s;
		}
	}
	return NULL;
}

void
server_call_of(const struct run *r, const struct json *call, struct buf *out)
{
	const struct json *args = json_get(call, STR("arguments"));
	const struct json *state = json_get(call, STR("state"));
	const struct json *ref = json_get(args, STR("ref"));
	struct str method = json_str(json_get(call, STR("method")));
	struct str uri = json_str(json_get(args, STR("uri")));
	struct str own = STR("");
	enum server_ask ask = SERVER_ASK_TOOL;
	struct tool_server *s = NULL;

	buf_add_c(out, "{\"arguments\":");
	if (str_eq(method, STR("resources/read"))) {
		ask = SERVER_ASK_RESOURCE;
		s = server_of_uri(r, uri);
	} else if (str_eq(method, STR("prompts/get"))) {
		ask = SERVER_ASK_PROMPT;
		s = of_prompt(r, json_str(json_get(args, STR("name"))), &own);
	} else if (str_eq(method, STR("completion/complete"))) {
		ask = SERVER_ASK_COMPLETION;
		uri = json_str(json_get(ref, STR("uri")));
		s = uri.n > 0
		    ? server_of_uri(r, uri)
		    : of_prompt(r, json_str(json_get(ref, STR("name"))), &own);
	}
	if (s == NULL || own.n == 0) {
		json_write(out, args);
	} else if (ask == SERVER_ASK_PROMPT) {
		const struct json *given = json_get(args, STR("arguments"));

		buf_add_c(out, "{\"arguments\":");
		if (given != NULL)
			json_write(out, given);
		else
			buf_add_c(out, "{}");
		buf_add_c(out, ",\"name\":");
		json_put_str(out, own);
		buf_add_byte(out, '}');
	} else {
		put_ref(out, args, own);
	}
	buf_add_c(out, ",\"name\":\"");
	if (s != NULL) {
		buf_add_str(out, s->row->name);
		buf_add_c(out, suffixes[ask]);
	} else {
		buf_add_str(out, method);
	}
	buf_add_byte(out, '"');
	if (state != NULL) {
		buf_add_c(out, ",\"state\":");
		json_write(out, state);
	}
	buf_add_byte(out, '}');
}

void
servers_write_list(struct buf *out, const struct run *r, struct str list)
{
	bool any = false;
	int k = 0;

	while (k < LIST_KINDS && !str_eq_c(list, lists[k].list))
		k++;
	for (struct tool_server *s = r->servers; s != NULL && k < LIST_KINDS;
	     s = s->next) {
		if (!may_see(r, s, lists[k].ask))
			continue;
		for (size_t i = 0; i < s->n_lists[k]; i++) {
			const struct listed *l = &s->lists[k][i];

			if (!is_first(r, s, (enum list_kind)k, l))
				continue;
			if (any)
				buf_add_byte(out, ',');
			any = true;
			if (k == LIST_PROMPTS)
				put_prompt(out, s, l);
			else
				buf_add_str(out, buf_str(&l->json));
		}
	}
}

static bool
has(const struct tool_server *s, enum server_ask ask)
{
	switch (ask) {
	case SERVER_ASK_RESOURCE:
		return s->n_lists[LIST_RESOURCES] > 0 ||
		    s->n_lists[LIST_TEMPLATES] > 0;
	case SERVER_ASK_PROMPT:
		return s->n_lists[LIST_PROMPTS] > 0;
	case SERVER_ASK_COMPLETION:
		return s->completes;
	case SERVER_ASK_TOOL:
	case SERVER_ASK_SUBSCRIBE:
	case SERVER_ASK_UNSUBSCRIBE:
	case SERVER_ASKS:
		return false;
	}
	return false;
}

/* What two servers have is that of the first. */
static bool
is_first(const struct run *r, const struct tool_server *s, enum list_kind kind,
    const struct listed *l)
{
	struct str own;

	if (kind != LIST_PROMPTS)
		return server_of_uri(r, buf_str(&l->name)) == s;
	return !s->row->bare || of_prompt(r, buf_str(&l->name), &own) == s;
}

static void
reset(struct tool_server *s, enum list_kind kind)
{
	for (size_t i = 0; i < s->n_lists[kind]; i++) {
		buf_fini(&s->lists[kind][i].name);
		buf_fini(&s->lists[kind][i].json);
	}
	free(s->lists[kind]);
	s->lists[kind] = NULL;
	s->n_lists[kind] = 0;
}

static bool
may_see(const struct run *r, const struct tool_server *s, enum server_ask ask)
{
	static struct verdict v; /* large, and used for one at a time */
	static const struct labels none;
	own_buf struct buf name = {};
	struct policy_call pc = { .labels = &none };

	buf_add_str(&name, s->row->name);
	buf_add_c(&name, suffixes[ask]);
	pc.tool = buf_str(&name);
	policy_decide(r->policy, &pc, &v);
	return v.kind != VERDICT_BLOCK && v.kind != VERDICT_SIMULATE;
}

static const struct listed *
find(const struct tool_server *s, enum list_kind kind, struct str name)
{
	for (size_t i = 0; i < s->n_lists[kind]; i++) {
		if (str_eq(buf_str(&s->lists[kind][i].name), name))
			return &s->lists[kind][i];
	}
	return NULL;
}

/*
 * Whose a URI is: of the first server that lists it, of the first that has a
 * template for it, or of the only one that has resources at all: a tool's
 * result may name some that are in no list.
 */
struct tool_server *
server_of_uri(const struct run *r, struct str uri)
{
	struct tool_server *only = NULL;
	size_t n = 0;

	for (struct tool_server *s = r->servers; s != NULL; s = s->next) {
		if (find(s, LIST_RESOURCES, uri) != NULL ||
		    find(s, LIST_TEMPLATES, uri) != NULL)
			return s;
	}
	for (struct tool_server *s = r->servers; s != NULL; s = s->next) {
		for (size_t i = 0; i < s->n_lists[LIST_TEMPLATES]; i++) {
			if (fits_template(
				buf_str(&s->lists[LIST_TEMPLATES][i].name),
				uri))
				return s;
		}
		if (!has(s, SERVER_ASK_RESOURCE))
			continue;
		only = s;
		n++;
	}
	return n == 1 ? only : NULL;
}

/* What stands in braces may be anything: the server decides what it means. */
static bool
fits_template(struct str template, struct str uri)
{
	own_buf struct buf glob = {};
	bool inside = false;

	for (size_t i = 0; i < template.n; i++) {
		if (template.p[i] == '{' && !inside)
			buf_add_byte(&glob, '*');
		else if (template.p[i] != '}' && !inside)
			buf_add_byte(&glob, template.p[i]);
		inside = inside ? template.p[i] != '}' : template.p[i] == '{';
	}
	return str_glob(buf_str(&glob), uri);
}

static struct tool_server *
of_prompt(const struct run *r, struct str shown, struct str *own)
{
	for (struct tool_server *s = r->servers; s != NULL; s = s->next) {
		*own = own_of(s, shown);
		if (own->n > 0 && find(s, LIST_PROMPTS, *own) != NULL)
			return s;
	}
	*own = STR("");
	return NULL;
}

/* "" when it cannot be the server's. */
static struct str
own_of(const struct tool_server *s, struct str shown)
{
	const struct str server = s->row->name;

	if (s->row->bare)
		return shown;
	if (!str_starts(shown, server) || shown.n <= server.n + 1 ||
	    shown.p[server.n] != '.')
		return STR("");
	return (struct str){ shown.p + server.n + 1, shown.n - server.n - 1 };
}

/* Its name is the only member "name" outside of its arguments. */
static void
put_prompt(struct buf *out, const struct tool_server *s, const struct listed *l)
{
	own_arena struct arena a = {};
	own_buf struct buf shown = {};
	struct err e = {};
	const struct json *v =
	    json_parse(buf_str(&l->json), NULL, &a, &e, NULL);
	char before = '{';

	if (!s->row->bare) {
		buf_add_str(&shown, s->row->name);
		buf_add_byte(&shown, '.');
	}
	buf_add_str(&shown, buf_str(&l->name));
	for (const struct json *k = json_first(v); k != NULL;
	     k = json_next(v, k)) {
		buf_add_byte(out, before);
		before = ',';
		json_put_str(out, json_str(k));
		buf_add_byte(out, ':');
		if (str_eq(json_str(k), STR("name")))
			json_put_str(out, buf_str(&shown));
		else
			json_write(out, json_value(k));
	}
	buf_add_byte(out, '}');
}

/* A completion's arguments, whose prompt has the server's own name. */
static void
put_ref(struct buf *out, const struct json *args, struct str own)
{
	char before = '{';

	for (const struct json *k = json_first(args); k != NULL;
	     k = json_next(args, k)) {
		buf_add_byte(out, before);
		before = ',';
		json_put_str(out, json_str(k));
		buf_add_byte(out, ':');
		if (str_eq(json_str(k), STR("ref"))) {
			buf_add_c(out, "{\"name\":");
			json_put_str(out, own);
			buf_add_c(out, ",\"type\":\"ref/prompt\"}");
		} else {
			json_write(out, json_value(k));
		}
	}
	buf_add_byte(out, '}');
}
