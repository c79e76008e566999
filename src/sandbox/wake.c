/*
 * sandbox/wake.c: a parked sandbox gets its run.
 *
 * All walls stand already, and PID 1 has no right left, so the work folder is
 * put in from outside: the caller enters the mount namespace of the sandbox
 * for the length of a few mounts. Nothing but our own PID 1 has ever run
 * there.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/must.h"
#include "sandbox/build.h"
#include "sandbox/control.h"
#include "sys/fd.h"
#include "sys/mount.h"

static int check(const struct sandbox *sb, const struct sandbox_spec *spec,
    const struct build *b, struct err *e);
static int add_mounts(const struct sandbox *sb, struct build *b, struct err *e);
static int check_folder(
    const struct sandbox *sb, struct build *b, struct err *e);
static int copy_work(struct build *b, int *work, struct err *e);
static int send_wake(
    struct sandbox *sb, const struct sandbox_spec *spec, struct err *e);
static void add_words(
    struct buf *out, const char *const *words, uint32_t *count);

int
sandbox_wake(const struct sandbox_host *h, struct sandbox *sb,
    const struct sandbox_spec *spec, struct err *e)
{
	const struct control_request go = {};
	struct sandbox_spec s = *spec;
	struct build b = {
		.host = h,
		.spec = &s,
		.uid = sb->uid,
		.gid = sb->uid,
		.idmap = sb->park.idmap,
		.upper = sb->upper,
		.scratch = sb->park.scratch,
		.layered = true,
		.posture = sb->posture,
	};

	if (s.workspace_path == NULL)
		s.workspace_path = "/workspace";
	if (s.chdir_path == NULL)
		s.chdir_path = s.workspace_path;
	b.workspace_path = s.workspace_path;
	/* While it gets ready the folder is made. */
	if (check(sb, &s, &b, e) < 0 || send_wake(sb, &s, e) < 0)
		return -1;
	if (s.workspace_fd >= 0 || sb->park.placed || s.trust.n > 0 ||
	    s.n_files > 0) {
		int r = add_mounts(sb, &b, e);

		sb->park.idmap = b.idmap; /* which it may have closed */
		sb->upper = b.upper;
		if (r < 0)
			return -1;
	}
	sb->posture = b.posture;
	if (build_check_posture(sb->posture, &s, &sb->limits, e) < 0)
		return -1;
	if (send(sb->control, &go, sizeof(go), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return err_sys(e, "let the sandbox go on");
	sb->started_ns = clock_mono_ns();
	fd_fini(&sb->park.scratch);
	fd_fini(&sb->park.idmap);
	return 0;
}

static int
check(const struct sandbox *sb, const struct sandbox_spec *s,
    const struct build *b, struct err *e)
{
	if (sb->park.scratch < 0)
		return err_set(e, "the sandbox is not parked");
	if (s->argv == NULL ? !s->rpc
			    : s->argv[0] == NULL || s->argv[0][0] == '\0')
		return err_set(e, "no command");
	if (sandbox_path_for(s->workspace_path) != s->workspace_path)
		return err_set(e,
		    "work folder inside: %s is taken, or no absolute path",
		    s->workspace_path);
	for (int i = 0; i < 3; i++) {
		if (s->stdio[i] < 0)
			continue;
		if (build_check_stream(i, s->stdio[i], b, e) < 0)
			return -1;
	}
	return 0;
}

static int
add_mounts(const struct sandbox *sb, struct build *b, struct err *e)
{
	const bool folder = b->spec->workspace_fd >= 0;
	own_fd int work = -1;
	mode_t mask;
	int r = 0;

	if (sb->park.placed && !folder)
		return err_set(e, "parked over a folder that is not used");
	if (folder &&
	    (check_folder(sb, b, e) < 0 ||
		(!sb->park.placed && copy_work(b, &work, e) < 0)))
		return err_add(e, "work folder");
	if (setns(sb->mount_ns, CLONE_NEWNS) < 0)
		return err_sys(e, "enter the mount namespace");
	mask = umask(0);
	if (folder)
		r = sb->park.placed ? root_guard_work(b, e)
				    : root_add_work(b, fd_take(&work), e);
	if (r < 0)
		(void)err_add(e, "work folder");
	if (r == 0)
		r = root_add_trust(b, "/", e);
	(void)umask(mask);
	/* There is no working on from the wrong place. */
	must(setns(b->host->mount_ns, CLONE_NEWNS) == 0);
	return r;
}

static int
check_folder(const struct sandbox *sb, struct build *b, struct err *e)
{
	if (fstat(b->spec->workspace_fd, &b->workspace) < 0)
		return err_sys(e, "fstat");
	if (!S_ISDIR(b->workspace.st_mode))
		return err_set(e, "not a directory");
	/* It was parked for another owner: his is no other's. */
	if (b->workspace.st_uid != sb->park.owner ||
	    b->workspace.st_gid != sb->park.group)
		return err_set(e, "not the owner that was expected");
	if (sb->park.placed &&
	    (b->workspace.st_dev != sb->park.dev ||
		b->workspace.st_ino != sb->park.ino ||
		b->workspace.st_mode != sb->park.mode))
		return err_set(e, "not the folder that was expected");
	return 0;
}

static int
copy_work(struct build *b, int *work, struct err *e)
{
	*work = root_copy_work(b, b->spec->workspace_fd, e);
	return *work < 0 ? -1 : 0;
}

static int
send_wake(struct sandbox *sb, const struct sandbox_spec *spec, struct err *e)
{
	struct control_wake wake = { .explain = spec->explain };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * 3)];
	} control = {};
	own_buf struct buf text = {};
	struct iovec part[2] = {
		{ .iov_base = &wake, .iov_len = sizeof(wake) },
	};
	struct msghdr m = {
		.msg_iov = part,
		.msg_iovlen = 2,
	};
	size_t n = 0;
	int fd[3];

	buf_add(&text, spec->workspace_path, strlen(spec->workspace_path) + 1);
	buf_add(&text, spec->chdir_path, strlen(spec->chdir_path) + 1);
	add_words(&text, spec->argv, &wake.argc);
	add_words(&text, spec->envp, &wake.envc);
	if (text.failed || sizeof(wake) + text.n > CONTROL_WAKE_BYTES)
		return err_set(
		    e, "the command is over %d bytes long", CONTROL_WAKE_BYTES);
	part[1].iov_base = text.p;
	part[1].iov_len = text.n;
	for (int i = 0; i < 3; i++) {
		if (spec->stdio[i] < 0)
			continue;
		wake.streams |= 1U << i;
		fd[n++] = spec->stdio[i];
	}
	if (n > 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = (socklen_t)CMSG_SPACE(n * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = (socklen_t)CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fd, n * sizeof(int));
	}
	if (sendmsg(sb->control, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return err_sys(e, "wake the sandbox");
	return 0;
}

static void
add_words(struct buf *out, const char *const *words, uint32_t *count)
{
	for (; words != NULL && words[*count] != NULL; (*count)++)
		buf_add(out, words[*count], strlen(words[*count]) + 1);
}
