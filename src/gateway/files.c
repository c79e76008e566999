/*
 * /v1/sandboxes/{run}/files: a job for each request that moves bytes or lists
 * names; the rest is one question and its answer.
 *
 * Bytes go through a pipe to or from a worker inside, and never further ahead
 * of the client than the pipe and one buffer. An upload goes through a socket
 * pair: one that is cut off must not look like one that is complete, see
 * upload_open.
 */
#include "gateway/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "gateway/answer.h"
#include "sys/fd.h"

enum { READ_BYTES = 64 * 1024 };

static int path_take(
    struct client *cl, struct str query, struct str name, struct buf *out);
static void ask_simply(struct client *cl, const struct inside_request *q,
    struct rpc_request *r, const char *const *paths, unsigned n);
static struct file_job *job_new(
    struct client *cl, const struct inside_request *q, enum file_kind kind);
static void download(struct client *cl, const struct inside_request *q,
    enum file_kind kind, struct rpc_request *r);
static void fail_early(struct file_job *j, uint16_t status, const char *why);
static void on_reply(struct inside_ask *a, const struct rpc_reply *r,
    int fds[static RPC_MAX_FDS]);
static void on_pipe(struct loop_watch *w, uint32_t events);
static void on_drained(struct visit *v);
static void on_gone(struct visit *v);
static int upload_open(int ends[static 2], struct err *e);
static void upload(struct file_job *j);
static bool upload_step(struct file_job *j);
static void on_taken(struct visit *v, uint32_t events);
static void end(struct file_job *j);
static void pipe_close(struct file_job *j);
static void job_settle(struct file_job *j);

static const struct visit_ops ops = { on_taken, on_drained, on_gone };

void
file_get(struct client *cl, const struct inside_request *q)
{
	struct rpc_request r = {
		.kind = RPC_FILE_GET,
		.max_bytes = FILE_MAX_BYTES,
	};

	(void)json_u64(json_get(q->args, STR("offset")), &r.offset);
	(void)json_u64(json_get(q->args, STR("max")), &r.max_bytes);
	if (r.max_bytes > FILE_MAX_BYTES)
		r.max_bytes = FILE_MAX_BYTES;
	download(cl, q, FILE_BYTES, &r);
}

void
file_ls(struct client *cl, const struct inside_request *q)
{
	struct rpc_request r = { .kind = RPC_FILE_LS };

	if (json_bool(json_get(q->args, STR("recursive")), false))
		r.flags = RPC_RECURSIVE;
	download(cl, q,
	    answer_accepts(cl, STR("application/x-ndjson")) ? FILE_LINES
							    : FILE_LIST,
	    &r);
}

void
file_stat(struct client *cl, const struct inside_request *q)
{
	struct rpc_request r = { .kind = RPC_FILE_STAT };

	if (json_bool(json_get(q->args, STR("follow")), false))
		r.flags = RPC_FOLLOW;
	download(cl, q, FILE_ONE, &r);
}

void
file_watch(struct client *cl, const struct inside_request *q)
{
	struct rpc_request r = { .kind = RPC_FILE_WATCH };

	download(cl, q, FILE_CHANGES, &r);
}

void
inside_processes(struct client *cl, const struct inside_request *q)
{
	struct rpc_request r = { .kind = RPC_PROCESSES };

	download(cl, q, FILE_LIST, &r);
}

void
file_put(struct client *cl, const struct inside_request *q)
{
	static const struct {
		struct str name;
		uint32_t flags;
	} hows[] = {
		{ STR("replace"), RPC_PUT_ATOMIC },
		{ STR("truncate"), RPC_PUT_TRUNCATE },
		{ STR("append"), RPC_PUT_APPEND },
		{ STR("new"), RPC_PUT_NEW },
	};
	const struct json *how = json_get(q->args, STR("how"));
	own_buf struct buf path = {};
	struct rpc_request r = {
		.kind = RPC_FILE_PUT,
		.max_bytes = FILE_MAX_BYTES,
	};
	uint64_t mode = 0644;
	int ends[2] = { -1, -1 };
	const char *paths[1];
	struct file_job *j;
	struct err e = {};

	j = job_new(cl, q, FILE_UPLOAD);
	for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++) {
		if (how == NULL ? i == 0 : str_eq(json_str(how), hows[i].name))
			r.flags = hows[i].flags;
	}
	(void)json_u64(json_get(q->args, STR("mode")), &mode);
	if (r.flags == 0 || mode > 0777) {
		fail_early(j, 400,
		    "`how` is replace, truncate, append or new; `mode` at "
		    "most 511 (0777)");
		return;
	}
	r.mode = (uint32_t)mode;
	if (cl->conn.head.body == HTTP1_BODY_LENGTH &&
	    cl->conn.head.length > FILE_MAX_BYTES) {
		fail_early(j, 413, "the file is over 1 GiB");
		return;
	}
	if (path_take(NULL, q->query, STR("path"), &path) < 0) {
		fail_early(j, 400, "`path` is missing or holds a NUL");
		return;
	}
	paths[0] = buf_c(&path);
	http1_body_init(&j->decoder, &cl->conn.head, FILE_MAX_BYTES);
	if (upload_open(ends, &e) == 0) {
		j->pipe.fd = ends[0];
		if (inside_send(q->in, &j->ask, &r, q->grant, paths, 1,
			&ends[1], 1, &e) == 0)
			j->asked = true;
		(void)close(ends[1]);
	}
	if (!j->asked || loop_add(j->gateway->loop, &j->pipe, &e) < 0) {
		fd_fini(&j->pipe.fd);
		fail_early(j, 503, e.text);
		return;
	}
	if (cl->conn.head.expect_continue)
		http_conn_send(
		    &cl->conn, STR("HTTP/1.1 100 Continue\r\n\r\n"), STR(""));
	http_take(&cl->conn);
	upload(j);
}

void
file_rm(struct client *cl, const struct inside_request *q)
{
	own_buf struct buf path = {};
	struct rpc_request r = { .kind = RPC_FILE_RM };
	const char *paths[1];

	if (path_take(cl, q->query, STR("path"), &path) < 0)
		return;
	if (json_bool(json_get(q->args, STR("recursive")), false))
		r.flags = RPC_RECURSIVE;
	paths[0] = buf_c(&path);
	ask_simply(cl, q, &r, paths, 1);
}

void
file_mkdir(struct client *cl, const struct inside_request *q)
{
	own_buf struct buf path = {};
	struct rpc_request r = { .kind = RPC_FILE_MKDIR, .mode = 0755 };
	const char *paths[1];

	if (path_take(cl, q->query, STR("path"), &path) < 0)
		return;
	if (json_bool(json_get(q->args, STR("parents")), false))
		r.flags = RPC_PARENTS;
	paths[0] = buf_c(&path);
	ask_simply(cl, q, &r, paths, 1);
}

void
file_rename(struct client *cl, const struct inside_request *q)
{
	own_buf struct buf from = {}, to = {};
	struct rpc_request r = { .kind = RPC_FILE_RENAME };
	const char *paths[2];

	if (path_take(cl, q->query, STR("from"), &from) < 0 ||
	    path_take(cl, q->query, STR("to"), &to) < 0)
		return;
	if (!json_bool(json_get(q->args, STR("replace")), true))
		r.flags = RPC_NO_REPLACE;
	paths[0] = buf_c(&from);
	paths[1] = buf_c(&to);
	ask_simply(cl, q, &r, paths, 2);
}

/* Bytes of a path, as sent. cl NULL: the caller tells. */
static int
path_take(struct client *cl, struct str query, struct str name, struct buf *out)
{
	if (rest_query_bytes(query, name, out) == 0 && out->n > 0 &&
	    str_find(buf_str(out), '\0') == out->n)
		return 0;
	if (cl != NULL)
		answer_error(cl, 400,
		    "a path is missing from the query, is empty or holds a "
		    "NUL");
	return -1;
}

static void
ask_simply(struct client *cl, const struct inside_request *q,
    struct rpc_request *r, const char *const *paths, unsigned n)
{
	struct file_job *j = job_new(cl, q, FILE_NOTHING);
	struct err e = {};

	if (inside_send(q->in, &j->ask, r, q->grant, paths, n, NULL, 0, &e) <
	    0) {
		fail_early(j, 503, e.text);
		return;
	}
	j->asked = true;
}

static struct file_job *
job_new(struct client *cl, const struct inside_request *q, enum file_kind kind)
{
	struct file_job *j = calloc(1, sizeof(*j));

	must(j != NULL);
	j->gateway = cl->gateway;
	j->run = q->in->run;
	j->grant = q->grant;
	j->kind = kind;
	j->ask.on_reply = on_reply;
	j->pipe = (struct loop_watch){
		.fd = -1,
		.events = kind == FILE_UPLOAD ? 0 : EPOLLIN,
		.on_ready = on_pipe,
	};
	j->text.max = FILE_LIST_MAX_BYTES + READ_BYTES;
	visit_begin(&j->visit, cl, &ops);
	return j;
}

/* Whatever has the worker write to a pipe. */
static void
download(struct client *cl, const struct inside_request *q, enum file_kind kind,
    struct rpc_request *r)
{
	struct file_job *j = job_new(cl, q, kind);
	own_buf struct buf path = {};
	int ends[2] = { -1, -1 };
	const char *paths[1] = { "" };
	struct err e = {};
	unsigned n = r->kind == RPC_PROCESSES ? 0 : 1;

	if (n > 0 && path_take(NULL, q->query, STR("path"), &path) < 0) {
		fail_early(j, 400, "`path` is missing or holds a NUL");
		return;
	}
	if (n > 0)
		paths[0] = buf_c(&path);
	if (pipe2(ends, O_CLOEXEC) < 0) {
		fail_early(j, 503, "no descriptors left");
		return;
	}
	j->pipe.fd = ends[0];
	if (fd_nonblock(ends[0], &e) == 0 &&
	    inside_send(
		q->in, &j->ask, r, q->grant, paths, n, &ends[1], 1, &e) == 0)
		j->asked = true;
	(void)close(ends[1]);
	if (!j->asked || loop_add(j->gateway->loop, &j->pipe, &e) < 0) {
		fd_fini(&j->pipe.fd);
		fail_early(j, 503, e.text);
	}
}

/* Before anything moved. */
static void
fail_early(struct file_job *j, uint16_t status, const char *why)
{
	struct client *cl = j->visit.client;

	if (!j->asked)
		inside_failed(j->gateway, j->run, j->grant, why);
	visit_end(&j->visit);
	job_settle(j);
	answer_error(cl, status, why);
}

static void
on_reply(struct inside_ask *a, const struct rpc_reply *r,
    int fds[static RPC_MAX_FDS])
{
	struct file_job *j = LOOP_OF(a, struct file_job, ask);
	own_buf struct buf b = {};

	(void)fds;
	if (r != NULL && r->kind == RPC_STARTED)
		return; /* not of this kind of request */
	j->asked = false;
	j->done = true;
	j->lost = r == NULL;
	if (r != NULL)
		j->answer = *r;
	if (j->lost || r->error != 0) {
		inside_failed(j->gateway, j->run, j->grant,
		    j->lost ? "the sandbox has ended" : r->text);
	} else {
		buf_printf(
		    &b, "{\"bytes\":%llu}", (unsigned long long)r->bytes);
		inside_done(j->gateway, j->run, j->grant, buf_str(&b));
	}
	end(j);
}

/* There is something to read, or for an upload room to write. */
static void
on_pipe(struct loop_watch *w, uint32_t events)
{
	struct file_job *j = LOOP_OF(w, struct file_job, pipe);
	struct client *cl = j->visit.client;
	static char bytes[READ_BYTES];
	ssize_t r;

	if (j->kind == FILE_UPLOAD) {
		/* The worker has closed its end: it will say why. */
		if ((events & (EPOLLHUP | EPOLLERR)) != 0)
			pipe_close(j);
		upload(j);
		return;
	}
	if (cl == NULL) {
		job_settle(j);
		return;
	}
	do {
		r = read(w->fd, bytes, sizeof(bytes));
	} while (r < 0 && errno == EINTR);
	if (r < 0 && errno == EAGAIN)
		return;
	if (r <= 0) {
		pipe_close(j);
		end(j);
		return;
	}
	file_show(j, (struct str){ bytes, (size_t)r });
	if (j->visit.client == NULL) {
		job_settle(j);
		return;
	}
	if (j->began && cl->conn.out.n >= READ_BYTES && !j->paused) {
		int fd = loop_remove(j->gateway->loop, w);

		w->fd = fd; /* for later: the client reads slower */
		j->paused = true;
	}
}

static void
on_drained(struct visit *v)
{
	struct file_job *j = LOOP_OF(v, struct file_job, visit);
	struct err e = {};

	if (!j->paused)
		return;
	j->paused = false;
	if (loop_add(j->gateway->loop, &j->pipe, &e) < 0) {
		fd_fini(&j->pipe.fd);
		http_conn_close(&v->client->conn);
	}
}

static void
on_gone(struct visit *v)
{
	struct file_job *j = LOOP_OF(v, struct file_job, visit);

	if (j->busy == 0)
		job_settle(j);
}

/*
 * A pair of sockets of which ours has a byte that nobody reads. When it is
 * closed so, the worker's end reads ECONNRESET behind what we wrote, and gives
 * up; its proper end is shutdown(2). A pipe could not tell the two apart, nor
 * what becomes of it when this process dies.
 */
static int
upload_open(int ends[static 2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(e, "socketpair");
	if (send(ends[1], "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 &&
	    fd_nonblock(ends[0], e) == 0)
		return 0;
	fd_fini(&ends[0]);
	fd_fini(&ends[1]);
	return err_set(e, "no room for a file");
}

static void
upload(struct file_job *j)
{
	struct client *cl = j->visit.client;
	struct err e = {};
	uint32_t room;

	j->busy++;
	while (cl != NULL && !j->done && j->pipe.fd >= 0 && upload_step(j))
		continue;
	j->busy--;
	if (j->visit.client == NULL) {
		job_settle(j);
		return;
	}
	/* Without room inside, the client has to wait. */
	room = j->text.n > 0 ? EPOLLOUT : 0;
	http_taken_want(
	    &cl->conn, room != 0 || j->sent || j->pipe.fd < 0 ? 0 : EPOLLIN);
	if (j->visit.client != NULL && j->pipe.fd >= 0 &&
	    loop_want(j->gateway->loop, &j->pipe, room, &e) < 0)
		http_conn_close(&cl->conn);
}

/* Moves something, or false. May lose the client. */
static bool
upload_step(struct file_job *j)
{
	struct client *cl = j->visit.client;
	static char bytes[READ_BYTES / 4];
	uint16_t status = 400;
	struct err e = {};
	ssize_t r, used;

	if (j->text.n > 0) {
		r = send(j->pipe.fd, j->text.p, j->text.n,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (r > 0)
			buf_drop(&j->text, (size_t)r);
		/* Any other failure is told by the worker's answer. */
		else if (errno != EAGAIN)
			pipe_close(j);
		return r > 0;
	}
	if (j->decoder.done) {
		if (!j->sent)
			(void)shutdown(j->pipe.fd, SHUT_WR); /* as above */
		j->sent = true;
		return false;
	}
	r = http_taken_read(&cl->conn, bytes, sizeof(bytes));
	if (r < 0 && errno == EAGAIN)
		return false;
	used = r > 0 ? http1_body_feed(
			   &j->decoder, bytes, (size_t)r, &j->text, &status, &e)
		     : -1;
	if (used < 0) { /* cut off, or no body that can be read */
		pipe_close(j);
		if (r <= 0) {
			http_conn_close(&cl->conn);
		} else {
			visit_end(&j->visit);
			http_give_back(&cl->conn);
			answer_error(cl, status, e.text);
		}
		return false;
	}
	must(!j->text.failed);
	return true;
}

static void
on_taken(struct visit *v, uint32_t events)
{
	struct file_job *j = LOOP_OF(v, struct file_job, visit);

	/* Nobody is left to hear how it went. */
	if ((events & EPOLLHUP) != 0) {
		http_conn_close(&v->client->conn);
		return;
	}
	upload(j);
}

/* The worker has answered, or its pipe is at its end: when both are, it is
 * over. */
static void
end(struct file_job *j)
{
	struct client *cl = j->visit.client;

	if (cl == NULL) {
		job_settle(j);
		return;
	}
	if (!j->done || (j->pipe.fd >= 0 && j->kind != FILE_UPLOAD))
		return;
	j->busy++;
	if (j->kind == FILE_UPLOAD)
		http_give_back(&cl->conn);
	file_show_end(j);
	j->busy--;
	job_settle(j);
}

static void
pipe_close(struct file_job *j)
{
	int fd = j->pipe.fd;

	if (!j->paused)
		(void)loop_remove(j->gateway->loop, &j->pipe);
	j->pipe.fd = -1;
	j->paused = false;
	fd_fini(&fd);
}

/* Lets go of what nobody needs; the worker's answer is always awaited. */
static void
job_settle(struct file_job *j)
{
	if (j->visit.client != NULL || j->busy > 0)
		return;
	if (j->pipe.fd >= 0)
		pipe_close(j);
	if (j->asked)
		return;
	buf_fini(&j->text);
	free(j);
}
