#include "cli/replay_files.h"

#include <inttypes.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/limits.h"
#include "cli/term.h"
#include "codec/json.h"
#include "core/id.h"

enum { LINES_SHOWN = 200 }; /* of a list: more than a screen */

/* The last snapshot by then. */
struct last {
	uint32_t until, step;
	bool found, kept;
	char name[ID_BYTES];
	struct hash list;
	struct arena memory;
	struct err *e;
	bool failed;
};

static bool on_row(void *arg, const struct store_row *row);
static void put_list(struct buf *out, struct str list);
static void put_file(struct buf *out, const struct json *j);

int
replay_files(struct store *store, uint64_t run, uint32_t step, struct buf *out,
    struct err *e)
{
	struct last last = { .until = step, .e = e };
	own_buf struct buf list = { .max = SNAPSHOT_LIST_BYTES };
	struct err ignored;
	int status = store_events(store, run, 0, 0, on_row, &last, e);

	arena_fini(&last.memory);
	if (status < 0 || last.failed)
		return -1;
	if (!last.found) {
		buf_printf(out,
		    "files: no snapshot was taken by step %" PRIu32
		    ", so nothing is on record of them: paddock snapshot\n",
		    step);
		return 0;
	}
	buf_printf(out, "files changed by step %" PRIu32 " (snapshot %s)%s\n",
	    last.step, last.name,
	    last.kept && store_blob(store, &last.list, &list, &ignored) == 0
		? ""
		: ": their list is no longer kept");
	put_list(out, buf_str(&list));
	return 0;
}

static bool
on_row(void *arg, const struct store_row *row)
{
	struct last *last = arg;
	const struct json *j;

	if (row->kind != EVENT_SNAPSHOT_TAKEN || row->step > last->until)
		return true;
	arena_reset(&last->memory);
	j = json_parse(row->body, NULL, &last->memory, last->e, NULL);
	if (j == NULL) {
		(void)err_add(last->e, "record %" PRIu64, row->seq);
		last->failed = true;
		return false;
	}
	last->found = str_copy(json_str(json_at(j, "body", "snapshot", NULL)),
			  last->name, sizeof(last->name)) == 0;
	last->step = row->step;
	last->kept =
	    hash_from_hex(json_str(json_at(j, "tool", "args", "h", NULL)),
		&last->list) == 0;
	return true;
}

static void
put_list(struct buf *out, struct str list)
{
	own_arena struct arena a = {};
	struct err ignored;
	uint64_t lines = 0;

	while (list.n > 0) {
		const struct str line = { list.p, str_find(list, '\n') };
		const struct json *j;

		list.p += line.n < list.n ? line.n + 1 : line.n;
		list.n -= line.n < list.n ? line.n + 1 : line.n;
		arena_reset(&a);
		j = json_parse(line, NULL, &a, &ignored, NULL);
		/* The folder itself is not what was changed. */
		if (str_eq(json_str(json_get(j, STR("path"))), STR(".")))
			continue;
		if (lines++ < LINES_SHOWN)
			put_file(out, j);
	}
	if (lines > LINES_SHOWN)
		buf_printf(
		    out, "    and %" PRIu64 " more\n", lines - LINES_SHOWN);
}

static void
put_file(struct buf *out, const struct json *j)
{
	const struct str type = json_str(json_get(j, STR("type")));
	uint64_t bytes = 0;

	if (json_u64(json_get(j, STR("size")), &bytes) == 0 ||
	    json_u64(json_get(j, STR("bytes")), &bytes) == 0)
		buf_printf(out, "    %10" PRIu64 "  ", bytes);
	else
		buf_printf(out, "    %10s  ", "-");
	if (json_bool(json_get(j, STR("world")), false)) {
		buf_add_c(out, "the data of its world\n");
		return;
	}
	term_text(out, json_str(json_get(j, STR("path"))));
	if (str_eq(type, STR("folder"))) {
		buf_add_byte(out, '/');
	} else if (str_eq(type, STR("link"))) {
		buf_add_c(out, " -> ");
		term_text(out, json_str(json_get(j, STR("target"))));
	} else if (str_eq(type, STR("gone"))) {
		buf_add_c(out, "  (removed)");
	}
	buf_add_byte(out, '\n');
}
