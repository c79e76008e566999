#include "world/fdvfs.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "base/must.h"
#include "base/str.h"

enum { NAME_BYTES = 32 };

static const char name_of_all[] = "world";

/* SQLite allocates one of these for each file that it opens. */
struct fdfile {
	sqlite3_file base;
	struct pages *pages; /* borrowed: the world owns them */
};

/* What the next file that is opened lies in. */
static struct pages *opening;

static struct pages *pages_of(sqlite3_file *file);
static int on_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file,
    int flags, int *out_flags);
static int on_delete(sqlite3_vfs *vfs, const char *name, int sync_dir);
static int on_access(sqlite3_vfs *vfs, const char *name, int flags, int *out);
static int on_full_name(sqlite3_vfs *vfs, const char *name, int cap, char *out);
static int on_randomness(sqlite3_vfs *vfs, int n, char *out);
static int on_sleep(sqlite3_vfs *vfs, int us);
static int on_current_time(sqlite3_vfs *vfs, double *out);
static int on_last_error(sqlite3_vfs *vfs, int cap, char *out);

static int on_close(sqlite3_file *file);
static int on_read(sqlite3_file *file, void *p, int n, sqlite3_int64 at);
static int on_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 at);
static int on_truncate(sqlite3_file *file, sqlite3_int64 size);
static int on_sync(sqlite3_file *file, int flags);
static int on_file_size(sqlite3_file *file, sqlite3_int64 *out);
static int on_lock(sqlite3_file *file, int level);
static int on_check_lock(sqlite3_file *file, int *out);
static int on_control(sqlite3_file *file, int op, void *arg);
static int on_sector_size(sqlite3_file *file);
static int on_device(sqlite3_file *file);

static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = on_close,
	.xRead = on_read,
	.xWrite = on_write,
	.xTruncate = on_truncate,
	.xSync = on_sync,
	.xFileSize = on_file_size,
	.xLock = on_lock,
	.xUnlock = on_lock,
	.xCheckReservedLock = on_check_lock,
	.xFileControl = on_control,
	.xSectorSize = on_sector_size,
	.xDeviceCharacteristics = on_device,
};

static sqlite3_vfs fdvfs = {
	.iVersion = 1,
	.szOsFile = sizeof(struct fdfile),
	.mxPathname = NAME_BYTES,
	.zName = "paddock-fd",
	.xOpen = on_open,
	.xDelete = on_delete,
	.xAccess = on_access,
	.xFullPathname = on_full_name,
	.xRandomness = on_randomness,
	.xSleep = on_sleep,
	.xCurrentTime = on_current_time,
	.xGetLastError = on_last_error,
};

int
fdvfs_init(struct err *e)
{
	int rc = sqlite3_vfs_register(&fdvfs, 1);

	if (rc != SQLITE_OK)
		return err_set(
		    e, "sqlite3_vfs_register: %s", sqlite3_errstr(rc));
	return 0;
}

int
fdvfs_open(struct pages *p, sqlite3 **out, struct err *e)
{
	int rc;

	must(opening == NULL);
	opening = p;
	rc = sqlite3_open_v2(name_of_all, out,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
	    fdvfs.zName);
	opening = NULL;
	return rc == SQLITE_OK ? 0 : err_set(e, "open: %s", sqlite3_errstr(rc));
}

/* The one place where SQLite's base struct becomes ours. */
static struct pages *
pages_of(sqlite3_file *file)
{
	return ((struct fdfile *)(void *)file)->pages;
}

static int
on_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags,
    int *out_flags)
{
	struct fdfile *f = (struct fdfile *)(void *)file;

	(void)vfs;
	file->pMethods = NULL; /* SQLite then knows that it need not close */
	if (name == NULL || (flags & SQLITE_OPEN_MAIN_DB) == 0 ||
	    opening == NULL)
		return SQLITE_CANTOPEN;
	f->pages = opening;
	opening = NULL;
	file->pMethods = &methods;
	if (out_flags != NULL)
		*out_flags = flags;
	return SQLITE_OK;
}

static int
on_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	(void)vfs;
	(void)name;
	(void)sync_dir;
	return SQLITE_IOERR_DELETE_NOENT;
}

/* No file has a journal beside it. */
static int
on_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	(void)vfs;
	(void)name;
	(void)flags;
	*out = 0;
	return SQLITE_OK;
}

static int
on_full_name(sqlite3_vfs *vfs, const char *name, int cap, char *out)
{
	(void)vfs;
	if (cap <= 0 || str_copy(str_of(name), out, (size_t)cap) < 0)
		return SQLITE_CANTOPEN;
	return SQLITE_OK;
}

/* The ordinary one would open /dev/urandom, which is not there. */
static int
on_randomness(sqlite3_vfs *vfs, int n, char *out)
{
	ssize_t got = n > 0 ? getrandom(out, (size_t)n, 0) : 0;

	(void)vfs;
	return got > 0 ? (int)got : 0;
}

static int
on_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;
	(void)us;
	return 0; /* nobody else holds a lock that would be waited for */
}

static int
on_current_time(sqlite3_vfs *vfs, double *out)
{
	(void)vfs;
	*out = 0;
	return SQLITE_ERROR; /* time is an argument */
}

static int
on_last_error(sqlite3_vfs *vfs, int cap, char *out)
{
	(void)vfs;
	if (cap > 0)
		out[0] = '\0';
	return errno;
}

static int
on_close(sqlite3_file *file)
{
	(void)file;
	return SQLITE_OK;
}

static int
on_read(sqlite3_file *file, void *p, int n, sqlite3_int64 at)
{
	const size_t want = (size_t)n;
	const ssize_t got = pages_read(pages_of(file), p, want, (off_t)at);

	if (got < 0)
		return SQLITE_IOERR_READ;
	if ((size_t)got == want)
		return SQLITE_OK;
	/* SQLite demands zeros for what lies behind the end. */
	memset((char *)p + got, 0, want - (size_t)got);
	return SQLITE_IOERR_SHORT_READ;
}

static int
on_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 at)
{
	if (pages_write(pages_of(file), p, (size_t)n, (off_t)at) == 0)
		return SQLITE_OK;
	return errno == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int
on_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	if (pages_truncate(pages_of(file), (off_t)size) < 0)
		return SQLITE_IOERR_TRUNCATE;
	return SQLITE_OK;
}

/* A world does not outlive a crash of the machine. */
static int
on_sync(sqlite3_file *file, int flags)
{
	(void)file;
	(void)flags;
	return SQLITE_OK;
}

static int
on_file_size(sqlite3_file *file, sqlite3_int64 *out)
{
	struct stat st;

	if (fstat(pages_of(file)->fd, &st) < 0)
		return SQLITE_IOERR_FSTAT;
	*out = st.st_size;
	return SQLITE_OK;
}

/* The descriptor is ours alone: there is nobody to lock out. */
static int
on_lock(sqlite3_file *file, int level)
{
	(void)file;
	(void)level;
	return SQLITE_OK;
}

static int
on_check_lock(sqlite3_file *file, int *out)
{
	(void)file;
	*out = 0;
	return SQLITE_OK;
}

static int
on_control(sqlite3_file *file, int op, void *arg)
{
	(void)file;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int
on_sector_size(sqlite3_file *file)
{
	(void)file;
	return PAGE_BYTES;
}

static int
on_device(sqlite3_file *file)
{
	(void)file;
	return 0;
}
