#include "base/must.h"
#include "gateway/answer.h"
#include "gateway/files.h"

enum { LINE_BYTES = 64 * 1024 }; /* two paths of a symbolic link, escaped */

static void begin(struct file_job *j, struct str type);
static void show_changes(struct file_job *j);
static void answer_list(struct client *cl, const struct file_job *j);
static void answer_one(struct client *cl, const struct file_job *j);
static int line_put(struct buf *b, struct str line);

void
file_show(struct file_job *j, struct str bytes)
{
	struct client *cl = j->visit.client;

	j->busy++;
	switch (j->kind) {
	case FILE_BYTES:
		begin(j, STR("application/octet-stream"));
		http_stream_write(&cl->conn, bytes);
		break;
	case FILE_LINES:
		begin(j, STR("application/x-ndjson"));
		http_stream_write(&cl->conn, bytes);
		break;
	case FILE_LIST:
	case FILE_ONE:
		if (j->text.n < FILE_LIST_MAX_BYTES)
			buf_add_str(&j->text, bytes);
		else
			j->over = true;
		break;
	case FILE_CHANGES:
		buf_add_str(&j->text, bytes);
		show_changes(j);
		break;
	case FILE_NOTHING:
	case FILE_UPLOAD:
		break;
	}
	j->busy--;
}

void
file_show_end(struct file_job *j)
{
	struct client *cl = j->visit.client;
	bool failed = j->lost || j->answer.error != 0;
	struct buf *b = &cl->gateway->body;

	visit_end(&j->visit);
	if (j->began) {
		/* Too late for a status: cut off, it cannot pass for whole. */
		if (failed && j->kind != FILE_CHANGES)
			http_conn_close(&cl->conn);
		else
			http_stream_end(&cl->conn);
		return;
	}
	if (failed) {
		inside_answer_error(cl, j->lost ? NULL : &j->answer);
		return;
	}
	switch (j->kind) {
	case FILE_BYTES:
	case FILE_LINES:
	case FILE_CHANGES:
		http_reply(&cl->conn, 200, STR(""), STR(""), STR(""));
		return;
	case FILE_LIST:
		answer_list(cl, j);
		return;
	case FILE_ONE:
		answer_one(cl, j);
		return;
	case FILE_UPLOAD:
		buf_reset(b);
		buf_printf(
		    b, "{\"bytes\":%llu}", (unsigned long long)j->answer.bytes);
		answer_json(cl, 200, buf_str(b));
		return;
	case FILE_NOTHING:
		answer_json(cl, 200, STR("{}"));
		return;
	}
}

static void
begin(struct file_job *j, struct str type)
{
	if (j->began || j->visit.client == NULL)
		return;
	j->began = true;
	/* What a sandbox holds is never a page of this server. */
	http_stream_begin(&j->visit.client->conn,
	    STR("X-Content-Type-Options: nosniff\r\n"
		"Content-Security-Policy: sandbox\r\n"
		"Cache-Control: no-store\r\n"),
	    type);
}

/* Each whole line is an event; one that is no JSON ends the stream. */
static void
show_changes(struct file_job *j)
{
	struct client *cl = j->visit.client;
	size_t used = 0;

	while (j->visit.client != NULL) {
		struct str rest = { j->text.p + used, j->text.n - used };
		own_buf struct buf b = {};
		size_t n = str_find(rest, '\n');

		if (n == rest.n)
			break;
		begin(j, STR("text/event-stream"));
		buf_add_str(&b, STR("event: change\ndata: "));
		if (line_put(&b, (struct str){ rest.p, n }) < 0) {
			http_conn_close(&cl->conn);
			return;
		}
		buf_add_str(&b, STR("\n\n"));
		http_stream_write(&cl->conn, buf_str(&b));
		used += n + 1;
	}
	buf_drop(&j->text, used);
	if (j->text.n > LINE_BYTES && j->visit.client != NULL)
		http_conn_close(&cl->conn);
}

static void
answer_list(struct client *cl, const struct file_job *j)
{
	struct str rest = buf_str(&j->text);
	struct buf *b = &cl->gateway->body;
	bool any = false;

	buf_reset(b);
	buf_add_str(b, STR("{\"entries\":["));
	while (rest.n > 0) {
		size_t n = str_find(rest, '\n');

		if (n == rest.n)
			break; /* the part of a line where it was cut */
		if (any)
			buf_add_byte(b, ',');
		if (line_put(b, (struct str){ rest.p, n }) < 0) {
			answer_error(
			    cl, 503, "the sandbox answers what is no JSON");
			return;
		}
		any = true;
		rest = (struct str){ rest.p + n + 1, rest.n - n - 1 };
	}
	buf_printf(
	    b, "],\"truncated\":%s}", j->over || rest.n > 0 ? "true" : "false");
	if (b->failed)
		answer_error(cl, 413, "the listing is too large");
	else
		answer_json(cl, 200, buf_str(b));
}

static void
answer_one(struct client *cl, const struct file_job *j)
{
	struct str line = buf_str(&j->text);
	struct buf *b = &cl->gateway->body;

	buf_reset(b);
	line.n = str_find(line, '\n');
	if (line_put(b, line) < 0)
		answer_error(cl, 503, "the sandbox answers what is no JSON");
	else
		answer_json(cl, 200, buf_str(b));
}

/* One value on one line, as we write it ourselves. */
static int
line_put(struct buf *b, struct str line)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *v = json_parse(line, NULL, &a, &e, NULL);

	if (v == NULL)
		return -1;
	json_write(b, v);
	return 0;
}
