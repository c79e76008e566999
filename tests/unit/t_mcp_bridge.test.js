// `paddock mcp` between a client on its standard streams and a real HTTP
// server. PADDOCK is the path of the binary.
'use strict';

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');

const LIMIT = { timeout: 20000 };
const VERSION_KEY = 'io.modelcontextprotocol/protocolVersion';

// A door that hands each request to answer(req, message, res).
async function door(t, answer) {
	const d = { requests: [], connections: 0 };

	d.server = http.createServer((req, res) => {
		let body = '';

		req.setEncoding('utf8');
		req.on('data', (piece) => { body += piece; });
		req.on('end', () => {
			const message = body === '' ? null : JSON.parse(body);

			d.requests.push({ method: req.method, url: req.url,
				headers: req.headers, message, body });
			answer(req, message, res, d);
		});
	});
	d.server.on('connection', () => { d.connections++; });
	await new Promise((done) => d.server.listen(0, '127.0.0.1', done));
	d.port = d.server.address().port;
	d.url = `http://127.0.0.1:${d.port}/mcp`;
	t.after(() => {
		d.server.closeAllConnections();
		d.server.close();
	});
	return d;
}

// The bridge as a child, with its lines as messages.
function bridge(t, args, env = {}) {
	const child = spawn(process.env.PADDOCK, ['mcp', ...args], {
		env: { ...process.env, PADDOCK_MCP_URL: '', ...env },
		stdio: ['pipe', 'pipe', 'pipe'],
	});
	const b = { child, lines: [], err: '', waiting: [] };
	let rest = '';

	child.stdout.setEncoding('utf8');
	child.stdout.on('data', (piece) => {
		const parts = (rest + piece).split('\n');

		rest = parts.pop();
		for (const line of parts) {
			b.lines.push(line);
			if (b.waiting.length > 0)
				b.waiting.shift()(JSON.parse(b.lines.shift()));
		}
	});
	child.stderr.setEncoding('utf8');
	child.stderr.on('data', (piece) => { b.err += piece; });
	child.stdin.on('error', () => {}); // it may end before it reads all
	b.exit = new Promise((done) => {
		child.on('close', (code, signal) => done(code ?? signal));
	});
	b.write = (text) => child.stdin.write(text);
	b.send = (message) => b.write(JSON.stringify(message) + '\n');
	b.next = () => new Promise((done) => {
		if (b.lines.length > 0)
			done(JSON.parse(b.lines.shift()));
		else
			b.waiting.push(done);
	});
	b.ask = (message) => {
		b.send({ jsonrpc: '2.0', ...message });
		return b.next();
	};
	b.end = () => {
		child.stdin.end();
		return b.exit;
	};
	t.after(() => child.kill('SIGKILL'));
	return b;
}

function json(res, status, value, headers = {}) {
	res.writeHead(status, { 'Content-Type': 'application/json',
		...headers });
	res.end(JSON.stringify(value));
}

function result(res, message, value = {}) {
	json(res, 200, { jsonrpc: '2.0', id: message.id, result: value });
}

function modern(method, id, params = {}) {
	return { jsonrpc: '2.0', id, method,
		params: { ...params, _meta: { [VERSION_KEY]: '2026-07-28' } } };
}

test('an old session carries its id and version until it is deleted, and ' +
	'what it is told is passed on', LIMIT,
async (t) => {
	const told = { jsonrpc: '2.0', method: 'notifications/resources/updated',
		params: { uri: 'notes://one' } };
	const d = await door(t, (req, message, res) => {
		if (req.method === 'DELETE') {
			res.writeHead(204).end();
		} else if (req.method === 'GET') {
			res.writeHead(200, { 'Content-Type': 'text/event-stream' })
				.write(`data: ${JSON.stringify(told)}\n\n`);
		} else if (message.method === 'initialize') {
			json(res, 200, { jsonrpc: '2.0', id: message.id,
				result: { protocolVersion: '2025-11-25' } },
			{ 'Mcp-Session-Id': 'session-7' });
		} else if (message.id === undefined) {
			// Late: whatever is behind it has to wait.
			setTimeout(() => res.writeHead(202).end(), 50);
		} else {
			result(res, message, { tools: [] });
		}
	});
	const b = bridge(t, ['--url', d.url]);

	// All at once, as no client does: the order must hold all the same.
	b.send({ jsonrpc: '2.0', id: 'a', method: 'initialize',
		params: { protocolVersion: '2025-11-25' } });
	b.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
	b.send({ jsonrpc: '2.0', id: 2, method: 'tools/list' });
	assert.strictEqual((await b.next()).id, 'a');
	const lines = [await b.next(), await b.next()];

	// The stream and the list are not in order.
	assert.deepStrictEqual(lines.find((m) => m.id === 2),
		{ jsonrpc: '2.0', id: 2, result: { tools: [] } });
	assert.deepStrictEqual(lines.find((m) => m.id === undefined), told);
	assert.strictEqual(await b.end(), 0);
	assert.strictEqual(b.err, '');

	const [init, ready] = d.requests;
	const of = (method) => d.requests.filter((r) => r.method === method);
	const [stream] = of('GET'), list = of('POST')[2], [end] = of('DELETE');

	assert.strictEqual(d.requests.length, 5);
	assert.strictEqual(init.headers['mcp-session-id'], undefined);
	assert.strictEqual(init.headers['mcp-protocol-version'], undefined);
	assert.strictEqual(init.headers['content-type'], 'application/json');
	assert.strictEqual(init.headers.accept,
		'application/json, text/event-stream');
	assert.strictEqual(init.headers.host, `127.0.0.1:${d.port}`);
	assert.strictEqual(init.url, '/mcp');
	assert.strictEqual(ready.message.method, 'notifications/initialized');
	for (const r of [ready, list, stream, end]) {
		assert.strictEqual(r.headers['mcp-session-id'], 'session-7');
		assert.strictEqual(r.headers['mcp-protocol-version'],
			'2025-11-25');
		assert.strictEqual(r.headers['mcp-method'], undefined);
	}
	assert.strictEqual(d.requests[4], end);
});

test('a request of 2026-07-28 is mirrored in its headers', LIMIT,
async (t) => {
	const rows = [
		['tools/call', { name: 'billing.refund' }, 'billing.refund'],
		['prompts/get', { name: 'two words' }, 'two words'],
		['resources/read', { uri: 'file:///a' }, 'file:///a'],
		['tools/call', { name: 'Gr\u00fc\u00dfe' },
			'=?base64?R3LDvMOfZQ==?='],
		['tools/call', { name: ' padded ' }, '=?base64?IHBhZGRlZCA=?='],
		['tools/call', { name: 'a\r\nX-Evil: b' },
			'=?base64?YQ0KWC1FdmlsOiBi?='],
		['tools/call', { name: '=?base64?literal?=' },
			'=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?='],
		['tools/list', { name: 'not mirrored' }, undefined],
		['server/discover', {}, undefined],
	];
	const d = await door(t, (req, message, res) => result(res, message));
	const b = bridge(t, [], { PADDOCK_MCP_URL: d.url });

	for (const [i, [method, params, name]] of rows.entries()) {
		b.send(modern(method, i, params));
		assert.strictEqual((await b.next()).id, i);
		const { headers } = d.requests[i];

		assert.strictEqual(headers['mcp-method'], method);
		assert.strictEqual(headers['mcp-name'], name);
		assert.strictEqual(headers['mcp-protocol-version'],
			'2026-07-28');
		assert.strictEqual(headers['x-evil'], undefined);
	}
	assert.strictEqual(await b.end(), 0);
	// No session, nothing to delete; one connection for all of them.
	assert.strictEqual(d.requests.length, rows.length);
	assert.strictEqual(d.connections, 1);
});

test('the body arrives as it was written', LIMIT, async (t) => {
	const d = await door(t, (req, message, res) => result(res, message));
	const b = bridge(t, ['--url', d.url]);
	const line = '{"jsonrpc" :"2.0","method":"x","id":1.50,"k":"\\u00e4\u00e4"}';

	b.write(line + '\r\n\n  \n');
	assert.strictEqual((await b.next()).id, 1.5);
	assert.strictEqual(d.requests[0].body, line);
	// The last line may lack its end.
	b.write('{"jsonrpc":"2.0","method":"x","id":2}');
	assert.strictEqual(await b.end(), 0);
	assert.strictEqual((await b.next()).id, 2);
	assert.strictEqual(d.requests.length, 2);
});

test('every answer is one line, from JSON and from events', LIMIT,
async (t) => {
	const d = await door(t, (req, message, res) => {
		if (message.method === 'pretty') {
			res.writeHead(200, { 'Content-Type':
				'application/json; charset=utf-8' });
			res.end('{\r\n  "jsonrpc": "2.0",\n  "id": 1,\n' +
			    '  "result": {}\n}\n');
			return;
		}
		res.writeHead(200, { 'Content-Type': 'text/event-stream' });
		res.write('id: 0\ndata:\n\n: hello\n\n');
		res.write('event: message\nda');
		setImmediate(() => {
			res.write('ta: {"jsonrpc":"2.0",\ndata: "method":' +
			    '"notifications/progress"}\n\n');
			res.write('event: other\ndata: nothing\n\n');
			res.end('data: {"jsonrpc":"2.0","id":2,' +
			    '"result":{}}\n\n');
		});
	});
	const b = bridge(t, ['--url', d.url]);

	b.send({ jsonrpc: '2.0', id: 1, method: 'pretty' });
	assert.deepStrictEqual(await b.next(),
		{ jsonrpc: '2.0', id: 1, result: {} });
	b.send({ jsonrpc: '2.0', id: 2, method: 'events' });
	assert.deepStrictEqual(await b.next(),
		{ jsonrpc: '2.0', method: 'notifications/progress' });
	assert.deepStrictEqual(await b.next(),
		{ jsonrpc: '2.0', id: 2, result: {} });
	assert.strictEqual(await b.end(), 0);
	assert.deepStrictEqual(b.lines, []);
	assert.strictEqual(b.err, '');
});

test('a held call holds up no other, up to 64 at once', LIMIT, async (t) => {
	const held = [];
	let late = false;
	const d = await door(t, (req, message, res) => {
		if (message.method === 'quick')
			result(res, message);
		else
			held.push(() => result(res, message));
		if (message.id === 64)
			late = true;
		if (held.length === 64)
			setTimeout(() => held[0](), 50);
		if (held.length === 65)
			held.slice(1).forEach((f) => f());
	});
	const b = bridge(t, ['--url', d.url]);

	b.send({ jsonrpc: '2.0', id: 0, method: 'slow' });
	assert.strictEqual((await b.ask({ id: 'q', method: 'quick' })).id, 'q');
	for (let i = 1; i < 65; i++)
		b.send({ jsonrpc: '2.0', id: i, method: 'slow' });

	// The last one goes out only when the first has been answered.
	assert.strictEqual((await b.next()).id, 0);
	assert.strictEqual(late, false);
	const ids = [];

	for (let i = 1; i < 65; i++)
		ids.push((await b.next()).id);
	assert.deepStrictEqual(ids.sort((x, y) => x - y),
		Array.from({ length: 64 }, (_, i) => i + 1));
	assert.strictEqual(await b.end(), 0);
	assert.ok(d.connections <= 65);
});

test('every failure answers the request that met it', LIMIT, async (t) => {
	const d = await door(t, (req, message, res) => {
		const events = { 'Content-Type': 'text/event-stream' };

		switch (message.method) {
		case 'drop':
			req.socket.destroy();
			break;
		case 'half':
			res.writeHead(200, { 'Content-Type': 'application/json',
				'Content-Length': 100 });
			res.write('{"jsonrpc"', () => req.socket.destroy());
			break;
		case 'text':
			res.writeHead(503).end('try later');
			break;
		case 'accepted':
			res.writeHead(202).end();
			break;
		case 'anonymous':
			json(res, 400, { jsonrpc: '2.0', id: null,
				error: { code: -32020, message: 'mismatch',
					data: [1] } });
			break;
		case 'own':
			json(res, 404, { jsonrpc: '2.0', id: message.id,
				error: { code: -32601, message: 'none' } });
			break;
		case 'garbage':
			res.writeHead(200,
				{ 'Content-Type': 'application/json' });
			res.end('{"jsonrpc":"2.0",');
			break;
		case 'silent stream':
			res.writeHead(200, events);
			res.end(': nothing\n\n');
			break;
		case 'broken event':
			res.writeHead(200, events);
			res.end('data: {oops\n\n');
			break;
		case 'smuggled':
			req.socket.end('HTTP/1.1 200 OK\r\n' +
			    'Content-Type: application/json\r\n' +
			    'Content-Length: 2\r\nContent-Length: 3\r\n' +
			    '\r\n{}');
			break;
		default:
			result(res, message);
		}
	});
	const b = bridge(t, ['--url', d.url]);
	const rows = [
		['drop', -32000, /closed the connection without an answer; w/],
		['half', -32000, /closed the connection in the middle/],
		['text', -32000, /HTTP 503 Service Unavailable/],
		['accepted', -32000, /HTTP 202 Accepted, but no answer/],
		['anonymous', -32020, /^mismatch$/],
		['own', -32601, /^none$/],
		['garbage', -32000, /not a message: /],
		['silent stream', -32000, /HTTP 200 OK, but no answer/],
		['broken event', -32000, /not a message: /],
		['smuggled', -32000, /more than one Content-Length/],
	];

	for (const [i, [method, code, message]] of rows.entries()) {
		const answer = await b.ask({ id: `n${i}`, method });

		assert.strictEqual(answer.id, `n${i}`, method);
		assert.strictEqual(answer.error.code, code, method);
		assert.match(answer.error.message, message);
		// Each leaves the bridge as good as before.
		assert.deepStrictEqual((await b.ask({ id: i, method: 'ok' })),
			{ jsonrpc: '2.0', id: i, result: {} });
	}
	assert.strictEqual(await b.end(), 0);
	assert.deepStrictEqual(b.lines, []);

	// What is not carried out twice: each request came in once.
	assert.strictEqual(d.requests.length, 2 * rows.length);
});

test('a door that is not there is told of, request by request', LIMIT,
async (t) => {
	const d = await door(t, () => {});

	await new Promise((done) => d.server.close(done));
	const b = bridge(t, ['--url', d.url]);

	for (const id of [1, 'two']) {
		const { error, ...rest } = await b.ask({ id, method: 'x' });

		assert.deepStrictEqual(rest, { jsonrpc: '2.0', id });
		assert.strictEqual(error.code, -32000);
		assert.match(error.message,
			/^MCP door 127.0.0.1:\d+: connect: Connection refused$/);
	}
	// A notification has no answer: the operator is told.
	b.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
	assert.strictEqual(await b.end(), 0);
	assert.match(b.err, /^paddock mcp: MCP door .*Connection refused\n$/);
});

test('lines that are no messages are answered here', LIMIT, async (t) => {
	const d = await door(t, (req, message, res) => result(res, message));
	const b = bridge(t, ['--url', d.url]);
	const rows = [
		['{"jsonrpc":', null, -32700],
		['hello', null, -32700],
		['{"id":1,"id":2,"method":"x"}', null, -32700],
		['[{"jsonrpc":"2.0","id":1,"method":"x"}]', null, -32600],
		['"text"', null, -32600],
		['{"jsonrpc":"2.0","id":7}', 7, -32600],
		['{"jsonrpc":"2.0","id":null,"method":"x"}', null, -32600],
		['{"jsonrpc":"2.0","id":[],"method":"x"}', null, -32600],
	];

	for (const [line, id, code] of rows) {
		b.write(line + '\n');
		const answer = await b.next();

		assert.strictEqual(answer.id, id, line);
		assert.strictEqual(answer.error.code, code, line);
		assert.notStrictEqual(answer.error.message, '');
	}
	// Too long, in pieces: one answer, and the next line is taken.
	b.write('{"k":"' + 'a'.repeat(9 * 1024 * 1024) + '"}\n');
	assert.strictEqual((await b.next()).error.code, -32700);
	assert.strictEqual((await b.ask({ id: 1, method: 'ok' })).id, 1);
	assert.strictEqual(await b.end(), 0);
	assert.strictEqual(d.requests.length, 1);
	assert.deepStrictEqual(b.lines, []);
});

test('megabytes pass both ways', LIMIT, async (t) => {
	const text = 'x\u00e4\ud83d\ude00'.repeat(300 * 1000);
	const d = await door(t, (req, message, res) =>
		result(res, message, { text: message.params.text }));
	const b = bridge(t, ['--url', d.url]);

	for (let id = 1; id <= 3; id++) {
		const answer = await b.ask({ id, method: 'echo',
			params: { text } });

		assert.strictEqual(answer.id, id);
		assert.strictEqual(answer.result.text, text);
	}
	assert.strictEqual(await b.end(), 0);
	assert.strictEqual(d.connections, 1);
});

test('cancelling closes a new request and is passed on for an old one', LIMIT,
async (t) => {
	let closed, arrived;
	const isClosed = new Promise((done) => { closed = done; });
	const hasArrived = new Promise((done) => { arrived = done; });
	const d = await door(t, (req, message, res) => {
		if (message.method === 'notifications/cancelled') {
			res.writeHead(202).end();
		} else if (message.params?.hold) {
			res.on('close', closed);
			arrived();
		} else {
			result(res, message, { protocolVersion: '2025-11-25' });
		}
	});
	const b = bridge(t, ['--url', d.url]);
	const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled',
		params: { requestId: 'h' } };

	b.send(modern('tools/call', 'h', { name: 'a', hold: true }));
	await hasArrived;
	b.send(cancel);
	await isClosed;
	b.send(modern('tools/list', 1));
	assert.strictEqual((await b.next()).id, 1);
	assert.strictEqual(d.requests.length, 2); // it was not posted

	await b.ask({ id: 2, method: 'initialize' });
	b.send(cancel);
	assert.strictEqual((await b.ask({ id: 3, method: 'x' })).id, 3);
	assert.deepStrictEqual(d.requests[3].message, cancel);
	assert.strictEqual(await b.end(), 0);
	assert.deepStrictEqual(b.lines, []);
});

test('the end of input waits for answers, but not for subscriptions', LIMIT,
async (t) => {
	let release, held;
	const isHeld = new Promise((done) => { held = done; });
	const d = await door(t, (req, message, res) => {
		if (message.method === 'subscriptions/listen') {
			res.writeHead(200,
				{ 'Content-Type': 'text/event-stream' });
			res.write('data: {"jsonrpc":"2.0","method":"n"}\n\n');
		} else {
			release = () => result(res, message);
			held();
		}
	});
	const b = bridge(t, ['--url', d.url]);

	b.send(modern('subscriptions/listen', 1));
	assert.deepStrictEqual(await b.next(), { jsonrpc: '2.0', method: 'n' });
	b.send(modern('tools/call', 2, { name: 'a' }));
	await isHeld;
	const exit = b.end();

	setTimeout(release, 50);
	assert.strictEqual((await b.next()).id, 2);
	assert.strictEqual(await exit, 0);
});

test('a connection that the server closed is not used again', LIMIT,
async (t) => {
	const d = await door(t, (req, message, res) => {
		result(res, message);
		if (message.method === 'then close')
			res.on('finish', () => req.socket.end());
	});
	const b = bridge(t, ['--url', d.url]);

	for (let id = 0; id < 20; id++)
		assert.strictEqual((await b.ask({ id, method: 'then close' }))
			.result !== undefined, true);
	assert.strictEqual(await b.end(), 0);
	assert.strictEqual(d.requests.length, 20);
});

test('the token goes with every request', LIMIT, async (t) => {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'paddock-mcp-'));
	const file = path.join(dir, 'token');
	const d = await door(t, (req, message, res) => result(res, message));

	t.after(() => fs.rmSync(dir, { recursive: true }));
	fs.writeFileSync(file, 'abc.DEF-1\n');
	const b = bridge(t, ['--url', d.url, '--token', file]);

	await b.ask({ id: 1, method: 'x' });
	assert.strictEqual(d.requests[0].headers.authorization,
		'Bearer abc.DEF-1');
	assert.strictEqual(await b.end(), 0);

	for (const [text, why] of [['', /no token/], ['a b', /byte 2/],
		['a\r\nX: y', /byte 2/], ['a'.repeat(5000), /--token/]]) {
		fs.writeFileSync(file, text);
		const bad = bridge(t, ['--url', d.url, '--token', file]);

		assert.strictEqual(await bad.exit, 2);
		assert.match(bad.err, why);
	}
});

test('standard output that closes ends the bridge', LIMIT, async (t) => {
	const d = await door(t, () => {}); // never answers
	const b = bridge(t, ['--url', d.url]);

	b.send({ jsonrpc: '2.0', id: 1, method: 'x' });
	b.child.stdout.destroy();
	assert.strictEqual(await b.exit, 1);
	assert.match(b.err, /standard output is closed/);
});

test('wrong options are one line each, with status 2', LIMIT, async (t) => {
	const rows = [
		[[], /no URL: give --url/],
		[['--url'], /--url needs a value/],
		[['--odd'], /unknown option --odd/],
		[['more', '--url', 'http://127.0.0.1/'], /unexpected argument/],
		[['--url', 'https://127.0.0.1/'], /begin with http:/],
		[['--url', 'http://example.test/'], /neither an IP address/],
		[['--url', 'http://127.0.0.1:0/'], /port/],
		[['--url', 'http://127.0.0.1:65536/'], /port/],
		[['--url', 'http://127.0.0.1:/'], /port/],
		[['--url', 'http://[::1/'], /no \] behind/],
		[['--url', 'http://[::1]x/'], /text behind/],
		[['--url', 'http://me@127.0.0.1/'], /neither/],
		[['--url', 'http://127.0.0.1/a b'], /byte 19/],
		[['--url', 'http://127.0.0.1/#a'], /byte 18/],
		[['--url', 'http:///a'], /neither/],
		[['--url', 'http://127.0.0.1/', '--token', '/no/such'],
			/No such file/],
	];

	for (const [args, why] of rows) {
		const b = bridge(t, args);

		assert.strictEqual(await b.exit, 2, args.join(' '));
		assert.match(b.err, why);
		assert.strictEqual(b.err.split('\n').length, 2, b.err);
	}
	const b = bridge(t, ['--help']);

	assert.strictEqual(await b.exit, 0);
	assert.match(b.lines.join('\n'), /^usage: paddock mcp .*Example/s);
});

test('localhost and IPv6 addresses are reached', LIMIT, async (t) => {
	const d = await door(t, (req, message, res) => result(res, message));
	const b = bridge(t, ['--url', `http://localhost:${d.port}?x=1`]);
	const c = bridge(t, ['--url', `http://localhost:${d.port}/?x=1`]);

	assert.strictEqual(await b.exit, 2); // no path before the query
	assert.strictEqual((await c.ask({ id: 1, method: 'x' })).id, 1);
	assert.strictEqual(d.requests[0].url, '/?x=1');
	assert.strictEqual(d.requests[0].headers.host, `localhost:${d.port}`);
	assert.strictEqual(await c.end(), 0);

	const v6 = http.createServer((req, res) => json(res, 200,
		{ jsonrpc: '2.0', id: 1, result: req.headers.host }));
	const listens = await new Promise((done) => {
		v6.on('error', () => done(false));
		v6.listen(0, '::1', () => done(true));
	});

	if (!listens)
		return; // a machine without IPv6
	t.after(() => { v6.closeAllConnections(); v6.close(); });
	const host = `[::1]:${v6.address().port}`;
	const e = bridge(t, ['--url', `http://${host}`]);

	assert.strictEqual((await e.ask({ id: 1, method: 'x' })).result, host);
	assert.strictEqual(await e.end(), 0);
});
