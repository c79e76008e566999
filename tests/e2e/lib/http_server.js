// Tool servers over HTTP for tests: one on the official library, and one that
// does what no library would. `seen` has every request that came.
import crypto from 'node:crypto';
import http from 'node:http';

import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport }
	from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';

function tools(server, counts) {
	const text = (s) => ({ content: [{ type: 'text', text: s }] });

	server.registerTool('echo', { description: 'echo',
		inputSchema: { text: z.string().optional() } },
	async (args) => text(JSON.stringify(args)));
	server.registerTool('count', { description: 'count', inputSchema: {} },
		async () => text(String(++counts.count)));
	server.registerTool('steps', { description: 'steps', inputSchema: {} },
		async (_, extra) => {
			const token = extra._meta?.progressToken;

			for (let i = 1; i <= 3; i++)
				await extra.sendNotification({
					method: 'notifications/progress',
					params: { progressToken: token,
						progress: i, total: 3 } });
			return text('done');
		});
	server.registerTool('wait', { description: 'wait', inputSchema: {} },
		(_, extra) => new Promise((done) => {
			counts.waiting++;
			extra.signal.addEventListener('abort', () => {
				counts.cancelled++;
				done(text('stopped'));
			});
		}));
	server.registerTool('grow', { description: 'grow', inputSchema: {} },
		async () => {
			server.registerTool('grown', { description: 'grown',
				inputSchema: {} }, async () => text('grown'));
			return text('ok');
		});
	server.registerResource('note', 'notes://one', { mimeType: 'text/plain' },
		async (uri) => ({ contents: [{ uri: uri.href, text: 'a note' }] }));
	server.registerPrompt('greet', { description: 'greet' },
		() => ({ messages: [{ role: 'user',
			content: { type: 'text', text: 'hello' } }] }));
}

// The official library, with sessions: /mcp answers with streams, /json not.
export function official() {
	const sessions = new Map();
	const counts = { count: 0, waiting: 0, cancelled: 0 };
	const seen = [];
	const server = http.createServer(async (q, a) => {
		const parts = [];

		for await (const part of q)
			parts.push(part);
		const body = parts.length > 0
			? JSON.parse(Buffer.concat(parts)) : undefined;
		const id = q.headers['mcp-session-id'];

		seen.push({ method: q.method, url: q.url, headers: q.headers, body });
		if (id !== undefined && !sessions.has(id)) {
			a.writeHead(404).end();
			return;
		}
		if (id !== undefined) {
			await sessions.get(id).handleRequest(q, a, body);
			return;
		}
		const transport = new StreamableHTTPServerTransport({
			sessionIdGenerator: () => crypto.randomUUID(),
			enableJsonResponse: q.url === '/json',
			onsessioninitialized: (n) => sessions.set(n, transport),
		});
		const mcp = new McpServer({ name: 'official', version: '1' });

		tools(mcp, counts);
		await mcp.connect(transport);
		await transport.handleRequest(q, a, body);
	});

	return { server, seen, sessions, counts };
}

const tool = (name, more = {}) => ({ name, description: name,
	inputSchema: { type: 'object', properties: {} }, ...more });

// What a call of each does to the answer `a`; id is the request's.
const evil = {
	echo: (a, m) => answer(a, m.id, JSON.stringify(m.params.arguments)),
	html: (a) => a.writeHead(200, { 'Content-Type': 'text/html' })
		.end('<p>hello</p>'),
	redirect: (a) => a.writeHead(307, { Location: 'http://127.0.0.1:1/' })
		.end(),
	unauthorized: (a) => a.writeHead(401, { 'WWW-Authenticate': 'Bearer' })
		.end(),
	broken: (a) => a.writeHead(500, { 'Content-Type': 'application/json' })
		.end('{"jsonrpc":"2.0","id":null,"error":{"code":-32603,' +
			'"message":"out of order"}}'),
	die: (a) => a.writeHead(200, { 'Content-Type': 'application/json',
		'Content-Length': 1000 }).write('{"jsonrpc":"2.0",', () =>
		a.destroy()),
	dieinstream: (a) => a.writeHead(200,
		{ 'Content-Type': 'text/event-stream' }).write('data: {"json', () =>
		a.destroy()),
	silentstream: (a) => a.writeHead(200,
		{ 'Content-Type': 'text/event-stream' }).end(': nothing\n\n'),
	other: (a, m) => answer(a, m.id + 1000, 'for somebody else'),
	nojson: (a) => a.writeHead(200, { 'Content-Type': 'application/json' })
		.end('{"jsonrpc":"2.0","id"'),
	shape: (a, m) => send(a, { jsonrpc: '2.0', id: m.id,
		result: { content: 'none' } }),
	huge: (a) => {
		a.writeHead(200, { 'Content-Type': 'application/json' });
		flood(a, 1024);
	},
	hugeevent: (a) => {
		a.writeHead(200, { 'Content-Type': 'text/event-stream' });
		a.write('data: ');
		flood(a, 1024);
	},
	events: (a) => {
		a.writeHead(200, { 'Content-Type': 'text/event-stream' });
		flood(a, 1024, `data: {"jsonrpc":"2.0","method":"x","params":"${
			'x'.repeat(1 << 19)}"}\n\n`);
	},
	hang: () => undefined,
	gzip: (a) => a.writeHead(200, { 'Content-Type': 'application/json',
		'Content-Encoding': 'br' }).end('xx'),
	twice: (a, m) => {
		a.writeHead(200, { 'Content-Type': 'text/event-stream' });
		for (const text of ['first', 'second'])
			a.write(`data: ${JSON.stringify(result(m.id, text))}\n\n`);
		a.end();
	},
	asks: (a, m) => {
		a.writeHead(200, { 'Content-Type': 'text/event-stream' });
		a.write(`data: ${JSON.stringify({ jsonrpc: '2.0', id: 'q1',
			method: 'elicitation/create', params: { message: 'password?',
				requestedSchema: { type: 'object', properties: {} } },
		})}\n\n`);
		a.end(`data: ${JSON.stringify(result(m.id, 'asked'))}\n\n`);
	},
	input: (a, m) => send(a, { jsonrpc: '2.0', id: m.id, result: {
		resultType: 'input_required', requestState: 'x',
		inputRequests: { a: { method: 'roots/list' } } } }),
};

function result(id, text) {
	return { jsonrpc: '2.0', id, result: { resultType: 'complete',
		content: [{ type: 'text', text }] } };
}

function send(a, message) {
	a.writeHead(200, { 'Content-Type': 'application/json' })
		.end(JSON.stringify(message));
}

function answer(a, id, text) {
	send(a, result(id, text));
}

// n pieces of a MiB, as fast as they are taken; it stops when nobody does.
function flood(a, n, piece = 'x'.repeat(1 << 20)) {
	let left = n;
	const more = () => {
		while (left-- > 0 && !a.destroyed)
			if (!a.write(piece))
				return a.once('drain', more);
		return a.end();
	};

	a.on('error', () => undefined);
	more();
}

// 2026-07-28 without a library; pages of two tools; `listing` can change them.
export function hostile() {
	const seen = [];
	const o = { seen, tools: Object.keys(evil).map((n) => tool(n)) };

	o.server = http.createServer(async (q, a) => {
		const parts = [];

		for await (const part of q)
			parts.push(part);
		const m = parts.length > 0 ? JSON.parse(Buffer.concat(parts)) : {};
		const method = m.method;

		seen.push({ method: q.method, url: q.url, headers: q.headers,
			body: m, closed: new Promise((done) => a.on('close', done)) });
		a.on('error', () => undefined);
		if (o.instead !== undefined && o.instead(q, a, m))
			return;
		if (method === 'server/discover') {
			send(a, { jsonrpc: '2.0', id: m.id, result: {
				resultType: 'complete', ttlMs: 0, cacheScope: 'private',
				supportedVersions: ['2026-07-28'],
				capabilities: { tools: {} },
				serverInfo: { name: 'hostile', version: '1' } } });
		} else if (method === 'tools/list') {
			const from = Number(m.params.cursor ?? 0);

			send(a, { jsonrpc: '2.0', id: m.id, result: {
				resultType: 'complete', ttlMs: 0, cacheScope: 'private',
				tools: o.tools.slice(from, from + 2),
				...(from + 2 < o.tools.length
					? { nextCursor: String(from + 2) } : {}) } });
		} else if (method === 'tools/call' && evil[m.params.name]) {
			evil[m.params.name](a, m);
		} else if (m.id === undefined || method === undefined) {
			a.writeHead(202).end();
		} else {
			a.writeHead(404, { 'Content-Type': 'application/json' })
				.end(JSON.stringify({ jsonrpc: '2.0', id: m.id, error:
					{ code: -32601, message: 'no such method' } }));
		}
	});
	return o;
}
