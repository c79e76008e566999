#include "proxy/role.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/must.h"
#include "proxy/proxy.h"
#include "sys/confine.h"

int
proxy_role_main(int supervisor_fd)
{
	struct proxy *p = calloc(1, sizeof(*p));
	struct err e = {};
	int status;

	must(p != NULL);
	log_init("proxy", LOG_WARN);
	if (tls_init(&e) < 0 || proxy_init(p, &e) < 0 ||
	    peer_open_take(&p->supervisor, supervisor_fd, &e) < 0 ||
	    confine_role(CONFINE_PROXY, NULL, &e) < 0 || proxy_run(p, &e) < 0) {
		log_error("cannot serve why=\"%s\"", e.text);
		p->status = 1;
	}
	status = p->status;
	proxy_fini(p);
	free(p);
	return status;
}
