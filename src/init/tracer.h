/*
 * init/tracer.h: a policy's sandbox.commands for whatever a command starts.
 *
 * PID 1 traces all processes of the sandbox. When one executes a program, it
 * stops with the program in place and nothing of it run: /proc/PID/exe is what
 * will run, whatever path, link, descriptor or thread led to it. That file is
 * judged (init/judge.h), and the process goes on, or is killed and told.
 * ptrace(2), PTRACE_EVENT_EXEC.
 *
 * To be traced as PTRACE_SEIZE does, which alone leaves job control as it is, a
 * process has to be attached to from outside, and PID 1's memory, which a
 * command shares until it executes, is nobody's to attach to. So there is one
 * more process, the seed: seized before there is any command, it is held in a
 * stop, and all commands are its children (CLONE_PARENT: their parent is
 * PID 1), which the kernel seizes with it. The seed has a filter of its own,
 * which they inherit: nobody else traces, and nobody leaves (CLONE_UNTRACED).
 *
 * All of it belongs to one thread, the serving one. Costs a switch to PID 1 for
 * each start, end and signal; nothing where a policy has no lists.
 */
#ifndef INIT_TRACER_H
#define INIT_TRACER_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "init/judge.h"

enum {
	TRACER_STACK_BYTES = 8192,
	TRACER_SEEN = 64, /* programs that are known to be allowed */
};

/* A program that nobody inside can change. */
struct tracer_seen {
	dev_t dev;
	ino_t ino;
	struct timespec changed;
};

struct tracer {
	pid_t seed; /* 0: nothing is traced */
	const struct judge *judge;
	unsigned told;

	/* To the seed and from it, which shares this memory. */
	volatile int seized, done;
	int (*volatile run)(void *arg);
	void *volatile arg;
	char *volatile top; /* of the stack to run on */
	volatile long made; /* a pid, or a negative errno */

	unsigned next_seen;
	struct tracer_seen seen[TRACER_SEEN];
	struct judge_room room;
	char path[PATH_MAX]; /* of a program */
	_Alignas(16) char stack[TRACER_STACK_BYTES];
};

/* Before there is a command. 0, or -1 with errno. */
int tracer_start(struct tracer *t, const struct judge *j);

/*
 * As clone(2) with CLONE_VM and SIGCHLD, of a child that is traced: run(arg),
 * on the stack below top. Its pid, or -1 with errno. Ends PID 1 when somebody
 * inside has killed the seed.
 */
pid_t tracer_clone(
    struct tracer *t, int (*run)(void *arg), char *top, void *arg);

/* What wait told of a process: true when it has not ended, and goes on or does
 * not, as it should. */
bool tracer_stopped(struct tracer *t, pid_t pid, int status);

#endif
