// An HTTP API as tools, by its OpenAPI document: requests that leave by the
// proxy over TLS, with a secret that nobody here has, and what arguments can
// and cannot make of them.
import assert from 'node:assert';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { certificates, closeAll, listen, resolver } from './lib/outside.js';
import { assertRecorded, cli, Daemon, Place, verify } from './lib/paddock.js';

const place = new Place();
const key = 'tk_live_0123456789abcdef';
const param = (name, where, more = {}) =>
	({ name, in: where, schema: { type: 'string' }, ...more });
const ok = { responses: { 200: { description: 'ok' } } };
const json = (schema) => ({ required: true,
	content: { 'application/json': { schema } } });
const document = {
	openapi: '3.0.3', info: { title: 'Tickets', version: '1',
		description: 'It is as long as such documents are. '.repeat(9000) },
	servers: [{ url: 'https://elsewhere.example' }],
	paths: {
		'/tickets': {
			get: { operationId: 'listTickets', summary: 'Lists tickets.',
				parameters: [param('q', 'query'),
					param('X-Trace', 'header'),
					{ name: 'tag', in: 'query', schema: {
						type: 'array', items: { type: 'string' } } }],
				...ok },
			post: { operationId: 'createTicket', ...ok,
				requestBody: json({
					$ref: '#/components/schemas/Ticket' }) } },
		'/tickets/{id}': {
			parameters: [param('id', 'path')],
			get: { operationId: 'getTicket', ...ok },
			delete: { operationId: 'deleteTicket', ...ok } },
		'/upload': { post: { operationId: 'upload', ...ok, requestBody: {
			content: { 'multipart/form-data': {} } } } },
	},
	components: { schemas: { Ticket: { type: 'object', required: ['title'],
		example: {}, additionalProperties: false, properties: {
			title: { type: 'string', maxLength: 20 },
			note: { type: 'string', nullable: true },
			of: { $ref: '#/components/schemas/Ticket' } } } } },
};

let d, url, ca;
const seen = [];
const fails = []; // statuses of the next answers

function answer(q, a) {
	const parts = [];

	q.on('data', (p) => parts.push(p)).on('end', () => {
		const body = Buffer.concat(parts).toString();
		const status = fails.shift() ?? 200;

		seen.push({ method: q.method, url: q.url, headers: q.headers, body });
		a.writeHead(status, { 'Content-Type': 'application/json',
			...status === 429 && { 'Retry-After': '0' },
			...status === 302 && { Location: 'https://evil.test/' } });
		a.end(JSON.stringify({ path: q.url, got: body }));
	});
}

function policy(more = {}) {
	return { policy: 1, workflow: 'tickets', stage: 5,
		secrets: { TICKETS: { from: 'file:server.key', inject: {
			header: 'authorization', format: 'Bearer {}' } } },
		servers: { t: { url, ca, addrs: ['127.0.0.1/32'],
			secrets: ['TICKETS'], openapi: document, ...more.server } },
		tools: { 't.listTickets': {}, 't.getTicket': {},
			't.createTicket': { mode: 'allow' }, 't.deleteTicket': {},
			...more.tools } };
}

before(async () => {
	const keys = path.join(place.dir, 'keys');
	const secrets = path.join(place.state, 'secrets');

	fs.mkdirSync(keys);
	fs.mkdirSync(secrets, { recursive: true });
	fs.writeFileSync(path.join(secrets, 'server.key'), key, { mode: 0o600 });
	ca = certificates(keys, ['api.test']);
	url = `https://api.test:${await listen(https.createServer({
		key: fs.readFileSync(path.join(keys, 's.key')),
		cert: fs.readFileSync(path.join(keys, 's.pem')) }, answer))}/v1`;
	d = await Daemon.start({ place, env: {
		PADDOCK_RESOLVER: `127.0.0.1:${await resolver()}` } });
});
after(async () => {
	await d.stop();
	closeAll();
});

const open = (more, options) => d.post('/v1/runs', { policy: policy(more),
	...options });
const last = () => seen.at(-1);

test('each operation is a tool, and its call one request', async () => {
	const run = await open();
	const { tools } = await d.get(`/v1/runs/${run.run}/tools`);
	const list = tools.find((t) => t.name === 't.listTickets');

	assert.deepStrictEqual(tools.map((t) => t.name).filter((n) =>
		n.startsWith('t.')).sort(), ['t.createTicket', 't.getTicket',
		't.listTickets']); // what deletes is blocked by its risk
	assert.strictEqual(list.description, 'Lists tickets.');
	assert.deepStrictEqual(list.inputSchema.properties.tag,
		{ items: { type: 'string' }, type: 'array' });

	const a = await d.call(run, 't.listTickets', { q: 'a b&c=d/../e?f#\r\n',
		tag: ['x', 'y&z'], 'X-Trace': 'one two' });

	assert.strictEqual(a.status, 200, JSON.stringify(a.body));
	assert.strictEqual(last().url, '/v1/tickets?q=a%20b%26c%3Dd%2F..%2Fe%3Ff' +
		'%23%0D%0A&tag=x&tag=y%26z');
	assert.strictEqual(last().headers['x-trace'], 'one two');
	assert.strictEqual(last().headers.authorization, `Bearer ${key}`);
	assert.strictEqual(a.body.structuredContent.status, 200);
	assert.strictEqual(a.body.structuredContent.body.path, last().url);

	const b = await d.call(run, 't.createTicket', { body: { title: 'new',
		note: null, of: { title: 'old' } } });

	assert.strictEqual(b.status, 200, JSON.stringify(b.body));
	assert.strictEqual(last().method, 'POST');
	assert.deepStrictEqual(JSON.parse(last().body),
		{ title: 'new', note: null, of: { title: 'old' } });
	await d.post(`/v1/runs/${run.run}/stop`, {});
	await d.closed(run.run);
	const all = await d.trace(run.run);
	const note = all.find((e) => e.body?.note === 'server');

	assertRecorded(all);
	assert.strictEqual(note.body.era, 'openapi');
	assert.deepStrictEqual(note.body.refused.map((r) => r.name), ['upload']);
	assert.strictEqual(all.find((e) => e.kind === 'tool.finished' &&
		e.tool.name === 't.createTicket').res.effect, 'real');
	assert.ok(!JSON.stringify(all).includes(key));
	await verify(d.state);
});

test('no argument makes another request of it', async () => {
	const run = await open();
	const before = seen.length;
	const bad = [
		['t.getTicket', { id: '..' }], ['t.getTicket', { id: '../x' }],
		['t.getTicket', { id: 'a/b' }], ['t.getTicket', { id: '' }],
		['t.getTicket', { id: '//evil.test' }], ['t.getTicket', {}],
		['t.getTicket', { id: 'a%2fb' }], ['t.getTicket', { id: 7 }],
		['t.getTicket', { id: 'a\r\nX: y' }],
		['t.getTicket', { id: 'a', extra: 'b' }],
		['t.listTickets', { 'X-Trace': 'a\r\nHost: evil.test' }],
		['t.listTickets', { 'X-Trace': 'a\0' }],
		['t.listTickets', { q: { a: 'b' } }],
		['t.createTicket', { body: { title: 'x'.repeat(21) } }],
		['t.createTicket', { body: { title: 'x', other: 1 } }],
		['t.createTicket', {}],
	];

	for (const [name, args] of bad) {
		const a = await d.call(run, name, args);

		assert.strictEqual(a.status, 403, `${name} ${JSON.stringify(args)}: ${
			JSON.stringify(a.body)}`);
		assert.strictEqual(a.body.code, 'invalid_arguments');
	}
	assert.strictEqual((await d.call(run, 't.deleteTicket', { id: 'a' }))
		.body.rule, 'defaults.by_risk.destructive');
	assert.strictEqual((await d.call(run, 't.upload')).body.code,
		'unlisted_tool');
	assert.strictEqual(seen.length, before);
	// What looks odd and is one segment is one.
	assert.strictEqual((await d.call(run, 't.getTicket', { id: 'a?b#c;d' }))
		.status, 200);
	assert.strictEqual(last().url, '/v1/tickets/a%3Fb%23c%3Bd');
	await d.post(`/v1/runs/${run.run}/stop`, {});
});

test('an error of it is one of the call, and a retry asks again', async () => {
	const run = await open({ tools: { 't.listTickets': { risk: 'read',
		retry: { times: 2, base_ms: 1 } } } });
	const ask = (...statuses) => {
		fails.push(...statuses);
		return d.call(run, 't.getTicket', { id: 'x' });
	};
	const missing = await ask(404);
	const moved = await ask(302);
	const broken = await ask(503);

	assert.strictEqual(missing.status, 422);
	assert.strictEqual(missing.body.structuredContent.status, 404);
	assert.strictEqual(moved.status, 422);
	assert.strictEqual(moved.body.structuredContent.status, 302);
	assert.strictEqual(broken.status, 422);
	assert.strictEqual(broken.body.code, 'http_503');
	const before = seen.length;

	fails.push(503, 429);
	assert.strictEqual((await d.call(run, 't.listTickets')).status, 200);
	assert.strictEqual(seen.length, before + 3);
	await d.post(`/v1/runs/${run.run}/stop`, {});
});

test('the document may be a file beside the policy, in YAML', async () => {
	const dir = fs.mkdtempSync(path.join(place.dir, 'api-'));
	const check = async (more) => {
		const p = policy(more);

		p.servers.t.openapi = 'api.yaml';
		fs.writeFileSync(path.join(dir, 'p.json'), JSON.stringify(p));
		return cli(['policy', 'check', path.join(dir, 'p.json')]);
	};

	assert.match((await check()).out, /api\.yaml/);
	fs.writeFileSync(path.join(dir, 'api.yaml'), [
		'openapi: 3.1.0', 'paths:', '  /tickets:', '    get:',
		'      operationId: listTickets', '    delete:',
		'      operationId: dropTickets', ''].join('\n'));
	assert.match((await check({ tools: { 't.getTicket': { risk: 'read' },
		't.createTicket': { risk: 'read' }, 't.deleteTicket':
			{ risk: 'read' } } })).out, /ok: tickets/);
	// A pattern cannot make less of what deletes.
	assert.match((await check({ tools: { 't.*': { risk: 'read' },
		't.getTicket': { risk: 'read' }, 't.createTicket': { risk: 'read' },
		't.deleteTicket': { risk: 'read' } } })).out,
	/dropTickets of t can do \(DELETE is destructive\)/);
});
