// Rates and breakers of tools: what is held back, for how long, and on record.
import assert from 'node:assert';
import { after, before, test } from 'node:test';

import { Daemon, until } from './lib/paddock.js';

let d;

before(async () => {
	d = await Daemon.start();
});
after(() => d.stop());

const search = { query: 'refund' };

test('calls over the rate of a row are blocked, and told when', async () => {
	const run = await d.open({ tools: { 'kb.search': { risk: 'read',
		rate: { per: '1m', burst: 2 } } } });
	const again = () => d.call(run, 'kb.search', search);

	assert.strictEqual((await again()).status, 200);
	assert.strictEqual((await again()).status, 200);

	const held = await again();

	assert.strictEqual(held.status, 403);
	assert.strictEqual(held.body.code, 'rate_limited');
	assert.strictEqual(held.body.rule, 'tools.kb.search.rate');
	assert.match(held.body.suggested_next_step, /^Wait (29|30) s/);
	// Another tool, and another run, have their own.
	assert.strictEqual((await d.call(run, 'ticket.read',
		{ ticket: 'T-1041' })).status, 200);

	const other = await d.open({ tools: { 'kb.search': { risk: 'read',
		rate: { per: '1m', burst: 2 } } } });

	assert.strictEqual((await d.call(other, 'kb.search', search)).status,
		200);
	await d.post('/v1/stop', {});
	await d.closed(run.run);

	const records = await d.trace(run.run);

	assert.deepStrictEqual(records.filter((e) => e.kind ===
		'policy.decision').map((e) => e.dec.code), ['allowed', 'allowed',
		'rate_limited', 'allowed']);
});

test('the rates of all parts of a policy hold', async () => {
	const rows = { 'kb.search': { risk: 'read',
		rate: { per: '1h', burst: 1 } } };
	const run = await d.open({
		extends: [{ policy: 1, workflow: 'base', stage: 5,
			tools: { '*.search': { risk: 'read',
				rate: { per: '1h', burst: 1 } },
			'ticket.*': { risk: 'draft' },
			'customer.*': { risk: 'read' },
			'billing.*': { risk: 'external_write', mode: 'block' },
			'email.*': { risk: 'external_write', mode: 'approve' } } }],
		tools: { 'ticket.read': { risk: 'draft' },
			'ticket.list': { risk: 'draft' },
			'billing.invoices': { risk: 'external_write' }, ...rows,
			'kb.search': { risk: 'read' } } });

	assert.strictEqual((await d.call(run, 'kb.search', search)).status, 200);

	const held = await d.call(run, 'kb.search', search);

	assert.strictEqual(held.body.code, 'rate_limited');
	assert.strictEqual(held.body.rule, 'base@0 tools.*.search.rate');
	// What the base does not allow, the document cannot.
	assert.strictEqual((await d.call(run, 'billing.invoices',
		{ customer: 'C-7' })).body.code, 'tool_mode');
});

test('a tool that keeps failing is not called until a while has passed',
	async () => {
		const run = await d.open({ budgets: { max_retries_per_tool: 50 },
			tools: { 'ticket.read': { risk: 'read',
				breaker: { failures: 2, per: '1m', open_s: 1 } } } });
		const read = (ticket) => d.call(run, 'ticket.read', { ticket });

		assert.strictEqual((await read('T-0')).status, 422);
		assert.strictEqual((await read('T-1')).status, 422);

		const held = await read('T-1041');

		assert.strictEqual(held.status, 403);
		assert.strictEqual(held.body.code, 'breaker_open');
		assert.strictEqual(held.body.rule, 'tools.ticket.read.breaker');
		assert.match(held.body.suggested_next_step, /^Wait 1 s/);
		// One that fails opens it again, one that works closes it.
		await until(async () => (await read('T-2')).status === 422,
			'the breaker to let one through');
		assert.strictEqual((await read('T-1041')).body.code,
			'breaker_open');
		await until(async () => (await read('T-1041')).status === 200,
			'the breaker to close');
		assert.strictEqual((await read('T-3')).status, 422);
		assert.strictEqual((await read('T-1041')).status, 200);
	});
