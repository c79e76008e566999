#include "gateway/inside.h"

#define SANDBOX "/v1/sandboxes/{run}"
#define PATH                           \
	{                              \
		STR("path"), REST_TEXT \
	}

#define PORT_HTTP(method)                                                      \
	{                                                                      \
		{ STR(method), STR(SANDBOX "/ports/{port}/{path}"),            \
			ASK_INSIDE, API_PORT, false, false, REST_BYTES, {},    \
			STR("\"do\":\"request\",\"method\":\"" method "\"") }, \
		    port_http_check, port_http                                 \
	}

static const struct inside_route routes[] = {
	/* clang-format off */
	{ { STR("POST"), STR(SANDBOX "/exec"), ASK_INSIDE, API_EXEC,
	    false, false, REST_BODY, {}, STR("\"do\":\"start\"") },
	    exec_check, exec_start },
	{ { STR("GET"), STR(SANDBOX "/exec"), ASK_INSIDE, API_EXEC,
	    false, false, REST_NO_BODY, {}, STR("\"do\":\"list\"") },
	    NULL, exec_list },
	{ { STR("GET"), STR(SANDBOX "/exec/{exec}/output"), ASK_INSIDE,
	    API_EXEC, false, false, REST_NO_BODY,
	    { { STR("from"), REST_NUMBER } }, STR("\"do\":\"output\"") },
	    NULL, exec_output },
	{ { STR("POST"), STR(SANDBOX "/exec/{exec}/signal"), ASK_INSIDE,
	    API_EXEC, false, false, REST_BODY, {}, STR("\"do\":\"signal\"") },
	    NULL, exec_signal },
	{ { STR("DELETE"), STR(SANDBOX "/exec/{exec}"), ASK_INSIDE, API_EXEC,
	    false, false, REST_NO_BODY, {}, STR("\"do\":\"kill\"") },
	    NULL, exec_signal },
	{ { STR("GET"), STR(SANDBOX "/processes"), ASK_INSIDE, API_EXEC,
	    false, false, REST_NO_BODY, {}, STR("\"do\":\"list\"") },
	    NULL, inside_processes },

	{ { STR("GET"), STR(SANDBOX "/files"), ASK_INSIDE, API_FILE,
	    false, false, REST_NO_BODY,
	    { PATH, { STR("offset"), REST_NUMBER },
		{ STR("max"), REST_NUMBER } }, STR("\"do\":\"get\"") },
	    NULL, file_get },
	{ { STR("PUT"), STR(SANDBOX "/files"), ASK_INSIDE, API_FILE,
	    false, false, REST_STREAM,
	    { PATH, { STR("mode"), REST_NUMBER }, { STR("how"), REST_TEXT } },
	    STR("\"do\":\"put\"") },
	    NULL, file_put },
	{ { STR("DELETE"), STR(SANDBOX "/files"), ASK_INSIDE, API_FILE,
	    false, false, REST_NO_BODY,
	    { PATH, { STR("recursive"), REST_BOOL } }, STR("\"do\":\"rm\"") },
	    NULL, file_rm },
	{ { STR("GET"), STR(SANDBOX "/files/list"), ASK_INSIDE, API_FILE,
	    false, false, REST_NO_BODY,
	    { PATH, { STR("recursive"), REST_BOOL } }, STR("\"do\":\"ls\"") },
	    NULL, file_ls },
	{ { STR("GET"), STR(SANDBOX "/files/stat"), ASK_INSIDE, API_FILE,
	    false, false, REST_NO_BODY,
	    { PATH, { STR("follow"), REST_BOOL } }, STR("\"do\":\"stat\"") },
	    NULL, file_stat },
	{ { STR("GET"), STR(SANDBOX "/files/watch"), ASK_INSIDE, API_FILE,
	    false, false, REST_NO_BODY, { PATH }, STR("\"do\":\"watch\"") },
	    NULL, file_watch },
	{ { STR("POST"), STR(SANDBOX "/files/mkdir"), ASK_INSIDE, API_FILE,
	    false, false, REST_NO_BODY,
	    { PATH, { STR("parents"), REST_BOOL } }, STR("\"do\":\"mkdir\"") },
	    NULL, file_mkdir },
	{ { STR("POST"), STR(SANDBOX "/files/rename"), ASK_INSIDE, API_FILE,
	    false, false, REST_NO_BODY,
	    { { STR("from"), REST_TEXT }, { STR("to"), REST_TEXT },
		{ STR("replace"), REST_BOOL } }, STR("\"do\":\"rename\"") },
	    NULL, file_rename },

	{ { STR("GET"), STR(SANDBOX "/ports/{port}"), ASK_INSIDE, API_PORT,
	    false, false, REST_NO_BODY, {}, STR("\"do\":\"connect\"") },
	    port_check, port_connect },
	PORT_HTTP("GET"),
	PORT_HTTP("HEAD"),
	PORT_HTTP("POST"),
	PORT_HTTP("PUT"),
	PORT_HTTP("PATCH"),
	PORT_HTTP("DELETE"),
	PORT_HTTP("OPTIONS"),
	/* clang-format on */
};

const struct inside_route *
inside_routes(size_t *n)
{
	*n = sizeof(routes) / sizeof(routes[0]);
	return routes;
}

const struct inside_route *
inside_route_of(const struct rest_route *r)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (&routes[i].rest == r)
			return &routes[i];
	}
	return NULL;
}
