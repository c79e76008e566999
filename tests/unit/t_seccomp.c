/* clang-format off: cmocka wants these four before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "sandbox/filter.h"
#include "sys/seccomp.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { CALLS = 600, X32 = 0x40000000 };

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

/* What the kernel does with a program: the instructions that ours use. */
static uint32_t
interpret(const struct sock_filter *f, size_t n, const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *i = &f[pc];

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(i->k + 4 <= sizeof(*d) && i->k % 4 == 0);
			memcpy(&a, (const char *)d + i->k, 4);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			pc += a > i->k ? i->jt : i->jf;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			fail_msg("instruction 0x%x", i->code);
		}
	}
	fail_msg("ran off the end");
	return 0;
}

/* The table read line by line: the oracle. */
static uint32_t
decide(const struct seccomp_policy *p, const struct seccomp_data *d)
{
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct seccomp_rule *r = &p->rules[i];

		if (r->nr != (uint32_t)d->nr)
			continue;
		for (size_t t = 0; t < r->n_tests; t++) {
			const struct seccomp_test *test = &r->tests[t];
			uint32_t v = (uint32_t)d->args[test->arg] & test->mask;

			if ((test->op == SECCOMP_EQ && v == test->value) ||
			    (test->op == SECCOMP_NE && v != test->value) ||
			    (test->op == SECCOMP_GT && v > test->value))
				return test->action;
		}
		return r->action;
	}
	return p->otherwise;
}

static void
agrees(const struct seccomp_policy *p, const struct sock_filter *f, size_t n)
{
	static const uint64_t values[] = { 0, 1, 2, 3, 7, 0xffffffff,
		0x100000001, 0x5412, 0x6000 };

	for (int nr = -1; nr < CALLS; nr++) {
		for (size_t v = 0; v < COUNT(values); v++) {
			struct seccomp_data d = { .nr = nr, .arch = ARCH };

			for (int i = 0; i < 6; i++)
				d.args[i] = values[(v + (size_t)i) % 9];
			assert_int_equal(interpret(f, n, &d),
			    (uint32_t)nr >= X32 ? SECCOMP_KILL : decide(p, &d));
			assert_int_equal(
			    seccomp_decide(f, n, &d), interpret(f, n, &d));
		}
	}
}

static void
the_tree_decides_as_the_table_does(void **state)
{
	/* Every second call, each with another action, far over what an
	 * eight-bit jump reaches; neighbours; the ends of the range. */
	static struct seccomp_rule rules[SECCOMP_RULES_MAX];
	static const struct seccomp_test tests[] = {
		{ 0, SECCOMP_EQ, UINT32_MAX, 1, SECCOMP_ALLOW },
		{ 0, SECCOMP_GT, UINT32_MAX, 6, SECCOMP_ERRNO(1) },
		{ 1, SECCOMP_EQ, 0x6000, 0, SECCOMP_ERRNO(2) },
		{ 5, SECCOMP_NE, 3, 1, SECCOMP_ERRNO(3) },
	};
	static struct sock_filter out[4096];
	struct err e = {};

	(void)state;
	srand(1);
	for (int round = 0; round < 40; round++) {
		struct seccomp_policy p = {
			.rules = rules,
			.otherwise = SECCOMP_ERRNO(round),
		};
		int n;

		for (uint32_t nr = 0; nr < CALLS && p.n_rules < 500; nr++) {
			struct seccomp_rule *r = &rules[p.n_rules];

			if (rand() % 4 < round % 4)
				continue;
			*r = (struct seccomp_rule){
				.nr = CALLS - 1 - nr, /* unsorted */
				.action = SECCOMP_ERRNO(rand() % 3),
			};
			if (rand() % 4 == 0) {
				r->tests = tests;
				r->n_tests = (size_t)(rand() % 4) + 1;
			}
			p.n_rules++;
		}
		n = seccomp_compile(&p, out, COUNT(out), &e);
		assert_true(n > 0);
		agrees(&p, out, (size_t)n);
	}
}

static void
the_sandbox_filter_is_small_and_right(void **state)
{
	static struct sock_filter out[SECCOMP_PROGRAM_MAX];
	struct err e = {};
	int n = seccomp_compile(&sandbox_filter, out, COUNT(out), &e);

	(void)state;
	assert_true(n > 0);
	assert_true(n < 400); /* its size is the price of each sandbox */
	agrees(&sandbox_filter, out, (size_t)n);
}

static void
what_must_not_pass_does_not(void **state)
{
	static const struct {
		long nr;
		uint64_t a[4];
		uint32_t action;
	} rows[] = {
		{ SYS_read, {}, SECCOMP_ALLOW },
		{ SYS_mount, {}, SECCOMP_ERRNO(EPERM) },
		{ SYS_ptrace, {}, SECCOMP_ERRNO(EPERM) },
		{ SYS_keyctl, {}, SECCOMP_ERRNO(EPERM) },
		{ SYS_bpf, {}, SECCOMP_ERRNO(EPERM) },
		{ SYS_unshare, {}, SECCOMP_ERRNO(EPERM) },
		{ SYS_setns, {}, SECCOMP_ERRNO(EPERM) },
		{ SYS_clone3, {}, SECCOMP_ERRNO(ENOSYS) },
		{ SYS_openat2, {}, SECCOMP_ERRNO(ENOSYS) },
		{ SYS_clone, { SIGCHLD }, SECCOMP_ALLOW },
		{ SYS_clone, { CLONE_NEWUSER | SIGCHLD },
		    SECCOMP_ERRNO(EPERM) },
		{ SYS_clone, { CLONE_NEWNS }, SECCOMP_ERRNO(EPERM) },
		/* Garbage above an int changes nothing. */
		{ SYS_ioctl, { 0, 0x5412 }, SECCOMP_ERRNO(EPERM) },
		{ SYS_ioctl, { 0, 0xdead00005412 }, SECCOMP_ERRNO(EPERM) },
		{ SYS_ioctl, { 0, 0x5401 }, SECCOMP_ALLOW },
		{ SYS_socket, { AF_UNIX, SOCK_SEQPACKET }, SECCOMP_ALLOW },
		{ SYS_socket, { AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 6 },
		    SECCOMP_ALLOW },
		{ SYS_socket, { AF_INET6, SOCK_DGRAM, 17 }, SECCOMP_ALLOW },
		{ SYS_socket, { AF_INET, SOCK_STREAM, 262 },
		    SECCOMP_ERRNO(EPROTONOSUPPORT) },
		{ SYS_socket, { AF_INET, SOCK_RAW, 1 }, SECCOMP_ERRNO(EPERM) },
		{ SYS_socket, { AF_NETLINK, SOCK_RAW },
		    SECCOMP_ERRNO(EAFNOSUPPORT) },
		{ SYS_socket, { 40, SOCK_STREAM },
		    SECCOMP_ERRNO(EAFNOSUPPORT) },
		{ SYS_socket, { 0xffffffff00000002, SOCK_STREAM },
		    SECCOMP_ALLOW },
		{ SYS_fchmod, { 3, 0755 }, SECCOMP_ALLOW },
		{ SYS_fchmod, { 3, 04755 }, SECCOMP_ERRNO(EPERM) },
		{ SYS_openat, { 0, 0, O_RDONLY, 07777 }, SECCOMP_ALLOW },
		{ SYS_openat, { 0, 0, O_CREAT, 04755 }, SECCOMP_ERRNO(EPERM) },
		{ SYS_openat, { 0, 0, O_TMPFILE, 04755 },
		    SECCOMP_ERRNO(EPERM) },
		{ SYS_mknodat, { 0, 0, S_IFCHR }, SECCOMP_ERRNO(EPERM) },
		{ SYS_mknodat, { 0, 0, S_IFIFO | 0600 }, SECCOMP_ALLOW },
		{ SYS_prlimit64, { 0 }, SECCOMP_ALLOW },
		{ SYS_prlimit64, { 1 }, SECCOMP_ERRNO(EPERM) },
		{ SYS_personality, { 0x400000 }, SECCOMP_ERRNO(EPERM) },
		{ 599, {}, SECCOMP_ERRNO(EPERM) },
	};
	static struct sock_filter out[SECCOMP_PROGRAM_MAX];
	struct err e = {};
	int n = seccomp_compile(&sandbox_filter, out, COUNT(out), &e);
	struct seccomp_data d = { .nr = SYS_read, .arch = AUDIT_ARCH_I386 };

	(void)state;
	assert_true(n > 0);
	assert_int_equal(interpret(out, (size_t)n, &d), SECCOMP_KILL);
	for (size_t i = 0; i < COUNT(rows); i++) {
		d = (struct seccomp_data){
			.nr = (int)rows[i].nr,
			.arch = ARCH,
		};
		memcpy(d.args, rows[i].a, sizeof(rows[i].a));
		if (interpret(out, (size_t)n, &d) != rows[i].action)
			fail_msg("row %zu, call %ld", i, rows[i].nr);
	}
}

static void
where_memory_is_counted_none_is_out_of_sight(void **state)
{
	static const struct {
		long nr;
		uint64_t a[4];
		uint32_t action;
	} rows[] = {
		{ SYS_mmap, { 0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS },
		    SECCOMP_ALLOW },
		{ SYS_mmap, { 0, 4096, 3, MAP_SHARED }, SECCOMP_ALLOW },
		{ SYS_mmap, { 0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS },
		    SECCOMP_ERRNO(EPERM) },
		{ SYS_mmap, { 0, 4096, 3, MAP_SHARED_VALIDATE | MAP_ANONYMOUS },
		    SECCOMP_ERRNO(EPERM) },
		{ SYS_mmap,
		    { 0, 4096, 3, 1ULL << 40 | MAP_SHARED | MAP_ANONYMOUS },
		    SECCOMP_ERRNO(EPERM) },
		{ SYS_memfd_create, {}, SECCOMP_ERRNO(ENOSYS) },
		{ SYS_shmget, {}, SECCOMP_ERRNO(ENOSYS) },
		{ SYS_vmsplice, {}, SECCOMP_ERRNO(EPERM) },
		{ SYS_setsockopt, { 0, SOL_SOCKET, SO_SNDBUF },
		    SECCOMP_ERRNO(0) },
		{ SYS_setsockopt, { 0, SOL_SOCKET, SO_RCVBUF },
		    SECCOMP_ERRNO(0) },
		{ SYS_setsockopt, { 0, SOL_SOCKET, SO_REUSEADDR },
		    SECCOMP_ALLOW },
		{ SYS_setsockopt, { 0, 6, SO_SNDBUF }, SECCOMP_ALLOW },
		{ SYS_clone, { CLONE_VM | CLONE_FILES | CLONE_THREAD },
		    SECCOMP_ALLOW },
		{ SYS_clone, { CLONE_VM | CLONE_THREAD },
		    SECCOMP_ERRNO(EPERM) },
		{ SYS_clone, { CLONE_NEWUSER }, SECCOMP_ERRNO(EPERM) },
		{ SYS_clone, { SIGCHLD }, SECCOMP_ALLOW },
		{ SYS_chown, {}, SECCOMP_ALLOW },
	};
	static struct sock_filter out[SECCOMP_PROGRAM_MAX];
	struct err e = {};
	int n = sandbox_filter_compile(FILTER_COUNTED, out, &e);

	(void)state;
	assert_true(n > 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct seccomp_data d = {
			.nr = (int)rows[i].nr,
			.arch = ARCH,
		};

		memcpy(d.args, rows[i].a, sizeof(rows[i].a));
		if (interpret(out, (size_t)n, &d) != rows[i].action)
			fail_msg("row %zu, call %ld", i, rows[i].nr);
	}
	/* It refuses more than the ordinary one, and nothing less. */
	for (int nr = 0; nr < CALLS; nr++) {
		static struct sock_filter usual[SECCOMP_PROGRAM_MAX];
		struct seccomp_data d = { .nr = nr, .arch = ARCH };
		int k = seccomp_compile(
		    &sandbox_filter, usual, SECCOMP_PROGRAM_MAX, &e);

		if (interpret(out, (size_t)n, &d) == SECCOMP_ALLOW)
			assert_int_equal(
			    interpret(usual, (size_t)k, &d), SECCOMP_ALLOW);
	}
}

static void
a_wrong_table_is_refused(void **state)
{
	const struct seccomp_rule twice[] = {
		{ .nr = 1, .action = SECCOMP_ALLOW },
		{ .nr = 1, .action = SECCOMP_KILL },
	};
	const struct seccomp_rule far[] = {
		{ .nr = X32, .action = SECCOMP_ALLOW },
	};
	struct seccomp_policy p = { .rules = twice, .n_rules = 2 };
	struct sock_filter out[8];
	struct err e = {};

	(void)state;
	assert_int_equal(seccomp_compile(&p, out, COUNT(out), &e), -1);
	assert_string_equal(e.text, "seccomp: call 1 has two rules");
	p = (struct seccomp_policy){ .rules = far, .n_rules = 1 };
	assert_int_equal(seccomp_compile(&p, out, COUNT(out), &e), -1);
	p.n_rules = SECCOMP_RULES_MAX + 1;
	assert_int_equal(seccomp_compile(&p, out, COUNT(out), &e), -1);
	/* Too small a place is no overflow. */
	assert_int_equal(
	    seccomp_compile(&sandbox_filter, out, COUNT(out), &e), -1);
	assert_non_null(strstr(e.text, "instructions, over 8"));
}

/* Refusals go to the listener; all else stays as it is. */
static void
a_filter_that_asks_allows_nothing_more(void **state)
{
	static struct sock_filter plain[SECCOMP_PROGRAM_MAX];
	static struct sock_filter asks[SECCOMP_PROGRAM_MAX];
	int asked = 0, n;
	struct err e = {};

	(void)state;
	n = seccomp_compile(&sandbox_filter, plain, SECCOMP_PROGRAM_MAX, &e);
	assert_true(n > 0);
	memcpy(asks, plain, sizeof(plain));
	seccomp_ask(asks, (size_t)n);
	for (int nr = -1; nr < CALLS; nr++) {
		struct seccomp_data d = { .nr = nr, .arch = ARCH };
		uint32_t was = interpret(plain, (size_t)n, &d);
		uint32_t is = seccomp_decide(asks, (size_t)n, &d);

		if (was == is)
			continue;
		assert_int_equal(is, SECCOMP_RET_USER_NOTIF);
		assert_int_equal(
		    was & SECCOMP_RET_ACTION_FULL, SECCOMP_RET_ERRNO);
		assert_int_not_equal(was, SECCOMP_ERRNO(ENOSYS));
		asked++;
	}
	assert_true(asked > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tree_decides_as_the_table_does),
		cmocka_unit_test(the_sandbox_filter_is_small_and_right),
		cmocka_unit_test(what_must_not_pass_does_not),
		cmocka_unit_test(where_memory_is_counted_none_is_out_of_sight),
		cmocka_unit_test(a_wrong_table_is_refused),
		cmocka_unit_test(a_filter_that_asks_allows_nothing_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
