#include "proxy/admit.h"

#include "base/limits.h"
#include "codec/json.h"

#define NS_PER_S 1000000000LL

static uint32_t member(
    const struct json *doc, struct str name, uint32_t otherwise);

void
admit_init(struct admit *a, struct str payload)
{
	own_arena struct arena arena = {};
	struct err e = {};
	const struct json *doc =
	    payload.n > 0 ? json_parse(payload, NULL, &arena, &e, NULL) : NULL;

	*a = (struct admit){
		.most = member(doc, STR("connections"), EGRESS_CONNECTIONS),
		.per_s = member(
		    doc, STR("connections_per_s"), EGRESS_CONNECTIONS_PER_S),
	};
}

const char *
admit_one(struct admit *a, uint32_t open, size_t room, int64_t now_ns)
{
	const int64_t share = NS_PER_S / a->per_s;
	int64_t from = a->full_ns > now_ns ? a->full_ns : now_ns;
	const char *why = NULL;

	if (open >= a->most)
		why = "the run has as many connections open as its policy "
		      "allows";
	else if (room == 0 ||
	    (room <= EGRESS_FLOWS_KEPT && open >= EGRESS_FLOWS_FEW))
		why = "the proxy has no room for more connections of one run";
	else if (from + share - now_ns > NS_PER_S)
		why = "the run opens more connections a second than its "
		      "policy allows";
	else
		a->full_ns = from + share;
	a->refused += why != NULL;
	return why;
}

uint64_t
admit_told(struct admit *a, int64_t now_ns)
{
	uint64_t n = a->refused;

	if (n == 0 || (a->told_ns != 0 && now_ns - a->told_ns < NS_PER_S))
		return 0;
	a->refused = 0;
	a->told_ns = now_ns;
	return n;
}

static uint32_t
member(const struct json *doc, struct str name, uint32_t otherwise)
{
	uint64_t n;

	if (json_u64(json_get(doc, name), &n) < 0 || n == 0 ||
	    n > EGRESS_FLOWS_MAX)
		return otherwise;
	return (uint32_t)n;
}
