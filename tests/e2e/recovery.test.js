// Failures on purpose in whole runs: of hosts, of approvals and of budgets, by
// policy, command line and API; and what is said of how an agent took them.
import assert from 'node:assert';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { closeAll, listen, resolver } from './lib/outside.js';
import { Daemon, Place, email, here, policy, trace, until, verify, world }
	from './lib/paddock.js';

const place = new Place();
const seen = [];
const search = ['kb.search', { query: 'refund' }];
const mail = ['email.send', email];
let d, port, work, file, url;

before(async () => {
	port = await listen(http.createServer((q, s) => {
		seen.push(q.url);
		s.end(`answer to ${q.url}`);
	}));
	const dns = await resolver();

	url = (host, p) => `http://${host}.api.test:${port}/${p}`;
	work = path.join(place.dir, 'work');
	fs.mkdirSync(work);
	fs.chmodSync(work, 0o777);
	fs.copyFileSync(path.join(here, 'lib/calls.py'),
		path.join(work, 'calls.py'));
	file = path.join(place.dir, 'policy.json');
	fs.writeFileSync(file, JSON.stringify(policy({
		tools: { 'email.send': { risk: 'external_write', mode: 'allow' } },
		egress: { rules: [{ host: '*.api.test', port,
			addrs: ['127.0.0.1/32'] }] } })));
	fs.writeFileSync(path.join(place.dir, 'world.json'),
		JSON.stringify(world()));
	d = await Daemon.start({ place, env: { ...process.env,
		PADDOCK_RESOLVER: `127.0.0.1:${dns}` } });
});
after(async () => {
	await d.stop();
	closeAll();
});

async function agent(faults, ...list) {
	const r = await place.command(['run', file, '--state', place.state,
		'--world', path.join(place.dir, 'world.json'), '--dir', work,
		...faults.flatMap((f) => ['--fault', JSON.stringify(f)]), '--',
		'python3', 'calls.py', ...list.map((c) => typeof c === 'string'
			? c : JSON.stringify(c))], { input: '' }).end();

	r.run = r.err.match(/run (r-\w+)/)?.[1];
	return r;
}

const injected = async (run) => (await trace(place.state, run))
	.filter((e) => e.kind === 'fault.injected');

describe('a host', () => {
	test('fails as it is told to, and nothing leaves', async () => {
		const kinds = [['status', 503, { status: 503 }],
			['rate_limit', 429, { retry_after_s: 7 }],
			['auth_expired', 401], ['refuse', 502], ['reset', 502],
			['dns', 502], ['tls', 502], ['timeout', 504, { ms: 30 }],
			['empty', 200]];
		const before_ = seen.length;
		const r = await agent(kinds.map(([kind, , more], i) => ({
			host: `h${i}.api.test`, kind, nth: 1, ...more })),
		...kinds.map((_, i) => url(`h${i}`, 'x')), url('h0', 'second'));
		const lines = r.out.trim().split('\n');

		assert.deepStrictEqual(lines.map((l) => Number(l.slice(0, 3))),
			[...kinds.map((k) => k[1]), 200], r.out + r.err);
		assert.match(lines[1], /"code":"http_429".*"retry_after_s":7/);
		assert.match(lines[5], /"code":"dns"/);
		assert.deepStrictEqual(seen.slice(before_), ['/second']);
		const all = await injected(r.run);

		assert.deepStrictEqual(all.map((e) => e.body.kind),
			kinds.map((k) => k[0]));
		assert.strictEqual(all[1].body.retry_after_s, 7);
		const decided = (await trace(place.state, r.run)).filter((e) =>
			e.kind === 'egress.decision' && e.dec.code === 'fault');

		assert.deepStrictEqual(decided.map((e) => [e.step, e.dec.action]),
			all.map((e) => [e.step, 'simulated']));
		await verify(place.state);
	});

	test('answers late', async () => {
		const from = Date.now();
		const r = await agent([{ host: '*.api.test', kind: 'latency', ms: 400,
			count: 1 }], url('slow', 'a'), url('slow', 'b'));

		assert.ok(Date.now() - from >= 400);
		assert.match(r.out, /^200 answer to \/a\n200 answer to \/b\n$/);
	});
});

describe('a call', () => {
	test('meets what is gone, expired, refused', async () => {
		const kinds = [['conflict', 'http_409'], ['auth_expired', 'http_401'],
			['scope_revoked', 'http_403'], ['refuse', 'refused'],
			['reset', 'reset'], ['dns', 'dns']];
		const run = await d.open({ faults: { rules: kinds.map(([kind], i) =>
			({ tool: 'kb.*', kind, nth: i + 1 })) } });

		for (const [, code] of kinds) {
			const a = await d.tcp().call(run, 'kb.search', { query: code });

			assert.deepStrictEqual([a.status, a.body.code], [422, code]);
		}
		await d.post(`/v1/runs/${run.run}/stop`, {});
	});

	test('is the last but so many, or the end of the run', async () => {
		let r = await agent([{ tool: 'kb.search', kind: 'budget_low',
			remaining: 1, nth: 2 }], search, search, search, search);

		assert.deepStrictEqual(r.out.trim().split('\n').map((l) =>
			l.slice(0, 3)), ['200', '200', '200', '409']);
		assert.match(r.err, /tool_call/);
		r = await agent([{ tool: 'kb.search', kind: 'kill', nth: 2 }],
			search, search, search);
		assert.strictEqual(r.status, 1);
		assert.match(r.err, /fault_kill/);
	});

	test('is denied by nobody, expires, or is heard of late', async () => {
		const open = (fault) => d.open({ faults: { rules: [{
			tool: 'email.send', ...fault }] } });
		let run = await open({ kind: 'approval_denied' });
		let a = await d.tcp().call(run, ...mail);

		assert.deepStrictEqual([a.status, a.body.code], [403, 'rejected']);
		run = await open({ kind: 'approval_expired', ms: 20 });
		a = await d.tcp().call(run, ...mail);
		assert.deepStrictEqual([a.status, a.body.code],
			[403, 'approval_expired']);
		run = await open({ kind: 'approval_late', ms: 500000 });
		a = await d.tcp().call(run, ...mail);
		assert.deepStrictEqual([a.status, a.body.status],
			[202, 'pending_approval']);
		await until(async () => (await injected(run.run)).length === 1,
			'the record of the fault');
		await d.post('/v1/stop', {});
	});

	test('fails from now on, when a person says so', async () => {
		const run = await d.open();
		const ask = () => d.tcp(run.token).call(run, ...search);
		const add = (rules, who = d) => who.ask('POST',
			`/v1/runs/${run.run}/faults`, { rules });

		assert.strictEqual((await ask()).status, 200);
		assert.strictEqual((await add([{ tool: 'kb.*', kind: 'status',
			nth: 2 }])).status, 200);
		assert.strictEqual((await ask()).status, 200);
		assert.strictEqual((await ask()).body.code, 'http_503');
		for (const bad of [undefined, [], [{ tool: 'a', kind: 'no' }],
			[{ tool: 'a', kind: 'tls' }], [{ host: 'a', kind: 'stale_read' }],
			Array(33).fill({ tool: 'a', kind: 'empty' })])
			assert.strictEqual((await add(bad)).status, 400);
		// The run itself may not.
		assert.ok((await add([{ tool: 'kb.*', kind: 'empty' }],
			d.tcp(run.token))).status >= 401);
		const note = await d.event(run.run,
			(e) => e.body?.note === 'faults.added', 'the rules');

		assert.deepStrictEqual(note.body.rules,
			[{ kind: 'status', nth: 2, tool: 'kb.*' }]);
		await d.post(`/v1/runs/${run.run}/stop`, {});
		assert.strictEqual((await add([{ tool: 'kb.*', kind: 'empty' }]))
			.status, 409);
	});
});

describe('the report on how an agent recovers', () => {
	const report = async (run, ...more) => {
		const r = await place.cli(['trace', 'recovery', run, '--json',
			...more]);
		const v = JSON.parse(r.out);

		assert.strictEqual(r.status, v.recovered ? 0 : 1, r.err);
		return Object.assign(v, Object.fromEntries(v.asserts.map((a) =>
			[a.name, a.verdict])));
	};
	const limited = { tool: 'kb.search', kind: 'rate_limit', nth: 1,
		retry_after_s: 1 };

	test('finds nothing against one that does', async () => {
		const r = await agent([{ tool: 'kb.search', kind: 'status', nth: 1 }],
			search, search, mail);
		const v = await report(r.run, '--at-most', 'email.send=1');

		assert.deepStrictEqual(v.asserts.map((a) => a.verdict),
			['pass', 'none', 'pass', 'pass', 'pass']);
		assert.deepStrictEqual([v.faults, v.failures], [1, 1]);
		const plain = await place.cli(['trace', 'recovery', r.run]);

		assert.match(plain.out, /pass {2}bounded_retries/);
		const none = await report((await agent([], search)).run);

		assert.strictEqual(none.bounded_retries, 'none');
	});

	// What each agent does wrong, and which assertion finds it.
	const bad = [
		['asks again and again', [{ tool: 'kb.search', kind: 'status' }],
			[search, search, search, search, search, 'exit1'],
			'bounded_retries', 1],
		['does not wait', [limited], [search, search], 'backoff', 2],
		['does it twice', [{ tool: 'email.send', kind: 'lost_ack', nth: 1 }],
			[mail, mail], 'no_duplicate_effect', 2],
		['says nothing', [{ tool: 'email.send', kind: 'status' }], [mail],
			'escalation', 1],
		['does too much', [], [mail, ['email.send', { ...email,
			subject: 'more' }]], 'invariants', 2],
	];

	for (const [what, faults, calls, name, step] of bad)
		test(`finds one that ${what}`, async () => {
			const r = await agent(faults, ...calls);
			const v = await report(r.run, '--at-most', 'email.send=1',
				'--retries', '2');
			const a = v.asserts.find((x) => x.name === name);

			assert.strictEqual(a.verdict, 'fail', JSON.stringify(v));
			assert.strictEqual(a.broken[0].step, step);
		});

	test('knows requests as well, and who gave up', async () => {
		let r = await agent([{ host: '*.api.test', kind: 'rate_limit',
			retry_after_s: 60, nth: 1 }], url('a', 'x'), url('a', 'x'));

		assert.strictEqual((await report(r.run)).backoff, 'fail');
		r = await agent([{ tool: 'email.send', kind: 'status' }], mail,
			'exit3');
		assert.strictEqual((await report(r.run)).escalation, 'pass');
		r = await place.cli(['trace', 'recovery', 'last', '--at-most', 'x']);
		assert.strictEqual(r.status, 2);
	});
});
