/*
 * codec/picture.h: what a picture says of itself, at its beginning.
 *
 * Pure. Nothing is decompressed: who shows it has to do that, and to beware.
 */
#ifndef CODEC_PICTURE_H
#define CODEC_PICTURE_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct picture {
	uint32_t width, height; /* in pixels; 0: not looked for */
};

/*
 * bytes are said to be of this type: image/png (ISO/IEC 15948), whose size is
 * found, or image/jpeg, of which the first marker is looked at. 0, or -1 with
 * e: they are not, or it is another type.
 */
int picture_read(
    struct str bytes, struct str type, struct picture *out, struct err *e);

#endif
