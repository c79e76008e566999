#include "image/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "codec/json.h"
#include "image/digest.h"

static int read_names(
    struct images_index *x, const struct json *v, struct err *e);

int
image_record_parse(
    struct image_record *r, struct str text, struct arena *a, struct err *e)
{
	const char *kept = arena_copy(a, text);
	const struct json *v;
	uint64_t created;

	*r = (struct image_record){};
	if (kept == NULL)
		return err_set(e, IMAGE_RECORD_FILE ": out of memory");
	v = json_parse((struct str){ kept, text.n }, NULL, a, e, NULL);
	if (v == NULL)
		return err_add(e, IMAGE_RECORD_FILE);
	r->form = arena_copy(a, json_str(json_get(v, STR("form"))));
	if (r->form == NULL ||
	    json_u64(json_get(v, STR("created_ms")), &created) < 0 ||
	    created > INT64_MAX / 1000000 ||
	    json_u64(json_get(v, STR("files")), &r->files) < 0 ||
	    json_u64(json_get(v, STR("bytes")), &r->bytes) < 0)
		return err_set(e, IMAGE_RECORD_FILE ": a member is missing");
	r->created_utc_ns = (int64_t)created * 1000000;
	return image_config_read(&r->config, json_get(v, STR("config")), a, e);
}

int
images_index_parse(struct images_index *x, struct str text, struct err *e)
{
	own_arena struct arena a = { .max_bytes = IMAGE_PLAN_BYTES };
	const struct json *v = json_parse(text, NULL, &a, e, NULL);

	*x = (struct images_index){};
	if (v == NULL || read_names(x, json_get(v, STR("images")), e) < 0) {
		images_index_fini(x);
		return err_add(e, "images/" IMAGE_NAMES_FILE);
	}
	return 0;
}

void
images_index_fini(struct images_index *x)
{
	free(x->names);
	*x = (struct images_index){};
}

int
images_index_find(const struct images_index *x, struct str name,
    struct hash *digest, struct err *e)
{
	char whole[IMAGE_NAME_BYTES];

	if (image_name_parse(name, whole, e) < 0)
		return -1;
	for (size_t i = 0; i < x->n; i++) {
		if (strcmp(x->names[i].name, whole) == 0) {
			*digest = x->names[i].digest;
			return 0;
		}
	}
	return err_set(e, "no image is called %s; see paddock image ls", whole);
}

static int
read_names(struct images_index *x, const struct json *v, struct err *e)
{
	if (!json_is(v, JSON_ARRAY))
		return err_set(e, "no list of images");
	x->names = calloc(v->n > 0 ? v->n : 1, sizeof(*x->names));
	if (x->names == NULL)
		return err_set(e, "out of memory");
	for (const struct json *i = json_first(v); i != NULL;
	     i = json_next(v, i)) {
		struct images_name *n = &x->names[x->n++];

		if (image_name_parse(
			json_str(json_get(i, STR("name"))), n->name, e) < 0 ||
		    digest_parse(json_str(json_get(i, STR("digest"))),
			&n->digest, e) < 0)
			return -1;
	}
	return 0;
}
