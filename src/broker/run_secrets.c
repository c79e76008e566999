/*
 * The secrets that a run's policy names: the supervisor reads their bytes, the
 * run keeps them in locked memory, and its sandbox gets what stands for them.
 * One whose time is over is wiped, and read anew when a request needs it and
 * the policy says so.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "broker/egress.h"
#include "broker/fork.h"
#include "broker/run_int.h"
#include "broker/secret.h"
#include "broker/server.h"
#include "broker/secret_api.h"
#include "sys/fd.h"

static void find(const struct run *r, uint32_t i);
static void found_again(
    struct run *r, const struct msg_secret_found *m, const struct frame *f);
static int keep(struct run *r, uint32_t i, int fd, struct err *e);
static void go_on(struct run *r);

void
run_secrets_ask(struct run *r)
{
	struct err e = {};
	bool any = false;

	r->secrets = secrets_new(str_of(r->text));
	must(r->secrets != NULL);
	for (uint32_t i = 0; i < r->policy->n_secrets; i++) {
		const struct policy_secret *p = &r->policy->secrets[i];

		if (p->from != SECRET_CANARY) {
			r->secrets_left++;
			any = true;
		} else if (secrets_add_canary(r->secrets, p->name, p->at, &e) <
		    0) {
			run_refuse(r, 503, "no_memory", e.text, "Try again.");
			return;
		}
	}
	if (!any) {
		go_on(r);
		return;
	}
	for (uint32_t i = 0; i < r->policy->n_secrets; i++) {
		if (r->policy->secrets[i].from != SECRET_CANARY)
			find(r, i);
	}
}

void
run_secrets_watch(const struct run *r)
{
	struct msg_door m = { .run = r->id };
	own_buf struct buf out = {};

	if (r->secrets == NULL || (r->door_fd < 0 && !server_net_is_open(r)))
		return;
	secrets_write_prints(r->secrets, &out);
	(void)peer_send(&broker.proxy, MSG_EGRESS_WATCH, &m, buf_str(&out),
	    NULL, 0); /* a new proxy is told with the door */
}

enum lease
run_secret_lease(struct run *r, uint32_t i, bool again, struct err *why)
{
	const struct policy_secret *p = &r->policy->secrets[i];
	enum secret_state state =
	    secrets_state(r->secrets, p->name, clock_mono_ns());

	if (state == SECRET_READY)
		return LEASE_GOOD;
	if (state == SECRET_EXPIRED && p->renew && !again) {
		/* Of many requests the first asks. */
		if ((r->renewing >> i & 1) == 0)
			find(r, i);
		r->renewing |= 1U << i;
		return LEASE_WAITS;
	}
	(void)err_set(why, "secret %.*s %s", STR_FMT(p->name),
	    state == SECRET_REVOKED ? "was revoked"
		: p->renew	    ? "has expired and could not be read anew"
				    : "has expired");
	return LEASE_OVER;
}

void
on_secret_found(const struct msg_secret_found *m, const struct frame *f)
{
	struct run *r;
	char text[ERR_TEXT_BYTES + NAME_MAX_BYTES];
	struct err e = {};

	if (m->index == SECRET_CHECK) {
		secret_checked(m, f);
		return;
	}
	r = run_find(m->run);
	if (r == NULL || m->index >= r->policy->n_secrets)
		return;
	if ((r->renewing >> m->index & 1) != 0) {
		found_again(r, m, f);
		return;
	}
	if (r->state != RUN_OPENING || r->secrets_left == 0)
		return;
	if (!m->ok || f->n_fds != 1)
		(void)err_set(&e, "%.*s", (int)(f->payload.n), f->payload.p);
	else if (keep(r, m->index, f->fds[0], &e) == 0) {
		if (--r->secrets_left == 0)
			go_on(r);
		return;
	}
	(void)snprintf(text, sizeof(text), "secrets.%.*s: %s",
	    STR_FMT(r->policy->secrets[m->index].name), e.text);
	run_refuse(r, 400, "bad_secret", text,
	    "`paddock secret check` tells what is wrong with a store; "
	    "docs/EGRESS.md has what each wants.");
}

static void
find(const struct run *r, uint32_t i)
{
	const struct policy_secret *p = &r->policy->secrets[i];
	struct msg_secret_find m = {
		.run = r->id,
		.index = i,
		.from = p->from,
	};

	must(str_copy(p->at, m.name, sizeof(m.name)) == 0);
	(void)peer_send(&broker.supervisor, MSG_SECRET_FIND, &m, STR(""), NULL,
	    0); /* its loss ends us */
}

/* Who waits is answered either way. */
static void
found_again(
    struct run *r, const struct msg_secret_found *m, const struct frame *f)
{
	struct err e = {};

	r->renewing &= ~(1U << m->index);
	if (!m->ok || f->n_fds != 1)
		(void)err_set(&e, "%.*s", (int)(f->payload.n), f->payload.p);
	else if (keep(r, m->index, f->fds[0], &e) == 0)
		run_secrets_watch(r);
	if (e.text[0] != '\0')
		log_warn("secret not read anew run=%s name=%.*s why=\"%s\"",
		    r->text, STR_FMT(r->policy->secrets[m->index].name),
		    e.text);
	egress_again(r->id);
}

static int
keep(struct run *r, uint32_t i, int fd, struct err *e)
{
	const struct policy_secret *p = &r->policy->secrets[i];
	const struct secret_use use = { p->header, p->format, p->query,
		p->access_key, p->body };
	own_buf struct buf bytes = {};
	struct str value;
	int64_t now = clock_mono_ns();
	int64_t expires =
	    p->ttl_s > 0 ? now + (int64_t)p->ttl_s * 1000000000 : 0;
	int result;

	/* Were it to grow, a copy would stay behind. */
	if (buf_reserve(&bytes, SECRET_FILE_MAX_BYTES + 1) == NULL)
		return err_set(e, "out of memory");
	result = fd_read_sealed(fd, &bytes, SECRET_FILE_MAX_BYTES, e);
	value = buf_str(&bytes);
	/* An editor ends the last line. */
	if (value.n > 0 && value.p[value.n - 1] == '\n')
		value.n--;
	if (result == 0 && r->state == RUN_OPENING)
		result = secrets_add(
		    r->secrets, p->name, value, &use, now, expires, e);
	else if (result == 0)
		result =
		    secrets_renew(r->secrets, p->name, value, now, expires, e);
	if (result == 0 && r->state == RUN_OPENING && fork_revoked(r, p))
		(void)secrets_revoke(r->secrets, p->name); /* it is there */
	if (bytes.p != NULL)
		explicit_bzero(bytes.p, bytes.n);
	return result;
}

static void
go_on(struct run *r)
{
	own_buf struct buf request = r->request;
	own_arena struct arena a = { .max_bytes = IMAGE_PLAN_BYTES };
	const struct json *args;
	struct err e = {};

	r->request = (struct buf){};
	/* It was JSON before, so only memory can be missing. */
	args = json_parse(buf_str(&request), NULL, &a, &e, NULL);
	if (args == NULL)
		run_refuse(r, 503, "no_memory", e.text, "Try again.");
	else
		run_open_image(r, args);
}
