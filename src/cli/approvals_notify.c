/*
 * paddock approvals notify: brings what waits to people elsewhere.
 *
 * A client like any other, with a token of its own: nothing of the daemon makes
 * connections for this. Each approval that comes to wait is handed to a command
 * (such as curl) on its standard input, signed, with reply links for those who
 * are asked. Neither key nor links are in an argument or the environment.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "cli/approvals_more.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/out.h"
#include "core/id.h"
#include "sys/fd.h"

static const char help[] =
    "usage: paddock approvals notify [OPTIONS] -- COMMAND [ARGUMENT...]\n"
    "\n"
    "Runs COMMAND for each approval that comes to wait, with what it is on\n"
    "standard input, as JSON. PADDOCK_SIGNATURE is t=MS,v1=HEX: HMAC-SHA-256\n"
    "over MS, a dot and the input. A command that fails is run again, five\n"
    "times.\n"
    "\n"
    "  --key-file FILE     the key of the signature; without it there is none\n"
    "  --link A[:R,...]    a reply link for actor A with roles R; many times\n"
    "  --count N           ends after N approvals; never if not "
    "given\n" CLIENT_HELP "\n"
    "example: paddock approvals notify --key-file hook.key --link bea:finance "
    "-- \\\n"
    "           sh -c 'curl -fsS -H \"X-Signature: $PADDOCK_SIGNATURE\" \\\n"
    "             --data-binary @- https://chat.example.com/hook'\n";

static const struct option options[] = {
	{ "key-file", required_argument, NULL, 'k' },
	{ "link", required_argument, NULL, 'l' },
	{ "count", required_argument, NULL, 'n' },
	CLIENT_OPTIONS,
	ARGS_HELP,
	{},
};

enum { POLL_MS = 200, TRIES = 5, SEEN_MAX = 4096, KEY_MAX_BYTES = 4096 };

/* An approval that was waiting at the last look. */
struct seen {
	uint64_t id;
	uint32_t tries;
	bool done, there;
};

struct notifier {
	const struct client *client;
	struct buf key;
	const char *links[LINKS_MAX];
	uint32_t n_links;
	char *const *command;
	struct seen *seen;
	uint32_t n_seen;
	uint64_t left; /* 0: no end */
	bool ended;
};

static int look(struct notifier *n, struct err *e);
static struct seen *seen_of(struct notifier *n, uint64_t id);
static int tell(struct notifier *n, const struct json *approval, struct err *e);
static int put_links(
    struct notifier *n, struct str id, struct buf *out, struct err *e);
static int run(const struct notifier *n, struct str body, struct err *e);
_Noreturn static void become(
    int in, const char *signature, char *const *command);

int
cmd_approvals_notify(int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	own_client struct client client = {};
	struct client_options o = {};
	const char *key = NULL;
	struct notifier n = { .client = &client };
	struct args a;
	struct err e = {};
	int c, status = EXIT_DONE;

	args_init(&a, argc, argv, help, options);
	a.name = "approvals notify";
	while ((c = args_next(&a)) != ARGS_END) {
		if (c == ARGS_STOP)
			return a.exit;
		if (c == 'k')
			key = optarg;
		else if (c == 'l' && n.n_links == LINKS_MAX)
			return args_bad(&a, "at most %d links", LINKS_MAX);
		else if (c == 'l')
			n.links[n.n_links++] = optarg;
		else if (c == 'n' &&
		    (str_to_u64(str_of(optarg), &n.left) < 0 || n.left == 0))
			return args_bad(
			    &a, "--count %s: not a number from 1 on", optarg);
		else
			(void)client_option(&o, c, optarg);
	}
	if (args_count(&a) > 0)
		return args_bad(&a, "unexpected argument %s", args_rest(&a)[0]);
	if (a.command == NULL || a.command[0] == NULL)
		return args_bad(&a, "-- COMMAND is missing");
	n.command = a.command;
	if (key != NULL && file_read(key, &n.key, KEY_MAX_BYTES, &e) < 0)
		return out_fail(&e);
	while (n.key.n > 0 && n.key.p[n.key.n - 1] == '\n')
		n.key.n--;
	if (key != NULL && n.key.n < 16) {
		(void)err_set(&e, "%s: a key of less than 16 bytes", key);
		return out_fail(&e);
	}
	n.seen = calloc(SEEN_MAX, sizeof(*n.seen));
	if (n.seen == NULL) {
		(void)err_set(&e, "out of memory");
		return out_fail(&e);
	}
	if (client_init(&client, &o, &e) < 0)
		status = out_fail(&e);
	while (status == EXIT_DONE && !n.ended) {
		if (look(&n, &e) < 0)
			status = out_fail(&e);
		else if (!n.ended)
			(void)nanosleep(&pause, NULL); /* sooner is no harm */
	}
	free(n.seen);
	if (n.key.p != NULL)
		explicit_bzero(n.key.p, n.key.n);
	buf_fini(&n.key);
	return status;
}

static int
look(struct notifier *n, struct err *e)
{
	own_reply struct client_reply r = {};
	const struct client_request q = { .method = "GET",
		.target = "/v1/approvals?state=pending" };
	const struct json *all;
	uint32_t kept = 0;

	if (client_ask(n->client, &q, &r, e) < 0)
		return -1;
	for (uint32_t i = 0; i < n->n_seen; i++)
		n->seen[i].there = false;
	all = json_get(r.json, STR("approvals"));
	for (const struct json *x = json_first(all); x != NULL && !n->ended;
	     x = json_next(all, x)) {
		struct seen *s;
		uint64_t id;

		if (id_parse('a', json_str(json_get(x, STR("approval"))), &id) <
		    0)
			continue;
		s = seen_of(n, id);
		if (s == NULL)
			continue; /* the next look has room */
		s->there = true;
		if (s->done)
			continue;
		s->done = tell(n, x, e) == 0;
		if (!s->done) {
			(void)out_fail(e);
			s->done = ++s->tries == TRIES;
		} else if (n->left > 0) {
			n->ended = --n->left == 0;
		}
	}
	for (uint32_t i = 0; i < n->n_seen; i++) {
		if (n->seen[i].there)
			n->seen[kept++] = n->seen[i];
	}
	n->n_seen = kept;
	return 0;
}

static struct seen *
seen_of(struct notifier *n, uint64_t id)
{
	for (uint32_t i = 0; i < n->n_seen; i++) {
		if (n->seen[i].id == id)
			return &n->seen[i];
	}
	if (n->n_seen == SEEN_MAX)
		return NULL;
	n->seen[n->n_seen] = (struct seen){ .id = id };
	return &n->seen[n->n_seen++];
}

static int
tell(struct notifier *n, const struct json *approval, struct err *e)
{
	own_buf struct buf body = {};
	int rc;

	buf_add_c(&body, "{\"approval\":");
	json_write(&body, approval);
	buf_add_c(&body, ",\"links\":[");
	rc = put_links(
	    n, json_str(json_get(approval, STR("approval"))), &body, e);
	buf_add_c(&body, "]}\n");
	if (rc == 0)
		rc = run(n, buf_str(&body), e);
	if (body.p != NULL)
		explicit_bzero(body.p, body.n);
	return rc;
}

/* {"path","secret","who"}, as POST /v1/approvals/ID/links gives them. */
static int
put_links(struct notifier *n, struct str id, struct buf *out, struct err *e)
{
	char target[64], path[64];
	struct client_request q = { .method = "POST", .target = target };

	(void)snprintf(
	    target, sizeof(target), "/v1/approvals/%.*s/links", STR_FMT(id));
	(void)snprintf(
	    path, sizeof(path), "/v1/approvals/%.*s/decide", STR_FMT(id));
	for (uint32_t i = 0; i < n->n_links; i++) {
		own_reply struct client_reply r = {};
		own_buf struct buf body = {};
		struct str actor = str_of(n->links[i]), roles = STR("");
		size_t colon = str_find(actor, ':');

		if (colon < actor.n)
			roles = (struct str){ actor.p + colon + 1,
				actor.n - colon - 1 };
		actor.n = colon;
		buf_add_c(&body, "{\"actor\":");
		json_put_str(&body, actor);
		buf_add_c(&body, ",\"roles\":");
		approvals_put_roles(&body, roles);
		buf_add_byte(&body, '}');
		q.body = buf_str(&body);
		if (client_ask(n->client, &q, &r, e) < 0)
			return -1;
		buf_add_c(out, i > 0 ? ",{\"path\":" : "{\"path\":");
		json_put_str(out, str_of(path));
		buf_add_c(out, ",\"secret\":");
		json_put_str(out, json_str(json_get(r.json, STR("secret"))));
		buf_add_c(out, ",\"who\":");
		json_put_str(out, json_str(json_get(r.json, STR("who"))));
		buf_add_byte(out, '}');
	}
	return 0;
}

/* 0 when the command took it and ended with 0. */
static int
run(const struct notifier *n, struct str body, struct err *e)
{
	own_buf struct buf text = {};
	char signature[32 + HASH_HEX_BYTES] = "", hex[HASH_HEX_BYTES];
	int64_t ms = clock_utc_ns() / 1000000;
	own_fd int in = fd_sealed(body.p, body.n, e);
	int status = 0;
	pid_t pid;

	if (in < 0)
		return -1;
	if (n->key.n > 0) {
		struct hash h;

		buf_printf(&text, "%" PRId64 ".", ms);
		buf_add_str(&text, body);
		h = hash_hmac(buf_str(&n->key), buf_str(&text));
		hash_hex(&h, hex);
		(void)snprintf(signature, sizeof(signature),
		    "t=%" PRId64 ",v1=%s", ms, hex);
		explicit_bzero(text.p, text.n);
	}
	pid = fork();
	if (pid < 0)
		return err_sys(e, "fork");
	if (pid == 0)
		become(in, signature, n->command);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return err_sys(e, "waitpid");
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_set(e, "%s ended with %d", n->command[0],
	    WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

_Noreturn static void
become(int in, const char *signature, char *const *command)
{
	if (lseek(in, 0, SEEK_SET) < 0 || dup2(in, STDIN_FILENO) < 0)
		_exit(126);
	(void)setenv("PADDOCK_SIGNATURE", signature, 1); /* of no memory */
	(void)execvp(command[0], command);
	_exit(127);
}
