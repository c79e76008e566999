/*
 * gateway/role.h: the gateway as a process of its own.
 */
#ifndef GATEWAY_ROLE_H
#define GATEWAY_ROLE_H

/* Runs until the link to the supervisor ends. Returns the exit status. */
int gateway_role_main(int supervisor_fd);

#endif
