/*
 * sys/ns.h: processes in namespaces of their own, and the rights they lose.
 */
#ifndef SYS_NS_H
#define SYS_NS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * Runs child(arg) in a new process with these CLONE_NEW* flags, which exits
 * with what it returns. The child borrows the caller's memory, as vfork(2)
 * does, and the caller waits until it executes a program or exits: no page is
 * copied. So the child leaves the caller's variables as they are, and works
 * on copies. Descriptors are not shared.
 *
 * cgroup_fd (a v2 directory) is where it is born, or -1. Returns its pid as
 * seen here, with *pidfd to close, or -1.
 */
pid_t ns_spawn(uint64_t flags, int cgroup_fd, int (*child)(void *), void *arg,
    int *pidfd, struct err *e);

/*
 * The same for a child that goes on beside its caller, with a copy of the
 * memory: returns 0 in the child. Of the C library only what fork(2) leaves
 * usable in a process with one thread may be relied on, which is all of it.
 */
pid_t ns_fork(uint64_t flags, int cgroup_fd, int *pidfd, struct err *e);

/*
 * A network namespace of its own for the calling process, which goes on in
 * it. The descriptor, or -1.
 */
int ns_own_net(struct err *e);

/* A short-lived process that runs in our memory, on a stack of its own. */
struct ns_helper {
	pid_t pid; /* -1: none */
	_Alignas(16) char stack[4096];
};

/*
 * A user namespace that exists only to shift owners on a mount: a file of
 * from_uid is seen as to_uid's, and the other way round. All others belong to
 * nobody there. Needs root. The descriptor, or -1.
 *
 * The helper ends by now. It stays where it is until ns_reap has waited for
 * it, which takes no time a little later; in any case, also after an error.
 */
int ns_idmap(uid_t from_uid, uid_t to_uid, gid_t from_gid, gid_t to_gid,
    struct ns_helper *helper, struct err *e);

/* Waits for the helper. Nothing when there is none. */
void ns_reap(struct ns_helper *helper);

/* In a new user namespace: its only id is the caller's, under the same number.
 * uid is not 0. */
int ns_map_self(uid_t uid, gid_t gid, struct err *e);

/*
 * Empties the bounding set, so that no program executed later can gain a
 * capability. Two microseconds for each, and each has to be named.
 */
int ns_drop_bounding(struct err *e);

/*
 * Drops all capabilities of this process: the ambient set is emptied, the
 * securebits that would give some back are locked. uid and gid are taken on in
 * between, without supplementary groups, unless uid is -1. For good, together
 * with ns_drop_bounding, which comes first.
 */
int ns_drop_rights(uid_t uid, gid_t gid, struct err *e);

/*
 * A user namespace in which uid, which is not 0, is user 0: the last of all,
 * so that it owns none of the others, and its capabilities count for files of
 * this one user alone. Of those, the few stay that programs need which unpack
 * and install (NS_ROOT_CAPS), now and for programs executed later. uid and gid
 * are taken on before that, as by ns_drop_rights, which this stands for.
 *
 * self is an O_PATH descriptor of /proc/self, from before the root directory
 * changed: inside, /proc can be read only.
 */
int ns_fake_root(int self, bool change_id, uid_t uid, gid_t gid, struct err *e);

/* CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID, SETUID. */
enum { NS_ROOT_CAPS = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 7 };

/* The loopback interface of this network namespace, up. */
int ns_loopback_up(struct err *e);

/* From now on this process and its children run on n processors, any of those
 * that it has now. They can change that, where no filter hinders them. */
int ns_pin(unsigned n, struct err *e);

/* When the machine has no memory left, this one and its children go first. */
int ns_first_to_go(struct err *e);

/* Bounds what a TCP connection of this network namespace may hold, each way. */
int ns_tcp_buffers(unsigned bytes, struct err *e);

/* A new, empty session keyring instead of the caller's. */
int ns_keyring_cut(struct err *e);

/*
 * From now on the caller and those it starts share a processor core, at any
 * one time, with each other only: the other thread of it runs one of them, or
 * rests. -1 with e where the kernel cannot, or knows of no second thread,
 * which under a hypervisor does not say that there is none.
 */
int ns_own_core(struct err *e);

#endif
