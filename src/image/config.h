/*
 * image/config.h: how an image wants to be started.
 *
 * Read from the image's own configuration, and from image.json, where the
 * same members stand in lower case. The texts are checked here once: no NUL,
 * variables have a name, the working directory is absolute.
 */
#ifndef IMAGE_CONFIG_H
#define IMAGE_CONFIG_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "codec/json.h"

struct image_config {
	/* Lists end with NULL; a list that is not given is empty. */
	const char *const *env; /* NAME=VALUE */
	const char *const *entrypoint;
	const char *const *cmd;
	const char *workdir; /* "/" when not given */
	const char *user; /* as written: name or number, ":group"; "" */
	/* What the image's own etc/passwd has for it, or "". */
	const char *account;
	const char *home;
};

/* Of a name in passwd(5): what can stand in a line of it again. */
bool image_account_ok(struct str name);
/* Absolute, without what would end its field. */
bool image_home_ok(struct str path);

/* v is the "config" of an image configuration (OCI), or NULL. */
int image_config_parse(struct image_config *c, const struct json *v,
    struct arena *a, struct err *e);
/* v is the "config" of image.json. */
int image_config_read(struct image_config *c, const struct json *v,
    struct arena *a, struct err *e);
/* Appends that object. */
void image_config_write(const struct image_config *c, struct buf *out);

#endif
