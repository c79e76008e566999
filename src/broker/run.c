#include "broker/fork.h"
#include "broker/moment.h"
#include "broker/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/approval.h"
#include "broker/call.h"
#include "broker/command.h"
#include "broker/draft.h"
#include "broker/egress.h"
#include "broker/export.h"
#include "broker/fault.h"
#include "broker/follow.h"
#include "broker/idem.h"
#include "broker/inside.h"
#include "broker/policies.h"
#include "broker/record.h"
#include "broker/rerun.h"
#include "broker/run_int.h"
#include "broker/secret.h"
#include "broker/server.h"
#include "broker/spend.h"
#include "core/egress.h"
#include "sys/fd.h"

static bool leaves(struct run *r);
static void end_now(struct run *r);
static void answer_opener_late(struct run *r);
static void drop_net_fds(struct run *r);
static void free_run(struct run *r);
static void write_pressure(struct buf *out, const struct msg_sandbox_exited *m);
static const char *cause_reason(const struct run *r);
static void write_limit_stop(struct run *r);

struct run *
run_find(uint64_t id)
{
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		if (r->id == id)
			return r;
	}
	return NULL;
}

struct run *
run_find_token(const struct hash *token)
{
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		if (r->has_token && hash_eq(&r->token, token))
			return r;
	}
	return NULL;
}

void
on_sandbox_exited(const struct msg_sandbox_exited *m)
{
	struct run *r = run_find(m->run);
	const char *status = "stopped";

	if (server_exited(m))
		return;
	if (r == NULL || r->state == RUN_CLOSED)
		return;
	r->exited = *m;
	r->sandbox_sent = false;
	answer_opener_late(r);
	if (r->state != RUN_STOPPING && m->cause == CAUSE_EXIT)
		status = "closed";
	else if (r->state != RUN_STOPPING &&
	    (m->cause == CAUSE_NOT_STARTED || m->cause == CAUSE_REFUSED))
		status = "failed";
	(void)snprintf(r->status, sizeof(r->status), "%s", status);
	if (r->stop_reason[0] == '\0')
		(void)snprintf(r->stop_reason, sizeof(r->stop_reason), "%s",
		    cause_reason(r));
	if (r->stop_json.n == 0)
		write_limit_stop(r);
	/* What it has sent has ended, and is about to be told of. */
	if (!egress_settle(r, &r->grace) && !leaves(r))
		run_close(r);
}

/* Texts that whoever is inside has chosen. */
void
on_sandbox_denied(const struct msg_sandbox_denied *m, struct str payload)
{
	static const struct {
		const char *wall, *rule;
	} names[DENIED_WALLS] = {
		[DENIED_CALL] = { "seccomp", "call" },
		[DENIED_ARGUMENT] = { "seccomp", "argument" },
		[DENIED_NETWORK] = { "net_ns", "address" },
		[DENIED_PROTECTED] = { "write_back", "protected" },
		[DENIED_FLAGGED] = { "write_back", "flagged" },
		[DENIED_SPECIAL] = { "write_back", "special" },
		[DENIED_UNREADABLE] = { "write_back", "unreadable" },
		[DENIED_WRITE_BACK] = { "write_back", "failed" },
		[DENIED_PLANTED] = { "mount", "flagged" },
		[DENIED_COMMAND] = { "commands", "program" },
		[DENIED_LANDLOCK_FS] = { "landlock_fs", "" },
		[DENIED_LANDLOCK_SCOPE] = { "landlock_scope", "" },
	};
	struct run *r = run_find(m->run);
	own_buf struct buf body = {};
	struct str text[4] = {};
	struct event ev;

	if (r == NULL || r->state == RUN_CLOSED || m->wall >= DENIED_WALLS)
		return;
	for (size_t i = 0; i < 4; i++) {
		text[i] = (struct str){ payload.p, str_find(payload, '\0') };
		if (text[i].n == payload.n)
			return;
		payload.p += text[i].n + 1;
		payload.n -= text[i].n + 1;
	}
	buf_add_c(&body, "{\"about\":");
	json_put_str(&body, text[2]);
	buf_add_c(&body, ",\"call\":");
	json_put_str(&body, text[1]);
	buf_add_c(&body, ",\"comm\":");
	json_put_str(&body, text[0]);
	buf_printf(
	    &body, ",\"errno\":%u,\"pid\":%u,\"rule\":", m->error, m->pid);
	json_put_str(
	    &body, text[3].n > 0 ? text[3] : str_of(names[m->wall].rule));
	buf_printf(&body, ",\"wall\":\"%s\"}", names[m->wall].wall);
	ev = record_of(r, EVENT_SANDBOX_DENIED);
	ev.body = buf_str(&body);
	if (record_add(&ev) == 0)
		log_error("denial not recorded run=%s", r->text);
}

void
run_doors_again(struct peer *to)
{
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		if (r->state == RUN_OPEN || r->state == RUN_STOPPING)
			run_doors_open(r, to);
	}
	if (to == &broker.proxy)
		server_net_again();
}

void
run_doors_open(struct run *r, struct peer *to)
{
	struct msg_door m = { .run = r->id };
	own_buf struct buf left = {};
	int fds[2] = { r->door_fd, r->rpc_fd };

	if (r->door_fd < 0)
		return;
	/* A restarted role gets it again. */
	if (to == &broker.proxy) {
		egress_door_write(&left, r->policy);
		(void)peer_send(to, MSG_DOOR_OPEN, &m, buf_str(&left),
		    r->net_fds, r->n_net_fds);
		run_secrets_watch(r);
		return;
	}
	inside_write_left(&left, r);
	(void)peer_send(
	    to, MSG_DOOR_OPEN, &m, buf_str(&left), fds, 1 + (r->rpc_fd >= 0));
}

void
run_world_lost(void)
{
	struct run *next;

	for (struct run *r = broker.runs; r != NULL; r = next) {
		next = r->next;
		if (r->has_world && r->state != RUN_CLOSED)
			run_stop(r, "world_lost", STR(""), true);
	}
}

void
run_stop(struct run *r, const char *reason, struct str json, bool at_once)
{
	bool first = r->state != RUN_STOPPING;

	if (r->state == RUN_CLOSED)
		return;
	if (first) {
		struct event ev = record_of(r, EVENT_KILL);
		own_buf struct buf body = {};

		r->state = RUN_STOPPING;
		(void)snprintf(
		    r->stop_reason, sizeof(r->stop_reason), "%s", reason);
		(void)snprintf(r->status, sizeof(r->status), "stopped");
		if (json.n > 0) {
			buf_add_str(&r->stop_json, json);
		} else {
			buf_add_c(&r->stop_json, "{\"reason\":");
			json_put_str(&r->stop_json, str_of(reason));
			buf_printf(&r->stop_json,
			    ",\"status\":\"stopped\",\"suggested_next_step\":"
			    "\"End the work; an operator can say why with "
			    "`paddock trace show %s`.\"}",
			    r->text);
		}
		buf_add_c(&body, "{\"reason\":");
		json_put_str(&body, str_of(reason));
		buf_add_byte(&body, '}');
		ev.step = r->steps;
		ev.body = buf_str(&body);
		if (r->recorded)
			(void)record_add(&ev); /* a full store stops no stop */
		approval_cancel_run(r);
		answer_opener_late(r);
	}
	/* Who is frozen cannot read why. */
	if (at_once || !first || r->box.paused) {
		end_now(r);
		return;
	}
	loop_timer_set(broker.loop, &r->grace,
	    clock_mono_ns() + (int64_t)RUN_STOP_GRACE_MS * 1000000);
}

void
run_stop_budget(struct run *r, enum budget_kind k, uint64_t used,
    const struct budget_window *w)
{
	own_buf struct buf json = {};
	struct event ev = record_of(r, EVENT_BUDGET_STOP);

	if (r->state != RUN_OPEN)
		return;
	budget_write_stop(&json, used, k, w);
	ev.step = r->steps;
	ev.code = str_of(budget_reason(k));
	ev.body = buf_str(&json);
	(void)record_add(&ev); /* a full store stops no stop */
	run_stop(r, budget_reason(k), buf_str(&json), false);
}

void
run_wait_begin(struct run *r)
{
	if (r->waiting++ > 0)
		return;
	r->waiting_since_ns = clock_mono_ns();
	loop_timer_clear(broker.loop, &r->runtime);
}

void
run_wait_end(struct run *r)
{
	must(r->waiting > 0);
	if (--r->waiting > 0)
		return;
	r->waited_ns += clock_mono_ns() - r->waiting_since_ns;
	if (r->state == RUN_OPEN)
		run_arm_runtime(r);
}

void
run_sweep(void)
{
	uint64_t durable = store_durable(broker.store);
	struct run **at = &broker.runs;

	while (*at != NULL) {
		struct run *r = *at;

		if (r->state != RUN_CLOSED || r->close_seq > durable ||
		    r->calls_open > 0 || !servers_gone(r)) {
			at = &r->next;
			continue;
		}
		follow_run_closed(r);
		*at = r->next;
		broker.n_runs--;
		approval_free_run(r->id);
		export_free_run(r->id);
		idem_free_run(r->id);
		free_run(r);
	}
}

void
run_forget(struct run *r)
{
	struct run **at = &broker.runs;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	broker.n_runs--;
	free_run(r);
}

void
run_close(struct run *r)
{
	struct event ev = record_of(r, EVENT_RUN_CLOSED);
	struct msg_door door = { .run = r->id };
	own_buf struct buf body = {};

	if (r->state == RUN_CLOSED)
		return;
	if (r->state != RUN_STOPPING)
		approval_cancel_run(r);
	inside_end_run(r);
	egress_end_run(r);
	r->state = RUN_CLOSED;
	servers_end(r);
	commands_lost(r);
	box_end(r);
	if (r->rerun != NULL && r->recorded)
		rerun_end(r);
	r->closed_ns = clock_utc_ns();
	loop_timer_clear(broker.loop, &r->runtime);
	loop_timer_clear(broker.loop, &r->grace);
	loop_timer_clear(broker.loop, &r->orphan);

	buf_printf(&body,
	    "{\"cpu_ms\":%llu,\"disk_bytes\":%llu,\"disk_full\":%s,"
	    "\"exit_status\":%u,\"inodes\":%llu,\"left_out\":%u,"
	    "\"memory_peak_bytes\":%llu,\"pids_refused\":%llu",
	    (unsigned long long)(r->exited.cpu_ns / 1000000),
	    (unsigned long long)r->exited.disk_bytes,
	    r->exited.disk_full ? "true" : "false", r->exited.status,
	    (unsigned long long)r->exited.inodes, r->exited.left_out,
	    (unsigned long long)r->exited.memory_peak_bytes,
	    (unsigned long long)r->exited.pids_refused);
	if (r->exited.planted > 0)
		buf_printf(&body, ",\"planted\":%u", r->exited.planted);
	if ((r->exited.flags & TOLD_PRESSURE) != 0)
		write_pressure(&body, &r->exited);
	buf_add_c(&body, ",\"status\":");
	json_put_str(&body, str_of(r->status));
	if (r->stop_json.n > 0) {
		buf_add_c(&body, ",\"stop\":");
		buf_add_str(&body, buf_str(&r->stop_json));
	}
	if (r->stop_reason[0] != '\0') {
		buf_add_c(&body, ",\"stop_reason\":");
		json_put_str(&body, str_of(r->stop_reason));
	}
	buf_printf(&body, ",\"throttled_ms\":%llu,\"tool_calls\":%llu",
	    (unsigned long long)(r->exited.throttled_ns / 1000000),
	    (unsigned long long)r->budget.used[BUDGET_TOOL_CALLS]);
	run_walls_write(&body, r);
	buf_add_byte(&body, '}');
	ev.step = r->steps + 1;
	ev.ms = (r->closed_ns - r->opened_ns) / 1000000;
	ev.body = buf_str(&body);
	if (r->recorded)
		r->close_seq = record_add(&ev);
	if (r->recorded && (r->close_seq == 0 || run_store(r) < 0))
		log_error("end of run not recorded run=%s", r->text);
	store_hurry(broker.store);

	/* Loss of a role loses its part of the run with it. */
	(void)peer_send(
	    &broker.gateway, MSG_DOOR_CLOSE, &door, STR(""), NULL, 0);
	if (r->door_fd >= 0)
		(void)peer_send(
		    &broker.proxy, MSG_DOOR_CLOSE, &door, STR(""), NULL, 0);
	if (r->has_world)
		(void)peer_send(
		    &broker.world, MSG_WORLD_CLOSE, &door, STR(""), NULL, 0);
	fd_fini(&r->door_fd);
	drop_net_fds(r);
	fd_fini(&r->rpc_fd);
	fd_fini(&r->image_fd);
	run_drop_start(r);
}

int
run_store(const struct run *r)
{
	struct store_run row = run_row(r);

	if (r->state == RUN_CLOSED)
		row.head = store_head(broker.store);
	return store_put_run(broker.store, &row);
}

void
run_drop_start(struct run *r)
{
	buf_fini(&r->start);
	for (size_t i = 0; i < r->n_start_fds; i++)
		fd_fini(&r->start_fds[i]);
	r->n_start_fds = 0;
}

void
run_arm_runtime(struct run *r)
{
	uint64_t limit = r->budget.limit[BUDGET_RUNTIME_MS];

	if (limit == UINT64_MAX || r->waiting > 0)
		return;
	loop_timer_set(broker.loop, &r->runtime,
	    r->opened_mono_ns + r->waited_ns + (int64_t)limit * 1000000);
}

void
run_on_runtime(struct loop_timer *t)
{
	struct run *r = LOOP_OF(t, struct run, runtime);

	(void)budget_reach(&r->budget, BUDGET_RUNTIME_MS, run_runtime_ms(r));
	run_stop_budget(
	    r, BUDGET_RUNTIME_MS, r->budget.used[BUDGET_RUNTIME_MS], NULL);
}

void
run_on_grace(struct loop_timer *t)
{
	end_now(LOOP_OF(t, struct run, grace));
}

void
run_on_orphan(struct loop_timer *t)
{
	run_stop(LOOP_OF(t, struct run, orphan), "client_gone", STR(""), true);
}

/*
 * Who is killed is cut off where he stands, and without a supervisor we end:
 * else sessions with servers elsewhere are ended, as far as there is time.
 */
static bool
leaves(struct run *r)
{
	if (strcmp(r->stop_reason, "killed") == 0 ||
	    strcmp(r->stop_reason, "fault_kill") == 0 ||
	    strcmp(r->stop_reason, "supervisor_lost") == 0 || !servers_leave(r))
		return false;
	loop_timer_set(broker.loop, &r->grace,
	    clock_mono_ns() + (int64_t)SERVER_LEAVE_MS * 1000000);
	return true;
}

void
run_left(struct run *r)
{
	if (r->state == RUN_CLOSED)
		return;
	loop_timer_clear(broker.loop, &r->grace);
	run_close(r);
	run_sweep();
	broker_maybe_quit();
}

/* The sandbox's end closes the run; without one there is nothing to await. */
static void
end_now(struct run *r)
{
	struct msg_sandbox_kill m = { .run = r->id };

	if (!r->sandbox_sent) {
		if (!leaves(r))
			run_close(r);
		return;
	}
	(void)peer_send(&broker.supervisor, MSG_SANDBOX_KILL, &m, STR(""), NULL,
	    0); /* the supervisor's loss ends us and the sandbox */
}

/* A run that ends before it was open: its opener hears why. */
static void
answer_opener_late(struct run *r)
{
	uint64_t call = r->open_call;

	r->open_call = 0;
	if (call != 0)
		reply_error(call, 409, "stopped",
		    r->stop_reason[0] != '\0' ? r->stop_reason
					      : "The run ended at once.",
		    "Open another run.");
}

static void
free_run(struct run *r)
{
	run_drop_start(r);
	loop_timer_clear(broker.loop, &r->runtime);
	loop_timer_clear(broker.loop, &r->grace);
	loop_timer_clear(broker.loop, &r->orphan);
	box_end(r);
	fd_fini(&r->door_fd);
	drop_net_fds(r);
	fd_fini(&r->rpc_fd);
	fd_fini(&r->image_fd);
	buf_fini(&r->request);
	inside_free_run(r);
	egress_free_run(r);
	egress_replay_free(r->replay);
	rerun_free(r->rerun);
	faults_free(r);
	secrets_free(r->secrets);
	buf_fini(&r->workspace);
	buf_fini(&r->mounts);
	servers_free(r);
	free(r->tools);
	buf_fini(&r->world);
	buf_fini(&r->listed);
	buf_fini(&r->stop_json);
	fork_free(r->fork);
	moment_free(r->moment);
	free(r->uses);
	free(r->row_uses);
	spend_free(r);
	draft_free_run(r);
	prov_free(r->prov);
	buf_fini(&r->prompt);
	policies_give(r->policy);
	arena_fini(&r->rules);
	policy_free(r->added);
	free(r);
}

static void
drop_net_fds(struct run *r)
{
	while (r->n_net_fds > 0)
		fd_fini(&r->net_fds[--r->n_net_fds]);
}

uint64_t
run_runtime_ms(const struct run *r)
{
	int64_t ns = clock_mono_ns() - r->opened_mono_ns - r->waited_ns;

	if (r->waiting > 0)
		ns -= clock_mono_ns() - r->waiting_since_ns;
	return r->runtime_before_ms + (ns > 0 ? (uint64_t)(ns / 1000000) : 0);
}

static void
write_pressure(struct buf *out, const struct msg_sandbox_exited *m)
{
	buf_add_c(out, ",\"pressure\":{\"cpu\":");
	json_put_num(out, m->pressure_cpu / 100.0);
	buf_add_c(out, ",\"io\":");
	json_put_num(out, m->pressure_io / 100.0);
	buf_add_c(out, ",\"memory\":");
	json_put_num(out, m->pressure_memory / 100.0);
	buf_printf(out, ",\"of\":\"%s\"}",
	    (m->flags & TOLD_PRESSURE_OF_MACHINE) != 0 ? "machine" : "sandbox");
}

static const char *
cause_reason(const struct run *r)
{
	switch ((enum exit_cause)r->exited.cause) {
	case CAUSE_EXIT:
		return "";
	case CAUSE_KILLED:
		return "killed";
	case CAUSE_WALL:
		return "wall_time_exceeded";
	case CAUSE_MEMORY:
		return "memory_exceeded";
	case CAUSE_PIDS:
		return "pids_exceeded";
	case CAUSE_NOT_STARTED:
		return "command_not_found";
	case CAUSE_REFUSED:
		return "command_blocked";
	case CAUSE_LOST:
		return "sandbox_lost";
	case CAUSE_OUTPUT:
		return "output_limit";
	}
	return "sandbox_lost";
}

/* A limit of the sandbox as the structured stop, with its figure. */
static void
write_limit_stop(struct run *r)
{
	const char *unit = "", *next = "";

	switch ((enum exit_cause)r->exited.cause) {
	case CAUSE_WALL:
		unit = "ms";
		next = "Give the run more time: sandbox.wall_ms of the policy.";
		break;
	case CAUSE_MEMORY:
		unit = "bytes";
		next = "Use less memory, or raise sandbox.memory_mb of the "
		       "policy.";
		break;
	case CAUSE_PIDS:
		unit = "pids";
		next = "Start fewer processes, or raise sandbox.pids of the "
		       "policy.";
		break;
	case CAUSE_OUTPUT:
		unit = "bytes";
		next = "Print less, or raise sandbox.output_mb of the policy.";
		break;
	case CAUSE_REFUSED:
		buf_add_c(&r->stop_json,
		    "{\"reason\":\"command_blocked\",\"status\":\"stopped\","
		    "\"suggested_next_step\":\"The policy "
		    "(sandbox.commands) is against the program that the "
		    "command leads to. Use one that it allows.\"}");
		return;
	case CAUSE_EXIT:
	case CAUSE_KILLED:
	case CAUSE_NOT_STARTED:
	case CAUSE_LOST:
		return;
	}
	buf_printf(&r->stop_json,
	    "{\"limit_%s\":%llu,\"reason\":\"%s\",\"status\":\"stopped\","
	    "\"suggested_next_step\":\"%s\",\"used_%s\":%llu}",
	    unit, (unsigned long long)r->exited.limit_value, r->stop_reason,
	    next, unit, (unsigned long long)r->exited.used_value);
}
