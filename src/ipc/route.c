#include "ipc/route.h"

#include "base/limits.h"

enum {
	NONE = 0,
	TEXT = 4096, /* one message for a person */
	BIG = IPC_MAX_PAYLOAD_BYTES,
};

#define BODY(name) (uint16_t)sizeof(struct name)

static const struct route routes[] = {
	/* from, to, message, body, max payload, fds */
	{ ROLE_BROKER, ROLE_SUPERVISOR, MSG_READY, BODY(msg_ready), NONE, 0,
	    0 },
	{ ROLE_GATEWAY, ROLE_SUPERVISOR, MSG_READY, BODY(msg_ready), NONE, 0,
	    0 },
	{ ROLE_PROXY, ROLE_SUPERVISOR, MSG_READY, BODY(msg_ready), NONE, 0, 0 },
	{ ROLE_WORLD, ROLE_SUPERVISOR, MSG_READY, BODY(msg_ready), NONE, 0, 0 },
	{ ROLE_TOOLS, ROLE_SUPERVISOR, MSG_READY, BODY(msg_ready), NONE, 0, 0 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_WIRE, BODY(msg_wire), NONE, 1, 4 },
	{ ROLE_SUPERVISOR, ROLE_GATEWAY, MSG_WIRE, BODY(msg_wire), NONE, 1, 4 },
	{ ROLE_SUPERVISOR, ROLE_PROXY, MSG_WIRE, BODY(msg_wire), NONE, 1, 4 },
	{ ROLE_SUPERVISOR, ROLE_WORLD, MSG_WIRE, BODY(msg_wire), NONE, 1, 4 },
	{ ROLE_SUPERVISOR, ROLE_TOOLS, MSG_WIRE, BODY(msg_wire), NONE, 1, 4 },
	{ ROLE_SUPERVISOR, ROLE_GATEWAY, MSG_LISTEN, BODY(msg_listen), NONE, 1,
	    1 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_QUIT, BODY(msg_quit), NONE, 0, 0 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_IDENTITY, BODY(msg_identity), TEXT,
	    0, 1 },

	{ ROLE_BROKER, ROLE_SUPERVISOR, MSG_SANDBOX_START,
	    BODY(msg_sandbox_start), ARGV_MAX_BYTES, 0, 5 + MOUNTS_MAX },
	{ ROLE_BROKER, ROLE_SUPERVISOR, MSG_SANDBOX_KILL,
	    BODY(msg_sandbox_kill), NONE, 0, 0 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_KILL, BODY(msg_kill), NONE, 0, 0 },
	{ ROLE_BROKER, ROLE_SUPERVISOR, MSG_KILLED, BODY(msg_killed), NONE, 0,
	    0 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_SANDBOX_STARTED,
	    BODY(msg_sandbox_started), TEXT, 0, 6 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_SANDBOX_EXITED,
	    BODY(msg_sandbox_exited), NONE, 0, 0 },

	{ ROLE_BROKER, ROLE_SUPERVISOR, MSG_SANDBOX_ASK, BODY(msg_sandbox_ask),
	    NONE, 0, 0 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_SANDBOX_TOLD,
	    BODY(msg_sandbox_told), TEXT, 0, 0 },
	{ ROLE_BROKER, ROLE_SUPERVISOR, MSG_SNAPSHOT_ASK,
	    BODY(msg_snapshot_ask), BIG, 0, 1 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_SNAPSHOT_TOLD,
	    BODY(msg_snapshot_told), TEXT, 0, 1 },
	{ ROLE_BROKER, ROLE_SUPERVISOR, MSG_IMAGE_FIND, BODY(msg_image_find),
	    NONE, 0, 0 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_IMAGE_FOUND, BODY(msg_image_found),
	    TEXT, 0, 1 },
	{ ROLE_BROKER, ROLE_SUPERVISOR, MSG_SECRET_FIND, BODY(msg_secret_find),
	    NONE, 0, 0 },
	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_SECRET_FOUND,
	    BODY(msg_secret_found), TEXT, 0, 1 },

	{ ROLE_SUPERVISOR, ROLE_BROKER, MSG_SANDBOX_DENIED,
	    BODY(msg_sandbox_denied), TEXT, 0, 0 },

	{ ROLE_BROKER, ROLE_GATEWAY, MSG_DOOR_OPEN, BODY(msg_door),
	    ARGV_MAX_BYTES, 1, 2 },
	{ ROLE_BROKER, ROLE_GATEWAY, MSG_DOOR_CLOSE, BODY(msg_door), NONE, 0,
	    0 },
	{ ROLE_BROKER, ROLE_PROXY, MSG_DOOR_OPEN, BODY(msg_door),
	    ARGV_MAX_BYTES, 0, 4 },
	{ ROLE_BROKER, ROLE_PROXY, MSG_DOOR_CLOSE, BODY(msg_door), NONE, 0, 0 },

	{ ROLE_GATEWAY, ROLE_BROKER, MSG_TOOL_CALL, BODY(msg_tool_call), BIG, 0,
	    0 },
	{ ROLE_GATEWAY, ROLE_BROKER, MSG_API, BODY(msg_api), BIG, 0,
	    4 + MOUNTS_MAX },
	{ ROLE_GATEWAY, ROLE_BROKER, MSG_BEARER, BODY(msg_bearer),
	    JWT_MAX_BYTES, 0, 0 },
	{ ROLE_GATEWAY, ROLE_BROKER, MSG_BAD_REQUEST, BODY(msg_tool_call), TEXT,
	    0, 0 },
	{ ROLE_GATEWAY, ROLE_BROKER, MSG_GONE, BODY(msg_gone), NONE, 0, 0 },
	{ ROLE_GATEWAY, ROLE_BROKER, MSG_CANCEL, BODY(msg_gone), NONE, 0, 0 },
	{ ROLE_BROKER, ROLE_GATEWAY, MSG_LISTS, BODY(msg_lists), NONE, 0, 0 },
	{ ROLE_BROKER, ROLE_GATEWAY, MSG_TOKEN_GONE, BODY(msg_token_gone), NONE,
	    0, 0 },
	{ ROLE_GATEWAY, ROLE_BROKER, MSG_INSIDE_DONE, BODY(msg_inside_done),
	    TEXT, 0, 0 },
	{ ROLE_BROKER, ROLE_GATEWAY, MSG_COMMAND, BODY(msg_command), BIG, 0,
	    0 },
	{ ROLE_BROKER, ROLE_GATEWAY, MSG_COMMAND_KILL, BODY(msg_command), NONE,
	    0, 0 },
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
	{ ROLE_BROKER, ROLE_WORLD, MSG_WORLD_CLOSE, BODY(msg_door), NONE, 0,
	    0 },
	{ ROLE_BROKER, ROLE_WORLD, MSG_WORLD_SAVE, BODY(msg_world_save), NONE,
	    1, 1 },
	{ ROLE_WORLD, ROLE_BROKER, MSG_WORLD_SAVED, BODY(msg_world_saved), TEXT,
	    0, 0 },
	{ ROLE_BROKER, ROLE_WORLD, MSG_WORLD_TRY, BODY(msg_world_try), BIG, 0,
	    0 },
	{ ROLE_WORLD, ROLE_BROKER, MSG_WORLD_TRIED, BODY(msg_world_tried), BIG,
	    0, 0 },

	{ ROLE_BROKER, ROLE_TOOLS, MSG_SERVER_OPEN, BODY(msg_server), BIG, 0,
	    0 },
	{ ROLE_TOOLS, ROLE_BROKER, MSG_SERVER_PIPES, BODY(msg_server), NONE, 3,
	    3 },
	{ ROLE_TOOLS, ROLE_BROKER, MSG_SERVER_LINE, BODY(msg_server), NONE, 1,
	    1 },
	{ ROLE_BROKER, ROLE_PROXY, MSG_SERVER_LINE, BODY(msg_door),
	    SERVER_ENTRY_BYTES, 1, 1 },
	{ ROLE_TOOLS, ROLE_BROKER, MSG_SERVER_LISTED, BODY(msg_server_listed),
	    BIG, 0, 0 },
	{ ROLE_BROKER, ROLE_TOOLS, MSG_SERVER_CALL, BODY(msg_server_call), BIG,
	    0, 0 },
	{ ROLE_TOOLS, ROLE_BROKER, MSG_SERVER_RESULT, BODY(msg_server_result),
	    BIG, 0, 0 },
	{ ROLE_BROKER, ROLE_TOOLS, MSG_SERVER_CANCEL, BODY(msg_server_part),
	    NONE, 0, 0 },
	{ ROLE_TOOLS, ROLE_BROKER, MSG_SERVER_PROGRESS, BODY(msg_server_part),
	    TEXT, 0, 0 },
	{ ROLE_TOOLS, ROLE_BROKER, MSG_SERVER_UPDATED, BODY(msg_server),
	    SERVER_URI_BYTES, 0, 0 },
	{ ROLE_BROKER, ROLE_TOOLS, MSG_SERVER_LEAVE, BODY(msg_server), NONE, 0,
	    0 },
	{ ROLE_BROKER, ROLE_TOOLS, MSG_SERVER_CLOSE, BODY(msg_server), NONE, 0,
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
	    TEXT, 0, 0 },
	{ ROLE_BROKER, ROLE_PROXY, MSG_EGRESS_WATCH, BODY(msg_door), BIG, 0,
	    0 },
	{ ROLE_BROKER, ROLE_PROXY, MSG_FETCH, BODY(msg_fetch), BIG, 0, 0 },
	{ ROLE_PROXY, ROLE_BROKER, MSG_FETCHED, BODY(msg_fetched), BIG, 0, 0 },
};

const struct route *
route_find(enum role from, enum role to, uint16_t type)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		const struct route *r = &routes[i];

		if (r->type == type && r->from == from && r->to == to)
			return r;
	}
	return NULL;
}

int
route_check(enum role from, enum role to, const struct msg_head *h,
    size_t body_bytes, size_t fds, struct err *e)
{
	const struct route *r = route_find(from, to, h->type);

	if (r == NULL)
		return err_set(e, "%s may not send message %u (%s) to %s",
		    role_name(from), h->type, msg_name(h->type), role_name(to));
	if ((h->flags & ~MSG_MEMFD) != 0)
		return err_set(
		    e, "%s: unknown flags %u", msg_name(h->type), h->flags);
	if (body_bytes != r->body_bytes)
		return err_set(e, "%s: body of %zu bytes, not %u",
		    msg_name(h->type), body_bytes, r->body_bytes);
	if (h->payload > r->max_payload_bytes)
		return err_set(e, "%s: payload of %u bytes, over %u",
		    msg_name(h->type), h->payload, r->max_payload_bytes);
	if (fds < r->min_fds || fds > r->max_fds)
		return err_set(e, "%s: %zu descriptors, not %u to %u",
		    msg_name(h->type), fds, r->min_fds, r->max_fds);
	return 0;
}

const char *
role_name(enum role r)
{
	static const char *const names[ROLES] = { "supervisor", "broker",
		"gateway", "proxy", "world", "tools" };

	return r < ROLES ? names[r] : "unknown";
}

const char *
msg_name(uint16_t type)
{
	static const char *const names[MSG_TYPES] = { "unknown", "READY",
		"WIRE", "LISTEN", "QUIT", "IDENTITY", "SANDBOX_START",
		"SANDBOX_STARTED", "SANDBOX_KILL", "KILL", "KILLED",
		"SANDBOX_EXITED", "SANDBOX_ASK", "SANDBOX_TOLD", "SNAPSHOT_ASK",
		"SNAPSHOT_TOLD", "IMAGE_FIND", "IMAGE_FOUND", "SECRET_FIND",
		"SECRET_FOUND", "SANDBOX_DENIED", "DOOR_OPEN", "DOOR_CLOSE",
		"CA_NEW", "CA", "TOOL_CALL", "API", "BEARER", "BAD_REQUEST",
		"GONE", "CANCEL", "REPLY", "EVENT", "TOKEN_GONE", "LISTS",
		"INSIDE_DONE", "COMMAND", "COMMAND_KILL", "COMMAND_END",
		"EXPORT", "EXPORT_READ", "WORLD_OPEN", "WORLD_OPENED",
		"WORLD_CALL", "WORLD_RESULT", "WORLD_CLOSE", "WORLD_SAVE",
		"WORLD_SAVED", "WORLD_TRY", "WORLD_TRIED", "SERVER_OPEN",
		"SERVER_PIPES", "SERVER_LINE", "SERVER_LISTED", "SERVER_CALL",
		"SERVER_RESULT", "SERVER_CANCEL", "SERVER_PROGRESS",
		"SERVER_UPDATED", "SERVER_LEAVE", "SERVER_CLOSE", "EGRESS_ASK",
		"EGRESS_VERDICT", "EGRESS_DONE", "EGRESS_REVOKE",
		"EGRESS_WATCH", "FETCH", "FETCHED" };

	return type < MSG_TYPES ? names[type] : "unknown";
}
