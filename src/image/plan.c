#include "image/plan.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/limits.h"
#include "image/digest.h"
#include "image/tree.h"
#include "sys/fd.h"

static const struct json_limits limits = {
	.max_bytes = JSON_MAX_BYTES,
	.max_depth = JSON_MAX_DEPTH,
	.max_values = JSON_MAX_VALUES / 10, /* a config is 10,000 at most */
	.max_members = JSON_MAX_MEMBERS,
};

static bool is_file(int dir, const char *path);

void
plan_fini(struct plan *p)
{
	arena_fini(&p->memory);
}

enum plan_form
plan_form(int dir)
{
	if (is_file(dir, "oci-layout") && is_file(dir, "index.json"))
		return PLAN_OCI;
	if (is_file(dir, "manifest.json"))
		return PLAN_DOCKER;
	return PLAN_NONE;
}

const char *
plan_architecture(void)
{
	static const struct {
		const char *machine, *name;
	} known[] = {
		{ "x86_64", "amd64" },
		{ "aarch64", "arm64" },
		{ "armv7l", "arm" },
		{ "riscv64", "riscv64" },
		{ "ppc64le", "ppc64le" },
		{ "s390x", "s390x" },
	};
	struct utsname u;

	if (uname(&u) == 0)
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			if (strcmp(u.machine, known[i].machine) == 0)
				return known[i].name;
	return "unknown";
}

const struct json *
plan_json(struct plan *p, int dir, const char *path, const struct hash *want,
    struct hash *got, struct err *e)
{
	own_fd int fd = tree_open_file(dir, path, e);
	own_buf struct buf text = { .max = JSON_MAX_BYTES + 1 };
	const struct json *v;
	struct hash h;
	const char *kept;

	if (fd < 0)
		return NULL;
	if (fd_read_all(fd, &text, JSON_MAX_BYTES, e) < 0) {
		(void)err_add(e, "%.100s", path);
		return NULL;
	}
	h = hash_of(text.p, text.n);
	if (want != NULL && !hash_eq(want, &h)) {
		char expected[DIGEST_TEXT_BYTES], found[DIGEST_TEXT_BYTES];

		digest_text(want, expected);
		digest_text(&h, found);
		(void)err_set(e, "%.100s: the digest should be %s and is %s",
		    path, expected, found);
		return NULL;
	}
	if (got != NULL)
		*got = h;
	/* The values point into the text. */
	p->memory.max_bytes = IMAGE_PLAN_BYTES;
	kept = arena_copy(&p->memory, buf_str(&text));
	if (kept == NULL) {
		(void)err_set(e, "%.100s: out of memory", path);
		return NULL;
	}
	v = json_parse(
	    (struct str){ kept, text.n }, &limits, &p->memory, e, NULL);
	if (v == NULL)
		(void)err_add(e, "%.100s", path);
	return v;
}

int
plan_layers(struct plan *p, size_t n, struct err *e)
{
	if (n > IMAGE_MAX_LAYERS)
		return err_set(
		    e, "%zu layers, over the limit of %d", n, IMAGE_MAX_LAYERS);
	p->layers = arena_alloc(&p->memory, n * sizeof(*p->layers));
	if (p->layers == NULL)
		return err_set(e, "the list of layers: out of memory");
	p->n_layers = n;
	return 0;
}

int
plan_config(struct plan *p, const struct json *v, struct err *e)
{
	struct str os = json_str(json_get(v, STR("os")));
	struct str arch = json_str(json_get(v, STR("architecture")));
	const struct json *ids =
	    json_get(json_get(v, STR("rootfs")), STR("diff_ids"));
	size_t i = 0;

	if (!str_eq_c(os, "linux") || !str_eq_c(arch, plan_architecture()))
		return err_set(e,
		    "the image is for %.*s/%.*s, this machine is "
		    "linux/%s",
		    (int)(os.n < 40 ? os.n : 40), os.p,
		    (int)(arch.n < 40 ? arch.n : 40), arch.p,
		    plan_architecture());
	p->architecture = plan_architecture();
	if (!json_is(ids, JSON_ARRAY) || ids->n != p->n_layers)
		return err_set(e,
		    "the configuration names %u layers, the manifest %zu",
		    json_is(ids, JSON_ARRAY) ? ids->n : 0, p->n_layers);
	for (const struct json *x = json_first(ids); x != NULL;
	     x = json_next(ids, x)) {
		if (digest_parse(json_str(x), &p->layers[i++].unpacked, e) < 0)
			return err_add(e, "rootfs.diff_ids");
	}
	return image_config_parse(
	    &p->config, json_get(v, STR("config")), &p->memory, e);
}

static bool
is_file(int dir, const char *path)
{
	struct stat st;

	return fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode);
}
