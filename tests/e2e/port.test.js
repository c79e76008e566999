// Web servers inside, reached under a path of the gateway: what crosses is
// parsed and written anew, and what must not cross does not.
import assert from 'node:assert';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';

import { Daemon, until, within } from './lib/paddock.js';

// Answers by the path, with exactly these bytes; keeps what it was sent.
const server = `
import base64, hashlib, json, socket, threading
seen = []
answers = {
 '/good': b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok',
 '/cookie': b'HTTP/1.1 200 OK\\r\\nSet-Cookie: a=b\\r\\nClear-Site-Data: "*"\\r\\nConnection: x-hop\\r\\nX-Hop: 1\\r\\nX-Own: 2\\r\\nContent-Length: 2\\r\\n\\r\\nok',
 '/until': b'HTTP/1.1 200 OK\\r\\n\\r\\nuntil the end',
 '/chunked': b'HTTP/1.1 201 Fine\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n3\\r\\nabc\\r\\n0\\r\\n\\r\\n',
 '/cut': b'HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nhalf',
 '/early': b'HTTP/1.1 103 Early\\r\\nLink: x\\r\\n\\r\\nHTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok',
 '/both': b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n',
 '/twice': b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nContent-Length: 3\\r\\n\\r\\nok',
 '/bare': b'HTTP/1.1 200 OK\\nContent-Length: 2\\n\\nok',
 '/split': b'HTTP/1.1 200 OK\\r\\nX: a\\rSet-Cookie: b\\r\\nContent-Length: 0\\r\\n\\r\\n',
 '/noise': b'\\0\\1\\2 no http\\r\\n\\r\\n',
 '/none': b'',
 '/switch': b'HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n',
 '/more': b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nokHTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\nevil',
}
def serve(c):
    got = b''
    while b'\\r\\n\\r\\n' not in got:
        part = c.recv(65536)
        if not part: return
        got += part
    head, body = got.split(b'\\r\\n\\r\\n', 1)
    lines = head.decode('latin1').split('\\r\\n')
    fields = {}
    for l in lines[1:]:
        k, v = l.split(': ', 1)
        fields.setdefault(k.lower(), []).append(v)
    path = lines[0].split(' ')[1].split('?')[0]
    if path == '/ws':
        key = fields['sec-websocket-key'][0] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
        c.sendall(b'HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: '
            + base64.b64encode(hashlib.sha1(key.encode()).digest()) + b'\\r\\n\\r\\n' + body)
        while (part := c.recv(65536)): c.sendall(part)
        c.close()
        return
    if path == '/big':
        c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 20000000\\r\\n\\r\\n')
        for i in range(2000): c.sendall(b'x' * 10000)
        c.close()
        return
    if path in answers:
        c.sendall(answers[path])
        c.close()
        return
    if 'content-length' in fields:
        while len(body) < int(fields['content-length'][0]):
            body += c.recv(65536)
    elif 'transfer-encoding' in fields:
        while not body.endswith(b'0\\r\\n\\r\\n'):
            body += c.recv(65536)
    if path == '/seen':
        out = json.dumps(seen).encode()
    else:
        one = {'line': lines[0], 'fields': fields, 'n': len(body), 'body': body[-200:].decode('latin1')}
        seen.append(lines[0])
        out = json.dumps(one).encode()
    c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n' % len(out) + out)
    c.close()
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', 8000))
s.listen(64)
while True:
    c, _ = s.accept()
    threading.Thread(target=serve, args=(c,), daemon=True).start()
`;

async function make() {
	const d = await Daemon.start();
	const s = await d.post('/v1/sandboxes', { ports: [8000, 8001] });
	const at = `/v1/sandboxes/${s.run}/ports/8000`;

	await d.post(`/v1/sandboxes/${s.run}/exec`, { background: true,
		argv: ['python3', '-c', server] });
	await until(async () => (await d.ask('GET', `${at}/good`)).status === 200,
		'the server');
	return { d, run: s.run, at };
}

// Bytes as they are, over the Unix socket; what comes until the end.
function raw(d, bytes) {
	return within(new Promise((done, fail) => {
		const c = net.connect(d.where.at.socketPath, () => c.write(bytes));
		let got = '';

		c.setEncoding('latin1').on('data', (s) => { got += s; })
			.on('error', fail).on('end', () => { c.end(); done(got); });
	}), 'an answer');
}

test('requests reach the server inside, and its answers come back',
	async () => {
		const { d, run, at } = await make();
		const a = await d.tcp().ask('GET', `${at}/a/b?c=d&path=%2F`,
			undefined, { headers: { Cookie: 'secret=1', 'X-Mine': 'yes',
				Connection: 'close, x-gone', 'X-Gone': '1',
				'X-Forwarded-Prefix': '/evil', TE: 'trailers' } });
		const { fields } = a.body;

		assert.strictEqual(a.status, 200);
		assert.strictEqual(a.body.line, 'GET /a/b?c=d&path=%2F HTTP/1.1');
		assert.deepStrictEqual(fields.host, ['localhost:8000']);
		assert.deepStrictEqual(fields['x-mine'], ['yes']);
		assert.deepStrictEqual(fields.connection, ['close']);
		assert.deepStrictEqual(fields['x-forwarded-prefix'], [at]);
		for (const name of ['authorization', 'cookie', 'x-gone', 'te',
			'paddock-descriptors'])
			assert.strictEqual(fields[name], undefined, name);
		assert.match(a.headers['content-security-policy'], /^sandbox/);
		assert.ok(!JSON.stringify(a.body).includes(d.token));

		// Bodies of both kinds, larger than any buffer on the way.
		const large = 'y'.repeat(3000000);
		const sent = await d.ask('POST', `${at}/`, undefined,
			{ raw: large, headers: { 'Content-Type': 'text/plain' } });

		assert.strictEqual(sent.body.line, 'POST / HTTP/1.1');
		assert.deepStrictEqual(sent.body.fields['content-length'],
			['3000000']);
		assert.strictEqual(sent.body.n, 3000000);
		const parts = await raw(d, `PUT ${at}/x HTTP/1.1\r\nHost: a\r\n` +
			'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n' +
			'2\r\nde\r\n0\r\nTrailer: x\r\n\r\n');

		assert.match(parts, /"transfer-encoding": \["chunked"\]/);
		assert.match(parts, /abc.*de.*0/s);
		assert.doesNotMatch(parts, /Trailer: x/);

		for (const [path, status, body] of [['/until', 200, 'until the end'],
			['/chunked', 201, 'abc'], ['/early', 200, 'ok'],
			['/more', 200, 'ok']]) {
			const b = await d.ask('GET', at + path);

			assert.strictEqual(b.status, status, path);
			assert.strictEqual(b.body, body);
		}
		const head = await d.ask('HEAD', `${at}/good`);

		assert.strictEqual(head.status, 200);
		assert.strictEqual(head.body, '');
		assert.strictEqual((await d.ask('GET', `${at}/big`)).body.length,
			20000000);
		const many = await Promise.all(Array.from({ length: 40 },
			() => d.ask('GET', `${at}/good`)));

		assert.ok(many.every((b) => b.status === 200 && b.body === 'ok'));
		const notes = (await d.trace(run)).map((e) => e.body)
			.filter((b) => b?.note?.startsWith('port.'));

		assert.ok(notes.some((b) => b.note === 'port.asked' &&
			b.method === 'GET' && b.port === 8000 && b.path === 'a/b'));
		await until(async () => {
			const all = (await d.trace(run)).map((e) => e.body?.note);

			return all.filter((n) => n === 'port.asked').length ===
				all.filter((n) => n === 'port.answered').length;
		}, 'an end of each');
		await d.stop();
		await d.place.nothingLeft([d.supervisor]);
	});

test('neither side can smuggle a message past the gateway', async () => {
	const { d, at } = await make();

	for (const path of ['/both', '/twice', '/bare', '/split', '/noise',
		'/none', '/switch'])
		assert.strictEqual((await d.ask('GET', at + path)).status, 502, path);
	await assert.rejects(d.ask('GET', `${at}/cut`), /aborted|hang up/);
	const cookie = await d.ask('GET', `${at}/cookie`);

	assert.strictEqual(cookie.body, 'ok');
	assert.strictEqual(cookie.headers['x-own'], '2');
	for (const name of ['set-cookie', 'clear-site-data', 'x-hop'])
		assert.strictEqual(cookie.headers[name], undefined, name);

	const evil = 'GET /evil HTTP/1.1\r\nHost: a\r\n\r\n';

	for (const [what, bytes] of Object.entries({
		both: `POST ${at}/p HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n` +
			`Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${evil}`,
		twice: `POST ${at}/p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n` +
			`Content-Length: 40\r\n\r\n${evil}`,
		space: `POST ${at}/p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : ` +
			`chunked\r\n\r\n0\r\n\r\n${evil}`,
		cased: `POST ${at}/p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ` +
			`xchunked\r\n\r\n0\r\n\r\n${evil}`,
		bare: `GET ${at}/p HTTP/1.1\r\nHost: a\nX: b\r\n\r\n${evil}`,
		extension: `POST ${at}/p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ` +
			`chunked\r\n\r\n0;a=b\r\n\r\n${evil}`,
	}))
		assert.match(await raw(d, bytes), /^HTTP\/1.1 (400|501) /, what);

	// Behind a good one, too, nothing is read: it is the last.
	const ok = await raw(d, `POST ${at}/good HTTP/1.1\r\nHost: a\r\n` +
		`Content-Length: 2\r\n\r\nab${evil}`);

	assert.strictEqual(ok.match(/HTTP\/1.1/g).length, 1);
	assert.match(ok, /Connection: close/);
	const seen = await d.get(`${at}/seen`);

	assert.ok(!seen.some((l) => l.includes('evil') || l.includes('/p ')),
		JSON.stringify(seen));
	await d.stop();
	await d.place.nothingLeft([d.supervisor]);
});

test('a WebSocket is a stream of bytes both ways', async () => {
	const { d, run, at } = await make();
	const open = (path, headers) => within(new Promise((done, fail) => {
		const q = http.request({ ...d.where.at, path: at + path, headers });

		q.on('upgrade', (a, socket, head) => done({ a, socket, head }))
			.on('response', (a) => { a.resume(); done({ a }); })
			.on('error', fail).end();
	}), path);
	const want = { Connection: 'keep-alive, Upgrade', Upgrade: 'websocket',
		'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
		'Sec-WebSocket-Version': '13' };
	const { a, socket } = await open('/ws', want);

	assert.strictEqual(a.statusCode, 101);
	assert.strictEqual(a.headers['sec-websocket-accept'],
		's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
	const bytes = Buffer.alloc(5000000, 'abcdefg');
	const back = within(new Promise((done) => {
		const all = [];

		socket.on('data', (b) => all.push(b))
			.on('end', () => done(Buffer.concat(all)));
	}), 'all of it back');

	socket.end(bytes);
	assert.ok(bytes.equals(await back));

	// A server that does not switch answers; another protocol is not asked.
	assert.strictEqual((await open('/good', want)).a.statusCode, 200);
	assert.strictEqual((await open('/other', { ...want, Upgrade: 'h2c' }))
		.a.statusCode, 200);
	assert.strictEqual((await open('/switch', { ...want, Upgrade: 'h2c' }))
		.a.statusCode, 502);

	// The end of the sandbox is the end of what is open.
	const left = await open('/ws', want);
	const gone = within(new Promise((done) =>
		left.socket.on('close', done).resume()), 'its end');

	await d.ask('DELETE', `/v1/sandboxes/${run}`);
	await gone;
	await d.stop();
	await d.place.nothingLeft([d.supervisor]);
});

test('only what the policy names, and only for operators', async () => {
	const { d, run, at } = await make();
	const agent = await d.open();
	const of = (port) => `/v1/sandboxes/${run}/ports/${port}/`;

	for (const [port, status] of [['8002', 403], ['0', 404], ['x', 404],
		['65536', 404], ['8001', 409]])
		assert.strictEqual((await d.ask('GET', of(port))).status, status,
			port);
	assert.strictEqual((await d.tcp().ask('GET', `${at}/good`, undefined,
		{ token: agent.token })).status, 403);
	assert.strictEqual((await d.tcp('wrong').ask('GET', `${at}/good`))
		.status, 401);
	assert.strictEqual((await d.tcp().ask('GET', `${at}/good`, undefined,
		{ headers: { Origin: 'http://evil.example.com' } })).status, 403);
	assert.strictEqual((await d.tcp().ask('GET', `${at}/good`, undefined,
		{ headers: { Host: 'evil.example.com' } })).status, 403);
	assert.strictEqual((await d.ask('TRACE', `${at}/good`)).status, 405);
	assert.strictEqual((await d.ask('GET', `/v1/sandboxes/${run}/ports/8000`))
		.status, 400);
	await d.stop();
	await d.place.nothingLeft([d.supervisor]);
});
