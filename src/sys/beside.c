#include "sys/beside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
beside_path(const char *name, const char *installed,
    char out[static BESIDE_BYTES], struct err *e)
{
	const char *const places[] = { name, installed };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return err_sys(e, "readlink /proc/self/exe");
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash == NULL)
		return err_set(e, "/proc/self/exe is no path");
	*slash = '\0';
	for (int i = 0; i < 2 && places[i] != NULL; i++) {
		int len = snprintf(out, BESIDE_BYTES, "%s/%s", self, places[i]);

		if (len < BESIDE_BYTES && access(out, X_OK) == 0)
			return 0;
	}
	return err_set(e,
	    "the program `%s` is not beside %s/%s: install all of them (meson "
	    "install)",
	    name, self, slash + 1);
}

int
beside_open(const char *name, const char *installed, struct err *e)
{
	char path[BESIDE_BYTES];
	int fd;

	if (beside_path(name, installed, path, e) < 0)
		return -1;
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	return fd;
}
