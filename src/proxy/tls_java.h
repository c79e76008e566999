/*
 * proxy/tls_java.h: certificates to trust, as Java reads them.
 *
 * Java has no use for PEM. It reads a key store: here in its own format (JKS,
 * version 2), which every version of it knows by its first bytes, whatever the
 * default is. Nothing in it is secret; the digest at its end is checked only by
 * who gives a password, which is then the usual "changeit".
 */
#ifndef PROXY_TLS_JAVA_H
#define PROXY_TLS_JAVA_H

#include <openssl/x509_vfy.h>

#include "base/buf.h"

/*
 * Appends a store with those of machine, which is the same in every call, and
 * ca. What is the machine's is written once, and copied after that.
 */
void java_store_write(struct buf *out, X509_STORE *machine, X509 *ca);

#endif
