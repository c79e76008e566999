/*
 * image/images.h: the image store, a directory below the state directory.
 *
 *     images/lock                 flock: exclusive for whoever changes it
 *     images/index.json           names: [{"name","digest"}]
 *     images/sha256-HEX/rootfs/   the files of one image
 *     images/sha256-HEX/image.json
 *     images/tmp-PID/             what an import has built so far
 *
 * An image appears by one rename, after all of it is on disk. What a crash
 * left under tmp- is removed by the next change.
 */
#ifndef IMAGE_IMAGES_H
#define IMAGE_IMAGES_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "image/config.h"
#include "image/image.h"
#include "image/name.h"
#include "image/record.h"
#include "image/untar.h"

struct images {
	int dir; /* -1: there is none yet */
	int lock; /* -1: opened for reading */
};

enum {
	IMAGES_DIR_BYTES = sizeof("sha256-") + HASH_HEX_BYTES,
	IMAGES_TMP_BYTES = 32,
};

#define own_images __attribute__((cleanup(images_fini)))

/* For reading; nothing is made. */
int images_open(struct images *s, const char *state_dir, struct err *e);
/*
 * For changing: makes what is missing, waits for the lock, and removes what
 * imports that died have left. waits(arg) is called before waiting.
 */
int images_change(struct images *s, const char *state_dir,
    void (*waits)(void *arg), void *arg, struct err *e);
void images_fini(struct images *s);

int images_index_read(
    const struct images *s, struct images_index *x, struct err *e);
int images_index_write(
    const struct images *s, const struct images_index *x, struct err *e);
/* name is digest's from now on, and no other's. */
int images_set_name(const struct images *s, const char *name,
    const struct hash *digest, struct err *e);

void images_dir_name(const struct hash *h, char out[static IMAGES_DIR_BYTES]);
bool images_has(const struct images *s, const struct hash *h);

/* A new directory that images_keep() turns into an image. */
int images_tmp(
    const struct images *s, char name[static IMAGES_TMP_BYTES], struct err *e);
int images_keep(const struct images *s, const char *tmp,
    const struct hash *digest, struct err *e);

/*
 * What a person calls an image. *by_digest: not by a name. -1 when there is
 * none, or a digest's start that two have.
 */
int images_resolve(const struct images *s, struct str name, struct hash *digest,
    bool *by_digest, struct err *e);
/* on() for every image, named or not; it returns 0, or -1 with e. */
int images_each(const struct images *s,
    int (*on)(void *arg, const struct hash *digest, struct err *e), void *arg,
    struct err *e);
/* Holds the image of this digest. */
int images_get(const struct images *s, const struct hash *digest,
    struct image *out, struct err *e);

/*
 * Removes a name; and its image with the last one. By digest: the image with
 * all names. *gone: the image was removed. Refused while it is in use.
 */
int images_remove(const struct images *s, struct str name, struct hash *digest,
    bool *gone, struct err *e);

/* Writes image.json into dir. */
int images_record(int dir, const struct hash *digest, const char *form,
    const struct image_config *config, const struct untar_count *count,
    int64_t now_utc_ns, struct err *e);

#endif
