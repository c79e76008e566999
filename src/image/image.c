#include "image/image.h"

#include "image/images.h"
#include "sys/fd.h"

int
image_find(
    const char *state_dir, struct str name, struct image *out, struct err *e)
{
	own_images struct images s = { -1, -1 };
	struct hash digest;
	bool by_digest;

	if (images_open(&s, state_dir, e) < 0 ||
	    images_resolve(&s, name, &digest, &by_digest, e) < 0)
		return -1;
	return images_get(&s, &digest, out, e);
}

void
image_fini(struct image *i)
{
	if (i->memory.used_bytes == 0)
		return; /* nothing was found */
	fd_fini(&i->rootfs_fd);
	fd_fini(&i->lock_fd);
	arena_fini(&i->memory);
	*i = (struct image){};
}
