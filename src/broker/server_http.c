/*
 * A tool server over HTTP. The tools role speaks to it and has no network: each
 * connection that it makes comes here, and goes on to the proxy, which asks
 * about every request on it as about a sandbox's. The rule is that of the
 * server's entry alone, and a credential is put in behind that: the role that
 * reads what the server says never has it, nor chooses where anything goes.
 */
#include "broker/run_int.h"
#include "broker/server_int.h"
#include "core/addr.h"
#include "core/egress.h"
#include "core/openapi.h"

static void tell_door(const struct tool_server *s, const struct run *r);
static void put_authority(struct buf *out, const struct policy_server *row);

void
server_http_open(const struct tool_server *s, const struct run *r)
{
	const struct msg_server m = { .server = s->id };
	own_buf struct buf entry = {}, authority = {};

	tell_door(s, r);
	put_authority(&authority, s->row);
	buf_add_c(&entry, "{\"host\":");
	json_put_str(&entry, buf_str(&authority));
	if (s->row->api != NULL) {
		buf_add_c(&entry, ",\"openapi\":");
		json_write(&entry, s->row->api->doc);
	}
	buf_add_c(&entry, ",\"path\":");
	json_put_str(&entry, s->row->path);
	buf_add_byte(&entry, '}');
	(void)peer_send(&broker.tools, MSG_SERVER_OPEN, &m, buf_str(&entry),
	    NULL, 0); /* without a link the timer ends it, and it is tried
		       * again */
}

void
server_http_close(const struct tool_server *s)
{
	const struct msg_door m = { .run = s->run, .server = s->id };

	(void)peer_send(&broker.proxy, MSG_DOOR_CLOSE, &m, STR(""), NULL,
	    0); /* a proxy that is gone has closed it */
}

void
server_http_again(const struct tool_server *s, const struct run *r)
{
	if (s->state == SERVER_STARTING || s->state == SERVER_READY)
		tell_door(s, r);
}

void
on_server_line(const struct msg_server *m, const struct frame *f)
{
	struct run *r = NULL;
	const struct tool_server *s = server_find(m->server, &r);
	const struct egress_rule *rule;
	struct msg_door door = { .server = m->server };
	own_buf struct buf to = {};

	if (s == NULL || s->row->rule == NULL ||
	    (s->state != SERVER_STARTING && s->state != SERVER_READY))
		return; /* it was stopped meanwhile; the frame closes it */
	rule = s->row->rule;
	door.run = r->id;
	buf_add_c(&to, "{\"host\":");
	json_put_str(&to, rule->host);
	buf_printf(&to, ",\"https\":%s,\"port\":%u}",
	    s->row->https ? "true" : "false", rule->ports[0]);
	(void)peer_send(&broker.proxy, MSG_SERVER_LINE, &door, buf_str(&to),
	    f->fds, 1); /* a proxy that is gone has hung up */
}

const struct policy_server *
server_over_http(const struct run *r, uint64_t server)
{
	for (const struct tool_server *s = r->servers; s != NULL; s = s->next) {
		if (s->id == server && s->row->rule != NULL)
			return s->row;
	}
	return NULL;
}

static void
tell_door(const struct tool_server *s, const struct run *r)
{
	const struct msg_door m = { .run = r->id, .server = s->id };
	own_buf struct buf body = {};

	egress_door_write(&body, r->policy);
	(void)peer_send(&broker.proxy, MSG_DOOR_OPEN, &m, buf_str(&body), NULL,
	    0); /* a new proxy is told again */
	run_secrets_watch(r);
}

/* As a Host has it: brackets around IPv6, and a port that is not the usual. */
static void
put_authority(struct buf *out, const struct policy_server *row)
{
	const struct egress_rule *rule = row->rule;
	bool six = str_find(rule->host, ':') < rule->host.n;

	buf_add_c(out, six ? "[" : "");
	buf_add_str(out, rule->host);
	buf_add_c(out, six ? "]" : "");
	if (rule->ports[0] != (row->https ? 443 : 80))
		buf_printf(out, ":%u", rule->ports[0]);
}
