/*
 * init/mcp.h: `paddock mcp`, an MCP server on standard input and output that
 * passes everything on to an MCP door over HTTP.
 *
 * For agents that start their tool servers as child processes. Each line of
 * standard input is one JSON-RPC message and becomes one POST; what comes back,
 * as JSON or as server-sent events, becomes lines of standard output. Both
 * eras of the protocol pass: sessions that begin with initialize (2025-03-26
 * to 2025-11-25), and requests that say everything themselves (2026-07-28).
 *
 * Up to BRIDGE_MAX_CALLS requests are under way at once, each on a connection
 * of its own, so that a call that waits for approval holds up nothing. A
 * request is sent once: it is never repeated, because it may have had its
 * effect. Every request gets an answer, if only an error of -32000.
 *
 * Left out: the GET stream of the old era, on which a server speaks unasked,
 * and the headers that a tool's x-mcp-header asks for. Our door uses neither.
 */
#ifndef INIT_MCP_H
#define INIT_MCP_H

/*
 * argv[0] is the name of the subcommand. Runs until standard input ends and
 * every answer has been written. The exit status: 0, 1 when standard output is
 * gone or answers were missing at the end, 2 for a wrong option or URL.
 */
int mcp_bridge_main(int argc, char **argv);

#endif
