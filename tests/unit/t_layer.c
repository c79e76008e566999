/* What a run has changed becomes a layer, whoever has filled it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "supervisor/layer.h"
#include "sys/fd.h"

struct place {
	char path[64];
	int dir, upper, layer;
};

static int
make(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	(void)snprintf(p->path, sizeof(p->path), "/tmp/t_layer.XXXXXX");
	assert_non_null(mkdtemp(p->path));
	p->dir = open(p->path, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mkdirat(p->dir, "upper", 0755), 0);
	assert_int_equal(mkdirat(p->dir, "layer", 0755), 0);
	p->upper = openat(p->dir, "upper", O_PATH | O_DIRECTORY);
	p->layer = openat(p->dir, "layer", O_RDONLY | O_DIRECTORY);
	assert_true(p->upper >= 0 && p->layer >= 0);
	*state = p;
	return 0;
}

static int
drop(void **state)
{
	struct place *p = *state;
	const char *name = strrchr(p->path, '/') + 1;
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY);
	struct err e = {};

	assert_int_equal(layer_remove(tmp, name, &e), 0);
	assert_int_equal(access(p->path, F_OK), -1);
	(void)close(tmp);
	(void)close(p->dir);
	(void)close(p->upper);
	(void)close(p->layer);
	free(p);
	return 0;
}

static void
put(const struct place *p, const char *name, const char *text)
{
	own_fd int fd = openat(p->upper, name, O_WRONLY | O_CREAT, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static struct layer_sum
copy(const struct place *p)
{
	struct layer_sum sum;
	struct err e = {};

	if (layer_copy(p->upper, p->layer, geteuid(), getegid(), &sum, &e) < 0)
		fail_msg("%s", e.text);
	return sum;
}

static void
list(const struct place *p, struct buf *out)
{
	struct err e = {};

	if (layer_list(p->layer, out, &e) < 0)
		fail_msg("%s", e.text);
}

static void
what_was_changed_is_copied_and_listed(void **state)
{
	const struct place *p = *state;
	own_buf struct buf text = {}, again = {};
	struct layer_sum sum;
	struct err e = {};
	struct stat st;

	put(p, "a", "hello");
	assert_int_equal(mkdirat(p->upper, "d", 0750), 0);
	put(p, "d/b", "");
	assert_int_equal(symlinkat("/etc/passwd", p->upper, "l"), 0);
	assert_int_equal(mkfifoat(p->upper, "pipe", 0644), 0);
	assert_int_equal(mknodat(p->upper, "gone", S_IFCHR, 0), 0);
	if (geteuid() == 0)
		assert_int_equal(fchmodat(p->upper, "a", 04755, 0), 0);
	sum = copy(p);
	assert_int_equal(sum.entries, 5);
	assert_int_equal(sum.left_out, 1);
	assert_int_equal(
	    fstatat(p->layer, "gone", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0);
	assert_int_equal(fstatat(p->layer, "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07000, 0);
	assert_int_equal(fstatat(p->layer, "pipe", &st, 0), -1);

	list(p, &text);
	assert_non_null(strstr(buf_c(&text),
	    "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b982"
	    "4"));
	assert_non_null(
	    strstr(buf_c(&text), "{\"path\":\"gone\",\"type\":\"gone\"}"));
	list(p, &again);
	assert_int_equal(layer_compare(buf_str(&text), buf_str(&again), &e), 0);
}

static void
a_change_is_told_by_its_path(void **state)
{
	const struct place *p = *state;
	own_buf struct buf text = {};

	put(p, "a", "hello");
	put(p, "b", "hello");
	(void)copy(p);
	list(p, &text);
	for (int i = 0; i < 4; i++) {
		own_buf struct buf now = {};
		struct err e = {};

		if (i == 0)
			assert_int_equal(fchmodat(p->layer, "b", 0600, 0), 0);
		if (i == 1) {
			assert_int_equal(fchmodat(p->layer, "b", 0644, 0), 0);
			assert_int_equal(symlinkat("b", p->layer, "bb"), 0);
		}
		if (i == 2) {
			assert_int_equal(unlinkat(p->layer, "bb", 0), 0);
			assert_int_equal(unlinkat(p->layer, "b", 0), 0);
		}
		if (i == 3) /* a byte of the list itself */
			text.p[text.n - 3]++;
		list(p, &now);
		assert_int_equal(
		    layer_compare(buf_str(&text), buf_str(&now), &e), -1);
		/* A folder has another time when a name in it comes or goes. */
		assert_non_null(strstr(e.text, i == 0 ? "\"b\"" : "\".\""));
	}
}

static void
a_file_with_many_names_is_copied_once(void **state)
{
	const struct place *p = *state;
	own_fd int fd = openat(p->upper, "n0", O_WRONLY | O_CREAT, 0644);
	static char block[1 << 16];
	char name[16];
	struct stat st;

	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 16; i++)
		assert_int_equal(
		    write(fd, block, sizeof(block)), sizeof(block));
	for (int i = 1; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(linkat(p->upper, "n0", p->upper, name, 0), 0);
	}
	assert_true(copy(p).bytes < 2U << 20);
	assert_int_equal(fstatat(p->layer, "n42", &st, 0), 0);
	assert_int_equal(st.st_nlink, 100);
	assert_int_equal(st.st_size, 1 << 20);
}

static void
holes_stay_holes_and_have_an_end(void **state)
{
	const struct place *p = *state;
	own_fd int fd = openat(p->upper, "hole", O_RDWR | O_CREAT, 0644);
	struct layer_sum sum;
	struct err e = {};
	struct stat st;

	assert_int_equal(ftruncate(fd, 8 << 20), 0);
	assert_int_equal(pwrite(fd, "x", 1, 4 << 20), 1);
	assert_true(copy(p).bytes < 1 << 20);
	assert_int_equal(fstatat(p->layer, "hole", &st, 0), 0);
	assert_int_equal(st.st_size, 8 << 20);
	assert_true(st.st_blocks < 256);

	put(p, "more", "");
	assert_int_equal(ftruncate(fd, ((off_t)SNAPSHOT_MAX_MB << 20) + 1), 0);
	assert_int_equal(unlinkat(p->layer, "hole", 0), 0);
	assert_int_equal(
	    layer_copy(p->upper, p->layer, geteuid(), getegid(), &sum, &e), -1);
	assert_non_null(strstr(e.text, "hole: files of over"));
}

static void
names_of_any_bytes_are_one_line_each(void **state)
{
	const struct place *p = *state;
	own_buf struct buf text = {};
	size_t lines = 0;

	put(p, "new\nline", "");
	put(p, "quote\"back\\slash", "");
	put(p, "\xff\xfe", "");
	put(p, "%FF", "");
	(void)copy(p);
	list(p, &text);
	for (size_t i = 0; i < text.n; i++)
		lines += text.p[i] == '\n';
	assert_int_equal(lines, 5);
	assert_non_null(strstr(buf_c(&text), "\"new%0Aline\""));
	assert_non_null(strstr(buf_c(&text), "\"%FF%FE\""));
	assert_non_null(strstr(buf_c(&text), "\"%25FF\""));
}

static void
folders_below_each_other_have_an_end(void **state)
{
	const struct place *p = *state;
	own_fd int at = openat(p->upper, ".", O_RDONLY | O_DIRECTORY);
	struct layer_sum sum;
	struct err e = {};

	for (int i = 0; i < COMMIT_DEPTH_MAX; i++) {
		int next;

		assert_int_equal(mkdirat(at, "d", 0755), 0);
		next = openat(at, "d", O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		(void)close(at);
		at = next;
	}
	assert_int_equal(
	    layer_copy(p->upper, p->layer, geteuid(), getegid(), &sum, &e), -1);
	assert_non_null(strstr(e.text, "folders below each other"));
}

static void
what_no_layer_of_ours_holds_is_refused(void **state)
{
	const struct place *p = *state;
	own_buf struct buf out = {};
	struct err e = {};

	put(p, "f", "");
	(void)copy(p);
	assert_int_equal(mkfifoat(p->layer, "pipe", 0644), 0);
	assert_int_equal(layer_list(p->layer, &out, &e), -1);
	assert_non_null(strstr(e.text, "pipe"));
	assert_int_equal(unlinkat(p->layer, "pipe", 0), 0);
	if (fsetxattr(p->layer, "user.overlay.metacopy", "", 0, 0) < 0)
		return; /* a /tmp without attributes has none to refuse */
	buf_reset(&out);
	assert_int_equal(layer_list(p->layer, &out, &e), -1);
	assert_non_null(strstr(e.text, "user.overlay.metacopy"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    what_was_changed_is_copied_and_listed, make, drop),
		cmocka_unit_test_setup_teardown(
		    a_change_is_told_by_its_path, make, drop),
		cmocka_unit_test_setup_teardown(
		    a_file_with_many_names_is_copied_once, make, drop),
		cmocka_unit_test_setup_teardown(
		    holes_stay_holes_and_have_an_end, make, drop),
		cmocka_unit_test_setup_teardown(
		    names_of_any_bytes_are_one_line_each, make, drop),
		cmocka_unit_test_setup_teardown(
		    folders_below_each_other_have_an_end, make, drop),
		cmocka_unit_test_setup_teardown(
		    what_no_layer_of_ours_holds_is_refused, make, drop),
	};

	(void)umask(022);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
