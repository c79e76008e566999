/*
 * sandbox/machine.h: what this machine gives to sandboxes, for `doctor`.
 *
 * Each answer comes from trying, not from version numbers: a namespace is
 * made in a child that exits at once, a cgroup directory is made and removed.
 * Takes some milliseconds; a sandbox itself does not need it.
 */
#ifndef SANDBOX_MACHINE_H
#define SANDBOX_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "sys/audit.h"
#include "sys/cgroup.h"

enum machine_ns {
	MACHINE_NS_MOUNT,
	MACHINE_NS_PID,
	MACHINE_NS_NET,
	MACHINE_NS_IPC,
	MACHINE_NS_UTS,
	MACHINE_NS_CGROUP,
	MACHINE_NS_TIME,
	MACHINE_NS_USER,
	MACHINE_NS_COUNT,
};

/* What this process was put into by somebody else. */
enum machine_container {
	MACHINE_CONTAINER_NONE,
	MACHINE_CONTAINER_DOCKER,
	MACHINE_CONTAINER_PODMAN,
	MACHINE_CONTAINER_KUBERNETES,
	MACHINE_CONTAINER_OTHER, /* lxc, systemd-nspawn ... */
};

struct machine {
	bool root; /* may make namespaces without a user namespace */
	bool powerless; /* user 0, and yet none of that */
	bool ns[MACHINE_NS_COUNT];
	int landlock_abi; /* 0: none; 6 and up: signals and sockets too */
	bool seccomp;
	bool seccomp_notify;
	enum cgroup_kind cgroup_kind;
	bool cgroup_writable[CGROUP_CONTROLLERS];
	bool overlay;
	bool overlay_in_userns;
	bool idmapped_mounts; /* on the file system of the state folder */
	bool nftables; /* a netlink family that answers, in an own netns */
	bool core; /* core scheduling, and threads of cores to keep apart */
	bool memory_watch; /* what a run holds can be counted without a group */
	enum audit_state audit;
	bool audit_heard; /* and its records can be had by this user */
	bool keyring; /* a session keyring of one's own */
	bool tiocsti; /* dev.tty.legacy_tiocsti: terminals take typed input */
	enum machine_container container;
	bool sys_admin; /* CAP_SYS_ADMIN, in whatever user namespace this is */
	bool filtered; /* a seccomp filter of somebody else's is on us */
	bool proc_masked; /* files of /proc are covered: no new one */
	char profile[64]; /* AppArmor's, or "" */
	char kernel[65]; /* utsname's release */
	char cgroup_dir[CGROUP_PATH_MAX]; /* where groups are made, or "" */
};

/* folder: where idmapped mounts are tried; NULL: the current one. */
int machine_probe(struct machine *m, const char *folder, struct err *e);

/* The part of machine_probe that is about containers; in container.c. */
void machine_container_probe(struct machine *m);
const char *machine_container_name(enum machine_container c);

const char *machine_ns_name(enum machine_ns ns);

#endif
