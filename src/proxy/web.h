/*
 * proxy/web.h: a flow whose client speaks HTTP: the link between flow.h, which
 * knows where the connection leads and whose it is, and forward.h, which knows
 * HTTP. Every request is a question of its own.
 */
#ifndef PROXY_WEB_H
#define PROXY_WEB_H

#include "proxy/flow.h"

struct web;

enum web_kind {
	WEB_PROXY, /* plain HTTP on the proxy port, to any host */
	WEB_PLAIN, /* plain HTTP to the flow's host */
	WEB_TLS, /* TLS that is opened here, to the flow's host */
	WEB_TOOLS_TLS, /* plain here, TLS to the flow's host */
};

/*
 * The flow's client stream, of which nothing has been taken but what led here,
 * is served from now on. The flow ends with it.
 */
void web_start(struct flow *f, enum web_kind kind);
/* A verdict on a request. */
void web_on_verdict(
    struct flow *f, const struct msg_egress_verdict *v, struct str payload);
/* The broker is gone. */
void web_fail(struct flow *f);
/* Ends what may have this secret. */
void web_revoke(struct flow *f, struct str name);
/* For flow_close. */
void web_free(struct web *w, bool hard);

#endif
