/*
 * proxy/tls_ca.h: the certificate authority of one run; see proxy/tls.h.
 */
#ifndef PROXY_TLS_CA_H
#define PROXY_TLS_CA_H

#include <openssl/ssl.h>

#include "proxy/tls.h"

/* The context of all its servers, borrowed. */
SSL_CTX *tls_ca_context(struct tls_ca *ca);
/* Gives ssl a certificate for the name, made now or before. */
int tls_ca_use(struct tls_ca *ca, SSL *ssl, const char *name, struct err *e);

/* tls.c: a new context for servers. */
SSL_CTX *tls_server_context(struct err *e);
/* tls.c: what the machine trusts, read the first time. Borrowed. */
X509_STORE *tls_machine_roots(void);

#endif
