#include "sandbox/exec_options.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/exec.h"
#include "sandbox/exec_tell.h"
#include "sandbox/mounts.h"

#define MIB ((uint64_t)1024 * 1024)

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
    "  --memory MIB       limit of memory, files in /tmp included (2048,\n"
    "                     or half of the machine's)\n"
    "  --disk MIB         limit of files written (half the memory)\n"
    "  --pids N           limit of processes and threads (512)\n"
    "  --open-files N     limit of open files of each process (1024)\n"
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

static int parse_value(
    struct exec_options *o, const char *name, const char *value);
static int add_rule(struct exec_options *o, char kind, const char *pattern);
static int add_mount(struct exec_options *o, const char *text);
static int parse_amount(
    const char *name, const char *value, uint64_t unit, uint64_t *out);
static int usage_error(const char *fmt, const char *what);
static void fill_env(struct exec_options *o);

int
exec_options_parse(int argc, char **argv, struct exec_options *o)
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
			return EXEC_USAGE;
	}
	if (i >= argc)
		return usage_error("no command%s", "");
	o->command = argv + i;
	fill_env(o);
	return -1;
}

const char *
exec_options_path(const struct exec_options *o)
{
	for (size_t i = 0; i < o->n_env; i++) {
		if (strncmp(o->env[i], "PATH=", 5) == 0)
			return o->env[i];
	}
	return EXEC_PATH;
}

static int
parse_value(struct exec_options *o, const char *name, const char *value)
{
	const struct {
		const char *name;
		uint64_t unit;
		uint64_t *out;
	} amounts[] = {
		{ "--memory", MIB, &o->limits.memory_bytes },
		{ "--disk", MIB, &o->limits.disk_bytes },
		{ "--pids", 1, &o->limits.pids_max },
		{ "--open-files", 1, &o->limits.nofile },
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
		if (o->n_env == EXEC_ENV_MAX)
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
add_rule(struct exec_options *o, char kind, const char *pattern)
{
	const char *bad = protect_pattern_bad(str_of(pattern));

	if (bad != NULL) {
		(void)fprintf(stderr, "paddock: exec: the pattern \"%s\" %s\n",
		    pattern, bad);
		return EXEC_USAGE;
	}
	if (o->protect.n == PROTECT_RULES_MAX)
		return usage_error("too many patterns at %s", pattern);
	o->rules[o->protect.n++] = (struct protect_rule){ kind, pattern };
	return 0;
}

static int
add_mount(struct exec_options *o, const char *text)
{
	struct sandbox_mount *m = &o->mounts[o->n_mounts];
	struct err e = {};
	struct str to;

	if (o->n_mounts == MOUNTS_MAX)
		return usage_error("too many folders at --mount %s", text);
	if (mounts_parse(text, &o->mount_from[o->n_mounts], &to, m, &e) < 0) {
		(void)fputs("paddock: exec: --mount ", stderr);
		exec_put_text(e.text);
		(void)fputc('\n', stderr);
		return EXEC_USAGE;
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
		(void)fprintf(stderr, "paddock: exec: %s: \"", name);
		exec_put_text(value != NULL ? value : "");
		(void)fprintf(stderr,
		    "\" is not a number above 0 and at most %u%s\n", UINT32_MAX,
		    unit == 1000 ? " (three decimals at most)" : "");
		return EXEC_USAGE;
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
	(void)fputs("paddock: exec: ", stderr);
	exec_put_text(text);
	(void)fputs("\nTry: paddock exec --help\n", stderr);
	return EXEC_USAGE;
}

/* A new environment; of the caller's only what names no secret. */
static void
fill_env(struct exec_options *o)
{
	static const char *const fixed[] = { EXEC_PATH, "HOME=/tmp",
		"TMPDIR=/tmp", "SHELL=/bin/sh" };
	const char *const who[] = {
		o->fake_root ? "USER=root" : "USER=agent",
		o->fake_root ? "LOGNAME=root" : "LOGNAME=agent",
	};
	static const char *const passed[] = { "TERM", "LANG", "LC_ALL", "TZ",
		"NO_COLOR" };
	static char kept[sizeof(passed) / sizeof(passed[0])][256];
	const char *all[EXEC_ENV_MAX + EXEC_ENV_PASSED_ON_MAX];
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
