#include "base/place.h"

#include <stddef.h>

#include "base/limits.h"

static bool is_plain(struct str path);

const char *
place_fault(struct str path)
{
	static const char *const taken[] = { "/usr", "/etc", "/dev", "/proc",
		"/sys", "/run", "/bin", "/sbin", "/lib", "/lib32", "/lib64",
		"/libx32", "/var/run", "/var/tmp" };

	if (path.n >= PLACE_MAX_BYTES || !is_plain(path))
		return "an absolute path, without . and .., doubled slashes "
		       "and control characters, of less than 4096 bytes";
	if (str_eq_c(path, "/tmp") || str_eq_c(path, "/var"))
		return "a path that the sandbox does not have itself, such as "
		       "one below it";
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		if (place_below(path, str_of(taken[i])))
			return "a path where the sandbox has nothing of its "
			       "own, such as /data or /opt/data, not below "
			       "/usr, /etc, /dev, /proc, /sys, /run, /bin, "
			       "/sbin, /lib or /var/tmp";
	}
	return NULL;
}

bool
place_below(struct str path, struct str dir)
{
	return str_starts(path, dir) &&
	    (path.n == dir.n || path.p[dir.n] == '/');
}

/* A ".." would lead out while the root is built. */
static bool
is_plain(struct str path)
{
	if (path.n < 2 || path.p[0] != '/')
		return false;
	for (size_t i = 0; i < path.n; i++) {
		struct str rest = { path.p + i + 1, path.n - i - 1 }, name;

		if ((unsigned char)path.p[i] < 0x20 || path.p[i] == 0x7f)
			return false;
		if (path.p[i] != '/')
			continue;
		name = (struct str){ rest.p, str_find(rest, '/') };
		if (name.n == 0 || str_eq_c(name, ".") || str_eq_c(name, ".."))
			return false;
	}
	return true;
}
