/*
 * JSON with comments: each comment becomes spaces, so that every byte that is
 * left stands where it stood.
 */
#include "core/policy_int.h"

static size_t blank(struct reader *r, char *text, size_t n, size_t at);
static size_t string_end(const char *text, size_t n, size_t at);

int
policy_text_json(struct reader *r)
{
	char *text = arena_copy(&r->p->arena, r->text.given);
	size_t n = r->text.given.n, at = 0;

	if (text == NULL)
		return 0; /* policy_new sees that the arena failed */
	while (at < n) {
		if (text[at] == '"') {
			at = string_end(text, n, at);
		} else if (text[at] == '/' && at + 1 < n &&
		    (text[at + 1] == '/' || text[at + 1] == '*')) {
			at = blank(r, text, n, at);
			if (at == 0)
				return -1;
		} else {
			at++;
		}
	}
	r->text.json = (struct str){ text, n };
	return 0;
}

/* Returns what follows the comment, or 0 when it has no end. */
static size_t
blank(struct reader *r, char *text, size_t n, size_t at)
{
	bool lines = text[at + 1] == '*'; /* it may go over several */
	size_t from = at;

	for (at += 2;; at++) {
		if (!lines && (at == n || text[at] == '\n'))
			break;
		if (lines && at + 1 >= n) {
			problem_at(r, from,
			    "the comment that starts here has no end; close "
			    "it with */");
			return 0;
		}
		if (lines && text[at] == '*' && text[at + 1] == '/') {
			at += 2;
			break;
		}
	}
	for (size_t i = from; i < at; i++) {
		if (text[i] != '\n')
			text[i] = ' ';
	}
	return at;
}

/* Behind the text that starts at at; the parser judges what is in it. */
static size_t
string_end(const char *text, size_t n, size_t at)
{
	for (at++; at < n; at++) {
		if (text[at] == '\\')
			at++;
		else if (text[at] == '"')
			return at + 1;
	}
	return n;
}
