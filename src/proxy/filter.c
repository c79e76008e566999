#include "proxy/filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/must.h"
#include "codec/base64.h"
#include "codec/sigv4.h"
#include "ipc/msg.h"
#include "proxy/filter_int.h"

enum { FORMAT_BYTES = 128 };

static int secret_take(struct filter *f, const struct json *v, struct err *e);
static int scans_make(struct filter *f, struct err *e);
static struct scan *scan_make(
    struct filter *f, const struct str *words, size_t n, unsigned forms);
static size_t room(const struct json *secrets);
static int head_search(
    struct filter *f, const struct http1_head *h, struct err *e);
static int fields_search(struct filter *f, const struct http1_head *h,
    const char *what, const char *of, struct err *e);
static int search_whole(struct filter *f, struct str s, const char *place,
    struct str of, struct err *e);
static int body_search(
    struct filter *f, struct str bytes, bool last, struct err *e);
static int search(struct filter *f, struct str s, const char *place,
    struct str of, struct err *e);
static int search_unpacked(void *arg, struct str bytes, struct err *e);
static int coding_take(
    struct filter *f, const struct http1_head *h, struct err *e);
static void codings_keep(struct filter *f, struct http1_head *h);
static int field_swap(struct filter *f, struct secret *s, uint64_t *used,
    struct str *value, struct err *e);
static int query_swap(struct filter *f, struct secret *s, uint64_t *used,
    struct str *target, struct err *e);
static int replace(struct filter *f, struct str in, struct str from,
    struct str to, struct str *out, uint64_t *hits, struct err *e);
static void names_write(struct buf *out, const char *member,
    const struct filter *f, const uint64_t *counts);

int
filter_watch_take(
    struct filter_watch *w, const struct json *payload, struct err *e)
{
	const struct json *words = json_get(payload, STR("words"));
	struct leak_print prints[SECRETS_PER_RUN_MAX];
	struct str fakes[SECRETS_PER_RUN_MAX];
	struct arena text = {};
	struct leak_set *set;
	struct hash key;
	uint32_t n = 0;

	if (hash_from_hex(json_str(json_get(payload, STR("key"))), &key) < 0 ||
	    !json_is(words, JSON_ARRAY) || words->n > SECRETS_PER_RUN_MAX)
		return err_set(e, "no prints");
	for (const struct json *x = json_first(words); x != NULL;
	     x = json_next(words, x), n++) {
		uint64_t bytes, head, tail;

		fakes[n] = json_str(json_get(x, STR("placeholder")));
		if (json_u64(json_get(x, STR("bytes")), &bytes) < 0 ||
		    json_u64(json_get(x, STR("head")), &head) < 0 ||
		    json_u64(json_get(x, STR("tail")), &tail) < 0 ||
		    bytes > SCAN_MAX_WORD_BYTES || head > UINT16_MAX ||
		    tail > UINT16_MAX ||
		    hash_from_hex(json_str(json_get(x, STR("digest"))),
			&prints[n].digest) < 0 ||
		    str_copy(json_str(json_get(x, STR("name"))), w->names[n],
			sizeof(w->names[n])) < 0)
			return err_set(e, "no print");
		prints[n].bytes = (uint32_t)bytes;
		prints[n].head = (uint16_t)head;
		prints[n].tail = (uint16_t)tail;
	}
	set = leak_set_new(&key, prints, n);
	explicit_bzero(&key, sizeof(key));
	if (set == NULL)
		return err_set(e, "no memory, or no print");
	for (uint32_t i = 0; i < n; i++) {
		fakes[i].p = arena_copy(&text, fakes[i]);
		must(fakes[i].p != NULL);
	}
	/* Streams of before keep their set; what a secret is called stays. */
	leak_set_free(w->set);
	arena_fini(&w->text);
	memcpy(w->fakes, fakes, n * sizeof(fakes[0]));
	w->text = text;
	w->set = set;
	w->n = n;
	return 0;
}

void
filter_watch_fini(struct filter_watch *w)
{
	leak_set_free(w->set);
	arena_fini(&w->text);
	*w = (struct filter_watch){};
}

int
filter_new(struct filter **out, const struct json *payload, uint32_t flags,
    const struct filter_watch *watch, struct err *e)
{
	const struct json *secrets =
	    payload == NULL ? NULL : json_get(payload, STR("secrets"));
	bool watches = watch != NULL && watch->set != NULL;
	struct locked mem = {};
	struct filter *f;

	*out = NULL;
	if (secrets == NULL && !watches && (flags & EGRESS_STRIP_HTML) == 0)
		return 0;
	/* Without a value there is nothing to lock. */
	if (secrets == NULL) {
		f = calloc(1, sizeof(*f));
		if (f == NULL)
			return err_set(e, "no memory");
	} else {
		if (locked_init(&mem, room(secrets), e) < 0)
			return -1;
		f = locked_alloc(&mem, sizeof(*f));
		must(f != NULL);
	}
	f->mem = mem;
	f->strip_html = (flags & EGRESS_STRIP_HTML) != 0;
	f->watch = watch;
	for (const struct json *v = json_first(secrets); v != NULL;
	     v = json_next(secrets, v)) {
		if (secret_take(f, v, e) < 0) {
			filter_free(f);
			return -1;
		}
	}
	if (watches)
		f->leaks = leak_stream_new(watch->set);
	if ((watches && f->leaks == NULL) || scans_make(f, e) < 0) {
		filter_free(f);
		return watches ? err_set(e, "no memory") : -1;
	}
	*out = f;
	return 0;
}

void
filter_free(struct filter *f)
{
	struct locked mem;

	if (f == NULL)
		return;
	swap_fini(&f->out);
	filter_answer_fini(f);
	leak_stream_free(f->leaks);
	decode_free(f->unpack);
	explicit_bzero(&f->spotted, sizeof(f->spotted));
	mem = f->mem; /* it holds f */
	if (mem.p == NULL)
		free(f);
	locked_fini(&mem);
}

int
filter_request_head(struct filter *f, struct http1_head *h, struct err *e)
{
	/* What the agent knows is searched before secrets are put in. */
	if (head_search(f, h, e) < 0 || coding_take(f, h, e) < 0)
		return -1;
	for (uint32_t k = 0; k < f->n; k++) {
		struct secret *s = &f->secrets[k];
		bool there = false;

		if (s->query.n > 0 &&
		    query_swap(f, s, &f->used[k], &h->target, e) < 0)
			return -1;
		for (uint32_t i = 0; s->header.n > 0 && i < h->n; i++) {
			if (!str_eq_nocase(h->field[i].name, s->header))
				continue;
			there = true;
			if (field_swap(
				f, s, &f->used[k], &h->field[i].value, e) < 0)
				return -1;
		}
		if (s->header.n > 0 && s->format.n > 0 && !there) {
			struct str value;

			if (h->n == HTTP_MAX_FIELDS)
				return err_set(e, "too many fields");
			if (replace(f, s->format, STR("{}"), s->value, &value,
				&f->used[k], e) < 0)
				return -1;
			h->field[h->n++] =
			    (struct http1_field){ s->header, value };
		}
	}
	/* What of the answer cannot be read whole cannot be searched. */
	if (f->n > 0 || f->strip_html || f->leaks != NULL) {
		filter_field_drop(h, STR("range"));
		filter_field_drop(h, STR("grpc-accept-encoding"));
		codings_keep(f, h);
	}
	for (uint32_t k = 0; k < f->n; k++) {
		if (f->secrets[k].access_key.n > 0 && sigv4_signed(h)) {
			f->wants_body = sigv4_needs_body(h);
			return f->wants_body
			    ? 0
			    : filter_request_sign(f, h, STR(""), e);
		}
	}
	return 0;
}

bool
filter_wants_body(const struct filter *f)
{
	return f->wants_body;
}

int
filter_request_sign(
    struct filter *f, struct http1_head *h, struct str body, struct err *e)
{
	struct hash digest = hash_of(body.p, body.n);
	char hex[HASH_HEX_BYTES];

	hash_hex(&digest, hex);
	for (uint32_t k = 0; k < f->n; k++) {
		const struct secret *s = &f->secrets[k];
		struct sigv4_key key = { s->access_key, s->value };
		own_buf struct buf text = {};
		struct str kept;

		if (s->access_key.n == 0)
			continue;
		if (sigv4_sign(h, str_of(hex), &key, &text, e) < 0)
			return err_add(e, "sign for AWS");
		kept = locked_copy(&f->mem, buf_str(&text));
		if (kept.p == NULL)
			return err_set(e, "a head is too long to be changed");
		for (uint32_t i = 0; i < h->n; i++) {
			if (str_eq_nocase(
				h->field[i].name, STR("authorization")))
				h->field[i].value = kept;
		}
		f->used[k]++;
		f->wants_body = false;
		return 0;
	}
	return err_set(e, "no key to sign with");
}

int
filter_request_body(struct filter *f, struct str bytes, bool last,
    struct buf *out, struct err *e)
{
	if (body_search(f, bytes, last, e) < 0)
		return -1;
	if (f->out.scan == NULL) {
		buf_add_str(out, bytes);
		return out->failed ? err_set(e, "no memory") : 0;
	}
	if (swap_feed(&f->out, bytes, out) < 0 ||
	    (last && swap_end(&f->out, out) < 0))
		return err_set(e, "no memory");
	return 0;
}

int
filter_request_trailers(struct filter *f, struct http1_head *h, struct err *e)
{
	if (f->leaks != NULL &&
	    fields_search(f, h, "trailer name", "trailer ", e) < 0)
		return -1;
	for (uint32_t k = 0; k < f->n; k++) {
		struct secret *s = &f->secrets[k];

		for (uint32_t i = 0; s->header.n > 0 && i < h->n; i++) {
			if (str_eq_nocase(h->field[i].name, s->header) &&
			    field_swap(
				f, s, &f->used[k], &h->field[i].value, e) < 0)
				return -1;
		}
	}
	return 0;
}

int
filter_relay(struct filter *f, struct str bytes, struct err *e)
{
	char plain[1024];

	while (f->leaks != NULL && bytes.n > 0) {
		ssize_t n = ws_take(&f->ws, &bytes, plain, sizeof(plain));

		if (n < 0)
			return err_set(
			    e, "a compressed message cannot be searched");
		if (search(f, (struct str){ plain, (size_t)n }, "message",
			STR(""), e) < 0)
			return -1;
		if (f->ws.left == 0)
			spotted_end(&f->spotted, "message");
	}
	return 0;
}

bool
filter_has(const struct filter *f, struct str name)
{
	for (uint32_t k = 0; k < f->n; k++) {
		if (name.n == 0 || str_eq(f->secrets[k].name, name))
			return true;
	}
	return false;
}

void
filter_report(const struct filter *f, struct buf *out)
{
	uint64_t scrubbed = 0;

	if (f->page != NULL &&
	    (f->page->hidden_bytes > 0 || f->page->shapeless > 0)) {
		buf_add_c(out, ",\"hidden\":");
		buf_add_u64(out, f->page->hidden_bytes + f->page->shapeless);
		buf_add_c(out, ",\"hidden_text\":");
		json_put_str(out, buf_str(&f->page->hidden));
	}
	if (f->leaked) {
		buf_printf(out, ",\"leaks\":[{\"form\":\"%s\",\"name\":",
		    leak_form_name(f->hit.form));
		json_put_str(out, str_of(f->watch->names[f->hit.print]));
		buf_add_c(out, ",\"place\":");
		json_put_str(out, str_of(f->place));
		buf_add_c(out, "}]");
	}
	if (!f->leaked) /* else it was stopped */
		spotted_write(&f->spotted, out);
	for (uint32_t k = 0; k < f->n; k++)
		scrubbed += f->scrubbed[k];
	scrubbed += f->hide.hits;
	if (scrubbed > 0) {
		buf_add_c(out, ",\"scrubbed\":");
		buf_add_u64(out, scrubbed);
	}
	names_write(out, "secrets", f, f->used);
}

static int
secret_take(struct filter *f, const struct json *v, struct err *e)
{
	struct str text = json_str(json_get(v, STR("value")));
	own_buf struct buf raw = { .max = SCAN_MAX_WORD_BYTES + 1 };
	struct secret s = {
		.name = json_str(json_get(v, STR("name"))),
		.placeholder = json_str(json_get(v, STR("placeholder"))),
		.header = json_str(json_get(v, STR("header"))),
		.query = json_str(json_get(v, STR("query"))),
		.format = json_str(json_get(v, STR("format"))),
		.access_key = json_str(
		    json_at(v, "sigv4", "access_key", (const char *)NULL)),
		.body = json_bool(json_get(v, STR("body")), false),
	};
	int rc;

	if (f->n == SCAN_MAX_WORDS || s.format.n > FORMAT_BYTES)
		return err_set(e, "too many secrets");
	/* All at once: growing would leave copies behind. */
	(void)buf_reserve(&raw, SCAN_MAX_WORD_BYTES);
	rc = base64_decode(&raw, text, BASE64_STANDARD, e);
	if (rc == 0)
		s.value = locked_copy(&f->mem, buf_str(&raw));
	if (raw.p != NULL)
		explicit_bzero(raw.p, raw.cap);
	if (rc < 0)
		return err_add(e, "a secret's value");
	s.name = locked_copy(&f->mem, s.name);
	s.placeholder = locked_copy(&f->mem, s.placeholder);
	s.header = locked_copy(&f->mem, s.header);
	s.query = locked_copy(&f->mem, s.query);
	s.format = locked_copy(&f->mem, s.format);
	s.access_key = locked_copy(&f->mem, s.access_key);
	if (s.value.p == NULL || s.access_key.p == NULL)
		return err_set(e, "no memory for secrets");
	if (s.body && s.value.n != s.placeholder.n)
		return err_set(e,
		    "%.*s is too short to be put in a body: at least %d bytes",
		    STR_FMT(s.name), SECRET_MIN_BODY_BYTES);
	f->secrets[f->n] = s;
	f->values[f->n] = s.value;
	f->fakes[f->n] = s.placeholder;
	f->n++;
	return 0;
}

static int
scans_make(struct filter *f, struct err *e)
{
	bool body = false;

	for (uint32_t k = 0; k < f->n; k++)
		body = body || f->secrets[k].body;
	if (f->n > 0) {
		f->back = (struct swap){
			.scan = scan_make(f, f->values, f->n, SCAN_ALL),
			.to = f->fakes,
			.hits = f->scrubbed,
		};
		if (f->back.scan == NULL)
			return err_set(e, "a secret is too short or too long");
	}
	if (body) {
		struct str fakes[SCAN_MAX_WORDS] = {};

		/* Those that may not be in a body are replaced by themselves,
		 * so that both lists stay in step. */
		for (uint32_t k = 0; k < f->n; k++) {
			fakes[k] = f->fakes[k];
			if (!f->secrets[k].body)
				f->values[k] = f->fakes[k];
		}
		f->out = (struct swap){
			.scan = scan_make(f, fakes, f->n, SCAN_PLAIN),
			.to = f->values,
			.hits = f->used,
		};
		if (f->out.scan == NULL)
			return err_set(e, "a placeholder is too short");
	}
	return 0;
}

static struct scan *
scan_make(struct filter *f, const struct str *words, size_t n, unsigned forms)
{
	struct scan_word list[SCAN_MAX_WORDS];
	void *mem;

	for (size_t i = 0; i < n; i++)
		list[i] = (struct scan_word){ words[i], forms };
	mem = locked_alloc(&f->mem, scan_need(list, n));
	return mem == NULL ? NULL : scan_new(mem, list, n);
}

/* Bytes for all that a filter of these secrets will ever hold. */
static size_t
room(const struct json *secrets)
{
	size_t n = sizeof(struct filter) + 64 + FILTER_HEAD_BYTES;
	struct scan_word list[SCAN_MAX_WORDS];
	size_t words = 0;

	for (const struct json *v = json_first(secrets); v != NULL;
	     v = json_next(secrets, v)) {
		struct str value = json_str(json_get(v, STR("value")));

		/* base64 is longer than what it stands for. */
		n += value.n + v->skip * 16;
		for (const struct json *k = json_first(v); k != NULL;
		     k = json_next(v, k))
			n += json_str(json_value(k)).n + 32;
		if (words < SCAN_MAX_WORDS)
			list[words++] = (struct scan_word){ value, SCAN_ALL };
	}
	/* Two automatons: placeholders, secrets. */
	return n + 2 * scan_need(list, words) + 64;
}

/* Names of fields, too: the agent chooses them as it likes. */
static int
head_search(struct filter *f, const struct http1_head *h, struct err *e)
{
	if (f->leaks == NULL)
		return 0;
	if (search_whole(f, h->target, "target", STR(""), e) < 0 ||
	    fields_search(f, h, "header name", "header ", e) < 0)
		return -1;
	return search_whole(f, h->method, "method", STR(""), e);
}

static int
fields_search(struct filter *f, const struct http1_head *h, const char *what,
    const char *of, struct err *e)
{
	for (uint32_t i = 0; i < h->n; i++) {
		if (search_whole(f, h->field[i].name, what, STR(""), e) < 0 ||
		    search_whole(
			f, h->field[i].value, of, h->field[i].name, e) < 0)
			return -1;
	}
	return 0;
}

static int
search_whole(struct filter *f, struct str s, const char *place, struct str of,
    struct err *e)
{
	int rc = search(f, s, place, of, e);

	leak_stream_reset(f->leaks);
	spotted_end(&f->spotted, f->place);
	return rc;
}

/* What is compressed is searched unpacked. */
static int
body_search(struct filter *f, struct str bytes, bool last, struct err *e)
{
	int rc;

	if (f->leaks == NULL)
		return 0;
	if (f->unpack != NULL)
		rc = decode_feed(f->unpack, bytes, search_unpacked, f, e);
	else
		rc = search(f, bytes, "body", STR(""), e);
	if (last) {
		leak_stream_reset(f->leaks);
		spotted_end(&f->spotted, "body");
	}
	return rc;
}

static int
search_unpacked(void *arg, struct str bytes, struct err *e)
{
	return search(arg, bytes, "body", STR(""), e);
}

static int
search(struct filter *f, struct str s, const char *place, struct str of,
    struct err *e)
{
	if (f->leaked)
		return err_set(e, "nothing follows what must not go out");
	(void)snprintf(f->place, sizeof(f->place), "%s%.*s", place,
	    (int)(of.n < 64 ? of.n : 64), of.p);
	if (!leak_stream_feed(f->leaks, s, &f->hit)) {
		spotted_feed(&f->spotted, s, f->place);
		return 0;
	}
	f->leaked = true;
	return err_set(e, "%s must not go out (found in the %s, %s)",
	    f->watch->names[f->hit.print], f->place,
	    leak_form_name(f->hit.form));
}

/* One coding that can be unpacked, or none. */
static int
coding_take(struct filter *f, const struct http1_head *h, struct err *e)
{
	const struct str *coding = http1_get(h, STR("content-encoding"));

	if (f->leaks == NULL || coding == NULL || h->body == HTTP1_BODY_NONE)
		return 0;
	if (http1_count(h, STR("content-encoding")) > 1)
		return err_set(
		    e, "a body with two content encodings cannot be searched");
	if (str_eq_nocase(*coding, STR("identity")) || coding->n == 0)
		return 0;
	f->unpack = decode_new(*coding);
	return f->unpack != NULL
	    ? 0
	    : err_set(e,
		  "a body with the content encoding \"%.*s\" cannot be "
		  "searched; gzip, deflate and zstd can",
		  (int)(coding->n < 40 ? coding->n : 40), coding->p);
}

/*
 * What the server may send is what can be unpacked here: of the client's list
 * the rest is left out, and nothing of it is left out when that is all.
 */
static void
codings_keep(struct filter *f, struct http1_head *h)
{
	for (uint32_t i = 0; i < h->n; i++) {
		struct str rest = h->field[i].value;
		own_buf struct buf kept = {};
		char *p;

		if (!str_eq_nocase(h->field[i].name, STR("accept-encoding")))
			continue;
		while (rest.n > 0) {
			struct str one = { rest.p, str_find(rest, ',') };
			struct str name =
			    str_trim((struct str){ one.p, str_find(one, ';') });

			if (decode_knows(name) ||
			    str_eq_nocase(name, STR("identity"))) {
				buf_add_c(&kept, kept.n > 0 ? ", " : "");
				buf_add_str(&kept, str_trim(one));
			}
			rest.p += one.n;
			rest.n -= one.n;
			if (rest.n > 0) {
				rest.p++;
				rest.n--;
			}
		}
		if (kept.n == 0)
			buf_add_c(&kept, "identity");
		p = arena_copy(&f->fields, buf_str(&kept));
		must(p != NULL);
		h->field[i].value = (struct str){ p, kept.n };
	}
}

/* In the field as it is, or in what Basic credentials stand for. */
static int
field_swap(struct filter *f, struct secret *s, uint64_t *used,
    struct str *value, struct err *e)
{
	static const struct str basic = { "Basic ", 6 };
	own_buf struct buf plain = { .max = HTTP_MAX_LINE_BYTES };
	own_buf struct buf coded = { .max = 2 * HTTP_MAX_LINE_BYTES };
	struct str swapped;
	struct err ignored;
	uint64_t hits = 0;
	int rc;

	if (value->n <= basic.n ||
	    !str_eq_nocase((struct str){ value->p, basic.n }, basic))
		return replace(
		    f, *value, s->placeholder, s->value, value, used, e);
	if (base64_decode(&plain,
		(struct str){ value->p + basic.n, value->n - basic.n },
		BASE64_STANDARD, &ignored) < 0)
		return 0; /* no credentials: goes out as it is */
	rc = replace(
	    f, buf_str(&plain), s->placeholder, s->value, &swapped, &hits, e);
	if (rc < 0 || hits == 0)
		return rc;
	*used += hits;
	(void)buf_reserve(&coded, 2 * swapped.n + 16);
	buf_add_str(&coded, basic);
	base64_encode(&coded, swapped, BASE64_STANDARD);
	*value = locked_copy(&f->mem, buf_str(&coded));
	if (coded.p != NULL)
		explicit_bzero(coded.p, coded.cap);
	return value->p == NULL || coded.failed
	    ? err_set(e, "a head is too long to be changed")
	    : 0;
}

/* The value of one parameter only; what is not unreserved is encoded. */
static int
query_swap(struct filter *f, struct secret *s, uint64_t *used,
    struct str *target, struct err *e)
{
	static const char digits[] = "0123456789ABCDEF";
	static const char plain[] = "-._~";
	size_t at = str_find(*target, '?') + 1;
	char *coded = locked_alloc(&f->mem, 3 * s->value.n + 1);
	size_t n = 0;

	if (coded == NULL)
		return err_set(e, "a head is too long to be changed");
	for (size_t i = 0; i < s->value.n; i++) {
		uint8_t c = (uint8_t)s->value.p[i];

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z') ||
		    (c != '\0' && strchr(plain, c) != NULL)) {
			coded[n++] = (char)c;
		} else {
			coded[n++] = '%';
			coded[n++] = digits[c >> 4];
			coded[n++] = digits[c & 15];
		}
	}
	while (at < target->n) {
		struct str rest = { target->p + at, target->n - at };
		struct str one = { rest.p, str_find(rest, '&') };
		size_t eq = str_find(one, '=');
		struct str value = { one.p + eq + 1, one.n - eq - 1 };
		struct str swapped, whole;
		uint64_t hits = 0;
		char *p;

		at += one.n + 1;
		if (eq == one.n || !str_eq((struct str){ one.p, eq }, s->query))
			continue;
		if (replace(f, value, s->placeholder, (struct str){ coded, n },
			&swapped, &hits, e) < 0)
			return -1;
		if (hits == 0)
			continue;
		*used += hits;
		whole.n = target->n - value.n + swapped.n;
		p = locked_alloc(&f->mem, whole.n + 1);
		if (p == NULL)
			return err_set(e, "a head is too long to be changed");
		memcpy(p, target->p, (size_t)(value.p - target->p));
		memcpy(p + (value.p - target->p), swapped.p, swapped.n);
		memcpy(p + (value.p - target->p) + swapped.n, value.p + value.n,
		    target->n - (size_t)(value.p - target->p) - value.n);
		whole.p = p;
		at = (size_t)(value.p - target->p) + swapped.n + 1;
		*target = whole;
	}
	return 0;
}

/* *out is `in` itself when nothing is replaced. */
static int
replace(struct filter *f, struct str in, struct str from, struct str to,
    struct str *out, uint64_t *hits, struct err *e)
{
	size_t found = 0, n = 0;
	char *p;

	for (size_t i = 0; i + from.n <= in.n; i++) {
		if (memcmp(in.p + i, from.p, from.n) == 0) {
			found++;
			i += from.n - 1;
		}
	}
	*out = in;
	if (found == 0)
		return 0;
	p = locked_alloc(&f->mem, in.n + found * to.n + 1);
	if (p == NULL)
		return err_set(e, "a head is too long to be changed");
	for (size_t i = 0; i < in.n;) {
		if (i + from.n <= in.n &&
		    memcmp(in.p + i, from.p, from.n) == 0) {
			memcpy(p + n, to.p, to.n);
			n += to.n;
			i += from.n;
		} else {
			p[n++] = in.p[i++];
		}
	}
	*hits += found;
	*out = (struct str){ p, n };
	return 0;
}

static void
names_write(struct buf *out, const char *member, const struct filter *f,
    const uint64_t *counts)
{
	size_t n = 0;

	for (uint32_t k = 0; k < f->n; k++) {
		if (counts[k] == 0)
			continue;
		if (n++ == 0)
			buf_printf(out, ",\"%s\":[", member);
		else
			buf_add_byte(out, ',');
		json_put_str(out, f->secrets[k].name);
	}
	if (n > 0)
		buf_add_byte(out, ']');
}
