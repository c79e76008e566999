/*
 * sandbox/trust.c: certificates that the programs of one sandbox are to
 * trust, beside those of the machine: files of its own, read-only, in the
 * place of the machine's bundle, and of Java's, where there are any.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/place.h"
#include "sandbox/build.h"
#include "sys/fd.h"
#include "sys/mount.h"

enum { FLAGS = MOUNT_NOSUID | MOUNT_NODEV | MOUNT_NOEXEC };

static int write_file(
    int dir, const char *name, struct str text, struct err *e);

int
root_add_trust(const struct build *b, const char *root, struct err *e)
{
	const struct mount_option options[] = {
		{ "size", "4m" }, /* a machine's bundle has some 220 KiB */
		{ "nr_inodes", "4" },
		{ "mode", "755" },
	};
	/* Of Debian's programs; others read what the variables name. */
	static const struct {
		const char *from, *to;
	} usual[] = {
		{ &PLACE_TRUST[1], "etc/ssl/certs/ca-certificates.crt" },
		{ &PLACE_TRUST_JAVA[1], "etc/ssl/certs/java/cacerts" },
	};
	own_fd int base = -1, dir = -1;

	if (root_add_files(b, root, e) < 0)
		return -1;
	if (b->spec->trust.n == 0)
		return 0;
	base = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (base < 0)
		return err_sys(e, "open %s", root);
	dir = mount_new(
	    "tmpfs", options, sizeof(options) / sizeof(options[0]), FLAGS, e);
	if (dir < 0 ||
	    write_file(dir, PLACE_TRUST_FILE, b->spec->trust, e) < 0 ||
	    write_file(dir, PLACE_TRUST_OWN_FILE, b->spec->trust_own, e) < 0 ||
	    write_file(dir, PLACE_TRUST_JAVA_FILE, b->spec->trust_java, e) <
		0 ||
	    mount_restrict(dir, FLAGS | MOUNT_RDONLY, e) < 0 ||
	    mount_attach(dir, base, &PLACE_TRUST_DIR[1], e) < 0)
		return err_add(e, "certificates");
	/* A stranger's image may have a link there: then it is not touched. */
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		own_fd int file = -1;

		if (b->spec->image || faccessat(base, usual[i].to, F_OK, 0) < 0)
			continue;
		file = mount_copy(
		    base, usual[i].from, false, FLAGS | MOUNT_RDONLY, -1, e);
		if (file < 0 || mount_attach(file, base, usual[i].to, e) < 0)
			return err_add(e, "certificates");
	}
	return 0;
}

static int
write_file(int dir, const char *name, struct str text, struct err *e)
{
	own_fd int fd =
	    openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);

	if (fd < 0)
		return err_sys(e, "create %s", name);
	return fd_write_all(fd, text.p, text.n, e);
}
