/*
 * `paddock policy check` and `paddock policy explain`: what a document says,
 * before anything runs under it. Needs no daemon and writes nothing.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cli/args.h"
#include "cli/cmd_policy.h"
#include "cli/commands.h"
#include "cli/egress_explain.h"
#include "cli/out.h"
#include "cli/policy_file.h"
#include "cli/policy_view.h"
#include "cli/term.h"
#include "core/policy.h"
#include "core/suggest.h"
#include "sys/fd.h"

static const char policy_help[] =
    "usage: paddock policy check FILE... [--json]\n"
    "       paddock policy explain FILE CALL [ARGUMENTS] [--labels A,B] "
    "[--json]\n"
    "       paddock policy test FILE CASES [--json]\n"
    "       paddock policy diff OLD NEW [--json]\n"
    "       paddock policy learn RUN... [--policy FILE] [--json]\n"
    "\n"
    "  check               tells everything that is wrong with a policy\n"
    "  explain             tells which rule decides a call, and why\n"
    "  test                compares verdicts with a table of expected ones\n"
    "  diff                tells what became looser and what tighter\n"
    "  learn               proposes the smallest policy for recorded runs\n"
    "\n"
    "A FILE that ends in .yaml or .yml is YAML, any other JSON (comments are\n"
    "allowed). docs/POLICY.md describes the document.\n"
    "\n"
    "example: paddock policy check examples/support_refund/policy.json\n";

static const char check_help[] =
    "usage: paddock policy check FILE... [--json]\n"
    "\n"
    "Tells everything that is wrong with each policy, with line and column,\n"
    "and what is legal but perhaps not meant. Exits with 1 when one of them "
    "is\n"
    "no policy.\n"
    "\n"
    "  --json              as JSON\n"
    "\n"
    "example: paddock policy check examples/support_refund/policy.json\n";

static const char explain_help[] =
    "usage: paddock policy explain FILE CALL [ARGUMENTS] [--labels A,B] "
    "[--json]\n"
    "       paddock policy explain FILE [--json]\n"
    "\n"
    "Tells what would be done with a call at the start of a run, or of one\n"
    "that carries labels, and which rules speak. CALL is a tool's name, and\n"
    "ARGUMENTS a JSON object; or CALL is - and standard input holds\n"
    "{\"name\": ..., \"arguments\": {...}}. Or CALL is a request that wants\n"
    "to leave, \"GET https://api.example.com/v1/x\" or \"tcp://HOST:PORT\",\n"
    "and ARGUMENTS tell of its body: content_type, content_length.\n"
    "Without CALL: what a run can read, write and execute.\n"
    "\n"
    "  --labels A,B        labels that the run carries\n"
    "  --prompt TEXT       what the user has asked for\n"
    "  --json              as JSON\n"
    "\n"
    "example: paddock policy explain policy.json billing.refund "
    "'{\"amount\": 5}' --labels untrusted:ticket.read\n";

/* A call as the command line gives it. */
struct explained {
	const char *file;
	struct str tool;
	const struct json *args; /* an object */
	struct labels labels;
	const char *prompt;
	bool json;
};

static int cmd_check(int argc, char **argv);
static bool check_file(const char *path, bool json, struct buf *out);
static void check_text(const char *path, const struct policy *p,
    const struct policy_problems *list, struct buf *out);
static void check_json(const char *path, const struct policy *p,
    const struct policy_problems *list, struct buf *out);
static void put_problems(struct buf *out, const struct policy_problems *list);
static int cmd_explain(int argc, char **argv);
static int view(const struct explained *x);
static int read_call(const struct args *a, struct explained *x,
    struct arena *memory, struct err *e);
static int read_stdin(struct explained *x, struct arena *memory, struct err *e);
static int read_arguments(
    struct explained *x, const char *text, struct arena *memory, struct err *e);
static void add_labels(struct labels *l, struct str list);
static int explain(const struct explained *x);
static void explain_text(const struct policy *p, const struct explained *x,
    const struct verdict *v, struct buf *out);
static void explain_json(const struct policy *p, const struct explained *x,
    const struct verdict *v, struct buf *out);
static void put_stored_args(
    struct buf *out, const struct verdict *v, const struct json *args);
static struct str nearest(const struct policy *p, struct str tool);
static void put_member(struct buf *out, const char *name, const char *value);
static void put_line(const struct term *t, struct buf *out, const char *name,
    enum term_style style, struct str value);

int
cmd_policy(int argc, char **argv)
{
	static const struct option options[] = { ARGS_HELP, {} };
	struct suggest near;
	struct args a;
	int c;

	if (argc > 1 && strcmp(argv[1], "check") == 0)
		return cmd_check(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "explain") == 0)
		return cmd_explain(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "test") == 0)
		return cmd_policy_test(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "diff") == 0)
		return cmd_policy_diff(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "learn") == 0)
		return cmd_policy_learn(argc - 1, argv + 1);
	args_init(&a, argc, argv, policy_help, options);
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
	}
	if (args_count(&a) == 0)
		return args_bad(
		    &a, "check, explain, test, diff or learn is missing");
	near = suggest_for(str_of(args_rest(&a)[0]));
	suggest_try(&near, STR("check"));
	suggest_try(&near, STR("explain"));
	suggest_try(&near, STR("test"));
	suggest_try(&near, STR("diff"));
	suggest_try(&near, STR("learn"));
	if (near.best.n > 0)
		return args_bad(&a, "unknown subcommand %s; did you mean %.*s?",
		    args_rest(&a)[0], STR_FMT(near.best));
	return args_bad(&a,
	    "unknown subcommand %s; there are check, explain, test, diff and "
	    "learn",
	    args_rest(&a)[0]);
}

static int
cmd_check(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		ARGS_HELP,
		{},
	};
	own_buf struct buf out = {};
	bool json = false, good = true;
	struct args a;
	int c, status;

	args_init(&a, argc, argv, check_help, options);
	a.name = "policy check";
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		json = json || c == 'j';
	}
	status = args_need(&a, 1, ARGS_MANY, "the policy's file");
	if (status != 0)
		return status;
	if (json)
		buf_add_c(&out, "[");
	for (int i = 0; i < args_count(&a); i++) {
		if (json && i > 0)
			buf_add_c(&out, ",");
		if (!check_file(args_rest(&a)[i], json, &out))
			good = false;
	}
	if (json)
		buf_add_c(&out, "]");
	status = json ? policy_json_out(&out) : out_write(&out);
	return good ? status : EXIT_FAILED;
}

/* Appends what there is to say about the file; true when it is a policy. */
static bool
check_file(const char *path, bool json, struct buf *out)
{
	static struct policy_problems list; /* 27 KiB */
	struct policy *p = policy_file_read(path, &list);
	bool good = p != NULL;

	if (good)
		policy_notes(p, &list);
	if (json)
		check_json(path, p, &list, out);
	else
		check_text(path, p, &list, out);
	policy_free(p);
	return good;
}

static void
check_text(const char *path, const struct policy *p,
    const struct policy_problems *list, struct buf *out)
{
	char version[HASH_HEX_BYTES];

	if (p == NULL) {
		policy_file_show(out, path, list);
		return;
	}
	hash_hex(&p->version, version);
	term_text(out, str_of(path));
	buf_printf(out, ": ok: %.*s, ", STR_FMT(p->workflow));
	if (p->short_form)
		buf_add_c(out, "short form, ");
	else
		buf_printf(
		    out, "stage %u, %s, ", p->stage, policy_mode_name(p->mode));
	buf_printf(out, "%u tool%s, version %.12s\n", p->n_tools,
	    p->n_tools == 1 ? "" : "s", version);
	for (uint32_t i = 0; i < policy_problems_kept(list); i++) {
		term_text(out, str_of(path));
		buf_add_c(out, ": note: ");
		term_text(out, str_of(list->item[i].path));
		buf_add_c(out, ": ");
		term_text(out, str_of(list->item[i].text));
		buf_add_c(out, "\n");
	}
}

static void
check_json(const char *path, const struct policy *p,
    const struct policy_problems *list, struct buf *out)
{
	char version[HASH_HEX_BYTES];

	buf_add_c(out, "{");
	put_member(out, "file", path);
	buf_printf(out, ",\"ok\":%s", p != NULL ? "true" : "false");
	if (p != NULL) {
		hash_hex(&p->version, version);
		buf_add_c(out, ",");
		put_member(out, "form", p->short_form ? "short" : "full");
		buf_add_c(out, ",");
		put_member(out, "mode", policy_mode_name(p->mode));
		buf_printf(
		    out, ",\"stage\":%u,\"tools\":%u,", p->stage, p->n_tools);
		buf_add_c(out, "\"sandbox\":");
		policy_view_json(out, &p->sandbox);
		buf_add_c(out, ",");
		put_member(out, "version", version);
		buf_add_c(out, ",\"workflow\":");
		json_put_str(out, p->workflow);
	}
	buf_add_c(out, p != NULL ? ",\"notes\":" : ",\"problems\":");
	put_problems(out, list);
	buf_add_c(out, "}");
}

static void
put_problems(struct buf *out, const struct policy_problems *list)
{
	buf_add_c(out, "[");
	for (uint32_t i = 0; i < policy_problems_kept(list); i++) {
		const struct policy_problem *one = &list->item[i];

		buf_add_c(out, i > 0 ? ",{" : "{");
		if (one->line > 0)
			buf_printf(out, "\"line\":%u,\"column\":%u,", one->line,
			    one->column);
		put_member(out, "path", one->path);
		buf_add_c(out, ",");
		put_member(out, "text", one->text);
		buf_add_c(out, "}");
	}
	buf_add_c(out, "]");
}

static int
cmd_explain(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "labels", required_argument, NULL, 'l' },
		{ "prompt", required_argument, NULL, 'p' },
		ARGS_HELP,
		{},
	};
	static struct explained x; /* its labels have 16 KiB */
	own_arena struct arena memory = {};
	struct err e = {};
	struct args a;
	int c, status;

	x = (struct explained){};
	args_init(&a, argc, argv, explain_help, options);
	a.name = "policy explain";
	while ((c = args_next(&a)) != ARGS_END) {
		switch (c) {
		case ARGS_STOP:
			return a.exit;
		case 'j':
			x.json = true;
			break;
		case 'l':
			add_labels(&x.labels, str_of(optarg));
			break;
		case 'p':
			x.prompt = optarg;
			break;
		default:
			break;
		}
	}
	status = args_need(&a, 1, 3, "the policy's file");
	if (status != 0)
		return status;
	x.file = args_rest(&a)[0];
	if (args_count(&a) == 1 && x.labels.n > 0)
		return args_bad(&a, "--labels is for a call");
	if (args_count(&a) == 1)
		return view(&x);
	if (read_call(&a, &x, &memory, &e) < 0)
		return args_bad(&a, "%s", e.text);
	return explain(&x);
}

/* What a run has from the start, whatever it calls. */
static int
view(const struct explained *x)
{
	own_buf struct buf out = {};
	struct policy *p = policy_or_say(x->file);

	if (p == NULL)
		return EXIT_FAILED;
	if (x->json)
		policy_view_json(&out, &p->sandbox);
	else
		policy_view_text(&out, &p->sandbox);
	policy_free(p);
	return x->json ? policy_json_out(&out) : out_write(&out);
}

static int
read_call(const struct args *a, struct explained *x, struct arena *memory,
    struct err *e)
{
	const char *call = args_rest(a)[1];

	if (strcmp(call, "-") == 0) {
		if (args_count(a) > 2)
			return err_set(e,
			    "the arguments come from standard input when the "
			    "call is -");
		return read_stdin(x, memory, e);
	}
	x->tool = str_of(call);
	if (x->tool.n == 0)
		return err_set(e, "the tool's name is empty");
	return read_arguments(
	    x, args_count(a) > 2 ? args_rest(a)[2] : "{}", memory, e);
}

static int
read_stdin(struct explained *x, struct arena *memory, struct err *e)
{
	own_buf struct buf in = {};
	const struct json *v, *args;
	struct str text;

	if (fd_read_all(STDIN_FILENO, &in, JSON_MAX_BYTES, e) < 0)
		return err_add(e, "standard input");
	/* The values point into the text: it must live as long. */
	text = (struct str){ arena_copy(memory, buf_str(&in)), in.n };
	if (text.p == NULL)
		return err_set(e, "out of memory");
	v = json_parse(text, NULL, memory, e, NULL);
	if (v == NULL)
		return err_add(e, "standard input");
	args = json_get(v, STR("arguments"));
	x->tool = json_str(json_get(v, STR("name")));
	if (x->tool.n == 0 || (args != NULL && !json_is(args, JSON_OBJECT)))
		return err_set(e,
		    "standard input must hold {\"name\": \"tool\", "
		    "\"arguments\": {...}}");
	if (args == NULL)
		return read_arguments(x, "{}", memory, e);
	x->args = args;
	return 0;
}

static int
read_arguments(
    struct explained *x, const char *text, struct arena *memory, struct err *e)
{
	x->args = json_parse(str_of(text), NULL, memory, e, NULL);
	if (x->args == NULL)
		return err_add(e, "the arguments");
	if (!json_is(x->args, JSON_OBJECT))
		return err_set(e,
		    "the arguments must be a JSON object, such as "
		    "'{\"amount\": 5}'");
	return 0;
}

/* "a,b" */
static void
add_labels(struct labels *l, struct str list)
{
	while (list.n > 0) {
		size_t n = str_find(list, ',');

		if (n > 0)
			labels_add(l, (struct str){ list.p, n });
		n += n < list.n;
		list.p += n;
		list.n -= n;
	}
}

struct policy *
policy_or_say(const char *path)
{
	static struct policy_problems list;
	own_buf struct buf all = {};
	struct policy *p = policy_file_read(path, &list);

	if (p != NULL)
		return p;
	policy_file_show(&all, path, &list);
	(void)fd_write_all(STDERR_FILENO, all.p, all.n, &(struct err){});
	return NULL;
}

static int
explain(const struct explained *x)
{
	struct prov *prov = prov_new();
	struct policy_call call = { x->tool, x->args, &x->labels,
		clock_utc_ns() / 1000000000, prov };
	own_buf struct buf out = {};
	struct policy *p = policy_or_say(x->file);
	static struct verdict v;
	int status;

	prov_user(prov, str_of(x->prompt));
	if (p == NULL) {
		prov_free(prov);
		return EXIT_FAILED;
	}
	if (egress_explain_is(x->tool)) {
		struct err e = {};

		status = egress_explain(p, x->tool, x->args, &x->labels,
			     x->json, &out, &e) < 0
		    ? out_fail(&e)
		    : x->json ? policy_json_out(&out)
			      : out_write(&out);
		prov_free(prov);
		policy_free(p);
		return status;
	}
	policy_decide(p, &call, &v);
	if (x->json) {
		explain_json(p, x, &v, &out);
		status = policy_json_out(&out);
	} else {
		explain_text(p, x, &v, &out);
		status = out_write(&out);
	}
	prov_free(prov);
	policy_free(p);
	return status;
}

static void
explain_text(const struct policy *p, const struct explained *x,
    const struct verdict *v, struct buf *out)
{
	char version[HASH_HEX_BYTES];
	own_buf struct buf line = {};
	struct str near = nearest(p, x->tool);
	struct term t;

	term_init(&t, STDOUT_FILENO);
	buf_add_str(&line, x->tool);
	buf_printf(&line, " (%s)",
	    v->tool != NULL ? risk_name(v->risk) : "not listed");
	put_line(&t, out, "call", TERM_BOLD, buf_str(&line));
	put_line(&t, out, "verdict",
	    term_style_of(str_of(verdict_name(v->kind))),
	    str_of(verdict_name(v->kind)));
	if (v->would != v->kind)
		put_line(&t, out, "would be", TERM_YELLOW,
		    str_of(verdict_name(v->would)));
	if (v->would == VERDICT_APPROVE && v->approved != VERDICT_ALLOW)
		put_line(&t, out, "approved", TERM_PLAIN,
		    str_of(verdict_name(v->approved)));
	put_line(&t, out, "rule", TERM_PLAIN, str_of(v->rule));
	put_line(&t, out, "code", TERM_PLAIN, str_of(v->code));
	for (uint32_t i = 0; i < v->n_reasons; i++)
		put_line(&t, out, i == 0 ? "because" : "and", TERM_PLAIN,
		    str_of(v->reasons[i]));
	if (v->tool == NULL && near.n > 0) {
		buf_reset(&line);
		buf_printf(&line, "did you mean %.*s?", STR_FMT(near));
		put_line(&t, out, "", TERM_PLAIN, buf_str(&line));
	}
	if (v->next_step[0] != '\0')
		put_line(
		    &t, out, "next step", TERM_PLAIN, str_of(v->next_step));
	buf_reset(&line);
	put_stored_args(&line, v, x->args);
	put_line(&t, out, "stored", TERM_PLAIN, buf_str(&line));
	buf_reset(&line);
	labels_write(&line, &x->labels);
	put_line(&t, out, "labels", TERM_PLAIN, buf_str(&line));
	for (uint32_t i = 0; p->locates && i < v->prov.n; i++) {
		char from[PROV_SAID_BYTES];

		prov_say(&v->prov.arg[i], from);
		buf_reset(&line);
		buf_printf(&line, "%s comes %s", v->prov.arg[i].path, from);
		put_line(&t, out, i == 0 ? "origin" : "", TERM_PLAIN,
		    buf_str(&line));
	}
	hash_hex(&p->version, version);
	buf_reset(&line);
	buf_printf(&line, "%s, stage %u, %s", version, p->stage,
	    policy_mode_name(p->mode));
	put_line(&t, out, "policy", TERM_DIM, buf_str(&line));
}

static void
explain_json(const struct policy *p, const struct explained *x,
    const struct verdict *v, struct buf *out)
{
	char version[HASH_HEX_BYTES];

	buf_add_c(out, "{\"tool\":");
	json_put_str(out, x->tool);
	buf_printf(out, ",\"listed\":%s,", v->tool != NULL ? "true" : "false");
	put_member(out, "risk", risk_name(v->risk));
	buf_add_c(out, ",");
	put_member(out, "verdict", verdict_name(v->kind));
	buf_add_c(out, ",");
	put_member(out, "would", verdict_name(v->would));
	buf_add_c(out, ",");
	if (v->would == VERDICT_APPROVE) {
		put_member(out, "approved", verdict_name(v->approved));
		buf_add_c(out, ",");
	}
	put_member(out, "rule", v->rule);
	buf_add_c(out, ",");
	put_member(out, "code", v->code);
	buf_add_c(out, ",\"reasons\":[");
	for (uint32_t i = 0; i < v->n_reasons; i++) {
		buf_add_c(out, i > 0 ? "," : "");
		json_put_str(out, str_of(v->reasons[i]));
	}
	buf_add_c(out, "],");
	put_member(out, "suggested_next_step", v->next_step);
	buf_add_c(out, ",\"stored_arguments\":");
	put_stored_args(out, v, x->args);
	buf_add_c(out, ",\"labels\":");
	labels_write(out, &x->labels);
	buf_add_c(out, ",\"provenance\":");
	prov_write(out, &v->prov);
	hash_hex(&p->version, version);
	buf_add_c(out, ",");
	put_member(out, "policy_version", version);
	buf_printf(out, ",\"stage\":%u,", p->stage);
	put_member(out, "mode", policy_mode_name(p->mode));
	buf_add_c(out, "}");
}

/* The arguments as the trace keeps them. */
static void
put_stored_args(
    struct buf *out, const struct verdict *v, const struct json *args)
{
	redact_write(out, args, v->tool != NULL ? v->tool->redact_args : NULL,
	    v->tool != NULL ? v->tool->n_redact_args : 0);
}

static struct str
nearest(const struct policy *p, struct str tool)
{
	struct suggest near = suggest_for(tool);

	for (uint32_t i = 0; i < p->n_tools; i++)
		suggest_try(&near, p->tools[i].name);
	return near.best;
}

static void
put_member(struct buf *out, const char *name, const char *value)
{
	json_put_str(out, str_of(name));
	buf_add_c(out, ":");
	json_put_str(out, str_of(value));
}

static void
put_line(const struct term *t, struct buf *out, const char *name,
    enum term_style style, struct str value)
{
	buf_printf(out, "%-10s ", name);
	term_put(t, out, style, value);
	buf_add_c(out, "\n");
}

int
policy_json_out(const struct buf *compact)
{
	own_arena struct arena memory = {};
	own_buf struct buf pretty = {}, out = {};
	const struct json *v;
	struct err e = {};

	if (compact->failed)
		(void)err_set(&e, "out of memory");
	v = compact->failed
	    ? NULL
	    : json_parse(buf_str(compact), NULL, &memory, &e, NULL);
	if (v == NULL)
		return out_fail(&e);
	json_write_pretty(&pretty, v);
	out_json_text(&out, buf_str(&pretty), STDOUT_FILENO);
	buf_add_byte(&out, '\n');
	out.failed = out.failed || pretty.failed;
	return out_write(&out);
}
