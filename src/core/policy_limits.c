#include <string.h>

#include "base/limits.h"
#include "base/place.h"
#include "base/walls.h"
#include "core/policy_int.h"
#include "core/suggest.h"

static void parse_commands(struct reader *r, const struct spot *sandbox);
static bool read_commands(struct reader *r, const struct spot *commands,
    const char *name, struct list *out);
static bool read_command(
    struct reader *r, const struct spot *entry, struct str *out);
static void parse_required(struct reader *r, const struct spot *sandbox);
static void parse_protect(struct reader *r, const struct spot *sandbox);
static void parse_mounts(struct reader *r, const struct spot *sandbox);
static bool parse_mount(
    struct reader *r, const struct spot *entry, struct policy_mount *out);
static struct str last_part(struct str name);

static const struct range run_ms = { 1, POLICY_RUN_MAX_MS, "milliseconds" };

void
policy_parse_sandbox(struct reader *r, const struct spot *root)
{
	static const char *const known[] = { "image", "cpu", "cpu_weight",
		"io_mb_per_s", "memory_mb", "pids", "disk_mb", "inodes",
		"open_files", "wall_ms", "limits", "required", "commands",
		"ports", "protect", "explain", "user", "output_mb", "mounts",
		NULL };
	static const char *const later[] = { NULL };
	static const char *const limits[] = { "required", "best-effort", NULL };
	const uint64_t mib = UINT64_C(1024) * 1024;
	uint64_t memory_mb = SANDBOX_MEMORY_MB, disk_mb = 0;
	uint64_t pids = SANDBOX_PIDS, weight = SANDBOX_CPU_WEIGHT, io_mb = 0;
	uint64_t open_files = SANDBOX_OPEN_FILES;
	struct policy_sandbox *s = &r->p->sandbox;
	char shown[SHOWN_BYTES];
	struct spot sandbox, cpu, disk;
	static const char *const users[] = { "agent", "root", NULL };
	uint64_t output_mb = 0;
	uint32_t word = 1, user = 0;

	s->image = STR("host");
	s->cpu_milli = 1000;
	s->inodes = SANDBOX_INODES;
	s->wall_ms = SANDBOX_WALL_MS;
	if (read_member(root, "sandbox", &sandbox) &&
	    read_object(r, &sandbox)) {
		read_known(r, &sandbox, known, later, NOT_YET);
		(void)read_name(r, &sandbox, "image", &s->image);
		parse_commands(r, &sandbox);
		(void)read_ports(r, &sandbox, 0, &s->ports, &s->n_ports);
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
		(void)read_whole(r, &sandbox, "cpu_weight",
		    (struct range){ 1, SANDBOX_CPU_WEIGHT_MAX, "parts" },
		    &weight);
		(void)read_whole(r, &sandbox, "io_mb_per_s",
		    (struct range){ 1, SANDBOX_IO_MAX_MB, "MiB" }, &io_mb);
		(void)read_whole(r, &sandbox, "inodes",
		    (struct range){ 100, SANDBOX_INODES_MAX, "files" },
		    &s->inodes);
		(void)read_whole(r, &sandbox, "open_files",
		    (struct range){ SANDBOX_OPEN_FILES_MIN,
			SANDBOX_OPEN_FILES_MAX, "open files" },
		    &open_files);
		(void)read_whole(r, &sandbox, "wall_ms", run_ms, &s->wall_ms);
		(void)read_word(r, &sandbox, "limits", limits, &word);
		(void)read_word(r, &sandbox, "user", users, &user);
		(void)read_bool(r, &sandbox, "explain", &s->explain);
		(void)read_whole(r, &sandbox, "output_mb",
		    (struct range){ 1, SANDBOX_OUTPUT_MAX_MB, "MiB" },
		    &output_mb);
		parse_required(r, &sandbox);
		parse_protect(r, &sandbox);
		parse_mounts(r, &sandbox);
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
	s->open_files = (uint32_t)open_files;
	s->cpu_weight = (uint32_t)weight;
	s->io_bytes_per_s = io_mb * mib;
	s->limits_required = word == 0;
	s->user_root = user == 1;
	s->output_bytes = output_mb * mib;
}

bool
policy_command_decide(
    const struct policy *p, struct str name, const char **rule)
{
	const struct policy_sandbox *s = &p->sandbox;

	for (uint32_t i = 0; i < s->n_commands_block; i++) {
		struct str entry = s->commands_block[i];

		*rule = "sandbox.commands.block";
		if (!str_starts(entry, STR("sha256:")) &&
		    str_eq(last_part(entry), last_part(name)))
			return false;
	}
	if (!s->commands_listed)
		return true;
	for (uint32_t i = 0; i < s->n_commands_allow; i++) {
		if (str_eq(s->commands_allow[i], name) ||
		    str_starts(s->commands_allow[i], STR("sha256:")))
			return true;
	}
	*rule = "sandbox.commands.allow";
	return false;
}

bool
policy_port_decide(const struct policy *p, uint64_t port)
{
	for (uint32_t i = 0; i < p->sandbox.n_ports; i++) {
		if (p->sandbox.ports[i] == port)
			return true;
	}
	return false;
}

static void
parse_commands(struct reader *r, const struct spot *sandbox)
{
	static const char *const known[] = { "allow", "block", NULL };
	static const char *const later[] = { NULL };
	struct policy_sandbox *s = &r->p->sandbox;
	struct spot commands;
	struct list list;

	if (!read_member(sandbox, "commands", &commands) ||
	    !read_object(r, &commands))
		return;
	read_known(r, &commands, known, later, NOT_YET);
	if (read_commands(r, &commands, "allow", &list)) {
		s->commands_listed = true;
		s->commands_allow = list.p;
		s->n_commands_allow = list.n;
	}
	if (read_commands(r, &commands, "block", &list)) {
		s->commands_block = list.p;
		s->n_commands_block = list.n;
	}
}

/*
 * A list of texts, in which { "path": P, "sha256": D } may stand for a file
 * that is both: kept as "sha256:D:P".
 */
static bool
read_commands(struct reader *r, const struct spot *commands, const char *name,
    struct list *out)
{
	struct spot s;
	struct str *list;
	uint32_t n = 0;
	bool any = false, good = true;

	if (!read_member(commands, name, &s))
		return false;
	for (const struct json *x = json_is(s.v, JSON_ARRAY) ? json_first(s.v)
							     : NULL;
	     x != NULL; x = json_next(s.v, x))
		any |= json_is(x, JSON_OBJECT);
	if (!any)
		return read_list(
		    r, commands, name, ENTRY_COMMAND, POLICY_LIST_MAX, out);
	if (s.v->n > POLICY_LIST_MAX) {
		problem(r, &s, "has %u entries, at most %d are allowed", s.v->n,
		    POLICY_LIST_MAX);
		return false;
	}
	list = arena_alloc(&r->p->arena, s.v->n * sizeof(*list));
	if (list == NULL)
		return false;
	for (const struct json *x = json_first(s.v); x != NULL;
	     x = json_next(s.v, x), n++) {
		struct spot entry = { .up = &s, .v = x, .index = n };

		good = read_command(r, &entry, &list[n]) && good;
		for (uint32_t i = 0; good && i < n; i++) {
			if (!str_eq(list[i], list[n]))
				continue;
			problem(r, &entry, "stands twice; remove one");
			good = false;
		}
	}
	*out = (struct list){ list, n };
	return good;
}

static bool
read_command(struct reader *r, const struct spot *entry, struct str *out)
{
	static const char *const known[] = { "path", "sha256", NULL };
	static const char *const later[] = { NULL };
	char shown[SHOWN_BYTES];
	const char *fault = entry_fault(ENTRY_COMMAND, json_str(entry->v));
	struct str path = {}, digest = {};
	struct spot at;
	own_buf struct buf text = {};

	if (!json_is(entry->v, JSON_OBJECT)) {
		*out = json_str(entry->v);
		if (json_is(entry->v, JSON_STRING) && fault == NULL)
			return true;
		value_show(entry->v, shown);
		problem(r, entry, "must be %s, not %s",
		    fault != NULL ? fault : "a text", shown);
		return false;
	}
	read_known(r, entry, known, later, NOT_YET);
	for (size_t i = 0; known[i] != NULL; i++) {
		if (read_member(entry, known[i], &at))
			continue;
		read_missing(r, entry, known[i],
		    "an entry of both names a file and what it holds");
		return false;
	}
	if (!read_entry(r, entry, "path", ENTRY_COMMAND, &path) ||
	    !read_text(r, entry, "sha256", &digest))
		return false;
	buf_printf(&text, "sha256:%.*s", STR_FMT(digest));
	if (path.p[0] != '/' || !command_is_digest(buf_str(&text))) {
		problem(r, entry,
		    "`path` must be an absolute path, and `sha256` 64 digits "
		    "in lower case");
		return false;
	}
	buf_add_byte(&text, ':');
	buf_add_str(&text, path);
	out->p = arena_copy(&r->p->arena, buf_str(&text));
	out->n = text.n;
	return out->p != NULL;
}

static void
parse_required(struct reader *r, const struct spot *sandbox)
{
	struct spot s, entry;
	struct list list;

	if (!read_list(r, sandbox, "required", ENTRY_NAME, WALL_COUNT, &list))
		return;
	(void)read_member(sandbox, "required", &s);
	entry = (struct spot){ .up = &s, .v = json_first(s.v) };
	for (uint32_t i = 0; i < list.n; i++) {
		struct suggest near = suggest_for(list.p[i]);
		uint32_t wall = wall_find(list.p[i]);

		r->p->sandbox.walls_required |= wall;
		for (uint32_t k = 0; wall == 0 && k < WALL_COUNT; k++)
			suggest_try(&near, str_of(wall_name(1U << k)));
		if (wall == 0)
			problem(r, &entry,
			    "no wall is called \"%.*s\"%s%.*s%s; "
			    "docs/POLICY.md "
			    "lists them",
			    STR_FMT(list.p[i]),
			    near.best.n > 0 ? ": did you mean \"" : "",
			    STR_FMT(near.best), near.best.n > 0 ? "\"?" : "");
		entry.v = json_next(s.v, entry.v);
		entry.index++;
	}
}

static void
parse_protect(struct reader *r, const struct spot *sandbox)
{
	static const char *const known[] = { "mode", "allow_read", "deny_read",
		"allow_write", "deny_write", NULL };
	static const char *const later[] = { NULL };
	static const char *const modes[] = { "deny", "flag", NULL };
	/* In front of each pattern: enum protect_rule_kind of the sandbox. */
	static const char letters[] = "-rRwW";
	struct policy_sandbox *s = &r->p->sandbox;
	struct spot protect;
	struct str *rules;
	uint32_t mode = 0;

	if (!read_member(sandbox, "protect", &protect) ||
	    !read_object(r, &protect))
		return;
	read_known(r, &protect, known, later, NOT_YET);
	(void)read_word(r, &protect, "mode", modes, &mode);
	s->protect_flag = mode == 1;
	rules = arena_alloc(&r->p->arena, PROTECT_RULES_MAX * sizeof(*rules));
	if (rules == NULL)
		return;
	s->rules = rules;
	for (size_t i = 1; known[i] != NULL; i++) {
		struct list list;

		if (!read_list(r, &protect, known[i], ENTRY_PATTERN_PATH,
			PROTECT_RULES_MAX / 4, &list))
			continue;
		for (uint32_t k = 0; k < list.n; k++) {
			char *word = arena_alloc(&r->p->arena, list.p[k].n + 1);

			if (word == NULL)
				return;
			word[0] = letters[i];
			memcpy(word + 1, list.p[k].p, list.p[k].n);
			rules[s->n_rules++] =
			    (struct str){ word, list.p[k].n + 1 };
		}
	}
}

static void
parse_mounts(struct reader *r, const struct spot *sandbox)
{
	struct policy_sandbox *s = &r->p->sandbox;
	struct policy_mount *list;
	struct spot mounts;
	uint32_t n = 0;

	if (!read_member(sandbox, "mounts", &mounts) || !read_array(r, &mounts))
		return;
	if (mounts.v->n > MOUNTS_MAX) {
		problem(r, &mounts, "has %u entries; at most %d are allowed",
		    mounts.v->n, MOUNTS_MAX);
		return;
	}
	list = arena_alloc(&r->p->arena, mounts.v->n * sizeof(*list));
	if (list == NULL)
		return;
	for (const struct json *x = json_first(mounts.v); x != NULL;
	     x = json_next(mounts.v, x)) {
		struct spot entry = { .up = &mounts, .v = x, .index = n };

		if (!parse_mount(r, &entry, &list[n]))
			return;
		/* One in another would have to be made in it. */
		for (uint32_t k = 0; k < n; k++) {
			if (!place_below(list[n].to, list[k].to) &&
			    !place_below(list[k].to, list[n].to))
				continue;
			problem(r, &entry,
			    "`to` and that of entry %u lie in each other; "
			    "give each a place of its own",
			    k);
			return;
		}
		n++;
	}
	s->mounts = list;
	s->n_mounts = n;
}

/* False when something is wrong with it, which is noted. */
static bool
parse_mount(
    struct reader *r, const struct spot *entry, struct policy_mount *out)
{
	static const char *const known[] = { "from", "to", "mode", "noexec",
		NULL };
	static const char *const later[] = { NULL };
	static const char *const modes[] = { "ro", "overlay", "rw", NULL };
	static const char letters[] = "row"; /* enum sandbox_mount_mode */
	uint32_t mode = 0;
	struct spot any;
	bool good;

	*out = (struct policy_mount){};
	if (!read_object(r, entry))
		return false;
	read_known(r, entry, known, later, NOT_YET);
	if (!read_member(entry, "from", &any))
		read_missing(r, entry, "from", "name a folder");
	if (!read_member(entry, "to", &any))
		read_missing(r, entry, "to", "say where it is inside");
	good = read_entry(r, entry, "from", ENTRY_FOLDER, &out->from);
	good &= read_entry(r, entry, "to", ENTRY_PLACE, &out->to);
	if (read_member(entry, "mode", &any))
		good &= read_word(r, entry, "mode", modes, &mode);
	out->mode = letters[mode];
	if (read_member(entry, "noexec", &any))
		good &= read_bool(r, entry, "noexec", &out->noexec);
	return good;
}

static struct str
last_part(struct str name)
{
	size_t at = name.n;

	while (at > 0 && name.p[at - 1] != '/')
		at--;
	return (struct str){ name.p + at, name.n - at };
}
