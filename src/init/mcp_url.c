#include "init/mcp_url.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/limits.h"

static int addr_set(
    struct mcp_url *u, struct str host, uint16_t port, struct err *e);

int
mcp_url_parse(struct mcp_url *u, struct str text, struct err *e)
{
	struct str scheme = STR("http://");
	struct str host, port = STR("80");
	uint64_t number;
	size_t end = 0, colon;

	*u = (struct mcp_url){};
	if (text.n > BRIDGE_MAX_URL_BYTES)
		return err_set(e, "URL over %d bytes", BRIDGE_MAX_URL_BYTES);
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] <= ' ' || text.p[i] > '~' || text.p[i] == '#')
			return err_set(e,
			    "URL: byte %zu is not one that may be sent", i + 1);
	}
	if (!str_starts(text, scheme))
		return err_set(
		    e, "URL %.*s: it has to begin with http://", STR_FMT(text));

	u->authority = (struct str){ text.p + scheme.n, text.n - scheme.n };
	while (end < u->authority.n && u->authority.p[end] != '/' &&
	    u->authority.p[end] != '?')
		end++;
	u->path = (struct str){ u->authority.p + end, u->authority.n - end };
	u->authority.n = end;
	if (u->path.n == 0)
		u->path = STR("/");
	if (u->path.p[0] != '/')
		return err_set(e, "URL %.*s: no / before the ?", STR_FMT(text));

	host = u->authority;
	colon = str_find(host, ':');
	if (host.n > 0 && host.p[0] == '[') {
		size_t close = str_find(host, ']');

		if (close == host.n)
			return err_set(
			    e, "URL %.*s: no ] behind the [", STR_FMT(text));
		host = (struct str){ host.p + 1, close - 1 };
		colon = close + 1;
		if (colon < u->authority.n && u->authority.p[colon] != ':')
			return err_set(
			    e, "URL %.*s: text behind the ]", STR_FMT(text));
	} else {
		host.n = colon;
	}
	if (colon < u->authority.n)
		port = (struct str){ u->authority.p + colon + 1,
			u->authority.n - colon - 1 };
	if (str_to_u64(port, &number) < 0 || number == 0 || number > UINT16_MAX)
		return err_set(
		    e, "URL %.*s: the port is not 1 to 65535", STR_FMT(text));
	return addr_set(u, host, (uint16_t)number, e);
}

static int
addr_set(struct mcp_url *u, struct str host, uint16_t port, struct err *e)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&u->addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&u->addr;
	char text[INET6_ADDRSTRLEN];

	if (str_eq_nocase(host, STR("localhost")))
		host = STR("127.0.0.1");
	if (str_copy(host, text, sizeof(text)) == 0) {
		if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
			v4->sin_family = AF_INET;
			v4->sin_port = htons(port);
			u->addr_bytes = sizeof(*v4);
			return 0;
		}
		if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
			v6->sin6_family = AF_INET6;
			v6->sin6_port = htons(port);
			u->addr_bytes = sizeof(*v6);
			return 0;
		}
	}
	return err_set(e,
	    "URL: the host \"%.*s\" is neither an IP address nor localhost",
	    STR_FMT(host));
}
