/* image/plan.h, what `docker save` wrote before it wrote OCI layouts. */
#include <string.h>

#include "image/name.h"
#include "image/plan.h"
#include "image/tree.h"

static const struct json *choose(
    const struct json *list, const char *name, struct err *e);
static bool is_called(const struct json *image, const char *name);
static const char *path_of(struct plan *p, const struct json *v, struct err *e);
static int check_named(const char *path, const struct hash *h, struct err *e);

int
plan_read_docker(struct plan *p, int dir, const char *name, struct err *e)
{
	const struct json *list, *image, *layers, *config, *tag;
	const char *path;
	size_t i = 0;

	p->form = "docker";
	list = plan_json(p, dir, "manifest.json", NULL, NULL, e);
	if (list == NULL)
		return -1;
	image = choose(list, name, e);
	if (image == NULL)
		return err_add(e, "manifest.json");
	layers = json_get(image, STR("Layers"));
	if (!json_is(layers, JSON_ARRAY) || layers->n == 0)
		return err_set(e, "manifest.json: no layers");
	if (plan_layers(p, layers->n, e) < 0)
		return err_add(e, "manifest.json");
	for (const struct json *x = json_first(layers); x != NULL;
	     x = json_next(layers, x), i++) {
		p->layers[i].path = path_of(p, x, e);
		if (p->layers[i].path == NULL)
			return err_add(e, "layer %zu", i + 1);
	}
	path = path_of(p, json_get(image, STR("Config")), e);
	if (path == NULL)
		return err_add(e, "configuration");
	/* The image's name for good: the digest of its configuration, which
	 * holds those of the layers. */
	config = plan_json(p, dir, path, NULL, &p->digest, e);
	if (config == NULL || check_named(path, &p->digest, e) < 0 ||
	    plan_config(p, config, e) < 0)
		return err_add(e, "configuration");
	tag = json_get(image, STR("RepoTags"));
	tag = json_is(tag, JSON_ARRAY) ? json_first(tag) : NULL;
	if (json_is(tag, JSON_STRING))
		p->name = arena_copy(&p->memory, json_str(tag));
	return 0;
}

static const struct json *
choose(const struct json *list, const char *name, struct err *e)
{
	if (!json_is(list, JSON_ARRAY) || list->n == 0) {
		(void)err_set(e, "no list of images");
		return NULL;
	}
	if (list->n == 1)
		return json_first(list);
	for (const struct json *x = json_first(list); name != NULL && x != NULL;
	     x = json_next(list, x))
		if (is_called(x, name))
			return x;
	(void)err_set(
	    e, "%u images: choose one by its name, --name NAME:TAG", list->n);
	return NULL;
}

static bool
is_called(const struct json *image, const char *name)
{
	const struct json *tags = json_get(image, STR("RepoTags"));

	if (!json_is(tags, JSON_ARRAY))
		return false;
	for (const struct json *t = json_first(tags); t != NULL;
	     t = json_next(tags, t))
		if (str_eq_c(json_str(t), name))
			return true;
	return false;
}

static const char *
path_of(struct plan *p, const struct json *v, struct err *e)
{
	char path[TREE_PATH_BYTES];
	struct str s = json_str(v);
	const char *kept;

	if (s.n == 0 || str_find(s, '\0') < s.n) {
		(void)err_set(e, "manifest.json: no file named");
		return NULL;
	}
	if (tree_path(s, path, e) < 0)
		return NULL;
	kept = arena_copy(&p->memory, str_of(path));
	if (kept == NULL)
		(void)err_set(e, "out of memory");
	return kept;
}

/* A file that is called by its digest must have it. */
static int
check_named(const char *path, const struct hash *h, struct err *e)
{
	const char *slash = strrchr(path, '/');
	struct str leaf = str_of(slash == NULL ? path : slash + 1);
	struct hash named;

	if (str_ends(leaf, STR(".json")))
		leaf.n -= strlen(".json");
	if (hash_from_hex(leaf, &named) == 0 && !hash_eq(&named, h))
		return err_set(e, "%.100s: its digest is another", path);
	return 0;
}
