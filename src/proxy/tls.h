/*
 * proxy/tls.h: TLS on a stream, by OpenSSL.
 *
 * Towards the sandbox we are the server that the client wanted: with a
 * certificate for its name, signed by a CA of this run alone, which the
 * sandbox trusts and nobody else. Towards the outside we are a client that
 * verifies the server against the roots that the role read before it was
 * confined, and against those of the rule.
 *
 * A CA's key exists in this process only and dies with the run. P-256: making
 * an RSA key would take a thousand times as long.
 */
#ifndef PROXY_TLS_H
#define PROXY_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "proxy/stream.h"

/*
 * Opens the machine's roots, which the first that needs them reads. Once,
 * before the role is confined.
 */
int tls_init(struct err *e);
void tls_fini(void);

/* The CA of a run, and the certificates that it has signed. */
struct tls_ca;

/*
 * hosts: ["*.example.com","192.0.2.7",...]. It can vouch for these names and
 * addresses alone (RFC 5280 section 4.2.1.10), but for names below them, too:
 * that is the nearest that can be said there.
 */
struct tls_ca *tls_ca_new(struct str hosts, struct err *e);
void tls_ca_free(struct tls_ca *ca); /* may be NULL */
/* Appends its certificate as PEM. */
void tls_ca_pem(const struct tls_ca *ca, struct buf *out);
/* Appends a store of Java's: the machine's certificates, and this one. */
void tls_ca_java(const struct tls_ca *ca, struct buf *out);

/*
 * Makes an open plain stream the server's end of TLS. name is a DNS name, lower
 * case, or an address as text. ahead is what the client has sent already.
 * With h2 that is offered; else HTTP/1.1 alone.
 */
int tls_serve(struct stream *s, struct tls_ca *ca, const char *name, bool h2,
    struct str ahead, struct err *e);
/*
 * Makes an open plain stream the client's end of TLS, to a server that must be
 * name. roots is PEM of more roots, or "".
 */
int tls_dial(struct stream *s, const char *name, bool h2, struct str roots,
    struct err *e);

/*
 * A TLS stream ends with ECONNRESET when its close_notify does not come: it
 * may have been cut.
 */
enum tls_progress { TLS_WAITS, TLS_READY, TLS_FAILED };

/*
 * Goes on with the handshake as far as can be; e says why it failed. Reads
 * and writes do so too: this is for who must know when it is over.
 */
enum tls_progress tls_handshake(struct stream *s, struct err *e);
/* After the handshake: both ends have chosen HTTP/2. */
bool tls_chose_h2(const struct stream *s);

#endif
