#include "base/limits.h"
#include "gateway/mcp.h"
#include "gateway/pending.h"

static const struct {
	uint32_t bit;
	const char *filter; /* of subscriptions/listen */
	const char *method;
} kinds[] = {
	{ LISTS_PROMPTS, "promptsListChanged",
	    "notifications/prompts/list_changed" },
	{ LISTS_RESOURCES, "resourcesListChanged",
	    "notifications/resources/list_changed" },
	{ LISTS_TOOLS, "toolsListChanged", "notifications/tools/list_changed" },
};

enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static bool is_of(const struct client *cl, const struct msg_lists *m);

void
mcp_on_progress(struct client *cl, struct str payload)
{
	struct pending *p = &cl->pending;
	struct buf *b = &cl->gateway->body;
	own_arena struct arena a = {};
	const struct json *now;
	struct err e = {};

	if (!p->takes_stream || p->progress_token.n == 0)
		return;
	now =
	    json_get(json_parse(payload, NULL, &a, &e, NULL), STR("progress"));
	/* Numbers rise; we may have said some of our own. */
	if (!json_is(now, JSON_NUMBER) ||
	    (p->progress > 0 && now->num <= (double)p->progress))
		return;
	p->told = true;
	mcp_stream_begin(cl);
	buf_reset(b);
	buf_add_c(b,
	    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\","
	    "\"params\":{\"progressToken\":");
	buf_add_str(b, buf_str(&p->progress_token));
	buf_add_byte(b, ',');
	buf_add(b, payload.p + 1, payload.n - 1);
	buf_add_byte(b, '}');
	mcp_stream_message(cl, buf_str(b));
}

void
mcp_on_lists(struct gateway *g, const struct msg_lists *m)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *cl = g->clients[i];

		if (cl == NULL || cl->pending.what != ASK_MCP_LISTEN ||
		    !cl->pending.acknowledged || !is_of(cl, m))
			continue;
		for (size_t k = 0; k < N_KINDS; k++) {
			struct buf *b = &g->body;

			if ((cl->pending.wants & m->changed & kinds[k].bit) ==
				0 ||
			    cl->conn.phase == HTTP_DEAD)
				continue;
			buf_reset(b);
			buf_printf(b, "{\"jsonrpc\":\"2.0\",\"method\":\"%s\"",
			    kinds[k].method);
			if (cl->pending.modern) {
				buf_add_c(b,
				    ",\"params\":{\"_meta\":{"
				    "\"" MCP_META_SUBSCRIPTION "\":");
				buf_add_str(b, buf_str(&cl->pending.id));
				buf_add_c(b, "}}");
			}
			buf_add_byte(b, '}');
			mcp_stream_message(cl, buf_str(b));
		}
	}
}

void
mcp_on_run_end(struct gateway *g, uint64_t run)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *cl = g->clients[i];

		if (cl != NULL && cl->pending.what == ASK_MCP_LISTEN &&
		    cl->caller.run == run)
			mcp_fail(cl, 404, "the run has ended");
	}
}

uint32_t
mcp_wants(const struct json *notifications)
{
	uint32_t wants = 0;

	for (size_t k = 0; k < N_KINDS; k++) {
		if (json_bool(json_get(notifications, str_of(kinds[k].filter)),
			false))
			wants |= kinds[k].bit;
	}
	return wants;
}

void
mcp_wants_put(struct buf *b, uint32_t wants, const struct json *uris)
{
	const char *before = "{";

	for (size_t k = 0; k < N_KINDS; k++) {
		if ((wants & kinds[k].bit) == 0)
			continue;
		buf_printf(b, "%s\"%s\":true", before, kinds[k].filter);
		before = ",";
	}
	if (uris != NULL && uris->n > 0) {
		buf_printf(b, "%s\"resourceSubscriptions\":", before);
		json_write(b, uris);
		before = ",";
	}
	buf_add_c(b, before[0] == '{' ? "{}" : "}");
}

/* By the listener that it came in by, by its path, or by the run's token. */
static bool
is_of(const struct client *cl, const struct msg_lists *m)
{
	static const struct hash none;

	if (cl->caller.run != 0)
		return cl->caller.run == m->run;
	return !hash_eq(&m->token, &none) &&
	    hash_eq(&cl->caller.token, &m->token);
}
