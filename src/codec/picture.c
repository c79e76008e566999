#include "codec/picture.h"

#include <string.h>

/* Signature, then length, name and the first members of the chunk IHDR. */
enum { PNG_WIDTH = 16, PNG_HEIGHT = 20, PNG_HEAD = 24 };

static uint32_t be32(const char *p);

int
picture_read(
    struct str bytes, struct str type, struct picture *out, struct err *e)
{
	static const char png[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
	static const char jpeg[] = "\xff\xd8\xff";

	*out = (struct picture){};
	if (str_eq(type, STR("image/png"))) {
		if (bytes.n < PNG_HEAD ||
		    memcmp(bytes.p, png, sizeof(png) - 1) != 0)
			return err_set(e, "its picture is no PNG");
		out->width = be32(bytes.p + PNG_WIDTH);
		out->height = be32(bytes.p + PNG_HEIGHT);
		if (out->width == 0 || out->height == 0 ||
		    out->width > INT32_MAX || out->height > INT32_MAX)
			return err_set(e, "its picture has no size");
		return 0;
	}
	if (str_eq(type, STR("image/jpeg"))) {
		if (bytes.n < sizeof(jpeg) - 1 ||
		    memcmp(bytes.p, jpeg, sizeof(jpeg) - 1) != 0)
			return err_set(e, "its picture is no JPEG");
		return 0;
	}
	return err_set(e, "its picture is neither PNG nor JPEG");
}

static uint32_t
be32(const char *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 8 | (unsigned char)p[i];
	return v;
}
