#include "core/policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "core/policy_int.h"

static int compile(struct reader *r, enum policy_format format);
static void finish(struct policy *p, const struct json *document);
static void syntax_problem(struct reader *r, size_t at, const struct err *e);
static int word_find(struct str s, const char *const *words);

struct policy *
policy_new(struct str text, enum policy_format format,
    struct policy_problems *problems)
{
	struct policy *p = calloc(1, sizeof(*p));
	struct reader r = { .p = p, .text.given = text, .problems = problems };

	problems->n = 0;
	if (p == NULL) {
		problem_at(&r, 0, "no memory left for the policy");
		return NULL;
	}
	p->arena.max_bytes = POLICY_ARENA_BYTES;
	if (compile(&r, format) == 0 && p->arena.failed)
		problem_at(&r, 0, "no memory left for the policy");
	if (problems->n > 0) {
		policy_free(p);
		return NULL;
	}
	return p;
}

void
policy_free(struct policy *p)
{
	struct arena a;

	if (p == NULL)
		return;
	for (uint32_t i = 0; i < p->n_tools; i++) {
		schema_free(p->tools[i].args);
		for (uint32_t k = 0; k < p->tools[i].n_when; k++)
			expr_free(p->tools[i].when[k].cond);
	}
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

/* -1 when the text is not even a document. */
static int
compile(struct reader *r, enum policy_format format)
{
	static const struct json_limits limits = {
		.max_bytes =
		    (size_t)4 * POLICY_MAX_BYTES, /* YAML grows on the way */
		.max_depth = POLICY_MAX_DEPTH,
		.max_values = POLICY_MAX_VALUES,
		.max_members = POLICY_MAX_MEMBERS,
	};
	struct policy *p = r->p;
	struct spot root = {};
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
		return p->arena.failed ? 0 : -1;
	root.v = json_parse(r->text.json, &limits, &p->arena, &e, &bad);
	if (root.v == NULL) {
		syntax_problem(r, bad, &e);
		return -1;
	}
	policy_parse(r, &root);
	if (r->problems->n == 0 && !p->arena.failed)
		finish(p, root.v);
	return 0;
}

/* The version, and the index for policy_tool_find. */
static void
finish(struct policy *p, const struct json *document)
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
	policy_index(p);
	policy_identity_value(p);
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
