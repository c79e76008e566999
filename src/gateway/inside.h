/*
 * gateway/inside.h: a run's sandbox as the gateway reaches into it, through
 * the RPC socket of its PID 1 (sandbox/rpc.h), for what the broker granted.
 *
 * The socket's other end is inside: what comes from there is a stranger's.
 */
#ifndef GATEWAY_INSIDE_H
#define GATEWAY_INSIDE_H

#include "codec/json.h"
#include "gateway/gateway.h"
#include "gateway/rest.h"
#include "sandbox/rpc.h"

struct exec;
struct inside_ask;

struct inside {
	struct gateway *gateway;
	struct inside *next;
	uint64_t run;
	struct loop_watch watch; /* the socket */
	struct inside_ask *asks; /* that have no last answer yet */
	uint64_t next_id; /* of what has no grant */
	struct exec *execs; /* newest first; gateway/exec.h */
};

/* One request. Whoever asks embeds it and owns it until the last answer. */
struct inside_ask {
	struct inside_ask *next;
	uint64_t id;
	/*
	 * RPC_STARTED, or the last answer; descriptors are the caller's. r is
	 * NULL when the sandbox is gone. After the last one the struct is not
	 * touched any more, and may be freed.
	 */
	void (*on_reply)(struct inside_ask *a, const struct rpc_reply *r,
	    int fds[static RPC_MAX_FDS]);
};

/* Takes fd over; left is the payload of MSG_DOOR_OPEN. */
int inside_open_take(
    struct gateway *g, int fd, uint64_t run, struct str left, struct err *e);
/* All that is under way ends. */
void inside_close(struct gateway *g, uint64_t run);
void inside_close_all(struct gateway *g);
struct inside *inside_find(struct gateway *g, uint64_t run);

/*
 * Sends q; its id becomes the grant, or a new one when that is 0. -1 with e:
 * on_reply will not be called.
 */
int inside_send(struct inside *in, struct inside_ask *a, struct rpc_request *q,
    uint64_t grant, const char *const *strings, unsigned n_strings,
    const int *fds, unsigned n_fds, struct err *e);
/* A signal to the command `target`; nobody waits for the answer. */
void inside_signal(struct inside *in, uint64_t target, uint32_t signo);
void inside_winsize(
    struct inside *in, uint64_t target, uint16_t rows, uint16_t cols);

/* Tells the broker that what it granted has ended. 0 is no grant. */
void inside_done(
    struct gateway *g, uint64_t run, uint64_t grant, struct str json);
/* The same, of one that failed. */
void inside_failed(
    struct gateway *g, uint64_t run, uint64_t grant, const char *why);

/* The HTTP status that an errno of the sandbox is answered with. */
uint16_t inside_status(uint32_t error);
/* Answers with the error of a reply that has one, or of a lost sandbox. */
void inside_answer_error(struct client *cl, const struct rpc_reply *r);

/*
 * What a client does inside while its connection is ours: a stream that we
 * write, or one that was taken. Embedded by the one who does it.
 */
struct visit {
	struct client *client; /* NULL: it has gone */
	const struct visit_ops *ops;
};

struct visit_ops {
	void (*on_taken)(struct visit *v, uint32_t events); /* may be NULL */
	void (*on_drained)(struct visit *v); /* may be NULL */
	/* The connection is closed; v->client is NULL. */
	void (*on_gone)(struct visit *v);
};

void visit_begin(
    struct visit *v, struct client *cl, const struct visit_ops *ops);
/* The answer is written: the client may ask again. */
void visit_end(struct visit *v);

/* A request that the broker has granted. Views are those of the client. */
struct inside_request {
	struct inside *in;
	uint64_t grant; /* 0: none was needed */
	uint64_t output_bytes; /* that a command may print; 0: any number */
	const struct json *args; /* path, query and body, as the broker saw */
	struct str query; /* as sent: paths are bytes and need not be UTF-8 */
};

struct inside_route {
	struct rest_route rest; /* its `adds` says what is done */
	/* -1: the arguments are wrong, and the client has been told. */
	int (*check)(struct client *cl, const struct json *args);
	void (*start)(struct client *cl, const struct inside_request *q);
};

/* inside_routes.c: the table of /v1/sandboxes. */
const struct inside_route *inside_routes(size_t *n);
/* The one that r is part of; NULL when it is of another table. */
const struct inside_route *inside_route_of(const struct rest_route *r);

/* exec_api.c */
int exec_check(struct client *cl, const struct json *args);
void exec_start(struct client *cl, const struct inside_request *q);
void exec_list(struct client *cl, const struct inside_request *q);
void exec_output(struct client *cl, const struct inside_request *q);
void exec_signal(struct client *cl, const struct inside_request *q);
/* files.c */
void file_get(struct client *cl, const struct inside_request *q);
void file_put(struct client *cl, const struct inside_request *q);
void file_rm(struct client *cl, const struct inside_request *q);
void file_ls(struct client *cl, const struct inside_request *q);
void file_stat(struct client *cl, const struct inside_request *q);
void file_mkdir(struct client *cl, const struct inside_request *q);
void file_rename(struct client *cl, const struct inside_request *q);
void file_watch(struct client *cl, const struct inside_request *q);
void inside_processes(struct client *cl, const struct inside_request *q);
/* port.c */
int port_check(struct client *cl, const struct json *args);
void port_connect(struct client *cl, const struct inside_request *q);
/* port_http.c */
int port_http_check(struct client *cl, const struct json *args);
void port_http(struct client *cl, const struct inside_request *q);

#endif
