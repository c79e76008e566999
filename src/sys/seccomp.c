#include "sys/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/must.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "sys/seccomp.c: name the architecture's AUDIT_ARCH constant here"
#endif

/* x86-64 only, and no call of any other architecture is that high. */
enum { X32_FIRST = 0x40000000, JUMP_MAX = 255 };

/* Numbers from `first` up to the next range's: one action or one block. */
struct range {
	uint32_t first;
	uint32_t action;
	const struct seccomp_rule *rule; /* not NULL: its tests decide */
};

struct program {
	struct sock_filter *out;
	size_t cap;
	size_t n; /* may grow past cap: nothing is written there */
};

static void sort_rules(const struct seccomp_rule **r, size_t n);
static size_t make_ranges(const struct seccomp_rule **r, size_t n,
    uint32_t otherwise, struct range *out);
static void emit(
    struct program *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf);
static void emit_tree(struct program *p, const struct range *r, size_t n);
static void emit_tests(struct program *p, const struct seccomp_rule *rule);
static bool same_bits(
    const struct seccomp_test *a, const struct seccomp_test *b);
static void emit_load(struct program *p, const struct seccomp_test *t);
static void emit_compare(
    struct program *p, const struct seccomp_test *t, uint8_t yes, uint8_t no);

int
seccomp_compile(const struct seccomp_policy *policy, struct sock_filter *out,
    size_t cap, struct err *e)
{
	const struct seccomp_rule *sorted[SECCOMP_RULES_MAX];
	/* A rule opens a range and the gap behind it another; two are fixed. */
	struct range ranges[2 * SECCOMP_RULES_MAX + 2];
	struct program p = { .out = out, .cap = cap };
	size_t n;

	if (policy->n_rules > SECCOMP_RULES_MAX)
		return err_set(e, "seccomp: over %d rules", SECCOMP_RULES_MAX);
	for (size_t i = 0; i < policy->n_rules; i++)
		sorted[i] = &policy->rules[i];
	sort_rules(sorted, policy->n_rules);
	for (size_t i = 0; i < policy->n_rules; i++) {
		if (sorted[i]->nr >= X32_FIRST)
			return err_set(
			    e, "seccomp: no call has number %u", sorted[i]->nr);
		if (i > 0 && sorted[i]->nr == sorted[i - 1]->nr)
			return err_set(
			    e, "seccomp: call %u has two rules", sorted[i]->nr);
	}
	n = make_ranges(sorted, policy->n_rules, policy->otherwise, ranges);

	emit(&p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch),
	    0, 0);
	emit(&p, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	emit(&p, BPF_RET | BPF_K, SECCOMP_KILL, 0, 0);
	emit(&p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0,
	    0);
	emit_tree(&p, ranges, n);
	if (p.n > cap)
		return err_set(
		    e, "seccomp: %zu instructions, over %zu", p.n, cap);
	return (int)p.n;
}

int
seccomp_install(const struct sock_filter *program, size_t n, struct err *e)
{
	struct sock_fprog prog = {
		.len = (unsigned short)n,
		/* Read only; the kernel's header lacks the const. */
		.filter = (struct sock_filter *)(uintptr_t)program,
	};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return err_sys(e, "seccomp");
	return 0;
}

int
seccomp_listen(const struct sock_filter *program, size_t n, struct err *e)
{
	struct sock_fprog prog = {
		.len = (unsigned short)n,
		/* Read only; the kernel's header lacks the const. */
		.filter = (struct sock_filter *)(uintptr_t)program,
	};
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
	    SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);

	if (fd < 0)
		return err_sys(e, "seccomp with a listener");
	return (int)fd;
}

void
seccomp_ask(struct sock_filter *program, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct sock_filter *f = &program[i];

		if (f->code == (BPF_RET | BPF_K) &&
		    (f->k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO &&
		    (f->k & SECCOMP_RET_DATA) != ENOSYS &&
		    (f->k & SECCOMP_RET_DATA) != 0) /* as if it were done */
			f->k = SECCOMP_RET_USER_NOTIF;
	}
}

uint32_t
seccomp_decide(const struct sock_filter *program, size_t n,
    const struct seccomp_data *call)
{
	uint32_t a = 0;

	for (size_t at = 0; at < n; at++) {
		const struct sock_filter *f = &program[at];

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			must(f->k + sizeof(a) <= sizeof(*call));
			memcpy(&a, (const char *)call + f->k, sizeof(a));
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			break;
		case BPF_JMP | BPF_JA:
			at += f->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			at += a == f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			at += a >= f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			at += a > f->k ? f->jt : f->jf;
			break;
		case BPF_RET | BPF_K:
			return f->k;
		default:
			must(false); /* emit() writes no other */
		}
	}
	must(false); /* every way ends with a return */
	return SECCOMP_KILL;
}

/* By number. Tables are nearly sorted: insertion is the quickest. */
static void
sort_rules(const struct seccomp_rule **r, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		const struct seccomp_rule *rule = r[i];
		size_t at = i;

		for (; at > 0 && r[at - 1]->nr > rule->nr; at--)
			r[at] = r[at - 1];
		r[at] = rule;
	}
}

/* Neighbours with the same plain action become one range. */
static size_t
make_ranges(const struct seccomp_rule **r, size_t n, uint32_t otherwise,
    struct range *out)
{
	const struct range x32 = { .first = X32_FIRST, .action = SECCOMP_KILL };
	uint32_t next = 0; /* the first number that has no range yet */
	size_t made = 0;

	for (size_t i = 0; i <= n; i++) {
		const struct seccomp_rule *rule = i < n ? r[i] : NULL;
		uint32_t nr = rule != NULL ? rule->nr : X32_FIRST;
		struct range *last = made > 0 ? &out[made - 1] : NULL;
		bool joins = last != NULL && last->rule == NULL &&
		    last->action == otherwise;

		if (nr > next && !joins) {
			out[made++] = (struct range){
				.first = next,
				.action = otherwise,
			};
		}
		if (rule == NULL)
			break;
		last = made > 0 ? &out[made - 1] : NULL;
		/* The same action, after the same tests or none. */
		joins = last != NULL && last->action == rule->action &&
		    (last->rule == NULL ? rule->n_tests == 0
					: last->rule->tests == rule->tests &&
				last->rule->n_tests == rule->n_tests);
		if (!joins) {
			out[made++] = (struct range){
				.first = nr,
				.action = rule->action,
				.rule = rule->n_tests > 0 ? rule : NULL,
			};
		}
		next = nr + 1;
	}
	out[made++] = x32;
	return made;
}

static void
emit(struct program *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	if (p->n < p->cap) {
		p->out[p->n] = (struct sock_filter){
			.code = code,
			.jt = jt,
			.jf = jf,
			.k = k,
		};
	}
	p->n++;
}

/*
 * The left half follows its comparison, the right half follows the left one.
 * Recursive over our own table: at most eleven levels.
 */
static void
emit_tree(struct program *p, const struct range *r, size_t n)
{
	size_t half = n / 2, branch, left;

	must(n > 0);
	if (n == 1) {
		if (r->rule != NULL)
			emit_tests(p, r->rule);
		else
			emit(p, BPF_RET | BPF_K, r->action, 0, 0);
		return;
	}

	/* A conditional jump is eight bits wide: measure, then choose. */
	branch = p->n;
	emit(p, BPF_JMP | BPF_JGE | BPF_K, r[half].first, 0, 0);
	emit_tree(p, r, half);
	left = p->n - branch - 1;
	if (left > JUMP_MAX) {
		p->n = branch;
		emit(p, BPF_JMP | BPF_JGE | BPF_K, r[half].first, 0, 1);
		emit(p, BPF_JMP | BPF_JA, (uint32_t)left, 0, 0);
		emit_tree(p, r, half);
	} else if (branch < p->cap) {
		p->out[branch].jt = (uint8_t)left;
	}
	emit_tree(p, r + half, n - half);
}

/*
 * Neighbours that look at the same bits and lead to the same action share the
 * instruction that returns it.
 */
static void
emit_tests(struct program *p, const struct seccomp_rule *rule)
{
	const struct seccomp_test *tests = rule->tests;
	size_t i = 0;

	while (i < rule->n_tests) {
		const struct seccomp_test *first = &tests[i];
		size_t n = 1;

		while (i + n < rule->n_tests && n < JUMP_MAX &&
		    tests[i + n].action == first->action &&
		    same_bits(&tests[i + n], first))
			n++;
		if (i == 0 || !same_bits(&tests[i - 1], first))
			emit_load(p, first);
		for (size_t k = 0; k < n; k++) {
			/* To the return behind the last, or past it. */
			uint8_t yes = (uint8_t)(n - 1 - k), no = k + 1 == n;

			emit_compare(p, &tests[i + k], yes, no);
		}
		emit(p, BPF_RET | BPF_K, first->action, 0, 0);
		i += n;
	}
	emit(p, BPF_RET | BPF_K, rule->action, 0, 0);
}

static bool
same_bits(const struct seccomp_test *a, const struct seccomp_test *b)
{
	return a->arg == b->arg && a->mask == b->mask;
}

static void
emit_load(struct program *p, const struct seccomp_test *t)
{
	/* Little-endian: the low half of a 64-bit argument is first. */
	uint32_t at =
	    (uint32_t)offsetof(struct seccomp_data, args) + 8 * t->arg;

	must(t->arg < 6);
	emit(p, BPF_LD | BPF_W | BPF_ABS, at, 0, 0);
	if (t->mask != UINT32_MAX)
		emit(p, BPF_ALU | BPF_AND | BPF_K, t->mask, 0, 0);
}

static void
emit_compare(
    struct program *p, const struct seccomp_test *t, uint8_t yes, uint8_t no)
{
	switch (t->op) {
	case SECCOMP_EQ:
		emit(p, BPF_JMP | BPF_JEQ | BPF_K, t->value, yes, no);
		break;
	case SECCOMP_NE:
		emit(p, BPF_JMP | BPF_JEQ | BPF_K, t->value, no, yes);
		break;
	case SECCOMP_GT:
		emit(p, BPF_JMP | BPF_JGT | BPF_K, t->value, yes, no);
		break;
	}
}
