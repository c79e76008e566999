#include "supervisor/state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/str.h"
#include "sys/confine.h"
#include "sys/dir.h"
#include "sys/fd.h"

enum { BACKLOG = 128 };

static int make_dirs(struct state *s, const char *dir, struct err *e);
static int lock(struct state *s, struct err *e);
static int unix_listen(
    const struct state *s, const char *name, int *out, struct err *e);
static int tcp_listen(struct state *s, const char *where, struct err *e);
static int make_token(const struct state *s, struct err *e);
static int sync_dir(const char *name);

int
state_open(struct state *s, const char *dir, const char *listen, struct err *e)
{
	*s = (struct state){
		.lock_fd = -1,
		.unix_fd = -1,
		.kill_fd = -1,
		.tcp_fd = -1,
	};
	if (make_dirs(s, dir, e) < 0 || lock(s, e) < 0 ||
	    make_token(s, e) < 0 ||
	    unix_listen(s, "paddock.sock", &s->unix_fd, e) < 0 ||
	    unix_listen(s, "kill.sock", &s->kill_fd, e) < 0 ||
	    (listen != NULL && tcp_listen(s, listen, e) < 0)) {
		fd_fini(&s->unix_fd);
		fd_fini(&s->kill_fd);
		fd_fini(&s->tcp_fd);
		fd_fini(&s->lock_fd);
		return -1;
	}
	return 0;
}

void
state_close(struct state *s)
{
	char path[sizeof(s->dir) + 16];

	if (s->lock_fd < 0)
		return;
	(void)snprintf(path, sizeof(path), "%s/paddock.sock", s->dir);
	(void)unlink(path); /* gone is what we want */
	(void)snprintf(path, sizeof(path), "%s/kill.sock", s->dir);
	(void)unlink(path);
	fd_fini(&s->unix_fd);
	fd_fini(&s->kill_fd);
	fd_fini(&s->tcp_fd);
	fd_fini(&s->lock_fd);
}

static int
make_dirs(struct state *s, const char *dir, struct err *e)
{
	char real[PATH_MAX];
	uid_t owner = confine_uid(CONFINE_BROKER);

	if (dir_make_path(dir, e) < 0)
		return -1;
	if (realpath(dir, real) == NULL)
		return err_sys(e, "state directory %s", dir);
	if (str_copy(str_of(real), s->dir, sizeof(s->dir)) < 0 ||
	    strlen(real) + sizeof("/operator.token") > sizeof(s->dir))
		return err_set(e, "state directory %s: path too long", dir);
	(void)memcpy(s->store, s->dir, sizeof(s->store));
	(void)strncat(s->store, "/store", sizeof(s->store) - strlen(real) - 1);
	if (mkdir(s->store, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "mkdir %s", s->store);

	/* Only the broker writes records, also when all else is root's. */
	if (geteuid() == 0 && chown(s->store, owner, owner) < 0)
		return err_sys(e, "chown %s", s->store);
	return 0;
}

static int
lock(struct state *s, struct err *e)
{
	char path[sizeof(s->dir) + 16];
	char pid[16] = "";
	own_fd int fd = -1;

	(void)snprintf(path, sizeof(path), "%s/lock", s->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

		if (errno != EWOULDBLOCK)
			return err_sys(e, "flock %s", path);
		return err_set(e,
		    "a daemon (pid %.*s) uses %s already; stop it, or name "
		    "another directory with --state",
		    n > 0 ? (int)n : 1, n > 0 ? pid : "?", s->dir);
	}
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d", (int)getpid()) < 0)
		return err_sys(e, "write %s", path);
	s->lock_fd = fd_take(&fd);
	return 0;
}

static int
unix_listen(const struct state *s, const char *name, int *out, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	own_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	own_fd int dir = -1;

	if (fd < 0)
		return err_sys(e, "socket");

	/*
	 * A path in sun_path may have 107 bytes; through a descriptor's entry
	 * in /proc the directory may be as long as it likes. unix(7)
	 */
	dir = open(s->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, "open %s", s->dir);
	(void)snprintf(
	    a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dir, name);
	/* We hold the lock: what is there was left by a crash. */
	if (unlink(a.sun_path) < 0 && errno != ENOENT)
		return err_sys(e, "unlink %s/%s", s->dir, name);
	if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(e, "bind %s/%s", s->dir, name);
	if (chmod(a.sun_path, 0600) < 0)
		return err_sys(e, "chmod %s/%s", s->dir, name);
	if (listen(fd, BACKLOG) < 0)
		return err_sys(e, "listen %s/%s", s->dir, name);
	if (fd_nonblock(fd, e) < 0)
		return -1;
	*out = fd_take(&fd);
	return 0;
}

static int
tcp_listen(struct state *s, const char *where, struct err *e)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct str text = str_of(where);
	size_t colon = str_find(text, ':');
	char host[INET_ADDRSTRLEN];
	uint64_t port = 0;
	own_fd int fd = -1;
	socklen_t len = sizeof(a);
	int on = 1;

	if (colon == text.n ||
	    str_copy((struct str){ text.p, colon }, host, sizeof(host)) < 0 ||
	    inet_pton(AF_INET, host, &a.sin_addr) != 1 ||
	    str_to_u64((struct str){ text.p + colon + 1, text.n - colon - 1 },
		&port) < 0 ||
	    port > UINT16_MAX)
		return err_set(e,
		    "--listen %s: give an IPv4 address and a port, as in "
		    "127.0.0.1:8080",
		    where);

	/* What crosses the wire is a bearer token in clear text. */
	if (ntohl(a.sin_addr.s_addr) >> 24 != 127)
		return err_set(e,
		    "--listen %s: only loopback addresses; put a TLS proxy in "
		    "front to reach it from elsewhere",
		    where);
	a.sin_port = htons((uint16_t)port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return err_sys(e, "SO_REUSEADDR");
	if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(e, "bind %s", where);
	if (listen(fd, BACKLOG) < 0)
		return err_sys(e, "listen %s", where);
	if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return err_sys(e, "getsockname");
	s->tcp_port = ntohs(a.sin_port);
	s->tcp_fd = fd_take(&fd);
	return 0;
}

/*
 * The token's text is for people; the broker is given its hash only, in the
 * store directory, where it cannot be turned back.
 */
static int
make_token(const struct state *s, struct err *e)
{
	char path[sizeof(s->dir) + 32], fresh[sizeof(s->dir) + 32];
	char text[4 + HASH_HEX_BYTES] = "pdo_";
	char hex[HASH_HEX_BYTES];
	struct hash h;
	own_fd int fd = -1;
	own_fd int hash_fd = -1;
	uid_t owner = confine_uid(CONFINE_BROKER);

	(void)snprintf(path, sizeof(path), "%s/operator.token", s->dir);
	if (access(path, F_OK) == 0)
		return 0;
	if (getrandom(h.b, sizeof(h.b), 0) != (ssize_t)sizeof(h.b))
		return err_sys(e, "getrandom");
	hash_hex(&h, text + 4);
	h = hash_of(text, strlen(text));
	hash_hex(&h, hex);
	(void)snprintf(path, sizeof(path), "%s/operator.hash", s->store);
	hash_fd = open(
	    path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (hash_fd < 0)
		return err_sys(e, "open %s", path);
	if (fd_write_all(hash_fd, hex, strlen(hex), e) < 0)
		return err_add(e, "%s", path);
	if (geteuid() == 0 && fchown(hash_fd, owner, owner) < 0)
		return err_sys(e, "chown %s", path);
	if (fsync(hash_fd) < 0 || sync_dir(s->store) < 0)
		return err_sys(e, "fsync %s", path);

	/* Last, and whole: once it is there, the hash is on the disk. */
	(void)snprintf(fresh, sizeof(fresh), "%s/operator.token.new", s->dir);
	(void)snprintf(path, sizeof(path), "%s/operator.token", s->dir);
	fd = open(
	    fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "open %s", fresh);
	if (fd_write_all(fd, text, strlen(text), e) < 0 ||
	    fd_write_all(fd, "\n", 1, e) < 0)
		return err_add(e, "%s", fresh);
	if (fsync(fd) < 0)
		return err_sys(e, "fsync %s", fresh);
	if (rename(fresh, path) < 0)
		return err_sys(e, "rename %s", fresh);
	return sync_dir(s->dir) < 0 ? err_sys(e, "fsync %s", s->dir) : 0;
}

static int
sync_dir(const char *name)
{
	own_fd int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -1 : fsync(fd);
}
