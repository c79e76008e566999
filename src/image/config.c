#include "image/config.h"

#include <string.h>

#include "base/limits.h"

enum { ACCOUNT_NAME_MAX = 32 }; /* as useradd(8) has it */

/* How the same things are called. */
struct keys {
	const char *env, *entrypoint, *cmd, *workdir, *user;
	const char *account, *home; /* of our own only: found at the import */
};

static int parse(struct image_config *c, const struct json *v,
    const struct keys *k, struct arena *a, struct err *e);
static int text_of(const struct json *v, const char *key, const char *otherwise,
    const char **out, struct arena *a, struct err *e);
static int list_of(const struct json *v, const char *key,
    const char *const **out, struct arena *a, struct err *e);
static int copy(struct str s, const char *key, const char **out,
    struct arena *a, struct err *e);
static void put_list(struct buf *out, const char *key, const char *const *list);

int
image_config_parse(struct image_config *c, const struct json *v,
    struct arena *a, struct err *e)
{
	static const struct keys oci = { "Env", "Entrypoint", "Cmd",
		"WorkingDir", "User", NULL, NULL };

	return parse(c, v, &oci, a, e);
}

int
image_config_read(struct image_config *c, const struct json *v, struct arena *a,
    struct err *e)
{
	static const struct keys own = { "env", "entrypoint", "cmd", "workdir",
		"user", "account", "home" };

	return parse(c, v, &own, a, e);
}

void
image_config_write(const struct image_config *c, struct buf *out)
{
	buf_add_byte(out, '{');
	put_list(out, "env", c->env);
	buf_add_byte(out, ',');
	put_list(out, "entrypoint", c->entrypoint);
	buf_add_byte(out, ',');
	put_list(out, "cmd", c->cmd);
	buf_add_c(out, ",\"workdir\":");
	json_put_str(out, str_of(c->workdir));
	buf_add_c(out, ",\"user\":");
	json_put_str(out, str_of(c->user));
	buf_add_c(out, ",\"account\":");
	json_put_str(out, str_of(c->account));
	buf_add_c(out, ",\"home\":");
	json_put_str(out, str_of(c->home));
	buf_add_byte(out, '}');
}

bool
image_account_ok(struct str name)
{
	if (name.n == 0 || name.n > ACCOUNT_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    c != '_' &&
		    (i == 0 ||
			(!(c >= '0' && c <= '9') && c != '-' && c != '.')))
			return false;
	}
	return true;
}

bool
image_home_ok(struct str path)
{
	if (path.n == 0 || path.p[0] != '/' || path.n > IMAGE_MAX_PATH_BYTES)
		return false;
	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] == ':' || (unsigned char)path.p[i] < ' ' ||
		    path.p[i] == '\x7f')
			return false;
	}
	return true;
}

static int
parse(struct image_config *c, const struct json *v, const struct keys *k,
    struct arena *a, struct err *e)
{
	if (v != NULL && !json_is(v, JSON_OBJECT) && !json_is(v, JSON_NULL))
		return err_set(e, "config: not an object");
	if (list_of(v, k->env, &c->env, a, e) < 0 ||
	    list_of(v, k->entrypoint, &c->entrypoint, a, e) < 0 ||
	    list_of(v, k->cmd, &c->cmd, a, e) < 0 ||
	    text_of(v, k->workdir, "/", &c->workdir, a, e) < 0 ||
	    text_of(v, k->user, "", &c->user, a, e) < 0)
		return -1;
	c->account = c->home = "";
	if (k->account != NULL &&
	    (text_of(v, k->account, "", &c->account, a, e) < 0 ||
		text_of(v, k->home, "", &c->home, a, e) < 0))
		return -1;
	if (*c->account != '\0' &&
	    (!image_account_ok(str_of(c->account)) ||
		!image_home_ok(str_of(c->home))))
		return err_set(e, "config: no account %.40s", c->account);
	for (const char *const *p = c->env; *p != NULL; p++)
		if (**p == '=' || strchr(*p, '=') == NULL)
			return err_set(e, "config: %s: %.80s is not NAME=VALUE",
			    k->env, *p);
	if (*c->workdir != '/')
		return err_set(e, "config: %s: %.80s is not absolute",
		    k->workdir, c->workdir);
	return 0;
}

static int
text_of(const struct json *v, const char *key, const char *otherwise,
    const char **out, struct arena *a, struct err *e)
{
	const struct json *t = json_get(v, str_of(key));

	*out = otherwise;
	if (t == NULL || json_is(t, JSON_NULL))
		return 0;
	if (!json_is(t, JSON_STRING))
		return err_set(e, "config: %s: not text", key);
	if (t->n == 0)
		return 0;
	return copy(json_str(t), key, out, a, e);
}

static int
list_of(const struct json *v, const char *key, const char *const **out,
    struct arena *a, struct err *e)
{
	const struct json *list = json_get(v, str_of(key));
	const char **words;
	size_t n = 0;

	if (json_is(list, JSON_NULL))
		list = NULL;
	if (list != NULL && !json_is(list, JSON_ARRAY))
		return err_set(e, "config: %s: not a list", key);
	if (list != NULL && list->n > IMAGE_MAX_STRINGS)
		return err_set(e, "config: %s: more than %d texts", key,
		    IMAGE_MAX_STRINGS);
	words =
	    arena_alloc(a, ((list == NULL ? 0 : list->n) + 1) * sizeof(*words));
	if (words == NULL)
		return err_set(e, "config: out of memory");
	for (const struct json *x = list == NULL ? NULL : json_first(list);
	     x != NULL; x = json_next(list, x)) {
		if (!json_is(x, JSON_STRING))
			return err_set(
			    e, "config: %s: not a list of texts", key);
		if (copy(json_str(x), key, &words[n++], a, e) < 0)
			return -1;
	}
	*out = words; /* the arena's memory is zero: NULL ends it */
	return 0;
}

static int
copy(struct str s, const char *key, const char **out, struct arena *a,
    struct err *e)
{
	if (s.n > ARGV_MAX_BYTES || str_find(s, '\0') < s.n)
		return err_set(e,
		    "config: %s: a text that is too long or "
		    "holds NUL",
		    key);
	*out = arena_copy(a, s);
	if (*out == NULL)
		return err_set(e, "config: out of memory");
	return 0;
}

static void
put_list(struct buf *out, const char *key, const char *const *list)
{
	buf_printf(out, "\"%s\":[", key);
	for (size_t i = 0; list[i] != NULL; i++) {
		if (i > 0)
			buf_add_byte(out, ',');
		json_put_str(out, str_of(list[i]));
	}
	buf_add_byte(out, ']');
}
