/*
 * sys/dir.h: directories, and ways beneath them that lead nowhere else.
 */
#ifndef SYS_DIR_H
#define SYS_DIR_H

#include <sys/types.h>

#include "base/err.h"

/*
 * openat2(2) that ends beneath dir or in an error: no link is followed, ".."
 * goes no higher, descriptors in /proc are no way. path "" is dir itself. The
 * descriptor, or -1 with errno.
 */
int dir_open(int dir, const char *path, int flags, mode_t mode);

/* mkdir -p, mode 0700 for what is new. */
int dir_make_path(const char *path, struct err *e);

#endif
