#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "broker/command.h"
#include "broker/export.h"
#include "broker/server_int.h"
#include "core/labels.h"

enum { UNTRUSTED_BYTES = sizeof("untrusted:") }; /* with a label's NUL */

static bool full_name(const struct tool_server *s, struct str name,
    char out[static NAME_MAX_BYTES]);
static struct offered *offered_find(struct tool_server *s, const char *name);
static void take_one(struct tool_server *s, const struct run *r,
    const struct json *tool, const char *name, struct str canonical);
static void write_renamed(
    struct buf *out, const struct json *tool, const char *name);
static bool is_ours(const struct run *r, struct str tool);
static bool may_see(
    const struct run *r, const struct tool_server *s, const struct offered *o);

int
server_tools_take(struct tool_server *s, struct run *r, const struct json *list,
    struct buf *record)
{
	const struct json *tools = json_get(list, STR("tools"));
	const struct json *refused = json_get(list, STR("refused"));
	own_buf struct buf bad = {}, left_out = {};
	bool any = false;

	if (!json_is(tools, JSON_ARRAY) || !json_is(refused, JSON_ARRAY) ||
	    tools->n > SERVER_TOOLS_MAX)
		return -1;
	for (size_t i = 0; i < s->n_offered; i++)
		s->offered[i].there = false;
	for (const struct json *t = json_first(tools); t != NULL;
	     t = json_next(tools, t)) {
		own_buf struct buf canonical = {};
		char name[NAME_MAX_BYTES];

		if (!full_name(s, json_str(json_get(t, STR("name"))), name)) {
			buf_add_c(&left_out, left_out.n > 0 ? "," : "");
			json_write(&left_out, json_get(t, STR("name")));
			continue;
		}
		json_write(&canonical, t);
		take_one(s, r, t, name, buf_str(&canonical));
	}
	buf_add_c(record, ",\"offered\":{");
	for (size_t i = 0; i < s->n_offered; i++) {
		const struct offered *o = &s->offered[i];
		char hex[HASH_HEX_BYTES];

		if (!o->there)
			continue;
		hash_hex(&o->hash, hex);
		buf_add_c(record, any ? "," : "");
		any = true;
		json_put_str(record, str_of(o->name));
		buf_printf(record, ":\"sha256:%s\"", hex);
		if (!o->quarantined)
			continue;
		buf_add_c(&bad, bad.n > 0 ? "," : "");
		json_put_str(&bad, str_of(o->name));
	}
	buf_add_c(record, "},\"quarantined\":[");
	buf_add_str(record, buf_str(&bad));
	buf_add_c(record, "],\"refused\":");
	json_write(record, refused);
	buf_add_c(record, ",\"too_long\":[");
	buf_add_str(record, buf_str(&left_out));
	buf_add_byte(record, ']');
	return 0;
}

void
server_tools_free(struct tool_server *s)
{
	for (size_t i = 0; i < s->n_offered; i++)
		buf_fini(&s->offered[i].json);
	free(s->offered);
}

struct tool_server *
server_tools_find(
    const struct run *r, struct str tool, const struct offered **out)
{
	for (struct tool_server *s = r->servers; s != NULL; s = s->next) {
		for (size_t i = 0; i < s->n_offered; i++) {
			const struct offered *o = &s->offered[i];

			if (!o->there || !str_eq_c(tool, o->name) ||
			    is_ours(r, tool))
				continue;
			*out = o;
			return s;
		}
	}
	return NULL;
}

enum offer
server_offers(const struct run *r, struct str tool)
{
	const struct offered *o;
	enum server_ask ask;

	if (server_lists_find(r, tool, &ask) != NULL)
		return OFFER_GOOD;
	if (server_tools_find(r, tool, &o) == NULL)
		return OFFER_NONE;
	return o->quarantined ? OFFER_QUARANTINED : OFFER_GOOD;
}

void
servers_write_tools(struct buf *out, const struct run *r)
{
	for (struct tool_server *s = r->servers; s != NULL; s = s->next) {
		for (size_t i = 0; i < s->n_offered; i++) {
			const struct offered *o = &s->offered[i];

			if (!may_see(r, s, o))
				continue;
			buf_add_byte(out, ',');
			buf_add_str(out, buf_str(&o->json));
		}
	}
}

/* "server.tool", or its own: which has to fit a policy's row and a label. */
static bool
full_name(const struct tool_server *s, struct str name,
    char out[static NAME_MAX_BYTES])
{
	const struct str server = s->row->name;

	if (name.n == 0 ||
	    server.n + 1 + name.n > LABEL_BYTES - UNTRUSTED_BYTES)
		return false;
	if (s->row->bare)
		return str_copy(name, out, NAME_MAX_BYTES) == 0;
	(void)snprintf(
	    out, NAME_MAX_BYTES, "%.*s.%.*s", STR_FMT(server), STR_FMT(name));
	return true;
}

static struct offered *
offered_find(struct tool_server *s, const char *name)
{
	for (size_t i = 0; i < s->n_offered; i++) {
		if (strcmp(s->offered[i].name, name) == 0)
			return &s->offered[i];
	}
	return NULL;
}

/*
 * The first definition of a run stays the one that counts: what comes later
 * under the name, and differs, was not there when it could be looked at.
 */
static void
take_one(struct tool_server *s, const struct run *r, const struct json *tool,
    const char *name, struct str canonical)
{
	const struct policy_tool *row =
	    policy_tool_find(r->policy, str_of(name));
	const struct hash hash = hash_of(canonical.p, canonical.n);
	struct offered *o = offered_find(s, name);
	char hex[HASH_HEX_BYTES];

	if (o != NULL) {
		o->there = true;
		if (!hash_eq(&o->hash, &hash))
			o->quarantined = true;
		return;
	}
	if (s->n_offered >= 2 * SERVER_TOOLS_MAX)
		return; /* new names without end: none of these is offered */
	if (s->offered == NULL) {
		s->offered = calloc(2 * SERVER_TOOLS_MAX, sizeof(*s->offered));
		must(s->offered != NULL);
	}
	o = &s->offered[s->n_offered++];
	(void)snprintf(o->name, sizeof(o->name), "%s", name);
	o->hash = hash;
	o->there = true;
	hash_hex(&hash, hex);
	o->quarantined =
	    row != NULL && row->pin.n > 0 && !str_eq(row->pin, str_of(hex));
	write_renamed(&o->json, tool, name);
}

static void
write_renamed(struct buf *out, const struct json *tool, const char *name)
{
	char before = '{';

	for (const struct json *k = json_first(tool); k != NULL;
	     k = json_next(tool, k)) {
		buf_add_byte(out, before);
		before = ',';
		json_put_str(out, json_str(k));
		buf_add_byte(out, ':');
		if (str_eq(json_str(k), STR("name")))
			json_put_str(out, str_of(name));
		else
			json_write(out, json_value(k));
	}
	buf_add_byte(out, '}');
}

/* A name that is taken stays that of the one who had it. */
static bool
is_ours(const struct run *r, struct str tool)
{
	if (export_is(tool) || command_is(r, tool))
		return true;
	for (uint32_t i = 0; i < r->n_tools; i++) {
		if (str_eq_c(tool, r->tools[i].name))
			return true;
	}
	return false;
}

/* What the policy's rows let nobody of this identity do is not shown. */
static bool
may_see(
    const struct run *r, const struct tool_server *s, const struct offered *o)
{
	static struct verdict v; /* large, and used for one at a time */
	static const struct labels none;
	const struct policy_call pc = { .tool = str_of(o->name),
		.labels = &none };
	const struct offered *first;

	if (!o->there || o->quarantined || is_ours(r, pc.tool) ||
	    server_tools_find(r, pc.tool, &first) != s)
		return false;
	policy_decide(r->policy, &pc, &v);
	return v.kind != VERDICT_BLOCK && v.kind != VERDICT_SIMULATE;
}
