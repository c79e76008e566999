/*
 * The first byte chooses.
 *
 * 0: a pattern and a path, with a NUL between: the matcher says what a search
 * of all ways says. 1: an address and a range: what is not public is dialled
 * only when a range has it, and an address written is one that is read again.
 * Else a policy and, behind a NUL, a question: the verdict is the same with
 * the rules in reverse; without rules it is no; an address that is denied is
 * not let through unless it is pinned.
 */
#include <string.h>

#include "base/must.h"
#include "core/egress.h"

enum { PATTERN_MAX = 16, PATH_MAX_BYTES = 24 };

static struct policy_problems problems;
static struct labels labels;

/* Small inputs only: all ways are tried, ways[p][t] from the end on. */
static bool
naive_match(struct str pattern, struct str path)
{
	bool ways[PATTERN_MAX + 1][PATH_MAX_BYTES + 1] = {};

	for (size_t p = pattern.n + 1; p-- > 0;) {
		for (size_t t = path.n + 1; t-- > 0;) {
			bool star = p < pattern.n && pattern.p[p] == '*';
			bool two = star && p + 1 < pattern.n &&
			    pattern.p[p + 1] == '*';

			if (p == pattern.n)
				ways[p][t] = t == path.n;
			else if (two)
				ways[p][t] = ways[p + 2][t] ||
				    (t < path.n && ways[p][t + 1]);
			else if (star)
				ways[p][t] = ways[p + 1][t] ||
				    (t < path.n && path.p[t] != '/' &&
					ways[p][t + 1]);
			else
				ways[p][t] = t < path.n &&
				    pattern.p[p] == path.p[t] &&
				    ways[p + 1][t + 1];
		}
	}
	return ways[0][0];
}

static void
address_holds(const uint8_t *data, size_t size)
{
	struct addr a = {}, again;
	struct cidr c;
	char text[ADDR_TEXT_BYTES];

	if (size < 17)
		return;
	a.v6 = (data[0] & 1) != 0;
	memcpy(a.byte, data + 1, a.v6 ? 16 : 4);
	addr_write(&a, text);
	must(addr_parse(str_of(text), &again) == 0);
	must(addr_eq(&a, &again));
	must(addr_may_dial(&a, NULL, 0) == (addr_denied(&a) == NULL));
	if (cidr_parse((struct str){ (const char *)data + 17, size - 17 }, &c) <
	    0)
		return;
	must(addr_may_dial(&a, &c, 1) == cidr_has(&c, &a));
	cidr_write(&c, text);
	must(cidr_parse(str_of(text), &c) == 0);
}

static void
same_in_reverse(struct policy *p, const struct egress_ask *ask,
    const struct egress_verdict *one)
{
	static struct egress_rule rules[EGRESS_RULES_MAX];
	static struct egress_verdict two;
	const struct egress_rule *kept = p->egress;

	for (uint32_t i = 0; i < p->n_egress; i++)
		rules[i] = p->egress[p->n_egress - 1 - i];
	p->egress = rules;
	egress_decide(p, ask, &labels, &two);
	p->egress = kept;
	must(one->kind == two.kind && one->splice == two.splice);
	must(one->inspect == two.inspect && one->standing == two.standing);
	must(one->needs_more == two.needs_more && one->risk == two.risk);
	if (one->kind == VERDICT_BLOCK)
		return;
	must(one->max_body == two.max_body);
	must(one->bytes_per_s == two.bytes_per_s);
	must(one->n_addrs == two.n_addrs && one->pin == two.pin);
	must((one->respond == NULL) == (two.respond == NULL));
}

static void
verdict_holds(struct str text, struct str question)
{
	own_arena struct arena a = {};
	static struct egress_verdict v;
	static struct egress_ask ask;
	struct policy *p = policy_new(text, POLICY_JSON, &problems);
	struct err e = {};
	const struct json *q = json_parse(question, NULL, &a, &e, NULL);

	for (int level = LEVEL_CONNECT;
	     p != NULL && q != NULL && level <= LEVEL_REQUEST; level++) {
		own_buf struct buf out = {};

		if (egress_ask_parse(q, (enum egress_level)level, &ask, &e) < 0)
			continue;
		egress_decide(p, &ask, &labels, &v);
		must(v.code[0] != '\0' || v.kind == VERDICT_ALLOW);
		must(v.kind != VERDICT_SIMULATE || v.respond != NULL);
		must(p->n_egress > 0 || v.kind == VERDICT_BLOCK);
		must(!v.splice || !v.inspect);
		if (ask.host_is_addr && addr_denied(&ask.addr) != NULL &&
		    v.kind == VERDICT_ALLOW)
			must(v.n_addrs > 0 &&
			    addr_may_dial(&ask.addr, v.addrs, v.n_addrs));
		if (v.respond != NULL)
			egress_respond_write(&out, v.respond, &ask, 1);
		same_in_reverse(p, &ask, &v);
	}
	policy_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str all, head, rest;
	size_t nul;

	if (size == 0)
		return 0;
	all = (struct str){ (const char *)data + 1, size - 1 };
	nul = str_find(all, '\0');
	head = (struct str){ all.p, nul };
	rest = (struct str){ all.p + nul, all.n - nul };
	if (rest.n > 0) {
		rest.p++;
		rest.n--;
	}
	if (data[0] == 0) {
		if (head.n <= PATTERN_MAX && rest.n <= PATH_MAX_BYTES)
			must(egress_path_match(head, rest) ==
			    naive_match(head, rest));
	} else if (data[0] == 1) {
		address_holds(data + 1, size - 1);
	} else {
		verdict_holds(head, rest);
	}
	return 0;
}
