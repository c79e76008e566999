#include "gateway/command.h"

#include <signal.h>
#include <string.h>

#include "base/must.h"
#include "sandbox/rpc_client.h"

static void tell(struct gateway *g, uint64_t run, uint64_t call,
    enum command_end kind, struct str payload);
static void tell_why(struct gateway *g, uint64_t run, uint64_t call,
    enum command_end kind, const char *why);
static bool put_value(struct buf *out, const struct exec *x);

void
command_begin(
    struct gateway *g, const struct msg_command *m, struct str payload)
{
	static const char *strings[RPC_MAX_STRINGS + 1];
	struct inside *in = inside_find(g, m->run);
	struct rpc_request q = { .kind = RPC_EXEC, .flags = RPC_EXEC_PIPES };
	own_buf struct buf text = { .max = (size_t)2 * RPC_MAX_PAYLOAD_BYTES };
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *args = json_parse(payload, NULL, &a, &e, NULL);
	struct exec *x = NULL;
	unsigned n;

	if (in == NULL)
		(void)err_set(&e, "the sandbox is gone");
	else if (exec_strings(args, &q, &text, strings, &n) < 0)
		(void)err_set(&e, "the command is over 64 KiB");
	else
		x = exec_new(in, m->grant, &q, strings, n, &e);
	if (x == NULL) {
		inside_failed(g, m->run, m->grant, e.text);
		tell_why(g, m->run, m->call, COMMAND_NOT_BEGUN, e.text);
		return;
	}
	x->call = m->call;
	x->wants_json = m->json != 0;
	x->background = true; /* until it has ended: no client owns it */
	x->output_limit = m->output_bytes;
	json_write(&x->command, json_get(args, STR("argv")));
	(void)exec_input(
	    x, json_str(json_get(args, STR("stdin")))); /* small enough */
	exec_input_end(x);
}

void
command_kill(struct gateway *g, const struct msg_command *m)
{
	struct inside *in = inside_find(g, m->run);
	struct exec *x = in != NULL ? exec_find(in, m->grant) : NULL;

	if (x == NULL || x->over)
		return;
	x->killed = true; /* also when it has not started yet */
	if (x->started)
		inside_signal(in, x->number, SIGKILL);
}

void
command_over(const struct exec *x)
{
	struct gateway *g = x->of->gateway;
	own_buf struct buf out = { .max = 2 * IPC_MAX_PAYLOAD_BYTES };
	enum command_end kind = COMMAND_ENDED;

	buf_printf(&out, "{\"exit_status\":%u", x->status);
	if (x->signo != 0)
		buf_printf(&out, ",\"signal\":%u", x->signo);
	exec_put_text(&out, "stderr", &x->printed[1]);
	exec_put_text(&out, "stdout", &x->printed[0]);
	if (exec_is_over(x))
		kind = COMMAND_TOO_MUCH;
	else if (x->wants_json && !put_value(&out, x))
		kind = COMMAND_NO_JSON;
	buf_add_byte(&out, '}');
	if (out.failed || out.n > IPC_MAX_PAYLOAD_BYTES)
		tell_why(g, x->of->run, x->call, COMMAND_TOO_MUCH,
		    "it printed more than can be passed on");
	else
		tell(g, x->of->run, x->call, kind, buf_str(&out));
}

void
command_not_begun(const struct exec *x, const struct rpc_reply *r)
{
	tell_why(x->of->gateway, x->of->run, x->call, COMMAND_NOT_BEGUN,
	    r == NULL		     ? "the sandbox has ended"
		: r->text[0] != '\0' ? r->text
				     : strerror((int)r->error));
}

/* What it printed on its standard output, as the one value that it is. */
static bool
put_value(struct buf *out, const struct exec *x)
{
	own_arena struct arena a = {};
	struct err e = {};
	const struct json *v =
	    json_parse(str_trim(buf_str(&x->printed[0])), NULL, &a, &e, NULL);

	if (v == NULL)
		return false;
	buf_add_c(out, ",\"value\":");
	json_write(out, v);
	return true;
}

static void
tell(struct gateway *g, uint64_t run, uint64_t call, enum command_end kind,
    struct str payload)
{
	const struct msg_command_end m = {
		.run = run, .call = call, .kind = kind
	};

	(void)peer_send(&g->broker, MSG_COMMAND_END, &m, payload, NULL,
	    0); /* a broker that is gone has lost the run */
}

static void
tell_why(struct gateway *g, uint64_t run, uint64_t call, enum command_end kind,
    const char *why)
{
	own_buf struct buf out = {};

	buf_add_c(&out, "{\"why\":");
	json_put_str(&out, str_of(why));
	buf_add_byte(&out, '}');
	tell(g, run, call, kind, buf_str(&out));
}
