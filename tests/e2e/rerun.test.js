// A recorded run, executed anew with its answers from the record: nothing real
// happens in it, and where it parts from what was recorded is told.
import assert from 'node:assert';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { certificates, closeAll, listen, resolver } from './lib/outside.js';
import { Daemon, Place, email, here, policy, trace, verify, world }
	from './lib/paddock.js';

const place = new Place();
const seen = [];
const refund = ['billing.refund', { invoice: 'INV-0388', amount: 5 }];
const calls = [['kb.search', { query: 'refund' }], refund,
	['ticket.read', { ticket: 'T-1041' }],
	['ticket.reply_draft', { ticket: 'T-1041', body: 'We look into it.' }],
	['email.send', email], ['paddock.now', {}],
	['paddock.random', { bytes: 16 }]];
let d, port, tls, work, file, first, url, gets;

before(async () => {
	port = await listen(http.createServer((q, s) => {
		s.end(`answer ${seen.length} to ${q.url}`);
	}).on('connection', () => seen.push('one')));
	const keys = path.join(place.dir, 'keys');

	fs.mkdirSync(keys);
	const ca = certificates(keys, ['api.test']);

	tls = await listen(https.createServer({
		key: fs.readFileSync(path.join(keys, 's.key')),
		cert: fs.readFileSync(path.join(keys, 's.pem')),
	}, (q, s) => s.end('a secret answer')).on('connection',
		() => seen.push('one')));
	const dns = await resolver();

	url = (p) => `http://api.test:${port}/${p}`;
	gets = [url('a'), url('b'), `https://api.test:${tls}/c`];
	work = path.join(place.dir, 'work');
	fs.mkdirSync(work);
	fs.chmodSync(work, 0o777);
	fs.copyFileSync(path.join(here, 'lib/calls.py'),
		path.join(work, 'calls.py'));
	file = path.join(place.dir, 'policy.json');
	fs.writeFileSync(file, JSON.stringify(policy({
		tools: { 'email.send': { risk: 'external_write', mode: 'allow' },
			'paddock.*': { risk: 'read' },
			'ticket.read': { risk: 'read', labels_out: ['pii'],
				redact: { result: ['$.customer'] } } },
		egress: { rules: [
			{ host: 'api.test', port, record: true,
				addrs: ['127.0.0.1/32'] },
			{ host: 'api.test', port: tls, record: true, ca,
				addrs: ['127.0.0.1/32'] },
			{ host: 'asks.test', port, mode: 'approve',
				addrs: ['127.0.0.1/32'] },
			{ host: 'raw.test', port, proto: 'tcp',
				addrs: ['127.0.0.1/32'] }] },
	})));
	fs.writeFileSync(path.join(place.dir, 'world.json'),
		JSON.stringify(world()));
	d = await Daemon.start({ place, env: { ...process.env,
		PADDOCK_RESOLVER: `127.0.0.1:${dns}` } });
	first = await agent(['run', file, '--world',
		path.join(place.dir, 'world.json')], ...calls, ...gets);
	assert.strictEqual(first.status, 0, first.err);
	assert.match(first.out, /200 a secret answer/);
});
after(async () => {
	await d.stop();
	closeAll();
});

const words = (list) => list.map((c) => typeof c === 'string' ? c
	: JSON.stringify(c));

async function agent(args, ...list) {
	const r = await place.command([...args, '--state', place.state, '--dir',
		work, '--', 'python3', 'calls.py', ...words(list)], { input: '' })
		.end();

	r.run = r.err.match(/run (r-\w+)/)?.[1];
	return r;
}

let n = 0;

// What came of it, beside what it printed.
async function replay(options, ...list) {
	const report = path.join(place.dir, `report${++n}.json`);
	const r = await agent(['replay', first.run, ...options, '--report',
		report], ...list);

	if (fs.existsSync(report))
		Object.assign(r, JSON.parse(fs.readFileSync(report)));
	r.classes = r.divergences?.map((x) => x.class);
	return r;
}

const nothingReal = async (run) => {
	const all = await trace(place.state, run);

	assert.deepStrictEqual(all.filter((e) => e.kind === 'tool.started' ||
		(e.res?.effect ?? 'none') !== 'none'), []);
	assert.strictEqual(all[0].body.replay.of, first.run);
};

describe('a run that is answered out of a record', () => {
	test('goes as it went, and does nothing', async () => {
		const before_ = seen.length;

		for (const mode of ['--strict', '--lenient']) {
			const r = await replay([mode], ...calls, ...gets);

			assert.strictEqual(r.status, 0, r.err);
			// Answers were kept redacted; all else is the same, to the byte.
			const then = first.out.split('\n'), now = r.out.split('\n');

			assert.match(now[2], /"customer":"\[redacted\]"/);
			assert.match(now[5], /^200 .*"utc":"20..-..-..T/);
			assert.match(now[6], /^200 \{"hex":"[0-9a-f]{32}"/);
			then[2] = now[2];
			assert.deepStrictEqual(now, then);
			assert.deepStrictEqual([r.replay.same, r.replay.matched,
				r.replay.calls, r.replay.requests.answered,
				r.replay.redacted, r.divergences.length],
			[true, 7, 7, 3, 1, 0]);
			assert.strictEqual(seen.length, before_);
			await nothingReal(r.run);
		}
		await verify(place.state);
		// Its verdicts are the record's, which is judged by itself.
		const judged = await place.cli(['replay', 'all', '--policy', file]);

		assert.strictEqual(judged.status, 0, judged.err);
		assert.match(judged.out, /calls: 7, /);
	});

	test('stops at the first call that differs, which is told', async () => {
		let r = await replay(['--strict'], calls[0],
			['billing.refund', { invoice: 'INV-0388', amount: 6 }],
			calls[2]);

		assert.strictEqual(r.status, 1);
		assert.deepStrictEqual(r.classes, ['changed_args']);
		assert.deepStrictEqual(r.divergences[0].diff,
			[{ now: 6, path: '$.amount', then: 5 }]);
		assert.deepStrictEqual([r.divergences[0].then.step,
			r.divergences[0].now.step], [2, 2]);
		assert.match(r.err, /\$\.amount {2}5 \| 6/);
		assert.match(r.out.split('\n')[1], /^409 .*"replay_diverged"/);
		assert.ok(!r.out.includes('T-1041'), r.out);
		await nothingReal(r.run);

		r = await replay(['--strict'], calls[0], calls[2]);
		assert.deepStrictEqual(r.classes, ['other_call']);
		assert.strictEqual(r.divergences[0].then.tool, 'billing.refund');

		r = await replay(['--strict'], ...calls, url('b'));
		assert.deepStrictEqual(r.classes, ['new_request']);
		assert.match(r.divergences[0].then.url, /\/a$/);

		// What is left out, and another end, count as well.
		r = await replay(['--strict'], ...calls.slice(0, 4), 'exit3');
		assert.strictEqual(r.status, 1);
		assert.deepStrictEqual([r.replay.missing, r.replay.exit_now,
			r.replay.exit_then, r.replay.requests.left],
		[[5, 6, 7].map((step) => ({ step, tool: calls[step - 1][0] })),
			3, 0, 3]);
		await verify(place.state);
	});

	test('goes on leniently, and marks what is new', async () => {
		const r = await replay(['--lenient'], calls[2], calls[0],
			['billing.refund', { invoice: 'INV-0388', amount: 6 }],
			calls[4], ['email.send', { ...email, to: 'a@evil.test' }],
			['kb.search', { query: 'new' }], url('b'), url('new'), url('a'));

		assert.strictEqual(r.status, 1);
		assert.deepStrictEqual(r.classes, ['reorder', 'changed_args',
			'new_write', 'new_read', 'new_request']);
		const said = r.out.split('\n').map((l) => l.slice(0, 3));

		assert.deepStrictEqual(said.slice(0, 9), ['200', '200', '403', '200',
			'403', '403', '200', '403', '200']);
		assert.match(r.out, /"code":"not_recorded"/);
		assert.deepStrictEqual(r.replay.missing.map((x) => x.tool),
			['ticket.reply_draft', 'paddock.now', 'paddock.random']);
		await nothingReal(r.run);
	});

	test('leaves out of account what it is told to', async () => {
		const other = ['email.send', { ...email, subject: 'At 12:03' }];
		let r = await replay(['--strict', '--ignore', '$.subject'],
			...calls.slice(0, 4), other, ...calls.slice(5), ...gets);

		assert.strictEqual(r.status, 0, r.err);
		r = await replay(['--strict'], ...calls.slice(0, 4), other);
		assert.strictEqual(r.status, 1);
	});

	test('gets nothing done by whatever else it tries', async () => {
		const before_ = seen.length;
		const r = await replay(['--lenient'],
			['email.send', { ...email, to: 'thief@evil.test' }],
			['files.export', { paths: ['calls.py'] }],
			['email.create_draft', email], ['approval.wait',
				{ approval_id: 'a-7k3m9q2v5w1x' }],
			url('stolen'), `http://asks.test:${port}/x`,
			`http://raw.test:${port}/x`,
			`https://api.test:${tls}/stolen`, `http://127.0.0.1:${port}/x`);

		assert.strictEqual(r.out.trim().split('\n').length, 9, r.err);
		for (const line of r.out.trim().split('\n'))
			assert.ok(!/^2/.test(line), r.out);
		assert.strictEqual(seen.length, before_);
		assert.deepStrictEqual((await d.get('/v1/approvals?state=all'))
			.approvals.filter((a) => a.run === r.run), []);
		await nothingReal(r.run);
		assert.ok(!fs.existsSync(path.join(place.state, 'store/exports')));
		for (const body of [{ write_back: true }, { world: world() },
			{ mounts: [] }, { replay_http: first.run },
			{ replay: { run: 'r-000000000001', mode: 'strict' } },
			{ replay: { run: first.run, mode: 'loose' } },
			{ replay: { run: first.run, mode: 'strict', x: 1 } },
			{ replay: { run: first.run, mode: 'lenient',
				ignore: ['request_id'] } }]) {
			const a = await d.ask('POST', '/v1/runs', {
				replay: { run: first.run, mode: 'strict' }, ...body });

			assert.ok(a.status >= 400, JSON.stringify(body));
			assert.ok(a.body.error.suggested_next_step.length > 0);
		}
	});

	test('is driven from outside as well, and told by its record',
		async () => {
			const run = await d.post('/v1/runs',
				{ replay: { run: first.run, mode: 'lenient' } });
			const a = await d.tcp(run.token).call(run, ...calls[0]);
			const listed = await d.tcp(run.token).get(
				`/v1/runs/${run.run}/tools`).catch(() => null);

			assert.strictEqual(a.status, 200);
			assert.ok(listed === null || JSON.stringify(listed)
				.includes('kb.search'));
			await d.post(`/v1/runs/${run.run}/stop`, {});
			await d.closed(run.run);
			const all = await trace(place.state, run.run);
			const end = all.find((e) => e.body?.note === 'replay.finished');

			assert.deepStrictEqual([end.body.matched, end.body.same,
				end.body.missing.length], [1, false, 6]);
		});

	test('needs a command, one way, and a run', async () => {
		for (const [args, status, text] of [
			[['replay', first.run, '--strict'], 2, /no command/],
			[['replay', first.run, '--strict', '--lenient', '--', 'true'],
				2, /not both/],
			[['replay', '--strict', '--', 'true'], 2, /RUN/],
			[['replay', 'r-000000000001', '--strict', '--', 'true'], 1,
				/no run/]]) {
			const r = await place.command([...args.slice(0, 1), '--state',
				place.state, ...args.slice(1)], { input: '' }).end();

			assert.strictEqual(r.status, status, r.err);
			assert.match(r.err, text);
		}
	});
});
