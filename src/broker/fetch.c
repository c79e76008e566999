#include "broker/fetch.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "codec/json.h"

struct asked {
	uint64_t id; /* 0: the place is free */
	void (*on_done)(void *arg, const struct fetch_answer *a);
	void *arg;
};

static struct asked asked[FETCHES_MAX];
static uint64_t last;

static void put(struct buf *out, const char *name, struct str value);
static struct asked *find(uint64_t id);
static void finish(struct asked *a, const struct fetch_answer *answer);

uint64_t
fetch_start(const struct fetch_ask *ask)
{
	const struct web_target *to = ask->to;
	struct asked *a = find(0);
	own_buf struct buf out = {}, authority = {};
	struct msg_fetch m = {
		.id = last + 1,
		.max_bytes = ask->max_bytes,
		.timeout_ms = FETCH_TIMEOUT_MS,
		.port = to->port,
	};

	if (a == NULL || !peer_is_open(&broker.proxy))
		return 0;
	buf_add_str(&authority, to->host);
	if (to->port != 443)
		buf_printf(&authority, ":%u", to->port);
	buf_add_c(&out, "{\"addrs\":");
	if (to->addrs != NULL)
		json_write(&out, to->addrs);
	else
		buf_add_c(&out, "[]");
	put(&out, "authority", buf_str(&authority));
	put(&out, "body", ask->body);
	put(&out, "fields", ask->fields);
	put(&out, "host", to->host);
	put(&out, "method", str_of(ask->method));
	put(&out, "path", to->path);
	put(&out, "roots", ask->roots);
	buf_add_byte(&out, '}');
	if (out.failed || out.n > IPC_MAX_PAYLOAD_BYTES ||
	    peer_send(&broker.proxy, MSG_FETCH, &m, buf_str(&out), NULL, 0) < 0)
		m.id = 0;
	if (out.p != NULL)
		explicit_bzero(out.p, out.n); /* it may have reply links */
	if (m.id != 0)
		*a = (struct asked){ ++last, ask->on_done, ask->arg };
	return m.id;
}

void
fetch_stop(uint64_t id)
{
	struct asked *a = id != 0 ? find(id) : NULL;

	if (a != NULL)
		*a = (struct asked){};
}

void
on_fetched(const struct msg_fetched *m, struct str payload)
{
	const struct fetch_answer answer = { m->status, m->max_age_s, payload };
	struct asked *a = m->id != 0 ? find(m->id) : NULL;

	if (a != NULL)
		finish(a, &answer);
}

void
fetch_proxy_lost(void)
{
	static const struct fetch_answer none = {
		.max_age_s = FETCH_AGE_UNKNOWN,
		.text = { "the proxy has ended", 19 },
	};

	for (size_t i = 0; i < FETCHES_MAX; i++) {
		if (asked[i].id != 0)
			finish(&asked[i], &none);
	}
}

static void
put(struct buf *out, const char *name, struct str value)
{
	buf_printf(out, ",\"%s\":", name);
	json_put_str(out, value);
}

static struct asked *
find(uint64_t id)
{
	for (size_t i = 0; i < FETCHES_MAX; i++) {
		if (asked[i].id == id)
			return &asked[i];
	}
	return NULL;
}

/* Free first: it may ask again at once. */
static void
finish(struct asked *a, const struct fetch_answer *answer)
{
	const struct asked one = *a;

	*a = (struct asked){};
	one.on_done(one.arg, answer);
}
