#include <inttypes.h>

#include "cli/trace_formats.h"
#include "codec/json.h"
#include "core/id.h"
#include "sys/fd.h"

enum { WRITE_BYTES = 64 * 1024 };

struct writing {
	struct trace *t;
	int fd;
	struct buf out;
	struct arena memory;
	struct trace_written *sums;
	struct err *e;
	bool failed;
};

static bool on_run(void *arg, const struct store_run *r);
static bool on_record(void *arg, const struct store_row *row);
static void put_ref(
    struct writing *w, const char *name, const struct json *ref);
static int flush(struct writing *w);

int
trace_jsonl(struct trace *t, uint64_t run, int fd, struct trace_written *out,
    struct err *e)
{
	struct writing w = { .t = t, .fd = fd, .sums = out, .e = e };
	int status;

	*out = (struct trace_written){};
	status = store_runs(t->store, run, false, 1, on_run, &w, e);
	if (status == 0)
		status = store_events(t->store, run, 0, 0, on_record, &w, e);
	if (status == 0 && !w.failed)
		status = flush(&w);
	arena_fini(&w.memory);
	buf_fini(&w.out);
	return status < 0 || w.failed ? -1 : 0;
}

static bool
on_run(void *arg, const struct store_run *r)
{
	struct writing *w = arg;

	w->sums->open = r->closed_ns == 0;
	buf_add_c(&w->out, "{\"run\":");
	trace_run_json(&w->out, r);
	buf_add_c(&w->out, "}\n");
	return false;
}

static bool
on_record(void *arg, const struct store_row *row)
{
	struct writing *w = arg;
	const struct json *j;
	char hex[HASH_HEX_BYTES];

	arena_reset(&w->memory);
	j = json_parse(row->body, NULL, &w->memory, w->e, NULL);
	if (j == NULL) {
		(void)err_add(w->e, "record %" PRIu64, row->seq);
		w->failed = true;
		return false;
	}
	hash_hex(&row->hash, hex);
	buf_add_c(&w->out, "{");
	put_ref(w, "answered", json_at(j, "res", "out", NULL));
	put_ref(w, "asked", json_at(j, "tool", "args", NULL));
	buf_printf(&w->out, "\"hash\":\"%s\",\"record\":", hex);
	buf_add_str(&w->out, row->body);
	buf_add_c(&w->out, "}\n");
	w->sums->records++;
	if (w->out.n >= WRITE_BYTES && flush(w) < 0)
		w->failed = true;
	return !w->failed;
}

/* JSON as it is, other texts as a text, and pictures by their hash alone. */
static void
put_ref(struct writing *w, const char *name, const struct json *ref)
{
	own_buf struct buf text = {};
	own_arena struct arena a = {};
	struct err ignored;
	struct hash h;
	bool is_json;

	if ((json_get(ref, STR("preview")) == NULL &&
		json_get(ref, STR("salted")) == NULL) ||
	    hash_from_hex(json_str(json_get(ref, STR("h"))), &h) < 0 ||
	    store_blob(w->t->store, &h, &text, &ignored) < 0)
		return;
	is_json = json_parse(buf_str(&text), NULL, &a, &ignored, NULL) != NULL;
	if (!is_json && json_get(ref, STR("preview")) == NULL)
		return; /* a picture may be among what has none */
	buf_printf(&w->out, "\"%s\":", name);
	if (is_json)
		buf_add_str(&w->out, buf_str(&text));
	else
		json_put_str(&w->out, buf_str(&text));
	buf_add_byte(&w->out, ',');
}

static int
flush(struct writing *w)
{
	if (w->out.failed)
		return err_set(w->e, "a record is too large");
	if (fd_write_all(w->fd, buf_str(&w->out).p, w->out.n, w->e) < 0)
		return -1;
	w->sums->bytes += w->out.n;
	buf_reset(&w->out);
	return 0;
}
