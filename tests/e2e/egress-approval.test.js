// What an agent wants to send waits for a person where its policy says so: it
// goes out once after a yes, and not at all after anything else.
import assert from 'node:assert';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { certificates, closeAll, listen, resolver } from './lib/outside.js';
import { Daemon, Place, trace, until } from './lib/paddock.js';

const place = new Place();
const local = { addrs: ['127.0.0.1/32'] };
const seen = [];
let d, dns, plain, tls, two, raw, ca;

function answer(q, s) {
	const hash = crypto.createHash('sha256');
	let n = 0;

	q.on('data', (b) => {
		n += b.length;
		hash.update(b);
	}).on('end', () => {
		seen.push({ method: q.method, url: q.url, n,
			sha256: hash.digest('hex'), trailers: q.trailers });
		s.end(`${q.method} ${q.url} ${n}`);
	});
}

before(async () => {
	const keys = path.join(place.dir, 'keys');
	let pair;

	fs.mkdirSync(keys);
	ca = certificates(keys, ['api.test', 'two.test', 'pin.test']);
	pair = { key: fs.readFileSync(path.join(keys, 's.key')),
		cert: fs.readFileSync(path.join(keys, 's.pem')) };
	dns = await resolver();
	plain = await listen(http.createServer(answer));
	tls = await listen(https.createServer(pair, answer));
	two = await listen(http2.createSecureServer(pair, answer));
	raw = await listen(net.createServer((s) => {
		s.on('data', (b) => {
			seen.push({ raw: b.toString() });
			s.end('got it');
		}).on('error', () => undefined);
	}));
	d = await Daemon.start({ place, env: { ...process.env,
		PADDOCK_RESOLVER: `127.0.0.1:${dns}` } });
});

after(async () => {
	await d.stop();
	closeAll();
});

function policy(changes = {}, more = {}) {
	const ask = { mode: 'approve', ...local, ...changes };

	return {
		policy: 1, workflow: 'held', tenant: 'a', actor: 'b', stage: 5,
		defaults: { by_risk: { external_write: 'allow' } }, tools: {},
		approvals: { quick: { deadline_s: 1 },
			two: { quorum: 2 } },
		egress: { rules: [
			{ host: 'api.test', port: plain, methods: ['GET', 'POST'],
				paths: ['/ask/**'], max_body: 400000, ...ask },
			{ host: 'api.test', port: plain, paths: ['/free/**'], ...local },
			{ host: 'api.test', port: tls, methods: ['POST'],
				paths: ['/ask/**'], ca, ...ask },
			{ host: 'two.test', port: two, methods: ['POST'],
				paths: ['/ask/**'], ca, ...ask },
			{ host: 'pin.test', port: tls, tls: 'pin', ...ask },
			{ host: 'raw.test', port: raw, proto: 'tcp', ...ask },
		] },
		...more,
	};
}

let n = 0;

// A script in a sandbox; its command, and the run's name.
async function start(script, document = policy()) {
	const file = path.join(place.dir, `policy${++n}.json`);
	const work = path.join(place.dir, `work${n}`);

	fs.writeFileSync(file, JSON.stringify(document));
	fs.mkdirSync(work);
	fs.chmodSync(work, 0o777);
	const command = place.command(['run', '--state', place.state,
		'--dir', work, file, '--', 'sh', '-c',
		`curl() { command curl -sS -m 20 --noproxy '*' "$@"; }\n${script}`],
	{ input: '' });

	command.run = (await command.says(/run (r-\w+)/))[1];
	command.work = work;
	return command;
}

const pending = () => d.get('/v1/approvals').then((a) => a.approvals);
const one = (run) => until(async () => (await pending())
	.find((a) => a.run === run), 'an approval');
const kinds = (records, kind) => records.filter((e) => e.kind === kind);

async function yes(a, more = {}, options) {
	const r = await d.decide(a.approval, 'approve', more, options);

	assert.strictEqual(r.status, 200, JSON.stringify(r.body));
}

describe('a request that a person decides on', () => {
	test('waits, is shown with its body\'s digest, and is sent once', async () => {
		seen.length = 0;
		const c = await start('head -c 300000 /dev/zero | tr "\\0" y > f; ' +
			`curl --data-binary @f "http://api.test:${plain}/ask/a?k=s3cret"; ` +
			`curl http://api.test:${plain}/free/b`);
		const a = await one(c.run);
		const sha256 = crypto.createHash('sha256')
			.update('y'.repeat(300000)).digest('hex');

		assert.strictEqual(a.tool, 'egress.request');
		assert.deepStrictEqual({ ...a.arguments, url: undefined }, {
			body_bytes: 300000, body_sha256: sha256,
			content_type: 'application/x-www-form-urlencoded',
			host: 'api.test', method: 'POST', path: '/ask/a',
			port: plain, proto: 'http', url: undefined });
		assert.match(a.arguments.url, /\/ask\/a\?k=~[0-9a-f]{12}$/);
		assert.ok(!JSON.stringify(a).includes('s3cret'));
		assert.deepStrictEqual(a.detail.reasons,
			['a rule wants a person to decide']);
		assert.strictEqual(seen.length, 0);
		assert.deepStrictEqual(a.detail.preview, { body: 'y'.repeat(2048),
			hidden: 0, more: true, status: 'request' });
		const shown = await place.cli(['approvals', a.approval]);

		assert.match(shown.out, new RegExp(`body_sha256 = ${sha256}`),
			shown.out + shown.err);
		assert.match(shown.out, /body y{2048} ... and more\n/);
		assert.strictEqual((await d.decide(a.approval, 'approve_edited',
			{ arguments: a.arguments })).status, 400);
		await yes(a);
		const r = await c.end();

		assert.strictEqual(r.out,
			'POST /ask/a?k=s3cret 300000GET /free/b 0', r.err);
		assert.deepStrictEqual(seen.map((q) => [q.url, q.n]),
			[['/ask/a?k=s3cret', 300000], ['/free/b', 0]]);
		assert.strictEqual(seen[0].sha256, sha256);
		const all = await trace(place.state, c.run);
		const step = kinds(all, 'approval.requested')[0].step;
		const about = all.filter((e) => e.step === step);

		assert.deepStrictEqual(about.map((e) => e.kind), ['egress.decision',
			'approval.requested', 'approval.decided', 'egress.decision',
			'egress.done']);
		assert.deepStrictEqual(kinds(about, 'egress.decision')
			.map((e) => [e.dec.verdict, e.dec.action]),
		[['approve', 'waiting'], ['allow', 'sent']]);
		assert.strictEqual(kinds(about, 'egress.decision')[1].body.approval,
			a.approval);
		const kept = await d.get(`/v1/approvals/${a.approval}`);

		assert.strictEqual(kept.state, 'executed');
		// What was in the body is for who decides, and for nobody later.
		assert.deepStrictEqual(kept.detail.preview, { status: 'redacted' });
	});

	test('shows a whole text as it is, and of other bytes their digest', async () => {
		const c = await start(
			`curl -d '{"to":"\u00e9\n"}' http://api.test:${plain}/ask/t; ` +
			`printf 'a\\000b' | curl --data-binary @- http://api.test:${plain}/ask/u`);
		const a = await one(c.run);

		assert.deepStrictEqual(a.detail.preview, { body: '{"to":"\u00e9\n"}',
			hidden: 0, more: false, status: 'request' });
		await yes(a);
		const b = await until(async () => (await pending())
			.find((x) => x.run === c.run && x.arguments.path === '/ask/u'),
		'the second');

		assert.strictEqual(b.arguments.body_bytes, 3);
		assert.strictEqual(b.detail.preview, undefined);
		await yes(b);
		await c.end();
	});

	test('leaves a trace that verifies, whatever becomes of it', async () => {
		for (const decision of ['approve', 'reject']) {
			const c = await start(`curl -d x http://api.test:${plain}/ask/v`);
			const a = await one(c.run);

			assert.strictEqual((await d.decide(a.approval, decision)).status,
				200);
			const r = await c.end();

			assert.match(r.out, decision === 'approve' ? /^POST \/ask\/v 1$/
				: /"code":"rejected"/, r.err);
			const run = await place.cli(['trace', 'verify', c.run]);

			assert.strictEqual(run.status, 0, run.out + run.err);
		}
		const all = await place.cli(['trace', 'verify']);

		assert.strictEqual(all.status, 0, all.out + all.err);
	});

	test('is answered with 403 and the reviewer\'s reason after a no',
		async () => {
			seen.length = 0;
			const c = await start('curl -w " %{http_code}" -d x ' +
				`http://api.test:${plain}/ask/no`);
			const a = await one(c.run);

			assert.strictEqual((await d.decide(a.approval, 'reject',
				{ reason: 'not today' })).status, 200);
			const r = await c.end();

			assert.match(r.out, /"code":"rejected".*"reason":"not today".* 403$/,
				r.err);
			assert.strictEqual(seen.length, 0);
		});

	test('expires, which is a no', async () => {
		seen.length = 0;
		const c = await start('curl -w " %{http_code}" ' +
			`http://api.test:${plain}/ask/late`,
		policy({ approval: 'quick' }));
		const r = await c.end();

		assert.match(r.out, /"code":"approval_expired".* 403$/, r.err);
		assert.strictEqual(seen.length, 0);
	});

	test('needs as many votes as its approval says', async () => {
		seen.length = 0;
		const c = await start(`curl http://api.test:${plain}/ask/two`,
			policy({ approval: 'two' }));
		const a = await one(c.run);

		await yes(a);
		assert.strictEqual((await one(c.run)).detail.votes.length, 1);
		assert.strictEqual(seen.length, 0);
		const { secret } = await d.post('/v1/tokens', { tenant: 'a',
			actor: 'ann', roles: ['approver'] });
		const two = await d.tcp(secret).decide(a.approval, 'approve');

		assert.strictEqual(two.status, 200, JSON.stringify(two.body));
		assert.strictEqual((await c.end()).out, 'GET /ask/two 0');
	});

	test('is cancelled when the client hangs up', async () => {
		seen.length = 0;
		const c = await start('command curl -sS -m 1 --noproxy "*" -d x ' +
			`http://api.test:${plain}/ask/gone; echo $?`);
		const a = await one(c.run);
		const r = await c.end();

		assert.match(r.out, /^28\n$/, r.err);
		assert.strictEqual((await d.get(`/v1/approvals/${a.approval}`)).state,
			'cancelled');
		assert.notStrictEqual((await d.decide(a.approval, 'approve')).status,
			200);
		const last = kinds(await trace(place.state, c.run),
			'egress.decision').pop();

		assert.strictEqual(last.dec.code, 'withdrawn');
		assert.strictEqual(seen.length, 0);
	});

	test('a body that is too large to wait is refused', async () => {
		const c = await start('head -c 500000 /dev/zero > f; ' +
			'curl -w " %{http_code}" --data-binary @f ' +
			`http://api.test:${plain}/ask/large; ` +
			'cat f | curl -w " %{http_code}" -T - -X POST ' +
			`-H "Content-Type: text/plain" http://api.test:${plain}/ask/l`);
		const r = await c.end();

		assert.match(r.out, /"code":"body_too_large".* 403\{.*body_too_large.* 413$/,
			r.err);
		assert.deepStrictEqual((await pending())
			.filter((a) => a.run === c.run), []);
	});

	test('waits in TLS and HTTP/2, chunked bodies too, others beside it pass',
		async () => {
			seen.length = 0;
			const c = await start(`printf 'one,two' | curl -T - -X POST ` +
				`https://api.test:${tls}/ask/tls; echo; ` +
				`printf 'three' | curl --http2 -T - -X POST ` +
				`https://two.test:${two}/ask/h2`);

			await yes(await one(c.run));
			await until(() => seen.length === 1, 'the first');
			await yes(await one(c.run));
			const r = await c.end();

			assert.strictEqual(r.out, 'POST /ask/tls 7\nPOST /ask/h2 5', r.err);
			assert.strictEqual(seen[0].sha256, crypto.createHash('sha256')
				.update('one,two').digest('hex'));
		});

	test('of a stage that asks for it waits as well', async () => {
		const c = await start(`curl -d x http://api.test:${plain}/free/w`,
			policy({}, { stage: 3 }));
		const a = await one(c.run);

		assert.strictEqual(a.arguments.path, '/free/w');
		await yes(a);
		assert.strictEqual((await c.end()).out, 'POST /free/w 1');
	});

	test('stops the clocks of its run', async () => {
		const c = await start(`curl http://api.test:${plain}/ask/slow`,
			policy({}, { budgets: { max_runtime_ms: 3000 } }));
		const a = await one(c.run);

		await new Promise((done) => setTimeout(done, 3500));
		await yes(a);
		assert.strictEqual((await c.end()).out, 'GET /ask/slow 0');
	});
});

describe('a connection that a person decides on', () => {
	test('waits, raw or pinned, and goes on after a yes', async () => {
		seen.length = 0;
		fs.writeFileSync(path.join(place.dir, 'ca.pem'), ca);
		const c = await start(`python3 -c "
import socket
s = socket.create_connection(('raw.test', ${raw}), 20)
s.sendall(b'hello')
print(s.recv(100).decode())
"; curl -k https://pin.test:${tls}/p`);
		const a = await one(c.run);

		assert.strictEqual(a.tool, 'egress.connection');
		assert.strictEqual(a.arguments.host, 'raw.test');
		assert.strictEqual(seen.length, 0);
		await yes(a);
		await until(() => seen.length === 1, 'the first');
		await yes(await one(c.run));
		const r = await c.end();

		assert.strictEqual(r.out, 'got it\nGET /p 0', r.err);
	});

	test('is reset after a no, and withdrawn by who hangs up', async () => {
		seen.length = 0;
		const c = await start(`python3 -c "
import socket
s = socket.create_connection(('raw.test', ${raw}), 20)
try: print('got', s.recv(100))
except OSError: print('reset')
s = socket.create_connection(('raw.test', ${raw}), 20)
s.close()
"; sleep 1`);

		await d.decide((await one(c.run)).approval, 'reject');
		const r = await c.end();

		assert.strictEqual(r.out, 'reset\n', r.err);
		assert.deepStrictEqual(await pending(), []);
		assert.strictEqual(seen.length, 0);
	});
});

describe('who decides and who sends may die', () => {
	test('without the proxy nothing that waited is sent', async () => {
		seen.length = 0;
		const c = await start('curl -w "%{http_code}" -d x ' +
			`http://api.test:${plain}/ask/proxy; sleep 0.5`);
		const a = await one(c.run);

		process.kill(d.roles().proxy, 'SIGKILL');
		await until(async () => (await d.get(
			`/v1/approvals/${a.approval}`)).state === 'cancelled', 'its end');
		assert.notStrictEqual((await d.decide(a.approval, 'approve')).status,
			200);
		await c.end();
		assert.strictEqual(seen.length, 0);
	});

	test('without the broker neither', async () => {
		seen.length = 0;
		const c = await start('curl -w "%{http_code}" -d x ' +
			`http://api.test:${plain}/ask/broker; sleep 0.5`);
		const a = await one(c.run);

		process.kill(d.roles().broker, 'SIGKILL');
		await c.end();
		await until(async () => (await d.ask('GET',
			`/v1/approvals/${a.approval}`).catch(() => ({ body: {} })))
			.body.state === 'cancelled', 'its end');
		assert.strictEqual(seen.length, 0);
	});
});
