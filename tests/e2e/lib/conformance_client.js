// A client for the conformance suite: an agent whose only tool server, over
// HTTP, is the one that the suite has set up, behind paddock's broker. It asks
// for everything that is there, as an agent would that looks around.
//
// The suite starts a program for each of its scenarios, most of them at once.
// That is a curl here, which has it done by one server in the test's process.
import http from 'node:http';

import { connect } from './mcp.js';
import { listen } from './outside.js';

// The command for the suite.
export async function client(daemon) {
	const port = await listen(http.createServer((q, a) => {
		const asked = new URL(q.url, 'http://x').searchParams;

		look(daemon, asked.get('url').replace('/localhost:',
			'/127.0.0.1:'),
			JSON.parse(asked.get('context') || '{}'))
			.then((s) => a.end(s), (e) => a.writeHead(500).end(`${e}\n`));
	}));

	return 'sh -c \'curl -sS -G --max-time 60 --data-urlencode "url=$0" ' +
		'--data-urlencode "context=$MCP_CONFORMANCE_CONTEXT" ' +
		`--fail-with-body http://127.0.0.1:${port}/'`;
}

// Something of the type that each argument has.
function example(schema = {}) {
	const values = { number: 1, integer: 1, string: 'x', boolean: true,
		array: [], null: null };

	if (schema.type !== 'object')
		return values[schema.type] ?? 'x';
	return Object.fromEntries(Object.entries(schema.properties ?? {})
		.map(([k, v]) => [k, example(v)]));
}

async function look(daemon, url, context) {
	const run = await daemon.post('/v1/runs', { policy: { policy: 1,
		workflow: 'conformance', stage: 5,
		servers: { s: { url, addrs: ['127.0.0.1/32'], restarts: 0 } },
		tools: { 's.*': { risk: 'read' }, 's/resources': { risk: 'read' },
			's/prompts': { risk: 'read' } } } });
	const c = await connect('v1', { url: `${daemon.url}/mcp`,
		token: run.token });
	const { tools } = await c.listTools();
	const calls = context.toolCalls?.map((t) =>
		({ ...t, name: `s.${t.name}` })) ?? tools
		.filter((t) => t.name !== 'approval.wait').map((t) =>
			({ name: t.name, arguments: example(t.inputSchema) }));
	const said = [];
	/* One wants to be told another's schema as the agent has it. */
	const echo = calls.find((t) => t.name === 's.json_schema_echo');

	if (echo !== undefined)
		echo.arguments.schema = tools.find((t) => t.name ===
			's.json_schema_2020_12_tool').inputSchema;
	for (const one of calls)
		said.push(await c.callTool(one));
	for (const r of (await c.listResources()).resources)
		said.push(await c.readResource({ uri: r.uri }));
	for (const p of (await c.listPrompts()).prompts)
		said.push(await c.getPrompt({ name: p.name }));
	await c.close();
	await daemon.ask('POST', `/v1/runs/${run.run}/stop`, {});
	return `${JSON.stringify(said)}\n`;
}
