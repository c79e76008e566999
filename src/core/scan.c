#include "core/scan.h"

#include <string.h>

#include "base/limits.h"
#include "base/must.h"

enum reading {
	READ_PLAIN,
	READ_HEX,
	READ_URL,
	READ_JSON,
	READ_BASE64,
	READINGS,
};

/* A place in a tree of words. Children of one node are a list. */
struct node {
	uint32_t child, next; /* 0: none */
	uint32_t fail; /* longest end of this that starts a word */
	uint32_t more; /* longest end of this that is a word, or 0 */
	uint32_t word; /* 1 + index of the word that ends here, or 0 */
	uint16_t depth;
	uint8_t byte;
	uint8_t form_shift; /* form and, in the upper two bits, the shift */
};

struct tree {
	uint32_t root, state;
	uint64_t *at; /* ring: where the last bytes of the reading began */
	uint64_t count; /* bytes of the reading */
	uint32_t first[256]; /* children of the root: most bytes end here */
};

/* An escape that is not complete. */
struct escape {
	uint8_t p[8];
	uint32_t n;
	uint64_t from;
};

struct scan {
	struct node *nodes;
	uint32_t nodes_n, nodes_max;
	uint32_t ring; /* entries of each ring, a power of two */
	uint64_t pos; /* bytes of the stream so far */
	unsigned used; /* readings that have words, as bits */
	uint32_t skipped; /* base64: line ends and backslashes in a row */
	struct escape url, json;
	bool start[256]; /* bytes that may start something in any reading */
	struct tree trees[READINGS];
};

static size_t pattern_bytes(size_t n, enum scan_form form, uint32_t shift);
static size_t longest(const struct scan_word *words, size_t n);
static size_t nodes_of(const struct scan_word *words, size_t n);
static enum reading reading_of(enum scan_form form);
static uint8_t pattern_byte(
    struct str w, enum scan_form form, uint32_t shift, size_t i);
static void add(struct scan *s, uint32_t word, struct str w,
    enum scan_form form, uint32_t shift);
static void link_up(struct scan *s, struct tree *t, uint32_t *queue);
static uint32_t child(const struct scan *s, uint32_t node, uint8_t c);
static void step(struct scan *s, enum reading r, uint8_t c, uint64_t from,
    const struct scan_sink *sink);
static void step_url(struct scan *s, uint8_t c, const struct scan_sink *sink);
static void url_out(
    struct scan *s, uint8_t c, uint64_t from, const struct scan_sink *sink);
static void step_json(struct scan *s, uint8_t c, const struct scan_sink *sink);
static unsigned nibble(uint8_t c);

static const enum scan_form forms[] = { SCAN_PLAIN, SCAN_REVERSED, SCAN_URL,
	SCAN_JSON, SCAN_HEX, SCAN_BASE64 };

enum { FORMS = sizeof(forms) / sizeof(forms[0]) };

size_t
scan_need(const struct scan_word *words, size_t n)
{
	size_t nodes = nodes_of(words, n);
	size_t ring = 1;

	while (ring < longest(words, n))
		ring *= 2;
	/* The queue of link_up is there only while the trees are made. */
	return sizeof(struct scan) + nodes * sizeof(struct node) +
	    READINGS * ring * sizeof(uint64_t) + nodes * sizeof(uint32_t);
}

struct scan *
scan_new(void *mem, const struct scan_word *words, size_t n)
{
	struct scan *s = mem;
	char *p = mem;
	uint32_t *queue;

	if (n > SCAN_MAX_WORDS)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (words[i].text.n < SCAN_MIN_WORD_BYTES ||
		    words[i].text.n > SCAN_MAX_WORD_BYTES)
			return NULL;
	}
	s->nodes_max = (uint32_t)nodes_of(words, n);
	for (s->ring = 1; s->ring < longest(words, n);)
		s->ring *= 2;
	p += sizeof(struct scan);
	for (int r = 0; r < READINGS; r++) {
		s->trees[r].at = (void *)p;
		p += s->ring * sizeof(uint64_t);
	}
	s->nodes = (void *)p;
	p += s->nodes_max * sizeof(struct node);
	queue = (void *)p;
	s->nodes_n = 1; /* 0 is no node */
	for (int r = 0; r < READINGS; r++) {
		s->trees[r].root = s->nodes_n++;
		s->trees[r].state = s->trees[r].root;
	}
	for (size_t i = 0; i < n; i++) {
		for (int f = 0; f < FORMS; f++) {
			uint32_t shifts = forms[f] == SCAN_BASE64 ? 3 : 1;

			if ((words[i].forms & forms[f]) == 0)
				continue;
			for (uint32_t k = 0; k < shifts; k++)
				add(s, (uint32_t)i, words[i].text, forms[f], k);
		}
	}
	for (int r = 0; r < READINGS; r++) {
		struct tree *t = &s->trees[r];

		link_up(s, t, queue);
		for (int c = 0; c < 256; c++) {
			t->first[c] = child(s, t->root, (uint8_t)c);
			if (t->first[c] != 0) {
				s->used |= 1U << r;
				s->start[c] = true;
			}
		}
	}
	/* What the readings turn into a first byte starts something, too. */
	for (int c = 'A'; c <= 'F'; c++)
		s->start[c] = s->start[c] || s->start[c + 32];
	s->start['-'] = s->start['-'] || s->start['+'];
	s->start['_'] = s->start['_'] || s->start['/'];
	s->start['%'] = true;
	s->start['\\'] = true;
	return s;
}

void
scan_reset(struct scan *s)
{
	s->pos = 0;
	s->skipped = 0;
	s->url.n = 0;
	s->json.n = 0;
	for (int r = 0; r < READINGS; r++)
		s->trees[r].state = s->trees[r].root;
}

void
scan_feed(struct scan *s, struct str bytes, const struct scan_sink *sink)
{
	const uint8_t *p = (const uint8_t *)bytes.p;
	const uint8_t *end = p + bytes.n;

	if (s->used == 0) {
		s->pos += bytes.n;
		return;
	}
	while (p < end) {
		uint8_t c;

		/* Nothing is begun: most bytes begin nothing. */
		if (scan_safe(s) == s->pos) {
			const uint8_t *q = p;

			while (q < end && !s->start[*q])
				q++;
			s->pos += (size_t)(q - p);
			p = q;
			if (p == end)
				break;
		}
		c = *p++;
		if ((s->used & 1U << READ_PLAIN) != 0)
			step(s, READ_PLAIN, c, s->pos, sink);
		if ((s->used & 1U << READ_HEX) != 0) {
			uint8_t low = c >= 'A' && c <= 'F' ? c + 32 : c;

			step(s, READ_HEX, low, s->pos, sink);
		}
		if ((s->used & (1U << READ_URL | 1U << READ_BASE64)) != 0)
			step_url(s, c, sink);
		if ((s->used & 1U << READ_JSON) != 0)
			step_json(s, c, sink);
		s->pos++;
	}
}

void
scan_end(struct scan *s, const struct scan_sink *sink)
{
	uint64_t end = s->pos;

	/* Hits end behind pos: the byte that is being read. */
	for (uint32_t i = 0; i < s->url.n; i++) {
		s->pos = s->url.from + i;
		url_out(s, s->url.p[i], s->pos, sink);
	}
	s->url.n = 0;
	for (uint32_t i = 0; i < s->json.n; i++) {
		s->pos = s->json.from + i;
		step(s, READ_JSON, s->json.p[i], s->pos, sink);
	}
	s->json.n = 0;
	s->pos = end;
}

uint64_t
scan_safe(const struct scan *s)
{
	uint64_t safe = s->pos;

	if (s->url.n > 0 && s->url.from < safe)
		safe = s->url.from;
	if (s->json.n > 0 && s->json.from < safe)
		safe = s->json.from;
	for (int r = 0; r < READINGS; r++) {
		const struct tree *t = &s->trees[r];
		uint64_t from;

		if (t->state == t->root)
			continue;
		from = t->at[(t->count - s->nodes[t->state].depth) &
		    (s->ring - 1)];
		if (from < safe)
			safe = from;
	}
	return safe;
}

/* The first character that holds only bits of the text, from shift on. */
static size_t
base64_skip(uint32_t shift)
{
	return (8 * (size_t)shift + 5) / 6;
}

size_t
scan_base64_chars(size_t text_bytes, uint32_t shift)
{
	return 8 * (text_bytes + shift) / 6 - base64_skip(shift);
}

char
scan_base64_char(struct str text, uint32_t shift, size_t i)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t bit = 6 * (base64_skip(shift) + i) - 8 * (size_t)shift;
	unsigned two = (unsigned)(uint8_t)text.p[bit / 8] << 8;

	if (bit / 8 + 1 < text.n)
		two |= (uint8_t)text.p[bit / 8 + 1];
	return alphabet[two >> (10 - bit % 8) & 63];
}

static size_t
pattern_bytes(size_t n, enum scan_form form, uint32_t shift)
{
	switch (form) {
	case SCAN_PLAIN:
	case SCAN_REVERSED:
	case SCAN_URL:
	case SCAN_JSON:
	case SCAN_ALL:
		return n;
	case SCAN_HEX:
		return 2 * n;
	case SCAN_BASE64:
		return scan_base64_chars(n, shift);
	}
	must(false);
}

/* Every pattern is at most twice its word: hexadecimal digits. */
static size_t
longest(const struct scan_word *words, size_t n)
{
	size_t most = 1;

	for (size_t i = 0; i < n; i++) {
		if (2 * words[i].text.n > most)
			most = 2 * words[i].text.n;
	}
	return most;
}

static size_t
nodes_of(const struct scan_word *words, size_t n)
{
	size_t nodes = 1 + READINGS;

	for (size_t i = 0; i < n; i++) {
		for (int f = 0; f < FORMS; f++) {
			size_t shifts = forms[f] == SCAN_BASE64 ? 3 : 1;

			if ((words[i].forms & forms[f]) != 0)
				nodes += shifts *
				    pattern_bytes(words[i].text.n, forms[f], 0);
		}
	}
	/* Even: what follows in memory stays aligned. */
	return (nodes + 1) & ~(size_t)1;
}

static enum reading
reading_of(enum scan_form form)
{
	switch (form) {
	case SCAN_PLAIN:
	case SCAN_REVERSED:
	case SCAN_ALL:
		return READ_PLAIN;
	case SCAN_URL:
		return READ_URL;
	case SCAN_JSON:
		return READ_JSON;
	case SCAN_HEX:
		return READ_HEX;
	case SCAN_BASE64:
		return READ_BASE64;
	}
	must(false);
}

static uint8_t
pattern_byte(struct str w, enum scan_form form, uint32_t shift, size_t i)
{
	static const char digits[] = "0123456789abcdef";

	if (form == SCAN_REVERSED)
		return (uint8_t)w.p[w.n - 1 - i];
	if (form == SCAN_HEX)
		return (uint8_t)
		    digits[(uint8_t)w.p[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
	if (form == SCAN_BASE64)
		return (uint8_t)scan_base64_char(w, shift, i);
	return (uint8_t)w.p[i];
}

static void
add(struct scan *s, uint32_t word, struct str w, enum scan_form form,
    uint32_t shift)
{
	uint32_t at = s->trees[reading_of(form)].root;
	size_t n = pattern_bytes(w.n, form, shift);

	for (size_t i = 0; i < n; i++) {
		uint8_t c = pattern_byte(w, form, shift, i);
		uint32_t to = child(s, at, c);

		if (to == 0) {
			must(s->nodes_n < s->nodes_max);
			to = s->nodes_n++;
			s->nodes[to] = (struct node){
				.byte = c,
				.depth = (uint16_t)(i + 1),
				.next = s->nodes[at].child,
			};
			s->nodes[at].child = to;
		}
		at = to;
	}
	/* Of two words that are written alike the first is named. */
	if (s->nodes[at].word == 0) {
		s->nodes[at].word = word + 1;
		s->nodes[at].form_shift = (uint8_t)(form | shift << 6);
	}
}

/* Breadth first, so that what a node falls back to is ready before it. */
static void
link_up(struct scan *s, struct tree *t, uint32_t *queue)
{
	size_t head = 0, tail = 0;

	queue[tail++] = t->root;
	s->nodes[t->root].fail = t->root;
	while (head < tail) {
		uint32_t at = queue[head++];

		for (uint32_t c = s->nodes[at].child; c != 0;
		     c = s->nodes[c].next) {
			struct node *n = &s->nodes[c];
			uint32_t f = s->nodes[at].fail;
			uint32_t to = 0;

			queue[tail++] = c;
			n->fail = t->root;
			if (at == t->root)
				continue;
			for (;;) {
				to = child(s, f, n->byte);
				if (to != 0 || f == t->root)
					break;
				f = s->nodes[f].fail;
			}
			if (to != 0)
				n->fail = to;
			f = n->fail;
			n->more = s->nodes[f].word != 0 ? f : s->nodes[f].more;
		}
	}
}

static uint32_t
child(const struct scan *s, uint32_t node, uint8_t c)
{
	uint32_t at = s->nodes[node].child;

	while (at != 0 && s->nodes[at].byte != c)
		at = s->nodes[at].next;
	return at;
}

/* One byte of a reading; it began at from, and ends with the byte at pos. */
static void
step(struct scan *s, enum reading r, uint8_t c, uint64_t from,
    const struct scan_sink *sink)
{
	struct tree *t = &s->trees[r];
	uint32_t at = t->state, to = 0;

	while (at != t->root) {
		to = child(s, at, c);
		if (to != 0)
			break;
		at = s->nodes[at].fail;
	}
	if (at == t->root)
		to = t->first[c];
	t->at[t->count++ & (s->ring - 1)] = from;
	t->state = to != 0 ? to : t->root;
	for (at = t->state; at != 0; at = s->nodes[at].more) {
		const struct node *n = &s->nodes[at];
		struct scan_hit hit;

		if (n->word == 0)
			continue;
		hit = (struct scan_hit){
			.word = n->word - 1,
			.form = n->form_shift & 63,
			.shift = n->form_shift >> 6,
			.from = t->at[(t->count - n->depth) & (s->ring - 1)],
			.to = s->pos + 1,
		};
		sink->hit(sink->arg, &hit);
	}
}

static void
step_url(struct scan *s, uint8_t c, const struct scan_sink *sink)
{
	struct escape *x = &s->url;

	if (x->n > 0 && str_hex_digit((char)c) >= 0) {
		x->p[x->n++] = c;
		if (x->n == 3) {
			x->n = 0;
			url_out(s,
			    (uint8_t)(nibble(x->p[1]) << 4 | nibble(x->p[2])),
			    x->from, sink);
		}
		return;
	}
	if (x->n > 0) {
		uint64_t pos = s->pos;

		for (uint32_t i = 0; i < x->n; i++) {
			s->pos = x->from + i;
			url_out(s, x->p[i], s->pos, sink);
		}
		s->pos = pos;
		x->n = 0;
	}
	if (c == '%') {
		x->p[0] = c;
		x->n = 1;
		x->from = s->pos;
		return;
	}
	url_out(s, c, s->pos, sink);
}

static void
url_out(struct scan *s, uint8_t c, uint64_t from, const struct scan_sink *sink)
{
	struct tree *t = &s->trees[READ_BASE64];

	step(s, READ_URL, c, from, sink);
	if (c == '\r' || c == '\n' || c == '\\') {
		/* A few only: a stream of them must not keep us holding. */
		if (++s->skipped > SCAN_MAX_SKIPPED)
			t->state = t->root;
		return;
	}
	s->skipped = 0;
	if (c == '-')
		c = '+';
	if (c == '_')
		c = '/';
	step(s, READ_BASE64, c, from, sink);
}

static void
step_json(struct scan *s, uint8_t c, const struct scan_sink *sink)
{
	static const char names[] = "\"\\/bfnrt";
	static const char bytes[] = "\"\\/\b\f\n\r\t";
	struct escape *x = &s->json;
	const char *name;
	uint64_t pos = s->pos;

	if (x->n == 1 && c == 'u') {
		x->p[x->n++] = c;
		return;
	}
	if (x->n == 1 && c != '\0' && (name = strchr(names, c)) != NULL) {
		x->n = 0;
		step(s, READ_JSON, (uint8_t)bytes[name - names], x->from, sink);
		return;
	}
	if (x->n >= 2 && str_hex_digit((char)c) >= 0) {
		unsigned v;

		x->p[x->n++] = c;
		if (x->n < 6)
			return;
		v = nibble(x->p[2]) << 12 | nibble(x->p[3]) << 8 |
		    nibble(x->p[4]) << 4 | nibble(x->p[5]);
		x->n = 0;
		/* Words are ASCII: 0xff is in none. */
		step(s, READ_JSON, v < 0x80 ? (uint8_t)v : 0xff, x->from, sink);
		return;
	}
	for (uint32_t i = 0; i < x->n; i++) {
		s->pos = x->from + i;
		step(s, READ_JSON, x->p[i], s->pos, sink);
	}
	s->pos = pos;
	x->n = 0;
	if (c == '\\') {
		x->p[0] = c;
		x->n = 1;
		x->from = s->pos;
		return;
	}
	step(s, READ_JSON, c, s->pos, sink);
}

/* Of what is a digit. */
static unsigned
nibble(uint8_t c)
{
	return (unsigned)str_hex_digit((char)c) & 15;
}
