/*
 * broker/role.h: the broker as a process of its own.
 */
#ifndef BROKER_ROLE_H
#define BROKER_ROLE_H

/* Runs until the link to the supervisor ends. Returns the exit status. */
int broker_role_main(int supervisor_fd);

#endif
