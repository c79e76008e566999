/*
 * sandbox/exec_tell.h: what `paddock exec` says of a run, on standard error:
 * for people, or with --json as lines of JSON.
 *
 * Names of files were chosen by whoever was inside, and reach no terminal as
 * they are.
 */
#ifndef SANDBOX_EXEC_TELL_H
#define SANDBOX_EXEC_TELL_H

#include "sandbox/commit.h"
#include "sandbox/exec_options.h"
#include "sandbox/sandbox.h"

/* A limit that was asked for, and is not what was asked for. */
void exec_tell_weaker(const struct exec_options *o, const struct sandbox *sb);

/* --explain: the folders beside the work folder; from is where each is. */
void exec_tell_mounts(
    const struct exec_options *o, char *const from[static MOUNTS_MAX]);

/*
 * Says why it ended, where that is not the command's own doing, or with --json
 * all about it. The exit status.
 */
int exec_tell_end(const struct exec_options *o, const struct sandbox *sb,
    const struct sandbox_end *end, char *const from[static MOUNTS_MAX],
    uint32_t n_planted);

/* For planted_tell; COMMIT_TOLD_MAX are named. */
struct exec_planted {
	bool json;
	unsigned n;
};
void exec_tell_planted(void *arg, const char *path);

/* For commit.tell; arg is an unsigned that counts. */
void exec_tell_left_out(void *arg, enum commit_why why, const char *path);

/* On standard error. Names come from whoever calls, and may hold what a
 * terminal would act upon: that is escaped. */
void exec_put_text(const char *text);

#endif
