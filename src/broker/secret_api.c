#include "broker/secret_api.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "broker/record.h"
#include "broker/run.h"
#include "broker/secret.h"
#include "broker/who.h"
#include "sys/fd.h"

/* Who waits to hear of a store. */
struct check {
	struct check *next;
	uint64_t number, call;
};

static struct check *checks;
static uint64_t n_checks;

static void put_one(struct buf *out, const struct run *r,
    const struct policy_secret *p, int64_t now);
static const char *length_class(size_t n);
static uint32_t revoke_of(struct run *r, const struct caller *who,
    struct str name, struct str from, struct buf *out);
static bool is_from(const struct policy_secret *p, struct str from);

void
secret_list(const struct caller *who, uint64_t call, uint64_t run)
{
	own_buf struct buf out = {};
	int64_t now = clock_mono_ns();
	bool any = false;

	buf_add_c(&out, "{\"secrets\":[");
	for (const struct run *r = broker.runs; r != NULL; r = r->next) {
		if (r->state == RUN_CLOSED || r->secrets == NULL ||
		    !caller_sees(who, r->policy->identity.tenant) ||
		    (run != 0 && r->id != run))
			continue;
		(void)secrets_expire(r->secrets, now);
		for (uint32_t i = 0; i < r->policy->n_secrets; i++) {
			buf_add_c(&out, any ? "," : "");
			put_one(&out, r, &r->policy->secrets[i], now);
			any = true;
		}
	}
	buf_add_c(&out, "]}");
	reply(call, REPLY_OK, 200, buf_str(&out));
}

void
secret_check(uint64_t call, const struct json *args)
{
	struct str from = json_str(json_get(args, STR("from")));
	struct msg_secret_find m = { .index = SECRET_CHECK };
	size_t colon = str_find(from, ':');
	struct check *c;
	bool known = false;

	for (int i = 0; i < SECRET_CANARY && colon < from.n; i++) {
		if (!str_eq_c((struct str){ from.p, colon },
			secret_from_name((enum secret_from)i)))
			continue;
		known = true;
		m.from = (uint32_t)i;
	}
	if (!known ||
	    !secret_name_ok(
		(struct str){ from.p + colon + 1, from.n - colon - 1 })) {
		reply_error(call, 400, "bad_request",
		    "`from` is not a store and a name in it.",
		    "Name one as in file:NAME, systemd:NAME, env:NAME or "
		    "command:NAME.");
		return;
	}
	must(str_copy((struct str){ from.p + colon + 1, from.n - colon - 1 },
		 m.name, sizeof(m.name)) == 0);
	c = calloc(1, sizeof(*c));
	must(c != NULL);
	c->number = m.run = ++n_checks;
	c->call = call;
	c->next = checks;
	checks = c;
	(void)peer_send(&broker.supervisor, MSG_SECRET_FIND, &m, STR(""), NULL,
	    0); /* its loss ends us */
}

void
secret_checked(const struct msg_secret_found *m, const struct frame *f)
{
	struct check **at = &checks, *c;
	own_buf struct buf bytes = {}, out = {};
	struct err e = {};
	size_t n;

	while (*at != NULL && (*at)->number != m->run)
		at = &(*at)->next;
	c = *at;
	if (c == NULL)
		return;
	*at = c->next;
	if (!m->ok || f->n_fds != 1)
		(void)err_set(&e, "%.*s", (int)(f->payload.n), f->payload.p);
	else if (buf_reserve(&bytes, SECRET_FILE_MAX_BYTES + 1) == NULL)
		(void)err_set(&e, "out of memory");
	else
		(void)fd_read_sealed(
		    f->fds[0], &bytes, SECRET_FILE_MAX_BYTES, &e);
	n = bytes.n;
	if (n > 0 && bytes.p[n - 1] == '\n')
		n--;
	if (bytes.p != NULL)
		explicit_bzero(bytes.p, bytes.n);
	if (e.text[0] == '\0' && n < SCAN_MIN_WORD_BYTES)
		(void)err_set(
		    &e, "it has fewer than %d bytes", SCAN_MIN_WORD_BYTES);
	if (e.text[0] == '\0' && n > SCAN_MAX_WORD_BYTES)
		(void)err_set(
		    &e, "it has more than %d bytes", SCAN_MAX_WORD_BYTES);
	buf_printf(&out, "{\"length\":\"%s\",\"readable\":%s", length_class(n),
	    e.text[0] == '\0' ? "true" : "false");
	if (e.text[0] != '\0') {
		buf_add_c(&out, ",\"why\":");
		json_put_str(&out, str_of(e.text));
	}
	buf_add_byte(&out, '}');
	reply(c->call, REPLY_OK, 200, buf_str(&out));
	free(c);
}

void
secret_revoke(const struct caller *who, uint64_t call, uint64_t run,
    const struct json *args)
{
	struct str name = json_str(json_get(args, STR("name")));
	struct str from = json_str(json_get(args, STR("from")));
	own_buf struct buf out = {};
	uint32_t n = 0;

	if ((name.n > 0) == (from.n > 0)) {
		reply_error(call, 400, "bad_request",
		    "Give `name` or `from`, and not both.",
		    "`name` is a secret's name in a policy, `from` a store "
		    "such as file:NAME.");
		return;
	}
	buf_add_c(&out, "{\"revoked\":[");
	for (struct run *r = broker.runs; r != NULL; r = r->next) {
		if (r->state != RUN_CLOSED && r->secrets != NULL &&
		    caller_sees(who, r->policy->identity.tenant) &&
		    (run == 0 || r->id == run))
			n += revoke_of(r, who, name, from, &out);
	}
	buf_add_c(&out, "]}");
	if (n == 0)
		reply_error(call, 404, "unknown_secret",
		    "No open run has such a secret.",
		    "`paddock secret ls` lists those of open runs.");
	else
		reply(call, REPLY_OK, 200, buf_str(&out));
}

/* Wiped here first, then in the proxy, whose requests with it end. */
static uint32_t
revoke_of(struct run *r, const struct caller *who, struct str name,
    struct str from, struct buf *out)
{
	const struct msg_egress_revoke m = {
		.run = r->id,
		.what = EGRESS_REVOKE_SECRET,
	};
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->policy->n_secrets; i++) {
		const struct policy_secret *p = &r->policy->secrets[i];

		if (p->from == SECRET_CANARY ||
		    (name.n > 0 ? !str_eq(p->name, name) : !is_from(p, from)) ||
		    !secrets_revoke(r->secrets, p->name))
			continue;
		(void)peer_send(&broker.proxy, MSG_EGRESS_REVOKE, &m, p->name,
		    NULL, 0); /* a proxy that is gone holds none */
		/* It is done either way. */
		(void)secret_record_revoked(r, p, str_of(who->name));
		buf_printf(
		    out, "%s{\"name\":", out->p[out->n - 1] == '[' ? "" : ",");
		json_put_str(out, p->name);
		buf_printf(out, ",\"run\":\"%s\"}", r->text);
		n++;
	}
	return n;
}

bool
secret_record_revoked(
    struct run *r, const struct policy_secret *p, struct str by)
{
	struct event ev = record_of(r, EVENT_SECRET_REVOKED);
	own_buf struct buf body = {}, from = {};

	buf_add_c(&body, "{\"by\":");
	json_put_str(&body, by);
	buf_printf(&from, "%s:%.*s", secret_from_name(p->from), STR_FMT(p->at));
	buf_add_c(&body, ",\"from\":");
	json_put_str(&body, buf_str(&from));
	buf_add_c(&body, ",\"name\":");
	json_put_str(&body, p->name);
	buf_add_byte(&body, '}');
	ev.body = buf_str(&body);
	return record_add(&ev) != 0;
}

static void
put_one(struct buf *out, const struct run *r, const struct policy_secret *p,
    int64_t now)
{
	struct secret_facts f = secrets_facts(r->secrets, p->name, now);
	bool any = false;

	buf_printf(out, "{\"age_s\":%llu", (unsigned long long)f.age_s);
	if (f.expires_s > 0)
		buf_printf(out, ",\"expires_s\":%llu",
		    (unsigned long long)f.expires_s);
	buf_printf(out, ",\"from\":\"%s:%.*s\"", secret_from_name(p->from),
	    STR_FMT(p->at));
	if (f.unused_s >= 0)
		buf_printf(out, ",\"last_use_s\":%lld", (long long)f.unused_s);
	buf_add_c(out, ",\"name\":");
	json_put_str(out, p->name);
	buf_printf(
	    out, ",\"run\":\"%s\",\"stage\":%u", r->text, r->policy->stage);
	for (uint32_t i = 1; i <= 5 && p->stages != 0; i++) {
		if ((p->stages >> i & 1) == 0)
			continue;
		buf_printf(out, "%s%u", any ? "," : ",\"stages\":[", i);
		any = true;
	}
	buf_printf(out, "%s,\"state\":\"%s\",\"uses\":%llu", any ? "]" : "",
	    secret_state_name(f.state), (unsigned long long)f.uses);
	buf_add_c(out, ",\"workflow\":");
	json_put_str(out, r->policy->workflow);
	for (uint32_t i = 0; i < p->n_workflows; i++) {
		buf_add_c(out, i > 0 ? "," : ",\"workflows\":[");
		json_put_str(out, p->workflows[i]);
	}
	buf_add_c(out, p->n_workflows > 0 ? "]}" : "}");
}

/* How long it is, and not to the byte. */
static const char *
length_class(size_t n)
{
	if (n == 0)
		return "empty";
	if (n < SCAN_MIN_WORD_BYTES)
		return "too short";
	if (n < SECRET_MIN_BODY_BYTES)
		return "short";
	if (n <= 64)
		return "token";
	return n <= SCAN_MAX_WORD_BYTES ? "long" : "too long";
}

static bool
is_from(const struct policy_secret *p, struct str from)
{
	size_t colon = str_find(from, ':');

	return colon < from.n &&
	    str_eq_c(
		(struct str){ from.p, colon }, secret_from_name(p->from)) &&
	    str_eq(
		(struct str){ from.p + colon + 1, from.n - colon - 1 }, p->at);
}
