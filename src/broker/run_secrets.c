/*
 * The secrets that a run's policy names: the supervisor reads their bytes, the
 * run keeps them in locked memory, and its sandbox gets what stands for them.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/must.h"
#include "broker/run_int.h"
#include "broker/secret.h"
#include "sys/fd.h"

static int keep(
    struct run *r, const struct policy_secret *p, int fd, struct err *e);
static void go_on(struct run *r);

void
run_secrets_ask(struct run *r)
{
	r->secrets = secrets_new(str_of(r->text));
	must(r->secrets != NULL);
	r->secrets_left = r->policy->n_secrets;
	for (uint32_t i = 0; i < r->policy->n_secrets; i++) {
		const struct policy_secret *p = &r->policy->secrets[i];
		struct msg_secret_find m = {
			.run = r->id,
			.index = i,
			.systemd = p->from == SECRET_SYSTEMD,
		};

		must(str_copy(p->at, m.name, sizeof(m.name)) == 0);
		(void)peer_send(&broker.supervisor, MSG_SECRET_FIND, &m,
		    STR(""), NULL, 0); /* its loss ends us */
	}
}

void
on_secret_found(const struct msg_secret_found *m, const struct frame *f)
{
	struct run *r = run_find(m->run);
	char text[ERR_TEXT_BYTES + NAME_MAX_BYTES];
	struct err e = {};

	if (r == NULL || r->state != RUN_OPENING || r->secrets_left == 0 ||
	    m->index >= r->policy->n_secrets)
		return;
	if (!m->ok || f->n_fds != 1)
		(void)err_set(&e, "%.*s", (int)(f->payload.n), f->payload.p);
	else if (keep(r, &r->policy->secrets[m->index], f->fds[0], &e) == 0) {
		if (--r->secrets_left == 0)
			go_on(r);
		return;
	}
	(void)snprintf(text, sizeof(text), "secrets.%.*s: %s",
	    STR_FMT(r->policy->secrets[m->index].name), e.text);
	run_refuse(r, 400, "bad_secret", text,
	    "`file:NAME` is a file in secrets/ of the state directory, with "
	    "mode 600.");
}

static int
keep(struct run *r, const struct policy_secret *p, int fd, struct err *e)
{
	const struct secret_use use = { p->header, p->format, p->query,
		p->access_key, p->body };
	own_buf struct buf bytes = {};
	struct str value;
	int64_t expires =
	    p->ttl_s > 0 ? clock_mono_ns() + (int64_t)p->ttl_s * 1000000000 : 0;
	int result;

	/* Were it to grow, a copy would stay behind. */
	if (buf_reserve(&bytes, SECRET_FILE_MAX_BYTES + 1) == NULL)
		return err_set(e, "out of memory");
	result = fd_read_sealed(fd, &bytes, SECRET_FILE_MAX_BYTES, e);
	value = buf_str(&bytes);
	/* An editor ends the last line. */
	if (value.n > 0 && value.p[value.n - 1] == '\n')
		value.n--;
	if (result == 0)
		result =
		    secrets_add(r->secrets, p->name, value, &use, expires, e);
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
