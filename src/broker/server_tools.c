#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "broker/command.h"
#include "broker/export.h"
#include "broker/server_int.h"
#include "broker/record.h"
#include "core/http_fields.h"
#include "core/labels.h"

enum { UNTRUSTED_BYTES = sizeof("untrusted:") }; /* with a label's NUL */

static bool full_name(const struct tool_server *s, struct str name,
    char out[static NAME_MAX_BYTES]);
static struct offered *offered_find(struct tool_server *s, const char *name);
static void take_one(struct tool_server *s, const struct run *r,
    const struct json *tool, const char *name, struct str canonical);
static void judge(struct tool_server *s, const struct run *r, struct offered *o,
    struct str canonical);
static struct pin_of pin_of(
    const struct tool_server *s, const struct run *r, const struct offered *o);
static bool is_pinned(const struct run *r, const struct offered *o);
static bool decided(struct tool_server *s, struct run *r, struct offered *o,
    const struct hash *hash, bool good);
static bool has_marks(struct str canonical);
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
	own_buf struct buf bad = {}, left_out = {}, review = {};
	struct pin_of of;
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
		if (o->why == PIN_GOOD)
			continue;
		buf_add_c(&bad, bad.n > 0 ? "," : "");
		json_put_str(&bad, str_of(o->name));
		if (o->why == PIN_OTHER || o->why == PIN_FULL)
			continue;
		of = pin_of(s, r, o);
		buf_add_c(&review, review.n > 0 ? "," : "");
		json_put_str(&review, str_of(o->name));
		buf_printf(&review, ":\"%s\"", pin_name(&of));
	}
	buf_add_c(record, "},\"quarantined\":[");
	buf_add_str(record, buf_str(&bad));
	buf_add_c(record, "],\"refused\":");
	json_write(record, refused);
	if (review.n > 0) {
		buf_add_c(record, ",\"review\":{");
		buf_add_str(record, buf_str(&review));
		buf_add_byte(record, '}');
	}
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
	return o->why != PIN_GOOD ? OFFER_QUARANTINED : OFFER_GOOD;
}

void
server_quarantine_why(
    const struct run *r, struct str tool, char *reason, char *next_step)
{
	static const struct {
		const char *reason, *next_step;
	} texts[] = {
		[PIN_CHANGED] = { "the tool server describes the tool "
				  "otherwise than it did when that was "
				  "accepted",
		    "A person has to look at it with `paddock server diff`, "
		    "and `approve` or `reject` it" },
		[PIN_REJECTED] = { "a person has rejected what the tool server "
				   "says that the tool is",
		    "Work on without it. `paddock server show` tells an "
		    "operator more" },
		[PIN_FLIPPED] = { "the tool server has described the tool in "
				  "two ways in this run",
		    "Another run is judged anew. `paddock server diff` shows a "
		    "person what was seen" },
		[PIN_OTHER] = { "the tool server describes the tool otherwise "
				"than the policy's `pin` says",
		    "A person has to look at it, and change `pin` in the "
		    "policy" },
		[PIN_FULL] = { "no more definitions of tools can be kept for "
			       "the tenant, and so none can be accepted",
		    "An operator can remove some: `paddock server ls`, "
		    "`paddock server forget`" },
	};
	const struct offered *o = NULL;
	const struct tool_server *s = server_tools_find(r, tool, &o);
	const char *name;
	struct pin_of of;

	must(s != NULL && o->why != PIN_GOOD);
	of = pin_of(s, r, o);
	name = o->why == PIN_OTHER ? "" : pin_name(&of);
	(void)snprintf(reason, REASON_BYTES, "%s", texts[o->why].reason);
	(void)snprintf(next_step, REASON_BYTES, "%s%s%s.",
	    texts[o->why].next_step, name[0] != '\0' ? ": " : "", name);
}

void
servers_pin_decided(const struct pin_of *of, const struct hash *hash, bool good)
{
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		if (!str_eq(r->policy->identity.tenant, of->tenant))
			continue;
		for (struct tool_server *s = r->servers; s != NULL;
		     s = s->next) {
			bool changed = false;

			if (!str_eq(s->row->name, of->server))
				continue;
			for (size_t i = 0; i < s->n_offered; i++) {
				struct offered *o = &s->offered[i];

				if (str_eq(pin_of(s, r, o).tool, of->tool))
					changed =
					    decided(s, r, o, hash, good) ||
					    changed;
			}
			if (changed && s->state == SERVER_READY)
				server_lists_tell(s, r);
		}
	}
}

bool
server_heads_ok(const struct run *r, struct str tool, const struct json *args,
    const struct json *heads, struct buf *why)
{
	own_arena struct arena a = { .max_bytes = WORLD_MAX_PARSE_BYTES };
	const struct offered *o;
	const struct json *schema;
	struct str name = STR("");
	struct err e = {};
	const char *fault;

	if (server_tools_find(r, tool, &o) == NULL ||
	    !has_marks(buf_str(&o->json)))
		return true;
	schema = json_get(json_parse(buf_str(&o->json), NULL, &a, &e, NULL),
	    STR("inputSchema"));
	/* One whose annotations are no good is called as without any. */
	if (http_fields_fault(schema) != NULL)
		return true;
	fault = http_fields_differ(schema, args, heads, &name);
	if (fault == NULL)
		return true;
	buf_add_c(why, "header Mcp-Param-");
	buf_add_str(why, name);
	buf_printf(why, " %s", fault);
	return false;
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
 * The newest definition is the one that is judged. What was offered in this run
 * as one thing and is then another stays quarantined in it, also when it turns
 * back: nobody knows which of the two its calls would do.
 */
static void
take_one(struct tool_server *s, const struct run *r, const struct json *tool,
    const char *name, struct str canonical)
{
	const struct hash hash = hash_of(canonical.p, canonical.n);
	struct offered *o = offered_find(s, name);

	if (o != NULL) {
		o->there = true;
		if (hash_eq(&o->hash, &hash))
			return;
		o->flipped = o->flipped || o->shown;
		o->hash = hash;
		buf_reset(&o->json);
		write_renamed(&o->json, tool, name);
		judge(s, r, o, canonical);
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
	write_renamed(&o->json, tool, name);
	judge(s, r, o, canonical);
}

static void
judge(struct tool_server *s, const struct run *r, struct offered *o,
    struct str canonical)
{
	const struct policy_tool *row =
	    policy_tool_find(r->policy, str_of(o->name));
	const struct pin_of of = pin_of(s, r, o);
	char hex[HASH_HEX_BYTES];

	if (is_pinned(r, o)) {
		hash_hex(&o->hash, hex);
		o->why = str_eq(row->pin, str_of(hex)) ? PIN_GOOD : PIN_OTHER;
	} else if (o->changes < PIN_CHANGES_MAX) {
		o->changes++;
		o->why = pin_judge(&of, r->id, &o->hash, canonical);
	} else {
		o->flipped = true;
	}
	if (o->flipped && (o->why == PIN_GOOD || o->why == PIN_FULL))
		o->why = PIN_FLIPPED;
	o->shown = o->shown || o->why == PIN_GOOD;
}

/* With the server's own name for the tool. */
static struct pin_of
pin_of(
    const struct tool_server *s, const struct run *r, const struct offered *o)
{
	struct str own = str_of(o->name);

	if (!s->row->bare) {
		own.p += s->row->name.n + 1;
		own.n -= s->row->name.n + 1;
	}
	return (struct pin_of){ r->policy->identity.tenant, s->row->name, own };
}

static bool
is_pinned(const struct run *r, const struct offered *o)
{
	const struct policy_tool *row =
	    policy_tool_find(r->policy, str_of(o->name));

	return row != NULL && row->pin.n > 0;
}

/* True when that changes what the run is offered, which is on the record. */
static bool
decided(struct tool_server *s, struct run *r, struct offered *o,
    const struct hash *hash, bool good)
{
	struct event ev = record_of(r, EVENT_NOTE);
	own_buf struct buf body = {};
	char hex[HASH_HEX_BYTES];

	if (is_pinned(r, o) || !hash_eq(&o->hash, hash) ||
	    good == (o->why == PIN_GOOD))
		return false;
	hash_hex(hash, hex);
	buf_printf(&body,
	    "{\"note\":\"definition\",\"offered\":%s,"
	    "\"server\":",
	    good ? "true" : "false");
	json_put_str(&body, s->row->name);
	buf_printf(&body, ",\"sha256\":\"%s\",\"tool\":", hex);
	json_put_str(&body, str_of(o->name));
	buf_add_byte(&body, '}');
	ev.body = buf_str(&body);
	/* What is offered has to be on the record; what no longer is goes
	 * whether it is or not. */
	if (record_add(&ev) == 0 && good)
		return false;
	o->flipped = false;
	o->shown = o->shown || good;
	o->why = good ? PIN_GOOD : PIN_REJECTED;
	return true;
}

/* In canonical text a quote stands in front of a name, never within a text. */
static bool
has_marks(struct str canonical)
{
	static const struct str mark = STR("\"x-mcp-header\":");

	for (size_t i = 0; i + mark.n <= canonical.n; i++) {
		if (canonical.p[i] == '"' &&
		    str_eq((struct str){ canonical.p + i, mark.n }, mark))
			return true;
	}
	return false;
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

	if (!o->there || o->why != PIN_GOOD || is_ours(r, pc.tool) ||
	    server_tools_find(r, pc.tool, &first) != s)
		return false;
	policy_decide(r->policy, &pc, &v);
	return v.kind != VERDICT_BLOCK && v.kind != VERDICT_SIMULATE;
}
