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
};

struct escape {
	char p[6];
	uint32_t n;
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
	bool found;
	struct leak_hit hit;
	char rings[];
};

static uint32_t rotate(uint32_t h, unsigned by);
static struct hash digest_of(const struct leak_key *k, struct str value);
static void step(struct leak_stream *l, enum reading r, uint8_t c);
static void compare(struct leak_stream *l, enum reading r, uint16_t seen);
static void step_url(struct leak_stream *l, uint8_t c);
static void url_out(struct leak_stream *l, uint8_t c);
static void step_json(struct leak_stream *l, uint8_t c);
static void step_hex(struct leak_stream *l, uint8_t c);
static void step_base64(struct leak_stream *l, uint8_t c);
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

void
leak_stream_free(struct leak_stream *l)
{
	if (l == NULL)
		return;
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
	l->pos = 0;
}

bool
leak_stream_feed(struct leak_stream *l, struct str bytes, struct leak_hit *out)
{
	l->found = false;
	for (size_t i = 0; i < bytes.n && !l->found; i++) {
		uint8_t c = (uint8_t)bytes.p[i];

		l->pos++;
		step(l, READ_PLAIN, c);
		step_url(l, c);
		step_json(l, c);
		step_hex(l, c);
	}
	if (l->found)
		*out = l->hit;
	return l->found;
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

static void
step(struct leak_stream *l, enum reading r, uint8_t c)
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
	s->ring[s->n++ & (set->ring - 1)] = (char)c;
	s->h = h;
	seen = (uint16_t)(h >> 16);
	if (s->n >= LEAK_WINDOW &&
	    ((set->tails[seen / 8] | set->heads[seen / 8]) & 1 << seen % 8) !=
		0)
		compare(l, r, seen);
}

/* Rarely: the window looks like the beginning or the end of a value. */
static void
compare(struct leak_stream *l, enum reading r, uint16_t seen)
{
	const struct leak_set *set = l->set;
	const struct state *s = &l->state[r];
	char text[SCAN_MAX_WORD_BYTES];

	for (uint32_t i = 0; i < set->n && !l->found; i++) {
		const struct leak_print *p = &set->prints[i];

		for (int back = 0; back < 2; back++) {
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
			l->found = true;
			l->hit = (struct leak_hit){ i, form_of(r), back != 0,
				l->pos };
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
				str_hex_digit((char)c)));
		}
		return;
	}
	for (uint32_t i = 0; i < x->n; i++)
		url_out(l, (uint8_t)x->p[i]);
	x->n = 0;
	if (c == '%')
		x->p[x->n++] = '%';
	else
		url_out(l, c);
}

static void
url_out(struct leak_stream *l, uint8_t c)
{
	step(l, READ_URL, c);
	step_base64(l, c);
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
		step(l, READ_JSON, (uint8_t)bytes[name - names]);
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
		step(l, READ_JSON, v < 0x80 ? (uint8_t)v : 0xff);
		return;
	}
	for (uint32_t i = 0; i < x->n; i++)
		step(l, READ_JSON, (uint8_t)x->p[i]);
	x->n = 0;
	if (c == '\\')
		x->p[x->n++] = '\\';
	else
		step(l, READ_JSON, c);
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
		step(l, READ_HEX + (l->hex_count & 1), (uint8_t)l->nibbles);
}

/* Nor which of four characters begins three bytes. */
static void
step_base64(struct leak_stream *l, uint8_t c)
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
			    (uint8_t)(l->bits >> (6 - 2 * at)));
	}
	l->base64_count++;
}

static void
forget(struct leak_stream *l, enum reading from, int n)
{
	for (int i = 0; i < n; i++) {
		l->state[from + i].h = 0;
		l->state[from + i].n = 0;
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
