#include "proxy/proxy.h"

static int authority_split(
    struct str authority, uint16_t port, struct destination *out);

int
destination_parse(
    const struct http1_head *h, struct destination *out, const char **why)
{
	struct str target = h->target, authority;
	uint16_t port = 80;

	*out = (struct destination){};
	*why = "the target has no valid host and port";
	if (str_eq(h->method, STR("CONNECT")))
		return authority_split(target, 0, out);
	if (target.n > 0 && (target.p[0] == '/' || target.p[0] == '*')) {
		*why = "this is a proxy: the target must be a whole URL, or "
		       "HOST:PORT of CONNECT";
		return -1;
	}

	/* http1_request has let only http:// and https:// pass. */
	if (str_eq_nocase((struct str){ target.p, 5 }, STR("https"))) {
		port = 443;
		target.p++;
		target.n--;
	}
	authority = (struct str){ target.p + 7, target.n - 7 };
	out->path = STR("/");
	for (size_t i = 0; i < authority.n; i++) {
		if (authority.p[i] != '/' && authority.p[i] != '?')
			continue;
		if (authority.p[i] == '/') {
			out->path =
			    (struct str){ authority.p + i, authority.n - i };
			out->path.n = str_find(out->path, '?');
		}
		authority.n = i;
		break;
	}
	return authority_split(authority, port, out);
}

/* port: when none is named; 0: one must be. */
static int
authority_split(struct str authority, uint16_t port, struct destination *out)
{
	size_t colon = authority.n;
	uint64_t number = port;

	for (size_t i = authority.n; i > 0; i--) {
		if (authority.p[i - 1] == ']')
			break;
		if (authority.p[i - 1] == ':') {
			colon = i - 1;
			break;
		}
	}
	out->host = (struct str){ authority.p, colon };
	if (colon < authority.n &&
	    str_to_u64((struct str){ authority.p + colon + 1,
			   authority.n - colon - 1 },
		&number) < 0)
		return -1;
	if (out->host.n == 0 || number == 0 || number > UINT16_MAX)
		return -1;
	out->port = (uint16_t)number;
	return 0;
}
