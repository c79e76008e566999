/*
 * world/role.h: the world role: the fake services of every open run.
 *
 * It holds the runs' databases and nothing else: no file, no network, no
 * secret. It obeys the broker; a link that ends ends the role.
 */
#ifndef WORLD_ROLE_H
#define WORLD_ROLE_H

/* Runs the role over the link to the supervisor. Returns the exit status. */
int world_role_main(int supervisor_fd);

#endif
