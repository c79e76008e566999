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
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "supervisor/layer.h"
#include "supervisor/layer_early.h"
#include "supervisor/layer_plan.h"
#include "sys/fd.h"

struct place {
	char path[64];
	int dir, upper, layer, beside;
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
	assert_int_equal(mkdirat(p->dir, "beside", 0755), 0);
	p->beside = openat(p->dir, "beside", O_RDONLY | O_DIRECTORY);
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
	(void)close(p->beside);
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

/* Notes what there is, and makes a layer of it. */
static int
take(const struct place *p, struct layer_early *early, struct layer_sum *sum,
    struct err *e)
{
	struct layer_plan *plan = layer_plan_new(p->beside, early);
	int r;

	assert_non_null(plan);
	layer_rehearse(plan, p->upper);
	r = layer_note(plan, p->upper, sum, e);
	if (r == 0)
		r = layer_make(plan, p->layer, geteuid(), getegid(), e);
	layer_plan_free(plan);
	return r;
}

static struct layer_sum
copy(const struct place *p)
{
	struct layer_sum sum;
	struct err e = {};

	if (take(p, NULL, &sum, &e) < 0)
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
	assert_int_equal(take(p, NULL, &sum, &e), -1);
	assert_non_null(strstr(e.text, "hole: files of over"));
}

/* What is in memory, what is copied at once, and what no more fits there. */
static void
files_of_all_sizes_are_what_they_were(void **state)
{
	static const size_t sizes[] = { 0, 1, 4095, 64 * 1024, 64 * 1024 + 1,
		3 << 20 };
	const struct place *p = *state;
	static char want[3 << 20], got[3 << 20];

	for (size_t i = 0; i < sizeof(want); i++)
		want[i] = (char)(i * 2654435761U >> 13);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		own_fd int fd = -1;
		char name[16];

		(void)snprintf(name, sizeof(name), "f%zu", i);
		fd = openat(p->upper, name, O_WRONLY | O_CREAT, 0640);
		assert_int_equal(write(fd, want, sizes[i]), sizes[i]);
	}
	(void)copy(p);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		own_fd int fd = -1;
		struct stat was, is;
		char name[16];

		(void)snprintf(name, sizeof(name), "f%zu", i);
		fd = openat(p->layer, name, O_RDONLY);
		assert_int_equal(read(fd, got, sizeof(got)), sizes[i]);
		assert_memory_equal(got, want, sizes[i]);
		assert_int_equal(fstat(fd, &is), 0);
		assert_int_equal(fstatat(p->upper, name, &was, 0), 0);
		assert_int_equal(is.st_mode, was.st_mode);
		assert_memory_equal(
		    &is.st_mtim, &was.st_mtim, sizeof(is.st_mtim));
	}
}

/* The run goes on between the note and the layer. */
static void
what_is_changed_after_the_moment_is_not_in_the_layer(void **state)
{
	const struct place *p = *state;
	own_buf struct buf before = {}, after = {};
	struct layer_plan *plan;
	struct layer_sum sum;
	struct err e = {};

	assert_int_equal(mkdirat(p->upper, "d", 0755), 0);
	put(p, "d/small", "then");
	put(p, "d/more", "then");
	plan = layer_plan_new(p->beside, NULL);
	assert_non_null(plan);
	put(p, "d/before", "too early");
	layer_rehearse(plan, p->upper);
	assert_int_equal(unlinkat(p->upper, "d/before", 0), 0);
	if (layer_list(p->upper, &before, &e) < 0 ||
	    layer_note(plan, p->upper, &sum, &e) < 0)
		fail_msg("%s", e.text);
	put(p, "d/small", "later");
	put(p, "d/new", "later");
	assert_int_equal(unlinkat(p->upper, "d/more", 0), 0);
	assert_int_equal(renameat(p->upper, "d", p->upper, "elsewhere"), 0);
	if (layer_make(plan, p->layer, geteuid(), getegid(), &e) < 0)
		fail_msg("%s", e.text);
	layer_plan_free(plan);
	list(p, &after);
	if (layer_compare(buf_str(&before), buf_str(&after), &e) < 0)
		fail_msg("%s", e.text);
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
	assert_int_equal(take(p, NULL, &sum, &e), -1);
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

/* What a stranger does to a file between the early copy and the moment. */
static void
by_write(int upper)
{
	int fd = openat(upper, "f", O_WRONLY);

	if (fd < 0 || write(fd, "later", 5) != 5)
		_exit(1);
}

static void
by_mapping(int upper)
{
	int fd = openat(upper, "f", O_RDWR);
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		_exit(1);
	memcpy(p, "later", 5);
}

static void
by_another(int upper)
{
	int fd = openat(upper, "g", O_WRONLY | O_CREAT, 0644);

	if (write(fd, "later", 5) != 5 || renameat(upper, "g", upper, "f") < 0)
		_exit(1);
}

static void
by_cutting(int upper)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/f", upper);
	if (truncate(path, 1) < 0 || truncate(path, 8192) < 0)
		_exit(1);
}

static void
by_removal(int upper)
{
	if (unlinkat(upper, "f", 0) < 0)
		_exit(1);
}

static void
by_mode(int upper)
{
	if (fchmodat(upper, "f", 0600, 0) < 0)
		_exit(1);
}

static void
by_second_name(int upper)
{
	if (linkat(upper, "f", upper, "g", 0) < 0)
		_exit(1);
}

static void
by_nobody(int upper)
{
	(void)upper;
}

/* The member of the list that says what the file was. */
static const char *
sha_of_x(struct buf *list)
{
	static char member[80];
	const char *at = strstr(buf_c(list), "\"sha256\":\"");

	assert_non_null(at);
	(void)snprintf(member, sizeof(member), "%.75s", at);
	return member;
}

/* The list of a layer that was copied early, changed, and copied. */
static void
early_list(void (*change)(int upper), bool early, struct buf *out)
{
	void *state = NULL;
	struct layer_early *a = NULL;
	struct layer_sum sum;
	struct place *p;
	struct err e = {};
	char block[8192];
	int fd, pipes[2], status;
	pid_t pid;

	assert_int_equal(make(&state), 0);
	p = state;
	memset(block, 'x', sizeof(block));
	fd = openat(p->upper, "f", O_WRONLY | O_CREAT, 0644);
	assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	(void)close(fd);
	/* What has just been changed is not copied early. */
	do
		a = layer_early_new(p->upper, p->beside, geteuid(), getegid());
	while (faccessat(p->beside, "0", F_OK, 0) < 0 &&
	    (layer_early_free(a), usleep(1000) == 0));
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		change(p->upper);
		_exit(write(pipes[1], "d", 1) == 1 ? 0 : 1);
	}
	(void)close(pipes[1]);
	layer_early_wait(a, pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	if (take(p, early ? a : NULL, &sum, &e) < 0)
		fail_msg("%s", e.text);
	/* Nobody's change: it is the early copy, which has moved. */
	if (change == by_nobody && early)
		assert_int_equal(faccessat(p->beside, "0", F_OK, 0), -1);
	layer_early_free(a);
	if (layer_list(p->layer, out, &e) < 0)
		fail_msg("%s", e.text);
	(void)close(pipes[0]);
	assert_int_equal(drop(&state), 0);
}

static void
what_was_copied_early_is_what_is_there_at_the_moment(void **state)
{
	static const struct {
		const char *what;
		void (*change)(int upper);
		const char *has; /* in the list */
	} rows[] = {
		{ "nobody", by_nobody, "\"size\":8192" },
		{ "a write", by_write, "\"size\":8192" },
		{ "a write through a mapping", by_mapping, "\"size\":8192" },
		{ "another file of that name", by_another, "\"size\":5" },
		{ "cut and made longer", by_cutting, "\"size\":8192" },
		{ "removed", by_removal, "" },
		{ "its mode", by_mode, "600" },
		{ "a second name", by_second_name, "\"path\":\"g\"" },
	};
	own_buf struct buf never = {};

	(void)state;
	early_list(by_nobody, true, &never);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		own_buf struct buf got = {};

		early_list(rows[i].change, true, &got);
		if (strstr(buf_c(&got), rows[i].has) == NULL)
			fail_msg("%s: %s", rows[i].what, buf_c(&got));
		/* But for times, which differ from one to the next. */
		if (rows[i].change == by_write ||
		    rows[i].change == by_mapping ||
		    rows[i].change == by_cutting)
			assert_null(strstr(buf_c(&got), sha_of_x(&never)));
	}
}

static void
what_is_open_for_writing_is_not_copied_early(void **state)
{
	struct place *p = *state;
	int fd = openat(p->upper, "f", O_RDWR | O_CREAT, 0644);
	struct layer_early *a;
	char *map;

	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(write(fd, "x", 1), 1);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	(void)close(fd);
	for (int i = 0; i < 100; i++) {
		a = layer_early_new(p->upper, p->beside, geteuid(), getegid());
		assert_non_null(a);
		layer_early_free(a);
		assert_int_equal(faccessat(p->beside, "0", F_OK, 0), -1);
		(void)usleep(1000);
	}
	(void)munmap(map, 4096);
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
		    files_of_all_sizes_are_what_they_were, make, drop),
		cmocka_unit_test_setup_teardown(
		    what_is_changed_after_the_moment_is_not_in_the_layer, make,
		    drop),
		cmocka_unit_test_setup_teardown(
		    names_of_any_bytes_are_one_line_each, make, drop),
		cmocka_unit_test_setup_teardown(
		    folders_below_each_other_have_an_end, make, drop),
		cmocka_unit_test(
		    what_was_copied_early_is_what_is_there_at_the_moment),
		cmocka_unit_test_setup_teardown(
		    what_is_open_for_writing_is_not_copied_early, make, drop),
		cmocka_unit_test_setup_teardown(
		    what_no_layer_of_ours_holds_is_refused, make, drop),
	};

	(void)umask(022);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
