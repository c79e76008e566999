/*
 * sys/beside.h: where the other programs of this installation are.
 *
 * In a build all lie in one directory. Installed, `paddock` is in bin/ and the
 * others are in libexec/paddock/. Nothing is looked for by PATH.
 */
#ifndef SYS_BESIDE_H
#define SYS_BESIDE_H

#include <limits.h>
#include <stddef.h>

#include "base/err.h"

enum { BESIDE_BYTES = PATH_MAX + 64 };

/* The small half, as seen from libexec/paddock/. */
#define BESIDE_PADDOCK "../../bin/paddock"

/*
 * The path of `name`, which lies beside this process's own program or else at
 * `installed` (NULL: there is no other place) from there.
 */
int beside_path(const char *name, const char *installed,
    char out[static BESIDE_BYTES], struct err *e);

/* Opens it with O_PATH, to be executed by descriptor. The caller closes. */
int beside_open(const char *name, const char *installed, struct err *e);

#endif
