/* The role as a process of its own, confined, over real links. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "ipc/peer.h"
#include "sys/fd.h"
#include "world/role.h"

enum { LIMIT_S = 30 }; /* a role that hangs fails the test by SIGALRM */

static const char document[] =
    "{\"world\":1,\"now\":\"2026-03-02T09:00:00Z\",\"kb\":[{\"id\":\"K-1\","
    "\"title\":\"Refunds\",\"body\":\"b\",\"updated_at\":"
    "\"2026-01-01T00:00:00Z\"}]}";

struct fixture {
	struct loop *loop;
	struct peer role; /* the supervisor's end, then the broker's */
	struct peer broker;
	pid_t pid;
	uint16_t type; /* of the last frame */
	_Alignas(8) char body[64];
	char payload[16384];
	bool gone;
};

static void
keep(struct fixture *f, const struct frame *frame, size_t body_n)
{
	f->type = frame->type;
	memcpy(f->body, frame->body, body_n);
	assert_true(frame->payload.n < sizeof(f->payload));
	memcpy(f->payload, frame->payload.p, frame->payload.n);
	f->payload[frame->payload.n] = '\0';
	loop_stop(f->loop);
}

static void
on_role_frame(struct peer *p, const struct frame *frame)
{
	keep(LOOP_OF(p, struct fixture, role), frame, sizeof(struct msg_ready));
}

static void
on_role_gone(struct peer *p, const char *why)
{
	struct fixture *f = LOOP_OF(p, struct fixture, role);

	(void)why;
	f->gone = true;
	loop_stop(f->loop);
}

static void
on_world_frame(struct peer *p, const struct frame *frame)
{
	keep(LOOP_OF(p, struct fixture, broker), frame,
	    frame->type == MSG_WORLD_OPENED ? sizeof(struct msg_world_opened)
					    : sizeof(struct msg_world_result));
}

static void
on_world_gone(struct peer *p, const char *why)
{
	struct fixture *f = LOOP_OF(p, struct fixture, broker);

	(void)why;
	f->gone = true;
	loop_stop(f->loop);
}

static void
wait_for(struct fixture *f, uint16_t type)
{
	struct err e = {};

	f->type = 0;
	assert_int_equal(loop_run(f->loop, NULL, NULL, &e), 0);
	assert_int_equal(f->type, type);
}

static void
begin(struct fixture *f)
{
	struct msg_wire wire = { .role = ROLE_BROKER };
	struct err e = {};
	int link[2], broker[2];

	*f = (struct fixture){};
	(void)alarm(LIMIT_S);
	assert_int_equal(peer_pair(link, &e), 0);
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (f->pid == 0) {
		(void)close(link[0]); /* ours alone is the other end */
		_exit(world_role_main(link[1]));
	}
	fd_fini(&link[1]);

	f->loop = loop_new(&e);
	assert_non_null(f->loop);
	f->role = (struct peer){ .self = ROLE_SUPERVISOR,
		.other = ROLE_WORLD,
		.loop = f->loop,
		.on_frame = on_role_frame,
		.on_gone = on_role_gone };
	f->broker = (struct peer){ .self = ROLE_BROKER,
		.other = ROLE_WORLD,
		.loop = f->loop,
		.on_frame = on_world_frame,
		.on_gone = on_world_gone };
	peer_init(&f->role);
	peer_init(&f->broker);
	assert_int_equal(peer_open_take(&f->role, link[0], &e), 0);
	wait_for(f, MSG_READY);
	assert_int_equal(
	    ((struct msg_ready *)(void *)f->body)->role, ROLE_WORLD);

	assert_int_equal(peer_pair(broker, &e), 0);
	assert_int_equal(peer_open_take(&f->broker, broker[0], &e), 0);
	assert_int_equal(
	    peer_send(&f->role, MSG_WIRE, &wire, (struct str){}, &broker[1], 1),
	    0);
	fd_fini(&broker[1]);
}

/* Ends the link to the role, which must end by itself with this status. */
static void
end(struct fixture *f, int expected)
{
	int status = -1;

	peer_close(&f->broker);
	peer_close(&f->role);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), expected);
	loop_free(f->loop);
	(void)alarm(0);
}

static bool
open_run(struct fixture *f, uint64_t run, const char *text)
{
	struct msg_world_open m = { .run = run };
	struct msg_world_opened *answer = (void *)f->body;
	int fd = memfd_create("world", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(
	    peer_send(&f->broker, MSG_WORLD_OPEN, &m, str_of(text), &fd, 1), 0);
	fd_fini(&fd);
	wait_for(f, MSG_WORLD_OPENED);
	assert_int_equal(answer->run, run);
	return answer->ok == 1;
}

static const struct msg_world_result *
call(struct fixture *f, uint64_t run, const char *payload)
{
	struct msg_world_call m = { .run = run, .call = run + 100 };
	struct msg_world_result *answer = (void *)f->body;

	assert_int_equal(
	    peer_send(&f->broker, MSG_WORLD_CALL, &m, str_of(payload), NULL, 0),
	    0);
	wait_for(f, MSG_WORLD_RESULT);
	assert_int_equal(answer->run, run);
	assert_int_equal(answer->call, run + 100);
	return answer;
}

static void
the_role_serves_runs_apart_from_each_other(void **state)
{
	static const char send[] =
	    "{\"arguments\":{\"body\":\"b\",\"subject\":\"s\","
	    "\"to\":\"a@example.com\"},\"name\":\"email.send\"}";
	static const char find[] =
	    "{\"arguments\":{\"query\":\"refund\"},\"name\":\"kb.search\"}";
	struct msg_door close_run = { .run = 7 };
	const struct msg_world_result *r;
	struct fixture f;

	(void)state;
	begin(&f);
	assert_true(open_run(&f, 7, document));
	assert_non_null(strstr(f.payload, "\"name\":\"billing.refund\""));
	assert_true(open_run(&f, 8, document));

	r = call(&f, 7, send);
	assert_int_equal(r->ok, 1);
	assert_int_equal(r->wrote, 1);
	assert_non_null(strstr(f.payload, "EMAIL-1"));
	r = call(&f, 8, send);
	assert_non_null(strstr(f.payload, "EMAIL-1"));
	r = call(&f, 7, find);
	assert_int_equal(r->ok, 1);
	assert_int_equal(r->wrote, 0);
	assert_non_null(strstr(f.payload, "K-1"));

	assert_int_equal(peer_send(&f.broker, MSG_WORLD_CLOSE, &close_run,
			     (struct str){}, NULL, 0),
	    0);
	r = call(&f, 7, find);
	assert_int_equal(r->ok, 0);
	assert_non_null(strstr(f.payload, "\"code\":\"unknown_run\""));
	r = call(&f, 8, find);
	assert_int_equal(r->ok, 1);
	/* The number is free again. */
	assert_true(open_run(&f, 7, document));
	end(&f, 0);
}

/* Each has its own mail numbered on, whoever was asked between, and however
 * many there are; what one has written no other one has. */
static void
more_runs_than_may_be_awake_go_on_in_turn(void **state)
{
	enum { RUNS = 2 * WORLDS_AWAKE_MAX + 3, TURNS = 3 };
	static const char send[] =
	    "{\"arguments\":{\"body\":\"b\",\"subject\":\"s\","
	    "\"to\":\"a@example.com\"},\"name\":\"email.send\"}";
	struct fixture f;

	(void)state;
	begin(&f);
	for (uint64_t run = 1; run <= RUNS; run++)
		assert_true(open_run(&f, run, document));
	for (int turn = 1; turn <= TURNS; turn++) {
		for (uint64_t run = 1; run <= RUNS; run++) {
			char id[32];

			assert_int_equal(call(&f, run, send)->ok, 1);
			(void)snprintf(id, sizeof(id), "EMAIL-%d\"", turn);
			assert_non_null(strstr(f.payload, id));
		}
	}
	end(&f, 0);
}

static void
what_is_wrong_is_answered_and_not_fatal(void **state)
{
	static const char *const broken[] = { "", "{", "[]", "{}",
		"{\"name\":\"kb.search\"}", "{\"arguments\":{},\"name\":1}" };
	struct fixture f;

	(void)state;
	begin(&f);
	assert_false(open_run(&f, 1, "{\"world\":1}"));
	assert_string_equal(f.payload, "world document: now: is missing");
	assert_true(open_run(&f, 1, document));
	assert_false(open_run(&f, 1, document));
	assert_string_equal(f.payload, "this run has a world already");
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		const struct msg_world_result *r = call(&f, 1, broken[i]);

		assert_int_equal(r->ok, 0);
		assert_int_equal(r->wrote, 0);
		assert_non_null(
		    strstr(f.payload, "\"code\":\"invalid_arguments\""));
	}
	(void)call(&f, 1, "{\"arguments\":{},\"name\":\"sh\"}");
	assert_non_null(strstr(f.payload, "\"code\":\"unknown_tool\""));
	end(&f, 0);
}

static void
the_role_ends_when_the_broker_is_gone(void **state)
{
	struct fixture f;
	struct err e = {};

	(void)state;
	begin(&f);
	assert_true(open_run(&f, 1, document));
	peer_close(&f.broker);
	assert_int_equal(loop_run(f.loop, NULL, NULL, &e), 0);
	assert_true(f.gone);
	end(&f, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_role_serves_runs_apart_from_each_other),
		cmocka_unit_test(more_runs_than_may_be_awake_go_on_in_turn),
		cmocka_unit_test(what_is_wrong_is_answered_and_not_fatal),
		cmocka_unit_test(the_role_ends_when_the_broker_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
