/*
 * /v1/sandboxes/{run}/exec: starts commands, shows what they write, ends them.
 */
#include <signal.h>

#include "codec/base64.h"
#include "gateway/answer.h"
#include "gateway/exec.h"

enum {
	ROWS = 24, /* of a terminal that says nothing, as ever */
	COLS = 80,
};

static bool upgrades(const struct client *cl);
static struct exec *exec_named(
    struct client *cl, const struct inside_request *q);
static void answer_page(struct client *cl, const struct exec *x, uint64_t from);

/*
 * {"argv":[...],"env":{...},"cwd":"...","tty":bool,"rows":n,"cols":n,
 * "background":bool,"stdin":"..."}
 */
int
exec_check(struct client *cl, const struct json *args)
{
	static const struct str texts[] = { STR("cwd"), STR("stdin") };
	static const struct str flags[] = { STR("tty"), STR("background") };
	static const struct str sizes[] = { STR("rows"), STR("cols") };
	static const struct str rest[] = { STR("argv"), STR("env"), STR("do"),
		STR("run") };
	const struct json *argv = json_get(args, STR("argv"));
	const struct json *env = json_get(args, STR("env"));
	const char *why = NULL;
	size_t known = 0;
	uint64_t v;

	if (!json_is(argv, JSON_ARRAY) || argv->n == 0)
		why = "`argv` must be a list of texts, and not empty";
	for (const struct json *w = json_first(argv); w != NULL;
	     w = json_next(argv, w)) {
		if (!json_is(w, JSON_STRING) ||
		    str_find(json_str(w), '\0') != w->n)
			why = "`argv` must be a list of texts";
	}
	if (why == NULL && json_str(json_first(argv)).n == 0)
		why = "the command has no name";
	if (env != NULL && !json_is(env, JSON_OBJECT))
		why = "`env` must be an object";
	for (const struct json *k = json_first(env); k != NULL;
	     k = json_next(env, k)) {
		struct str name = json_str(k), value = json_str(json_value(k));

		if (name.n == 0 || str_find(name, '=') != name.n ||
		    str_find(name, '\0') != name.n ||
		    !json_is(json_value(k), JSON_STRING) ||
		    str_find(value, '\0') != value.n)
			why = "`env` must have names of variables, and texts";
	}
	if (argv != NULL && env != NULL &&
	    (uint64_t)argv->n + env->n >= RPC_MAX_STRINGS)
		why = "too many arguments and variables";
	for (int i = 0; i < 2; i++) {
		const struct json *text = json_get(args, texts[i]);
		const struct json *flag = json_get(args, flags[i]);
		const struct json *size = json_get(args, sizes[i]);

		known += (text != NULL) + (flag != NULL) + (size != NULL);
		if (text != NULL && !json_is(text, JSON_STRING))
			why = "`cwd` and `stdin` must be texts";
		if (flag != NULL && !json_is(flag, JSON_TRUE) &&
		    !json_is(flag, JSON_FALSE))
			why = "`tty` and `background` must be true or false";
		if (size != NULL &&
		    (json_u64(size, &v) < 0 || v < 1 || v > UINT16_MAX))
			why = "`rows` and `cols` must be from 1 to 65535";
	}
	for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
		known += json_get(args, rest[i]) != NULL;
	if (known != args->n)
		why = "known are argv, env, cwd, tty, rows, cols, background "
		      "and stdin";
	if (str_find(json_str(json_get(args, texts[0])), '\0') !=
	    json_str(json_get(args, texts[0])).n)
		why = "`cwd` holds a NUL";
	if (json_str(json_get(args, texts[1])).n > EXEC_STDIN_BYTES)
		why = "`stdin` is over 256 KiB; send it in frames";
	if (json_bool(json_get(args, flags[1]), false) && upgrades(cl))
		why = "a command in the background has no frames";
	if (why == NULL)
		return 0;
	answer_error(cl, 400, why);
	return -1;
}

void
exec_start(struct client *cl, const struct inside_request *q)
{
	static const char *strings[RPC_MAX_STRINGS + 1];
	const struct json *args = q->args;
	const struct json *in = json_get(args, STR("stdin"));
	bool background = json_bool(json_get(args, STR("background")), false);
	bool tty = json_bool(json_get(args, STR("tty")), false);
	uint64_t rows = ROWS, cols = COLS;
	struct rpc_request r = {
		.kind = RPC_EXEC,
		.flags = tty ? RPC_EXEC_TTY : RPC_EXEC_PIPES,
	};
	own_buf struct buf text = { .max = (size_t)2 * RPC_MAX_PAYLOAD_BYTES };
	enum view_kind kind = background		   ? VIEW_STARTED
	    : upgrades(cl)				   ? VIEW_FRAMES
	    : answer_accepts(cl, STR("text/event-stream")) ? VIEW_EVENTS
							   : VIEW_PLAIN;
	struct err e = {};
	struct exec *x;
	unsigned n;

	(void)json_u64(json_get(args, STR("rows")), &rows);
	(void)json_u64(json_get(args, STR("cols")), &cols);
	if (tty) {
		r.rows = (uint16_t)rows;
		r.cols = (uint16_t)cols;
	}
	if (exec_strings(args, &r, &text, strings, &n) < 0) {
		inside_failed(cl->gateway, q->in->run, q->grant,
		    "arguments and environment are too long");
		answer_error(
		    cl, 413, "arguments and environment are over 64 KiB");
		return;
	}
	x = exec_new(q->in, q->grant, &r, strings, n, &e);
	if (x == NULL) {
		inside_failed(cl->gateway, q->in->run, q->grant, e.text);
		answer_error(cl, 503, e.text);
		return;
	}
	x->background = background;
	x->output_limit = q->output_bytes;
	json_write(&x->command, json_get(args, STR("argv")));
	(void)exec_view_new(x, cl, kind, (struct exec_cursor){});
	if (in != NULL)
		(void)exec_input(x, json_str(in)); /* it is small enough */
	if (kind != VIEW_FRAMES)
		exec_input_end(x);
}

void
exec_list(struct client *cl, const struct inside_request *q)
{
	struct buf *b = &cl->gateway->body;

	buf_reset(b);
	buf_add_str(b, STR("{\"execs\":["));
	for (const struct exec *x = q->in->execs; x != NULL; x = x->next) {
		if (x != q->in->execs)
			buf_add_byte(b, ',');
		buf_add_str(b, STR("{\"argv\":"));
		buf_add_str(b, buf_str(&x->command));
		buf_printf(
		    b, ",\"background\":%s,", x->background ? "true" : "false");
		if (x->over)
			exec_put_end(b, x);
		else
			buf_printf(
			    b, "\"exec\":%llu", (unsigned long long)x->number);
		buf_printf(b, ",\"over\":%s,\"tty\":%s}",
		    x->over ? "true" : "false", x->tty ? "true" : "false");
	}
	buf_add_str(b, STR("]}"));
	answer_json(cl, 200, buf_str(b));
}

void
exec_output(struct client *cl, const struct inside_request *q)
{
	struct exec *x = exec_named(cl, q);
	struct exec_view *v;
	uint64_t from = 0;

	if (x == NULL)
		return;
	(void)json_u64(json_get(q->args, STR("from")), &from);
	if (!answer_accepts(cl, STR("text/event-stream"))) {
		answer_page(cl, x, from);
		return;
	}
	v = exec_view_new(x, cl, VIEW_EVENTS, exec_log_find(&x->log, from));
	x->busy++;
	exec_view_started(v);
	if (v->visit.client != NULL)
		exec_view_show(v);
	x->busy--;
	exec_settle(x);
}

void
exec_signal(struct client *cl, const struct inside_request *q)
{
	struct exec *x = exec_named(cl, q);
	uint64_t signo = SIGKILL; /* DELETE says no other */

	if (x == NULL)
		return;
	if (json_get(q->args, STR("signal")) != NULL &&
	    (json_u64(json_get(q->args, STR("signal")), &signo) < 0 ||
		signo < 1 || signo > 64)) {
		answer_error(cl, 400, "`signal` must be a number from 1 to 64");
		return;
	}
	if (x->over) {
		answer_error(cl, 409, "the command has ended already");
		return;
	}
	inside_signal(q->in, x->number, (uint32_t)signo);
	answer_json(cl, 202, STR("{}"));
}

int
exec_strings(const struct json *args, struct rpc_request *q, struct buf *text,
    const char **out, unsigned *n)
{
	const struct json *argv = json_get(args, STR("argv"));
	const struct json *env = json_get(args, STR("env"));
	size_t at = 0;

	buf_add_str(text, json_str(json_get(args, STR("cwd"))));
	buf_add_byte(text, '\0');
	for (const struct json *w = json_first(argv); w != NULL;
	     w = json_next(argv, w)) {
		buf_add_str(text, json_str(w));
		buf_add_byte(text, '\0');
		q->argc++;
	}
	for (const struct json *k = json_first(env); k != NULL;
	     k = json_next(env, k)) {
		buf_add_str(text, json_str(k));
		buf_add_byte(text, '=');
		buf_add_str(text, json_str(json_value(k)));
		buf_add_byte(text, '\0');
		q->envc++;
	}
	if (text->failed || text->n > RPC_MAX_PAYLOAD_BYTES)
		return -1;
	*n = 1 + q->argc + q->envc;
	if (*n > RPC_MAX_STRINGS)
		return -1;
	for (unsigned i = 0; i < *n; i++) {
		out[i] = text->p + at;
		at += str_of(out[i]).n + 1;
	}
	return 0;
}

static bool
upgrades(const struct client *cl)
{
	const struct str *to = http1_get(&cl->conn.head, STR("Upgrade"));

	return to != NULL && str_eq_nocase(*to, STR("paddock-exec"));
}

/* NULL when the client has been told that there is none. */
static struct exec *
exec_named(struct client *cl, const struct inside_request *q)
{
	uint64_t number = 0;
	struct exec *x;

	(void)json_u64(json_get(q->args, STR("exec")), &number);
	x = exec_find(q->in, number);
	if (x == NULL)
		answer_error(
		    cl, 404, "there is no such command, or it ended long ago");
	return x;
}

static void
answer_page(struct client *cl, const struct exec *x, uint64_t from)
{
	static const char *const names[EXEC_STREAMS] = { "stdout", "stderr" };
	struct exec_cursor c = exec_log_find(&x->log, from);
	struct buf *b = &cl->gateway->body;
	struct exec_piece p;
	bool missed = false, any = false;

	buf_reset(b);
	buf_add_str(b, STR("{\"chunks\":["));
	for (const char *comma = ""; exec_log_next(&x->log, &c, &p, &missed);
	     comma = ",") {
		any |= missed;
		buf_printf(b, "%s{\"data_b64\":\"", comma);
		base64_encode(b, p.data, BASE64_STANDARD);
		buf_printf(b, "\",\"number\":%llu,\"stream\":\"%s\"}",
		    (unsigned long long)p.number, names[p.stream]);
	}
	buf_add_str(b, STR("],"));
	if (x->over) {
		exec_put_end(b, x);
		buf_add_byte(b, ',');
	}
	buf_printf(b, "\"missed\":%s,\"next\":%llu,\"over\":%s}",
	    any || from < x->log.first ? "true" : "false",
	    (unsigned long long)c.number, x->over ? "true" : "false");
	if (b->failed)
		answer_error(cl, 413, "the output is too large for one page");
	else
		answer_json(cl, 200, buf_str(b));
}
