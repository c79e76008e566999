#include "sandbox/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "sandbox/audit.h"
#include "sandbox/commit.h"
#include "sandbox/exec_options.h"
#include "sandbox/exec_tell.h"
#include "sandbox/explain.h"
#include "sandbox/folder.h"
#include "sandbox/planted.h"
#include "sandbox/sandbox.h"
#include "sys/audit.h"
#include "sys/fd.h"
#include "sys/signals.h"

/* What the copy of this process that becomes PID 1 needs. */
static struct {
	int (*main)(char **argv, char **envp);
	const struct exec_options *o;
	char **argv;
} init;

static int run(const struct exec_options *o, struct err *e);
static int find_folder(
    const char *dir, char path[static PATH_MAX], int *fd, struct err *e);
static int open_mounts(struct sandbox_mount *mounts,
    char *at[static MOUNTS_MAX], const struct exec_options *o, struct err *e);
static void close_mounts(const struct sandbox_mount *mounts, unsigned n);
static int go_on_as_init(const char **argv, const char *const *envp);
static int watch(struct sandbox *sb, int signals, struct explain *x,
    struct audit_reader *audit, struct err *e);
static void tell_denied(struct explain *x, int notify);
static void hear_audit(struct audit_reader *audit, int binary);
static bool tell_audit(
    const struct explain *x, struct audit_reader *audit, pid_t maker);
static void tell_late(
    const struct explain *x, struct audit_reader *audit, pid_t maker);
static int write_back(const struct exec_options *o, const struct sandbox *sb,
    int folder, int status, struct err *e);

int
exec_main(int argc, char **argv, int (*init_main)(char **argv, char **envp))
{
	struct exec_options o = { .dir = "." };
	struct err e = {};
	int r = exec_options_parse(argc, argv, &o);

	if (r != -1)
		return r;
	/* Where a standard stream is closed, the next descriptor opened would
	 * take its place, and be handed to the command. */
	do {
		r = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (r >= 0 && r < 3);
	if (r >= 0)
		(void)close(r);
	init.main = init_main;
	init.o = &o;
	init.argv = argv;
	r = run(&o, &e);
	if (r < 0) {
		(void)fputs("paddock: exec: ", stderr);
		exec_put_text(e.text);
		(void)fputc('\n', stderr);
		return EXEC_FAILED;
	}
	return r;
}

/* The folder, and its path. */
static int
find_folder(const char *dir, char path[static PATH_MAX], int *fd, struct err *e)
{
	*fd = folder_open(AT_FDCWD, dir, "work folder", path, e);
	return *fd < 0 ? -1 : 0;
}

/* Copies them, with descriptors, and where each is. */
static int
open_mounts(struct sandbox_mount *mounts, char *at[static MOUNTS_MAX],
    const struct exec_options *o, struct err *e)
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
		at[i] = strdup(real); /* kept to the end */
		must(at[i] != NULL);
	}
	return 0;
}

static void
close_mounts(const struct sandbox_mount *mounts, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		(void)close(mounts[i].fd); /* only a place */
}

/* The exit status, or -1. */
static int
run(const struct exec_options *o, struct err *e)
{
	static struct sandbox_host host;
	static struct explain explain;
	char path[PATH_MAX];
	own_fd int folder = -1, self = -1, signals = -1;
	struct audit_reader audit = { .fd = -1 };
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
	static char *from[MOUNTS_MAX];
	struct exec_planted tell = { .json = o->json };
	uint32_t n_planted = 0;
	int r;

	self = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (self < 0)
		return err_sys(e, "open /proc/self/exe");
	if (find_folder(o->dir, path, &folder, e) < 0 ||
	    sandbox_host_init(&host, self, e) < 0)
		return -1;
	if (o->explain && explain_init(&explain, o->json, e) < 0)
		return -1;
	if (o->explain)
		hear_audit(&audit, self);
	spec.workspace_fd = folder;
	spec.workspace_path = sandbox_path_for(path);

	signals = signals_fd((const int[]){ SIGINT, SIGTERM, SIGHUP, SIGQUIT,
				 SIGUSR1, SIGUSR2, SIGPIPE, 0 },
	    e);
	if (signals < 0)
		return -1;

	if (open_mounts(mounts, from, o, e) < 0)
		return -1;
	spec.mounts = mounts;
	r = planted_begin(&planted, &spec, e);
	if (r == 0)
		r = sandbox_start(&host, &spec, &sb, e);
	close_mounts(mounts, o->n_mounts);
	if (r != 0) {
		planted_fini(&planted);
		audit_reader_end(&audit);
		sandbox_host_fini(&host);
		return -1;
	}
	exec_tell_weaker(o, &sb);
	if (o->explain && !o->json)
		exec_tell_mounts(o, from);
	/* While the command runs: what an earlier crash left. */
	(void)sandbox_sweep(&host);
	r = watch(&sb, signals, &explain, &audit, e);
	tell_late(&explain, &audit, sb.pid);
	explain_end(&explain);
	if (r == 0)
		r = sandbox_reap(&sb, &end, e);
	if (r == 0)
		n_planted = planted_tell(&planted, exec_tell_planted, &tell);
	if (r == 0)
		r = exec_tell_end(o, &sb, &end, from, n_planted);
	if (r >= 0 && o->write_back)
		r = write_back(o, &sb, folder, r, e);
	planted_fini(&planted);
	sandbox_fini(&sb);
	sandbox_host_fini(&host);
	return r;
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
watch(struct sandbox *sb, int signals, struct explain *x,
    struct audit_reader *audit, struct err *e)
{
	struct pollfd wait[5] = {
		{ .fd = sb->pidfd, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
		{ .fd = sb->control, .events = POLLIN },
		{ .fd = sb->notify, .events = POLLIN },
		{ .fd = audit->fd, .events = POLLIN },
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
				sandbox_count(sb);
				sandbox_kill(sb, LIMIT_WALL);
				continue;
			}
			/* Rounded up, so that the last wait is not a spin. */
			left = left / (1000 * 1000) + 1;
			timeout = left > INT_MAX ? INT_MAX : (int)left;
		}
		if (poll(wait, 5, timeout) < 0 && errno != EINTR)
			return err_sys(e, "poll");
		if ((wait[3].revents & POLLIN) != 0)
			tell_denied(x, sb->notify);
		else if (wait[3].revents != 0)
			wait[3].fd = -1; /* nobody is left who could ask */
		if (wait[4].revents != 0 && !tell_audit(x, audit, sb->pid))
			wait[4].fd = -1;
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

/* Where auditing is off, or not for us, there is no reader, and nothing is told
 * of Landlock: docs/DENIALS.md. */
static void
hear_audit(struct audit_reader *audit, int binary)
{
	struct err ignored;
	own_fd int records = audit_open(&ignored);

	if (records >= 0)
		(void)audit_reader_start(audit, binary, records, &ignored);
}

/* What there is of this sandbox, whose domain its PID 1 has made. False when
 * there will be no more. */
static bool
tell_audit(const struct explain *x, struct audit_reader *audit, pid_t maker)
{
	struct audit_denied a;
	struct denied d;
	int r;

	while ((r = audit_reader_next(audit, &a)) > 0) {
		if (a.maker != (uint32_t)maker)
			continue;
		audit_denied_take(&a, &d);
		explain_tell(x, &d);
	}
	if (r < 0)
		audit_reader_end(audit);
	return r == 0;
}

/* The kernel tells of the last accesses some moments after them. */
static void
tell_late(const struct explain *x, struct audit_reader *audit, pid_t maker)
{
	const int64_t until_ms =
	    clock_mono_ns() / 1000000 + 2LL * AUDIT_WAIT_MS;
	struct pollfd wait = { .fd = audit->fd, .events = POLLIN };
	int64_t left_ms;

	while (audit->fd >= 0 &&
	    (left_ms = until_ms - clock_mono_ns() / 1000000) > 0 &&
	    (poll(&wait, 1, (int)left_ms) >= 0 || errno == EINTR)) {
		if (!tell_audit(x, audit, maker))
			return;
	}
	audit_reader_end(audit);
}

/* The exit status: what was left out is no success. */
static int
write_back(const struct exec_options *o, const struct sandbox *sb, int folder,
    int status, struct err *e)
{
	unsigned told = 0;
	struct commit c = {
		.protect = { o->rules, o->protect.n, o->protect.flag },
		.tell = exec_tell_left_out,
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
	return c.refused > 0 && status == 0 ? EXEC_FAILED : status;
}
