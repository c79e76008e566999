/*
 * gateway/exec.h: a command inside a sandbox, and who watches it.
 *
 * What it writes goes to its log, and from there to its views: a client that
 * waits for the plain answer, one that is sent events, one whose connection
 * carries frames. A command in the background belongs to nobody and goes on
 * without views; any other is killed when the client that started it has gone.
 *
 * A client that reads along holds the command back: what is read from it is
 * never more than EXEC_AHEAD_BYTES before that client. Others lose the oldest.
 */
#ifndef GATEWAY_EXEC_H
#define GATEWAY_EXEC_H

#include "gateway/exec_log.h"
#include "gateway/inside.h"

enum { EXEC_STREAMS = 2 }; /* stdout, stderr; a terminal has the first only */

enum view_kind {
	VIEW_STARTED, /* one answer, as soon as it runs */
	VIEW_PLAIN, /* one answer, at the end */
	VIEW_EVENTS, /* text/event-stream */
	VIEW_FRAMES, /* codec/exec_frame.h */
};

struct exec_view {
	struct visit visit; /* first; without a client: to be freed */
	struct exec_view *next;
	struct exec *exec;
	enum view_kind kind;
	bool owner; /* the command ends with it */
	bool shown; /* the answer has begun */
	struct exec_cursor cursor;
	struct buf in, out; /* VIEW_FRAMES: not yet parsed, not yet sent */
};

struct exec_stream {
	struct exec *exec;
	struct loop_watch watch; /* fd -1: at its end */
	bool paused;
};

struct exec {
	struct inside *of;
	struct exec *next;
	uint64_t number; /* the grant */
	struct inside_ask ask;
	struct exec_view *views;
	unsigned busy; /* views may not be freed now */
	struct buf command; /* for people */
	bool tty, background;
	bool started, exited, over;
	bool killed; /* nobody wants it */
	uint64_t call; /* the broker's, that it is (command.h); 0: none */
	bool wants_json; /* of a call: what it prints is */
	/* Of a call, whose output is its answer: all of it, in place of the
	 * log. */
	struct buf printed[EXEC_STREAMS];
	char program[RPC_TEXT_BYTES]; /* what PID 1 executed */
	uint32_t status; /* of the shell: 128 + signal */
	uint32_t signo; /* 0: it exited */
	uint64_t cpu_us, memory_max_bytes;
	uint64_t output_limit; /* bytes of both streams; 0: none */
	uint64_t output_bytes; /* so far */
	struct exec_log log;
	size_t counted_bytes; /* of it, in gateway.exec_bytes */
	struct exec_stream out[EXEC_STREAMS];
	struct loop_watch in; /* standard input */
	struct buf pending; /* for it */
	bool in_ends; /* behind what is pending */
	struct loop_timer drain;
};

/* Asks for the command; owned by in->execs. NULL with e. */
struct exec *exec_new(struct inside *in, uint64_t grant, struct rpc_request *q,
    const char *const *strings, unsigned n_strings, struct err *e);
struct exec *exec_find(struct inside *in, uint64_t number);
void exec_free_all(struct inside *in);

/* Text for its standard input. False: no more is taken for now. */
bool exec_input(struct exec *x, struct str bytes);
/* No more input will come. */
void exec_input_end(struct exec *x);
/* It printed more than it may, and is killed for it. */
bool exec_is_over(const struct exec *x);

struct exec_view *exec_view_new(struct exec *x, struct client *cl,
    enum view_kind kind, struct exec_cursor from);
/* Shows what is new to all who watch. */
void exec_show(struct exec *x);
/* Frees views that are gone, and x when nobody can ask for it any more. */
void exec_settle(struct exec *x);
/* Goes on to read what the slowest view allows. */
void exec_resume(struct exec *x);

/*
 * exec_api.c: cwd, the arguments and "NAME=value" of the environment of
 * {"argv":[...],"cwd":"...","env":{...}}. text holds them. -1: too long.
 */
int exec_strings(const struct json *args, struct rpc_request *q,
    struct buf *text, const char **out, unsigned *n);

/* exec_view.c. r: RPC_STARTED, RPC_FAILED, or NULL for a lost sandbox. */
void exec_view_started(struct exec_view *v);
void exec_view_failed(struct exec_view *v, const struct rpc_reply *r);
/* Shows what is new; may lose its client on the way. */
void exec_view_show(struct exec_view *v);
/* {"exec":...,"exit_status":...}, members of its end; x is over. */
void exec_put_end(struct buf *b, const struct exec *x);
/* Appends ,"NAME":"...", and ,"NAME_b64":"..." where it is not UTF-8. */
void exec_put_text(struct buf *b, const char *name, const struct buf *text);
/* The members of its output, from the start of its log. */
void exec_put_output(struct buf *b, const struct exec *x);

#endif
