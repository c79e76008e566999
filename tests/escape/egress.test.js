// tests/escape/egress.test.js: ways out of a sandbox that may send something:
// to what is near (metadata services, this machine, its networks), by names
// that lead there, by questions about names.
'use strict';

const assert = require('node:assert');
const { describe, test } = require('node:test');

const { asked, attack, clear, far, inOwnNetwork, inside, named, near, packets,
	policy, reached, resolverAt, run, show, start, v4, v6 } =
	require('./lib/far.js');

inOwnNetwork(__filename);

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
			far.zone = lead;
			const got = await attack(attempts,
				policy(hosts.map((host) => ({ host }))));
			const through = got.filter((a) => a.got.includes('ARRIVED'));

			assert.deepEqual(reached, []);
			assert.deepEqual(through, [], show(through));
		});

	test('nor by a name that the resolver inside was asked for', async () => {
		far.zone = lead;
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
			far.zone = lead;
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
			far.zone = lead;
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
			far.zone = lead;
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
		far.zone = lead;
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
		'93.184.216.34', `${resolverAt}:${far.dnsPort}`];

	test('no question about a name leaves, allowed or not', async () => {
		far.zone = () => [[1, v4('93.184.216.34')]];
		for (const name of ['evil.test', 'in.test', 'public.test']) {
			clear();
			const r = await run(policy([{ host: '*.in.test' },
				{ host: 'public.test' }]), ...out(name));

			assert.match(r.out, /answered/, r.err);
			assert.deepEqual(asked, []);
		}
	});

	test('nor is a name looked up that no rule is about', async () => {
		far.zone = () => [[1, v4('93.184.216.34')]];
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
			far.zone = () => [[1, v4('93.184.216.34')]];
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
