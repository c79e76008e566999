/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "init/judge.h"
#include "init/start.h"
#include "ipc/msg.h"
#include "sys/fd.h"

/* A folder with programs: bin/ is the PATH. */
static char dir[64];

static const char *
in(const char *name)
{
	static char path[4][160];
	static unsigned at;

	at = (at + 1) % 4;
	(void)snprintf(path[at], sizeof(path[at]), "%s/%s", dir, name);
	return path[at];
}

static void
put_file(const char *name, struct str bytes, mode_t mode)
{
	own_fd int fd = open(in(name), O_WRONLY | O_CREAT | O_EXCL, mode);
	struct err e;

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, bytes.p, bytes.n, &e), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static int
set_up(void **state)
{
	own_buf struct buf program = { .max = 16 << 20 };
	own_buf struct buf longer = { .max = 16 << 20 };
	own_buf struct buf script = {};
	struct err e;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/paddock-judge-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(mkdir(in("bin"), 0755), 0);
	assert_int_equal(mkdir(in("other"), 0755), 0);
	assert_int_equal(file_read("/bin/true", &program, 1 << 22, &e), 0);
	buf_add_str(&longer, buf_str(&program));
	buf_add_byte(&longer, 'x');
	put_file("bin/evil", buf_str(&program), 0755);
	put_file("other/copy", buf_str(&program), 0755);
	put_file("other/longer", buf_str(&longer), 0755);
	longer.p[longer.n - 2] ^= 1;
	longer.n--;
	put_file("other/differs", buf_str(&longer), 0755);
	put_file("other/unreadable", buf_str(&program), 0111);
	assert_int_equal(symlink("../bin/evil", in("other/link")), 0);
	assert_int_equal(link(in("bin/evil"), in("other/second")), 0);
	buf_printf(&script, "#! \t%s  -x\n", in("other/copy"));
	put_file("other/script", buf_str(&script), 0755);
	buf_reset(&script);
	buf_printf(&script, "#!%s\n", in("other/script"));
	put_file("other/scripts", buf_str(&script), 0755);
	buf_reset(&script);
	buf_printf(&script, "#!%s\n", in("other/loop"));
	put_file("other/loop", buf_str(&script), 0755);
	put_file("other/empty", STR("#!  \n"), 0755);
	return 0;
}

static int
tear_down(void **state)
{
	char command[160];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

/* What starting argv0 under these rules gives: its errno, 0 when it ran. */
static int
start(const char *rules, const char *argv0, char why[static JUDGE_TEXT_BYTES])
{
	/* New each time: a command that has gone leaves its stack in it, which
	 * a sanitizer goes on guarding. */
	struct start *s = calloc(1, sizeof(*s));
	char path[160], word[1024];
	char *envp[] = { word, path, NULL };
	const char *argv[] = { argv0, NULL };
	struct judge j;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), status;
	struct pollfd p;
	int failed;
	pid_t pid;

	assert_non_null(s);
	(void)snprintf(path, sizeof(path), "PATH=%s", in("bin"));
	(void)snprintf(word, sizeof(word), "%s%s", JUDGE_WORD, rules);
	judge_take(&j, envp);
	assert_string_equal(envp[0], path);
	assert_null(envp[1]);
	for (int i = 0; i < 3; i++)
		s->stdio[i] = null;
	s->cwd = in("other");
	s->argv = argv;
	s->envp = (const char *const *)envp;
	s->judge = &j;
	pid = start_command(s);
	assert_true(pid > 0);
	p = (struct pollfd){ .fd = s->watch };
	assert_int_equal(poll(&p, 1, 20000), 1);
	(void)close(s->watch);
	(void)close(null);
	assert_int_equal(waitpid(pid, &status, __WALL), pid);
	memcpy(why, s->room.text, JUDGE_TEXT_BYTES);
	failed = s->failed;
	free(s);
	if (failed == 0)
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return failed;
}

static void
programs_are_judged_by_what_they_are(void **state)
{
	static const struct {
		const char *rules, *argv0;
		int error;
	} rows[] = {
		{ "", "evil", 0 },
		{ "\nbevil", "evil", EKEYREJECTED },
		{ "\nbevil", "./copy", EKEYREJECTED },
		{ "\nbevil", "./link", EKEYREJECTED },
		{ "\nbevil", "./second", EKEYREJECTED },
		{ "\nbevil", "../other/../bin/evil", EKEYREJECTED },
		{ "\nbevil", "./script", EKEYREJECTED },
		{ "\nbevil", "./scripts", EKEYREJECTED },
		{ "\nbevil", "./longer", 0 },
		{ "\nbevil", "./differs", 0 },
		{ "\nbnone", "./copy", 0 },
		{ "\nbnone", "./loop", ELOOP },
		{ "\nbnone", "./empty", ENOEXEC },
		{ "\nbnone", "./none", ENOENT },
		{ "\nbnone", "none", ENOENT },
		{ "\nbnone", ".", EACCES },
		{ "\nl\naevil", "evil", 0 },
		{ "\nl\naevil", "./copy", 0 }, /* the same program */
		{ "\nl\naevil", "./differs", EKEYREJECTED },
		{ "\nl\nanone", "evil", EKEYREJECTED },
		{ "\nl", "evil", EKEYREJECTED },
		{ "\nl\naevil\nbevil", "evil", EKEYREJECTED },
		{ "\nl\na/bin/sh\naevil", "evil", 0 },
		/* nothing is hashed but for a digest, and none is this */
		{ "\nbsha256:"
		  "0000000000000000000000000000000000000000000000000000000000"
		  "000000",
		    "evil", 0 },
		{ "\nl\nasha256:"
		  "0000000000000000000000000000000000000000000000000000000000"
		  "000000",
		    "evil", EKEYREJECTED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char why[JUDGE_TEXT_BYTES];
		int error = start(rows[i].rules, rows[i].argv0, why);

		if (error != rows[i].error)
			fail_msg("%zu: %s under %s: %s (%s)", i, rows[i].argv0,
			    rows[i].rules, strerror(error), why);
		if (error == EKEYREJECTED)
			assert_non_null(strstr(why, "sandbox.commands"));
	}
}

static void
a_digest_is_of_every_byte(void **state)
{
	own_buf struct buf program = { .max = 16 << 20 };
	char rules[160], why[JUDGE_TEXT_BYTES], hex[HASH_HEX_BYTES];
	struct hash h;
	struct err e;

	(void)state;
	assert_int_equal(file_read(in("bin/evil"), &program, 1 << 22, &e), 0);
	h = hash_of(program.p, program.n);
	hash_hex(&h, hex);
	(void)snprintf(rules, sizeof(rules), "\nl\nasha256:%s", hex);
	assert_int_equal(start(rules, "evil", why), 0);
	assert_int_equal(start(rules, "./copy", why), 0);
	assert_int_equal(start(rules, "./differs", why), EKEYREJECTED);
	assert_int_equal(start(rules, "./script", why), EKEYREJECTED);
	(void)snprintf(rules, sizeof(rules), "\nbsha256:%s", hex);
	assert_int_equal(start(rules, "./copy", why), EKEYREJECTED);
	assert_int_equal(start(rules, "./script", why), EKEYREJECTED);
	assert_int_equal(start(rules, "./differs", why), 0);
}

static void
sha256_is_that_of_openssl(void **state)
{
	static uint8_t bytes[300];
	uint32_t random = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] =
		    (uint8_t)((random = random * 1103515245 + 12345) >> 16);
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		uint8_t own[SHA256_BYTES];
		struct hash h = hash_of(bytes, n);
		struct sha256 s;

		for (size_t cut = 0; cut <= n; cut += 1 + n / 7) {
			sha256_init(&s);
			sha256_add(&s, bytes, cut);
			sha256_add(&s, bytes + cut, n - cut);
			sha256_end(&s, own);
			assert_memory_equal(own, h.b, sizeof(own));
		}
	}
}

/* The broker and PID 1 mean the same word. */
static void
the_word_is_the_brokers(void **state)
{
	(void)state;
	assert_string_equal(JUDGE_WORD, START_COMMANDS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_are_judged_by_what_they_are),
		cmocka_unit_test(a_digest_is_of_every_byte),
		cmocka_unit_test(sha256_is_that_of_openssl),
		cmocka_unit_test(the_word_is_the_brokers),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
