// tests/escape/lib/far.js: a machine of its own, a network namespace that leads
// to another one. That one has public addresses, private ones, and those of
// metadata services; a server listens at all of them, and one on the machine
// itself, and they tell where they were reached. So each attempt has a control
// that succeeds: the same program outside of the sandbox, or the same request
// under a policy that allows it.
'use strict';

const assert = require('node:assert');
const { spawn, spawnSync } = require('node:child_process');
const dgram = require('node:dgram');
const fs = require('node:fs');
const http = require('node:http');
const http2 = require('node:http2');
const net = require('node:net');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');

const paddock = path.resolve(process.env.PADDOCK ?? 'build/src/paddock');
const inside = process.env.PADDOCK_ESCAPE_NETWORK === 'own';
const near = ['169.254.169.254', '100.100.100.200', '168.63.129.16',
	'10.1.2.3', '192.168.7.7', '100.64.0.9'];
const addresses = ['93.184.216.34/32', ...near.map((a) => `${a}/32`),
	'fd00:ec2::254/128', '2606:2800:220:1::1/128', '64:ff9b::a9fe:a9fe/128',
	'2002:a9fe:a9fe::1/128'];

// The tests of a file happen in a network of its own: this runs it again there.
function inOwnNetwork(filename) {
	if (inside)
		return;
	test('what leaves a sandbox, in a network of its own', {
		skip: process.getuid() !== 0 && 'needs root to make that network',
	}, () => {
		const env = { ...process.env, PADDOCK_ESCAPE_NETWORK: 'own' };

		delete env.NODE_TEST_CONTEXT;
		const r = spawnSync('unshare', ['-n', process.execPath, '--test',
			'--test-reporter=tap', filename],
		{ env, encoding: 'utf8', timeout: 280000 });

		assert.equal(r.status, 0, r.stdout + r.stderr);
		assert.match(r.stdout, /# pass [1-9]/);
		assert.match(r.stdout, /# skipped 0/);
	});
}

// What a hostile program does, by one of the doors. Prints what came back, a
// line of JSON for each attempt.
const attacker = `
import concurrent.futures, json, socket, struct, sys
PROXY = ('127.0.0.1', 3128)

def talk(s, data):
    s.settimeout(2)
    s.sendall(data)
    got = b''
    try:
        while len(got) < 20000:
            b = s.recv(4096)
            if not b: break
            got += b
            if b'END' in got: break
    except socket.timeout:
        pass
    return got

def get(a):
    return (a.get('raw') or 'GET %s HTTP/1.1\\r\\nHost: %s\\r\\n'
        'Connection: close\\r\\n\\r\\n' % (a.get('path', '/'),
        a.get('host', a['to']))).encode('utf-8')

def direct(a):
    to = a['to'].strip('[]')
    with socket.create_connection((to, a.get('port', 80)), 4) as s:
        return talk(s, get(a))

def connect(a):
    with socket.create_connection(PROXY, 4) as s:
        to = '%s:%d' % (a['to'], a.get('port', 80))
        said = talk_head(s, ('CONNECT %s HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n'
            % (to, a.get('authority', to))).encode('utf-8'))
        if b' 200' not in said.split(b'\\r\\n')[0]: return said
        return talk(s, get(a))

def talk_head(s, data):
    s.settimeout(4)
    s.sendall(data)
    got = b''
    while b'\\r\\n\\r\\n' not in got:
        b = s.recv(4096)
        if not b: break
        got += b
    return got

def absolute(a):
    with socket.create_connection(PROXY, 4) as s:
        url = 'http://%s%s' % (a['to'], a.get('path', '/'))
        return talk(s, ('GET %s HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close'
            '\\r\\n\\r\\n' % (url, a.get('host', a['to']))).encode('utf-8'))

def socks(a):
    name = a['to'].strip('[]')
    try:
        at = b'\\x01' + socket.inet_pton(socket.AF_INET, name)
    except OSError:
        try:
            at = b'\\x04' + socket.inet_pton(socket.AF_INET6, name)
        except OSError:
            at = b'\\x03' + bytes([len(name.encode())]) + name.encode()
    if a.get('as_name'):
        at = b'\\x03' + bytes([len(name.encode())]) + name.encode()
    with socket.create_connection(PROXY, 4) as s:
        s.settimeout(4)
        s.sendall(b'\\x05\\x01\\x00')
        s.recv(2)
        s.sendall(b'\\x05\\x01\\x00' + at + struct.pack('!H', a.get('port', 80)))
        said = s.recv(32)
        if len(said) < 2 or said[1] != 0: return b'socks ' + said.hex().encode()
        return talk(s, get(a))

doors = { 'direct': direct, 'connect': connect, 'absolute': absolute,
    'socks': socks }
def attempt(a):
    try:
        got = doors[a['door']](a).decode('latin1')
    except Exception as e:
        got = 'failed: ' + str(e)
    return json.dumps({ **a, 'got': got[:4000] })
with concurrent.futures.ThreadPoolExecutor(12) as pool:
    for line in pool.map(attempt, json.load(open(sys.argv[1]))):
        print(line, flush=True)
`;

// The machine: a process that keeps its network, and listens there, until its
// input ends.
const machine = `
import os, socket, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0))).start()
s = socket.create_server(('::', 80), family=socket.AF_INET6,
    dualstack_ipv6=True)
print('ready', flush=True)
while True:
    c, _ = s.accept()
    c.settimeout(4)
    try:
        c.recv(4096)
        body = 'ARRIVED machine END'
        c.sendall(('HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s' %
            (len(body), body)).encode())
        print('came', flush=True)
    except OSError:
        pass
    c.close()
`;

const scratch = inside ? fs.mkdtempSync('/var/tmp/paddock-egress-') : '';
const work = path.join(scratch, 'work');
const state = path.join(scratch, 'state');
const reached = []; // { at, head }: requests that came to a server
const asked = []; // { name, type }: questions that came to the resolver
const packets = []; // datagrams that came to a UDP server
const closing = [];
const sockets = new Set();
const resolverAt = '93.184.216.1';
const PLAIN = 8080;
const TLS = 8443;
const told = []; // { host, url, method, headers, body }: requests, as parsed
// What changes: how the resolver answers, and what before() has made.
const far = { zone: () => [], ca: undefined, dnsPort: 0 };
let keeper;

// Answers from `far.zone`: a list of [type, bytes], or [5, name] for a CNAME.
function answerName(q) {
	let at = 12;
	const labels = [];

	while (q[at] !== 0) {
		labels.push(q.toString('latin1', at + 1, at + 1 + q[at]));
		at += q[at] + 1;
	}
	const name = labels.join('.').toLowerCase();
	const type = q.readUInt16BE(at + 1);

	asked.push({ name, type });
	const records = far.zone(name, type).map(([kind, data, owner]) => {
		const encode = (n) => Buffer.concat([...n.split('.').map((l) =>
			Buffer.concat([Buffer.from([l.length]), Buffer.from(l)])),
		Buffer.from([0])]);
		const bytes = kind === 5 ? encode(data) : data;
		const head = Buffer.from([0, kind, 0, 1, 0, 0, 0, 0, 0, bytes.length]);

		return Buffer.concat([encode(owner ?? name), head, bytes]);
	});
	const head = Buffer.from([...q.subarray(0, 2), 0x81, 0x80, 0, 1, 0,
		records.length, 0, 0, 0, 0]);

	return Buffer.concat([head, q.subarray(12, at + 5), ...records]);
}

const v4 = (a) => Buffer.from(a.split('.').map(Number));
const v6 = (hex) => Buffer.from(hex, 'hex');

// "a-10-1-2-3.in.test" and "aaaa-HEX.in.test" say themselves what they are.
function named(name, type) {
	const a = name.match(/^a-(\d+)-(\d+)-(\d+)-(\d+)\./);
	const aaaa = name.match(/^aaaa-([0-9a-f]{32})\./);

	if (a && type === 1)
		return [[1, Buffer.from(a.slice(1).map(Number))]];
	if (aaaa && type === 28)
		return [[28, v6(aaaa[1])]];
	return [];
}

function listen(server, port, host = '::') {
	closing.push(server);
	server.on('connection', keep);
	return new Promise((done, no) => server.on('error', no)
		.listen(port, host, () => done(server.address().port)));
}

function serve(socket) {
	let head = '';

	socket.on('data', (d) => {
		head += d.toString('latin1');
		if (!head.includes('\r\n\r\n'))
			return;
		const at = socket.localAddress.replace('::ffff:', '');
		const body = `ARRIVED ${at} END`;

		reached.push({ at, head });
		head = '';
		socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}` +
			`\r\n\r\n${body}`);
	});
}

function keep(socket) {
	sockets.add(socket);
	socket.on('close', () => sockets.delete(socket));
	socket.on('error', () => undefined);
}

// A server with a parser that is not ours. Says all that it was asked.
function tell(q, s) {
	let body = '';

	q.on('data', (d) => { body += d; }).on('end', () => {
		const host = q.headers[':authority'] ?? q.headers.host ?? '';
		const what = { host: host.split(':')[0], url: q.url,
			method: q.method, headers: q.headers, body };
		const to = q.url.match(/^\/ok\/moved\?(.*)$/)?.[1];

		told.push(what);
		s.writeHead(to === undefined ? 200 : 302, {
			'Alt-Svc': 'h3=":443", h2="open.test:8443"',
			...to !== undefined && { Location: decodeURIComponent(to) } });
		s.end(`${JSON.stringify(what)} ARRIVED END`);
	});
}

function refuse(q, socket) {
	told.push({ host: q.headers.host, url: q.url, method: q.method,
		headers: q.headers, body: '', upgraded: true });
	socket.end('HTTP/1.1 101 Switching Protocols\r\n' +
		`Upgrade: ${q.headers.upgrade}\r\nConnection: Upgrade\r\n\r\nEND`);
}

if (inside) {
	before(async () => {
		keeper = spawn('unshare', ['-n', 'sh', '-c',
			'ip link set lo up && exec python3 -c "$0"', machine],
		{ stdio: ['pipe', 'pipe', 'inherit'] });
		await new Promise((done) => keeper.stdout.once('data', done));
		keeper.stdout.on('data', (d) => {
			for (const _ of String(d).matchAll(/came/g))
				reached.push({ at: 'machine', head: '' });
		});
		const ip = (...args) => {
			const r = spawnSync('ip', args, { encoding: 'utf8' });

			assert.equal(r.status, 0, `ip ${args.join(' ')}: ${r.stderr}`);
		};

		keeper.net = `/proc/${keeper.pid}/ns/net`;
		const on = (...args) => assert.equal(spawnSync('nsenter',
			[`--net=${keeper.net}`, 'ip', ...args]).status, 0,
		`ip ${args.join(' ')}`);

		ip('link', 'set', 'lo', 'up');
		ip('link', 'add', 'here', 'type', 'veth', 'peer', 'name', 'there');
		ip('link', 'set', 'there', 'netns', String(keeper.pid));
		for (const a of ['203.0.113.1/24', `${resolverAt}/32`, ...addresses])
			ip('addr', 'add', a, 'dev', 'here');
		ip('addr', 'add', '2001:db8:1::1/64', 'dev', 'here', 'nodad');
		ip('link', 'set', 'here', 'up');
		on('addr', 'add', '203.0.113.2/24', 'dev', 'there');
		on('addr', 'add', '2001:db8:1::2/64', 'dev', 'there', 'nodad');
		on('link', 'set', 'there', 'up');
		on('route', 'add', 'default', 'via', '203.0.113.1');
		on('-6', 'route', 'add', 'default', 'via', '2001:db8:1::1');
		fs.chmodSync(scratch, 0o755);
		fs.mkdirSync(work);
		fs.chmodSync(work, 0o777);
		fs.writeFileSync(path.join(work, 'attack.py'), attacker);

		const dns = dgram.createSocket('udp4');

		dns.on('message', (q, from) => dns.send(answerName(q), from.port,
			from.address));
		await new Promise((done) => dns.bind(0, resolverAt, done));
		closing.push(dns);
		far.dnsPort = dns.address().port;
		const udp = dgram.createSocket('udp4', (d) => packets.push(d));

		await new Promise((done) => udp.bind(443, '0.0.0.0', done));
		closing.push(udp);
		await listen(net.createServer(serve), 80);
		await listen(http.createServer(tell).on('upgrade', refuse), PLAIN);
		const keys = path.join(scratch, 'keys');
		const { certificates } = await import(
			path.join(__dirname, '../../e2e/lib/outside.js'));

		fs.mkdirSync(keys);
		far.ca = certificates(keys, ['api.test', 'open.test']);
		await listen(http2.createSecureServer({ allowHTTP1: true,
			key: fs.readFileSync(path.join(keys, 's.key')),
			cert: fs.readFileSync(path.join(keys, 's.pem')) }, tell),
		TLS);
	});
	after(() => {
		keeper.stdin.end();
		for (const s of sockets)
			s.destroy();
		for (const s of closing)
			s.close();
		fs.rmSync(scratch, { recursive: true, force: true });
	});
}

function policy(rules, more = {}) {
	return { policy: 1, workflow: 'out', tenant: 'a', actor: 'b', stage: 5,
		defaults: { by_risk: { external_write: 'allow' } }, tools: {},
		egress: { default: 'deny', rules }, ...more };
}

function start(program, args) {
	const child = spawn('nsenter', [`--net=${keeper.net}`, program, ...args],
		{ cwd: work, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env,
			PADDOCK_RESOLVER: `${resolverAt}:${far.dnsPort}` } });
	const r = { out: '', err: '' };

	child.stdout.on('data', (d) => { r.out += d; });
	child.stderr.on('data', (d) => { r.err += d; });
	return new Promise((done) => child.on('close', (status) =>
		done({ ...r, status })));
}

function clear() {
	for (const list of [reached, asked, packets, told])
		list.length = 0;
}

// A command in a sandbox under these rules.
function run(document, ...command) {
	const file = path.join(scratch, 'policy.json');

	fs.writeFileSync(file, JSON.stringify(document));
	return start(paddock, ['run', '--state', state, '--dir', work, file, '--',
		...command]);
}

// The attempts, inside under a policy, or on the machine without one. Gives them with
// what came back.
async function attack(attempts, document) {
	const file = path.join(work, 'attempts.json');
	const command = ['python3', 'attack.py', 'attempts.json'];

	fs.writeFileSync(file, JSON.stringify(attempts));
	clear();
	const r = document === undefined
		? await start('/usr/bin/env', command)
		: await run(document, ...command);
	const lines = r.out.trim().split('\n').filter((l) => l.startsWith('{'))
		.map((l) => JSON.parse(l));

	assert.equal(lines.length, attempts.length, r.out + r.err);
	return lines;
}

const show = (list) => list.map((a) =>
	`${a.door} ${a.to}: ${a.got.slice(0, 200)}`).join('\n');

module.exports = { asked, attack, clear, far, inOwnNetwork, inside, named, near,
	packets, PLAIN, policy, reached, resolverAt, run, show, start, state, TLS,
	told, v4, v6, work };
