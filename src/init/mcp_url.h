/*
 * init/mcp_url.h: where the door is: http://HOST[:PORT][/PATH].
 *
 * HOST is an IP address or localhost: the static binary asks no name server.
 */
#ifndef INIT_MCP_URL_H
#define INIT_MCP_URL_H

#include <sys/socket.h>

#include "base/err.h"
#include "base/str.h"

struct mcp_url {
	struct sockaddr_storage addr;
	socklen_t addr_bytes;
	struct str authority; /* for Host; a view of the text */
	struct str path; /* with the query; a view, "/" when there is none */
};

/* Pure. text must outlive u. 0, or -1 with e. */
int mcp_url_parse(struct mcp_url *u, struct str text, struct err *e);

#endif
