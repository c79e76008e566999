/*
 * codec/html_text.h: the readable text of a page, and what it hides.
 *
 * A page that an agent reads may say one thing to people and another to the
 * agent. This keeps what a person would read, and reports the rest. Dropped:
 * scripts, styles, templates and comments; the frame of a page (nav, header,
 * footer, aside, forms); and hidden text: the attributes hidden and
 * aria-hidden, inline styles that make an element invisible, empty, off the
 * screen or of the colour of its background, and characters that have no
 * shape (zero width, direction overrides, tags). Style sheets are not read:
 * what a class hides is not known here.
 *
 * Where HTML leaves open where an element ends, hidden ones end later here
 * than in a browser rather than earlier: text may be lost, none is shown that
 * a browser hides by these means.
 *
 * Pure, and bytes may come cut anywhere. Input is taken for UTF-8.
 */
#ifndef CODEC_HTML_TEXT_H
#define CODEC_HTML_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"

struct html_open {
	char name[16]; /* lower case; longer names are cut */
	bool hidden, dropped;
};

/* All zero is ready for use. */
struct html_text {
	struct buf in; /* not read yet: less than a token */
	size_t wait; /* bytes of in before it is looked at again */
	struct buf href; /* of the link that is open */
	struct buf hidden; /* the first of the hidden text, for the report */
	uint64_t hidden_bytes; /* of text, all */
	uint32_t hidden_elements, comments, shapeless;
	char raw[16]; /* inside of this element all is text */
	struct html_open open[HTML_MAX_DEPTH];
	uint32_t depth, too_deep;
	uint32_t hides, drops; /* how many that are open do */
	uint32_t pre;
	uint8_t breaks; /* line ends that are due */
	bool space; /* a blank is due */
	bool any; /* something was written */
};

#define own_html __attribute__((cleanup(html_fini)))

void html_fini(struct html_text *t);
/* Appends readable text to out. -1 when memory is gone or out is full. */
int html_feed(struct html_text *t, struct str bytes, struct buf *out);
/* The page is over. */
int html_end(struct html_text *t, struct buf *out);

/* For html_text.c: does an element with these attributes show nothing? */
bool html_hides(struct str name, struct str attributes);
/* The value of an attribute, as written; p is NULL when there is none. */
struct str html_attribute(struct str attributes, const char *name);

#endif
