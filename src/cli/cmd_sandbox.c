/*
 * `paddock sandbox`: sandboxes that stay until they are removed.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/mount_option.h"
#include "cli/out.h"
#include "cli/run_open.h"
#include "cli/term.h"
#include "core/id.h"
#include "sys/fd.h"

static const char help[] =
    "usage: paddock sandbox create [OPTIONS]\n"
    "       paddock sandbox ls [--json]\n"
    "       paddock sandbox rm RUN...\n"
    "\n"
    "A sandbox without a command of its own: it stays until it is removed, or\n"
    "its time is over. `create` prints its name; paddock exec --in, files,\n"
    "port, pause and stop take it from there. A daemon must be running\n"
    "(paddock serve).\n"
    "\n"
    "  --dir DIR           a work folder, seen through an overlay\n"
    "  --mount FROM:TO[:MODE]\n"
    "                      this folder as well, at TO inside: ro (so without\n"
    "                      MODE), overlay or rw, and ,noexec behind it; may "
    "be\n"
    "                      given many times\n"
    "  --image NAME        what it has below /usr; host is this machine's\n"
    "  --memory MIB        limit of memory, files included\n"
    "  --disk MIB          limit of files written\n"
    "  --cpu N             limit of processor time, in processors\n"
    "  --pids N            limit of processes and threads\n"
    "  --port N            a TCP port that paddock port may reach\n"
    "  --ttl S             it ends after so many seconds\n"
    "  --idle S            it ends when nothing was asked of it for so long\n"
    "  --tag K=V           for people; may be given many times\n"
    "  --json              the daemon's answer as it is\n" CLIENT_HELP "\n"
    "example: paddock sandbox create --dir . --memory 1024 --ttl 3600\n";

static const struct option options[] = {
	{ "dir", required_argument, NULL, 'd' },
	{ "mount", required_argument, NULL, 'M' },
	{ "image", required_argument, NULL, 'i' },
	{ "memory", required_argument, NULL, 'm' },
	{ "disk", required_argument, NULL, 'D' },
	{ "cpu", required_argument, NULL, 'c' },
	{ "pids", required_argument, NULL, 'p' },
	{ "port", required_argument, NULL, 'P' },
	{ "ttl", required_argument, NULL, 't' },
	{ "idle", required_argument, NULL, 'I' },
	{ "tag", required_argument, NULL, 'l' },
	{ "json", no_argument, NULL, 'j' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

struct sandbox_command {
	struct client_options where;
	struct buf body; /* members of the request, each behind a comma */
	struct buf tags, ports;
	struct mount_options mounts;
	const char *dir;
	bool json;
};

static int read_options(struct args *a, struct sandbox_command *s);
static int put_number(struct args *a, struct buf *b, const char *name,
    const char *text, uint64_t factor);
static int put_tag(struct args *a, struct buf *b, const char *text);
static int create(const struct client *c, struct sandbox_command *s);
static int list(const struct client *c, bool json);
static int rm(const struct client *c, const char *run);

int
cmd_sandbox(int argc, char **argv)
{
	own_client struct client c = {};
	struct sandbox_command s = {};
	const char *what;
	struct args a;
	struct err e;
	bool go_on;
	int status;

	args_init(&a, argc, argv, help, options);
	status = read_options(&a, &s);
	go_on = status < 0; /* not after --help, which is 0 as well */
	if (go_on)
		status = args_need(&a, 1, ARGS_MANY, "create, ls or rm");
	if (go_on && status == 0 && client_init(&c, &s.where, &e) < 0)
		status = out_fail(&e);
	if (go_on && status == 0) {
		int n = args_count(&a);

		what = args_rest(&a)[0];
		if (strcmp(what, "create") == 0 && n == 1)
			status = create(&c, &s);
		else if (strcmp(what, "ls") == 0 && n == 1)
			status = list(&c, s.json);
		else if (strcmp(what, "rm") == 0 && n > 1)
			for (int i = 1; i < n; i++)
				status |= rm(&c, args_rest(&a)[i]);
		else
			status = args_bad(&a,
			    "give create, ls, or rm with the names of "
			    "sandboxes");
	}
	buf_fini(&s.body);
	buf_fini(&s.tags);
	buf_fini(&s.ports);
	mount_options_fini(&s.mounts);
	return status;
}

/* -1 to go on, else the exit status. */
static int
read_options(struct args *a, struct sandbox_command *s)
{
	int c, bad = 0;

	while ((c = args_next(a)) != ARGS_END && bad == 0) {
		switch (c) {
		case ARGS_STOP:
			return a->exit;
		case 'd':
			s->dir = optarg;
			break;
		case 'M':
			bad = mount_options_add(a, &s->mounts, optarg);
			break;
		case 'i':
			buf_add_c(&s->body, ",\"image\":");
			json_put_str(&s->body, str_of(optarg));
			break;
		case 'm':
			bad = put_number(a, &s->body, "memory_mb", optarg, 1);
			break;
		case 'D':
			bad = put_number(a, &s->body, "disk_mb", optarg, 1);
			break;
		case 'c': {
			char *end;
			double cpu = strtod(optarg, &end);

			if (*end != '\0' || end == optarg || !(cpu > 0) ||
			    cpu > SANDBOX_CPUS_MAX)
				return args_bad(
				    a, "--cpu %s: not a number", optarg);
			buf_add_c(&s->body, ",\"cpu\":");
			json_put_num(&s->body, cpu);
			break;
		}
		case 'p':
			bad = put_number(a, &s->body, "pids", optarg, 1);
			break;
		case 'P':
			bad = put_number(a, &s->ports, NULL, optarg, 1);
			break;
		case 't':
			bad = put_number(a, &s->body, "ttl_ms", optarg, 1000);
			break;
		case 'I':
			bad = put_number(a, &s->body, "idle_ms", optarg, 1000);
			break;
		case 'l':
			bad = put_tag(a, &s->tags, optarg);
			break;
		case 'j':
			s->json = true;
			break;
		default:
			(void)client_option(&s->where, c, optarg);
		}
	}
	return bad != 0 ? bad : -1;
}

/* ,"name":number; without a name, one more of a list. */
static int
put_number(struct args *a, struct buf *b, const char *name, const char *text,
    uint64_t factor)
{
	uint64_t v;

	if (str_to_u64(str_of(text), &v) < 0 || v > UINT32_MAX)
		return args_bad(a, "%s is not a whole number", text);
	buf_add_byte(b, ',');
	if (name != NULL)
		buf_printf(b, "\"%s\":", name);
	buf_add_u64(b, v * factor);
	return 0;
}

static int
put_tag(struct args *a, struct buf *b, const char *text)
{
	struct str pair = str_of(text);
	size_t equals = str_find(pair, '=');

	if (equals == 0 || equals == pair.n)
		return args_bad(a, "--tag %s: not NAME=VALUE", text);
	buf_add_byte(b, ',');
	json_put_str(b, (struct str){ pair.p, equals });
	buf_add_byte(b, ':');
	json_put_str(
	    b, (struct str){ pair.p + equals + 1, pair.n - equals - 1 });
	return 0;
}

static int
create(const struct client *c, struct sandbox_command *s)
{
	own_reply struct client_reply r = {};
	own_buf struct buf body = {}, line = {};
	own_fd int folder = -1;
	int fds[1 + MOUNTS_MAX];
	unsigned n_fds = 0;
	char path[PATH_MAX];
	struct err e = {};

	buf_add_c(&body, "{\"tags\":{");
	if (s->tags.n > 0)
		buf_add(&body, s->tags.p + 1, s->tags.n - 1);
	buf_add_byte(&body, '}');
	buf_add_str(&body, buf_str(&s->body));
	if (s->ports.n > 0) {
		buf_add_c(&body, ",\"ports\":[");
		buf_add(&body, s->ports.p + 1, s->ports.n - 1);
		buf_add_byte(&body, ']');
	}
	if (s->mounts.n > 0) {
		buf_add_c(&body, ",\"mounts\":[");
		buf_add_str(&body, buf_str(&s->mounts.json));
		buf_add_byte(&body, ']');
	}
	if (s->dir != NULL) {
		folder = open(s->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (folder < 0 || realpath(s->dir, path) == NULL) {
			(void)err_sys(&e, "work folder %s", s->dir);
			return out_fail(&e);
		}
		buf_add_c(&body, ",\"workspace\":");
		json_put_str(&body, str_of(path));
		fds[n_fds++] = folder;
	}
	for (unsigned i = 0; i < s->mounts.n; i++)
		fds[n_fds++] = s->mounts.item[i].fd;
	buf_add_byte(&body, '}');
	const struct client_request q = {
		.method = "POST",
		.target = "/v1/sandboxes",
		.body = buf_str(&body),
		.fds = fds,
		.n_fds = n_fds,
	};

	if (body.failed)
		return EXIT_FAILED;
	if (q.n_fds > 0 && c->socket[0] == '\0') {
		out_note("a folder is handed over at the daemon's own "
			 "socket only: leave --url out");
		return EXIT_USAGE;
	}
	if (client_ask(c, &q, &r, &e) < 0) {
		if (client_down(&e))
			(void)err_set(&e,
			    "no daemon is running; start one with `paddock "
			    "serve`");
		return out_fail(&e);
	}
	if (s->json)
		out_json_text(&line, buf_str(&r.body), STDOUT_FILENO);
	else
		term_text(&line, json_str(json_get(r.json, STR("run"))));
	buf_add_byte(&line, '\n');
	return out_write(&line);
}

static int
list(const struct client *c, bool json)
{
	static const struct str members[] = { STR("run"), STR("status"),
		STR("workflow"), STR("command") };
	enum { COLUMNS = sizeof(members) / sizeof(members[0]) };
	const struct client_request q = {
		.method = "GET",
		.target = "/v1/sandboxes",
	};
	own_reply struct client_reply r = {};
	struct term_cell head[COLUMNS] = { { .text = STR("RUN") },
		{ .text = STR("STATUS") }, { .text = STR("WORKFLOW") },
		{ .text = STR("COMMAND") } };
	struct term_table table = {};
	own_buf struct buf out = {};
	const struct json *all;
	struct term t;
	struct err e = {};

	if (client_ask(c, &q, &r, &e) < 0)
		return out_fail(&e);
	if (json) {
		out_json_text(&out, buf_str(&r.body), STDOUT_FILENO);
		buf_add_byte(&out, '\n');
		return out_write(&out);
	}
	term_init(&t, STDOUT_FILENO);
	term_row(&table, head, COLUMNS);
	all = json_get(r.json, STR("runs"));
	for (const struct json *x = json_first(all); x != NULL;
	     x = json_next(all, x)) {
		struct term_cell cells[COLUMNS] = {};

		for (int i = 0; i < COLUMNS; i++)
			cells[i].text = json_str(json_get(x, members[i]));
		term_row(&table, cells, COLUMNS);
	}
	if (term_table_write(&t, &table, &out, &e) < 0) {
		term_table_fini(&table);
		return out_fail(&e);
	}
	term_table_fini(&table);
	return out_write(&out);
}

static int
rm(const struct client *c, const char *run)
{
	own_reply struct client_reply r = {};
	own_buf struct buf line = {};
	char target[64];
	const struct client_request q = {
		.method = "DELETE",
		.target = target,
	};
	struct err e;
	uint64_t id;

	if (id_parse('r', str_of(run), &id) < 0) {
		out_note("%s is not the name of a sandbox", run);
		return EXIT_USAGE;
	}
	(void)snprintf(target, sizeof(target), "/v1/sandboxes/%s", run);
	if (client_ask(c, &q, &r, &e) < 0) {
		(void)err_add(&e, "%s", run);
		return out_fail(&e);
	}
	buf_printf(&line, "%s\n", run);
	return out_write(&line);
}
