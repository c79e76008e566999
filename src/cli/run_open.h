/*
 * cli/run_open.h: what `paddock run` asks the daemon for.
 *
 * The policy, the world and the command are checked here first, where the
 * files are known by name, so that all that is wrong is said with file, line
 * and column before anything is started. The broker checks again.
 */
#ifndef CLI_RUN_OPEN_H
#define CLI_RUN_OPEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"

struct args_env; /* cli/args.h */
struct mount_options; /* cli/mount_option.h */

struct run_open {
	const char *policy; /* file; NULL: that of the run `replay` */
	const char *world; /* file, or NULL */
	const char *prompt; /* the user's text, or NULL */
	const char *dir; /* the work folder; NULL: the current one */
	const struct args_env *env; /* or NULL */
	char *const *command; /* ends with NULL; NULL: the image's own */
	bool write_back;
	const char *const *tags; /* "K=V" */
	size_t n_tags;
	uint64_t ttl_ms, idle_ms; /* 0: none */
	const char *replay_http, *replay_miss; /* or NULL */
	struct str faults; /* rules, JSON objects with commas between */
	const char *replay; /* the run whose record answers, or NULL */
	bool strict; /* of that: in its order, and nothing else */
	const char *const *ignore; /* paths of arguments that do not count */
	size_t n_ignore;
	const struct mount_options *mounts; /* beside the policy's, or NULL */
};

/* The work folder, then those of the policy's mounts, then of the command
 * line's: the last are copies. */
struct run_folders {
	int fd[1 + MOUNTS_MAX];
	unsigned n;
};

/*
 * Appends the body of POST /v1/runs, and opens the folders: they are the
 * caller's, for run_folders_fini. -1 with e, and none of them;
 * n_problems problems of the policy have then been printed already, when it is
 * not 0.
 */
int run_open_body(const struct run_open *r, struct buf *body,
    struct run_folders *folders, size_t *n_problems, struct err *e);

void run_folders_fini(struct run_folders *folders);

/* --fault: appends a rule of faults, text or @FILE; in front of it a comma,
 * unless it is the first. -1 with e. */
int run_open_fault(struct buf *out, const char *text, struct err *e);

/* Appends s as a JSON string. Bytes that are not UTF-8 cannot travel in JSON,
 * and must not change: -1 with e, which begins with `what`. */
int run_open_text(struct buf *b, struct str s, const char *what, struct err *e);

/* Appends the words, of which the last is NULL, as an array. Likewise. */
int run_open_words(struct buf *b, char *const *words, struct err *e);

/* Appends "K=V" each as a member of an object. Likewise. */
int run_open_pairs(struct buf *b, const char *const *pairs, size_t n,
    const char *what, struct err *e);

/* 0 when "K=V" names a variable, else -1 with e. */
int run_open_env(const char *assignment, struct err *e);

#endif
