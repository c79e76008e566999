#include "ipc/ring.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "sys/fd.h"

enum {
	LINE = 64, /* bytes that processors share at once */
	PAGE = 4096,
	ALIGN = 8, /* of frames: a length never wraps around */
	SIDES = 2,
	MAP_BYTES = SIDES * (PAGE + IPC_RING_BYTES),
};
_Static_assert((IPC_RING_BYTES & (IPC_RING_BYTES - 1)) == 0, "a power of two");
_Static_assert(IPC_RING_BYTES >= 2 * (IPC_MAX_FRAME_BYTES + ALIGN),
    "a frame finds room once the ring is half empty");

#define SECRET (UINT32_C(1) << 31) /* in a frame's length */

/* What one end tells the other: at the start of its page. */
struct ring_lane {
	_Alignas(LINE) _Atomic uint64_t written; /* bytes ever */
	_Alignas(LINE) _Atomic uint64_t read; /* bytes ever, of the other's */
	_Alignas(LINE) _Atomic uint32_t wants_room;
	/* Not 0: this end has been woken and has not found its ring empty
	 * since. The other end writes it, too. */
	_Alignas(LINE) _Atomic uint32_t awake;
};
_Static_assert(sizeof(struct ring_lane) <= PAGE, "it has a page");

static bool has_room(const struct ring *r, size_t bytes);
static void copy_in(char *ring, uint64_t at, const void *p, size_t n);
static void copy_out(const char *ring, uint64_t at, void *p, size_t n);
static void wipe(char *ring, uint64_t at, size_t n);
static size_t padded(size_t n);

int
ring_new(struct err *e)
{
	own_fd int fd = memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return err_sys(e, "memfd_create");
	if (ftruncate(fd, MAP_BYTES) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
		0)
		return err_sys(e, "memory for a ring");
	return fd_take(&fd);
}

int
ring_open(struct ring *r, int memfd, unsigned side, struct err *e)
{
	struct stat st;
	int seals = fcntl(memfd, F_GET_SEALS);
	char *map, *mine, *other;

	if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 ||
	    fstat(memfd, &st) < 0 || st.st_size != MAP_BYTES || side >= SIDES)
		return err_set(e, "not the memory of a ring");
	map =
	    mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (map == MAP_FAILED)
		return err_sys(e, "mmap of a ring");
	mine = map + (side == 0 ? 0 : PAGE + IPC_RING_BYTES);
	other = map + (side == 0 ? PAGE + IPC_RING_BYTES : 0);
	*r = (struct ring){
		.map = map,
		.out = (struct ring_lane *)(void *)mine,
		.in = (struct ring_lane *)(void *)other,
		.out_bytes = mine + PAGE,
		.in_bytes = other + PAGE,
	};
	return 0;
}

void
ring_close(struct ring *r)
{
	if (r->map != NULL)
		must(munmap(r->map, MAP_BYTES) == 0);
	*r = (struct ring){};
}

bool
ring_fits(struct ring *r, size_t n)
{
	size_t bytes = ALIGN + padded(n);

	if (has_room(r, bytes))
		return true;
	/* The other end reads this after it has made room, and we look for
	 * room after we have written it: one of us sees. */
	atomic_store(&r->out->wants_room, 1);
	if (!has_room(r, bytes))
		return false;
	atomic_store(&r->out->wants_room, 0);
	return true;
}

bool
ring_put(struct ring *r, const struct iovec *iov, size_t n_iov, bool secret)
{
	uint32_t n = 0;
	uint64_t at = r->written + ALIGN;

	for (size_t i = 0; i < n_iov; i++)
		n += (uint32_t)iov[i].iov_len;
	must(n <= IPC_MAX_FRAME_BYTES && (n > 0) == (n_iov > 0));
	if (!ring_fits(r, n))
		return false;
	if (secret)
		n |= SECRET;
	copy_in(r->out_bytes, r->written, &n, sizeof(n));
	n &= ~SECRET;
	for (size_t i = 0; i < n_iov; i++) {
		copy_in(r->out_bytes, at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	r->written += ALIGN + padded(n);
	atomic_store(&r->out->written, r->written);
	return true;
}

ssize_t
ring_take(struct ring *r, char *out, struct err *e)
{
	uint64_t there =
	    atomic_load_explicit(&r->in->written, memory_order_acquire) -
	    r->read;
	uint32_t n;

	if (there == 0) {
		/* The other end reads this after it has written a frame, and
		 * we look for a frame after we have written it: one of us
		 * sees. */
		atomic_store(&r->out->awake, 0);
		there = atomic_load(&r->in->written) - r->read;
	}
	if (there == 0)
		return RING_EMPTY;
	if (there > IPC_RING_BYTES || there % ALIGN != 0)
		return err_set(e, "an impossible position in the ring");
	copy_out(r->in_bytes, r->read, &n, sizeof(n));
	r->secret = (n & SECRET) != 0;
	n &= ~SECRET;
	if (n > IPC_MAX_FRAME_BYTES || ALIGN + padded(n) > there)
		return err_set(e, "an impossible size in the ring");
	copy_out(r->in_bytes, r->read + ALIGN, out, n);
	if (r->secret)
		wipe(r->in_bytes, r->read + ALIGN, n);
	r->read += ALIGN + padded(n);
	atomic_store(&r->out->read, r->read);
	return n == 0 ? RING_MARK : (ssize_t)n;
}

bool
ring_must_wake(struct ring *r)
{
	/* Looked at first: to write what both read costs more. */
	return atomic_load(&r->in->awake) == 0 &&
	    atomic_exchange(&r->in->awake, 1) == 0;
}

bool
ring_tell_room(struct ring *r)
{
	/* Looked at first: to write what both read costs more. */
	return atomic_load(&r->in->wants_room) != 0 &&
	    atomic_exchange(&r->in->wants_room, 0) != 0;
}

/* An impossible position of the other's is a full ring: it is not read. */
static bool
has_room(const struct ring *r, size_t bytes)
{
	uint64_t waiting = r->written - atomic_load(&r->in->read);

	return waiting <= IPC_RING_BYTES && bytes <= IPC_RING_BYTES - waiting;
}

static void
copy_in(char *ring, uint64_t at, const void *p, size_t n)
{
	size_t from = at % IPC_RING_BYTES;
	size_t first = n < IPC_RING_BYTES - from ? n : IPC_RING_BYTES - from;

	memcpy(ring + from, p, first);
	memcpy(ring, (const char *)p + first, n - first);
}

static void
copy_out(const char *ring, uint64_t at, void *p, size_t n)
{
	size_t from = at % IPC_RING_BYTES;
	size_t first = n < IPC_RING_BYTES - from ? n : IPC_RING_BYTES - from;

	memcpy(p, ring + from, first);
	memcpy((char *)p + first, ring, n - first);
}

/* Before the other end may write there again. */
static void
wipe(char *ring, uint64_t at, size_t n)
{
	size_t from = at % IPC_RING_BYTES;
	size_t first = n < IPC_RING_BYTES - from ? n : IPC_RING_BYTES - from;

	explicit_bzero(ring + from, first);
	explicit_bzero(ring, n - first);
}

static size_t
padded(size_t n)
{
	return (n + ALIGN - 1) / ALIGN * ALIGN;
}
