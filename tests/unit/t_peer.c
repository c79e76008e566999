#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "ipc/peer.h"
#include "sys/fd.h"

enum {
	LIMIT_MS = 5000,
	MANY_FDS = IPC_MAX_FDS + 1,
};

/* A broker that hears a gateway; the gateway's end is a bare socket. */
static struct rig {
	struct loop *loop;
	struct peer peer;
	struct loop_timer limit;
	int other; /* the bare end */
	int n_frames, n_gone;
	uint16_t type;
	uint32_t call;
	size_t payload_n;
	unsigned char first, last;
	size_t n_fds;
	int kept; /* a descriptor that the handler took */
	char why[256];
	int before; /* descriptors that were open */
} rig;

static int
open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	assert_int_equal(closedir(d), 0);
	return n;
}

static void
on_frame(struct peer *p, const struct frame *f)
{
	const struct msg_gone *m = f->body;

	(void)p;
	assert_int_equal((uintptr_t)f->body % 8, 0);
	rig.n_frames++;
	rig.type = f->type;
	rig.call = (uint32_t)m->call;
	rig.payload_n = f->payload.n;
	if (f->payload.n > 0) {
		rig.first = (unsigned char)f->payload.p[0];
		rig.last = (unsigned char)f->payload.p[f->payload.n - 1];
	}
	rig.n_fds = f->n_fds;
	if (f->n_fds > 0)
		rig.kept = fd_take(&f->fds[0]);
	loop_stop(rig.loop);
}

static void
on_gone(struct peer *p, const char *why)
{
	assert_false(peer_is_open(p));
	rig.n_gone++;
	(void)snprintf(rig.why, sizeof(rig.why), "%s", why);
	loop_stop(rig.loop);
}

static void
on_limit(struct loop_timer *t)
{
	(void)t;
	fail_msg("nothing has arrived");
}

static int
start(void **state)
{
	struct err e = {};
	int pair[2];

	(void)state;
	rig = (struct rig){ .kept = -1, .before = open_fds() };
	rig.loop = loop_new(&e);
	assert_non_null(rig.loop);
	rig.peer = (struct peer){ .self = ROLE_BROKER,
		.other = ROLE_GATEWAY,
		.loop = rig.loop,
		.on_frame = on_frame,
		.on_gone = on_gone };
	peer_init(&rig.peer);
	assert_int_equal(peer_pair(pair, &e), 0);
	assert_int_equal(fcntl(pair[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(pair[1], F_GETFD), FD_CLOEXEC);
	rig.other = pair[1];
	assert_int_equal(peer_open_take(&rig.peer, pair[0], &e), 0);
	rig.limit.on_time = on_limit;
	return 0;
}

/* Whatever a test did, no descriptor is left. */
static int
stop(void **state)
{
	(void)state;
	peer_close(&rig.peer);
	fd_fini(&rig.other);
	fd_fini(&rig.kept);
	loop_free(rig.loop);
	assert_int_equal(open_fds(), rig.before);
	return 0;
}

/* Runs the loop until a frame or the end of the link. */
static void
run(void)
{
	struct err e = {};

	loop_timer_set(rig.loop, &rig.limit,
	    clock_mono_ns() + (int64_t)LIMIT_MS * 1000000);
	assert_int_equal(loop_run(rig.loop, NULL, NULL, &e), 0);
	loop_timer_clear(rig.loop, &rig.limit);
}

static void
send_raw(const void *p, size_t n, const int *fds, size_t n_fds)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * MANY_FDS)];
		struct cmsghdr align;
	} control = {};
	char copy[64 * 1024];
	struct iovec iov = { copy, n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	assert_true(n <= sizeof(copy) && n_fds <= MANY_FDS);
	if (n > 0)
		memcpy(copy, p, n);
	if (n_fds > 0) {
		struct cmsghdr *c;

		m.msg_control = control.space;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	assert_int_equal(
	    sendmsg(rig.other, &m, MSG_NOSIGNAL | MSG_DONTWAIT), (ssize_t)n);
}

/* Head, body of zeros but for a first word, payload of 'p'. */
static size_t
put_frame(char *out, struct msg_head h, size_t body_n, size_t payload_n)
{
	uint64_t call = 77;

	memcpy(out, &h, sizeof(h));
	memset(out + sizeof(h), 0, body_n);
	if (body_n >= sizeof(call))
		memcpy(out + sizeof(h), &call, sizeof(call));
	memset(out + sizeof(h) + body_n, 'p', payload_n);
	return sizeof(h) + body_n + payload_n;
}

static int
memfd_of(size_t n, unsigned seals)
{
	int fd = memfd_create("t_peer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char *p = malloc(n);

	assert_true(fd >= 0 && p != NULL);
	memset(p, 'm', n);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	free(p);
	if (seals != 0)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static const unsigned all_seals =
    F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

static void
a_frame_arrives_with_payload_and_descriptors(void **state)
{
	struct msg_head h = { .type = MSG_API, .payload = 5 };
	int fds[3] = { 0, 1, 2 };
	char bytes[256];
	size_t n = put_frame(bytes, h, sizeof(struct msg_api), 5);

	(void)state;
	send_raw(bytes, n, fds, 3);
	run();
	assert_int_equal(rig.n_frames, 1);
	assert_int_equal(rig.type, MSG_API);
	assert_int_equal(rig.call, 77);
	assert_int_equal(rig.payload_n, 5);
	assert_int_equal(rig.n_fds, 3);
	assert_true(rig.kept > 2); /* taken; the others are closed */
	assert_int_equal(fcntl(rig.kept, F_GETFD), FD_CLOEXEC);
}

static void
a_sealed_memfd_is_a_payload(void **state)
{
	struct msg_head h = {
		.type = MSG_TOOL_CALL, .flags = MSG_MEMFD, .payload = 100000
	};
	char bytes[256];
	size_t n = put_frame(bytes, h, sizeof(struct msg_tool_call), 0);
	int fd = memfd_of(100000, all_seals);

	(void)state;
	send_raw(bytes, n, &fd, 1);
	fd_fini(&fd);
	run();
	assert_int_equal(rig.n_frames, 1);
	assert_int_equal(rig.payload_n, 100000);
	assert_int_equal(rig.first, 'm');
	assert_int_equal(rig.last, 'm');
	assert_int_equal(rig.n_fds, 0);
}

/* One frame that breaks one rule ends the link, and says which rule. */
static void
the_first_violation_ends_the_link(void **state)
{
	enum { TOOL = sizeof(struct msg_tool_call) };
	static const struct {
		const char *why; /* part of what on_gone is told */
		struct msg_head h;
		size_t body_n, payload_n;
		size_t cut; /* bytes left out at the end */
		size_t fds;
	} rows[] = {
		{ "may not send", { MSG_WORLD_RESULT, 0, 0 }, 24, 0, 0, 0 },
		{ "may not send", { MSG_READY, 0, 0 }, 8, 0, 0, 0 },
		{ "may not send", { MSG_REPLY, 0, 0 }, 16, 0, 0, 0 },
		{ "may not send", { 0, 0, 0 }, 8, 0, 0, 0 },
		{ "unknown", { MSG_TYPES, 0, 0 }, 8, 0, 0, 0 },
		{ "unknown", { UINT16_MAX, 0, 0 }, 8, 0, 0, 0 },
		{ "unknown flags", { MSG_GONE, 2, 0 }, 8, 0, 0, 0 },
		{ "unknown flags", { MSG_GONE, 0x8000, 0 }, 8, 0, 0, 0 },
		{ "shorter than its head", { MSG_GONE, 0, 0 }, 0, 0, 7, 0 },
		{ "shorter than its head", { MSG_GONE, 0, 0 }, 0, 0, 1, 0 },
		{ "body of 0", { MSG_GONE, 0, 0 }, 0, 0, 0, 0 },
		{ "body of 7", { MSG_GONE, 0, 0 }, 8, 0, 1, 0 },
		{ "body of 9", { MSG_GONE, 0, 0 }, 9, 0, 0, 0 },
		{ "payload of 1", { MSG_GONE, 0, 1 }, 8, 1, 0, 0 },
		{ "shorter than its payload", { MSG_TOOL_CALL, 0, 500 }, TOOL,
		    100, 0, 0 },
		{ "shorter than its payload", { MSG_TOOL_CALL, 0, UINT32_MAX },
		    TOOL, 4, 0, 0 },
		{ "body of", { MSG_TOOL_CALL, 0, 100 }, TOOL, 101, 0, 0 },
		{ "body of", { MSG_TOOL_CALL, 0, 100 }, TOOL, 99, 0, 0 },
		{ "frame over the limit", { MSG_TOOL_CALL, 0, 33000 }, TOOL,
		    33000, 0, 0 },
		{ "1 descriptors", { MSG_GONE, 0, 0 }, 8, 0, 0, 1 },
		{ "13 descriptors", { MSG_API, 0, 0 }, sizeof(struct msg_api),
		    0, 0, 13 },
		{ "16 descriptors", { MSG_API, 0, 0 }, sizeof(struct msg_api),
		    0, 0, IPC_MAX_FDS },
		{ "frame over the limit", { MSG_API, 0, 0 },
		    sizeof(struct msg_api), 0, 0, MANY_FDS },
		{ "without its payload", { MSG_TOOL_CALL, MSG_MEMFD, 10 }, TOOL,
		    0, 0, 0 },
		{ "F_GET_SEALS", { MSG_TOOL_CALL, MSG_MEMFD, 10 }, TOOL, 0, 0,
		    1 },
		{ "payload of 4194305",
		    { MSG_TOOL_CALL, MSG_MEMFD, IPC_MAX_PAYLOAD_BYTES + 1 },
		    TOOL, 0, 0, 1 },
		{ "end of file", { 0, 0, 0 }, 0, 0, 8, 2 },
	};
	char *bytes = malloc(64 * 1024);

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fds[MANY_FDS];
		size_t n = put_frame(
		    bytes, rows[i].h, rows[i].body_n, rows[i].payload_n);

		for (int k = 0; k < MANY_FDS; k++)
			fds[k] = STDERR_FILENO;
		send_raw(bytes, n - rows[i].cut, fds, rows[i].fds);
		run();
		assert_int_equal(rig.n_frames, 0);
		assert_int_equal(rig.n_gone, 1);
		if (strstr(rig.why, rows[i].why) == NULL)
			fail_msg("row %zu: \"%s\" does not say \"%s\"", i,
			    rig.why, rows[i].why);
		assert_int_equal(stop(NULL), 0);
		assert_int_equal(start(NULL), 0);
	}
	free(bytes);
}

static void
a_memfd_that_can_change_or_lies_is_no_payload(void **state)
{
	static const struct {
		const char *why;
		unsigned seals;
		size_t n;
		uint32_t said;
	} rows[] = {
		{ "no seal", 0, 40000, 40000 },
		{ "may shrink", F_SEAL_WRITE, 40000, 40000 },
		{ "may be written", F_SEAL_SHRINK | F_SEAL_GROW, 40000, 40000 },
		{ "shorter than said", 15, 39999, 40000 },
		{ "longer than said", 15, 40001, 40000 },
		{ "over the limit", 15, IPC_MAX_PAYLOAD_BYTES + 1, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct msg_head h = {
			.type = MSG_TOOL_CALL,
			.flags = MSG_MEMFD,
			.payload = rows[i].said,
		};
		char bytes[256];
		size_t n = put_frame(bytes, h, sizeof(struct msg_tool_call), 0);
		int fd = memfd_of(rows[i].n, rows[i].seals);

		send_raw(bytes, n, &fd, 1);
		fd_fini(&fd);
		run();
		assert_int_equal(rig.n_frames, 0);
		assert_int_equal(rig.n_gone, 1);
		assert_int_equal(stop(NULL), 0);
		assert_int_equal(start(NULL), 0);
	}
}

static void
the_end_of_the_other_is_told_once(void **state)
{
	struct msg_reply m = { .call = 1 };

	(void)state;
	assert_false(peer_at_end(&rig.peer));
	fd_fini(&rig.other);
	assert_true(peer_at_end(&rig.peer));
	/* Sending tells nothing but -1; the loop tells the rest. */
	assert_int_equal(
	    peer_send(&rig.peer, MSG_REPLY, &m, STR("{}"), NULL, 0), -1);
	assert_int_equal(rig.n_gone, 0);
	run();
	assert_int_equal(rig.n_gone, 1);
	assert_false(peer_is_open(&rig.peer));
	assert_int_equal(
	    peer_send(&rig.peer, MSG_REPLY, &m, STR("{}"), NULL, 0), -1);
	assert_int_equal(rig.n_gone, 1);
}

static void
what_is_sent_before_the_end_is_still_heard(void **state)
{
	struct msg_head h = { .type = MSG_GONE };
	char bytes[64];
	size_t n = put_frame(bytes, h, sizeof(struct msg_gone), 0);

	(void)state;
	send_raw(bytes, n, NULL, 0);
	fd_fini(&rig.other);
	assert_true(peer_at_end(&rig.peer));
	run();
	assert_int_equal(rig.n_frames, 1);
	if (rig.n_gone == 0)
		run();
	assert_int_equal(rig.n_gone, 1);
}

static void
a_large_payload_travels_sealed(void **state)
{
	struct msg_reply m = { .call = 9 };
	own_buf struct buf big = {};
	own_buf struct buf got = {};
	union {
		char space[CMSG_SPACE(sizeof(int) * IPC_MAX_FDS)];
		struct cmsghdr align;
	} control;
	char bytes[IPC_MAX_FRAME_BYTES];
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr in = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	struct msg_head h;
	struct err e = {};
	int fd;

	(void)state;
	for (int i = 0; i < 50000; i++)
		buf_add_byte(&big, 'b');
	assert_int_equal(
	    peer_send(&rig.peer, MSG_REPLY, &m, buf_str(&big), NULL, 0), 0);
	assert_int_equal(
	    recvmsg(rig.other, &in, MSG_CMSG_CLOEXEC), sizeof(h) + sizeof(m));
	memcpy(&h, bytes, sizeof(h));
	assert_int_equal(h.flags, MSG_MEMFD);
	assert_int_equal(h.payload, 50000);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&in)), sizeof(fd));
	assert_int_equal(fcntl(fd, F_GET_SEALS) & (int)all_seals, all_seals);
	assert_int_equal(fd_read_sealed(fd, &got, 50000, &e), 0);
	assert_true(str_eq(buf_str(&got), buf_str(&big)));
	fd_fini(&fd);
}

/* Reads one frame at the bare end; false when nothing is there. */
static bool
take_one(uint64_t *call)
{
	char bytes[IPC_MAX_FRAME_BYTES];
	ssize_t n = recv(rig.other, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < (ssize_t)(sizeof(struct msg_head) + sizeof(*call)))
		return false;
	memcpy(call, bytes + sizeof(struct msg_head), sizeof(*call));
	return true;
}

static void
what_the_other_does_not_take_waits_in_order(void **state)
{
	static char payload[30000];
	struct str text = { payload, sizeof(payload) };
	uint64_t call = 0, next = 1;

	(void)state;
	memset(payload, 'q', sizeof(payload));
	for (uint64_t i = 1; i <= 200; i++) {
		struct msg_reply m = { .call = i };

		assert_int_equal(
		    peer_send(&rig.peer, MSG_REPLY, &m, text, NULL, 0), 0);
	}
	assert_true(rig.peer.queued_bytes > 0);
	while (next <= 200) {
		while (take_one(&call))
			assert_int_equal(call, next++);
		if (rig.peer.first != NULL && next <= 200) {
			/* There is room for one at least. */
			loop_timer_set(rig.loop, &rig.limit,
			    clock_mono_ns() + (int64_t)LIMIT_MS * 1000000);
			rig.peer.watch.on_ready(&rig.peer.watch, 4);
			loop_timer_clear(rig.loop, &rig.limit);
		}
	}
	assert_int_equal(rig.peer.queued_bytes, 0);
}

static void
a_full_queue_ends_the_link_and_closes_what_waited(void **state)
{
	static char payload[30000];
	struct str text = { payload, sizeof(payload) };
	bool full = false;

	(void)state;
	for (uint64_t i = 1; i <= 3000 && !full; i++) {
		struct msg_reply m = { .call = i };

		full = peer_send(&rig.peer, MSG_REPLY, &m, text, NULL, 0) < 0;
		assert_true(rig.peer.queued_bytes <= IPC_MAX_QUEUE_BYTES);
	}
	assert_true(full);
	assert_true(rig.peer.queued_bytes > IPC_MAX_QUEUE_BYTES / 2);
	assert_int_equal(rig.n_gone, 0);
	run();
	assert_int_equal(rig.n_gone, 1);
	assert_int_equal(rig.peer.queued_bytes, 0);
}

static void
waiting_descriptors_are_duplicates_and_are_closed(void **state)
{
	static char payload[30000];
	struct str text = { payload, sizeof(payload) };
	struct msg_door door = { .run = 5 };
	int before, pair[2];

	(void)state;
	for (uint64_t i = 1; i <= 100; i++) {
		struct msg_reply m = { .call = i };

		assert_int_equal(
		    peer_send(&rig.peer, MSG_REPLY, &m, text, NULL, 0), 0);
	}
	before = open_fds();
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(peer_send(&rig.peer, MSG_DOOR_OPEN, &door,
				     STR(""), pair, 1),
		    0);
	fd_fini(&pair[0]);
	fd_fini(&pair[1]);
	assert_int_equal(open_fds(), before + 10);
	peer_close(&rig.peer);
	assert_int_equal(open_fds(), before - 1);
}

static void
a_new_link_replaces_the_old_one(void **state)
{
	struct msg_head h = { .type = MSG_GONE };
	char bytes[64];
	size_t n = put_frame(bytes, h, sizeof(struct msg_gone), 0);
	struct err e = {};
	int pair[2];

	(void)state;
	assert_int_equal(peer_pair(pair, &e), 0);
	assert_int_equal(peer_open_take(&rig.peer, pair[0], &e), 0);
	assert_int_equal(rig.n_gone, 0);
	assert_int_equal(send(rig.other, bytes, n, MSG_NOSIGNAL), -1);
	fd_fini(&rig.other);
	rig.other = pair[1];
	send_raw(bytes, n, NULL, 0);
	run();
	assert_int_equal(rig.n_frames, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frame_arrives_with_payload_and_descriptors),
		TEST(a_sealed_memfd_is_a_payload),
		TEST(the_first_violation_ends_the_link),
		TEST(a_memfd_that_can_change_or_lies_is_no_payload),
		TEST(the_end_of_the_other_is_told_once),
		TEST(what_is_sent_before_the_end_is_still_heard),
		TEST(a_large_payload_travels_sealed),
		TEST(what_the_other_does_not_take_waits_in_order),
		TEST(a_full_queue_ends_the_link_and_closes_what_waited),
		TEST(waiting_descriptors_are_duplicates_and_are_closed),
		TEST(a_new_link_replaces_the_old_one),
	};

	log_init("t_peer", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
