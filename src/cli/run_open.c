#include "cli/run_open.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/limits.h"
#include "cli/mount_option.h"
#include "cli/policy_file.h"
#include "codec/json.h"
#include "codec/json_text.h"
#include "sandbox/folder.h"
#include "sandbox/mounts.h"
#include "sys/fd.h"

static int put_policy(struct buf *body, const struct run_open *r,
    bool *has_command, struct run_folders *folders, size_t *n_problems,
    struct err *e);
static int put_mounts(struct buf *body, const char *file,
    const struct policy_sandbox *s, struct run_folders *folders, struct err *e);
static int put_added(struct buf *body, const struct run_open *r,
    const struct policy_sandbox *s, struct run_folders *folders, struct err *e);
static int put_replay(
    struct buf *body, const struct run_open *r, struct err *e);
static int put_world(struct buf *body, const char *path, struct err *e);
static int put_command(struct buf *body, const struct run_open *r,
    bool has_command, struct err *e);
static int put_folder(struct buf *body, const char *dir,
    struct run_folders *folders, struct err *e);
static const char *base_name(const char *path);

int
run_open_body(const struct run_open *r, struct buf *body,
    struct run_folders *folders, size_t *n_problems, struct err *e)
{
	bool has_command = false;

	*n_problems = 0;
	folders->n = 0;
	/* The members stand in no particular order: nobody hashes this. */
	buf_add_c(body, "{\"attach\":true,\"write_back\":");
	buf_add_c(body, r->write_back ? "true" : "false");
	if (r->ttl_ms > 0)
		buf_printf(
		    body, ",\"ttl_ms\":%llu", (unsigned long long)r->ttl_ms);
	if (r->idle_ms > 0)
		buf_printf(
		    body, ",\"idle_ms\":%llu", (unsigned long long)r->idle_ms);
	if (r->replay_http != NULL) {
		buf_add_c(body, ",\"replay_http\":");
		json_put_str(body, str_of(r->replay_http));
	}
	if (r->replay_miss != NULL) {
		buf_add_c(body, ",\"replay_miss\":");
		json_put_str(body, str_of(r->replay_miss));
	}
	if (r->prompt != NULL) {
		buf_add_c(body, ",\"prompt\":");
		json_put_str(body, str_of(r->prompt));
	}
	if (r->faults.n > 0) {
		buf_add_c(body, ",\"faults\":[");
		buf_add_str(body, r->faults);
		buf_add_byte(body, ']');
	}
	if (r->replay != NULL && put_replay(body, r, e) < 0)
		return -1;
	has_command = r->policy == NULL; /* perhaps: the daemon knows */
	if (put_folder(body, r->dir, folders, e) < 0 ||
	    (r->policy != NULL &&
		put_policy(body, r, &has_command, folders, n_problems, e) <
		    0) ||
	    (r->world != NULL && put_world(body, r->world, e) < 0) ||
	    put_command(body, r, has_command, e) < 0) {
		run_folders_fini(folders);
		return -1;
	}
	buf_add_byte(body, '}');
	if (body->failed || body->n > HTTP_MAX_BODY_BYTES) {
		run_folders_fini(folders);
		return err_set(e,
		    "policy, world and command together are over %d bytes",
		    HTTP_MAX_BODY_BYTES);
	}
	return 0;
}

int
run_open_fault(struct buf *out, const char *text, struct err *e)
{
	own_arena struct arena arena = {};
	own_buf struct buf file = {};
	const struct json *v;

	if (text[0] == '@') {
		if (file_read(text + 1, &file, JSON_MAX_BYTES, e) < 0)
			return -1;
	} else {
		buf_add_c(&file, text);
	}
	v = json_parse(buf_str(&file), NULL, &arena, e, NULL);
	if (!json_is(v, JSON_OBJECT))
		return err_set(e,
		    "not an object such as {\"tool\":\"kb.search\",\"kind\":"
		    "\"rate_limit\"}: docs/POLICY.md, faults");
	if (out->n > 0)
		buf_add_byte(out, ',');
	json_write(out, v);
	return 0;
}

void
run_folders_fini(struct run_folders *folders)
{
	while (folders->n > 0)
		fd_fini(&folders->fd[--folders->n]);
}

int
run_open_env(const char *assignment, struct err *e)
{
	const char *equals = strchr(assignment, '=');

	if (equals == NULL || equals == assignment)
		return err_set(e, "%s: not NAME=VALUE", assignment);
	return 0;
}

/*
 * The document as it was compiled here goes to the broker, not the file's
 * bytes: what was checked is what is enforced, and its version is the same.
 */
static int
put_policy(struct buf *body, const struct run_open *r, bool *has_command,
    struct run_folders *folders, size_t *n_problems, struct err *e)
{
	int got;
	const char *path = r->policy;
	static struct policy_problems problems; /* too large for the stack */
	own_buf struct buf text = {};
	struct policy *p = policy_file_read(path, &problems);

	if (p == NULL) {
		*n_problems = problems.n;
		policy_file_show(&text, path, &problems);
		if (fd_write_all(STDERR_FILENO, text.p, text.n, e) < 0)
			return err_add(e, "standard error");
		return err_set(e, "%s: nothing was started", path);
	}
	buf_add_c(body, ",\"policy\":");
	buf_add_str(body, p->canonical);
	*has_command = !str_eq(p->sandbox.image, STR("host"));
	got = put_mounts(body, path, &p->sandbox, folders, e) < 0
	    ? -1
	    : put_added(body, r, &p->sandbox, folders, e);
	policy_free(p);
	if (got < 0)
		return -1;
	buf_add_c(body, ",\"policy_name\":");
	return run_open_text(body, str_of(base_name(path)), path, e);
}

/* From where the policy lies, with the rights of whoever runs this. */
static int
put_mounts(struct buf *body, const char *file, const struct policy_sandbox *s,
    struct run_folders *folders, struct err *e)
{
	char path[PATH_MAX], real[PATH_MAX];
	const char *slash = strrchr(file, '/');
	own_fd int beside = -1;

	if (s->n_mounts == 0)
		return 0;
	if (slash != NULL &&
	    str_copy((struct str){ file, (size_t)(slash - file) + 1 }, path,
		sizeof(path)) < 0)
		return err_set(e, "%s: path too long", file);
	beside =
	    open(slash != NULL ? path : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (beside < 0)
		return err_sys(e, "the folder of %s", file);
	buf_add_c(body, ",\"mount_folders\":[");
	for (uint32_t i = 0; i < s->n_mounts; i++) {
		int fd = -1;

		if (str_copy(s->mounts[i].from, path, sizeof(path)) == 0)
			fd = folder_open(beside, path, "folder", real, e);
		else
			(void)err_set(e, "path too long");
		if (fd < 0)
			return err_add(
			    e, "%s: sandbox.mounts[%u].from", file, i);
		folders->fd[folders->n++] = fd;
		if (i > 0)
			buf_add_byte(body, ',');
		if (run_open_text(body, str_of(real), "a folder's name", e) < 0)
			return -1;
	}
	buf_add_byte(body, ']');
	return 0;
}

/*
 * The command line's, behind the policy's. All are looked at together, as the
 * sandbox will: what cannot be is said before anything is started.
 */
static int
put_added(struct buf *body, const struct run_open *r,
    const struct policy_sandbox *s, struct run_folders *folders, struct err *e)
{
	const struct mount_options *added = r->mounts;
	struct sandbox_mount all[2 * MOUNTS_MAX];
	struct sandbox_spec spec = { .mounts = all };
	own_arena struct arena places = {};
	char work[PATH_MAX];

	if (added == NULL || added->n == 0)
		return 0;
	if (realpath(r->dir != NULL ? r->dir : ".", work) == NULL)
		return err_sys(e, "work folder");
	spec.workspace_fd = folders->fd[0];
	spec.workspace_path = sandbox_path_for(work);
	for (uint32_t i = 0; i < s->n_mounts; i++) {
		const struct policy_mount *m = &s->mounts[i];

		all[spec.n_mounts] = (struct sandbox_mount){
			.to = arena_copy(&places, m->to),
			.mode = (enum sandbox_mount_mode)m->mode,
		};
		if (all[spec.n_mounts++].to == NULL)
			return err_set(e, "no memory for mounts");
	}
	for (unsigned i = 0; i < added->n; i++)
		all[spec.n_mounts++] = added->item[i];
	if (mounts_check(&spec, e) < 0)
		return err_add(e, "--mount");
	buf_add_c(body, ",\"mounts\":[");
	buf_add_str(body, buf_str(&added->json));
	buf_add_byte(body, ']');
	for (unsigned i = 0; i < added->n; i++) {
		int fd = fcntl(added->item[i].fd, F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return err_sys(e, "fcntl F_DUPFD_CLOEXEC");
		folders->fd[folders->n++] = fd;
	}
	return 0;
}

static int
put_replay(struct buf *body, const struct run_open *r, struct err *e)
{
	buf_add_c(body, ",\"replay\":{\"run\":");
	json_put_str(body, str_of(r->replay));
	buf_printf(body, ",\"mode\":\"%s\"", r->strict ? "strict" : "lenient");
	for (size_t i = 0; i < r->n_ignore; i++) {
		buf_add_c(body, i > 0 ? "," : ",\"ignore\":[");
		if (run_open_text(body, str_of(r->ignore[i]), "--ignore", e) <
		    0)
			return -1;
	}
	buf_add_c(body, r->n_ignore > 0 ? "]}" : "}");
	return 0;
}

static int
put_world(struct buf *body, const char *path, struct err *e)
{
	own_arena struct arena a = {};
	own_buf struct buf text = {};
	const struct json *v;
	uint32_t line, column;
	size_t bad = 0;

	if (file_read(path, &text, JSON_MAX_BYTES, e) < 0)
		return err_add(e, "world");
	v = json_parse(buf_str(&text), NULL, &a, e, &bad);
	if (v == NULL) {
		json_place(buf_str(&text), bad, &line, &column);
		return err_add(e, "%s:%u:%u", path, line, column);
	}
	if (!json_is(v, JSON_OBJECT))
		return err_set(e, "%s:1:1: a world is an object, this is %s",
		    path, json_type_name((enum json_type)v->type));
	buf_add_c(body, ",\"world\":");
	json_write(body, v);
	return 0;
}

/* Without one of its own it is the image's, which the daemon reads. */
static int
put_command(
    struct buf *body, const struct run_open *r, bool has_command, struct err *e)
{
	static char *const none[] = { NULL };
	static const struct args_env no_env;
	const struct args_env *env = r->env != NULL ? r->env : &no_env;

	if (r->command == NULL && !has_command)
		return err_set(e, "no command; it stands behind --");
	buf_add_c(body, ",\"argv\":");
	if (run_open_words(body, r->command != NULL ? r->command : none, e) < 0)
		return -1;
	buf_add_c(body, ",\"env\":");
	if (run_open_pairs(body, env->of, env->n, "a variable", e) < 0)
		return -1;
	if (r->n_tags == 0)
		return 0;
	buf_add_c(body, ",\"tags\":");
	return run_open_pairs(body, r->tags, r->n_tags, "--tag", e);
}

int
run_open_words(struct buf *b, char *const *words, struct err *e)
{
	buf_add_byte(b, '[');
	for (size_t i = 0; words[i] != NULL; i++) {
		if (i > 0)
			buf_add_byte(b, ',');
		if (run_open_text(b, str_of(words[i]),
			"an argument of the command", e) < 0)
			return -1;
	}
	buf_add_byte(b, ']');
	return 0;
}

int
run_open_pairs(struct buf *body, const char *const *pairs, size_t n,
    const char *what, struct err *e)
{
	buf_add_byte(body, '{');
	for (size_t i = 0; i < n; i++) {
		struct str pair = str_of(pairs[i]);
		size_t equals = str_find(pair, '=');

		if (i > 0)
			buf_add_byte(body, ',');
		if (run_open_text(
			body, (struct str){ pair.p, equals }, what, e) < 0)
			return -1;
		buf_add_byte(body, ':');
		if (run_open_text(body,
			(struct str){
			    pair.p + equals + 1, pair.n - equals - 1 },
			what, e) < 0)
			return -1;
	}
	buf_add_byte(body, '}');
	return 0;
}

/* The descriptor says which folder; the path is only where it shows up. */
static int
put_folder(struct buf *body, const char *dir, struct run_folders *folders,
    struct err *e)
{
	char path[PATH_MAX];
	int fd;

	if (dir == NULL)
		dir = ".";
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "work folder %s", dir);
	folders->fd[folders->n++] = fd;
	if (realpath(dir, path) == NULL)
		return err_sys(e, "work folder %s", dir);
	buf_add_c(body, ",\"workspace\":");
	return run_open_text(body, str_of(path), "the work folder's name", e);
}

int
run_open_text(struct buf *b, struct str s, const char *what, struct err *e)
{
	for (size_t i = 0; i < s.n;) {
		size_t n = json_text_utf8(s.p + i, s.n - i);

		if (n == 0)
			return err_set(
			    e, "%s is not UTF-8 (byte %zu)", what, i + 1);
		i += n;
	}
	json_put_str(b, s);
	return 0;
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}
