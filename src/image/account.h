/*
 * image/account.h: whom an image's own account file calls its user.
 */
#ifndef IMAGE_ACCOUNT_H
#define IMAGE_ACCOUNT_H

#include "base/arena.h"
#include "base/err.h"
#include "image/config.h"

/*
 * Fills in c->account and c->home from c->user, a name or a number, and
 * etc/passwd beneath rootfs. They stay "" for no user and for one that is not
 * there; a file that is none, or too long, names nobody.
 */
int image_account_find(
    struct image_config *c, int rootfs, struct arena *a, struct err *e);

#endif
