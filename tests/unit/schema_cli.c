/*
 * The schema checker as a process, for tests in other languages.
 *
 * A line of standard input is [schema, value, ...]; the line of the answer has
 * a letter per value: v valid, i invalid, c too costly; or "!" and what is
 * wrong with the schema.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "core/schema.h"

static void answer(struct str line);

int
main(void)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) > 0)
		answer((struct str){ line, (size_t)n });
	free(line);
	return 0;
}

static void
answer(struct str line)
{
	own_arena struct arena a = {};
	struct schema_fault fault;
	struct schema *s;
	struct err e = {};
	const struct json *all = json_parse(line, NULL, &a, &e, NULL);
	const struct json *doc = json_first(all);

	if (doc == NULL) {
		printf("!%s\n", e.text);
		return;
	}
	s = schema_new(doc, &fault);
	if (s == NULL) {
		printf("!%s\n", fault.text);
		return;
	}
	for (const struct json *v = json_next(all, doc); v != NULL;
	     v = json_next(all, v)) {
		static const char letters[] = "vic";

		putchar(letters[schema_check(s, v, NULL)]);
	}
	putchar('\n');
	schema_free(s);
}
