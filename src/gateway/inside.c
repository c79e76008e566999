#include "gateway/inside.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/must.h"
#include "gateway/answer.h"
#include "gateway/exec.h"
#include "sandbox/rpc_client.h"
#include "sys/fd.h"

enum { ANSWERS_AT_ONCE = 32 }; /* of one sandbox, then the others */

static void on_ready(struct loop_watch *w, uint32_t events);
static void answer_take(
    struct inside *in, const struct rpc_reply *r, int fds[static RPC_MAX_FDS]);
static void end_left(struct inside *in, struct str left);
static void lose(struct inside *in);
static void send_unheard(struct inside *in, struct rpc_request *q);
static void on_unheard(struct inside_ask *a, const struct rpc_reply *r,
    int fds[static RPC_MAX_FDS]);

int
inside_open_take(
    struct gateway *g, int fd, uint64_t run, struct str left, struct err *e)
{
	struct inside *in = calloc(1, sizeof(*in));

	must(in != NULL);
	in->gateway = g;
	in->run = run;
	in->watch = (struct loop_watch){
		.fd = fd,
		.events = EPOLLIN,
		.on_ready = on_ready,
	};
	/* Numbers that no earlier gateway has under way: grants are small. */
	must(getrandom(&in->next_id, sizeof(in->next_id), 0) ==
	    sizeof(in->next_id));
	in->next_id |= UINT64_C(1) << 62;
	in->next_id &= ~(UINT64_C(1) << 63);
	if (loop_add(g->loop, &in->watch, e) < 0) {
		(void)close(fd);
		free(in);
		return -1;
	}
	in->next = g->insides;
	g->insides = in;
	end_left(in, left);
	return 0;
}

void
inside_close(struct gateway *g, uint64_t run)
{
	for (struct inside **p = &g->insides; *p != NULL; p = &(*p)->next) {
		struct inside *in = *p;

		if (in->run != run)
			continue;
		lose(in);
		*p = in->next;
		exec_free_all(in);
		free(in);
		return;
	}
}

void
inside_close_all(struct gateway *g)
{
	while (g->insides != NULL)
		inside_close(g, g->insides->run);
}

struct inside *
inside_find(struct gateway *g, uint64_t run)
{
	for (struct inside *in = g->insides; in != NULL; in = in->next) {
		if (in->run == run)
			return in;
	}
	return NULL;
}

int
inside_send(struct inside *in, struct inside_ask *a, struct rpc_request *q,
    uint64_t grant, const char *const *strings, unsigned n_strings,
    const int *fds, unsigned n_fds, struct err *e)
{
	if (in->watch.fd < 0)
		return err_set(e, "the sandbox does not answer any more");
	a->id = q->id = grant != 0 ? grant : ++in->next_id;
	if (rpc_send(in->watch.fd, q, strings, n_strings, fds, n_fds, e) < 0)
		return -1;
	a->next = in->asks;
	in->asks = a;
	return 0;
}

void
inside_signal(struct inside *in, uint64_t target, uint32_t signo)
{
	struct rpc_request q = {
		.kind = RPC_SIGNAL,
		.target = target,
		.signo = signo,
	};

	send_unheard(in, &q);
}

void
inside_winsize(struct inside *in, uint64_t target, uint16_t rows, uint16_t cols)
{
	struct rpc_request q = {
		.kind = RPC_WINSIZE,
		.target = target,
		.rows = rows,
		.cols = cols,
	};

	send_unheard(in, &q);
}

void
inside_done(struct gateway *g, uint64_t run, uint64_t grant, struct str json)
{
	struct msg_inside_done m = { .run = run, .grant = grant };

	if (grant == 0)
		return;
	(void)peer_send(&g->broker, MSG_INSIDE_DONE, &m, json, NULL,
	    0); /* a broker that is gone has lost the run */
}

void
inside_failed(struct gateway *g, uint64_t run, uint64_t grant, const char *why)
{
	own_buf struct buf b = {};

	buf_add_c(&b, "{\"error\":");
	json_put_str(&b, str_of(why));
	buf_add_byte(&b, '}');
	inside_done(g, run, grant, buf_str(&b));
}

uint16_t
inside_status(uint32_t error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ESRCH:
		return 404;
	case EACCES:
	case EPERM:
	case EROFS:
		return 403;
	case EEXIST:
	case EISDIR:
	case ENOTEMPTY:
	case ECONNREFUSED:
	case ENOTTY:
		return 409;
	case EFBIG:
	case ENOSPC:
	case EDQUOT:
	case E2BIG:
		return 413;
	case EINVAL:
	case ENAMETOOLONG:
	case ELOOP:
	case ENOEXEC:
		return 400;
	case ETIMEDOUT:
		return 408;
	default:
		return 503;
	}
}

void
inside_answer_error(struct client *cl, const struct rpc_reply *r)
{
	static const struct {
		uint16_t status;
		const char *code, *next;
	} rows[] = {
		{ 400, "bad_request", "Mend the name or the number." },
		{ 403, "forbidden",
		    "The sandbox's own user may not: choose another place." },
		{ 404, "not_found",
		    "See what is there: `paddock files ls RUN:FOLDER`." },
		{ 408, "timeout", "Try again; nothing moved for a minute." },
		{ 409, "conflict", "See what is there already." },
		{ 413, "too_large", "Take less, or give the sandbox more." },
		{ 503, "unavailable", "Try again in a few seconds." },
	};
	struct buf *b = &cl->gateway->body;
	const char *why = "the sandbox has ended";
	uint16_t status = 503;

	if (r != NULL) {
		why = r->text[0] != '\0' ? r->text : strerror((int)r->error);
		status = inside_status(r->error);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].status != status)
			continue;
		buf_reset(b);
		buf_printf(b, "{\"error\":{\"code\":\"%s\",\"errno\":%u,",
		    rows[i].code, r != NULL ? r->error : 0);
		buf_add_str(b, STR("\"message\":"));
		json_put_str(b, str_of(why));
		buf_add_str(b, STR(",\"suggested_next_step\":"));
		json_put_str(b, str_of(rows[i].next));
		buf_add_str(b, STR("}}"));
		answer_json(cl, status, buf_str(b));
		return;
	}
}

void
visit_begin(struct visit *v, struct client *cl, const struct visit_ops *ops)
{
	must(cl->visit == NULL);
	v->client = cl;
	v->ops = ops;
	cl->visit = v;
}

void
visit_end(struct visit *v)
{
	if (v->client != NULL)
		v->client->visit = NULL;
	v->client = NULL;
}

static void
on_ready(struct loop_watch *w, uint32_t events)
{
	struct inside *in = LOOP_OF(w, struct inside, watch);

	(void)events;
	for (int i = 0; i < ANSWERS_AT_ONCE && w->fd >= 0; i++) {
		struct rpc_reply r;
		int fds[RPC_MAX_FDS];
		struct err e = {};
		int got = rpc_receive(w->fd, &r, fds, &e);

		if (got == 0)
			return;
		if (got < 0) {
			lose(in);
			return;
		}
		answer_take(in, &r, fds);
		for (int k = 0; k < RPC_MAX_FDS; k++)
			fd_fini(&fds[k]);
	}
}

static void
answer_take(
    struct inside *in, const struct rpc_reply *r, int fds[static RPC_MAX_FDS])
{
	for (struct inside_ask **p = &in->asks; *p != NULL; p = &(*p)->next) {
		struct inside_ask *a = *p;

		if (a->id != r->id)
			continue;
		if (r->kind != RPC_STARTED)
			*p = a->next;
		a->on_reply(a, r, fds);
		return;
	}
}

/*
 * What a gateway before us had under way lost its client with it: commands
 * are killed, all else has ended by itself.
 */
static void
end_left(struct inside *in, struct str left)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *all = json_parse(left, NULL, &a, &e, NULL);

	for (const struct json *x = json_first(all); x != NULL;
	     x = json_next(all, x)) {
		uint64_t grant;

		if (json_u64(x, &grant) < 0)
			continue;
		inside_signal(in, grant, SIGKILL);
		inside_failed(
		    in->gateway, in->run, grant, "the gateway was restarted");
	}
}

/* Nothing will be answered any more. */
static void
lose(struct inside *in)
{
	int none[RPC_MAX_FDS] = { -1, -1, -1 };
	int fd = loop_remove(in->gateway->loop, &in->watch);

	fd_fini(&fd);
	while (in->asks != NULL) {
		struct inside_ask *a = in->asks;

		in->asks = a->next;
		a->on_reply(a, NULL, none);
	}
}

static void
send_unheard(struct inside *in, struct rpc_request *q)
{
	struct inside_ask *a = calloc(1, sizeof(*a));
	struct err e = {};

	must(a != NULL);
	a->on_reply = on_unheard;
	/* A sandbox that takes no more will get no signal either. */
	if (inside_send(in, a, q, 0, NULL, 0, NULL, 0, &e) < 0)
		free(a);
	/* Else it belongs to in. NOLINTNEXTLINE */
}

static void
on_unheard(struct inside_ask *a, const struct rpc_reply *r,
    int fds[static RPC_MAX_FDS])
{
	(void)r;
	(void)fds;
	free(a);
}
