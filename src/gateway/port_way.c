#include "gateway/port_way.h"

#include <sys/epoll.h>

#include "gateway/answer.h"
#include "sys/fd.h"

bool
port_named(struct client *cl, const struct json *args, uint16_t *out)
{
	uint64_t port;

	if (json_u64(json_get(args, STR("port")), &port) == 0 && port >= 1 &&
	    port <= UINT16_MAX) {
		*out = (uint16_t)port;
		return true;
	}
	answer_error(cl, 404, "a port is a number from 1 to 65535");
	return false;
}

int
port_way_begin(struct port_way *w, struct client *cl,
    const struct inside_request *q, uint16_t port, struct err *e)
{
	struct rpc_request r = { .kind = RPC_PORT, .port = port };

	w->gateway = cl->gateway;
	w->run = q->in->run;
	w->grant = q->grant;
	w->inner.fd = -1;
	if (inside_send(q->in, &w->ask, &r, q->grant, NULL, 0, NULL, 0, e) <
	    0) {
		(void)port_way_end(w, e->text); /* nothing is to come */
		return -1;
	}
	w->asked = true;
	return 0;
}

enum port_said
port_way_take(
    struct port_way *w, const struct rpc_reply *r, int fds[static RPC_MAX_FDS])
{
	struct err e = {};

	if (r == NULL || r->kind != RPC_STARTED) {
		w->asked = false;
		/* It is connected; a lost sandbox closes it itself. */
		if (w->inner.fd >= 0)
			return PORT_WAITS;
		visit_end(&w->visit);
		(void)port_way_end(
		    w, r == NULL ? "the sandbox has ended" : r->text);
		return PORT_REFUSED;
	}
	if (w->visit.client == NULL || fds[0] < 0 || w->inner.fd >= 0)
		return PORT_WAITS;
	w->inner.fd = fds[0];
	w->inner.events = EPOLLIN;
	if (fd_nonblock(fds[0], &e) < 0 ||
	    loop_add(w->gateway->loop, &w->inner, &e) < 0) {
		w->inner.fd = -1;
		return PORT_WAITS;
	}
	fds[0] = -1;
	return PORT_CONNECTED;
}

bool
port_way_end(struct port_way *w, const char *why)
{
	own_buf struct buf b = {};
	int fd = w->inner.fd;

	if (!w->held)
		fd = loop_remove(w->gateway->loop, &w->inner);
	w->held = false;
	w->inner.fd = -1;
	fd_fini(&fd);
	if (w->grant != 0 && why != NULL) {
		inside_failed(w->gateway, w->run, w->grant, why);
	} else if (w->grant != 0) {
		buf_printf(
		    &b, "{\"bytes\":%llu}", (unsigned long long)w->moved_bytes);
		inside_done(w->gateway, w->run, w->grant, buf_str(&b));
	}
	w->grant = 0; /* said once */
	return !w->asked;
}
