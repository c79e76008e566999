#include "sys/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/fd.h"

/* landlock(7); the headers of older distributions know only the first few. */
enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_CHAR = 1 << 6,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_MAKE_SOCK = 1 << 9,
	FS_MAKE_FIFO = 1 << 10,
	FS_MAKE_BLOCK = 1 << 11,
	FS_MAKE_SYM = 1 << 12,
	FS_REFER = 1 << 13, /* ABI 2 */
	FS_TRUNCATE = 1 << 14, /* ABI 3 */
	FS_IOCTL_DEV = 1 << 15, /* ABI 5 */
	FS_ABI_1 = (1 << 13) - 1,
	/* What makes sense for a file; more is EINVAL. */
	FS_OF_FILE = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE |
	    FS_IOCTL_DEV,
	NET_BIND_TCP = 1 << 0, /* ABI 4 */
	NET_CONNECT_TCP = 1 << 1,
	SCOPE_ABSTRACT_UNIX = 1 << 0, /* ABI 6 */
	SCOPE_SIGNAL = 1 << 1,
	RULE_PATH_BENEATH = 1,
	CREATE_VERSION = 1 << 0,
	LOG_NEW_EXEC_ON = 1 << 1, /* ABI 7 */
	LOG_SUBDOMAINS_OFF = 1 << 2,
};

struct ruleset_attr {
	uint64_t fs;
	uint64_t net; /* ABI 4 */
	uint64_t scope; /* ABI 6 */
};

/* Packed as the kernel has it. */
struct path_attr {
	uint64_t access;
	int32_t parent_fd;
} __attribute__((packed));

static uint64_t fs_known(int abi);
static int allow(
    int ruleset, int dirfd, const char *path, uint64_t rights, struct err *e);

int
landlock_abi(void)
{
	long abi =
	    syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

int
landlock_new(int abi, unsigned more, struct err *e)
{
	const bool only_scopes = (more & LANDLOCK_ONLY_SCOPES) != 0;
	struct ruleset_attr attr = {};
	size_t size = offsetof(struct ruleset_attr, net);
	own_fd int made = -1;
	long fd;

	attr.fs = only_scopes ? fs_known(abi) & FS_REFER : fs_known(abi);
	if (abi >= 4) {
		size = offsetof(struct ruleset_attr, scope);
		if ((more & LANDLOCK_NO_TCP) != 0)
			attr.net = NET_BIND_TCP | NET_CONNECT_TCP;
		if ((more & LANDLOCK_NO_BIND) != 0)
			attr.net = NET_BIND_TCP;
	}
	if (abi >= 6) {
		size = sizeof(attr);
		if ((more & (LANDLOCK_SCOPES | LANDLOCK_ONLY_SCOPES)) != 0)
			attr.scope = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
	}
	fd = syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (fd < 0)
		return err_sys(e, "landlock_create_ruleset");
	made = (int)fd;
	/*
	 * A domain below another one denies moves and links from folder to
	 * folder, with EXDEV, unless it allows them itself: landlock(7),
	 * LANDLOCK_ACCESS_FS_REFER.
	 */
	if (only_scopes && attr.fs != 0 &&
	    allow(made, AT_FDCWD, "/", FS_REFER, e) < 0)
		return -1;
	return fd_take(&made);
}

int
landlock_allow(int ruleset, int abi, int dirfd, const char *path,
    unsigned access, struct err *e)
{
	const uint64_t write = FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE |
	    FS_MAKE_DIR | FS_MAKE_REG | FS_MAKE_SOCK | FS_MAKE_FIFO |
	    FS_MAKE_SYM | FS_REFER | FS_TRUNCATE;
	uint64_t rights = 0;

	if ((access & LANDLOCK_READ) != 0)
		rights |= FS_READ_FILE | FS_READ_DIR;
	if ((access & LANDLOCK_EXECUTE) != 0)
		rights |= FS_EXECUTE;
	if ((access & LANDLOCK_WRITE) != 0)
		rights |= write;
	if ((access & LANDLOCK_DEVICE) != 0)
		rights |= FS_IOCTL_DEV;
	return allow(ruleset, dirfd, path, rights & fs_known(abi), e);
}

static int
allow(int ruleset, int dirfd, const char *path, uint64_t rights, struct err *e)
{
	own_fd int fd = openat(dirfd, path, O_PATH | O_CLOEXEC);
	struct path_attr attr = { .access = rights, .parent_fd = fd };
	struct stat st;

	if (fd < 0)
		return err_sys(e, "open %s", path);
	if (fstat(fd, &st) < 0)
		return err_sys(e, "fstat %s", path);
	if (!S_ISDIR(st.st_mode))
		attr.access &= FS_OF_FILE;
	if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &attr,
		0) < 0)
		return err_sys(e, "landlock_add_rule %s", path);
	return 0;
}

int
landlock_enforce(int ruleset, struct err *e)
{
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_sys(e, "landlock_restrict_self");
	return 0;
}

int
landlock_enforce_strangers(int ruleset, int abi, bool told, struct err *e)
{
	const unsigned log = LOG_SUBDOMAINS_OFF | (told ? LOG_NEW_EXEC_ON : 0U);

	if (syscall(SYS_landlock_restrict_self, ruleset, abi >= 7 ? log : 0U) <
	    0)
		return err_sys(e, "landlock_restrict_self");
	return 0;
}

/* The file rights that this level handles. */
static uint64_t
fs_known(int abi)
{
	uint64_t known = abi >= 1 ? FS_ABI_1 : 0;

	if (abi >= 2)
		known |= FS_REFER;
	if (abi >= 3)
		known |= FS_TRUNCATE;
	if (abi >= 5)
		known |= FS_IOCTL_DEV;
	return known;
}
