/*
 * supervisor/role.h: the process that holds the privileges.
 *
 * It starts the other roles and wires them together, builds and kills
 * sandboxes on the broker's word, and hears `paddock kill` on a socket of its
 * own. It parses fixed structs from the broker and one fixed line from that
 * socket, nothing else.
 */
#ifndef SUPERVISOR_ROLE_H
#define SUPERVISOR_ROLE_H

/*
 * Options: --state DIR, --listen IP:PORT, --embedded. Descriptor 3: where
 * "ready\n" or "error: why\n" is written; 4: its end of file means that the
 * starter is gone. Returns the exit status.
 */
int supervisor_role_main(int argc, char **argv);

#endif
