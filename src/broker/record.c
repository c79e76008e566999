#include "broker/record.h"

#include "base/clock.h"

struct event
record_of(const struct run *r, enum event_kind kind)
{
	const struct identity *who = &r->policy->identity;

	return (struct event){
		.run = r->id,
		.t_ns = clock_utc_ns(),
		.mono_ns = clock_mono_ns(),
		.kind = kind,
		.tenant = who->tenant,
		.actor = who->actor,
		.role = who->n_roles > 0 ? who->roles[0] : STR(""),
		.workflow = r->policy->workflow,
		.stage = r->policy->stage,
		.policy = { r->policy_hex, HASH_HEX_BYTES - 1 },
		.ms = -1,
	};
}

uint64_t
record_add(struct event *ev)
{
	uint64_t seq = store_append(broker.store, ev);

	if (seq != 0)
		broker.last_of[ev->kind] = seq;
	return seq;
}
