#include "world/world.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/must.h"
#include "sys/fd.h"
#include "world/base.h"
#include "world/canned.h"
#include "world/changes.h"
#include "world/result.h"
#include "world/wdb.h"
#include "world/seed.h"
#include "world/stamp.h"
#include "world/tool.h"

struct world {
	int fd;
	struct base *base; /* NULL: it goes on from what was saved */
	struct pages pages;
	struct wdb db; /* closed while it dozes */
	struct canned *canned;
	bool called; /* first_ns is known */
	int64_t first_ns; /* now_ns of the first call */
	int64_t start_s; /* the document's now */
	int64_t now_s; /* never goes back */
	int64_t stamped_s; /* that stamp was written for */
	char stamp[STAMP_BYTES];
	bool broken; /* a commit failed half way: the file may be anything */
};

static struct world *new_take(int fd);
static int begin(struct world *w, struct str document, struct err *e);
static int wake(struct world *w, struct err *e);
static void advance(struct world *w, int64_t now_ns);
static int call_canned(struct canned_tool *t, struct tool_call *c, bool *wrote);
static enum tool_end run(
    struct world *w, const struct tool *t, struct tool_call *c, bool *wrote);
static enum tool_end run_write(
    struct world *w, const struct tool *t, struct tool_call *c, bool *wrote);
static enum tool_end failure(struct tool_call *c);

struct world *
world_new_take(int fd, struct str document, struct err *e)
{
	struct world *w = new_take(fd);
	struct stat st;

	if (fstat(fd, &st) < 0)
		err_sys(e, "fstat the world's file");
	else if (!S_ISREG(st.st_mode) || st.st_size != 0)
		err_set(e, "the world's file is not an empty regular file");
	else if (begin(w, document, e) == 0)
		return w;
	world_free(w);
	return NULL;
}

struct world *
world_saved_take(int fd, struct err *e)
{
	own_buf struct buf moment = { .max = WORLD_MAX_PARSE_BYTES };
	own_arena struct arena a = { .max_bytes = WORLD_MAX_PARSE_BYTES };
	struct world *w = new_take(fd);
	const struct json *v;

	if (pages_init(&w->pages, fd, -1, e) < 0 ||
	    wdb_open(&w->db, &w->pages, e) < 0 ||
	    wdb_moment(&w->db, &moment, e) < 0) {
		(void)err_add(e, "world database");
		world_free(w);
		return NULL;
	}
	/* A document without rows, which are there already. */
	v = json_parse(buf_str(&moment), NULL, &a, e, NULL);
	if (v != NULL && seed_load(&w->db, v, &w->start_s, e) == 0)
		w->canned = canned_new(json_get(v, STR("tools")), e);
	if (w->canned == NULL) {
		(void)err_add(e, "world document");
		world_free(w);
		return NULL;
	}
	w->now_s = w->start_s;
	return w;
}

int
world_save(struct world *w, int64_t now_ns, int to, struct err *e)
{
	own_buf struct buf moment = { .max = WORLD_MAX_PARSE_BYTES };
	char now[STAMP_BYTES];

	if (w->broken)
		return err_set(e, "the world is lost: a write failed half way");
	if (wake(w, e) < 0)
		return -1;
	if (w->called)
		advance(w, now_ns);
	stamp_text(w->now_s, now);
	/* A document without rows, which are there already. */
	result_open(&moment, NULL, '{');
	result_text(&moment, "now", str_of(now));
	buf_add_c(&moment, ",\"tools\":");
	canned_save(w->canned, &moment);
	buf_add_c(&moment, ",\"world\":1}");
	if (moment.failed)
		return err_set(e, "the answers that it has left are too many");
	return wdb_save(&w->db, buf_str(&moment), to, e);
}

void
world_free(struct world *w)
{
	if (w == NULL)
		return;
	wdb_close(&w->db);
	pages_fini(&w->pages);
	if (w->base != NULL && --w->base->worlds == 0)
		base_free(w->base);
	canned_free(w->canned);
	fd_fini(&w->fd);
	free(w);
}

bool
world_is_awake(const struct world *w)
{
	return w->db.handle != NULL;
}

void
world_doze(struct world *w)
{
	wdb_close(&w->db);
}

void
world_tools(const struct world *w, struct buf *out)
{
	result_open(out, NULL, '[');
	for (size_t i = 0; i < tools_n; i++) {
		result_open(out, NULL, '{');
		result_text(out, "description", str_of(tools[i].about));
		buf_add_c(out, ",\"inputSchema\":");
		shape_schema(&tools[i].shape, out);
		result_text(out, "name", str_of(tools[i].name));
		result_close(out, '}');
	}
	canned_list(w->canned, out);
	result_close(out, ']');
}

int
world_call(struct world *w, struct str name, const struct json *args,
    int64_t now_ns, struct buf *out, bool *wrote)
{
	const struct tool *t = tool_find(name);
	struct canned_tool *canned = canned_find(w->canned, name);
	struct tool_call c = { .db = &w->db, .args = args, .out = out };
	enum tool_end end;
	struct err e;

	*wrote = false;
	advance(w, now_ns);
	if (w->stamped_s != w->now_s) {
		stamp_text(w->now_s, w->stamp);
		w->stamped_s = w->now_s;
	}
	c.now = str_of(w->stamp);
	buf_reset(out);
	if (canned != NULL)
		return call_canned(canned, &c, wrote);
	if (t == NULL)
		return tool_error(&c, "unknown_tool",
		    "Use one of the tools that are listed.",
		    "there is no tool %.*s", STR_FMT(tool_shown(name)));
	if (shape_check(&t->shape, args, "", &e) < 0)
		return tool_error(&c, "invalid_arguments",
		    "Correct the argument as the tool's inputSchema says.",
		    "%s", e.text);
	if (wake(w, &e) < 0)
		return tool_error(&c, "unavailable", "Try again later.",
		    "the service failed: %s", e.text);
	wdb_call_begin(&w->db);
	end = run(w, t, &c, wrote);
	wdb_call_end(&w->db);
	return end == TOOL_OK ? 0 : 1;
}

int
world_try(struct world *w, struct str name, const struct json *args,
    int64_t now_ns, struct buf *out, struct err *e)
{
	own_buf struct buf answer = { .max = IPC_MAX_PAYLOAD_BYTES };
	struct changes *c = calloc(1, sizeof(*c));
	struct world *copy = NULL;
	struct stat st;
	bool wrote;
	int fd = -1, end, r = -1;

	must(c != NULL);
	if (fstat(w->fd, &st) < 0) {
		(void)err_sys(e, "fstat the world");
		goto out;
	}
	if (st.st_size > WORLD_TRY_MAX_BYTES) {
		(void)err_set(e,
		    "the world is over %d bytes, too large to try a call in "
		    "a copy",
		    WORLD_TRY_MAX_BYTES);
		goto out;
	}
	fd = memfd_create("try", MFD_CLOEXEC);
	if (fd < 0) {
		(void)err_sys(e, "memfd_create");
		goto out;
	}
	if (world_save(w, now_ns, fd, e) < 0) {
		fd_fini(&fd);
		goto out;
	}
	copy = world_saved_take(fd, e);
	if (copy == NULL)
		goto out;
	changes_watch(c, &copy->db);
	end = world_call(copy, name, args, now_ns, &answer, &wrote);
	buf_reset(out);
	buf_add_c(out, "{\"answer\":");
	buf_add_str(out, buf_str(&answer));
	buf_add_c(out, ",\"files\":[]");
	r = changes_write(out, c, &w->db, &copy->db, e);
	result_text(out, "status", str_of(end == 0 ? "done" : "refused"));
	result_close(out, '}');
	if (r == 0 && out->failed)
		r = err_set(e, "what it changes is over %d bytes",
		    IPC_MAX_PAYLOAD_BYTES);
out:
	world_free(copy);
	free(c);
	return r;
}

int64_t
world_changes(const struct world *w)
{
	return world_is_awake(w) ? sqlite3_total_changes64(w->db.handle) : 0;
}

static struct world *
new_take(int fd)
{
	struct world *w = calloc(1, sizeof(*w));

	must(w != NULL);
	w->fd = fd;
	w->stamped_s = -1;
	return w;
}

/* As its document says. A document that is known need not be read again. */
static int
begin(struct world *w, struct str document, struct err *e)
{
	own_arena struct arena a = { .max_bytes = WORLD_MAX_PARSE_BYTES };
	const struct hash digest = hash_of(document.p, document.n);
	const struct json *v = NULL;
	struct base *b = base_find(&digest);

	if (b == NULL || b->has_tools) {
		v = json_parse(document, NULL, &a, e, NULL);
		if (v == NULL)
			return err_add(e, "world document");
	}
	if (b == NULL)
		b = base_new(&digest, v, e);
	if (b == NULL)
		return -1;
	b->worlds++;
	w->base = b;
	w->start_s = b->start_s;
	w->now_s = b->start_s;
	w->canned = canned_new(json_get(v, STR("tools")), e);
	if (w->canned == NULL)
		return err_add(e, "world document");
	return pages_init(&w->pages, w->fd, b->fd, e) < 0
	    ? err_add(e, "world database")
	    : 0;
}

static int
wake(struct world *w, struct err *e)
{
	if (world_is_awake(w) || wdb_open(&w->db, &w->pages, e) == 0)
		return 0;
	wdb_close(&w->db);
	return err_add(e, "world database");
}

/* A clock that jumps, or a caller that lies, cannot turn time back. */
static void
advance(struct world *w, int64_t now_ns)
{
	int64_t passed_ns, now_s;

	if (!w->called) {
		w->called = true;
		w->first_ns = now_ns;
	}
	if (__builtin_sub_overflow(now_ns, w->first_ns, &passed_ns))
		return;
	now_s = w->start_s + passed_ns / 1000000000;
	if (now_s > w->now_s)
		w->now_s = now_s;
}

static int
call_canned(struct canned_tool *t, struct tool_call *c, bool *wrote)
{
	int end = canned_call(t, c->args, c->out, wrote);

	if (end >= 0 && !c->out->failed)
		return end;
	*wrote = false;
	if (end < 0)
		return (int)tool_error(c, "no_answer_left",
		    "Work on without this call.",
		    "the world document has no answer left for these "
		    "arguments");
	return (int)tool_error(c, "result_too_large", "Ask for less.",
	    "the result is over %d bytes", IPC_MAX_PAYLOAD_BYTES);
}

/* Calls the handler and makes sure that a read was one. */
static enum tool_end
run(struct world *w, const struct tool *t, struct tool_call *c, bool *wrote)
{
	int64_t before = world_changes(w);
	enum tool_end end;

	if (w->broken)
		return tool_error(c, "unavailable",
		    "Stop: the services of this run are lost.",
		    "the service failed in the middle of an earlier write");
	if (t->writes)
		end = run_write(w, t, c, wrote);
	else
		end = t->run(c);
	must(*wrote || end != TOOL_OK || world_changes(w) == before);
	if (end == TOOL_FAILED)
		return failure(c);
	if (c->out->failed || c->out->n > IPC_MAX_PAYLOAD_BYTES)
		return tool_error(c, "result_too_large",
		    "Ask for less: a smaller limit, or one record.",
		    "the result is over %d bytes", IPC_MAX_PAYLOAD_BYTES);
	return end;
}

/* All of the call's changes, or none. */
static enum tool_end
run_write(
    struct world *w, const struct tool *t, struct tool_call *c, bool *wrote)
{
	int64_t before = world_changes(w);
	enum tool_end end;
	int failed;

	wdb_query(&w->db, Q_BEGIN);
	if (wdb_step(&w->db, Q_BEGIN) != WDB_DONE)
		return TOOL_FAILED;
	end = t->run(c);
	if (end == TOOL_OK) {
		wdb_query(&w->db, Q_COMMIT);
		if (wdb_step(&w->db, Q_COMMIT) == WDB_DONE) {
			*wrote = world_changes(w) != before;
			return TOOL_OK;
		}
		w->broken = true;
		end = TOOL_FAILED;
	}
	/* SQLite may have rolled back by itself, as it does when full. */
	if (sqlite3_get_autocommit(w->db.handle) == 0) {
		failed = w->db.failed;
		wdb_call_end(&w->db);
		wdb_call_begin(&w->db);
		wdb_query(&w->db, Q_ROLLBACK);
		if (wdb_step(&w->db, Q_ROLLBACK) != WDB_DONE)
			w->broken = true;
		w->db.failed = failed;
	}
	return end;
}

static enum tool_end
failure(struct tool_call *c)
{
	if (c->db->failed == SQLITE_INTERRUPT)
		return tool_error(c, "too_expensive",
		    "Ask a narrower question.",
		    "the call needs more work than one call may");
	if (c->db->failed == SQLITE_FULL)
		return tool_error(c, "storage_full",
		    "Stop writing: this run's storage is used up.",
		    "the storage of this run is full");
	return tool_error(c, "unavailable", "Try again later.",
	    "the service failed: %s", sqlite3_errstr(c->db->failed));
}
