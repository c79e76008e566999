#include "ipc/kill.h"

#include <string.h>

#include "base/hash.h"
#include "core/id.h"

uint64_t
kill_number(struct str name)
{
	const struct hash h = hash_of(name.p, name.n);
	uint64_t n;

	memcpy(&n, h.b, sizeof(n));
	return n;
}

int
kill_order_make(enum kill_what what, struct str name, struct kill_order *out)
{
	*out = (struct kill_order){ .what = what };
	if (str_copy(name, out->name, sizeof(out->name)) < 0)
		return -1;
	switch (what) {
	case KILL_ALL:
		return name.n == 0 ? 0 : -1;
	case KILL_RUN:
		return id_parse('r', name, &out->number);
	case KILL_TENANT:
	case KILL_WORKFLOW:
		out->number = kill_number(name);
		return name.n > 0 ? 0 : -1;
	case KILL_WHATS:
		break;
	}
	return -1;
}

int
kill_parse_line(struct str line, struct kill_order *out)
{
	static const struct {
		struct str word;
		enum kill_what what;
	} words[] = {
		{ STR("kill-tenant "), KILL_TENANT },
		{ STR("kill-workflow "), KILL_WORKFLOW },
		{ STR("kill "), KILL_RUN },
	};

	if (!str_ends(line, STR("\n")))
		return -1;
	line.n--;
	if (str_eq(line, STR("kill-all")))
		return kill_order_make(KILL_ALL, STR(""), out);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const struct str w = words[i].word;

		if (str_starts(line, w))
			return kill_order_make(words[i].what,
			    (struct str){ line.p + w.n, line.n - w.n }, out);
	}
	return -1;
}

int
kill_parse_file(struct str name, struct kill_order *out)
{
	const struct str tenant = STR("tenant-"), workflow = STR("workflow-");

	if (str_eq(name, STR("kill")) || str_eq(name, STR("all")))
		return kill_order_make(KILL_ALL, STR(""), out);
	if (str_starts(name, tenant))
		return kill_order_make(KILL_TENANT,
		    (struct str){ name.p + tenant.n, name.n - tenant.n }, out);
	if (str_starts(name, workflow))
		return kill_order_make(KILL_WORKFLOW,
		    (struct str){ name.p + workflow.n, name.n - workflow.n },
		    out);
	return kill_order_make(KILL_RUN, name, out);
}

bool
kill_same(const struct kill_order *a, const struct kill_order *b)
{
	return a->what == b->what && strcmp(a->name, b->name) == 0;
}

bool
kill_hits(const struct kill_order *k, uint64_t run, uint64_t tenant,
    uint64_t workflow)
{
	switch (k->what) {
	case KILL_ALL:
		return true;
	case KILL_RUN:
		return k->number == run;
	case KILL_TENANT:
		return k->number == tenant;
	case KILL_WORKFLOW:
		return k->number == workflow;
	case KILL_WHATS:
		break;
	}
	return false;
}

const char *
kill_what_name(enum kill_what w)
{
	static const char *const names[KILL_WHATS] = { "all", "run", "tenant",
		"workflow" };

	return w < KILL_WHATS ? names[w] : "unknown";
}
