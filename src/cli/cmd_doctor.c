#include "cli/commands.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/walls.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/doctor.h"
#include "cli/out.h"
#include "cli/policy_file.h"
#include "cli/state.h"
#include "cli/term.h"
#include "sys/fd.h"

static const char help[] =
    "usage: paddock doctor [POLICY] [--json] [--state DIR]\n"
    "\n"
    "Tells what this machine's kernel gives to sandboxes, what is weaker\n"
    "without it and what can be done. Each answer comes from trying.\n"
    "\n"
    "  POLICY        a policy file: exit with 1 when a run of it cannot start\n"
    "                here\n"
    "  --json        as JSON\n"
    "  --state DIR   where the daemon keeps its state\n"
    "\n"
    "example: paddock doctor examples/support_refund/policy.json\n";

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "state", required_argument, NULL, 'S' },
	ARGS_HELP,
	{},
};

struct report {
	struct doctor_finding findings[DOCTOR_FINDINGS];
	size_t n;
	struct doctor_wall walls[WALL_COUNT];
	struct buf state; /* directory */
	bool daemon; /* one answers */
	const char *policy; /* file, or NULL */
	bool admitted;
	struct err refusal;
};

static int examine(struct report *r, const char *state_option, struct err *e);
static int judge(struct report *r, const struct machine *m);
static void write_text(const struct report *r, struct buf *out);
static void write_walls(
    const struct report *r, enum doctor_stands which, struct buf *out);
static void write_json(const struct report *r, struct buf *out);
static void put_member(struct buf *b, const char *name, const char *value);
static enum term_style style_of(enum doctor_state s);

int
cmd_doctor(int argc, char **argv)
{
	struct client_options o = {};
	static struct report r; /* too large for the stack */
	own_buf struct buf out = {}, text = {};
	bool as_json = false;
	struct args a;
	struct err e;
	int c, status;

	args_init(&a, argc, argv, help, options);
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		if (c == 'j')
			as_json = true;
		else
			(void)client_option(&o, c, optarg);
	}
	status = args_need(&a, 0, 1, "");
	if (status != 0)
		return status;
	if (args_count(&a) == 1)
		r.policy = args_rest(&a)[0];
	if (examine(&r, o.state, &e) < 0) {
		buf_fini(&r.state);
		return out_fail(&e);
	}
	if (as_json) {
		write_json(&r, &text);
		out_json_text(&out, buf_str(&text), STDOUT_FILENO);
	} else {
		write_text(&r, &out);
	}
	buf_fini(&r.state);
	status = out_write(&out);
	if (r.policy != NULL && !r.admitted)
		return as_json ? EXIT_FAILED : out_fail(&r.refusal);
	return status;
}

static int
examine(struct report *r, const char *state_option, struct err *e)
{
	const struct client_options o = { .state = state_option };
	const struct client_request q = { .method = "GET",
		.target = "/v1/health" };
	own_client struct client client = {};
	own_reply struct client_reply reply = {};
	struct machine m;
	struct err why;

	if (state_dir(state_option, &r->state, e) < 0)
		return -1;
	/* Idmapped mounts depend on the file system of the work folder. */
	if (machine_probe(&m, NULL, e) < 0)
		return err_add(e, "look at the machine");
	r->n = doctor_findings(&m, r->findings);
	for (unsigned i = 0; i < WALL_COUNT; i++)
		r->walls[i] = doctor_wall(&m, 1U << i);
	r->daemon = client_init(&client, &o, &why) == 0 &&
	    client_ask(&client, &q, &reply, &why) == 0;
	return r->policy != NULL ? judge(r, &m) : 0;
}

/* A file that is no policy is a refusal, too: its problems are printed. */
static int
judge(struct report *r, const struct machine *m)
{
	static struct policy_problems problems; /* too large for the stack */
	struct policy *p = policy_file_read(r->policy, &problems);
	own_buf struct buf text = {};
	struct err e;

	if (p == NULL) {
		policy_file_show(&text, r->policy, &problems);
		(void)err_set(&r->refusal,
		    "%s is no policy that can be enforced", r->policy);
		/* The refusal follows on the same descriptor. */
		(void)fd_write_all(STDERR_FILENO, text.p, text.n, &e);
		return 0;
	}
	r->admitted = doctor_admits(m, p, &r->refusal) == 0;
	policy_free(p);
	if (!r->admitted)
		(void)err_add(&r->refusal, "%s cannot run here", r->policy);
	return 0;
}

static void
write_text(const struct report *r, struct buf *out)
{
	struct term_table tab = {};
	struct term t;
	struct err e;
	bool weaker = false, missing = false;

	term_init(&t, STDOUT_FILENO);
	for (size_t i = 0; i < r->n; i++) {
		const struct doctor_finding *f = &r->findings[i];
		own_buf struct buf line = {};

		weaker |= f->state == DOCTOR_WEAKER;
		missing |= f->state == DOCTOR_MISSING;
		term_row(&tab,
		    (const struct term_cell[]){
			{ str_of(doctor_state_name(f->state)),
			    style_of(f->state), false },
			{ str_of(f->name), TERM_BOLD, false },
			{ str_of(f->found), TERM_PLAIN, false },
		    },
		    3);
		if (f->effect != NULL) {
			buf_printf(&line, "         %s", f->effect);
			term_note(&tab, TERM_DIM, buf_str(&line));
			buf_reset(&line);
		}
		if (f->remedy != NULL) {
			buf_printf(&line, "         remedy: %s", f->remedy);
			term_note(&tab, TERM_DIM, buf_str(&line));
		}
	}
	if (term_table_write(&t, &tab, out, &e) < 0)
		out->failed = true;
	term_table_fini(&tab);
	buf_add_c(
	    out, "\nwalls that `required` of a policy may name:\n  here    ");
	write_walls(r, DOCTOR_WALL_HERE, out);
	buf_add_c(out, "\n");
	write_walls(r, DOCTOR_WALL_ASKED, out);
	write_walls(r, DOCTOR_WALL_MISSING, out);
	buf_add_c(out, "\nstate   ");
	term_text(out, buf_str(&r->state));
	buf_add_c(out, "\ndaemon  ");
	buf_add_c(out,
	    r->daemon ? "runs\n"
		      : "does not run; paddock run starts one for "
			"itself\n");
	buf_add_c(out, "result  ");
	buf_add_c(out,
	    missing	 ? "no run is possible here\n"
		: weaker ? "runs are possible; what is weaker is "
			   "recorded with each\n"
			 : "every wall stands\n");
	if (r->policy != NULL && r->admitted) {
		buf_add_c(out, "policy  ");
		term_text(out, str_of(r->policy));
		buf_add_c(out, " can run here\n");
	}
}

/* What stands in any case in one paragraph, else a line each and why. */
static void
write_walls(const struct report *r, enum doctor_stands which, struct buf *out)
{
	size_t column = 10;

	for (size_t i = 0; i < WALL_COUNT; i++) {
		const struct doctor_wall *w = &r->walls[i];
		const size_t n = strlen(w->name);

		if (w->stands != which)
			continue;
		if (which != DOCTOR_WALL_HERE) {
			buf_printf(out, "  %-7s %s, %s\n",
			    which == DOCTOR_WALL_ASKED ? "asked" : "missing",
			    w->name, w->why);
			if (w->remedy != NULL)
				buf_printf(
				    out, "          remedy: %s\n", w->remedy);
			continue;
		}
		if (column + n + 1 > 79) {
			buf_add_c(out, "\n          ");
			column = 10;
		}
		buf_printf(out, column > 10 ? " %s" : "%s", w->name);
		column += n + (column > 10);
	}
}

static void
write_json(const struct report *r, struct buf *out)
{
	buf_add_c(out, "{\"findings\":[");
	for (size_t i = 0; i < r->n; i++) {
		const struct doctor_finding *f = &r->findings[i];

		buf_add_c(out, i > 0 ? ",{\"name\":" : "{\"name\":");
		json_put_str(out, str_of(f->name));
		put_member(out, "state", doctor_state_name(f->state));
		put_member(out, "found", f->found);
		put_member(out, "effect", f->effect);
		put_member(out, "remedy", f->remedy);
		buf_add_byte(out, '}');
	}
	buf_add_c(out, "],\"walls\":[");
	for (size_t i = 0; i < WALL_COUNT; i++) {
		const struct doctor_wall *w = &r->walls[i];

		buf_add_c(out, i > 0 ? ",{\"name\":" : "{\"name\":");
		json_put_str(out, str_of(w->name));
		put_member(out, "stands", doctor_stands_name(w->stands));
		put_member(out, "why", w->why);
		put_member(out, "remedy", w->remedy);
		buf_add_byte(out, '}');
	}
	buf_add_c(out, "],\"state\":");
	json_put_str(out, buf_str(&r->state));
	buf_printf(out, ",\"daemon\":%s", r->daemon ? "true" : "false");
	if (r->policy != NULL) {
		put_member(out, "policy", r->policy);
		buf_printf(out, ",\"policy_can_run\":%s",
		    r->admitted ? "true" : "false");
		if (!r->admitted)
			put_member(out, "refusal", r->refusal.text);
	}
	buf_add_c(out, "}\n");
}

static void
put_member(struct buf *b, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(b, ",\"%s\":", name);
	json_put_str(b, str_of(value));
}

static enum term_style
style_of(enum doctor_state s)
{
	switch (s) {
	case DOCTOR_OK:
		return TERM_GREEN;
	case DOCTOR_INFO:
		return TERM_DIM;
	case DOCTOR_WEAKER:
		return TERM_YELLOW;
	case DOCTOR_MISSING:
		return TERM_RED;
	}
	return TERM_PLAIN;
}
