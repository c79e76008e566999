#include "cli/policy_view.h"

#include "cli/term.h"
#include "codec/json.h"
#include "sandbox/mounts.h"
#include "sandbox/protect.h"

static const struct {
	const char *name; /* as a policy has it */
	const char *says;
	char kind; /* in front of a rule's pattern */
} protect[] = {
	{ "allow_read", "also read", PROTECT_ALLOW_READ },
	{ "deny_read", "not read", PROTECT_DENY_READ },
	{ "allow_write", "also write", PROTECT_ALLOW_WRITE },
	{ "deny_write", "not write", PROTECT_DENY_WRITE },
};
enum { PROTECT_LISTS = sizeof(protect) / sizeof(protect[0]) };

static void put_texts(struct buf *out, const struct str *list, uint32_t n);
static void put_patterns(
    struct buf *out, const struct policy_sandbox *s, char kind);
static const char *mode_of(const struct policy_mount *m);
static void line(struct buf *out, const char *what, struct str text);
static void lines(
    struct buf *out, const char *what, const struct str *list, uint32_t n);

void
policy_view_json(struct buf *out, const struct policy_sandbox *s)
{
	buf_add_c(out, "{\"commands\":{\"allow\":");
	if (s->commands_listed)
		put_texts(out, s->commands_allow, s->n_commands_allow);
	else
		buf_add_c(out, "\"any\"");
	buf_add_c(out, ",\"block\":");
	put_texts(out, s->commands_block, s->n_commands_block);
	buf_add_c(out, "},\"image\":");
	json_put_str(out, s->image);
	buf_add_c(out, ",\"mounts\":[");
	for (uint32_t i = 0; i < s->n_mounts; i++) {
		const struct policy_mount *m = &s->mounts[i];

		buf_add_c(out, i > 0 ? ",{\"from\":" : "{\"from\":");
		json_put_str(out, m->from);
		buf_printf(out,
		    ",\"mode\":\"%s\",\"noexec\":%s,\"to\":", mode_of(m),
		    m->noexec ? "true" : "false");
		json_put_str(out, m->to);
		buf_add_byte(out, '}');
	}
	buf_add_c(out, "],\"protect\":{");
	for (size_t i = 0; i < PROTECT_LISTS; i++) {
		buf_printf(out, "\"%s\":", protect[i].name);
		put_patterns(out, s, protect[i].kind);
		buf_add_byte(out, ',');
	}
	buf_printf(out, "\"mode\":\"%s\"},\"user\":\"%s\"}",
	    s->protect_flag ? "flag" : "deny", s->user_root ? "root" : "agent");
}

void
policy_view_text(struct buf *out, const struct policy_sandbox *s)
{
	line(out, "root", s->image);
	line(out, "work folder",
	    s->protect_flag
		? STR("overlay; protected names are written, and flagged")
		: STR("overlay; protected names are not written"));
	for (uint32_t i = 0; i < s->n_mounts; i++) {
		const struct policy_mount *m = &s->mounts[i];
		own_buf struct buf text = {};

		buf_add_str(&text, m->to);
		buf_add_c(&text, " from ");
		buf_add_str(&text, m->from);
		buf_printf(&text, ": %s%s",
		    m->mode == 'r' ? "read"
			: m->mode == 'o'
			? "read; written until the end of the run"
			: "read and written for good",
		    m->noexec ? "; no program starts from it" : "");
		line(out, "mount", buf_str(&text));
	}
	for (size_t i = 0; i < PROTECT_LISTS; i++) {
		for (uint32_t k = 0; k < s->n_rules; k++) {
			struct str r = s->rules[k];

			if (r.p[0] == protect[i].kind)
				line(out, protect[i].says,
				    (struct str){ r.p + 1, r.n - 1 });
		}
	}
	if (!s->commands_listed)
		line(out, "execute", STR("any program"));
	else if (s->n_commands_allow == 0)
		line(out, "execute", STR("no program"));
	lines(out, "execute", s->commands_allow, s->n_commands_allow);
	lines(out, "not execute", s->commands_block, s->n_commands_block);
	line(out, "as",
	    s->user_root ? STR("root in its own eyes")
			 : STR("a user without privileges"));
}

static void
put_texts(struct buf *out, const struct str *list, uint32_t n)
{
	buf_add_byte(out, '[');
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			buf_add_byte(out, ',');
		json_put_str(out, list[i]);
	}
	buf_add_byte(out, ']');
}

static void
put_patterns(struct buf *out, const struct policy_sandbox *s, char kind)
{
	bool first = true;

	buf_add_byte(out, '[');
	for (uint32_t i = 0; i < s->n_rules; i++) {
		const struct str r = s->rules[i];

		if (r.p[0] != kind)
			continue;
		if (!first)
			buf_add_byte(out, ',');
		first = false;
		json_put_str(out, (struct str){ r.p + 1, r.n - 1 });
	}
	buf_add_byte(out, ']');
}

static const char *
mode_of(const struct policy_mount *m)
{
	return mounts_mode_name((enum sandbox_mount_mode)m->mode);
}

static void
line(struct buf *out, const char *what, struct str text)
{
	buf_printf(out, "%-12s ", what);
	term_text(out, text);
	buf_add_byte(out, '\n');
}

static void
lines(struct buf *out, const char *what, const struct str *list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		line(out, what, list[i]);
}
