#include "sys/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"

int
dir_open(int dir, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW),
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS |
		    RESOLVE_NO_SYMLINKS,
	};

	return (int)syscall(
	    SYS_openat2, dir, *path == '\0' ? "." : path, &how, sizeof(how));
}

int
dir_make_path(const char *dir, struct err *e)
{
	char path[PATH_MAX];

	if (str_copy(str_of(dir), path, sizeof(path)) < 0 || path[0] == '\0')
		return err_set(e, "state directory: bad path \"%s\"", dir);
	for (char *at = path + 1;; at++) {
		char was = *at;

		if (was != '/' && was != '\0')
			continue;
		*at = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return err_sys(e, "mkdir %s", path);
		*at = was;
		if (was == '\0')
			return 0;
	}
}
