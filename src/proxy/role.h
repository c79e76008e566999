/*
 * proxy/role.h: the proxy as a process of its own.
 *
 * Inside a sandbox HTTP_PROXY and HTTPS_PROXY name a listener of ours. Each
 * request is read, shown to the broker as host, port, method and path, and
 * answered with the broker's reason: this version lets nothing out.
 */
#ifndef PROXY_ROLE_H
#define PROXY_ROLE_H

/*
 * Runs until the link to the supervisor or to the broker ends. Returns the
 * exit status.
 */
int proxy_role_main(int supervisor_fd);

#endif
