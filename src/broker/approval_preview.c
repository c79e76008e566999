/*
 * What a call would change, for whoever decides about it: the world makes the
 * call in a copy of the run's data and tells. Nothing of the run changes, so
 * this is no effect; and it comes when the approval is there already, because
 * nobody waits for it.
 */
#include <string.h>

#include "base/clock.h"
#include "broker/approval_int.h"
#include "broker/call_int.h"

static void set(struct approval *a, const char *status, struct str why);

void
approval_preview(
    struct approval *a, const struct run *r, const struct policy_tool *row)
{
	const struct msg_world_try m = {
		.run = r->id, .approval = a->id, .now_ns = clock_utc_ns()
	};
	own_buf struct buf payload = {};

	a->preview_hidden = row->n_redact_args > 0 || row->n_redact_result > 0;
	if (!r->has_world || !call_world_has(r, str_of(a->tool))) {
		set(a, "no_fake",
		    STR("No fake service of this run answers this tool, so "
			"what it would change is not known."));
		return;
	}
	buf_add_c(&payload, "{\"arguments\":");
	buf_add_str(&payload, buf_str(&a->args));
	buf_add_c(&payload, ",\"name\":");
	json_put_str(&payload, str_of(a->tool));
	buf_add_byte(&payload, '}');
	if (peer_send(&broker.world, MSG_WORLD_TRY, &m, buf_str(&payload), NULL,
		0) < 0)
		set(a, "failed", STR("The fake services are gone."));
}

void
on_world_tried(const struct msg_world_tried *m, struct str payload)
{
	struct approval *a = approval_find(m->approval);

	if (a == NULL || a->run != m->run)
		return;
	if (!m->ok) {
		set(a, "failed", payload);
	} else {
		buf_reset(&a->preview);
		buf_add_str(&a->preview, payload);
	}
	(void)approval_store(a); /* what is pending is asked of us */
}

void
approval_preview_write(struct buf *out, const struct approval *a, bool stored)
{
	if (a->preview.n == 0)
		return;
	buf_add_c(out, ",\"preview\":");
	if (stored && a->preview_hidden)
		buf_add_c(out, "{\"status\":\"redacted\"}");
	else
		buf_add_str(out, buf_str(&a->preview));
}

static void
set(struct approval *a, const char *status, struct str why)
{
	buf_reset(&a->preview);
	buf_printf(&a->preview, "{\"status\":\"%s\",\"why\":", status);
	json_put_str(&a->preview, why);
	buf_add_byte(&a->preview, '}');
}
