/*
 * "owner" of a tool: whose the objects of a call must be, as an expression over
 * its arguments and the identity of the run. A call for which it is not true is
 * blocked, and so is one for which it cannot be told: an argument that is not
 * there, an attribute that nobody gave.
 *
 *     "owner": "$.customer_id == identity.customer"
 *     "owner": "$.order_id in identity.orders"
 *
 * "$." is "args.", as paths of arguments are written elsewhere.
 */
#include <stdio.h>

#include "core/policy_int.h"

static struct str spell(struct policy *p, struct str text);

void
policy_parse_owner(
    struct reader *r, const struct spot *tool, struct policy_tool *t)
{
	struct expr_fault fault;
	struct spot at;

	if (!read_member(tool, "owner", &at))
		return;
	if (!json_is(at.v, JSON_STRING)) {
		problem(r, &at,
		    "must be a condition, such as \"$.customer_id == "
		    "identity.customer\"");
		return;
	}
	t->owner_text = json_str(at.v);
	t->owner = expr_new(spell(r->p, t->owner_text),
	    1 << EXPR_ARGS | 1 << EXPR_IDENTITY, &r->p->arena, &fault);
	if (t->owner == NULL && !r->p->arena.failed)
		problem(r, &at, "%s", fault.text);
}

enum expr_truth
policy_owner_decide(const struct policy *p, const struct policy_tool *t,
    const struct json *args, const char **why)
{
	*why = NULL;
	if (t->owner == NULL || args == NULL)
		return EXPR_TRUE;

	struct expr_env env = {};

	env.var[EXPR_ARGS] = expr_of_json(args);
	env.var[EXPR_IDENTITY] = p->identity_value;
	return expr_test(t->owner, &env, why);
}

/* "$." outside of texts becomes "args.". */
static struct str
spell(struct policy *p, struct str text)
{
	own_buf struct buf out = {};
	const char *copy;
	char quote = '\0';

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (quote == '\0' && c == '$' && i + 1 < text.n &&
		    text.p[i + 1] == '.') {
			buf_add_c(&out, "args");
			continue;
		}
		if (quote == '\0' && (c == '\'' || c == '"'))
			quote = c;
		else if (c == quote)
			quote = '\0';
		buf_add_byte(&out, c);
		if (quote != '\0' && c == '\\' && i + 1 < text.n)
			buf_add_byte(&out, text.p[++i]);
	}
	copy = arena_copy(&p->arena, buf_str(&out));
	return (struct str){ copy, copy != NULL ? out.n : 0 };
}
