// Tool servers over HTTP with a resource that changes, of both eras: an older
// one on the official library, and a newer one without. The tool `touch`
// changes notes://one. By standard streams watched.py is the same.
import crypto from 'node:crypto';
import http from 'node:http';

import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport }
	from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { CallToolRequestSchema, ListResourcesRequestSchema,
	ListToolsRequestSchema, ReadResourceRequestSchema,
	SubscribeRequestSchema, UnsubscribeRequestSchema }
	from '@modelcontextprotocol/sdk/types.js';

const uris = ['notes://one', 'notes://two'];
const tool = (name) => ({ name, description: name,
	inputSchema: { type: 'object', properties: {} } });
const tools = ['touch', 'count'].map(tool);
const text = (s) => ({ content: [{ type: 'text', text: s }] });
const listed = { resources: uris.map((uri) => ({ uri, name: uri })) };
const capabilities = { tools: { listChanged: true },
	resources: { subscribe: true, listChanged: true } };

// Each is told by `tell(uri)`; `on` are the URIs that it was asked for.
function call(name, on, tell) {
	if (name === 'touch') {
		// A resource below it, and one that nobody asked for.
		tell('notes://one');
		tell('notes://one/below');
		tell('notes://elsewhere');
	}
	return text(JSON.stringify([...on].sort()));
}

function older() {
	const on = new Set();
	const s = new Server({ name: 'older', version: '1' }, { capabilities });
	const tell = (uri) => s.sendResourceUpdated({ uri });

	s.setRequestHandler(ListToolsRequestSchema, () => ({ tools }));
	s.setRequestHandler(ListResourcesRequestSchema, () => listed);
	s.setRequestHandler(ReadResourceRequestSchema, (q) => ({ contents:
		[{ uri: q.params.uri, text: 'a note' }] }));
	s.setRequestHandler(SubscribeRequestSchema, (q) => {
		on.add(q.params.uri);
		return {};
	});
	s.setRequestHandler(UnsubscribeRequestSchema, (q) => {
		on.delete(q.params.uri);
		return {};
	});
	s.setRequestHandler(CallToolRequestSchema,
		(q) => call(q.params.name, on, tell));
	return s;
}

const id = 'io.modelcontextprotocol/subscriptionId';

// listens: by their ids, those that are open; each sends with its own function.
function newer(m, listens, send) {
	const on = new Set([...listens.values()].flatMap((l) => l.uris));
	const tell = (uri) => {
		for (const [n, l] of listens)
			l.send({ jsonrpc: '2.0',
				method: 'notifications/resources/updated',
				params: { uri, _meta: { [id]: n } } });
	};
	const results = {
		'server/discover': () => ({ supportedVersions: ['2026-07-28'],
			capabilities }),
		'tools/list': () => ({ tools }),
		'resources/list': () => listed,
		'resources/templates/list': () => ({ resourceTemplates: [] }),
		'resources/read': () => ({ contents:
			[{ uri: m.params.uri, text: 'a note' }] }),
		'tools/call': () => call(m.params.name, on, tell),
	};

	if (m.method === 'subscriptions/listen') {
		const wants = m.params.notifications;
		const told = (wants.resourceSubscriptions ?? [])
			.filter((uri) => uris.includes(uri));

		listens.set(m.id, { uris: told, send });
		send({ jsonrpc: '2.0',
			method: 'notifications/subscriptions/acknowledged',
			params: { _meta: { [id]: m.id }, notifications:
				{ ...wants, resourceSubscriptions: told } } });
		return;
	}
	if (m.method === 'notifications/cancelled')
		listens.delete(m.params.requestId);
	if (m.id === undefined)
		return;
	send(results[m.method] === undefined
		? { jsonrpc: '2.0', id: m.id,
			error: { code: -32601, message: `no ${m.method}` } }
		: { jsonrpc: '2.0', id: m.id, result: { resultType: 'complete',
			...results[m.method]() } });
}

// { server, deleted }: the ids of sessions that were ended by their client.
export function olderHttp() {
	const sessions = new Map(), deleted = [];
	const server = http.createServer(async (q, a) => {
		const session = q.headers['mcp-session-id'];
		const parts = [];

		for await (const part of q)
			parts.push(part);
		const body = parts.length > 0
			? JSON.parse(Buffer.concat(parts)) : undefined;

		if (session !== undefined && !sessions.has(session)) {
			a.writeHead(404).end();
			return;
		}
		if (q.method === 'DELETE')
			deleted.push(session);
		if (session !== undefined) {
			await sessions.get(session).handleRequest(q, a, body);
			return;
		}
		const transport = new StreamableHTTPServerTransport({
			sessionIdGenerator: () => crypto.randomUUID(),
			onsessioninitialized: (n) => sessions.set(n, transport),
		});

		await older().connect(transport);
		await transport.handleRequest(q, a, body);
	});

	return { server, deleted, sessions };
}

export function newerHttp() {
	const listens = new Map();

	return { listens, server: http.createServer(async (q, a) => {
		const parts = [];

		for await (const part of q)
			parts.push(part);
		if (q.method !== 'POST') {
			a.writeHead(405).end();
			return;
		}
		const m = JSON.parse(Buffer.concat(parts));

		if (m.method === 'subscriptions/listen') {
			a.writeHead(200, { 'Content-Type': 'text/event-stream' });
			a.on('close', () => listens.delete(m.id));
			newer(m, listens, (v) =>
				a.write(`data: ${JSON.stringify(v)}\n\n`));
			return;
		}
		newer(m, listens, (v) => a.writeHead(v.error ? 404 : 200,
			{ 'Content-Type': 'application/json' })
			.end(JSON.stringify(v)));
		if (m.id === undefined)
			a.writeHead(202).end();
	}) };
}
