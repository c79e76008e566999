/*
 * bench_mcp: what a tools/call takes, as its caller sees it.
 *
 * With --floor every block of calls is followed by as many to a process that
 * answers the same bytes at once, and with --beside by as many to the same
 * tool elsewhere, so that all see the same machine.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "mcp_client.h"
#include "sample.h"
#include "sys/fd.h"

enum {
	BLOCK = 100, /* calls to one before the other has its turn */
	TOKEN_MAX_BYTES = 4096,
	CONNECTIONS_MAX = 64,
};

static const char usage[] =
    "usage: bench_mcp [OPTIONS] --tool NAME --url URL\n"
    "       bench_mcp [OPTIONS] --tool NAME --stdio -- COMMAND [ARGUMENTS]\n"
    "\n"
    "  --legacy           MCP 2025-11-25: initialize, session (default)\n"
    "  --modern           MCP 2026-07-28\n"
    "  --url URL          http://ADDRESS:PORT/PATH; $PADDOCK_MCP_URL if not "
    "given\n"
    "  --token-file FILE  a bearer token\n"
    "  --args JSON        the call's arguments, an object (default {})\n"
    "  --floor            also measure a server that answers at once\n"
    "  --beside URL       also call the same tool there, without a token\n"
    "  --connections N    calls a second over so many (1 to 64) at once\n"
    "  --calls N          calls that are measured (default 5000)\n"
    "  --warm N           calls before those (default 500)\n"
    "  --json             print JSON\n";

static const struct option options[] = {
	{ "legacy", no_argument, NULL, 'l' },
	{ "modern", no_argument, NULL, 'm' },
	{ "stdio", no_argument, NULL, 's' },
	{ "url", required_argument, NULL, 'u' },
	{ "token-file", required_argument, NULL, 't' },
	{ "tool", required_argument, NULL, 'T' },
	{ "args", required_argument, NULL, 'a' },
	{ "floor", no_argument, NULL, 'f' },
	{ "beside", required_argument, NULL, 'b' },
	{ "connections", required_argument, NULL, 'c' },
	{ "calls", required_argument, NULL, 'n' },
	{ "warm", required_argument, NULL, 'w' },
	{ "json", no_argument, NULL, 'j' },
	{},
};

struct bench {
	enum mcp_speech speech;
	const char *url, *token_file, *beside;
	struct str tool, args;
	char **command;
	uint64_t calls, warm, connections;
	bool floor, json;
};

static int read_options(struct bench *b, int argc, char **argv);
static int start(const struct bench *b, struct mcp_client *c, struct err *e);
static int measure(const struct bench *b, struct mcp_client *c, uint64_t n,
    struct sample *into, struct err *e);
static int rate(const struct bench *b, double *calls_per_s, struct err *e);
static int run(const struct bench *b, struct sample *calls,
    struct sample *floors, struct sample *besides, struct err *e);

int
main(int argc, char **argv)
{
	own_sample struct sample calls = {}, floors = {}, besides = {};
	own_buf struct buf out = {};
	struct bench b;
	struct err e = {};

	if (read_options(&b, argc, argv) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN); /* write(2) says so */
	if (b.connections > 0) {
		double got;

		if (rate(&b, &got, &e) < 0) {
			fprintf(stderr, "bench_mcp: %s\n", e.text);
			return 1;
		}
		printf(b.json ? "{\"calls_per_s\":%.0f}\n"
			      : "%.0f calls a second\n",
		    got);
		return 0;
	}
	if (run(&b, &calls, &floors, &besides, &e) < 0) {
		fprintf(stderr, "bench_mcp: %s\n", e.text);
		return 1;
	}
	if (!b.json) {
		sample_head();
		sample_row(&calls, "tools/call");
		if (b.floor)
			sample_row(&floors, "answered at once");
		if (b.beside != NULL)
			sample_row(&besides, "beside");
		return 0;
	}
	buf_add_c(&out, "{\"call\":");
	sample_json(&calls, &out);
	if (b.floor) {
		buf_add_c(&out, ",\"floor\":");
		sample_json(&floors, &out);
	}
	if (b.beside != NULL) {
		buf_add_c(&out, ",\"beside\":");
		sample_json(&besides, &out);
	}
	printf("%s}\n", buf_c(&out));
	return 0;
}

static int
read_options(struct bench *b, int argc, char **argv)
{
	int c;

	*b = (struct bench){ .url = getenv("PADDOCK_MCP_URL"),
		.args = STR("{}"),
		.calls = 5000,
		.warm = 500 };
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'l':
			b->speech = MCP_SPEAK_LEGACY;
			break;
		case 'm':
			b->speech = MCP_SPEAK_MODERN;
			break;
		case 's':
			b->speech = MCP_SPEAK_STDIO;
			break;
		case 'u':
			b->url = optarg;
			break;
		case 't':
			b->token_file = optarg;
			break;
		case 'T':
			b->tool = str_of(optarg);
			break;
		case 'a':
			b->args = str_of(optarg);
			break;
		case 'f':
			b->floor = true;
			break;
		case 'b':
			b->beside = optarg;
			break;
		case 'c':
			if (str_to_u64(str_of(optarg), &b->connections) < 0 ||
			    b->connections > CONNECTIONS_MAX)
				return -1;
			break;
		case 'n':
			if (str_to_u64(str_of(optarg), &b->calls) < 0)
				return -1;
			break;
		case 'w':
			if (str_to_u64(str_of(optarg), &b->warm) < 0)
				return -1;
			break;
		case 'j':
			b->json = true;
			break;
		default:
			return -1;
		}
	}
	b->command = argv + optind;
	if (b->tool.n == 0 || b->calls == 0)
		return -1;
	if (b->speech == MCP_SPEAK_STDIO)
		return b->command[0] != NULL && !b->floor ? 0 : -1;
	return b->url != NULL && b->command[0] == NULL ? 0 : -1;
}

static int
start(const struct bench *b, struct mcp_client *c, struct err *e)
{
	own_buf struct buf token = {};

	if (b->speech == MCP_SPEAK_STDIO)
		return mcp_client_stdio(c, b->command, e);
	if (b->token_file != NULL &&
	    file_read(b->token_file, &token, TOKEN_MAX_BYTES, e) < 0)
		return -1;
	while (token.n > 0 && token.p[token.n - 1] == '\n')
		token.n--;
	return mcp_client_http(
	    c, b->speech, str_of(b->url), buf_str(&token), e);
}

static int
measure(const struct bench *b, struct mcp_client *c, uint64_t n,
    struct sample *into, struct err *e)
{
	for (uint64_t i = 0; i < n; i++) {
		int64_t ns;

		if (mcp_client_call(c, b->tool, b->args, &ns, e) < 0)
			return -1;
		if (into != NULL)
			sample_add(into, ns);
	}
	return 0;
}

/* Each connection has one call under way; all are asked, then all heard. */
static int
rate(const struct bench *b, double *calls_per_s, struct err *e)
{
	struct mcp_client all[CONNECTIONS_MAX];
	uint64_t n = b->connections, done = 0;
	int64_t began = 0;
	int rc = 0;

	for (uint64_t i = 0; i < n; i++)
		all[i] = (struct mcp_client){ .in = -1, .out = -1 };
	for (uint64_t i = 0; i < n && rc == 0; i++)
		rc = start(b, &all[i], e);
	while (rc == 0 && done < b->warm + b->calls) {
		if (began == 0 && done >= b->warm) {
			began = clock_mono_ns();
			done = b->warm;
		}
		for (uint64_t i = 0; i < n && rc == 0; i++)
			rc = mcp_client_ask(&all[i], b->tool, b->args, e);
		for (uint64_t i = 0; i < n && rc == 0; i++)
			rc = mcp_client_hear(&all[i], e);
		done += n;
	}
	*calls_per_s =
	    (double)(done - b->warm) * 1e9 / (double)(clock_mono_ns() - began);
	for (uint64_t i = 0; i < n; i++)
		mcp_client_fini(&all[i]);
	return rc;
}

static int
run(const struct bench *b, struct sample *calls, struct sample *floors,
    struct sample *besides, struct err *e)
{
	own_mcp struct mcp_client c = { .in = -1, .out = -1 };
	own_mcp struct mcp_client floor = { .in = -1, .out = -1 };
	own_mcp struct mcp_client beside = { .in = -1, .out = -1 };

	if (start(b, &c, e) < 0 || measure(b, &c, b->warm + 1, NULL, e) < 0)
		return -1;
	if (b->floor &&
	    (mcp_client_floor(&floor, &c, e) < 0 ||
		measure(b, &floor, b->warm, NULL, e) < 0))
		return err_add(e, "floor");
	if (b->beside != NULL &&
	    (mcp_client_http(&beside, MCP_SPEAK_MODERN, str_of(b->beside),
		 STR(""), e) < 0 ||
		measure(b, &beside, b->warm, NULL, e) < 0))
		return err_add(e, "beside");
	for (uint64_t left = b->calls; left > 0;) {
		uint64_t n = left < BLOCK ? left : BLOCK;

		if (measure(b, &c, n, calls, e) < 0)
			return -1;
		if (b->floor && measure(b, &floor, n, floors, e) < 0)
			return err_add(e, "floor");
		if (b->beside != NULL && measure(b, &beside, n, besides, e) < 0)
			return err_add(e, "beside");
		left -= n;
	}
	return 0;
}
