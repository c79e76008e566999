/*
 * `paddock policy diff`: what a policy allows that another one does not.
 */
#include "cli/args.h"
#include "cli/cmd_policy.h"
#include "cli/out.h"
#include "cli/term.h"
#include "codec/json.h"
#include "core/policy_diff.h"

#include <unistd.h>

static const char diff_help[] =
    "usage: paddock policy diff OLD NEW [--json]\n"
    "\n"
    "Tells what became looser from one policy file to the other, what became\n"
    "tighter, and what changed in a way that is not compared: expressions,\n"
    "schemas, rules of egress that hold together. Exits with 0 when nothing\n"
    "is looser and nothing uncompared: then NEW lets nothing pass that OLD\n"
    "holds back. Exits with 1 when something is, or a file is no policy.\n"
    "\n"
    "  --json              as JSON\n"
    "\n"
    "example: paddock policy diff policy.json policy.new.json\n";

static void diff_text(struct buf *out, const struct policy_diff *d);
static void diff_json(struct buf *out, const struct policy *a,
    const struct policy *b, const struct policy_diff *d);

int
cmd_policy_diff(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		ARGS_HELP,
		{},
	};
	own_buf struct buf out = {};
	struct policy_diff d = {};
	struct policy *from, *to;
	bool json = false;
	struct args a;
	int c, status;

	args_init(&a, argc, argv, diff_help, options);
	a.name = "policy diff";
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		json = json || c == 'j';
	}
	status = args_need(&a, 2, 2,
	    args_count(&a) == 0 ? "the old policy's file"
				: "the new policy's file");
	if (status != 0)
		return status;
	from = policy_or_say(args_rest(&a)[0]);
	to = policy_or_say(args_rest(&a)[1]);
	if (from == NULL || to == NULL) {
		policy_free(from);
		policy_free(to);
		return EXIT_FAILED;
	}
	policy_diff_make(&d, from, to);
	if (json)
		diff_json(&out, from, to, &d);
	else
		diff_text(&out, &d);
	status = json ? policy_json_out(&out) : out_write(&out);
	if (d.of[POLICY_LOOSER] + d.of[POLICY_CHANGED] > 0)
		status = EXIT_FAILED;
	policy_diff_fini(&d);
	policy_free(from);
	policy_free(to);
	return status;
}

static void
diff_text(struct buf *out, const struct policy_diff *d)
{
	static const enum term_style styles[POLICY_CHANGES] = { TERM_RED,
		TERM_GREEN, TERM_YELLOW };
	struct term t;

	term_init(&t, STDOUT_FILENO);
	for (uint32_t i = 0; i < d->n; i++) {
		const struct policy_difference *one = &d->item[i];
		const char *name = policy_change_name(one->change);

		term_put(&t, out, styles[one->change], str_of(name));
		buf_printf(out, "%*s", (int)(9 - str_of(name).n), "");
		term_text(out, str_of(one->path));
		buf_add_c(out, ": ");
		term_text(out, str_of(one->text));
		buf_add_c(out, "\n");
	}
	buf_printf(out, "%u looser, %u tighter, %u not compared\n",
	    d->of[POLICY_LOOSER], d->of[POLICY_TIGHTER], d->of[POLICY_CHANGED]);
}

static void
diff_json(struct buf *out, const struct policy *a, const struct policy *b,
    const struct policy_diff *d)
{
	char from[HASH_HEX_BYTES], to[HASH_HEX_BYTES];

	hash_hex(&a->version, from);
	hash_hex(&b->version, to);
	buf_printf(out, "{\"from\":\"%s\",\"to\":\"%s\"", from, to);
	for (int c = 0; c < POLICY_CHANGES; c++) {
		bool any = false;

		buf_printf(out, ",\"%s\":[",
		    policy_change_name((enum policy_change)c));
		for (uint32_t i = 0; i < d->n; i++) {
			const struct policy_difference *one = &d->item[i];

			if (one->change != (enum policy_change)c)
				continue;
			buf_add_c(out, any ? ",{\"path\":" : "{\"path\":");
			any = true;
			json_put_str(out, str_of(one->path));
			buf_add_c(out, ",\"text\":");
			json_put_str(out, str_of(one->text));
			buf_add_byte(out, '}');
		}
		buf_add_byte(out, ']');
	}
	buf_add_byte(out, '}');
}
