#include "cli/mount_option.h"

#include <fcntl.h>
#include <limits.h>

#include "cli/out.h"
#include "codec/json.h"
#include "sandbox/folder.h"
#include "sandbox/mounts.h"
#include "sys/fd.h"

int
mount_options_add(struct args *a, struct mount_options *m, const char *text)
{
	char path[PATH_MAX], real[PATH_MAX];
	struct sandbox_mount *one = &m->item[m->n];
	struct str from, to;
	struct err e = {};

	if (m->n == MOUNTS_MAX)
		return args_bad(a, "more than %d --mount", MOUNTS_MAX);
	if (mounts_parse(text, &from, &to, one, &e) < 0)
		return args_bad(a, "--mount %s", e.text);
	if (str_copy(from, path, sizeof(path)) < 0)
		return args_bad(a, "--mount %s: path too long", text);
	one->to = arena_copy(&m->arena, to);
	if (one->to == NULL)
		return args_bad(a, "--mount %s: no memory", text);
	one->fd = folder_open(AT_FDCWD, path, "--mount", real, &e);
	if (one->fd < 0)
		return out_fail(&e);
	if (m->n++ > 0)
		buf_add_byte(&m->json, ',');
	buf_add_c(&m->json, "{\"from\":");
	json_put_str(&m->json, str_of(real));
	buf_printf(&m->json, ",\"mode\":\"%s\",\"noexec\":%s,\"to\":",
	    mounts_mode_name(one->mode), one->noexec ? "true" : "false");
	json_put_str(&m->json, to);
	buf_add_byte(&m->json, '}');
	return 0;
}

void
mount_options_fini(struct mount_options *m)
{
	while (m->n > 0)
		fd_fini(&m->item[--m->n].fd);
	buf_fini(&m->json);
	arena_fini(&m->arena);
}
