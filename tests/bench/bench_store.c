/*
 * bench_store [DIR]: what a record costs.
 *
 * Writes whole calls (proposed, decision, started, finished) as the broker
 * does, in a new directory under DIR (default /tmp), and removes it again.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "store/checkpoint.h"
#include "store/store.h"

enum {
	GROUPED = 200 * 1000, /* records */
	SINGLE = 2000,
	WRITES = 1000 * 1000,
	KINDS = 4,
	STEPS = 100, /* calls of one run */
};

static const enum event_kind kinds[KINDS] = { EVENT_TOOL_PROPOSED,
	EVENT_POLICY_DECISION, EVENT_TOOL_STARTED, EVENT_TOOL_FINISHED };

static void stop(const char *what, const struct err *e);
static struct event record(uint64_t i, struct buf *args);
static double write_only(void);
static void wait_for(struct store *s, uint64_t seq);
static void grouped(struct store *s);
static void single(struct store *s);
static void verify(const char *dir);
static int by_value(const void *a, const void *b);
static void remove_store(const char *dir);

int
main(int argc, char **argv)
{
	own_buf struct buf dir = {};
	struct err e = {};
	struct store *s;

	buf_printf(&dir, "%s/bench-store-XXXXXX", argc > 1 ? argv[1] : "/tmp");
	(void)buf_c(&dir);
	if (mkdtemp(dir.p) == NULL) {
		(void)err_sys(&e, "mkdtemp %s", dir.p);
		stop("bench_store", &e);
	}
	s = store_open(dir.p, &e);
	if (s == NULL)
		stop("open", &e);
	printf("event_write           %10.2f us\n", write_only());
	grouped(s);
	single(s);
	if (store_close(s, &e) < 0)
		stop("close", &e);
	verify(dir.p);
	remove_store(dir.p);
	return 0;
}

static void
stop(const char *what, const struct err *e)
{
	fprintf(stderr, "%s: %s\n", what, e->text);
	exit(1);
}

static struct event
record(uint64_t i, struct buf *args)
{
	struct event ev = { .run = 1000 + i / (KINDS * STEPS),
		.step = (uint32_t)(1 + i / KINDS % STEPS),
		.t_ns = clock_utc_ns(),
		.mono_ns = clock_mono_ns(),
		.kind = kinds[i % KINDS],
		.tenant = STR("acme"),
		.actor = STR("agent:support"),
		.role = STR("support"),
		.workflow = STR("support_refund"),
		.stage = 3,
		.policy = STR("3f9a11c04d3f9a11c04d3f9a11c04d3f9a11c04d3f9a11"
			      "c04d3f9a11c04d3f9a"),
		.tool = STR("billing.refund"),
		.tier = STR("external_write"),
		.ms = -1 };

	switch (i % KINDS) {
	case 0:
		buf_reset(args);
		buf_printf(args,
		    "{\"amount_minor\":4900,\"invoice\":\"in_%llu\""
		    ",\"reason\":\"charged twice\"}",
		    (unsigned long long)i);
		ev.args.bytes = buf_str(args);
		ev.args.hash = hash_of(args->p, args->n);
		break;
	case 1:
		ev.verdict = STR("allow");
		ev.action = STR("executed");
		ev.rule = STR("tools.billing.refund");
		ev.reason = STR("The amount is under the limit of the role.");
		break;
	case 3:
		ev.status = STR("ok");
		ev.effect = STR("overlay");
		ev.origin = STR("fake");
		ev.ms = 1;
		break;
	}
	return ev;
}

static double
write_only(void)
{
	own_buf struct buf out = {}, args = {};
	struct event ev = record(0, &args);
	int64_t began = clock_mono_ns();

	ev.seq = 123456;
	for (int i = 0; i < WRITES; i++) {
		buf_reset(&out);
		event_write(&out, &ev);
	}
	must(!out.failed);
	return (double)(clock_mono_ns() - began) / 1e3 / WRITES;
}

static void
wait_for(struct store *s, uint64_t seq)
{
	struct err e = {};

	while (store_durable(s) < seq) {
		struct pollfd p = { .fd = store_event_fd(s), .events = POLLIN };

		if (poll(&p, 1, 10000) <= 0)
			(void)err_set(&e, "nothing was written for 10 s");
		else if (store_check(s, &e) == 0)
			continue;
		stop("write", &e);
	}
}

static void
grouped(struct store *s)
{
	own_buf struct buf args = {};
	int64_t began = clock_mono_ns(), spent = 0;
	double seconds;

	for (uint64_t i = 0; i < GROUPED; i++) {
		struct event ev = record(i, &args);
		int64_t at = clock_mono_ns();

		while (store_append(s, &ev) == 0) {
			wait_for(s, store_durable(s) + 1);
			at = clock_mono_ns();
		}
		spent += clock_mono_ns() - at;
	}
	wait_for(s, GROUPED);
	seconds = (double)(clock_mono_ns() - began) / 1e9;
	printf(
	    "append, in the caller %10.2f us\n", (double)spent / 1e3 / GROUPED);
	printf("in groups             %10.0f records/s\n", GROUPED / seconds);
}

static void
single(struct store *s)
{
	static int64_t took[SINGLE];
	own_buf struct buf args = {};
	const int64_t began = clock_mono_ns();
	double seconds;

	for (uint64_t i = 0; i < SINGLE; i++) {
		struct event ev = record(GROUPED + i, &args);
		int64_t at = clock_mono_ns();
		uint64_t seq = store_append(s, &ev);

		store_hurry(s);
		wait_for(s, seq);
		took[i] = clock_mono_ns() - at;
	}
	seconds = (double)(clock_mono_ns() - began) / 1e9;
	qsort(took, SINGLE, sizeof(took[0]), by_value);
	printf("one record, on disk   %10.0f us p50, %.0f us p99\n",
	    (double)took[SINGLE / 2] / 1e3,
	    (double)took[SINGLE * 99 / 100] / 1e3);
	printf("one after the other   %10.0f records/s\n", SINGLE / seconds);
}

static void
verify(const char *dir)
{
	struct err e = {};
	struct store *s = store_open_read(dir, &e);
	struct store_verdict v;
	int64_t began;
	double seconds;

	if (s == NULL)
		stop("open", &e);
	began = clock_mono_ns();
	if (store_verify(s, 0, NULL, &v, &e) < 0)
		stop("verify", &e);
	seconds = (double)(clock_mono_ns() - began) / 1e9;
	if (v.fault != STORE_SOUND) {
		(void)err_set(&e, "record %llu: %s: %s",
		    (unsigned long long)v.seq, store_fault_name(v.fault),
		    v.text);
		stop("verify", &e);
	}
	printf("verify                %10.0f records/s (%llu records)\n",
	    (double)v.records / seconds, (unsigned long long)v.records);
	if (store_close(s, &e) < 0)
		stop("close", &e);
}

static int
by_value(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
remove_store(const char *dir)
{
	static const char *const files[] = { DB_FILE, DB_FILE "-wal",
		DB_FILE "-shm", DB_LOCK_FILE, LOG_KEY_FILE, CHECKPOINTS_FILE };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		own_buf struct buf path = {};

		buf_printf(&path, "%s/%s", dir, files[i]);
		(void)unlink(buf_c(&path)); /* -wal and -shm may be gone */
	}
	if (rmdir(dir) < 0)
		perror(dir);
}
