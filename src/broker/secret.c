#include "broker/secret.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "core/egress.h"
#include "core/leak.h"
#include "sys/locked.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { RUN_PART = 8, CANARY_BYTES = 64 };

struct secret {
	struct buf name, placeholder;
	struct buf header, format, query, access_key;
	bool body;
	struct locked mem; /* p is NULL once it was wiped */
	struct str value; /* in mem */
	int64_t since_ns, used_ns;
	int64_t expires_ns; /* 0: never */
	uint64_t uses;
	enum secret_state state;
	struct leak_print print; /* stays when the value is wiped */
};

struct secrets {
	char run[RUN_PART + 1];
	struct leak_key key;
	struct leak_set *leaks;
	uint32_t n;
	struct secret list[SECRETS_PER_RUN_MAX];
};

static struct secret *find(const struct secrets *s, struct str name);
static int value_check(struct str name, struct str value,
    const struct secret_use *use, struct err *e);
static int value_keep(struct secrets *s, struct secret *one, struct str name,
    struct str value, struct err *e);
static void look_for(struct secrets *s);
static bool host_tells(struct str host, struct str value);
static bool has(struct str text, const char *word, size_t n);
static size_t name_fold(struct str s, char out[static HOST_BYTES]);
static int canary_make(struct str kind, char text[static CANARY_BYTES],
    struct str *value, struct err *e);
static int random_of(const char *of, size_t many, char *out, size_t n);
static uint64_t seconds(int64_t ns);
static int placeholder_make(
    const struct secrets *s, struct secret *one, struct err *e);
static void wipe(struct secret *one, enum secret_state state);
static void secret_fini(struct secret *one);
static void put(struct buf *out, const char *member, const struct buf *text);

struct secrets *
secrets_new(struct str run)
{
	struct secrets *s = calloc(1, sizeof(*s));

	struct hash key;

	if (s == NULL)
		return NULL;
	must(RAND_bytes(key.b, sizeof(key.b)) == 1);
	leak_key_init(&s->key, &key);
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
	leak_set_free(s->leaks);
	explicit_bzero(&s->key, sizeof(s->key));
	free(s);
}

int
secrets_add(struct secrets *s, struct str name, struct str value,
    const struct secret_use *use, int64_t now_ns, int64_t expires_ns,
    struct err *e)
{
	struct secret *one;

	if (s->n == SECRETS_PER_RUN_MAX)
		return err_set(e, "more than %d secrets", SECRETS_PER_RUN_MAX);
	if (find(s, name) != NULL)
		return err_set(
		    e, "secret %.*s is there already", STR_FMT(name));
	if (value_check(name, value, use, e) < 0)
		return -1;
	one = &s->list[s->n];
	if (value_keep(s, one, name, value, e) < 0)
		return -1;
	one->body = use->body;
	one->since_ns = now_ns;
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
	look_for(s);
	return 0;
}

int
secrets_add_canary(
    struct secrets *s, struct str name, struct str kind, struct err *e)
{
	static const struct secret_use nowhere;
	char text[CANARY_BYTES];
	struct str value = {};

	if (canary_make(kind, text, &value, e) < 0 ||
	    secrets_add(s, name, value, &nowhere, 0, 0, e) < 0)
		return -1;
	/* The bait itself is what the sandbox has. */
	buf_reset(&s->list[s->n - 1].placeholder);
	buf_add_str(&s->list[s->n - 1].placeholder, value);
	s->list[s->n - 1].state = SECRET_BAIT;
	return 0;
}

int
secrets_renew(struct secrets *s, struct str name, struct str value,
    int64_t now_ns, int64_t expires_ns, struct err *e)
{
	struct secret *one = find(s, name);
	struct secret_use use;

	if (one == NULL || one->state != SECRET_EXPIRED)
		return err_set(e, "secret %.*s is %s", STR_FMT(name),
		    secret_state_name(
			one == NULL ? SECRET_UNKNOWN : one->state));
	use = (struct secret_use){ buf_str(&one->header), buf_str(&one->format),
		buf_str(&one->query), buf_str(&one->access_key), one->body };
	if (value_check(name, value, &use, e) < 0)
		return -1;
	if (one->body && value.n != one->placeholder.n)
		return err_set(e,
		    "secret %.*s is another length than before: one that is "
		    "put "
		    "into bodies must not be",
		    STR_FMT(name));
	if (value_keep(s, one, name, value, e) < 0)
		return -1;
	one->since_ns = now_ns;
	one->expires_ns = expires_ns;
	one->state = SECRET_READY;
	look_for(s);
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

	enum secret_state state = secrets_state(s, name, now_ns);

	if (one == NULL || state != SECRET_READY)
		return state;
	one->uses++;
	one->used_ns = now_ns;
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

enum secret_state
secrets_state(struct secrets *s, struct str name, int64_t now_ns)
{
	struct secret *one = find(s, name);

	if (one == NULL)
		return SECRET_UNKNOWN;
	if (one->state == SECRET_READY && one->expires_ns != 0 &&
	    now_ns >= one->expires_ns)
		wipe(one, SECRET_EXPIRED);
	return one->state;
}

int64_t
secrets_expire(struct secrets *s, int64_t now_ns)
{
	int64_t next = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		struct secret *one = &s->list[i];

		if (secrets_state(s, buf_str(&one->name), now_ns) !=
			SECRET_READY ||
		    one->expires_ns == 0)
			continue;
		if (next == 0 || one->expires_ns < next)
			next = one->expires_ns;
	}
	return next;
}

struct str
secrets_in_host(const struct secrets *s, struct str host)
{
	char in[HOST_BYTES];
	size_t n = name_fold(host, in);

	for (uint32_t i = 0; i < s->n; i++) {
		const struct secret *one = &s->list[i];

		if (one->value.n > 0 && one->value.n <= HOST_BYTES &&
		    host_tells((struct str){ in, n }, one->value))
			return buf_str(&one->name);
	}
	return (struct str){ NULL, 0 };
}

struct leak_set *
secrets_leaks(const struct secrets *s)
{
	return s->leaks;
}

struct str
secrets_name(const struct secrets *s, uint32_t i)
{
	must(i < s->n);
	return buf_str(&s->list[i].name);
}

uint32_t
secrets_count(const struct secrets *s)
{
	return (uint32_t)s->n;
}

void
secrets_write_prints(const struct secrets *s, struct buf *out)
{
	char hex[HASH_HEX_BYTES];

	hash_hex(&s->key.secret, hex);
	buf_printf(out, "{\"key\":\"%s\",\"words\":[", hex);
	for (uint32_t i = 0; i < s->n; i++) {
		const struct secret *one = &s->list[i];

		hash_hex(&one->print.digest, hex);
		buf_printf(out, "%s{\"bytes\":%u,\"digest\":\"%s\",\"head\":%u",
		    i > 0 ? "," : "", one->print.bytes, hex, one->print.head);
		buf_add_c(out, ",\"name\":");
		json_put_str(out, buf_str(&one->name));
		if (one->state != SECRET_BAIT) {
			buf_add_c(out, ",\"placeholder\":");
			json_put_str(out, buf_str(&one->placeholder));
		}
		buf_printf(out, ",\"tail\":%u}", one->print.tail);
	}
	buf_add_c(out, "]}");
	explicit_bzero(hex, sizeof(hex));
}

struct secret_facts
secrets_facts(struct secrets *s, struct str name, int64_t now_ns)
{
	struct secret_facts out = { .state = secrets_state(s, name, now_ns) };
	const struct secret *one = find(s, name);

	if (one == NULL)
		return out;
	out.uses = one->uses;
	out.age_s = seconds(now_ns - one->since_ns);
	if (one->state == SECRET_READY && one->expires_ns != 0)
		out.expires_s = seconds(one->expires_ns - now_ns) + 1;
	out.unused_s =
	    one->uses > 0 ? (int64_t)seconds(now_ns - one->used_ns) : -1;
	return out;
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
	case SECRET_BAIT:
		return "canary";
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

static int
value_check(struct str name, struct str value, const struct secret_use *use,
    struct err *e)
{
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
	return 0;
}

static int
value_keep(struct secrets *s, struct secret *one, struct str name,
    struct str value, struct err *e)
{
	if (locked_init(&one->mem, value.n + 1, e) < 0)
		return err_add(e, "secret %.*s", STR_FMT(name));
	one->value = locked_copy(&one->mem, value);
	must(one->value.p != NULL);
	leak_print_of(&s->key, value, &one->print);
	return 0;
}

static void
look_for(struct secrets *s)
{
	struct leak_print prints[SECRETS_PER_RUN_MAX];

	for (uint32_t i = 0; i < s->n; i++)
		prints[i] = s->list[i].print;
	leak_set_free(s->leaks);
	s->leaks = leak_set_new(&s->key.secret, prints, s->n);
	must(s->leaks != NULL);
}

static bool
host_tells(struct str host, struct str value)
{
	static const char digits[] = "0123456789abcdef";
	char w[HOST_BYTES], hex[2 * HOST_BYTES];
	size_t n = name_fold(value, w);
	bool found;

	for (size_t i = 0; i < value.n; i++) {
		hex[2 * i] = digits[(uint8_t)value.p[i] >> 4];
		hex[2 * i + 1] = digits[(uint8_t)value.p[i] & 15];
	}
	found = has(host, hex, 2 * value.n) || has(host, w, n);
	for (size_t i = 0; i < n / 2; i++) {
		char c = w[i];

		w[i] = w[n - 1 - i];
		w[n - 1 - i] = c;
	}
	found = found || has(host, w, n);
	explicit_bzero(w, sizeof(w));
	explicit_bzero(hex, sizeof(hex));
	return found;
}

/* Less than this is in many names. */
static bool
has(struct str text, const char *word, size_t n)
{
	return n >= SCAN_MIN_WORD_BYTES && n <= text.n &&
	    memmem(text.p, text.n, word, n) != NULL;
}

/* Letters and digits alone, in lower case. s has at most HOST_BYTES. */
static size_t
name_fold(struct str s, char out[static HOST_BYTES])
{
	size_t n = 0;

	for (size_t i = 0; i < s.n && n < HOST_BYTES; i++) {
		char c = s.p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c + 32);
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			out[n++] = c;
	}
	return n;
}

/* What looks like the credential that thieves look for first. */
static int
canary_make(struct str kind, char text[static CANARY_BYTES], struct str *value,
    struct err *e)
{
	static const char any[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	static const struct {
		const char *kind, *before;
		size_t random, letters; /* how many, of the first of `any` */
	} rows[] = {
		{ "aws", "", 40, 62 },
		{ "github", "ghp_", 36, 62 },
		{ "hex", "", 40, 0 },
		{ "openai", "sk-proj-", 48, 62 },
		{ "slack", "xoxb-", 44, 62 },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t n = strlen(rows[i].before);
		const char *of = rows[i].letters > 0 ? any : "0123456789abcdef";
		size_t many = rows[i].letters > 0 ? rows[i].letters : 16;

		if (!str_eq_c(kind, rows[i].kind))
			continue;
		memcpy(text, rows[i].before, n);
		if (random_of(of, many, text + n, rows[i].random) < 0)
			return err_set(e, "no random numbers");
		*value = (struct str){ text, n + rows[i].random };
		return 0;
	}
	return err_set(e, "no canary of kind %.*s", STR_FMT(kind));
}

/* n characters, all of them alike; at most 64 are to be chosen from. */
static int
random_of(const char *of, size_t many, char *out, size_t n)
{
	size_t done = 0;

	while (done < n) {
		uint8_t random[64];

		if (RAND_bytes(random, sizeof(random)) != 1)
			return -1;
		for (size_t i = 0; i < sizeof(random) && done < n; i++) {
			if (random[i] < 256 / many * many)
				out[done++] = of[random[i] % many];
		}
	}
	return 0;
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
	char *at;

	buf_printf(&one->placeholder, "pdk_%s_", s->run);
	if (one->placeholder.failed || one->placeholder.n >= n)
		return one->placeholder.failed ? -1 : 0;
	n -= one->placeholder.n;
	at = buf_reserve(&one->placeholder, n);
	if (at == NULL || random_of(letters, 62, at, n) < 0)
		return err_set(e, "no random numbers");
	one->placeholder.n += n;
	return 0;
}

static uint64_t
seconds(int64_t ns)
{
	return ns > 0 ? (uint64_t)ns / 1000000000 : 0;
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
