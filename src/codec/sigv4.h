/*
 * codec/sigv4.h: signs a request anew with AWS Signature Version 4.
 *
 * An agent holds a fake key and signs with it; what it signed, when, and for
 * which region and service stands in its Authorization field. We sign the same
 * fields of the same request with the real key. Pure.
 *
 * Not signed anew: a signature in the query ("presigned"), and bodies whose
 * chunks are signed one by one (STREAMING-AWS4-HMAC-SHA256-PAYLOAD): both would
 * need what the agent alone knows. The caller refuses such a request.
 */
#ifndef CODEC_SIGV4_H
#define CODEC_SIGV4_H

#include "base/buf.h"
#include "base/err.h"
#include "codec/http1.h"

struct sigv4_key {
	struct str access_key; /* the public half, "AKIA..." */
	struct str secret;
};

/* True when the request is signed this way, in its Authorization field. */
bool sigv4_signed(const struct http1_head *h);

/*
 * True when the digest of the body is not among the fields: then the caller
 * reads the whole body before it asks for a signature.
 */
bool sigv4_needs_body(const struct http1_head *h);

/*
 * Appends the new value of Authorization. body_sha256 is 64 hexadecimal
 * digits; it counts only when sigv4_needs_body. Fields that the caller has
 * changed must be in h as they will be sent. -1 with e when it cannot be.
 */
int sigv4_sign(const struct http1_head *h, struct str body_sha256,
    const struct sigv4_key *key, struct buf *out, struct err *e);

#endif
