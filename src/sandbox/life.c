/*
 * sandbox/life.c: a sandbox from when it runs until nothing is left of it.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "sandbox/control.h"
#include "sandbox/sandbox.h"
#include "sys/fd.h"
#include "sys/tree.h"

static void measure(const struct sandbox *sb, struct sandbox_usage *out);
static bool hear_end(struct sandbox *sb, struct sandbox_end *end);
static bool is_end(uint32_t kind);
static void take_end(const struct sandbox *sb, struct sandbox_end *end,
    uint32_t kind, uint32_t value);

int
sandbox_signal(const struct sandbox *sb, int signo, struct err *e)
{
	const struct control_request r = { .signo = (uint32_t)signo };

	if (send(sb->control, &r, sizeof(r), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return err_sys(e, "pass on signal %d", signo);
	return 0;
}

int
sandbox_rpc_renew(struct sandbox *sb, struct err *e)
{
	struct control_request r = {};
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec part = { .iov_base = &r, .iov_len = sizeof(r) };
	struct msghdr m = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	own_fd int outer = -1, inner = -1;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "socketpair");
	outer = pair[0];
	inner = pair[1];
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(inner));
	memcpy(CMSG_DATA(&control.head), &inner, sizeof(inner));
	if (sendmsg(sb->control, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return err_sys(e, "give the sandbox an rpc socket");
	fd_fini(&sb->rpc);
	sb->rpc = fd_take(&outer);
	return 0;
}

void
sandbox_count(struct sandbox *sb)
{
	if (sb->pid > 0 && sb->counted_ns == 0 &&
	    cgroup_cpu_ns(&sb->cgroup) == 0)
		sb->counted_ns = tree_cpu_ns(sb->pid);
}

void
sandbox_kill(struct sandbox *sb, enum sandbox_limit why)
{
	if (sb->killed_for == LIMIT_NONE)
		sb->killed_for = why;
	/* PID 1 of a pid namespace takes everything in it along. */
	if (sb->pidfd >= 0)
		(void)syscall(
		    SYS_pidfd_send_signal, sb->pidfd, SIGKILL, NULL, 0);
	/* In v1 a frozen process dies when it is thawed, and not before. */
	if (sb->frozen)
		cgroup_thaw_killed(&sb->cgroup);
}

void
sandbox_kill_all(struct sandbox *const list[], size_t n, enum sandbox_limit why)
{
	const struct sched_param first = { .sched_priority = 1 }, none = {};
	const long before = n > 1 ? syscall(SYS_sched_getscheduler, 0) : -1;
	/* These alone have a priority of 0 to come back to; of the others one
	 * is ahead already. sched(7) */
	const bool ordinary = before == SCHED_OTHER || before == SCHED_BATCH ||
	    before == SCHED_IDLE;
	/* Who is killed wakes up to die, and would do so at once. */
	const bool ahead = ordinary &&
	    syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &first) == 0;

	for (size_t i = 0; i < n; i++)
		sandbox_kill(list[i], why);
	/* To step back takes no right. */
	must(!ahead || syscall(SYS_sched_setscheduler, 0, before, &none) == 0);
}

void
sandbox_stat(const struct sandbox *sb, struct sandbox_usage *out)
{
	measure(sb, out);
	if (out->group.cpu_ns == 0 && sb->pid > 0)
		out->group.cpu_ns = tree_cpu_ns(sb->pid);
	cgroup_pressure_read(&sb->cgroup, &out->pressure);
}

static void
measure(const struct sandbox *sb, struct sandbox_usage *out)
{
	uint64_t own_bytes = 0, own_inodes = 0;
	struct statfs fs;

	*out = (struct sandbox_usage){ .frozen = sb->frozen };
	cgroup_usage_read(&sb->cgroup, &out->group);
	if (sb->disk < 0 || fstatfs(sb->disk, &fs) < 0)
		return;
	out->disk_bytes =
	    (uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
	out->inodes = fs.f_files - fs.f_ffree;
	/* Without a group PID 1 has a file in it, which is gone at the end. */
	if ((sb->posture & WALL_MEMORY) == 0) {
		own_bytes = RPC_SHARED_BYTES;
		own_inodes = 1;
	}
	out->disk_full =
	    (uint64_t)fs.f_bfree * (uint64_t)fs.f_bsize <= own_bytes ||
	    fs.f_ffree <= own_inodes;
}

int
sandbox_io_limit(const struct sandbox *sb, int workspace_fd, struct err *e)
{
	struct stat st;

	if (fstat(workspace_fd, &st) < 0)
		return err_sys(e, "work folder");
	return cgroup_io_limit(
	    &sb->cgroup, st.st_dev, sb->limits.io_bytes_per_s, e);
}

int
sandbox_freeze(struct sandbox *sb, bool frozen, struct err *e)
{
	if (sb->frozen == frozen)
		return 0;
	if (cgroup_freeze(&sb->cgroup, frozen, e) < 0)
		return -1;
	sb->frozen = frozen;
	return 0;
}

void
sandbox_settle(struct sandbox *sb)
{
	measure(sb, &sb->used);
	cgroup_pressure_read(&sb->cgroup, &sb->used.pressure);
	sb->settled = true;
}

int
sandbox_reap(struct sandbox *sb, struct sandbox_end *end, struct err *e)
{
	const struct sandbox_usage *used = &sb->used;
	struct rusage times;
	bool heard, served;
	int status;

	*end = (struct sandbox_end){};
	while (wait4(sb->pid, &status, 0, &times) < 0) {
		if (errno != EINTR)
			return err_sys(e, "wait for the sandbox");
	}
	end->wall_ns = (uint64_t)(clock_mono_ns() - sb->started_ns);
	/* PID 1 has waited for all others: their times are in its own. */
	end->cpu_ns = ((uint64_t)times.ru_utime.tv_sec +
			  (uint64_t)times.ru_stime.tv_sec) *
		1000000000 +
	    ((uint64_t)times.ru_utime.tv_usec +
		(uint64_t)times.ru_stime.tv_usec) *
		1000;
	sb->pid = 0;
	fd_fini(&sb->pidfd);

	/* Without a report PID 1 itself was killed, or had nothing to say: it
	 * served (spec.rpc), and its caller went away. */
	served = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	end->kind = served ? END_EXIT : END_SIGNAL;
	end->code = served ? 0 : SIGKILL;
	heard = hear_end(sb, end);
	if (!sb->settled)
		sandbox_settle(sb);
	if (!heard && !served && sb->killed_for == LIMIT_NONE &&
	    used->group.oom_kills == 0)
		end->kind = END_LOST;
	/* What ended with PID 1 was waited for by nobody. */
	if (used->group.cpu_ns > end->cpu_ns)
		end->cpu_ns = used->group.cpu_ns;
	if (sb->counted_ns > end->cpu_ns)
		end->cpu_ns = sb->counted_ns;
	end->memory_max_bytes = end->watched_bytes > 0
	    ? end->watched_bytes
	    : used->group.memory_max_bytes;
	end->oom_kills = used->group.oom_kills;
	end->pids_refused = used->group.pids_refused;
	end->throttled_ns = used->group.throttled_ns;
	end->disk_bytes = used->disk_bytes;
	end->inodes = used->inodes;
	end->disk_full = used->disk_full;
	end->pressure = used->pressure;
	if (sb->killed_for != LIMIT_NONE)
		end->limit = sb->killed_for;
	if (end->limit == LIMIT_NONE && end->oom_kills > 0)
		end->limit = LIMIT_MEMORY;
	if (end->limit == LIMIT_NONE && end->pids_refused > 0)
		end->limit = LIMIT_PIDS;
	return 0;
}

void
sandbox_fini(struct sandbox *sb)
{
	if (!sb->open)
		return;
	if (sb->pid > 0) {
		sandbox_kill(sb, LIMIT_STOPPED);
		while (waitpid(sb->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	fd_fini(&sb->pidfd);
	fd_fini(&sb->control);
	fd_fini(&sb->rpc);
	fd_fini(&sb->disk);
	fd_fini(&sb->upper);
	fd_fini(&sb->notify);
	fd_fini(&sb->mount_ns);
	fd_fini(&sb->park.scratch);
	fd_fini(&sb->park.idmap);
	for (unsigned i = 0; i < SANDBOX_LISTENERS_MAX; i++)
		fd_fini(&sb->listener[i]);
	cgroup_remove(&sb->cgroup);
	*sb = (struct sandbox){
		.notify = -1,
		.pidfd = -1,
		.control = -1,
		.rpc = -1,
		.disk = -1,
		.upper = -1,
		.mount_ns = -1,
		.park = { -1, -1, 0, 0, false, 0, 0, 0 },
	};
}

/* The last report, which lies in the socket since before the end. False when
 * there is none. */
static bool
hear_end(struct sandbox *sb, struct sandbox_end *end)
{
	struct control_report r;
	bool heard = sb->has_heard;

	if (heard)
		take_end(sb, end, sb->heard.kind, sb->heard.value);
	while (recv(sb->control, &r, sizeof(r), MSG_DONTWAIT) ==
	    (ssize_t)sizeof(r)) {
		heard |= is_end(r.kind);
		take_end(sb, end, r.kind, r.value);
	}
	return heard;
}

static bool
is_end(uint32_t kind)
{
	return kind != CONTROL_BUILT && kind != CONTROL_REFUSED;
}

static void
take_end(const struct sandbox *sb, struct sandbox_end *end, uint32_t kind,
    uint32_t value)
{
	int status = (int)value;

	if (kind == CONTROL_NOT_STARTED || kind == CONTROL_FAILED) {
		end->kind = END_NOT_STARTED;
		end->code = status;
	} else if (kind == CONTROL_OUTPUT) {
		end->kind = END_SIGNAL;
		end->code = SIGKILL;
		end->limit = LIMIT_OUTPUT;
		end->output_bytes = sb->limits.output_bytes;
	} else if (kind == CONTROL_MEMORY) {
		end->kind = END_SIGNAL;
		end->code = SIGKILL;
		end->limit = LIMIT_MEMORY;
		end->watched_bytes = (uint64_t)value << 20;
	} else if (kind == CONTROL_ENDED && WIFSIGNALED(status)) {
		end->kind = END_SIGNAL;
		end->code = WTERMSIG(status);
	} else if (kind == CONTROL_ENDED) {
		end->kind = END_EXIT;
		end->code = WEXITSTATUS(status);
	}
}

bool
sandbox_refused(struct sandbox *sb, struct sandbox_refusal *out)
{
	struct control_report r;

	while (recv(sb->control, &r, sizeof(r), MSG_DONTWAIT) ==
	    (ssize_t)sizeof(r)) {
		size_t n;

		if (is_end(r.kind)) {
			sb->has_heard = true;
			sb->heard.kind = r.kind;
			sb->heard.value = r.value;
		}
		if (r.kind != CONTROL_REFUSED)
			continue;
		r.text[sizeof(r.text) - 1] = '\0';
		n = strcspn(r.text, "\n");
		out->pid = r.value;
		(void)snprintf(
		    out->who, sizeof(out->who), "%.*s", (int)n, r.text);
		(void)snprintf(out->why, sizeof(out->why), "%s",
		    r.text + n + (r.text[n] != '\0'));
		return true;
	}
	return false;
}
