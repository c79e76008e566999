#include "sandbox/exec_tell.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sandbox/exec.h"
#include "sandbox/explain.h"
#include "sandbox/mounts.h"

#define MIB ((uint64_t)1024 * 1024)

static void tell_json(const struct exec_options *o, const struct sandbox *sb,
    const struct sandbox_end *end, char *const from[static MOUNTS_MAX],
    uint32_t n_planted, int status);

void
exec_tell_weaker(const struct exec_options *o, const struct sandbox *sb)
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

void
exec_tell_mounts(
    const struct exec_options *o, char *const from[static MOUNTS_MAX])
{
	for (unsigned i = 0; i < o->n_mounts; i++) {
		const struct sandbox_mount *m = &o->mounts[i];

		(void)fputs("paddock: mount ", stderr);
		explain_put_text(m->to);
		(void)fprintf(stderr, " (%s%s) from ",
		    mounts_mode_name(m->mode), m->noexec ? ", noexec" : "");
		explain_put_text(from[i]);
		(void)fputc('\n', stderr);
	}
}

/* What the errno of execve(2) leaves open. */
static const char *
not_started(const char *name, int code)
{
	switch (code) {
	case ENOENT:
		return strchr(name, '/') == NULL
		    ? ""
		    : ", neither it nor the interpreter that it names";
	case ENOEXEC:
		return ", no program that this machine executes";
	case EACCES:
		return ", not marked as executable, or no file";
	default:
		return "";
	}
}

void
exec_put_text(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c != '\0';
	     c++) {
		/* In UTF-8, 0xc2 and such a byte are a control character. */
		if (*c < 0x20 || *c == 0x7f ||
		    (*c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f))
			(void)fprintf(stderr, "\\x%02x", *c);
		else
			(void)fputc(*c, stderr);
	}
}

int
exec_tell_end(const struct exec_options *o, const struct sandbox *sb,
    const struct sandbox_end *end, char *const from[static MOUNTS_MAX],
    uint32_t n_planted)
{
	const struct sandbox_limits *l = &sb->limits;
	const char *name = o->command[0];
	int status = EXEC_FAILED;

	switch (end->kind) {
	case END_EXIT:
		status = end->code;
		break;
	case END_SIGNAL:
		status = EXEC_SIGNAL + end->code;
		break;
	case END_LOST:
		status = EXEC_SIGNAL + end->code;
		(void)fputs(
		    "paddock: stopped: somebody killed the sandbox\n", stderr);
		break;
	case END_NOT_STARTED:
		status =
		    end->code == ENOENT ? EXEC_NOT_FOUND : EXEC_NOT_EXECUTABLE;
		(void)fputs("paddock: exec: ", stderr);
		exec_put_text(name);
		(void)fprintf(stderr,
		    ": %s%s (inside there is %s, the work folder, and ",
		    strerror(end->code), not_started(name, end->code),
		    o->image ? "the image" : "/usr");
		exec_put_text(exec_options_path(o));
		(void)fputs(")\n", stderr);
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
	if (end->disk_full && status != 0)
		(void)fprintf(stderr,
		    "paddock: limit: no room for files (limit %llu MiB and "
		    "%llu files, %llu MiB and %llu there)\n",
		    (unsigned long long)(l->disk_bytes / MIB),
		    (unsigned long long)l->inodes,
		    (unsigned long long)(end->disk_bytes / MIB),
		    (unsigned long long)end->inodes);
	if (o->json)
		tell_json(o, sb, end, from, n_planted, status);
	else if (n_planted > 0)
		(void)fprintf(stderr,
		    "paddock: exec: %u files that other programs execute are "
		    "new or changed: look at them before you work there\n",
		    n_planted);
	return status;
}

void
exec_tell_planted(void *arg, const char *path)
{
	struct exec_planted *l = arg;

	if (++l->n > COMMIT_TOLD_MAX)
		return;
	(void)fputs(
	    l->json ? "{\"planted\":\"" : "paddock: exec: planted: ", stderr);
	explain_put_text(path);
	(void)fputs(l->json ? "\"}\n" : "\n", stderr);
}

void
exec_tell_left_out(void *arg, enum commit_why why, const char *path)
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

static void
tell_json(const struct exec_options *o, const struct sandbox *sb,
    const struct sandbox_end *end, char *const from[static MOUNTS_MAX],
    uint32_t n_planted, int status)
{
	const char *comma = "";

	(void)fprintf(stderr,
	    "{\"status\":%d,\"limit\":\"%s\",\"wall_us\":%llu,\"cpu_us\":%llu,"
	    "\"memory_max_bytes\":%llu,\"oom_kills\":%llu,"
	    "\"pids_refused\":%llu,\"throttled_us\":%llu,\"disk_bytes\":%llu,"
	    "\"disk_full\":%s,\"planted\":%u,\"uid\":%u,\"walls\":[",
	    status, sandbox_limit_name(end->limit),
	    (unsigned long long)end->wall_ns / 1000,
	    (unsigned long long)end->cpu_ns / 1000,
	    (unsigned long long)end->memory_max_bytes,
	    (unsigned long long)end->oom_kills,
	    (unsigned long long)end->pids_refused,
	    (unsigned long long)end->throttled_ns / 1000,
	    (unsigned long long)end->disk_bytes,
	    end->disk_full ? "true" : "false", n_planted, sb->uid);
	for (uint32_t i = 0; i < WALL_COUNT; i++) {
		uint32_t wall = 1U << i;

		if ((sb->posture & wall) == 0)
			continue;
		(void)fprintf(stderr, "%s\"%s\"", comma, wall_name(wall));
		comma = ",";
	}
	(void)fputc(']', stderr);
	for (unsigned i = 0; i < o->n_mounts; i++) {
		const struct sandbox_mount *m = &o->mounts[i];

		(void)fputs(
		    i == 0 ? ",\"mounts\":[{\"from\":\"" : ",{\"from\":\"",
		    stderr);
		explain_put_text(from[i]);
		(void)fprintf(stderr, "\",\"mode\":\"%s\"%s,\"to\":\"",
		    mounts_mode_name(m->mode),
		    m->noexec ? ",\"noexec\":true" : "");
		explain_put_text(m->to);
		(void)fputs("\"}", stderr);
	}
	(void)fputs(o->n_mounts > 0 ? "]}\n" : "}\n", stderr);
}
