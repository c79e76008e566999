#include "supervisor/cell_order.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "ipc/msg.h"
#include "supervisor/rootfs.h"
#include "supervisor/snapshots.h"
#include "sys/fd.h"

/* Words in a command and its environment: far more than shells make. */
enum { WORDS_MAX = 4096 };

static int trust_read(
    int both, struct buf *out, size_t *own, struct buf *java, struct err *e);
static int words_take(
    struct str *at, uint32_t n, const char **out, size_t *used, struct err *e);
static int rules_take(
    struct cell_order *o, const char *const *words, uint32_t n, struct err *e);
static int image_take(struct cell_order *o, const char *const *words,
    const char *state_dir, struct err *e);

int
cell_order_take(struct cell_order *o, const struct frame *f,
    const char *state_dir, struct err *e)
{
	const struct msg_sandbox_start *m = f->body;
	bool folder = (m->flags & START_WORKSPACE) != 0;
	bool image = (m->flags & START_IMAGE) != 0;
	bool chdir = (m->flags & START_CHDIR) != 0;
	bool trust = (m->flags & START_CA) != 0;
	size_t n_stdio = m->argc > 0 ? 3 : 0;
	/* Start-up is the only time that uses them, and runs alone. */
	static const char *words[WORDS_MAX + 8 + 2 * SECRETS_PER_RUN_MAX];
	struct sandbox_spec *spec = &o->spec;
	struct str at = f->payload;
	size_t own = 0, used = 0;
	size_t argv, envp, path, of_image, start, rules, places, names;

	if (m->mounts > MOUNTS_MAX ||
	    f->n_fds != n_stdio + folder + m->mounts + trust)
		return err_set(e, "descriptors do not fit the flags");
	if (trust &&
	    trust_read(
		f->fds[f->n_fds - 1], &o->trust, &own, &o->trust_java, e) < 0)
		return err_add(e, "certificates");
	argv = used;
	if (words_take(&at, m->argc, words, &used, e) < 0)
		return -1;
	envp = used;
	if (words_take(&at, m->envc, words, &used, e) < 0)
		return -1;
	path = used;
	if (folder && words_take(&at, 1, words, &used, e) < 0)
		return -1;
	of_image = used;
	if (image && words_take(&at, 3, words, &used, e) < 0)
		return -1;
	start = used;
	if (chdir && words_take(&at, 1, words, &used, e) < 0)
		return -1;
	rules = used;
	if (words_take(&at, m->rules, words, &used, e) < 0 ||
	    rules_take(o, words + rules, m->rules, e) < 0)
		return -1;
	places = used;
	if (words_take(&at, m->mounts, words, &used, e) < 0)
		return -1;
	if (m->files > SECRETS_PER_RUN_MAX)
		return err_set(e, "too many files");
	for (size_t i = 0; i < m->files; i++) {
		size_t from = used;

		if (words_take(&at, 2, words, &used, e) < 0)
			return -1;
		o->files[i] =
		    (struct sandbox_file){ words[from], words[from + 1] };
	}
	names = used;
	if (words_take(&at, m->layers, words, &used, e) < 0)
		return -1;
	if (at.n != 0)
		return err_set(e, "command is not as long as it says");
	if (snapshot_layers_open(
		state_dir, words + names, m->layers, &o->layers, e) < 0)
		return -1;
	spec->layers = o->layers.fd;
	spec->n_layers = o->layers.n;
	spec->files = o->files;
	spec->n_files = m->files;

	spec->argv = m->argc > 0 ? words + argv : NULL;
	spec->rpc = true;
	spec->freezable = true;
	spec->envp = words + envp;
	for (int i = 0; i < 3; i++)
		spec->stdio[i] = n_stdio > 0 ? f->fds[i] : -1;
	spec->workspace_fd = folder ? f->fds[n_stdio] : -1;
	spec->workspace_path =
	    folder ? sandbox_path_for(words[path]) : "/workspace";
	spec->chdir_path = chdir ? words[start] : NULL;
	if (image) {
		o->root = image_take(o, words + of_image, state_dir, e);
		if (o->root < 0)
			return err_add(e, "image");
	}
	for (uint32_t i = 0; i < m->mounts; i++) {
		const char *word = words[places + i];

		if (strlen(word) < 3)
			return err_set(e, "not a mount");
		o->mounts[i] = (struct sandbox_mount){
			.fd = f->fds[n_stdio + folder + i],
			.to = word + 2,
			.mode = (enum sandbox_mount_mode)word[0],
			.noexec = word[1] != 'x',
		};
	}
	spec->mounts = o->mounts;
	spec->n_mounts = m->mounts;
	spec->write_back = folder && (m->flags & START_WRITE_BACK) != 0;
	spec->protect = (struct protect){ o->rules, m->rules,
		(m->flags & START_FLAG) != 0 };
	spec->trust = buf_str(&o->trust);
	if (trust)
		spec->trust_own =
		    (struct str){ o->trust.p + own, o->trust.n - own };
	spec->trust_java = buf_str(&o->trust_java);
	spec->explain = (m->flags & START_EXPLAIN) != 0;
	spec->fake_root = (m->flags & START_ROOT) != 0;
	spec->judged = (m->flags & START_JUDGED) != 0;
	spec->limits = (struct sandbox_limits){
		.memory_bytes = m->memory_bytes,
		.pids_max = m->pids,
		.cpu_milli = m->cpu_milli,
		.wall_ms = m->wall_ms,
		.disk_bytes = m->disk_bytes,
		.inodes = m->inodes,
		.nofile = m->open_files,
		.cpu_weight = m->cpu_weight,
		.io_bytes_per_s = folder ? m->io_bytes_per_s : 0,
		.output_bytes = m->output_bytes,
	};
	spec->listen_port[0] = RUN_DOOR_PORT;
	spec->listen_port[1] = RUN_PROXY_PORT;
	spec->n_listen = 2;
	spec->net = true;
	spec->required = m->required;
	if ((m->flags & START_LIMITS_REQUIRED) != 0)
		spec->required |= WALL_MEMORY | WALL_PIDS | WALL_CPU;
	return 0;
}

void
cell_order_fini(struct cell_order *o)
{
	free(o->rules);
	buf_fini(&o->trust);
	buf_fini(&o->trust_java);
	fd_fini(&o->root);
	fd_fini(&o->lock);
	snapshot_layers_fini(&o->layers);
}

/*
 * What the programs of the machine trust, if it says so, and the PEM that the
 * descriptor begins with, at *own; behind a NUL there is the same for Java.
 */
static int
trust_read(
    int both, struct buf *out, size_t *own, struct buf *java, struct err *e)
{
	static const char *const file = "/etc/ssl/certs/ca-certificates.crt";
	own_buf struct buf more = {};
	size_t end;

	if (access(file, R_OK) == 0 &&
	    file_read(file, out, TRUST_MAX_BYTES, e) < 0)
		return -1;
	if (fd_read_sealed(both, &more, 2 * TRUST_MAX_BYTES, e) < 0)
		return -1;
	end = str_find(buf_str(&more), '\0');
	if (end == more.n)
		return err_set(e, "nothing for Java");
	buf_add_c(out, "\n");
	*own = out->n;
	buf_add(out, more.p, end);
	buf_add(java, more.p + end + 1, more.n - end - 1);
	return out->failed ? err_set(e, "too many certificates") : 0;
}

/* The broker has read what the image is; where it lies is known here only. */
static int
image_take(struct cell_order *o, const char *const *words,
    const char *state_dir, struct err *e)
{
	struct hash digest;
	int root;

	if (hash_from_hex(str_of(words[0]), &digest) < 0)
		return err_set(e, "not a digest");
	root = rootfs_open_root(state_dir, &digest, &o->lock, e);
	o->spec.image = true;
	o->spec.image_fd = root;
	o->spec.account = words[1];
	o->spec.home = words[2];
	return root;
}

/*
 * Points the next n words at NUL-terminated texts, and ends them with NULL.
 */
static int
words_take(
    struct str *at, uint32_t n, const char **out, size_t *used, struct err *e)
{
	if (n > WORDS_MAX || *used + n > WORDS_MAX)
		return err_set(e, "over %d words in the command", WORDS_MAX);
	for (uint32_t i = 0; i < n; i++) {
		size_t len = str_find(*at, '\0');

		if (len == at->n)
			return err_set(e, "word without an end");
		out[(*used)++] = at->p;
		at->p += len + 1;
		at->n -= len + 1;
	}
	out[(*used)++] = NULL;
	return 0;
}

static int
rules_take(
    struct cell_order *o, const char *const *words, uint32_t n, struct err *e)
{
	size_t all = 0;
	char *at;

	if (n > PROTECT_RULES_MAX)
		return err_set(e, "over %d patterns", PROTECT_RULES_MAX);
	for (uint32_t i = 0; i < n; i++)
		all += strlen(words[i]) + 1;
	o->rules = malloc(n * sizeof(o->rules[0]) + all + 1);
	if (o->rules == NULL)
		return err_set(e, "out of memory");
	at = (char *)(o->rules + n);
	for (uint32_t i = 0; i < n; i++) {
		size_t len = strlen(words[i]) + 1;

		memcpy(at, words[i], len);
		if (protect_pattern_bad(str_of(at + (at[0] != '\0'))) != NULL)
			return err_set(e, "a wrong pattern");
		o->rules[i] = (struct protect_rule){ at[0], at + 1 };
		at += len;
	}
	return 0;
}
