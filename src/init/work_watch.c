/*
 * init/work_watch.c: changes to a file or directory, as JSON lines.
 */
#include <errno.h>
#include <poll.h>
#include <stdalign.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "init/work.h"
#include "sys/fd.h"

enum { EVENTS_BYTES = 16 * 1024 };

static const struct {
	uint32_t bit;
	const char *name;
} events[] = {
	{ IN_CREATE, "create" },
	{ IN_MODIFY, "modify" },
	{ IN_ATTRIB, "attrib" },
	{ IN_DELETE, "delete" },
	{ IN_MOVED_FROM, "moved_from" },
	{ IN_MOVED_TO, "moved_to" },
	{ IN_Q_OVERFLOW, "overflow" },
	{ IN_DELETE_SELF, "gone" },
	{ IN_MOVE_SELF, "gone" },
	{ IN_UNMOUNT, "gone" },
};

static bool add_event(struct buf *b, const struct inotify_event *i);

int
work_watch(const struct work *w, struct err *e)
{
	alignas(struct inotify_event) char in[EVENTS_BYTES];
	own_fd int source = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct pollfd wait[2] = {
		{ .fd = source, .events = POLLIN },
		{ .fd = w->fd }, /* its reader's end shows without asking */
	};
	own_buf struct buf lines = {};
	bool gone = false;

	if (source < 0)
		return err_sys(e, "inotify_init1");
	if (inotify_add_watch(source, w->path,
		IN_CREATE | IN_MODIFY | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM |
		    IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF) < 0)
		return err_sys(e, "watch %s", w->path);
	buf_add_c(&lines, "{\"event\":\"ready\"}\n");
	for (;;) {
		ssize_t n;

		if (work_put_lines(w, &lines, e) < 0)
			return -1;
		if (gone)
			return 0;
		(void)alarm(0); /* nothing may happen for as long as it likes */
		if (poll(wait, 2, -1) < 0 && errno != EINTR)
			return err_sys(e, "poll");
		work_alive();
		if (wait[1].revents != 0)
			return 0;
		n = read(source, in, sizeof(in));
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return err_sys(e, "read events");
		for (ssize_t at = 0; at < n && !gone;) {
			const void *p = in + at;
			const struct inotify_event *i = p;

			gone = add_event(&lines, i);
			at += (ssize_t)(sizeof(*i) + i->len);
		}
	}
}

/* True when it was the last one. */
static bool
add_event(struct buf *b, const struct inotify_event *i)
{
	for (size_t k = 0; k < sizeof(events) / sizeof(events[0]); k++) {
		if ((i->mask & events[k].bit) == 0)
			continue;
		buf_printf(b, "{\"event\":\"%s\"", events[k].name);
		if (i->len > 0) {
			buf_add_byte(b, ',');
			work_add_text(b, "name", i->name);
		}
		if ((i->mask & IN_ISDIR) != 0)
			buf_add_c(b, ",\"dir\":true");
		if (i->cookie != 0)
			buf_printf(b, ",\"cookie\":%u", i->cookie);
		buf_add_c(b, "}\n");
		return (events[k].bit &
			   (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0;
	}
	return (i->mask & IN_IGNORED) != 0;
}
