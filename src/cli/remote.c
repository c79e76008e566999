#include "cli/remote.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "codec/base64.h"
#include "core/id.h"

enum { ANSWER_MS = 120 * 1000 };

static int take_lines(struct buf *text, struct remote_entry *x,
    int (*each)(void *arg, const struct remote_entry *x, struct err *e),
    void *arg, bool *cut, struct err *e);
static int entry_take(
    const struct json *v, struct remote_entry *x, struct err *e);
static int bytes_take(
    const struct json *v, const char *name, struct buf *out, struct err *e);

bool
remote_parse(const char *text, struct remote *out)
{
	struct str s = str_of(text);
	size_t colon = str_find(s, ':');
	uint64_t id;

	if (colon == s.n || id_parse('r', (struct str){ s.p, colon }, &id) < 0)
		return false;
	if (str_copy((struct str){ s.p, colon }, out->run, sizeof(out->run)) <
	    0)
		return false;
	out->path = text[colon + 1] != '\0' ? text + colon + 1 : ".";
	return true;
}

void
remote_target(
    struct buf *b, const struct remote *r, const char *what, struct str path)
{
	buf_printf(b, "/v1/sandboxes/%s/files%s?path=", r->run, what);
	client_escape(b, path);
}

int
remote_list(const struct client *c, const struct remote *r, bool recursive,
    int (*each)(void *arg, const struct remote_entry *x, struct err *e),
    void *arg, bool *cut, struct err *e)
{
	own_conn struct client_conn conn = { .fd = -1 };
	own_reply struct client_reply reply = {};
	own_buf struct buf target = {}, text = {};
	struct remote_entry x = {};
	int got;

	*cut = false;
	remote_target(&target, r, "/list", str_of(r->path));
	if (recursive)
		buf_add_c(&target, "&recursive=true");
	const struct client_request q = {
		.method = "GET",
		.target = buf_c(&target),
		.accept = "application/x-ndjson",
	};

	if (client_send(c, &q, &conn, e) < 0 ||
	    client_head(&conn, ANSWER_MS, &reply, e) < 0)
		return -1;
	while ((got = client_body(&conn, ANSWER_MS, &text, e)) > 0) {
		got = take_lines(&text, &x, each, arg, cut, e);
		if (got < 0)
			break;
	}
	remote_entry_fini(&x);
	return got;
}

int
remote_stat(const struct client *c, const struct remote *r,
    struct remote_entry *out, struct err *e)
{
	own_reply struct client_reply reply = {};
	own_buf struct buf target = {};

	remote_target(&target, r, "/stat", str_of(r->path));
	const struct client_request q = {
		.method = "GET",
		.target = buf_c(&target),
	};

	if (client_ask(c, &q, &reply, e) < 0)
		return -1;
	return entry_take(reply.json, out, e);
}

void
remote_entry_fini(struct remote_entry *x)
{
	buf_fini(&x->name);
	buf_fini(&x->target);
}

static int
take_lines(struct buf *text, struct remote_entry *x,
    int (*each)(void *arg, const struct remote_entry *x, struct err *e),
    void *arg, bool *cut, struct err *e)
{
	size_t used = 0;

	for (;;) {
		struct str rest = { text->p + used, text->n - used };
		own_arena struct arena a = {};
		const struct json *v;
		size_t n = str_find(rest, '\n');

		if (n == rest.n)
			break;
		v = json_parse((struct str){ rest.p, n }, NULL, &a, e, NULL);
		if (v == NULL)
			return err_add(e, "the sandbox's listing");
		used += n + 1;
		if (json_get(v, STR("truncated")) != NULL) {
			*cut = true;
			continue;
		}
		if (entry_take(v, x, e) < 0 || each(arg, x, e) < 0)
			return -1;
	}
	buf_drop(text, used);
	return 0;
}

static int
entry_take(const struct json *v, struct remote_entry *x, struct err *e)
{
	struct str ns = json_str(json_get(v, STR("mtime_ns")));
	bool before = str_starts(ns, STR("-"));
	uint64_t mtime = 0;

	if (str_copy(json_str(json_get(v, STR("type"))), x->type,
		sizeof(x->type)) < 0 ||
	    bytes_take(v, "name", &x->name, e) < 0 ||
	    bytes_take(v, "target", &x->target, e) < 0)
		return err_set(e, "the sandbox's listing is not understood");
	x->size = x->mode = 0;
	(void)json_u64(json_get(v, STR("size")), &x->size);
	(void)json_u64(json_get(v, STR("mode")), &x->mode);
	if (before)
		ns = (struct str){ ns.p + 1, ns.n - 1 };
	(void)str_to_u64(ns, &mtime);
	x->mtime_ns = before ? -(int64_t)mtime : (int64_t)mtime;
	return 0;
}

/* The exact bytes, when the text does not hold them. */
static int
bytes_take(
    const struct json *v, const char *name, struct buf *out, struct err *e)
{
	const struct json *exact;
	char key[32];

	(void)snprintf(key, sizeof(key), "%s_b64", name);
	exact = json_get(v, str_of(key));
	buf_reset(out);
	if (exact != NULL)
		return base64_decode(out, json_str(exact), BASE64_STANDARD, e);
	buf_add_str(out, json_str(json_get(v, str_of(name))));
	return 0;
}
