/*
 * sys/fd.h: descriptors with an owner.
 */
#ifndef SYS_FD_H
#define SYS_FD_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

#define own_fd __attribute__((cleanup(fd_fini)))

/* Closes *fd unless it is -1, and makes it -1. errno is kept. */
void fd_fini(int *fd);
/* The value of *fd, which becomes -1: ownership moves to the caller. */
int fd_take(int *fd);
int fd_nonblock(int fd, struct err *e);
/* Closes every descriptor at or above first. close_range(2). */
int fd_close_from(int first, struct err *e);
/* All bytes or an error; restarts after EINTR. For blocking descriptors. */
int fd_write_all(int fd, const void *p, size_t n, struct err *e);
/*
 * Copies a file of this size into an empty one. Holes stay holes: a file may
 * be far longer than what it takes.
 */
int fd_copy_sparse(int from, int to, off_t size, struct err *e);
/* Appends everything up to the end of the file, at most max bytes. */
int fd_read_all(int fd, struct buf *out, size_t max, struct err *e);
/* The whole file by name. */
int file_read(const char *path, struct buf *out, size_t max, struct err *e);
/* Sets or clears FD_CLOEXEC. */
int fd_cloexec(int fd, bool on, struct err *e);
/*
 * A sealed memfd that holds p[0..n): F_SEAL_WRITE|GROW|SHRINK|SEAL, so that a
 * receiver may trust it not to change. Returns the descriptor, or -1.
 */
int fd_sealed(const void *p, size_t n, struct err *e);
/*
 * Appends a sealed memfd's bytes to out; -1 when it is not sealed against
 * writing and shrinking, or larger than max.
 */
int fd_read_sealed(int fd, struct buf *out, size_t max, struct err *e);

#endif
