/* image/images.h: which name is which image's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "codec/json.h"
#include "image/digest.h"
#include "image/images.h"
#include "image/tree.h"
#include "sys/fd.h"

static int set_in(struct images_index *x, const char *name,
    const struct hash *digest, struct err *e);

int
images_index_read(const struct images *s, struct images_index *x, struct err *e)
{
	own_buf struct buf text = { .max = JSON_MAX_BYTES + 1 };
	own_fd int fd = -1;

	*x = (struct images_index){};
	if (s->dir < 0)
		return 0;
	fd = tree_open_file(s->dir, IMAGE_NAMES_FILE, e);
	if (fd < 0)
		return e->sys == ENOENT ? 0 : err_add(e, "the image store");
	if (fd_read_all(fd, &text, JSON_MAX_BYTES, e) < 0)
		return err_add(e, "images/" IMAGE_NAMES_FILE);
	return images_index_parse(x, buf_str(&text), e);
}

int
images_index_write(
    const struct images *s, const struct images_index *x, struct err *e)
{
	own_buf struct buf b = {};

	buf_add_c(&b, "{\"version\":1,\"images\":[");
	for (size_t i = 0; i < x->n; i++) {
		char text[DIGEST_TEXT_BYTES];

		digest_text(&x->names[i].digest, text);
		buf_printf(&b, "%s\n{\"name\":\"%s\",\"digest\":\"%s\"}",
		    i > 0 ? "," : "", x->names[i].name, text);
	}
	buf_add_c(&b, "\n]}\n");
	return tree_replace_file(s->dir, IMAGE_NAMES_FILE, &b, e);
}

int
images_set_name(const struct images *s, const char *name,
    const struct hash *digest, struct err *e)
{
	struct images_index x = {};
	int r = images_index_read(s, &x, e);

	if (r == 0)
		r = set_in(&x, name, digest, e);
	if (r == 0)
		r = images_index_write(s, &x, e);
	images_index_fini(&x);
	return r;
}

static int
set_in(struct images_index *x, const char *name, const struct hash *digest,
    struct err *e)
{
	struct images_name *more;
	size_t i = 0;

	while (i < x->n && strcmp(x->names[i].name, name) != 0)
		i++;
	if (i == x->n) {
		more = realloc(x->names, (x->n + 1) * sizeof(*more));
		if (more == NULL)
			return err_set(e, "the names of images: out of memory");
		x->names = more;
		x->names[x->n++] = (struct images_name){};
		(void)str_copy(str_of(name), x->names[i].name,
		    sizeof(x->names[i].name)); /* it was parsed: it fits */
	}
	x->names[i].digest = *digest;
	return 0;
}
