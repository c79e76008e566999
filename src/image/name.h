/*
 * image/name.h: what people call images: "debian:12", a digest, or its start.
 */
#ifndef IMAGE_NAME_H
#define IMAGE_NAME_H

#include <stdbool.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"

enum { IMAGE_NAME_BYTES = IMAGE_MAX_NAME_BYTES + 1 };

/*
 * Writes NAME:TAG to out; the tag is "latest" when there is none. Names are
 * letters, digits and . _ - / :, and no part of a path that means another.
 */
int image_name_parse(
    struct str text, char out[static IMAGE_NAME_BYTES], struct err *e);

/* The tag of a whole name: what stands behind its last colon. */
struct str image_name_tag(const char *name);

/* "sha256:" and at least 12 digits: not a name but a digest, or its start. */
bool image_name_is_digest(struct str text);

#endif
