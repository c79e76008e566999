/*
 * The policy that a request for a run brings, or what stands for one, and the
 * folders that are mounted beside those of the policy.
 */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "broker/run_int.h"

/* Members of `sandbox` of a policy that a request without one may have. */
static const char *const plain_members[] = { "cpu", "disk_mb", "image",
	"memory_mb", "mounts", "pids", "ports" };
enum { N_PLAIN = sizeof(plain_members) / sizeof(plain_members[0]) };

static void answer_mounts(uint64_t call, const char *why);
static bool plain_check(
    uint64_t call, const struct json *args, bool has_policy);
static void plain_policy_write(struct buf *out, const struct json *args);

/* As text (lines and columns then are its author's) or object. */
struct policy *
run_policy_take(uint64_t call, const struct json *args)
{
	static struct policy_problems problems;
	const struct json *text = json_get(args, STR("policy_text"));
	const struct json *object = json_get(args, STR("policy"));
	struct str format = json_str(json_get(args, STR("policy_format")));
	own_buf struct buf canonical = {};
	struct policy *p;

	if (!plain_check(call, args, text != NULL || object != NULL))
		return NULL;
	if (text == NULL && object == NULL &&
	    json_bool(json_get(args, STR("sandbox")), false)) {
		plain_policy_write(&canonical, args);
		p = policy_new(buf_str(&canonical), POLICY_JSON, &problems);
		if (p == NULL)
			run_answer_problems(call, &problems);
		return p;
	}
	if ((text != NULL) == (object != NULL) ||
	    (text != NULL && !json_is(text, JSON_STRING)) ||
	    (object != NULL && !json_is(object, JSON_OBJECT))) {
		reply_error(call, 400, "no_policy",
		    "A run needs exactly one policy.",
		    "Give `policy`, an object, or `policy_text` with "
		    "`policy_format` \"json\" or \"yaml\".");
		return NULL;
	}
	if (object != NULL)
		json_write(&canonical, object);
	p = policy_new(object != NULL ? buf_str(&canonical) : json_str(text),
	    str_eq(format, STR("yaml")) ? POLICY_YAML : POLICY_JSON, &problems);
	if (p == NULL)
		run_answer_problems(call, &problems);
	return p;
}

/*
 * A policy says what a run may do, and whoever opens it hands over folders: the
 * work folder, and these. They are judged by the parser of policies, and each
 * needs a descriptor, so nobody mounts what is not theirs to open.
 */
bool
run_mounts_take(uint64_t call, const struct json *args,
    const struct policy *policy, struct policy **added)
{
	static struct policy_problems problems;
	const struct json *mounts = json_get(args, STR("mounts"));
	own_buf struct buf text = {};

	*added = NULL;
	if (mounts == NULL ||
	    (json_get(args, STR("policy")) == NULL &&
		json_get(args, STR("policy_text")) == NULL))
		return true;
	if (json_get(args, STR("argv")) == NULL &&
	    !json_bool(json_get(args, STR("sandbox")), false)) {
		answer_mounts(call, "`mounts` needs a sandbox to be in.");
		return false;
	}
	buf_add_c(&text, "{\"policy\":1,\"sandbox\":{\"mounts\":");
	json_write(&text, mounts);
	buf_add_c(&text, "},\"stage\":1,\"tools\":{},\"workflow\":\"mounts\"}");
	*added = policy_new(buf_str(&text), POLICY_JSON, &problems);
	if (*added == NULL) {
		run_answer_problems(call, &problems);
		return false;
	}
	if (policy->sandbox.n_mounts + (*added)->sandbox.n_mounts <= MOUNTS_MAX)
		return true;
	answer_mounts(call, "The policy and the request mount over 8 folders.");
	policy_free(*added);
	*added = NULL;
	return false;
}

static void
answer_mounts(uint64_t call, const char *why)
{
	_Static_assert(MOUNTS_MAX == 8, "the text names it");

	reply_error(call, 400, "bad_request", why,
	    "docs/POLICY.md says how folders are mounted.");
}

/* Limits are the policy's; without one they may stand beside `sandbox`. */
static bool
plain_check(uint64_t call, const struct json *args, bool has_policy)
{
	bool plain = json_bool(json_get(args, STR("sandbox")), false);
	char text[160];

	if (plain && json_get(args, STR("argv")) != NULL) {
		reply_error(call, 400, "bad_request",
		    "A sandbox that stays takes no `argv`.",
		    "Make it without, and run commands in it with POST "
		    "/v1/sandboxes/{run}/exec.");
		return false;
	}
	for (size_t i = 0; i < N_PLAIN; i++) {
		if (json_get(args, str_of(plain_members[i])) == NULL ||
		    (plain && !has_policy) ||
		    strcmp(plain_members[i], "mounts") == 0)
			continue; /* run_mounts_take looks at these */
		(void)snprintf(text, sizeof(text),
		    "`%s` is for a sandbox without a policy.",
		    plain_members[i]);
		reply_error(call, 400, "bad_request", text,
		    "Write it into `sandbox` of the policy.");
		return false;
	}
	return true;
}

/* What a sandbox has that is not opened under a policy: no tools, no way out,
 * and as much time as a policy can give. */
static void
plain_policy_write(struct buf *out, const struct json *args)
{
	buf_printf(out,
	    "{\"budgets\":{\"max_runtime_ms\":%d},\"policy\":1,"
	    "\"sandbox\":{",
	    POLICY_RUN_MAX_MS);
	for (size_t i = 0; i < N_PLAIN; i++) {
		const struct json *v = json_get(args, str_of(plain_members[i]));

		if (v == NULL)
			continue;
		buf_printf(out, "\"%s\":", plain_members[i]);
		json_write(out, v);
		buf_add_byte(out, ',');
	}
	buf_printf(out,
	    "\"wall_ms\":%d},\"stage\":5,\"tools\":{},"
	    "\"workflow\":\"sandbox\"}",
	    POLICY_RUN_MAX_MS);
}

void
run_answer_problems(uint64_t call, const struct policy_problems *all)
{
	const uint32_t kept = policy_problems_kept(all);
	own_buf struct buf out = {};

	buf_add_c(&out,
	    "{\"error\":{\"code\":\"bad_policy\",\"message\":\"The policy has "
	    "problems.\",\"problems\":[");
	for (uint32_t i = 0; i < kept; i++) {
		const struct policy_problem *p = &all->item[i];

		buf_printf(&out,
		    "%s{\"column\":%u,\"line\":%u,\"path\":", i > 0 ? "," : "",
		    p->column, p->line);
		json_put_str(&out, str_of(p->path));
		buf_add_c(&out, ",\"text\":");
		json_put_str(&out, str_of(p->text));
		buf_add_byte(&out, '}');
	}
	buf_add_c(&out,
	    "],\"suggested_next_step\":\"Mend them; `paddock policy check "
	    "FILE` shows the same list.\"}}");
	reply(call, REPLY_BAD, 400, buf_str(&out));
}
