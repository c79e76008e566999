#include "supervisor/identity.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/keyfile.h"
#include "sys/fd.h"

static void on_change(struct loop_watch *w, uint32_t events);
static void send_one(
    struct identity_files *x, struct peer *broker, const char *name);

int
identity_open(struct identity_files *x, struct loop *loop, const char *state,
    struct err *e)
{
	char path[PATH_MAX];
	own_fd int fd = -1;

	x->watch.fd = -1;
	x->state = state;
	x->loop = loop;
	if (snprintf(path, sizeof(path), "%s/identity", state) >=
	    (int)sizeof(path))
		return err_set(e, "%s: path too long", state);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "mkdir %s", path);
	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0)
		return err_sys(e, "inotify_init1");
	if (inotify_add_watch(fd, path,
		IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
		    IN_ATTRIB | IN_ONLYDIR | IN_DONT_FOLLOW) < 0)
		return err_sys(e, "watch %s", path);
	x->watch = (struct loop_watch){
		.fd = fd,
		.events = EPOLLIN,
		.on_ready = on_change,
	};
	if (loop_add(loop, &x->watch, e) < 0) {
		x->watch.fd = -1;
		return -1;
	}
	(void)fd_take(&fd);
	return 0;
}

void
identity_send(struct identity_files *x, struct peer *broker)
{
	static const struct msg_identity last;
	char path[PATH_MAX];
	const struct dirent *d;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/identity", x->state);
	dir = opendir(path);
	while (dir != NULL && (d = readdir(dir)) != NULL) {
		size_t n = strlen(d->d_name);

		/* Editors' copies are none of them. */
		if (d->d_name[0] != '.' && d->d_name[n - 1] != '~')
			send_one(x, broker, d->d_name);
	}
	if (dir != NULL)
		(void)closedir(dir); /* read only: nothing to lose */
	(void)peer_send(broker, MSG_IDENTITY, &last, STR(""), NULL,
	    0); /* a broker that is gone gets them at its start */
}

void
identity_close(struct identity_files *x)
{
	int fd;

	if (x->loop == NULL || x->watch.fd < 0)
		return;
	fd = loop_remove(x->loop, &x->watch);
	fd_fini(&fd);
}

static void
on_change(struct loop_watch *w, uint32_t events)
{
	struct identity_files *x = LOOP_OF(w, struct identity_files, watch);
	char bytes[4096];

	(void)events;
	/* Which one does not matter: they hold together, or not at all. */
	while (read(w->fd, bytes, sizeof(bytes)) > 0)
		;
	if (peer_is_open(x->broker))
		identity_send(x, x->broker);
}

static void
send_one(struct identity_files *x, struct peer *broker, const char *name)
{
	struct msg_identity m = {};
	struct err e = {};
	own_fd int fd = -1;

	if (str_copy(str_of(name), m.name, sizeof(m.name)) < 0) {
		(void)err_set(
		    &e, "its name is over %zu bytes", sizeof(m.name) - 1);
		(void)str_copy((struct str){ name, sizeof(m.name) - 1 }, m.name,
		    sizeof(m.name)); /* cut, for the message */
	} else {
		fd = keyfile_read_identity(x->state, name, &e);
	}
	(void)peer_send(broker, MSG_IDENTITY, &m, str_of(fd >= 0 ? "" : e.text),
	    &fd, fd >= 0); /* as above */
}
