#include "gateway/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/must.h"
#include "codec/json.h"
#include "sys/fd.h"

enum {
	STREAMS = 2, /* stdout, stderr */
	KEEP_BYTES = OUTPUT_KEEP_BYTES / STREAMS,
	READ_BYTES = 16 * 1024,
};

struct stream {
	struct output *of;
	struct loop_watch watch;
	struct buf kept; /* up to twice what is shown: see on_ready */
	uint64_t dropped; /* bytes before those in kept */
};

struct output {
	struct gateway *gateway;
	struct output *next; /* newest first */
	bool named;
	uint64_t call; /* that opens the run */
	uint64_t run;
	struct stream streams[STREAMS];
};

static int stream_open(struct output *o, int i, int *write_end, struct err *e);
static void on_ready(struct loop_watch *w, uint32_t events);
static bool is_over(const struct output *o);
static void make_room(struct gateway *g);

struct output *
output_new(struct gateway *g, int fds[static OUTPUT_FDS], struct err *e)
{
	struct output *o = calloc(1, sizeof(*o));
	int in[2];

	must(o != NULL);
	for (int i = 0; i < OUTPUT_FDS; i++)
		fds[i] = -1;
	make_room(g);
	o->gateway = g;
	g->n_unnamed++;
	for (int i = 0; i < STREAMS; i++)
		o->streams[i].watch.fd = -1;
	o->next = g->outputs;
	g->outputs = o;

	/* A pipe nobody writes to is at its end from the start. */
	if (pipe2(in, O_CLOEXEC) < 0) {
		(void)err_sys(e, "pipe");
		output_free(g, o);
		return NULL;
	}
	(void)close(in[1]);
	fds[0] = in[0];
	for (int i = 0; i < STREAMS; i++) {
		if (stream_open(o, i, &fds[1 + i], e) < 0) {
			for (int k = 0; k < OUTPUT_FDS; k++)
				fd_fini(&fds[k]);
			output_free(g, o);
			return NULL;
		}
	}
	return o;
}

void
output_free(struct gateway *g, struct output *o)
{
	struct output **p = &g->outputs;

	while (*p != o)
		p = &(*p)->next;
	*p = o->next;
	g->n_unnamed -= !o->named;
	for (int i = 0; i < STREAMS; i++) {
		int fd = loop_remove(g->loop, &o->streams[i].watch);

		fd_fini(&fd);
		buf_fini(&o->streams[i].kept);
	}
	free(o);
}

void
output_set_call(struct output *o, uint64_t call)
{
	o->call = call;
}

void
output_on_reply(
    struct gateway *g, const struct msg_reply *r, struct str payload)
{
	own_arena struct arena a = {};
	struct output *o = g->outputs;
	const struct json *doc;
	struct err e = {};

	if (g->n_unnamed == 0)
		return;
	while (o != NULL && (o->named || o->call != r->call))
		o = o->next;
	if (o == NULL)
		return;
	doc = json_parse(payload, NULL, &a, &e, NULL);
	if (r->kind != REPLY_OK ||
	    id_parse('r', json_str(json_get(doc, STR("run"))), &o->run) < 0) {
		output_free(g, o);
		return;
	}
	o->named = true;
	g->n_unnamed--;
}

int
output_put(struct gateway *g, uint64_t run, struct buf *b)
{
	static const char *const names[STREAMS] = { "stdout", "stderr" };
	const struct output *o = g->outputs;
	struct str shown[STREAMS];
	uint64_t dropped = 0;

	while (o != NULL && !(o->named && o->run == run))
		o = o->next;
	if (o == NULL)
		return -1;
	for (int i = 0; i < STREAMS; i++) {
		const struct stream *s = &o->streams[i];

		shown[i] = buf_str(&s->kept);
		dropped += s->dropped;
		if (shown[i].n > KEEP_BYTES) {
			dropped += shown[i].n - KEEP_BYTES;
			shown[i].p += shown[i].n - KEEP_BYTES;
			shown[i].n = KEEP_BYTES;
		}
	}
	buf_add_str(b, STR("{\"dropped_bytes\":"));
	buf_add_u64(b, dropped);
	for (int i = STREAMS - 1; i >= 0; i--) {
		buf_printf(b, ",\"%s\":", names[i]);
		json_put_str(b, shown[i]);
	}
	buf_add_byte(b, '}');
	return 0;
}

void
output_free_all(struct gateway *g)
{
	while (g->outputs != NULL)
		output_free(g, g->outputs);
}

static int
stream_open(struct output *o, int i, int *write_end, struct err *e)
{
	struct stream *s = &o->streams[i];
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, "pipe");
	*write_end = ends[1];
	s->of = o;
	s->kept.max = 2 * KEEP_BYTES + READ_BYTES;
	s->watch = (struct loop_watch){
		.fd = ends[0],
		.events = EPOLLIN,
		.on_ready = on_ready,
	};
	/* Only our end: the command expects one that waits for us. */
	if (fd_nonblock(ends[0], e) < 0 ||
	    loop_add(o->gateway->loop, &s->watch, e) < 0) {
		s->watch.fd = -1;
		(void)close(ends[0]);
		return -1;
	}
	return 0;
}

static void
on_ready(struct loop_watch *w, uint32_t events)
{
	struct stream *s = LOOP_OF(w, struct stream, watch);
	char *to = buf_reserve(&s->kept, READ_BYTES);
	ssize_t r;

	(void)events;
	must(to != NULL);
	do {
		r = read(w->fd, to, READ_BYTES);
	} while (r < 0 && errno == EINTR);
	if (r < 0 && errno == EAGAIN)
		return;
	if (r <= 0) {
		int fd = loop_remove(s->of->gateway->loop, w);

		fd_fini(&fd);
		return;
	}
	s->kept.n += (size_t)r;

	/* Moved when it has doubled, not at every read. */
	if (s->kept.n > (size_t)2 * KEEP_BYTES) {
		s->dropped += s->kept.n - KEEP_BYTES;
		buf_drop(&s->kept, s->kept.n - KEEP_BYTES);
	}
}

static bool
is_over(const struct output *o)
{
	return o->named && o->streams[0].watch.fd < 0 &&
	    o->streams[1].watch.fd < 0;
}

/* The oldest that have ended go first. */
static void
make_room(struct gateway *g)
{
	size_t kept = 0;

	for (struct output *o = g->outputs; o != NULL;) {
		struct output *next = o->next;

		if (is_over(o) && ++kept >= OUTPUT_KEEP_RUNS)
			output_free(g, o);
		o = next;
	}
}
