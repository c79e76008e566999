// Runs inside a sandbox: the client that argv names, through the door that
// argv names. Prints "ok" lines; any failure is its exit status.
import { basics, call, connect } from './mcp.js';

const [client, door, job] = process.argv.slice(2);
const email = JSON.parse(process.env.E2E_EMAIL ?? '{}');
const where = door === 'stdio'
	? { command: 'paddock', args: ['mcp'], env: { ...process.env } }
	: { url: process.env.PADDOCK_MCP_URL };
const c = await connect(client, where);

if (job === 'basics')
	console.log(`ok basics ${await basics(c, client)}`);
if (job === 'email') {
	const sent = await call(c, client,
		{ name: 'email.send', arguments: email });

	console.log(`ok email ${JSON.stringify(sent.structuredContent)}`);
}
if (job === 'budget') {
	for (let i = 0; ; i++) {
		const a = await call(c, client,
			{ name: 'kb.search', arguments: { query: `q${i}` } });

		if (a.isError) {
			console.log(`ok ${i} ${JSON.stringify(
				a.structuredContent)}`);
			break;
		}
	}
}
await c.close();
