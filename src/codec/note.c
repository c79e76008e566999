#include "codec/note.h"

#include <stdio.h>
#include <string.h>

#include "codec/base64.h"

enum { ED25519 = 1, KEY_ID_BYTES = 4 };

#define SECRET "PRIVATE+KEY+"
#define NEXT "next key after "
#define DASH "\xe2\x80\x94 " /* U+2014 and a space */

static void key_id(const struct note_key *k, uint8_t out[static KEY_ID_BYTES]);
static void put_key(struct buf *out, const struct note_key *k,
    const uint8_t bytes[static SIGN_KEY_BYTES]);
static int take_key(struct str text, struct note_key *out,
    uint8_t bytes[static SIGN_KEY_BYTES], struct str *id, struct err *e);
static int check_id(const struct note_key *k, struct str id, struct err *e);
static void put_signature(struct buf *out, const struct note_key *k,
    const uint8_t secret[static SIGN_KEY_BYTES], struct str text);
static struct str chomp(struct str text);
static bool name_ok(struct str name);
static bool line(struct str *text, struct str *out);
static bool take_root(struct str text, struct hash *out);
static bool take_signature(struct str line, struct note *n);

void
note_key_write(struct buf *out, const struct note_key *k)
{
	put_key(out, k, k->key);
}

int
note_key_parse(struct str text, struct note_key *out, struct err *e)
{
	struct str id = {};

	if (take_key(chomp(text), out, out->key, &id, e) < 0)
		return -1;
	return check_id(out, id, e);
}

void
note_secret_write(struct buf *out, const struct note_key *k,
    const uint8_t secret[static SIGN_KEY_BYTES])
{
	buf_add_c(out, SECRET);
	put_key(out, k, secret);
}

int
note_secret_parse(struct str text, struct note_key *out,
    uint8_t secret[static SIGN_KEY_BYTES], struct err *e)
{
	const size_t head = sizeof(SECRET) - 1;
	struct str id = {};

	text = chomp(text);
	if (!str_starts(text, STR(SECRET)))
		return err_set(e, "it does not begin with " SECRET);
	text = (struct str){ text.p + head, text.n - head };
	if (take_key(text, out, secret, &id, e) < 0)
		return -1;
	sign_public(secret, out->key);
	return check_id(out, id, e);
}

void
note_write(struct buf *out, const struct note_key *k,
    const uint8_t secret[static SIGN_KEY_BYTES], uint64_t size,
    const struct hash *root)
{
	size_t from = out->n;

	buf_printf(out, "%s\n%llu\n", k->name, (unsigned long long)size);
	base64_encode(out, (struct str){ (const char *)root->b, HASH_BYTES },
	    BASE64_STANDARD);
	buf_add_byte(out, '\n');
	if (out->failed)
		return;
	own_buf struct buf text = {};

	buf_add(&text, out->p + from, out->n - from);
	buf_add_byte(out, '\n');
	put_signature(out, k, secret, buf_str(&text));
}

void
note_next_write(struct buf *out, const struct note_key *old,
    const uint8_t old_secret[static SIGN_KEY_BYTES],
    const struct note_key *next,
    const uint8_t next_secret[static SIGN_KEY_BYTES], uint64_t size)
{
	own_buf struct buf text = {};

	buf_printf(
	    &text, "%s\n" NEXT "%llu\n", old->name, (unsigned long long)size);
	note_key_write(&text, next);
	buf_add_byte(&text, '\n');
	buf_add_str(out, buf_str(&text));
	buf_add_byte(out, '\n');
	put_signature(out, old, old_secret, buf_str(&text));
	put_signature(out, next, next_secret, buf_str(&text));
}

int
note_next_parse(struct str text, const struct note_key *old,
    struct note_key *next, uint64_t *size, struct err *e)
{
	struct str rest = text, after, key, empty, sign[2];
	struct note n = {};

	if (!line(&rest, &n.origin) || !line(&rest, &after) ||
	    !str_starts(after, STR(NEXT)) ||
	    str_to_u64((struct str){ after.p + sizeof(NEXT) - 1,
			   after.n - (sizeof(NEXT) - 1) },
		size) < 0 ||
	    !line(&rest, &key))
		return err_set(e, "it is no change of a key");
	if (note_key_parse(key, next, e) < 0)
		return -1;
	n.text = (struct str){ text.p, (size_t)(rest.p - text.p) };
	if (!line(&rest, &empty) || empty.n != 0 || !line(&rest, &sign[0]) ||
	    !line(&rest, &sign[1]) || rest.n != 0)
		return err_set(e, "a change of a key has two signatures");
	for (int i = 0; i < 2; i++)
		if (!str_starts(sign[i], STR(DASH)) ||
		    !take_signature(sign[i], &n) ||
		    !note_check(&n, i == 0 ? old : next))
			return err_set(e, "it is not signed by the %s key",
			    i == 0 ? "old" : "new");
	return 0;
}

ssize_t
note_parse(
    struct str text, const struct note_key *by, struct note *out, struct err *e)
{
	struct str rest = text, size, root, empty, sign;
	bool found = false;

	*out = (struct note){};
	while (rest.n > 0 && rest.p[0] == '\n')
		rest = (struct str){ rest.p + 1, rest.n - 1 };
	if (rest.n == 0)
		return 0;
	out->text.p = rest.p;
	if (!line(&rest, &out->origin) || !name_ok(out->origin) ||
	    !line(&rest, &size) || str_to_u64(size, &out->size) < 0 ||
	    !line(&rest, &root) || !take_root(root, &out->root))
		return err_set(e,
		    "a checkpoint is an origin, a size and a root, each on a "
		    "line");
	out->text.n = (size_t)(rest.p - out->text.p);
	if (!line(&rest, &empty) || empty.n != 0)
		return err_set(
		    e, "a checkpoint's text ends with an empty line");
	while (str_starts(rest, STR(DASH))) {
		struct note one = *out;

		if (!line(&rest, &sign))
			return err_set(e, "a signature is cut off");
		/* Other kinds of signatures are other lengths: not for us. */
		if (!take_signature(sign, &one) || found)
			continue;
		if (by != NULL && !note_check(&one, by))
			continue;
		*out = one;
		found = true;
	}
	if (!found)
		return err_set(e,
		    by == NULL ? "a checkpoint has no signature"
			       : "a checkpoint is not signed by this key");
	return (ssize_t)(rest.p - text.p);
}

bool
note_check(const struct note *n, const struct note_key *k)
{
	uint8_t id[KEY_ID_BYTES];

	key_id(k, id);
	return str_eq_c(n->signer, k->name) && str_eq_c(n->origin, k->name) &&
	    memcmp(id, n->id, sizeof(id)) == 0 &&
	    sign_check(k->key, n->text, n->signature);
}

/* The first bytes of SHA-256(name, line feed, kind, key). */
static void
key_id(const struct note_key *k, uint8_t out[static KEY_ID_BYTES])
{
	static const char kind[] = { '\n', ED25519 };
	const struct str pieces[] = { str_of(k->name), { kind, sizeof(kind) },
		{ (const char *)k->key, SIGN_KEY_BYTES } };
	struct hash h = hash_of_pieces(pieces, 3);

	memcpy(out, h.b, KEY_ID_BYTES);
}

/* The line of a signature of text. */
static void
put_signature(struct buf *out, const struct note_key *k,
    const uint8_t secret[static SIGN_KEY_BYTES], struct str text)
{
	uint8_t signature[KEY_ID_BYTES + SIGN_BYTES];

	key_id(k, signature);
	sign_make(secret, text, signature + KEY_ID_BYTES);
	buf_printf(out, DASH "%s ", k->name);
	base64_encode(out,
	    (struct str){ (const char *)signature, sizeof(signature) },
	    BASE64_STANDARD);
	buf_add_byte(out, '\n');
}

static void
put_key(struct buf *out, const struct note_key *k,
    const uint8_t bytes[static SIGN_KEY_BYTES])
{
	char data[1 + SIGN_KEY_BYTES] = { ED25519 };
	uint8_t id[KEY_ID_BYTES];

	key_id(k, id);
	memcpy(data + 1, bytes, SIGN_KEY_BYTES);
	buf_printf(
	    out, "%s+%02x%02x%02x%02x+", k->name, id[0], id[1], id[2], id[3]);
	base64_encode(out, (struct str){ data, sizeof(data) }, BASE64_STANDARD);
	explicit_bzero(data, sizeof(data));
}

static int
take_key(struct str text, struct note_key *out,
    uint8_t bytes[static SIGN_KEY_BYTES], struct str *id, struct err *e)
{
	struct str name = { text.p, str_find(text, '+') };
	char raw[1 + SIGN_KEY_BYTES];
	own_buf struct buf data = {};

	*out = (struct note_key){};
	if (!name_ok(name) || str_copy(name, out->name, NOTE_NAME_BYTES) < 0)
		return err_set(e, "a key begins with the name of its log");
	if (text.n < name.n + 10 || text.p[name.n + 9] != '+')
		return err_set(e, "a key is NAME+HEX+BASE64");
	*id = (struct str){ text.p + name.n + 1, 8 };
	if (base64_decode(&data,
		(struct str){ text.p + name.n + 10, text.n - name.n - 10 },
		BASE64_STANDARD, e) < 0)
		return -1;
	if (data.n != sizeof(raw) || data.p[0] != ED25519) {
		explicit_bzero(data.p, data.n);
		return err_set(e, "it is no Ed25519 key");
	}
	memcpy(bytes, data.p + 1, SIGN_KEY_BYTES);
	explicit_bzero(data.p, data.n);
	return 0;
}

static int
check_id(const struct note_key *k, struct str id, struct err *e)
{
	uint8_t own[KEY_ID_BYTES];
	char hex[2 * KEY_ID_BYTES + 1];

	key_id(k, own);
	(void)snprintf(hex, sizeof(hex), "%02x%02x%02x%02x", own[0], own[1],
	    own[2], own[3]);
	if (!str_eq_c(id, hex))
		return err_set(e, "the key is not the one that its id names");
	return 0;
}

/* Without what is around a line. */
static struct str
chomp(struct str text)
{
	while (text.n > 0 && (uint8_t)text.p[text.n - 1] <= ' ')
		text.n--;
	return str_trim(text);
}

static bool
name_ok(struct str name)
{
	if (name.n == 0 || name.n >= NOTE_NAME_BYTES)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] == '+' || name.p[i] == 0x7f)
			return false;
	return true;
}

/* Takes a line off text, which must be ended. */
static bool
line(struct str *text, struct str *out)
{
	size_t n = str_find(*text, '\n');

	if (n == text->n)
		return false;
	*out = (struct str){ text->p, n };
	*text = (struct str){ text->p + n + 1, text->n - n - 1 };
	return true;
}

static bool
take_root(struct str text, struct hash *out)
{
	own_buf struct buf b = {};
	struct err e;

	if (base64_decode(&b, text, BASE64_STANDARD, &e) < 0 ||
	    b.n != HASH_BYTES)
		return false;
	memcpy(out->b, b.p, HASH_BYTES);
	return true;
}

static bool
take_signature(struct str line, struct note *n)
{
	own_buf struct buf b = {};
	struct str rest, text;
	struct err e;

	rest = (struct str){ line.p + sizeof(DASH) - 1,
		line.n - (sizeof(DASH) - 1) };
	n->signer = (struct str){ rest.p, str_find(rest, ' ') };
	if (!name_ok(n->signer) || n->signer.n == rest.n)
		return false;
	text =
	    (struct str){ rest.p + n->signer.n + 1, rest.n - n->signer.n - 1 };
	if (base64_decode(&b, text, BASE64_STANDARD, &e) < 0 ||
	    b.n != KEY_ID_BYTES + SIGN_BYTES)
		return false;
	memcpy(n->id, b.p, KEY_ID_BYTES);
	memcpy(n->signature, b.p + KEY_ID_BYTES, SIGN_BYTES);
	return true;
}
