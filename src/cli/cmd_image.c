#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/state.h"
#include "cli/term.h"
#include "codec/json.h"
#include "core/suggest.h"
#include "image/digest.h"
#include "image/images.h"
#include "image/import.h"

static const char image_help[] =
    "usage: paddock image import SOURCE | pull REF | ls | rm IMAGE...\n"
    "\n"
    "Images: the files that a sandbox can have as its root directory.\n"
    "\n"
    "  import SOURCE       from a directory, an OCI layout or docker save\n"
    "  pull REF            from a registry, by the program skopeo\n"
    "  ls                  the images that are there\n"
    "  rm IMAGE...         remove names, and images with their last name\n"
    "\n"
    "example: paddock image import ./rootfs --name base:1\n";

static const char import_help[] =
    "usage: paddock image import SOURCE [--name NAME[:TAG]]\n"
    "\n"
    "Makes an image of SOURCE: a directory of files, an OCI image layout (a\n"
    "directory or its tar), or what `docker save` writes. What it is, is told\n"
    "by its content. Nothing is left of an import that fails.\n"
    "\n"
    "  --name NAME[:TAG]   what it is called; else as its maker called it\n"
    "  --json              the result as JSON\n"
    "  --state DIR         where paddock keeps its state\n"
    "\n"
    "example: docker save app:1 -o app.tar && paddock image import app.tar\n";

static const char pull_help[] =
    "usage: paddock image pull REF [--name NAME[:TAG]]\n"
    "\n"
    "Fetches REF from its registry with the program skopeo, and imports it.\n"
    "\n"
    "  --name NAME[:TAG]   what it is called; REF if not given\n"
    "  --json              the result as JSON\n"
    "  --state DIR         where paddock keeps its state\n"
    "\n"
    "example: paddock image pull debian:12\n";

static const char ls_help[] = "usage: paddock image ls [--json]\n"
			      "\n"
			      "Lists the images that are there.\n"
			      "\n"
			      "  --json              as JSON, one name a line\n"
			      "  --state DIR         where paddock keeps its "
			      "state\n"
			      "\n"
			      "example: paddock image ls\n";

static const char rm_help[] =
    "usage: paddock image rm IMAGE...\n"
    "\n"
    "Removes a name, and with its last name the image; by digest, or by 12 or\n"
    "more digits of it, the image with all its names. An image that a run\n"
    "uses stays.\n"
    "\n"
    "  --state DIR         where paddock keeps its state\n"
    "\n"
    "example: paddock image rm base:1\n";

static const struct option import_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "name", required_argument, NULL, 'n' },
	{ "state", required_argument, NULL, 'S' },
	ARGS_HELP,
	{},
};
static const struct option ls_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "state", required_argument, NULL, 'S' },
	ARGS_HELP,
	{},
};
static const struct option rm_options[] = {
	{ "state", required_argument, NULL, 'S' },
	ARGS_HELP,
	{},
};

/* What the options say. */
struct image_args {
	bool json;
	const char *name, *state;
	struct args args;
	struct buf state_dir; /* own */
};

struct meter {
	bool terminal, shown;
	int64_t start_ns, last_ns;
};

struct listing {
	const struct images *store;
	struct images_index names;
	bool json;
	struct term_table table;
	struct buf out;
};

static int cmd_import(int argc, char **argv);
static int cmd_pull(int argc, char **argv);
static int cmd_ls(int argc, char **argv);
static int cmd_rm(int argc, char **argv);
static int bring(int argc, char **argv, const char *name, const char *help,
    int (*image)(const struct import *, struct imported *, struct err *));
static int options_of(struct image_args *a, int argc, char **argv,
    const char *name, const char *help, const struct option *table);
static void on_progress(
    void *arg, const char *what, uint64_t done, uint64_t total);
static void put_imported(struct buf *b, const struct imported *d, bool json);
static void put_dropped(struct buf *b, const struct untar_count *c);
static void put_size(struct buf *b, uint64_t bytes);
static int list(struct listing *l, struct err *e);
static int on_image(void *arg, const struct hash *digest, struct err *e);
static void put_row(struct listing *l, const struct image *i, const char *name);

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} subcommands[] = {
	{ "import", cmd_import },
	{ "pull", cmd_pull },
	{ "ls", cmd_ls },
	{ "rm", cmd_rm },
};
enum { N_SUBCOMMANDS = sizeof(subcommands) / sizeof(subcommands[0]) };

int
image_main(int argc, char **argv)
{
	static const struct option none[] = { ARGS_HELP, {} };
	struct suggest near;
	struct args a;
	int c;

	for (size_t i = 0; argc > 1 && i < N_SUBCOMMANDS; i++)
		if (strcmp(argv[1], subcommands[i].name) == 0)
			return subcommands[i].run(argc - 1, argv + 1);
	args_init(&a, argc, argv, image_help, none);
	while ((c = args_next(&a)) != ARGS_END)
		if (c == ARGS_STOP)
			return a.exit;
	if (args_count(&a) == 0)
		return args_bad(&a, "import, pull, ls or rm is missing");
	near = suggest_for(str_of(args_rest(&a)[0]));
	for (size_t i = 0; i < N_SUBCOMMANDS; i++)
		suggest_try(&near, str_of(subcommands[i].name));
	if (near.best.n > 0)
		return args_bad(&a, "unknown subcommand %s; did you mean %.*s?",
		    args_rest(&a)[0], STR_FMT(near.best));
	return args_bad(&a,
	    "unknown subcommand %s; there are import, pull, ls, rm",
	    args_rest(&a)[0]);
}

static int
cmd_import(int argc, char **argv)
{
	return bring(argc, argv, "image import", import_help, image_import);
}

static int
cmd_pull(int argc, char **argv)
{
	return bring(argc, argv, "image pull", pull_help, image_pull);
}

static int
cmd_ls(int argc, char **argv)
{
	own_images struct images store = { -1, -1 };
	struct listing l = { .store = &store };
	struct image_args a = {};
	struct err e;
	int status =
	    options_of(&a, argc, argv, "image ls", ls_help, ls_options);

	if (status == ARGS_END && args_need(&a.args, 0, 0, "") != 0)
		status = EXIT_USAGE;
	if (status == ARGS_END) {
		l.json = a.json;
		if (images_open(&store, buf_c(&a.state_dir), &e) < 0 ||
		    list(&l, &e) < 0)
			status = out_fail(&e);
		else
			status = out_write(&l.out);
	}
	images_index_fini(&l.names);
	term_table_fini(&l.table);
	buf_fini(&l.out);
	buf_fini(&a.state_dir);
	return status;
}

static int
cmd_rm(int argc, char **argv)
{
	own_images struct images store = { -1, -1 };
	own_buf struct buf out = {};
	struct image_args a = {};
	char text[DIGEST_TEXT_BYTES];
	struct err e;
	int status =
	    options_of(&a, argc, argv, "image rm", rm_help, rm_options);

	/* Told what it is for, or what is wrong with it. */
	if (status != ARGS_END ||
	    args_need(&a.args, 1, ARGS_MANY, "IMAGE") != 0) {
		buf_fini(&a.state_dir);
		return status == ARGS_END ? EXIT_USAGE : status;
	}
	status = EXIT_DONE;
	if (images_change(&store, buf_c(&a.state_dir), NULL, NULL, &e) < 0)
		status = out_fail(&e);
	for (int i = 0; status == EXIT_DONE && i < args_count(&a.args); i++) {
		struct hash digest;
		bool gone;

		if (images_remove(&store, str_of(args_rest(&a.args)[i]),
			&digest, &gone, &e) < 0) {
			status = out_fail(&e);
			break;
		}
		digest_text(&digest, text);
		buf_printf(&out, "%s %s\n",
		    gone ? "removed" : "removed the name of", text);
	}
	/* What was removed before one failed is said, too. */
	if (out.n > 0 && out_write(&out) != EXIT_DONE)
		status = EXIT_FAILED;
	buf_fini(&a.state_dir);
	return status;
}

static int
bring(int argc, char **argv, const char *name, const char *help,
    int (*image)(const struct import *, struct imported *, struct err *))
{
	struct meter m = { .terminal = isatty(STDERR_FILENO) };
	own_buf struct buf out = {};
	struct image_args a = {};
	struct imported done;
	struct import in;
	struct err e;
	int status = options_of(&a, argc, argv, name, help, import_options);
	int r;

	if (status != ARGS_END ||
	    args_need(&a.args, 1, 1, image == image_pull ? "REF" : "SOURCE") !=
		0) {
		buf_fini(&a.state_dir);
		return status == ARGS_END ? EXIT_USAGE : status;
	}
	m.start_ns = clock_mono_ns();
	in = (struct import){
		.state_dir = buf_c(&a.state_dir),
		.source = args_rest(&a.args)[0],
		.name = a.name,
		.now_utc_ns = clock_utc_ns(),
		.progress = on_progress,
		.arg = &m,
	};
	if (image == image_pull && in.name == NULL)
		in.name = in.source;
	r = image(&in, &done, &e);
	if (m.shown)
		(void)fputs("\r\033[K", stderr); /* the line is only for show */
	if (r == 0) {
		put_imported(&out, &done, a.json);
		status = out_write(&out);
	} else {
		status = out_fail(&e);
	}
	buf_fini(&a.state_dir);
	return status;
}

/* ARGS_END to go on, else the exit status. */
static int
options_of(struct image_args *a, int argc, char **argv, const char *name,
    const char *help, const struct option *table)
{
	struct err e;
	int c;

	args_init(&a->args, argc, argv, help, table);
	a->args.name = name;
	while ((c = args_next(&a->args)) != ARGS_END) {
		switch (c) {
		case ARGS_STOP:
			return a->args.exit;
		case 'j':
			a->json = true;
			break;
		case 'n':
			a->name = optarg;
			break;
		case 'S':
			a->state = optarg;
			break;
		}
	}
	if (state_dir(a->state, &a->state_dir, &e) < 0)
		return out_fail(&e);
	return ARGS_END;
}

/* One line that changes, once it has taken a second. */
static void
on_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
	struct meter *m = arg;
	int64_t now = clock_mono_ns();

	if (total == 0 && done == 0) {
		out_note("%s", what);
		return;
	}
	if (!m->terminal || now - m->start_ns < IMAGE_PROGRESS_MS * 1000000LL ||
	    now - m->last_ns < IMAGE_PROGRESS_MS * 1000000LL / 5)
		return;
	m->last_ns = now;
	m->shown = true;
	if (total > 0)
		(void)fprintf(stderr, "\r\033[K%s: %" PRIu64 " %%", what,
		    done * 100 / total);
	else
		(void)fprintf(
		    stderr, "\r\033[K%s: %" PRIu64 " MiB", what, done >> 20);
	(void)fflush(stderr); /* only for show */
}

static void
put_imported(struct buf *b, const struct imported *d, bool json)
{
	const struct untar_count *c = &d->count;
	uint64_t files = c->files + c->dirs + c->links;
	char text[DIGEST_TEXT_BYTES];

	digest_text(&d->digest, text);
	if (json) {
		buf_printf(b,
		    "{\"name\":\"%s\",\"digest\":\"%s\",\"form\":\"%s\","
		    "\"was_there\":%s,\"files\":%" PRIu64 ",\"bytes\":%" PRIu64
		    ",\"special\":%" PRIu64 ",\"setid\":%" PRIu64
		    ",\"capabilities\":%" PRIu64 ",\"attributes\":%" PRIu64
		    ",\"mounts\":%" PRIu64 "}\n",
		    d->name, text, d->form, d->was_there ? "true" : "false",
		    files, c->bytes, c->special, c->setid, c->caps, c->xattrs,
		    c->mounts);
		return;
	}
	buf_printf(b, "%s %s", d->name, text);
	if (d->was_there) {
		buf_add_c(b, ", was there already\n");
		return;
	}
	buf_printf(b, ", %" PRIu64 " files, ", files);
	put_size(b, c->bytes);
	put_dropped(b, c);
	buf_add_byte(b, '\n');
}

/* What is not as it was in the source, and why. */
static void
put_dropped(struct buf *b, const struct untar_count *c)
{
	const struct {
		uint64_t n;
		const char *what;
	} rows[] = {
		{ c->special, "devices, FIFOs or sockets left out" },
		{ c->mounts, "other file systems left out" },
		{ c->setid, "setuid or setgid bits removed" },
		{ c->caps, "file capabilities removed" },
		{ c->xattrs, "files without their extended attributes" },
	};
	const char *before = "; ";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].n == 0)
			continue;
		buf_printf(
		    b, "%s%" PRIu64 " %s", before, rows[i].n, rows[i].what);
		before = ", ";
	}
}

static void
put_size(struct buf *b, uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB",
		"TiB" };
	double size = (double)bytes;
	size_t u = 0;

	while (size >= 1024 && u < 4) {
		size /= 1024;
		u++;
	}
	buf_printf(b, u == 0 ? "%.0f %s" : "%.1f %s", size, units[u]);
}

static int
list(struct listing *l, struct err *e)
{
	const struct term_cell head[] = {
		{ STR("NAME"), TERM_DIM, false },
		{ STR("DIGEST"), TERM_DIM, false },
		{ STR("FORM"), TERM_DIM, false },
		{ STR("FILES"), TERM_DIM, true },
		{ STR("SIZE"), TERM_DIM, true },
		{ STR("IMPORTED"), TERM_DIM, false },
	};
	struct term t;

	if (images_index_read(l->store, &l->names, e) < 0)
		return -1;
	term_row(&l->table, head, sizeof(head) / sizeof(head[0]));
	if (images_each(l->store, on_image, l, e) < 0)
		return -1;
	if (l->json)
		return 0;
	term_init(&t, STDOUT_FILENO);
	return term_table_write(&t, &l->table, &l->out, e);
}

/* A row a name; an image without one still takes room. */
static int
on_image(void *arg, const struct hash *digest, struct err *e)
{
	struct listing *l = arg;
	own_image struct image i = {};
	bool named = false;

	if (images_get(l->store, digest, &i, e) < 0) {
		/* One that is damaged does not hide the others. */
		out_note("%s", e->text);
		return 0;
	}
	for (size_t n = 0; n < l->names.n; n++) {
		if (!hash_eq(&l->names.names[n].digest, digest))
			continue;
		named = true;
		put_row(l, &i, l->names.names[n].name);
	}
	if (!named)
		put_row(l, &i, NULL);
	return 0;
}

static void
put_row(struct listing *l, const struct image *i, const char *name)
{
	own_buf struct buf files = {}, size = {}, time = {};
	char text[DIGEST_TEXT_BYTES];

	digest_text(&i->digest, text);
	if (l->json) {
		buf_add_c(&l->out, "{\"name\":");
		if (name == NULL)
			buf_add_c(&l->out, "null");
		else
			json_put_str(&l->out, str_of(name));
		buf_printf(&l->out, ",\"digest\":\"%s\",\"form\":", text);
		json_put_str(&l->out, str_of(i->is.form));
		buf_printf(&l->out,
		    ",\"files\":%" PRIu64 ",\"bytes\":%" PRIu64
		    ",\"created_ms\":%" PRId64 ",\"config\":",
		    i->is.files, i->is.bytes, i->is.created_utc_ns / 1000000);
		image_config_write(&i->is.config, &l->out);
		buf_add_c(&l->out, "}\n");
		return;
	}
	buf_add_u64(&files, i->is.files);
	put_size(&size, i->is.bytes);
	out_time(&time, i->is.created_utc_ns);
	term_row(&l->table,
	    (const struct term_cell[]){
		{ name == NULL ? STR("-") : str_of(name), TERM_BOLD, false },
		/* As many digits as `image rm` needs. */
		{ { text, sizeof("sha256:") - 1 + 12 }, TERM_PLAIN, false },
		{ str_of(i->is.form), TERM_PLAIN, false },
		{ buf_str(&files), TERM_PLAIN, true },
		{ buf_str(&size), TERM_PLAIN, true },
		{ buf_str(&time), TERM_PLAIN, false },
	    },
	    6);
}
