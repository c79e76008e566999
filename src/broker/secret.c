#include "broker/secret.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "sys/locked.h"

enum { RUN_PART = 8 };

struct secret {
	struct buf name, placeholder;
	struct buf header, format, query, access_key;
	bool body;
	struct locked mem; /* p is NULL once it was wiped */
	struct str value; /* in mem */
	int64_t expires_ns; /* 0: never */
	uint64_t uses;
	enum secret_state state;
};

struct secrets {
	char run[RUN_PART + 1];
	uint32_t n;
	struct secret list[SECRETS_PER_RUN_MAX];
};

static struct secret *find(const struct secrets *s, struct str name);
static int placeholder_make(
    const struct secrets *s, struct secret *one, struct err *e);
static void wipe(struct secret *one, enum secret_state state);
static void secret_fini(struct secret *one);
static void put(struct buf *out, const char *member, const struct buf *text);

struct secrets *
secrets_new(struct str run)
{
	struct secrets *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	memset(s->run, '0', RUN_PART);
	/* The end of an identifier differs most. */
	for (size_t i = 0, k = RUN_PART; i < run.n && k > 0; i++) {
		char c = run.p[run.n - 1 - i];

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z'))
			s->run[--k] = c;
	}
	return s;
}

void
secrets_free(struct secrets *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->n; i++)
		secret_fini(&s->list[i]);
	free(s);
}

int
secrets_add(struct secrets *s, struct str name, struct str value,
    const struct secret_use *use, int64_t expires_ns, struct err *e)
{
	struct secret *one;

	if (s->n == SECRETS_PER_RUN_MAX)
		return err_set(e, "more than %d secrets", SECRETS_PER_RUN_MAX);
	if (find(s, name) != NULL)
		return err_set(
		    e, "secret %.*s is there already", STR_FMT(name));
	if (value.n < SCAN_MIN_WORD_BYTES || value.n > SCAN_MAX_WORD_BYTES)
		return err_set(e,
		    "secret %.*s has %zu bytes: it must have %d to %d, so that "
		    "it can be told from other text",
		    STR_FMT(name), value.n, SCAN_MIN_WORD_BYTES,
		    SCAN_MAX_WORD_BYTES);
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];
		bool line = c == '\n' || c == '\r' || c == '\t';

		/* A line end in a field would be the next field. */
		if ((c < 0x20 || c > 0x7e) &&
		    (!line || use->header.n > 0 || use->query.n > 0))
			return err_set(e,
			    "secret %.*s has a byte that is not printable "
			    "ASCII at %zu",
			    STR_FMT(name), i);
	}
	if (use->body && value.n < SECRET_MIN_BODY_BYTES)
		return err_set(e,
		    "secret %.*s has %zu bytes: one that is put into bodies "
		    "must have %d",
		    STR_FMT(name), value.n, SECRET_MIN_BODY_BYTES);
	one = &s->list[s->n];
	if (locked_init(&one->mem, value.n + 1, e) < 0)
		return err_add(e, "secret %.*s", STR_FMT(name));
	one->value = locked_copy(&one->mem, value);
	must(one->value.p != NULL);
	one->body = use->body;
	one->expires_ns = expires_ns;
	buf_add_str(&one->name, name);
	buf_add_str(&one->header, use->header);
	buf_add_str(&one->format, use->format);
	buf_add_str(&one->query, use->query);
	buf_add_str(&one->access_key, use->access_key);
	if (placeholder_make(s, one, e) < 0 || one->name.failed ||
	    one->header.failed || one->format.failed || one->query.failed ||
	    one->access_key.failed) {
		secret_fini(one);
		return err_set(e, "no memory for secret %.*s", STR_FMT(name));
	}
	s->n++;
	return 0;
}

struct str
secrets_placeholder(const struct secrets *s, struct str name)
{
	const struct secret *one = find(s, name);

	return one == NULL ? (struct str){ NULL, 0 }
			   : buf_str(&one->placeholder);
}

size_t
secrets_grant_bytes(const struct secrets *s)
{
	size_t n = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		const struct secret *one = &s->list[i];

		/* A text of JSON is at most six times as long. */
		n += 256 + one->value.n / 3 * 4 + 4 + one->placeholder.n +
		    6 *
			(one->name.n + one->header.n + one->format.n +
			    one->query.n + one->access_key.n);
	}
	return n;
}

enum secret_state
secrets_grant(
    struct secrets *s, struct str name, int64_t now_ns, struct buf *out)
{
	struct secret *one = find(s, name);

	if (one == NULL)
		return SECRET_UNKNOWN;
	if (one->state == SECRET_READY && one->expires_ns != 0 &&
	    now_ns >= one->expires_ns)
		wipe(one, SECRET_EXPIRED);
	if (one->state != SECRET_READY)
		return one->state;
	one->uses++;
	buf_add_c(out, "{\"name\":");
	json_put_str(out, name);
	put(out, "placeholder", &one->placeholder);
	put(out, "header", &one->header);
	put(out, "format", &one->format);
	put(out, "query", &one->query);
	if (one->body)
		buf_add_c(out, ",\"body\":true");
	if (one->access_key.n > 0) {
		buf_add_c(out, ",\"sigv4\":{\"access_key\":");
		json_put_str(out, buf_str(&one->access_key));
		buf_add_byte(out, '}');
	}
	buf_add_c(out, ",\"value\":\"");
	base64_encode(out, one->value, BASE64_STANDARD);
	buf_add_c(out, "\"}");
	return SECRET_READY;
}

bool
secrets_revoke(struct secrets *s, struct str name)
{
	struct secret *one = find(s, name);

	if (one == NULL)
		return false;
	wipe(one, SECRET_REVOKED);
	return true;
}

int64_t
secrets_expire(struct secrets *s, int64_t now_ns)
{
	int64_t next = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		struct secret *one = &s->list[i];

		if (one->state != SECRET_READY || one->expires_ns == 0)
			continue;
		if (now_ns >= one->expires_ns)
			wipe(one, SECRET_EXPIRED);
		else if (next == 0 || one->expires_ns < next)
			next = one->expires_ns;
	}
	return next;
}

void
secrets_write(const struct secrets *s, struct buf *out)
{
	buf_add_byte(out, '[');
	for (uint32_t i = 0; i < s->n; i++) {
		const struct secret *one = &s->list[i];

		buf_add_c(out, i > 0 ? ",{\"name\":" : "{\"name\":");
		json_put_str(out, buf_str(&one->name));
		buf_printf(out, ",\"state\":\"%s\",\"uses\":",
		    secret_state_name(one->state));
		buf_add_u64(out, one->uses);
		buf_add_byte(out, '}');
	}
	buf_add_byte(out, ']');
}

const char *
secret_state_name(enum secret_state state)
{
	switch (state) {
	case SECRET_READY:
		return "ready";
	case SECRET_EXPIRED:
		return "expired";
	case SECRET_REVOKED:
		return "revoked";
	case SECRET_UNKNOWN:
		return "unknown";
	}
	must(false);
}

static struct secret *
find(const struct secrets *s, struct str name)
{
	for (uint32_t i = 0; i < s->n; i++) {
		if (str_eq(buf_str(&s->list[i].name), name)) {
			struct secrets *own = (struct secrets *)(uintptr_t)s;

			return &own->list[i];
		}
	}
	return NULL;
}

/* Letters and digits, so that no encoding changes it. */
static int
placeholder_make(const struct secrets *s, struct secret *one, struct err *e)
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t n = one->value.n < SECRET_MIN_BODY_BYTES
	    ? (size_t)SECRET_MIN_BODY_BYTES
	    : one->value.n;

	buf_printf(&one->placeholder, "pdk_%s_", s->run);
	while (!one->placeholder.failed && one->placeholder.n < n) {
		uint8_t random[64];

		if (RAND_bytes(random, sizeof(random)) != 1)
			return err_set(e, "no random numbers");
		for (size_t i = 0; i < sizeof(random) && one->placeholder.n < n;
		     i++) {
			/* All alike: 248 is 4 times 62. */
			if (random[i] < 248)
				buf_add_byte(
				    &one->placeholder, letters[random[i] % 62]);
		}
	}
	return one->placeholder.failed ? -1 : 0;
}

static void
wipe(struct secret *one, enum secret_state state)
{
	locked_fini(&one->mem);
	one->value = (struct str){ NULL, 0 };
	one->state = state;
}

static void
secret_fini(struct secret *one)
{
	locked_fini(&one->mem);
	buf_fini(&one->name);
	buf_fini(&one->placeholder);
	buf_fini(&one->header);
	buf_fini(&one->format);
	buf_fini(&one->query);
	buf_fini(&one->access_key);
	*one = (struct secret){};
}

static void
put(struct buf *out, const char *member, const struct buf *text)
{
	if (text->n == 0)
		return;
	buf_printf(out, ",\"%s\":", member);
	json_put_str(out, buf_str(text));
}
