/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>

#include <libxml/HTMLparser.h>
#include <stdlib.h>

#include "codec/html_text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
read_page(struct html_text *t, struct str in, size_t step, struct buf *out)
{
	for (size_t at = 0; at < in.n; at += step) {
		struct str piece = { in.p + at, in.n - at };

		if (piece.n > step)
			piece.n = step;
		assert_int_equal(html_feed(t, piece, out), 0);
	}
	assert_int_equal(html_end(t, out), 0);
}

static void
a_page_becomes_its_readable_text(void **state)
{
	static const struct {
		const char *why, *in, *want;
	} rows[] = {
		{ "plain", "a  b\n c", "a b c\n" },
		{ "blocks", "<p>a<p>b<div>c</div>d", "a\n\nb\n\nc\nd\n" },
		{ "heading and list", "<h2>T</h2><ul><li>a<li><b>b</b></ul>",
		    "## T\n\n- a\n- b\n" },
		{ "the frame goes",
		    "<nav>n</nav><header>h</header><main>m</main>"
		    "<footer>f</footer><aside>x</aside><form>f</form>",
		    "m\n" },
		{ "scripts and styles go",
		    "a<script>if (x<y) '</scr'</script>b<style>p>b{}</style>c",
		    "abc\n" },
		{ "comments go", "a<!-- x > y -->b<!-->c<!x>d<?y>e",
		    "abcde\n" },
		{ "references", "a &lt;b&gt; &amp;&#65;&#x42; &nope; &",
		    "a <b> &AB &nope; &\n" },
		{ "links", "<a href=\"https://x.example/?a=1\">t</a>",
		    "t (https://x.example/?a=1)\n" },
		{ "other links", "<a href='javascript:x()'>t</a>", "t\n" },
		{ "pictures", "<img src=x alt=\"a &amp; b\">", "[a & b]\n" },
		{ "tables", "<table><tr><td>a<td>b<tr><td>c</table>d",
		    "a\nb\nc\nd\n" },
		{ "preformatted", "<pre>a\n  b</pre>", "a\n  b\n" },
		{ "a '<' is text", "1 < 2 <3", "1 < 2 <3\n" },
		{ "quotes hide a '>'", "<b title='>'>a</b>", "a\n" },
		{ "bad UTF-8",
		    "a\xff"
		    "b\xe2\x82",
		    "a\xef\xbf\xbd"
		    "b\xef\xbf\xbd\n" },
		{ "title", "<html><head><title>T &amp; t</title></head>b",
		    "T & t\nb\n" },
		{ "nothing", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct str in = str_of(rows[i].in);

		for (size_t step = 1; step <= in.n; step++) {
			own_html struct html_text t = {};
			own_buf struct buf out = {};

			read_page(&t, in, step, &out);
			if (strcmp(buf_c(&out), rows[i].want) != 0)
				fail_msg("%s (%zu): \"%s\"", rows[i].why, step,
				    buf_c(&out));
		}
	}
}

static void
hidden_text_is_dropped_and_reported(void **state)
{
	static const char *const rows[] = {
		"<p hidden>EVIL</p>",
		"<p HIDDEN=until-found>EVIL</p>",
		"<div aria-hidden=\"true\">EVIL</div>",
		"<div style=\"display:none\">EVIL</div>",
		"<div style='color:red; Display : NONE'>EVIL</div>",
		"<span style=visibility:hidden>EVIL</span>",
		"<span style=\"font-size:0\">EVIL</span>",
		"<span style=\"font-size:0.1px\">EVIL</span>",
		"<span style=\"opacity:0.01\">EVIL</span>",
		"<span style=\"color:#fff;background:#FFF\">EVIL</span>",
		"<span "
		"style=\"color:white;background-color:white\">EVIL</span>",
		"<span style=\"position:absolute;left:-9999px\">EVIL</span>",
		"<span style=\"text-indent:-9999px\">EVIL</span>",
		"<span style=\"width:0;height:0;overflow:hidden\">EVIL</span>",
		"<span style=\"height:1px;width:1px;overflow:hidden\">EVIL"
		"</span>",
		"<span style=\"clip:rect(0,0,0,0)\">EVIL</span>",
		"<div hidden><div>a</div>EVIL</div>",
		"<div hidden></span>EVIL</div>",
		"<div hidden><p>EVIL</div>",
		"<span hidden><div></span>EVIL</div></span>",
		"<p><b hidden>x</p>EVIL</b>",
		"<table hidden><tr><td>EVIL</table>",
		"<table hidden><tr><td></div></p>EVIL</table>",
		"<p hidden>EVIL",
		"<p a='' hidden>EVIL</p>",
		"<p hidden/>EVIL</p>",
		"<p x=\"\"hidden>EVIL</p>",
		"<!-- EVIL -->",
		"<input type=hidden value=EVIL>",
		"<template>EVIL</template>",
		"<noscript>EVIL</noscript>",
		"<textarea>EVIL</textarea>",
		"<svg><text>EVIL</text></svg>",
		"<img hidden alt=EVIL>",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_html struct html_text t = {};
		own_buf struct buf page = {};
		own_buf struct buf out = {};

		buf_printf(&page, "<div>good%s</div>", rows[i]);
		read_page(&t, buf_str(&page), 3, &out);
		if (strstr(buf_c(&out), "EVIL") != NULL ||
		    strstr(buf_c(&out), "good") == NULL)
			fail_msg("%s: \"%s\"", rows[i], buf_c(&out));
		if (t.hidden_bytes == 0 && t.comments == 0 &&
		    t.hidden_elements == 0 && i < 27)
			fail_msg("%s: not reported", rows[i]);
		if (i < 27)
			assert_non_null(strstr(buf_c(&t.hidden), "EVIL"));
	}
}

static void
what_follows_hidden_text_is_shown(void **state)
{
	static const char *const rows[] = {
		"<p hidden>x</p>good",
		"<p hidden>x<p>good",
		"<ul><li hidden>x<li>good</ul>",
		"<table><tr><td hidden>x<td>good</table>",
		"<b hidden>x</b>good",
		"<br hidden>good",
		"<script>var a = '<p hidden>'</script>good",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		own_html struct html_text t = {};
		own_buf struct buf out = {};

		read_page(&t, str_of(rows[i]), 100, &out);
		if (strstr(buf_c(&out), "good") == NULL)
			fail_msg("%s: \"%s\"", rows[i], buf_c(&out));
	}
}

static void
characters_without_a_shape_are_dropped_and_counted(void **state)
{
	own_html struct html_text t = {};
	own_buf struct buf out = {};

	(void)state;
	read_page(&t,
	    STR("a\xe2\x80\x8b"
		"b&#8203;c&#xE0041;d\xf3\xa0\x81\x81"
		"e"),
	    2, &out);
	assert_string_equal(buf_c(&out), "abcde\n");
	assert_int_equal(t.shapeless, 4);
}

static void
a_page_of_any_depth_is_read(void **state)
{
	own_html struct html_text t = {};
	own_buf struct buf page = {};
	own_buf struct buf out = {};

	(void)state;
	for (int i = 0; i < 100 * 1000; i++)
		buf_add_c(&page, "<div>");
	buf_add_c(&page, "deep");
	for (int i = 0; i < 100 * 1000; i++)
		buf_add_c(&page, "</div>");
	buf_add_c(&page, "good");
	read_page(&t, buf_str(&page), 4096, &out);
	assert_string_equal(buf_c(&out), "good\n");
	assert_string_equal(buf_c(&t.hidden), "deep");
}

static void
nothing_is_shown_behind_a_tag_without_an_end(void **state)
{
	own_html struct html_text t = {};
	own_buf struct buf page = {};
	own_buf struct buf out = {};

	(void)state;
	buf_add_c(&page, "good<!-- ");
	while (page.n < 2 * HTML_MAX_TOKEN_BYTES)
		buf_add_c(&page, "no end ");
	read_page(&t, buf_str(&page), 4096, &out);
	assert_string_equal(buf_c(&out), "good\n");
}

/* Words of shown text, as libxml2's tree has them. */
static void
words_of(const xmlNode *n, struct buf *out)
{
	static const char *const gone[] = { "script", "style", "nav", "form",
		"footer" };

	/* The tree is our own test's: depth is small. */
	for (; n != NULL; n = n->next) {
		bool skip = false;

		if (n->type == XML_TEXT_NODE)
			buf_add_c(out, (const char *)n->content);
		if (n->type != XML_ELEMENT_NODE)
			continue;
		for (size_t i = 0; i < COUNT(gone); i++)
			skip =
			    skip || strcmp((const char *)n->name, gone[i]) == 0;
		if (xmlHasProp(n, (const xmlChar *)"hidden") != NULL)
			skip = true;
		buf_add_byte(out, ' ');
		if (!skip)
			words_of(n->children, out);
		buf_add_byte(out, ' ');
	}
}

/* Without blanks and marks: both break lines in their own way. */
static void
bare(struct str in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		if ((in.p[i] >= 'a' && in.p[i] <= 'z') ||
		    (in.p[i] >= '0' && in.p[i] <= '9'))
			buf_add_byte(out, in.p[i]);
	}
}

static void
text_is_what_libxml2_reads(void **state)
{
	static const char *const parts[] = { "<div>", "</div>", "<p>", "</p>",
		"<div hidden>", "</div>", "<b>", "</b>", "word", " other ",
		"<ul><li>", "</li></ul>", "<script>var x = '<p>';</script>",
		"<!-- note -->", "&amp;", "<nav>menu</nav>", "<br>",
		"<p hidden>no</p>", "<section>", "</section>" };
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		own_html struct html_text t = {};
		own_buf struct buf page = {};
		own_buf struct buf out = {};
		own_buf struct buf want = {};
		own_buf struct buf a = {};
		own_buf struct buf b = {};
		uint32_t depth = 0;
		htmlDocPtr doc;

		/* Blocks that nest: where they do not, browsers and libxml2
		 * have their own opinions. */
		for (int i = 0; i < 40; i++) {
			unsigned k;

			seed = seed * 1103515245 + 12345;
			k = (seed >> 16) % (unsigned)COUNT(parts);
			if (k == 0 || k == 4)
				depth++;
			else if ((k == 1 || k == 5) && depth-- == 0)
				depth = 0;
			else if (k == 2 || k == 3 || k == 6 || k == 7 ||
			    k == 10 || k == 11 || k == 18 || k == 19)
				continue;
			if ((k == 1 || k == 5) && page.n == 0)
				continue;
			buf_printf(&page, "%s%d", parts[k], i);
		}
		doc = htmlReadMemory(page.p, (int)page.n, NULL, "UTF-8",
		    HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
			HTML_PARSE_NONET);
		assert_non_null(doc);
		words_of(xmlDocGetRootElement(doc), &want);
		xmlFreeDoc(doc);
		read_page(&t, buf_str(&page), 7, &out);
		bare(buf_str(&out), &a);
		bare(buf_str(&want), &b);
		if (strcmp(buf_c(&a), buf_c(&b)) != 0)
			fail_msg("%s\n we: %s\n it: %s", buf_c(&page),
			    buf_c(&a), buf_c(&b));
	}
	xmlCleanupParser();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_becomes_its_readable_text),
		cmocka_unit_test(hidden_text_is_dropped_and_reported),
		cmocka_unit_test(what_follows_hidden_text_is_shown),
		cmocka_unit_test(
		    characters_without_a_shape_are_dropped_and_counted),
		cmocka_unit_test(a_page_of_any_depth_is_read),
		cmocka_unit_test(nothing_is_shown_behind_a_tag_without_an_end),
		cmocka_unit_test(text_is_what_libxml2_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
