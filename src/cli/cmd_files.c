/*
 * `paddock files`: files of a run's sandbox, from outside.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/copy_in.h"
#include "cli/out.h"
#include "cli/remote.h"
#include "cli/term.h"
#include "sys/copy_out.h"
#include "sys/fd.h"

static const char help[] =
    "usage: paddock files get RUN:PATH [LOCAL] [--recursive]\n"
    "       paddock files put LOCAL RUN:PATH [--recursive]\n"
    "       paddock files ls RUN:PATH [--recursive] [--json]\n"
    "       paddock files watch RUN:PATH [--json]\n"
    "       paddock files rm RUN:PATH [--recursive]\n"
    "\n"
    "Files of a run's sandbox, as the sandbox sees them; relative paths begin\n"
    "at its work folder. `get` of a folder takes regular files and folders\n"
    "into LOCAL, and nothing outside it is ever written, whatever the sandbox\n"
    "does meanwhile. `put` of a folder brings regular files and folders into\n"
    "PATH and follows no link. LOCAL \"-\" is standard output or input.\n"
    "\n"
    "  -r, --recursive     with all below\n"
    "  --max MIB           move at most so much in all (1024)\n"
    "  --json              a line of JSON for each\n" CLIENT_HELP "\n"
    "Exit status: 0; 1 when something could not be done; 2 for wrong usage.\n"
    "\n"
    "examples: paddock files get r-7k3m9q2v5w1x:report.md .\n"
    "          paddock files put -r src r-7k3m9q2v5w1x:src\n"
    "          paddock files watch r-7k3m9q2v5w1x:out --json\n";

enum {
	ANSWER_MS = 120 * 1000,
	CHUNK_BYTES = 64 * 1024,
	FIRST_MAX_MIB = 1024,
	MAX_MIB = 1024 * 1024,
};

static const struct option options[] = {
	{ "recursive", no_argument, NULL, 'r' },
	{ "max", required_argument, NULL, 'm' },
	{ "json", no_argument, NULL, 'j' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

struct files {
	struct client client;
	bool recursive, json;
	uint64_t left_bytes; /* that may still be taken */
	struct remote remote; /* what the command names */
	int root; /* of what is taken; or -1 */
	unsigned taken, skipped;
	struct buf line;
};

static int get(struct files *f, const char *local, struct err *e);
static int get_tree(struct files *f, const char *local, struct err *e);
static int get_entry(void *arg, const struct remote_entry *x, struct err *e);
static int get_file(struct files *f, struct str path, struct str name,
    uint64_t mode, struct err *e);
static int fetch(
    struct files *f, struct str path, struct copy *to, struct err *e);
static int put(struct files *f, const char *local, struct err *e);
static int put_tree(struct files *f, const char *local, struct err *e);
static int put_folder(void *arg, struct str name, struct err *e);
static int put_entry(
    void *arg, struct str name, int fd, const struct stat *st, struct err *e);
static void put_other(void *arg, struct str name, const char *why);
static void put_path(const struct files *f, struct str name, struct buf *path);
static int put_file(struct files *f, int fd, const struct stat *st,
    struct str path, struct err *e);
static int list(struct files *f, struct err *e);
static int list_entry(void *arg, const struct remote_entry *x, struct err *e);
static int watch(struct files *f, struct err *e);
static int watch_event(
    struct files *f, const struct sse_event *ev, struct err *e);
static int rm(struct files *f, struct err *e);
static void skip(struct files *f, struct str name, const char *why);
static const char *last_part(const char *path);

int
cmd_files(int argc, char **argv)
{
	struct files f = {
		.left_bytes = (uint64_t)FIRST_MAX_MIB << 20,
		.root = -1,
	};
	struct client_options where = {};
	const char *what, *local = NULL, *named;
	char *const *rest;
	struct args a;
	struct err e = {};
	uint64_t mib;
	int c, n, status;

	args_init(&a, argc, argv, help, options);
	a.shorts = ":hr";
	while ((c = args_next(&a)) != ARGS_END) {
		switch (c) {
		case ARGS_STOP:
			return a.exit;
		case 'r':
			f.recursive = true;
			break;
		case 'm':
			if (str_to_u64(str_of(optarg), &mib) < 0 || mib < 1 ||
			    mib > MAX_MIB)
				return args_bad(
				    &a, "--max is from 1 to %d MiB", MAX_MIB);
			f.left_bytes = mib << 20;
			break;
		case 'j':
			f.json = true;
			break;
		default:
			(void)client_option(&where, c, optarg);
		}
	}
	status = args_need(&a, 2, 3, "get, put, ls, watch or rm, and RUN:PATH");
	if (status != 0)
		return status;
	rest = args_rest(&a);
	n = args_count(&a);
	what = rest[0];
	if (strcmp(what, "put") == 0 && n == 3) {
		local = rest[1];
		named = rest[2];
	} else if (strcmp(what, "get") == 0) {
		named = rest[1];
		local = n == 3 ? rest[2] : ".";
	} else if (n == 2 &&
	    (strcmp(what, "ls") == 0 || strcmp(what, "watch") == 0 ||
		strcmp(what, "rm") == 0)) {
		named = rest[1];
	} else {
		return args_bad(&a, "%s: not what files can do", what);
	}
	if (!remote_parse(named, &f.remote))
		return args_bad(&a, "%s is not RUN:PATH", named);
	if (client_init(&f.client, &where, &e) < 0) {
		client_fini(&f.client);
		return out_fail(&e);
	}
	if (strcmp(what, "get") == 0)
		status = get(&f, local, &e);
	else if (strcmp(what, "put") == 0)
		status = put(&f, local, &e);
	else if (strcmp(what, "ls") == 0)
		status = list(&f, &e);
	else if (strcmp(what, "watch") == 0)
		status = watch(&f, &e);
	else
		status = rm(&f, &e);
	client_fini(&f.client);
	fd_fini(&f.root);
	buf_fini(&f.line);
	if (status < 0)
		return out_fail(&e);
	return f.skipped > 0 ? EXIT_FAILED : status;
}

/* A file, or with -r a folder. */
static int
get(struct files *f, const char *local, struct err *e)
{
	struct remote_entry x = {};
	struct copy out = { .dir = -1, .fd = -1 };
	struct str name = str_of(last_part(f->remote.path));
	struct stat st;
	bool folder;

	must(local != NULL); /* the usage asks for it */
	if (strcmp(local, "-") == 0)
		return fetch(f, str_of(f->remote.path), &out, e);
	if (remote_stat(&f->client, &f->remote, &x, e) < 0) {
		remote_entry_fini(&x);
		return err_add(e, "%s", f->remote.path);
	}
	folder = strcmp(x.type, "dir") == 0;
	remote_entry_fini(&x);
	if (folder && f->recursive)
		return get_tree(f, local, e);
	if (folder)
		return err_set(
		    e, "%s is a folder: -r takes all below it", f->remote.path);

	/* LOCAL is a folder, or the new name in one. */
	if (stat(local, &st) == 0 && S_ISDIR(st.st_mode)) {
		f->root = open(local, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} else {
		own_buf struct buf dir = {};
		struct str path = str_of(local);
		struct str last = str_of(last_part(local));

		path.n -= last.n;
		buf_add_str(&dir, path.n > 0 ? path : STR("."));
		f->root = open(buf_c(&dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		name = last;
	}
	if (f->root < 0)
		return err_sys(e, "%s", local);
	return get_file(f, str_of(f->remote.path), name, x.mode, e);
}

static int
get_tree(struct files *f, const char *local, struct err *e)
{
	own_buf struct buf line = {};
	bool cut;

	if (mkdir(local, 0755) < 0 && errno != EEXIST)
		return err_sys(e, "make the folder %s", local);
	f->root = open(local, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->root < 0)
		return err_sys(e, "%s", local);
	if (remote_list(&f->client, &f->remote, true, get_entry, f, &cut, e) <
	    0)
		return -1;
	if (cut) {
		out_note("the folder holds more than one listing does");
		f->skipped++;
	}
	buf_printf(&line, "%u files, %u left out\n", f->taken, f->skipped);
	return out_write(&line);
}

static int
get_entry(void *arg, const struct remote_entry *x, struct err *e)
{
	struct files *f = arg;
	struct str name = buf_str(&x->name);
	own_buf struct buf path = {};
	struct err why = {};

	(void)e;
	buf_add_c(&path, f->remote.path);
	buf_add_byte(&path, '/');
	buf_add_str(&path, name);
	/* Three ways to be left out, each where it shows. */
	if (copy_name_check(name, &why) < 0)
		skip(f, name, why.text); /* NOLINT */
	else if (strcmp(x->type, "dir") == 0) {
		if (copy_mkdir(f->root, name, &why) < 0)
			skip(f, name, why.text);
	} else if (strcmp(x->type, "file") != 0)
		skip(f, name, x->type);
	else if (get_file(f, buf_str(&path), name, x->mode, &why) < 0)
		skip(f, name, why.text);
	else
		f->taken++;
	return 0;
}

static int
get_file(struct files *f, struct str path, struct str name, uint64_t mode,
    struct err *e)
{
	own_copy struct copy to = { .dir = -1, .fd = -1 };

	if (copy_begin(&to, f->root, name, e) < 0 || fetch(f, path, &to, e) < 0)
		return -1;
	return copy_finish(&to, (mode_t)(mode & 0777), e);
}

/* Without a file of its own, to standard output. */
static int
fetch(struct files *f, struct str path, struct copy *to, struct err *e)
{
	own_conn struct client_conn conn = { .fd = -1 };
	own_reply struct client_reply reply = {};
	own_buf struct buf target = {}, bytes = {};
	int got;

	remote_target(&target, &f->remote, "", path);
	const struct client_request q = {
		.method = "GET",
		.target = buf_c(&target),
		.accept = "application/octet-stream",
	};

	if (client_send(&f->client, &q, &conn, e) < 0 ||
	    client_head(&conn, ANSWER_MS, &reply, e) < 0)
		return -1;
	while ((got = client_body(&conn, ANSWER_MS, &bytes, e)) > 0) {
		if (bytes.n > f->left_bytes)
			return err_set(e, "over the limit of --max");
		f->left_bytes -= bytes.n;
		got = to->fd >= 0
		    ? copy_write(to, bytes.p, bytes.n, e)
		    : fd_write_all(STDOUT_FILENO, bytes.p, bytes.n, e);
		if (got < 0)
			break;
		buf_reset(&bytes);
	}
	return got;
}

/* A file, or with -r a folder. */
static int
put(struct files *f, const char *local, struct err *e)
{
	own_buf struct buf path = {};
	own_fd int fd = -1;
	struct str to = str_of(f->remote.path);
	const bool input = local != NULL && strcmp(local, "-") == 0;
	struct stat st;

	must(local != NULL); /* the usage asks for it */
	fd = input ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
		   : open(local, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, "%s", local);
	if (!input && S_ISDIR(st.st_mode) && f->recursive)
		return put_tree(f, local, e);
	if (!input && S_ISDIR(st.st_mode))
		return err_set(
		    e, "%s is a folder: -r puts all below it", local);
	if (!input && !S_ISREG(st.st_mode))
		return err_set(e, "%s is no regular file", local);
	buf_add_str(&path, to);
	if (str_ends(to, STR("/")) || str_eq(to, STR(".")))
		buf_printf(&path, "%s%s", str_ends(to, STR("/")) ? "" : "/",
		    last_part(local));
	if (put_file(f, fd, &st, buf_str(&path), e) < 0)
		return err_add(e, "%s", local);
	return 0;
}

static int
put_tree(struct files *f, const char *local, struct err *e)
{
	const struct copy_in to = { f, put_folder, put_entry, put_other };
	own_buf struct buf line = {};

	if (put_folder(f, STR(""), e) < 0 || copy_in_walk(local, &to, e) < 0)
		return -1;
	buf_printf(&line, "%u files, %u left out\n", f->taken, f->skipped);
	return out_write(&line);
}

/* The name below the folder that is put; empty: that one. */
static void
put_path(const struct files *f, struct str name, struct buf *path)
{
	buf_add_c(path, f->remote.path);
	if (name.n > 0 && !str_ends(buf_str(path), STR("/")))
		buf_add_byte(path, '/');
	buf_add_str(path, name);
}

static int
put_folder(void *arg, struct str name, struct err *e)
{
	own_reply struct client_reply reply = {};
	own_buf struct buf target = {}, path = {};
	struct files *f = arg;

	put_path(f, name, &path);
	remote_target(&target, &f->remote, "/mkdir", buf_str(&path));
	buf_add_c(&target, "&parents=true");
	const struct client_request q = {
		.method = "POST",
		.target = buf_c(&target),
	};

	if (client_ask(&f->client, &q, &reply, e) < 0)
		return err_add(e, "make %s", buf_c(&path));
	return 0;
}

static int
put_entry(
    void *arg, struct str name, int fd, const struct stat *st, struct err *e)
{
	own_buf struct buf path = {};
	struct files *f = arg;
	struct err why = {};

	(void)e;
	put_path(f, name, &path);
	if (put_file(f, fd, st, buf_str(&path), &why) < 0)
		skip(f, name, why.text);
	else
		f->taken++;
	return 0;
}

static void
put_other(void *arg, struct str name, const char *why)
{
	skip(arg, name, why);
}

static int
put_file(struct files *f, int fd, const struct stat *st, struct str path,
    struct err *e)
{
	own_conn struct client_conn conn = { .fd = -1 };
	own_reply struct client_reply reply = {};
	own_buf struct buf target = {};
	char bytes[CHUNK_BYTES];
	ssize_t n;

	remote_target(&target, &f->remote, "", path);
	if (S_ISREG(st->st_mode))
		buf_printf(&target, "&mode=%u", st->st_mode & 0777);
	const struct client_request q = {
		.method = "PUT",
		.target = buf_c(&target),
		.chunks = true,
	};

	if (client_send(&f->client, &q, &conn, e) < 0)
		return -1;
	do {
		do {
			n = read(fd, bytes, sizeof(bytes));
		} while (n < 0 && errno == EINTR);
		if (n < 0) /* cut off: nothing is put */
			return err_sys(e, "read");
		if ((uint64_t)n > f->left_bytes)
			return err_set(e, "over the limit of --max");
		f->left_bytes -= (uint64_t)n;
		/* An answer that comes first says why no more is taken. */
		if (client_chunk(&conn, (struct str){ bytes, (size_t)n }, e) <
		    0)
			break;
	} while (n > 0);
	return client_head(&conn, ANSWER_MS, &reply, e);
}

static int
list(struct files *f, struct err *e)
{
	bool cut;
	int r = remote_list(
	    &f->client, &f->remote, f->recursive, list_entry, f, &cut, e);

	if (r < 0)
		return err_add(e, "%s", f->remote.path);
	if (cut) {
		out_note("there is more than one listing holds");
		f->skipped++;
	}
	return 0;
}

static int
list_entry(void *arg, const struct remote_entry *x, struct err *e)
{
	struct files *f = arg;

	buf_reset(&f->line);
	if (f->json) {
		buf_printf(&f->line, "{\"mode\":%llu,\"mtime_ns\":\"%lld\",",
		    (unsigned long long)x->mode, (long long)x->mtime_ns);
		buf_add_c(&f->line, "\"name\":");
		json_put_str(&f->line, buf_str(&x->name));
		buf_printf(&f->line,
		    ",\"size\":%llu,\"type\":", (unsigned long long)x->size);
		json_put_str(&f->line, str_of(x->type));
		buf_add_c(&f->line, "}\n");
	} else {
		buf_printf(&f->line, "%-7s %03llo %12llu  ", x->type,
		    (unsigned long long)x->mode, (unsigned long long)x->size);
		term_text(&f->line, buf_str(&x->name));
		if (x->target.n > 0) {
			buf_add_c(&f->line, " -> ");
			term_text(&f->line, buf_str(&x->target));
		}
		buf_add_byte(&f->line, '\n');
	}
	if (f->line.failed)
		return err_set(e, "out of memory");
	return fd_write_all(STDOUT_FILENO, f->line.p, f->line.n, e);
}

static int
watch(struct files *f, struct err *e)
{
	own_conn struct client_conn conn = { .fd = -1 };
	own_reply struct client_reply reply = {};
	own_buf struct buf target = {}, bytes = {};
	int got;

	remote_target(&target, &f->remote, "/watch", str_of(f->remote.path));
	const struct client_request q = {
		.method = "GET",
		.target = buf_c(&target),
		.stream = true,
	};

	if (client_send(&f->client, &q, &conn, e) < 0 ||
	    client_head(&conn, ANSWER_MS, &reply, e) < 0)
		return -1;
	while ((got = client_body(&conn, -1, &bytes, e)) > 0) {
		struct sse_event ev;

		if (sse_feed(&conn.sse, buf_str(&bytes)) < 0)
			return err_set(e, "an event is too large");
		buf_reset(&bytes);
		while (sse_next(&conn.sse, &ev)) {
			if (watch_event(f, &ev, e) < 0)
				return -1;
		}
	}
	return got;
}

static int
watch_event(struct files *f, const struct sse_event *ev, struct err *e)
{
	own_arena struct arena a = {};
	const struct json *v = json_parse(ev->data, NULL, &a, e, NULL);

	if (v == NULL)
		return err_add(e, "the sandbox's events");
	buf_reset(&f->line);
	if (f->json) {
		json_write(&f->line, v);
	} else {
		term_text(&f->line, json_str(json_get(v, STR("event"))));
		buf_add_byte(&f->line, ' ');
		term_text(&f->line, json_str(json_get(v, STR("name"))));
	}
	buf_add_byte(&f->line, '\n');
	return fd_write_all(STDOUT_FILENO, f->line.p, f->line.n, e);
}

static int
rm(struct files *f, struct err *e)
{
	own_reply struct client_reply reply = {};
	own_buf struct buf target = {};

	remote_target(&target, &f->remote, "", str_of(f->remote.path));
	if (f->recursive)
		buf_add_c(&target, "&recursive=true");
	const struct client_request q = {
		.method = "DELETE",
		.target = buf_c(&target),
	};

	return client_ask(&f->client, &q, &reply, e);
}

static void
skip(struct files *f, struct str name, const char *why)
{
	f->skipped++;
	out_note("left out: %.*s: %s", STR_FMT(name), why);
}

static const char *
last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}
