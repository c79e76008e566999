/*
 * supervisor/keyfile.h: the bytes of a secret, which nobody here looks at.
 */
#ifndef SUPERVISOR_KEYFILE_H
#define SUPERVISOR_KEYFILE_H

#include <stdbool.h>

#include "base/err.h"

/*
 * Reads secrets/NAME of the state directory, or NAME of the daemon's
 * $CREDENTIALS_DIRECTORY: a regular file of its own, which others can neither
 * read nor write. Returns a sealed memfd, or -1.
 */
int keyfile_read(
    const char *state, bool systemd, const char *name, struct err *e);

#endif
