// The trace: what is in it, in which order, and what is nowhere in the store.
import assert from 'node:assert';
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
