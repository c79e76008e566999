/*
 * sandbox/trust.c: certificates that the programs of one sandbox are to
 * trust, beside those of the machine: a file of its own, read-only, in the
 * place of the machine's bundle where there is one.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/place.h"
#include "sandbox/build.h"
#include "sys/fd.h"
#include "sys/mount.h"

enum { FLAGS = MOUNT_NOSUID | MOUNT_NODEV | MOUNT_NOEXEC };

static int write_bundle(int dir, const struct build *b, struct err *e);

int
root_add_trust(const struct build *b, const char *root, struct err *e)
{
	const struct mount_option options[] = {
		{ "size", "2m" }, /* a machine's bundle has some 220 KiB */
		{ "nr_inodes", "4" },
		{ "mode", "755" },
	};
	/* Of Debian's programs; others read what the variables name. */
	static const char *const bundle = "etc/ssl/certs/ca-certificates.crt";
	own_fd int base = -1, dir = -1, file = -1;

	if (root_add_files(b, root, e) < 0)
		return -1;
	if (b->spec->trust.n == 0)
		return 0;
	base = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (base < 0)
		return err_sys(e, "open %s", root);
	dir = mount_new(
	    "tmpfs", options, sizeof(options) / sizeof(options[0]), FLAGS, e);
	if (dir < 0 || write_bundle(dir, b, e) < 0 ||
	    mount_restrict(dir, FLAGS | MOUNT_RDONLY, e) < 0 ||
	    mount_attach(dir, base, &PLACE_TRUST_DIR[1], e) < 0)
		return err_add(e, "certificates");
	/* A stranger's image may have a link there: then it is not touched. */
	if (b->spec->image || faccessat(base, bundle, F_OK, 0) < 0)
		return 0;
	file = mount_copy(
	    base, &PLACE_TRUST[1], false, FLAGS | MOUNT_RDONLY, -1, e);
	if (file < 0 || mount_attach(file, base, bundle, e) < 0)
		return err_add(e, "certificates");
	return 0;
}

static int
write_bundle(int dir, const struct build *b, struct err *e)
{
	own_fd int fd = openat(dir, PLACE_TRUST_FILE,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);

	if (fd < 0)
		return err_sys(e, "create %s", PLACE_TRUST_FILE);
	return fd_write_all(fd, b->spec->trust.p, b->spec->trust.n, e);
}
