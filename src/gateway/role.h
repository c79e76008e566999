/*
 * gateway/role.h: the gateway as a process of its own.
 *
 * Every door is here: MCP and REST /v1, inside sandboxes and for people. The
 * gateway reads what strangers send, checks its form and asks the broker. It
 * has no authority and decides nothing but syntax.
 */
#ifndef GATEWAY_ROLE_H
#define GATEWAY_ROLE_H

/*
 * Runs until the link to the supervisor or to the broker ends. Returns the
 * exit status.
 */
int gateway_role_main(int supervisor_fd);

#endif
