#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "ipc/peer.h"
#include "ipc/ring.h"
#include "sys/fd.h"

enum {
	LIMIT_MS = 20000,
	PAGE = 4096,
	STRESS_FRAMES = 200 * 1000,
	HOSTILE_ROUNDS = 20 * 1000,
};

/* Both ends of a ring in one process. */
static struct pair {
	struct ring a, b;
	char *map; /* the memory of both, as a third sees it */
} ends;

static int
start_ends(void **state)
{
	struct err e = {};
	own_fd int fd = ring_new(&e);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ring_open(&ends.a, fd, 0, &e), 0);
	assert_int_equal(ring_open(&ends.b, fd, 1, &e), 0);
	ends.map = mmap(NULL, (size_t)2 * (PAGE + IPC_RING_BYTES),
	    PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(ends.map != MAP_FAILED);
	return 0;
}

static int
stop_ends(void **state)
{
	(void)state;
	ring_close(&ends.a);
	ring_close(&ends.b);
	assert_int_equal(
	    munmap(ends.map, (size_t)2 * (PAGE + IPC_RING_BYTES)), 0);
	return 0;
}

static bool
put(struct ring *r, const void *p, size_t n)
{
	struct iovec iov[2] = { { NULL, n / 2 }, { NULL, n - n / 2 } };
	const char *second = (const char *)p + n / 2;

	memcpy(&iov[0].iov_base, &p, sizeof(p));
	memcpy(&iov[1].iov_base, &second, sizeof(second));
	return ring_put(r, iov, 2, n % 2 == 1);
}

static void
frames_of_every_size_arrive_whole_and_in_order(void **state)
{
	static char in[IPC_MAX_FRAME_BYTES], out[IPC_MAX_FRAME_BYTES];
	struct err e = {};

	(void)state;
	/* Sizes that are no divisors of the ring's: every way to wrap. */
	for (size_t n = 1; n <= IPC_MAX_FRAME_BYTES; n += 37) {
		memset(in, (int)(n % 251), n);
		in[n - 1] = 'z';
		assert_int_equal(ring_take(&ends.b, out, &e), RING_EMPTY);
		assert_true(put(&ends.a, in, n));
		assert_true(ring_put(&ends.a, NULL, 0, false));
		assert_int_equal(ring_take(&ends.b, out, &e), (ssize_t)n);
		assert_memory_equal(in, out, n);
		assert_int_equal(ring_take(&ends.b, out, &e), RING_MARK);
	}
	assert_int_equal(ring_take(&ends.a, out, &e), RING_EMPTY);
}

static void
a_full_ring_refuses_and_its_reader_tells_of_room_once(void **state)
{
	static char frame[IPC_MAX_FRAME_BYTES];
	struct err e = {};
	size_t n = 0;

	(void)state;
	while (put(&ends.a, frame, sizeof(frame)))
		n++;
	assert_true(n >= 2);
	assert_int_equal(ring_take(&ends.b, frame, &e), (ssize_t)sizeof(frame));
	assert_true(ring_tell_room(&ends.b));
	assert_false(ring_tell_room(&ends.b));
	assert_true(put(&ends.a, frame, sizeof(frame)));
	while (n-- > 0)
		assert_int_equal(
		    ring_take(&ends.b, frame, &e), (ssize_t)sizeof(frame));
	assert_int_equal(ring_take(&ends.b, frame, &e), RING_EMPTY);
	assert_false(ring_tell_room(&ends.b));
}

static void *
writer(void *arg)
{
	struct ring *r = arg;
	uint32_t frame[64];

	for (uint32_t i = 0; i < STRESS_FRAMES; i++) {
		size_t words = 1 + i % 64;

		for (size_t k = 0; k < words; k++)
			frame[k] = i + (uint32_t)k;
		while (!put(r, frame, words * sizeof(frame[0])))
			(void)sched_yield();
	}
	return NULL;
}

static void
two_threads_never_see_half_a_frame(void **state)
{
	static uint32_t frame[IPC_MAX_FRAME_BYTES / sizeof(uint32_t)];
	struct err e = {};
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, writer, &ends.a), 0);
	for (uint32_t i = 0; i < STRESS_FRAMES;) {
		ssize_t n = ring_take(&ends.b, (char *)frame, &e);

		assert_int_not_equal(n, -1);
		if (n == RING_EMPTY) {
			(void)sched_yield();
			continue;
		}
		assert_int_equal(n, (1 + i % 64) * sizeof(frame[0]));
		for (size_t k = 0; k < (size_t)n / sizeof(frame[0]); k++)
			assert_int_equal(frame[k], i + k);
		i++;
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/*
 * The other end writes whatever it likes, wherever it can: its reader gets
 * frames of possible sizes or an error, and its writer room or none.
 */
static void
a_hostile_end_gets_nothing_but_its_own_bytes(void **state)
{
	static char out[IPC_MAX_FRAME_BYTES + 64], frame[512];
	int refused = 0;
	uint64_t seed = 1;

	(void)state;
	memset(out + IPC_MAX_FRAME_BYTES, '!', 64);
	for (int i = 0; i < HOSTILE_ROUNDS; i++) {
		struct err e = {};
		uint64_t at, value;
		ssize_t n;

		seed = seed * 6364136223846793005U + 1442695040888963407U;
		at = (seed >> 33) % 40;
		value = seed >> (seed % 61);
		/* Its positions, or lengths in its bytes. */
		if (at < 3)
			memcpy(ends.map + at * 64, &value, sizeof(value));
		else
			memcpy(ends.map + PAGE + (at - 3) * 8, &value,
			    sizeof(value));
		n = ring_take(&ends.b, out, &e);
		assert_true(
		    n == RING_MARK || (n >= -1 && n <= IPC_MAX_FRAME_BYTES));
		refused += n == -1;
		(void)put(&ends.b, frame, 1 + seed % sizeof(frame));
		(void)ring_tell_room(&ends.b);
	}
	assert_true(refused > HOSTILE_ROUNDS / 10);
	for (int i = 0; i < 64; i++)
		assert_int_equal(out[IPC_MAX_FRAME_BYTES + i], '!');
}

static void
the_other_end_is_woken_once_until_it_has_found_nothing(void **state)
{
	static char out[IPC_MAX_FRAME_BYTES];
	struct err e = {};

	(void)state;
	for (int round = 0; round < 3; round++) {
		assert_true(put(&ends.a, "12345678", 8));
		assert_true(ring_must_wake(&ends.a));
		assert_true(put(&ends.a, "12345678", 8));
		assert_false(ring_must_wake(&ends.a));
		assert_int_equal(ring_take(&ends.b, out, &e), 8);

		/* It has not seen yet that there are no more. */
		assert_true(put(&ends.a, "12345678", 8));
		assert_false(ring_must_wake(&ends.a));
		assert_int_equal(ring_take(&ends.b, out, &e), 8);
		assert_int_equal(ring_take(&ends.b, out, &e), 8);
		assert_int_equal(ring_take(&ends.b, out, &e), RING_EMPTY);
	}
	/* The other direction has a state of its own. */
	assert_true(ring_must_wake(&ends.b));
}

/* The reader of the test below sleeps until it is woken, each time. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t rung;
	int rings;
} bell = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.rung = PTHREAD_COND_INITIALIZER };

static void *
ringer(void *arg)
{
	struct ring *r = arg;

	for (uint32_t i = 0; i < STRESS_FRAMES; i++) {
		while (!put(r, &i, sizeof(i)))
			(void)sched_yield();
		if (!ring_must_wake(r))
			continue;
		assert_int_equal(pthread_mutex_lock(&bell.lock), 0);
		bell.rings++;
		assert_int_equal(pthread_cond_signal(&bell.rung), 0);
		assert_int_equal(pthread_mutex_unlock(&bell.lock), 0);
	}
	return NULL;
}

static void
no_frame_is_left_by_a_reader_that_sleeps_until_it_is_woken(void **state)
{
	static char out[IPC_MAX_FRAME_BYTES];
	struct err e = {};
	struct timespec until;
	pthread_t thread;
	int heard = 0;

	(void)state;
	bell.rings = 0;
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &until), 0);
	until.tv_sec += LIMIT_MS / 1000;
	assert_int_equal(pthread_create(&thread, NULL, ringer, &ends.a), 0);
	for (uint32_t next = 0; next < STRESS_FRAMES;) {
		uint32_t got;
		ssize_t n = ring_take(&ends.b, out, &e);

		assert_true(n >= 0);
		if (n > 0) {
			memcpy(&got, out, sizeof(got));
			assert_int_equal(got, next++);
			continue;
		}
		assert_int_equal(pthread_mutex_lock(&bell.lock), 0);
		while (bell.rings == heard)
			assert_int_equal(pthread_cond_timedwait(
					     &bell.rung, &bell.lock, &until),
			    0);
		heard = bell.rings;
		assert_int_equal(pthread_mutex_unlock(&bell.lock), 0);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void
memory_that_can_shrink_is_no_ring(void **state)
{
	struct ring r = {};
	struct err e = {};
	own_fd int fd = memfd_create("other", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	own_fd int none = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)2 * (PAGE + IPC_RING_BYTES)), 0);
	assert_int_equal(ring_open(&r, fd, 0, &e), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(ring_open(&r, fd, 2, &e), -1);
	assert_int_equal(ring_open(&r, fd, 1, &e), 0);
	ring_close(&r);
	assert_int_equal(ftruncate(fd, (off_t)1024 * 1024), 0);
	assert_int_equal(ring_open(&r, fd, 0, &e), -1);
	assert_int_equal(ring_open(&r, none, 0, &e), -1);
	assert_null(r.map);
}

/* Links between a broker and a gateway, with both ends in one loop. */
static struct rig {
	struct loop *loop;
	struct peer broker, gateway;
	struct loop_timer limit;
	uint64_t next, until;
	int n_gone, n_fds;
	char why[256];
	int before;
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
on_reply(struct peer *p, const struct frame *f)
{
	(void)p;
	if (f->type == MSG_DOOR_OPEN) {
		const struct msg_door *m = f->body;

		assert_int_equal(m->run, rig.next++);
		assert_true(f->n_fds == 1);
		rig.n_fds++;
	} else {
		const struct msg_reply *m = f->body;

		assert_int_equal(m->call, rig.next++);
	}
	if (rig.next > rig.until)
		loop_stop(rig.loop);
}

static void
on_none(struct peer *p, const struct frame *f)
{
	(void)p;
	(void)f;
	fail_msg("nothing is sent this way");
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
start_rig(void **state)
{
	struct msg_wire wire = {};
	struct err e = {};
	int fds[2][WIRE_FDS];

	(void)state;
	rig = (struct rig){ .before = open_fds(), .next = 1 };
	rig.loop = loop_new(&e);
	rig.limit.on_time = on_limit;
	rig.broker = (struct peer){ .self = ROLE_BROKER,
		.other = ROLE_GATEWAY,
		.loop = rig.loop,
		.on_frame = on_none,
		.on_gone = on_gone };
	rig.gateway = (struct peer){ .self = ROLE_GATEWAY,
		.other = ROLE_BROKER,
		.loop = rig.loop,
		.on_frame = on_reply,
		.on_gone = on_gone };
	peer_init(&rig.broker);
	peer_init(&rig.gateway);
	assert_int_equal(peer_wire(fds[0], fds[1], &e), 0);
	for (uint32_t i = 0; i < 2; i++) {
		struct frame f = { .type = MSG_WIRE,
			.body = &wire,
			.fds = fds[i],
			.n_fds = WIRE_FDS };

		wire.side = i;
		assert_int_equal(
		    peer_open_wire(i == 0 ? &rig.broker : &rig.gateway, &f, &e),
		    0);
		for (int k = 0; k < WIRE_FDS; k++)
			fd_fini(&fds[i][k]);
	}
	return 0;
}

static int
stop_rig(void **state)
{
	(void)state;
	peer_close(&rig.broker);
	peer_close(&rig.gateway);
	loop_free(rig.loop);
	assert_int_equal(open_fds(), rig.before);
	return 0;
}

static void
run(void)
{
	struct err e = {};

	loop_timer_set(rig.loop, &rig.limit,
	    clock_mono_ns() + (int64_t)LIMIT_MS * 1000000);
	assert_int_equal(loop_run(rig.loop, NULL, NULL, &e), 0);
	loop_timer_clear(rig.loop, &rig.limit);
}

/* What fits in the ring, what is too large, and what has a descriptor. */
static void
send_one(uint64_t i)
{
	static char payload[40000];
	struct str text = { payload, i % 5 == 0 ? sizeof(payload) : i % 3000 };
	struct msg_reply m = { .call = i };
	struct msg_door door = { .run = i };
	int fd = STDIN_FILENO;

	if (i % 7 == 0)
		assert_int_equal(peer_send(&rig.broker, MSG_DOOR_OPEN, &door,
				     STR(""), &fd, 1),
		    0);
	else
		assert_int_equal(
		    peer_send(&rig.broker, MSG_REPLY, &m, text, NULL, 0), 0);
}

static void
the_ways_of_a_link_keep_one_order(void **state)
{
	(void)state;
	rig.until = 4000;
	for (uint64_t i = 1; i <= rig.until; i++)
		send_one(i);
	assert_true(rig.broker.queued_bytes > 0); /* all of them were used */
	run();
	assert_int_equal(rig.next, rig.until + 1);
	assert_int_equal(rig.n_fds, rig.until / 7);
	assert_int_equal(rig.broker.queued_bytes, 0);
}

static void
one_frame_at_a_time_is_heard_each_time(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 500; i++) {
		rig.until = i;
		send_one(i);
		run();
		assert_int_equal(rig.next, i + 1);
	}
}

static void
what_is_written_before_the_end_is_heard(void **state)
{
	(void)state;
	rig.until = UINT64_MAX;
	for (uint64_t i = 1; i <= 40; i++)
		send_one(i);
	assert_int_equal(rig.broker.queued_bytes, 0);
	peer_close(&rig.broker);
	run();
	assert_int_equal(rig.next, 41);
	assert_int_equal(rig.n_gone, 1);
	assert_string_equal(rig.why, "end of file");
}

static void
an_end_that_breaks_the_ring_loses_the_link(void **state)
{
	uint64_t *written = rig.gateway.ring.map; /* side 0 is the broker's */

	(void)state;
	*written = 1;
	rig.gateway.bell.on_ready(&rig.gateway.bell, 0);
	assert_int_equal(rig.n_gone, 1);
	assert_string_equal(rig.why, "an impossible position in the ring");
}

#define RING(name) cmocka_unit_test_setup_teardown(name, start_ends, stop_ends)
#define LINK(name) cmocka_unit_test_setup_teardown(name, start_rig, stop_rig)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RING(frames_of_every_size_arrive_whole_and_in_order),
		RING(a_full_ring_refuses_and_its_reader_tells_of_room_once),
		RING(two_threads_never_see_half_a_frame),
		RING(the_other_end_is_woken_once_until_it_has_found_nothing),
		RING(
		    no_frame_is_left_by_a_reader_that_sleeps_until_it_is_woken),
		RING(a_hostile_end_gets_nothing_but_its_own_bytes),
		cmocka_unit_test(memory_that_can_shrink_is_no_ring),
		LINK(the_ways_of_a_link_keep_one_order),
		LINK(one_frame_at_a_time_is_heard_each_time),
		LINK(what_is_written_before_the_end_is_heard),
		LINK(an_end_that_breaks_the_ring_loses_the_link),
	};

	log_init("t_ring", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
