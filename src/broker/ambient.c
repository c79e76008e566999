#include "broker/ambient.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/must.h"

enum { RANDOM_MAX_BYTES = 256 }; /* what getrandom(2) gives in one piece */

static const struct {
	const char *name, *definition;
} tools[] = {
	{ "paddock.now",
	    "{\"description\":\"The time, UTC. It is recorded: when the run is "
	    "replayed, the answer is the same.\",\"inputSchema\":{"
	    "\"additionalProperties\":false,\"properties\":{},\"type\":"
	    "\"object\"},\"name\":\"paddock.now\"}" },
	{ "paddock.random",
	    "{\"description\":\"Random bytes, as hexadecimal digits. They are "
	    "recorded: when the run is replayed, they are the same, and who "
	    "can read the record knows them.\",\"inputSchema\":{"
	    "\"additionalProperties\":false,\"properties\":{\"bytes\":{"
	    "\"maximum\":256,\"minimum\":1,\"type\":\"integer\"}},"
	    "\"required\":[\"bytes\"],\"type\":\"object\"},\"name\":"
	    "\"paddock.random\"}" },
};

static void put_now(struct buf *out);

bool
ambient_is(struct str tool)
{
	return str_eq_c(tool, tools[0].name) || str_eq_c(tool, tools[1].name);
}

void
ambient_list(struct buf *out, const struct policy *p)
{
	for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++) {
		const struct policy_tool *row =
		    policy_tool_find(p, str_of(tools[i].name));

		if (row == NULL || row->mode == VERDICT_BLOCK)
			continue;
		buf_add_byte(out, ',');
		buf_add_c(out, tools[i].definition);
	}
}

bool
ambient_answer(struct buf *out, struct str tool, const struct json *args)
{
	uint8_t bytes[RANDOM_MAX_BYTES];
	uint64_t n = 0;

	if (str_eq_c(tool, tools[0].name) && args->n == 0) {
		put_now(out);
		return true;
	}
	if (!str_eq_c(tool, tools[1].name) || args->n != 1 ||
	    json_u64(json_get(args, STR("bytes")), &n) < 0 || n == 0 ||
	    n > RANDOM_MAX_BYTES) {
		buf_add_c(out,
		    "{\"code\":\"bad_arguments\",\"error\":\"paddock.now takes "
		    "no arguments, and paddock.random takes bytes, from 1 to "
		    "256.\"}");
		return false;
	}
	must(getrandom(bytes, n, 0) == (ssize_t)n);
	buf_add_c(out, "{\"hex\":\"");
	for (uint64_t i = 0; i < n; i++)
		buf_printf(out, "%02x", bytes[i]);
	buf_add_c(out, "\"}");
	return true;
}

static void
put_now(struct buf *out)
{
	const int64_t ms = clock_utc_ns() / (1000 * 1000);
	const time_t s = ms / 1000;
	struct tm tm;
	char text[32];

	must(gmtime_r(&s, &tm) != NULL);
	must(strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) > 0);
	buf_printf(out, "{\"ms\":%lld,\"utc\":\"%s.%03dZ\"}", (long long)ms,
	    text, (int)(ms % 1000));
}
