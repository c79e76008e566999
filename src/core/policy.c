#include "core/policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "core/policy_int.h"

static int compile(
    struct reader *r, enum policy_format format, struct policy_bases *bases);
static void free_one(struct policy *p);
static void syntax_problem(struct reader *r, size_t at, const struct err *e);
static int word_find(struct str s, const char *const *words);

const struct json_limits policy_json_limits = {
	.max_bytes = (size_t)4 * POLICY_MAX_BYTES, /* YAML grows on the way */
	.max_depth = POLICY_MAX_DEPTH,
	.max_values = POLICY_MAX_VALUES,
	.max_members = POLICY_MAX_MEMBERS,
};

struct policy *
policy_new(struct str text, enum policy_format format,
    struct policy_problems *problems)
{
	return policy_new_over(text, format, NULL, problems);
}

struct policy *
policy_new_over(struct str text, enum policy_format format,
    struct policy_bases *bases, struct policy_problems *problems)
{
	struct reader r = {
		.p = calloc(1, sizeof(*r.p)),
		.text.given = text,
		.problems = problems,
	};

	problems->n = 0;
	if (bases != NULL) {
		bases->wanted[0] = '\0';
		bases->wants_file = false;
	}
	if (r.p == NULL) {
		problem_at(&r, 0, "no memory left for the policy");
		return NULL;
	}
	r.p->arena.max_bytes = POLICY_ARENA_BYTES;
	if (compile(&r, format, bases) == 0 && r.p->arena.failed)
		problem_at(&r, 0, "no memory left for the policy");
	if (problems->n > 0) {
		policy_free(r.p);
		return NULL;
	}
	return r.p;
}

void
policy_free(struct policy *p)
{
	struct policy *const *parts = p != NULL ? p->parts : NULL;
	uint32_t n = p != NULL ? p->n_parts : 0;

	/* Parts have none of their own, and lie outside of p's arena. */
	for (uint32_t i = 0; i < n; i++)
		free_one(parts[i]);
	free_one(p);
}

static void
free_one(struct policy *p)
{
	struct arena a;

	if (p == NULL)
		return;
	for (uint32_t i = 0; i < p->n_tools; i++) {
		schema_free(p->tools[i].args);
		expr_free(p->tools[i].owner);
		if (p->tools[i].n_rows == 0)
			expr_free(p->tools[i].idem); /* else a part's */
		for (uint32_t k = 0; k < p->tools[i].n_when; k++)
			expr_free(p->tools[i].when[k].cond);
	}
	policy_openapi_free(p);
	a = p->arena;
	arena_fini(&a);
	free(p);
}

const char *
risk_name(enum risk r)
{
	must(r < RISKS);
	return risk_words[r];
}

int
risk_parse(struct str s, enum risk *out)
{
	int i = word_find(s, risk_words);

	if (i >= 0)
		*out = (enum risk)i;
	return i >= 0 ? 0 : -1;
}

const char *
verdict_name(enum verdict_kind v)
{
	must(v < VERDICTS);
	return verdict_words[v];
}

int
verdict_parse(struct str s, enum verdict_kind *out)
{
	int i = word_find(s, verdict_words);

	if (i >= 0)
		*out = (enum verdict_kind)i;
	return i >= 0 ? 0 : -1;
}

const char *
policy_mode_name(enum policy_mode m)
{
	switch (m) {
	case POLICY_ENFORCE:
		return "enforce";
	case POLICY_SHADOW:
		return "shadow";
	case POLICY_RECORD:
		return "record";
	}
	must_fail("a mode", __FILE__, __LINE__);
}

static int
compile(struct reader *r, enum policy_format format, struct policy_bases *bases)
{
	struct spot root = {};

	if (policy_load(r, format, &root) < 0)
		return r->p->arena.failed ? 0 : -1;
	if (policy_files(r, &root, bases) < 0)
		return 0;
	policy_parse(r, &root);
	if (r->problems->n > 0 || r->p->arena.failed)
		return 0;
	if (json_get(root.v, STR("extends")) != NULL) {
		policy_extend(r, &root, bases);
		return 0;
	}
	policy_seal(r->p, root.v);
	if (r->p->arena.failed)
		return 0;
	policy_index(r->p);
	policy_identity_value(r->p);
	return 0;
}

int
policy_load(struct reader *r, enum policy_format format, struct spot *root)
{
	struct policy *p = r->p;
	struct err e = {};
	size_t bad = 0;

	if (r->text.given.n > POLICY_MAX_BYTES) {
		problem_at(r, 0,
		    "the document has %zu bytes; at most %d are allowed",
		    r->text.given.n, POLICY_MAX_BYTES);
		return -1;
	}
	if ((format == POLICY_YAML ? policy_text_yaml(r)
				   : policy_text_json(r)) < 0 ||
	    p->arena.failed)
		return -1;
	root->v =
	    json_parse(r->text.json, &policy_json_limits, &p->arena, &e, &bad);
	if (root->v == NULL)
		syntax_problem(r, bad, &e);
	return root->v != NULL ? 0 : -1;
}

void
policy_seal(struct policy *p, const struct json *document)
{
	own_buf struct buf canonical = { .max = POLICY_ARENA_BYTES };
	const char *copy;

	json_write(&canonical, document);
	copy = arena_copy(&p->arena, buf_str(&canonical));
	if (canonical.failed)
		p->arena.failed = true;
	if (p->arena.failed)
		return;
	p->canonical = (struct str){ copy, canonical.n };
	p->version = hash_of(copy, canonical.n);
}

/* The parser's own place is one in the JSON text: ours says it better. */
static void
syntax_problem(struct reader *r, size_t at, const struct err *e)
{
	const char *text = strstr(e->text, ": ");

	if (strncmp(e->text, "line ", 5) != 0 || text == NULL)
		problem_at(r, at, "%s", e->text);
	else
		problem_at(r, at, "%s", text + 2);
}

static int
word_find(struct str s, const char *const *words)
{
	for (int i = 0; words[i] != NULL; i++) {
		if (str_eq_c(s, words[i]))
			return i;
	}
	return -1;
}
