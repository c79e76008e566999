/*
 * What the broker itself sees of a request is searched here, before anything of
 * it is recorded or looked up: the name of the host, path and query. The rest
 * is searched by the proxy (proxy/filter.h), which does not have the values.
 */
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "broker/egress_int.h"
#include "broker/record.h"
#include "broker/secret.h"
#include "codec/json.h"
#include "core/hide.h"
#include "core/leak.h"

static struct str find(
    const struct run *r, struct str text, struct leak_hit *hit);

struct str
egress_leak_take(struct run *r, struct egress_ask *ask, struct str *place,
    struct leak_hit *hit)
{
	struct {
		const char *place;
		struct str *text;
	} const parts[] = {
		{ "path", &ask->path },
		{ "query", &ask->query },
		{ "method", &ask->method },
		{ "header content-type", &ask->content_type },
		{ "header content-encoding", &ask->content_encoding },
		{ "server name", &ask->sni },
	};
	struct str found = { NULL, 0 };

	if (r->secrets == NULL)
		return found;
	found = secrets_in_host(r->secrets, str_of(ask->host));
	if (found.p != NULL) {
		*place = STR("host");
		*hit = (struct leak_hit){};
		memset(ask->host, 0, sizeof(ask->host));
		memcpy(ask->host, "withheld", 8);
		ask->sni = (struct str){ NULL, 0 };
	}
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct leak_hit one;
		struct str name = find(r, *parts[i].text, &one);

		if (name.p == NULL)
			continue;
		*parts[i].text = STR("/withheld");
		if (found.p != NULL)
			continue;
		found = name;
		*place = str_of(parts[i].place);
		*hit = one;
	}
	return found;
}

struct str
egress_leak_hide(const struct run *r, struct str text)
{
	struct leak_hit hit;

	return find(r, text, &hit).p != NULL ? STR("/withheld") : text;
}

int
egress_text_hide(
    const struct run *r, struct str text, struct buf *out, uint64_t *hidden)
{
	struct str to[SECRETS_PER_RUN_MAX];
	struct hide h;
	uint32_t n;
	int status;

	*hidden = 0;
	if (r->secrets == NULL || secrets_leaks(r->secrets) == NULL) {
		buf_add_str(out, text);
		return out->failed ? -1 : 0;
	}
	n = secrets_count(r->secrets);
	if (n > sizeof(to) / sizeof(to[0]))
		return -1;
	for (uint32_t i = 0; i < n; i++)
		to[i] = secrets_placeholder(
		    r->secrets, secrets_name(r->secrets, i));
	if (hide_init(&h, secrets_leaks(r->secrets), to) < 0)
		return -1;
	status = hide_feed(&h, text, true, out);
	*hidden = h.hits;
	hide_fini(&h);
	return status;
}

void
egress_leak_record(struct run *r, uint32_t step, struct str name,
    struct str form, struct str place)
{
	struct event ev = record_of(r, EVENT_EGRESS_LEAK);
	own_buf struct buf body = {};

	buf_add_c(&body, "{\"form\":");
	json_put_str(&body, form);
	buf_add_c(&body, ",\"kind\":\"secret\",\"name\":");
	json_put_str(&body, name);
	buf_add_c(&body, ",\"place\":");
	json_put_str(&body, egress_leak_hide(r, place));
	buf_add_byte(&body, '}');
	ev.step = step;
	ev.verdict = STR("block");
	ev.action = STR("blocked");
	ev.rule = STR("secrets");
	ev.code = STR("leak");
	ev.reason = STR("a request held what must not go out");
	ev.body = buf_str(&body);
	(void)record_add(&ev); /* the answer is no either way */
}

void
egress_pattern_record(
    struct run *r, uint32_t step, struct str name, struct str place)
{
	struct event ev = record_of(r, EVENT_EGRESS_LEAK);
	own_buf struct buf body = {};

	buf_add_c(&body, "{\"kind\":\"pattern\",\"name\":");
	json_put_str(&body, name);
	buf_add_c(&body, ",\"place\":");
	json_put_str(&body, egress_leak_hide(r, place));
	buf_add_byte(&body, '}');
	ev.step = step;
	ev.rule = STR("secrets");
	ev.code = STR("pattern");
	ev.reason = STR("a request held what looks like a credential or an "
			"account's number");
	ev.body = buf_str(&body);
	(void)record_add(&ev); /* it decides nothing */
}

/* The name of what it holds; p is NULL when that is nothing. */
static struct str
find(const struct run *r, struct str text, struct leak_hit *hit)
{
	struct leak_stream *l;
	struct str name = { NULL, 0 };

	if (r->secrets == NULL || text.n < SCAN_MIN_WORD_BYTES)
		return name;
	l = leak_stream_new(secrets_leaks(r->secrets));
	must(l != NULL);
	if (leak_stream_feed(l, text, hit))
		name = secrets_name(r->secrets, hit->print);
	leak_stream_free(l);
	return name;
}
