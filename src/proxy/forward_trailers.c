/*
 * Fields that a client sends behind a body in chunks. The request was judged
 * without them and is on its way, so they may only tell of the body (gRPC, sums
 * of what was sent): what frames, routes, authenticates or changes a request
 * belongs into its head, and so does what stands there already.
 */
#include <string.h>

#include "base/limits.h"
#include "proxy/forward_int.h"

static bool is_of_heads(struct str name);

void
trailers_expect(struct forward *f)
{
	buf_reset(&f->asked_trailers);
	if (f->head.body != HTTP1_BODY_CHUNKED)
		return;
	f->asked_trailers.max = HTTP_MAX_TRAILER_BYTES;
	f->request.trailers = &f->asked_trailers;
}

int
trailers_judge(
    struct forward *f, struct buf *out, uint16_t *status, struct err *e)
{
	struct str lines = buf_str(&f->asked_trailers);
	struct http1_head h = { .body = HTTP1_BODY_NONE };
	uint32_t n = 0;

	for (size_t i = 0; i < lines.n; i++)
		n += lines.p[i] == '\n';
	if (n == 0)
		return 0;
	*status = 400;
	if (f->asked_trailers.failed || n > HTTP_MAX_FIELDS)
		return err_set(e, "too many trailers");
	http1_trailers(lines, &h);
	for (uint32_t i = 0; i < h.n; i++) {
		struct str name = h.field[i].name;

		if (is_of_heads(name) || head_is_hop(&f->head, name) ||
		    http1_get(&f->head, name) != NULL)
			return err_set(e,
			    "%.*s is no field for a trailer: send it in the "
			    "head, or leave it out",
			    (int)(name.n < 64 ? name.n : 64), name.p);
	}
	*status = 403;
	if (f->filter != NULL && filter_request_trailers(f->filter, &h, e) < 0)
		return -1;
	/* At once: what grows leaves copies of secrets behind. */
	(void)buf_reserve(out, 2 * HTTP_MAX_TRAILER_BYTES + FILTER_HEAD_BYTES);
	for (uint32_t i = 0; i < h.n; i++) {
		buf_add_str(out, h.field[i].name);
		buf_add_c(out, ": ");
		buf_add_str(out, h.field[i].value);
		buf_add_c(out, "\r\n");
	}
	f->to_server.max += out->n;
	return out->failed ? err_set(e, "no memory") : 0;
}

/* RFC 9110 section 6.5.1, and what is not standard but does the same. */
static bool
is_of_heads(struct str name)
{
	static const char *const known[] = {
		/* framing and routing */
		"Content-Length",
		"Transfer-Encoding",
		"Trailer",
		"Host",
		"Forwarded",
		"Via",
		"Upgrade",
		"HTTP2-Settings",
		/* what is asked for, and how */
		"Cache-Control",
		"Expect",
		"Max-Forwards",
		"Pragma",
		"Range",
		"TE",
		"Origin",
		"Referer",
		"Accept",
		"X-HTTP-Method",
		"X-HTTP-Method-Override",
		"X-Method-Override",
		"X-Original-URL",
		"X-Rewrite-URL",
		/* who asks */
		"Authorization",
		"Authentication-Info",
		"Cookie",
		"Cookie2",
		"Set-Cookie",
		"Set-Cookie2",
		"WWW-Authenticate",
		"From",
		"User-Agent",
	};
	/* Families: conditions, negotiation, what the body is, neighbours. */
	static const char *const families[] = { "If-", "Accept-", "Content-",
		"Proxy-", "Sec-", "X-Forwarded-", "Grpc-Accept-" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_eq_nocase(name, str_of(known[i])))
			return true;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct str first = str_of(families[i]);

		if (name.n > first.n &&
		    str_eq_nocase((struct str){ name.p, first.n }, first))
			/* A sum of the body is what trailers are for. */
			return !str_eq_nocase(name, STR("Content-MD5")) &&
			    !str_eq_nocase(name, STR("Content-Digest"));
	}
	return false;
}
