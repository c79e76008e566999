// Runs inside a sandbox: calls the tools that argv names, one after the other,
// through paddock's door, and prints what each answered.
import { connect } from './mcp.js';

const c = await connect('v1', { url: process.env.PADDOCK_MCP_URL });
const out = [];

for (const [name, args] of JSON.parse(process.argv[2])) {
	const a = await c.callTool({ name, arguments: args });

	out.push({ error: a.isError === true,
		kinds: a.content.map((p) => p.type),
		text: a.content.map((p) => p.text ?? '').join('\n') });
}
console.log(JSON.stringify(out));
await c.close();
