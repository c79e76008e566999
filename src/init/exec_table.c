#include "init/exec_table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sys/fd.h"

struct exec *
exec_new(struct exec_table *t)
{
	for (unsigned i = 0; i < RPC_MAX_EXECS + 1; i++) {
		struct exec *x = &t->execs[i];

		if (x->state != EXEC_FREE)
			continue;
		if (i >= t->n_used)
			t->n_used = i + 1;
		*x = (struct exec){ .master = -1 };
		return x;
	}
	return NULL;
}

struct start *
exec_start_new(struct exec_table *t)
{
	unsigned i = 0;

	while (i < t->n_starts && t->starts[i].watch >= 0)
		i++;
	if (i == RPC_MAX_STARTING)
		return NULL;
	if (i == t->n_starts)
		t->starts[t->n_starts++].watch = -1;
	return &t->starts[i];
}

struct exec *
exec_find(struct exec_table *t, uint64_t id)
{
	for (unsigned i = 0; i < t->n_used; i++) {
		struct exec *x = &t->execs[i];

		if (x->state != EXEC_FREE && !x->is_main && x->id == id)
			return x;
	}
	return NULL;
}

struct exec *
exec_of_pid(struct exec_table *t, pid_t pid)
{
	for (unsigned i = 0; i < t->n_used; i++) {
		if (t->execs[i].state != EXEC_FREE && t->execs[i].pid == pid)
			return &t->execs[i];
	}
	return NULL;
}

int
exec_begin(struct exec_table *t, struct exec *x)
{
	x->pid = start_command(x->start);
	if (x->pid < 0)
		return -1;
	x->started_pid = x->pid;
	x->state = EXEC_STARTING;
	t->n_starting++;
	return 0;
}

void
exec_decide(struct exec_table *t, struct exec *x)
{
	struct start *s = x->start;

	if (x->state != EXEC_STARTING)
		return;
	x->state = EXEC_RUNNING;
	(void)snprintf(x->program, sizeof(x->program), "%.*s",
	    (int)sizeof(x->program) - 1, s->path);
	if (s->failed != 0) {
		const char *what = s->stage;
		const char *which = s->argv[0];

		if (strcmp(what, "chdir") == 0)
			which = s->cwd;
		x->state = EXEC_FAILED;
		x->last = (struct rpc_reply){
			.kind = RPC_FAILED,
			.error = (uint32_t)s->failed,
		};
		if (s->failed == EKEYREJECTED)
			(void)snprintf(x->last.text, sizeof(x->last.text),
			    "the policy is against it: %s", s->room.text);
		else
			(void)snprintf(x->last.text, sizeof(x->last.text),
			    "%s %.100s: %s", what, which, strerror(s->failed));
	}
	fd_fini(&s->watch);
	x->start = NULL;
	t->n_starting--;
}

void
exec_end(
    struct exec_table *t, struct exec *x, int status, const struct rusage *used)
{
	/* That it has ended hangs up as well. */
	exec_decide(t, x);
	x->pid = 0;
	if (x->state == EXEC_FAILED)
		return;
	x->state = EXEC_ENDED;
	x->last = (struct rpc_reply){
		.kind = RPC_EXITED,
		.status = (uint32_t)status,
		.cpu_us = ((uint64_t)used->ru_utime.tv_sec +
			      (uint64_t)used->ru_stime.tv_sec) *
			1000000 +
		    (uint64_t)used->ru_utime.tv_usec +
		    (uint64_t)used->ru_stime.tv_usec,
		.memory_max_bytes = (uint64_t)used->ru_maxrss * 1024,
	};
}

void
exec_free(struct exec *x)
{
	fd_fini(&x->master);
	while (x->n_outer > 0)
		fd_fini(&x->outer[--x->n_outer]);
	x->state = EXEC_FREE;
}
