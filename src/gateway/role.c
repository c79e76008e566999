#include "gateway/role.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/must.h"
#include "gateway/gateway.h"
#include "sys/confine.h"

int
gateway_role_main(int supervisor_fd)
{
	struct gateway *g = calloc(1, sizeof(*g));
	struct err e = {};
	int status;

	must(g != NULL);
	log_init("gateway", LOG_WARN);
	if (gateway_init(g, &http_default_limits, &gateway_default_times, &e) <
		0 ||
	    peer_open_take(&g->supervisor, supervisor_fd, &e) < 0 ||
	    confine_role(CONFINE_GATEWAY, NULL, &e) < 0 ||
	    gateway_run(g, &e) < 0) {
		log_error("cannot serve why=\"%s\"", e.text);
		g->status = 1;
	}
	status = g->status;
	gateway_fini(g);
	free(g);
	return status;
}
