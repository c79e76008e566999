// What hostile clients, servers and resolvers send, a row each with what the
// client gets for it: it is refused, that is on record with its kind and rule,
// the proxy's process lives on, and
// another run, which works all the while, notices nothing. Shapes that
// egress-web.test.js, egress-edge.test.js, tls.test.js and
// tests/escape/egress.test.js have are not here again.
import assert from 'node:assert';
import dgram from 'node:dgram';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { certificates, closeAll, listen } from './lib/outside.js';
import { Place, until } from './lib/paddock.js';
import { descendants, processes } from './lib/proc.js';

const place = new Place();
let dns, plain, tls, ca, steady, steadyWork, n = 0;
const seen = [], sockets = [];

// Answers by name: loops, addresses inside, none at all.
async function resolver() {
	const s = dgram.createSocket('udp4');
	const a = (...ip) => [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...ip];
	const answers = {
		// The name of the answer is where the answer is.
		loop: (at) => [[0xc0, at, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]],
		// One name leads to the next, and that back.
		alias: (at) => [[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 0xc0, 12],
			[0xc0, at, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 0xc0, at]],
		rebound: () => [a(169, 254, 169, 254)],
		mixed: () => [a(10, 0, 0, 1), a(127, 0, 0, 1)],
		long: () => [[...a(1, 2, 3, 4).slice(0, 10), 255, 255]],
	};

	s.on('message', (q, from) => {
		let at = 12;

		while (q[at] !== 0)
			at += q[at] + 1;
		const name = String(q.subarray(13, 13 + q[12]));
		const four = q.readUInt16BE(at + 1) === 1;
		const list = !four ? [] : answers[name]?.(at + 5) ?? [a(127, 0, 0, 1)];

		s.send(Buffer.concat([q.subarray(0, 2), Buffer.from([0x81, 0x80, 0, 1,
			0, list.length, 0, 0, 0, 0]), q.subarray(12, at + 5),
		...list.map((x) => Buffer.from(x))]), from.port, from.address);
	});
	await new Promise((done) => s.bind(0, '127.0.0.1', done));
	sockets.push(s);
	return s.address().port;
}

function answer(q, s) {
	seen.push(`${q.method} ${q.url}`);
	if (q.url === '/redirect') {
		s.writeHead(302, { location: 'http://169.254.169.254/latest/' });
		s.end();
	} else if (q.url === '/endless') {
		const more = () => {
			while (s.writable && s.write('x'.repeat(65536)))
				;
		};

		s.on('drain', more).on('error', () => {});
		more();
	} else if (q.url === '/inwards') {
		s.writeHead(302, { location: `http://rebound.test:${plain}/` });
		s.end();
	} else if (q.url === '/head') {
		const more = () => {
			while (q.socket.writable && q.socket.write('X-More: 1\r\n'))
				;
		};

		q.socket.write('HTTP/1.1 200 OK\r\n');
		q.socket.on('drain', more).on('error', () => {});
		more();
	} else {
		q.on('error', () => {}).resume().on('end', () => s.end('good\n'));
	}
}

before(async () => {
	const keys = path.join(place.dir, 'keys');

	fs.mkdirSync(keys);
	ca = certificates(keys, ['api.test']);
	dns = await resolver();
	plain = await listen(http.createServer(answer));
	tls = await listen(https.createServer({
		key: fs.readFileSync(path.join(keys, 's.key')),
		cert: fs.readFileSync(path.join(keys, 's.pem')),
	}, answer));
	steadyWork = path.join(place.dir, 'steady');
	fs.mkdirSync(steadyWork);
	fs.chmodSync(steadyWork, 0o777);
	steady = start(steadyWork, `while true; do
command curl -sS -m 5 http://free.test:${plain}/steady > got 2> why &&
	grep -qx good got || { cat why; echo bad; }
done`);
	await until(() => seen.includes('GET /steady'), () => steady.out + steady.err);
});

after(() => {
	closeAll();
	sockets.forEach((s) => s.close());
});

function start(work, script) {
	const file = path.join(place.dir, `policy${++n}.json`);
	const local = { addrs: ['127.0.0.1/32'] };

	fs.writeFileSync(file, JSON.stringify({
		policy: 1, workflow: 'bad', tenant: 'a', actor: 'b', stage: 5,
		defaults: { by_risk: { external_write: 'allow' } }, tools: {},
		egress: { rules: [
			{ host: 'free.test', port: plain, proto: 'http', ...local },
			{ host: 'small.test', port: plain, proto: 'http', ...local,
				max_body: 65536 },
			{ host: 'api.test', port: tls, proto: 'https', ...local, ca,
				paths: ['/**'] },
			{ host: 'ask.test', port: plain, proto: 'http', ...local,
				mode: 'approve' },
			...['loop', 'alias', 'rebound', 'mixed', 'long'].map((x) =>
				({ host: `${x}.test`, port: plain, proto: 'http' })),
		] } }));
	return place.command(['run', '--state', place.state, '--dir', work,
		'--write-back', file, '--', 'sh', '-c', script], { input: '',
		env: { ...process.env, PADDOCK_RESOLVER: `127.0.0.1:${dns}` } });
}

// Of this test's own daemon, which the first run has started.
function proxies() {
	const ours = descendants(steady.child.pid).map((p) => p.pid ?? p);

	return processes().filter((p) => ours.includes(p.pid) &&
		/--role.proxy/.test(p.cmd)).map((p) => p.pid);
}

const python = (code) => `python3 - <<'P'
import socket, time
def say(host, port, *parts, end=False, wait=2):
    s = socket.create_connection((host, port), 5)
    s.settimeout(wait)
    got = b''
    try:
        for p in parts:
            s.sendall(p)
            time.sleep(0.05)
        if end: s.shutdown(socket.SHUT_WR)
        while True:
            b = s.recv(4096)
            if not b: break
            got += b
    except OSError as e: got += b' ' + type(e).__name__.encode()
    print(*[l[:60] for l in got.decode('latin1').split('\\r\\n') if l.startswith('HTTP')] or [got[:40]])
def slowly(host, port, what, more=0.3):
    s = socket.create_connection((host, port), 5)
    s.settimeout(20)
    begun, got = time.time(), b''
    try:
        for b in what:
            s.sendall(bytes([b]))
            s.settimeout(more)
            try:
                got = s.recv(4096)
                break
            except socket.timeout: pass
    except OSError as e: got = b' ' + type(e).__name__.encode()
    print(got.split(b'\\r\\n')[0], 8 < time.time() - begun < 14)
FREE, API, PROXY = ('free.test', ${plain}), ('api.test', ${tls}), ('127.0.0.1', 3128)
HOST = b'Host: free.test:${plain}\\r\\n'
${code}
P`;
const head = (rest, first = 'GET / HTTP/1.1') =>
	python(`say(*FREE, b'${first}\\r\\n' + HOST + ${rest})`);
const curl = (name, path = '/x', more = '') =>
	`curl -sS -m 10 -o body -w '%{http_code}\n' ${more} http://${name}:${plain}${path}`;

const said = (status) => new RegExp(`^HTTP/1.1 ${status} [A-Z][A-Za-z ]+\n$`);
const cut = /^b' ConnectionResetError'\n$/;
const is = (status) => new RegExp(`^${status}\n$`);
const post = 'POST / HTTP/1.1';
const chunks = (rest) =>
	head(`b'Transfer-Encoding: chunked\\r\\n\\r\\n' + ${rest}`, post);
const connect = (to) => `b'CONNECT ${to} HTTP/1.1\\r\\nHost: ${to}\\r\\n\\r\\n'`;
const hello = (name) => python(`
import ssl
c = ssl.create_default_context()
c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
try:
    c.wrap_socket(socket.create_connection(API, 5), server_hostname=${name})
    print('shaken')
except OSError as e: print(type(e).__name__)`);

const rows = () => [
	// Two readings of one request.
	['a field that goes on in the next line', head(`b'A: b\\r\\n c: d\\r\\n\\r\\n'`), said(400)],
	['a space before the colon', head(`b'Transfer-Encoding : chunked\\r\\n\\r\\n'`), said(400)],
	['a length and chunks', head(`b'Content-Length: 5\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n'`, post), said(400)],
	['two lengths', head(`b'Content-Length: 1\\r\\nContent-Length: 2\\r\\n\\r\\nxx'`, post), said(400)],
	['a length that is no number', head(`b'Content-Length: +1\\r\\n\\r\\nx'`, post), said(400)],
	['a transfer coding that is not known', head(`b'Transfer-Encoding: xchunked\\r\\n\\r\\n0\\r\\n\\r\\n'`, post), said(501)],
	['two transfer codings', head(`b'Transfer-Encoding: chunked\\r\\nTransfer-Encoding: identity\\r\\n\\r\\n0\\r\\n\\r\\n'`, post), said('(400|501)')],
	['chunks in HTTP/1.0', head(`b'Transfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n'`, 'POST / HTTP/1.0'), said(400)],
	['a chunk longer than numbers are', chunks(`b'fffffffffffffffff\\r\\n'`), said(400)],
	['a chunk that is longer than it says', chunks(`b'1\\r\\nxx\\r\\n0\\r\\n\\r\\n'`), said(400)],
	['a chunk whose line has no CR', chunks(`b'1\\nx\\r\\n0\\r\\n\\r\\n'`), said(400)],
	['lines without CR', python(`say(*FREE, b'GET / HTTP/1.1\\n' + HOST + b'\\n')`), said(400)],
	['a NUL in a field', head(`b'A: b\\0c\\r\\n\\r\\n'`), said(400)],
	['two Hosts', head(`b'Host: evil.test\\r\\n\\r\\n'`), said(400)],
	['another Host', python(`say(*FREE, b'GET / HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n')`), said(421)],
	// Heads that are bombs.
	['a field of a megabyte', head(`b'A: ' + b'x' * 1000000 + b'\\r\\n\\r\\n'`), said(431)],
	['ten thousand fields', head(`b'A: b\\r\\n' * 10000 + b'\\r\\n'`), said(431)],
	['a target of a megabyte', python(`say(*FREE, b'GET /' + b'x' * 1000000 + b' HTTP/1.1\\r\\n' + HOST + b'\\r\\n')`), said('(414|431)')],
	['trailers without end', chunks(`b'0\\r\\n' + b'A: b\\r\\n' * 100000`), said('(400|431)')],
	['an answer\'s head without end', curl('free.test', '/head'), is(502)],
	// Ends in the middle.
	['a head that ends in its middle', python(`say(*FREE, b'GET / HTTP/1.1\\r\\nHo', end=True)`), said(400)],
	['a body that ends in its middle', python(`say(*FREE, b'POST / HTTP/1.1\\r\\n' + HOST + b'Content-Length: 10\\r\\n\\r\\nabc', end=True)`), cut],
	['an end before anything', python(`say(*FREE, end=True)`), /^b''\n$/, () => true],
	['a CONNECT that ends in its middle', python(`say(*PROXY, b'CONNECT free.t', end=True)`), cut],
	['a hello that ends in its middle', python(`say(*API, b'\\x16\\x03\\x01\\x00\\x80\\x01\\x00\\x00\\x7c\\x03\\x03', end=True)`), cut],
	['a body that stalls until its client goes', python(`say(*FREE, b'POST / HTTP/1.1\\r\\n' + HOST + b'Content-Length: 10\\r\\n\\r\\nabc')`), /^b' (TimeoutError|timeout)'\n$/],
	// Not what was meant.
	['HTTP/2 without TLS', python(`say(*FREE, b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n')`), said(505)],
	['a TLS record longer than any', python(`say(*API, b'\\x16\\x03\\x01\\xff\\xff' + b'\\x01' * 70000)`), cut],
	['a hello of noise', python(`say(*API, b'\\x16\\x03\\x01\\x00\\x40' + bytes(range(64)))`), cut],
	['noise', python(`say(*API, bytes(range(128, 256)) * 4)`), cut],
	['HTTP where TLS is meant', python(`say(*API, b'GET / HTTP/1.1\\r\\nHost: api.test:${tls}\\r\\n\\r\\n')`), said(403)],
	['a hello for another name', hello(`'free.test'`), /^(ConnectionResetError|SSL\w+Error)\n$/],
	['a hello without a name', hello('None'), /^(ConnectionResetError|SSL\w+Error)\n$/],
	// Questions that do. They reach nobody, so none is on record.
	...['udp', 'tcp'].map((how) => [`a question whose name is a loop, by ${how}`, python(`
where = [l.split()[1] for l in open('/etc/resolv.conf') if l.startswith('nameserver')][0]
head, end = b'\\1\\2\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0', b'\\0\\1\\0\\1'
def ask(name):
    q, tcp = head + name + end, ${how === 'tcp' ? 'True' : 'False'}
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    s.settimeout(2)
    s.connect((where, 53))
    s.sendall(len(q).to_bytes(2, 'big') + q if tcp else q)
    try: got = s.recv(512)[2 if tcp else 0:]
    except OSError as e: return type(e).__name__
    return got[3] & 15 if got else 'closed'
print(ask(b'\\xc0\\x0c'), ask(b'\\1a\\xc0\\x0c'), ask(b'\\xc0\\xff'), ask(b'\\4free\\4test\\0'))`),
	/^1 1 1 0\n$/, () => true]),
	// Resolvers that lie.
	['an answer whose name is a loop', curl('loop.test'), is(502)],
	['aliases that are a loop', curl('alias.test'), is(502)],
	['an address longer than the answer', curl('long.test'), is(502)],
	['a name that leads to a metadata service', curl('rebound.test'), is(502)],
	['a name that leads inwards both ways', curl('mixed.test'), is(502)],
	// Servers that do.
	['a redirect to a metadata service', curl('free.test', '/redirect', '-L'), is(403)],
	['a redirect to a name that leads inwards', curl('free.test', '/inwards', '-L'), is(502)],
	// Without end.
	['a body without end', `head -c 100000000 /dev/zero | ${curl('small.test', '/x', '-T -')}`, is(413)],
	['an answer without end', `command curl -sS -m 20 http://free.test:${plain}/endless | head -c 3000000 | wc -c`, is(3000000)],
	// Proxies in proxies.
	['CONNECT through CONNECT', python(`say(*PROXY, ${connect(`free.test:${plain}`)}, ${connect('evil.test:443')})`),
		/^HTTP\/1.1 200 Connection established HTTP\/1.1 405 Method Not Allowed\n$/],
	['SOCKS through CONNECT', python(`say(*PROXY, ${connect(`free.test:${plain}`)}, b'\\x05\\x01\\x00')`), /^HTTP\/1.1 200 Connection established/],
	['CONNECT to another proxy\'s name', python(`say(*PROXY, ${connect('evil.test:3128')})`), said(403)],
	['a whole URL to who is no proxy', python(`say(*FREE, b'GET http://evil.test/ HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n')`), said(400)],
	['a URL with a name and password', python(`say(*PROXY, b'GET http://free.test:${plain}@evil.test/ HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n')`), said(400)],
	['SOCKS to where nothing may go', python(`say(*PROXY, b'\\x05\\x01\\x00', b'\\x05\\x01\\x00\\x03\\x09evil.test\\x00\\x50')`), /^b'.x05.x00.x05.x02/],
];

// So slow that a limit of time ends it: all at once, beside the others.
const slow = () => [
	['a head that comes byte by byte', python(`slowly(*FREE, b'GET / HTTP/1.1\\r\\n' + HOST + b'A: b\\r\\n' * 20)`), /^b'HTTP\/1.1 408 [^']+' True\n$/],
	['a hello that comes byte by byte', python(`slowly(*API, b'\\x16\\x03\\x01\\x00\\x80\\x01\\x00\\x00\\x7c\\x03\\x03' + b'a' * 50)`), /^b' (ConnectionResetError|BrokenPipeError)' True\n$/],
	['a CONNECT that comes byte by byte', python(`slowly(*PROXY, b'CONNECT free.test:80 HTTP/1.1\\r\\n' + b'A: b\\r\\n' * 20)`), /^b' (ConnectionResetError|BrokenPipeError)' True\n$/],
	['a body that stalls before a person is asked', python(`say('ask.test', ${plain}, b'POST / HTTP/1.1\\r\\nHost: ask.test:${plain}\\r\\nContent-Length: 10\\r\\n\\r\\nabc', wait=40)`), said(408)],
];

const refused = (e) => (e.kind === 'egress.decision' &&
	e.dec.verdict === 'block' && /^egress/.test(e.dec.rule) &&
	e.dec.reason !== '') ||
	(e.kind === 'egress.done' && typeof e.body.error === 'string');

// One row in a run of its own, behind which all else is as it was.
async function row([name, script, answer, record = refused], pid) {
	const work = path.join(place.dir, `work${n}`);

	fs.mkdirSync(work);
	fs.chmodSync(work, 0o777);
	const r = await start(work, script).end(60000);
	const run = r.err.match(/run (r-\w+)/)?.[1];
	const log = (await place.cli(['trace', 'show', run, '--json'])).out;
	const records = log.trim().split('\n').flatMap((l) => JSON.parse(l));

	assert.match(r.out, answer, `${name}: ${r.err}`);
	assert.ok(records.some(record), `${name}: ${r.out}${r.err}${
		JSON.stringify(records.filter((e) => /^egress/.test(e.kind)))}`);
	assert.deepStrictEqual(proxies(), pid, name);
	assert.strictEqual(steady.out, '', name);
}

test('each is refused with a record, and nobody else notices', async () => {
	const pid = proxies();

	assert.strictEqual(pid.length, 1);
	const late = slow().map((x) => row(x, pid));

	for (const x of rows())
		await row(x, pid);
	await Promise.all(late);
	assert.ok(seen.every((q) => !q.includes('latest')));
	assert.deepStrictEqual(proxies(), pid);
	const worked = seen.filter((q) => q === 'GET /steady').length;

	await until(() => seen.filter((q) => q === 'GET /steady').length >
		worked + 2, () => steady.out + steady.err);
	assert.strictEqual(steady.out, '');
	steady.child.kill('SIGTERM');
	await steady.end();
});
