/*
 * A database as somebody may have left it where the store is.
 *
 * Holds: opening and verifying it ends, with a reason when it is refused or is
 * not sound; the file is as it was; and beside it is nothing but what SQLite
 * puts there. What is sound has its records in their order, without a gap.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "store/db.h"
#include "store/store.h"
#include "sys/fd.h"

static char dir[64];

static bool
on_run(void *arg, const struct store_run *r)
{
	uint64_t *run = arg;

	*run = r->id;
	return false;
}

static bool
on_row(void *arg, const struct store_row *row)
{
	uint64_t *last = arg;

	must(row->seq > *last);
	*last = row->seq;
	return true;
}

static void
read_store(void)
{
	struct err e = {}, other = {};
	struct store *s = store_open_read(dir, &e);
	struct store_verdict v;
	uint64_t run = 0, last = 0;

	if (s == NULL) {
		must(e.text[0] != '\0');
		return;
	}
	if (store_verify(s, 0, NULL, &v, &e) < 0)
		must(e.text[0] != '\0');
	else if (v.fault != STORE_SOUND)
		must(v.text[0] != '\0');
	e = (struct err){};
	if (store_runs(s, 0, false, 1, on_run, &run, &e) < 0 ||
	    (run != 0 && store_events(s, run, 0, 0, on_row, &last, &e) < 0))
		must(e.text[0] != '\0');
	must(store_close(s, &other) == 0);
}

static void
end(void)
{
	char file[96];

	(void)snprintf(file, sizeof(file), "%s/" DB_FILE, dir);
	(void)unlink(file);
	(void)rmdir(dir); /* it is empty: see below */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	own_buf struct buf after = { .max = (1 << 20) + 1 };
	struct err e = {};
	struct dirent *d;
	char file[96];
	DIR *all;

	if (size > 1 << 20)
		return 0;
	if (dir[0] == '\0') {
		(void)snprintf(dir, sizeof(dir), "/tmp/paddock-fuzz-XXXXXX");
		must(mkdtemp(dir) != NULL && atexit(end) == 0);
	}
	(void)snprintf(file, sizeof(file), "%s/" DB_FILE, dir);
	own_fd int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);

	must(fd >= 0 && fd_write_all(fd, data, size, &e) == 0);
	read_store();
	must(lseek(fd, 0, SEEK_SET) == 0 &&
	    fd_read_all(fd, &after, 1 << 20, &e) == 0);
	must(
	    after.n == size && (size == 0 || memcmp(after.p, data, size) == 0));
	all = opendir(dir);
	must(all != NULL);
	while ((d = readdir(all)) != NULL) {
		must(d->d_name[0] == '.' ||
		    strncmp(d->d_name, DB_FILE, sizeof(DB_FILE) - 1) == 0);
		if (strcmp(d->d_name, DB_FILE) != 0 && d->d_name[0] != '.')
			must(unlinkat(dirfd(all), d->d_name, 0) == 0);
	}
	must(closedir(all) == 0);
	return 0;
}
