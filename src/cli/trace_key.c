/*
 * paddock trace key: the keys that the log was signed with, and another one.
 */
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/out.h"
#include "cli/state.h"
#include "cli/trace_cmd.h"
#include "codec/json.h"
#include "store/keys.h"
#include "sys/confine.h"
#include "sys/dir.h"

static const char key_help[] =
    "usage: paddock trace key [rotate] [--json]\n"
    "\n"
    "Lists the log's keys, and the records that each signs. With `rotate`, "
    "makes\n"
    "another key, which signs from here on; the old one and the new both sign\n"
    "that it follows, so a copy of any of them verifies the whole log, and "
    "the\n"
    "old one's secret is removed. No daemon may use the state meanwhile.\n"
    "\n"
    "  --json              as JSON\n"
    "  --state DIR         where the daemon keeps its state\n"
    "\n"
    "Copy the new key to where you keep the old one: docs/TRACE.md.\n"
    "example: paddock trace key rotate\n";

static const struct option key_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "state", required_argument, NULL, 'S' },
	ARGS_HELP,
	{},
};

static int list(struct trace *t, struct err *e);
static int rotate(struct trace *t, struct err *e);
static void put_key(struct buf *out, const struct note_key *k, bool json);

int
cmd_trace_key(int argc, char **argv)
{
	struct trace t = { .args.name = "trace key" };
	struct err e;
	bool rotates;
	int status;

	if (!trace_options(&t, argc, argv, key_help, key_options))
		return t.args.exit;
	status = args_need(&t.args, 0, 1, "rotate");
	if (status != 0)
		return status;
	rotates = args_count(&t.args) > 0;
	if (rotates && strcmp(args_rest(&t.args)[0], "rotate") != 0)
		return args_bad(&t.args, "%s: it can be `rotate`, or left out",
		    args_rest(&t.args)[0]);
	if (rotates ? trace_open_alone(&t, false, "a change of its key", &e) < 0
		    : trace_open(&t, NULL, &e) < 0)
		return out_fail(&e);
	return trace_finish(&t, rotates ? rotate(&t, &e) : list(&t, &e), &e);
}

/*
 * The store belongs to the user that the broker runs as, and what is read or
 * made is read and made as that user too, with that directory for a root: the
 * way to it may be closed to that user, and nothing else is needed from then
 * on.
 */
int
trace_open_alone(struct trace *t, bool make, const char *what, struct err *e)
{
	own_buf struct buf dir = {};
	uid_t owner = confine_uid(CONFINE_BROKER);

	if (make &&
	    (state_dir(t->state, &dir, e) < 0 ||
		dir_make_path(buf_c(&dir), e) < 0))
		return -1;
	buf_reset(&dir);
	if (state_store(t->state, &dir, e) < 0)
		return -1;
	if (make && mkdir(buf_c(&dir), 0700) < 0 && errno != EEXIST)
		return err_sys(e, "mkdir %s", buf_c(&dir));
	if (chdir(buf_c(&dir)) < 0)
		return err_sys(e, "chdir %s", buf_c(&dir));
	if (geteuid() == 0 &&
	    (chown(".", owner, owner) < 0 || chroot(".") < 0 ||
		setgroups(0, NULL) < 0 || setresgid(owner, owner, owner) < 0 ||
		setresuid(owner, owner, owner) < 0))
		return err_sys(e, "become user %u", (unsigned)owner);
	t->store = store_open_bulk(".", e);
	if (t->store != NULL)
		return 0;
	return err_add(e,
	    "%s needs %s for itself: with --state DIR it goes elsewhere", what,
	    buf_c(&dir));
}

static int
list(struct trace *t, struct err *e)
{
	own_buf struct buf out = {};
	struct keys k;
	int got = store_keys(t->store, &k, e);

	for (size_t i = 0; got > 0 && i < keys_count(&k); i++) {
		uint64_t until, from = 0;

		if (i > 0)
			(void)keys_at(&k, i - 1, &from);
		if (t->json)
			buf_add_c(&out, i == 0 ? "{\"keys\":[{" : ",{");
		put_key(&out, keys_at(&k, i, &until), t->json);
		buf_add_c(
		    &out, t->json ? ",\"from\":" : "\nsigns from record ");
		buf_add_u64(&out, from + 1);
		if (until != UINT64_MAX) {
			buf_add_c(&out, t->json ? ",\"until\":" : " to ");
			buf_add_u64(&out, until);
		}
		buf_add_c(&out, t->json ? "}" : "\n");
	}
	if (got > 0 && t->json)
		buf_add_c(&out, "]}\n");
	keys_fini(&k);
	return got > 0 ? out_write(&out) : -1;
}

static int
rotate(struct trace *t, struct err *e)
{
	own_buf struct buf out = {}, key = {};
	struct note_key old, next;

	if (store_change_key(t->store, ".", &old, &next, e) < 0)
		return -1;
	if (t->json) {
		buf_add_byte(&out, '{');
		put_key(&out, &next, true);
		buf_add_c(&out, ",\"old\":");
		note_key_write(&key, &old);
		json_put_str(&out, buf_str(&key));
		buf_add_c(&out, "}\n");
		return out_write(&out);
	}
	put_key(&out, &next, false);
	buf_add_c(&out, "\nsigns from here on, and follows\n");
	put_key(&out, &old, false);
	buf_add_byte(&out, '\n');
	return out_write(&out);
}

static void
put_key(struct buf *out, const struct note_key *k, bool json)
{
	own_buf struct buf key = {};

	note_key_write(&key, k);
	if (!json) {
		buf_add_str(out, buf_str(&key));
		return;
	}
	buf_add_c(out, "\"key\":");
	json_put_str(out, buf_str(&key));
}
