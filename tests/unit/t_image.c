/* Images by name, held while they are used; and what the process that unpacks
 * cannot do. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "image/account.h"
#include "image/digest.h"
#include "image/image.h"
#include "image/images.h"
#include "image/import.h"
#include "image/jail.h"
#include "image/tree.h"
#include "image/unpack.h"
#include "sys/fd.h"

enum { NOW_MS = 1700000000 };

static const int64_t now_ns = NOW_MS * INT64_C(1000000);

/* A state directory, and a tree to import. */
struct place {
	char path[64], state[80], tree[80];
};

static void
place_make(struct place *p)
{
	char file[96];
	int fd;

	(void)snprintf(p->path, sizeof(p->path), "/tmp/paddock-image-XXXXXX");
	assert_non_null(mkdtemp(p->path));
	/* Two levels that are not there yet. */
	(void)snprintf(p->state, sizeof(p->state), "%s/a/state", p->path);
	(void)snprintf(p->tree, sizeof(p->tree), "%s/tree", p->path);
	(void)snprintf(file, sizeof(file), "%s/file", p->tree);
	assert_int_equal(mkdir(p->tree, 0755), 0);
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "hello", 5), 5);
	(void)close(fd);
}

static void
place_remove(const struct place *p)
{
	own_fd int tmp = open("/tmp", O_PATH | O_DIRECTORY);
	struct err e;

	if (tree_remove(tmp, p->path + strlen("/tmp/"), &e) < 0)
		fail_msg("%s", e.text);
}

static struct hash
import(const struct place *p, const char *name)
{
	const struct import in = { .state_dir = p->state,
		.source = p->tree,
		.name = name,
		.now_utc_ns = now_ns };
	struct imported done;
	struct err e;

	if (image_import(&in, &done, &e) < 0)
		fail_msg("%s", e.text);
	return done.digest;
}

static void
a_name_is_whole_or_refused(void **state)
{
	const struct {
		const char *text, *whole; /* NULL: refused */
		const char *tag;
	} rows[] = {
		{ "debian", "debian:latest", "latest" },
		{ "debian:12", "debian:12", "12" },
		{ "host:5000/a/b", "host:5000/a/b:latest", "latest" },
		{ "host:5000/a/b:c", "host:5000/a/b:c", "c" },
		{ "A_b-c.d", "A_b-c.d:latest", "latest" },
		{ "", NULL, NULL },
		{ "-rf", NULL, NULL },
		{ ".hidden", NULL, NULL },
		{ "a/../b", NULL, NULL },
		{ "/a", NULL, NULL },
		{ "a//b", NULL, NULL },
		{ "a/", NULL, NULL },
		{ "a:", NULL, NULL },
		{ "a:-b", NULL, NULL },
		{ "a b", NULL, NULL },
		{ "a\nb", NULL, NULL },
		{ "a@sha256", NULL, NULL },
		{ "sha256:0123456789ab", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[IMAGE_NAME_BYTES];
		struct err e = {};
		int r = image_name_parse(str_of(rows[i].text), out, &e);

		assert_int_equal(r, rows[i].whole == NULL ? -1 : 0);
		if (r < 0) {
			assert_true(e.text[0] != '\0');
			continue;
		}
		assert_string_equal(out, rows[i].whole);
		assert_true(str_eq_c(image_name_tag(out), rows[i].tag));
	}
	assert_true(image_name_is_digest(STR("sha256:0123456789ab")));
	assert_false(image_name_is_digest(STR("sha256:0123456789a")));
	assert_false(image_name_is_digest(STR("sha256:0123456789aB")));
}

static void
an_image_is_found_by_name_and_by_digest(void **state)
{
	char text[DIGEST_TEXT_BYTES];
	struct hash digest;
	struct place p;

	(void)state;
	place_make(&p);
	digest = import(&p, "base:1");
	digest_text(&digest, text);
	const struct {
		struct str name;
		bool found;
	} rows[] = {
		{ STR("base:1"), true },
		{ str_of(text), true },
		{ { text, 7 + 12 }, true },
		{ STR("base"), false },
		{ STR("base:2"), false },
		{ STR("sha256:000000000000"), false },
		{ STR("../base:1"), false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_image struct image image = {};
		struct err e = {};
		int r = image_find(p.state, rows[i].name, &image, &e);

		if ((r == 0) != rows[i].found)
			fail_msg("%.*s: %s", STR_FMT(rows[i].name), e.text);
		if (r < 0)
			continue;
		own_fd int file = openat(image.rootfs_fd, "file", O_RDONLY);
		struct stat st;

		assert_true(file >= 0);
		assert_int_equal(fstat(file, &st), 0);
		assert_int_equal(st.st_uid, image.uid);
		assert_int_equal(st.st_gid, image.gid);
		if (geteuid() == 0)
			assert_int_equal(image.uid, UNPACK_UID);
		assert_true(hash_eq(&image.digest, &digest));
		assert_string_equal(image.is.form, "directory");
		assert_string_equal(image.is.config.workdir, "/");
		assert_null(image.is.config.env[0]);
		assert_int_equal(image.is.bytes, 5);
		assert_int_equal(image.is.created_utc_ns, now_ns);
	}
	place_remove(&p);
}

static void
a_user_is_who_the_images_own_accounts_say(void **state)
{
	static const struct {
		const char *user, *accounts, *account, *home;
	} rows[] = {
		{ "web",
		    "root:x:0:0::/root:/bin/sh\nweb:x:7:7:W:/srv:/bin/sh\n",
		    "web", "/srv" },
		{ "7", "web:x:7:7:W:/srv:/bin/sh", "web", "/srv" },
		{ "web:users", "web:x:7:7::/srv:", "web", "/srv" },
		{ "", "web:x:7:7::/srv:", "", "" },
		{ ":users", "web:x:7:7::/srv:", "", "" },
		{ "web", "", "", "" },
		{ "web", "\n\n:::::\nweb\nweb:x:7\n", "", "" },
		/* What would be another line, or field, of ours. */
		{ "7", "a b:x:7:7::/srv:", "", "" },
		{ "7", ":x:7:7::/srv:", "", "" },
		{ "web", "web:x:7:7::srv:", "", "" },
		{ "web", "web:x:7:7::/s\r\x1b[2J:", "", "" },
		{ "web", "web:x:7:7::/srv:/bin/sh:more", "", "" },
		{ "web", "web:x:7:7::/srv:\nweb:x:8:8::/later:", "web",
		    "/srv" },
	};
	char root[] = "/tmp/paddock-t-account-XXXXXX";
	own_fd int dir = -1, etc = -1;

	(void)state;
	assert_non_null(mkdtemp(root));
	dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	assert_int_equal(mkdirat(dir, "etc", 0755), 0);
	etc = openat(dir, "etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_arena struct arena a = {};
		struct image_config c = {
			.user = rows[i].user, .account = "", .home = ""
		};
		struct err e = {};
		own_fd int fd = openat(etc, "passwd",
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

		assert_int_equal(fd_write_all(fd, rows[i].accounts,
				     strlen(rows[i].accounts), &e),
		    0);
		assert_int_equal(image_account_find(&c, dir, &a, &e), 0);
		assert_string_equal(c.account, rows[i].account);
		assert_string_equal(c.home, rows[i].home);
	}

	/* What is no file, or the host's, names nobody. */
	for (int i = 0; i < 3; i++) {
		own_arena struct arena a = {};
		struct image_config c = {
			.user = "root", .account = "", .home = ""
		};
		struct err e = {};

		assert_int_equal(unlinkat(etc, "passwd", 0), 0);
		if (i == 0)
			assert_int_equal(mkfifoat(etc, "passwd", 0600), 0);
		else if (i == 1)
			assert_int_equal(symlinkat("../../../../../etc/group",
					     etc, "passwd"),
			    0);
		else
			assert_int_equal(symlinkat("/proc/self/root/etc/passwd",
					     etc, "passwd"),
			    0);
		assert_int_equal(image_account_find(&c, dir, &a, &e), 0);
		assert_string_equal(c.account, "");
	}
	assert_int_equal(unlinkat(etc, "passwd", 0), 0);
	assert_int_equal(unlinkat(dir, "etc", AT_REMOVEDIR), 0);
	assert_int_equal(rmdir(root), 0);
}

static void
an_image_that_is_held_stays(void **state)
{
	own_images struct images s = { -1, -1 };
	struct image held = {}, again = {};
	struct hash digest;
	struct place p;
	struct err e = {};
	bool gone;

	(void)state;
	place_make(&p);
	(void)import(&p, "x");
	assert_int_equal(image_find(p.state, STR("x"), &held, &e), 0);
	assert_int_equal(image_find(p.state, STR("x"), &again, &e), 0);
	assert_int_equal(images_change(&s, p.state, NULL, NULL, &e), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
		    images_remove(&s, STR("x"), &digest, &gone, &e), -1);
		assert_non_null(strstr(e.text, "in use"));
		image_fini(i == 0 ? &held : &again);
	}
	assert_int_equal(images_remove(&s, STR("x"), &digest, &gone, &e), 0);
	assert_true(gone);
	assert_int_equal(image_find(p.state, STR("x"), &held, &e), -1);
	image_fini(&held); /* as after any failure */
	place_remove(&p);
}

/* In the jail: each attempt that succeeds is a bit of the exit status. */
static int
attempts(const struct place *p)
{
	char *const argv[] = { strdup("/bin/true"), NULL };
	char tree_file[96];
	int got = 0;

	(void)snprintf(tree_file, sizeof(tree_file), "%s/file", p->tree);
	if (open("/etc/passwd", O_RDONLY) >= 0 || errno == ENOENT)
		got |= 1;
	if (open(tree_file, O_RDONLY) >= 0)
		got |= 2;
	if (openat(JAIL_DIR, "../tree/file", O_RDONLY) >= 0)
		got |= 4;
	if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0)
		got |= 8;
	if (execv(argv[0], argv) == 0 || errno != EPERM)
		got |= 16;
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0) != MAP_FAILED)
		got |= 32;
	/* By the one call that opens: Landlock and the root directory hold. */
	struct {
		uint64_t flags, mode, resolve;
	} how = { O_RDONLY, 0, 0 };

	if (syscall(SYS_openat2, JAIL_DIR, tree_file, &how, sizeof(how)) >= 0 ||
	    syscall(SYS_openat2, JAIL_DIR, "../tree/file", &how, sizeof(how)) >=
		0)
		got |= 64;
	/* The control: its own place is open. */
	how.flags = O_WRONLY | O_CREAT;
	how.mode = 0600;
	if (syscall(SYS_openat2, JAIL_DIR, "mine", &how, sizeof(how)) < 0)
		got |= 128;
	return got;
}

static void
the_process_that_unpacks_reaches_nothing_but_its_directory(void **state)
{
	struct place p;
	int pair[2], dir, status;
	char dest[96];
	struct err e = {};
	pid_t pid;

	(void)state;
	place_make(&p);
	(void)snprintf(dest, sizeof(dest), "%s/dest", p.path);
	assert_int_equal(mkdir(dest, 0755), 0);
	dir = open(dest, O_RDONLY | O_DIRECTORY);
	assert_int_equal(unpack_own(dir, &e), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		if (jail_enter(pair[1], dir, 1000, &e) < 0)
			_exit(255);
		_exit(attempts(&p));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	(void)close(dir);
	(void)close(pair[0]);
	(void)close(pair[1]);
	place_remove(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_whole_or_refused),
		cmocka_unit_test(an_image_is_found_by_name_and_by_digest),
		cmocka_unit_test(a_user_is_who_the_images_own_accounts_say),
		cmocka_unit_test(an_image_that_is_held_stays),
		cmocka_unit_test(
		    the_process_that_unpacks_reaches_nothing_but_its_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
