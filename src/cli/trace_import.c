/*
 * paddock trace import: what was recorded elsewhere, as runs of this log.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cli/out.h"
#include "cli/trace_cmd.h"
#include "codec/json.h"
#include "core/id.h"
#include "store/import.h"
#include "sys/fd.h"

static const char import_help[] =
    "usage: paddock trace import FILE... [--key KEY] [--json]\n"
    "\n"
    "Takes in runs that were recorded elsewhere, to be shown, searched, "
    "compared\n"
    "and judged by a policy: a file that `trace export` wrote, whose proof is\n"
    "checked first, or transcripts as JSONL, a run on each line. They have "
    "the\n"
    "status `imported`, and each record says where it is from. A file comes "
    "in\n"
    "whole or not at all. No daemon may use the state meanwhile.\n"
    "\n"
    "  --key KEY           the log's key that must have signed a bundle, or "
    "a\n"
    "                      file that holds it\n"
    "  --json              what came in, one line a file\n"
    "  --state DIR         the state that it comes into, made if missing\n"
    "\n"
    "A transcript: {\"run\":\"any name\",\"time\":MICROSECONDS,\"user\":TEXT,\n"
    "\"calls\":[{\"name\":TOOL,\"arguments\":{},\"result\":ANY}]}; more in "
    "docs/TRACE.md.\n"
    "example: paddock trace import runs.jsonl --state /tmp/elsewhere\n";

static const struct option import_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "key", required_argument, NULL, 'k' },
	{ "state", required_argument, NULL, 'S' },
	ARGS_HELP,
	{},
};

enum { NS_PER_S = 1000 * 1000 * 1000 };

/* What is to come in, open. */
struct inputs {
	int fd[IMPORT_MAX_FILES];
	int n;
};

static int open_files(struct inputs *in, const struct trace *t, struct err *e);
static int import_all(struct trace *t, const struct inputs *in,
    const struct note_key *key, struct err *e);
static int import_file(
    struct import *im, int fd, const struct note_key *key, struct err *e);
static int is_bundle(int fd, bool *out, struct err *e);
static void tell(struct import *im);
static void put_done(struct buf *out, const struct trace *t,
    const struct import *im, const char *name);

int
cmd_trace_import(int argc, char **argv)
{
	struct trace t = { .args.name = "trace import" };
	struct note_key key;
	struct inputs in = {};
	struct err e, other;
	int status;

	if (!trace_options(&t, argc, argv, import_help, import_options))
		return t.args.exit;
	status = args_need(&t.args, 1, IMPORT_MAX_FILES, "FILE");
	if (status != 0)
		return status;
	if (t.key != NULL && trace_key(t.key, &key, &e) < 0)
		return out_fail(&e);
	status = open_files(&in, &t, &e);
	if (status == 0)
		status = trace_open_alone(&t, true, "an import", &e);
	if (status == 0)
		status = import_all(&t, &in, t.key != NULL ? &key : NULL, &e);
	for (int i = 0; i < in.n; i++)
		fd_fini(&in.fd[i]);
	if (status < 0)
		status = out_fail(&e);
	if (t.store != NULL && store_close(t.store, &other) < 0)
		return out_fail(&other);
	return status;
}

/* Before this process becomes one that may not read them. */
static int
open_files(struct inputs *in, const struct trace *t, struct err *e)
{
	for (int i = 0; i < args_count(&t->args); i++) {
		const char *name = args_rest(&t->args)[i];
		int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);

		if (fd < 0)
			return err_sys(e, "open %s", name);
		in->fd[in->n++] = fd;
	}
	return 0;
}

static int
import_all(struct trace *t, const struct inputs *in, const struct note_key *key,
    struct err *e)
{
	int status = EXIT_DONE;

	term_init(&t->term, STDOUT_FILENO);
	for (int i = 0; i < in->n && status == EXIT_DONE; i++) {
		const char *name = args_rest(&t->args)[i];
		own_buf struct buf out = {};
		struct import im = { .store = t->store };

		if (isatty(STDERR_FILENO))
			im.on_run = tell;
		if (import_file(&im, in->fd[i], key, e) < 0 ||
		    store_commit(t->store, e) < 0) {
			(void)err_add(e, "%s", name);
			if (i > 0)
				return err_add(e,
				    "%d of %d files came in, and of this one "
				    "nothing",
				    i, in->n);
			return -1;
		}
		put_done(&out, t, &im, name);
		status = out_write(&out);
	}
	return status;
}

static int
import_file(
    struct import *im, int fd, const struct note_key *key, struct err *e)
{
	bool bundle = false;

	if (is_bundle(fd, &bundle, e) < 0)
		return -1;
	if (bundle)
		return import_bundle(im, fd, key, e);
	if (key != NULL)
		return err_set(e,
		    "--key is for a bundle, and a transcript is signed by "
		    "nobody");
	return import_transcripts(im, fd, e);
}

/* What zstd writes begins with these; no JSON does. RFC 8878, 3.1.1 */
static int
is_bundle(int fd, bool *out, struct err *e)
{
	static const uint8_t magic[] = { 0x28, 0xb5, 0x2f, 0xfd };
	uint8_t first[sizeof(magic)];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "stat");
	if (!S_ISREG(st.st_mode))
		return err_set(e, "it is no regular file: copy it into one");
	n = pread(fd, first, sizeof(first), 0);
	if (n < 0)
		return err_sys(e, "read");
	*out = n == sizeof(first) && memcmp(first, magic, sizeof(magic)) == 0;
	return 0;
}

static void
tell(struct import *im)
{
	static int64_t told;
	int64_t now = clock_mono_ns();

	if (told == 0)
		told = now;
	if (now - told < NS_PER_S)
		return;
	told = now;
	out_note("%" PRIu64 " runs, %" PRIu64 " calls, %" PRIu64 " records",
	    im->runs, im->calls, im->records);
}

static void
put_done(struct buf *out, const struct trace *t, const struct import *im,
    const char *name)
{
	char id[ID_BYTES];

	id_text('r', im->last, id);
	if (t->json) {
		buf_printf(out, "{\"calls\":%" PRIu64 ",\"file\":", im->calls);
		json_put_str(out, str_of(name));
		buf_printf(out,
		    ",\"last\":\"%s\",\"records\":%" PRIu64 ",\"runs\":%" PRIu64
		    "}\n",
		    id, im->records, im->runs);
		return;
	}
	term_text(out, str_of(name));
	if (im->runs == 1)
		buf_printf(out, ": run %s", id);
	else
		buf_printf(out, ": %" PRIu64 " runs", im->runs);
	buf_printf(out, ", %" PRIu64 " calls, %" PRIu64 " records\n", im->calls,
	    im->records);
}
