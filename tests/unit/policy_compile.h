/*
 * policy_compile.h: a policy from a text in a test, or what is wrong with it.
 */
#ifndef UNIT_POLICY_COMPILE_H
#define UNIT_POLICY_COMPILE_H

#include <stdio.h>

#include "core/policy.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* In a document ' stands for ", but for YAML, which has both. */
static struct policy *
compile(const char *text, enum policy_format format, char *problems, size_t cap)
{
	static struct policy_problems list;
	own_buf struct buf doc = {};
	struct policy *p;
	size_t n = 0;

	buf_add_c(&doc, text);
	for (size_t i = 0; i < doc.n && format == POLICY_JSON; i++) {
		if (doc.p[i] == '\'')
			doc.p[i] = '"';
	}
	p = policy_new(buf_str(&doc), format, &list);
	assert_int_equal(p == NULL, list.n > 0);
	problems[0] = '\0';
	for (uint32_t i = 0; i < list.n && i < COUNT(list.item); i++)
		n += (size_t)snprintf(problems + n, cap - n, "%u:%u: %s: %s\n",
		    list.item[i].line, list.item[i].column, list.item[i].path,
		    list.item[i].text);
	return p;
}

#endif
