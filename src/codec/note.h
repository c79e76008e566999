/*
 * codec/note.h: checkpoints of a log as signed notes.
 *
 * C2SP tlog-checkpoint and signed-note, as transparency logs and their
 * witnesses use them: the log's origin, its size in decimal, the Merkle root in
 * base64, each on a line; an empty line; a line for each signature, an em dash,
 * the signer's name and, in base64, 4 bytes that name the key and the 64 of an
 * Ed25519 signature of the text up to the empty line. A public key is written
 * NAME+HEX+BASE64, a private one PRIVATE+KEY+NAME+HEX+BASE64.
 */
#ifndef CODEC_NOTE_H
#define CODEC_NOTE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/sign.h"
#include "base/str.h"

enum {
	NOTE_NAME_BYTES = 64, /* of a signer and of an origin, with the NUL */
	NOTE_BYTES = 512, /* a checkpoint's, with one signature */
};

/* A public key and whose it is: a log's name is its origin. */
struct note_key {
	char name[NOTE_NAME_BYTES];
	uint8_t key[SIGN_KEY_BYTES];
};

struct note {
	struct str origin;
	uint64_t size;
	struct hash root;
	struct str signer;
	uint8_t id[4]; /* of the signer's key */
	uint8_t signature[SIGN_BYTES];
	struct str text; /* what was signed */
};

/* Appends NAME+HEX+BASE64. */
void note_key_write(struct buf *out, const struct note_key *k);
/* 0, or -1 with what is wrong. White space around it is left out. */
int note_key_parse(struct str text, struct note_key *out, struct err *e);
/* The same for a private key, which gives the public one, too. */
void note_secret_write(struct buf *out, const struct note_key *k,
    const uint8_t secret[static SIGN_KEY_BYTES]);
int note_secret_parse(struct str text, struct note_key *out,
    uint8_t secret[static SIGN_KEY_BYTES], struct err *e);

/* Appends a checkpoint of the log k->name, signed. */
void note_write(struct buf *out, const struct note_key *k,
    const uint8_t secret[static SIGN_KEY_BYTES], uint64_t size,
    const struct hash *root);
/*
 * Reads the first checkpoint in text; empty lines before it are passed over.
 * Of several signatures the one by `by` counts, or without it the first; a
 * checkpoint that has none is refused. Gives how many bytes it took, 0 when
 * only empty lines are left, or -1 with what is wrong.
 */
ssize_t note_parse(struct str text, const struct note_key *by, struct note *out,
    struct err *e);
/*
 * Appends that from a log of `size` records on `next` signs in place of `old`,
 * signed by both. It is no checkpoint, and none is one of these: the second
 * line of a checkpoint is a number.
 */
void note_next_write(struct buf *out, const struct note_key *old,
    const uint8_t old_secret[static SIGN_KEY_BYTES],
    const struct note_key *next,
    const uint8_t next_secret[static SIGN_KEY_BYTES], uint64_t size);
/* Reads one that is all of text. 0, or -1 with what is wrong. */
int note_next_parse(struct str text, const struct note_key *old,
    struct note_key *next, uint64_t *size, struct err *e);
/* Is it this key's checkpoint of this key's log? */
bool note_check(const struct note *n, const struct note_key *k);

#endif
