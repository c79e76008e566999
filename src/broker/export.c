#include "broker/export.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "sys/copy_out.h"
#include "sys/dir.h"
#include "sys/fd.h"

struct export
{
	struct export *next;
	uint64_t run, number;
	uint32_t step;
	struct hash args; /* of the call that asked: an edit is another */
	struct call *call; /* while it is being read; else NULL */
	void (*on_read)(struct run * r, struct call * c, bool whole);
	struct buf bytes; /* of all files, one behind the other */
	struct buf list; /* {"files":[...],"left_out":[...]} */
};

static struct export *exports;

static const char folder[] = "exports";

const char export_definition[] =
    "{\"description\":\"Hand files of the sandbox over to the people outside. "
    "Paths are relative to the work folder; together at most 64 files and 16 "
    "MiB.\",\"inputSchema\":{\"additionalProperties\":false,\"properties\":{"
    "\"paths\":{\"items\":{\"type\":\"string\"},\"maxItems\":64,\"minItems\":1,"
    "\"type\":\"array\"}},\"required\":[\"paths\"],\"type\":\"object\"},"
    "\"name\":\"files.export\"}";

static struct export *find(uint64_t run, uint32_t step);
static int list_take(struct export *x, struct str payload, struct err *e);
static int write_all(const struct export *x, const char *run, struct err *e);
static int write_files(
    const struct export *x, int root, const char *part, struct err *e);
static void unwrite(const struct export *x, int root, const char *part);
static void forget(struct export *x);

bool
export_is(struct str tool)
{
	return str_eq(tool, STR("files.export"));
}

int
export_check(const struct json *args, struct err *e)
{
	const struct json *paths = json_get(args, STR("paths"));

	if (!json_is(paths, JSON_ARRAY) || args->n != 1 || paths->n == 0 ||
	    paths->n > EXPORT_MAX_FILES)
		return err_set(
		    e, "`paths` has to name 1 to %d files", EXPORT_MAX_FILES);
	for (const struct json *p = json_first(paths); p != NULL;
	     p = json_next(paths, p)) {
		if (!json_is(p, JSON_STRING) ||
		    copy_name_check(json_str(p), e) < 0)
			return err_set(e,
			    "a path has to be relative to the work folder, "
			    "without `.` and `..`");
		for (const struct json *q = json_first(paths); q != p;
		     q = json_next(paths, q)) {
			if (str_eq(json_str(p), json_str(q)))
				return err_set(e, "a path is there twice");
		}
	}
	return 0;
}

void
export_read(struct run *r, struct call *c,
    void (*on_read)(struct run *r, struct call *c, bool whole))
{
	struct msg_export m = { .run = r->id, .number = ++broker.next_call };
	own_arena struct arena a = {};
	own_buf struct buf paths = {};
	struct export *x;
	struct err e = {};
	unsigned n = 0;

	for (x = exports; x != NULL; x = x->next)
		n += x->run == r->id;
	json_write(&paths,
	    json_get(json_parse(buf_str(&c->args), NULL, &a, &e, NULL),
		STR("paths")));
	if (n >= EXPORTS_PER_RUN ||
	    peer_send(&broker.gateway, MSG_EXPORT, &m, buf_str(&paths), NULL,
		0) < 0) {
		on_read(r, c, false);
		return;
	}
	x = calloc(1, sizeof(*x));
	must(x != NULL);
	x->run = r->id;
	x->number = m.number;
	x->step = c->step;
	x->args = c->args_hash;
	x->call = c;
	x->on_read = on_read;
	x->next = exports;
	exports = x;
}

void
on_export_read(const struct msg_export *m, const struct frame *f)
{
	struct run *r = run_find(m->run);
	struct export *x = exports;
	struct err e = {};
	struct call *c;
	bool whole;

	while (x != NULL && (x->number != m->number || x->run != m->run))
		x = x->next;
	if (r == NULL || x == NULL || x->call == NULL)
		return;
	whole = f->n_fds == 1 &&
	    fd_read_sealed(f->fds[0], &x->bytes, EXPORT_MAX_BYTES, &e) == 0 &&
	    list_take(x, f->payload, &e) == 0;
	if (!whole)
		log_warn("export not read run=%s fds=%zu why=\"%s\"", r->text,
		    f->n_fds, e.text);
	c = x->call;
	x->call = NULL;
	x->on_read(r, c, whole);
	if (!whole)
		forget(x);
}

void
export_gateway_lost(void)
{
	struct export *next;

	for (struct export *x = exports; x != NULL; x = next) {
		struct run *r = run_find(x->run);
		struct call *c = x->call;

		next = x->next;
		if (c == NULL)
			continue;
		must(r != NULL); /* open calls keep their run */
		x->call = NULL;
		x->on_read(r, c, false);
		forget(x);
	}
}

bool
export_is_empty(const struct run *r, uint32_t step)
{
	const struct export *x = find(r->id, step);

	return x == NULL ||
	    str_starts(buf_str(&x->list), STR("{\"files\":[],"));
}

void
export_preview(struct buf *out, const struct run *r, uint32_t step)
{
	const struct export *x = find(r->id, step);

	buf_add_str(out, x != NULL ? buf_str(&x->list) : STR("{}"));
}

enum reply_kind
export_write(const struct run *r, const struct call *c, struct buf *out)
{
	struct export *x = find(r->id, c->step);
	struct err e = {};

	if (x == NULL || !hash_eq(&x->args, &c->args_hash)) {
		buf_add_c(out,
		    "{\"code\":\"not_read\",\"error\":\"These are not the "
		    "files that were read when it was asked.\","
		    "\"suggested_next_step\":\"Ask again.\"}");
		return REPLY_TOOL_ERROR;
	}
	if (!c->simulated && write_all(x, r->text, &e) < 0) {
		buf_add_c(out, "{\"code\":\"not_written\",\"error\":");
		json_put_str(out, str_of(e.text));
		buf_add_c(out,
		    ",\"suggested_next_step\":\"Tell the people outside: their "
		    "disk may be full.\"}");
		forget(x);
		return REPLY_TOOL_ERROR;
	}
	/* "{" of the list becomes ours. */
	buf_add_str(out, (struct str){ x->list.p, x->list.n - 1 });
	buf_printf(out, ",\"status\":\"exported\",\"to\":\"%s/%s/%u\"}", folder,
	    r->text, x->step);
	forget(x);
	return REPLY_OK;
}

void
export_forget(uint64_t run, uint32_t step)
{
	struct export *x = find(run, step);

	if (x != NULL && x->call == NULL)
		forget(x);
}

void
export_free_run(uint64_t run)
{
	struct export *next;

	for (struct export *x = exports; x != NULL; x = next) {
		next = x->next;
		if (x->run == run)
			forget(x);
	}
}

static struct export *
find(uint64_t run, uint32_t step)
{
	for (struct export *x = exports; x != NULL; x = x->next) {
		if (x->run == run && x->step == step)
			return x;
	}
	return NULL;
}

/*
 * What the gateway says that it has read, held against the bytes and against
 * what was asked for: the names are the call's own.
 */
static int
list_take(struct export *x, struct str payload, struct err *e)
{
	own_arena struct arena a = {};
	own_buf struct buf left = {};
	const struct json *asked =
	    json_get(json_parse(buf_str(&x->call->args), NULL, &a, e, NULL),
		STR("paths"));
	const struct json *read = json_parse(payload, NULL, &a, e, NULL);
	const struct json *want = json_first(asked);
	size_t at = 0;
	bool any = false;

	buf_add_c(&x->list, "{\"files\":[");
	if (!json_is(read, JSON_ARRAY))
		return err_set(e, "no list of files");
	for (const struct json *f = json_first(read); f != NULL;
	     f = json_next(read, f), want = json_next(asked, want)) {
		const struct json *error = json_get(f, STR("error"));
		char hex[HASH_HEX_BYTES];
		struct hash hash;
		uint64_t size;

		if (want == NULL ||
		    !str_eq(json_str(json_get(f, STR("path"))), json_str(want)))
			return err_set(e, "another list of files");
		if (error != NULL) {
			buf_add_c(
			    &left, left.n > 0 ? ",{\"error\":" : "{\"error\":");
			json_put_str(&left, json_str(error));
			buf_add_c(&left, ",\"path\":");
			json_write(&left, want);
			buf_add_byte(&left, '}');
			continue;
		}
		if (json_u64(json_get(f, STR("size")), &size) < 0 ||
		    size > x->bytes.n - at)
			return err_set(e, "sizes that are not the bytes'");
		hash = hash_of(x->bytes.p + at, (size_t)size);
		hash_hex(&hash, hex);
		at += (size_t)size;
		buf_add_c(&x->list, any ? ",{\"path\":" : "{\"path\":");
		json_write(&x->list, want);
		buf_printf(&x->list, ",\"sha256\":\"%s\",\"size\":%llu}", hex,
		    (unsigned long long)size);
		any = true;
	}
	buf_add_c(&x->list, "],\"left_out\":[");
	buf_add_str(&x->list, buf_str(&left));
	buf_add_c(&x->list, "]}");
	if (want != NULL || at != x->bytes.n || x->list.failed || left.failed)
		return err_set(e, "less than was asked for");
	return 0;
}

/* All of it under its name, or nothing. */
static int
write_all(const struct export *x, const char *run, struct err *e)
{
	char part[32], step[16];
	own_fd int root = -1, mine = -1;

	(void)snprintf(step, sizeof(step), "%u", x->step);
	(void)snprintf(part, sizeof(part), ".%u.part", x->step);
	if ((mkdir(folder, 0700) < 0 && errno != EEXIST))
		return err_sys(e, "make the folder %s", folder);
	root = dir_open(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0);
	if (root < 0)
		return err_sys(e, "open the folder %s", folder);
	if (mkdirat(root, run, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "make the folder %s", run);
	mine = dir_open(root, run, O_RDONLY | O_DIRECTORY, 0);
	if (mine < 0)
		return err_sys(e, "open the folder %s", run);
	if (mkdirat(mine, part, 0700) < 0)
		return err_sys(e, "make the folder %s", part);
	if (write_files(x, mine, part, e) < 0) {
		unwrite(x, mine, part);
		return -1;
	}
	if (renameat(mine, part, mine, step) < 0) {
		(void)err_sys(e, "put %s in its place", step);
		unwrite(x, mine, part);
		return -1;
	}
	if (fsync(mine) < 0)
		return err_sys(e, "fsync %s", run);
	return 0;
}

static int
write_files(const struct export *x, int root, const char *part, struct err *e)
{
	own_fd int at = dir_open(root, part, O_RDONLY | O_DIRECTORY, 0);
	own_arena struct arena a = {};
	const struct json *files = json_get(
	    json_parse(buf_str(&x->list), NULL, &a, e, NULL), STR("files"));
	const char *p = x->bytes.p;

	if (at < 0)
		return err_sys(e, "open the folder %s", part);
	for (const struct json *f = json_first(files); f != NULL;
	     f = json_next(files, f)) {
		own_copy struct copy to = { .dir = -1, .fd = -1 };
		uint64_t size = 0;

		(void)json_u64(json_get(f, STR("size")), &size);
		if (copy_begin(&to, at, json_str(json_get(f, STR("path"))), e) <
			0 ||
		    copy_write(&to, p, (size_t)size, e) < 0)
			return -1;
		if (fsync(to.fd) < 0)
			return err_sys(e, "fsync");
		if (copy_finish(&to, 0600, e) < 0)
			return -1;
		p += size;
	}
	return 0;
}

/*
 * What there is of the files, and the folders that were made for them. The
 * names are those that were written, in a folder that is nobody else's; what
 * cannot be removed is told by the next export of this step, which finds it.
 */
static void
unwrite(const struct export *x, int root, const char *part)
{
	own_fd int at = dir_open(root, part, O_RDONLY | O_DIRECTORY, 0);
	own_arena struct arena a = {};
	struct err e;
	const struct json *files = json_get(
	    json_parse(buf_str(&x->list), NULL, &a, &e, NULL), STR("files"));

	for (const struct json *f = at < 0 ? NULL : json_first(files);
	     f != NULL; f = json_next(files, f)) {
		char path[PATH_MAX];

		if (str_copy(json_str(json_get(f, STR("path"))), path,
			sizeof(path)) < 0)
			continue;
		(void)unlinkat(at, path, 0);
		for (char *slash = strrchr(path, '/'); slash != NULL;
		     slash = strrchr(path, '/')) {
			*slash = '\0';
			if (unlinkat(at, path, AT_REMOVEDIR) < 0)
				break; /* another file's as well */
		}
	}
	(void)unlinkat(root, part, AT_REMOVEDIR);
}

static void
forget(struct export *x)
{
	struct export **at = &exports;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	buf_fini(&x->bytes);
	buf_fini(&x->list);
	free(x);
}
