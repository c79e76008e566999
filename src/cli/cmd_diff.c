/*
 * `paddock diff`: what a run has changed in its work folder, which the folder
 * itself does not show: the changes are in the sandbox's overlay.
 *
 * The sandbox lists what it sees, and that is compared with the folder here by
 * type, size, time and link: a file that was written has a time of its own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/diff_ended.h"
#include "cli/out.h"
#include "cli/remote.h"
#include "cli/term.h"
#include "cli/trace_cmd.h"
#include "core/id.h"
#include "sandbox/protect.h"
#include "sys/copy_out.h"
#include "sys/fd.h"

static const char help[] =
    "usage: paddock diff RUN [--dir DIR] [--json]\n"
    "       paddock diff RUN RUN [--limit N] [--json]\n"
    "\n"
    "What RUN has added (A), changed (M) and removed (D) in its work folder.\n"
    "A name that is protected is told as such: what other programs execute by\n"
    "themselves, and secrets, whose content a run does not see. What RUN\n"
    "mounts beside its work folder is named first, and not compared.\n"
    "Of a run that has ended: what it mounted, and the files in folders that\n"
    "it wrote for good that other programs execute and that are new or "
    "changed\n"
    "(planted). Its work folder's changes are gone, or written back.\n"
    "\n"
    "  --dir DIR           the folder to compare with, if it is not the one\n"
    "                      that the run was started with\n"
    "  --json              a line of JSON for each\n" CLIENT_HELP "\n"
    "With two runs: where what they asked, what was decided and what was\n"
    "answered part, as a tree; from the store, without a daemon.\n"
    "\n"
    "  --limit N           at most N steps that differ; 20 if not given\n"
    "\n"
    "Exit status: 0; 1 when it could not be told in full, or two runs differ;\n"
    "2 for wrong usage.\n"
    "\n"
    "example: paddock diff r-7k3m9q2v5w1x\n";

enum { DEPTH = COPY_MAX_DEPTH };

static const struct option options[] = {
	{ "dir", required_argument, NULL, 'd' },
	{ "json", no_argument, NULL, 'j' },
	{ "limit", required_argument, NULL, 'n' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

struct diff {
	int root; /* -1: an empty folder */
	bool json, cut;
	bool ended; /* records are all that is left of it */
	uint64_t n_planted, planted_told;
	char **names; /* that the sandbox has; sorted for the second look */
	size_t n, cap;
	struct buf out;
	struct protect_rule rules[PROTECT_RULES_MAX]; /* of the run's policy */
	struct protect protect;
	struct buf rule_text;
};

static int ask_run(struct diff *d, const struct client *c, const char *run,
    char **folder, struct err *e);
static int compare(struct diff *d, const struct client *c,
    const struct remote *r, const char *folder, struct err *e);
static void tell_planted(void *arg, struct str name);
static void take_rules(struct diff *d, const struct json *list);
static void tell_mounts(void *arg, const struct json *list);
static int look_inside(void *arg, const struct remote_entry *x, struct err *e);
static bool is_same(const struct diff *d, const char *name,
    const struct remote_entry *x, const struct stat *st);
static int look_here(struct diff *d, struct err *e);
static int look_at(struct diff *d, DIR *dir, struct buf *path, struct err *e);
static void tell(struct diff *d, char what, const char *name);
static const char *protected_as(const struct diff *d, const char *name);
static int by_name(const void *a, const void *b);

int
cmd_diff(int argc, char **argv)
{
	own_client struct client client = {};
	struct client_options where = {};
	struct diff d = { .root = -1 };
	struct remote r = { .path = "." };
	char *folder = NULL;
	const char *dir = NULL;
	uint64_t limit = 0;
	struct args a;
	struct err e = {};
	uint64_t id;
	int c, status;

	args_init(&a, argc, argv, help, options);
	while ((c = args_next(&a)) != ARGS_END) {
		switch (c) {
		case ARGS_STOP:
			return a.exit;
		case 'd':
			dir = optarg;
			break;
		case 'j':
			d.json = true;
			break;
		case 'n':
			if (str_to_u64(str_of(optarg), &limit) < 0 ||
			    limit == 0 || limit > UINT32_MAX)
				return args_bad(&a,
				    "--limit %s: not a number from 1 on",
				    optarg);
			break;
		default:
			(void)client_option(&where, c, optarg);
		}
	}
	status = args_need(&a, 1, 2, "RUN");
	if (status != 0)
		return status;
	if (args_count(&a) == 2 && dir != NULL)
		return args_bad(&a, "--dir is for one run");
	if (args_count(&a) == 1 && limit != 0)
		return args_bad(&a, "--limit is for two runs");
	if (args_count(&a) == 2)
		return trace_diff(
		    where.state, args_rest(&a), d.json, (uint32_t)limit);
	status = args_run(&a, args_rest(&a)[0]);
	if (status != 0)
		return status;
	(void)id_parse('r', str_of(args_rest(&a)[0]), &id);
	(void)str_copy(str_of(args_rest(&a)[0]), r.run, sizeof(r.run));
	status = client_init(&client, &where, &e);
	if (status == 0)
		status = ask_run(&d, &client, r.run, &folder, &e);
	if (status < 0 && where.url == NULL && client_down(&e)) {
		const struct diff_ended ended = { tell_planted, tell_mounts,
			&d };

		d.ended = true;
		status =
		    diff_ended_read(&ended, where.state, id, &d.n_planted, &e);
	}
	if (status == 0 && d.ended && dir != NULL)
		status = err_set(&e,
		    "--dir: the run has ended, and with it what it had written "
		    "in its work folder");
	if (status == 0 && !d.ended)
		status =
		    compare(&d, &client, &r, dir != NULL ? dir : folder, &e);
	if (status == 0)
		status = out_write(&d.out);
	else
		status = out_fail(&e);
	if (d.cut) {
		out_note("the folder holds more than one listing does: what "
			 "was removed is not known");
		status = EXIT_FAILED;
	}
	if (status == 0 && d.ended)
		out_note(
		    "the run has ended: what it changed in its work folder "
		    "is gone, but for what was written back");
	if (status == 0 && d.n_planted > d.planted_told) {
		out_note("%llu files were planted in all",
		    (unsigned long long)d.n_planted);
		status = EXIT_FAILED;
	}
	for (size_t i = 0; i < d.n; i++)
		free(d.names[i]);
	free(d.names);
	free(folder);
	buf_fini(&d.rule_text);
	buf_fini(&d.out);
	fd_fini(&d.root);
	return status;
}

/* folder: what it was started with, or NULL: then all that it has is new. */
static int
compare(struct diff *d, const struct client *c, const struct remote *r,
    const char *folder, struct err *e)
{
	if (folder != NULL) {
		d->root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (d->root < 0)
			return err_sys(e, "%s", folder);
	}
	if (remote_list(c, r, true, look_inside, d, &d->cut, e) < 0)
		return -1;
	return d->cut ? 0 : look_here(d, e);
}

/* The work folder that the run was opened with, or NULL, and its rules. */
static int
ask_run(struct diff *d, const struct client *c, const char *run, char **folder,
    struct err *e)
{
	own_reply struct client_reply reply = {};
	own_buf struct buf text = {};
	char target[64];
	const struct client_request q = {
		.method = "GET",
		.target = target,
	};
	struct str path;

	(void)snprintf(target, sizeof(target), "/v1/runs/%s", run);
	if (client_ask(c, &q, &reply, e) < 0)
		return -1;
	take_rules(d, json_get(reply.json, STR("protect")));
	tell_mounts(d, json_get(reply.json, STR("mounts")));
	if (json_get(reply.json, STR("closed_ms")) != NULL) {
		const struct diff_ended ended = { tell_planted, tell_mounts,
			d };

		d->ended = true;
		return diff_ended_ask(
		    &ended, c, run, reply.json, &d->n_planted, e);
	}
	path = json_str(json_get(reply.json, STR("workspace")));
	if (path.n == 0)
		return 0;
	buf_add_str(&text, path);
	*folder = strdup(buf_c(&text));
	must(*folder != NULL);
	return 0;
}

/* A letter of enum protect_rule_kind, and a pattern. */
static void
take_rules(struct diff *d, const struct json *list)
{
	size_t at = 0;

	for (const struct json *x = json_first(list); x != NULL;
	     x = json_next(list, x)) {
		buf_add_str(&d->rule_text, json_str(x));
		buf_add_byte(&d->rule_text, '\0');
	}
	while (at < d->rule_text.n && d->protect.n < PROTECT_RULES_MAX) {
		const char *rule = d->rule_text.p + at;

		if (rule[0] != '\0')
			d->rules[d->protect.n++] =
			    (struct protect_rule){ rule[0], rule + 1 };
		at += strlen(rule) + 1;
	}
	d->protect.rules = d->rules;
}

/* Folders that stand beside the work folder: what is in them is not compared.
 */
static void
tell_mounts(void *arg, const struct json *list)
{
	struct diff *d = arg;

	for (const struct json *x = json_first(list); x != NULL;
	     x = json_next(list, x)) {
		if (d->json) {
			buf_add_c(&d->out, "{\"mount\":");
			json_write(&d->out, x);
			buf_add_c(&d->out, "}\n");
			continue;
		}
		buf_add_c(&d->out, "mount ");
		term_text(&d->out, json_str(json_get(x, STR("to"))));
		buf_add_c(&d->out, " from ");
		term_text(&d->out, json_str(json_get(x, STR("from"))));
		buf_add_c(&d->out, ": ");
		term_text(&d->out, json_str(json_get(x, STR("mode"))));
		buf_add_byte(&d->out, '\n');
	}
}

/* In a folder that was written for good; why not all is known counts, too. */
static void
tell_planted(void *arg, struct str name)
{
	struct diff *d = arg;

	d->planted_told++;
	if (d->json) {
		buf_add_c(&d->out, "{\"planted\":");
		json_put_str(&d->out, name);
		buf_add_c(&d->out, "}\n");
		return;
	}
	buf_add_c(&d->out, "planted ");
	term_text(&d->out, name);
	buf_add_byte(&d->out, '\n');
}

static int
look_inside(void *arg, const struct remote_entry *x, struct err *e)
{
	struct diff *d = arg;
	own_buf struct buf name = {};
	struct stat st;

	buf_add_str(&name, buf_str(&x->name));
	if (copy_name_check(buf_str(&name), e) < 0)
		return err_add(e, "the sandbox's listing");
	if (d->n == d->cap) {
		d->cap = d->cap > 0 ? 2 * d->cap : 1024;
		d->names = realloc(d->names, d->cap * sizeof(*d->names));
		must(d->names != NULL);
	}
	d->names[d->n] = strdup(buf_c(&name));
	must(d->names[d->n] != NULL);
	d->n++;
	if (d->root < 0 ||
	    fstatat(d->root, buf_c(&name), &st, AT_SYMLINK_NOFOLLOW) < 0)
		tell(d, 'A', buf_c(&name));
	else if (!is_same(d, buf_c(&name), x, &st))
		tell(d, 'M', buf_c(&name));
	return d->out.failed ? err_set(e, "out of memory") : 0;
}

static bool
is_same(const struct diff *d, const char *name, const struct remote_entry *x,
    const struct stat *st)
{
	int64_t mtime_ns =
	    (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
	char target[4096];
	ssize_t n;

	if (S_ISDIR(st->st_mode)) /* its entries speak for themselves */
		return strcmp(x->type, "dir") == 0;
	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(d->root, name, target, sizeof(target));
		return strcmp(x->type, "symlink") == 0 && n >= 0 &&
		    str_eq(
			(struct str){ target, (size_t)n }, buf_str(&x->target));
	}
	if (!S_ISREG(st->st_mode))
		return strcmp(x->type, "file") != 0;
	return strcmp(x->type, "file") == 0 &&
	    (uint64_t)st->st_size == x->size && mtime_ns == x->mtime_ns &&
	    (st->st_mode & 0777) == x->mode;
}

/* What is here and not there was removed. */
static int
look_here(struct diff *d, struct err *e)
{
	own_buf struct buf path = {};
	int fd;
	DIR *dir;
	int r;

	if (d->root < 0)
		return 0;
	if (d->n > 0)
		qsort(d->names, d->n, sizeof(*d->names), by_name);
	fd = fcntl(d->root, F_DUPFD_CLOEXEC, 0);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		fd_fini(&fd);
		return err_sys(e, "read the work folder");
	}
	r = look_at(d, dir, &path, e);
	return r;
}

/* Folder by folder, with a stack of those that are open. Closes dir. */
static int
look_at(struct diff *d, DIR *dir, struct buf *path, struct err *e)
{
	struct {
		DIR *dir;
		size_t path; /* bytes of it */
	} stack[DEPTH] = { { dir, 0 } };
	int depth = 1, r = 0;

	while (depth > 0) {
		DIR *at = stack[depth - 1].dir;
		const struct dirent *x = readdir(at);
		const char *name;
		struct stat st;

		path->n = stack[depth - 1].path;
		if (x == NULL) {
			(void)closedir(at); /* read only: nothing to lose */
			depth--;
			continue;
		}
		if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0)
			continue;
		if (path->n > 0)
			buf_add_byte(path, '/');
		buf_add_c(path, x->d_name);
		name = buf_c(path);
		if (d->n == 0 ||
		    bsearch(&name, d->names, d->n, sizeof(*d->names),
			by_name) == NULL) {
			tell(d, 'D', name);
			continue; /* with all below */
		}
		if (fstatat(dirfd(at), x->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
			0 &&
		    S_ISDIR(st.st_mode)) {
			int fd = openat(dirfd(at), x->d_name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			DIR *below =
			    fd >= 0 && depth < DEPTH ? fdopendir(fd) : NULL;

			if (below == NULL) {
				fd_fini(&fd);
				r = err_set(e, "cannot look into %s", name);
				break;
			}
			stack[depth].dir = below;
			stack[depth++].path = path->n;
		}
	}
	while (depth > 0)
		(void)closedir(stack[--depth].dir); /* as above */
	return r;
}

static void
tell(struct diff *d, char what, const char *name)
{
	const char *as = protected_as(d, name);

	if (d->json) {
		buf_add_c(&d->out, "{\"change\":\"");
		buf_add_c(&d->out,
		    what == 'A'	      ? "added"
			: what == 'M' ? "changed"
				      : "removed");
		buf_add_c(&d->out, "\",\"name\":");
		json_put_str(&d->out, str_of(name));
		if (as != NULL)
			buf_printf(&d->out, ",\"protected\":\"%s\"", as);
		buf_add_c(&d->out, "}\n");
		return;
	}
	buf_printf(&d->out, "%c ", what);
	term_text(&d->out, str_of(name));
	if (as != NULL)
		buf_printf(&d->out, "  (protected: %s)", as);
	buf_add_byte(&d->out, '\n');
}

static const char *
protected_as(const struct diff *d, const char *name)
{
	switch (protect_path(&d->protect, str_of(name))) {
	case PROTECT_FREE:
		return NULL;
	case PROTECT_SECRET:
		return "secret";
	case PROTECT_RUN_BY_OTHERS:
		return "run by others";
	}
	return NULL;
}

static int
by_name(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}
