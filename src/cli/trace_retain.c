/*
 * paddock trace retain and gc: what is kept of tenants' content.
 */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cli/client.h"
#include "cli/out.h"
#include "cli/trace_cmd.h"
#include "codec/json.h"

static const char retain_help[] =
    "usage: paddock trace retain [TENANT --keep LEVEL [--after AGE]] [--json]\n"
    "\n"
    "Says what is kept of a tenant's content, which is what records refer to:\n"
    "arguments, results, texts, pictures. Without TENANT, lists what was "
    "said.\n"
    "TENANT `*` is for all that have no rule of their own. The chain verifies\n"
    "all the same, and each removal is a record.\n"
    "\n"
    "  --keep LEVEL        from now on: raw, redacted (the form of it, "
    "without\n"
    "                      texts and numbers) or hash (a keyed hash alone)\n"
    "  --after AGE         what is kept of a run is removed so long after it\n"
    "                      closed: 90s, 12h, 30d; for ever if not given\n"
    "  --json              as JSON\n" CLIENT_HELP "\n"
    "A run is left alone while it has a snapshot, or an open fork or replay.\n"
    "example: paddock trace retain acme --keep redacted --after 30d\n";

static const char gc_help[] =
    "usage: paddock trace gc [--json]\n"
    "\n"
    "Removes content that was kept before its tenant had a rule, once no run\n"
    "refers to it but such as came to their age since. Such content may be\n"
    "several runs', so all records are read for it, and no daemon may use the\n"
    "state meanwhile. All else goes by itself: paddock trace retain.\n"
    "\n"
    "  --json              as JSON\n"
    "  --state DIR         where the daemon keeps its state\n"
    "\n"
    "example: paddock trace gc\n";

static const struct option retain_options[] = {
	{ "after", required_argument, NULL, 'a' },
	{ "json", no_argument, NULL, 'j' },
	{ "keep", required_argument, NULL, 'k' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

static const struct option gc_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "state", required_argument, NULL, 'S' },
	ARGS_HELP,
	{},
};

static bool age_parse(struct str text, uint64_t *out);
static int list(const struct client *c, bool json);
static int set(const struct client *c, const char *tenant, const char *keep,
    uint64_t after_s, bool json);
static void put_rule(struct buf *out, const struct json *rule);
static void put_age(struct buf *out, uint64_t s);
static int sweep(struct trace *t, struct err *e);

int
cmd_trace_retain(int argc, char **argv)
{
	own_client struct client c = {};
	struct client_options where = {};
	const char *keep = NULL, *after = NULL;
	uint64_t after_s = 0;
	bool json = false;
	struct args a;
	struct err e;
	int o, status;

	args_init(&a, argc, argv, retain_help, retain_options);
	a.name = "trace retain";
	while ((o = args_next(&a)) != ARGS_END) {
		if (o == ARGS_STOP)
			return a.exit;
		if (o == 'j')
			json = true;
		else if (o == 'k')
			keep = optarg;
		else if (o == 'a')
			after = optarg;
		else
			(void)client_option(&where, o, optarg);
	}
	status = args_need(&a, 0, 1, "TENANT");
	if (status != 0)
		return status;
	if (args_count(&a) == 0 && (keep != NULL || after != NULL))
		return args_bad(&a, "TENANT is missing");
	if (args_count(&a) > 0 && keep == NULL)
		return args_bad(&a, "--keep is missing: raw, redacted or hash");
	if (after != NULL && !age_parse(str_of(after), &after_s))
		return args_bad(&a,
		    "--after %s: give a number and s, m, h or d, at most %d "
		    "days",
		    after, KEEP_AFTER_MAX_S / (24 * 3600));
	if (client_init(&c, &where, &e) < 0)
		return out_fail(&e);
	if (args_count(&a) == 0)
		return list(&c, json);
	return set(&c, args_rest(&a)[0], keep, after_s, json);
}

int
cmd_trace_gc(int argc, char **argv)
{
	struct trace t = { .args.name = "trace gc" };
	struct err e;
	int status;

	if (!trace_options(&t, argc, argv, gc_help, gc_options))
		return t.args.exit;
	status = args_need(&t.args, 0, 0, "");
	if (status != 0)
		return status;
	if (trace_open_alone(&t, false, "a sweep of its content", &e) < 0)
		return out_fail(&e);
	return trace_finish(&t, sweep(&t, &e), &e);
}

static bool
age_parse(struct str text, uint64_t *out)
{
	static const struct {
		char unit;
		uint32_t s;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 },
		{ 'd', 24 * 3600 } };
	struct str digits = { text.p, text.n > 0 ? text.n - 1 : 0 };
	uint64_t n = 0;

	if (str_to_u64(digits, &n) < 0 || n == 0)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (text.p[text.n - 1] != units[i].unit)
			continue;
		if (n > KEEP_AFTER_MAX_S / units[i].s)
			return false;
		*out = n * units[i].s;
		return true;
	}
	return false;
}

static int
list(const struct client *c, bool json)
{
	own_reply struct client_reply r = {};
	own_buf struct buf out = {};
	const struct client_request q = {
		.method = "GET",
		.target = "/v1/retention",
	};
	const struct json *rules;
	struct err e;

	if (client_ask(c, &q, &r, &e) < 0)
		return out_fail(&e);
	if (json) {
		out_json_text(&out, buf_str(&r.body), STDOUT_FILENO);
		buf_add_byte(&out, '\n');
		return out_write(&out);
	}
	rules = json_get(r.json, STR("rules"));
	for (const struct json *x = json_first(rules); x != NULL;
	     x = json_next(rules, x))
		put_rule(&out, x);
	if (out.n == 0)
		buf_add_c(&out, "no rules: content is kept raw, for ever\n");
	return out_write(&out);
}

static int
set(const struct client *c, const char *tenant, const char *keep,
    uint64_t after_s, bool json)
{
	own_reply struct client_reply r = {};
	own_buf struct buf body = {}, out = {};
	struct client_request q = {
		.method = "POST",
		.target = "/v1/retention",
	};
	struct err e;

	buf_printf(
	    &body, "{\"after_s\":%llu,\"keep\":", (unsigned long long)after_s);
	json_put_str(&body, str_of(keep));
	buf_add_c(&body, ",\"tenant\":");
	json_put_str(&body, str_of(tenant));
	buf_add_byte(&body, '}');
	q.body = buf_str(&body);
	if (client_ask(c, &q, &r, &e) < 0) {
		(void)err_add(&e, "retain %s", tenant);
		return out_fail(&e);
	}
	if (json) {
		out_json_text(&out, buf_str(&r.body), STDOUT_FILENO);
		buf_add_byte(&out, '\n');
	} else {
		put_rule(&out, r.json);
	}
	return out_write(&out);
}

static void
put_rule(struct buf *out, const struct json *rule)
{
	uint64_t after_s = 0;

	(void)json_u64(json_get(rule, STR("after_s")), &after_s);
	term_text(out, json_str(json_get(rule, STR("tenant"))));
	buf_add_c(out, ": kept ");
	term_text(out, json_str(json_get(rule, STR("keep"))));
	if (after_s == 0) {
		buf_add_c(out, ", for ever\n");
		return;
	}
	buf_add_c(out, ", removed ");
	put_age(out, after_s);
	buf_add_c(out, " after a run has closed\n");
}

static void
put_age(struct buf *out, uint64_t s)
{
	static const struct {
		const char *name;
		uint32_t s;
	} units[] = { { "day", 24 * 3600 }, { "hour", 3600 }, { "minute", 60 },
		{ "second", 1 } };
	size_t i = 0;

	while (s % units[i].s != 0)
		i++;
	s /= units[i].s;
	buf_printf(out, "%llu %s%s", (unsigned long long)s, units[i].name,
	    s == 1 ? "" : "s");
}

static int
sweep(struct trace *t, struct err *e)
{
	own_buf struct buf out = {}, body = {};
	struct store_swept swept;
	struct event ev = {
		.kind = EVENT_NOTE,
		.t_ns = clock_utc_ns(),
		.mono_ns = clock_mono_ns(),
		.ms = -1,
	};

	/* The record first: it begins the transaction. */
	if (store_sweep_list(t->store, &swept, e) < 0)
		return -1;
	buf_printf(&body,
	    "{\"bytes\":%llu,\"contents\":%llu,\"note\":\"content_swept\"}",
	    (unsigned long long)swept.bytes,
	    (unsigned long long)swept.contents);
	ev.body = buf_str(&body);
	if (swept.contents > 0 &&
	    (store_append(t->store, &ev) == 0 || store_sweep(t->store, e) < 0 ||
		store_commit(t->store, e) < 0))
		return e->text[0] != '\0'
		    ? -1
		    : err_set(e, "the store takes no records");
	if (t->json)
		buf_printf(&out,
		    "{\"bytes\":%llu,\"contents\":%llu,\"shared\":%llu}\n",
		    (unsigned long long)swept.bytes,
		    (unsigned long long)swept.contents,
		    (unsigned long long)swept.shared);
	else
		buf_printf(&out,
		    "%llu contents removed, %llu bytes; %llu are kept, since "
		    "other runs refer to them\n",
		    (unsigned long long)swept.contents,
		    (unsigned long long)swept.bytes,
		    (unsigned long long)swept.shared);
	return out_write(&out);
}
