#include "image/name.h"

#include <stdio.h>
#include <string.h>

static size_t tag_at(struct str text);
static bool is_alnum(char c);

enum { SHOWN = 100, DIGITS_LEAST = 12, DIGITS_MOST = 64 };

int
image_name_parse(
    struct str text, char out[static IMAGE_NAME_BYTES], struct err *e)
{
	static const char more[] = "._-/:";
	int shown = (int)(text.n < SHOWN ? text.n : SHOWN);
	size_t colon = tag_at(text);
	char before = '/';

	if (text.n == 0)
		return err_set(e, "an image needs a name");
	if (str_starts(text, STR("sha256:")))
		return err_set(e, "%.*s: a name cannot begin like a digest",
		    shown, text.p);
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (!is_alnum(c) && (c == '\0' || strchr(more, c) == NULL))
			return err_set(e,
			    "%.*s: a name holds letters, digits and . _ - / :",
			    shown, text.p);
		/* Neither "a//b" nor "../b" nor "-b". */
		if ((before == '/' || before == ':') && !is_alnum(c) &&
		    c != '_')
			return err_set(e,
			    "%.*s: a part of a name begins with a letter or "
			    "digit",
			    shown, text.p);
		before = c;
	}
	if (before == '/' || before == ':')
		return err_set(e, "%.*s: the name has no end", shown, text.p);
	if (text.n + (colon == text.n ? strlen(":latest") : 0) >
	    IMAGE_MAX_NAME_BYTES)
		return err_set(e, "%.*s...: a name has at most %d bytes", shown,
		    text.p, IMAGE_MAX_NAME_BYTES);
	(void)snprintf(out, IMAGE_NAME_BYTES, "%.*s%s", STR_FMT(text),
	    colon == text.n ? ":latest" : "");
	return 0;
}

struct str
image_name_tag(const char *name)
{
	struct str text = str_of(name);
	size_t colon = tag_at(text);

	if (colon == text.n)
		return (struct str){ name + colon, 0 };
	return (struct str){ name + colon + 1, text.n - colon - 1 };
}

bool
image_name_is_digest(struct str text)
{
	const struct str prefix = STR("sha256:");

	if (!str_starts(text, prefix) || text.n < prefix.n + DIGITS_LEAST ||
	    text.n > prefix.n + DIGITS_MOST)
		return false;
	for (size_t i = prefix.n; i < text.n; i++) {
		char c = text.p[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return false;
	}
	return true;
}

/* The colon before the tag, or text.n: one before a slash is a port's. */
static size_t
tag_at(struct str text)
{
	for (size_t i = text.n; i > 0; i--) {
		if (text.p[i - 1] == '/')
			break;
		if (text.p[i - 1] == ':')
			return i - 1;
	}
	return text.n;
}

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9');
}
