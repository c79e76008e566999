/*
 * supervisor/helper.h: credential helpers: a command that an operator has put
 * into secrets/commands of the state directory, and whose output is a secret.
 *
 * secrets/commands/NAME has one word a line, the first of them an absolute
 * path; others than its owner, who is root or ours, cannot write to it. The
 * command has no shell, no environment but PATH and LANG, no descriptor but its
 * output, and SECRET_COMMAND_MS. What it prints is kept in locked memory, and
 * nobody here looks at it.
 */
#ifndef SUPERVISOR_HELPER_H
#define SUPERVISOR_HELPER_H

#include <stdint.h>

#include "base/err.h"
#include "sys/loop.h"

struct helpers;

struct helpers_hear {
	/* fd: a sealed memfd that stays ours, or -1 and why. */
	void (*done)(uint64_t run, uint32_t index, int fd, const char *why);
};

struct helpers *helpers_new(
    struct loop *loop, const char *state, struct helpers_hear hear);
void helpers_free(struct helpers *h); /* kills; NULL is nothing */
/* `done` is called later, or -1 and it is not. */
int helper_start(struct helpers *h, uint64_t run, uint32_t index,
    const char *name, struct err *e);

#endif
