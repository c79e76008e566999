#include <stddef.h>
#include <string.h>

#include "codec/audit.h"

static struct audit_domain *find_domain(struct audit_join *j, uint64_t id);
static void add_domain(struct audit_join *j, const struct audit_record *r);
static void add_access(
    struct audit_join *j, const struct audit_record *r, int64_t now_ms);
static void drop_domain(struct audit_join *j, uint64_t id);

void
audit_join_add(
    struct audit_join *j, const struct audit_record *r, int64_t now_ms)
{
	switch (r->type) {
	case AUDIT_TYPE_LANDLOCK_ACCESS:
		add_access(j, r, now_ms);
		return;
	case AUDIT_TYPE_LANDLOCK_DOMAIN:
		if (r->gone)
			drop_domain(j, r->domain);
		else
			add_domain(j, r);
		return;
	case AUDIT_TYPE_SYSCALL:
	case AUDIT_TYPE_EOE:
		break;
	}
	for (size_t i = 0; i < AUDIT_WAITING_MAX; i++) {
		struct audit_waiting *w = &j->waiting[i];

		if (!w->used || w->serial != r->serial)
			continue;
		w->whole = true; /* a call's record is the last but one */
		if (r->type != AUDIT_TYPE_SYSCALL)
			continue;
		w->denied.pid = r->pid;
		w->denied.call = r->call;
		w->denied.error = r->error;
		memcpy(w->denied.comm, r->comm, sizeof(w->denied.comm));
	}
}

bool
audit_join_next(struct audit_join *j, int64_t now_ms, struct audit_denied *out)
{
	for (size_t i = 0; i < AUDIT_WAITING_MAX; i++) {
		struct audit_waiting *w = &j->waiting[i];
		struct audit_domain *d;

		if (!w->used ||
		    (!w->whole && now_ms - w->since_ms < AUDIT_WAIT_MS))
			continue;
		w->used = false;
		d = find_domain(j, w->domain);
		/* Of a domain that was made known before we listened, and so
		 * not one of ours; or one that has said enough. */
		if (d == NULL || d->told >= EXPLAIN_REPORTS_MAX)
			continue;
		d->told++;
		*out = w->denied;
		out->maker = d->maker;
		return true;
	}
	return false;
}

bool
audit_join_waits(const struct audit_join *j)
{
	for (size_t i = 0; i < AUDIT_WAITING_MAX; i++) {
		if (j->waiting[i].used)
			return true;
	}
	return false;
}

static struct audit_domain *
find_domain(struct audit_join *j, uint64_t id)
{
	for (size_t i = 0; i < AUDIT_DOMAINS_MAX; i++) {
		if (j->domain[i].id == id) {
			j->domain[i].used = ++j->clock;
			return &j->domain[i];
		}
	}
	return NULL;
}

/* The one that was not heard of for longest gives way. */
static void
add_domain(struct audit_join *j, const struct audit_record *r)
{
	struct audit_domain *at = find_domain(j, r->domain);

	if (at != NULL)
		return;
	at = &j->domain[0];
	for (size_t i = 1; i < AUDIT_DOMAINS_MAX && at->id != 0; i++) {
		if (j->domain[i].id == 0 || j->domain[i].used < at->used)
			at = &j->domain[i];
	}
	*at = (struct audit_domain){
		.id = r->domain,
		.maker = r->pid,
		.used = ++j->clock,
	};
}

/* The oldest gives way: who is refused very often is not told each time. */
static void
add_access(struct audit_join *j, const struct audit_record *r, int64_t now_ms)
{
	struct audit_waiting *at = &j->waiting[0];
	const struct audit_domain *d = find_domain(j, r->domain);

	if (d != NULL && d->told >= EXPLAIN_REPORTS_MAX)
		return;
	for (size_t i = 1; i < AUDIT_WAITING_MAX && at->used; i++) {
		if (!j->waiting[i].used ||
		    j->waiting[i].since_ms < at->since_ms)
			at = &j->waiting[i];
	}
	*at = (struct audit_waiting){
		.used = true,
		.serial = r->serial,
		.domain = r->domain,
		.since_ms = now_ms,
		.denied = { .is_path = r->is_path },
	};
	memcpy(at->denied.blockers, r->blockers, sizeof(at->denied.blockers));
	memcpy(at->denied.about, r->about, sizeof(at->denied.about));
}

/* Its last accesses were told before it: they are whole, or never will be. */
static void
drop_domain(struct audit_join *j, uint64_t id)
{
	struct audit_domain *d = find_domain(j, id);
	bool waits = false;

	for (size_t i = 0; i < AUDIT_WAITING_MAX; i++) {
		if (j->waiting[i].used && j->waiting[i].domain == id)
			j->waiting[i].whole = waits = true;
	}
	/* Kept while something waits for it; else the oldest gives way. */
	if (d != NULL && !waits)
		*d = (struct audit_domain){};
}
