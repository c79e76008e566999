#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/limits.h"
#include "ipc/route.h"

#define BODY(name) (uint16_t)sizeof(struct name)

enum { BIG = IPC_MAX_PAYLOAD_BYTES, ALL_TYPES = 1 << 16 };

/* The whole table again, so that no row comes or goes by mistake. */
static const struct route expected[] = {
	{ ROLE_BROKER, ROLE_SUPERVISOR, MSG_READY, BODY(msg_ready), 0, 0, 0 },
	{ ROLE_GATEWAY, ROLE_SUPERVISOR, MSG_READY, BODY(msg_ready), 0, 0, 0 },
	{ ROLE_PROXY, ROLE_SUPERVISOR, MSG_READY, BODY(msg_ready), 0, 0, 0 },
	{ ROLE_WORLD, ROLE_SUPERVISOR, MSG_READY, BODY(msg_ready), 0, 0, 0 },
	{ ROLE_TOOLS, ROLE_SUPERVISOR, MSG_READY, BODY(msg_ready), 0, 0, 0 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_WIRE, BODY(msg_wire), 0, 1, 4 },
	{ ROLE_SUPERVISOR, ROLE_GATEWAY, MSG_WIRE, BODY(msg_wire), 0, 1, 4 },
	{ ROLE_SUPERVISOR, ROLE_PROXY, MSG_WIRE, BODY(msg_wire), 0, 1, 4 },
	{ ROLE_SUPERVISOR, ROLE_WORLD, MSG_WIRE, BODY(msg_wire), 0, 1, 4 },
	{ ROLE_SUPERVISOR, ROLE_TOOLS, MSG_WIRE, BODY(msg_wire), 0, 1, 4 },
	{ ROLE_SUPERVISOR, ROLE_GATEWAY, MSG_LISTEN, BODY(msg_listen), 0, 1,
	    1 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_QUIT, BODY(msg_quit), 0, 0, 0 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_IDENTITY, BODY(msg_identity), 4096,
	    0, 1 },
	{ ROLE_BROKER, ROLE_SUPERVISOR, MSG_SANDBOX_START,
	    BODY(msg_sandbox_start), ARGV_MAX_BYTES, 0, 5 + MOUNTS_MAX },
	{ ROLE_BROKER, ROLE_SUPERVISOR, MSG_SANDBOX_KILL,
	    BODY(msg_sandbox_kill), 0, 0, 0 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_KILL, BODY(msg_kill), 0, 0, 0 },
	{ ROLE_BROKER, ROLE_SUPERVISOR, MSG_KILLED, BODY(msg_killed), 0, 0, 0 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_SANDBOX_STARTED,
	    BODY(msg_sandbox_started), 4096, 0, 6 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_SANDBOX_EXITED,
	    BODY(msg_sandbox_exited), 0, 0, 0 },
	{ ROLE_BROKER, ROLE_SUPERVISOR, MSG_SANDBOX_ASK, BODY(msg_sandbox_ask),
	    0, 0, 0 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_SANDBOX_TOLD,
	    BODY(msg_sandbox_told), 4096, 0, 0 },
	{ ROLE_BROKER, ROLE_SUPERVISOR, MSG_SNAPSHOT_ASK,
	    BODY(msg_snapshot_ask), IPC_MAX_PAYLOAD_BYTES, 0, 1 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_SNAPSHOT_TOLD,
	    BODY(msg_snapshot_told), 4096, 0, 1 },
	{ ROLE_BROKER, ROLE_SUPERVISOR, MSG_IMAGE_FIND, BODY(msg_image_find), 0,
	    0, 0 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_IMAGE_FOUND, BODY(msg_image_found),
	    4096, 0, 1 },
	{ ROLE_BROKER, ROLE_SUPERVISOR, MSG_SECRET_FIND, BODY(msg_secret_find),
	    0, 0, 0 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_SECRET_FOUND,
	    BODY(msg_secret_found), 4096, 0, 1 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_SANDBOX_DENIED,
	    BODY(msg_sandbox_denied), 4096, 0, 0 },
	{ ROLE_BROKER, ROLE_GATEWAY, MSG_DOOR_OPEN, BODY(msg_door),
	    ARGV_MAX_BYTES, 1, 2 },
	{ ROLE_GATEWAY, ROLE_BROKER, MSG_BEARER, BODY(msg_bearer),
	    JWT_MAX_BYTES, 0, 0 },
	{ ROLE_GATEWAY, ROLE_BROKER, MSG_CANCEL, BODY(msg_gone), 0, 0, 0 },
	{ ROLE_BROKER, ROLE_GATEWAY, MSG_LISTS, BODY(msg_lists), 0, 0, 0 },
	{ ROLE_BROKER, ROLE_GATEWAY, MSG_TOKEN_GONE, BODY(msg_token_gone), 0, 0,
	    0 },
	{ ROLE_GATEWAY, ROLE_BROKER, MSG_INSIDE_DONE, BODY(msg_inside_done),
	    4096, 0, 0 },
	{ ROLE_BROKER, ROLE_GATEWAY, MSG_DOOR_CLOSE, BODY(msg_door), 0, 0, 0 },
	{ ROLE_BROKER, ROLE_PROXY, MSG_DOOR_OPEN, BODY(msg_door),
	    ARGV_MAX_BYTES, 0, 4 },
	{ ROLE_BROKER, ROLE_PROXY, MSG_DOOR_CLOSE, BODY(msg_door), 0, 0, 0 },
	{ ROLE_GATEWAY, ROLE_BROKER, MSG_TOOL_CALL, BODY(msg_tool_call), BIG, 0,
	    0 },
	{ ROLE_GATEWAY, ROLE_BROKER, MSG_API, BODY(msg_api), BIG, 0,
	    4 + MOUNTS_MAX },
	{ ROLE_GATEWAY, ROLE_BROKER, MSG_BAD_REQUEST, BODY(msg_tool_call), 4096,
	    0, 0 },
	{ ROLE_GATEWAY, ROLE_BROKER, MSG_GONE, BODY(msg_gone), 0, 0, 0 },
	{ ROLE_BROKER, ROLE_GATEWAY, MSG_COMMAND, BODY(msg_command), BIG, 0,
	    0 },
	{ ROLE_BROKER, ROLE_GATEWAY, MSG_COMMAND_KILL, BODY(msg_command), 0, 0,
	    0 },
	{ ROLE_GATEWAY, ROLE_BROKER, MSG_COMMAND_END, BODY(msg_command_end),
	    BIG, 0, 0 },
	{ ROLE_BROKER, ROLE_GATEWAY, MSG_EXPORT, BODY(msg_export), BIG, 0, 0 },
	{ ROLE_GATEWAY, ROLE_BROKER, MSG_EXPORT_READ, BODY(msg_export), BIG, 0,
	    1 },
	{ ROLE_BROKER, ROLE_GATEWAY, MSG_REPLY, BODY(msg_reply), BIG, 0, 0 },
	{ ROLE_BROKER, ROLE_GATEWAY, MSG_EVENT, BODY(msg_event), BIG, 0, 0 },
	{ ROLE_BROKER, ROLE_WORLD, MSG_WORLD_OPEN, BODY(msg_world_open), BIG, 1,
	    1 },
	{ ROLE_WORLD, ROLE_BROKER, MSG_WORLD_OPENED, BODY(msg_world_opened),
	    BIG, 0, 0 },
	{ ROLE_BROKER, ROLE_WORLD, MSG_WORLD_CALL, BODY(msg_world_call), BIG, 0,
	    0 },
	{ ROLE_WORLD, ROLE_BROKER, MSG_WORLD_RESULT, BODY(msg_world_result),
	    BIG, 0, 0 },
	{ ROLE_BROKER, ROLE_WORLD, MSG_WORLD_CLOSE, BODY(msg_door), 0, 0, 0 },
	{ ROLE_BROKER, ROLE_WORLD, MSG_WORLD_SAVE, BODY(msg_world_save), 0, 1,
	    1 },
	{ ROLE_WORLD, ROLE_BROKER, MSG_WORLD_SAVED, BODY(msg_world_saved), 4096,
	    0, 0 },
	{ ROLE_BROKER, ROLE_WORLD, MSG_WORLD_TRY, BODY(msg_world_try), BIG, 0,
	    0 },
	{ ROLE_WORLD, ROLE_BROKER, MSG_WORLD_TRIED, BODY(msg_world_tried), BIG,
	    0, 0 },
	{ ROLE_BROKER, ROLE_TOOLS, MSG_SERVER_OPEN, BODY(msg_server), BIG, 0,
	    0 },
	{ ROLE_TOOLS, ROLE_BROKER, MSG_SERVER_PIPES, BODY(msg_server), 0, 3,
	    3 },
	{ ROLE_TOOLS, ROLE_BROKER, MSG_SERVER_LINE, BODY(msg_server), 0, 1, 1 },
	{ ROLE_BROKER, ROLE_PROXY, MSG_SERVER_LINE, BODY(msg_door),
	    SERVER_ENTRY_BYTES, 1, 1 },
	{ ROLE_TOOLS, ROLE_BROKER, MSG_SERVER_LISTED, BODY(msg_server_listed),
	    BIG, 0, 0 },
	{ ROLE_BROKER, ROLE_TOOLS, MSG_SERVER_CALL, BODY(msg_server_call), BIG,
	    0, 0 },
	{ ROLE_TOOLS, ROLE_BROKER, MSG_SERVER_RESULT, BODY(msg_server_result),
	    BIG, 0, 0 },
	{ ROLE_BROKER, ROLE_TOOLS, MSG_SERVER_CANCEL, BODY(msg_server_part), 0,
	    0, 0 },
	{ ROLE_TOOLS, ROLE_BROKER, MSG_SERVER_PROGRESS, BODY(msg_server_part),
	    4096, 0, 0 },
	{ ROLE_TOOLS, ROLE_BROKER, MSG_SERVER_UPDATED, BODY(msg_server),
	    SERVER_URI_BYTES, 0, 0 },
	{ ROLE_BROKER, ROLE_TOOLS, MSG_SERVER_LEAVE, BODY(msg_server), 0, 0,
	    0 },
	{ ROLE_BROKER, ROLE_TOOLS, MSG_SERVER_CLOSE, BODY(msg_server), 0, 0,
	    0 },
	{ ROLE_BROKER, ROLE_PROXY, MSG_CA_NEW, BODY(msg_door), ARGV_MAX_BYTES,
	    0, 0 },
	{ ROLE_PROXY, ROLE_BROKER, MSG_CA, BODY(msg_door), 2 * TRUST_MAX_BYTES,
	    0, 0 },
	{ ROLE_PROXY, ROLE_BROKER, MSG_EGRESS_ASK, BODY(msg_egress_ask),
	    EGRESS_MAX_ASK_BYTES, 0, 0 },
	{ ROLE_BROKER, ROLE_PROXY, MSG_EGRESS_VERDICT, BODY(msg_egress_verdict),
	    BIG, 0, 0 },
	{ ROLE_PROXY, ROLE_BROKER, MSG_EGRESS_DONE, BODY(msg_egress_done), BIG,
	    0, 0 },
	{ ROLE_BROKER, ROLE_PROXY, MSG_EGRESS_REVOKE, BODY(msg_egress_revoke),
	    4096, 0, 0 },
	{ ROLE_BROKER, ROLE_PROXY, MSG_EGRESS_WATCH, BODY(msg_door), BIG, 0,
	    0 },
	{ ROLE_BROKER, ROLE_PROXY, MSG_FETCH, BODY(msg_fetch), BIG, 0, 0 },
	{ ROLE_PROXY, ROLE_BROKER, MSG_FETCHED, BODY(msg_fetched), BIG, 0, 0 },
};
enum { N_EXPECTED = sizeof(expected) / sizeof(expected[0]) };

static const struct route *
expected_find(int from, int to, unsigned type)
{
	for (size_t i = 0; i < N_EXPECTED; i++) {
		const struct route *r = &expected[i];

		if ((int)r->from == from && (int)r->to == to && r->type == type)
			return r;
	}
	return NULL;
}

static void
the_table_has_these_rows_and_no_other(void **state)
{
	(void)state;
	/* Also roles and types that are none: a peer can send any number. */
	for (int from = 0; from < ROLES + 2; from++) {
		for (int to = 0; to < ROLES + 2; to++) {
			for (unsigned type = 0; type < ALL_TYPES; type++) {
				const struct route *want =
				    expected_find(from, to, type);
				const struct route *got =
				    route_find((enum role)from, (enum role)to,
					(uint16_t)type);

				if (want == NULL) {
					assert_null(got);
					continue;
				}
				assert_non_null(got);
				assert_int_equal(
				    got->body_bytes, want->body_bytes);
				assert_int_equal(got->max_payload_bytes,
				    want->max_payload_bytes);
				assert_true(
				    got->body_bytes <= 192); /* peer.c */
				assert_int_equal(got->min_fds, want->min_fds);
				assert_int_equal(got->max_fds, want->max_fds);
			}
		}
	}
}

static void
each_row_holds_at_its_limits_and_not_beyond(void **state)
{
	struct err e;

	(void)state;
	for (size_t i = 0; i < N_EXPECTED; i++) {
		const struct route *r = &expected[i];
		struct msg_head h = { .type = r->type };
		struct msg_head most = { .type = r->type,
			.flags = MSG_MEMFD,
			.payload = r->max_payload_bytes };
		struct msg_head over = { .type = r->type,
			.payload = r->max_payload_bytes + 1 };

#define CHECK(head, body, fds) \
	route_check(r->from, r->to, &(head), (body), (fds), &e)
		assert_int_equal(CHECK(h, r->body_bytes, r->min_fds), 0);
		assert_int_equal(CHECK(most, r->body_bytes, r->max_fds), 0);
		assert_int_equal(CHECK(over, r->body_bytes, r->min_fds), -1);
		assert_non_null(strstr(e.text, "payload"));
		assert_int_equal(CHECK(h, r->body_bytes - 1U, r->min_fds), -1);
		assert_non_null(strstr(e.text, "body"));
		assert_int_equal(CHECK(h, r->body_bytes + 1U, r->min_fds), -1);
		assert_int_equal(CHECK(h, 0, r->min_fds), -1);
		assert_int_equal(CHECK(h, r->body_bytes, r->max_fds + 1U), -1);
		assert_non_null(strstr(e.text, "descriptors"));
		if (r->min_fds > 0)
			assert_int_equal(
			    CHECK(h, r->body_bytes, r->min_fds - 1U), -1);
		for (unsigned flag = 2; flag < ALL_TYPES; flag <<= 1) {
			struct msg_head odd = { .type = r->type,
				.flags = (uint16_t)flag };

			assert_int_equal(
			    CHECK(odd, r->body_bytes, r->min_fds), -1);
			assert_non_null(strstr(e.text, "flags"));
		}
#undef CHECK
	}
}

static void
a_foreign_message_is_named_with_its_sender(void **state)
{
	const struct msg_head h = { .type = MSG_SANDBOX_START };
	const struct msg_head odd = { .type = 9999 };
	struct err e;

	(void)state;
	assert_int_equal(
	    route_check(ROLE_GATEWAY, ROLE_SUPERVISOR, &h, 64, 3, &e), -1);
	assert_string_equal(e.text,
	    "gateway may not send message 6 (SANDBOX_START) to supervisor");
	assert_int_equal(
	    route_check(ROLE_WORLD, ROLE_BROKER, &odd, 0, 0, &e), -1);
	assert_string_equal(
	    e.text, "world may not send message 9999 (unknown) to broker");
}

static void
every_role_and_message_has_a_name(void **state)
{
	(void)state;
	for (int r = 0; r < ROLES; r++)
		assert_string_not_equal(role_name((enum role)r), "unknown");
	for (unsigned t = 1; t < MSG_TYPES; t++) {
		assert_non_null(msg_name((uint16_t)t));
		assert_string_not_equal(msg_name((uint16_t)t), "unknown");
	}
	assert_string_equal(role_name(ROLES), "unknown");
	assert_string_equal(msg_name(0), "unknown");
	assert_string_equal(msg_name(MSG_TYPES), "unknown");
	assert_string_equal(msg_name(UINT16_MAX), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_has_these_rows_and_no_other),
		cmocka_unit_test(each_row_holds_at_its_limits_and_not_beyond),
		cmocka_unit_test(a_foreign_message_is_named_with_its_sender),
		cmocka_unit_test(every_role_and_message_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
