// The trace: what is in it, in which order, and what is nowhere in the store.
import assert from 'node:assert';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Daemon, email, trace, verify } from './lib/paddock.js';

let d;

before(async () => { d = await Daemon.start(); });
after(() => d.stop());

async function close(run, by = d) {
	await by.post(`/v1/runs/${run.run}/stop`, {});
	await by.closed(run.run);
	return trace(by.state, run.run);
}

test('each call has its records in order, with verdict and result',
	async () => {
		const run = await d.open();
		const tcp = d.tcp();

		await tcp.call(run, 'kb.search', { query: 'refund' });
		await tcp.call(run, 'billing.refund', { amount: 1 });
		const held = tcp.call(run, 'email.send', email);

		await d.decide(await d.approval(run.run), 'approve');
		await held;
		await tcp.call(run, 'ticket.read', { ticket: 'T-0' });
		const all = await close(run);
		const kinds = (step) => all.filter((e) => e.step === step &&
			e.kind !== 'kill')
			.map((e) => e.kind);

		assert.deepStrictEqual(kinds(0), ['run.opened']);
		assert.deepStrictEqual(kinds(1), ['tool.proposed',
			'policy.decision', 'tool.started', 'tool.finished']);
		assert.deepStrictEqual(kinds(2),
			['tool.proposed', 'policy.decision']);
		assert.deepStrictEqual(kinds(3), ['tool.proposed',
			'policy.decision', 'approval.requested',
			'approval.decided', 'tool.started', 'tool.finished']);
		assert.deepStrictEqual(kinds(4), ['tool.proposed',
			'policy.decision', 'tool.started', 'tool.finished']);
		assert.strictEqual(all.at(-1).kind, 'run.closed');
		assert.deepStrictEqual(all.filter(
			(e) => e.kind === 'policy.decision').map(
			(e) => e.dec.verdict), ['allow', 'block', 'approve', 'allow']);
		assert.strictEqual(all.filter((e) => e.kind === 'tool.finished')
			.at(-1).res.status, 'error');
		for (const [i, e] of all.entries()) {
			assert.strictEqual(e.run, run.run);
			assert.ok(i === 0 || e.seq > all[i - 1].seq);
			assert.ok(i === 0 || e.mono >= all[i - 1].mono);
			assert.strictEqual(e.ver.policy, run.policy_version);
		}
	});

test('labels grow with what was read, and decide', async () => {
	const run = await d.open({ flow: [{ id: 'taint',
		if_labels: ['untrusted:*'], risk_at_least: 'external_write',
		then: 'block' }] });

	await d.tcp().call(run, 'ticket.read', { ticket: 'T-1041' });
	const a = await d.tcp().call(run, 'email.send', email);

	assert.strictEqual(a.status, 403);
	assert.match(a.body.rule, /flow\.taint/);
	assert.deepStrictEqual((await d.get(`/v1/runs/${run.run}`)).labels,
		['untrusted:ticket.read']);
	const last = (await close(run)).filter(
		(e) => e.kind === 'policy.decision').at(-1);

	assert.deepStrictEqual(last.body.labels, ['untrusted:ticket.read']);
});

test('a redacted field is nowhere in the store, and in the call all the ' +
    'same', async () => {
	const secret = 'xyzzy-4711-plugh';
	const hidden = 'dana@brightside.example.org';
	const own = await Daemon.start();
	const run = await own.open({ tools: {
		'email.send': { risk: 'external_write', mode: 'approve',
			redact: { args: ['$.body'] } },
		'customer.find': { risk: 'read', redact: {
			args: ['$.email'],
			result: ['$..email', '$..phone', '$..note'] } },
	} });
	const found = await own.tcp().call(run, 'customer.find',
		{ email: hidden });

	assert.strictEqual(found.body.customers[0].email, hidden);
	const held = own.tcp().call(run, 'email.send',
		{ ...email, body: `the word is ${secret}` });

	await own.decide(await own.approval(run.run), 'approve');
	assert.strictEqual((await held).body.status, 'sent');
	const all = await close(run, own);

	assert.ok(JSON.stringify(all).includes('[redacted]'));
	await verify(own.state);
	// The disk's own bytes, and what zstd would have hidden: all blobs are
	// small enough to be kept as they are.
	const store = path.join(own.state, 'store');

	for (const name of fs.readdirSync(store)) {
		const bytes = fs.readFileSync(path.join(store, name));

		for (const word of [secret, hidden, '555-0117'])
			assert.ok(!bytes.includes(word), `${word} in ${name}`);
	}
	assert.ok(fs.readFileSync(path.join(store, 'trace.db'))
		.includes(run.run.slice(0, 1)));
	await own.stop();
});

test('tokens are nowhere in the store', async () => {
	const run = await d.open();

	await d.tcp(run.token).call(run, 'kb.search', { query: 'x' });
	await close(run);
	const store = path.join(d.state, 'store');

	for (const name of fs.readdirSync(store)) {
		const bytes = fs.readFileSync(path.join(store, name));

		assert.ok(!bytes.includes(run.token), name);
		assert.ok(!bytes.includes(d.token), name);
	}
});

test('one changed byte is found, and where', async () => {
	const own = await Daemon.start();
	const run = await own.open();

	for (let i = 0; i < 5; i++)
		await own.tcp().call(run, 'kb.search', { query: `needle${i}` });
	await own.stop();
	const file = path.join(own.state, 'store/trace.db');
	const bytes = fs.readFileSync(file);
	const at = bytes.indexOf('needle2');

	assert.ok(at > 0);
	await verify(own.state);
	bytes[at] ^= 1;
	fs.writeFileSync(file, bytes);
	const r = await own.place.cli(['trace', 'verify', '--json']);
	const v = JSON.parse(r.out);

	assert.strictEqual(r.status, 1);
	assert.strictEqual(v.sound, false);
	assert.ok(v.seq > 0 && v.text.length > 0, r.out);
});

test('the log gets another key, and the old one still verifies it', async () => {
	const own = await Daemon.start();
	const cli = (...args) => own.place.cli(['trace', ...args]);
	const json = async (...args) => {
		const r = await cli(...args, '--json');

		assert.strictEqual(r.status, 0, r.err);
		return JSON.parse(r.out);
	};
	const ran = async (d) => {
		const run = await d.open();

		await close(run, d);
		return run.run;
	};
	const first = await ran(own);
	const old = (await json('checkpoint')).key;
	const files = ['before', 'after'].map((n) =>
		path.join(own.state, `${n}.paddock`));
	let r = await cli('key', 'rotate');

	assert.strictEqual(r.status, 1);
	assert.match(r.err, /in use by process \d+/);
	await json('export', first, '-o', files[0]);
	await own.stop();
	const witness = path.join(own.state, 'witness.txt');
	const store = path.join(own.state, 'store');

	fs.copyFileSync(path.join(store, 'checkpoints.txt'), witness);
	const secret = fs.readFileSync(path.join(store, 'log.key'), 'utf8').trim();
	const made = await json('key', 'rotate');

	assert.strictEqual(made.old, old);
	assert.notStrictEqual(made.key, old);
	for (const name of fs.readdirSync(store))
		assert.ok(!fs.readFileSync(path.join(store, name))
			.includes(secret), name);
	const again = await Daemon.start({ place: own.place });

	await json('export', await ran(again), '-o', files[1]);
	await again.stop();
	assert.deepStrictEqual((await json('key')).keys.map((k) => k.key),
		[old, made.key]);
	for (const key of [old, made.key]) {
		assert.ok((await json('verify', '--key', key, '--witness', witness))
			.sound);
		assert.ok((await json('verify', files[1], '--key', key)).sound);
	}
	assert.ok((await json('verify', files[0], '--key', old)).sound);
	// A bundle of before knows nothing of the new key.
	r = await cli('verify', files[0], '--key', made.key, '--json');
	assert.strictEqual(r.status, 1);
	assert.strictEqual(JSON.parse(r.out).fault, 'SIG_BAD');
});

test('a run leaves as a file that proves itself, and a log cannot be made anew',
	async () => {
	const own = await Daemon.start();
	const cli = (...args) => own.place.cli(['trace', ...args]);
	const file = path.join(own.state, 'run.paddock');
	const ids = [];

	for (const who of ['one', 'two']) {
		const run = await own.open();

		await own.tcp(run.token).call(run, 'kb.search', { query: who });
		await close(run, own);
		ids.push(run.run);
	}
	let r = await cli('export', ids[1], '-o', file, '--json');

	assert.strictEqual(r.status, 0, r.err);
	const made = JSON.parse(r.out);

	assert.strictEqual(made.run, ids[1]);
	assert.strictEqual(made.open, false);
	r = await cli('export', ids[1], '-o', file);
	assert.strictEqual(r.status, 1);
	assert.match(r.err, /is there already/);
	r = await cli('export', ids[1], '-o', path.join(own.state, 'no/x'));
	assert.strictEqual(r.status, 1);
	const point = JSON.parse((await cli('checkpoint', '--json')).out);

	assert.match(point.checkpoint, /^paddock\/[0-9a-f]{16}\n\d+\n/);
	await own.stop();
	const witness = fs.readFileSync(
		path.join(own.state, 'store/checkpoints.txt'), 'utf8');

	assert.ok(witness.includes(point.checkpoint));

	// Node verifies what OpenSSL signed here.
	const raw = Buffer.from(point.key.split('+').slice(2).join('+'), 'base64');
	const key = crypto.createPublicKey({ format: 'jwk', key: { kty: 'OKP',
		crv: 'Ed25519', x: raw.subarray(1).toString('base64url') } });
	const [text, signature] = point.checkpoint.split('\n\n\u2014 ');

	assert.ok(crypto.verify(null, `${text}\n`, key,
		Buffer.from(signature.split(' ')[1], 'base64').subarray(4)));

	// The file alone, where there is no state.
	const alone = path.join(own.state, 'alone');

	fs.mkdirSync(alone);
	const moved = path.join(alone, 'run.paddock');

	fs.renameSync(file, moved);
	r = await cli('verify', moved, '--json', '--key', point.key,
		'--state', path.join(alone, 'none'));
	assert.strictEqual(r.status, 0, r.err);
	assert.strictEqual(JSON.parse(r.out).records, made.records);
	r = await cli('show', moved, '--json');
	assert.match(r.out, /"two"|tool\.finished/);
	assert.ok(!r.out.includes(ids[0]));
	const bytes = fs.readFileSync(moved);

	bytes[bytes.length >> 1] ^= 4;
	fs.writeFileSync(moved, bytes);
	r = await cli('verify', moved);
	assert.strictEqual(r.status, 1);

	// Somebody else's log in this one's place, sound in itself.
	const other = await Daemon.start();

	await close(await other.open(), other);
	await other.stop();
	fs.rmSync(path.join(own.state, 'store'), { recursive: true });
	fs.cpSync(path.join(other.state, 'store'),
		path.join(own.state, 'store'), { recursive: true });
	const copy = path.join(alone, 'checkpoints.txt');

	fs.writeFileSync(copy, witness);
	r = await cli('verify');
	assert.strictEqual(r.status, 0, r.err);
	for (const trust of [['--key', point.key], ['--witness', copy]]) {
		r = await cli('verify', '--json', ...trust);
		assert.strictEqual(r.status, 1, r.out);
		assert.strictEqual(JSON.parse(r.out).fault, 'SIG_BAD');
	}
});
