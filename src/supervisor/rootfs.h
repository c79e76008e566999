/*
 * supervisor/rootfs.h: what the supervisor knows of the image store.
 *
 * Where it lies, and that an image is called by its digest. The files that say
 * more are opened here and read by the broker: this role parses nothing. All
 * below the state directory is walked without a link (sys/dir.h).
 */
#ifndef SUPERVISOR_ROOTFS_H
#define SUPERVISOR_ROOTFS_H

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

/* The file of names, for reading. A descriptor, or -1 with e. */
int rootfs_open_names(const char *state_dir, struct err *e);

/*
 * The image.json of the image whose digest begins with these 12 to 64 digits,
 * for reading; it holds the image until it is closed. A descriptor and
 * *digest, or -1 with e: no such image, several, or one that is removed.
 */
int rootfs_open_record(const char *state_dir, struct str digits,
    struct hash *digest, struct err *e);

/* The root directory of an image, O_PATH, and *lock, which holds it. */
int rootfs_open_root(
    const char *state_dir, const struct hash *digest, int *lock, struct err *e);

#endif
