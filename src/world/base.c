#include "world/base.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/must.h"
#include "sys/fd.h"
#include "world/seed.h"
#include "world/wdb.h"

static struct base *all;

static int fill(struct base *b, const struct json *document, struct err *e);

struct base *
base_find(const struct hash *digest)
{
	for (struct base *b = all; b != NULL; b = b->next) {
		if (hash_eq(&b->digest, digest))
			return b;
	}
	return NULL;
}

struct base *
base_new(const struct hash *digest, const struct json *document, struct err *e)
{
	struct base *b = calloc(1, sizeof(*b));

	must(b != NULL);
	b->digest = *digest;
	b->has_tools = json_get(document, STR("tools")) != NULL;
	b->next = all;
	all = b;
	b->fd = memfd_create("base", MFD_CLOEXEC);
	if (b->fd < 0)
		(void)err_sys(e, "memfd_create");
	else if (fill(b, document, e) == 0)
		return b;
	base_free(b);
	return NULL;
}

void
base_free(struct base *b)
{
	struct base **at = &all;

	must(b->worlds == 0);
	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	fd_fini(&b->fd);
	free(b);
}

static int
fill(struct base *b, const struct json *document, struct err *e)
{
	struct pages p;
	struct wdb d = {};
	int r = -1;

	const char *what = "world database";

	if (pages_init(&p, b->fd, -1, e) == 0 && wdb_create(&d, &p, e) == 0) {
		if (seed_load(&d, document, &b->start_s, e) < 0)
			what = "world document";
		else
			r = wdb_fill(&d, e);
	}
	if (r < 0)
		(void)err_add(e, "%s", what);
	wdb_close(&d);
	pages_fini(&p);
	return r;
}
