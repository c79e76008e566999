/*
 * codec/tls_hello.h: what a TLS client says first, as far as a proxy must know
 * it before it decides: the name it wants (SNI) and the protocols it offers
 * (ALPN). RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 7301.
 *
 * The bytes are not taken: who passes the connection on sends them unchanged,
 * and who ends it gives them to a TLS library. A hello that the library would
 * read differently from here must not pass, so all that is ambiguous is bad: a
 * name twice, names of other kinds, lengths that do not add up.
 *
 * Pure: no I/O, no clock, no memory.
 */
#ifndef CODEC_TLS_HELLO_H
#define CODEC_TLS_HELLO_H

#include <stdbool.h>

#include "base/str.h"

enum tls_hello_result {
	TLS_HELLO_DONE,
	TLS_HELLO_MORE, /* so far it may be one */
	TLS_HELLO_BAD, /* no hello, or one that is not understood */
};

enum {
	/* A hello and the headers of its records: post-quantum key shares take
	 * some 1,200 bytes each, and nothing known sends over 4 KiB. */
	TLS_HELLO_MAX_BYTES = 16384,
	TLS_NAME_BYTES = 256, /* a DNS name has 253 characters at most */
};

struct tls_hello {
	char name[TLS_NAME_BYTES]; /* lower case; "" when there is no SNI */
	bool offers_h2, offers_http11; /* by ALPN */
	bool has_alpn;
	bool hides_name; /* encrypted_client_hello: the name may be another */
};

/* why (not NULL) is set with TLS_HELLO_BAD. */
enum tls_hello_result tls_hello_parse(
    struct str bytes, struct tls_hello *out, const char **why);

#endif
