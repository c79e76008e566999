/*
 * init/serve.h: PID 1 as a server of commands, files and ports inside.
 *
 * Two threads, since a Landlock domain belongs to a thread and cannot be left:
 * the first one stays in that of PID 1, where no command can signal it, and
 * forks workers, which are then out of reach likewise. The second enters a
 * domain below, does all the rest, and starts commands, which so are all in
 * one domain and may signal each other.
 *
 * Memory is bounded and taken when the program starts: tables of struct exec,
 * struct start and struct job. What has to be told to the caller waits in its
 * entry until the socket takes it; while none is free for an answer, no
 * request is read.
 */
#ifndef INIT_SERVE_H
#define INIT_SERVE_H

#include <stdbool.h>

struct relay;

/*
 * argv is the command, or its first element is NULL. keep: the command's end
 * is reported, and is not ours. relay is that of the command's output. The
 * signals are blocked, sigchld_fd tells of SIGCHLD; CONTROL_FD and RPC_FD are
 * open. Returns PID 1's exit status, or ends the process itself.
 */
int serve_main(
    char **argv, char **envp, bool keep, struct relay *relay, int sigchld_fd);

#endif
