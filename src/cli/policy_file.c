#include "cli/policy_file.h"

#include <stdio.h>

#include "base/limits.h"
#include "cli/term.h"
#include "sys/fd.h"

struct policy *
policy_file_read(const char *path, struct policy_problems *list)
{
	struct str name = str_of(path);
	bool yaml = str_ends(name, STR(".yaml")) || str_ends(name, STR(".yml"));
	own_buf struct buf text = {};
	struct err e = {};

	if (file_read(path, &text, POLICY_MAX_BYTES, &e) < 0) {
		list->n = 1;
		list->item[0] = (struct policy_problem){};
		(void)snprintf(list->item[0].text, sizeof(list->item[0].text),
		    "%.*s", (int)sizeof(list->item[0].text) - 1, e.text);
		return NULL;
	}
	return policy_new(
	    buf_str(&text), yaml ? POLICY_YAML : POLICY_JSON, list);
}

void
policy_file_show(
    struct buf *out, const char *path, const struct policy_problems *list)
{
	uint32_t kept = policy_problems_kept(list);

	for (uint32_t i = 0; i < kept; i++) {
		const struct policy_problem *one = &list->item[i];

		term_text(out, str_of(path));
		if (one->line > 0)
			buf_printf(out, ":%u:%u", one->line, one->column);
		buf_add_c(out, ": ");
		if (one->path[0] != '\0') {
			term_text(out, str_of(one->path));
			buf_add_c(out, ": ");
		}
		term_text(out, str_of(one->text));
		buf_add_c(out, "\n");
	}
	if (list->n > kept) {
		term_text(out, str_of(path));
		buf_printf(out, ": and %u more\n", list->n - kept);
	}
}
