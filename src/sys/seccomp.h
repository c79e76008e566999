/*
 * sys/seccomp.h: from a table of system calls to a seccomp filter.
 *
 * The filter is a binary search over ranges of call numbers: the kernel walks
 * it once per number when it is installed (to know which calls need no
 * filter at all) and compiles it, so that its size is the price of every new
 * sandbox. A list of comparisons, as libseccomp writes it, costs about seven
 * times as much there. See docs/decisions/003-seccomp-tree.md.
 *
 * A process of another architecture (int 0x80) or with x32 call numbers is
 * killed: the same number means another call there.
 */
#ifndef SYS_SECCOMP_H
#define SYS_SECCOMP_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
	SECCOMP_RULES_MAX = 512, /* more than there are system calls */
	SECCOMP_PROGRAM_MAX = 1024, /* instructions; the kernel takes 4096 */
};

/* Actions: what the kernel does. SECCOMP_ERRNO(EPERM) fails the call. */
#define SECCOMP_ALLOW ((uint32_t)SECCOMP_RET_ALLOW)
#define SECCOMP_KILL ((uint32_t)SECCOMP_RET_KILL_PROCESS)
#define SECCOMP_ERRNO(no) ((uint32_t)SECCOMP_RET_ERRNO | (uint32_t)(no))

enum seccomp_op { SECCOMP_EQ, SECCOMP_NE, SECCOMP_GT };

/*
 * Compares the low 32 bits of an argument, after the mask. The kernel cuts an
 * int argument the same way, so garbage in the upper half changes nothing.
 */
struct seccomp_test {
	uint8_t arg; /* 0 to 5 */
	enum seccomp_op op;
	uint32_t mask;
	uint32_t value;
	uint32_t action; /* when the comparison is true */
};

struct seccomp_rule {
	uint32_t nr; /* SYS_openat ... */
	uint32_t action; /* when no test is true */
	const struct seccomp_test *tests; /* the first that is true decides */
	size_t n_tests;
};

struct seccomp_policy {
	const struct seccomp_rule *rules; /* in any order, no number twice */
	size_t n_rules;
	uint32_t otherwise; /* the action for calls that have no rule */
};

/*
 * Writes the program to out, which has room for cap instructions. Returns how
 * many there are, or -1.
 */
int seccomp_compile(const struct seccomp_policy *p, struct sock_filter *out,
    size_t cap, struct err *e);

/*
 * Installs a program for this thread and its children. no_new_privs is set
 * already, or the caller has CAP_SYS_ADMIN.
 */
int seccomp_install(const struct sock_filter *program, size_t n, struct err *e);

/*
 * For explanations: what is refused with an errno, other than ENOSYS for what
 * counts as absent, is put before a listener instead. In place.
 */
void seccomp_ask(struct sock_filter *program, size_t n);

/* Installs likewise, and returns the listener, or -1. */
int seccomp_listen(const struct sock_filter *program, size_t n, struct err *e);

/* What a program of ours does with a call: the kernel's own reckoning. */
uint32_t seccomp_decide(const struct sock_filter *program, size_t n,
    const struct seccomp_data *call);

#endif
