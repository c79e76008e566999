/*
 * The tool servers of two policies. A server more is a program more that runs,
 * and reaches what its row gives it; what its tools may do is compared by their
 * rows. Of what has no direction only that it differs is told.
 */
#include <stddef.h>

#include "core/policy_diff_int.h"

struct number {
	const char *member;
	size_t offset, width; /* in struct policy_server */
};

static void diff_server(struct differ *x, const struct policy_server *a,
    const struct policy_server *b);
static const struct policy_server *server_find(
    const struct policy *p, struct str name);
static uint64_t number_of(
    const struct policy_server *s, const struct number *n);
static bool member_same(const struct policy_server *a,
    const struct policy_server *b, struct str member);

void
diff_servers(struct differ *x)
{
	for (uint32_t i = 0; i < x->b->n_servers; i++) {
		const struct policy_server *b = &x->b->servers[i];
		const struct policy_server *a = server_find(x->a, b->name);

		if (a != NULL)
			diff_server(x, a, b);
		else
			diff_add(x, POLICY_LOOSER, "servers", b->name, "",
			    "was not there");
	}
	for (uint32_t i = 0; i < x->a->n_servers; i++) {
		struct str name = x->a->servers[i].name;

		if (server_find(x->b, name) == NULL)
			diff_add(
			    x, POLICY_TIGHTER, "servers", name, "", "is gone");
	}
}

static void
diff_server(struct differ *x, const struct policy_server *a,
    const struct policy_server *b)
{
	static const struct number numbers[] = {
#define NUMBER(of)                          \
	offsetof(struct policy_server, of), \
	    sizeof(((struct policy_server *)0)->of)
		{ "memory_mb", NUMBER(memory_bytes) },
		{ "pids", NUMBER(pids) },
		{ "restarts", NUMBER(restarts) },
		{ "start_ms", NUMBER(start_ms) },
		{ "timeout_ms", NUMBER(timeout_ms) },
#undef NUMBER
	};
	static const struct str compared[] = { STR("memory_mb"), STR("pids"),
		STR("restarts"), STR("start_ms"), STR("timeout_ms"),
		STR("network"), STR("mounts") };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		uint64_t was = number_of(a, &numbers[i]);
		uint64_t is = number_of(b, &numbers[i]);

		if (was != is)
			diff_add(x, is > was ? POLICY_LOOSER : POLICY_TIGHTER,
			    "servers", b->name, numbers[i].member, "%s",
			    is > was ? "more than before" : "less than before");
	}
	if (a->network != b->network)
		diff_add(x, b->network ? POLICY_LOOSER : POLICY_TIGHTER,
		    "servers", b->name, "network", "%s",
		    b->network ? "it reaches what `egress` allows"
			       : "it reaches nothing any more");
	diff_lists(x, "servers", b->name, "mounts",
	    (struct texts){ a->mounts, a->n_mounts },
	    (struct texts){ b->mounts, b->n_mounts }, POLICY_LOOSER);
	/* All others, those of later versions included. */
	for (int turn = 0; turn < 2; turn++) {
		const struct policy_server *in = turn == 0 ? b : a;

		for (const struct json *k = json_first(in->json); k != NULL;
		     k = json_next(in->json, k)) {
			char member[SHOWN_BYTES] = "";
			bool told = diff_has(
			    (struct texts){ compared,
				sizeof(compared) / sizeof(compared[0]) },
			    json_str(k));

			/* What both have is told once. */
			if (told || member_same(a, b, json_str(k)) ||
			    (turn == 1 &&
				json_get(b->json, json_str(k)) != NULL))
				continue;
			(void)str_copy(json_str(k), member, sizeof(member));
			diff_add(x, POLICY_CHANGED, "servers", b->name, member,
			    "is another one, which is not compared");
		}
	}
}

static const struct policy_server *
server_find(const struct policy *p, struct str name)
{
	for (uint32_t i = 0; i < p->n_servers; i++) {
		if (str_eq(p->servers[i].name, name))
			return &p->servers[i];
	}
	return NULL;
}

static uint64_t
number_of(const struct policy_server *s, const struct number *n)
{
	const char *at = (const char *)s + n->offset;

	return n->width == sizeof(uint64_t)
	    ? *(const uint64_t *)(const void *)at
	    : *(const uint32_t *)(const void *)at;
}

static bool
member_same(const struct policy_server *a, const struct policy_server *b,
    struct str member)
{
	const struct json *was = json_get(a->json, member);
	const struct json *is = json_get(b->json, member);

	return was != NULL && is != NULL && json_equal(was, is);
}
