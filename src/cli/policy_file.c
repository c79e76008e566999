#include "cli/policy_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "cli/term.h"
#include "sys/fd.h"

static struct policy *read_over(const char *path, struct str text,
    enum policy_format format, struct policy_problems *list);
static int read_beside(const char *path, struct policy_base *file,
    struct buf *text, struct err *e);
static int read_base(const char *path, struct policy_base *base,
    struct buf *text, struct err *e);
static void say_base(struct policy_problems *list, const struct err *e);
static enum policy_format format_of(struct str name);

struct policy *
policy_file_read(const char *path, struct policy_problems *list)
{
	struct str name = str_of(path);
	own_buf struct buf text = {};
	struct err e = {};

	if (file_read(path, &text, POLICY_MAX_BYTES, &e) < 0) {
		list->n = 1;
		list->item[0] = (struct policy_problem){};
		(void)snprintf(list->item[0].text, sizeof(list->item[0].text),
		    "%.*s", (int)sizeof(list->item[0].text) - 1, e.text);
		return NULL;
	}
	return read_over(path, buf_str(&text), format_of(name), list);
}

/* What it extends lies beside it: each is fetched once the reader asks. */
static struct policy *
read_over(const char *path, struct str text, enum policy_format format,
    struct policy_problems *list)
{
	struct policy_bases *bases = calloc(1, sizeof(*bases));
	struct buf texts[POLICY_PARTS_MAX] = {};
	struct policy *p = NULL;
	struct err e = {};

	must(bases != NULL);
	for (;;) {
		struct policy_base *next = &bases->item[bases->n];

		p = policy_new_over(text, format, bases, list);
		if (p != NULL || bases->wanted[0] == '\0' ||
		    bases->n == POLICY_PARTS_MAX)
			break;
		memcpy(next->name, bases->wanted, sizeof(next->name));
		if ((bases->wants_file
			    ? read_beside(path, next, &texts[bases->n], &e)
			    : read_base(path, next, &texts[bases->n], &e)) <
		    0) {
			say_base(list, &e);
			break;
		}
		bases->n++;
	}
	for (uint32_t i = 0; i < POLICY_PARTS_MAX; i++)
		buf_fini(&texts[i]);
	free(bases);
	return p;
}

/* A file of this very name. */
static int
read_beside(
    const char *path, struct policy_base *file, struct buf *text, struct err *e)
{
	const char *slash = strrchr(path, '/');
	int folder = slash != NULL ? (int)(slash - path) + 1 : 0;
	char beside[PATH_MAX];
	int n = snprintf(
	    beside, sizeof(beside), "%.*s%s", folder, path, file->name);

	if (n < 0 || (size_t)n >= sizeof(beside))
		return err_set(e, "its path is too long");
	if (file_read(beside, text, POLICY_MAX_BYTES, e) < 0)
		return -1;
	file->text = buf_str(text);
	file->format = format_of(str_of(beside));
	return 0;
}

static int
read_base(
    const char *path, struct policy_base *base, struct buf *text, struct err *e)
{
	static const char *const ends[] = { ".json", ".yaml", ".yml" };
	const char *slash = strrchr(path, '/');
	int folder = slash != NULL ? (int)(slash - path) + 1 : 0;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		char beside[PATH_MAX];
		int n = snprintf(beside, sizeof(beside), "%.*s%s%s", folder,
		    path, base->name, ends[i]);

		if (n < 0 || (size_t)n >= sizeof(beside))
			return err_set(e, "its path is too long");
		if (file_read(beside, text, POLICY_MAX_BYTES, e) == 0) {
			base->text = buf_str(text);
			base->format = format_of(str_of(beside));
			return 0;
		}
		if (e->sys != ENOENT)
			return -1;
	}
	return err_set(e,
	    "there is no %s.json, %s.yaml or %s.yml beside this file",
	    base->name, base->name, base->name);
}

/* In the place of the one problem that says that it is not here. */
static void
say_base(struct policy_problems *list, const struct err *e)
{
	if (list->n == 0)
		return;
	(void)snprintf(list->item[0].text, sizeof(list->item[0].text), "%.*s",
	    (int)sizeof(list->item[0].text) - 1, e->text);
}

static enum policy_format
format_of(struct str name)
{
	return str_ends(name, STR(".yaml")) || str_ends(name, STR(".yml"))
	    ? POLICY_YAML
	    : POLICY_JSON;
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
