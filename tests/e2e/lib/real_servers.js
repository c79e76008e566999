// Runs inside a sandbox: an official client that uses three official servers
// through paddock's door. Prints what it got; any failure is its exit status.
import { connect } from './mcp.js';

const c = await connect(process.argv[2], { url: process.env.PADDOCK_MCP_URL });
const call = async (name, args) => {
	const a = await c.callTool({ name, arguments: args });

	return { error: a.isError === true, text: a.content?.[0]?.text,
		kinds: a.content?.map((p) => p.type) };
};
const out = {
	tools: (await c.listTools()).tools.map((t) => t.name),
	written: await call('files.write_file',
		{ path: '/data/a.txt', content: 'from inside' }),
	read: await call('files.read_text_file', { path: '/data/a.txt' }),
	outside: await call('files.read_text_file', { path: '/etc/passwd' }),
	moved: await call('files.move_file',
		{ source: '/data/a.txt', destination: '/data/b.txt' }),
	created: await call('memory.create_entities', { entities: [
		{ name: 'paddock', entityType: 'fence', observations: ['high'] }] }),
	graph: await call('memory.read_graph', {}),
	sum: await call('every.get-sum', { a: 2, b: 40 }),
	image: await call('every.get-tiny-image', {}),
};

console.log(JSON.stringify(out));
await c.close();
