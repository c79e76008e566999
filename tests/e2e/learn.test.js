// `paddock policy learn`: a policy from what runs did.
import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Daemon, cli, email, policy } from './lib/paddock.js';

let d;

before(async () => {
	d = await Daemon.start();
});
after(() => d.stop());

async function ran(changes, calls) {
	const run = await d.open(changes);

	for (const [tool, args] of calls)
		await d.call(run, tool, args);
	await d.post('/v1/stop', { run: run.run });
	await d.closed(run.run);
	return run.run;
}

const learn = (...args) =>
	cli(['policy', 'learn', '--state', d.state, ...args]);

test('a run that was held to its policy is allowed what it did, and no more',
	async () => {
		const run = await ran({}, [['kb.search', { query: 'refund' }],
			['ticket.read', { ticket: 'T-1041' }],
			['ticket.read', { ticket: 'T-1041' }],
			['ticket.read', { ticket: 'T-1041' }],
			['billing.refund', { invoice: 'I', amount: 5 }]]);
		const got = await learn('--json', run);
		const { looser, held_back, policy: p } = JSON.parse(got.out);

		assert.strictEqual(got.status, 0, got.err);
		assert.deepStrictEqual(looser, []);
		assert.deepStrictEqual(held_back, []);
		// What was blocked is no reason to allow it.
		assert.deepStrictEqual(Object.keys(p.tools),
			['kb.search', 'ticket.read']);
		assert.deepStrictEqual(p.tools['ticket.read'], { risk: 'read',
			args: { type: 'object', required: ['ticket'],
				additionalProperties: false, properties: {
					ticket: { enum: ['T-1041'] } } } });
		assert.deepStrictEqual(p.tools['kb.search'].args.properties,
			{ query: { type: ['string'], maxLength: 6 } });

		// It allows what was done: the recorded calls are not held back.
		const file = path.join(d.state, 'learned.json');

		fs.writeFileSync(file, JSON.stringify(p));

		const again = JSON.parse((await cli(['replay', run, '--policy', file,
			'--state', d.state, '--json'])).out);

		assert.strictEqual(again.looser, 0, JSON.stringify(again));
		assert.strictEqual(again.tighter, 0, JSON.stringify(again));
	});

test('what was only let pass is marked as newly allowed', async () => {
	const run = await ran({ mode: 'record', tools: {
		'kb.search': undefined } }, [['kb.search', { query: 'a' }],
		['email.send', email]]);
	const got = await learn(run);

	assert.strictEqual(got.status, 1);
	assert.match(got.out, /^\/\/ newly allowed: tools\.email\.send\.mode: allow, was approve/m);
	assert.match(got.out, /^\/\/ newly allowed: tools\.kb\.search: allow, was not listed/m);

	const p = JSON.parse(got.out.replace(/^\/\/.*$/mg, ''));

	assert.strictEqual(p.mode, 'enforce');
	assert.strictEqual(p.tools['kb.search'].risk, 'destructive');
	assert.strictEqual(p.tools['email.send'].mode, 'allow');

	// What it prints is a policy, comments and all.
	const file = path.join(d.state, 'learned.json');

	fs.writeFileSync(file, got.out);
	assert.strictEqual((await cli(['policy', 'check', file])).status, 0);

	// Beside the policy that it had, the stage still counts.
	const low = path.join(d.state, 'low.json');

	fs.writeFileSync(low, JSON.stringify({ ...policy(), stage: 1 }));

	const held = await learn('--policy', low, run);

	assert.match(held.out, /^\/\/ still held back: tools\.email\.send is simulate, by stage 1 cap/m);
});

test('runs of different policies, and none, are told', async () => {
	const a = await ran({}, [['kb.search', { query: 'a' }]]);
	const b = await ran({ stage: 4 }, [['kb.search', { query: 'a' }]]);
	let got = await learn(a, b);

	assert.strictEqual(got.status, 1);
	assert.match(got.err, /another policy than/);
	got = await learn(await ran({}, []));
	assert.strictEqual(got.status, 1);
	assert.match(got.err, /called no tool/);
	assert.strictEqual((await learn()).status, 2);
});

test('a changed policy holds for the next run, and not for open ones',
	async () => {
		const before = await d.open({});
		const now = await d.open({ tools: {
			'kb.search': { risk: 'read', mode: 'block' } } });
		const search = (run) => d.call(run, 'kb.search', { query: 'a' });

		assert.strictEqual((await search(now)).status, 403);
		assert.strictEqual((await search(before)).status, 200);
	});
