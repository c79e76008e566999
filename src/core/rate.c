#include "core/rate.h"

#include "base/must.h"

enum { NS_PER_MS = 1000 * 1000 };

/*
 * The bucket as one time: each one moves it by its share of the period, and it
 * may not lie further ahead than the period is long.
 */
int64_t
rate_wait(const struct rate_rule *rule, const struct rate *r, int64_t now_ns)
{
	int64_t period = (int64_t)rule->period_ms * NS_PER_MS, share, from;

	if (rule->period_ms == 0)
		return 0;
	must(rule->burst > 0);
	share = period / rule->burst;
	from = r->full_ns > now_ns ? r->full_ns : now_ns;
	return from + share - now_ns > period ? from + share - now_ns - period
					      : 0;
}

bool
rate_take(const struct rate_rule *rule, struct rate *r, int64_t now_ns)
{
	if (rule->period_ms == 0)
		return true;
	if (rate_wait(rule, r, now_ns) > 0)
		return false;
	if (r->full_ns < now_ns)
		r->full_ns = now_ns;
	r->full_ns += (int64_t)rule->period_ms * NS_PER_MS / rule->burst;
	return true;
}

int64_t
breaker_wait(const struct breaker *b, int64_t now_ns)
{
	return b->open && b->until_ns > now_ns ? b->until_ns - now_ns : 0;
}

/* While one is on its way to see, others wait as long as after a failure: if
 * it is never heard of again, another one goes then. */
bool
breaker_begin(
    const struct breaker_rule *rule, struct breaker *b, int64_t now_ns)
{
	if (!b->open)
		return false;
	must(b->until_ns <= now_ns);
	b->until_ns = now_ns + (int64_t)rule->open_ms * NS_PER_MS;
	return true;
}

void
breaker_end(const struct breaker_rule *rule, struct breaker *b, int64_t now_ns,
    bool failed, bool probe)
{
	int64_t window = (int64_t)rule->window_ms * NS_PER_MS, first;

	must(rule->failures <= BREAKER_FAILURES_MAX);
	if (rule->failures == 0)
		return;
	if (b->open) {
		/* What began before it opened says nothing new. */
		if (!probe)
			return;
		if (failed)
			b->until_ns =
			    now_ns + (int64_t)rule->open_ms * NS_PER_MS;
		else
			*b = (struct breaker){};
		return;
	}
	if (!failed)
		return;
	b->failed_ns[b->next] = now_ns;
	b->next = (b->next + 1) % rule->failures;
	if (b->n < rule->failures)
		b->n++;
	/* The oldest of the last so many lies where the next one goes. */
	first = b->failed_ns[b->n < rule->failures ? 0 : b->next];
	if (b->n < rule->failures || now_ns - first > window)
		return;
	b->open = true;
	b->until_ns = now_ns + (int64_t)rule->open_ms * NS_PER_MS;
}
