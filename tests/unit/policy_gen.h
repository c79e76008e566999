/*
 * tests/unit/policy_gen.h: policies at random, the same ones for a seed. They
 * have few names, so that rows, patterns and rules of two of them meet.
 */
#ifndef TESTS_UNIT_POLICY_GEN_H
#define TESTS_UNIT_POLICY_GEN_H

#include <stdint.h>

#include "base/buf.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t seed;

static uint32_t
pick(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % n;
}

static const char *const risks[] = { "read", "draft", "internal_write",
	"external_write", "destructive" };
static const char *const modes[] = { "allow", "draft", "simulate", "approve",
	"block" };
static const char *const names[] = { "a.x", "a.y", "b.x", "b.y", "a.*", "*.x",
	"b*", "a.*x", "*y" };
static const char *const conditions[] = { "args.n > 2.0", "args.n < 1.0",
	"labels.untrusted", "size(args.s) > 1", "args.missing == 1.0" };

static void
put_tool(struct buf *out, const char *name)
{
	uint32_t mode = pick(5);

	buf_printf(out, "'%s':{'risk':'%s'", name, risks[pick(5)]);
	if (pick(2) == 0) {
		buf_printf(out, ",'mode':'%s'", modes[mode]);
		/* Below the mode with a stage, else above it. */
		if (pick(2) == 0 && mode > 0 && mode < 4)
			buf_printf(out,
			    ",'when':[{'if':'%s','then':'%s','from_stage':%u},"
			    "{'if':'%s','then':'%s','from_stage':%u}]",
			    conditions[pick(5)], modes[pick(mode)], pick(5) + 1,
			    conditions[pick(5)], modes[mode + pick(5 - mode)],
			    pick(5) + 1);
	}
	if (pick(4) == 0)
		buf_add_c(out, ",'reversible':true");
	if (pick(4) == 0)
		buf_add_c(out, ",'scopes':['s:a']");
	if (pick(4) == 0)
		buf_add_c(out, ",'clearance':['pii','untrusted:*x']");
	if (pick(4) == 0)
		buf_printf(out, ",'args':{'properties':{'n':{'maximum':%u}}}",
		    pick(4));
	buf_add_byte(out, '}');
}

/* The tools in one order, or in the other one. */
static void
put_doc(struct buf *out, const char *head, uint32_t of, bool backwards)
{
	struct buf tools[COUNT(names)] = {};
	struct buf flow[3] = {};
	uint32_t n = 0, m = 0;

	buf_add_c(out, head);
	for (size_t i = 0; i < COUNT(names); i++) {
		if (pick(of) == 0)
			put_tool(&tools[n++], names[i]);
	}
	for (uint32_t i = 0; i < 3; i++) {
		if (pick(3) == 0)
			buf_printf(&flow[m++],
			    "{'id':'f%u','if_labels':['%s'],'then':'%s',"
			    "'risk_at_least':'%s'}",
			    i, pick(2) == 0 ? "pii" : "untrusted:*",
			    modes[1 + pick(4)], risks[pick(5)]);
	}
	buf_add_c(out, ",'tools':{");
	for (uint32_t i = 0; i < n; i++) {
		buf_add_c(out, i > 0 ? "," : "");
		buf_add_str(out, buf_str(&tools[backwards ? n - 1 - i : i]));
	}
	buf_add_c(out, "},'flow':[");
	for (uint32_t i = 0; i < m; i++) {
		buf_add_c(out, i > 0 ? "," : "");
		buf_add_str(out, buf_str(&flow[backwards ? m - 1 - i : i]));
	}
	buf_add_c(out, "]}");
	for (size_t i = 0; i < COUNT(tools); i++)
		buf_fini(&tools[i]);
	for (size_t i = 0; i < COUNT(flow); i++)
		buf_fini(&flow[i]);
}

#endif
