/*
 * proxy/role.h: the proxy as a process of its own.
 */
#ifndef PROXY_ROLE_H
#define PROXY_ROLE_H

/* Runs until the link to the supervisor ends. Returns the exit status. */
int proxy_role_main(int supervisor_fd);

#endif
