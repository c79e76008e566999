// TLS that is opened on its way out: real servers with real TLS on this
// machine, real clients in a sandbox. HTTP/2 from end to end, streams and
// trailers as gRPC has them, WebSockets, git, and what is refused.
import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import path from 'node:path';
import tls from 'node:tls';
import { after, before, test } from 'node:test';

import { Daemon, cli, policy, scratch } from './lib/paddock.js';

const dir = fs.mkdtempSync(path.join(scratch, 'tls-'));
const inside = path.join(dir, 'inside');
// For clients inside: a connection through the proxy, with TLS in it.
const connect = `
import net from 'node:net';
import tls from 'node:tls';

export async function connect(port, alpn) {
	const raw = net.connect(3128, '127.0.0.1');

	raw.write(\`CONNECT 127.0.0.1:\${port} HTTP/1.1\\r\\n\` +
		\`Host: 127.0.0.1:\${port}\\r\\n\\r\\n\`);
	const said = String(await new Promise((done) => raw.once('data', done)));

	if (!said.startsWith('HTTP/1.1 200'))
		throw new Error(said);
	const s = tls.connect({ socket: raw, host: '127.0.0.1',
		ALPNProtocols: alpn });

	await new Promise((done, no) =>
		s.on('secureConnect', done).on('error', no));
	return s;
}
`;

let d, key, cert, n = 0;
const servers = [];

before(async () => {
	fs.chmodSync(dir, 0o755);
	fs.mkdirSync(inside);
	execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt',
		'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
		'-subj', '/CN=local test', '-addext',
		'subjectAltName=IP:127.0.0.1', '-keyout',
		path.join(dir, 'key.pem'), '-out', path.join(dir, 'cert.pem')],
	{ stdio: 'ignore' });
	key = fs.readFileSync(path.join(dir, 'key.pem'), 'utf8');
	cert = fs.readFileSync(path.join(dir, 'cert.pem'), 'utf8');
	fs.writeFileSync(path.join(inside, 'connect.mjs'), connect);
	d = await Daemon.start();
});
after(async () => {
	await d.stop();
	for (const s of servers) {
		s.closeAllConnections?.();
		s.close();
	}
});

async function listen(server) {
	servers.push(server);
	server.listen(0, '127.0.0.1');
	await new Promise((done) => server.on('listening', done));
	return server.address().port;
}

// Runs a command inside, with this rule beside what every rule here has.
async function run(port, rule, command) {
	const file = path.join(dir, `policy-${++n}.json`);

	fs.writeFileSync(file, JSON.stringify({ ...policy(), egress: {
		rules: [{ host: '127.0.0.1', port, proto: ['https', 'wss'],
			tls: 'inspect', addrs: ['127.0.0.1/32'], ca: cert,
			...rule }] } }));
	const r = await cli(['run', file, '--state', d.state, '--dir', inside,
		'--', ...command]);
	const id = r.err.match(/run (r-\w+)/)?.[1];
	const events = id === undefined ? [] : (await cli(['trace', 'show', id,
		'--state', d.state, '--json'])).out.trim().split('\n')
		.map((line) => JSON.parse(line));

	return { ...r, events,
		// Of requests: a tunnel that led to one has an end of its own.
		done: events.filter((e) => e.kind === 'egress.done' &&
			!e.body.url?.startsWith('tls:')) };
}

// A script inside, as a module that knows connect.mjs.
function script(name, text) {
	fs.writeFileSync(path.join(inside, name),
		`import { connect } from './connect.mjs';\n${text}`);
	return [process.execPath, name];
}

test('trailers of requests pass by HTTP/1.1 and HTTP/2, once they are judged', async () => {
	const seen = [];
	const server = http2.createSecureServer({ key, cert, allowHTTP1: true });

	server.on('request', (q, s) => {
		let body = '';

		q.setEncoding('utf8');
		q.on('data', (b) => { body += b; });
		q.on('aborted', () => seen.push([q.url, 'cut']));
		q.on('error', () => {});
		q.on('end', () => {
			if (!q.aborted)
				seen.push([q.url, body,
					Object.entries(q.trailers)]);
			s.end('ok');
		});
	});
	const port = await listen(server);
	const r = await run(port, {}, script('sends.mjs', `
import http2 from 'node:http2';
import https from 'node:https';

const s = await connect(${port}, ['h2']);
const c = http2.connect('https://127.0.0.1:${port}',
	{ createConnection: () => s });

async function two(path, trailers) {
	const q = c.request({ ':method': 'POST', ':path': path },
		{ waitForTrailers: true });
	let status = 'reset';

	q.on('wantTrailers', () => q.sendTrailers(trailers));
	q.on('response', (h) => { status = h[':status']; });
	q.on('error', () => {});
	q.resume();
	q.write('one ');
	q.end('two');
	await new Promise((done) => q.on('close', done));
	console.log(path, status);
}

async function one(path, trailers) {
	const socket = await connect(${port}, ['http/1.1']);
	const q = https.request({ method: 'POST', path, host: '127.0.0.1',
		port: ${port}, createConnection: () => socket,
		headers: { 'transfer-encoding': 'chunked' } });

	q.write('one ');
	q.addTrailers(trailers);
	q.end('two');
	const a = await new Promise((done, no) =>
		q.on('response', done).on('error', no));

	a.resume();
	await new Promise((done) => a.on('close', done));
	console.log(path, a.statusCode);
}

await two('/2', { 'x-sum': '7', 'grpc-state': 'fine' });
await two('/2-cookie', { 'x-sum': '7', cookie: 'a=b' });
await two('/2-if', { 'if-match': '"x"' });
await two('/2-after', { 'x-sum': '8' });
c.close();
await one('/1', { 'X-Sum': '7' });
await one('/1-host', { Host: 'evil.example' });
`));

	assert.strictEqual(r.out, '/2 200\n/2-cookie 400\n/2-if 400\n' +
		'/2-after 200\n/1 200\n/1-host 400\n', r.err);
	assert.deepStrictEqual(seen.filter((x) => x[1] !== 'cut'), [
		['/2', 'one two', [['x-sum', '7'],
			['grpc-state', 'fine']]],
		['/2-after', 'one two', [['x-sum', '8']]],
		['/1', 'one two', [['x-sum', '7']]]]);
});

test('HTTP/2 passes from end to end, with streams and trailers', async () => {
	const seen = [];
	const server = http2.createSecureServer({ key, cert });

	server.on('stream', (stream, h) => {
		seen.push([h[':path'], h['te'], h['content-type']]);
		stream.respond({ ':status': 200,
			'content-type': 'application/grpc' },
		{ waitForTrailers: true });
		stream.on('wantTrailers', () => stream.sendTrailers({
			'grpc-status': '0', 'grpc-message': 'fine' }));
		stream.on('data', (b) => stream.write(
			b.toString().toUpperCase()));
		stream.on('end', () => stream.end('.'));
	});
	const port = await listen(server);
	const r = await run(port, {}, script('grpc.mjs', `
import http2 from 'node:http2';

const s = await connect(${port}, ['h2']);
const c = http2.connect('https://127.0.0.1:${port}',
	{ createConnection: () => s });

async function call(i) {
	const q = c.request({ ':method': 'POST', ':path': '/svc/' + i,
		'content-type': 'application/grpc', te: 'trailers' });
	let text = '', trailers;

	q.setEncoding('utf8');
	q.on('trailers', (t) => { trailers = t; });
	q.write('one ');
	// The server answers before the request has ended.
	await new Promise((done) => q.once('data', (b) => {
		text += b;
		done();
	}));
	q.on('data', (b) => { text += b; });
	q.end('two');
	await new Promise((done, no) => q.on('close', done).on('error', no));
	return text + ' ' + trailers['grpc-status'] + ' ' +
		trailers['grpc-message'];
}

console.log((await Promise.all([1, 2, 3, 4, 5].map(call))).join('\\n'));
console.log(await call(6));
c.close();
`));

	assert.strictEqual(r.out, 'ONE TWO. 0 fine\n'.repeat(6), r.err);
	assert.strictEqual(seen.length, 6);
	for (const s of seen)
		assert.deepStrictEqual(s.slice(1),
			['trailers', 'application/grpc']);
	assert.strictEqual(r.done.length, 6);
	for (const e of r.done) {
		assert.strictEqual(e.res.status, 'ok', JSON.stringify(e));
		assert.strictEqual(e.body.tls, 'inspect');
		assert.strictEqual(e.body.sent, 7);
	}
});

// A server that counts its connections and what it refuses.
async function crowd(settings, onStream) {
	const server = http2.createSecureServer({ key, cert, settings });
	const sessions = [];

	server.on('session', (s) => {
		sessions.push(s);
		s.on('error', () => {});
	});
	server.on('stream', (stream, h) => {
		stream.on('error', () => {});
		onStream(stream, h, sessions);
	});
	return { port: await listen(server), sessions };
}

// Inside: many requests at once on one connection, and what became of each.
function many(name, port, n, more = '') {
	return script(name, `
import http2 from 'node:http2';

const s = await connect(${port}, ['h2']);
const c = http2.connect('https://127.0.0.1:${port}',
	{ createConnection: () => s });

function ask(i, path = '/' + i) {
	const q = c.request({ ':path': path });
	let text = '', status = 0;

	q.setEncoding('utf8');
	q.on('response', (h) => { status = h[':status']; });
	q.on('data', (b) => { text += b; });
	q.on('error', () => { status = 'error'; });
	return new Promise((done) => q.on('close', () =>
		done(status === 200 && text === path ? 'fine' : String(status))));
}

const count = {};
for (const a of await Promise.all(
	Array.from({ length: ${n} }, (x, i) => ask(i))))
	count[a] = (count[a] ?? 0) + 1;
console.log(JSON.stringify(count));
${more}
c.close();
`);
}

test('streams of HTTP/2 share few connections to their server', async () => {
	let open = 0, most = 0;
	const waiting = [];
	const { port, sessions } = await crowd({}, (stream, h) => {
		most = Math.max(most, ++open);
		waiting.push(() => {
			open--;
			stream.respond({ ':status': 200 });
			stream.end(h[':path']);
		});
		if (open === 100 || h[':path'] === '/later')
			waiting.splice(0).forEach((f) => f());
	});
	const r = await run(port, {}, many('crowd.mjs', port, 100,
		"console.log(await ask(0, '/later'));"));

	assert.strictEqual(r.out, '{"fine":100}\nfine\n', r.err);
	assert.strictEqual(most, 100);
	assert.ok(sessions.length <= 2, `${sessions.length} connections`);
	assert.strictEqual(r.done.length, 101);
	for (const e of r.done) {
		assert.strictEqual(e.res.status, 'ok', JSON.stringify(e));
		assert.strictEqual(e.body.addr, '127.0.0.1');
	}
	// Another run has its own.
	const before = sessions.length;
	const other = await run(port, {}, many('other.mjs', port, 0,
		"console.log(await ask(0, '/later'));"));

	assert.match(other.out, /fine/);
	assert.strictEqual(sessions.length, before + 1);
});

test('a server gets no more streams at once than it takes', async () => {
	for (const limit of [1, 7]) {
		const open = new Map();
		let most = 0;
		const { port, sessions } = await crowd(
			{ maxConcurrentStreams: limit }, (stream, h) => {
				const n = (open.get(stream.session) ?? 0) + 1;

				open.set(stream.session, n);
				most = Math.max(most, n);
				setImmediate(() => {
					open.set(stream.session,
						open.get(stream.session) - 1);
					stream.respond({ ':status': 200 });
					stream.end(h[':path']);
				});
			});
		const r = await run(port, {}, many(`limit${limit}.mjs`, port, 40));

		assert.strictEqual(r.out, '{"fine":40}\n', r.err);
		assert.ok(most <= limit, `${most} at once`);
		assert.ok(sessions.length <= 40, `${sessions.length} connections`);
	}
});

test('GOAWAY and RST_STREAM end what they are about, and nothing else',
	async () => {
		const { port, sessions } = await crowd({}, (stream, h) => {
			if (h[':path'] === '/3') {
				stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
				return;
			}
			// What is under way goes on; what comes then goes elsewhere.
			if (h[':path'] === '/9')
				stream.session.goaway(0);
			setTimeout(() => {
				if (stream.destroyed)
					return; // sent before it knew, and sent anew
				stream.respond({ ':status': 200 });
				stream.end(h[':path']);
			}, 50);
		});
		const r = await run(port, {}, many('away.mjs', port, 20,
			"console.log(await ask(0, '/after'), await ask(0, '/more'));"));
		const count = JSON.parse(r.out.split('\n')[0]);

		assert.strictEqual(count.fine, 19, r.out + r.err);
		assert.strictEqual(count['502'], 1, r.out + r.err);
		assert.match(r.out, /\nfine fine\n$/);
		assert.strictEqual(sessions.length, 2);
	});

test('floods of frames end their connection, and nobody else\'s', async () => {
	const good = await crowd({}, (stream, h) => {
		stream.respond({ ':status': 200 });
		stream.end(h[':path']);
	});
	// A server that answers with a head that does not end, or with pings.
	const frame = (type, flags, id, body) => {
		const head = Buffer.alloc(9);

		head.writeUIntBE(body.length, 0, 3);
		head[3] = type;
		head[4] = flags;
		head.writeUInt32BE(id, 5);
		return Buffer.concat([head, body]);
	};
	const settings = frame(4, 0, 0, Buffer.alloc(0));
	const evil = [
		Buffer.concat([frame(1, 0, 1, Buffer.from([0x88])),
			...Array(20000).fill(frame(9, 0, 1, Buffer.alloc(0)))]),
		Buffer.concat(Array(100000).fill(frame(6, 0, 0, Buffer.alloc(8)))),
		Buffer.concat(Array(100000).fill(settings)),
	];
	const ports = [];

	for (const flood of evil)
		ports.push(await listen(tls.createServer({ key, cert,
			ALPNProtocols: ['h2'] }, (s) => {
			s.on('error', () => {});
			s.write(settings);
			s.once('data', () => s.end(flood));
		})));
	const bad = (port, i) => run(port, {}, script(`evil${i}.mjs`, `
import http2 from 'node:http2';

const s = await connect(${port}, ['h2']);
const c = http2.connect('https://127.0.0.1:${port}',
	{ createConnection: () => s });
const q = c.request({ ':path': '/' });

q.on('response', (h) => console.log(h[':status'])).on('error', () => {});
q.resume();
await new Promise((done) => q.on('close', done));
c.close();
`));
	const from = (kind) => run(good.port, {}, script(`from-${kind}.mjs`, `
const s = await connect(${good.port}, ['h2']);
const frame = ${frame.toString()};
const block = Buffer.concat([Buffer.from([0x82, 0x87, 0x84, 0x41,
	'127.0.0.1:${good.port}'.length]), Buffer.from('127.0.0.1:${good.port}')]);

s.on('error', () => {});
s.resume();
s.write('PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n');
s.write(frame(4, 0, 0, Buffer.alloc(0)));
const ended = new Promise((done) => s.on('close', done));
if ('${kind}' === 'resets') {
	for (let i = 0; i < 5000; i++) {
		s.write(frame(1, 5, 2 * i + 1, block));
		s.write(frame(3, 0, 2 * i + 1, Buffer.from([0, 0, 0, 8])));
	}
} else {
	s.write(frame(1, 1, 1, block));
	for (let i = 0; i < 20000; i++)
		s.write(frame(9, 0, 1, Buffer.alloc(0)));
}
await ended;
console.log('ended');
`));
	const [one, two, other, ...answers] = await Promise.all([from('resets'),
		from('continuations'), run(good.port, {}, many('unharmed.mjs',
			good.port, 50, "console.log(await ask(0, '/still'));")),
		...ports.map(bad)]);

	assert.strictEqual(one.out, 'ended\n', one.err);
	assert.strictEqual(two.out, 'ended\n', two.err);
	assert.strictEqual(other.out, '{"fine":50}\nfine\n', other.err);
	for (const a of answers)
		assert.strictEqual(a.out, '502\n', a.err);
	// The same worker serves on.
	const after = await run(good.port, {}, many('serves.mjs', good.port, 3));

	assert.strictEqual(after.out, '{"fine":3}\n', after.err);
	assert.doesNotMatch(d.command.err, /role ended/);
});

test('a request by HTTP/2 is judged like any other', async () => {
	let got = 0;
	const server = http2.createSecureServer({ key, cert });

	server.on('stream', (stream) => {
		got++;
		stream.respond({ ':status': 200 });
		stream.end('yes');
	});
	const port = await listen(server);
	const r = await run(port, { paths: ['/open/**'], methods: ['GET'] },
		script('judged.mjs', `
import http2 from 'node:http2';

const s = await connect(${port}, ['h2']);
const c = http2.connect('https://127.0.0.1:${port}',
	{ createConnection: () => s });

async function ask(head) {
	const q = c.request(head);
	let text = '', status;

	q.setEncoding('utf8');
	q.on('response', (h) => { status = h[':status']; });
	q.on('data', (b) => { text += b; });
	q.end();
	await new Promise((done) => q.on('close', done).on('error', done));
	return status + ' ' + text;
}

console.log(await ask({ ':path': '/open/a' }));
console.log(await ask({ ':path': '/closed' }));
console.log(await ask({ ':path': '/open/b', ':method': 'DELETE' }));
console.log(await ask({ ':path': '/open/a', ':authority': 'evil.example' }));
console.log(await ask({ ':path': '/open/../closed' }));
console.log(await ask({ ':path': '/open/c' }));
c.close();
`));
	const lines = r.out.split('\n');

	assert.strictEqual(lines[0], '200 yes', r.err);
	assert.match(lines[1], /^403 .*policy_denied/);
	assert.match(lines[2], /^403 .*policy_denied/);
	assert.match(lines[3], /^421 /);
	assert.match(lines[4], /^403 .*policy_denied/);
	assert.strictEqual(lines[5], '200 yes');
	assert.strictEqual(got, 2);
});

test('curl speaks HTTP/2 to a server that has HTTP/1.1 only', async () => {
	const body = crypto.randomBytes(3 * 1024 * 1024);
	const server = https.createServer({ key, cert }, (q, a) => {
		assert.strictEqual(q.httpVersion, '1.1');
		a.end(body);
	});
	const port = await listen(server);
	const r = await run(port, {}, ['sh', '-c', `curl -sS --noproxy '' ` +
		`-w '%{http_version}\\n' -o out https://127.0.0.1:${port}/ && ` +
		`sha256sum < out`]);

	assert.strictEqual(r.out, `2\n${crypto.createHash('sha256')
		.update(body).digest('hex')}  -\n`, r.err);
});

test('python, node and openssl reach a server by TLS that is opened',
	async () => {
		const server = https.createServer({ key, cert },
			(q, a) => a.end(`hello ${q.method} ${q.url}`));
		const port = await listen(server);
		const url = `https://127.0.0.1:${port}`;
		const r = await run(port, {}, ['sh', '-c', `unset NO_PROXY no_proxy
python3 -c 'import urllib.request as u
print(u.urlopen("${url}/py").read().decode())'
printf 'GET /ossl HTTP/1.1\\r\\nHost: 127.0.0.1:${port}\\r\\nConnection: close\\r\\n\\r\\n' |
openssl s_client -quiet -verify_return_error -CAfile $SSL_CERT_FILE \
	-proxy 127.0.0.1:3128 -connect 127.0.0.1:${port} 2>/dev/null | tail -n 1`]);

		assert.strictEqual(r.out, 'hello GET /py\nhello GET /ossl', r.err);
	});

test('git clones by https', async () => {
	const bare = path.join(dir, 'repo.git'), work = path.join(dir, 'work');
	const git = (...args) => execFileSync('git', ['-c', 'user.name=t', '-c',
		'user.email=t@example.com', ...args], { stdio: 'pipe' });

	git('init', '-q', work);
	fs.writeFileSync(path.join(work, 'blob'), crypto.randomBytes(500000));
	git('-C', work, 'add', '.');
	git('-C', work, 'commit', '-qm', 'one');
	git('clone', '-q', '--bare', work, bare);
	git('-C', bare, 'update-server-info');
	const server = https.createServer({ key, cert }, (q, a) => {
		const file = path.join(dir, path.normalize(q.url.split('?')[0]));

		if (!fs.existsSync(file) || !fs.statSync(file).isFile()) {
			a.writeHead(404).end();
			return;
		}
		a.end(fs.readFileSync(file));
	});
	const port = await listen(server);
	const r = await run(port, {}, ['sh', '-c', 'unset NO_PROXY no_proxy; ' +
		`git clone -q https://127.0.0.1:${port}/repo.git /tmp/c && ` +
		'sha256sum < /tmp/c/blob']);

	assert.strictEqual(r.out, `${crypto.createHash('sha256')
		.update(fs.readFileSync(path.join(work, 'blob')))
		.digest('hex')}  -\n`, r.err);
});

test('a WebSocket passes under its rule, and not without', async () => {
	const server = https.createServer({ key, cert });

	server.on('upgrade', (q, s) => {
		s.write('HTTP/1.1 101 Switching Protocols\r\n' +
			'Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
		s.on('data', (b) => s.write(b));
		s.on('end', () => s.end());
		s.on('error', () => undefined);
	});
	const port = await listen(server);
	const command = script('ws.mjs', `
const s = await connect(${port}, ['http/1.1']);
let text = '';

s.setEncoding('latin1');
s.on('data', (b) => {
	text += b;
	if (text.endsWith('frames') || text.includes('403'))
		s.end();
});
s.write('GET /chat HTTP/1.1\\r\\nHost: 127.0.0.1:${port}\\r\\n' +
	'Connection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n');
s.write('frames');
await new Promise((done) => s.on('close', done));
console.log(text.split('\\r\\n')[0], text.split('\\r\\n\\r\\n')[1]);
`);
	const yes = await run(port, { proto: ['wss'] }, command);
	const no = await run(port, { proto: ['https'], methods: ['GET'] },
		command);

	assert.match(yes.out, /^HTTP\/1.1 101 .* frames\n$/, yes.err);
	assert.match(no.out, /^HTTP\/1.1 403 .*policy_denied/, no.err);
});

test('a server whose certificate nobody vouches for is not spoken to',
	async () => {
		let got = 0;
		const server = https.createServer({ key, cert }, (q, a) => {
			got++;
			a.end('no');
		});
		const port = await listen(server);
		const r = await run(port, { ca: undefined }, ['curl', '-s',
			'--noproxy', '', `https://127.0.0.1:${port}/`]);

		assert.match(r.out, /tls_failed.*certificate/, r.err);
		assert.strictEqual(got, 0);
		assert.match(r.done[0].body.error, /certificate/);
	});

test('nonsense within TLS is refused, and the worker lives on', async () => {
	let got = 0;
	const server = https.createServer({ key, cert }, (q, a) => {
		got++;
		a.end('fine');
	});
	const port = await listen(server);
	const r = await run(port, {}, script('nonsense.mjs', `
async function say(bytes, alpn = ['http/1.1']) {
	const s = await connect(${port}, alpn);
	let text = '';

	s.setEncoding('latin1');
	s.on('data', (b) => { text += b; });
	s.on('error', () => undefined);
	s.write(bytes);
	await new Promise((done) => s.on('close', done).on('end', done));
	s.destroy();
	return text.split('\\r\\n')[0];
}

const host = 'Host: 127.0.0.1:${port}\\r\\n';

console.log(await say('POST / HTTP/1.1\\r\\n' + host + 'Content-Length: 4' +
	'\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n'));
console.log(await say('GET / HTTP/1.1\\r\\n' + host + 'X: a\\r\\n b\\r\\n\\r\\n'));
console.log(await say('GET / HTTP/1.1\\r\\n' + host +
	('X: ' + 'a'.repeat(1000) + '\\r\\n').repeat(60) + '\\r\\n'));
console.log(await say('GET / HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n'));
console.log(await say('CONNECT evil.example:443 HTTP/1.1\\r\\n' +
	'Host: evil.example:443\\r\\n\\r\\n'));
console.log(await say(Buffer.alloc(10000, 0xfe)));
await say('PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n' + '\\xff'.repeat(100), ['h2']);
await say('x'.repeat(1000), ['h2']);
console.log(await say('GET / HTTP/1.1\\r\\n' + host +
	'Connection: close\\r\\n\\r\\n'));
`));
	const status = r.out.split('\n').map((l) => l.split(' ')[1]);

	assert.deepStrictEqual(status.slice(0, 7),
		['400', '400', '431', '421', '405', '414', '200'], r.out + r.err);
	assert.strictEqual(got, 1);
});
