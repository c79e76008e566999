#include "init/mcp.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "init/mcp_bridge.h"
#include "sys/fd.h"

static int options_read(
    struct mcp_door *door, int argc, char **argv, int *status);
static int token_read(struct buf *t, const char *path, struct err *e);

static const char help[] =
    "usage: paddock mcp [--url URL] [--token FILE]\n"
    "\n"
    "An MCP server on standard input and output, for agents that start their\n"
    "tool servers as child processes. Every message goes on to an MCP door\n"
    "over HTTP, and its answers come back as lines.\n"
    "\n"
    "  --url URL     the door: http://ADDRESS[:PORT]/PATH, where ADDRESS is "
    "an\n"
    "                IP address or localhost; else $PADDOCK_MCP_URL, which is\n"
    "                set inside a sandbox\n"
    "  --token FILE  sends the token in FILE as Authorization: Bearer\n"
    "  --help        this text\n"
    "\n"
    "Example, in the configuration of an agent:\n"
    "  { \"mcpServers\": { \"paddock\": { \"command\": \"paddock\",\n"
    "                                 \"args\": [ \"mcp\" ] } } }\n"
    "Example, by hand:\n"
    "  echo "
    "'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":\n"
    "  "
    "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\"clientInfo\":\n"
    "  {\"name\":\"me\",\"version\":\"1\"}}}' | tr -d '\\n' | paddock mcp\n";

int
mcp_bridge_main(int argc, char **argv)
{
	/* Large, and one per process. */
	static struct bridge b;
	struct err e = {};
	int status = 0;

	bridge_init(&b);
	if (options_read(&b.door, argc, argv, &status) == 0) {
		/* A reader that went away is told by write(2), not a death. */
		(void)signal(SIGPIPE, SIG_IGN);
		status = 0;
		if (bridge_run(&b, &e) < 0) {
			bridge_complain("%s", e.text);
			status = 1;
		}
	}
	bridge_fini(&b);
	return status;
}

/* 0 to go on, or -1 with *status, the exit status. */
static int
options_read(struct mcp_door *door, int argc, char **argv, int *status)
{
	static const struct option options[] = {
		{ "url", required_argument, NULL, 'u' },
		{ "token", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	const char *url = getenv("PADDOCK_MCP_URL");
	const char *token = NULL;
	struct err e = {};
	int c;

	*status = 2;
	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (c) {
		case 'u':
			url = optarg;
			break;
		case 't':
			token = optarg;
			break;
		case 'h':
			(void)fputs(help, stdout);
			*status = fflush(stdout) == 0 ? 0 : 1;
			return -1;
		case ':':
			bridge_complain(
			    "%s needs a value; see --help", argv[optind - 1]);
			return -1;
		default:
			bridge_complain(
			    "unknown option %s; see --help", argv[optind - 1]);
			return -1;
		}
	}
	if (optind < argc) {
		bridge_complain(
		    "unexpected argument %s; see --help", argv[optind]);
		return -1;
	}
	if (url == NULL || url[0] == '\0') {
		bridge_complain(
		    "no URL: give --url, or run inside a sandbox, where "
		    "PADDOCK_MCP_URL is set");
		return -1;
	}
	if (mcp_url_parse(&door->url, str_of(url), &e) < 0 ||
	    (token != NULL && token_read(&door->token, token, &e) < 0)) {
		bridge_complain("%s", e.text);
		return -1;
	}
	return 0;
}

static int
token_read(struct buf *t, const char *path, struct err *e)
{
	if (file_read(path, t, BRIDGE_MAX_TOKEN_BYTES, e) < 0)
		return err_add(e, "--token");
	while (t->n > 0 && (t->p[t->n - 1] == '\n' || t->p[t->n - 1] == '\r'))
		t->n--;
	for (size_t i = 0; i < t->n; i++) {
		if (t->p[i] <= ' ' || t->p[i] > '~')
			return err_set(e,
			    "--token %s: byte %zu cannot be in a token", path,
			    i + 1);
	}
	if (t->n == 0)
		return err_set(e, "--token %s: no token in it", path);
	return 0;
}
