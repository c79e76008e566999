/*
 * cli/client.h: asks a daemon over HTTP/1.1, blocking.
 *
 * Normally over the Unix socket in the state directory, where the kernel says
 * who we are; with --url over TCP to this machine, with a token. A connection
 * serves one request: a daemon's restart is then nothing special.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "codec/http1.h"
#include "codec/json.h"
#include "codec/sse.h"

/* What the options of a subcommand said; NULL where nothing was said. */
struct client_options {
	const char *state;
	const char *url;
	const char *token_file;
};

/* Rows for a subcommand's options, and who takes them: true when taken. */
#define CLIENT_OPTIONS                                     \
	{ "state", required_argument, NULL, 'S' },         \
	    { "url", required_argument, NULL, 'U' },       \
	{                                                  \
		"token-file", required_argument, NULL, 'T' \
	}
bool client_option(struct client_options *o, int c, const char *value);
/* Their lines of --help. */
#define CLIENT_HELP                                                            \
	"  --state DIR         where the daemon keeps its state\n"             \
	"  --url URL           a daemon's TCP door on this machine, such as\n" \
	"                      http://127.0.0.1:7070\n"                        \
	"  --token-file FILE   its token; DIR/operator.token if not given\n"

enum { CLIENT_HOST_BYTES = 48 }; /* INET6_ADDRSTRLEN, and to spare */

struct client {
	struct buf state; /* the directory */
	struct buf token; /* for TCP */
	char socket[108]; /* sun_path; "" when TCP */
	char host[CLIENT_HOST_BYTES]; /* TCP: an address, no name */
	uint16_t port;
};

#define own_client __attribute__((cleanup(client_fini)))

/* 0, or -1 with e: a bad URL, no token, a state path too long. */
int client_init(
    struct client *c, const struct client_options *o, struct err *e);
void client_fini(struct client *c);

/*
 * "127.0.0.1:7070" or "[::1]:7070" taken apart; only addresses that no other
 * machine can reach are taken, since nothing here is encrypted.
 */
int client_address(struct str text, char host[static CLIENT_HOST_BYTES],
    uint16_t *port, struct err *e);

/* Appends s as a part of a query: all but letters, digits and "-._~/:". */
void client_escape(struct buf *out, struct str s);

struct client_request {
	const char *method;
	const char *target; /* "/v1/runs?limit=5", escaped by the caller */
	struct str body; /* JSON, or empty */
	const int *fds; /* borrowed; Unix socket only */
	unsigned n_fds;
	bool stream; /* asks for text/event-stream */
	const char *accept; /* another type than JSON; or NULL */
	const char *upgrade; /* the protocol that the connection becomes */
	bool chunks; /* a body follows, by client_chunk */
	bool keep; /* the connection stays open behind the answer */
};

/* One connection with a request on its way. */
struct client_conn {
	int fd; /* poll it for POLLIN; -1 when closed */
	struct buf in; /* received */
	size_t used; /* bytes of it that are done with */
	bool keep;
	struct http1_body body;
	struct sse sse; /* of a stream */
};

#define own_conn __attribute__((cleanup(client_conn_fini)))

void client_conn_fini(struct client_conn *conn);

struct client_reply {
	uint16_t status;
	const struct json *json; /* in the arena; NULL when there is no body */
	struct buf body;
	struct arena arena;
};

#define own_reply __attribute__((cleanup(client_reply_fini)))

void client_reply_fini(struct client_reply *r);

/*
 * Connects and sends. -1 with e; client_down(e) tells "nobody listens" from
 * other failures.
 */
int client_send(const struct client *c, const struct client_request *q,
    struct client_conn *conn, struct err *e);
bool client_down(const struct err *e);

/*
 * Reads the answer and closes, unless it is kept. Waits up to timeout_ms for
 * each piece of it. Any status is an answer; -1 means there was none. r is
 * zeroed or was used.
 */
int client_receive(struct client_conn *conn, int timeout_ms,
    struct client_reply *r, struct err *e);

/* Both; an answer other than 2xx is -1, with what the daemon says in e. */
int client_ask(const struct client *c, const struct client_request *q,
    struct client_reply *r, struct err *e);
/* The same on a connection of the caller's, for q->keep. */
int client_ask_on(const struct client *c, const struct client_request *q,
    struct client_conn *conn, struct client_reply *r, struct err *e);
/* The second half of it, for what client_send has sent. */
int client_answer(
    struct client_conn *conn, struct client_reply *r, struct err *e);
/* Turns an answer other than 2xx into e. Returns -1. */
int client_refused(const struct client_reply *r, struct err *e);

/*
 * For answers that are not one JSON document: reads the head. 0 for 2xx and
 * for 101 (what follows is conn->in from conn->used on, and the descriptor);
 * else -1 with what the daemon says in e and, as JSON, in r.
 */
int client_head(struct client_conn *conn, int timeout_ms,
    struct client_reply *r, struct err *e);
/* Appends what has come of the body: 1; 0 at its end; -1 with e. */
int client_body(
    struct client_conn *conn, int timeout_ms, struct buf *out, struct err *e);
/* One piece of the body of a request; empty: the end of it. */
int client_chunk(struct client_conn *conn, struct str bytes, struct err *e);

/* Reads the head of a stream's answer: 0, or -1 when it is not a stream. */
int client_stream(struct client_conn *conn, int timeout_ms, struct err *e);
/*
 * The next event: 1 with *ev; 0 when more must arrive first (poll conn->fd);
 * -1 with e when the stream has ended. Never waits.
 */
int client_event(struct client_conn *conn, struct sse_event *ev, struct err *e);

#endif
