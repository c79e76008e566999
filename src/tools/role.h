/*
 * tools/role.h: the tools role, which talks to the runs' tool servers.
 *
 * A tool server is a program in a sandbox of its own that speaks MCP on its
 * standard streams. What it writes is a stranger's, and is parsed here: by a
 * process that holds the pipes to such servers and nothing else, no file, no
 * network, no listener, no secret. It tells the broker canonical values that
 * it has checked, and writes what the broker has decided. A link that ends
 * ends the role, and with it every pipe.
 */
#ifndef TOOLS_ROLE_H
#define TOOLS_ROLE_H

/* Runs the role over the link to the supervisor. Returns the exit status. */
int tools_role_main(int supervisor_fd);

#endif
