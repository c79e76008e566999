#include <string.h>

#include "base/limits.h"
#include "core/schema_int.h"

static const char *foreign(struct str text);
static const char *foreign_escape(struct str text, size_t at, bool in_class);
static const char *foreign_group(struct str text, size_t at);

/*
 * ECMA-262 knows no options, verbs or POSIX classes, and refuses to escape
 * letters that mean nothing; PCRE2 gives a meaning to all of these.
 */
pcre2_code *
schema_pattern(struct str text, const char **why)
{
	pcre2_compile_context *context;
	pcre2_code *code;
	PCRE2_SIZE at;
	int error;

	*why = "is longer than a pattern may be";
	if (text.n > SCHEMA_MAX_PATTERN_BYTES)
		return NULL;
	*why = foreign(text);
	if (*why != NULL)
		return NULL;
	*why = "is no valid regular expression (ECMA-262)";
	context = pcre2_compile_context_create(NULL);
	if (context == NULL)
		return NULL;
	(void)pcre2_set_newline(context, PCRE2_NEWLINE_ANYCRLF);
	(void)pcre2_set_parens_nest_limit(context, SCHEMA_MAX_DEPTH);
	(void)pcre2_set_compile_extra_options(context, PCRE2_EXTRA_ALT_BSUX);
	code = pcre2_compile((PCRE2_SPTR)text.p, text.n,
	    PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY |
		PCRE2_NEVER_BACKSLASH_C | PCRE2_MATCH_UNSET_BACKREF |
		PCRE2_ALLOW_EMPTY_CLASS,
	    &error, &at, context);
	pcre2_compile_context_free(context);
	return code;
}

int
schema_matcher(pcre2_match_data **match, pcre2_match_context **limits)
{
	*match = pcre2_match_data_create(1, NULL);
	*limits = pcre2_match_context_create(NULL);
	if (*match == NULL || *limits == NULL)
		return -1;
	(void)pcre2_set_match_limit(*limits, SCHEMA_MAX_MATCH_STEPS);
	(void)pcre2_set_heap_limit(*limits, SCHEMA_MAX_MATCH_KIB);
	return 0;
}

int
schema_pattern_match(const pcre2_code *pattern, pcre2_match_data *match,
    pcre2_match_context *limits, struct str text)
{
	/* json_parse has checked the text's UTF-8. */
	int got = pcre2_match(pattern, (PCRE2_SPTR)text.p, text.n, 0,
	    PCRE2_NO_UTF_CHECK, match, limits);

	if (got == PCRE2_ERROR_NOMATCH)
		return 0;
	return got >= 0 ? 1 : -1;
}

/* What PCRE2 would read differently, or NULL. */
static const char *
foreign(struct str text)
{
	bool in_class = false;

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		char next = i + 1 < text.n ? text.p[i + 1] : '\0';
		const char *why = NULL;

		if (c == '\\') {
			why = foreign_escape(text, i + 1, in_class);
			i++;
		} else if (in_class) {
			if (c == ']')
				in_class = false;
			else if (c == '[' &&
			    (next == ':' || next == '.' || next == '='))
				why = "holds a POSIX class, which is no "
				      "ECMA-262: write its characters";
		} else if (c == '[') {
			in_class = true;
		} else if (c == '(') {
			why = foreign_group(text, i + 1);
		} else if ((c == '*' || c == '+' || c == '?' || c == '}') &&
		    next == '+') {
			why = "holds a possessive quantifier, which is no "
			      "ECMA-262";
		}
		if (why != NULL)
			return why;
	}
	return NULL;
}

static const char *
foreign_escape(struct str text, size_t at, bool in_class)
{
	static const char known[] = "dDwWsStnvfr^$\\.*+?()[]{}|/xuc";
	char c = at < text.n ? text.p[at] : '\0';

	if (c == '\0')
		return "ends in a backslash";
	if (strchr(known, c) != NULL || c == 'b' || (c == '-' && in_class) ||
	    (c == 'B' && !in_class) || (c == '0' && in_class))
		return NULL;
	if (!in_class && ((c >= '0' && c <= '9') || c == 'k'))
		return NULL;
	if (c == 'p' || c == 'P')
		return at + 1 < text.n && text.p[at + 1] == '{'
		    ? NULL
		    : "has \\p without a property in braces";
	return "escapes a character that ECMA-262 gives no meaning";
}

static const char *
foreign_group(struct str text, size_t at)
{
	char c = at < text.n ? text.p[at] : '\0';
	char kind = at + 1 < text.n ? text.p[at + 1] : '\0';

	if (c == '*')
		return "holds a verb, which is no ECMA-262";
	if (c != '?' || kind == ':' || kind == '=' || kind == '!' ||
	    kind == '<')
		return NULL;
	return "holds a group of a kind that ECMA-262 does not have";
}
