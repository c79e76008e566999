/*
 * init/work.h: what PID 1 has done by a worker, a process of its own.
 *
 * Files, ports and listings may hang, or be built to: a worker is forked for
 * each such request, does this one thing, and ends. It holds the request's
 * descriptor and nothing else of PID 1, and ends itself when nothing moves for
 * RPC_IDLE_MS. What it has to say lies in shared memory.
 */
#ifndef INIT_WORK_H
#define INIT_WORK_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "sandbox/rpc.h"

/* Written by the worker alone; read once it is reaped. */
struct work_result {
	uint32_t done; /* 0: it was killed */
	uint32_t error;
	uint64_t bytes;
	uint64_t size;
	char text[RPC_TEXT_BYTES];
};

struct work {
	const struct rpc_request *q;
	const char *path; /* the first string, or NULL */
	const char *to; /* the second */
	/* Where bytes go or come from; for a port: the rpc socket. */
	int fd;
	struct work_result *out;
};

/* In the forked process. Takes over w->fd, closes all other descriptors. */
void work_main(const struct work *w) __attribute__((noreturn));

/* Something moved: the time to wait starts anew. */
void work_alive(void);
/* Writes to w->fd, counts it; -1 also when the reader is too slow. */
int work_put(const struct work *w, const void *p, size_t n, struct err *e);
/* Adds "key":"text" to a JSON line, and the bytes when they are not UTF-8. */
void work_add_text(struct buf *line, const char *key, const char *text);
/* Writes the lines and empties them. */
int work_put_lines(const struct work *w, struct buf *lines, struct err *e);
/* Waits until w->fd has something to read, or its end. */
int work_wait(const struct work *w, struct err *e);

/* One request each (work_file.c, work_tree.c, work_list.c, work_watch.c,
 * work_port.c). */
int work_get_file(const struct work *w, struct err *e);
int work_put_file(const struct work *w, struct err *e);
int work_mkdir(const struct work *w, struct err *e);
int work_rm(const struct work *w, struct err *e);
int work_rename(const struct work *w, struct err *e);
int work_ls(const struct work *w, struct err *e);
int work_stat(const struct work *w, struct err *e);
int work_processes(const struct work *w, struct err *e);
int work_watch(const struct work *w, struct err *e);
int work_port(const struct work *w, struct err *e);

#endif
