/*
 * sandbox/rpc.h: what PID 1 of a sandbox does for the gateway.
 *
 * A second SOCK_SEQPACKET socket (struct sandbox.rpc, made when spec.rpc is
 * true) between a role without authority and PID 1: one frame is a struct
 * rpc_request and its payload, or a struct rpc_reply; descriptors travel
 * beside it. sandbox/rpc_client.h is the outer side of it.
 *
 * Everything is done with the sandbox's own uid, and in its own view of files,
 * processes and network: who holds this socket can do inside what the command
 * can do, and nothing more.
 *
 * The payload is strings, each with its NUL, as many as the kind says. Paths
 * are bytes; relative ones start at the working folder of the sandbox. Fields
 * and flags that a kind does not name have to be 0.
 *
 *  kind           fields                strings           descriptors
 *  EXEC           argc envc rows cols   cwd argv.. env..  3, or none (below)
 *  SIGNAL         target signo
 *  WINSIZE        target rows cols
 *  FILE_GET       offset max_bytes      path              1, written to
 *  FILE_PUT       mode max_bytes        path              1, read from
 *  FILE_LS                              path              1, written to
 *  FILE_STAT                            path              1, written to
 *  FILE_MKDIR     mode                  path
 *  FILE_RM                              path
 *  FILE_RENAME                          from to
 *  FILE_WATCH                           path              1, written to
 *  PORT           port
 *  PROCESSES                                              1, written to
 *
 * Answers carry the id of the request:
 *  EXEC     RPC_FAILED; or RPC_STARTED and, later, RPC_EXITED.
 *  PORT     RPC_STARTED with the connected socket (non-blocking), and then
 *           RPC_DONE; or only RPC_DONE with the error.
 *  others   RPC_DONE, exactly one.
 * Ids are the caller's choice; one that is still under way must not be used
 * again. Answers of different requests come in any order.
 *
 * A frame that breaks these rules closes this socket and nothing else: what
 * was started goes on, and its end is not told to anyone. What the machine
 * refuses (limits, missing files, no memory) is an answer, not a violation.
 * The same happens when the caller closes it.
 */
#ifndef SANDBOX_RPC_H
#define SANDBOX_RPC_H

#include <stdint.h>

#include "base/limits.h"

enum { RPC_FD = 4 }; /* where PID 1 finds it */

enum rpc_kind {
	/*
	 * Runs argv[0], looked up in the PATH of its environment, in a session
	 * of its own. cwd "" is the sandbox's working folder. The environment
	 * is that of the sandbox's specification, with the strings given
	 * ("NAME=value") in place of those of the same name.
	 *
	 * The standard streams are the three descriptors, in order; pipes,
	 * sockets, character devices or files, which are blocking as programs
	 * expect. Or, with a flag and then
	 * without descriptors: a terminal, or pipes, made inside and owned by
	 * the sandbox's uid (so that /dev/stdout can be opened there), whose
	 * outer ends come with RPC_STARTED: the terminal's master, or where
	 * to write standard input and read standard output and error.
	 */
	RPC_EXEC = 1,
	/* signo to the process group of the command `target`. */
	RPC_SIGNAL,
	/* The size of the terminal of the command `target`. */
	RPC_WINSIZE,
	/*
	 * At most max_bytes from offset on, of a regular file; nothing else is
	 * ever opened. Symbolic links are followed. reply.bytes was written to
	 * the descriptor, reply.size is the size of the file.
	 */
	RPC_FILE_GET,
	/*
	 * Everything up to the end of the descriptor's stream, into a regular
	 * file, which is made with mode when it is missing. More than
	 * max_bytes is EFBIG. reply.bytes were written.
	 */
	RPC_FILE_PUT,
	/* JSON lines: the entries of a directory, without "." and "..". */
	RPC_FILE_LS,
	/* One JSON line, of the same form. */
	RPC_FILE_STAT,
	RPC_FILE_MKDIR,
	RPC_FILE_RM, /* a file, or an empty directory */
	RPC_FILE_RENAME,
	/*
	 * JSON lines, {"event":"ready"} first, until the reader is gone or the
	 * path is: then {"event":"gone"} is the last line.
	 */
	RPC_FILE_WATCH,
	/* A connection to a TCP port of 127.0.0.1, else of ::1, inside. */
	RPC_PORT,
	/* JSON lines: the processes inside. */
	RPC_PROCESSES,
	RPC_KINDS,
};

/*
 * JSON lines.
 *
 * LS and STAT: {"name":"a/b","type":"file","size":5,"mode":420,
 *   "mtime_ns":"1700000000123456789","target":"..."}
 *   name     relative to the path of the request (STAT: the path itself)
 *   type     file dir symlink fifo socket char block
 *   mode     the permission bits
 *   mtime_ns is a string, since it is over 2^53; size stops at 2^53-1
 *   target   of symbolic links only
 *   name_b64, target_b64: only when the bytes are not UTF-8: the exact ones
 *     in base64, while name shows U+FFFD in place of what is invalid
 *   type is "unknown", and nothing follows it, where the folder hides more.
 *   An LS that met a limit ends with {"truncated":"entries"}. A recursive one
 *   holds {"truncated":"depth","name":"a/b"}, or "access", for a folder that
 *   it could not enter, or not name all entries of.
 * WATCH: {"event":"ready|create|modify|attrib|delete|moved_from|moved_to|
 *   overflow|gone","name":"x"}, name and name_b64 as above, missing where the
 *   watched path itself is meant; "dir":true for directories; "cookie" (a
 *   number) is the same in the two halves of one rename.
 * PROCESSES: {"pid":7,"ppid":1,"state":"S","argv0":"sh","rss":1234567},
 *   argv0_b64 as above; rss in bytes; kernel's letter of the state.
 */

/* request.flags. */
enum rpc_flag {
	RPC_EXEC_TTY = 1 << 0, /* EXEC: a terminal of rows and cols */
	RPC_EXEC_PIPES = 1 << 1, /* EXEC: pipes made inside */
	RPC_EXEC_BARE_ENV = 1 << 2, /* EXEC: only the environment given */
	RPC_PUT_TRUNCATE = 1 << 3, /* PUT: empties it first */
	RPC_PUT_APPEND = 1 << 4, /* PUT: behind what is there */
	/* PUT: written beside it and renamed, so that readers see the old or
	 * the new content; a symbolic link is replaced and not followed. */
	RPC_PUT_ATOMIC = 1 << 5,
	RPC_PUT_NEW = 1 << 6, /* PUT: EEXIST when it is there; not ATOMIC */
	RPC_RECURSIVE = 1 << 7, /* LS, RM: with all below */
	RPC_PARENTS = 1 << 8, /* MKDIR: what is missing on the way; no EEXIST */
	RPC_FOLLOW = 1 << 9, /* STAT: a symbolic link's target */
	RPC_NO_REPLACE = 1 << 10, /* RENAME: EEXIST when `to` is there */
};

struct rpc_request {
	uint64_t id;
	uint32_t kind; /* enum rpc_kind */
	uint32_t flags; /* enum rpc_flag */
	uint64_t offset;
	uint64_t max_bytes;
	uint64_t target; /* id of the EXEC that is meant */
	uint32_t argc; /* at least 1; with envc at most RPC_MAX_STRINGS */
	uint32_t envc;
	uint32_t mode; /* permission bits, 0777 at most */
	uint32_t signo;
	uint16_t rows;
	uint16_t cols;
	uint16_t port;
	uint16_t zero;
};
_Static_assert(sizeof(struct rpc_request) == 64, "padding");

enum rpc_reply_kind {
	/* pid inside; descriptors as the request says; text: the path of the
	 * program, cut where there is no more room */
	RPC_STARTED = 1,
	RPC_FAILED, /* error, text */
	RPC_EXITED, /* status, cpu_us, memory_max_bytes */
	RPC_DONE, /* error (0: it worked), text, bytes, size */
	RPC_REPLY_KINDS,
};

/*
 * Errors beside those of the system call that failed:
 *   EAGAIN     over RPC_MAX_EXECS, RPC_MAX_WORKERS or RPC_MAX_STARTING
 *   E2BIG      a tree deeper than RPC_MAX_DEPTH
 *   ESRCH      target is no command under way, or has no terminal (ENOTTY)
 *   EMFILE     PID 1's open files are used up
 *   ETIMEDOUT  nothing moved for RPC_IDLE_MS
 *   EINTR      the worker was killed (out of memory)
 *   EINVAL     with a text that says what about
 */
struct rpc_reply {
	uint64_t id;
	uint32_t kind; /* enum rpc_reply_kind */
	uint32_t error; /* errno */
	uint64_t bytes;
	uint64_t size;
	uint64_t cpu_us; /* user and system, with children waited for */
	uint64_t memory_max_bytes; /* the largest resident set among them */
	uint32_t pid;
	uint32_t status; /* as wait(2) gives it */
	char text[RPC_TEXT_BYTES]; /* one line, NUL-terminated; reader checks */
};
_Static_assert(sizeof(struct rpc_reply) == 56 + RPC_TEXT_BYTES, "padding");

#endif
