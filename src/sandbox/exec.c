#include "sandbox/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "sandbox/commit.h"
#include "sandbox/explain.h"
#include "sandbox/folder.h"
#include "sandbox/mounts.h"
#include "sandbox/planted.h"
#include "sandbox/sandbox.h"
#include "sys/fd.h"

enum {
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_EXECUTABLE = 126, /* as shells have it */
	EXIT_NOT_FOUND = 127,
	EXIT_SIGNAL = 128,
	ENV_MAX = 256, /* --env options */
	PASSED_ON_MAX = 16,
};
#define MIB ((uint64_t)1024 * 1024)
#define INSIDE_PATH \
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct options {
	const char *dir;
	const char *start; /* absolute, inside; NULL: the work folder */
	bool write_back;
	bool image; /* the descriptor is of its root directory */
	int image_fd;
	const char *account, *home; /* of the image's user; NULL: ours */
	bool json;
	bool explain;
	bool fake_root;
	struct protect_rule rules[PROTECT_RULES_MAX];
	struct protect protect;
	struct sandbox_mount mounts[MOUNTS_MAX];
	struct str mount_from[MOUNTS_MAX];
	unsigned n_mounts;
	struct sandbox_limits limits;
	const char *env[ENV_MAX + PASSED_ON_MAX + 1]; /* with the fixed ones */
	size_t n_env;
	char **command;
};

/* What the copy of this process that becomes PID 1 needs. */
static struct {
	int (*main)(char **argv, char **envp);
	const struct options *o;
	char **argv;
} init;

static const char usage_text[] =
    "usage: paddock exec [options] -- COMMAND [ARGUMENT...]\n"
    "\n"
    "Runs COMMAND in a sandbox that sees the current folder. What it writes\n"
    "there vanishes at the end; the network is off; nothing else of this\n"
    "machine is visible but the programs under /usr.\n"
    "\n"
    "  --image NAME       these files as the root, not the programs here;\n"
    "                     without COMMAND, what the image runs (see paddock\n"
    "                     image, and --state DIR there)\n"
    "  --dir DIR          this folder instead of the current one\n"
    "  --mount FROM:TO[:MODE]\n"
    "                     this folder as well, at the path TO inside: to be\n"
    "                     read (ro, as it is without MODE), to be written to\n"
    "                     until the end (overlay), or for good (rw). Behind\n"
    "                     MODE, ,noexec: without programs (repeated)\n"
    "  --write-back       write what was changed to the folder at the end\n"
    "  --env NAME=VALUE   set a variable inside (may be repeated)\n"
    "  --allow-read NAME  this secret may be read (.env, .ssh ...; repeated)\n"
    "  --deny-read NAME   nor may this be read: *.pem\n"
    "  --allow-write NAME this may be written though others execute it:\n"
    "                     .git/config, .vscode, .mcp.json ...\n"
    "  --deny-write NAME  nor may this be written: Makefile, /ci\n"
    "  --protect flag     such files may be written, and are told at the end\n"
    "  --memory MIB       limit of memory, files in /tmp included (2048)\n"
    "  --disk MIB         limit of files written (half the memory)\n"
    "  --pids N           limit of processes and threads (512)\n"
    "  --cpu N            limit of processor time, in processors: 1, 0.5\n"
    "  --wall SECONDS     end it after this time\n"
    "  --fake-root        be user 0 inside, of files of one user alone: for\n"
    "                     programs that unpack and install\n"
    "  --output MIB       end it when it prints more; what goes to a terminal\n"
    "                     has its control characters taken out\n"
    "  --explain          say which system calls were refused, and to whom\n"
    "  --json             one line about the end, on standard error\n"
    "\n"
    "The exit status is the command's, 128 and the signal's number when a\n"
    "signal ended it, 127 when it was not found, 1 when there was no sandbox.\n"
    "\n"
    "example: paddock exec --memory 512 --wall 60 -- python3 agent.py\n";

static int parse(int argc, char **argv, struct options *o);
static int parse_value(struct options *o, const char *name, const char *value);
static int add_rule(struct options *o, char kind, const char *pattern);
static int add_mount(struct options *o, const char *text);
/* What was planted is named up to a number. */
struct planted_lines {
	bool json;
	unsigned n;
};

static int open_mounts(
    struct sandbox_mount *mounts, const struct options *o, struct err *e);
static void close_mounts(const struct sandbox_mount *mounts, unsigned n);
static void tell_mounts(const struct options *o);
static int parse_amount(
    const char *name, const char *value, uint64_t unit, uint64_t *out);
static int usage_error(const char *fmt, const char *what);
static void fill_env(struct options *o);
static int find_folder(
    const char *dir, char path[static PATH_MAX], int *fd, struct err *e);
static int run(const struct options *o, struct err *e);
static int go_on_as_init(const char **argv, const char *const *envp);
static void tell_weaker(const struct options *o, const struct sandbox *sb);
static int watch(
    struct sandbox *sb, int signals, struct explain *x, struct err *e);
static void tell_denied(struct explain *x, int notify);
static int tell_end(const struct options *o, const struct sandbox *sb,
    const struct sandbox_end *end, uint32_t n_planted);
static int write_back(const struct options *o, const struct sandbox *sb,
    int folder, int status, struct err *e);
static void tell_planted(void *arg, const char *path);
static void tell_left_out(void *arg, enum commit_why why, const char *path);
static const char *path_inside(const struct options *o);
static void tell_json(const struct sandbox *sb, const struct sandbox_end *end,
    uint32_t n_planted, int status);

int
exec_main(int argc, char **argv, int (*init_main)(char **argv, char **envp))
{
	struct options o = { .dir = "." };
	struct err e = {};
	int r = parse(argc, argv, &o);

	if (r != -1)
		return r;
	/* Where a standard stream is closed, the next descriptor opened would
	 * take its place, and be handed to the command. */
	do {
		r = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (r >= 0 && r < 3);
	if (r >= 0)
		(void)close(r);
	fill_env(&o);
	init.main = init_main;
	init.o = &o;
	init.argv = argv;
	r = run(&o, &e);
	if (r < 0) {
		(void)fprintf(stderr, "paddock: exec: %s\n", e.text);
		return EXIT_FAILED;
	}
	return r;
}

/* -1 to go on, else the exit status or EXEC_IMAGE. */
static int
parse(int argc, char **argv, struct options *o)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		const char *name = argv[i];
		char copy[64];
		const char *value = strchr(name, '=');

		if (strcmp(name, "--") == 0) {
			i++;
			break;
		}
		if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
			(void)fputs(usage_text, stdout);
			return 0;
		}
		if (strcmp(name, "--image") == 0 ||
		    strncmp(name, "--image=", 8) == 0)
			return EXEC_IMAGE;
		if (strcmp(name, "--write-back") == 0) {
			o->write_back = true;
			continue;
		}
		if (strcmp(name, "--explain") == 0) {
			o->explain = true;
			continue;
		}
		if (strcmp(name, "--fake-root") == 0) {
			o->fake_root = true;
			continue;
		}
		if (strcmp(name, "--json") == 0) {
			o->json = true;
			continue;
		}
		if (value != NULL) {
			struct str s = { name, (size_t)(value - name) };

			if (str_copy(s, copy, sizeof(copy)) < 0)
				return usage_error("unknown option %s", name);
			name = copy;
			value++;
		} else {
			value = i + 1 < argc ? argv[++i] : NULL;
		}
		if (parse_value(o, name, value) != 0)
			return EXIT_USAGE;
	}
	if (i >= argc)
		return usage_error("no command%s", "");
	o->command = argv + i;
	return -1;
}

static int
parse_value(struct options *o, const char *name, const char *value)
{
	const struct {
		const char *name;
		uint64_t unit;
		uint64_t *out;
	} amounts[] = {
		{ "--memory", MIB, &o->limits.memory_bytes },
		{ "--disk", MIB, &o->limits.disk_bytes },
		{ "--pids", 1, &o->limits.pids_max },
		{ "--cpu", 1000, &o->limits.cpu_milli },
		{ "--wall", 1000, &o->limits.wall_ms },
		{ "--output", MIB, &o->limits.output_bytes },
	};
	static const struct {
		const char *name;
		char kind;
	} rules[] = {
		{ "--allow-read", PROTECT_ALLOW_READ },
		{ "--deny-read", PROTECT_DENY_READ },
		{ "--allow-write", PROTECT_ALLOW_WRITE },
		{ "--deny-write", PROTECT_DENY_WRITE },
	};

	for (size_t i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++) {
		if (strcmp(name, amounts[i].name) == 0)
			return parse_amount(
			    name, value, amounts[i].unit, amounts[i].out);
	}
	if (strcmp(name, "--dir") == 0 && value != NULL) {
		o->dir = value;
		return 0;
	}
	if (strcmp(name, "--mount") == 0 && value != NULL)
		return add_mount(o, value);
	if (strcmp(name, "--protect") == 0 && value != NULL) {
		o->protect.flag = strcmp(value, "flag") == 0;
		if (!o->protect.flag && strcmp(value, "deny") != 0)
			return usage_error(
			    "--protect %s: expected deny or flag", value);
		return 0;
	}
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (strcmp(name, rules[i].name) == 0 && value != NULL)
			return add_rule(o, rules[i].kind, value);
	}
	/* The large half gives these four, for --image. */
	if (strcmp(name, "--image-account") == 0 && value != NULL) {
		o->account = value;
		return 0;
	}
	if (strcmp(name, "--image-home") == 0 && value != NULL) {
		o->home = value;
		return 0;
	}
	if (strcmp(name, "--image-fd") == 0 && value != NULL) {
		uint64_t fd;

		if (str_to_u64(str_of(value), &fd) < 0 || fd < 3 ||
		    fd > INT_MAX || fcntl((int)fd, F_GETFD) < 0)
			return usage_error("--image-fd %s: not open", value);
		o->image = true;
		o->image_fd = (int)fd;
		return 0;
	}
	if (strcmp(name, "--chdir") == 0 && value != NULL && value[0] == '/') {
		o->start = value;
		return 0;
	}
	if (strcmp(name, "--env") == 0 && value != NULL) {
		if (strchr(value, '=') == NULL || value[0] == '=')
			return usage_error(
			    "--env %s: expected NAME=VALUE", value);
		if (o->n_env == ENV_MAX)
			return usage_error(
			    "too many variables at --env %s", value);
		o->env[o->n_env++] = value;
		return 0;
	}
	if (value == NULL)
		return usage_error("%s needs a value, or is unknown", name);
	return usage_error("unknown option %s", name);
}

static int
add_rule(struct options *o, char kind, const char *pattern)
{
	const char *bad = protect_pattern_bad(str_of(pattern));

	if (bad != NULL) {
		(void)fprintf(stderr, "paddock: exec: the pattern \"%s\" %s\n",
		    pattern, bad);
		return EXIT_USAGE;
	}
	if (o->protect.n == PROTECT_RULES_MAX)
		return usage_error("too many patterns at %s", pattern);
	o->rules[o->protect.n++] = (struct protect_rule){ kind, pattern };
	return 0;
}

static int
add_mount(struct options *o, const char *text)
{
	struct sandbox_mount *m = &o->mounts[o->n_mounts];
	struct err e = {};
	struct str to;

	if (o->n_mounts == MOUNTS_MAX)
		return usage_error("too many folders at --mount %s", text);
	if (mounts_parse(text, &o->mount_from[o->n_mounts], &to, m, &e) < 0) {
		(void)fprintf(stderr, "paddock: exec: --mount %s\n", e.text);
		return EXIT_USAGE;
	}
	m->to = strndup(to.p, to.n); /* kept to the end */
	if (m->to == NULL)
		return usage_error("out of memory%s", "");
	o->n_mounts++;
	return 0;
}

/* A positive number with up to three decimals where the unit allows. */
static int
parse_amount(const char *name, const char *value, uint64_t unit, uint64_t *out)
{
	struct str s = str_of(value), whole, part = STR("");
	size_t dot = str_find(s, '.');
	uint64_t a = 0, b = 0, scale = unit;

	whole = (struct str){ s.p, dot };
	if (dot < s.n)
		part = (struct str){ s.p + dot + 1, s.n - dot - 1 };
	for (size_t i = 0; i < part.n; i++)
		scale = scale % 10 == 0 ? scale / 10 : 0;
	if (value == NULL || str_to_u64(whole, &a) < 0 ||
	    (dot < s.n && (scale == 0 || str_to_u64(part, &b) < 0)) ||
	    a > UINT32_MAX || a * unit + b * scale == 0) {
		(void)fprintf(stderr,
		    "paddock: exec: %s: \"%s\" is not a number above 0%s\n",
		    name, value != NULL ? value : "",
		    unit == 1000 ? " (three decimals at most)" : "");
		return EXIT_USAGE;
	}
	*out = a * unit + b * scale;
	return 0;
}

static int
usage_error(const char *fmt, const char *what)
{
	char text[ERR_TEXT_BYTES];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)snprintf(text, sizeof(text), fmt, what);
#pragma GCC diagnostic pop
	(void)fprintf(
	    stderr, "paddock: exec: %s\nTry: paddock exec --help\n", text);
	return EXIT_USAGE;
}

/* A new environment; of the caller's only what names no secret. */
static void
fill_env(struct options *o)
{
	static const char *const fixed[] = { INSIDE_PATH, "HOME=/tmp",
		"TMPDIR=/tmp", "SHELL=/bin/sh" };
	const char *const who[] = {
		o->fake_root ? "USER=root" : "USER=agent",
		o->fake_root ? "LOGNAME=root" : "LOGNAME=agent",
	};
	static const char *const passed[] = { "TERM", "LANG", "LC_ALL", "TZ",
		"NO_COLOR" };
	static char kept[sizeof(passed) / sizeof(passed[0])][256];
	const char *all[ENV_MAX + PASSED_ON_MAX];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		all[n++] = fixed[i];
	for (size_t i = 0; i < sizeof(who) / sizeof(who[0]); i++)
		all[n++] = who[i];
	for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++) {
		const char *value = getenv(passed[i]);
		int room = (int)sizeof(kept[i]);

		if (value != NULL &&
		    snprintf(kept[i], sizeof(kept[i]), "%s=%s", passed[i],
			value) < room)
			all[n++] = kept[i];
	}
	/* The user's come last and replace earlier ones of the same name. */
	for (size_t i = 0; i < o->n_env; i++) {
		size_t len = strcspn(o->env[i], "=") + 1, at = 0;

		while (at < n && strncmp(all[at], o->env[i], len) != 0)
			at++;
		all[at] = o->env[i];
		n += at == n;
	}
	memcpy(o->env, all, n * sizeof(all[0]));
	o->env[n] = NULL;
	o->n_env = n;
}

/* The folder, and its path. */
static int
find_folder(const char *dir, char path[static PATH_MAX], int *fd, struct err *e)
{
	*fd = folder_open(AT_FDCWD, dir, "work folder", path, e);
	return *fd < 0 ? -1 : 0;
}

/* Copies them, with descriptors. */
static int
open_mounts(
    struct sandbox_mount *mounts, const struct options *o, struct err *e)
{
	char from[PATH_MAX], real[PATH_MAX];

	for (unsigned i = 0; i < o->n_mounts; i++) {
		mounts[i] = o->mounts[i];
		mounts[i].fd = -1;
		if (str_copy(o->mount_from[i], from, sizeof(from)) < 0)
			(void)err_set(e, "path over %d bytes", PATH_MAX);
		else
			mounts[i].fd =
			    folder_open(AT_FDCWD, from, "--mount", real, e);
		if (mounts[i].fd < 0) {
			close_mounts(mounts, i);
			return -1;
		}
	}
	return 0;
}

static void
close_mounts(const struct sandbox_mount *mounts, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		(void)close(mounts[i].fd); /* only a place */
}

static void
tell_mounts(const struct options *o)
{
	for (unsigned i = 0; i < o->n_mounts; i++) {
		const struct sandbox_mount *m = &o->mounts[i];

		(void)fprintf(stderr,
		    "paddock: mount (%s%s): ", mounts_mode_name(m->mode),
		    m->noexec ? ", noexec" : "");
		explain_put_text(o->mount_from[i].p); /* as it was given */
		(void)fputc('\n', stderr);
	}
}

/* The exit status, or -1. */
static int
run(const struct options *o, struct err *e)
{
	static struct sandbox_host host;
	static struct explain explain;
	char path[PATH_MAX];
	own_fd int folder = -1, self = -1, signals = -1;
	struct sandbox sb;
	struct sandbox_end end;
	struct sandbox_spec spec = {
		.argv = (const char *const *)o->command,
		.envp = o->env,
		.stdio = { 0, 1, 2 },
		.chdir_path = o->start,
		.write_back = o->write_back,
		.image = o->image,
		.image_fd = o->image_fd,
		.account = o->account,
		.home = o->home,
		.limits = o->limits,
		.explain = o->explain,
		.fake_root = o->fake_root,
		.protect = { o->rules, o->protect.n, o->protect.flag },
		.n_mounts = o->n_mounts,
		.init = go_on_as_init,
	};
	struct sandbox_mount mounts[MOUNTS_MAX];
	static struct planted planted;
	struct planted_lines tell = { .json = o->json };
	uint32_t n_planted = 0;
	sigset_t mask;
	int r;

	self = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (self < 0)
		return err_sys(e, "open /proc/self/exe");
	if (find_folder(o->dir, path, &folder, e) < 0 ||
	    sandbox_host_init(&host, self, e) < 0)
		return -1;
	if (o->explain && explain_init(&explain, o->json, e) < 0)
		return -1;
	spec.workspace_fd = folder;
	spec.workspace_path = sandbox_path_for(path);

	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGINT);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigaddset(&mask, SIGHUP);
	(void)sigaddset(&mask, SIGQUIT);
	(void)sigaddset(&mask, SIGUSR1);
	(void)sigaddset(&mask, SIGUSR2);
	(void)sigaddset(&mask, SIGPIPE);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return err_sys(e, "sigprocmask");
	signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return err_sys(e, "signalfd");

	if (open_mounts(mounts, o, e) < 0)
		return -1;
	spec.mounts = mounts;
	r = planted_begin(&planted, &spec, e);
	if (r == 0)
		r = sandbox_start(&host, &spec, &sb, e);
	close_mounts(mounts, o->n_mounts);
	if (r != 0) {
		planted_fini(&planted);
		sandbox_host_fini(&host);
		return -1;
	}
	tell_weaker(o, &sb);
	if (o->explain && !o->json)
		tell_mounts(o);
	/* While the command runs: what an earlier crash left. */
	(void)sandbox_sweep(&host);
	r = watch(&sb, signals, &explain, e);
	explain_end(&explain);
	if (r == 0)
		r = sandbox_reap(&sb, &end, e);
	if (r == 0)
		n_planted = planted_tell(&planted, tell_planted, &tell);
	if (r == 0)
		r = tell_end(o, &sb, &end, n_planted);
	if (r >= 0 && o->write_back)
		r = write_back(o, &sb, folder, r, e);
	planted_fini(&planted);
	sandbox_fini(&sb);
	sandbox_host_fini(&host);
	return r;
}

/* A limit that was asked for, and is not what was asked for. */
static void
tell_weaker(const struct options *o, const struct sandbox *sb)
{
	const struct {
		uint64_t asked;
		uint32_t wall;
		const char *option, *instead;
	} rows[] = {
		{ o->limits.memory_bytes, WALL_MEMORY | WALL_MEMORY_WATCH,
		    "--memory", "does not count what sockets hold" },
		{ o->limits.pids_max, WALL_PIDS, "--pids",
		    "bounds, and what it refuses is not counted" },
		{ o->limits.cpu_milli, WALL_CPU | WALL_CPU_SET, "--cpu",
		    "counts in whole processors" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].asked == 0 || (sb->posture & rows[i].wall) != 0)
			continue;
		(void)fprintf(stderr,
		    "paddock: exec: no group of processes can be made here: %s "
		    "%s (see paddock doctor)\n",
		    rows[i].option, rows[i].instead);
	}
}

/*
 * In the sandbox. The environment outside and the options are forgotten, but
 * for what is the command's.
 */
static int
go_on_as_init(const char **argv, const char *const *envp)
{
	for (char **s = environ; *s != NULL; s++)
		explicit_bzero(*s, strlen(*s));
	for (char **s = init.argv; s < init.o->command; s++) {
		const char *end = *s + strlen(*s);
		size_t i = 0;

		/* "NAME=VALUE", or the end of "--env=NAME=VALUE". */
		while (i < init.o->n_env &&
		    (init.o->env[i] < *s || init.o->env[i] >= end))
			i++;
		if (i == init.o->n_env)
			explicit_bzero(*s, (size_t)(end - *s));
	}
	(void)prctl(PR_SET_NAME, argv[0], 0, 0, 0); /* for those who look */
	/* It changes neither; execve wants them so. */
	return init.main((char **)(uintptr_t)argv, (char **)(uintptr_t)envp);
}

/* Until everything inside is over. */
static int
watch(struct sandbox *sb, int signals, struct explain *x, struct err *e)
{
	struct pollfd wait[4] = {
		{ .fd = sb->pidfd, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
		{ .fd = sb->control, .events = POLLIN },
		{ .fd = sb->notify, .events = POLLIN },
	};
	int64_t until_ns =
	    sb->started_ns + (int64_t)sb->limits.wall_ms * 1000 * 1000;

	while ((wait[0].revents & POLLIN) == 0) {
		struct signalfd_siginfo info;
		struct err ignored;
		int timeout = -1;

		if (sb->limits.wall_ms > 0 && sb->killed_for == LIMIT_NONE) {
			int64_t left = until_ns - clock_mono_ns();

			if (left <= 0) {
				sandbox_kill(sb, LIMIT_WALL);
				continue;
			}
			/* Rounded up, so that the last wait is not a spin. */
			left = left / (1000 * 1000) + 1;
			timeout = left > INT_MAX ? INT_MAX : (int)left;
		}
		if (poll(wait, 4, timeout) < 0 && errno != EINTR)
			return err_sys(e, "poll");
		if ((wait[3].revents & POLLIN) != 0)
			tell_denied(x, sb->notify);
		else if (wait[3].revents != 0)
			wait[3].fd = -1; /* nobody is left who could ask */
		if (wait[2].revents != 0) {
			sandbox_settle(sb);
			wait[2] = (struct pollfd){ .fd = -1 };
		}
		if ((wait[1].revents & POLLIN) == 0 ||
		    read(signals, &info, sizeof(info)) != sizeof(info))
			continue;
		/* Fails when the command has just ended: then all is over. */
		if (info.ssi_signo != SIGPIPE)
			(void)sandbox_signal(sb, (int)info.ssi_signo, &ignored);
	}
	return 0;
}

static void
tell_denied(struct explain *x, int notify)
{
	struct denied d;

	if (explain_next(x, notify, &d))
		explain_tell(x, &d);
}

/* Says why it ended, where that is not the command's own doing. */
static int
tell_end(const struct options *o, const struct sandbox *sb,
    const struct sandbox_end *end, uint32_t n_planted)
{
	const struct sandbox_limits *l = &sb->limits;
	const char *name = o->command[0];
	int status = EXIT_FAILED;

	switch (end->kind) {
	case END_EXIT:
		status = end->code;
		break;
	case END_SIGNAL:
		status = EXIT_SIGNAL + end->code;
		break;
	case END_LOST:
		status = EXIT_SIGNAL + end->code;
		(void)fputs(
		    "paddock: stopped: somebody killed the sandbox\n", stderr);
		break;
	case END_NOT_STARTED:
		status =
		    end->code == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
		(void)fprintf(stderr,
		    "paddock: exec: %s: %s (inside there is %s, the work "
		    "folder, and %s)\n",
		    name, strerror(end->code), o->image ? "the image" : "/usr",
		    path_inside(o));
		break;
	}
	switch (end->limit) {
	case LIMIT_WALL:
		(void)fprintf(stderr, "paddock: stopped: %s (limit %g s)\n",
		    sandbox_limit_name(end->limit), (double)l->wall_ms / 1000);
		break;
	case LIMIT_MEMORY:
		if (end->watched_bytes > 0) {
			(void)fprintf(stderr,
			    "paddock: stopped: %s (limit %llu MiB, %llu MiB "
			    "held)\n",
			    sandbox_limit_name(end->limit),
			    (unsigned long long)(l->memory_bytes / MIB),
			    (unsigned long long)(end->watched_bytes / MIB));
			break;
		}
		(void)fprintf(stderr,
		    "paddock: stopped: %s (limit %llu MiB, %llu killed)\n",
		    sandbox_limit_name(end->limit),
		    (unsigned long long)(l->memory_bytes / MIB),
		    (unsigned long long)end->oom_kills);
		break;
	case LIMIT_PIDS:
		(void)fprintf(stderr,
		    "paddock: limit: %s (limit %llu, %llu forks refused)\n",
		    sandbox_limit_name(end->limit),
		    (unsigned long long)l->pids_max,
		    (unsigned long long)end->pids_refused);
		break;
	case LIMIT_OUTPUT:
		(void)fprintf(stderr, "paddock: stopped: %s (limit %g MiB)\n",
		    sandbox_limit_name(end->limit),
		    (double)l->output_bytes / MIB);
		break;
	case LIMIT_NONE:
	case LIMIT_STOPPED:
	case LIMIT_COUNT:
		break;
	}
	if (o->json)
		tell_json(sb, end, n_planted, status);
	else if (n_planted > 0)
		(void)fprintf(stderr,
		    "paddock: exec: %u files that other programs execute are "
		    "new or changed: look at them before you work there\n",
		    n_planted);
	return status;
}

static void
tell_planted(void *arg, const char *path)
{
	struct planted_lines *l = arg;

	if (++l->n > COMMIT_TOLD_MAX)
		return;
	(void)fputs(
	    l->json ? "{\"planted\":\"" : "paddock: exec: planted: ", stderr);
	explain_put_text(path);
	(void)fputs(l->json ? "\"}\n" : "\n", stderr);
}

/* The exit status: what was left out is no success. */
static int
write_back(const struct options *o, const struct sandbox *sb, int folder,
    int status, struct err *e)
{
	unsigned told = 0;
	struct commit c = {
		.protect = { o->rules, o->protect.n, o->protect.flag },
		.tell = tell_left_out,
		.arg = &told,
	};

	if (sb->killed_for != LIMIT_NONE) {
		(void)fputs("paddock: exec: it was stopped: nothing is written "
			    "back\n",
		    stderr);
		return status;
	}
	if (commit_folder(&c, sb->upper, folder, e) < 0)
		return err_add(e, "not all is written back");
	if (told > COMMIT_TOLD_MAX)
		(void)fprintf(
		    stderr, "paddock: exec: ... %u files in all\n", told);
	return c.refused > 0 && status == 0 ? EXIT_FAILED : status;
}

static void
tell_left_out(void *arg, enum commit_why why, const char *path)
{
	unsigned *told = arg;

	if (++*told > COMMIT_TOLD_MAX)
		return;
	(void)fputs(why == COMMIT_FLAGGED
		? "paddock: exec: written back, and run by other programs: "
		: "paddock: exec: not written back: ",
	    stderr);
	explain_put_text(path);
	switch (why) {
	case COMMIT_PROTECTED:
		(void)fputs(
		    " (protected: see --allow-write and --allow-read)", stderr);
		break;
	case COMMIT_SPECIAL:
		(void)fputs(" (a socket, pipe or device)", stderr);
		break;
	case COMMIT_UNREADABLE:
		(void)fputs(" (its mode forbids to read it)", stderr);
		break;
	case COMMIT_FLAGGED:
		break;
	}
	(void)fputc('\n', stderr);
}

static const char *
path_inside(const struct options *o)
{
	for (size_t i = 0; i < o->n_env; i++) {
		if (strncmp(o->env[i], "PATH=", 5) == 0)
			return o->env[i];
	}
	return INSIDE_PATH;
}

static void
tell_json(const struct sandbox *sb, const struct sandbox_end *end,
    uint32_t n_planted, int status)
{
	const char *comma = "";

	(void)fprintf(stderr,
	    "{\"status\":%d,\"limit\":\"%s\",\"wall_us\":%llu,\"cpu_us\":%llu,"
	    "\"memory_max_bytes\":%llu,\"oom_kills\":%llu,"
	    "\"pids_refused\":%llu,\"planted\":%u,\"uid\":%u,\"walls\":[",
	    status, sandbox_limit_name(end->limit),
	    (unsigned long long)end->wall_ns / 1000,
	    (unsigned long long)end->cpu_ns / 1000,
	    (unsigned long long)end->memory_max_bytes,
	    (unsigned long long)end->oom_kills,
	    (unsigned long long)end->pids_refused, n_planted, sb->uid);
	for (uint32_t i = 0; i < WALL_COUNT; i++) {
		uint32_t wall = 1U << i;

		if ((sb->posture & wall) == 0)
			continue;
		(void)fprintf(
		    stderr, "%s\"%s\"", comma, sandbox_wall_name(wall));
		comma = ",";
	}
	(void)fputs("]}\n", stderr);
}
