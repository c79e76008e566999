/*
 * sandbox/folder.h: which folders of the host may be seen inside at all.
 *
 * A folder is opened once, by who asks for the sandbox and with that one's
 * rights; from then on the descriptor says which it is.
 */
#ifndef SANDBOX_FOLDER_H
#define SANDBOX_FOLDER_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/err.h"

/*
 * Opens path below the folder at (AT_FDCWD: the current one), O_PATH; real is
 * where it is. The descriptor, or -1 with e, as folder_check has it; what is
 * what e calls it: "work folder".
 */
int folder_open(int at, const char *path, const char *what,
    char real[static PATH_MAX], struct err *e);

/*
 * A directory; not /, /proc and their like, which would show too much; not
 * where paddock keeps its state, nor below that. out is what fstat says.
 */
int folder_check(int fd, struct stat *out, struct err *e);

/* True for the directory in which a paddock keeps its state. */
bool folder_is_state(int dir);

/* True for a repository as git sees it: whatever the folder is called. */
bool folder_is_git(int dir);

#endif
