/* image/plan.h, the OCI image layout (image-spec 1.1). */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "image/digest.h"
#include "image/name.h"
#include "image/plan.h"
#include "image/tree.h"

enum { BLOB_PATH_BYTES = sizeof("blobs/sha256/") + HASH_HEX_BYTES };

#define REF_NAME "org.opencontainers.image.ref.name"

/* A descriptor that is still to be looked at. */
struct entry {
	const struct json *descriptor;
	int depth; /* indexes above it */
};

struct search {
	struct plan *plan;
	int dir;
	const char *name; /* wanted, or NULL */
	struct entry list[IMAGE_MAX_DESCRIPTORS];
	size_t n, next;
	const struct json *found; /* the manifest's descriptor */
	bool found_named; /* by its tag */
	bool several;
	char other[64]; /* a platform that it is for, not ours */
};

static int look(struct search *s, const struct entry *t, struct err *e);
static int look_index(
    struct search *s, const struct json *index, int depth, struct err *e);
static int look_manifest(struct search *s, const struct json *d, struct err *e);
static const struct json *read_blob(
    struct search *s, const struct json *d, struct hash *digest, struct err *e);
static int blob_of(
    const struct json *d, struct hash *digest, uint64_t *size, struct err *e);
static void blob_path(const struct hash *h, char out[static BLOB_PATH_BYTES]);
static bool is_index(const struct json *d);
static struct str ref_of(const struct json *d);
static int read_manifest(struct search *s, struct err *e);
static int read_layer(
    struct plan *p, const struct json *d, struct plan_layer *l, struct err *e);

int
plan_read_oci(struct plan *p, int dir, const char *name, struct err *e)
{
	struct search s = { .plan = p, .dir = dir, .name = name };
	const struct json *layout, *index;

	p->form = "oci";
	layout = plan_json(p, dir, "oci-layout", NULL, NULL, e);
	if (layout == NULL)
		return -1;
	if (!str_starts(json_str(json_get(layout, STR("imageLayoutVersion"))),
		STR("1.")))
		return err_set(e, "oci-layout: only version 1 is known");
	index = plan_json(p, dir, "index.json", NULL, NULL, e);
	if (index == NULL)
		return -1;
	if (look_index(&s, index, 0, e) < 0)
		return err_add(e, "index.json");

	/* A queue: a list in a list costs no stack, and all ends. */
	while (s.next < s.n)
		if (look(&s, &s.list[s.next++], e) < 0)
			return -1;
	if (s.found == NULL && s.other[0] != '\0')
		return err_set(e,
		    "the image is for %s, this machine is "
		    "linux/%s",
		    s.other, plan_architecture());
	if (s.found == NULL)
		return err_set(e, "index.json: no image in it");
	if (s.several && !s.found_named)
		return err_set(e,
		    "index.json: several images: choose one by "
		    "its tag, --name NAME:TAG");
	return read_manifest(&s, e);
}

static int
look(struct search *s, const struct entry *t, struct err *e)
{
	struct hash digest;
	const struct json *index;

	if (!is_index(t->descriptor))
		return look_manifest(s, t->descriptor, e);
	if (t->depth >= IMAGE_MAX_INDEX_DEPTH)
		return err_set(e, "an index in an index, more than %d deep",
		    IMAGE_MAX_INDEX_DEPTH);
	index = read_blob(s, t->descriptor, &digest, e);
	if (index == NULL)
		return err_add(e, "index");
	return look_index(s, index, t->depth + 1, e);
}

static int
look_index(struct search *s, const struct json *index, int depth, struct err *e)
{
	const struct json *list = json_get(index, STR("manifests"));

	if (!json_is(list, JSON_ARRAY))
		return err_set(e, "no list of manifests");
	for (const struct json *d = json_first(list); d != NULL;
	     d = json_next(list, d)) {
		if (s->n == IMAGE_MAX_DESCRIPTORS)
			return err_set(
			    e, "more than %d manifests", IMAGE_MAX_DESCRIPTORS);
		s->list[s->n++] = (struct entry){ d, depth };
	}
	return 0;
}

/* Ours, when it is for this machine, or does not say. */
static int
look_manifest(struct search *s, const struct json *d, struct err *e)
{
	const struct json *platform = json_get(d, STR("platform"));
	struct str os = json_str(json_get(platform, STR("os")));
	struct str arch = json_str(json_get(platform, STR("architecture")));
	struct str ref = ref_of(d);
	bool named = s->name != NULL && ref.n > 0 &&
	    (str_eq_c(ref, s->name) || str_eq(ref, image_name_tag(s->name)));
	struct hash a, b;
	uint64_t size;

	if (platform != NULL &&
	    (!str_eq_c(os, "linux") || !str_eq_c(arch, plan_architecture()))) {
		/* Attestations are for "unknown". */
		if (!str_eq_c(os, "unknown"))
			(void)snprintf(s->other, sizeof(s->other), "%.*s/%.*s",
			    (int)(os.n < 20 ? os.n : 20), os.p,
			    (int)(arch.n < 20 ? arch.n : 20), arch.p);
		return 0;
	}
	if (s->found != NULL && named == s->found_named) {
		if (blob_of(d, &a, &size, e) < 0 ||
		    blob_of(s->found, &b, &size, e) < 0)
			return -1;
		/* The first of several for one platform is the best: variants
		 * of a processor stand in that order. With tags they differ. */
		if (!hash_eq(&a, &b) && ref.n > 0)
			s->several = true;
		return 0;
	}
	if (s->found == NULL || named) {
		s->found = d;
		s->found_named = named;
		s->several = false;
	}
	return 0;
}

static const struct json *
read_blob(
    struct search *s, const struct json *d, struct hash *digest, struct err *e)
{
	char path[BLOB_PATH_BYTES];
	uint64_t size;

	if (blob_of(d, digest, &size, e) < 0)
		return NULL;
	if (size > JSON_MAX_BYTES) {
		(void)err_set(e, "larger than %d bytes", JSON_MAX_BYTES);
		return NULL;
	}
	blob_path(digest, path);
	return plan_json(s->plan, s->dir, path, digest, NULL, e);
}

static int
blob_of(
    const struct json *d, struct hash *digest, uint64_t *size, struct err *e)
{
	if (digest_parse(json_str(json_get(d, STR("digest"))), digest, e) < 0)
		return -1;
	if (json_u64(json_get(d, STR("size")), size) < 0)
		return err_set(e, "a descriptor without a size");
	return 0;
}

static void
blob_path(const struct hash *h, char out[static BLOB_PATH_BYTES])
{
	char hex[HASH_HEX_BYTES];

	hash_hex(h, hex);
	(void)snprintf(out, BLOB_PATH_BYTES, "blobs/sha256/%s", hex);
}

static bool
is_index(const struct json *d)
{
	struct str type = json_str(json_get(d, STR("mediaType")));

	return str_eq_c(type, "application/vnd.oci.image.index.v1+json") ||
	    str_eq_c(type,
		"application/vnd.docker.distribution.manifest.list.v2+json");
}

static struct str
ref_of(const struct json *d)
{
	return json_str(
	    json_get(json_get(d, STR("annotations")), STR(REF_NAME)));
}

static int
read_manifest(struct search *s, struct err *e)
{
	struct plan *p = s->plan;
	const struct json *m = read_blob(s, s->found, &p->digest, e);
	const struct json *layers, *config;
	struct str ref = ref_of(s->found);
	struct hash digest;
	uint64_t version;
	size_t i = 0;

	if (m == NULL)
		return err_add(e, "manifest");
	if (json_u64(json_get(m, STR("schemaVersion")), &version) < 0 ||
	    version != 2)
		return err_set(e, "manifest: only schema version 2 is known");
	layers = json_get(m, STR("layers"));
	if (!json_is(layers, JSON_ARRAY) || layers->n == 0)
		return err_set(e, "manifest: no layers");
	if (plan_layers(p, layers->n, e) < 0)
		return err_add(e, "manifest");
	for (const struct json *d = json_first(layers); d != NULL;
	     d = json_next(layers, d), i++)
		if (read_layer(p, d, &p->layers[i], e) < 0)
			return err_add(e, "layer %zu", i + 1);
	config = read_blob(s, json_get(m, STR("config")), &digest, e);
	if (config == NULL || plan_config(p, config, e) < 0)
		return err_add(e, "configuration");
	if (ref.n > 0)
		p->name = arena_copy(&p->memory, ref);
	return 0;
}

static int
read_layer(
    struct plan *p, const struct json *d, struct plan_layer *l, struct err *e)
{
	struct str type = json_str(json_get(d, STR("mediaType")));
	char path[BLOB_PATH_BYTES];

	if (str_ends(type, STR("+encrypted")))
		return err_set(e, "it is encrypted");
	if (blob_of(d, &l->blob, &l->size_bytes, e) < 0)
		return -1;
	l->has_blob = true;
	blob_path(&l->blob, path);
	l->path = arena_copy(&p->memory, str_of(path));
	if (l->path == NULL)
		return err_set(e, "out of memory");
	return 0;
}
