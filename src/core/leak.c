#include "core/leak.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

/* Decoded ways to read a stream: hexadecimal and base64 have no beginning. */
enum reading {
	READ_PLAIN,
	READ_URL,
	READ_JSON,
	READ_HEX, /* and one more */
	READ_BASE64 = READ_HEX + 2, /* and three more */
	READINGS = READ_BASE64 + 4,
};

struct state {
	uint32_t h;
	uint64_t n; /* bytes since it began */
	char *ring;
	/* Of a stream that is tracked: */
	uint32_t back; /* the rolling hash of the window read backwards */
	uint32_t *at; /* ring: where each byte began, modulo 2^32 */
	uint32_t likely; /* bytes in a row that a value may have */
	bool open; /* a window looked like the beginning of a value */
	uint64_t begin, end; /* which, and where the longest such value ends */
};

struct escape {
	char p[6];
	uint32_t n;
	uint64_t from;
};

struct leak_set {
	struct leak_key key;
	uint32_t shared;
	uint32_t ring; /* a power of two, over the longest value */
	uint32_t n;
	uint8_t heads[65536 / 8], tails[65536 / 8]; /* which there are */
	struct leak_print prints[];
};

struct leak_stream {
	struct leak_set *set;
	struct state state[READINGS];
	struct escape url, json;
	uint32_t nibbles, hex_count;
	uint32_t bits, base64_count;
	uint64_t pos;
	uint64_t end; /* behind the byte that is looked at: pos, or before */
	bool found;
	struct leak_hit hit;
	bool tracked;
	uint64_t nibble_from, sextet_from[4];
	uint32_t line_ends; /* in a row */
	uint64_t calm; /* behind two of them */
	char rings[];
};

static uint32_t rotate(uint32_t h, unsigned by);
static struct hash digest_of(const struct leak_key *k, struct str value);
static void step(
    struct leak_stream *l, enum reading r, uint8_t c, uint64_t from);
static void track(
    struct leak_stream *l, enum reading r, uint8_t c, uint64_t from);
static uint64_t begin_of(
    const struct leak_stream *l, const struct state *s, uint64_t i);
static void compare(struct leak_stream *l, enum reading r, uint16_t seen);
static void step_url(struct leak_stream *l, uint8_t c);
static void url_out(struct leak_stream *l, uint8_t c, uint64_t from);
static void step_json(struct leak_stream *l, uint8_t c);
static void step_hex(struct leak_stream *l, uint8_t c);
static void step_base64(struct leak_stream *l, uint8_t c, uint64_t from);
static void forget(struct leak_stream *l, enum reading from, int n);
static enum leak_form form_of(enum reading r);
static int sextet(uint8_t c);

void
leak_key_init(struct leak_key *k, const struct hash *secret)
{
	k->secret = *secret;
	for (uint32_t i = 0; i < 32; i++) {
		const char text[] = { 't', (char)i };
		struct hash part = hash_hmac(
		    (struct str){ (const char *)secret->b, sizeof(secret->b) },
		    (struct str){ text, sizeof(text) });

		memcpy(&k->table[(size_t)i * 8], part.b, sizeof(part.b));
	}
}

void
leak_print_of(
    const struct leak_key *k, struct str value, struct leak_print *out)
{
	uint32_t head = 0, tail = 0;

	must(value.n >= LEAK_WINDOW);
	for (size_t i = 0; i < LEAK_WINDOW; i++) {
		uint8_t first = (uint8_t)value.p[LEAK_WINDOW - 1 - i];
		uint8_t last = (uint8_t)value.p[value.n - LEAK_WINDOW + i];

		head = rotate(head, 1) ^ k->table[first];
		tail = rotate(tail, 1) ^ k->table[last];
	}
	*out = (struct leak_print){
		.bytes = (uint32_t)value.n,
		.head = (uint16_t)(head >> 16),
		.tail = (uint16_t)(tail >> 16),
		.digest = digest_of(k, value),
	};
}

struct leak_set *
leak_set_new(
    const struct hash *secret, const struct leak_print *prints, size_t n)
{
	struct leak_set *s;

	if (n > SCAN_MAX_WORDS)
		return NULL;
	s = calloc(1, sizeof(*s) + n * sizeof(*prints));
	if (s == NULL)
		return NULL;
	leak_key_init(&s->key, secret);
	s->shared = 1;
	s->ring = 1;
	s->n = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		const struct leak_print *p = &prints[i];

		if (p->bytes < SCAN_MIN_WORD_BYTES ||
		    p->bytes > SCAN_MAX_WORD_BYTES) {
			leak_set_free(s);
			return NULL;
		}
		s->prints[i] = *p;
		while (s->ring < p->bytes)
			s->ring *= 2;
		s->heads[p->head / 8] |= (uint8_t)(1 << p->head % 8);
		s->tails[p->tail / 8] |= (uint8_t)(1 << p->tail % 8);
	}
	/* The byte that leaves the window is still there. */
	s->ring = s->ring > LEAK_WINDOW ? s->ring : 2 * LEAK_WINDOW;
	return s;
}

struct leak_set *
leak_set_share(struct leak_set *s)
{
	s->shared++;
	return s;
}

void
leak_set_free(struct leak_set *s)
{
	if (s == NULL || --s->shared > 0)
		return;
	explicit_bzero(s, sizeof(*s) + s->n * sizeof(s->prints[0]));
	free(s);
}

struct leak_stream *
leak_stream_new(struct leak_set *s)
{
	struct leak_stream *l =
	    calloc(1, sizeof(*l) + (size_t)READINGS * s->ring);

	if (l == NULL)
		return NULL;
	l->set = leak_set_share(s);
	for (int r = 0; r < READINGS; r++)
		l->state[r].ring = l->rings + (size_t)r * s->ring;
	return l;
}

struct leak_stream *
leak_stream_tracked(struct leak_set *s)
{
	size_t rings = (size_t)READINGS * s->ring;
	struct leak_stream *l = leak_stream_new(s);
	uint32_t *at = calloc(rings, sizeof(*at));

	if (l == NULL || at == NULL) {
		free(at);
		leak_stream_free(l);
		return NULL;
	}
	l->tracked = true;
	for (int r = 0; r < READINGS; r++)
		l->state[r].at = at + (size_t)r * s->ring;
	return l;
}

void
leak_stream_free(struct leak_stream *l)
{
	if (l == NULL)
		return;
	free(l->state[0].at);
	explicit_bzero(l->rings, (size_t)READINGS * l->set->ring);
	leak_set_free(l->set);
	free(l);
}

void
leak_stream_reset(struct leak_stream *l)
{
	forget(l, READ_PLAIN, READINGS);
	l->url.n = l->json.n = 0;
	l->hex_count = l->base64_count = 0;
	l->pos = l->calm = 0;
	l->line_ends = 0;
}

bool
leak_stream_feed(struct leak_stream *l, struct str bytes, struct leak_hit *out)
{
	return leak_stream_take(l, &bytes, out);
}

bool
leak_stream_take(struct leak_stream *l, struct str *bytes, struct leak_hit *out)
{
	l->found = false;
	while (bytes->n > 0 && !l->found) {
		uint8_t c = (uint8_t)bytes->p[0];

		bytes->p++;
		bytes->n--;
		l->end = ++l->pos;
		step(l, READ_PLAIN, c, l->pos - 1);
		step_url(l, c);
		step_json(l, c);
		step_hex(l, c);
		if (c == '\n')
			l->line_ends++;
		else if (c != '\r')
			l->line_ends = 0;
		if (l->line_ends > 1)
			l->calm = l->pos;
	}
	if (l->found)
		*out = l->hit;
	return l->found;
}

uint64_t
leak_stream_begun(const struct leak_stream *l)
{
	uint64_t most = (uint64_t)LEAK_STRETCH * l->set->ring;
	uint64_t safe = l->pos;

	for (int r = 0; r < READINGS; r++) {
		const struct state *s = &l->state[r];
		uint64_t from = s->open ? begin_of(l, s, s->begin) : l->pos;

		safe = from < safe ? from : safe;
	}
	return l->pos - safe > most ? l->pos - most : safe;
}

uint64_t
leak_stream_safe(const struct leak_stream *l)
{
	uint64_t most = (uint64_t)LEAK_STRETCH * l->set->ring;
	uint64_t safe = leak_stream_begun(l);

	for (int r = 0; r < READINGS; r++) {
		const struct state *s = &l->state[r];
		uint64_t n =
		    s->likely < LEAK_WINDOW - 1 ? s->likely : LEAK_WINDOW - 1;
		uint64_t from = l->pos;

		if (n > 0 && begin_of(l, s, s->n - n) >= l->calm)
			from = begin_of(l, s, s->n - n);
		else if (n > 0)
			from = l->calm;
		safe = from < safe ? from : safe;
	}
	if (l->url.n > 0 && l->url.from < safe)
		safe = l->url.from;
	if (l->json.n > 0 && l->json.from < safe)
		safe = l->json.from;
	/* What is half a byte in some alignment. */
	if (l->hex_count > 0 && l->nibble_from >= l->calm &&
	    l->nibble_from < safe)
		safe = l->nibble_from;
	if (l->base64_count > 0) {
		uint64_t from = l->sextet_from[(l->base64_count - 1) & 3];

		if (from >= l->calm && from < safe)
			safe = from;
	}
	return l->pos - safe > most ? l->pos - most : safe;
}

const char *
leak_form_name(enum leak_form f)
{
	static const char *const names[LEAK_FORMS] = { "plain", "url", "json",
		"hex", "base64" };

	return names[f];
}

static uint32_t
rotate(uint32_t h, unsigned by)
{
	return h << by | h >> (32 - by);
}

static struct hash
digest_of(const struct leak_key *k, struct str value)
{
	return hash_hmac(
	    (struct str){ (const char *)k->secret.b, sizeof(k->secret.b) },
	    value);
}

/* A byte of a reading, which began at from and ends with the byte at pos. */
static void
step(struct leak_stream *l, enum reading r, uint8_t c, uint64_t from)
{
	const struct leak_set *set = l->set;
	struct state *s = &l->state[r];
	uint32_t h = rotate(s->h, 1) ^ set->key.table[c];
	uint16_t seen;

	if (s->n >= LEAK_WINDOW)
		h ^= rotate(
		    set->key.table[(uint8_t)s->ring[(s->n - LEAK_WINDOW) &
			(set->ring - 1)]],
		    LEAK_WINDOW);
	if (l->tracked)
		track(l, r, c, from);
	s->ring[s->n++ & (set->ring - 1)] = (char)c;
	s->h = h;
	seen = (uint16_t)(h >> 16);
	if (s->n >= LEAK_WINDOW &&
	    ((set->tails[seen / 8] | set->heads[seen / 8]) & 1 << seen % 8) !=
		0)
		compare(l, r, seen);
	if (s->open && s->n >= s->end)
		s->open = false;
}

/*
 * Before the byte is in the ring: does the window that it completes look like
 * the beginning of a value? Its hash backwards is in a print of a value that
 * begins so, and its hash forwards of one that is written backwards.
 */
static void
track(struct leak_stream *l, enum reading r, uint8_t c, uint64_t from)
{
	const struct leak_set *set = l->set;
	struct state *s = &l->state[r];
	uint64_t n = s->n + 1;
	uint16_t seen;

	s->at[s->n & (set->ring - 1)] = (uint32_t)from;
	if (s->n >= LEAK_WINDOW)
		s->back ^= set->key.table[(
		    uint8_t)s->ring[(s->n - LEAK_WINDOW) & (set->ring - 1)]];
	s->back =
	    rotate(s->back, 31) ^ rotate(set->key.table[c], LEAK_WINDOW - 1);
	/* Values are printable, but for the line ends of keys. */
	if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c > 0x7e) {
		s->likely = 0;
		s->open = false;
		return;
	}
	seen = (uint16_t)(s->back >> 16);
	if (++s->likely < LEAK_WINDOW ||
	    ((set->tails[seen / 8] | set->heads[seen / 8]) & 1 << seen % 8) ==
		0)
		return;
	for (uint32_t i = 0; i < set->n; i++) {
		const struct leak_print *p = &set->prints[i];
		uint64_t end = n - LEAK_WINDOW + p->bytes;

		if (p->head != seen && p->tail != seen)
			continue;
		if (!s->open) {
			s->open = true;
			s->begin = n - LEAK_WINDOW;
			s->end = end;
		}
		s->end = end > s->end ? end : s->end;
	}
}

/* Where the i-th byte of a reading began; at most a ring's worth ago. */
static uint64_t
begin_of(const struct leak_stream *l, const struct state *s, uint64_t i)
{
	uint32_t at;

	if (s->n - i > l->set->ring)
		i = s->n - l->set->ring;
	at = s->at[i & (l->set->ring - 1)];
	return l->pos - (uint32_t)((uint32_t)l->pos - at);
}

/* Rarely: the window looks like the beginning or the end of a value. */
static void
compare(struct leak_stream *l, enum reading r, uint16_t seen)
{
	const struct leak_set *set = l->set;
	const struct state *s = &l->state[r];
	char text[SCAN_MAX_WORD_BYTES];

	for (uint32_t i = 0; i < set->n && (!l->found || l->tracked); i++) {
		const struct leak_print *p = &set->prints[i];

		for (int back = 0; back < 2; back++) {
			struct leak_hit hit = { i, form_of(r), back != 0,
				l->end, 0, p->bytes, 0 };
			struct hash d;

			if ((back != 0 ? p->head : p->tail) != seen ||
			    s->n < p->bytes)
				continue;
			for (uint32_t k = 0; k < p->bytes; k++)
				text[back != 0 ? k : p->bytes - 1 - k] =
				    s->ring[(s->n - 1 - k) & (set->ring - 1)];
			d = digest_of(
			    &set->key, (struct str){ text, p->bytes });
			if (!hash_eq(&d, &p->digest))
				continue;
			if (l->tracked)
				hit.from = begin_of(l, s, s->n - p->bytes);
			/* The last byte's place in its group of three. */
			if (r >= READ_BASE64)
				hit.shift =
				    (((l->base64_count + READ_BASE64 - r) & 3) +
					2 * p->bytes) %
				    3;
			if (!l->found || hit.from < l->hit.from)
				l->hit = hit;
			l->found = true;
			break;
		}
	}
	explicit_bzero(text, sizeof(text));
}

static void
step_url(struct leak_stream *l, uint8_t c)
{
	struct escape *x = &l->url;

	if (x->n > 0 && str_hex_digit((char)c) >= 0) {
		x->p[x->n++] = (char)c;
		if (x->n == 3) {
			x->n = 0;
			url_out(l,
			    (uint8_t)(str_hex_digit(x->p[1]) * 16 +
				str_hex_digit((char)c)),
			    x->from);
		}
		return;
	}
	for (uint32_t i = 0; i < x->n; i++) {
		l->end = x->from + i + 1;
		url_out(l, (uint8_t)x->p[i], x->from + i);
	}
	l->end = l->pos;
	x->n = 0;
	if (c == '%') {
		x->p[x->n++] = '%';
		x->from = l->pos - 1;
	} else {
		url_out(l, c, l->pos - 1);
	}
}

static void
url_out(struct leak_stream *l, uint8_t c, uint64_t from)
{
	step(l, READ_URL, c, from);
	step_base64(l, c, from);
}

static void
step_json(struct leak_stream *l, uint8_t c)
{
	static const char names[] = "\"\\/bfnrt";
	static const char bytes[] = "\"\\/\b\f\n\r\t";
	struct escape *x = &l->json;
	const char *name;

	if (x->n == 1 && c == 'u') {
		x->p[x->n++] = 'u';
		return;
	}
	if (x->n == 1 && c != '\0' && (name = strchr(names, c)) != NULL) {
		x->n = 0;
		step(l, READ_JSON, (uint8_t)bytes[name - names], x->from);
		return;
	}
	if (x->n >= 2 && str_hex_digit((char)c) >= 0) {
		unsigned v = 0;

		if (x->n < 5) {
			x->p[x->n++] = (char)c;
			return;
		}
		for (uint32_t i = 2; i < 5; i++)
			v = v << 4 | (unsigned)str_hex_digit(x->p[i]);
		v = v << 4 | (unsigned)str_hex_digit((char)c);
		x->n = 0;
		/* Values are ASCII: 0xff is in none. */
		step(l, READ_JSON, v < 0x80 ? (uint8_t)v : 0xff, x->from);
		return;
	}
	for (uint32_t i = 0; i < x->n; i++) {
		l->end = x->from + i + 1;
		step(l, READ_JSON, (uint8_t)x->p[i], x->from + i);
	}
	l->end = l->pos;
	x->n = 0;
	if (c == '\\') {
		x->p[x->n++] = '\\';
		x->from = l->pos - 1;
	} else {
		step(l, READ_JSON, c, l->pos - 1);
	}
}

/* It is not known which digit begins a byte: both are tried. */
static void
step_hex(struct leak_stream *l, uint8_t c)
{
	int v = str_hex_digit((char)c);

	if (v < 0) {
		if (l->hex_count > 0 &&
		    (c == '\0' || strchr(":-, \\xX%\r\n", c) == NULL)) {
			forget(l, READ_HEX, 2);
			l->hex_count = 0;
		}
		return;
	}
	l->nibbles = (l->nibbles << 4 | (unsigned)v) & 0xff;
	if (l->hex_count++ > 0)
		step(l, READ_HEX + (l->hex_count & 1), (uint8_t)l->nibbles,
		    l->nibble_from);
	l->nibble_from = l->pos - 1;
}

/* Nor which of four characters begins three bytes. */
static void
step_base64(struct leak_stream *l, uint8_t c, uint64_t from)
{
	int v = sextet(c);

	if (v < 0) {
		/* MIME's line ends, and JSON's "\/". */
		if (l->base64_count > 0 && c != '\r' && c != '\n' &&
		    c != '\\') {
			forget(l, READ_BASE64, 4);
			l->base64_count = 0;
		}
		return;
	}
	l->bits = (l->bits << 6 | (unsigned)v) & 0xffffff;
	for (unsigned q = 0; q < 4; q++) {
		unsigned at = (l->base64_count - q) & 3;

		if (at > 0)
			step(l, READ_BASE64 + q,
			    (uint8_t)(l->bits >> (6 - 2 * at)),
			    l->sextet_from[(l->base64_count - 1) & 3]);
	}
	l->sextet_from[l->base64_count & 3] = from;
	l->base64_count++;
}

static void
forget(struct leak_stream *l, enum reading from, int n)
{
	for (int i = 0; i < n; i++) {
		struct state *s = &l->state[from + i];

		s->h = s->back = 0;
		s->n = 0;
		s->likely = 0;
		s->open = false;
	}
}

static enum leak_form
form_of(enum reading r)
{
	if (r >= READ_BASE64)
		return LEAK_BASE64;
	if (r >= READ_HEX)
		return LEAK_HEX;
	return (enum leak_form)r;
}

/* What six bits a character of either alphabet stands for. */
static int
sextet(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}
