#include "codec/html_text.h"

#include <stdlib.h>

static bool style_hides(struct str style);
static bool declares(struct str name, struct str value);
static bool is_space(char c);
static bool starts_nocase(struct str s, const char *prefix);
static struct str trim(struct str s);
static double number(struct str s);

struct str
html_attribute(struct str attributes, const char *name)
{
	struct str s = attributes;
	size_t i = 0;

	while (i < s.n) {
		struct str key, value = { s.p, 0 };
		size_t start;

		while (i < s.n && (is_space(s.p[i]) || s.p[i] == '/'))
			i++;
		start = i;
		/* An '=' at the start belongs to the name. */
		while (i < s.n && !is_space(s.p[i]) && s.p[i] != '/' &&
		    (s.p[i] != '=' || i == start))
			i++;
		key = (struct str){ s.p + start, i - start };
		while (i < s.n && is_space(s.p[i]))
			i++;
		if (i < s.n && s.p[i] == '=') {
			char quote;

			i++;
			while (i < s.n && is_space(s.p[i]))
				i++;
			quote = i < s.n ? s.p[i] : '\0';
			if (quote == '"' || quote == '\'') {
				start = ++i;
				while (i < s.n && s.p[i] != quote)
					i++;
				value = (struct str){ s.p + start, i - start };
				i += i < s.n;
			} else {
				start = i;
				while (i < s.n && !is_space(s.p[i]))
					i++;
				value = (struct str){ s.p + start, i - start };
			}
		}
		/* The first of a name counts, as in a browser. */
		if (key.n > 0 && str_eq_nocase(key, str_of(name)))
			return value;
	}
	return (struct str){ NULL, 0 };
}

bool
html_hides(struct str name, struct str attributes)
{
	struct str v = html_attribute(attributes, "hidden");

	if (v.p != NULL)
		return true;
	v = trim(html_attribute(attributes, "aria-hidden"));
	if (v.p != NULL && str_eq_nocase(v, STR("true")))
		return true;
	v = trim(html_attribute(attributes, "type"));
	if (str_eq_c(name, "input") && v.p != NULL &&
	    str_eq_nocase(v, STR("hidden")))
		return true;
	v = html_attribute(attributes, "style");
	return v.p != NULL && style_hides(v);
}

static bool
style_hides(struct str style)
{
	struct str colour = STR(""), ground = STR("");
	double width = 1, height = 1;
	bool clips = false, absolute = false, off = false;
	size_t i = 0;

	while (i < style.n) {
		size_t start = i, colon;
		struct str one, name, value;

		while (i < style.n && style.p[i] != ';')
			i++;
		one = (struct str){ style.p + start, i - start };
		i++;
		colon = str_find(one, ':');
		if (colon == one.n)
			continue;
		name = trim((struct str){ one.p, colon });
		value =
		    trim((struct str){ one.p + colon + 1, one.n - colon - 1 });
		if (declares(name, value))
			return true;
		if (str_eq_nocase(name, STR("color")))
			colour = value;
		else if (starts_nocase(name, "background"))
			ground = value;
		else if (str_eq_nocase(name, STR("width")) ||
		    str_eq_nocase(name, STR("max-width")))
			width = number(value);
		else if (str_eq_nocase(name, STR("height")) ||
		    str_eq_nocase(name, STR("max-height")))
			height = number(value);
		else if (starts_nocase(name, "overflow"))
			clips = !starts_nocase(value, "visible");
		else if (str_eq_nocase(name, STR("position")))
			absolute = starts_nocase(value, "absolute") ||
			    starts_nocase(value, "fixed");
		else if (str_eq_nocase(name, STR("left")) ||
		    str_eq_nocase(name, STR("right")) ||
		    str_eq_nocase(name, STR("top")) ||
		    str_eq_nocase(name, STR("bottom")))
			off = off || number(value) <= -500;
	}
	if (colour.n > 0 && str_eq_nocase(colour, ground))
		return true;
	if (colour.n > 0 && (str_eq_nocase(colour, STR("transparent"))))
		return true;
	/* "1px by 1px, clipped" is how text is hidden from the eye only. */
	return ((width <= 1 || height <= 1) &&
		   (width < 1 || height < 1 ||
		       (width <= 1 && height <= 1 && clips)) &&
		   clips) ||
	    (absolute && off);
}

/* True when this declaration alone hides the element. */
static bool
declares(struct str name, struct str value)
{
	if (str_eq_nocase(name, STR("display")))
		return starts_nocase(value, "none");
	if (str_eq_nocase(name, STR("visibility")))
		return starts_nocase(value, "hidden") ||
		    starts_nocase(value, "collapse");
	if (str_eq_nocase(name, STR("content-visibility")))
		return starts_nocase(value, "hidden");
	if (str_eq_nocase(name, STR("opacity")))
		return value.n > 0 && number(value) < 0.05;
	if (str_eq_nocase(name, STR("font-size")))
		return value.n > 0 && value.p[0] != '-' && number(value) < 1 &&
		    (number(value) <= 0 || str_ends(value, STR("px")) ||
			str_ends(value, STR("pt")));
	if (str_eq_nocase(name, STR("text-indent")))
		return number(value) <= -500;
	if (str_eq_nocase(name, STR("transform")))
		return starts_nocase(value, "scale(0");
	if (str_eq_nocase(name, STR("clip-path")))
		return starts_nocase(value, "inset(50%") ||
		    starts_nocase(value, "inset(100%") ||
		    starts_nocase(value, "circle(0");
	if (str_eq_nocase(name, STR("clip")))
		return starts_nocase(value, "rect(0") ||
		    starts_nocase(value, "rect(1px");
	return false;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool
starts_nocase(struct str s, const char *prefix)
{
	struct str p = str_of(prefix);

	return s.n >= p.n && str_eq_nocase((struct str){ s.p, p.n }, p);
}

static struct str
trim(struct str s)
{
	while (s.n > 0 && is_space(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* The number at the start of a length; what is none counts as large. */
static double
number(struct str s)
{
	char text[16] = "";
	char *end = NULL;
	double v;

	(void)str_copy(
	    (struct str){ s.p, s.n < 15 ? s.n : 15 }, text, sizeof(text));
	v = strtod(text, &end);
	return end == text ? 1e9 : v;
}
