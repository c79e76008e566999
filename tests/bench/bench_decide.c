/*
 * bench_decide: what the verdict on one call costs, and loading a policy.
 *
 * The policy has 1,000 tools. One row is decided by its risk alone; one has a
 * schema and a condition; one, for what no row names, is the longest way
 * through the index.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/must.h"
#include "core/policy.h"

enum { TOOLS = 1000, ROUNDS = 1000 * 1000, LOADS = 20, REPEATS = 7 };

static struct labels labels;

static void write_policy(struct buf *out);
static double decide(
    const struct policy *p, const char *kind, const struct json *args);
static double load(struct str text);
static double least(double a, double b);

int
main(void)
{
	static struct policy_problems problems;
	own_buf struct buf text = {};
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *args =
	    json_parse(STR("{\"amount\":20,\"invoice\":\"INV-1041\"}"), NULL,
		&a, &e, NULL);
	double plain = 1e9, full = 1e9, none = 1e9, loads = 1e9;
	struct policy *p;

	write_policy(&text);
	p = policy_new(buf_str(&text), POLICY_JSON, &problems);
	if (p == NULL) {
		printf(
		    "%s: %s\n", problems.item[0].path, problems.item[0].text);
		return 1;
	}
	labels_add(&labels, STR("pii"));
	for (int i = 0; i < REPEATS; i++) {
		plain = least(plain, decide(p, "read", args));
		full = least(full, decide(p, "pay", args));
		none = least(none, decide(p, "none", args));
		loads = least(loads, load(buf_str(&text)));
	}
	printf("%-34s %8.0f ns\n", "by the tool's risk", plain);
	printf("%-34s %8.0f ns\n", "with schema and two conditions", full);
	printf("%-34s %8.0f ns\n", "of a tool that is not listed", none);
	printf("%-34s %8.2f ms for %zu bytes\n", "loading 1,000 tools",
	    loads / 1e6, text.n);
	policy_free(p);
	return 0;
}

/* Every second tool pays; the others read. */
static void
write_policy(struct buf *out)
{
	buf_add_c(out,
	    "{\"policy\":1,\"workflow\":\"bench\",\"stage\":5,\"flow\":["
	    "{\"id\":\"leak\",\"if_labels\":[\"untrusted:*\",\"pii\"],"
	    "\"risk_at_least\":\"external_write\",\"then\":\"block\"}],"
	    "\"tools\":{");
	for (int i = 0; i < TOOLS; i += 2)
		buf_printf(out,
		    "%s\"tool%d.read\":{\"risk\":\"read\"},"
		    "\"tool%d.pay\":{\"risk\":\"external_write\","
		    "\"mode\":\"approve\",\"reversible\":true,\"args\":{"
		    "\"type\":\"object\",\"required\":[\"invoice\","
		    "\"amount\"],\"properties\":{\"amount\":{\"type\":"
		    "\"number\",\"exclusiveMinimum\":0,\"maximum\":500},"
		    "\"invoice\":{\"type\":\"string\"}},"
		    "\"additionalProperties\":false},\"when\":[{\"if\":"
		    "\"args.amount <= 25 && !labels.untrusted\",\"then\":"
		    "\"allow\",\"from_stage\":4},{\"if\":"
		    "\"args.invoice.startsWith('INV-LIVE')\",\"then\":"
		    "\"block\"}]}",
		    i > 0 ? "," : "", i, i);
	buf_add_c(out, "}}");
}

/* Nanoseconds for one call, names all over the table by turns. */
static double
decide(const struct policy *p, const char *kind, const struct json *args)
{
	enum { NAMES = 64 };
	static char names[NAMES][32];
	static struct str list[NAMES];
	struct verdict v;
	int64_t began;

	for (int i = 0; i < NAMES; i++) {
		int n = snprintf(names[i], sizeof(names[i]), "tool%d.%s",
		    i * 15 / 2 * 2, kind);

		must(n > 0 && (size_t)n < sizeof(names[i]));
		list[i] = (struct str){ names[i], (size_t)n };
	}
	began = clock_mono_ns();
	for (int i = 0; i < ROUNDS; i++) {
		struct policy_call c = { list[i % NAMES], args, &labels,
			1700000000, NULL };

		policy_decide(p, &c, &v);
		must(v.n_reasons > 0);
	}
	return (double)(clock_mono_ns() - began) / ROUNDS;
}

static double
load(struct str text)
{
	static struct policy_problems problems;
	int64_t began = clock_mono_ns();

	for (int i = 0; i < LOADS; i++) {
		struct policy *p = policy_new(text, POLICY_JSON, &problems);

		must(p != NULL);
		policy_free(p);
	}
	return (double)(clock_mono_ns() - began) / LOADS;
}

static double
least(double a, double b)
{
	return a < b ? a : b;
}
