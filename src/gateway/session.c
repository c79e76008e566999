#include "gateway/session.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/must.h"
#include "gateway/mcp.h"
#include "gateway/pending.h"

static bool is_same(const struct caller *a, const struct caller *b);
static struct session **bucket_of(struct gateway *g, const char *id);
static struct session *oldest_of(
    struct gateway *g, const struct caller *owner, size_t *count);

struct session *
session_new(struct gateway *g, const struct caller *owner, struct err *e)
{
	uint8_t bits[(SESSION_ID_BYTES - 1) / 2];
	struct session *s, **bucket;
	size_t count;

	s = oldest_of(g, owner, &count);
	if (count >= MCP_MAX_SESSIONS_PER_RUN ||
	    (s != NULL && g->n_sessions >= MCP_MAX_SESSIONS))
		session_free(g, s);
	if (g->n_sessions >= MCP_MAX_SESSIONS) {
		(void)err_set(e, "too many sessions");
		return NULL;
	}
	if (getrandom(bits, sizeof(bits), 0) != (ssize_t)sizeof(bits)) {
		(void)err_sys(e, "getrandom");
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	must(s != NULL);
	for (size_t i = 0; i < sizeof(bits); i++) {
		s->id[2 * i] = "0123456789abcdef"[bits[i] >> 4];
		s->id[2 * i + 1] = "0123456789abcdef"[bits[i] & 15];
	}
	s->owner = *owner;
	s->last_use = ++g->session_uses;
	s->number = pending_number(g);
	s->waiting.max = MCP_WAITING_BYTES;
	bucket = bucket_of(g, s->id);
	s->next = *bucket;
	*bucket = s;
	g->n_sessions++;
	return s;
}

struct session *
session_find(struct gateway *g, const struct caller *by, struct str id)
{
	struct session *s;

	if (id.n != SESSION_ID_BYTES - 1)
		return NULL;
	for (s = *bucket_of(g, id.p); s != NULL; s = s->next) {
		if (memcmp(s->id, id.p, id.n) == 0 && is_same(&s->owner, by)) {
			s->last_use = ++g->session_uses;
			return s;
		}
	}
	return NULL;
}

struct session *
session_of_number(struct gateway *g, uint64_t number)
{
	for (size_t i = 0; i < SESSION_BUCKETS; i++) {
		for (struct session *s = g->sessions[i]; s != NULL;
		     s = s->next) {
			if (s->number == number)
				return s;
		}
	}
	return NULL;
}

void
session_free(struct gateway *g, struct session *s)
{
	struct session **p = bucket_of(g, s->id);

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	g->n_sessions--;
	if (s->subscribes)
		pending_gone(g, s->number);
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *cl = g->clients[i];

		if (cl == NULL || cl->pending.session != s)
			continue;
		cl->pending.session = NULL;
		if (cl->pending.what == ASK_MCP_LISTEN)
			mcp_fail(cl, 404, "the session has ended");
	}
	buf_fini(&s->waiting);
	free(s);
}

void
session_free_run(struct gateway *g, uint64_t run)
{
	for (size_t i = 0; i < SESSION_BUCKETS; i++) {
		struct session *next;

		for (struct session *s = g->sessions[i]; s != NULL; s = next) {
			next = s->next;
			if (s->owner.run == run)
				session_free(g, s);
		}
	}
}

void
session_free_all(struct gateway *g)
{
	for (size_t i = 0; i < SESSION_BUCKETS; i++) {
		while (g->sessions[i] != NULL)
			session_free(g, g->sessions[i]);
	}
}

static bool
is_same(const struct caller *a, const struct caller *b)
{
	if (a->door != b->door)
		return false;
	if (a->door == DOOR_RUN)
		return a->run == b->run;
	return hash_eq(&a->token, &b->token) && a->uid == b->uid &&
	    a->run == b->run;
}

/* By three of its hexadecimal digits, as random as all of them. */
static struct session **
bucket_of(struct gateway *g, const char *id)
{
	uint32_t n = 0;

	for (int i = 0; i < 3; i++)
		n = n * 31 + (uint8_t)id[i];
	return &g->sessions[n % SESSION_BUCKETS];
}

static struct session *
oldest_of(struct gateway *g, const struct caller *owner, size_t *count)
{
	struct session *oldest = NULL;

	*count = 0;
	for (size_t i = 0; i < SESSION_BUCKETS; i++) {
		struct session *s = g->sessions[i];

		for (; s != NULL; s = s->next) {
			if (!is_same(&s->owner, owner))
				continue;
			(*count)++;
			if (oldest == NULL || s->last_use < oldest->last_use)
				oldest = s;
		}
	}
	return oldest;
}
