/* A world that is kept goes on elsewhere as if it were the same one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "codec/json.h"
#include "world/world.h"

static const int64_t SECOND = 1000000000;

static const char document[] =
    "{\"world\":1,\"now\":\"2026-03-02T09:00:00Z\","
    "\"customers\":[{\"id\":\"C-1\",\"name\":\"A\",\"email\":"
    "\"a@example.com\"}],"
    "\"tickets\":[{\"id\":\"T-1\",\"subject\":\"s\",\"body\":\"b\","
    "\"from\":\"a@example.com\",\"customer\":\"C-1\",\"status\":\"open\","
    "\"created_at\":\"2026-03-01T09:00:00Z\"}],"
    "\"kb\":[{\"id\":\"K-1\",\"title\":\"Refunds\",\"body\":\"of money\","
    "\"updated_at\":\"2026-01-01T00:00:00Z\"}],"
    "\"tools\":[{\"name\":\"crm.get\",\"inputSchema\":{\"type\":\"object\"},"
    "\"writes\":true,\"results\":[{\"result\":{\"n\":1}},"
    "{\"arguments\":{\"a\":1},\"error\":true,\"result\":{\"code\":\"x\"}},"
    "{\"result\":{\"n\":2}}]}]}";

/* What a generator may do to a world; each has an answer. */
static const struct {
	const char *tool, *args;
} calls[] = {
	{ "ticket.list", "{}" },
	{ "ticket.read", "{\"ticket\":\"T-1\"}" },
	{ "ticket.reply_draft", "{\"ticket\":\"T-1\",\"body\":\"hello\"}" },
	{ "email.send",
	    "{\"to\":\"b@example.com\",\"subject\":\"s\",\"body\":\"b\"}" },
	{ "kb.search", "{\"query\":\"money\"}" },
	{ "crm.get", "{\"a\":1}" },
	{ "crm.get", "{}" },
	{ "ticket.read", "{\"ticket\":\"T-9\"}" },
};
enum { CALLS = sizeof(calls) / sizeof(calls[0]) };

static struct world *
begin(void)
{
	struct err e = {};
	struct world *w = world_new_take(
	    memfd_create("world", MFD_CLOEXEC), str_of(document), &e);

	if (w == NULL)
		fail_msg("%s", e.text);
	return w;
}

/* The memfd that it is in. */
static int
save(struct world *w, int64_t now_ns)
{
	int fd = memfd_create("saved", MFD_CLOEXEC);
	struct err e = {};

	if (world_save(w, now_ns, fd, &e) < 0)
		fail_msg("%s", e.text);
	return fd;
}

static struct world *
open_saved(int fd)
{
	struct err e = {};
	struct world *w = world_saved_take(fd, &e);

	if (w == NULL)
		fail_msg("%s", e.text);
	return w;
}

static int
call(struct world *w, unsigned which, int64_t now_ns, struct buf *out)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *args =
	    json_parse(str_of(calls[which].args), NULL, &a, &e, NULL);
	bool wrote;

	assert_non_null(args);
	return world_call(
	    w, str_of(calls[which].tool), args, now_ns, out, &wrote);
}

/* The same calls at the same time have the same answers, byte for byte. */
static void
assert_alike(struct world *a, int64_t a_ns, struct world *b, int64_t b_ns)
{
	own_buf struct buf one = {}, two = {};

	world_tools(a, &one);
	world_tools(b, &two);
	assert_true(str_eq(buf_str(&one), buf_str(&two)));
	for (unsigned i = 0; i < CALLS; i++) {
		const int got = call(a, i, a_ns, &one);

		assert_int_equal(call(b, i, b_ns, &two), got);
		if (!str_eq(buf_str(&one), buf_str(&two)))
			fail_msg("%s: %s, and %s", calls[i].tool, buf_c(&one),
			    buf_c(&two));
	}
}

static void
a_saved_world_goes_on_as_the_one_it_was_saved_from(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 40; seed++) {
		struct world *w = begin(), *saved;
		own_buf struct buf out = {};
		int64_t now = 5 * SECOND;
		unsigned n = seed;

		for (unsigned i = 0; i < seed % 9; i++) {
			n = n * 1103515245 + 12345;
			now += (n >> 8) % 90 * SECOND;
			(void)call(w, (n >> 16) % CALLS, now, &out);
		}
		saved = open_saved(save(w, now));
		/* Its clock goes on from there, whenever it is opened. */
		assert_alike(w, now, saved, 1000000 * SECOND);
		world_free(saved);
		world_free(w);
	}
}

static void
worlds_that_were_saved_cannot_touch_each_other(void **state)
{
	struct world *w = begin(), *one, *two;
	own_buf struct buf out = {};
	int fd = save(w, 0);
	int copy = memfd_create("copy", MFD_CLOEXEC);
	char page[4096];

	(void)state;
	for (off_t at = 0; pread(fd, page, sizeof(page), at) == sizeof(page);
	     at += (off_t)sizeof(page))
		assert_int_equal(
		    pwrite(copy, page, sizeof(page), at), sizeof(page));
	one = open_saved(fd);
	two = open_saved(copy);
	assert_int_equal(call(one, 3, 0, &out), 0);
	assert_non_null(strstr(buf_c(&out), "EMAIL-1"));
	assert_int_equal(call(one, 3, 0, &out), 0);
	assert_non_null(strstr(buf_c(&out), "EMAIL-2"));
	assert_int_equal(call(two, 3, 0, &out), 0);
	assert_non_null(strstr(buf_c(&out), "EMAIL-1"));
	assert_int_equal(call(w, 3, 0, &out), 0);
	assert_non_null(strstr(buf_c(&out), "EMAIL-1"));
	world_free(one);
	world_free(two);
	world_free(w);
}

static void
a_saved_world_is_saved_again(void **state)
{
	struct world *w = begin(), *one, *two;
	own_buf struct buf out = {};

	(void)state;
	assert_int_equal(call(w, 2, 0, &out), 0);
	assert_int_equal(call(w, 6, 0, &out), 0);
	one = open_saved(save(w, 60 * SECOND));
	assert_int_equal(call(one, 6, 7 * SECOND, &out), 0);
	two = open_saved(save(one, 7 * SECOND));
	assert_alike(one, 7 * SECOND, two, 0);
	world_free(one);
	world_free(two);
	world_free(w);
}

static void
what_is_no_saved_world_is_refused(void **state)
{
	static const char text[] = "SQLite format 3";
	struct world *w = begin();
	int fd = save(w, 0);
	struct err e = {};
	char page[100];

	(void)state;
	world_free(w);
	/* The version stands at 60: sqlite.org/fileformat2.html. */
	assert_int_equal(pread(fd, page, sizeof(page), 0), sizeof(page));
	page[63] = 9;
	assert_int_equal(pwrite(fd, page, sizeof(page), 0), sizeof(page));
	assert_null(world_saved_take(fd, &e));
	assert_non_null(strstr(e.text, "of version 9"));

	fd = memfd_create("empty", MFD_CLOEXEC);
	assert_null(world_saved_take(fd, &e));
	fd = memfd_create("short", MFD_CLOEXEC);
	assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
	assert_null(world_saved_take(fd, &e));
}

/* A call by name, with what it would change in out. */
static void
try(struct world *w, const char *tool, const char *args, struct buf *out)
{
	own_arena struct arena a = {};
	own_buf struct buf again = {};
	const struct json *v;
	struct err e = {};

	if (world_try(w, str_of(tool),
		json_parse(str_of(args), NULL, &a, &e, NULL), 0, out, &e) < 0)
		fail_msg("%s", e.text);
	v = json_parse(buf_str(out), NULL, &a, &e, NULL);
	assert_non_null(v);
	json_write(&again, v);
	assert_string_equal(buf_c(&again), buf_c(out));
}

static void
what_a_call_would_change_is_told_and_not_done(void **state)
{
	struct world *w = begin();
	own_buf struct buf out = {}, before = {}, after = {};

	(void)state;
	assert_int_equal(call(w, 1, 0, &before), 0);
	try(w, "email.send",
	    "{\"body\":\"b\",\"subject\":\"s\",\"ticket\":\"T-1\","
	    "\"to\":\"b@example.com\"}",
	    &out);
	assert_non_null(strstr(buf_c(&out),
	    "\"messages\":[{\"body\":\"b\",\"sent_at\":"
	    "\"2026-03-02T09:00:00Z\",\"subject\":\"s\",\"ticket\":"
	    "\"T-1\",\"to\":\"b@example.com\"}],\"more\":false,"
	    "\"requests\":[],\"rows\":[],\"status\":\"done\"}"));
	assert_non_null(strstr(buf_c(&out), "\"id\":\"EMAIL-1\""));
	try(w, "ticket.reply_draft", "{\"body\":\"hello\",\"ticket\":\"T-1\"}",
	    &out);
	assert_non_null(strstr(buf_c(&out),
	    "\"rows\":[{\"after\":{\"body\":\"hello\",\"created_at\":"
	    "\"2026-03-02T09:00:00Z\",\"n\":1,\"ticket\":\"T-1\"},"
	    "\"change\":\"added\",\"table\":\"drafts\"}]"));
	try(w, "ticket.reply_draft", "{\"body\":\"hello\",\"ticket\":\"T-9\"}",
	    &out);
	assert_non_null(strstr(buf_c(&out), "\"status\":\"refused\""));
	assert_non_null(strstr(buf_c(&out), "\"rows\":[]"));
	/* Nor is an answer used up that was written beforehand. */
	try(w, "crm.get", "{}", &out);
	assert_non_null(strstr(buf_c(&out), "\"answer\":{\"n\":1}"));
	assert_int_equal(call(w, 6, 0, &out), 0);
	assert_string_equal(buf_c(&out), "{\"n\":1}");
	assert_int_equal(call(w, 1, 0, &after), 0);
	assert_string_equal(buf_c(&before), buf_c(&after));
	world_free(w);
}

/* What one writes the other does not see, and both may doze at any time. */
static void
worlds_of_one_document_share_it_and_nothing_else(void **state)
{
	const int64_t now = 1700000000 * SECOND;
	struct world *plain = begin(), *dozing = begin(), *third;
	own_buf struct buf one = {}, two = {};
	int saved;

	(void)state;
	for (unsigned turn = 0; turn < 3; turn++) {
		for (unsigned i = 0; i < CALLS; i++) {
			const int got = call(plain, i, now, &one);

			world_doze(dozing);
			assert_int_equal(call(dozing, i, now, &two), got);
			assert_true(str_eq(buf_str(&one), buf_str(&two)));
		}
	}
	/* A world of the document is as new, whatever others have written. */
	third = begin();
	assert_int_equal(call(third, 2, now, &one), 0);
	assert_non_null(strstr(buf_c(&one), "DRAFT-1"));
	/* One that is kept while it dozes is the same as one that is awake. */
	world_doze(dozing);
	saved = save(dozing, now);
	world_free(dozing);
	dozing = open_saved(saved);
	assert_alike(plain, now, dozing, now);
	world_free(plain);
	world_free(dozing);
	/* The last one still has what is below it. */
	world_doze(third);
	assert_int_equal(call(third, 1, now, &one), 0);
	world_free(third);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_saved_world_goes_on_as_the_one_it_was_saved_from),
		cmocka_unit_test(
		    worlds_that_were_saved_cannot_touch_each_other),
		cmocka_unit_test(a_saved_world_is_saved_again),
		cmocka_unit_test(what_is_no_saved_world_is_refused),
		cmocka_unit_test(what_a_call_would_change_is_told_and_not_done),
		cmocka_unit_test(
		    worlds_of_one_document_share_it_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
