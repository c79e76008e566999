#include "codec/html_text.h"

#include <string.h>

enum {
	VOID = 1, /* has no end and no text */
	BLOCK = 2, /* stands on lines of its own */
	DROP = 4, /* never shown */
	RAW = 8, /* all is text up to its own end tag */
	FORMAT = 16, /* goes on in the next block when it was not ended */
	SPECIAL = 32, /* other end tags do not reach beyond it */
	SCOPE = 64, /* nor do those of blocks beyond this */
};

struct kind {
	const char *name;
	unsigned is;
};

static const struct kind kinds[] = {
	/* sorted */
	{ "a", FORMAT },
	{ "address", BLOCK | SPECIAL },
	{ "area", VOID },
	{ "article", BLOCK | SPECIAL },
	{ "aside", BLOCK | SPECIAL | DROP },
	{ "audio", DROP },
	{ "b", FORMAT },
	{ "base", VOID },
	{ "big", FORMAT },
	{ "blockquote", BLOCK | SPECIAL },
	{ "body", BLOCK | SPECIAL },
	{ "br", VOID },
	{ "button", DROP | SPECIAL | SCOPE },
	{ "canvas", DROP },
	{ "caption", BLOCK | SPECIAL | SCOPE },
	{ "center", BLOCK | SPECIAL },
	{ "code", FORMAT },
	{ "col", VOID },
	{ "datalist", DROP },
	{ "dd", BLOCK | SPECIAL },
	{ "details", BLOCK | SPECIAL },
	{ "dialog", BLOCK | SPECIAL },
	{ "div", BLOCK | SPECIAL },
	{ "dl", BLOCK | SPECIAL },
	{ "dt", BLOCK | SPECIAL },
	{ "em", FORMAT },
	{ "embed", VOID },
	{ "fieldset", BLOCK | SPECIAL },
	{ "figcaption", BLOCK | SPECIAL },
	{ "figure", BLOCK | SPECIAL },
	{ "font", FORMAT },
	{ "footer", BLOCK | SPECIAL | DROP },
	{ "form", BLOCK | SPECIAL | DROP },
	{ "frame", VOID },
	{ "h1", BLOCK | SPECIAL },
	{ "h2", BLOCK | SPECIAL },
	{ "h3", BLOCK | SPECIAL },
	{ "h4", BLOCK | SPECIAL },
	{ "h5", BLOCK | SPECIAL },
	{ "h6", BLOCK | SPECIAL },
	{ "header", BLOCK | SPECIAL | DROP },
	{ "hr", VOID | BLOCK },
	{ "html", BLOCK | SPECIAL | SCOPE },
	{ "i", FORMAT },
	{ "iframe", RAW | DROP | SPECIAL },
	{ "img", VOID },
	{ "input", VOID },
	{ "li", BLOCK | SPECIAL },
	{ "link", VOID },
	{ "main", BLOCK | SPECIAL },
	{ "math", DROP },
	{ "menu", BLOCK | SPECIAL },
	{ "meta", VOID },
	{ "nav", BLOCK | SPECIAL | DROP },
	{ "nobr", FORMAT },
	{ "noembed", RAW | DROP },
	{ "noframes", RAW | DROP },
	{ "noscript", RAW | DROP },
	{ "object", DROP | SPECIAL | SCOPE },
	{ "ol", BLOCK | SPECIAL },
	{ "p", BLOCK | SPECIAL },
	{ "param", VOID },
	{ "pre", BLOCK | SPECIAL },
	{ "s", FORMAT },
	{ "script", RAW | DROP | SPECIAL },
	{ "section", BLOCK | SPECIAL },
	{ "select", DROP | SPECIAL },
	{ "small", FORMAT },
	{ "source", VOID },
	{ "strike", FORMAT },
	{ "strong", FORMAT },
	{ "style", RAW | DROP | SPECIAL },
	{ "summary", BLOCK | SPECIAL },
	{ "svg", DROP },
	{ "table", BLOCK | SPECIAL | SCOPE },
	{ "tbody", SPECIAL },
	{ "td", BLOCK | SPECIAL | SCOPE },
	{ "template", DROP | SPECIAL | SCOPE },
	{ "textarea", RAW | DROP | SPECIAL },
	{ "tfoot", SPECIAL },
	{ "th", BLOCK | SPECIAL | SCOPE },
	{ "thead", SPECIAL },
	{ "title", RAW | BLOCK | SPECIAL },
	{ "tr", BLOCK | SPECIAL },
	{ "track", VOID },
	{ "tt", FORMAT },
	{ "u", FORMAT },
	{ "ul", BLOCK | SPECIAL },
	{ "video", DROP },
	{ "wbr", VOID },
	{ "xmp", RAW | BLOCK | SPECIAL },
};

static size_t token(
    struct html_text *t, struct str s, bool last, struct buf *out);
static size_t tag(
    struct html_text *t, struct str s, bool last, struct buf *out);
static size_t comment(struct html_text *t, struct str s, bool last);
static size_t raw_text(
    struct html_text *t, struct str s, bool last, struct buf *out);
static void on_start(struct html_text *t, struct str name,
    struct str attributes, struct buf *out);
static void on_end(struct html_text *t, struct str name, struct buf *out);
static void close_implied(struct html_text *t, struct str name);
static void pop_to(struct html_text *t, uint32_t at);
static size_t text(
    struct html_text *t, struct str s, bool last, struct buf *out);
static size_t entity(struct str s, bool last, uint32_t *c);
static size_t utf8(struct str s, bool last, uint32_t *c);
static bool has_no_shape(uint32_t c);
static void put(struct html_text *t, uint32_t c, struct buf *out);
static void add_utf8(struct buf *b, uint32_t c);
static unsigned kind_of(struct str name);
static bool is_space(char c);
static bool is_letter(char c);
static struct str name_of(const struct html_open *o);

void
html_fini(struct html_text *t)
{
	buf_fini(&t->in);
	buf_fini(&t->href);
	buf_fini(&t->hidden);
}

int
html_feed(struct html_text *t, struct str bytes, struct buf *out)
{
	size_t at = 0, n;

	buf_add_str(&t->in, bytes);
	/* A long tag in small pieces is looked at as it doubles: looking at
	 * each piece would take the square of its length. */
	if (t->in.n < t->wait)
		return t->in.failed ? -1 : 0;
	t->wait = 0;
	while (at < t->in.n) {
		n = token(
		    t, (struct str){ t->in.p + at, t->in.n - at }, false, out);
		if (n == 0)
			break;
		at += n;
	}
	/* No page has a tag or comment this long: what follows it might be
	 * anything, and is not shown. */
	if (t->in.n - at > HTML_MAX_TOKEN_BYTES) {
		t->too_deep = UINT32_MAX / 2;
		at = t->in.n;
	}
	buf_drop(&t->in, at);
	t->wait = 2 * t->in.n;
	return t->in.failed || out->failed ? -1 : 0;
}

int
html_end(struct html_text *t, struct buf *out)
{
	size_t at = 0;

	while (at < t->in.n)
		at += token(
		    t, (struct str){ t->in.p + at, t->in.n - at }, true, out);
	buf_reset(&t->in);
	if (t->any)
		buf_add_byte(out, '\n');
	return out->failed ? -1 : 0;
}

/* Bytes that were read, or 0 when more are needed; with last never 0. */
static size_t
token(struct html_text *t, struct str s, bool last, struct buf *out)
{
	if (t->raw[0] != '\0')
		return raw_text(t, s, last, out);
	if (s.p[0] != '<')
		return text(t, s, last, out);
	if (s.n < 2 && !last)
		return 0;
	if (s.n >= 2 && (s.p[1] == '!' || s.p[1] == '?'))
		return comment(t, s, last);
	if (s.n < 3 && s.n >= 2 && s.p[1] == '/' && !last)
		return 0;
	if (s.n >= 2 && is_letter(s.p[1]))
		return tag(t, s, last, out);
	if (s.n >= 3 && s.p[1] == '/')
		return is_letter(s.p[2]) ? tag(t, s, last, out)
					 : comment(t, s, last);
	put(t, '<', out);
	return 1;
}

static size_t
tag(struct html_text *t, struct str s, bool last, struct buf *out)
{
	bool end = s.p[1] == '/';
	size_t start = end ? 2 : 1, i = start, name_end;
	char quote = '\0';
	char low[sizeof(t->raw)] = "";
	struct str name;

	while (i < s.n && !is_space(s.p[i]) && s.p[i] != '/' && s.p[i] != '>')
		i++;
	name_end = i;
	/* Quotes count only behind a '=': elsewhere they are letters. */
	for (bool value = false; i < s.n; i++) {
		char c = s.p[i];

		if (quote != '\0') {
			if (c == quote)
				quote = '\0';
			continue;
		}
		if (c == '>')
			break;
		if (value && (c == '"' || c == '\''))
			quote = c;
		if (!is_space(c))
			value = c == '=';
	}
	if (i == s.n) {
		/* A browser drops a tag that the page ends in. */
		return last ? s.n : 0;
	}
	for (size_t k = 0; k < name_end - start && k < sizeof(low) - 1; k++) {
		char c = s.p[start + k];

		low[k] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	}
	name = str_of(low);
	if (end)
		on_end(t, name, out);
	else
		on_start(
		    t, name, (struct str){ s.p + name_end, i - name_end }, out);
	return i + 1;
}

static size_t
comment(struct html_text *t, struct str s, bool last)
{
	size_t i = 2;

	if (s.n >= 2 && s.n < 4 && s.p[1] == '!' && !last)
		return 0;
	if (s.n >= 4 && memcmp(s.p, "<!--", 4) == 0) {
		/* "<!-->" and "<!--->" are whole; "--!>" ends one, too. */
		for (i = 2; i < s.n; i++) {
			size_t back = i;

			if (s.p[i] != '>' || i < 4)
				continue;
			if (s.p[back - 1] == '!' && back >= 7)
				back--;
			if (s.p[back - 1] == '-' && s.p[back - 2] == '-')
				break;
		}
	} else {
		while (i < s.n && s.p[i] != '>')
			i++;
	}
	if (i >= s.n && !last)
		return 0;
	t->comments += s.p[1] == '!' && s.n > 2 && s.p[2] == '-';
	return i >= s.n ? s.n : i + 1;
}

/* Up to the end tag of t->raw. */
static size_t
raw_text(struct html_text *t, struct str s, bool last, struct buf *out)
{
	size_t want = strlen(t->raw), i = 0;

	for (; i < s.n; i++) {
		const char *p = s.p + i;
		size_t n = s.n - i;

		if (*p != '<')
			continue;
		if (n < want + 3) {
			if (last)
				continue;
			break;
		}
		if (p[1] == '/' &&
		    str_eq_nocase(
			(struct str){ p + 2, want }, str_of(t->raw)) &&
		    (is_space(p[2 + want]) || p[2 + want] == '/' ||
			p[2 + want] == '>'))
			break;
	}
	if (i > 0) {
		size_t at = 0, n = 1;

		if (t->drops > 0)
			return i;
		while (at < i && n > 0) {
			n = text(t, (struct str){ s.p + at, i - at },
			    last || i < s.n, out);
			at += n;
		}
		return at;
	}
	if (s.n < want + 3 && !last)
		return 0;
	t->raw[0] = '\0';
	return tag(t, s, last, out);
}

static void
on_start(struct html_text *t, struct str name, struct str attributes,
    struct buf *out)
{
	unsigned is = kind_of(name);
	bool hides = html_hides(name, attributes);
	struct html_open *o;

	close_implied(t, name);
	if ((is & BLOCK) != 0 || str_eq_c(name, "br")) {
		uint8_t due = str_eq_c(name, "br") || str_eq_c(name, "li") ||
			str_eq_c(name, "td") || str_eq_c(name, "th") ||
			str_eq_c(name, "tr")
		    ? 1
		    : 2;

		if (due > t->breaks)
			t->breaks = due;
	}
	if (hides && t->hides == 0)
		t->hidden_elements++;
	if (str_eq_c(name, "img") && !hides) {
		struct str alt = html_attribute(attributes, "alt");
		size_t at = 0, n = 1;

		if (alt.n > 0)
			put(t, '[', out);
		while (at < alt.n && n > 0) {
			n = text(t, (struct str){ alt.p + at, alt.n - at },
			    true, out);
			at += n;
		}
		if (alt.n > 0)
			put(t, ']', out);
	}
	if ((is & VOID) != 0)
		return;
	if ((is & RAW) != 0)
		(void)str_copy(name, t->raw, sizeof(t->raw));
	if (t->depth == HTML_MAX_DEPTH) {
		/* From here on we cannot tell: nothing is shown. */
		t->too_deep++;
		return;
	}
	o = &t->open[t->depth++];
	*o = (struct html_open){
		.hidden = hides,
		.dropped = (is & DROP) != 0,
	};
	(void)str_copy(name, o->name, sizeof(o->name));
	t->hides += hides;
	t->drops += o->dropped;
	t->pre += str_eq_c(name, "pre");
	if (str_eq_c(name, "a") && t->hides == 0 && t->drops == 0) {
		struct str href = html_attribute(attributes, "href");

		buf_reset(&t->href);
		if (href.n <= HTML_MAX_LINK_BYTES &&
		    (str_starts(href, STR("http://")) ||
			str_starts(href, STR("https://"))))
			buf_add_str(&t->href, href);
	}
	if (t->hides > 0 || t->drops > 0)
		return;
	if (str_eq_c(name, "li")) {
		put(t, '-', out);
		put(t, ' ', out);
	} else if (name.n == 2 && name.p[0] == 'h' && name.p[1] >= '1' &&
	    name.p[1] <= '6') {
		for (char c = '1'; c <= name.p[1]; c++)
			put(t, '#', out);
		put(t, ' ', out);
	}
}

static void
on_end(struct html_text *t, struct str name, struct buf *out)
{
	unsigned is = kind_of(name);

	if (t->too_deep > 0) {
		t->too_deep--;
		return;
	}
	if (str_eq_c(name, "a") && t->href.n > 0) {
		bool safe = true;

		/* As text: no blank and no bracket can end it early. */
		for (size_t i = 0; i < t->href.n; i++)
			safe = safe && t->href.p[i] > ' ' &&
			    t->href.p[i] < 0x7f && t->href.p[i] != ')';
		if (safe && t->hides == 0 && t->drops == 0) {
			put(t, ' ', out);
			put(t, '(', out);
			for (size_t i = 0; i < t->href.n; i++)
				put(t, (uint8_t)t->href.p[i], out);
			put(t, ')', out);
		}
		buf_reset(&t->href);
	}
	if ((is & BLOCK) != 0 && t->breaks == 0)
		t->breaks = 1;
	for (uint32_t i = t->depth; i-- > 0;) {
		unsigned other = kind_of(name_of(&t->open[i]));

		if (str_eq(name_of(&t->open[i]), name)) {
			pop_to(t, i);
			return;
		}
		if ((other & SCOPE) != 0 && (is & SCOPE) == 0 &&
		    !str_eq_c(name, "tr") && !str_eq_c(name, "tbody"))
			return;
		if ((is & SPECIAL) == 0 && (other & SPECIAL) != 0)
			return;
	}
}

/* What ends because of what begins: <p> of a block, <li> of the next. */
static void
close_implied(struct html_text *t, struct str name)
{
	static const struct {
		const char *begins, *ends, *within;
	} rows[] = {
		{ "li", "li", "ul" },
		{ "li", "li", "ol" },
		{ "dt", "dt", "dl" },
		{ "dt", "dd", "dl" },
		{ "dd", "dt", "dl" },
		{ "dd", "dd", "dl" },
		{ "td", "td", "tr" },
		{ "td", "th", "tr" },
		{ "th", "td", "tr" },
		{ "th", "th", "tr" },
		{ "tr", "tr", "table" },
	};

	if (t->too_deep > 0 || t->depth == 0)
		return;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		if (!str_eq_c(name, rows[r].begins))
			continue;
		for (uint32_t i = t->depth; i-- > 0;) {
			struct str o = name_of(&t->open[i]);

			if (str_eq_c(o, rows[r].ends)) {
				pop_to(t, i);
				return;
			}
			/* Only what has no bearing lies between. */
			if ((kind_of(o) & SPECIAL) != 0 && !str_eq_c(o, "p") &&
			    !str_eq_c(o, "td") && !str_eq_c(o, "th"))
				break;
		}
	}
	if ((kind_of(name) & BLOCK) != 0 && !str_eq_c(name, "title")) {
		/* A <p> that is open, but for elements of a line. */
		for (uint32_t i = t->depth; i-- > 0;) {
			struct str o = name_of(&t->open[i]);

			if (str_eq_c(o, "p")) {
				pop_to(t, i);
				return;
			}
			if ((kind_of(o) & SPECIAL) != 0)
				return;
		}
	}
}

/*
 * Ends open[at] and all in it. An element of a line that was not ended itself
 * goes on in what follows (HTML, 13.2.4.3): a hidden one must.
 */
static void
pop_to(struct html_text *t, uint32_t at)
{
	uint32_t keep = at;

	for (uint32_t i = at; i < t->depth; i++) {
		struct html_open *o = &t->open[i];

		if (i > at && o->hidden &&
		    (kind_of(name_of(o)) & FORMAT) != 0) {
			t->open[keep++] = *o;
			continue;
		}
		t->hides -= o->hidden;
		t->drops -= o->dropped;
		t->pre -= str_eq_c(name_of(o), "pre");
	}
	t->depth = keep;
}

/* Text up to the next '<'. */
static size_t
text(struct html_text *t, struct str s, bool last, struct buf *out)
{
	size_t i = 0;

	while (i < s.n && (i == 0 || s.p[i] != '<' || t->raw[0] != '\0')) {
		struct str rest = { s.p + i, s.n - i };
		uint32_t c = 0;
		size_t n = rest.p[0] == '&' ? entity(rest, last, &c)
					    : utf8(rest, last, &c);

		if (n == 0)
			break;
		put(t, c, out);
		i += n;
	}
	return i;
}

/* Bytes of the reference at the start of s; 0: more are needed. */
static size_t
entity(struct str s, bool last, uint32_t *c)
{
	static const struct {
		const char *name;
		uint32_t c;
	} names[] = {
		{ "amp", '&' },
		{ "lt", '<' },
		{ "gt", '>' },
		{ "quot", '"' },
		{ "apos", '\'' },
		{ "nbsp", ' ' },
		{ "ndash", 0x2013 },
		{ "mdash", 0x2014 },
		{ "hellip", 0x2026 },
		{ "lsquo", 0x2018 },
		{ "rsquo", 0x2019 },
		{ "ldquo", 0x201c },
		{ "rdquo", 0x201d },
		{ "copy", 0xa9 },
		{ "reg", 0xae },
		{ "euro", 0x20ac },
		{ "shy", 0xad },
		{ "zwj", 0x200d },
		{ "zwnj", 0x200c },
		{ "lrm", 0x200e },
		{ "rlm", 0x200f },
		{ "ZeroWidthSpace", 0x200b },
	};
	size_t i = 1;

	*c = '&';
	while (i < s.n && i < 32 && s.p[i] != ';' &&
	    (is_letter(s.p[i]) || (s.p[i] >= '0' && s.p[i] <= '9') ||
		(s.p[i] == '#' && i == 1)))
		i++;
	if (i == s.n && i < 32 && !last)
		return 0;
	if (i >= 3 && s.p[1] == '#') {
		bool hex = s.p[2] == 'x' || s.p[2] == 'X';
		uint32_t v = 0;
		size_t k = hex ? 3 : 2, first = k;

		for (; k < i; k++) {
			int one = str_hex_digit(s.p[k]);

			if (one < 0 || one >= (hex ? 16 : 10))
				break;
			if (v <= 0x10ffff)
				v = v * (hex ? 16 : 10) + (uint32_t)one;
		}
		if (k == first)
			return 1;
		*c = v == 0 || v > 0x10ffff || (v >= 0xd800 && v < 0xe000)
		    ? 0xfffd
		    : v;
		return k < s.n && s.p[k] == ';' ? k + 1 : k;
	}
	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		if (!str_eq_c((struct str){ s.p + 1, i - 1 }, names[k].name))
			continue;
		*c = names[k].c;
		return i < s.n && s.p[i] == ';' ? i + 1 : i;
	}
	return 1;
}

/* Bytes of the character at the start of s; what is none is U+FFFD. */
static size_t
utf8(struct str s, bool last, uint32_t *c)
{
	uint8_t b = (uint8_t)s.p[0];
	size_t n = b < 0x80 ? 1
	    : b < 0xc2	    ? 0
	    : b < 0xe0	    ? 2
	    : b < 0xf0	    ? 3
	    : b < 0xf5	    ? 4
			    : 0;

	*c = n == 1 ? b : 0xfffd;
	if (n < 2)
		return 1;
	for (size_t i = 1; i < n; i++) {
		if (i == s.n)
			return last ? i : 0;
		if (((uint8_t)s.p[i] & 0xc0) != 0x80)
			return i;
	}
	*c = b & (0xffU >> (n + 1));
	for (size_t i = 1; i < n; i++)
		*c = *c << 6 | ((uint8_t)s.p[i] & 0x3f);
	if ((n == 3 && *c < 0x800) || (n == 4 && *c < 0x10000) ||
	    (*c >= 0xd800 && *c < 0xe000) || *c > 0x10ffff)
		*c = 0xfffd;
	return n;
}

static bool
has_no_shape(uint32_t c)
{
	return (c < 0x20 && c != '\n' && c != '\t' && c != '\r' && c != '\f') ||
	    c == 0x7f || c == 0xad || c == 0x34f || c == 0x61c ||
	    (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
	    (c >= 0x2060 && c <= 0x206f) || (c >= 0xfe00 && c <= 0xfe0f) ||
	    c == 0xfeff || (c >= 0xe0000 && c <= 0xe0fff);
}

static void
put(struct html_text *t, uint32_t c, struct buf *out)
{
	bool blank =
	    c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';

	if (t->drops > 0)
		return;
	if (t->hides > 0 || t->too_deep > 0) {
		t->hidden_bytes += c < 0x80 ? 1 : c < 0x800 ? 2 : 3;
		if (t->hidden.n < HTML_MAX_REPORT_BYTES && !has_no_shape(c))
			add_utf8(&t->hidden, blank ? ' ' : c);
		return;
	}
	if (has_no_shape(c)) {
		t->shapeless++;
		return;
	}
	if (blank && (t->pre == 0 || t->breaks > 0)) {
		t->space = true;
		return;
	}
	if (t->any && t->breaks > 0)
		buf_add(out, "\n\n", t->breaks);
	else if (t->any && t->space)
		buf_add_byte(out, ' ');
	t->breaks = 0;
	t->space = false;
	t->any = true;
	add_utf8(out, c);
}

static void
add_utf8(struct buf *b, uint32_t c)
{
	char p[4];
	size_t n;

	if (c < 0x80) {
		p[0] = (char)c;
		n = 1;
	} else if (c < 0x800) {
		p[0] = (char)(0xc0 | c >> 6);
		p[1] = (char)(0x80 | (c & 0x3f));
		n = 2;
	} else if (c < 0x10000) {
		p[0] = (char)(0xe0 | c >> 12);
		p[1] = (char)(0x80 | (c >> 6 & 0x3f));
		p[2] = (char)(0x80 | (c & 0x3f));
		n = 3;
	} else {
		p[0] = (char)(0xf0 | c >> 18);
		p[1] = (char)(0x80 | (c >> 12 & 0x3f));
		p[2] = (char)(0x80 | (c >> 6 & 0x3f));
		p[3] = (char)(0x80 | (c & 0x3f));
		n = 4;
	}
	buf_add(b, p, n);
}

static unsigned
kind_of(struct str name)
{
	size_t low = 0, high = sizeof(kinds) / sizeof(kinds[0]);

	while (low < high) {
		size_t mid = (low + high) / 2;
		int d = str_cmp(name, str_of(kinds[mid].name));

		if (d == 0)
			return kinds[mid].is;
		if (d < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return 0;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static struct str
name_of(const struct html_open *o)
{
	return str_of(o->name);
}
