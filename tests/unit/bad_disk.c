#include "bad_disk.h"

#include <pthread.h>
#include <stddef.h>

#include <sqlite3.h>

#include "base/must.h"

/* What SQLite holds; the real file's own bytes follow. */
struct file {
	sqlite3_file base;
	sqlite3_file real[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool armed, stays, hangs;
static enum bad_call which;
static int code, left;

static sqlite3_vfs vfs, *usual;

static sqlite3_file *
real(sqlite3_file *f)
{
	return ((struct file *)(void *)f)->real;
}

/* The code to fail with, or SQLITE_OK. */
static int
fails(enum bad_call call)
{
	int rc = SQLITE_OK;

	must(pthread_mutex_lock(&lock) == 0);
	while (hangs && call == BAD_SYNC)
		must(pthread_cond_wait(&changed, &lock) == 0);
	if (armed && call == which) {
		left--;
		if (left == 0 || (left < 0 && stays))
			rc = code;
	}
	must(pthread_mutex_unlock(&lock) == 0);
	return rc;
}

static int
on_close(sqlite3_file *f)
{
	return real(f)->pMethods->xClose(real(f));
}

static int
on_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	return real(f)->pMethods->xRead(real(f), p, n, at);
}

static int
on_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	int rc = fails(BAD_WRITE);

	/* Half of it reaches the disk, as when the power goes. */
	if (rc != SQLITE_OK) {
		(void)real(f)->pMethods->xWrite(real(f), p, n / 2, at);
		return rc;
	}
	return real(f)->pMethods->xWrite(real(f), p, n, at);
}

static int
on_truncate(sqlite3_file *f, sqlite3_int64 n)
{
	return real(f)->pMethods->xTruncate(real(f), n);
}

static int
on_sync(sqlite3_file *f, int flags)
{
	int rc = fails(BAD_SYNC);

	return rc != SQLITE_OK ? rc : real(f)->pMethods->xSync(real(f), flags);
}

static int
on_size(sqlite3_file *f, sqlite3_int64 *n)
{
	return real(f)->pMethods->xFileSize(real(f), n);
}

static int
on_lock(sqlite3_file *f, int how)
{
	return real(f)->pMethods->xLock(real(f), how);
}

static int
on_unlock(sqlite3_file *f, int how)
{
	return real(f)->pMethods->xUnlock(real(f), how);
}

static int
on_reserved(sqlite3_file *f, int *out)
{
	return real(f)->pMethods->xCheckReservedLock(real(f), out);
}

static int
on_control(sqlite3_file *f, int op, void *arg)
{
	return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int
on_sector(sqlite3_file *f)
{
	return real(f)->pMethods->xSectorSize(real(f));
}

static int
on_traits(sqlite3_file *f)
{
	return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static int
on_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
}

static int
on_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
	return real(f)->pMethods->xShmLock(real(f), at, n, flags);
}

static void
on_shm_barrier(sqlite3_file *f)
{
	real(f)->pMethods->xShmBarrier(real(f));
}

static int
on_shm_unmap(sqlite3_file *f, int and_delete)
{
	return real(f)->pMethods->xShmUnmap(real(f), and_delete);
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = on_close,
	.xRead = on_read,
	.xWrite = on_write,
	.xTruncate = on_truncate,
	.xSync = on_sync,
	.xFileSize = on_size,
	.xLock = on_lock,
	.xUnlock = on_unlock,
	.xCheckReservedLock = on_reserved,
	.xFileControl = on_control,
	.xSectorSize = on_sector,
	.xDeviceCharacteristics = on_traits,
	.xShmMap = on_shm_map,
	.xShmLock = on_shm_lock,
	.xShmBarrier = on_shm_barrier,
	.xShmUnmap = on_shm_unmap,
};

static int
on_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
	int rc;

	(void)v;
	f->pMethods = NULL;
	rc = usual->xOpen(usual, name, real(f), flags, out);
	if (real(f)->pMethods != NULL)
		f->pMethods = &methods;
	return rc;
}

void
bad_disk_install(void)
{
	usual = sqlite3_vfs_find(NULL);
	must(usual != NULL);
	/* The rest is the usual one's, with its own data. */
	vfs = *usual;
	vfs.zName = "bad-disk";
	vfs.szOsFile = usual->szOsFile + (int)sizeof(struct file);
	vfs.xOpen = on_open;
	must(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
}

void
bad_disk_remove(void)
{
	must(sqlite3_vfs_unregister(&vfs) == SQLITE_OK);
	must(sqlite3_vfs_register(usual, 1) == SQLITE_OK);
}

void
bad_disk_arm(enum bad_call call, int with, int nth, bool on)
{
	must(pthread_mutex_lock(&lock) == 0);
	armed = true;
	which = call;
	code = with;
	left = nth;
	stays = on;
	must(pthread_mutex_unlock(&lock) == 0);
}

void
bad_disk_hang(void)
{
	must(pthread_mutex_lock(&lock) == 0);
	hangs = true;
	must(pthread_mutex_unlock(&lock) == 0);
}

void
bad_disk_disarm(void)
{
	must(pthread_mutex_lock(&lock) == 0);
	armed = hangs = false;
	must(pthread_cond_broadcast(&changed) == 0);
	must(pthread_mutex_unlock(&lock) == 0);
}
