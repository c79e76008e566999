/*
 * What tool servers have beside tools. Each of these methods is a call to the
 * broker, which knows whose the URI or the prompt is, and decides it like
 * others; its answer is the method's result, or an error of JSON-RPC.
 */
#include "gateway/mcp.h"
#include "gateway/pending.h"

static const char *fault_of(const struct rpc *m);
static bool is_text(const struct json *object, const char *name);
static const char *complete_fault(const struct rpc *m);

bool
mcp_ask(struct client *cl, const struct rpc *m, bool modern)
{
	static const struct str members[] = { STR("argument"), STR("arguments"),
		STR("context"), STR("name"), STR("ref"), STR("uri") };
	const bool reads = str_eq(m->method, STR("resources/read"));
	const struct json *state = json_get(m->params, STR("requestState"));
	const char *fault;
	struct buf *b = &cl->gateway->payload;
	struct pending *p;
	char before = '{';

	if (!reads && !str_eq(m->method, STR("prompts/get")) &&
	    !str_eq(m->method, STR("completion/complete")))
		return false;
	fault = fault_of(m);
	if (fault == NULL && modern && state != NULL &&
	    !json_is(state, JSON_STRING))
		fault = "params.requestState must be a string";
	if (fault != NULL) {
		mcp_error(
		    cl, modern ? 400 : 200, m, MCP_INVALID_PARAMS, "%s", fault);
		return true;
	}
	/* Canonical: members are in the order of RFC 8785. */
	buf_reset(b);
	buf_add_c(b, "{\"arguments\":");
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const struct json *v = json_get(m->params, members[i]);

		if (v == NULL)
			continue;
		buf_add_byte(b, before);
		before = ',';
		json_put_str(b, members[i]);
		buf_add_byte(b, ':');
		json_write(b, v);
	}
	buf_add_c(b, "},\"method\":");
	json_put_str(b, m->method);
	if (modern && state != NULL) {
		buf_add_c(b, ",\"state\":");
		json_write(b, state);
	}
	buf_add_byte(b, '}');
	p = mcp_question(cl, m, modern, ASK_MCP_CALL);
	if (p == NULL)
		return true;
	p->plain = true;
	p->keeps = reads;
	if (reads)
		json_write(&p->uri, json_get(m->params, STR("uri")));
	mcp_question_send(cl);
	return true;
}

/* NULL, or what the params lack. */
static const char *
fault_of(const struct rpc *m)
{
	const struct json *args = json_get(m->params, STR("arguments"));

	if (str_eq(m->method, STR("resources/read")))
		return is_text(m->params, "uri")
		    ? NULL
		    : "params.uri must be a resource's URI";
	if (str_eq(m->method, STR("completion/complete")))
		return complete_fault(m);
	if (!is_text(m->params, "name"))
		return "params.name must be a prompt's name";
	if (args != NULL && !json_is(args, JSON_OBJECT))
		return "params.arguments must be an object";
	for (const struct json *k = json_first(args); k != NULL;
	     k = json_next(args, k)) {
		if (!json_is(json_value(k), JSON_STRING))
			return "a prompt's arguments must be texts";
	}
	return NULL;
}

static const char *
complete_fault(const struct rpc *m)
{
	const struct json *ref = json_get(m->params, STR("ref"));
	const struct json *argument = json_get(m->params, STR("argument"));
	const struct json *context = json_get(m->params, STR("context"));
	struct str type = json_str(json_get(ref, STR("type")));

	if (!(str_eq(type, STR("ref/prompt")) && is_text(ref, "name")) &&
	    !(str_eq(type, STR("ref/resource")) && is_text(ref, "uri")))
		return "params.ref must be a ref/prompt with its name, or a "
		       "ref/resource with its uri";
	if (!is_text(argument, "name") ||
	    !json_is(json_get(argument, STR("value")), JSON_STRING))
		return "params.argument must have a name and a value";
	if (context != NULL && !json_is(context, JSON_OBJECT))
		return "params.context must be an object";
	return NULL;
}

static bool
is_text(const struct json *object, const char *name)
{
	const struct json *v = json_get(object, str_of(name));

	return json_is(v, JSON_STRING) && v->n > 0;
}
