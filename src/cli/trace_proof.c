/*
 * paddock trace verify, export and checkpoint: what can be proved, and to
 * whom.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/out.h"
#include "cli/state.h"
#include "cli/trace_cmd.h"
#include "cli/trace_formats.h"
#include "codec/json.h"
#include "codec/note.h"
#include "core/id.h"
#include "store/told.h"
#include "sys/fd.h"

static const char verify_help[] =
    "usage: paddock trace verify [RUN | FILE | STATEMENT [FILE]] [--key KEY]\n"
    "                            [--witness FILE] [--json]\n"
    "\n"
    "Follows the chain of all records from the first to the last, with what "
    "was\n"
    "signed of it, and of all runs, or of RUN, also the order of its records "
    "and\n"
    "what they refer to. FILE is a run that `trace export` wrote: it needs no\n"
    "daemon and no state. STATEMENT is what `--format in-toto` wrote: its\n"
    "signature is checked, and with FILE that it is that file's.\n"
    "Exit status 0: sound, 1: not sound, or not to be read.\n"
    "\n"
    "  --key KEY           the log's key as you noted it, or a file that "
    "holds\n"
    "                      it: another key is not sound\n"
    "  --witness FILE      checkpoints that were copied from checkpoints.txt "
    "to\n"
    "                      where this machine cannot change them\n"
    "  --json              as JSON\n"
    "  --state DIR         where the daemon keeps its state\n"
    "\n"
    "example: paddock trace verify --witness /mnt/audit/checkpoints.txt\n";

static const char export_help[] =
    "usage: paddock trace export RUN -o FILE [--format FORMAT] [--content]\n"
    "                            [--json]\n"
    "\n"
    "Writes one run as a file that proves itself: its records, what they "
    "refer\n"
    "to, the policy, the log's key and checkpoint, and a proof that the "
    "records\n"
    "are in the log that was signed. `paddock trace verify FILE` checks it on\n"
    "any machine, and `paddock trace show FILE` reads it.\n"
    "\n"
    "  -o, --out FILE      where to; it must not be there yet\n"
    "  --format FORMAT     bundle, if not given; or for other programs, and\n"
    "                      proving nothing: jsonl, the records one a line "
    "with\n"
    "                      what they refer to; otlp, spans of OpenTelemetry\n"
    "                      as OTLP/JSON (GenAI conventions 1.41.0).\n"
    "                      in-toto: RUN is a bundle's file, and what is\n"
    "                      written a statement about it in a DSSE envelope,\n"
    "                      signed by the log's key\n"
    "  --content           with otlp: arguments and results as well\n"
    "  --json              say what was written as JSON\n"
    "  --state DIR         where the daemon keeps its state\n"
    "\n"
    "RUN is a run's name or `last`.\n"
    "example: paddock trace export last -o run.paddock\n";

static const char checkpoint_help[] =
    "usage: paddock trace checkpoint [--json]\n"
    "\n"
    "Prints the log's key and the last checkpoint: a signed note of how many\n"
    "records there are and of their Merkle root. Keep both where this machine\n"
    "cannot change them; STATE/store/checkpoints.txt has all of them.\n"
    "\n"
    "  --json              as JSON\n"
    "  --state DIR         where the daemon keeps its state\n"
    "\n"
    "example: paddock trace checkpoint\n";

static const struct option verify_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "key", required_argument, NULL, 'k' },
	{ "state", required_argument, NULL, 'S' },
	{ "witness", required_argument, NULL, 'w' },
	ARGS_HELP,
	{},
};
static const struct option export_options[] = {
	{ "content", no_argument, NULL, 'c' },
	{ "format", required_argument, NULL, 'F' },
	{ "json", no_argument, NULL, 'j' },
	{ "out", required_argument, NULL, 'o' },
	{ "state", required_argument, NULL, 'S' },
	ARGS_HELP,
	{},
};
static const struct option checkpoint_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "state", required_argument, NULL, 'S' },
	ARGS_HELP,
	{},
};

/* All witnessed checkpoints of years: one is about 250 bytes. */
enum { WITNESS_MAX_BYTES = 256 * 1024 * 1024 };

static int verify(struct trace *t, const char *name, struct err *e);
static int read_trust(struct trace *t, struct note_key *key,
    struct buf *witness, struct store_trust *out, struct err *e);
static int read_own(
    struct trace *t, struct buf *last, struct store_trust *out, struct err *e);
static void put_sound(struct buf *out, const struct trace *t, uint64_t run,
    const struct store_verdict *v);
static void put_removed(struct buf *out, uint64_t n, int64_t last_ns);
static void put_bundle(struct buf *out, const struct trace *t);
static void put_unsound(
    struct buf *out, const struct trace *t, const struct store_verdict *v);
static void put_json(
    struct buf *out, const struct trace *t, const struct store_verdict *v);
static int export_run(struct trace *t, const char *name, struct err *e);
static int export_to(struct trace *t, uint64_t run, const char *part, int fd,
    struct bundle_sums *sums, struct err *e);
static int checkpoint(struct trace *t, struct err *e);

int
cmd_trace_verify(int argc, char **argv)
{
	struct trace t = { .args.name = "trace verify" };
	const char *name = NULL;
	struct err e;
	int status;

	if (!trace_options(&t, argc, argv, verify_help, verify_options))
		return t.args.exit;
	status = args_need(&t.args, 0, 2, "RUN or FILE");
	if (status != 0)
		return status;
	if (args_count(&t.args) > 0)
		name = args_rest(&t.args)[0];
	if (name != NULL && trace_is_statement(name)) {
		status = trace_statement_verify(&t, name,
		    args_count(&t.args) > 1 ? args_rest(&t.args)[1] : NULL, &e);
		return status < 0 ? out_fail(&e) : status;
	}
	if (args_count(&t.args) > 1)
		return args_bad(&t.args,
		    "%s: a second file is for a statement of --format in-toto",
		    args_rest(&t.args)[1]);
	if (trace_open(&t, name, &e) < 0)
		return out_fail(&e);
	return trace_finish(&t, verify(&t, name, &e), &e);
}

int
cmd_trace_export(int argc, char **argv)
{
	struct trace t = { .args.name = "trace export", .args.shorts = ":ho:" };
	struct err e;
	int status;

	if (!trace_options(&t, argc, argv, export_help, export_options))
		return t.args.exit;
	status = args_need(&t.args, 1, 1, "RUN");
	if (status != 0)
		return status;
	if (t.out == NULL)
		return args_bad(&t.args, "-o FILE is missing");
	if (t.format != NULL && strcmp(t.format, "bundle") != 0 &&
	    strcmp(t.format, "jsonl") != 0 && strcmp(t.format, "otlp") != 0 &&
	    strcmp(t.format, "in-toto") != 0)
		return args_bad(&t.args,
		    "--format %s: must be bundle, jsonl, otlp or in-toto",
		    t.format);
	if (t.content && (t.format == NULL || strcmp(t.format, "otlp") != 0))
		return args_bad(&t.args, "--content is for --format otlp");
	if (trace_open(&t, args_rest(&t.args)[0], &e) < 0)
		return out_fail(&e);
	return trace_finish(&t, export_run(&t, args_rest(&t.args)[0], &e), &e);
}

int
cmd_trace_checkpoint(int argc, char **argv)
{
	struct trace t = { .args.name = "trace checkpoint" };
	struct err e;
	int status;

	if (!trace_options(&t, argc, argv, checkpoint_help, checkpoint_options))
		return t.args.exit;
	status = args_need(&t.args, 0, 0, "");
	if (status != 0)
		return status;
	if (trace_open(&t, NULL, &e) < 0)
		return out_fail(&e);
	return trace_finish(&t, checkpoint(&t, &e), &e);
}

static int
verify(struct trace *t, const char *name, struct err *e)
{
	own_buf struct buf out = {}, witness = {};
	struct store_trust trust = {};
	struct note_key key;
	struct store_verdict v;
	uint64_t run = 0;
	int status;

	if (t->is_bundle) {
		if (t->witness != NULL)
			return err_set(e,
			    "--witness is for a whole log: a file of one run "
			    "has one checkpoint, which is in it");
		v = t->verdict;
	} else {
		if (read_trust(t, &key, &witness, &trust, e) < 0 ||
		    (name != NULL && trace_find(t, name, &run, e) < 0) ||
		    store_verify(t->store, run, &trust, &v, e) < 0)
			return -1;
	}
	if (t->json)
		put_json(&out, t, &v);
	else if (v.fault != STORE_SOUND)
		put_unsound(&out, t, &v);
	else if (t->is_bundle)
		put_bundle(&out, t);
	else
		put_sound(&out, t, run, &v);
	status = out_write(&out);
	return status != EXIT_DONE || v.fault == STORE_SOUND ? status
							     : EXIT_FAILED;
}

static int
read_trust(struct trace *t, struct note_key *key, struct buf *witness,
    struct store_trust *out, struct err *e)
{
	if (t->key != NULL) {
		if (trace_key(t->key, key, e) < 0)
			return -1;
		out->key = key;
	}
	if (t->witness == NULL)
		return read_own(t, witness, out, e);
	witness->max = WITNESS_MAX_BYTES + 1;
	if (file_read(t->witness, witness, WITNESS_MAX_BYTES, e) < 0)
		return -1;
	/* Who copies a file while it grows may have part of the last one. */
	out->witness = told_whole(buf_str(witness));
	if (str_trim(out->witness).n == 0)
		return err_set(e, "%s holds no checkpoints", t->witness);
	return 0;
}

/*
 * Without a witness the last checkpoint that this machine has told of, read
 * before the database is: that then holds at least as much, unless it is an
 * older one.
 */
static int
read_own(
    struct trace *t, struct buf *last, struct store_trust *out, struct err *e)
{
	own_buf struct buf dir = {};

	if (state_store(t->state, &dir, e) < 0 ||
	    told_last(buf_c(&dir), last, e) < 0)
		return -1;
	out->witness = buf_str(last);
	out->seen_by = CHECKPOINTS_FILE;
	return 0;
}

int
trace_key(const char *text, struct note_key *out, struct err *e)
{
	own_buf struct buf file = {};
	struct str key = str_of(text);

	if (access(text, F_OK) == 0) {
		if (file_read(text, &file, NOTE_BYTES, e) < 0)
			return -1;
		key = buf_str(&file);
	}
	if (note_key_parse(key, out, e) < 0)
		return err_add(e, "--key %s", text);
	return 0;
}

static void
put_sound(struct buf *out, const struct trace *t, uint64_t run,
    const struct store_verdict *v)
{
	char id[ID_BYTES], head[HASH_HEX_BYTES];

	hash_hex(&v->head, head);
	term_put(&t->term, out, TERM_GREEN, STR("trace verified"));
	buf_printf(out, ": %" PRIu64 " records, ", v->records);
	if (run != 0) {
		id_text('r', run, id);
		buf_printf(out, "run %s whole", id);
	} else {
		buf_printf(
		    out, "%" PRIu64 " run%s", v->runs, v->runs == 1 ? "" : "s");
	}
	if (v->signed_size < v->records)
		buf_printf(
		    out, ", signed up to record %" PRIu64, v->signed_size);
	else
		buf_printf(out, ", %" PRIu64 " checkpoint%s", v->checkpoints,
		    v->checkpoints == 1 ? "" : "s");
	buf_printf(out, ", head %s\n", head);
	put_removed(out, v->removed, v->removed_ns);
}

/* What is gone by rule is no fault, and is said. */
static void
put_removed(struct buf *out, uint64_t n, int64_t last_ns)
{
	if (n == 0)
		return;
	buf_printf(out,
	    "%" PRIu64 " of what records refer to %s removed by retention, "
	    "the last at ",
	    n, n == 1 ? "was" : "were");
	out_time(out, last_ns);
	buf_add_c(out, " UTC\n");
}

static void
put_bundle(struct buf *out, const struct trace *t)
{
	const struct bundle *b = &t->bundle;
	own_buf struct buf key = {};
	char id[ID_BYTES];

	id_text('r', b->run, id);
	note_key_write(&key, &b->key);
	term_put(&t->term, out, TERM_GREEN, STR("trace verified"));
	buf_printf(out,
	    ": run %s %s, %" PRIu64 " records in a log of %" PRIu64
	    ", signed by\n%s\n",
	    id, b->sums.open ? "as far as it was signed" : "whole",
	    b->sums.records, b->size, buf_c(&key));
	if (b->sums.omitted > 0) {
		buf_printf(out,
		    "%" PRIu64 " of what its records refer to was no longer "
		    "there when it was written, first that of record %" PRIu64,
		    b->sums.omitted, b->sums.omitted_seq);
		if (b->sums.removed_ns != 0) {
			buf_add_c(out,
			    "; who wrote it says, and its log proves: removed "
			    "by retention at ");
			out_time(out, b->sums.removed_ns);
			buf_add_c(out, " UTC");
		}
		buf_add_byte(out, '\n');
	}
	if (t->key == NULL)
		buf_add_c(out,
		    "compare the key with the one that the log's owner "
		    "published, or give it with --key\n");
}

static void
put_unsound(
    struct buf *out, const struct trace *t, const struct store_verdict *v)
{
	char id[ID_BYTES];

	term_put(&t->term, out, TERM_RED, STR("trace is NOT sound"));
	buf_printf(out, ": record %" PRIu64, v->seq);
	if (v->run != 0) {
		id_text('r', v->run, id);
		buf_printf(out, " (run %s", id);
		if (v->step != 0)
			buf_printf(out, ", step %" PRIu32, v->step);
		buf_add_byte(out, ')');
	}
	buf_printf(out, ": %s: ", store_fault_name(v->fault));
	term_text(out, str_of(v->text));
	buf_add_byte(out, '\n');
}

static void
put_json(struct buf *out, const struct trace *t, const struct store_verdict *v)
{
	char id[ID_BYTES], head[HASH_HEX_BYTES];
	bool sound = v->fault == STORE_SOUND;

	hash_hex(&v->head, head);
	buf_printf(out, "{\"checkpoints\":%" PRIu64, v->checkpoints);
	if (!sound)
		buf_printf(
		    out, ",\"fault\":\"%s\"", store_fault_name(v->fault));
	buf_printf(out, ",\"head\":\"%s\"", head);
	if (t->is_bundle) {
		own_buf struct buf key = {};

		note_key_write(&key, &t->bundle.key);
		buf_add_c(out, ",\"key\":");
		json_put_str(out, buf_str(&key));
		buf_printf(out, ",\"omitted\":%" PRIu64 ",\"open\":%s",
		    t->bundle.sums.omitted,
		    t->bundle.sums.open ? "true" : "false");
	}
	buf_printf(out, ",\"records\":%" PRIu64, v->records);
	buf_printf(out, ",\"removed\":%" PRIu64, v->removed);
	if (v->run != 0) {
		id_text('r', v->run, id);
		buf_printf(out, ",\"run\":\"%s\"", id);
	}
	buf_printf(out, ",\"runs\":%" PRIu64, v->runs);
	if (!sound)
		buf_printf(out, ",\"seq\":%" PRIu64, v->seq);
	buf_printf(out, ",\"signed\":%" PRIu64 ",\"sound\":%s", v->signed_size,
	    sound ? "true" : "false");
	if (!sound) {
		if (v->step != 0)
			buf_printf(out, ",\"step\":%" PRIu32, v->step);
		buf_add_c(out, ",\"text\":");
		json_put_str(out, str_of(v->text));
	}
	buf_add_c(out, "}\n");
}

static int
export_run(struct trace *t, const char *name, struct err *e)
{
	own_buf struct buf part = {}, out = {};
	own_fd int fd = -1;
	struct bundle_sums sums = {};
	uint64_t run = 0;
	char id[ID_BYTES];

	if (trace_find(t, name, &run, e) < 0)
		return -1;
	if (t->is_bundle &&
	    (t->format == NULL || strcmp(t->format, "bundle") == 0))
		return err_set(e,
		    "%s is a bundle already: copy it, or name a --format",
		    name);
	if (access(t->out, F_OK) == 0)
		return err_set(e,
		    "%s is there already: name another file, or remove it",
		    t->out);
	buf_printf(&part, "%s.part", t->out);
	fd = open(buf_c(&part), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, "create %s", buf_c(&part));
	if (export_to(t, run, buf_c(&part), fd, &sums, e) < 0) {
		(void)unlink(buf_c(&part)); /* nothing half is left */
		return -1;
	}
	id_text('r', run, id);
	if (t->json) {
		buf_add_c(&out, "{\"file\":");
		json_put_str(&out, str_of(t->out));
		buf_printf(&out,
		    ",\"bytes\":%" PRIu64 ",\"blobs\":%" PRIu64
		    ",\"omitted\":%" PRIu64 ",\"open\":%s,\"records\":%" PRIu64
		    ",\"run\":\"%s\"}\n",
		    sums.bytes, sums.blobs, sums.omitted,
		    sums.open ? "true" : "false", sums.records, id);
		return out_write(&out);
	}
	buf_printf(&out, "%s: run %s, %" PRIu64 " records, %" PRIu64 " bytes\n",
	    t->out, id, sums.records, sums.bytes);
	if (sums.open)
		buf_add_c(&out,
		    "the run is still open: what comes later is "
		    "not in it\n");
	return out_write(&out);
}

static int
export_to(struct trace *t, uint64_t run, const char *part, int fd,
    struct bundle_sums *sums, struct err *e)
{
	struct trace_written written;
	int status;

	if (t->format == NULL || strcmp(t->format, "bundle") == 0)
		status = bundle_write(t->store, run, fd, sums, e);
	else if (strcmp(t->format, "jsonl") == 0)
		status = trace_jsonl(t, run, fd, &written, e);
	else if (strcmp(t->format, "in-toto") == 0)
		status = trace_intoto(t, fd, &written, e);
	else
		status = trace_otlp(t, run, t->content, fd, &written, e);
	if (status < 0)
		return -1;
	if (t->format != NULL && strcmp(t->format, "bundle") != 0)
		*sums = (struct bundle_sums){
			.records = written.records,
			.bytes = written.bytes,
			.open = written.open,
		};
	if (fsync(fd) < 0)
		return err_sys(e, "write %s", part);
	/* link(2) does not replace what came to be there meanwhile. */
	if (link(part, t->out) < 0)
		return err_sys(e, "create %s", t->out);
	return unlink(part) < 0 ? err_sys(e, "remove %s", part) : 0;
}

static int
checkpoint(struct trace *t, struct err *e)
{
	own_buf struct buf out = {}, key = {}, note = {};
	struct note_key k;
	uint64_t size = 0;

	if (store_key(t->store, &k, e) < 0 ||
	    store_checkpoint(t->store, &size, &note, e) < 0)
		return -1;
	note_key_write(&key, &k);
	if (t->json) {
		buf_add_c(&out, "{\"checkpoint\":");
		json_put_str(&out, buf_str(&note));
		buf_add_c(&out, ",\"key\":");
		json_put_str(&out, buf_str(&key));
		buf_printf(&out, ",\"size\":%" PRIu64 "}\n", size);
		return out_write(&out);
	}
	buf_printf(&out, "%s\n\n", buf_c(&key));
	buf_add_str(&out, buf_str(&note));
	if (size == 0)
		out_note("nothing was signed yet");
	return out_write(&out);
}
