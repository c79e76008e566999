#include "cli/run_watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/approval_show.h"
#include "cli/cmd_kill.h"
#include "cli/out.h"
#include "cli/term.h"
#include "sys/fd.h"

enum {
	WAIT_MS = 20 * 1000, /* one question; well below proxies' patience */
	/* Where events are not to be had, approvals show up this late. */
	WAIT_BLIND_MS = 1000,
	RETRY_MS = 100, /* between attempts while the daemon is away */
	HEAD_MS = 5000, /* for the first bytes of an answer that has begun */
	TARGET_BYTES = 128,
};

/* A gateway is back within a second; longer, and the daemon is gone. */
static const int64_t GIVE_UP_NS = 15LL * 1000 * 1000 * 1000;

static int ask_wait(struct run_watch *w, struct err *e);
static void ask_events(struct run_watch *w);
static int on_answer(
    struct run_watch *w, struct client_reply *r, struct err *e);
static void on_events(struct run_watch *w);
static bool is_request(const struct sse_event *ev);
static void on_signal(struct run_watch *w);
static int on_lost(struct run_watch *w, const struct err *why, struct err *e);
static int on_daemon_end(struct run_watch *w, struct err *e);
static void stop(struct run_watch *w, const char *reason);
static void tell_approvals(struct run_watch *w);
static void tell_approval(struct run_watch *w, const struct json *a);

int
run_watch(struct run_watch *w, struct client_reply *r, struct err *e)
{
	int done = 0;

	w->wait = (struct client_conn){ .fd = -1 };
	w->events = (struct client_conn){ .fd = -1 };
	while (done == 0) {
		struct pollfd p[4] = {
			{ .fd = w->signals, .events = POLLIN },
			{ .fd = w->daemon->pid != 0 ? w->daemon->pidfd : -1,
			    .events = POLLIN },
		};
		struct err why;
		int timeout_ms = -1;

		if (w->events.fd < 0 && w->wait.fd < 0)
			ask_events(w);
		if (w->wait.fd < 0 && ask_wait(w, &why) < 0) {
			done = on_lost(w, &why, e);
			timeout_ms = RETRY_MS;
		}
		if (w->stop_wanted)
			timeout_ms = RETRY_MS;
		p[2] = (struct pollfd){ .fd = w->wait.fd, .events = POLLIN };
		p[3] = (struct pollfd){ .fd = w->events.fd, .events = POLLIN };
		if (done != 0)
			break;
		if (poll(p, 4, timeout_ms) < 0) {
			if (errno != EINTR)
				done = err_sys(e, "poll");
			continue;
		}
		if (p[0].revents != 0)
			on_signal(w);
		if (w->stop_wanted)
			stop(w, "interrupted");
		if (p[3].revents != 0)
			on_events(w);
		/* The answer before the end: an embedded daemon's last word. */
		if (p[2].revents != 0)
			done = on_answer(w, r, e);
		else if (p[1].revents != 0)
			done = on_daemon_end(w, e);
	}
	client_conn_fini(&w->wait);
	client_conn_fini(&w->events);
	buf_fini(&w->shown);
	return done > 0 ? 0 : -1;
}

void
run_watch_json(struct str line)
{
	own_buf struct buf b = {};
	struct err e;

	out_json_text(&b, line, STDERR_FILENO);
	buf_add_byte(&b, '\n');
	if (!b.failed)
		(void)fd_write_all(STDERR_FILENO, b.p, b.n, &e);
}

static int
ask_wait(struct run_watch *w, struct err *e)
{
	char target[TARGET_BYTES];
	struct client_request q = { .method = "GET", .target = target };

	/* After a loss a short question first: its answer ends the loss, and
	 * the patience with the next one begins anew. */
	(void)snprintf(target, sizeof(target), "/v1/runs/%s/wait?timeout_ms=%d",
	    w->run,
	    w->events.fd >= 0 && w->lost_ns == 0 ? WAIT_MS : WAIT_BLIND_MS);
	return client_send(w->client, &q, &w->wait, e);
}

/* Without events the run is watched all the same, only less promptly. */
static void
ask_events(struct run_watch *w)
{
	char target[TARGET_BYTES];
	struct client_request q = {
		.method = "GET", .target = target, .stream = true
	};
	struct err e;

	/* The rest of a run's events would cost it time for nothing. */
	(void)snprintf(
	    target, sizeof(target), "/v1/runs/%s/events?kind=approval", w->run);
	w->events_begun = false;
	(void)client_send(w->client, &q, &w->events, &e);
}

/* 1 when the run has ended, 0 to go on, -1 with e. */
static int
on_answer(struct run_watch *w, struct client_reply *r, struct err *e)
{
	struct str status;
	struct err why;
	int got = client_receive(&w->wait, HEAD_MS, r, &why);

	client_conn_fini(&w->wait);
	if (got < 0)
		return on_lost(w, &why, e);
	/* 502 and its like are the gateway's, while the broker restarts. */
	if (r->status >= 500) {
		(void)client_refused(r, &why);
		return on_lost(w, &why, e);
	}
	if (r->status != 200) {
		(void)client_refused(r, e);
		return err_add(e, "wait for run %s", w->run);
	}
	w->lost_ns = 0;
	status = json_str(json_get(r->json, STR("status")));
	if (!str_eq_c(status, "open") && !str_eq_c(status, "opening") &&
	    !str_eq_c(status, "stopping"))
		return 1;
	tell_approvals(w);
	return 0;
}

static void
on_events(struct run_watch *w)
{
	struct sse_event ev;
	bool look = false;
	struct err e;
	int got = 1;

	if (!w->events_begun) {
		if (client_stream(&w->events, HEAD_MS, &e) < 0) {
			client_conn_fini(&w->events);
			return;
		}
		w->events_begun = true;
	}
	while (got > 0) {
		got = client_event(&w->events, &ev, &e);
		if (got > 0 && is_request(&ev))
			look = true;
	}
	if (got < 0)
		client_conn_fini(&w->events);
	if (look)
		tell_approvals(w);
}

static bool
is_request(const struct sse_event *ev)
{
	own_arena struct arena a = {};
	struct err e;
	const struct json *v = json_parse(ev->data, NULL, &a, &e, NULL);

	return str_eq_c(
	    json_str(json_get(v, STR("kind"))), "approval.requested");
}

static void
on_signal(struct run_watch *w)
{
	struct signalfd_siginfo info;

	if (read(w->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (!w->told) {
		out_note("stopping %s; once more kills it", w->run);
		w->stop_wanted = true;
	} else {
		own_buf struct buf answer = {};
		struct err e;

		if (kill_ask(w->client, w->run, &answer, &e) < 0)
			(void)out_fail(&e);
	}
	w->told = true;
}

/* 0 to try again, -1 with e when that has gone on for too long. */
static int
on_lost(struct run_watch *w, const struct err *why, struct err *e)
{
	int64_t now_ns = clock_mono_ns();

	client_conn_fini(&w->wait);
	if (w->lost_ns == 0)
		w->lost_ns = now_ns;
	/* The supervisor holds the socket, whichever role is away: where
	 * nobody listens, none will. */
	if (!client_down(why) && now_ns - w->lost_ns < GIVE_UP_NS) {
		/* An answer that comes at once must not make this a loop. */
		(void)poll(NULL, 0, RETRY_MS);
		return 0;
	}
	return err_set(e,
	    "the daemon is gone (%.200s); how run %s ended is in: paddock "
	    "trace show %s%s",
	    why->text, w->run, w->run, w->hint);
}

static int
on_daemon_end(struct run_watch *w, struct err *e)
{
	char how[64];
	int status;

	if (daemon_wait(w->daemon, -1, &status, e) < 0)
		return -1;
	daemon_how(status, how, sizeof(how));
	return err_set(e,
	    "the supervisor %s, and run %s with it; see: paddock trace show "
	    "%s%s",
	    how, w->run, w->run, w->hint);
}

/* Wanted until it was answered: the gateway may be away just now. */
static void
stop(struct run_watch *w, const char *reason)
{
	own_reply struct client_reply r = {};
	char target[TARGET_BYTES], body[TARGET_BYTES];
	struct client_request q = { .method = "POST", .target = target };
	struct err e;

	(void)snprintf(target, sizeof(target), "/v1/runs/%s/stop", w->run);
	(void)snprintf(body, sizeof(body), "{\"reason\":\"%s\"}", reason);
	q.body = str_of(body);
	if (client_ask(w->client, &q, &r, &e) == 0) {
		w->stop_wanted = false;
	} else if (r.status > 0 && r.status < 500) {
		w->stop_wanted = false;
		(void)out_fail(&e);
	}
}

/* What waits is asked for, not guessed from the event: one place knows. */
static void
tell_approvals(struct run_watch *w)
{
	own_reply struct client_reply r = {};
	struct client_request q = { .method = "GET",
		.target = "/v1/approvals?state=pending" };
	const struct json *list;
	struct err e;

	if (w->quiet || client_ask(w->client, &q, &r, &e) < 0)
		return;
	list = json_get(r.json, STR("approvals"));
	if (!json_is(list, JSON_ARRAY))
		return;
	for (const struct json *a = json_first(list); a != NULL;
	     a = json_next(list, a))
		if (str_eq_c(json_str(json_get(a, STR("run"))), w->run))
			tell_approval(w, a);
}

static void
tell_approval(struct run_watch *w, const struct json *a)
{
	own_buf struct buf text = {};
	struct str id = json_str(json_get(a, STR("approval")));
	struct str tool = json_str(json_get(a, STR("tool")));

	if (id.n == 0 ||
	    (w->shown.n > 0 &&
		memmem(w->shown.p, w->shown.n, id.p, id.n) != NULL))
		return;
	buf_add_str(&w->shown, id);
	buf_add_byte(&w->shown, '\n');
	if (w->json) {
		buf_add_c(&text, "{\"approval\":");
		json_write(&text, a);
		buf_add_byte(&text, '}');
		run_watch_json(buf_str(&text));
		return;
	}
	approval_brief(&text, json_get(a, STR("arguments")));
	out_note("%.*s waits for approval (%.*s); see and decide: paddock "
		 "approve %.*s%s",
	    STR_FMT(tool), STR_FMT(buf_str(&text)), STR_FMT(id), w->hint);
}

int
run_watch_end(const struct json *v, const char *id, bool json)
{
	struct str reason = json_str(json_get(v, STR("stop_reason")));
	const struct json *stop = json_get(v, STR("stop"));
	struct str status = json_str(json_get(v, STR("status")));
	own_buf struct buf line = {};
	uint64_t exit_status, planted;

	if (json) {
		json_write(&line, v);
		run_watch_json(buf_str(&line));
	} else if (json_u64(json_get(v, STR("planted")), &planted) == 0) {
		out_note("run %s: %llu files that other programs execute are "
			 "new or changed in its mounts: paddock trace show %s",
		    id, (unsigned long long)planted, id);
	}
	if (str_eq_c(status, "closed")) {
		if (json_u64(json_get(v, STR("exit_status")), &exit_status) <
			0 ||
		    exit_status > 255) {
			out_note("run %s: the daemon gives no exit status", id);
			return EXIT_FAILED;
		}
		return (int)exit_status;
	}
	if (json)
		return EXIT_FAILED;
	out_note("run %s %.*s: %.*s", id, STR_FMT(status), STR_FMT(reason));
	if (json_is(stop, JSON_OBJECT)) {
		json_write(&line, stop);
	} else {
		buf_add_c(&line, "{\"reason\":");
		json_put_str(&line, reason);
		buf_add_c(&line, ",\"status\":");
		json_put_str(&line, status);
		buf_add_byte(&line, '}');
	}
	run_watch_json(buf_str(&line));
	return EXIT_FAILED;
}
