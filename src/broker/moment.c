#include "broker/moment.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/must.h"
#include "broker/draft.h"
#include "broker/egress.h"
#include "broker/fork.h"
#include "core/id.h"

struct moment {
	uint32_t step, calls_open;
	int64_t t_ms;
	/* Members of the document, as JSON; replay "": there is none. */
	struct buf labels, retries, used, drafts, replay;
};

static void put_retries(struct buf *out, const struct run *r);
static void put_used(struct buf *out, const struct run *r);
static void put_layers(struct buf *out, const struct run *r, uint64_t id);

struct moment *
moment_new(const struct run *r)
{
	struct moment *m = calloc(1, sizeof(*m));

	must(m != NULL);
	m->step = r->steps;
	m->calls_open = r->calls_open;
	m->t_ms = clock_utc_ns() / 1000000;
	labels_write(&m->labels, &r->labels);
	put_retries(&m->retries, r);
	put_used(&m->used, r);
	drafts_write(&m->drafts, r);
	egress_replay_write(&m->replay, r->replay);
	return m;
}

void
moment_free(struct moment *m)
{
	if (m == NULL)
		return;
	buf_fini(&m->labels);
	buf_fini(&m->retries);
	buf_fini(&m->used);
	buf_fini(&m->drafts);
	buf_fini(&m->replay);
	free(m);
}

/* Members in the order of their names: RFC 8785. */
void
moment_write(struct buf *out, const struct moment *m, const struct run *r,
    const struct msg_snapshot_told *told, const struct hash *list)
{
	char hex[HASH_HEX_BYTES], id[ID_BYTES];

	buf_add_byte(out, '{');
	if (r->workspace.n > 0) {
		buf_printf(out, "\"base\":{\"dev\":\"%llu\",\"ino\":\"%llu\"",
		    (unsigned long long)told->dev,
		    (unsigned long long)told->ino);
		buf_add_c(out, ",\"path\":");
		json_put_str(out, buf_str(&r->workspace));
		buf_add_c(out, "},");
	}
	buf_printf(out, "\"bytes\":%llu,\"calls_open\":%u,\"drafts\":",
	    (unsigned long long)told->bytes, m->calls_open);
	buf_add_str(out, buf_str(&m->drafts));
	buf_printf(out, ",\"entries\":%llu,\"files\":%s,\"labels\":",
	    (unsigned long long)told->entries,
	    r->sandbox_sent ? "true" : "false");
	buf_add_str(out, buf_str(&m->labels));
	put_layers(out, r, told->id);
	buf_printf(
	    out, ",\"left_out\":%llu", (unsigned long long)told->left_out);
	hash_hex(list, hex);
	buf_printf(out, ",\"list\":\"%s\",\"pause_us\":%llu", hex,
	    (unsigned long long)(told->pause_ns / 1000));
	buf_printf(out, ",\"policy\":\"%s\"", r->policy_hex);
	if (m->replay.n > 0) {
		buf_add_c(out, ",\"replay\":");
		buf_add_str(out, buf_str(&m->replay));
	}
	buf_add_c(out, ",\"retries\":");
	buf_add_str(out, buf_str(&m->retries));
	id_text('s', told->id, id);
	buf_printf(out, ",\"run\":\"%s\",\"snapshot\":\"%s\",\"step\":%u",
	    r->text, id, m->step);
	buf_printf(out, ",\"t_ms\":%lld,\"tenant\":", (long long)m->t_ms);
	json_put_str(out, r->policy->identity.tenant);
	buf_add_c(out, ",\"used\":");
	buf_add_str(out, buf_str(&m->used));
	buf_add_c(out, ",\"v\":1,\"workflow\":");
	json_put_str(out, r->policy->workflow);
	if (told->world_bytes > 0)
		buf_printf(out, ",\"world\":{\"bytes\":%llu}",
		    (unsigned long long)told->world_bytes);
	buf_add_byte(out, '}');
}

static void
put_retries(struct buf *out, const struct run *r)
{
	char hex[HASH_HEX_BYTES];

	buf_add_byte(out, '[');
	for (uint32_t i = 0; i < r->n_uses; i++) {
		const struct tool_use *u = &r->uses[i];

		buf_add_c(out, i > 0 ? ",{" : "{");
		if (u->has_failed) {
			hash_hex(&u->failed, hex);
			buf_printf(out, "\"failed\":\"%s\",", hex);
		}
		buf_printf(out, "\"n\":%u,\"tool\":", u->retries);
		json_put_str(out, str_of(u->name));
		buf_add_byte(out, '}');
	}
	buf_add_byte(out, ']');
}

/* In the order of their names, as all members. */
static void
put_used(struct buf *out, const struct run *r)
{
	const char *last = "";

	buf_add_byte(out, '{');
	for (int n = 0; n < BUDGET_KINDS; n++) {
		enum budget_kind next = BUDGET_KINDS;

		for (int i = 0; i < BUDGET_KINDS; i++) {
			const enum budget_kind k = (enum budget_kind)i;

			if (strcmp(budget_member(k), last) > 0 &&
			    (next == BUDGET_KINDS ||
				strcmp(budget_member(k), budget_member(next)) <
				    0))
				next = k;
		}
		must(next != BUDGET_KINDS);
		last = budget_member(next);
		buf_printf(out, "%s\"%s\":%llu", n > 0 ? "," : "", last,
		    (unsigned long long)(next == BUDGET_RUNTIME_MS
			    ? run_runtime_ms(r)
			    : r->budget.used[next]));
	}
	buf_add_byte(out, '}');
}

static void
put_layers(struct buf *out, const struct run *r, uint64_t id)
{
	char text[ID_BYTES];

	id_text('s', id, text);
	buf_printf(out, ",\"layers\":[\"%s\"", text);
	for (uint32_t i = 0; r->fork != NULL && i < r->fork->n_layers; i++) {
		id_text('s', r->fork->layer[i], text);
		buf_printf(out, ",\"%s\"", text);
	}
	buf_add_byte(out, ']');
}
