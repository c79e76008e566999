/*
 * "idempotency" and "retry" of a tool: which calls are the same thing asked
 * for again, and how often we ask a tool again by ourselves.
 *
 *     "idempotency": "args.invoice"
 *     "idempotency": { "key": "args.invoice", "within": "tenant",
 *                      "window": "30d" }
 *     "retry": { "times": 3, "base_ms": 200, "max_ms": 10000 }
 */
#include "base/hash.h"
#include "base/limits.h"
#include "core/policy_int.h"

enum {
	IDEM_WINDOW_DEFAULT = 3, /* "30d" */
	MS_PER_HOUR = 3600 * 1000,
};

static bool put_key(struct buf *out, const struct expr_value *v);

void
policy_parse_idempotency(
    struct reader *r, const struct spot *tool, struct policy_tool *t)
{
	static const char *const known[] = { "key", "window", "within", NULL };
	static const char *const later[] = { NULL };
	static const char *const within[] = { "run", "workflow", "tenant",
		NULL };
	static const char *const windows[] = { "1h", "1d", "7d", "30d", "90d",
		NULL };
	static const uint64_t window_hours[] = { 1, 24, 7 * 24, 30 * 24,
		90 * 24 };
	struct expr_fault fault;
	struct spot at, key;
	uint32_t word = IDEM_RUN, window = IDEM_WINDOW_DEFAULT;

	if (!read_member(tool, "idempotency", &at))
		return;
	key = at;
	if (json_is(at.v, JSON_OBJECT)) {
		read_known(r, &at, known, later, NOT_YET);
		(void)read_word(r, &at, "within", within, &word);
		(void)read_word(r, &at, "window", windows, &window);
		if (word == IDEM_RUN && read_member(&at, "window", &key))
			problem(r, &key,
			    "the keys of a run are kept as long as it is open: "
			    "leave it out, or say `within`");
		if (!read_member(&at, "key", &key)) {
			read_missing(r, &at, "key",
			    "an expression over args, such as "
			    "\"args.invoice\"");
			return;
		}
	}
	t->idem_within = (enum idem_within)word;
	t->idem_ms = word == IDEM_RUN ? 0 : window_hours[window] * MS_PER_HOUR;
	if (!json_is(key.v, JSON_STRING)) {
		problem(r, &key,
		    "must be an expression over args, such as "
		    "\"args.invoice\"");
		return;
	}
	t->idem_text = json_str(key.v);
	t->idem = expr_new(t->idem_text, 1 << EXPR_ARGS | 1 << EXPR_IDENTITY,
	    &r->p->arena, &fault);
	if (t->idem == NULL && !r->p->arena.failed)
		problem(r, &key, "%s", fault.text);
}

void
policy_parse_retry(
    struct reader *r, const struct spot *tool, struct policy_tool *t)
{
	static const char *const known[] = { "times", "base_ms", "max_ms",
		"repeatable", NULL };
	static const char *const later[] = { NULL };
	uint64_t times = 0, base = RETRY_BASE_MS, most = RETRY_MAX_MS;
	bool repeatable = false;
	struct spot at;

	if (!read_member(tool, "retry", &at) || !read_object(r, &at))
		return;
	read_known(r, &at, known, later, NOT_YET);
	if (!read_whole(r, &at, "times",
		(struct range){ 1, RETRY_TIMES_MAX, "retries" }, &times) &&
	    json_get(at.v, STR("times")) == NULL)
		read_missing(r, &at, "times", "how often at most");
	(void)read_whole(r, &at, "base_ms",
	    (struct range){ 1, RETRY_LIMIT_MS, "milliseconds" }, &base);
	(void)read_whole(r, &at, "max_ms",
	    (struct range){ 1, RETRY_LIMIT_MS, "milliseconds" }, &most);
	(void)read_bool(r, &at, "repeatable", &repeatable);
	if (t->risk > RISK_READ && !repeatable &&
	    json_get(tool->v, STR("idempotency")) == NULL)
		problem(r, &at,
		    "the tool may have done it the first time: say "
		    "`repeatable`: true if twice is as once, or give it an "
		    "`idempotency` that it goes by itself");
	t->retry = (struct policy_retry){ (uint32_t)times, (uint32_t)base,
		(uint32_t)(most < base ? base : most), repeatable };
}

int
policy_idem_key(const struct policy *p, const struct policy_tool *t,
    const struct json *args, struct buf *out, const char **why)
{
	struct expr_env env = {};
	struct expr_value v;

	env.var[EXPR_ARGS] = expr_of_json(args);
	env.var[EXPR_IDENTITY] = p->identity_value;
	v = expr_eval(t->idem, &env);
	if (v.type == EXPR_ERROR) {
		*why = v.error;
		return -1;
	}
	if (!put_key(out, &v)) {
		*why = "its key is no text, number or boolean";
		return -1;
	}
	return 0;
}

/* A letter for the type: "1" is not 1. */
static bool
put_key(struct buf *out, const struct expr_value *v)
{
	switch (v->type) {
	case EXPR_BOOL:
		buf_add_c(out, v->boolean ? "btrue" : "bfalse");
		return true;
	case EXPR_INT:
		buf_printf(out, "i%lld", (long long)v->i);
		return true;
	case EXPR_UINT:
		buf_printf(out, "i%llu", (unsigned long long)v->u);
		return true;
	case EXPR_DOUBLE:
		buf_add_byte(out, 'd');
		json_put_num(out, v->d);
		return true;
	case EXPR_STRING:
		buf_add_byte(out, 's');
		buf_add_str(out, v->s);
		return true;
	case EXPR_UNSET:
	case EXPR_NULL:
	case EXPR_LIST:
	case EXPR_JSON:
	case EXPR_RECORD:
	case EXPR_LABELS:
	case EXPR_ERROR:
		break;
	}
	return false;
}
