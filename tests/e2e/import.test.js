// paddock trace import: what was recorded elsewhere is read like any run, and
// is never taken for one.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Daemon, Place, cli, email, scratch, trace, verify }
	from './lib/paddock.js';

let d;
let run;
const place = new Place();
const other = place.state;
const bundle = path.join(scratch, 'import-run.paddock');
const lines = path.join(scratch, 'import-runs.jsonl');

const at = (state, ...args) => cli([...args, '--state', state]);

before(async () => {
	d = await Daemon.start();
	run = await d.open();
	const tcp = d.tcp();

	await tcp.call(run, 'kb.search', { query: 'refund' });
	await tcp.call(run, 'billing.refund', { amount: 1 });
	const held = tcp.call(run, 'email.send', email);

	await d.decide(await d.approval(run.run), 'approve');
	await held;
	await d.post(`/v1/runs/${run.run}/stop`, {});
	await d.closed(run.run);
	await at(d.state, 'trace', 'export', run.run, '-o', bundle);
});
after(() => d.stop());

test('a store that a daemon has is refused, with what to do', async () => {
	const { status, err } = await at(d.state, 'trace', 'import', bundle);

	assert.strictEqual(status, 1);
	assert.match(err, /needs .* for itself: with --state DIR it goes.*in use by/s);
});

test('a bundle is kept under a new name, and says whence in each record',
	async () => {
		const done = await at(other, 'trace', 'import', bundle, '--json');
		const said = JSON.parse(done.out);

		assert.strictEqual(done.status, 0, done.err);
		assert.notStrictEqual(said.last, run.run);
		const here = await trace(other, said.last);
		const there = await trace(d.state, run.run);

		assert.strictEqual(here.length, there.length);
		for (const [i, e] of here.entries()) {
			const { imported, ...body } = e.body;

			assert.strictEqual(imported.seq, there[i].seq);
			assert.deepStrictEqual(body, there[i].body);
			for (const k of ['kind', 't', 'step', 'who', 'dec', 'res',
				'tool', 'ver'])
				assert.deepStrictEqual(e[k], there[i][k]);
		}
		assert.strictEqual(here[0].body.imported.run, run.run);
		assert.strictEqual(here[0].body.imported.from, 'bundle');
		assert.match(here[0].body.imported.log, /^paddock\/[0-9a-f]{16}$/);
		assert.strictEqual((await verify(other)).records, here.length);

		const ls = await at(other, 'trace', 'ls', '--json');

		assert.strictEqual(JSON.parse(ls.out).status, 'imported');
		const shown = await at(other, 'trace', 'show', said.last);

		assert.match(shown.out, /imported/);
		const grep = await at(other, 'trace', 'grep', 'billing.refund');

		assert.strictEqual(grep.status, 0);
		const again = await at(other, 'trace', 'import', bundle);

		assert.strictEqual(again.status, 1);
		assert.match(again.err, /it is here already, as run r-/);
	});

test('transcripts are judged by a policy over what agents did elsewhere',
	async () => {
		const policy = path.join(scratch, 'import-policy.json');

		fs.writeFileSync(lines, [1, 2].map((n) => JSON.stringify({
			run: `ticket ${n}`, time: 1763689836000000 + n,
			user: 'refund in_1, please', workflow: 'support',
			calls: [
				{ name: 'invoice.get', arguments: { id: 'in_1' },
					result: { open: 4900 } },
				{ name: 'refund', arguments: { invoice: 'in_1' },
					result: 'done' },
				{ name: 'mail.send', arguments: { to: 'x@example.com' },
					error: 'no such person' }],
		})).join('\n'));
		const done = await at(other, 'trace', 'import', lines);

		assert.strictEqual(done.status, 0, done.err);
		assert.match(done.out, /2 runs, 6 calls, 18 records/);
		fs.writeFileSync(policy, JSON.stringify({ policy: 1,
			workflow: 'support', stage: 5, tools: {
				'invoice.get': { risk: 'read', mode: 'allow' },
				refund: { risk: 'external_write', mode: 'approve' },
				'mail.send': { risk: 'external_write', mode: 'block' },
			} }));
		const replay = await at(other, 'replay', 'all', '--workflow',
			'support', '--policy', policy, '--json');
		const told = JSON.parse(replay.out);

		assert.strictEqual(told.calls, 6);
		assert.strictEqual(told.same, 2);
		assert.strictEqual(told.tighter, 4);
		assert.deepStrictEqual(told.changes.filter((c) =>
			c.change === 'tighter').map((c) => [c.tool, c.was, c.would]),
		[['mail.send', 'allow', 'block'], ['refund', 'allow', 'approve']]);
		assert.strictEqual((await at(other, 'trace', 'verify')).status, 0);
	});

test('of several files, those before a bad one stay, and of it nothing',
	async () => {
		const good = path.join(scratch, 'import-good.jsonl');
		const bad = path.join(scratch, 'import-bad.jsonl');
		const state = path.join(scratch, 'import-two');
		const one = (name) => JSON.stringify({ run: name, time: 1,
			calls: [] });

		fs.writeFileSync(good, `${one('a')}\n${one('b')}\n`);
		fs.writeFileSync(bad, `${one('c')}\n{"run":"d"}\n`);
		const done = await at(state, 'trace', 'import', good, bad);

		assert.strictEqual(done.status, 1);
		assert.match(done.err, /1 of 2 files came in.*import-bad.jsonl/);
		assert.match(done.err, /line 2: `time` must be/);
		const ls = await at(state, 'trace', 'ls', '--json');

		assert.strictEqual(ls.out.trim().split('\n').length, 2);
		assert.strictEqual((await at(state, 'trace', 'verify')).status, 0);
		const missing = await at(state, 'trace', 'import', '/nowhere/x');

		assert.strictEqual(missing.status, 1);
		assert.match(missing.err, /open \/nowhere\/x/);
		const device = await at(state, 'trace', 'import', '/dev/zero');

		assert.match(device.err, /it is no regular file/);
	});

test('a daemon starts on what was imported, and leaves it alone', async () => {
	const own = await Daemon.start({ place });

	try {
		const before = await trace(other, 'last');
		const s = await own.open();

		await own.post(`/v1/runs/${s.run}/stop`, {});
		await own.closed(s.run);
		assert.deepStrictEqual((await at(other, 'trace', 'ls', '--json'))
			.out.trim().split('\n').map((l) => JSON.parse(l).status)
			.sort(), ['imported', 'imported', 'imported', 'stopped']);
		assert.ok(before.length > 0);
	} finally {
		await own.stop();
	}
	assert.strictEqual((await at(other, 'trace', 'verify')).status, 0);
});
