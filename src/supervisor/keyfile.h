/*
 * supervisor/keyfile.h: the bytes of a secret, which nobody here looks at.
 */
#ifndef SUPERVISOR_KEYFILE_H
#define SUPERVISOR_KEYFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/*
 * Reads secrets/NAME of the state directory, or NAME of the daemon's
 * $CREDENTIALS_DIRECTORY: a regular file of its own, which others can neither
 * read nor write. Returns a sealed memfd, or -1.
 */
int keyfile_read(
    const char *state, bool systemd, const char *name, struct err *e);
/*
 * Reads identity/NAME of the state directory: a regular file that is root's or
 * ours, and that nobody else can write to. Returns a sealed memfd, or -1.
 */
int keyfile_read_identity(const char *state, const char *name, struct err *e);
/*
 * Reads secrets/commands/NAME of the state directory into text, as a C string:
 * a regular file that is root's or ours, and that nobody else can write to.
 */
int keyfile_read_command(
    const char *state, const char *name, char *text, size_t cap, struct err *e);

#endif
