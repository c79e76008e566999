#include "proxy/proxy.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"
#include "sys/fd.h"

static void on_supervisor(struct peer *peer, const struct frame *f);
static void on_supervisor_gone(struct peer *peer, const char *why);
static void on_broker(struct peer *peer, const struct frame *f);
static void on_broker_gone(struct peer *peer, const char *why);
static void on_round(void *arg);
static void door_open_take(struct proxy *p, uint64_t run, int fd);
static void door_close(struct proxy *p, uint64_t run);

int
proxy_init(struct proxy *p, const struct http_limits *limits, struct err *e)
{
	*p = (struct proxy){};
	p->supervisor.watch.fd = p->broker.watch.fd = -1; /* for _fini */
	p->loop = loop_new(e);
	if (p->loop == NULL)
		return -1;
	p->supervisor = (struct peer){
		.self = ROLE_PROXY,
		.other = ROLE_SUPERVISOR,
		.loop = p->loop,
		.on_frame = on_supervisor,
		.on_gone = on_supervisor_gone,
	};
	p->broker = (struct peer){
		.self = ROLE_PROXY,
		.other = ROLE_BROKER,
		.loop = p->loop,
		.on_frame = on_broker,
		.on_gone = on_broker_gone,
	};
	peer_init(&p->supervisor);
	peer_init(&p->broker);
	http_server_init(&p->http, p->loop, &ask_ops, limits);
	while (p->n_free < PROXY_CLIENTS_MAX) {
		p->free_slots[p->n_free] =
		    (uint16_t)(PROXY_CLIENTS_MAX - 1 - p->n_free);
		p->n_free++;
	}
	return 0;
}

void
proxy_fini(struct proxy *p)
{
	while (p->doors != NULL)
		door_close(p, p->doors->run);
	http_server_fini(&p->http);
	peer_close(&p->broker);
	peer_close(&p->supervisor);
	buf_fini(&p->payload);
	buf_fini(&p->body);
	loop_free(p->loop);
}

int
proxy_run(struct proxy *p, struct err *e)
{
	struct msg_ready ready = {
		.role = ROLE_PROXY,
		.pid = (uint32_t)getpid(),
	};

	/* A link that is lost already ends the loop by itself. */
	(void)peer_send(&p->supervisor, MSG_READY, &ready, STR(""), NULL, 0);
	return loop_run(p->loop, on_round, p, e);
}

static void
on_supervisor(struct peer *peer, const struct frame *f)
{
	struct proxy *p = LOOP_OF(peer, struct proxy, supervisor);
	const struct msg_wire *m = f->body;
	struct err e = {};

	if (f->type != MSG_WIRE || m->role != ROLE_BROKER)
		return;
	if (peer_open_wire(&p->broker, f, &e) < 0)
		log_error("no link to the broker why=\"%s\"", e.text);
}

static void
on_supervisor_gone(struct peer *peer, const char *why)
{
	struct proxy *p = LOOP_OF(peer, struct proxy, supervisor);

	log_info("supervisor gone why=\"%s\"", why);
	loop_stop(p->loop);
}

static void
on_broker(struct peer *peer, const struct frame *f)
{
	struct proxy *p = LOOP_OF(peer, struct proxy, broker);

	if (f->type == MSG_EGRESS_VERDICT) {
		ask_on_verdict(p, f->body, f->payload);
	} else if (f->type == MSG_DOOR_OPEN) {
		const struct msg_door *m = f->body;

		door_open_take(p, m->run, fd_take(&f->fds[0]));
	} else if (f->type == MSG_DOOR_CLOSE) {
		const struct msg_door *m = f->body;

		door_close(p, m->run);
	}
}

/* Without a broker nothing can be answered: the supervisor starts us anew. */
static void
on_broker_gone(struct peer *peer, const char *why)
{
	struct proxy *p = LOOP_OF(peer, struct proxy, broker);

	log_info("broker gone why=\"%s\"", why);
	ask_fail_all(p);
	p->status = 1;
	loop_stop(p->loop);
}

static void
on_round(void *arg)
{
	struct proxy *p = arg;

	http_server_reap(&p->http);
}

static void
door_open_take(struct proxy *p, uint64_t run, int fd)
{
	struct proxy_door *d = calloc(1, sizeof(*d));
	struct err e = {};

	must(d != NULL);
	d->run = run;
	if (http_listener_open_take(&p->http, &d->listener, fd, &e) < 0) {
		log_error("door lost why=\"%s\"", e.text);
		free(d);
		return;
	}
	d->next = p->doors;
	p->doors = d;
}

static void
door_close(struct proxy *p, uint64_t run)
{
	for (struct proxy_door **at = &p->doors; *at != NULL;
	     at = &(*at)->next) {
		struct proxy_door *d = *at;

		if (d->run == run) {
			*at = d->next;
			http_listener_close(&d->listener);
			free(d);
			return;
		}
	}
}
