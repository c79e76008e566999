/*
 * sandbox/protect.h: which names of a work folder are secrets, and which are
 * run by other programs.
 *
 * A secret (.env, .ssh, the credentials of a cloud) is not read inside. What
 * an editor, a shell, git or another agent executes by itself (.git/hooks,
 * .git/config, .bashrc, .vscode, .mcp.json) is not written inside, or is told.
 * Both go by the name, in any folder, whatever the case of its letters.
 *
 * A pattern is one name or several with '/' between them, and fits a path that
 * ends with them: `.git/hooks` fits a/b/.git/hooks. One that begins with '/'
 * begins at the work folder. '*' is for any part of a name, never for a '/'.
 * Whatever lies below a path that fits is protected with it.
 *
 * Pure: no file is touched. guard.c puts it in force, commit.c once more.
 */
#ifndef SANDBOX_PROTECT_H
#define SANDBOX_PROTECT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* As they travel from a policy to the sandbox: one letter before a pattern. */
enum protect_rule_kind {
	PROTECT_ALLOW_READ = 'r',
	PROTECT_DENY_READ = 'R',
	PROTECT_ALLOW_WRITE = 'w',
	PROTECT_DENY_WRITE = 'W',
};

struct protect_rule {
	char kind; /* enum protect_rule_kind */
	const char *pattern;
};

/* The operator's own rules, before those that are built in. Borrowed. */
struct protect {
	const struct protect_rule *rules;
	size_t n;
	bool flag; /* protected files may be written, and are told */
};

enum protect_is {
	PROTECT_FREE,
	PROTECT_SECRET, /* neither read nor written */
	PROTECT_RUN_BY_OTHERS, /* not written */
};

/*
 * What the last name of this path is; path is relative to the work folder.
 * What lies above it is asked for on the way down: see protect_path. The
 * first rule of the operator that fits decides, then the built-in ones.
 */
enum protect_is protect_name(const struct protect *p, struct str path);

/* The strictest of the path itself and of every folder above it. */
enum protect_is protect_path(const struct protect *p, struct str path);

/*
 * True when a folder has to be at this path for something protected to be
 * below it: a link or a file there would lead git or an editor elsewhere.
 */
bool protect_above(const struct protect *p, struct str path);

/* NULL when it can be a pattern, else what is wrong with it. */
const char *protect_pattern_bad(struct str pattern);

#endif
