/*
 * The rows of a policy of several parts. For each tool that some part names,
 * and for each way in which patterns of the parts meet, there is one row: it
 * holds the rows that decide, and what else they say at its most restrictive.
 * A base without a row for a tool blocks it, so there is none then.
 */
#include <string.h>

#include "base/limits.h"
#include "core/policy_int.h"

struct rows {
	struct reader *r;
	const struct policy_parts *x;
	struct policy_tool *out;
	uint32_t n;
};

static void add_names(struct rows *rows);
static void add_patterns(struct rows *rows);
static void add(
    struct rows *rows, const struct policy_tool *const *parts, uint32_t n);
static void fill(struct rows *rows, struct policy_tool *t);
static void fill_exec(struct rows *rows, struct policy_tool *t);
static bool extends_others(
    const struct rows *rows, const struct policy_tool *t);
static void exec_problem(struct rows *rows, struct str name);
static void fill_lists(struct rows *rows, struct policy_tool *t);
static struct str *unite(struct rows *rows, const struct policy_tool *t,
    size_t list, size_t count, uint32_t *n);
static struct str *intersect_trusted(
    struct rows *rows, const struct policy_tool *t, uint32_t *n);
static bool is_pattern(struct str name);

void
policy_merge_rows(struct reader *r, const struct policy_parts *x)
{
	struct policy *m = r->p;
	struct rows rows = { .r = r, .x = x };

	rows.out =
	    arena_alloc(&m->arena, (size_t)POLICY_ROWS_MAX * sizeof(*rows.out));
	if (rows.out == NULL)
		return;
	add_names(&rows);
	add_patterns(&rows);
	if (rows.n > POLICY_ROWS_MAX) {
		problem(r, &x->part[0].root,
		    "its tools and patterns and those of what it extends meet "
		    "in more than %d ways; name fewer",
		    POLICY_ROWS_MAX);
		return;
	}
	m->tools = rows.out;
	m->n_tools = rows.n;
}

/* Every name that a part writes, once, by what all parts say of it. */
static void
add_names(struct rows *rows)
{
	const struct policy_parts *x = rows->x;

	for (uint32_t i = 0; i < x->n; i++) {
		const struct policy *p = x->part[i].r.p;

		for (uint32_t k = 0; k < p->n_tools; k++) {
			const struct policy_tool *parts[POLICY_PARTS_MAX];
			struct str name = p->tools[k].name;
			bool listed = !is_pattern(name);
			uint32_t n = 0;

			for (uint32_t q = 0; listed && q < x->n; q++) {
				const struct policy_tool *t =
				    policy_row_find(x->part[q].r.p, name);

				/* An earlier part has led here already. */
				if (q < i && t != NULL && !is_pattern(t->name))
					listed = false;
				if (t != NULL)
					parts[n++] = t;
				else if (!x->part[q].extends)
					listed = false;
			}
			if (listed)
				add(rows, parts, n);
		}
	}
}

/*
 * Every choice of a pattern of each part, or of none where a part extends
 * others, whose patterns meet two by two. Counted like a number whose digits
 * are the choices; a digit that does not fit skips all behind it.
 */
static void
add_patterns(struct rows *rows)
{
	const struct policy_parts *x = rows->x;
	uint32_t digit[POLICY_PARTS_MAX] = {}; /* 0: none, else a glob */
	uint32_t at = 0;

	while (rows->n <= POLICY_ROWS_MAX) {
		const struct policy_tool *parts[POLICY_PARTS_MAX];
		const struct policy *p = x->part[at].r.p;
		bool fits = true;
		uint32_t n = 0;

		if (digit[at] > p->n_globs) {
			digit[at] = 0;
			if (at == 0)
				return;
			digit[--at]++;
			continue;
		}
		fits = digit[at] > 0 || x->part[at].extends;
		for (uint32_t i = 0; i <= at && fits; i++) {
			const struct policy *q = x->part[i].r.p;

			if (digit[i] == 0)
				continue;
			parts[n++] = &q->tools[q->globs[digit[i] - 1]];
			if (i < at && digit[at] > 0)
				fits = policy_patterns_meet(parts[n - 1]->name,
				    p->tools[p->globs[digit[at] - 1]].name);
		}
		if (!fits) {
			digit[at]++;
			continue;
		}
		if (at + 1 < x->n) {
			digit[++at] = 0;
			continue;
		}
		if (n > 0)
			add(rows, parts, n);
		digit[at]++;
	}
}

static void
add(struct rows *rows, const struct policy_tool *const *parts, uint32_t n)
{
	const struct policy_tool **kept;
	struct policy_tool *t;

	if (rows->n++ >= POLICY_ROWS_MAX)
		return;
	kept =
	    arena_alloc(&rows->r->p->arena, n * sizeof(struct policy_tool *));
	if (kept == NULL)
		return;
	for (uint32_t i = 0; i < n; i++)
		kept[i] = parts[i];
	t = &rows->out[rows->n - 1];
	t->n_rows = n;
	t->rows = kept;
	fill(rows, t);
}

/* A name goes before the patterns that it met. */
static void
fill(struct rows *rows, struct policy_tool *t)
{
	t->name = t->rows[0]->name;
	t->approval = t->rows[0]->approval;
	t->retries = UINT32_MAX;
	t->timeout_ms = POLICY_TOOL_TIMEOUT_MAX_MS;
	t->reversible = true;
	t->retry = t->rows[0]->retry;
	t->stage = rows->r->p->stage;
	for (uint32_t i = 0; i < t->n_rows; i++) {
		const struct policy_tool *one = t->rows[i];

		if (is_pattern(t->name) && !is_pattern(one->name))
			t->name = one->name;
		if (one->risk > t->risk)
			t->risk = one->risk;
		if (one->mode > t->mode)
			t->mode = one->mode;
		t->mode_written |= one->mode_written;
		t->reversible &= one->reversible;
		t->leaves |= one->leaves;
		if ((one->leaves || one->n_destination > 0) &&
		    one->untrusted_destination > t->untrusted_destination)
			t->untrusted_destination = one->untrusted_destination;
		if (one->retries < t->retries)
			t->retries = one->retries;
		if (one->timeout_ms < t->timeout_ms)
			t->timeout_ms = one->timeout_ms;
		if (t->commit.n == 0)
			t->commit = one->commit;
		if (t->idem == NULL) {
			t->idem = one->idem;
			t->idem_text = one->idem_text;
			t->idem_within = one->idem_within;
			t->idem_ms = one->idem_ms;
		}
		if (one->retry.times < t->retry.times)
			t->retry.times = one->retry.times;
		t->retry.repeatable &= one->retry.repeatable;
		t->costs =
		    policy_costs_both(&rows->r->p->arena, t->costs, one->costs);
		/* Two that differ: there is no such definition. */
		if (t->pin.n == 0)
			t->pin = one->pin;
		else if (one->pin.n > 0 && !str_eq(one->pin, t->pin))
			t->pin = STR("none");
		t->approval = policy_approval_both(
		    &rows->r->p->arena, t->approval, one->approval);
	}
	if (t->approval->n_from_roles > 0 && t->approval->from_roles[0].n == 0)
		problem(rows->r, &rows->x->part[0].root,
		    "nobody could vote on %.*s: the roles of its approvals "
		    "have none in common",
		    STR_FMT(t->name));
	fill_exec(rows, t);
	fill_lists(rows, t);
}

/*
 * One program for all: what extends others may leave it to them, and a base
 * that lists the tool and has no such program does not mean that one.
 */
static void
fill_exec(struct rows *rows, struct policy_tool *t)
{
	const struct json *first = NULL;
	bool same = true;

	for (uint32_t i = 0; i < t->n_rows && first == NULL; i++) {
		first = json_get(t->rows[i]->json, STR("exec"));
		t->exec = t->rows[i]->exec;
	}
	for (uint32_t i = 0; first != NULL && i < t->n_rows; i++) {
		const struct json *one =
		    json_get(t->rows[i]->json, STR("exec"));

		same &= one != NULL ? json_equal(first, one)
				    : extends_others(rows, t->rows[i]);
	}
	if (!same)
		exec_problem(rows, t->name);
}

/* At the document's own row, if it has one. */
static void
exec_problem(struct rows *rows, struct str name)
{
	const struct spot *root = &rows->x->part[0].root;
	struct spot tools, row;

	row = *root;
	if (read_member(root, "tools", &tools) &&
	    json_get(tools.v, name) != NULL)
		row = (struct spot){
			.up = &tools, .v = json_get(tools.v, name), .key = name
		};
	problem(rows->r, &row,
	    "the parts of the policy have not the same `exec` of %.*s; what "
	    "extends others cannot bring a program for their tools",
	    STR_FMT(name));
}

/* True when the row stands in a part that has bases of its own. */
static bool
extends_others(const struct rows *rows, const struct policy_tool *t)
{
	for (uint32_t i = 0; i < rows->x->n; i++) {
		const struct policy *p = rows->x->part[i].r.p;

		for (uint32_t k = 0; k < p->n_tools; k++) {
			if (&p->tools[k] == t)
				return rows->x->part[i].extends;
		}
	}
	return false;
}

#define LIST(member)                          \
	offsetof(struct policy_tool, member), \
	    offsetof(struct policy_tool, n_##member)

static void
fill_lists(struct rows *rows, struct policy_tool *t)
{
	struct str *labels;
	bool trusted = true;
	uint32_t kept = 0;

	t->scopes = unite(rows, t, LIST(scopes), &t->n_scopes);
	t->redact_args = unite(rows, t, LIST(redact_args), &t->n_redact_args);
	t->redact_result =
	    unite(rows, t, LIST(redact_result), &t->n_redact_result);
	t->destination = unite(rows, t, LIST(destination), &t->n_destination);
	t->trusted_fields = intersect_trusted(rows, t, &t->n_trusted_fields);
	labels = unite(rows, t, LIST(labels_out), &t->n_labels_out);
	t->labels_out = labels;
	/* "trusted" takes a label away: all have to say it. */
	for (uint32_t i = 0; i < t->n_rows; i++) {
		bool says = false;

		for (uint32_t k = 0; k < t->rows[i]->n_labels_out; k++)
			says |= str_eq_c(t->rows[i]->labels_out[k], "trusted");
		trusted &= says;
	}
	for (uint32_t i = 0; labels != NULL && i < t->n_labels_out; i++) {
		if (trusted || !str_eq_c(labels[i], "trusted"))
			labels[kept++] = labels[i];
	}
	t->n_labels_out = kept;
}

static struct str *
unite(struct rows *rows, const struct policy_tool *t, size_t list, size_t count,
    uint32_t *n)
{
	uint32_t most = 0;
	struct str *all;

	for (uint32_t i = 0; i < t->n_rows; i++)
		most += *(const uint32_t *)((const char *)t->rows[i] + count);
	all = arena_alloc(&rows->r->p->arena, most * sizeof(*all));
	*n = 0;
	for (uint32_t i = 0; all != NULL && i < t->n_rows; i++) {
		const char *row = (const char *)t->rows[i];
		const struct str *one =
		    *(const struct str *const *)(row + list);

		for (uint32_t k = 0; k < *(const uint32_t *)(row + count);
		     k++) {
			bool known = false;

			for (uint32_t q = 0; q < *n && !known; q++)
				known = str_eq(all[q], one[k]);
			if (!known)
				all[(*n)++] = one[k];
		}
	}
	return all;
}

/* A field is trusted when all say so. */
static struct str *
intersect_trusted(struct rows *rows, const struct policy_tool *t, uint32_t *n)
{
	const struct policy_tool *first = t->rows[0];
	struct str *all = arena_alloc(
	    &rows->r->p->arena, first->n_trusted_fields * sizeof(*all));

	*n = 0;
	for (uint32_t k = 0; all != NULL && k < first->n_trusted_fields; k++) {
		bool everywhere = true;

		for (uint32_t i = 1; i < t->n_rows && everywhere; i++) {
			const struct policy_tool *one = t->rows[i];

			everywhere = false;
			for (uint32_t q = 0; q < one->n_trusted_fields; q++)
				everywhere |= str_eq(one->trusted_fields[q],
				    first->trusted_fields[k]);
		}
		if (everywhere)
			all[(*n)++] = first->trusted_fields[k];
	}
	return all;
}

static bool
is_pattern(struct str name)
{
	return str_find(name, '*') < name.n;
}

/*
 * What stands before the first star and behind the last one has to go
 * together; two stars between can hold whatever the other has there.
 */
bool
policy_patterns_meet(struct str a, struct str b)
{
	size_t head = str_find(a, '*'), other = str_find(b, '*');
	size_t tail_a = 0, tail_b = 0, tail;

	if (other < head)
		head = other;
	while (a.p[a.n - 1 - tail_a] != '*')
		tail_a++;
	while (b.p[b.n - 1 - tail_b] != '*')
		tail_b++;
	tail = tail_a < tail_b ? tail_a : tail_b;
	return memcmp(a.p, b.p, head) == 0 &&
	    memcmp(a.p + a.n - tail, b.p + b.n - tail, tail) == 0;
}
