#include "ipc/api.h"

#include "base/must.h"

static const struct api_rule rules[API_OPS] = {
	/* name, scope, agent, needs a run, all tenants */
	[API_HEALTH] = { "health", STR(""), true, false, false },
	[API_RUN_OPEN] = { "open a run", STR("runs:open"), false, false,
	    false },
	[API_RUN_LIST] = { "list runs", STR("runs:read"), false, false, false },
	[API_RUN_GET] = { "see a run", STR("runs:read"), false, true, false },
	[API_RUN_WAIT] = { "wait for a run", STR("runs:read"), false, true,
	    false },
	[API_RUN_STOP] = { "stop a run", STR("runs:stop"), false, true, false },
	[API_STOP_ALL] = { "stop all runs", STR("runs:stop"), false, false,
	    false },
	[API_TOOL_LIST] = { "list tools", STR("runs:read"), true, true, false },
	[API_EVENT_LIST] = { "read events", STR("runs:read"), false, true,
	    false },
	[API_EVENT_STREAM] = { "follow events", STR("runs:read"), false, true,
	    false },
	[API_APPROVAL_LIST] = { "list approvals", STR("approvals:read"), false,
	    false, false },
	[API_APPROVAL_GET] = { "see an approval", STR("approvals:read"), false,
	    false, false },
	[API_APPROVAL_DECIDE] = { "decide an approval", STR("approvals:decide"),
	    false, false, false },
	[API_EXEC] = { "run a command in a sandbox", STR("runs:exec"), false,
	    true, false },
	[API_FILE] = { "touch files of a sandbox", STR("runs:files"), false,
	    true, false },
	[API_PORT] = { "reach a port of a sandbox", STR("runs:ports"), false,
	    true, false },
	[API_PAUSE] = { "pause a sandbox", STR("runs:stop"), false, true,
	    false },
	[API_RESUME] = { "resume a sandbox", STR("runs:stop"), false, true,
	    false },
	[API_STAT] = { "measure a sandbox", STR("runs:read"), false, true,
	    false },
	[API_SECRET_LIST] = { "list secrets", STR("secrets:read"), false, false,
	    false },
	[API_SECRET_CHECK] = { "check a secret", STR("secrets:check"), false,
	    false, true },
	[API_SECRET_REVOKE] = { "revoke a secret", STR("secrets:revoke"), false,
	    false, false },
	[API_TOKEN_CREATE] = { "make a token", STR("tokens:manage"), false,
	    false, true },
	[API_TOKEN_LIST] = { "list tokens", STR("tokens:manage"), false, false,
	    true },
	[API_TOKEN_REVOKE] = { "revoke a token", STR("tokens:manage"), false,
	    false, true },
};

const struct api_rule *
api_rule(enum api_op op)
{
	must(op < API_OPS && rules[op].name != NULL);
	return &rules[op];
}
