#include "proxy/proxy.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"
#include "codec/json.h"
#include "proxy/fetch.h"
#include "proxy/web.h"
#include "sys/fd.h"
#include "proxy/h2.h"

enum { ACCEPT_BURST = 16 }; /* before others get a turn */

static void on_supervisor(struct peer *peer, const struct frame *f);
static void on_supervisor_gone(struct peer *peer, const char *why);
static void on_broker(struct peer *peer, const struct frame *f);
static void on_broker_gone(struct peer *peer, const char *why);
static void on_round(void *arg);
static void ca_new(struct proxy *p, const struct msg_door *m, struct str hosts);
static struct tls_ca *ca_take(struct proxy *p, uint64_t run, uint64_t server);
static void door_open(
    struct proxy *p, const struct msg_door *m, const struct frame *f);
static void line_take(
    struct proxy *p, const struct msg_door *m, const struct frame *f);
static void on_port(struct loop_watch *w, uint32_t events);
static void on_any(struct loop_watch *w, uint32_t events);
static void accept_some(struct proxy_door *d, int fd, bool transparent);
static void door_revoke(
    struct proxy *p, const struct msg_egress_revoke *m, struct str name);
static void door_watch(struct proxy *p, uint64_t run, struct str payload);
static void door_close(struct proxy *p, uint64_t run, uint64_t server);

int
proxy_init(struct proxy *p, struct err *e)
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
	for (size_t i = EGRESS_FLOWS_MAX; i > 0; i--)
		p->free_flows[p->n_free_flows++] = (uint16_t)(i - 1);
	return dialer_init(&p->dialer, p->loop, e);
}

void
proxy_fini(struct proxy *p)
{
	while (p->doors != NULL)
		door_close(p, p->doors->run, p->doors->server);
	while (p->cas != NULL)
		tls_ca_free(ca_take(p, p->cas->run, p->cas->server));
	fetch_fini(p);
	tls_fini();
	flow_reap(p);
	relay_pipes_free(p);
	dialer_fini(&p->dialer);
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
		flow_on_verdict(p, f->body, f->payload);
	} else if (f->type == MSG_CA_NEW) {
		ca_new(p, f->body, f->payload);
	} else if (f->type == MSG_EGRESS_REVOKE) {
		door_revoke(p, f->body, f->payload);
	} else if (f->type == MSG_EGRESS_WATCH) {
		const struct msg_door *m = f->body;

		door_watch(p, m->run, f->payload);
	} else if (f->type == MSG_SERVER_LINE) {
		line_take(p, f->body, f);
	} else if (f->type == MSG_FETCH) {
		fetch_begin(p, f->body, f->payload);
	} else if (f->type == MSG_DOOR_OPEN) {
		door_open(p, f->body, f);
	} else if (f->type == MSG_DOOR_CLOSE) {
		const struct msg_door *m = f->body;

		door_close(p, m->run, m->server);
	}
}

/* Without a broker nothing can be answered: the supervisor starts us anew. */
static void
on_broker_gone(struct peer *peer, const char *why)
{
	struct proxy *p = LOOP_OF(peer, struct proxy, broker);

	log_info("broker gone why=\"%s\"", why);
	flow_fail_all(p);
	p->status = 1;
	loop_stop(p->loop);
}

static void
on_round(void *arg)
{
	struct proxy *p = arg;

	flow_reap(p);
}

static void
door_open(struct proxy *p, const struct msg_door *m, const struct frame *f)
{
	struct proxy_door *d = calloc(1, sizeof(*d));
	struct err e = {};
	int udp = -1, tcp = -1;

	must(d != NULL);
	d->run = m->run;
	d->server = m->server;
	d->proxy = p;
	d->ca = ca_take(p, m->run, m->server);
	names_init(&d->names, f->payload);
	admit_init(&d->admit, f->payload);
	d->port = (struct loop_watch){
		.fd = f->n_fds > 0 ? f->fds[0] : -1,
		.events = EPOLLIN,
		.on_ready = on_port,
	};
	d->any = (struct loop_watch){
		.fd = f->n_fds > 1 ? f->fds[1] : -1,
		.events = EPOLLIN,
		.on_ready = on_any,
	};
	if (f->n_fds == 4) {
		udp = fd_take(&f->fds[2]);
		tcp = fd_take(&f->fds[3]);
	}
	/* What cannot be watched is closed: no way out is worse than none. */
	if (d->port.fd >= 0 &&
	    (fd_nonblock(d->port.fd, &e) < 0 ||
		loop_add(p->loop, &d->port, &e) < 0)) {
		log_error("door lost why=\"%s\"", e.text);
		d->port.fd = -1;
	} else if (d->port.fd >= 0) {
		(void)fd_take(&f->fds[0]);
	}
	if (d->any.fd >= 0 && loop_add(p->loop, &d->any, &e) < 0) {
		log_error("door lost why=\"%s\"", e.text);
		d->any.fd = -1;
	} else if (d->any.fd >= 0) {
		(void)fd_take(&f->fds[1]);
	}
	if (dns_stub_open_take(&d->dns, p->loop, &d->names, udp, tcp, &e) < 0)
		log_error("names lost why=\"%s\"", e.text);
	d->next = p->doors;
	p->doors = d;
}

static void
line_take(struct proxy *p, const struct msg_door *m, const struct frame *f)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *to = json_parse(f->payload, NULL, &a, &e, NULL);

	for (struct proxy_door *d = p->doors; d != NULL; d = d->next) {
		if (d->run != m->run || d->server != m->server)
			continue;
		if (fd_nonblock(f->fds[0], &e) == 0)
			flow_line_take(p, d, fd_take(&f->fds[0]), to);
		return;
	}
}

static void
on_port(struct loop_watch *w, uint32_t events)
{
	(void)events;
	accept_some(LOOP_OF(w, struct proxy_door, port), w->fd, false);
}

static void
on_any(struct loop_watch *w, uint32_t events)
{
	(void)events;
	accept_some(LOOP_OF(w, struct proxy_door, any), w->fd, true);
}

static void
accept_some(struct proxy_door *d, int fd, bool transparent)
{
	for (int i = 0; i < ACCEPT_BURST; i++) {
		/* cppcheck-suppress nullPointer ; accept4(2) allows it */
		int new = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (new < 0)
			return;
		flow_accept_take(d->proxy, d, new, transparent);
	}
}

static void
door_revoke(struct proxy *p, const struct msg_egress_revoke *m, struct str name)
{
	for (struct proxy_door *d = p->doors; d != NULL; d = d->next) {
		struct flow *next;

		if (d->run != m->run)
			continue;
		if (m->what == EGRESS_REVOKE_FLOWS)
			flow_close_all(d, "revoked");
		for (struct flow *f = d->flows; f != NULL; f = next) {
			next = f->after;
			if (m->what == EGRESS_REVOKE_SECRET)
				web_revoke(f, name);
		}
	}
}

/* Without prints that can be read nothing may go on unsearched. */
static void
door_watch(struct proxy *p, uint64_t run, struct str payload)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *doc = json_parse(payload, NULL, &a, &e, NULL);

	for (struct proxy_door *d = p->doors; d != NULL; d = d->next) {
		if (d->run == run)
			must(filter_watch_take(&d->watch, doc, &e) == 0);
	}
}

static void
door_close(struct proxy *p, uint64_t run, uint64_t server)
{
	for (struct proxy_door **at = &p->doors; *at != NULL;
	     at = &(*at)->next) {
		struct proxy_door *d = *at;

		if (d->run == run && d->server == server) {
			int port = loop_remove(p->loop, &d->port);
			int any = loop_remove(p->loop, &d->any);

			*at = d->next;
			fd_fini(&port);
			fd_fini(&any);
			flow_close_all(d,
			    server != 0 ? "the tool server has ended"
					: "the run has ended");
			flow_reap(p);
			dns_stub_close(&d->dns);
			names_fini(&d->names);
			h2_pool_free(d->h2);
			tls_ca_free(d->ca);
			filter_watch_fini(&d->watch);
			free(d);
			return;
		}
	}
	/* Its sandbox did not start. */
	tls_ca_free(ca_take(p, run, server));
}

/* Before the sandbox is there: its certificate is put in as it starts. */
static void
ca_new(struct proxy *p, const struct msg_door *m, struct str hosts)
{
	own_buf struct buf both = {};
	struct proxy_ca *c = calloc(1, sizeof(*c));
	struct err e = {};

	must(c != NULL);
	c->run = m->run;
	c->server = m->server;
	c->ca = tls_ca_new(hosts, &e);
	c->next = p->cas;
	p->cas = c;
	if (c->ca != NULL) {
		tls_ca_pem(c->ca, &both);
		buf_add_byte(&both, '\0');
		tls_ca_java(c->ca, &both);
	} else {
		log_error("no CA why=\"%s\"", e.text);
	}
	(void)peer_send(&p->broker, MSG_CA, m, buf_str(&both), NULL,
	    0); /* a broker that is gone ends us */
}

/* NULL when none was made, or none could be. */
static struct tls_ca *
ca_take(struct proxy *p, uint64_t run, uint64_t server)
{
	for (struct proxy_ca **at = &p->cas; *at != NULL; at = &(*at)->next) {
		struct proxy_ca *c = *at;
		struct tls_ca *ca = c->ca;

		if (c->run == run && c->server == server) {
			*at = c->next;
			free(c);
			return ca;
		}
	}
	return NULL;
}
