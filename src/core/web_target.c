#include "core/web_target.h"

#include "base/limits.h"
#include "core/addr.h"

static int read_url(struct web_target *t, struct err *e);
static bool host_ok(struct str host);

int
web_target_read(const struct json *v, struct web_target *out, struct err *e)
{
	const struct json *roots = json_get(v, STR("roots"));
	struct cidr unused;
	uint32_t n = 0;

	*out = (struct web_target){
		.url = json_str(json_get(v, STR("url"))),
		.addrs = json_get(v, STR("addrs")),
		.roots = json_str(roots),
	};
	if (read_url(out, e) < 0)
		return -1;
	if (roots != NULL && !web_target_file_ok(out->roots))
		return err_set(
		    e, "roots: must be the name of a file beside this one");
	if (out->addrs != NULL && !json_is(out->addrs, JSON_ARRAY))
		return err_set(e, "addrs: must be a list of addresses");
	for (const struct json *x = json_first(out->addrs); x != NULL;
	     x = json_next(out->addrs, x)) {
		if (cidr_parse(json_str(x), &unused) < 0 ||
		    ++n > EGRESS_ADDRS_MAX)
			return err_set(e,
			    "addrs: must be at most %d such as \"10.1.2.0/24\"",
			    EGRESS_ADDRS_MAX);
	}
	return 0;
}

bool
web_target_file_ok(struct str name)
{
	return name.n > 0 && name.n < IDENTITY_NAME_BYTES &&
	    str_find(name, '/') == name.n && name.p[0] != '.';
}

static int
read_url(struct web_target *t, struct err *e)
{
	static const struct str scheme = STR("https://");
	struct str rest = t->url;
	uint64_t port = 443;
	size_t colon;

	if (!str_starts(rest, scheme) || rest.n > WEB_TARGET_MAX_BYTES)
		return err_set(e, "url: must begin with https://");
	for (size_t i = 0; i < rest.n; i++) {
		/* A '#' is for browsers; a blank would end the request line. */
		if (rest.p[i] <= ' ' || rest.p[i] >= 0x7f || rest.p[i] == '#')
			return err_set(e, "url: has a byte that none has");
	}
	rest = (struct str){ rest.p + scheme.n, rest.n - scheme.n };
	t->host = (struct str){ rest.p, str_find(rest, '/') };
	t->path = (struct str){ rest.p + t->host.n, rest.n - t->host.n };
	if (t->path.n == 0)
		t->path = STR("/");
	colon = str_find(t->host, ':');
	if (colon < t->host.n &&
	    (str_to_u64(
		 (struct str){ t->host.p + colon + 1, t->host.n - colon - 1 },
		 &port) < 0 ||
		port == 0 || port > UINT16_MAX))
		return err_set(e, "url: has no port from 1 to 65535");
	t->host.n = colon;
	t->port = (uint16_t)port;
	if (!host_ok(t->host))
		return err_set(e, "url: the host must be a name in lower case");
	return 0;
}

static bool
host_ok(struct str host)
{
	for (size_t i = 0; i < host.n; i++) {
		char c = host.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			c == '-' || c == '.'))
			return false;
	}
	return host.n > 0 && host.n <= WEB_TARGET_HOST_BYTES;
}
