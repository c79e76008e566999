/*
 * image/image.h: an image that is there, for whoever builds a sandbox of it.
 *
 * While a struct image is held, `paddock image rm` refuses to remove it: the
 * lock is a shared flock(2) on its image.json, which lives as long as any
 * copy of lock_fd, in whatever process.
 */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "image/record.h"

struct image {
	struct arena memory; /* own: image_fini() */
	int rootfs_fd; /* O_PATH: the root directory */
	int lock_fd; /* image.json */
	uid_t uid; /* owns every file of rootfs: shift from it */
	gid_t gid;
	struct hash digest;
	struct image_record is;
};

#define own_image __attribute__((cleanup(image_fini)))

/*
 * Finds by NAME, NAME:TAG, digest, or a digest's unique start of 12 digits,
 * and holds it. out is all zero or the result of an earlier image_fini().
 */
int image_find(
    const char *state_dir, struct str name, struct image *out, struct err *e);
void image_fini(struct image *i);

#endif
