/*
 * What goes between an agent and its servers beside calls and answers: how far
 * a call has come, that nobody wants its answer, that lists have changed. None
 * of it holds a server's own words, so there is nothing to decide or to label.
 */
#include <string.h>

#include "broker/call.h"
#include "broker/server_int.h"

static void note(
    struct hash *at, struct str text, uint32_t bit, uint32_t *changed);

void
on_server_progress(const struct msg_server_part *m, struct str payload)
{
	struct msg_event ev = {};

	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		for (struct tool_server *s = r->servers; s != NULL;
		     s = s->next) {
			if (s->id != m->server)
				continue;
			for (struct call *c = call_first_of(s); c != NULL;
			     c = call_next_of(c, s)) {
				if (c->number == m->call)
					ev.call = c->asker;
			}
		}
	}
	if (ev.call != 0)
		(void)peer_send(&broker.gateway, MSG_EVENT, &ev, payload, NULL,
		    0); /* a gateway that is gone has nobody who waits */
}

void
server_call_cancel(uint64_t asker)
{
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		for (struct tool_server *s = r->servers; s != NULL;
		     s = s->next) {
			for (struct call *c = call_first_of(s); c != NULL;
			     c = call_next_of(c, s)) {
				struct msg_server_part m = { .server = s->id,
					.call = c->number };

				if (c->asker != asker || c->unsent)
					continue;
				(void)peer_send(&broker.tools,
				    MSG_SERVER_CANCEL, &m, STR(""), NULL,
				    0); /* its loss ends its calls */
			}
		}
	}
}

void
server_lists_tell(struct tool_server *s, const struct run *r)
{
	static const uint32_t bits[LIST_KINDS] = {
		[LIST_RESOURCES] = LISTS_RESOURCES,
		[LIST_TEMPLATES] = LISTS_RESOURCES,
		[LIST_PROMPTS] = LISTS_PROMPTS,
	};
	struct msg_lists m = { .run = r->id };
	own_buf struct buf text = {};

	for (size_t i = 0; i < s->n_offered; i++) {
		const struct offered *o = &s->offered[i];

		if (!o->there || o->why != PIN_GOOD)
			continue;
		buf_add_c(&text, o->name);
		buf_add_byte(&text, '\n'); /* its definition cannot change */
	}
	note(&s->shown[0], buf_str(&text), LISTS_TOOLS, &m.changed);
	for (int k = 0; k < LIST_KINDS; k++) {
		buf_reset(&text);
		for (size_t i = 0; i < s->n_lists[k]; i++) {
			buf_add_str(&text, buf_str(&s->lists[k][i].json));
			buf_add_byte(&text, '\n');
		}
		note(&s->shown[1 + k], buf_str(&text), bits[k], &m.changed);
	}
	if (m.changed == 0 || !s->known)
		return;
	if (r->has_token)
		m.token = r->token;
	(void)peer_send(&broker.gateway, MSG_LISTS, &m, STR(""), NULL,
	    0); /* a gateway that is gone has nobody to tell */
}

static void
note(struct hash *at, struct str text, uint32_t bit, uint32_t *changed)
{
	const struct hash hash = hash_of(text.p, text.n);

	if (!hash_eq(at, &hash))
		*changed |= bit;
	*at = hash;
}
