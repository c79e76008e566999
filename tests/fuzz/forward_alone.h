/*
 * A forward without what is below it: in the place of stream.c, tls.c and
 * h2_dial.c. Who includes this opens the streams, and there is no TLS.
 */
#ifndef FORWARD_ALONE_H
#define FORWARD_ALONE_H

#include "proxy/forward.h"
#include "proxy/h2.h"
#include "proxy/tls.h"

#include "../unit/memory_end.h"

/* The forward wants this stream open. */
static void alone_open(struct stream *s, struct loop *loop);

int
stream_open_take(struct stream *s, struct loop *loop, int fd, struct err *e)
{
	(void)fd;
	(void)e;
	alone_open(s, loop);
	return 0;
}

int
tls_dial(struct stream *s, const char *name, bool h2, struct str roots,
    struct err *e)
{
	(void)s;
	(void)name;
	(void)h2;
	(void)roots;
	return err_set(e, "not here");
}

enum tls_progress
tls_handshake(struct stream *s, struct err *e)
{
	(void)s;
	(void)e;
	return TLS_FAILED;
}

bool
tls_chose_h2(const struct stream *s)
{
	(void)s;
	return false;
}

int
h2_dial(struct stream *s, struct err *e)
{
	(void)s;
	return err_set(e, "not here");
}

#endif
