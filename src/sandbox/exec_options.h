/*
 * sandbox/exec_options.h: what the command line of `paddock exec` says.
 *
 * Texts stay those of argv, or of getenv: they are needed until the command
 * is started.
 */
#ifndef SANDBOX_EXEC_OPTIONS_H
#define SANDBOX_EXEC_OPTIONS_H

#include "base/limits.h"
#include "sandbox/protect.h"
#include "sandbox/sandbox.h"

enum {
	EXEC_ENV_MAX = 256, /* --env options */
	EXEC_ENV_PASSED_ON_MAX = 16, /* and what the command gets anyway */
};
#define EXEC_PATH \
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct exec_options {
	const char *dir;
	const char *start; /* absolute, inside; NULL: the work folder */
	bool write_back;
	bool image; /* the descriptor is of its root directory */
	int image_fd;
	const char *account, *home; /* of the image's user; NULL: ours */
	bool json;
	bool explain;
	bool fake_root;
	struct protect_rule rules[PROTECT_RULES_MAX];
	struct protect protect;
	struct sandbox_mount mounts[MOUNTS_MAX];
	struct str mount_from[MOUNTS_MAX];
	unsigned n_mounts;
	struct sandbox_limits limits;
	/* The whole environment, with NULL behind it. */
	const char *env[EXEC_ENV_MAX + EXEC_ENV_PASSED_ON_MAX + 1];
	size_t n_env;
	char **command; /* the rest of argv */
};

/*
 * Fills in *o, which is zero but for what is not said: dir. -1 to go on, else
 * the exit status, or EXEC_IMAGE; then it has said why.
 */
int exec_options_parse(int argc, char **argv, struct exec_options *o);

/* Where its environment says that programs are: "PATH=...". */
const char *exec_options_path(const struct exec_options *o);

#endif
