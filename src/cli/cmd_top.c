/*
 * `paddock top`: what the sandboxes of a daemon use, again every second.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/term.h"
#include "core/id.h"
#include "sys/fd.h"
#include "sys/signals.h"

static const char help[] =
    "usage: paddock top [--once] [--json]\n"
    "\n"
    "Shows what the sandboxes of a daemon use: CPU since the last look,\n"
    "memory, processes and files of their limits, and how much of the last\n"
    "ten seconds something inside waited for CPU, memory or disk. On a\n"
    "terminal it looks again every second; q ends it. PRESSURE in\n"
    "parentheses is the whole machine's, where a kernel tells no other.\n"
    "\n"
    "  --once              look once; so it does when it is no terminal\n"
    "  --json              look once, as JSON\n"
    "  --tag K=V           only runs with this tag\n" CLIENT_HELP "\n"
    "example: paddock top --once\n";

static const struct option options[] = {
	{ "once", no_argument, NULL, 'o' },
	{ "json", no_argument, NULL, 'j' },
	{ "tag", required_argument, NULL, 'g' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

enum {
	EVERY_MS = 1000,
	FIRST_MS = 200, /* between two looks, for the first CPU figures */
	NS_PER_MS = 1000 * 1000,
};

/* A sandbox as it was seen last. */
struct seen {
	char run[RUN_ID_BYTES];
	uint64_t cpu_ms;
	int64_t at_ns;
};

struct top {
	struct client_options where;
	const char *tag;
	bool once, json;
	struct seen seen[RUNS_MAX], before[RUNS_MAX];
	size_t n_seen, n_before;
};

static int look(
    struct top *t, const struct client *c, struct buf *out, struct err *e);
static int list(const struct top *t, const struct client *c,
    struct client_reply *r, struct err *e);
static int measure(const struct client *c, const char *run,
    struct client_reply *r, struct err *e);
static void put_json(struct top *t, struct buf *out, const struct json *run,
    const struct json *stat, int64_t now_ns);
static void put_row(struct top *t, struct term_table *tab,
    const struct json *run, const struct json *stat, int64_t now_ns);
static int cpu_of(struct top *t, struct str run, const struct json *stat,
    int64_t now_ns, double *percent);
static void put_part(struct buf *b, const struct json *of, const char *used);
static void put_bytes(struct buf *b, uint64_t n);
static void put_pressure(struct buf *b, const struct json *pressure);
static void put_age(struct buf *b, const struct json *opened);
static int live(struct top *t, const struct client *c);
static bool wait_key(int signals, int ms);

int
cmd_top(int argc, char **argv)
{
	static struct top t; /* too large for the stack */
	own_client struct client client = {};
	own_buf struct buf out = {};
	struct args a;
	struct err e;
	int c, status;

	args_init(&a, argc, argv, help, options);
	while ((c = args_next(&a)) != ARGS_END) {
		switch (c) {
		case ARGS_STOP:
			return a.exit;
		case 'o':
			t.once = true;
			break;
		case 'j':
			t.json = true;
			break;
		case 'g':
			t.tag = optarg;
			break;
		default:
			(void)client_option(&t.where, c, optarg);
		}
	}
	status = args_need(&a, 0, 0, "");
	if (status != 0)
		return status;
	if (client_init(&client, &t.where, &e) < 0)
		return out_fail(&e);
	if (!t.json && !t.once && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		return live(&t, &client);
	/* CPU is a difference: one look more, in front. */
	if (look(&t, &client, &out, &e) < 0)
		return out_fail(&e);
	(void)poll(NULL, 0, FIRST_MS);
	buf_reset(&out);
	if (look(&t, &client, &out, &e) < 0)
		return out_fail(&e);
	return out_write(&out);
}

/* Appends a table, or a list, of all sandboxes. */
static int
look(struct top *t, const struct client *c, struct buf *out, struct err *e)
{
	own_reply struct client_reply r = {};
	struct term_table tab = {};
	const struct json *runs;
	struct term term;
	int status = 0;

	if (list(t, c, &r, e) < 0)
		return -1;
	runs = json_get(r.json, STR("runs"));
	if (!json_is(runs, JSON_ARRAY))
		return err_set(e, "the daemon's answer holds no runs");
	memcpy(t->before, t->seen, sizeof(t->before));
	t->n_before = t->n_seen;
	t->n_seen = 0;
	term_row(&tab,
	    (const struct term_cell[]){
		{ STR("RUN"), TERM_BOLD, false },
		{ STR("STATUS"), TERM_BOLD, false },
		{ STR("CPU%"), TERM_BOLD, true },
		{ STR("MEMORY"), TERM_BOLD, true },
		{ STR("PIDS"), TERM_BOLD, true },
		{ STR("DISK"), TERM_BOLD, true },
		{ STR("PRESSURE c/m/i"), TERM_BOLD, true },
		{ STR("AGE"), TERM_BOLD, true },
		{ STR("WORKFLOW"), TERM_BOLD, false },
	    },
	    9);
	if (t->json)
		buf_add_byte(out, '[');
	for (const struct json *run = json_first(runs); run != NULL;
	     run = json_next(runs, run)) {
		own_reply struct client_reply stat = {};
		char id[RUN_ID_BYTES];

		if (str_copy(json_str(json_get(run, STR("run"))), id,
			sizeof(id)) < 0)
			continue;
		/* It may have ended since it was listed. */
		if (measure(c, id, &stat, e) < 0) {
			if (stat.status == 404 || stat.status == 409)
				continue;
			status = -1;
			break;
		}
		if (t->json)
			put_json(t, out, run, stat.json, clock_mono_ns());
		else
			put_row(t, &tab, run, stat.json, clock_mono_ns());
	}
	term_init(&term, STDOUT_FILENO);
	if (t->json)
		buf_add_c(out, "]\n");
	else if (status == 0)
		status = term_table_write(&term, &tab, out, e);
	term_table_fini(&tab);
	return status;
}

static int
list(const struct top *t, const struct client *c, struct client_reply *r,
    struct err *e)
{
	own_buf struct buf target = {};
	struct client_request q = { .method = "GET" };

	buf_add_c(&target, "/v1/sandboxes");
	if (t->tag != NULL) {
		buf_add_c(&target, "?tag=");
		client_escape(&target, str_of(t->tag));
	}
	q.target = buf_c(&target);
	return client_ask(c, &q, r, e);
}

static int
measure(const struct client *c, const char *run, struct client_reply *r,
    struct err *e)
{
	char target[96];
	const struct client_request q = { .method = "GET", .target = target };

	(void)snprintf(target, sizeof(target), "/v1/sandboxes/%s/stat", run);
	return client_ask(c, &q, r, e);
}

/* The members of both answers, and cpu_percent. */
static void
put_json(struct top *t, struct buf *out, const struct json *run,
    const struct json *stat, int64_t now_ns)
{
	static const char *const of_run[] = { "actor", "command", "status",
		"tags", "tenant", "workflow" };
	double percent;

	if (out->p[out->n - 1] != '[')
		buf_add_byte(out, ',');
	json_write(out, stat);
	if (out->failed)
		return;
	out->n--; /* the brace: the object goes on */
	for (size_t i = 0; i < sizeof(of_run) / sizeof(of_run[0]); i++) {
		buf_printf(out, ",\"%s\":", of_run[i]);
		json_write(out, json_get(run, str_of(of_run[i])));
	}
	if (cpu_of(t, json_str(json_get(run, STR("run"))), stat, now_ns,
		&percent) == 0)
		buf_printf(out, ",\"cpu_percent\":%.1f", percent);
	buf_add_byte(out, '}');
}

static void
put_row(struct top *t, struct term_table *tab, const struct json *run,
    const struct json *stat, int64_t now_ns)
{
	own_buf struct buf cpu = {}, memory = {}, pids = {}, disk = {};
	own_buf struct buf pressure = {}, age = {};
	struct str id = json_str(json_get(run, STR("run")));
	struct str state = json_str(json_get(run, STR("status")));
	const struct json *of_pids = json_get(stat, STR("pids"));
	uint64_t now = 0, limit = 0;
	double percent;

	if (cpu_of(t, id, stat, now_ns, &percent) == 0)
		buf_printf(&cpu, "%.1f", percent);
	else
		buf_add_byte(&cpu, '-');
	put_part(&memory, json_get(stat, STR("memory")), "bytes");
	put_part(&disk, json_get(stat, STR("disk")), "bytes");
	if (json_u64(json_get(of_pids, STR("now")), &now) == 0 &&
	    json_u64(json_get(of_pids, STR("limit")), &limit) == 0)
		buf_printf(&pids, "%llu/%llu", (unsigned long long)now,
		    (unsigned long long)limit);
	else
		buf_add_byte(&pids, '-');
	put_pressure(&pressure, json_get(stat, STR("pressure")));
	put_age(&age, json_get(stat, STR("opened_ms")));
	term_row(tab,
	    (const struct term_cell[]){
		{ id, TERM_PLAIN, false },
		{ state, term_style_of(state), false },
		{ buf_str(&cpu), TERM_PLAIN, true },
		{ buf_str(&memory), TERM_PLAIN, true },
		{ buf_str(&pids), TERM_PLAIN, true },
		{ buf_str(&disk), TERM_PLAIN, true },
		{ buf_str(&pressure), TERM_PLAIN, true },
		{ buf_str(&age), TERM_DIM, true },
		{ json_str(json_get(run, STR("workflow"))), TERM_PLAIN, false },
	    },
	    9);
}

/* Of one CPU, since the last look. -1 when there was none. */
static int
cpu_of(struct top *t, struct str run, const struct json *stat, int64_t now_ns,
    double *percent)
{
	struct seen s = { .at_ns = now_ns };

	if (json_u64(json_get(stat, STR("cpu_ms")), &s.cpu_ms) < 0 ||
	    str_copy(run, s.run, sizeof(s.run)) < 0)
		return -1;
	if (t->n_seen < RUNS_MAX)
		t->seen[t->n_seen++] = s;
	for (size_t i = 0; i < t->n_before; i++) {
		const struct seen *old = &t->before[i];

		if (strcmp(old->run, s.run) != 0 || old->at_ns >= now_ns ||
		    old->cpu_ms > s.cpu_ms)
			continue;
		*percent = (double)(s.cpu_ms - old->cpu_ms) * 100 * NS_PER_MS /
		    (double)(now_ns - old->at_ns);
		return 0;
	}
	return -1;
}

/* "12M/512M"; "-" where the machine does not tell. */
static void
put_part(struct buf *b, const struct json *of, const char *used)
{
	uint64_t now, limit;

	if (json_u64(json_get(of, str_of(used)), &now) < 0 ||
	    json_u64(json_get(of, STR("limit_bytes")), &limit) < 0) {
		buf_add_byte(b, '-');
		return;
	}
	put_bytes(b, now);
	buf_add_byte(b, '/');
	put_bytes(b, limit);
}

static void
put_bytes(struct buf *b, uint64_t n)
{
	static const char units[] = "BKMGT";
	size_t u = 0;

	while (n >= 10 * 1024 && u + 2 < sizeof(units)) {
		n /= 1024;
		u++;
	}
	buf_printf(b, "%llu%c", (unsigned long long)n, units[u]);
}

static void
put_pressure(struct buf *b, const struct json *pressure)
{
	static const char *const kinds[] = { "cpu", "memory", "io" };
	bool machine =
	    str_eq(json_str(json_get(pressure, STR("of"))), STR("machine"));

	if (!json_is(pressure, JSON_OBJECT)) {
		buf_add_byte(b, '-');
		return;
	}
	buf_add_c(b, machine ? "(" : "");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct json *v = json_get(pressure, str_of(kinds[i]));

		buf_printf(b, "%s%.0f", i > 0 ? "/" : "",
		    json_is(v, JSON_NUMBER) ? v->num : 0.0);
	}
	buf_add_c(b, machine ? ")" : "");
}

static void
put_age(struct buf *b, const struct json *opened)
{
	uint64_t at_ms, now_ms = (uint64_t)clock_utc_ns() / NS_PER_MS, s;

	if (json_u64(opened, &at_ms) < 0) {
		buf_add_byte(b, '-');
		return;
	}
	s = at_ms < now_ms ? (now_ms - at_ms) / 1000 : 0;
	if (s < 3600)
		buf_printf(
		    b, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
	else
		buf_printf(b, "%uh%02u", (unsigned)(s / 3600),
		    (unsigned)(s / 60 % 60));
}

/*
 * On the alternate screen, so that what was there comes back. Keys are read
 * one by one: the terminal's own settings are restored, whatever ends it.
 */
static int
live(struct top *t, const struct client *c)
{
	struct termios before, keys;
	own_fd int signals = -1;
	struct err e = {};
	bool on = true;
	int status = 0;

	signals = signals_fd(SIGNALS_TO_END, &e);
	if (signals < 0)
		return out_fail(&e);
	if (tcgetattr(STDIN_FILENO, &before) < 0) {
		(void)err_sys(&e, "the terminal");
		return out_fail(&e);
	}
	keys = before;
	keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	if (tcsetattr(STDIN_FILENO, TCSANOW, &keys) < 0) {
		(void)err_sys(&e, "the terminal");
		return out_fail(&e);
	}
	for (int ms = FIRST_MS; on; ms = EVERY_MS) {
		own_buf struct buf out = {};

		/* The alternate screen; home; and what is left is cleared. */
		buf_add_c(&out, "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J");
		status = look(t, c, &out, &e);
		if (status < 0)
			break;
		buf_add_c(&out,
		    t->n_seen == 0 ? "\nnothing runs; q ends\n" : "\nq ends\n");
		if (out_write(&out) != EXIT_DONE)
			break;
		on = wait_key(signals, ms);
	}
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
	if (fd_write_all(STDOUT_FILENO, "\x1b[?25h\x1b[?1049l", 14, &e) < 0)
		return EXIT_FAILED;
	return status < 0 ? out_fail(&e) : EXIT_DONE;
}

/* False when it is to end. */
static bool
wait_key(int signals, int ms)
{
	struct pollfd wait[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};
	int64_t until_ns = clock_mono_ns() + (int64_t)ms * NS_PER_MS;

	for (;;) {
		int64_t left = (until_ns - clock_mono_ns()) / NS_PER_MS;
		char key = 0;

		if (left <= 0)
			return true;
		if (poll(wait, 2, (int)left) <= 0)
			continue;
		if (wait[1].revents != 0)
			return false;
		if (wait[0].revents != 0 &&
		    (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' ||
			key == 'Q'))
			return false;
	}
}
