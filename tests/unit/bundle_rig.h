/*
 * bundle_rig.h: a log of several runs, and a bundle of one of them, to be taken
 * apart by the tests of what reads bundles.
 */
#ifndef BUNDLE_RIG_H
#define BUNDLE_RIG_H

#include <inttypes.h>
#include <sys/mman.h>

#include <zstd.h>

#include "base/limits.h"
#include "core/id.h"
#include "store/bundle.h"
#include "store_dir.h"

enum { RUNS = 4, STEPS = 12, THE_RUN = 102 };

/* A log of several runs, of which THE_RUN's bundle is taken. */
struct rig {
	struct store_dir d;
	struct buf packed, text;
	struct note_key key;
};

static inline void
tell(struct store *s, uint64_t run, uint32_t step, enum event_kind kind,
    const char *status)
{
	own_buf struct buf args = {};
	struct event ev = { .run = run,
		.step = step,
		.kind = kind,
		.t_ns = 1763689836000000000 + (int64_t)step * 1000000,
		.tenant = STR("acme"),
		.actor = STR("agent"),
		.workflow = STR("support"),
		.tool = kind == EVENT_RUN_OPENED || kind == EVENT_RUN_CLOSED
		    ? STR("")
		    : STR("billing.refund"),
		.status = str_of(status),
		.ms = -1 };

	buf_printf(&args, "{\"n\":%u,\"run\":%" PRIu64 "}", step % 5, run);
	if (kind == EVENT_TOOL_PROPOSED)
		ev.args.bytes = buf_str(&args);
	if (kind == EVENT_TOOL_FINISHED)
		ev.out.bytes = buf_str(&args);
	assert_true(store_append(s, &ev) > 0);
}

static inline void
write_bundle(struct rig *r, uint64_t run, struct bundle_sums *sums)
{
	struct store *s;
	struct err e = {};
	own_fd int fd = memfd_create("bundle", MFD_CLOEXEC);

	s = store_open_read(r->d.path, &e);
	assert_non_null(s);
	assert_int_equal(store_key(s, &r->key, &e), 0);
	if (bundle_write(s, run, fd, sums, &e) < 0)
		fail_msg("%s", e.text);
	dir_close(s);
	buf_reset(&r->packed);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(fd_read_all(fd, &r->packed, 1 << 24, &e), 0);
	assert_int_equal(r->packed.n, sums->bytes);
}

static inline void
unpack(struct rig *r)
{
	char *at;
	size_t n;

	buf_reset(&r->text);
	at = buf_reserve(&r->text, 1 << 22);
	assert_non_null(at);
	n = ZSTD_decompress(at, 1 << 22, r->packed.p, r->packed.n);
	assert_false(ZSTD_isError(n));
	r->text.n = n;
}

static inline void
pack(struct rig *r, struct str text)
{
	char *at;
	size_t n;

	buf_reset(&r->packed);
	at = buf_reserve(&r->packed, ZSTD_compressBound(text.n));
	assert_non_null(at);
	n = ZSTD_compress(at, ZSTD_compressBound(text.n), text.p, text.n, 1);
	assert_false(ZSTD_isError(n));
	r->packed.n = n;
}

static inline void
build(struct rig *r)
{
	struct store *s;

	*r = (struct rig){ .text.max = 1 << 23, .packed.max = 1 << 23 };
	dir_make(&r->d);
	s = dir_open(&r->d);
	for (uint64_t run = 100; run < 100 + RUNS; run++) {
		struct store_run row = { .id = run,
			.tenant = STR("acme"),
			.actor = STR("agent"),
			.workflow = STR("support"),
			.status = STR("open"),
			.opened_ns = 1763689836000000000 };

		assert_int_equal(store_put_run(s, &row), 0);
		tell(s, run, 0, EVENT_RUN_OPENED, "");
	}
	for (uint32_t step = 1; step <= STEPS; step++) {
		for (uint64_t run = 100; run < 100 + RUNS; run++) {
			tell(s, run, step, EVENT_TOOL_PROPOSED, "");
			tell(s, run, step, EVENT_POLICY_DECISION, "");
			tell(s, run, step, EVENT_TOOL_STARTED, "");
			tell(s, run, step, EVENT_TOOL_FINISHED, "ok");
		}
	}
	for (uint64_t run = 101; run < 100 + RUNS; run++)
		tell(s, run, STEPS + 1, EVENT_RUN_CLOSED, "");
	dir_close(s);
}

static inline void
end(struct rig *r)
{
	dir_remove(&r->d);
	buf_fini(&r->packed);
	buf_fini(&r->text);
}

/* What line begins with `with`, from the n-th of them: its place and length. */
static inline struct str
line_of(struct rig *r, const char *with, int n)
{
	struct str rest = buf_str(&r->text);

	while (rest.n > 0) {
		struct str line = { rest.p, str_find(rest, '\n') + 1 };

		if (str_starts(line, str_of(with)) && n-- == 0)
			return line;
		rest = (struct str){ rest.p + line.n, rest.n - line.n };
	}
	fail_msg("no line begins with %s", with);
	return rest;
}

/* The text without, or with others in place of, what is between two places. */
static inline void
replace(struct rig *r, struct str old, const char *with, size_t n)
{
	own_buf struct buf text = { .max = 1 << 23 };
	size_t at = (size_t)(old.p - r->text.p);

	buf_add(&text, r->text.p, at);
	buf_add(&text, with, n);
	buf_add(&text, old.p + old.n, r->text.n - at - old.n);
	assert_false(text.failed);
	pack(r, buf_str(&text));
}

#endif
