/*
 * The command line's own parts: options, the client's reading of answers, what
 * is shown of a waiting call.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/approval_show.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/cmd_kill.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/run_open.h"
#include "sys/fd.h"

enum { WAIT_MS = 2000 };

static char dir[] = "/tmp/t_cli.XXXXXX";

/* --- what a subcommand says -------------------------------------------- */

static int kept_stderr = -1, kept_memfd = -1;

static void
capture(void)
{
	(void)fflush(stderr);
	kept_memfd = memfd_create("stderr", MFD_CLOEXEC);
	kept_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	assert_true(kept_memfd >= 0 && kept_stderr >= 0);
	assert_true(dup2(kept_memfd, STDERR_FILENO) >= 0);
}

/* What was said since capture(). */
static const char *
captured(void)
{
	static char text[8192];
	ssize_t n = pread(kept_memfd, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	assert_true(dup2(kept_stderr, STDERR_FILENO) >= 0);
	fd_fini(&kept_stderr);
	fd_fini(&kept_memfd);
	return text;
}

static void
holds(const char *text, const char *part)
{
	if (text == NULL || strstr(text, part) == NULL)
		fail_msg(
		    "\"%s\" is not in \"%s\"", part, text != NULL ? text : "");
}

static const struct option test_options[] = {
	{ "world", required_argument, NULL, 'w' },
	{ "json", no_argument, NULL, 'j' },
	ARGS_HELP,
	{},
};

static void
options_stand_anywhere_but_behind_two_dashes(void **state)
{
	char *argv[] = { (char[]){ "run" }, (char[]){ "policy" },
		(char[]){ "--world" }, (char[]){ "w" }, (char[]){ "--json" },
		(char[]){ "--" }, (char[]){ "cmd" }, (char[]){ "--json" },
		(char[]){ "--" }, NULL };
	struct args a;

	(void)state;
	args_init(&a, 9, argv, "", test_options);
	assert_int_equal(args_next(&a), 'w');
	assert_string_equal(optarg, "w");
	assert_int_equal(args_next(&a), 'j');
	assert_int_equal(args_next(&a), ARGS_END);
	assert_int_equal(args_count(&a), 1);
	assert_string_equal(args_rest(&a)[0], "policy");
	assert_string_equal(a.command[0], "cmd");
	assert_string_equal(a.command[1], "--json");
	assert_string_equal(a.command[2], "--");
	assert_null(a.command[3]);
}

static void
a_wrong_option_gets_one_line_and_a_remedy(void **state)
{
	static const struct {
		const char *option;
		const char *said;
	} rows[] = {
		{ "--wrold", "did you mean --world?" }, /* letters swapped */
		{ "--JSON", "did you mean --json?" }, /* case */
		{ "--zzzzzz", "unknown option --zzzzzz; see" }, /* far off */
		{ "--json=yes", "--json takes no value" },
		{ "--world", "--world needs a value" }, /* and is last */
		{ "-x", "unknown option -x" },
		{ "--\x1b[2J", "unknown option --\\x1b[2J" }, /* escaped */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char option[64];
		char *argv[] = { (char[]){ "run" }, option, NULL };
		const char *said;
		struct args a;
		int got;

		(void)snprintf(option, sizeof(option), "%s", rows[i].option);
		args_init(&a, 2, argv, "", test_options);
		capture();
		got = args_next(&a);
		said = captured();
		assert_int_equal(got, ARGS_STOP);
		assert_int_equal(a.exit, EXIT_USAGE);
		holds(said, rows[i].said);
		holds(said, "paddock run --help");
		assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
		assert_null(strchr(said, '\x1b'));
	}
}

static void
arguments_are_counted(void **state)
{
	char *argv[] = { (char[]){ "stop" }, (char[]){ "a" }, (char[]){ "b" },
		NULL };
	struct args a;

	(void)state;
	args_init(&a, 3, argv, "", test_options);
	assert_int_equal(args_next(&a), ARGS_END);
	assert_int_equal(args_need(&a, 1, ARGS_MANY, "RUN"), 0);
	assert_int_equal(args_need(&a, 2, 2, "RUN"), 0);
	capture();
	assert_int_equal(args_need(&a, 3, 3, "RUN"), EXIT_USAGE);
	holds(captured(), "RUN is missing");
	capture();
	assert_int_equal(args_need(&a, 0, 1, "RUN"), EXIT_USAGE);
	holds(captured(), "unexpected argument b");
}

static void
an_unknown_command_is_told_its_neighbour(void **state)
{
	char *argv[] = { (char[]){ "paddock" }, (char[]){ "aprove" }, NULL };
	char *far[] = { (char[]){ "paddock" }, (char[]){ "quux\n" }, NULL };

	(void)state;
	capture();
	assert_int_equal(command_main(2, argv), EXIT_USAGE);
	holds(captured(), "did you mean approve?");
	capture();
	assert_int_equal(command_main(2, far), EXIT_USAGE);
	holds(captured(), "unknown command quux\\n; see paddock help");
}

/* --- where the daemon is ------------------------------------------------ */

static void
only_this_machines_addresses_are_taken(void **state)
{
	static const struct {
		const char *text;
		const char *host; /* NULL: refused */
		uint16_t port;
	} rows[] = {
		{ "127.0.0.1:7070", "127.0.0.1", 7070 },
		{ "127.1.2.3:1", "127.1.2.3", 1 },
		{ "localhost:65535", "127.0.0.1", 65535 },
		{ "[::1]:80", "::1", 80 },
		{ "127.0.0.1", NULL, 0 }, /* no port */
		{ "127.0.0.1:", NULL, 0 },
		{ "127.0.0.1:0", NULL, 0 },
		{ "127.0.0.1:65536", NULL, 0 },
		{ "127.0.0.1:80x", NULL, 0 },
		{ "0.0.0.0:80", NULL, 0 }, /* everybody */
		{ "10.0.0.1:80", NULL, 0 }, /* another machine */
		{ "127.evil.example:80", NULL, 0 }, /* a name */
		{ "[::]:80", NULL, 0 },
		{ "[::1:80", NULL, 0 },
		{ "[", NULL, 0 },
		{ "", NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char host[CLIENT_HOST_BYTES] = "";
		uint16_t port = 0;
		struct err e = {};
		int got = client_address(str_of(rows[i].text), host, &port, &e);

		if (rows[i].host == NULL) {
			assert_int_equal(got, -1);
			assert_true(e.text[0] != '\0');
			continue;
		}
		assert_int_equal(got, 0);
		assert_string_equal(host, rows[i].host);
		assert_int_equal(port, rows[i].port);
	}
}

static void
no_daemon_says_how_to_start_one(void **state)
{
	struct client_options o = { .state = dir };
	const struct client_request q = { .method = "GET",
		.target = "/v1/health" };
	own_client struct client c = {};
	own_reply struct client_reply r = {};
	own_buf struct buf answer = {};
	struct err e = {};

	(void)state;
	assert_int_equal(client_init(&c, &o, &e), 0);
	assert_int_equal(client_ask(&c, &q, &r, &e), -1);
	assert_true(client_down(&e));
	holds(e.text, "paddock serve --state /tmp/t_cli.");
	assert_int_equal(kill_ask(&c, NULL, &answer, &e), -1);
	holds(e.text, "nothing to kill");
}

static void
a_state_path_too_long_for_a_socket_is_refused(void **state)
{
	char path[200] = "/";
	struct client_options o = { .state = path };
	own_client struct client c = {};
	struct err e = {};

	(void)state;
	memset(path + 1, 'x', sizeof(path) - 2);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(client_init(&c, &o, &e), -1);
	holds(e.text, "shorter --state");
}

static void
a_token_that_could_begin_a_header_is_refused(void **state)
{
	static const struct {
		const char *content;
		bool good;
	} rows[] = {
		{ "abc123\n", true },
		{ "abc123", true },
		{ "abc\r\nX-Evil: 1\n", false },
		{ "abc def", false },
		{ "\n", false },
		{ "", false },
	};
	char path[64];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/token", dir);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client_options o = { .state = dir,
			.url = "http://127.0.0.1:7070/",
			.token_file = path };
		own_client struct client c = {};
		own_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		struct err e = {};

		assert_true(fd >= 0);
		assert_int_equal(fd_write_all(fd, rows[i].content,
				     strlen(rows[i].content), &e),
		    0);
		assert_int_equal(
		    client_init(&c, &o, &e), rows[i].good ? 0 : -1);
		if (rows[i].good)
			assert_true(str_eq_c(buf_str(&c.token), "abc123"));
	}
	assert_int_equal(unlink(path), 0);
}

/* --- what the daemon answers -------------------------------------------- */

/* A connection on which all of text has arrived, and then the end. */
static struct client_conn
arrived(const char *text)
{
	int pair[2];
	struct err e = {};

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(fd_write_all(pair[1], text, strlen(text), &e), 0);
	assert_int_equal(close(pair[1]), 0);
	return (struct client_conn){ .fd = pair[0] };
}

static void
answers_of_every_shape_are_read(void **state)
{
	static const struct {
		const char *answer;
		int status; /* 0: no answer */
		const char *x; /* member "x", or part of the error */
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"x\":\"y\"}",
		    200, "y" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "4\r\n{\"x\"\r\n5\r\n:\"y\"}\r\n0\r\n\r\n",
		    200, "y" },
		{ "HTTP/1.1 200 OK\r\n\r\n{\"x\":\"y\"}", 200, "y" },
		{ "HTTP/1.1 100 Continue\r\n\r\n"
		  "HTTP/1.1 409 Conflict\r\nContent-Length: 9\r\n\r\n"
		  "{\"x\":\"y\"}",
		    409, "y" },
		{ "HTTP/1.1 204 No Content\r\n\r\n", 204, "" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"x\":\"y\"}",
		    0, "cut off" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n",
		    0, "cut off" },
		{ "HTTP/1.1 200 OK\r\nContent-", 0, "hung up" },
		{ "", 0, "hung up" },
		{ "SSH-2.0-OpenSSH\r\n\r\n", 0, "answer" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxyz", 0,
		    "HTTP 200" }, /* no JSON */
		{ "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{", 0,
		    "limit" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_conn struct client_conn conn = arrived(rows[i].answer);
		own_reply struct client_reply r = {};
		struct err e = {};
		int got = client_receive(&conn, WAIT_MS, &r, &e);

		if (rows[i].status == 0) {
			assert_int_equal(got, -1);
			holds(e.text, rows[i].x);
			continue;
		}
		assert_int_equal(got, 0);
		assert_int_equal(r.status, rows[i].status);
		assert_true(
		    str_eq_c(json_str(json_get(r.json, STR("x"))), rows[i].x));
		assert_int_equal(conn.fd, -1);
	}
}

static void
an_answer_that_does_not_come_is_not_waited_for_long(void **state)
{
	int pair[2];
	struct err e = {};

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	{
		own_conn struct client_conn conn = { .fd = pair[0] };
		own_reply struct client_reply r = {};

		assert_int_equal(client_receive(&conn, 1, &r, &e), -1);
		assert_int_equal(e.sys, EAGAIN);
	}
	assert_int_equal(close(pair[1]), 0);
}

static void
a_refusal_is_told_with_its_remedy(void **state)
{
	static const char answer[] =
	    "HTTP/1.1 403 Forbidden\r\n\r\n"
	    "{\"error\":{\"code\":\"x\",\"message\":\"You may not.\","
	    "\"suggested_next_step\":\"Ask an operator.\"}}";
	own_conn struct client_conn conn = arrived(answer);
	own_reply struct client_reply r = {};
	struct err e = {};

	(void)state;
	assert_int_equal(client_receive(&conn, WAIT_MS, &r, &e), 0);
	assert_int_equal(client_refused(&r, &e), -1);
	assert_string_equal(e.text, "You may not; Ask an operator.");
}

static void
events_come_one_by_one_until_the_end(void **state)
{
	static const char answer[] =
	    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n"
	    "c\r\ndata: one\n\nd\r\nb\r\nata: two\n\n:\r\n0\r\n\r\n";
	own_conn struct client_conn conn = arrived(answer);
	struct sse_event ev;
	struct err e = {};

	(void)state;
	assert_int_equal(client_stream(&conn, WAIT_MS, &e), 0);
	assert_int_equal(client_event(&conn, &ev, &e), 1);
	assert_true(str_eq_c(ev.data, "one"));
	assert_int_equal(client_event(&conn, &ev, &e), 1);
	assert_true(str_eq_c(ev.data, "two"));
	assert_int_equal(client_event(&conn, &ev, &e), -1);
	holds(e.text, "ended");
}

static void
a_stream_that_pauses_is_no_end(void **state)
{
	static const char answer[] =
	    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
	    "data: on";
	struct client_conn conn = {};
	struct sse_event ev;
	struct err e = {};
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	conn.fd = pair[0];
	assert_int_equal(fd_write_all(pair[1], answer, strlen(answer), &e), 0);
	assert_int_equal(client_stream(&conn, WAIT_MS, &e), 0);
	assert_int_equal(client_event(&conn, &ev, &e), 0);
	assert_int_equal(fd_write_all(pair[1], "e\n\n", 3, &e), 0);
	assert_int_equal(client_event(&conn, &ev, &e), 1);
	assert_true(str_eq_c(ev.data, "one"));
	assert_int_equal(close(pair[1]), 0);
	client_conn_fini(&conn);
}

/* A listener named name in the state directory. */
static int
listener(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/%s", dir, name);
	(void)unlink(at.sun_path);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void
remove_listener(const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(unlink(path), 0);
}

static void
descriptors_travel_with_the_first_byte(void **state)
{
	struct client_options o = { .state = dir };
	own_client struct client c = {};
	own_conn struct client_conn conn = { .fd = -1 };
	own_fd int door = listener("paddock.sock"), peer = -1, ours = -1;
	own_fd int got_fd = -1;
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	char bytes[4096];
	struct iovec iov = { bytes, sizeof(bytes) - 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	struct client_request q = {
		.method = "POST",
		.target = "/v1/runs",
		.body = STR("{\"x\":1}"),
		.fds = &ours,
		.n_fds = 1,
	};
	struct err e = {};
	char inside[8] = "";
	ssize_t n;

	(void)state;
	ours = memfd_create("passed", MFD_CLOEXEC);
	assert_int_equal(fd_write_all(ours, "hello", 5, &e), 0);
	assert_int_equal(client_init(&c, &o, &e), 0);
	assert_int_equal(client_send(&c, &q, &conn, &e), 0);
	peer = accept(door, NULL, NULL);
	assert_true(peer >= 0);
	n = recvmsg(peer, &msg, MSG_CMSG_CLOEXEC);
	assert_true(n > 0);
	bytes[n] = '\0';
	assert_non_null(CMSG_FIRSTHDR(&msg));
	memcpy(&got_fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(got_fd));
	assert_int_equal(pread(got_fd, inside, 5, 0), 5);
	assert_string_equal(inside, "hello");
	assert_ptr_equal(
	    strstr(bytes, "POST /v1/runs HTTP/1.1\r\nHost: "), bytes);
	holds(bytes, "\r\nPaddock-Descriptors: 1\r\n");
	holds(bytes, "\r\nContent-Length: 7\r\n");
	holds(bytes, "\r\n\r\n{\"x\":1}");
	remove_listener("paddock.sock");
}

static void
the_kill_switch_is_one_line_each_way(void **state)
{
	struct client_options o = { .state = dir };
	own_client struct client c = {};
	own_buf struct buf answer = {};
	own_fd int door = listener("kill.sock");
	struct err e = {};
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(client_init(&c, &o, &e), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = accept(door, NULL, NULL);
		char line[64] = "";

		if (read(fd, line, sizeof(line) - 1) < 0 ||
		    strcmp(line, "kill-all\n") != 0 ||
		    write(fd, "killed 3\n", 9) != 9)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(kill_ask(&c, NULL, &answer, &e), 0);
	assert_true(str_eq_c(buf_str(&answer), "killed 3"));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	remove_listener("kill.sock");
}

/* --- what is shown and sent --------------------------------------------- */

static const char hostile[] =
    "{\"approval\":\"a-7k3m9q2v5w1x\",\"run\":\"r-7k3m9q2v5w1x\",\"step\":4,"
    "\"tool\":\"billing.refund\",\"state\":\"pending\",\"deadline_ms\":61000,"
    "\"detail\":{\"risk\":\"external_write\",\"reasons\":[\"needs a person\","
    "\"\\u001b[8mhidden\"],\"labels\":[\"untrusted:customer\"]},"
    "\"arguments\":{\"amount\":25,\"note\":\"ok\\r\\u001b[2K\\u202egnp\","
    "\"text\":\"one\\ntwo\"}}";

static void
a_waiting_call_shows_all_and_moves_no_cursor(void **state)
{
	own_arena struct arena a = {};
	own_buf struct buf out = {}, table = {}, list = {};
	struct term t = {};
	struct err e = {};
	const struct json *v = json_parse(str_of(hostile), NULL, &a, &e, NULL);

	(void)state;
	assert_non_null(v);
	approval_show(&t, v, 1000 * 1000 * 1000, &out);
	holds(buf_c(&out), "billing.refund  pending, 60s left\n");
	holds(buf_c(&out), "    amount = 25\n");
	holds(buf_c(&out), "    note = ok\\r\\x1b[2K\\u{202e}gnp\n");
	holds(buf_c(&out), "    text = \n        | one\n        | two\n");
	holds(buf_c(&out), "  why needs a person\n");
	holds(buf_c(&out), "  why \\x1b[8mhidden\n");
	holds(buf_c(&out), "  label untrusted:customer\n");
	assert_null(memchr(out.p, '\x1b', out.n));

	buf_printf(&list, "[%s]", hostile);
	v = json_parse(buf_str(&list), NULL, &a, &e, NULL);
	assert_int_equal(approval_table(&t, v, 0, &table, &e), 0);
	holds(buf_c(&table), "a-7k3m9q2v5w1x");
	holds(buf_c(&table), "61s");
	assert_null(memchr(table.p, '\x1b', table.n));
}

static void
a_long_argument_does_not_hide_the_next(void **state)
{
	static const char text[] =
	    "{\"body\":\"0123456789012345678901234567890\xc3\xa4 and more\","
	    "\"to\":\"x@example.com\"}";
	own_arena struct arena a = {};
	own_buf struct buf out = {};
	struct err e = {};

	(void)state;
	approval_brief(&out, json_parse(str_of(text), NULL, &a, &e, NULL));
	assert_string_equal(buf_c(&out),
	    "body=\"0123456789012345678901234567890... "
	    "to=\"x@example.com\"");
}

static void
json_on_a_terminal_is_ascii_and_the_same_value(void **state)
{
	static const char text[] =
	    "{\"a\":\"\xc2\x9b\xe2\x80\xae\xf0\x9f\x98\x80\",\n\"b\":1}";
	own_arena struct arena a = {};
	own_buf struct buf raw = {}, ascii = {};
	own_fd int master = posix_openpt(O_RDWR | O_NOCTTY);
	own_fd int file = memfd_create("file", MFD_CLOEXEC);
	struct err e = {};

	(void)state;
	out_json_text(&raw, str_of(text), file);
	assert_true(str_eq_c(buf_str(&raw), text));
	if (master < 0)
		skip(); /* no pseudo-terminals here */
	out_json_text(&ascii, str_of(text), master);
	for (size_t i = 0; i < ascii.n; i++)
		assert_in_range((uint8_t)ascii.p[i], '\n', '~');
	assert_true(json_equal(json_parse(str_of(text), NULL, &a, &e, NULL),
	    json_parse(buf_str(&ascii), NULL, &a, &e, NULL)));
}

static void
a_variable_has_a_name(void **state)
{
	struct err e = {};

	(void)state;
	assert_int_equal(run_open_env("A=", &e), 0);
	assert_int_equal(run_open_env("A=b=c", &e), 0);
	assert_int_equal(run_open_env("A", &e), -1);
	assert_int_equal(run_open_env("=b", &e), -1);
}

static void
write_file(char *path, size_t cap, const char *name, const char *content)
{
	struct err e = {};
	int fd;

	(void)snprintf(path, cap, "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, content, strlen(content), &e), 0);
	assert_int_equal(close(fd), 0);
}

static const char policy[] =
    "{ \"workflow\": \"w\", \"tenant_id\": \"t\", \"tools\": { \"kb.search\": "
    "{ \"risk\": \"read\", \"allowed\": true } } }";

static void
a_run_is_asked_for_with_all_it_needs(void **state)
{
	char policy_path[64], world_path[64];
	char *command[] = { (char[]){ "echo" }, (char[]){ "\xc3\xa4" }, NULL };
	const struct args_env env = { .of = { "A=1=2", "B=" }, .n = 2 };
	const struct run_open r = { .policy = policy_path,
		.world = world_path,
		.dir = dir,
		.env = &env,
		.command = command };
	own_arena struct arena a = {};
	own_buf struct buf body = {};
	struct run_folders folders;
	const struct json *v, *argv;
	struct err e = {};
	size_t n_problems;

	(void)state;
	write_file(policy_path, sizeof(policy_path), "p.json", policy);
	write_file(world_path, sizeof(world_path), "w.json", "{\"kb\":[]}");
	assert_int_equal(
	    run_open_body(&r, &body, &folders, &n_problems, &e), 0);
	v = json_parse(buf_str(&body), NULL, &a, &e, NULL);
	assert_non_null(v);
	assert_true(json_is(json_get(v, STR("policy")), JSON_OBJECT));
	assert_true(json_is(json_at(v, "world", "kb", NULL), JSON_ARRAY));
	argv = json_get(v, STR("argv"));
	assert_true(
	    str_eq_c(json_str(json_next(argv, json_first(argv))), "\xc3\xa4"));
	assert_true(str_eq_c(json_str(json_at(v, "env", "A", NULL)), "1=2"));
	assert_true(str_eq_c(json_str(json_at(v, "env", "B", NULL)), ""));
	assert_true(json_bool(json_get(v, STR("attach")), false));
	assert_false(json_bool(json_get(v, STR("write_back")), true));
	assert_true(
	    str_starts(json_str(json_get(v, STR("workspace"))), STR("/")));
	assert_int_equal(folders.n, 1);
	run_folders_fini(&folders);
	assert_int_equal(unlink(policy_path), 0);
	assert_int_equal(unlink(world_path), 0);
}

static void
what_is_wrong_is_said_with_its_place(void **state)
{
	static const struct {
		const char *policy, *world, *arg;
		const char *said; /* in the error or on standard error */
	} rows[] = {
		{ "{ \"workflow\": 1,\n  \"tolls\": {} }", "{}", "x",
		    "p.json:2:" },
		{ "{", "{}", "x", "p.json:" },
		{ policy, "{\n \"kb\": }", "x", "w.json:2:" },
		{ policy, "[]", "x", "w.json:1:1: a world is an object" },
		{ policy, "{}", "a\xff", "not UTF-8 (byte 2)" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char policy_path[64], world_path[64], arg[8];
		char *command[] = { arg, NULL };
		const struct run_open r = { .policy = policy_path,
			.world = world_path,
			.command = command };
		own_buf struct buf body = {}, said = {};
		size_t n_problems;
		struct err e = {};
		struct run_folders folders;
		int got;

		(void)snprintf(arg, sizeof(arg), "%s", rows[i].arg);
		write_file(
		    policy_path, sizeof(policy_path), "p.json", rows[i].policy);
		write_file(
		    world_path, sizeof(world_path), "w.json", rows[i].world);
		capture();
		got = run_open_body(&r, &body, &folders, &n_problems, &e);
		buf_add_c(&said, captured());
		buf_add_c(&said, e.text);
		assert_int_equal(got, -1);
		assert_int_equal(folders.n, 0);
		holds(buf_c(&said), rows[i].said);
		assert_int_equal(unlink(policy_path), 0);
		assert_int_equal(unlink(world_path), 0);
	}
}

static int
set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL;
}

static int
tear_down(void **state)
{
	(void)state;
	return rmdir(dir); /* every test has removed what it made */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_stand_anywhere_but_behind_two_dashes),
		cmocka_unit_test(a_wrong_option_gets_one_line_and_a_remedy),
		cmocka_unit_test(arguments_are_counted),
		cmocka_unit_test(an_unknown_command_is_told_its_neighbour),
		cmocka_unit_test(only_this_machines_addresses_are_taken),
		cmocka_unit_test(no_daemon_says_how_to_start_one),
		cmocka_unit_test(a_state_path_too_long_for_a_socket_is_refused),
		cmocka_unit_test(a_token_that_could_begin_a_header_is_refused),
		cmocka_unit_test(answers_of_every_shape_are_read),
		cmocka_unit_test(
		    an_answer_that_does_not_come_is_not_waited_for_long),
		cmocka_unit_test(a_refusal_is_told_with_its_remedy),
		cmocka_unit_test(events_come_one_by_one_until_the_end),
		cmocka_unit_test(a_stream_that_pauses_is_no_end),
		cmocka_unit_test(descriptors_travel_with_the_first_byte),
		cmocka_unit_test(the_kill_switch_is_one_line_each_way),
		cmocka_unit_test(a_waiting_call_shows_all_and_moves_no_cursor),
		cmocka_unit_test(a_long_argument_does_not_hide_the_next),
		cmocka_unit_test(
		    json_on_a_terminal_is_ascii_and_the_same_value),
		cmocka_unit_test(a_variable_has_a_name),
		cmocka_unit_test(a_run_is_asked_for_with_all_it_needs),
		cmocka_unit_test(what_is_wrong_is_said_with_its_place),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
