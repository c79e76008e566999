/*
 * world/role.h: the world as a process of its own.
 */
#ifndef WORLD_ROLE_H
#define WORLD_ROLE_H

/* Runs until the link to the supervisor ends. Returns the exit status. */
int world_role_main(int supervisor_fd);

#endif
