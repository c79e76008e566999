#include "base/limits.h"
#include "core/policy_int.h"

static const struct range run_ms = { 1, POLICY_RUN_MAX_MS, "milliseconds" };

void
policy_parse_budgets(struct reader *r, const struct spot *root)
{
	static const char *const known[] = { "max_runtime_ms", "max_tool_calls",
		"max_retries_per_tool", "on_exceed", NULL };
	static const char *const later[] = { "max_model_calls",
		"max_model_tokens", "max_cost_usd", "max_pages",
		"max_documents", "max_subtasks", "max_upload_bytes",
		"per_tenant", NULL };
	uint64_t *limit = r->p->budgets.limit;
	struct spot budgets;

	if (!read_member(root, "budgets", &budgets) ||
	    !read_object(r, &budgets))
		return;
	read_known(r, &budgets, known, later, NOT_YET);
	(void)read_whole(
	    r, &budgets, "max_runtime_ms", run_ms, &limit[BUDGET_RUNTIME_MS]);
	(void)read_whole(r, &budgets, "max_tool_calls",
	    (struct range){ 1, POLICY_CALLS_MAX, "calls" },
	    &limit[BUDGET_TOOL_CALLS]);
	(void)read_whole(r, &budgets, "max_retries_per_tool",
	    (struct range){ 0, POLICY_RETRIES_MAX, "retries" },
	    &limit[BUDGET_RETRIES]);
	read_only(r, &budgets, "on_exceed", "stop");
}

void
policy_parse_sandbox(struct reader *r, const struct spot *root)
{
	static const char *const known[] = { "image", "cpu", "memory_mb",
		"pids", "disk_mb", "inodes", "wall_ms", "limits", NULL };
	static const char *const later[] = { "commands", "mounts", NULL };
	static const char *const limits[] = { "required", "best-effort", NULL };
	const uint64_t mib = UINT64_C(1024) * 1024;
	uint64_t memory_mb = SANDBOX_MEMORY_MB, disk_mb = 0;
	uint64_t pids = SANDBOX_PIDS;
	struct policy_sandbox *s = &r->p->sandbox;
	char shown[SHOWN_BYTES];
	struct spot sandbox, cpu, disk;
	uint32_t word = 1;

	s->cpu_milli = 1000;
	s->inodes = SANDBOX_INODES;
	s->wall_ms = SANDBOX_WALL_MS;
	if (read_member(root, "sandbox", &sandbox) &&
	    read_object(r, &sandbox)) {
		read_known(r, &sandbox, known, later, NOT_YET);
		read_only(r, &sandbox, "image", "host");
		(void)read_whole(r, &sandbox, "memory_mb",
		    (struct range){ 16, SANDBOX_MEMORY_MAX_MB, "MiB" },
		    &memory_mb);
		(void)read_whole(r, &sandbox, "disk_mb",
		    (struct range){ 1, SANDBOX_DISK_MAX_MB, "MiB" }, &disk_mb);
		/* Files live in memory: with less of them than of it, a full
		 * disk is an error to the program and not its end. */
		if (read_member(&sandbox, "disk_mb", &disk) &&
		    disk_mb + SANDBOX_BESIDE_DISK_MB > memory_mb)
			problem(r, &disk,
			    "must be at least %d below memory_mb (%llu), "
			    "because the files live in memory",
			    SANDBOX_BESIDE_DISK_MB,
			    (unsigned long long)memory_mb);
		(void)read_whole(r, &sandbox, "pids",
		    (struct range){ 4, SANDBOX_PIDS_MAX, "processes" }, &pids);
		(void)read_whole(r, &sandbox, "inodes",
		    (struct range){ 100, SANDBOX_INODES_MAX, "files" },
		    &s->inodes);
		(void)read_whole(r, &sandbox, "wall_ms", run_ms, &s->wall_ms);
		(void)read_word(r, &sandbox, "limits", limits, &word);
		if (read_member(&sandbox, "cpu", &cpu)) {
			/* Compared so that no number can overflow. */
			if (json_is(cpu.v, JSON_NUMBER) && cpu.v->num >= 0.01 &&
			    cpu.v->num <= SANDBOX_CPUS_MAX) {
				s->cpu_milli =
				    (uint32_t)(cpu.v->num * 1000 + 0.5);
			} else {
				value_show(cpu.v, shown);
				problem(r, &cpu,
				    "must be a number from 0.01 to %d CPUs, "
				    "not %s",
				    SANDBOX_CPUS_MAX, shown);
			}
		}
	}
	s->memory_bytes = memory_mb * mib;
	s->disk_bytes = disk_mb > 0 ? disk_mb * mib : s->memory_bytes / 2;
	s->pids = (uint32_t)pids;
	s->limits_required = word == 0;
}
