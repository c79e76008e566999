/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include "rpc_rig.h"

enum { MIB = 1024 * 1024 };
#define TIB ((off_t)MIB * MIB)

static const struct rpc_request get_all = {
	.kind = RPC_FILE_GET,
	.max_bytes = 4 * MIB,
};
static const struct rpc_request put_all = {
	.kind = RPC_FILE_PUT,
	.flags = RPC_PUT_TRUNCATE,
	.mode = 0644,
	.max_bytes = 64 * MIB,
};

static struct rpc_request
kind_of(enum rpc_kind kind, unsigned flags)
{
	return (struct rpc_request){ .kind = kind, .flags = flags };
}

static void
inside(const char *line)
{
	own_buf struct buf out = {};

	if (shell(line, &out) != 0)
		fail_msg("%s: %s", line, buf_c(&out));
}

static void
holds(const char *path, const char *text)
{
	own_buf struct buf out = {};
	struct rpc_reply r = fetch(get_all, path, &out);

	if (r.error != 0)
		fail_msg("%s", r.text);
	assert_string_equal(buf_c(&out), text);
	assert_int_equal(r.bytes, strlen(text));
	assert_int_equal(r.size, strlen(text));
}

static void
what_was_put_is_got(void **state)
{
	struct rpc_request q = put_all;
	own_buf struct buf out = {};
	struct rpc_reply r;

	(void)state;
	box_open();
	assert_int_equal(put(q, "a", "one", 3).bytes, 3);
	holds("a", "one");
	q.flags = RPC_PUT_APPEND;
	assert_int_equal(put(q, "/workspace/a", "two", 3).error, 0);
	holds("a", "onetwo");
	q.flags = 0;
	assert_int_equal(put(q, "a", "O", 1).error, 0);
	holds("a", "Onetwo");
	q.flags = RPC_PUT_NEW;
	assert_int_equal(put(q, "a", "x", 1).error, EEXIST);
	q.mode = 0600;
	assert_int_equal(put(q, "b", "", 0).error, 0);
	inside("test $(stat -c %a b) = 600");
	q.flags = RPC_PUT_ATOMIC;
	q.mode = 0755;
	assert_int_equal(put(q, "a", "whole", 5).error, 0);
	holds("a", "whole");
	inside("test $(stat -c %a a) = 755 && test $(ls -A | wc -l) = 2");

	q.max_bytes = 4;
	r = put(q, "a", "longer", 6);
	assert_int_equal(r.error, EFBIG);
	holds("a", "whole");
	inside("test $(ls -A | wc -l) = 2");

	q = get_all;
	q.offset = 2;
	q.max_bytes = 2;
	r = fetch(q, "a", &out);
	assert_string_equal(buf_c(&out), "ol");
	assert_int_equal(r.size, 5);
	q.offset = UINT64_MAX;
	assert_int_equal(fetch(q, "a", &out).error, EINVAL);
	box_close();
}

static void
links_lead_nowhere_but_inside(void **state)
{
	own_buf struct buf out = {}, mine = {};
	struct err e = {};

	(void)state;
	box_open();
	inside("ln -s /etc/passwd p; ln -s ../../../../../etc/shadow s; "
	       "ln -s loop loop; ln -s /proc/1/root/etc/passwd r");
	assert_int_equal(fetch(get_all, "p", &out).error, 0);
	assert_int_equal(file_read("/etc/passwd", &mine, MIB, &e), 0);
	assert_non_null(strstr(buf_c(&out), "agent:x:"));
	assert_string_not_equal(buf_c(&out), buf_c(&mine));
	assert_int_equal(fetch(get_all, "s", &out).error, ENOENT);
	assert_int_equal(fetch(get_all, "loop", &out).error, ELOOP);
	assert_int_equal(fetch(get_all, "r", &out).error, EACCES);
	/* Written through a link: the image is not the sandbox's to change. */
	assert_int_not_equal(put(put_all, "p", "x", 1).error, 0);
	box_close();
}

static void
only_regular_files_are_opened(void **state)
{
	static const struct {
		const char *path;
		unsigned error;
	} rows[] = {
		{ "fifo", EINVAL },
		{ "socket", EINVAL },
		{ "/dev/zero", EINVAL },
		{ "/dev/ptmx", EINVAL },
		{ "link-to-fifo", EINVAL },
		{ "missing", ENOENT },
	};
	own_buf struct buf out = {};

	(void)state;
	box_open();
	inside("mkfifo fifo; ln -s fifo link-to-fifo; python3 -c \"import "
	       "socket; socket.socket(socket.AF_UNIX).bind('socket')\"");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rpc_request q = put_all;

		assert_int_equal(
		    fetch(get_all, rows[i].path, &out).error, rows[i].error);
		assert_int_equal(out.n, 0);
		if (rows[i].error == ENOENT)
			continue;
		assert_int_equal(
		    put(q, rows[i].path, "x", 1).error, rows[i].error);
	}
	assert_int_equal(fetch(get_all, "/tmp", &out).error, EISDIR);
	box_close();
}

static void
a_sparse_terabyte_is_no_more_than_was_asked_for(void **state)
{
	struct sandbox_spec spec = { .stdio = { -1, -1, -1 } };
	char dir[] = "/tmp/paddock-t-sparse-XXXXXX";
	struct rpc_request q = get_all;
	own_buf struct buf out = {};
	own_fd int folder = -1, file = -1;
	struct rpc_reply r;

	(void)state;
	/* From outside: inside there is a limit of a file's size. */
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0755), 0);
	folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	file = openat(folder, "sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(file >= 0);
	assert_int_equal(ftruncate(file, TIB), 0);
	spec.workspace_fd = folder;
	box_open_spec(&spec);
	q.max_bytes = MIB;
	q.offset = TIB - 2 * MIB;
	r = fetch(q, "sparse", &out);
	assert_int_equal(r.error, 0);
	assert_int_equal(r.bytes, MIB);
	assert_int_equal(out.n, MIB);
	assert_int_equal(r.size, TIB);
	box_close();
	assert_int_equal(unlinkat(folder, "sparse", 0), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void
a_full_disk_is_told(void **state)
{
	static char much[20 * MIB];
	struct rpc_request q = put_all;
	struct rpc_reply r;

	(void)state;
	box_open();
	/* Two halves: each alone is within the limit of a file's size. */
	assert_int_equal(put(q, "first", much, 10 * MIB).error, 0);
	r = put(q, "second", much, 10 * MIB);
	assert_int_equal(r.error, ENOSPC);
	assert_true(r.bytes > 0 && r.bytes < 10 * MIB);
	assert_non_null(strstr(r.text, "second"));
	assert_int_equal(
	    doing(kind_of(RPC_FILE_RM, 0), "second", NULL).error, 0);
	q.flags = RPC_PUT_ATOMIC;
	assert_int_equal(put(q, "third", much, 10 * MIB).error, ENOSPC);
	inside("test $(ls -A | wc -l) = 1");
	/* Over the limit of one file. */
	q.flags = RPC_PUT_TRUNCATE;
	assert_int_equal(
	    doing(kind_of(RPC_FILE_RM, 0), "first", NULL).error, 0);
	r = put(q, "large", much, sizeof(much));
	assert_true(r.error == EFBIG || r.error == ENOSPC);
	box_close();
}

static void
a_listing_shows_hostile_names_safely(void **state)
{
	own_buf struct buf out = {}, none = {};
	const char *text;

	(void)state;
	box_open();
	inside("mkdir d && cd d && printf x >\"$(printf 'a\\nb\\033[2J')\" && "
	       "printf x >\"$(printf 'caf\\351')\" && mkdir sub && "
	       "ln -s /etc/passwd sub/link && mkfifo sub/fifo && chmod 640 a*");
	assert_int_equal(
	    fetch(kind_of(RPC_FILE_LS, RPC_RECURSIVE), "d", &out).error, 0);
	text = buf_c(&out);
	assert_non_null(strstr(text,
	    "{\"name\":\"a\\nb\\u001b[2J\",\"type\":\"file\",\"size\":1,"
	    "\"mode\":416,\"mtime_ns\":\""));
	assert_non_null(strstr(
	    text, "{\"name\":\"caf\xef\xbf\xbd\",\"name_b64\":\"Y2Fm6Q==\","));
	assert_non_null(strstr(text, "{\"name\":\"sub\",\"type\":\"dir\","));
	assert_non_null(
	    strstr(text, "{\"name\":\"sub/link\",\"type\":\"symlink\","));
	assert_non_null(strstr(text, "\"target\":\"/etc/passwd\"}\n"));
	assert_non_null(
	    strstr(text, "{\"name\":\"sub/fifo\",\"type\":\"fifo\","));
	assert_int_equal(
	    fetch(kind_of(RPC_FILE_LS, 0), "missing", &none).error, ENOENT);

	buf_reset(&none);
	assert_int_equal(
	    fetch(kind_of(RPC_FILE_STAT, 0), "d/sub/link", &none).error, 0);
	assert_non_null(strstr(
	    buf_c(&none), "{\"name\":\"d/sub/link\",\"type\":\"symlink\""));
	buf_reset(&none);
	assert_int_equal(
	    fetch(kind_of(RPC_FILE_STAT, RPC_FOLLOW), "d/sub/link", &none)
		.error,
	    0);
	assert_non_null(strstr(buf_c(&none), "\"type\":\"file\""));
	box_close();
}

static void
trees_are_made_renamed_and_removed(void **state)
{
	struct rpc_request q = { .kind = RPC_FILE_MKDIR, .mode = 0755 };

	(void)state;
	box_open();
	assert_int_equal(doing(q, "a/b/c", NULL).error, ENOENT);
	q.flags = RPC_PARENTS;
	assert_int_equal(doing(q, "a/b/c", NULL).error, 0);
	assert_int_equal(doing(q, "a/b/c", NULL).error, 0);
	assert_int_equal(put(put_all, "a/b/c/f", "x", 1).error, 0);
	assert_int_equal(doing(q, "a/b/c/f", NULL).error, EEXIST);
	q = kind_of(RPC_FILE_RENAME, 0);
	assert_int_equal(doing(q, "a/b", "a/x").error, 0);
	holds("a/x/c/f", "x");
	assert_int_equal(put(put_all, "g", "y", 1).error, 0);
	q.flags = RPC_NO_REPLACE;
	assert_int_equal(doing(q, "g", "a/x/c/f").error, EEXIST);
	q = kind_of(RPC_FILE_RM, 0);
	assert_int_equal(doing(q, "a", NULL).error, ENOTEMPTY);
	/* Never through a link: what it points to stays. */
	inside("mkdir -p keep/d && ln -s ../../keep a/x/link && "
	       "ln -s keep top");
	q.flags = RPC_RECURSIVE;
	assert_int_equal(doing(q, "a", NULL).error, 0);
	assert_int_equal(doing(q, "top", NULL).error, 0);
	inside("test -d keep/d && test ! -e a && test ! -L top");
	assert_int_equal(doing(q, "/usr", NULL).error, EROFS);
	inside("d=deep; for i in $(seq 80); do mkdir $d; d=$d/x; done");
	assert_int_equal(doing(q, "deep", NULL).error, E2BIG);
	box_close();
}

static void
a_watch_sees_what_changes(void **state)
{
	own_buf struct buf out = {};
	const char *path = "/workspace";
	struct rpc_reply r;
	uint64_t id;
	int pair[2];

	(void)state;
	box_open();
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	id = ask_with(kind_of(RPC_FILE_WATCH, 0), &path, 1, &pair[1], 1);
	fd_fini(&pair[1]);
	read_until(pair[0], &out, "{\"event\":\"ready\"}\n");
	inside("echo x >\"$(printf 'n\\377')\"; mkdir d; mv d e; rm n*");
	read_until(pair[0], &out,
	    "{\"event\":\"create\",\"name\":\"n\xef\xbf\xbd\","
	    "\"name_b64\":\"bv8=\"}\n");
	read_until(pair[0], &out, "{\"event\":\"modify\",\"name\":\"n");
	read_until(pair[0], &out,
	    "{\"event\":\"create\",\"name\":\"d\",\"dir\":true}\n");
	read_until(pair[0], &out, "{\"event\":\"moved_from\",\"name\":\"d\"");
	read_until(pair[0], &out, "{\"event\":\"moved_to\",\"name\":\"e\"");
	read_until(pair[0], &out, "{\"event\":\"delete\",\"name\":\"n");
	/* Its end is that of its reader. */
	fd_fini(&pair[0]);
	assert_int_equal(hear(id, RPC_DONE, NULL).error, 0);

	/* Or that of the path. */
	inside("mkdir gone");
	path = "gone";
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	id = ask_with(kind_of(RPC_FILE_WATCH, 0), &path, 1, &pair[1], 1);
	fd_fini(&pair[1]);
	buf_reset(&out);
	read_until(pair[0], &out, "ready");
	inside("rmdir gone");
	read_end(pair[0], &out);
	assert_non_null(strstr(buf_c(&out), "{\"event\":\"gone\"}\n"));
	fd_fini(&pair[0]);
	assert_int_equal(hear(id, RPC_DONE, NULL).error, 0);

	path = "missing";
	r = fetch(kind_of(RPC_FILE_WATCH, 0), path, &out);
	assert_int_equal(r.error, ENOENT);
	box_close();
}

static void
a_server_inside_is_reached_by_its_port(void **state)
{
	static const char *const argv[] = { "python3", "-u", "-c",
		"import http.server as h\n"
		"s = h.HTTPServer(('127.0.0.1', 8000), "
		"h.SimpleHTTPRequestHandler)\n"
		"print('ready')\n"
		"s.serve_forever()",
		NULL };
	static const char ask_for[] = "GET /hello HTTP/1.0\r\n\r\n";
	struct rpc_request q = { .kind = RPC_PORT, .port = 8000 };
	own_buf struct buf out = {}, got = {};
	int fds[RPC_MAX_FDS], end[RPC_MAX_FDS];
	struct err e = {};
	uint64_t id;

	(void)state;
	box_open();
	assert_int_equal(doing(q, NULL, NULL).error, ECONNREFUSED);
	assert_int_equal(put(put_all, "hello", "from inside", 11).error, 0);
	(void)exec_piped(argv, fds);
	read_until(fds[1], &out, "ready");
	id = ask_with(q, NULL, 0, NULL, 0);
	(void)hear(id, RPC_STARTED, end);
	assert_int_equal(hear(id, RPC_DONE, NULL).error, 0);
	assert_int_equal(fd_write_all(end[0], ask_for, strlen(ask_for), &e), 0);
	read_end(end[0], &got);
	assert_non_null(strstr(buf_c(&got), "\r\n\r\nfrom inside"));
	fd_fini(&end[0]);
	for (int i = 0; i < 3; i++)
		fd_fini(&fds[i]);
	box_close();
}

static void
the_processes_inside_are_listed(void **state)
{
	static const char *const argv[] = { "sleep", "1000", NULL };
	own_buf struct buf out = {};
	int fds[RPC_MAX_FDS], tries = 0;
	const char *at;

	(void)state;
	box_open();
	(void)exec_piped(argv, fds);
	/* A small process may have no page that its counter tells of yet. */
	do {
		buf_reset(&out);
		assert_int_equal(
		    fetch(kind_of(RPC_PROCESSES, 0), NULL, &out).error, 0);
	} while (strstr(buf_c(&out), "\"argv0\":\"sleep\",\"rss\":0") != NULL &&
	    tries++ < 1000);
	/* What state each is in is a matter of the moment. */
	at = strstr(buf_c(&out), "{\"pid\":1,\"ppid\":0,\"state\":\"");
	assert_non_null(at);
	assert_non_null(strstr(at, "\"argv0\":\"paddock-init\",\"rss\":"));
	at = strstr(at, "\"argv0\":\"sleep\",\"rss\":");
	assert_non_null(at);
	/* Nothing of the host. */
	assert_int_equal(strtol(strstr(at, "\"rss\":") + 6, NULL, 10) > 0, 1);
	assert_null(strstr(buf_c(&out), "t_rpc"));
	for (int i = 0; i < 3; i++)
		fd_fini(&fds[i]);
	box_close();
}

static void
workers_have_a_limit_and_commands_cannot_touch_them(void **state)
{
	const char *path = "/workspace";
	static int ends[RPC_MAX_WORKERS];
	static uint64_t ids[RPC_MAX_WORKERS];
	own_buf struct buf out = {};
	struct rpc_reply r;

	(void)state;
	box_open();
	for (int i = 0; i < RPC_MAX_WORKERS; i++) {
		own_buf struct buf first = {};
		int pair[2];

		assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
		ids[i] =
		    ask_with(kind_of(RPC_FILE_WATCH, 0), &path, 1, &pair[1], 1);
		fd_fini(&pair[1]);
		read_until(pair[0], &first, "ready");
		ends[i] = pair[0];
	}
	r = doing(kind_of(RPC_FILE_RM, 0), "x", NULL);
	assert_int_equal(r.error, EAGAIN);
	/* Of this uid, and out of reach all the same: all but this shell. */
	if ((box.posture & WALL_LANDLOCK_SCOPE) != 0) {
		(void)shell("for p in /proc/[0-9]*; do p=${p#/proc/}; "
			    "test $p = $$ || kill -9 $p; done 2>&1; echo ran",
		    &out);
		assert_non_null(strstr(buf_c(&out), "ran"));
		assert_non_null(strstr(buf_c(&out), "not permitted"));
	}
	for (int i = 0; i < RPC_MAX_WORKERS; i++)
		fd_fini(&ends[i]);
	for (int i = 0; i < RPC_MAX_WORKERS; i++)
		assert_int_equal(hear(ids[i], RPC_DONE, NULL).error, 0);
	assert_int_equal(
	    doing(kind_of(RPC_FILE_RM, 0), "x", NULL).error, ENOENT);
	box_close();
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_is_got),
		cmocka_unit_test(links_lead_nowhere_but_inside),
		cmocka_unit_test(only_regular_files_are_opened),
		cmocka_unit_test(
		    a_sparse_terabyte_is_no_more_than_was_asked_for),
		cmocka_unit_test(a_full_disk_is_told),
		cmocka_unit_test(a_listing_shows_hostile_names_safely),
		cmocka_unit_test(trees_are_made_renamed_and_removed),
		cmocka_unit_test(a_watch_sees_what_changes),
		cmocka_unit_test(a_server_inside_is_reached_by_its_port),
		cmocka_unit_test(the_processes_inside_are_listed),
		cmocka_unit_test(
		    workers_have_a_limit_and_commands_cannot_touch_them),
	};
	int status = rig_open(argc, argv);

	if (status >= 0)
		return status;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
