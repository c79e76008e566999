/*
 * `paddock exec --image NAME`: finds the image, then becomes the small half
 * again, with the image's root directory as a descriptor and what the image
 * says about its command as options. The lock goes along: it is given back
 * when the sandbox is over.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "cli/state.h"
#include "image/image.h"
#include "sys/beside.h"
#include "sys/fd.h"

struct image_exec {
	const char *image, *state;
	char **own; /* options of the small half, as given */
	size_t n_own;
	char *const *command; /* ends with NULL */
};

static int cmd_image_exec(int argc, char **argv);
static int take_options(struct image_exec *x, int argc, char **argv);
static int become_small_half(
    const struct image_exec *x, const struct image *i, struct err *e);
static size_t count(const char *const *words);
static size_t add_all(const char **to, size_t n, const char *const *words);

/*
 * Reading archives takes libraries that nothing else of the command line
 * wants to load: that is a program of its own. `image exec` is what the small
 * half makes of `paddock exec --image`.
 */
int
cmd_image(int argc, char **argv)
{
	char path[BESIDE_BYTES];
	struct err e;

	if (argc > 1 && strcmp(argv[1], "exec") == 0)
		return cmd_image_exec(argc - 1, argv + 1);
	if (beside_path("paddock-image", NULL, path, &e) == 0) {
		(void)execv(path, argv);
		(void)err_sys(&e, "execute %s", path);
	}
	return out_fail(&e);
}

static int
cmd_image_exec(int argc, char **argv)
{
	own_image struct image i = {};
	own_buf struct buf state = {};
	struct image_exec x = {};
	struct err e;

	if (take_options(&x, argc, argv) < 0 ||
	    state_dir(x.state, &state, &e) < 0 ||
	    image_find(buf_c(&state), str_of(x.image), &i, &e) < 0)
		return x.image == NULL ? EXIT_USAGE : out_fail(&e);
	if (become_small_half(&x, &i, &e) == 0)
		return EXIT_USAGE;
	return out_fail(&e);
}

/* As the small half reads them: up to the first word that is no option. */
static int
take_options(struct image_exec *x, int argc, char **argv)
{
	static const char *const flags[] = { "--write-back", "--json",
		"--explain", "--fake-root", "--help", "-h" };
	int i = 1, n = 0;

	x->own = argv;
	for (; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0;
	     i++) {
		size_t len = strcspn(argv[i], "=");
		bool has_value = argv[i][len] == '=';
		const char **ours = NULL;

		if (strncmp(argv[i], "--image", len) == 0 && len == 7)
			ours = &x->image;
		else if (strncmp(argv[i], "--state", len) == 0 && len == 7)
			ours = &x->state;
		for (size_t k = 0; k < sizeof(flags) / sizeof(flags[0]); k++)
			has_value |= strcmp(argv[i], flags[k]) == 0;
		if (ours == NULL) {
			x->own[n++] = argv[i];
			if (!has_value && i + 1 < argc)
				x->own[n++] = argv[++i];
			continue;
		}
		if (has_value) {
			*ours = argv[i] + len + 1;
		} else if (i + 1 < argc) {
			*ours = argv[++i];
		} else {
			out_note("exec: %s needs a value", argv[i]);
			x->image = NULL;
			return -1;
		}
	}
	if (i < argc && strcmp(argv[i], "--") == 0)
		i++;
	x->n_own = (size_t)n;
	x->command = argv + i;
	if (x->image == NULL)
		out_note("exec: no --image");
	return x->image == NULL ? -1 : 0;
}

/* 0: the image has no command, which is told; -1 with e. */
static int
become_small_half(
    const struct image_exec *x, const struct image *i, struct err *e)
{
	const struct image_config *c = &i->is.config;
	const char *const *command = (const char *const *)x->command;
	const bool own = command[0] != NULL;
	const size_t room = 16 + 2 * count(c->env) + x->n_own +
	    count(c->entrypoint) + count(c->cmd) + count(command);
	char path[BESIDE_BYTES], fd[16];
	own_buf struct buf home = {};
	const char **argv;
	size_t n = 0;

	if (!own && count(c->entrypoint) + count(c->cmd) == 0) {
		out_note("exec: the image names no command; it stands behind "
			 "--");
		return 0;
	}
	if (fd_cloexec(i->rootfs_fd, false, e) < 0 ||
	    fd_cloexec(i->lock_fd, false, e) < 0)
		return -1;
	argv = calloc(room, sizeof(*argv));
	if (argv == NULL)
		return err_set(e, "out of memory");
	(void)snprintf(fd, sizeof(fd), "%d", i->rootfs_fd);
	argv[n++] = "paddock";
	argv[n++] = "exec";
	argv[n++] = "--image-fd";
	argv[n++] = fd;
	/* What comes later replaces these: the image's, then the user's. */
	if (*c->account != '\0') {
		buf_printf(&home, "HOME=%s", c->home);
		argv[n++] = "--image-account";
		argv[n++] = c->account;
		argv[n++] = "--image-home";
		argv[n++] = c->home;
		argv[n++] = "--env";
		argv[n++] = buf_c(&home);
	}
	for (size_t k = 0; c->env[k] != NULL; k++) {
		argv[n++] = "--env";
		argv[n++] = c->env[k];
	}
	if (!own) {
		argv[n++] = "--chdir";
		argv[n++] = c->workdir;
	}
	for (size_t k = 0; k < x->n_own; k++)
		argv[n++] = x->own[k];
	argv[n++] = "--";
	if (own) {
		n = add_all(argv, n, command);
	} else {
		n = add_all(argv, n, c->entrypoint);
		n = add_all(argv, n, c->cmd);
	}
	argv[n] = NULL;

	if (beside_path("paddock", BESIDE_PADDOCK, path, e) < 0) {
		free(argv);
		return -1;
	}
	(void)execv(path, (char *const *)(uintptr_t)argv);
	free(argv);
	return err_sys(e, "execute %s", path);
}

static size_t
count(const char *const *words)
{
	size_t n = 0;

	while (words[n] != NULL)
		n++;
	return n;
}

static size_t
add_all(const char **to, size_t n, const char *const *words)
{
	for (size_t i = 0; words[i] != NULL; i++)
		to[n++] = words[i];
	return n;
}
