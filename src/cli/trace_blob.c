/*
 * paddock trace blob: the bytes that a record refers to, such as a picture of
 * a page, as a file.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/out.h"
#include "cli/trace_cmd.h"
#include "codec/json.h"
#include "sys/fd.h"

static const char help[] =
    "usage: paddock trace blob RUN HASH [-o FILE] [--state DIR]\n"
    "\n"
    "Writes what a record of the run refers to by its SHA-256: arguments, a\n"
    "result, a picture or the text of a page (page.captured). Whatever it is,\n"
    "a stranger may have made it: look at pictures where they do no harm.\n"
    "\n"
    "  -o, --out FILE      a file that is not there yet; without it the bytes\n"
    "                      go to standard output, unless that is a terminal\n"
    "  --state DIR         where the daemon keeps its state\n"
    "\n"
    "RUN is a run's name, `last`, or a file that `trace export` wrote. HASH "
    "may\n"
    "be its first digits, at least 6.\n"
    "example: paddock trace blob last 5f3a9c -o page.png\n";

static const struct option options[] = {
	{ "out", required_argument, NULL, 'o' },
	{ "state", required_argument, NULL, 'S' },
	ARGS_HELP,
	{},
};

enum { DIGITS_MIN = 6 };

/* What the run's records refer to, against the digits that were given. */
struct search {
	struct str digits;
	struct hash found;
	uint32_t n; /* 0, 1, or more when they differ */
	struct arena memory;
	struct err *e;
	bool failed;
};

static int write_blob(struct trace *t, char *const *args, struct err *e);
static bool on_record(void *arg, const struct store_row *row);
static int write_file(const char *name, struct str bytes, struct err *e);

int
cmd_trace_blob(int argc, char **argv)
{
	struct trace t = { .args.name = "trace blob", .args.shorts = ":ho:" };
	struct err e;
	int status;

	if (!trace_options(&t, argc, argv, help, options))
		return t.args.exit;
	status = args_need(&t.args, 2, 2, "RUN and HASH");
	if (status != 0)
		return status;
	if (t.out == NULL && isatty(STDOUT_FILENO))
		return args_bad(&t.args,
		    "-o FILE is missing: this is a terminal, and the bytes "
		    "may be anything");
	if (trace_open(&t, args_rest(&t.args)[0], &e) < 0)
		return out_fail(&e);
	return trace_finish(&t, write_blob(&t, args_rest(&t.args), &e), &e);
}

static int
write_blob(struct trace *t, char *const *args, struct err *e)
{
	struct search look = { .digits = str_of(args[1]), .e = e };
	own_buf struct buf bytes = {};
	uint64_t run = 0;
	int status;

	if (look.digits.n < DIGITS_MIN || look.digits.n > HASH_HEX_BYTES - 1 ||
	    strspn(args[1], "0123456789abcdef") != look.digits.n)
		return err_set(e,
		    "\"%.*s\" is not a hash: give %d to %d digits, as `trace "
		    "show` has them",
		    (int)(look.digits.n > 80 ? 80 : look.digits.n), args[1],
		    DIGITS_MIN, HASH_HEX_BYTES - 1);
	if (trace_find(t, args[0], &run, e) < 0)
		return -1;
	status = store_events(t->store, run, 0, 0, on_record, &look, e);
	arena_fini(&look.memory);
	if (status < 0 || look.failed)
		return -1;
	if (look.n == 0)
		return err_set(e,
		    "no record of the run refers to %s; `paddock trace show` "
		    "tells what there is",
		    args[1]);
	if (look.n > 1)
		return err_set(e,
		    "more than one begins with %s: give more digits", args[1]);
	if (store_blob_sound(t->store, &look.found, &bytes, e) < 0) {
		const int64_t ns = store_removed_ns(t->store, run);
		own_buf struct buf when = {};

		if (ns == 0)
			return err_add(e, "%s", args[1]);
		out_time(&when, ns);
		return err_set(e, "%s was removed by retention at %s", args[1],
		    buf_c(&when));
	}
	if (t->out == NULL)
		return out_write(&bytes);
	return write_file(t->out, buf_str(&bytes), e);
}

static bool
on_record(void *arg, const struct store_row *row)
{
	static const char *const where[][2] = { { "tool", "args" },
		{ "res", "out" } };
	struct search *look = arg;
	const struct json *j;

	arena_reset(&look->memory);
	j = json_parse(row->body, NULL, &look->memory, look->e, NULL);
	if (j == NULL) {
		(void)err_add(look->e, "record %" PRIu64, row->seq);
		look->failed = true;
		return false;
	}
	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		struct str hex =
		    json_str(json_at(j, where[i][0], where[i][1], "h", NULL));
		struct hash h;

		if (!str_starts(hex, look->digits) ||
		    hash_from_hex(hex, &h) < 0 ||
		    (look->n > 0 && hash_eq(&h, &look->found)))
			continue;
		look->found = h;
		look->n++;
	}
	return true;
}

static int
write_file(const char *name, struct str bytes, struct err *e)
{
	own_fd int fd =
	    open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(e, "create %s", name);
	if (fd_write_all(fd, bytes.p, bytes.n, e) < 0) {
		(void)unlink(name); /* nothing half is left */
		return err_add(e, "%s", name);
	}
	return EXIT_DONE;
}
