#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/term.h"
#include "core/id.h"

static const char help[] =
    "usage: paddock snapshot RUN [--json]\n"
    "       paddock snapshot ls RUN [--json]\n"
    "       paddock snapshot rm RUN SNAPSHOT...\n"
    "       paddock snapshot gc\n"
    "\n"
    "Keeps what an open run has changed of its work folder, and what is known\n"
    "of the run at this step: its labels and what it has used of its budgets.\n"
    "The run stands still while its changes are copied, and goes on. Prints "
    "the\n"
    "snapshot's name; paddock fork takes it from there.\n"
    "\n"
    "`ls` lists the snapshots of a run, open or not. `rm` removes some, "
    "unless\n"
    "an open fork or another snapshot is made of them. `gc` removes what lies\n"
    "in the store of snapshots and belongs to none, as a crash leaves it; the\n"
    "daemon does so when it starts.\n"
    "\n"
    "  --json              the daemon's answer as it is\n" CLIENT_HELP "\n"
    "example: paddock snapshot r-7k3m9q2v5w1x\n";

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

static int take(const struct client *c, const char *run, bool json);
static int list(const struct client *c, const char *run, bool json);
static int rm(const struct client *c, const char *run, const char *name);
static int gc(const struct client *c, bool json);
static int show(const struct client_reply *r, struct str text, bool json);
static void put_bytes(struct buf *out, uint64_t bytes);

int
cmd_snapshot(int argc, char **argv)
{
	own_client struct client c = {};
	struct client_options where = {};
	char *const *rest;
	bool json = false, named;
	uint64_t id;
	struct args a;
	struct err e;
	int o, n, status;

	args_init(&a, argc, argv, help, options);
	while ((o = args_next(&a)) != ARGS_END) {
		if (o == ARGS_STOP)
			return a.exit;
		if (o == 'j')
			json = true;
		else
			(void)client_option(&where, o, optarg);
	}
	status = args_need(&a, 1, ARGS_MANY, "RUN, or ls, rm or gc");
	if (status != 0)
		return status;
	rest = args_rest(&a);
	n = args_count(&a);
	named = n > 1 || strcmp(rest[0], "gc") == 0;
	status = !named || n > 1 ? args_run(&a, rest[named]) : 0;
	if (status != 0)
		return status;
	for (int i = 2; i < n; i++) {
		if (id_parse('s', str_of(rest[i]), &id) < 0)
			return args_bad(
			    &a, "%s is not the name of a snapshot", rest[i]);
	}
	if (client_init(&c, &where, &e) < 0)
		return out_fail(&e);
	if (!named)
		return take(&c, rest[0], json);
	if (strcmp(rest[0], "gc") == 0 && n == 1)
		return gc(&c, json);
	if (strcmp(rest[0], "ls") == 0 && n == 2)
		return list(&c, rest[1], json);
	if (strcmp(rest[0], "rm") != 0 || n < 3)
		return args_bad(
		    &a, "give RUN, ls RUN, rm RUN SNAPSHOT... or gc");
	for (int i = 2; i < n; i++)
		status |= rm(&c, rest[1], rest[i]);
	return status;
}

static int
take(const struct client *c, const char *run, bool json)
{
	own_reply struct client_reply r = {};
	char target[96];
	const struct client_request q = { .method = "POST", .target = target };
	struct err e;

	(void)snprintf(target, sizeof(target), "/v1/runs/%s/snapshots", run);
	if (client_ask(c, &q, &r, &e) < 0) {
		(void)err_add(&e, "snapshot %s", run);
		return out_fail(&e);
	}
	return show(&r, json_str(json_get(r.json, STR("snapshot"))), json);
}

static int
list(const struct client *c, const char *run, bool json)
{
	enum { NAME, STEP, FILES, SIZE, LABELS, COLUMNS };
	struct term_cell head[COLUMNS] = { { .text = STR("SNAPSHOT") },
		{ .text = STR("STEP") }, { .text = STR("CHANGES") },
		{ .text = STR("SIZE") }, { .text = STR("LABELS") } };
	own_reply struct client_reply r = {};
	own_buf struct buf out = {};
	struct term_table table = {};
	char target[96];
	const struct client_request q = { .method = "GET", .target = target };
	const struct json *all;
	struct term t;
	struct err e = {};
	int got;

	(void)snprintf(target, sizeof(target), "/v1/runs/%s/snapshots", run);
	if (client_ask(c, &q, &r, &e) < 0) {
		(void)err_add(&e, "snapshots of %s", run);
		return out_fail(&e);
	}
	if (json)
		return show(&r, STR(""), true);
	term_init(&t, STDOUT_FILENO);
	term_row(&table, head, COLUMNS);
	all = json_get(r.json, STR("snapshots"));
	for (const struct json *x = json_first(all); x != NULL;
	     x = json_next(all, x)) {
		struct buf text[COLUMNS] = {};
		struct term_cell cells[COLUMNS] = {};
		uint64_t step = 0, files = 0, bytes = 0, world = 0;

		(void)json_u64(json_get(x, STR("step")), &step);
		(void)json_u64(json_get(x, STR("entries")), &files);
		(void)json_u64(json_get(x, STR("bytes")), &bytes);
		(void)json_u64(json_at(x, "world", "bytes", NULL), &world);
		buf_add_u64(&text[STEP], step);
		buf_add_u64(&text[FILES], files);
		put_bytes(&text[SIZE], bytes + world);
		json_write(&text[LABELS], json_get(x, STR("labels")));
		for (int i = STEP; i < COLUMNS; i++)
			cells[i].text = buf_str(&text[i]);
		cells[NAME].text = json_str(json_get(x, STR("snapshot")));
		term_row(&table, cells, COLUMNS);
		for (int i = 0; i < COLUMNS; i++)
			buf_fini(&text[i]);
	}
	got = term_table_write(&t, &table, &out, &e);
	term_table_fini(&table);
	return got < 0 ? out_fail(&e) : out_write(&out);
}

static int
rm(const struct client *c, const char *run, const char *name)
{
	own_reply struct client_reply r = {};
	own_buf struct buf line = {};
	char target[128];
	const struct client_request q = {
		.method = "DELETE",
		.target = target,
	};
	struct err e;

	(void)snprintf(target, sizeof(target),
	    "/v1/runs/%s/snapshots?snapshot=%s", run, name);
	if (client_ask(c, &q, &r, &e) < 0) {
		(void)err_add(&e, "%s", name);
		return out_fail(&e);
	}
	buf_printf(&line, "%s\n", name);
	return out_write(&line);
}

static int
gc(const struct client *c, bool json)
{
	own_reply struct client_reply r = {};
	own_buf struct buf text = {};
	const struct client_request q = {
		.method = "POST",
		.target = "/v1/snapshots/gc",
	};
	uint64_t kept = 0;
	struct err e;

	if (client_ask(c, &q, &r, &e) < 0)
		return out_fail(&e);
	(void)json_u64(json_get(r.json, STR("kept")), &kept);
	buf_printf(&text, "%llu snapshots are kept", (unsigned long long)kept);
	return show(&r, buf_str(&text), json);
}

static int
show(const struct client_reply *r, struct str text, bool json)
{
	own_buf struct buf line = {};

	if (json)
		out_json_text(&line, buf_str(&r->body), STDOUT_FILENO);
	else
		term_text(&line, text);
	buf_add_byte(&line, '\n');
	return out_write(&line);
}

static void
put_bytes(struct buf *out, uint64_t bytes)
{
	if (bytes < 1024 * 1024)
		buf_printf(out, "%llu KiB",
		    (unsigned long long)((bytes + 1023) / 1024));
	else
		buf_printf(out, "%llu MiB",
		    (unsigned long long)((bytes + (1 << 20) - 1) >> 20));
}
