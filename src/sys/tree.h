/*
 * sys/tree.h: what a process and all below it have used, from /proc.
 *
 * For machines that give no cgroup. Costs a file and one more for each thread
 * of each process, so it is for questions that a person asks, and for an end by
 * a limit, and not for the way of a start.
 */
#ifndef SYS_TREE_H
#define SYS_TREE_H

#include <stdint.h>
#include <sys/types.h>

enum { TREE_MAX = 1024 }; /* processes looked at; a sandbox may have 512 */

/*
 * CPU time of the process, of those below it and of the ones they have waited
 * for: user and system. 0 when it is gone or not to be seen. What ends while
 * this looks may be missing.
 */
uint64_t tree_cpu_ns(pid_t pid);

#endif
