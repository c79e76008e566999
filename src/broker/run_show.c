/*
 * A run as the API shows it: the same members from memory and from the store.
 */
#include "base/must.h"
#include "base/walls.h"
#include "broker/run_int.h"
#include "core/id.h"

static void write_row(
    struct buf *out, const struct store_run *row, const struct run *live);
static void put_rules(struct buf *out, const struct policy_sandbox *s);

void
run_write(struct buf *out, const struct run *r)
{
	struct store_run row = run_row(r);

	/* What follows waits for the end on disk before it says so. */
	if (r->state != RUN_CLOSED)
		row.status = r->state == RUN_OPENING ? STR("opening")
		    : r->state == RUN_STOPPING	     ? STR("stopping")
		    : r->box.paused		     ? STR("paused")
						     : STR("open");
	write_row(out, &row, r);
}

struct store_run
run_row(const struct run *r)
{
	const struct identity *who = &r->policy->identity;
	return (struct store_run){
		.id = r->id,
		.tenant = who->tenant,
		.actor = who->actor,
		.role = who->n_roles > 0 ? who->roles[0] : STR(""),
		.workflow = r->policy->workflow,
		.stage = r->policy->stage,
		.mode = r->rerun != NULL ? STR("replay") : STR("sandbox"),
		.policy = r->policy->version,
		.opened_ns = r->opened_ns,
		.closed_ns = r->closed_ns,
		.status = str_of(r->status),
		.stop_reason = str_of(r->stop_reason),
		.steps = r->steps,
		.command = str_of(r->command),
		.exit_status = r->exited.status,
	};
}

void
run_row_write(struct buf *out, const struct store_run *row)
{
	write_row(out, row, NULL);
}

static void
write_row(struct buf *out, const struct store_run *row, const struct run *live)
{
	own_buf struct buf tags = {}, image = {}, walls = {};
	const uint64_t planted = live != NULL
	    ? live->exited.planted
	    : box_closed_read(row->id, row->steps, &walls);
	char id[ID_BYTES], hex[HASH_HEX_BYTES];

	id_text('r', row->id, id);
	hash_hex(&row->policy, hex);
	buf_add_c(out, "{\"actor\":");
	json_put_str(out, row->actor);
	if (row->closed_ns != 0)
		buf_printf(out, ",\"closed_ms\":%lld",
		    (long long)(row->closed_ns / 1000000));
	buf_add_c(out, ",\"command\":");
	json_put_str(out, row->command);
	buf_printf(out, ",\"exit_status\":%u", row->exit_status);
	if (live == NULL)
		box_opened_read(row->id, &tags, &image);
	else if (live->has_image)
		run_image_write(&image, live);
	buf_add_str(out, buf_str(&image));
	if (live != NULL)
		buf_add_str(out, buf_str(&live->mounts));
	if (live != NULL) {
		buf_add_c(out, ",\"labels\":");
		labels_write(out, &live->labels);
	}
	buf_printf(
	    out, ",\"opened_ms\":%lld", (long long)(row->opened_ns / 1000000));
	if (planted > 0)
		buf_printf(
		    out, ",\"planted\":%llu", (unsigned long long)planted);
	buf_printf(out, ",\"policy_version\":\"%s\"", hex);
	if (live != NULL)
		buf_printf(out, ",\"posture\":%llu",
		    (unsigned long long)live->posture);
	if (live != NULL && live->policy->sandbox.n_rules > 0)
		put_rules(out, &live->policy->sandbox);
	buf_printf(out, ",\"run\":\"%s\"", id);
	if (live != NULL)
		buf_printf(out, ",\"sandbox\":%s",
		    live->has_sandbox ? "true" : "false");
	buf_printf(out, ",\"stage\":%u,\"status\":", row->stage);
	json_put_str(out, row->status);
	buf_printf(out, ",\"steps\":%u", row->steps);
	if (live != NULL && live->stop_json.n > 0) {
		buf_add_c(out, ",\"stop\":");
		buf_add_str(out, buf_str(&live->stop_json));
	}
	if (row->stop_reason.n > 0) {
		buf_add_c(out, ",\"stop_reason\":");
		json_put_str(out, row->stop_reason);
	}
	buf_add_c(out, ",\"tags\":");
	if (live == NULL)
		buf_add_str(out, buf_str(&tags));
	else
		buf_add_str(out,
		    live->box.tags.n > 0 ? buf_str(&live->box.tags)
					 : STR("{}"));
	buf_add_c(out, ",\"tenant\":");
	json_put_str(out, row->tenant);
	if (live != NULL)
		buf_printf(out, ",\"tool_calls\":%llu,\"waiting\":%u",
		    (unsigned long long)live->budget.used[BUDGET_TOOL_CALLS],
		    live->waiting - live->box.paused);
	if (live != NULL)
		run_walls_write(&walls, live);
	buf_add_str(out, buf_str(&walls));
	buf_add_c(out, ",\"workflow\":");
	json_put_str(out, row->workflow);
	if (live != NULL && live->workspace.n > 0) {
		buf_add_c(out, ",\"workspace\":");
		json_put_str(out, buf_str(&live->workspace));
	}
	buf_add_byte(out, '}');
}

void
run_walls_write(struct buf *out, const struct run *r)
{
	if (r->posture == 0)
		return;
	buf_add_c(out, ",\"walls\":[");
	walls_write(out, (uint32_t)r->posture);
	buf_add_byte(out, ']');
}

/* What of the work folder is protected beside the built-in names. */
static void
put_rules(struct buf *out, const struct policy_sandbox *s)
{
	for (uint32_t i = 0; i < s->n_rules; i++) {
		buf_add_c(out, i == 0 ? ",\"protect\":[" : ",");
		json_put_str(out, s->rules[i]);
	}
	buf_add_byte(out, ']');
}
