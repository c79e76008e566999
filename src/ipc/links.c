#include "ipc/links.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"

static void on_supervisor_frame(struct peer *p, const struct frame *f);
static void on_gone(struct peer *p, const char *why);

int
links_open(struct links *l, enum role self, int supervisor_fd,
    void (*on_frame)(struct peer *p, const struct frame *f), struct err *e)
{
	l->supervisor = (struct peer){ .self = self,
		.other = ROLE_SUPERVISOR,
		.on_frame = on_supervisor_frame,
		.on_gone = on_gone };
	l->broker = (struct peer){ .self = self,
		.other = ROLE_BROKER,
		.on_frame = on_frame,
		.on_gone = on_gone };
	l->supervisor.watch.fd = l->broker.watch.fd = -1;
	l->loop = loop_new(e);
	if (l->loop == NULL)
		return -1;
	l->supervisor.loop = l->broker.loop = l->loop;
	peer_init(&l->supervisor);
	peer_init(&l->broker);
	return peer_open_take(&l->supervisor, supervisor_fd, e);
}

int
links_ready(struct links *l, struct err *e)
{
	const struct msg_ready ready = { .role = l->supervisor.self,
		.pid = (uint32_t)getpid() };

	if (peer_send(&l->supervisor, MSG_READY, &ready, STR(""), NULL, 0) < 0)
		return err_set(e, "send READY");
	return 0;
}

void
links_close(struct links *l)
{
	peer_close(&l->broker);
	peer_close(&l->supervisor);
	loop_free(l->loop);
}

/* The routes allow MSG_WIRE alone. */
static void
on_supervisor_frame(struct peer *p, const struct frame *f)
{
	struct links *l = LOOP_OF(p, struct links, supervisor);
	const struct msg_wire *m = f->body;
	struct err e = {};

	must(f->type == MSG_WIRE);
	if (m->role != ROLE_BROKER) {
		log_warn("wire to %u refused", m->role);
		return;
	}
	if (peer_open_wire(&l->broker, f, &e) < 0) {
		log_error("broker link why=\"%s\"", e.text);
		loop_stop(l->loop);
	}
}

static void
on_gone(struct peer *p, const char *why)
{
	if (strcmp(why, "end of file") != 0)
		log_warn("%s dropped why=\"%s\"", role_name(p->other), why);
	loop_stop(p->loop);
}
