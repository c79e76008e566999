/*
 * cli/copy_in.h: what lies below a folder of ours, for a sandbox to get.
 *
 * Symbolic links are told of and not followed: one that an earlier sandbox
 * left in the folder must not take a file from elsewhere along.
 */
#ifndef CLI_COPY_IN_H
#define CLI_COPY_IN_H

#include <sys/stat.h>

#include "base/err.h"
#include "base/str.h"

struct copy_in {
	void *arg;
	/* A folder, before what is in it. name is relative to the top. */
	int (*on_folder)(void *arg, struct str name, struct err *e);
	/* A regular file, open for reading; fd stays the walk's. */
	int (*on_file)(void *arg, struct str name, int fd,
	    const struct stat *st, struct err *e);
	/* What is neither, or cannot be read. */
	void (*on_other)(void *arg, struct str name, const char *why);
};

/* 0, or -1 with e of the first call that failed. */
int copy_in_walk(const char *top, const struct copy_in *to, struct err *e);

#endif
