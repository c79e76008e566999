/*
 * proxy/forward.h: HTTP/1.1 between a client in a sandbox and servers outside,
 * request by request.
 *
 * Every request is read whole by the one parser (codec/http1.h), asked about,
 * and written anew: what is sent on is what was judged. Bodies pass as they
 * are, after the parser has checked their framing; they are never encoded
 * differently. Chunks of requests are framed anew, and trailers behind them
 * judged (forward_trailers.c). Hop-by-hop fields end here (RFC 9110
 * section 7.6.1).
 *
 * Whoever owns a forward knows where its connection leads, asks the broker and
 * dials; a forward knows HTTP.
 */
#ifndef PROXY_FORWARD_H
#define PROXY_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "codec/http1.h"
#include "ipc/msg.h"
#include "proxy/authority.h"
#include "proxy/filter.h"
#include "proxy/spoil.h"
#include "proxy/stream.h"

struct forward;
struct json;

/* A request and its answer that are kept in the trace. */
struct forward_kept {
	bool on; /* the verdict says so */
	bool lost; /* too large, or not whole */
	struct buf fields; /* [[name,value],...] */
	struct buf body, request; /* contents, as the client has them */
};

/* How one request ended, for MSG_EGRESS_DONE. */
struct forward_end {
	uint64_t sent, received; /* bytes of bodies, or of an upgraded stream */
	int64_t ns; /* since it was asked about */
	uint16_t status; /* of the server; 0: none */
	uint32_t flags; /* EGRESS_DONE_* */
	const char *error; /* NULL: it ended well */
	struct str method, path, query; /* query.p is NULL without one */
	const struct filter *filter; /* for filter_report; NULL: none */
	const struct forward_kept *kept; /* NULL: nothing */
};

struct forward_ops {
	/*
	 * A request waits for forward_verdict, and after one of EGRESS_WAIT
	 * for another; asked about again, with f->body_sha256, after one of
	 * EGRESS_GATHER. ask is the object of
	 * MSG_EGRESS_ASK without what only the owner knows (to, via), and
	 * without its closing brace.
	 */
	void (*ask)(struct forward *f, struct buf *ask);
	/*
	 * A connection is needed, for forward_connected: to f->to_host and
	 * f->to_port, as the payload of the verdict has it.
	 */
	void (*dial)(struct forward *f);
	/*
	 * f->server, dialled for this request, speaks TLS now: an owner who
	 * shares connections of HTTP/2 makes it one that is. NULL: nobody does.
	 */
	int (*shaken)(struct forward *f, struct err *e);
	/* A request is over. */
	void (*told)(struct forward *f, const struct forward_end *end);
	/* The client's connection is over; may free what holds f. */
	void (*closed)(struct forward *f);
};

enum { FORWARD_HOST_BYTES = AUTHORITY_BYTES };

enum forward_phase {
	FORWARD_HEAD, /* waits for a request, or for the rest of its head */
	FORWARD_ASKED,
	FORWARD_GATHERS, /* the body is read before it is asked about */
	FORWARD_WAITS, /* for a person, until another verdict */
	FORWARD_DIALS, /* until the server's end is connected */
	FORWARD_PASSES, /* request and answer are under way */
	FORWARD_RELAYS, /* upgraded: bytes both ways */
	FORWARD_FLUSHES, /* the last answer is written, not yet sent */
	FORWARD_LINGERS, /* it is sent; what still comes is thrown away */
	FORWARD_CLOSED,
};

struct forward {
	/* Set by the owner before forward_start. */
	const struct forward_ops *ops;
	struct loop *loop;
	struct stream client; /* open */
	char host[FORWARD_HOST_BYTES]; /* "": the proxy port, any */
	uint16_t port;
	bool h2; /* HTTP/2 may be spoken to the server: the client does, too */
	bool https; /* the client speaks TLS to us, and we to the server */
	const struct filter_watch *watch; /* borrowed, or NULL */

	enum forward_phase phase;
	char to_host[FORWARD_HOST_BYTES]; /* of this request */
	uint16_t to_port;
	struct buf roots; /* PEM: CAs of the rule, by the owner, or empty */

	struct stream server;
	char server_host[FORWARD_HOST_BYTES]; /* where it is connected to */
	uint16_t server_port;
	bool shaking; /* its TLS handshake is under way */
	bool reused; /* it has answered a request before */
	bool retried;

	struct buf in, to_server, from_server, out;
	struct buf content; /* of a body, while it is checked */
	struct buf trailers; /* of an answer that is filtered */
	struct buf asked_trailers; /* of the request, as they came */
	struct buf head_text; /* what the views of head point to */
	struct buf gathered; /* a body that is signed before it is sent */
	struct buf held; /* a body that waits for a person, as it came */
	uint64_t gathered_bytes; /* its length */
	char body_sha256[HASH_HEX_BYTES]; /* its digest; "" until it is whole */
	struct forward_kept kept;
	bool once; /* never sent again, nor over a connection that was kept */
	struct http1_head head; /* of the request */
	struct str path; /* with the query, as it is sent on */
	struct filter *filter; /* of this request and its answer, or NULL */
	struct spoil *spoil; /* the answer is changed on purpose; or NULL */
	bool cut_hard; /* what is flushed last is no end in order */
	struct http1_body request, answer;
	bool upgrade; /* the request asks for a WebSocket */
	bool last; /* the client's connection ends after this answer */
	bool answering; /* the server's head has been read */
	bool server_last; /* the server's ends after this answer */
	bool gathers; /* the head waits for the body */
	bool unchunk; /* HTTP/1.0 clients know no chunks */
	bool rechunk; /* a filter gives the answer another length */
	bool to_head; /* HEAD: the answer has no body */
	bool client_ready, server_ready; /* there may be something to read */
	bool client_ended, server_ended;
	bool client_told; /* the server has been told that the client ended */
	bool server_cut; /* its end was no orderly one */
	uint64_t max_body, sent, received;
	uint64_t bytes_per_s; /* 0: no limit */
	int64_t allowance; /* bytes that may pass now; below 0: wait */
	int64_t allowance_ns, asked_ns;
	int64_t head_ns; /* since when there is a part of a head; 0: not */
	uint16_t status;
	char standing[16]; /* method that may go on without asking, or "" */
	char standing_host[FORWARD_HOST_BYTES];
	uint16_t standing_port;
	bool by_standing;
	struct loop_timer timer;
	struct loop_timer hush; /* the answer pauses: see filter_answer_holds */
	bool hushed; /* it has gone off once since */
	bool hush_due; /* it goes off when nothing more is there */
	bool deaf; /* the server has not been listened to since it was set */
	bool pumping, pump_again, lingers;
	bool holds_back; /* the filter may, of a relayed stream */
	bool holds; /* the timer is for its rate */
};

/*
 * Takes over f->client. ahead is what has been read from it already (plain
 * bytes; those of TLS are given to tls_serve).
 */
void forward_start(struct forward *f, struct str ahead);
/* Closes everything, without `closed`. hard: with resets. */
void forward_stop(struct forward *f, bool hard);

/*
 * The broker's answer to `ask`. doc is the payload of MSG_EGRESS_VERDICT, or
 * NULL: its member "answer" and what a filter needs are used here.
 */
void forward_verdict(struct forward *f, const struct msg_egress_verdict *v,
    const struct json *doc);
/* Ends the request that is under way, and its connections. */
void forward_cut(struct forward *f, const char *why);
/*
 * The end of `dial`: fd is taken over, or -1 and why. A server that is reached
 * is spoken to by TLS if the client speaks TLS to us.
 */
void forward_connected(struct forward *f, int fd, const char *why);
/* Likewise: f->server is open already, for this one request. */
void forward_joined(struct forward *f);

#endif
