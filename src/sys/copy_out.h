/*
 * sys/copy_out.h: a file of a sandbox becomes one of ours, and nothing else
 * does.
 *
 * Names, types and bytes come from whoever is inside, who may change them at
 * any moment. So nothing is ever created, followed or replaced outside the one
 * folder that was named: every step is one component, opened with openat2(2)
 * and no links; a file is made under a new name and then put in its place. Only
 * files and folders are made, with no bit but read, write and execute; what is
 * zero stays a hole.
 */
#ifndef SYS_COPY_OUT_H
#define SYS_COPY_OUT_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

/* 0 when name may stand below a folder of ours: relative, and none of its
 * parts is empty, "." or "..". */
int copy_name_check(struct str name, struct err *e);

/* Makes the folder and those on the way. */
int copy_mkdir(int root, struct str name, struct err *e);

/* A file that is being written. */
struct copy {
	int dir; /* where it will be; -1: none is open */
	int fd;
	uint64_t bytes; /* so far, holes included */
	uint64_t hole_bytes; /* at the end, not yet made */
	char temporary[32];
	char name[256];
};

#define own_copy __attribute__((cleanup(copy_abort)))

int copy_begin(struct copy *c, int root, struct str name, struct err *e);
int copy_write(struct copy *c, const char *p, size_t n, struct err *e);
/* Only now it has its name, which may have been another file's. */
int copy_finish(struct copy *c, mode_t mode, struct err *e);
/* Nothing stays of it. Does nothing when it is finished. */
void copy_abort(struct copy *c);

#endif
