/*
 * A bundle's digest and what is in it, as an in-toto statement that the log's
 * key signs in a DSSE envelope; and the other way round.
 *
 * in-toto.io/Statement/v1, github.com/secure-systems-lab/dsse protocol.md
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/out.h"
#include "cli/state.h"
#include "cli/trace_formats.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "core/id.h"
#include "store/checkpoint.h"
#include "sys/fd.h"

#define PAYLOAD_TYPE "application/vnd.in-toto+json"
#define STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define PREDICATE_TYPE "urn:paddock:run-evidence:v1"

enum {
	POLICIES = 16, /* of one run: it has one, and one more per change */
	STATUSES = 16,
	WORD_BYTES = 24,
	ENVELOPE_MAX_BYTES = 256 * 1024, /* ours has a few KB */
};

/* Words and how often each was there. */
struct tally {
	char word[STATUSES][WORD_BYTES];
	uint64_t n[STATUSES];
	size_t words;
	bool full;
};

struct summing {
	struct tally verdicts, statuses;
	char policy[POLICIES][HASH_HEX_BYTES];
	size_t policies;
	uint64_t calls, faults;
	int64_t opened_us, closed_us;
	bool imported, failed;
	struct err *e;
};

static int read_secret(
    struct trace *t, uint8_t secret[static SIGN_KEY_BYTES], struct err *e);
static bool on_record(void *arg, const struct store_row *row);
static void note_policy(struct summing *s, struct str version);
static void count(struct tally *t, struct str word);
static void put_tally(struct buf *out, const struct tally *t);
static void put_statement(
    struct buf *out, const struct trace *t, const struct summing *s);
static void put_pae(struct buf *out, struct str payload);
static int read_envelope(const char *name, struct buf *payload,
    const struct note_key *trusted, struct note_key *key, struct err *e);
static int check_subject(
    const struct json *statement, const struct trace *t, struct err *e);

int
trace_intoto(struct trace *t, int fd, struct trace_written *out, struct err *e)
{
	own_buf struct buf payload = {}, signed_text = {}, text = {}, id = {};
	struct summing s = { .e = e };
	uint8_t secret[SIGN_KEY_BYTES], signature[SIGN_BYTES];

	if (!t->is_bundle)
		return err_set(e,
		    "a statement is about a bundle: write one with paddock "
		    "trace export RUN -o FILE, and name that file");
	if (store_events(t->store, t->bundle.run, 0, 0, on_record, &s, e) < 0 ||
	    s.failed)
		return -1;
	if (read_secret(t, secret, e) < 0)
		return -1;
	put_statement(&payload, t, &s);
	put_pae(&signed_text, buf_str(&payload));
	if (signed_text.failed) {
		explicit_bzero(secret, sizeof(secret));
		return err_set(e, "out of memory");
	}
	sign_make(secret, buf_str(&signed_text), signature);
	explicit_bzero(secret, sizeof(secret));
	note_key_write(&id, &t->bundle.key);
	buf_add_c(&text, "{\"payload\":\"");
	base64_encode(&text, buf_str(&payload), BASE64_STANDARD);
	buf_add_c(&text,
	    "\",\"payloadType\":\"" PAYLOAD_TYPE
	    "\",\"signatures\":[{\"keyid\":");
	json_put_str(&text, buf_str(&id));
	buf_add_c(&text, ",\"sig\":\"");
	base64_encode(&text,
	    (struct str){ (const char *)signature, sizeof(signature) },
	    BASE64_STANDARD);
	buf_add_c(&text, "\"}]}\n");
	*out = (struct trace_written){ .records = t->bundle.sums.records,
		.bytes = text.n,
		.open = t->bundle.sums.open };
	if (text.failed)
		return err_set(e, "out of memory");
	return fd_write_all(fd, text.p, text.n, e);
}

bool
trace_is_statement(const char *name)
{
	own_fd int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char first = '\0';

	return fd >= 0 && pread(fd, &first, 1, 0) == 1 && first == '{';
}

int
trace_statement_verify(
    struct trace *t, const char *name, const char *file, struct err *e)
{
	own_buf struct buf payload = { .max = ENVELOPE_MAX_BYTES }, out = {};
	own_buf struct buf id = {};
	own_arena struct arena memory = {};
	const struct json *j;
	struct note_key trusted, key;
	int status = 0;

	term_init(&t->term, STDOUT_FILENO);
	if ((t->key != NULL && trace_key(t->key, &trusted, e) < 0) ||
	    read_envelope(
		name, &payload, t->key != NULL ? &trusted : NULL, &key, e) < 0)
		return -1;
	j = json_parse(buf_str(&payload), NULL, &memory, e, NULL);
	if (j == NULL)
		return err_add(e, "its statement");
	if (!str_eq_c(json_str(json_get(j, STR("_type"))), STATEMENT_TYPE) ||
	    !str_eq_c(
		json_str(json_get(j, STR("predicateType"))), PREDICATE_TYPE))
		return err_set(e,
		    "it is signed, and no statement about a run: its types are "
		    "not " STATEMENT_TYPE " and " PREDICATE_TYPE);
	if (file != NULL) {
		if (trace_open(t, file, e) < 0)
			return -1;
		if (!t->is_bundle)
			status = err_set(e, "%s is no bundle", file);
		else if (t->verdict.fault != STORE_SOUND)
			status = err_set(e, "%s is not sound: %s: %s", file,
			    store_fault_name(t->verdict.fault),
			    t->verdict.text);
		else
			status = check_subject(j, t, e);
		if (status < 0)
			return trace_finish(t, status, e);
	}
	note_key_write(&id, &key);
	if (t->json) {
		buf_add_c(&out, "{\"key\":");
		json_put_str(&out, buf_str(&id));
		buf_printf(&out,
		    ",\"matches\":%s,\"sound\":true,\"statement\":",
		    file != NULL ? "true" : "null");
		json_write(&out, j);
		buf_add_c(&out, "}\n");
	} else {
		term_put(&t->term, &out, TERM_GREEN, STR("statement verified"));
		buf_add_c(&out, ": run ");
		term_text(&out, json_str(json_at(j, "predicate", "run", NULL)));
		buf_printf(&out, ", %s, signed by\n%s\n",
		    file != NULL ? "of the bundle that was named"
				 : "its bundle was not looked at",
		    buf_c(&id));
		if (t->key == NULL)
			buf_add_c(&out,
			    "compare the key with the one that the log's owner "
			    "published, or give it with --key\n");
	}
	status = out_write(&out);
	return file != NULL ? trace_finish(t, status, e) : status;
}

/* Of this state's log, which must be the one that signed the bundle. */
static int
read_secret(
    struct trace *t, uint8_t secret[static SIGN_KEY_BYTES], struct err *e)
{
	own_buf struct buf path = {}, text = {};
	struct note_key key;
	struct err why;
	int rc;

	if (state_store(t->state, &path, e) < 0)
		return -1;
	buf_add_c(&path, "/" LOG_KEY_FILE);
	if (file_read(buf_c(&path), &text, NOTE_BYTES, e) < 0)
		return err_add(e, "the log's key signs a statement");
	rc = note_secret_parse(buf_str(&text), &key, secret, &why);
	explicit_bzero(text.p, text.n);
	if (rc < 0)
		return err_set(
		    e, "%s holds no key: %s", buf_c(&path), why.text);
	if (strcmp(key.name, t->bundle.key.name) == 0 &&
	    memcmp(key.key, t->bundle.key.key, SIGN_KEY_BYTES) == 0)
		return 0;
	explicit_bzero(secret, SIGN_KEY_BYTES);
	return err_set(e,
	    "the bundle is of %s, and the key in %s is another log's: name the "
	    "state that it is from with --state",
	    t->bundle.key.name, buf_c(&path));
}

static bool
on_record(void *arg, const struct store_row *row)
{
	own_arena struct arena memory = {};
	struct summing *s = arg;
	const struct json *j = json_parse(row->body, NULL, &memory, s->e, NULL);

	if (j == NULL) {
		s->failed = true;
		return false;
	}
	note_policy(s, json_str(json_at(j, "ver", "policy", NULL)));
	if (json_at(j, "body", "imported", NULL) != NULL)
		s->imported = true;
	if (row->kind == EVENT_RUN_OPENED)
		s->opened_us = row->t_ns / 1000;
	if (row->kind == EVENT_RUN_CLOSED)
		s->closed_us = row->t_ns / 1000;
	s->calls += row->kind == EVENT_TOOL_PROPOSED;
	s->faults += row->kind == EVENT_FAULT_INJECTED;
	if (row->kind == EVENT_POLICY_DECISION)
		count(
		    &s->verdicts, json_str(json_at(j, "dec", "verdict", NULL)));
	if (row->kind == EVENT_TOOL_FINISHED)
		count(
		    &s->statuses, json_str(json_at(j, "res", "status", NULL)));
	if (s->verdicts.full || s->statuses.full || s->policies > POLICIES) {
		s->failed = true;
		(void)err_set(s->e,
		    "record %" PRIu64 " has one verdict, status or policy more "
		    "than a statement holds",
		    row->seq);
	}
	return !s->failed;
}

static void
note_policy(struct summing *s, struct str version)
{
	if (version.n == 0)
		return;
	for (size_t i = 0; i < s->policies && i < POLICIES; i++)
		if (str_eq_c(version, s->policy[i]))
			return;
	if (s->policies == POLICIES ||
	    str_copy(version, s->policy[s->policies], HASH_HEX_BYTES) < 0)
		s->policies = POLICIES + 1;
	else
		s->policies++;
}

static void
count(struct tally *t, struct str word)
{
	if (word.n == 0)
		return;
	for (size_t i = 0; i < t->words; i++) {
		if (str_eq_c(word, t->word[i])) {
			t->n[i]++;
			return;
		}
	}
	if (t->words == STATUSES ||
	    str_copy(word, t->word[t->words], WORD_BYTES) < 0)
		t->full = true;
	else
		t->n[t->words++] = 1;
}

static void
put_tally(struct buf *out, const struct tally *t)
{
	for (size_t i = 0; i < t->words; i++) {
		buf_add_byte(out, i == 0 ? '{' : ',');
		json_put_str(out, str_of(t->word[i]));
		buf_printf(out, ":%" PRIu64, t->n[i]);
	}
	buf_add_c(out, t->words == 0 ? "{}" : "}");
}

static void
put_statement(struct buf *out, const struct trace *t, const struct summing *s)
{
	const struct bundle *b = &t->bundle;
	own_buf struct buf key = {};
	char id[ID_BYTES], hex[HASH_HEX_BYTES];

	id_text('r', b->run, id);
	note_key_write(&key, &b->key);
	buf_printf(out,
	    "{\"_type\":\"" STATEMENT_TYPE
	    "\",\"predicate\":{\"calls\":%" PRIu64,
	    s->calls);
	buf_add_c(out, ",\"checkpoint\":");
	json_put_str(out, str_of(b->checkpoint));
	buf_printf(out, ",\"closed\":%" PRId64 ",\"faults\":%" PRIu64,
	    s->closed_us, s->faults);
	hash_hex(&t->verdict.head, hex);
	buf_printf(out, ",\"head\":\"%s\",\"imported\":%s,\"key\":", hex,
	    s->imported ? "true" : "false");
	json_put_str(out, buf_str(&key));
	buf_printf(out,
	    ",\"omitted\":%" PRIu64 ",\"open\":%s,\"opened\":%" PRId64
	    ",\"records\":%" PRIu64 ",\"run\":\"%s\",\"statuses\":",
	    b->sums.omitted, b->sums.open ? "true" : "false", s->opened_us,
	    b->sums.records, id);
	put_tally(out, &s->statuses);
	buf_add_c(out, ",\"verdicts\":");
	put_tally(out, &s->verdicts);
	hash_hex(&b->digest, hex);
	buf_printf(out,
	    "},\"predicateType\":\"" PREDICATE_TYPE
	    "\",\"subject\":[{\"digest\":{\"sha256\":\"%s\"},\"name\":"
	    "\"%s.paddock\"}",
	    hex, id);
	for (size_t i = 0; i < s->policies; i++)
		buf_printf(out,
		    ",{\"digest\":{\"sha256\":\"%s\"},\"name\":\"policy\"}",
		    s->policy[i]);
	buf_add_c(out, "]}");
}

/* What is signed: DSSE's pre-authentication encoding. */
static void
put_pae(struct buf *out, struct str payload)
{
	buf_printf(out, "DSSEv1 %zu " PAYLOAD_TYPE " %zu ",
	    sizeof(PAYLOAD_TYPE) - 1, payload.n);
	buf_add_str(out, payload);
}

/* The payload, once its signature was found good. */
static int
read_envelope(const char *name, struct buf *payload,
    const struct note_key *trusted, struct note_key *key, struct err *e)
{
	own_buf struct buf text = {};
	own_buf struct buf pae = {}, sig = {};
	own_arena struct arena memory = {};
	const struct json *j, *list, *one;

	if (file_read(name, &text, ENVELOPE_MAX_BYTES, e) < 0)
		return -1;
	j = json_parse(buf_str(&text), NULL, &memory, e, NULL);
	if (j == NULL)
		return err_add(e, "%s", name);
	list = json_get(j, STR("signatures"));
	one = json_is(list, JSON_ARRAY) ? json_first(list) : NULL;
	if (!str_eq_c(
		json_str(json_get(j, STR("payloadType"))), PAYLOAD_TYPE) ||
	    one == NULL || list->n != 1)
		return err_set(e,
		    "%s is no DSSE envelope of an in-toto statement with one "
		    "signature",
		    name);
	if (base64_decode(payload, json_str(json_get(j, STR("payload"))),
		BASE64_STANDARD, e) < 0 ||
	    base64_decode(&sig, json_str(json_get(one, STR("sig"))),
		BASE64_STANDARD, e) < 0)
		return err_add(e, "%s", name);
	if (trusted != NULL)
		*key = *trusted;
	else if (note_key_parse(json_str(json_get(one, STR("keyid"))), key, e) <
	    0)
		return err_add(e, "%s: its keyid is no log's key", name);
	put_pae(&pae, buf_str(payload));
	if (pae.failed || sig.n != SIGN_BYTES ||
	    !sign_check(key->key, buf_str(&pae), (const uint8_t *)sig.p))
		return err_set(e,
		    "%s: SIG_BAD: its statement is not signed by %s, or was "
		    "changed",
		    name, key->name);
	return 0;
}

/* The bundle that it speaks of? */
static int
check_subject(
    const struct json *statement, const struct trace *t, struct err *e)
{
	const struct json *list = json_get(statement, STR("subject"));
	own_buf struct buf key = {};
	char hex[HASH_HEX_BYTES], id[ID_BYTES];
	const struct json *first =
	    json_is(list, JSON_ARRAY) ? json_first(list) : NULL;

	hash_hex(&t->bundle.digest, hex);
	id_text('r', t->bundle.run, id);
	note_key_write(&key, &t->bundle.key);
	if (!str_eq_c(json_str(json_at(first, "digest", "sha256", NULL)), hex))
		return err_set(e,
		    "the statement is about another file than this bundle, "
		    "whose SHA-256 is %s",
		    hex);
	if (!str_eq_c(
		json_str(json_at(statement, "predicate", "run", NULL)), id) ||
	    !str_eq(json_str(json_at(statement, "predicate", "key", NULL)),
		buf_str(&key)))
		return err_set(
		    e, "the statement names another run, or another log");
	return 0;
}
