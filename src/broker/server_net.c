/*
 * What a tool server with a `network` can reach: what the run's egress rules
 * allow, by a door of its own. It has a CA of its own where a rule opens TLS,
 * so that neither the run nor another server can stand in for it.
 */
#include "broker/record.h"
#include "broker/run_int.h"
#include "broker/server_int.h"
#include "core/egress.h"
#include "sys/fd.h"

static void ask_ca(struct tool_server *s, const struct run *r);
static void tell_door(const struct tool_server *s, const struct run *r);

void
server_net_prepare(struct tool_server *s, const struct run *r)
{
	if (!s->row->network)
		return;
	s->start.envc += run_start_proxies(&s->words);
	if (egress_inspects(r->policy))
		s->start.envc += run_start_trust(&s->words);
}

bool
server_net_waits(struct tool_server *s, const struct run *r)
{
	if (!s->row->network || !egress_inspects(r->policy))
		return false;
	s->ca_asked = true;
	ask_ca(s, r);
	return true;
}

void
server_net_ca(const struct msg_door *m, struct str pem)
{
	struct tool_server *s = server_find(m->server, NULL);
	struct err e = {};

	if (s == NULL || s->state != SERVER_STARTING || !s->ca_asked)
		return; /* it was stopped meanwhile */
	s->ca_asked = false;
	fd_fini(&s->ca_fd);
	s->ca_fd = pem.n > 0 ? fd_sealed(pem.p, pem.n, &e) : -1;
	/* Without certificates it would reach nothing: its timer ends it. */
	if (s->ca_fd >= 0)
		server_begin(s);
}

void
server_net_open(
    struct tool_server *s, const struct run *r, const struct frame *f)
{
	/* Between the MCP door, which is nobody's here, and PID 1's socket. */
	for (size_t i = 1; i + 1 < f->n_fds && s->n_net_fds < 4; i++)
		s->net_fds[s->n_net_fds++] = fd_take(&f->fds[i]);
	if (s->n_net_fds > 0)
		tell_door(s, r);
}

void
server_net_close(struct tool_server *s)
{
	const struct msg_door m = { .run = s->run, .server = s->id };

	if (!s->row->network)
		return;
	if (s->n_net_fds > 0 || s->ca_asked || s->ca_fd >= 0)
		(void)peer_send(&broker.proxy, MSG_DOOR_CLOSE, &m, STR(""),
		    NULL, 0); /* a proxy that is gone has closed it */
	s->ca_asked = false;
	fd_fini(&s->ca_fd);
	while (s->n_net_fds > 0)
		fd_fini(&s->net_fds[--s->n_net_fds]);
}

void
server_net_again(void)
{
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		for (struct tool_server *s = r->servers; s != NULL;
		     s = s->next) {
			if (s->row->rule != NULL)
				server_http_again(s, r);
			else if (s->n_net_fds > 0)
				tell_door(s, r);
			else if (s->ca_asked)
				ask_ca(s, r);
		}
	}
}

bool
servers_want_secrets(const struct policy *p)
{
	for (uint32_t i = 0; i < p->n_servers; i++) {
		if (p->servers[i].network || p->servers[i].rule != NULL ||
		    p->servers[i].capture != NULL)
			return true;
	}
	return false;
}

bool
server_net_is_open(const struct run *r)
{
	for (const struct tool_server *s = r->servers; s != NULL; s = s->next) {
		if (s->n_net_fds > 0 || s->row->rule != NULL)
			return true;
	}
	return false;
}

struct str
server_name(const struct run *r, uint64_t server)
{
	for (const struct tool_server *s = r->servers; s != NULL; s = s->next) {
		if (s->id == server &&
		    (s->n_net_fds > 0 || s->row->rule != NULL))
			return s->row->name;
	}
	return STR("");
}

static void
ask_ca(struct tool_server *s, const struct run *r)
{
	const struct msg_door m = { .run = r->id, .server = s->id };
	own_buf struct buf hosts = {};

	egress_ca_write(&hosts, r->policy);
	(void)peer_send(&broker.proxy, MSG_CA_NEW, &m, buf_str(&hosts), NULL,
	    0); /* a new proxy is asked again */
}

static void
tell_door(const struct tool_server *s, const struct run *r)
{
	const struct msg_door m = { .run = r->id, .server = s->id };
	own_buf struct buf body = {};

	egress_door_write(&body, r->policy);
	(void)peer_send(&broker.proxy, MSG_DOOR_OPEN, &m, buf_str(&body),
	    s->net_fds, s->n_net_fds); /* a new proxy is told again */
	run_secrets_watch(r);
}
