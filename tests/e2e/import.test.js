// paddock trace import: what was recorded elsewhere is read like any run, and
// is never taken for one.
import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Daemon, Place, cli, email, isRoot, paddock, scratch, trace, verify }
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

const statement = path.join(scratch, 'import-run.intoto.json');

// DSSE by its specification, and Ed25519 by node: nothing of paddock's.
function openEnvelope(file) {
	const e = JSON.parse(fs.readFileSync(file));
	const body = Buffer.from(e.payload, 'base64');
	const pae = Buffer.concat([Buffer.from(`DSSEv1 ${
		Buffer.byteLength(e.payloadType)} ${e.payloadType} ${
		body.length} `), body]);
	// NAME+HEX+BASE64: an algorithm's byte and 32 of the key
	const raw = Buffer.from(e.signatures[0].keyid.split('+').slice(2)
		.join('+'), 'base64').subarray(1);
	const key = crypto.createPublicKey({ format: 'jwk', key: { kty: 'OKP',
		crv: 'Ed25519', x: raw.toString('base64url') } });

	return { e, statement: JSON.parse(body), good: crypto.verify(null, pae,
		key, Buffer.from(e.signatures[0].sig, 'base64')) };
}

test('an in-toto statement names the bundle, and others can check it',
	async () => {
		const done = await at(d.state, 'trace', 'export', bundle,
			'--format', 'in-toto', '-o', statement);

		assert.strictEqual(done.status, 0, done.err);
		const { e, statement: s, good } = openEnvelope(statement);
		const sha256 = crypto.createHash('sha256')
			.update(fs.readFileSync(bundle)).digest('hex');

		assert.strictEqual(good, true);
		assert.strictEqual(e.payloadType, 'application/vnd.in-toto+json');
		assert.strictEqual(s._type, 'https://in-toto.io/Statement/v1');
		assert.deepStrictEqual(s.subject.map((x) => x.digest.sha256),
			[sha256, run.policy_version]);
		assert.strictEqual(s.predicate.run, run.run);
		assert.strictEqual(s.predicate.calls, 3);
		assert.deepStrictEqual(s.predicate.verdicts,
			{ allow: 1, block: 1, approve: 1 });
		assert.strictEqual(s.predicate.imported, false);
		const both = await at(place.state, 'trace', 'verify', statement,
			bundle, '--key', e.signatures[0].keyid);

		assert.strictEqual(both.status, 0, both.err);
		assert.match(both.out, /statement verified: run r-.*of the bundle/);
	});

test('a statement that was changed, or of another bundle or log, is refused',
	async () => {
		const text = fs.readFileSync(statement, 'utf8');
		const bad = path.join(scratch, 'import-bad.intoto.json');
		const e = JSON.parse(text);
		const body = Buffer.from(e.payload, 'base64');

		for (let i = 0; i < 40; i++) {
			const changed = Buffer.from(body);

			changed[(i * 7919) % body.length] ^= 1 << (i % 8);
			fs.writeFileSync(bad, JSON.stringify({ ...e,
				payload: changed.toString('base64') }));
			const done = await cli(['trace', 'verify', bad]);

			assert.strictEqual(done.status, 1, `${i}`);
			assert.match(done.err, /SIG_BAD/);
		}
		for (const broken of ['{', '{}', JSON.stringify({ ...e,
			payloadType: 'text/plain' }), JSON.stringify({ ...e,
			signatures: [] }), `${' '.repeat(10)}{`,
		JSON.stringify({ ...e, payload: 'x'.repeat(300000) })]) {
			fs.writeFileSync(bad, broken);
			assert.strictEqual((await cli(['trace', 'verify', bad]))
				.status, 1, broken.slice(0, 40));
		}
		const second = path.join(scratch, 'import-second.paddock');
		const open = await d.open();

		await d.post(`/v1/runs/${open.run}/stop`, {});
		await d.closed(open.run);
		await at(d.state, 'trace', 'export', open.run, '-o', second);
		const other = await cli(['trace', 'verify', statement, second]);

		assert.strictEqual(other.status, 1);
		assert.match(other.err, /about another file than this bundle/);
		const wrong = await at(place.state, 'trace', 'export', second,
			'--format', 'in-toto', '-o', bad.replace('bad', 'w'));

		assert.strictEqual(wrong.status, 1);
		assert.match(wrong.err, /another log's: name the state/);
		const byRun = await at(d.state, 'trace', 'export', open.run,
			'--format', 'in-toto', '-o', bad.replace('bad', 'v'));

		assert.match(byRun.err, /a statement is about a bundle/);
	});

// A root directory with the two programs, and the libraries that the larger
// one names, and /proc; no file of this machine's besides, no network, no daemon.
test('a bundle is verified where there is nothing but paddock', async (t) => {
	const root = path.join(scratch, 'import-root');
	const bin = path.dirname(fs.realpathSync(paddock));
	const libs = execFileSync('ldd', [path.join(bin, 'paddockd')],
		{ encoding: 'utf8' }).match(/\/\S+/g);

	if (!isRoot) {
		t.skip('only root may change its root directory');
		return;
	}
	for (const file of libs) {
		fs.mkdirSync(path.join(root, path.dirname(file)),
			{ recursive: true });
		fs.copyFileSync(file, path.join(root, file));
	}
	for (const name of ['paddock', 'paddockd'])
		fs.copyFileSync(path.join(bin, name), path.join(root, name));
	fs.mkdirSync(path.join(root, 'proc'));
	fs.copyFileSync(bundle, path.join(root, 'run.paddock'));
	fs.copyFileSync(statement, path.join(root, 'run.intoto.json'));
	const inside = (...args) => cli(['-n', '-p', '-f', '-m',
		'--mount-proc', `--root=${root}`,
		'/paddock', ...args], { program: 'unshare' });
	const good = await inside('trace', 'verify', '/run.paddock');

	assert.strictEqual(good.status, 0, good.err);
	assert.match(good.out, /trace verified: run r-.* whole/);
	const both = await inside('trace', 'verify', '/run.intoto.json',
		'/run.paddock');

	assert.strictEqual(both.status, 0, both.err);
	const bytes = fs.readFileSync(bundle);

	bytes[bytes.length >> 1] ^= 1;
	fs.writeFileSync(path.join(root, 'run.paddock'), bytes);
	assert.strictEqual((await inside('trace', 'verify', '/run.paddock'))
		.status, 1);
});
